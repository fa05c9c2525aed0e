"""A real Prometheus that lets in only who shows what it wants: a password, or a certificate."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.build import find_programs
from local.cluster import LocalCluster
from local.process import wait_until

PASSWORD = "correct horse"
HASH = "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"
"""bcrypt of it, of least cost."""


@contextmanager
def guarded(cluster: LocalCluster, place: Path, web: dict[str, Any]) -> Iterator[str]:
    """Have a Prometheus with this web configuration run; give host and port."""
    (place / "prometheus.yaml").write_text("{}")
    (place / "web.yaml").write_text(yaml.safe_dump(web))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = cluster.spawn(f"guarded-{address.rpartition(':')[2]}", [
        find_programs(["prometheus"])["prometheus"], f"--config.file={place / 'prometheus.yaml'}",
        f"--storage.tsdb.path={place / 'tsdb'}", f"--web.listen-address={address}",
        f"--web.config.file={place / 'web.yaml'}", "--log.level=info",
    ])  # fmt: skip
    try:
        # It listens before it answers, and /-/ready is behind the same door as everything else.
        wait_until(lambda: "Server is ready" in process.log.read_text(), "it says that it is ready", process=process)
        yield address
    finally:
        process.stop()


class Authority:
    """A certificate authority of the test's own, and what it has issued, by openssl."""

    def __init__(self, place: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("certificates need openssl")
        self.place = place
        place.mkdir()
        self.ca = place / "ca.crt"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=ca",
            "-keyout", "ca.key", "-out", "ca.crt",
        )  # fmt: skip

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of a server at 127.0.0.1 or a client called so."""
        (self.place / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr",
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )  # fmt: skip
        return self.place / f"{name}.crt", self.place / f"{name}.key"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.place, check=True, capture_output=True)
