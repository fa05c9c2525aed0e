"""The tables of docs/settings.md, as the models say. `python -m tests.docs.settings_page` prints them."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from modelrollout.api.fields import render_duration
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.webhooks import WebhookConfig
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


def _source_rows(model: type[BaseModel]) -> list[str]:
    return [f"| `{field.alias}` | {_default(field)} | {field.description} |" for field in model.model_fields.values()]


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
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    print(f"{settings_table()}\n\n{sources_table()}\n\n{webhooks_table()}")
