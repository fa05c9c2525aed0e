"""Where `plan`, `backtest` and `explain` ask for metrics: at an address of the user's, or as the operator does."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError

from modelrollout.cli.exits import Exit, Problem
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources

VARIABLE = "MODELROLLOUT_METRICS_SOURCES"


@dataclass(frozen=True, slots=True)
class Asking:
    """What the user says of sources: an address for all of them, or a file with their settings."""

    prometheus: str | None
    settings: Path | None

    @property
    def is_given(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.prometheus or self.settings or os.environ.get(VARIABLE))


def source_options(command: Any) -> Any:  # noqa: ANN401 - a decorator, as click's own
    """Add --prometheus and --settings, given on as `asking`."""

    def gathered(*args: Any, prometheus: str | None, settings: Path | None, **more: Any) -> Any:  # noqa: ANN401
        return command(*args, asking=Asking(prometheus, settings), **more)

    gathered.__name__, gathered.__doc__ = command.__name__, command.__doc__
    gathered.__dict__.update(command.__dict__)
    options: list[Callable[[Any], Any]] = [
        click.option("--prometheus", metavar="URL", help="Base address of the Prometheus to ask."),
        click.option(
            "--settings",
            type=click.Path(path_type=Path, dir_okay=False, exists=True),
            help="File with the operator's metricsSources, such as the chart's values; $MODELROLLOUT_METRICS_SOURCES else.",
        ),
    ]
    for option in reversed(options):
        gathered = option(gathered)
    return gathered


@asynccontextmanager
async def sources_for(asking: Asking, source: str, *, patience: timedelta | None = None) -> AsyncIterator[Sources]:
    """Give the sources, of which rollouts name `source`.

    Raises:
        Problem: none is given, or what is given cannot be read.
    """
    sources = Sources(configs_of(asking, source, patience), clock=lambda: datetime.now(UTC), on_call=lambda *_: None)
    try:
        yield sources
    finally:
        await sources.close()


def configs_of(asking: Asking, source: str, patience: timedelta | None) -> Mapping[str, SourceConfig]:
    """Return the settings of the sources by name, `source` among them.

    Raises:
        Problem: they cannot be read, or `source` is none of them.
    """
    try:
        if asking.prometheus:
            found = {source: SourceConfig(url=asking.prometheus, raw_queries=True)}
        else:
            found = {name: SourceConfig.model_validate(one) for name, one in _settings(asking).items()}
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = "--prometheus" if asking.prometheus else f"metricsSources.{'.'.join(map(str, first['loc']))}"
        raise Problem(f"{what}: {first['msg'].removeprefix('Value error, ')}", Exit.USAGE) from error
    if source not in found:
        known = ", ".join(sorted(found)) or "none"
        raise Problem(f"the manifest's spec.metrics.source is {source!r}, and the settings know: {known}", Exit.USAGE)
    return {
        name: config.model_copy(update={"timeout": patience or config.timeout, "raw_queries": True})
        for name, config in found.items()
    }


def _settings(asking: Asking) -> Mapping[str, Any]:
    text = asking.settings.read_text("utf-8") if asking.settings else os.environ.get(VARIABLE, "")
    if not text:
        raise Problem("no source of metrics is given: name a Prometheus with --prometheus http://…", Exit.USAGE)
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Problem(f"{asking.settings or VARIABLE} is neither YAML nor JSON: {error}", Exit.USAGE) from error
    found = read.get("metricsSources", read) if isinstance(read, dict) else None
    if not isinstance(found, dict):
        raise Problem(f"{asking.settings or VARIABLE} has no metricsSources", Exit.USAGE)
    return found
