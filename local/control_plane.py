"""etcd, kube-apiserver and, if asked for, kube-controller-manager."""

import base64
import json
import secrets
import socket
from pathlib import Path

from local.api import Api, ApiRefused
from local.namespace import PREFIX
from local.process import Process, Processes, wait_until

_ETCD = "http://127.0.0.1:2379"
_ADDRESS = f"{PREFIX}.0.1"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class ControlPlane:
    """A Kubernetes API with nothing behind it: no nodes, no scheduler, no pods."""

    server = f"https://{_ADDRESS}:6443"

    def __init__(self, processes: Processes, data: Path) -> None:
        self._processes = processes
        self._data = data
        self._token = secrets.token_urlsafe(24)
        self._certificates = data / "certificates"
        # kube-apiserver makes a certificate authority and a certificate for itself, and writes both here.
        self.ca_file = self._certificates / "apiserver.crt"
        self.kubeconfig = data / "admin.kubeconfig"
        self._apiserver: Process | None = None

    def start(self, programs: dict[str, Path]) -> None:
        """Start etcd and kube-apiserver; `wait` says when they answer."""
        self._certificates.mkdir()
        key = _write_private(self._certificates / "service-accounts.key", _new_signing_key())
        tokens = _write_private(self._certificates / "tokens.csv", f'{self._token},admin,admin,"system:masters"\n')
        etcd = self._processes.spawn("etcd", [
            programs["etcd"], f"--data-dir={self._data / 'etcd'}", f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}", "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync", "--log-level=warn",
        ])  # fmt: skip
        wait_until(lambda: _is_listening("127.0.0.1", 2379), "etcd takes connections", process=etcd)
        self._apiserver = self._processes.spawn("kube-apiserver", [
            programs["kube-apiserver"], f"--etcd-servers={_ETCD}", "--secure-port=6443",
            f"--advertise-address={_ADDRESS}", f"--cert-dir={self._certificates}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--authorization-mode=RBAC", f"--token-auth-file={tokens}",
            "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true", "--profiling=false",
        ])  # fmt: skip

    def wait(self) -> Api:
        """Return the administrator's access, once the API server says that it is ready."""
        wait_until(self.ca_file.exists, "kube-apiserver wrote its certificate", process=self._apiserver)
        api = Api(self.server, self.ca_file, self._token)
        wait_until(lambda: _answers(api, "/readyz"), "kube-apiserver is ready", process=self._apiserver)
        self.write_kubeconfig(self.kubeconfig, self._token)
        return api

    def start_controller_manager(self, program: Path, api: Api) -> None:
        """Start kube-controller-manager, for garbage collection and the deletion of namespaces."""
        process = self._processes.spawn("kube-controller-manager", [
            program, f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--use-service-account-credentials",
            f"--service-account-private-key-file={self._certificates / 'service-accounts.key'}",
            f"--cert-dir={self._certificates}",
        ])  # fmt: skip
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait_until(lambda: _answers(api, account), "kube-controller-manager works", process=process)

    def write_kubeconfig(self, path: Path, token: str) -> None:
        """Write a kubeconfig for the bearer of `token`, certificate authority included."""
        authority = base64.b64encode(self.ca_file.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "local", "cluster": {"server": self.server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "local", "user": {"token": token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
            "current-context": "local",
        }
        _write_private(path, json.dumps(config, indent=1))


def _is_listening(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=1):
        return True


def _answers(api: Api, path: str) -> bool:
    try:
        api.call("GET", path)
    except ApiRefused:
        return False
    return True


def _new_signing_key() -> str:
    """Return a fresh P-256 private key as PEM, for service account tokens.

    Written out by hand (RFC 5915, the public half left out) because the standard library has no keys, and one key is
    no reason for a cryptography package.
    """
    number = 1 + secrets.randbelow(_P256_ORDER - 1)
    curve = bytes.fromhex("a00a06082a8648ce3d030107")
    content = b"\x02\x01\x01\x04\x20" + number.to_bytes(32, "big") + curve
    body = base64.encodebytes(b"\x30" + bytes([len(content)]) + content).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"


def _write_private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path
