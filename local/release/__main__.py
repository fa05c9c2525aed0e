"""`make release`: put what a release consists of into dist/."""

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from modelrollout import __version__

from local.build import find_programs
from local.golang import BuildFailed
from local.release.archive import normalise
from local.release.bill import NotInstalled, bill_of_materials, installed, licence_list
from local.release.lock import LockIncomplete, needed, normalised, operator_needs, read_lock

TOP = Path(__file__).parents[2]
NAME = "modelrollout"


def make_release(place: Path, top: Path = TOP) -> None:
    """Empty `place` and fill it: wheel, sdist, chart, bill of materials, licences, locked needs, check sums.

    The same commit gives the same bytes, wherever its work tree `top` lies.

    Raises:
        LockIncomplete, NotInstalled: the environment is not the one of requirements.lock.
        BuildFailed: there is no helm and it cannot be built.
    """
    made = _time_of_release(top)
    direct = [normalised(name) for name in operator_needs((top / "pyproject.toml").read_text("utf-8"))]
    packages = needed(read_lock((top / "requirements.lock").read_text("utf-8")), direct)
    found = installed(packages)
    helm = find_programs(["helm"])["helm"]

    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(int(made.timestamp()))}
    for target in ("wheel", "sdist"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(place)]
        subprocess.run(command, cwd=top, env=environment, check=True, stdout=subprocess.DEVNULL)
    chart = [str(helm), "package", str(top / "charts" / NAME), "--destination", str(place)]
    subprocess.run(chart, check=True, stdout=subprocess.DEVNULL)
    normalise(place / f"{NAME}-{__version__}.tgz", made)
    bill = bill_of_materials((NAME, __version__), direct, packages, found, made=made)
    (place / f"{NAME}-{__version__}.cdx.json").write_text(bill, "utf-8")
    (place / "LICENSES.txt").write_text(licence_list(packages, found), "utf-8")
    (place / "requirements.txt").write_text("".join(one.text for one in packages), "utf-8")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(place.iterdir())]
    (place / "SHA256SUMS").write_text("".join(sums), "utf-8")


def _time_of_release(top: Path) -> datetime:
    """Return SOURCE_DATE_EPOCH, else the time of the last commit, else of now."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return datetime.fromtimestamp(int(given), UTC)
    command = ["git", "-C", str(top), "log", "-1", "--format=%ct"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return datetime.fromtimestamp(int(answer.stdout), UTC) if answer.stdout.strip() else datetime.now(UTC)


def main() -> int:
    """Make the release; return the exit code."""
    place = TOP / "dist"
    try:
        make_release(place)
    except (LockIncomplete, NotInstalled, BuildFailed) as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    for file in sorted(place.iterdir()):
        print(f"{file.stat().st_size:>9}  dist/{file.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
