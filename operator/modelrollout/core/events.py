"""What people are told with `kubectl describe`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a rollout; posted on transitions only.

    `reason` and `action` are CamelCase words, `note` is a sentence of at most 1,000 characters.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    note: str
