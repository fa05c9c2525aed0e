"""What the administrator says of a metrics source. Its address never stands in a user's object."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic.alias_generators import to_camel

from modelrollout.api.fields import Duration

MOST_HEADERS = 20
LONGEST_HEADER = 4096

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_ANSWERED_ELSEWHERE = {
    "authorization": "give bearerTokenFile or basicAuth",
    "proxy-authorization": "no proxy is used",
    "cookie": "no session is kept: give bearerTokenFile, basicAuth or clientCertificate",
    "host": "it is the address's own: write it in url",
    "accept-encoding": "a packed answer could outgrow what is read",
}
_OF_THE_CONNECTION = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "expect", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


def _base_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write the source's base address, such as http://prometheus.monitoring:9090")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address carries no credentials: give bearerTokenFile or basicAuth")
    if parts.query or parts.fragment:
        raise ValueError("an address ends with its path: no '?', no '#'")
    return url.rstrip("/")


def header_value(text: str) -> str:
    """Return a header's value, which is printable ASCII.

    Raises:
        ValueError: it is not, or empty, or too long. The sentence does not repeat it.
    """
    if not text or len(text) > LONGEST_HEADER or not (text.isascii() and text.isprintable()) or text != text.strip():
        raise ValueError(f"a header's value is 1 to {LONGEST_HEADER} printable ASCII characters, without space around")
    return text


def _header_name(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name[:64]!r} is no header's name: write letters, digits and '-', such as X-Scope-OrgID")
    if remedy := _ANSWERED_ELSEWHERE.get(name.lower()):
        raise ValueError(f"header {name} is not for you to set: {remedy}")
    if name.lower() in _OF_THE_CONNECTION:
        raise ValueError(f"header {name} belongs to the connection: leave it out")
    return name


class _Part(BaseModel):
    """Says nothing of what it was given when it is refused: that may be a secret in the wrong place."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid", hide_input_in_errors=True
    )


class BasicAuth(_Part):
    """A user and a password."""

    username: str | None = Field(None, min_length=1, max_length=256, description="The user; or usernameFile.")
    username_file: Path | None = Field(None, description="File with the user.")
    password_file: Path = Field(description="File with the password.")

    @model_validator(mode="after")
    def _has_one_user(self) -> Self:
        if (self.username is None) == (self.username_file is None):
            raise ValueError("give username or usernameFile, one of them")
        if self.username is not None and (":" in self.username or not self.username.isprintable()):
            raise ValueError("a username has no ':' and no control characters")
        return self


class ClientCertificate(_Part):
    """What the operator shows of itself in TLS."""

    cert_file: Path = Field(description="Certificate in PEM, with what leads to its CA.")
    key_file: Path = Field(description="Its key in PEM, without a password.")


class FromFile(_Part):
    """Where a header's value is found."""

    file: Path = Field(description="File with the value.")


def _header(given: object) -> str | FromFile:
    match given:
        case str():
            return header_value(given)
        case FromFile():
            return given
        case dict():
            return FromFile.model_validate(given)
        case _:
            raise ValueError('a header is a text, or {"file": …} for one out of a file')


class SourceConfig(_Part):
    """One Prometheus, or what speaks its query API: Thanos, Mimir, VictoriaMetrics."""

    url: Annotated[str, AfterValidator(_base_address)] = Field(
        description="Base address; /api/v1/query comes after it. No redirect is followed, no proxy variable read."
    )
    bearer_token_file: Path | None = Field(None, description="File with a bearer token, read anew for each query.")
    basic_auth: BasicAuth | None = Field(
        None,
        description="User and password: passwordFile, and username or usernameFile; files are read anew for each query. Not beside bearerTokenFile.",
    )
    ca_file: Path | None = Field(None, description="CA certificates for its TLS; the usual ones when left out.")
    client_certificate: ClientCertificate | None = Field(
        None,
        description="certFile and keyFile (PEM), shown to a source that asks for them; read anew when they change. Needs https.",
    )
    headers: dict[Annotated[str, AfterValidator(_header_name)], Annotated[str | FromFile, PlainValidator(_header)]] = (
        Field(
            {},
            max_length=MOST_HEADERS,
            description='Further headers: a value, such as {"X-Scope-OrgID": "team-a"}, or {"file": …} read anew for each query. Not those of credentials, host or connection.',
        )
    )
    timeout: Duration = Field(
        timedelta(seconds=5), description="Time for all queries of one gate together; 5s when left out."
    )
    namespace_label: str | None = Field(
        None,
        pattern="^[a-zA-Z_][a-zA-Z0-9_]*$",
        description="Label that holds a series' namespace: custom metrics are then read from the rollout's own only.",
    )
    enforce_namespace: bool = Field(
        default=False,
        description="Whether every query, a value gate's own too, is kept to series whose namespaceLabel (`namespace` when left out) is the rollout's namespace, and refused if that cannot be proven.",
    )
    raw_queries: bool = Field(
        default=False,
        description="Whether value gates may send PromQL of their own: it can read all series here, unless enforceNamespace is set.",
    )
    concurrency: int = Field(16, ge=1, le=64, description="Queries at the same time; each has a thread of its own.")

    @model_validator(mode="before")
    @classmethod
    def _enforces_a_label(cls, given: Any) -> Any:  # noqa: ANN401 - whatever was given
        enforced = isinstance(given, dict) and (given.get("enforceNamespace") or given.get("enforce_namespace"))
        if enforced and not (given.get("namespaceLabel") or given.get("namespace_label")):
            rest = {name: value for name, value in given.items() if name not in {"namespaceLabel", "namespace_label"}}
            return {**rest, "namespace_label": "namespace"}
        return given

    @model_validator(mode="after")
    def _has_one_identity(self) -> Self:
        if self.bearer_token_file and self.basic_auth:
            raise ValueError("bearerTokenFile and basicAuth are both the header Authorization: give one of them")
        if self.client_certificate and not self.url.startswith("https:"):
            raise ValueError("clientCertificate needs TLS: write an https address")
        names = [name.lower() for name in self.headers]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"header {twice} is given twice: header names do not differ by case")
        return self
