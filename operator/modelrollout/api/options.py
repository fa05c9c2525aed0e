"""How gates are taken, whatever they measure: words that a user chooses among."""

from enum import StrEnum


class PromoteOn(StrEnum):
    """What lets a gate on counted requests pass."""

    EVIDENCE = "Evidence"
    NO_BREACH = "NoBreach"


class Severity(StrEnum):
    """How bad a gate's failure is."""

    WARNING = "warning"
    CRITICAL = "critical"
    SAFETY = "safety"


class GateClass(StrEnum):
    """What a gate looks after."""

    INFRASTRUCTURE = "infrastructure"
    MODEL = "model"
    BUSINESS = "business"


class GateEffect(StrEnum):
    """What a gate does that is more, or less, than to roll back or hold."""

    WARNS = "Warns"
    RECORDS = "Records"
    JOINS = "Joins"
    STOPS = "Stops"

    @property
    def acts(self) -> bool:
        """Whether it rolls back, holds, and is waited for."""
        return self is GateEffect.STOPS
