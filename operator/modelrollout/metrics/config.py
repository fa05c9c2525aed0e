"""What the administrator says of a metrics source. Its address never stands in a user's object."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelrollout.api.fields import Duration


def _base_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write the source's base address, such as http://prometheus.monitoring:9090")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address carries no credentials: give bearerTokenFile")
    if parts.query or parts.fragment:
        raise ValueError("an address ends with its path: no '?', no '#'")
    return url.rstrip("/")


class SourceConfig(BaseModel):
    """One Prometheus, or what speaks its query API: Thanos, Mimir, VictoriaMetrics."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    url: Annotated[str, AfterValidator(_base_address)] = Field(
        description="Base address; /api/v1/query comes after it. No redirect is followed, no proxy variable read."
    )
    bearer_token_file: Path | None = Field(None, description="File with a bearer token, read anew for each query.")
    ca_file: Path | None = Field(None, description="CA certificates for its TLS; the usual ones when left out.")
    timeout: Duration = Field(
        timedelta(seconds=5), description="Time for all queries of one gate together; 5s when left out."
    )
    namespace_label: str | None = Field(
        None,
        pattern="^[a-zA-Z_][a-zA-Z0-9_]*$",
        description="Label that holds a series' namespace: custom metrics are then read from the rollout's own only.",
    )
    raw_queries: bool = Field(
        default=False, description="Whether value gates may send PromQL of their own: it can read all series here."
    )
    concurrency: int = Field(16, ge=1, le=64, description="Queries at the same time; each has a thread of its own.")
