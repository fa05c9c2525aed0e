"""Pauses of the garbage collector, with the collector of a process of its own."""

import os
import subprocess
import sys
import textwrap

from tests.support.chart import TOP


def run(script: str) -> str:
    body = """
        import gc
        from modelrollout.wiring import collector
        collector.LONGEST = 0.0
        collector.ShortCollections().begin()
        exempt = gc.get_freeze_count()
    """
    text = textwrap.dedent(body) + textwrap.dedent(script)
    environment = {**os.environ, "PYTHONPATH": str(TOP / "operator")}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_survives_a_long_collection_is_exempt_from_the_next():
    said = run("""
        kept = [[] for _ in range(100_000)]
        gc.collect()
        print(gc.get_freeze_count() - exempt >= 100_000, len(gc.get_objects(generation=2)) < 1000)
    """)

    assert said == "True True"


def test_a_short_collection_exempts_nothing():
    said = run("""
        collector.LONGEST = 60.0
        kept = [[] for _ in range(100_000)]
        gc.collect()
        print(gc.get_freeze_count() == exempt)
    """)

    assert said == "True"


def test_a_collection_of_the_young_exempts_nothing():
    said = run("""
        gc.disable()
        kept = [[] for _ in range(100_000)]
        gc.collect(1)
        print(gc.get_freeze_count() == exempt)
    """)

    assert said == "True"
