"""The soak's own arithmetic, and one short run of it on the real parts."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from local.soak.relay import Relay
from local.soak.samples import Sample, rise
from local.soak.verdict import Report, growth, work
from tests.local.test_processes import environment

SAMPLE = Sample(
    at=0, rss_mib=90, cpu_seconds=1, threads=18, descriptors=40, tasks=110, rollouts=25, queue_depth=0,
    lateness_seconds=0, passes={"ok": 10}, api_calls=10, queries=10, missed=0,
)  # fmt: skip


def hour(**per_minute: float) -> list[Sample]:
    """Return a sample a minute, in which these values grow by so much each time."""
    return [
        replace(SAMPLE, at=60.0 * n, **{name: getattr(SAMPLE, name) + n * by for name, by in per_minute.items()})
        for n in range(60)
    ]


def bad(findings) -> list[str]:
    return [finding.what for finding in findings if not finding.is_fine]


def test_a_line_rises_by_its_slope_times_its_length():
    assert rise([(0, 1), (10, 2), (20, 3)]) == pytest.approx(2)
    assert rise([(0, 5), (10, 5)]) == 0
    assert rise([(3, 5)]) == 0


def test_what_stays_as_it_is_has_not_grown():
    assert bad(growth(hour())) == []


@pytest.mark.parametrize(
    ("leak", "what"),
    [
        ({"rss_mib": 0.2}, "RSS"),
        ({"threads": 0.5}, "threads"),
        ({"descriptors": 1}, "file descriptors"),
        ({"tasks": 2}, "tasks"),
    ],
)
def test_a_slow_leak_is_named(leak, what):
    assert bad(growth(hour(**leak))) == [what]


def test_what_fills_up_at_the_beginning_is_no_leak():
    samples = hour()
    for number in range(15):
        samples[number] = replace(samples[number], rss_mib=60 + 2 * number)

    assert bad(growth(samples)) == []


def test_a_bug_and_a_traceback_are_named():
    last = replace(SAMPLE, at=60, passes={"ok": 20, "bug": 1})

    assert bad(work(SAMPLE, last, tracebacks=1)) == ["passes", "tracebacks in the log"]


def test_no_sample_is_no_good_news():
    assert bad(growth([])) == ["samples"]


async def test_the_relay_cuts_what_is_open_and_takes_new_connections():
    async def echo(reader, writer):
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    relay = Relay(*far.sockets[0].getsockname())
    near = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    address = near.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"

    relay.cut()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    again, other = await asyncio.open_connection(*address)
    other.write(b"again")
    assert await again.readexactly(5) == b"again"
    for end in (writer, other):
        end.close()
    near.close()
    far.close()


def test_a_report_says_what_is_bad():
    report = Report({"cores": "2"}, 1, work(SAMPLE, replace(SAMPLE, at=60), tracebacks=3))

    assert not report.is_fine
    assert "BAD  tracebacks in the log" in report.as_text()
    assert report.as_text().endswith("not fine")


@pytest.mark.cluster
def test_a_short_soak_comes_to_a_good_verdict(tmp_path):
    extent = ["--minutes=0.6", "--rollouts=5", "--standing=4", "--cut-every=10", "--rss-tolerance=0.5", "--output=json"]

    run = subprocess.run(
        [sys.executable, "-m", "local.soak", *extent],
        capture_output=True,
        text=True,
        check=False,
        env=environment() | {"MODELROLLOUT_LOGS": str(tmp_path), "PYTHONPATH": "operator:."},
        timeout=400,
    )

    found = json.loads(run.stdout)
    # How far caches fill in so short a time says nothing; the rest has to hold.
    growing = {"RSS", "threads", "file descriptors", "tasks"}
    assert [f for f in found["findings"] if not f["is_fine"] and f["what"] not in growing] == [], run.stderr
    assert {"stories", "watches are alive", "queue empty"} <= {f["what"] for f in found["findings"]}
