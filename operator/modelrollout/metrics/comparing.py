"""Both versions' events in one window, and whether their speeds can be compared."""

from datetime import timedelta

from modelrollout.api.gates import Latency
from modelrollout.core.caches import cold_cache
from modelrollout.core.evidence import Bound, Counted, NoData, Question, Track, Unknown
from modelrollout.core.plan import limits_of
from modelrollout.core.stats import Counts
from modelrollout.metrics import queries
from modelrollout.metrics.counting import Ask, Counting, Look, ask_age, counting_of, staleness
from modelrollout.metrics.presets import Signals, signals_of
from modelrollout.metrics.ratios import ratio_of
from modelrollout.metrics.servers.exports import HitRate, Hits, Lacks


async def counted(look: Look, question: Question, label: str | None, bound: Bound | None = None) -> Counted | NoData:
    """Count both versions' requests: a gate without a relative limit asks whether both are failing.

    `bound` stands in for the gate's threshold. All numbers are asked for at once.
    """
    at = bound.at if bound else None
    candidate = counting(question, "candidate", question.candidate, label, at)
    asks = [ask_age(candidate.series), *candidate.asks(look)]
    of_candidate = slice(1, len(asks))
    if question.baseline is None:
        found = await look.numbers(asks)
        compared: Counts | NoData | None = None
        cold = None
    else:
        baseline = counting(question, "baseline", question.baseline, label, at)
        asks += baseline.asks(look)
        of_baseline = slice(of_candidate.stop, len(asks))
        found = await look.numbers([*asks, *_hit_rates(look, question, label)])
        compared = _compared(question, baseline.read(look, *found[of_baseline]))
        cold = _cold(found[len(asks) :])
    judged = candidate.read(look, *found[of_candidate])
    if isinstance(judged, NoData):
        return judged
    if stale := staleness(look, candidate.series, found[0], question.freshness):
        return stale
    if isinstance(compared, NoData):
        return compared
    return cold or Counted(judged, compared, bound=bound)


def counting(
    question: Question, version: str, track: Track, label: str | None, at: timedelta | None = None
) -> Counting:
    """Return how the gate's events are counted; `version` is candidate or baseline.

    Raises:
        ValueError: the server does not export what the gate needs.
    """
    gate, metrics = question.gate, question.metrics
    if gate.ratio is not None:
        return ratio_of(gate.ratio, version, metrics, track, label)
    return counting_of(gate, version, signals_of(metrics, track, label), at)


def _compared(question: Question, found: Counts | NoData) -> Counts | NoData | None:
    if isinstance(found, NoData) and found.reason is Unknown.NO_BUCKET:
        return found
    if isinstance(found, NoData) and "relative" not in limits_of(question.gate):
        return None
    return Counts(0, 0) if isinstance(found, NoData) and found.reason is Unknown.NO_DATA else found


def _hit_rates(look: Look, question: Question, label: str | None) -> list[Ask]:
    """Return how to ask for both prefix caches' hit rates in the window, nothing where speed does not matter."""
    if not isinstance(question.gate.kind, Latency) or question.baseline is None:
        return []
    tracks = (question.candidate, question.baseline)
    asks = (_hit_rate(look, signals_of(question.metrics, track, label)) for track in tracks)
    return [ask for ask in asks if ask is not None]


def _hit_rate(look: Look, signals: Signals) -> Ask | None:
    what = "the prefix cache's hit rate"
    match signals.prefix_cache:
        case Hits(hits, asked):
            return Ask(queries.share_of(queries.count(hits, look.window), queries.count(asked, look.window)), what)
        case HitRate(selector):
            return Ask(queries.level(selector, "avg", look.window), what)
        case Lacks():
            return None


def _cold(rates: list[float | NoData]) -> NoData | None:
    """Return why speeds cannot be compared yet. A server that does not tell is judged all the same."""
    match rates:
        case [float(candidate), float(baseline)]:
            text = cold_cache(candidate, baseline)
            return NoData(Unknown.COLD_CACHE, text) if text else None
        case _:
            return None
