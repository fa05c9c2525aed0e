"""A rollout played through in simulated time, and the baseline's requests dealt out to two versions that are the same."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from modelrollout.api.fields import Percent
from modelrollout.api.status import Outcome
from modelrollout.cli.backtest import Ended, Range, ended_of, rate_of, timeline, wilson
from modelrollout.cli.simulation import Simulation
from modelrollout.cli.split import Split
from modelrollout.core.evidence import Answer, Counted, NoData, Question, Track, Unknown
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Shares

from tests.core.builders import NOW, new

HOUR = timedelta(hours=1)
PAST = Range(NOW, NOW + 12 * HOUR)


class Metrics:
    """Requests at a steady rate, of which a share is bad in either version; nothing at all from `silent_from`."""

    def __init__(self, *, rate: float = 10, bad: float = 0.0, baseline_bad: float = 0.0) -> None:
        self.rate, self.bad, self.baseline_bad = rate, bad, baseline_bad
        self.silent_from = NOW + 1000 * HOUR

    async def __call__(self, question: Question, _: Shares) -> Answer:
        if question.until > self.silent_from:
            return NoData(Unknown.UNREACHABLE, "Prometheus does not answer")
        total = round(self.rate * (question.until - question.since).total_seconds())
        baseline = Counts(total, round(total * self.baseline_bad)) if question.baseline else None
        return Counted(Counts(total, round(total * self.bad)), baseline)


async def played(metrics: Metrics, until: timedelta = 12 * HOUR) -> Simulation:
    simulation = Simulation(new(), NOW, metrics)
    await simulation.run(NOW + until)
    return simulation


async def test_a_good_candidate_is_promoted_when_all_its_steps_have_lasted():
    simulation = await played(Metrics())

    assert simulation.outcome is Outcome.PROMOTED
    # A shadow of 30m, two weights of 10m, a bake of 1h.
    assert timedelta(minutes=110) <= simulation.now - NOW < timedelta(minutes=113)
    assert ended_of(simulation, PAST).word == "Promoted"


async def test_a_bad_candidate_is_rolled_back_with_the_sentence_that_people_would_have_read():
    simulation = await played(Metrics(bad=0.3))

    ended = ended_of(simulation, PAST)
    assert (ended.word, int(ended.code)) == ("RolledBack", 1)
    assert "requests failed" in ended.why
    assert any(entry["what"] == "errors: Fail" for entry in timeline(simulation))


async def test_lost_metrics_hold_and_nothing_is_decided():
    metrics = Metrics()
    metrics.silent_from = NOW + timedelta(minutes=10)

    simulation = await played(metrics)

    ended = ended_of(simulation, PAST)
    assert (ended.word, int(ended.code)) == ("Undecided", 2)
    assert "Prometheus does not answer" in ended.why


async def test_without_any_data_that_is_said_rather_than_undecided():
    metrics = Metrics()
    metrics.silent_from = NOW

    ended = ended_of(await played(metrics, HOUR), PAST)

    assert (ended.word, int(ended.code)) == ("NoData", 3)


async def test_long_steps_are_looked_at_seldom_where_one_may_leap():
    seldom = Simulation(new(), NOW, Metrics(), leap=0.2)
    await seldom.run(NOW + 12 * HOUR)
    often = await played(Metrics())

    assert seldom.outcome is Outcome.PROMOTED
    assert abs(seldom.now - often.now) < timedelta(minutes=2)
    assert len(seldom.looks) < len(often.looks) / 2


async def test_a_step_that_is_stuck_can_be_skipped_to_see_the_others():
    simulation = Simulation(new(), NOW, Metrics(rate=0.01))
    await simulation.run(NOW + 12 * HOUR, stop=lambda one: one.standstill is not None)
    stuck = simulation.looks[-1].step.stage

    assert simulation.skip_step()
    await simulation.run(simulation.now + HOUR, stop=lambda one: one.standstill is not None)

    assert stuck == "shadow"
    assert simulation.looks[-1].step.stage == "canary"


TRACK = Track("models", "TraefikService", "fraud", "fraud-v1", 8080, "v1")


def canary(share: int = 20) -> Shares:
    return Shares(Percent(share * 100), Percent(0))


def dealing(*found: Counts, seed: int = 1) -> Split:
    answers = list(found)

    async def ask(question: Question) -> Answer:
        assert question.candidate == TRACK
        return Counted(answers.pop(0), None)

    return Split(ask, TRACK, random.Random(seed))


async def asked(split: Split, shares: Shares) -> Counted:
    questions: list[Question] = []

    async def note(question: Question, _: Shares) -> Answer:
        questions.append(question)
        return NoData(Unknown.UNREACHABLE, "")

    simulation = Simulation(new(), NOW, note)
    await simulation.run(NOW + HOUR, stop=lambda _: bool(questions))
    answer = await split.measure(questions[0], shares)
    assert isinstance(answer, Counted)
    return answer


async def test_what_is_dealt_out_adds_up_to_what_there_was():
    answer = await asked(dealing(Counts(1000, 50)), canary())

    assert answer.baseline
    assert answer.candidate.total + answer.baseline.total == 1000
    assert answer.candidate.bad + answer.baseline.bad == 50
    assert 150 < answer.candidate.total < 250


async def test_what_was_dealt_once_stays_so():
    split = dealing(Counts(100, 10), Counts(100, 10), Counts(99, 10), Counts(5000, 10))

    first, same, shrunk, more = [await asked(split, canary()) for _ in range(4)]

    assert first.candidate == same.candidate
    assert shrunk.candidate.total <= first.candidate.total
    assert more.candidate.bad == first.candidate.bad
    assert more.candidate.total > 800


async def test_copies_count_for_both():
    answer = await asked(dealing(Counts(1000, 50)), Shares(Percent(0), Percent(10_000)))

    assert answer.candidate == answer.baseline == Counts(1000, 50)


async def test_the_same_seed_deals_the_same():
    one, two, other = [await asked(dealing(Counts(900, 90), seed=seed), canary()) for seed in (1, 1, 2)]

    assert one == two
    assert one != other


def test_the_rate_of_false_rollbacks_comes_with_its_bounds():
    bad, good, without = Ended("RolledBack", NOW, ""), Ended("Promoted", NOW, ""), Ended("NoData", NOW, "")

    rate = rate_of([bad] + [good] * 98 + [replace(good, word="Undecided"), without])

    assert (rate["attempts"], rate["rolledBack"], rate["undecided"], rate["withoutData"]) == (100, 1, 1, 1)
    assert rate["falseRollbackRate"] == 0.01
    # Source: R, binom::binom.wilson(1, 100).
    assert rate["bounds"] == pytest.approx([0.001767, 0.054486], abs=1e-5)
    assert wilson(0, 10)[0] == 0.0
