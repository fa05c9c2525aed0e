"""What an act has shown: expectations met or not, and the numbers of the summary. Pure."""

from dataclasses import dataclass, field

from local.demo.measure import StepMeasured
from local.load import Snapshot


@dataclass(frozen=True)
class Check:
    """One thing that an act should show, whether it did, and the numbers."""

    expectation: str
    is_met: bool
    found: str = ""


@dataclass(frozen=True)
class Figure:
    """A number worth remembering."""

    what: str
    value: str


@dataclass
class Outcome:
    """What one act has shown so far."""

    title: str
    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    steps: list[StepMeasured] = field(default_factory=list)
    users: Snapshot | None = None
    """What users got during the act; `None` if it was not reached."""

    def expect(self, expectation: str, *, is_met: bool, found: str = "") -> None:
        """Note whether something is as it should be."""
        self.checks.append(Check(expectation, is_met, found))

    @property
    def is_good(self) -> bool:
        """Whether the act was played to its end and everything was as it should be."""
        return self.users is not None and bool(self.checks) and all(check.is_met for check in self.checks)


def expect_shares(outcome: Outcome, steps: list[StepMeasured]) -> None:
    """Note whether users got what was wanted in each of these steps."""
    for step in steps:
        name = f"{step.stage} of {step.candidate}"
        if step.wanted.mirror:
            outcome.expect(
                f"{name}: it got its copies, and users got none of its answers",
                is_met=step.is_as_wanted and step.are_copies_as_wanted,
                found=f"{step.copies} copies of {step.sent} requests answered, {step.of_candidate} of them to users",
            )
        else:
            outcome.expect(
                f"{name}: users got {step.wanted.candidate:g}% of their answers from it",
                is_met=step.is_as_wanted,
                found=f"{step.share:.1f}% of {step.answers}, allowed ±{step.tolerance:.1f}",
            )


def expect_no_errors(outcome: Outcome, users: Snapshot) -> None:
    """Note whether every request of the act was answered well."""
    found = f"{users.errors} errors in {users.answers.total()} answers"
    outcome.expect("users saw no error", is_met=users.errors == 0 and users.answers.total() > 0, found=found)
