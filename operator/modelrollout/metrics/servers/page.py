"""The page of the presets, made from their tables: `python -m modelrollout.metrics.servers.page --write`."""

import sys
from pathlib import Path
from typing import assert_never

from modelrollout.api.crd import run
from modelrollout.metrics.queries import Counter, Selector
from modelrollout.metrics.servers.exports import Buckets, ByRoute, Gauge, HitRate, Hits, Lacks, Preset
from modelrollout.metrics.servers.table import PRESETS

PAGE = Path("docs/presets.md")
_HEAD = """\
<!-- Made by `python -m modelrollout.metrics.servers.page --write`: edit the tables in metrics/servers, not this page. -->
# Presets

`spec.metrics.preset` says what serves the requests; the operator then knows what its metrics are called. A gate that
needs a number that the server does not export is refused before any traffic moves (`MetricNotExported`), with the
sentence that stands here.

The two versions are told apart by the label named below, never by `model_name`, which is the same for both. Where your
scrape gives other labels, name one of them: `metrics: {preset: vllm, versionLabel: {name: pod, holds: Pod}}`. `holds` says what stands in it: the Service's name, the version, or (`Pod`) the name of a pod of the Deployment or
StatefulSet that is called as the Service. A label that is the same for both versions is refused.

Any other server: `preset: custom`, with metrics of your own ([modelrollout.md](modelrollout.md)).
"""
_SIGNALS = (
    ("requests", "requests"),
    ("errors", "errors (`errorRate`)"),
    ("duration", "durations (`latency`)"),
    ("first_token", "time to first token (`timeToFirstToken`)"),
    ("inter_token", "time between tokens (`interTokenLatency`)"),
    ("queue_time", "time in the queue (`queueTime`)"),
    ("saturation", "saturation (`saturation`)"),
    ("tokens", "generated tokens"),
    ("prefix_cache", "prefix cache"),
)
Found = Counter | Buckets | Gauge | Hits | HitRate | Lacks


def render_page() -> str:
    """Return the page as Markdown: what each preset has at a glance, then a section for each."""
    return "\n".join([_HEAD, *_overview(), "", *(_section(preset) for preset in PRESETS.values())])


def _overview() -> list[str]:
    heads = ("errors", "durations", "first token", "between tokens", "queue", "saturation", "prefix cache")
    fields = ("errors", "duration", "first_token", "inter_token", "queue_time", "saturation", "prefix_cache")
    lines = [f"| preset | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for preset in PRESETS.values():
        marks = ("-" if isinstance(getattr(preset, field), Lacks) else "yes" for field in fields)
        lines.append(f"| [{preset.name}](#{preset.name}) | {' | '.join(marks)} |")
    return lines


def _section(preset: Preset) -> str:
    lines = [f"## {preset.name}", "", f"{preset.title}. Names from {preset.source}.", "", f"{_told_apart(preset)}", ""]
    lines += ["| what | where |", "| --- | --- |"]
    lines += [f"| {what} | {_found(getattr(preset, field))} |" for field, what in _SIGNALS]
    lines += ["", *(f"- {trap}" for trap in preset.traps)]
    return "\n".join([*lines, ""])


def _told_apart(preset: Preset) -> str:
    match preset.labels:
        case ByRoute(label, values):
            return f"Told apart by `{label}`, whose value follows from the {' or '.join(values)}."
        case named:
            value = named.value.replace("{", "").replace("}", "").upper()
            within = f" within `{named.namespace}`" if named.namespace else ""
            return f"Told apart by `{named.label}` = `{value}`{within}."


def _found(found: Found) -> str:
    match found:
        case Lacks(because):
            return f"none: {because}"
        case Counter(parts):
            return " + ".join(map(_code, parts))
        case Buckets(selector, unit, of):
            each = "" if of == "requests" else f", an observation for each of the {of}"
            return f"{_code(selector)}, bounds in {unit}{each}"
        case Gauge(selector, across, means):
            return f"{_code(selector)}: {means}; over pods: {across}"
        case Hits(hits, queries):
            return f"{_found(hits)} of {_found(queries)}"
        case HitRate(selector):
            return f"{_code(selector)}, 0 to 1"
        case _:
            assert_never(found)


def _code(selector: Selector) -> str:
    text = str(selector) if selector.matchers else selector.metric
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(run({PAGE: render_page()}, "modelrollout.metrics.servers.page"))
