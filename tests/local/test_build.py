"""Programs are built once, found where the user has them, and missed with a sentence that helps."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local import build, targets
from local.build import find_definitions, find_programs
from local.golang import BuildFailed, Go, find_go
from local.paths import TOOLS, cache_directory
from local.python_tool import PRESET_SERVERS, PYTHON_TOOLS, find_python_tool
from local.targets import Definitions, Target

HELLO = 'package main\n\nimport _ "embed"\n\nvar word = "nothing"\n\nfunc main() { print(word) }\n'


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return what writes the sources of a program `hello`, the one target, and returns its directory."""
    if not has_go():
        pytest.skip("there is no Go on the PATH, and a unit test fetches none")
    monkeypatch.setenv("MODELROLLOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "TOOLS", tmp_path / "tools")
    target = Target("hello", {"hello": "example.test/hello"}, variables={"main.word": "hello"})
    monkeypatch.setattr(build, "TARGETS", {"hello": target})

    def write(source: str, module: str = "module example.test/hello\n\ngo 1.26.0\n") -> Path:
        sources = tmp_path / "tools/hello"
        sources.mkdir(parents=True, exist_ok=True)
        (sources / "go.mod").write_text(module)
        (sources / "go.sum").touch()
        (sources / "main.go").write_text(source)
        return sources

    return write


def has_go() -> bool:
    try:
        return "/cache/" not in str(find_go().command)
    except BuildFailed:
        return False


def program(directory: Path, name: str, prints: str) -> Path:
    path = directory / name
    directory.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)
    return path


def test_a_program_is_built_once_with_its_settings(hello: Callable[[str], Path]) -> None:
    hello(HELLO)

    built = find_programs(["hello"])["hello"]
    first = built.stat()
    again = find_programs(["hello"])["hello"].stat()

    assert subprocess.run([built], capture_output=True, text=True, check=True).stderr == "hello"
    assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)


def test_another_pin_is_another_place_in_the_cache(hello: Callable[..., Path]) -> None:
    hello(HELLO)
    before = find_programs(["hello"])["hello"]

    hello(HELLO, module="module example.test/hello\n\ngo 1.26.0\n\n// another pin\n")
    after = find_programs(["hello"])["hello"]

    assert before != after
    assert before.exists()


def test_a_failed_build_shows_what_the_compiler_said_and_leaves_nothing(hello: Callable[[str], Path]) -> None:
    hello(HELLO.replace("print(word)", "print(wort)"))

    with pytest.raises(BuildFailed, match="undefined: wort"):
        find_programs(["hello"])

    cache = cache_directory() / "bin"
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_the_control_plane_of_envtest_is_taken_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("etcd", "kube-apiserver", "kubectl")
    brought = {name: program(tmp_path, name, "mine") for name in names}
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    assert find_programs(names) == brought


@pytest.mark.parametrize(("version", "is_taken"), [("3.7.1", True), ("2.53.0", False)])
def test_a_prometheus_on_the_path_is_taken_if_it_is_a_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, is_taken: bool
) -> None:
    mine = program(tmp_path / "bin", "prometheus", f"prometheus, version {version} (branch: main)")
    other = tmp_path / "built"
    monkeypatch.setenv("PATH", str(mine.parent), prepend=":")
    monkeypatch.setattr(build, "_build", lambda _target, names: dict.fromkeys(names, other))

    assert find_programs(["prometheus"]) == {"prometheus": mine if is_taken else other}


def test_definitions_of_another_checksum_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELROLLOUT_CACHE", str(tmp_path))
    go = program(tmp_path, "go", '{"Sum": "h1:tampered", "Dir": "/nowhere"}')
    monkeypatch.setattr(build, "find_go", lambda: Go(go, "go version go1.26.0 test/test"))

    with pytest.raises(BuildFailed, match="has checksum h1:tampered, pinned is h1:right"):
        find_definitions(Definitions("some", "example.test/some@v1.0.0", "h1:right", "*.yaml"))


def test_without_go_and_without_a_way_to_install_it_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = program(tmp_path / "bin", "go", "go version go1.19.8 linux/amd64")
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    monkeypatch.setenv("MODELROLLOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "bin", "python", "no ensurepip; exit 1'; exit 1 #")))

    with pytest.raises(BuildFailed, match=r"(?s)Go 1\.26\.7 is needed and could not be installed.*go\.dev/dl"):
        find_go()


def test_every_target_pins_its_sources() -> None:
    for target in targets.TARGETS.values():
        for name in ("go.mod", "go.sum"):
            assert (TOOLS / (target.folder or target.name) / name).stat().st_size > 0
    module = (TOOLS / "kube/go.mod").read_text()
    version = next(value for name, value in targets.TARGETS["kube"].variables.items() if name.endswith("gitVersion"))
    assert f"k8s.io/kubernetes {version}\n" in module.replace(" // indirect", "")


def test_every_tool_in_python_is_locked_by_hashes_and_names_no_index() -> None:
    for name in (*PYTHON_TOOLS, *(f"presets/{server}" for server in PRESET_SERVERS)):
        lock = (TOOLS / name / "requirements.lock").read_text("utf-8")
        packages = re.findall(r"^\S+==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
        assert len(packages) > 1
        assert all("--hash=sha256:" in package for package in packages)
        assert "://" not in lock


def test_a_tool_in_python_that_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELROLLOUT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", str(program(tmp_path, "python", "no ensurepip'; exit 1 #")))

    with pytest.raises(BuildFailed, match=r"(?s)checkov could not be installed: .*no ensurepip"):
        find_python_tool("checkov")

    assert not list((tmp_path / "cache").glob("python/*/whole"))


def test_the_command_names_the_targets_it_knows() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "local.build", "nothing"], capture_output=True, text=True, check=False
    )

    assert answer.returncode == 2
    assert "choose from" in answer.stderr
    assert all(name in answer.stderr for name in (*targets.TARGETS, *PYTHON_TOOLS))
