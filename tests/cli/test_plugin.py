"""What the wheel installs, as kubectl itself finds and calls it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local.build import find_programs
from local.cluster import LocalCluster
from tests.cli.stage import OnCall, canary_status, on_call

pytestmark = pytest.mark.cluster

TOP = Path(__file__).parents[2]


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    return on_call(cluster, namespace)


@pytest.fixture
def environment(tmp_path: Path, alice: OnCall) -> dict[str, str]:
    """A PATH with the scripts that pip would make of pyproject.toml, and a kubeconfig."""
    scripts = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    for name in ("kubectl-modelrollout", "kubectl_complete-modelrollout"):
        module, _, function = scripts[name].partition(":")
        program = f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(TOP / "operator"),
        "KUBECONFIG": str(alice.kubeconfig),
        "HOME": str(tmp_path),
    }


def kubectl(environment: dict[str, str], *arguments: str) -> str:
    command = [str(find_programs(["kubectl"])["kubectl"]), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_kubectl_calls_it_as_a_command_of_its_own(alice: OnCall, environment: dict[str, str]):
    alice.create("fraud", canary_status())

    said = kubectl(environment, "modelrollout", "get", "-n", alice.namespace)

    assert "fraud" in said
    assert "canary 2/4" in said


def test_kubectl_completes_its_commands_and_options(environment: dict[str, str]):
    said = kubectl(environment, "__complete", "modelrollout", "roll")
    options = kubectl(environment, "__complete", "modelrollout", "get", "--out")

    assert said.splitlines()[0].startswith("rollback\t")
    assert options.splitlines()[0].startswith("--output\t")
