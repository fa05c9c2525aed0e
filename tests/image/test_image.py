"""The image that `make image` built: what is in it, and that the operator lives in it as it would in a pod."""

import os
import signal
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from modelrollout import __version__

from local.cluster import LocalCluster
from local.process import wait_until
from local.release.image import IMAGE
from local.release.lock import needed, operator_needs, read_lock
from tests.image.container import Image, first_process, in_container, mounted, why_not
from tests.support.chart import TOP, install_rbac, render

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")

ADDRESS = "127.0.0.1:18081"
INSTALLED = "import importlib.metadata as m; print(*sorted({d.name for d in m.distributions()}), sep='\\n')"
TRY_TO_WRITE = """
import pathlib
for place in ("/", "/opt/modelrollout", "/usr", "/tmp"):
    try:
        pathlib.Path(place, "new").touch()
    except OSError as error:
        print(place, type(error).__name__)
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with mounted(IMAGE) as found:
        yield found


def test_it_says_its_version(image: Image):
    assert image.run(*image.config["Entrypoint"], "--version") == f"modelrollout {__version__}\n"


def test_it_runs_as_a_number_that_is_not_root(image: Image):
    assert image.config["User"] == "65532:65532"
    assert image.run(*in_container("import os; print(os.getpid(), os.getuid(), os.getgid())")) == "1 65532 65532\n"


def test_it_holds_what_the_operator_needs_and_nothing_to_install_more(image: Image):
    lock = read_lock((TOP / "requirements.lock").read_text("utf-8"))
    wanted = {one.name for one in needed(lock, operator_needs((TOP / "pyproject.toml").read_text("utf-8")))}

    installed = image.run(*in_container(INSTALLED)).lower().replace("_", "-").split()

    assert set(installed) == {*wanted, "modelrollout"}


def test_nothing_is_writable_but_tmp(image: Image):
    refused = {line.split()[0] for line in image.run(*in_container(TRY_TO_WRITE)).splitlines()}

    assert refused == {"/", "/opt/modelrollout", "/usr"}


@pytest.mark.cluster
def test_the_operator_lives_in_it_as_in_a_pod_and_leaves_when_it_is_told(
    cluster: LocalCluster, namespace: str, image: Image, tmp_path: Path
):
    account = install_rbac(cluster, namespace, values={"namespaces": [namespace]})
    (tmp_path / "token").write_text(cluster.token(*account))
    (tmp_path / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    (tmp_path / "namespace").write_text(namespace)
    objects = render(cluster, {"namespaces": [namespace]}, namespace)
    (pod,) = (one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment")
    (container,) = pod["containers"]
    host, port = cluster.server.removeprefix("https://").split(":")
    environment = {one["name"]: one["value"] for one in container["env"]} | {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "MODELROLLOUT_LISTEN": ADDRESS,
    }

    command = image.command(*container["command"], environment=environment, credentials=tmp_path)
    operator = cluster.spawn("operator-in-image", command)
    try:
        wait_until(is_ready, "the operator in the image to be ready", process=operator, within=timedelta(seconds=30))
        os.kill(first_process(operator.pid), signal.SIGTERM)
        code = operator.wait_stopped(timedelta(seconds=10))
    finally:
        operator.kill()

    assert code == 0, operator.describe("did not end well")


def is_ready() -> bool:
    with urllib.request.urlopen(f"http://{ADDRESS}/readyz", timeout=2) as answer:
        return bool(answer.status == 200)
