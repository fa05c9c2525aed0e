"""A histogram of the user's own, bucket by bucket, of both versions."""

from decimal import Decimal, InvalidOperation

from modelrollout.api.kinds import Drift
from modelrollout.api.metrics import Metrics
from modelrollout.core.evidence import Distributed, NoData, Question, Track, Unknown
from modelrollout.metrics import queries
from modelrollout.metrics.answers import Found, number_of
from modelrollout.metrics.counting import Look, ask_age, slack, staleness
from modelrollout.metrics.presets import selector_of
from modelrollout.metrics.queries import Selector
from modelrollout.metrics.ratios import version_label_of

MOST_BUCKETS = 250
_MOST_EVENTS = 1e15
_SHOWN = 5
Buckets = dict[Decimal, int]


def histogram_of(drift: Drift, metrics: Metrics, track: Track, namespace_label: str | None) -> Selector:
    """Return where a version's histogram is found; its metric is the base name.

    Raises:
        ValueError: no label tells the versions apart, or a metric or label has no Prometheus name.
    """
    label = version_label_of(drift.version_label, metrics)
    return selector_of(drift.histogram, label, track, namespace_label)


async def distributed(
    look: Look, question: Question, drift: Drift, namespace_label: str | None
) -> Distributed | NoData:
    """Return the observations of both versions in each bucket; different buckets are no answer.

    A baseline without the series has no observations.

    Raises:
        ValueError: as `histogram_of`.
    """
    tracks = [track for track in (question.candidate, question.baseline) if track]
    selectors = [histogram_of(drift, question.metrics, track, namespace_label) for track in tracks]
    age = ask_age(selectors[0].suffixed("_count"))
    asked = [queries.buckets(selector, look.window) for selector in selectors]
    newest, *found = await look.many([age.query, *asked])
    seconds = newest if isinstance(newest, NoData) else number_of(newest, look.name, what=age.what)
    candidate = _buckets(look, found[0], selectors[0], "candidate")
    if isinstance(candidate, NoData):
        return candidate
    if stale := staleness(look, selectors[0].suffixed("_count"), seconds, question.freshness):
        return stale
    if len(found) < 2:
        return Distributed(_each(candidate), None)
    baseline = _buckets(look, found[1], selectors[1], "baseline")
    if isinstance(baseline, NoData):
        if baseline.reason is Unknown.NO_DATA:
            return Distributed(_each(candidate), (0,) * len(candidate))
        return baseline
    if candidate.keys() != baseline.keys():
        return _differing(candidate, baseline, drift)
    return Distributed(_each(candidate), _each(baseline))


def _buckets(look: Look, found: Found | NoData, selector: Selector, version: str) -> Buckets | NoData:
    """Return the observations up to each bound, ascending."""
    if isinstance(found, NoData):
        return found
    if not found.samples:
        return NoData(
            Unknown.NO_DATA,
            f"source {look.name} has no series for the {version}'s histogram {selector.suffixed('_bucket')}: it has had"
            " no observation yet, or no series is labelled so",
        )
    buckets: dict[Decimal, float] = {}
    for sample in found.samples:
        bound = _bound(sample.labels.get("le", ""))
        what = f"a bucket of the {version}'s {selector.metric}"
        number = number_of(Found((sample,)), look.name, what=what)
        if isinstance(number, NoData):
            return number
        if bound is None or not 0 <= number <= _MOST_EVENTS:
            return _odd(look, selector, version)
        # 1 and 1.0 are one bound: clients spell it differently.
        buckets[bound] = buckets.get(bound, 0.0) + number
    return _ascending(look, buckets, selector, version)


def _ascending(look: Look, buckets: dict[Decimal, float], selector: Selector, version: str) -> Buckets | NoData:
    """Return whole counts that do not fall: each bucket was extrapolated by itself."""
    if Decimal("Infinity") not in buckets or len(buckets) > MOST_BUCKETS:
        return _odd(look, selector, version)
    total, before = round(buckets[Decimal("Infinity")]), 0
    whole: Buckets = {}
    for bound in sorted(buckets):
        count = round(buckets[bound])
        if count < before - slack(total) or count > total + slack(total):
            return _odd(look, selector, version)
        whole[bound] = before = max(count, before)
    return whole


def _bound(text: str) -> Decimal | None:
    try:
        bound = Decimal(text)
    except InvalidOperation:
        return None
    return None if bound.is_nan() else bound


def _each(buckets: Buckets) -> tuple[int, ...]:
    counts = list(buckets.values())
    return tuple(count - before for count, before in zip(counts, [0, *counts[:-1]], strict=True))


def _odd(look: Look, selector: Selector, version: str) -> NoData:
    return NoData(
        Unknown.MALFORMED,
        f"source {look.name} gives something for the {version}'s {selector.metric}_bucket that is no histogram of at most"
        f" {MOST_BUCKETS} buckets: check that it is a classic histogram",
    )


def _differing(candidate: Buckets, baseline: Buckets, drift: Drift) -> NoData:
    only = sorted(candidate.keys() - baseline.keys()), sorted(baseline.keys() - candidate.keys())
    said = " and ".join(
        f"the {whose}'s alone has {', '.join(f'{bound:f}' for bound in bounds[:_SHOWN])}"
        for whose, bounds in zip(("candidate", "baseline"), only, strict=True)
        if bounds
    )
    return NoData(
        Unknown.BUCKETS_DIFFER,
        f"{drift.histogram.metric} has other bucket bounds in the two versions, {said}: export the same ones",
    )
