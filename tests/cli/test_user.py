"""Which cluster a command means, and what is said where there is none, or it says no."""

from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.cli.stage import call, said_by


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


class Server:
    """An API server that answers every request with one code and body, and notes what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        noted = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                noted.asked.append(path)
                code, body = noted.answers.get(path, (404, '{"message": "the server could not find it"}'))
                self.send_response(HTTPStatus(code))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def kubeconfig(path: Path, *, contexts: dict[str, tuple[str, str | None]], current: str) -> Path:
    """Write a kubeconfig of contexts that each name an address and a namespace."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": url}} for name, (url, _) in contexts.items()],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "me", **({"namespace": space} if space else {})}}
            for name, (_, space) in contexts.items()
        ],
    }
    path.write_text(yaml.safe_dump(content))
    return path


ROLLOUTS = "/apis/modelrollout.dev/v1alpha1"
EMPTY = (200, '{"items": [], "metadata": {"resourceVersion": "1"}}')


def test_without_any_cluster_it_says_how_to_name_one():
    result = call("get")

    said_by(result, 3)
    assert "no cluster is known" in result.stderr
    assert "--kubeconfig" in result.stderr


@pytest.mark.parametrize("content", ["", "nonsense", "[1]", "a: [", "current-context: x"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str):
    file = tmp_path / "config"
    file.write_text(content)

    result = call("get", "--kubeconfig", file)

    said_by(result, 3)
    assert f"{file} names no cluster that can be used" in result.stderr


def test_the_context_and_its_namespace_are_the_kubeconfigs_own_unless_others_are_named(tmp_path: Path, server: Server):
    file = kubeconfig(tmp_path / "config", contexts={"a": (server.url, "one"), "b": (server.url, None)}, current="a")
    for namespace in ("one", "default", "two"):
        server.answers[f"{ROLLOUTS}/namespaces/{namespace}/modelrollouts"] = EMPTY
    server.answers[f"{ROLLOUTS}/modelrollouts"] = EMPTY

    said_by(call("get", env={"KUBECONFIG": str(file)}))
    said_by(call("get", "--context", "b", "--kubeconfig", file))
    said_by(call("-n", "two", "--kubeconfig", file, "get"))
    said_by(call("get", "-A", "--kubeconfig", file))

    assert server.asked == [
        f"{ROLLOUTS}/namespaces/one/modelrollouts",
        f"{ROLLOUTS}/namespaces/default/modelrollouts",
        f"{ROLLOUTS}/namespaces/two/modelrollouts",
        f"{ROLLOUTS}/modelrollouts",
    ]


def test_several_kubeconfigs_are_joined_as_kubectl_joins_them(tmp_path: Path, server: Server):
    one = kubeconfig(tmp_path / "one", contexts={"a": ("http://127.0.0.1:1", None)}, current="a")
    two = kubeconfig(tmp_path / "two", contexts={"b": (server.url, "models")}, current="b")
    server.answers[f"{ROLLOUTS}/namespaces/models/modelrollouts"] = EMPTY

    said_by(call("get", "--context", "b", env={"KUBECONFIG": f"{one}:{tmp_path / 'none'}:{two}"}))

    assert len(server.asked) == 1


def test_a_context_that_is_not_there_is_named(tmp_path: Path):
    file = kubeconfig(tmp_path / "config", contexts={"a": ("http://127.0.0.1:1", None)}, current="a")

    result = call("get", "--context", "prod", "--kubeconfig", file)

    said_by(result, 3)
    assert "context 'prod'" in result.stderr
    assert "get-contexts" in result.stderr


def test_a_server_that_is_not_there_is_said_with_what_to_try(tmp_path: Path):
    file = kubeconfig(tmp_path / "config", contexts={"a": ("http://127.0.0.1:1", None)}, current="a")

    result = call("get", "--kubeconfig", file)

    said_by(result, 3)
    assert "cannot be reached" in result.stderr
    assert "kubectl cluster-info" in result.stderr


FORBIDDEN = (403, '{"message": "modelrollouts is forbidden: User \\"me\\" cannot list resource \\"modelrollouts\\""}')


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        pytest.param({"list": FORBIDDEN}, "you may not list modelrollouts: ask the administrator", id="forbidden"),
        pytest.param({"list": (401, '{"message": "Unauthorized"}')}, "log in again", id="who are you"),
        pytest.param({"kinds": (200, '{"resources": []}')}, "install the operator's chart", id="no CRD"),
        pytest.param(
            {"kinds": (200, '{"resources": [{"name": "modelrollouts"}]}')}, "lists all there are", id="not there"
        ),
        pytest.param({"list": (200, "<html>")}, "is there something else at its address?", id="no API server"),
        pytest.param({"list": (500, "{}")}, "500", id="broken"),
    ],
)
def test_a_refusal_is_a_sentence_with_its_remedy(
    tmp_path: Path, server: Server, answers: dict[str, tuple[int, str]], sentence: str
):
    file = kubeconfig(tmp_path / "config", contexts={"a": (server.url, None)}, current="a")
    paths = {"list": f"{ROLLOUTS}/namespaces/default/modelrollouts", "kinds": ROLLOUTS}
    server.answers = {paths[what]: answer for what, answer in answers.items()}

    result = call("get", "--kubeconfig", file)

    said_by(result, 3)
    assert sentence in result.stderr
    assert "Traceback" not in result.output
