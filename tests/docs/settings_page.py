"""The tables of docs/settings.md, as the models say. `python -m tests.docs.settings_page` prints them."""

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from modelrollout.api.fields import render_duration
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.webhooks import WebhookConfig
from modelrollout.notify.config import AppriseTarget, CloudEventsTarget, Target, WebhookTarget
from modelrollout.wiring.settings import Settings
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_HEAD = "| {0} | default | meaning |\n| --- | --- | --- |\n"


def settings_table() -> str:
    """Return the table of all flags and their environment variables."""
    prefix = Settings.model_config["env_prefix"]
    rows = [
        f"| `--{name.replace('_', '-')}`<br>`{prefix}{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD.format("flag and variable") + "\n".join(rows)


def sources_table() -> str:
    """Return the table of a metrics source's fields, named as JSON has them."""
    return _HEAD.format("field") + "\n".join(_source_rows(SourceConfig))


def webhooks_table() -> str:
    """Return the table of an allowed judge's fields, named as JSON has them."""
    return _HEAD.format("field") + "\n".join(_source_rows(WebhookConfig))


def targets_tables() -> dict[str, str]:
    """Return the tables of targets that are told, by their type: what all have first."""
    kinds = {"": Target, "cloudevents": CloudEventsTarget, "webhook": WebhookTarget, "apprise": AppriseTarget}
    return {
        name: _HEAD.format("field")
        + "\n".join(_source_rows(model, but=() if model is Target else (*Target.model_fields, "type")))
        for name, model in kinds.items()
    }


def _source_rows(model: type[BaseModel], but: Iterable[str] = ()) -> list[str]:
    return [
        f"| `{field.alias}` | {_default(field)} | {field.description} |"
        for name, field in model.model_fields.items()
        if name not in but
    ]


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else _printed(field.default)


def _printed(value: Any) -> str:
    match value:
        case timedelta():
            return f"`{render_duration(value)}`"
        case bool():
            return f"`{str(value).lower()}`"
        case StrEnum():
            return f"`{value.value}`"
        case None | "" | [] | {}:
            return "none"
        case str() if "$" in value:
            return "[see there](notifications.md#texts)"
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    print(f"{settings_table()}\n\n{sources_table()}\n\n{webhooks_table()}", *targets_tables().values(), sep="\n\n")
