"""Whole manifests, and whole statuses, out of the schema; what rules over several fields ask for is put right."""

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from local.hostile.schema import load, make
from local.hostile.texts import Size

GROUP = "modelrollout.dev/v1alpha1"
MOST_TEXT = 65_536
"""Characters that all queries, matchers and runbook addresses of one manifest may have together, as its rule says."""
Manifest = dict[str, Any]


def spec(seed: int, size: Size = Size.ANY) -> Manifest:
    """Return a spec that the schema lets through; the same for the same seed."""
    picks = random.Random(seed)
    made: Manifest = make(load()["properties"]["spec"], picks, size)
    _tell_versions_apart(made)
    _mend_traffic(made["traffic"])
    if "grpcRoute" in made["traffic"]:
        made["metrics"]["preset"] = "custom"
    _mend_metrics(made["metrics"], picks, size)
    _mend_stages(made, picks)
    _mend_readiness(made)
    _mend_gates(made)
    _mend_options(made, picks)
    return made


def status(seed: int, size: Size = Size.ANY) -> Manifest:
    """Return a status such as a person with the right to write status may leave behind."""
    made: Manifest = make(load()["properties"]["status"], random.Random(seed), size)
    if (advance := (made.get("control") or {}).get("advance")) and "reason" not in advance:
        advance["overrideGates"] = False
    # The list is a map: the API server refuses two conditions of one type.
    for number, condition in enumerate(made.get("conditions", [])):
        condition["type"] = f"{condition['type'][:120]}{number}"
    return made


def manifest(seed: int, size: Size = Size.ANY, *, namespace: str = "default", name: str | None = None) -> Manifest:
    """Return a manifest of such a spec. Its name is as long as can be unless one is given."""
    picks = random.Random(seed)
    longest = f"h{seed}" + "".join(picks.choice("-0az") for _ in range(61 - len(f"h{seed}"))) + "z"
    meta = {"name": name or longest, "namespace": namespace}
    return {"apiVersion": GROUP, "kind": "ModelRollout", "metadata": meta, "spec": spec(seed, size)}


def _tell_versions_apart(made: Manifest) -> None:
    made["candidate"]["version"] = made["candidate"]["version"][:-1] + "c"
    made["candidate"]["service"]["name"] = made["candidate"]["service"]["name"][:-1] + "c"


def _mend_traffic(traffic: Manifest) -> None:
    for route in (traffic.get("httpRoute"), traffic.get("grpcRoute")):
        for number, parent in enumerate((route or {}).get("parentRefs", [])):
            parent["name"] = f"p{number}{parent['name'][2:]}"  # No Gateway twice: the route's own rules refuse that.
        if route and "adopt" in route:
            for field in ("hostnames", "path", "service", "method"):
                route.pop(field, None)


def _mend_metrics(metrics: Manifest, picks: random.Random, size: Size) -> None:
    if metrics["preset"] == "custom" and "custom" not in metrics:
        metrics["custom"] = make(
            load()["properties"]["spec"]["properties"]["metrics"]["properties"]["custom"], picks, size
        )
    metrics.pop("versionLabel" if metrics["preset"] == "custom" else "custom", None)


def _mend_stages(made: Manifest, picks: random.Random) -> None:
    """Shadows first, one full stage last, names of their own, ascending weights."""
    stages = made.get("stages")
    if stages is None:
        return
    kinds = ("shadow", "canary")
    for stage in stages[:-1]:
        if "full" in stage:
            del stage["full"]
            stage["canary"] = {"weights": ["0.01"]}
    last = stages[-1]
    for kind in kinds:
        last.pop(kind, None)
    last["full"] = {}
    stages.sort(key=lambda stage: next(rank for rank, kind in enumerate((*kinds, "full")) if kind in stage))
    for number, stage in enumerate(stages):
        stage["name"] = f"s{number}{stage['name']}"[-63:]
        stage["name"] = f"s{number:02}{stage['name'][3:]}" if len(stage["name"]) > 3 else f"s{number:02}"
        if "canary" in stage:
            stage["canary"]["weights"] = _ascending(len(stage["canary"]["weights"]), picks)


def _mend_readiness(made: Manifest) -> None:
    """Ids of their own, and stages that require some of them."""
    items = made.get("readiness") or []
    for number, item in enumerate(items):
        item["id"] = f"r{number:02}{item['id'][3:]}" if len(item["id"]) > 3 else f"r{number:02}"
    for stage in made.get("stages") or []:
        wanted = len(stage.pop("requires", []))
        if items and wanted:
            stage["requires"] = [item["id"] for item in items[:wanted]]


def _ascending(count: int, picks: random.Random) -> list[int | str]:
    """Return so many weights, the least and the greatest that there are among them."""
    between = sorted(picks.sample(range(2, 9_999), max(0, count - 2)))
    hundredths = [1, *between, 9_999][:count]
    return [f"{Decimal(number) / 100}" for number in hundredths]


def _mend_gates(made: Manifest) -> None:
    """Names of their own over all lists, least values below greatest, thresholds above 0, and texts that fit in."""
    lists: Sequence[list[Manifest]] = [
        made.get("gates") or [],
        *(s.get("gates") or [] for s in made.get("stages") or []),
    ]
    gates = [gate for one in lists for gate in one]
    # A gate's share of the text, by its longest field in characters of at most four bytes each.
    room = MOST_TEXT // max(1, len(gates)) // 2
    for number, gate in enumerate(gates):
        gate["name"] = f"g{number:03}{gate['name'][4:]}" if len(gate["name"]) > 4 else f"g{number:03}"
        _mend_limits(gate)
        for holder, field in ((gate, "runbookURL"), (gate.get("value") or {}, "query")):
            if field in holder:
                holder[field] = holder[field][:room]
        for series in _series_of(gate):
            _shorten(series, room // 2)
        if webhook := gate.get("webhook"):
            _shorten_webhook(webhook, room)


def _shorten_webhook(webhook: Manifest, room: int) -> None:
    """Keep the parameters that there is room for beside the address."""
    webhook["url"] = webhook["url"][: max(room, 24)]  # An address has its path.
    left = room - len(webhook["url"])
    kept = []
    for parameter in webhook.pop("parameters", []):
        left -= len(parameter["value"])
        if left >= 0:
            kept.append(parameter)
    webhook.update({"parameters": kept} if kept else {})


def _series_of(gate: Mapping[str, Any]) -> list[Manifest]:
    ratio, drift = gate.get("ratio") or {}, gate.get("drift") or {}
    return [*(ratio[part] for part in ("bad", "total") if part in ratio), *(s for s in [drift.get("histogram")] if s)]


def _shorten(series: Manifest, room: int) -> None:
    """Keep as many matchers as there is room for beside the metric's name."""
    series["metric"] = series["metric"][:room]
    left = room - len(series["metric"])
    kept = []
    for matcher in series.pop("matchers", []):
        left -= len(matcher["label"]) + len(matcher["value"])
        if left >= 0:
            kept.append(matcher)
    series.update({"matchers": kept} if kept else {})


def _mend_options(made: Manifest, picks: random.Random) -> None:
    """Stages that the plan has, and only where a gate is for several; a safety gate that rolls back."""
    known = [
        stage["name"] for stage in made.get("stages") or [{"name": "shadow"}, {"name": "canary"}, {"name": "full"}]
    ]
    for gate in made.get("gates") or []:
        if "stages" in gate:
            gate["stages"] = [picks.choice(known) for _ in gate["stages"]]
    _mend_gates_of_gates(made.get("gates") or [], picks)
    of_stages = [gate for stage in made.get("stages") or [] for gate in stage.get("gates") or []]
    for gate in of_stages:
        gate.pop("stages", None)
    for gate in [*(made.get("gates") or []), *of_stages]:
        if gate.get("severity") == "safety":
            gate.pop("onFail", None)


def _mend_gates_of_gates(gates: Sequence[Manifest], picks: random.Random) -> None:
    """Parts that there are, and that measure something themselves."""
    names = [gate["name"] for gate in gates]
    for gate in gates:
        if "failsWhen" in gate and len(names) > 1:
            _mend_parts(gate, names, picks)
    parts = {name for gate in gates for one in gate.get("failsWhen", {}).values() for name in one}
    for gate in gates:
        if "failsWhen" in gate and (gate["name"] in parts or len(names) == 1):
            gate["errorRate"] = {"max": "1%"}
            del gate["failsWhen"]


def _mend_parts(gate: Manifest, names: Sequence[str], picks: random.Random) -> None:
    kind = "all" if "all" in gate["failsWhen"] else "any"
    others = [name for name in names if name != gate["name"]]
    gate["failsWhen"] = {kind: [picks.choice(others) for _ in range(2)]}


def _mend_limits(gate: Mapping[str, Any]) -> None:
    for kind in ("errorRate", "latency", "ratio", "timeToFirstToken", "interTokenLatency", "queueTime"):
        limits = gate.get(kind) or {}
        increase = limits.get("maxIncrease")
        if increase is None or float(limits.get("detect", "999x")[:-1]) <= 1 + float(increase[:-1]) / 100:
            limits.pop("detect", None)
        if "threshold" in limits and not any(c in limits["threshold"] for c in "123456789"):
            limits["threshold"] = "1ms"
    if (drift := gate.get("drift")) and float(drift.get("max", "1")) <= 0:
        drift["max"] = "0.1"
    if value := gate.get("value"):
        least, most = value.get("min"), value.get("max")
        if least is not None and most is not None and float(least) > float(most):
            value["min"], value["max"] = most, least
        if "maxIncrease" in value or "maxDecrease" in value:
            value["query"] = f"$version{value['query']}"[: max(8, len(value["query"]))]
