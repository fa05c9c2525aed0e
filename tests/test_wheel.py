"""What the wheel holds, and that nothing shadows the standard library."""

import subprocess
import sys
import zipfile
from pathlib import Path

TOP = Path(__file__).parents[1]


def test_the_wheel_holds_the_operator_and_nothing_else(tmp_path: Path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")

    names = zipfile.ZipFile(wheel).namelist()

    assert "modelrollout/__main__.py" in names
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"modelrollout"}


def test_the_source_root_does_not_shadow_the_standard_librarys_operator():
    assert not (TOP / "operator" / "__init__.py").exists()


def test_the_lock_file_holds_hashes_and_no_index_address():
    lock = (TOP / "requirements.lock").read_text()

    assert "--hash=sha256:" in lock
    assert "://" not in lock
    assert "--index-url" not in lock
