"""The drill: the way back is rehearsed for real, timed, before an attempt gives its candidate the first live requests.

An attempt on a drill has a target of cause Drill: first shares that hurt nobody (copies, or 1% at most), then none. The
second of these is the very write that a rollback makes. A shadow that is over needs no way out: it is out already.

While the candidate bakes with everything it may be rehearsed again every so often (`drill.every`): 1% goes to the baseline,
which is timed, and comes home. Clock and evidence of the step go on.
"""

from datetime import timedelta

from modelrollout.api.fields import ALL, NONE, Percent, render_duration
from modelrollout.api.status import Attempt, Cause, Command, DrillStatus
from modelrollout.core.case import Case
from modelrollout.core.consents import lacks_consent
from modelrollout.core.plan import StageKind, Step
from modelrollout.core.preconditions import hold_for_backends
from modelrollout.core.traffic import BASELINE_ONLY, Endpoints, Shares
from modelrollout.core.verbs import Drill, Go, Hold, Verb, Wait
from modelrollout.core.wording import step_text

SMALLEST = Percent(100)
TO_BASELINE = Shares(Percent(ALL.hundredths - SMALLEST.hundredths), NONE)
"""What the candidate has while it bakes and the way back is rehearsed."""
DRILL_WITHIN = timedelta(seconds=30)


def needs_drill(case: Case, step: Step) -> bool:
    """Whether the way back has to be rehearsed before the candidate gets this step's shares."""
    spec, attempt = case.spec, case.attempt
    baseline = attempt.baseline if attempt else case.serving
    if spec.rollback.drill is None or baseline is None or step.shares.candidate == NONE:
        return False
    is_out = attempt is not None and attempt.target.cause is Cause.DRILL and attempt.applied_at is None
    is_live = attempt is not None and case.target.candidate > NONE and not is_out
    return not is_live and not (attempt and attempt.drill and attempt.drill.ok)


def way_out(step: Step) -> Shares:
    """Return shares that hurt nobody, to go back from: copies, or the smallest weight."""
    return Shares(min(step.shares.candidate, SMALLEST), NONE) if step.shares.candidate > NONE else step.shares


def drill_before(case: Case, step: Step, cause: Cause) -> Drill | None:
    """Return the drill that has to come before a step of live requests, `None` where none has to."""
    if not needs_drill(case, step):
        return None
    if case.step and case.step.shares.mirror > NONE and case.target == case.step.shares:
        return Drill(case.step, BASELINE_ONLY, cause, f"rehearses the way back before {step_text(step)}: mirror off")
    return Drill(step, way_out(step), cause, f"rehearses the way back before {step_text(step)}")


def turn_back(case: Case) -> Verb | None:
    """A drill that is out goes back, whoever holds: this is the part that is timed."""
    attempt = case.attempt
    if attempt is None or case.step is None or not is_on_drill(attempt) or case.target == BASELINE_ONLY:
        return None
    if is_baking(case):
        return _come_home(case, attempt, case.step)
    return Drill(case.step, BASELINE_ONLY, Cause.DRILL, "rehearses the way back: baseline 100, mirror off")


def _come_home(case: Case, attempt: Attempt, step: Step) -> Verb | None:
    if case.target == step.shares:
        return None
    if attempt.drill and attempt.drill.took is None:
        return Wait("Applying", "the way back has reached the route", until=case.now)
    return Drill(step, step.shares, Cause.DRILL, "the way back is rehearsed: the candidate has everything again")


def rehearse_again(case: Case) -> Verb | None:
    """While the candidate bakes with everything, its way back is rehearsed every so often, where the plan says so."""
    attempt, step, given = case.attempt, case.step, case.spec.rollback.drill
    if attempt is None or step is None or not (given and given.every) or attempt.baseline is None:
        return None
    if not is_baking(case) or attempt.applied_at is None or case.seen.baseline is not Endpoints.READY:
        return None  # RollbackReady says that the baseline has no pods.
    last = attempt.drill.at if attempt.drill and attempt.drill.at else attempt.applied_at
    if case.now < max(last, attempt.applied_at) + given.every:
        return None
    return Drill(step, TO_BASELINE, Cause.DRILL, "rehearses the way back: 1% goes to the baseline, and comes home")


def is_baking(case: Case) -> bool:
    """Whether the candidate has had everything for a while, as far as spec can be read."""
    if case.rollout.spec is None or case.attempt is None or case.attempt.applied_at is None:
        return False
    return case.step is not None and case.step.kind is StageKind.FULL


def go_on_after_drill(case: Case) -> Verb | None:
    """A drill that is over leads on, if the way back was fast enough; else a person decides."""
    attempt = case.attempt
    if attempt is None or case.step is None or not is_on_drill(attempt):
        return None
    drill = attempt.drill
    if is_baking(case) and (drill is None or drill.ok):
        return None
    if drill is None:
        return Drill(case.step, way_out(case.step), Cause.DRILL, "rehearses the way back")
    if drill.ok is None or drill.took is None:
        return Wait("Applying", "the way back has reached the route", until=case.now)
    step = case.step if case.step.shares.candidate > NONE else (case.plan.after(case.step) or case.step)
    if not drill.ok:
        if Command.RESUME in case.taken:
            out = TO_BASELINE if is_baking(case) else way_out(case.step)
            return Drill(case.step, out, Cause.DRILL, "rehearses the way back again")
        within = render_duration(within_of(case))
        return Hold(
            "DrillFailed",
            f"the way back took {render_duration(drill.took)} to reach the route, rollback.drill.within is {within}: find out"
            " what was slow, then control.resume rehearses it again",
        )
    if blocked := hold_for_backends(case) or lacks_consent(case, step):
        return blocked
    return Go(step, Cause.REHEARSED, f"the way back took {render_duration(drill.took)}: goes on to {step_text(step)}")


def is_on_drill(attempt: Attempt) -> bool:
    """Whether the target is of a drill, on its way or over."""
    return attempt.target.cause is Cause.DRILL and attempt.rollback is None


def within_of(case: Case) -> timedelta:
    """Return how long the way back may take."""
    given = case.spec.rollback.drill if case.rollout.spec else None
    return given.within if given and given.within is not None else DRILL_WITHIN


def drill_after(case: Case, attempt: Attempt, *, is_applied: bool) -> DrillStatus | None:
    """Return what is known of the drill after a pass: the way back is over when it was read back."""
    drill = attempt.drill
    way_back = TO_BASELINE if is_baking(case) else BASELINE_ONLY
    if not (drill and drill.at is None and is_applied and is_on_drill(attempt) and case.target == way_back):
        return drill
    took = max(timedelta(0), case.now - drill.since)
    return drill.model_copy(update={"at": case.now, "took": took, "ok": took <= within_of(case)})
