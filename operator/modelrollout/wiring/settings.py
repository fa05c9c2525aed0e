"""The administrator's settings: flags, or environment variables with the prefix MODELROLLOUT_."""

import os
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from modelrollout.api.fields import parse_duration
from modelrollout.cluster import lease
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.webhooks import Host, WebhookConfig
from modelrollout.notify.config import MOST_TARGETS, AnyTarget, TargetName
from modelrollout.routing.gateway import Mirroring

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
LARGEST_FILE = 1024 * 1024
Span = Annotated[timedelta, BeforeValidator(parse_duration)]


_SOURCES = TypeAdapter(dict[str, SourceConfig])


def _host_and_port(text: str) -> str:
    _, separator, port = text.rpartition(":")
    if not (separator and port.isdecimal() and int(port) <= 65535):
        raise ValueError(f"{text!r}: write host:port, such as 127.0.0.1:8080, or :8080 for all addresses")
    return text


def _lease_duration(span: timedelta) -> timedelta:
    if span.microseconds or not lease.SHORTEST <= span <= lease.LONGEST:
        raise ValueError(
            f"{span.total_seconds():g}s: write whole seconds from {lease.SHORTEST.seconds}s to {lease.LONGEST.seconds}s;"
            " 3s lets another take over within 5 s"
        )
    return span


def _sources_in(file: Path) -> dict[str, SourceConfig]:
    if not os.path.isfile(file):  # noqa: PTH113 - pathlib's raises where a name is too long for any file
        raise ValueError(
            f"--metrics-sources-file {file} is no file: name one with the metrics sources as a JSON object"
        )
    try:
        with file.open("rb") as opened:
            return _SOURCES.validate_json(opened.read(LARGEST_FILE + 1)[:LARGEST_FILE])
    except OSError as error:
        raise ValueError(f"--metrics-sources-file {file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f".{part}" for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"--metrics-sources-file {file}: metricsSources{place}: {said}") from None


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class Settings(BaseSettings):
    """Settings of the operator. Each is a flag (--min-interval 10s) and a variable (MODELROLLOUT_MIN_INTERVAL=10s)."""

    model_config = SettingsConfigDict(
        env_prefix="MODELROLLOUT_",
        cli_parse_args=False,
        cli_prog_name="modelrollout-operator",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        extra="forbid",
    )

    namespaces: list[str] = Field([], description="Namespaces to watch, as a JSON list; all of the cluster when empty.")
    kubeconfig: Path | None = Field(None, description="Kubeconfig to use instead of the pod's own credentials.")
    metrics_sources: dict[str, SourceConfig] = Field(
        {}, description='Metrics sources by the name that rollouts use, as JSON: {"default": {"url": "http://…"}}.'
    )
    metrics_sources_file: Path | None = Field(
        None, description="File with these sources in their place, as the same JSON; read at the start."
    )
    webhooks: dict[Host, WebhookConfig] = Field(
        {},
        description='Hosts that gates of kind webhook may ask, as JSON, with their port if it is not 443: {"judge.models:8443": {}}.',
    )
    notifications: dict[TargetName, AnyTarget] = Field(
        {},
        max_length=MOST_TARGETS,
        description='Who is told of transitions, as JSON by a name of yours: {"oncall": {"type": "apprise", "urlFile": "/etc/…"}}.',
    )
    cluster_name: str = Field(
        "",
        pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$",
        description="What this cluster is called in notifications and in the source of CloudEvents.",
    )
    gateway_mirror: dict[str, Mirroring] = Field(
        {},
        description="What gateways of a controllerName can mirror, as JSON; outranks what is known of them, and takes away from what their class says.",
    )
    raw_queries: bool = Field(
        default=False,
        description="Whether gates may send PromQL of their own (kind value) to every source: it can read all series there.",
    )
    require_gate_classes: bool = Field(
        default=True,
        description="Whether risk high demands at least one gate of each class: infrastructure, model and business.",
    )
    min_interval: Span = Field(timedelta(seconds=10), description="Shortest spec.analysis.interval that is accepted.")
    status_refresh: Span = Field(
        timedelta(hours=1),
        description="Age at which a gate's numbers in status are renewed though no verdict changed and no count grew much.",
    )
    workers: int = Field(32, ge=1, le=256, description="Passes that may be under way at once, rollbacks aside.")
    listen: Annotated[str, AfterValidator(_host_and_port)] = Field(
        "127.0.0.1:8080", description="Address of /healthz, /readyz and /metrics."
    )
    freeze: str = Field(
        "", description="Reason for which no weight grows anywhere; rolling back goes on. No freeze when empty."
    )
    freeze_config_map: str = Field(
        "",
        pattern=r"^([a-z0-9][-a-z0-9]*/)?([a-z0-9][-a-z0-9.]*)?$",
        description="ConfigMap that freezes while it exists: its data may hold a reason, and until when (RFC 3339). In the pod's own namespace, or namespace/name; looked at every 5 s.",
    )
    log_format: LogFormat = Field(LogFormat.AUTO, description="json, text, or auto: text on a terminal.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    identity: str = Field("", description="Name of this process in events; the host's when empty.")
    leader_election: bool = Field(
        default=False,
        description="Whether several of these run, of which one works at a time: the one that holds the Lease.",
    )
    lease_name: str = Field("modelrollout-operator", min_length=1, description="Name of that Lease.")
    lease_namespace: str = Field("", description="Its namespace; the pod's own when empty.")
    lease_duration: Annotated[Span, AfterValidator(_lease_duration)] = Field(
        timedelta(seconds=3),
        description="How long another waits after the last renewal before it takes over; renewed every quarter of it, and nothing is written two thirds after the last.",
    )

    admission_policy: str = Field(
        "",
        description="Name of the ValidatingAdmissionPolicy, and of its binding, that keep messages in status.control to their writers' names; no name counts as verified while it does not stand, or when empty.",
    )

    @model_validator(mode="after")
    def _sources_have_one_place(self) -> Self:
        if self.metrics_sources_file is not None:
            if self.metrics_sources:
                raise ValueError("give --metrics-sources or --metrics-sources-file, one of them")
            self.metrics_sources = _sources_in(self.metrics_sources_file)
        return self

    @property
    def freeze_place(self) -> tuple[str, str] | None:
        """Namespace and name of the ConfigMap that freezes, `None` where there is none to look for."""
        namespace, _, name = self.freeze_config_map.rpartition("/")
        return (namespace or OWN_NAMESPACE.read_text("utf-8").strip(), name) if name else None

    @model_validator(mode="after")
    def _freeze_has_a_namespace(self) -> Self:
        if self.freeze_config_map and "/" not in self.freeze_config_map and not OWN_NAMESPACE.exists():
            raise ValueError("outside of a pod --freeze-config-map needs namespace/name")
        return self

    @model_validator(mode="after")
    def _lease_has_a_namespace(self) -> Self:
        if self.leader_election and not (self.lease_namespace or OWN_NAMESPACE.exists()):
            raise ValueError("outside of a pod --leader-election needs --lease-namespace")
        return self


def explain(error: ValidationError | SettingsError) -> str:
    """Return which flag is wrong and what to write instead."""
    if not isinstance(error, ValidationError):
        return str(error)
    said = []
    for item in error.errors():
        flag = ".".join(str(part) for part in item["loc"]).replace("_", "-")
        sentence = item["msg"].removeprefix("Value error, ")
        said.append(f"--{flag}: {sentence}" if flag else sentence)
    return "; ".join(said)
