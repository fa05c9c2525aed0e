"""Programs written in Python whose packages must not meet ours: each in an environment of its own, from a hashed lock."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from local.golang import BuildFailed
from local.paths import TOOLS, cache_directory, cache_lock
from local.progress import Progress

PYTHON_TOOLS = ("checkov",)
"""Each has a `requirements.lock` in `local/tools/NAME` and a program of its name."""


PRESET_SERVERS = ("bentoml", "fastapi", "kserve", "mlserver", "ray-serve")
"""Model servers that `make test-presets` runs; each has its lock and its program in `local/tools/presets/NAME`."""


def find_python_tool(name: str) -> Path:
    """Return the program; it is installed into the cache first where it is missing.

    Raises:
        BuildFailed: pip could not install what is locked.
    """
    return find_environment(name) / "bin" / name


def find_environment(name: str) -> Path:
    """Return the environment of `local/tools/NAME`; it is installed into the cache first where it is missing.

    Its place is named after the lock and the interpreter, so that a stale one is never used.

    Raises:
        BuildFailed: pip could not install what is locked.
    """
    lock = TOOLS / name / "requirements.lock"
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = cache_directory() / "python" / f"{name.replace('/', '-')}-{key}"
    whole = home / "whole"
    if not whole.exists():
        with cache_lock(name.replace("/", "-")):
            if not whole.exists():
                progress = Progress(name)
                _install(home, lock, progress)
                whole.touch()
                progress.tick(final="done")
    return home


def _install(home: Path, lock: Path, progress: Progress) -> None:
    shutil.rmtree(home, ignore_errors=True)
    pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    for step in (
        [sys.executable, "-m", "venv", str(home)],
        [*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)],
    ):
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(step, stdout=said, stderr=subprocess.STDOUT)
            try:
                _wait(process, progress)
            except BaseException:
                process.terminate()
                raise
            said.seek(0)
            if process.returncode:
                last = said.read().strip()[-400:]
                raise BuildFailed(f"{lock.parent.name} could not be installed: `{' '.join(step)}` said {last}")


def _wait(process: subprocess.Popen[bytes], progress: Progress) -> None:
    while process.poll() is None:
        progress.tick()
        time.sleep(0.1)
