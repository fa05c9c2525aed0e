"""How gates are taken, whatever they measure: words that a user chooses among."""

from enum import StrEnum


class PromoteOn(StrEnum):
    """What lets a gate on counted requests pass."""

    EVIDENCE = "Evidence"
    NO_BREACH = "NoBreach"
