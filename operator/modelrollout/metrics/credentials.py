"""What a source is shown of who asks: tokens, passwords, headers and certificates, out of files that may change."""

import base64
import ssl
import threading
from pathlib import Path

from requests import PreparedRequest
from requests.auth import AuthBase

from modelrollout.core.evidence import Unknown
from modelrollout.metrics.config import BasicAuth, ClientCertificate, FromFile, SourceConfig, header_value

LARGEST_FILE = 64 * 1024


class CredentialError(Exception):
    """A file cannot be read, or holds something else. The sentence repeats nothing of what it holds."""

    reason = Unknown.REFUSED


class Credentials(AuthBase):
    """Puts what a source wants on each request, read anew: projected tokens change on disk within the hour."""

    def __init__(self, config: SourceConfig) -> None:
        self._config = config

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Raise CredentialError before anything has left where one of them cannot be read."""
        for name, value in self._config.headers.items():
            request.headers[name] = _header(name, value)
        if self._config.bearer_token_file:
            request.headers["Authorization"] = f"Bearer {_token(self._config.bearer_token_file)}"
        if self._config.basic_auth:
            request.headers["Authorization"] = f"Basic {_basic(self._config.basic_auth)}"
        return request


class Certificate:
    """A certificate of our own, and whether it is another than at the last request."""

    def __init__(self, config: ClientCertificate) -> None:
        self._config = config
        self._known: tuple[tuple[int, int, int], ...] | None = None
        self._lock = threading.Lock()
        self.files = str(config.cert_file), str(config.key_file)

    def has_changed(self) -> bool:
        """Return whether connections made before show another one.

        Raises:
            CredentialError: it is none that could be shown.
        """
        with self._lock:
            try:
                found = tuple(_mark(Path(file)) for file in self.files)
            except OSError:
                raise _mend("client certificate", "cannot be read") from None
            if found == self._known:
                return False
            _check(*self.files)
            has_changed, self._known = self._known is not None, found
            return has_changed


def _mark(file: Path) -> tuple[int, int, int]:
    stat = file.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _check(cert_file: str, key_file: str) -> None:
    try:
        # Without the empty password OpenSSL would ask for one at the terminal, and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, password=lambda: "")
    except (OSError, ValueError):
        raise _mend(
            "client certificate", "and its key are no pair in PEM, or cannot be read, or need a password"
        ) from None


def _header(name: str, value: str | FromFile) -> str:
    if isinstance(value, str):
        return value
    try:
        return header_value(_text(value.file, f"file for header {name}"))
    except ValueError:
        raise _mend(f"file for header {name}", "holds no header's value") from None


def _token(file: Path) -> str:
    token = _text(file, "bearer token file")
    if not token or not (token.isascii() and token.isprintable()) or " " in token:
        raise _mend("bearer token file", "holds no token")
    return token


def _basic(config: BasicAuth) -> str:
    user = config.username or (_text(config.username_file, "username file") if config.username_file else "")
    if not user or ":" in user or not user.isprintable():
        raise _mend("username file", "holds no username")
    password = _text(config.password_file, "password file")
    if not password or not password.isprintable():
        raise _mend("password file", "holds no password")
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _text(file: Path, what: str) -> str:
    """Return what a file holds, without the space that editors put around it."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise _mend(what, f"is larger than {LARGEST_FILE} bytes")
        return data.decode().strip()
    except (OSError, ValueError):
        raise _mend(what, "cannot be read") from None


def _mend(what: str, problem: str) -> CredentialError:
    return CredentialError(f"its {what} {problem}: the administrator has to mend it")
