"""No text in any field changes the shape of a query that it gets into: it is refused with a sentence, or a label's value."""

import asyncio
import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Before, NoData, Question, Unknown
from modelrollout.metrics import queries
from modelrollout.metrics.answers import Found, Sample
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PromQL
from modelrollout.metrics.servers.table import PRESETS
from modelrollout.metrics.sources import Sources
from pydantic import ValidationError

from tests.metrics.builders import COMPARED, DISAGREEMENT, ERRORS, LATENCY, LOAD, SCORES, question, track, value
from tests.metrics.conftest import now
from tests.metrics.hostile import VALUES, shape_of

UNTIL = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)
FULL: dict[str, Any] = {
    "preset": "custom",
    "custom": {
        "requests": {"metric": "requests_total", "matchers": [{"label": "model", "value": "fraud"}]},
        "errors": {"metric": "requests_total", "matchers": [{"label": "code", "op": "=~", "value": "5.."}]},
        **{name: {"metric": f"{name}_seconds"} for name in ("duration", "timeToFirstToken", "interTokenLatency", "queueTime")},
        "saturation": {"metric": "busy"},
        "versionLabel": {"name": "service"},
    },
}  # fmt: skip
TIMES: dict[str, Any] = {"threshold": "300ms", "maxAbove": "5%", "maxIncrease": "25%"}
GATES: dict[str, dict[str, Any]] = {
    "errors": COMPARED,
    "duration": LATENCY,
    "requests": LOAD,
    "timeToFirstToken": {"name": "first", "timeToFirstToken": TIMES},
    "interTokenLatency": {"name": "token", "interTokenLatency": TIMES},
    "queueTime": {"name": "queue", "queueTime": TIMES},
    "saturation": {"name": "full", "saturation": {"max": "0.9"}},
    "versionLabel": COMPARED,
}
"""By the part of spec.metrics.custom that they ask for."""


class Asked(NamedTuple):
    """What a gate asks with a text in one place: the object's own parts, what of the version is odd, and the source's."""

    gate: dict[str, Any]
    metrics: dict[str, Any]
    version: Mapping[str, Any] = MappingProxyType({})
    source: Mapping[str, Any] = MappingProxyType({})


class Source(PrometheusSource):
    """Writes down what would be sent, and answers without a network."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: list[str] = []

    async def ask(self, query: PromQL, at: datetime | None = None) -> Found | NoData:
        del at
        if query == queries.CLOCK:
            return Found((Sample({}, str(now().timestamp())),))
        self.sent.append(query)
        return Found(())

    async def close(self) -> None:
        pass


def placed(tree: dict[str, Any], path: str, text: str) -> dict[str, Any]:
    """Return the tree with the text at a path such as `custom.requests.matchers.0.value`."""
    tree = copy.deepcopy(tree)
    *places, last = [int(place) if place.isdecimal() else place for place in path.split(".")]
    inner: Any = tree
    for place in places:
        inner = inner[place]
    inner[last] = text
    return tree


IN_METRICS = (
    [f"custom.{name}.metric" for name in FULL["custom"] if name != "versionLabel"]
    + [f"custom.requests.matchers.0.{part}" for part in ("label", "value")]
    + [f"custom.errors.matchers.0.{part}" for part in ("label", "op", "value")]
    + ["custom.versionLabel.name"]
)
IN_RATIO = [
    "ratio.bad.metric", "ratio.bad.matchers.0.label", "ratio.bad.matchers.0.op", "ratio.bad.matchers.0.value",
    "ratio.total.metric", "ratio.versionLabel.name",
]  # fmt: skip
IN_DRIFT = ["drift.histogram.metric", "drift.histogram.matchers.0.label", "drift.histogram.matchers.0.value"]
RATIO = {**DISAGREEMENT, "ratio": {**DISAGREEMENT["ratio"], "versionLabel": {"name": "service"}}}
RATIO["ratio"]["bad"] = {"metric": "answers_total", "matchers": [{"label": "code", "op": "=~", "value": "5"}]}
DRIFT = {**SCORES, "drift": {"histogram": {"metric": "model_score", "matchers": [{"label": "kind", "value": "a"}]}}}
OF_VERSION = ("service", "version", "namespace", "route_name")


def _fields() -> dict[str, Callable[[str], list[Asked]]]:
    """Return by its name how a field's text gets into gates."""
    found: dict[str, Callable[[str], list[Asked]]] = {}
    for path in IN_METRICS:
        found[f"metrics.{path}"] = lambda text, path=path: [Asked(GATES[path.split(".")[1]], placed(FULL, path, text))]  # type: ignore[misc]
    for path in IN_RATIO:
        found[f"gate.{path}"] = lambda text, path=path: [Asked(placed(RATIO, path, text), FULL)]  # type: ignore[misc]
    for path in IN_DRIFT:
        found[f"gate.{path}"] = lambda text, path=path: [Asked(placed(DRIFT, path, text), FULL)]  # type: ignore[misc]
    for holds in ("Service", "Version", "Pod"):
        metrics = {**FULL, "custom": {**FULL["custom"], "versionLabel": {"name": "told", "holds": holds}}}
        found[f"a version, its label holding the {holds}"] = lambda text, metrics=metrics: [  # type: ignore[misc]
            Asked(gate, metrics, dict.fromkeys(OF_VERSION, text), {"namespaceLabel": "namespace"})
            for gate in (COMPARED, LATENCY, RATIO, DRIFT)
        ]
    for preset in PRESETS:
        kinds = ("HTTPRoute", "TraefikService") if preset == "traefik" else ("HTTPRoute",)
        found[f"a version with preset {preset}"] = lambda text, preset=preset, kinds=kinds: [  # type: ignore[misc]
            Asked(gate, {"preset": preset}, {**dict.fromkeys(OF_VERSION, text), "route_kind": kind}, {})
            for gate in (ERRORS, LATENCY)
            for kind in kinds
        ]
    # Not =~ in back quotes: the parser reads escapes there, which Prometheus does not (test_placeholders has the text).
    for op, quote in (("=", '"'), ("=~", '"'), ("=", "'"), ("=~", "'"), ("=", "`")):
        query = f"avg(score{{a{op}{quote}x-$service-$version-$namespace{quote},b={quote}y{quote}}})"
        found[f"a placeholder after {op} in {quote}"] = lambda text, query=query: [  # type: ignore[misc]
            Asked(value(query), FULL, {name: text}) for name in ("service", "version", "namespace")
        ]
    found["the source's namespaceLabel"] = lambda text: [Asked(COMPARED, FULL, {}, {"namespaceLabel": text})]
    found["the namespace that a source enforces"] = lambda text: [
        Asked(gate, FULL, {"namespace": text}, {"enforceNamespace": True}) for gate in (COMPARED, RATIO, DRIFT)
    ]
    return found


FIELDS = _fields()


async def outcome_of(asked: Asked) -> list[Any] | str:
    """Return the shapes of the queries that would be sent, or the sentence by which it is refused."""
    made: list[Source] = []

    def connect(name: str, *_: object) -> PrometheusSource:
        made.append(Source(name))
        return made[-1]

    try:
        config = SourceConfig.model_validate({"url": "http://localhost", "rawQueries": True, **asked.source})
        sources = Sources({"default": config}, now, lambda *_: None, connect=connect)
        posed = _question(asked)
    except ValidationError as error:
        return error.errors()[0]["msg"]
    answer = await sources.measure(posed)
    (source,) = made
    await sources.close()
    try:
        shapes = [shape_of(query) for query in source.sent]
    except ValueError as error:
        return f"Prometheus refuses it: {error}"
    return answer.message if isinstance(answer, NoData) and answer.reason is Unknown.REFUSED else shapes


def _question(asked: Asked) -> Question:
    candidate = track(**asked.version)
    return question(
        asked.gate,
        metrics=Metrics.model_validate(asked.metrics),
        candidate=candidate,
        baseline=track("fraud-v1", version="2026.10.4", **{name: text for name, text in asked.version.items() if name in {"namespace", "route_kind"}}),
        since=UNTIL - timedelta(minutes=5),
        until=UNTIL,
        before=Before(track("fraud-v1"), UNTIL) if asked.gate is COMPARED and not asked.version else None,
    )  # fmt: skip


def without_name(shape: Any, name: str) -> Any:
    """Return a shape with the metric or label of this name, in whatever spelling servers give it, called `it`."""
    match shape:
        case str():
            return "it" if name and shape.removesuffix("_bucket").removesuffix("_count") == name else shape
        case tuple() | list():
            return [without_name(part, name) for part in shape]
        case _:
            return shape


@pytest.mark.parametrize("field", FIELDS)
async def test_no_text_changes_the_shape_of_a_query(field: str) -> None:
    usual, *odd = await asyncio.gather(*(_outcomes(field, text) for text in ("fraud", *VALUES.values())))
    wrong = {
        what: shown
        for (what, text), outcomes in zip(VALUES.items(), odd, strict=True)
        for plain, shown in zip(usual, outcomes, strict=True)
        if not _is_harmless(plain, shown, text)
    }

    assert field.endswith(".op") or any(isinstance(outcome, list) and outcome for outcome in usual)
    assert wrong == {}


async def _outcomes(field: str, text: str) -> list[list[Any] | str]:
    return await asyncio.gather(*map(outcome_of, FIELDS[field](text)))


def _is_harmless(usual: list[Any] | str, odd: list[Any] | str, text: str) -> bool:
    if isinstance(odd, str):
        return len(odd.split()) > 2
    return bool(odd == usual or without_name(odd, text) == without_name(usual, "fraud"))


def test_there_are_enough_of_them() -> None:
    assert len(VALUES) >= 40
    assert len(set(VALUES.values())) == len(VALUES)


def test_the_comparison_sees_what_it_is_there_for() -> None:
    plain = shape_of('sum(rate(err_total{model="V"}[5m]))')

    assert shape_of('sum(rate(err_total{model="W"}[5m]))') == plain
    assert shape_of('sum(rate(err_total{model="a"}[5m])) * 0 # "}[5m]))') != plain
    assert shape_of('sum(rate(err_total{model="x",namespace=~".+"}[5m]))') != plain
    assert shape_of('sum(rate(err_total{model=~"V"}[5m]))') != plain
    assert shape_of('sum(rate(err_total{model="V"}[6m]))') != plain
