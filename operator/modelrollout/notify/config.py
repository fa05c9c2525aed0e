"""What the administrator says of those who are told. An address may be a secret itself, so it may stand in a file."""

import importlib.util
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel

from modelrollout.api.fields import Duration, render_duration
from modelrollout.core.notices import Level, Transition
from modelrollout.notify.templates import TEXT, TITLE, checked_template

TargetName = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
MOST_TARGETS = 20
LONGEST_TIMEOUT = timedelta(seconds=60)
LONGEST_PATIENCE = timedelta(hours=24)


def _timeout(span: timedelta) -> timedelta:
    if not timedelta(0) < span <= LONGEST_TIMEOUT:
        raise ValueError(f"write a timeout above 0 and up to {render_duration(LONGEST_TIMEOUT)}, such as 10s")
    return span


def _patience(span: timedelta) -> timedelta:
    if not timedelta(0) < span <= LONGEST_PATIENCE:
        raise ValueError(f"write a time above 0 and up to {render_duration(LONGEST_PATIENCE)}, such as 15m")
    return span


Template = Annotated[str, AfterValidator(checked_template)]


class Target(BaseModel):
    """One that is told, and of what."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    url: SecretStr | None = Field(None, description="Its address; this, or urlFile.")
    url_file: Path | None = Field(
        None, description="File with its address, for addresses that are secrets; read anew for each message."
    )
    namespaces: list[str] = Field(
        [], description="Namespaces of the rollouts that it is told of, `*` and `?` as in file names; all when empty."
    )
    owners: list[str] = Field([], description="Teams (`spec.owner.team`) that it is told of; all when empty.")
    severity: Level = Field(Level.INFO, description="Least severity: info, warning or critical.")
    transitions: list[Transition] = Field([], description="Transitions that it is told of; all when empty.")
    timeout: Annotated[Duration, AfterValidator(_timeout)] = Field(
        timedelta(seconds=10), description="Time for one try; 10s when left out, 1m at most."
    )
    give_up_after: Annotated[Duration, AfterValidator(_patience)] = Field(
        timedelta(minutes=15), description="Age of a message after which it is not tried again; 15m when left out."
    )

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give one of url and urlFile: url where the address is no secret")
        return self


class _HttpTarget(Target):
    """One that takes a POST."""

    bearer_token_file: Path | None = Field(None, description="File with a bearer token, read anew for each message.")
    ca_file: Path | None = Field(None, description="CA certificates for its TLS; the usual ones when left out.")


class Mode(StrEnum):
    """How a CloudEvent is put into a request."""

    STRUCTURED = "structured"
    BINARY = "binary"


class CloudEventsTarget(_HttpTarget):
    """One that takes CloudEvents 1.0 over HTTP."""

    type: Literal["cloudevents"] = Field("cloudevents", description="`cloudevents`.")
    mode: Mode = Field(Mode.STRUCTURED, description="structured: all in the body; binary: attributes as headers.")
    segments: bool = Field(
        default=False,
        description="Whether each segment of a record is sent, too; severity and transitions do not count.",
    )


class WebhookTarget(_HttpTarget):
    """One that takes JSON."""

    type: Literal["webhook"] = Field("webhook", description="`webhook`.")
    body: dict[str, Any] | None = Field(
        None,
        description='Shape of the body, as JSON in whose texts names are filled in; `"$data"` is all of the message. Only that when left out.',
    )
    title: Template = Field(TITLE, description="Template of `$title`.")
    text: Template = Field(TEXT, description="Template of `$text`.")

    @model_validator(mode="after")
    def _body_has_known_names(self) -> Self:
        for text in texts_in(self.body):
            if text != "$data":
                checked_template(text, more=("title", "text"))
        return self


class AppriseTarget(Target):
    """A chat, a pager or a mailbox, by one of Apprise's addresses."""

    type: Literal["apprise"] = Field("apprise", description="`apprise`.")
    title: Template = Field(TITLE, description="Template of the title.")
    text: Template = Field(TEXT, description="Template of the text.")

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if importlib.util.find_spec("apprise") is None:
            raise ValueError(
                "type apprise needs the package apprise, which is not installed: install modelrollout[notify], or use the"
                " project's image"
            )
        return self


AnyTarget = Annotated[CloudEventsTarget | WebhookTarget | AppriseTarget, Field(discriminator="type")]


def texts_in(value: object) -> list[str]:
    """Return all texts in a JSON value, keys aside."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for part in value.values() for text in texts_in(part)]
        case list():
            return [text for part in value for text in texts_in(part)]
        case _:
            return []
