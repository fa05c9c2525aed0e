"""`python -m tests.fuzz`: each target in turn under a coverage-guided fuzzer; `python -m tests.fuzz TARGET` one of them.

The corpus grows in build/fuzz/corpus from run to run; what made a target fail is kept in build/fuzz/crashes.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

try:
    import atheris
except ImportError:
    atheris = None

TOP = Path(__file__).parents[2]
BUILD = TOP / "build" / "fuzz"
HISTORIES = "histories"
LONGEST_INPUT = 4096


def main(arguments: list[str]) -> int:
    """Fuzz for FUZZ_SECONDS a target; return 1 if one of them failed."""
    if atheris is None:
        print(
            "make fuzz needs atheris, which has wheels for Linux and Python 3.11 to 3.13: pip install 'modelrollout[fuzz]'"
        )
        return 0
    if len(arguments) == 1:
        return _fuzz(arguments[0])
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    failed = [target for target in _names() if not _run(target, seconds)]
    for target in failed:
        print(f"{target} failed; run what broke it again with: python -m tests.fuzz {target}, input above")
    print(f"{len(_names()) - len(failed)} of {len(_names())} targets found nothing in {seconds} s each")
    return 1 if failed else 0


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the fuzzer's own process has to instrument it first

    return [*TARGETS, HISTORIES]


def _run(target: str, seconds: int) -> bool:
    """Run one target as a process of its own, as libFuzzer ends the process that it runs in."""
    print(f"fuzz {target} for {seconds} s", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", target]
    environment = os.environ | {"FUZZ_SECONDS": str(seconds)}
    return subprocess.run(command, check=False, cwd=TOP, env=environment).returncode == 0


def _fuzz(target: str) -> int:
    with atheris.instrument_imports(include=["modelrollout"]):
        from tests.fuzz import history, targets  # noqa: PLC0415 - see above
    corpus, crashes = BUILD / "corpus" / target, BUILD / "crashes" / target
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.SEEDS.get(target, ())):
        (corpus / f"seed-{number}").write_bytes(seed)
    one = _histories(history) if target == HISTORIES else targets.TARGETS[target]
    atheris.Setup(
        [
            f"fuzz-{target}",
            str(corpus),
            f"-artifact_prefix={crashes}/",
            f"-max_total_time={os.environ.get('FUZZ_SECONDS', '60')}",
            f"-max_len={LONGEST_INPUT}",
            "-timeout=30",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            # A short input is no history; of the others the short ones come first.
            *(["-len_control=0"] if target == HISTORIES else []),
        ],
        one,
    )
    atheris.Fuzz()
    return 0


def _histories(history: ModuleType) -> Callable[[bytes], object]:
    from hypothesis import HealthCheck, given, settings  # noqa: PLC0415 - not in the orchestrating process

    def live(happenings: list[tuple[str, object]]) -> None:
        history.live(happenings)

    test = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))(
        given(history.histories)(live)
    )
    fuzz_one: Callable[[bytes], object] = test.hypothesis.fuzz_one_input
    return fuzz_one


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
