"""The command line as a whole: its help, its exit codes, what it says where something is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from modelrollout.cli import main as entry
from modelrollout.cli.commands import COMMANDS, modelrollout
from modelrollout.cli.completion import complete_for_kubectl

from tests.cli.stage import call, said_by

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "operator")}


def test_the_help_lists_every_command_and_imports_none_of_them():
    program = (
        "import sys; from modelrollout.cli.commands import modelrollout\n"
        "try: modelrollout.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded', *sorted(m for m in sys.modules if m in {'kubernetes', 'modelrollout.cli.get', 'aiohttp'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT)

    assert all(re.search(rf"^  {name} ", done.stdout, re.MULTILINE) for name in COMMANDS)
    assert done.stdout.endswith("loaded\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_has_a_help_and_names_the_plain_kubectl_way(name: str):
    said = said_by(call(name, "--help"))

    command = modelrollout.get_command(None, name)  # type: ignore[arg-type]  # it is not looked at
    assert command
    assert len(command.get_short_help_str(200)) > 20
    assert "kubectl" in said


@pytest.mark.parametrize("arguments", [["nonsense"], ["get", "--nonsense"], ["get", "-o", "xml"]])
def test_a_wrong_command_line_has_a_code_of_its_own(arguments: list[str]):
    result = call(*arguments)

    said_by(result, 64)
    assert "Usage:" in result.stderr


def test_without_its_packages_it_names_the_extra_that_brings_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(entry, "NEEDED", ("click", "no_such_package"))

    assert entry.main() == 3
    assert entry.complete() == 3
    assert capsys.readouterr().err.count("no_such_package is not installed: pip install 'modelrollout[cli]'") == 2


def test_as_a_plugin_it_calls_itself_what_people_type():
    program = (
        "import sys; sys.argv = ['/usr/bin/kubectl-modelrollout', '-h']; import modelrollout.cli.main as m; m.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT)

    assert done.stdout.startswith("Usage: kubectl modelrollout ")


def test_kubectl_is_told_what_may_come_next(capsys: pytest.CaptureFixture[str]):
    assert complete_for_kubectl(["ge"]) == 0
    assert complete_for_kubectl(["get", "-o", "w"]) == 0

    assert capsys.readouterr().out == f"get\t{COMMANDS['get'].summary}\n:4\nwide\n:4\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str):
    assert "_MODELROLLOUT_COMPLETE" in said_by(call("completion", shell))


def test_an_end_of_the_reader_is_no_traceback():
    program = f"{sys.executable} -m modelrollout.cli.main --help | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False, env=ENVIRONMENT)

    assert done.stdout == "U"
    assert done.stderr == ""
