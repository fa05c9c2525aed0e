"""How long each step of a plan will take at a given rate, reckoned by playing it through with the live code."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelrollout.api.fields import ALL
from modelrollout.api.status import Cause, Verdict
from modelrollout.cli.simulation import Look, Simulation
from modelrollout.core.evidence import Answer, Counted, NoData, Question, Unknown
from modelrollout.core.plan import Step
from modelrollout.core.rollout import Rollout
from modelrollout.core.stats import Counts
from modelrollout.core.traffic import Shares

LONGEST_CLOSED = timedelta(days=8)
"""How long change windows may be closed before a step counts as one that does not end."""

LEAP = 0.02
"""Looks of a step that lasts weeks are taken that share of its time apart: durations are good to so much."""


@dataclass(frozen=True, slots=True)
class GateOutlook:
    """When a gate first passes in a step, and with how many requests of the candidate; `None` for never."""

    name: str
    passes_after: timedelta | None
    requests: int | None
    message: str


@dataclass(frozen=True, slots=True)
class StepOutlook:
    """What becomes of a step. `lasts` is `None` where it would not end by itself, `why` says what it waits for."""

    step: Step
    requests_per_second: float
    lasts: timedelta | None
    gates: tuple[GateOutlook, ...]
    why: str = ""
    waits: str = ""
    """The window that it has to wait for, which counts in `lasts`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is expected: requests of the whole route, and what each gate is answered now for the version that serves."""

    requests_per_second: float
    answers: Mapping[str, Answer]

    async def measure(self, question: Question, shares: Shares) -> Answer:
        """Return what a gate would be answered if the candidate were as good as what serves."""
        known = self.answers.get(question.gate.name)
        if not isinstance(known, Counted):
            return known or NoData(Unknown.NO_DATA, "nothing is known of it")
        seconds = (question.until - question.since).total_seconds()
        # Copies leave all live requests to the baseline.
        live = 1 - shares.candidate.hundredths / ALL.hundredths
        candidate = self._counts(known.candidate, seconds * candidate_part(shares))
        baseline = self._counts(known.candidate, seconds * live) if question.baseline else None
        return replace(
            known, candidate=candidate, baseline=baseline, history=known.history if question.before else None
        )

    def _counts(self, like: Counts, seconds: float) -> Counts:
        total = round(self.requests_per_second * seconds)
        return Counts(total, round(total * like.bad / like.total) if like.total else 0)


def candidate_part(shares: Shares) -> float:
    """Return the fraction of all requests that the candidate sees, live ones or copies."""
    return max(shares.candidate.hundredths, shares.mirror.hundredths) / ALL.hundredths


async def reckon(rollout: Rollout, traffic: Traffic, now: datetime) -> list[StepOutlook]:
    """Return what becomes of each step; one that would not end is taken to have passed, so that all are seen."""
    plan = rollout.plan(has_baseline=rollout.given_baseline is not None)
    simulation = Simulation(rollout, now, traffic.measure, leap=LEAP)
    found: list[StepOutlook] = []
    for step in plan.steps:
        begun = len(simulation.looks)
        horizon = simulation.now + step.min_duration + rollout.policy.deadline + 2 * rollout.policy.interval
        if rollout.spec and rollout.spec.windows:
            horizon += LONGEST_CLOSED
        began, told = simulation.now, len(simulation.told)
        await simulation.run(horizon + _slack(step), stop=lambda at, mine=step: _is_over(at, mine))  # type: ignore[misc]
        looks = [look for look in simulation.looks[begun:] if look.step == step]
        ended = simulation.outcome is not None or _is_past(simulation, step)
        why = simulation.standstill.message if simulation.standstill else ""
        rate = traffic.requests_per_second * candidate_part(step.shares)
        lasts = simulation.now - began if ended and not _went_back(simulation) else None
        waits = next((note for _, _, note in simulation.told[told:] if note.startswith("OutsideWindow")), "")
        found.append(StepOutlook(step, rate, lasts, _gates(step, looks), why if lasts is None else "", waits))
        attempt = simulation.rollout.status.attempt
        rollback = attempt.rollback if attempt else None
        if rollback:
            found[-1] = replace(found[-1], why=f"would be rolled back, as {rollback.message}")
        # What a gate breaks now it breaks in each step: once is enough.
        is_final = rollback is not None and rollback.cause is not Cause.DEADLINE
        if is_final or (found[-1].lasts is None and not simulation.skip_step()):
            break
    return found


def _slack(step: Step) -> timedelta:
    return LEAP * step.min_duration + timedelta(minutes=1)


def _is_over(simulation: Simulation, step: Step) -> bool:
    return _is_past(simulation, step) or _went_back(simulation) or _missed_deadline(simulation)


def _missed_deadline(simulation: Simulation) -> bool:
    return simulation.standstill is not None and simulation.standstill.reason == "DeadlineExceeded"


def _went_back(simulation: Simulation) -> bool:
    attempt = simulation.rollout.status.attempt
    return attempt is not None and attempt.rollback is not None


def _is_past(simulation: Simulation, step: Step) -> bool:
    attempt = simulation.rollout.status.attempt
    return attempt is not None and (attempt.stage, attempt.step) != (step.stage, step.index)


def _gates(step: Step, looks: list[Look]) -> tuple[GateOutlook, ...]:
    found = []
    for index, gate in enumerate(step.gates):
        seen = [(look.lasted, look.gates[index]) for look in looks]
        first = next(((lasted, one) for lasted, one in seen if one.verdict is Verdict.PASS), None)
        last = seen[-1][1].message if seen else "no look was taken"
        if first is None:
            found.append(GateOutlook(gate.name, None, None, last))
        else:
            found.append(GateOutlook(gate.name, first[0], first[1].samples, first[1].message))
    return tuple(found)
