"""A `ModelRollout` as the core sees it: parsed once, garbage set aside and named."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from pydantic import ValidationError

from modelrollout.api.fields import Model
from modelrollout.api.options import GateClass
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import ModelRolloutStatus, VersionStatus
from modelrollout.api.traffic import Traffic
from modelrollout.core.actors import Hand, editing_hand, hands_in
from modelrollout.core.flaws import absent_classes, flaw_of
from modelrollout.core.plan import Plan, Policy, identity_of, plan_of, policy_of
from modelrollout.core.traffic import Blocked
from modelrollout.core.windows import Calendar

M = TypeVar("M", bound=Model)
EDITED_BY = "modelrollout.dev/edited-by"
"""Annotation that says who edited spec last: as true as what stamps it, see docs/people.md."""


class _OfSpec:
    """What follows from spec alone, made once for all versions of the object that have this spec."""

    def __init__(self, spec: ModelRolloutSpec) -> None:
        self._spec = spec
        self._plans: dict[bool, Plan] = {}

    def plan(self, *, has_baseline: bool) -> Plan:
        if has_baseline not in self._plans:
            self._plans[has_baseline] = plan_of(self._spec, has_baseline=has_baseline)
        return self._plans[has_baseline]

    @cached_property
    def policy(self) -> Policy:
        return policy_of(self._spec)

    @cached_property
    def calendar(self) -> Calendar | None:
        return Calendar(self._spec.windows) if self._spec.windows else None

    @cached_property
    def flaw(self) -> Blocked | None:
        return (self.calendar and self.calendar.problem) or flaw_of(self._spec, self.plan(has_baseline=True))

    @cached_property
    def absent_classes(self) -> tuple[GateClass, ...]:
        return absent_classes(self.plan(has_baseline=True))

    @cached_property
    def candidate(self) -> VersionStatus:
        return identity_of(self._spec.candidate)

    @cached_property
    def baseline(self) -> VersionStatus | None:
        return identity_of(self._spec.baseline) if self._spec.baseline else None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One object of kind ModelRollout.

    `spec` is `None` where it cannot be read, and `problem` says why; `traffic` is read on its own, so that a
    rollback works under a spec that does not. `ignored` names the parts of status that could not be read. `editor`
    edited spec last, `None` where nothing says so, with the client `edit_hand`. `hands` says who wrote the messages that wait, by command.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    guard: str
    spec: ModelRolloutSpec | None
    problem: str
    traffic: Traffic | None
    status: ModelRolloutStatus
    ignored: tuple[str, ...] = ()
    editor: str | None = None
    edit_hand: Hand | None = None
    hands: Mapping[str, Hand] = field(default_factory=dict)
    _of_spec: _OfSpec | None = field(default=None, compare=False, repr=False)

    def plan(self, *, has_baseline: bool) -> Plan:
        """Return the plan in effect.

        Raises:
            ValueError: spec cannot be read.
        """
        return self._read.plan(has_baseline=has_baseline)

    @property
    def policy(self) -> Policy:
        """The policy in effect.

        Raises:
            ValueError: spec cannot be read.
        """
        return self._read.policy

    @property
    def calendar(self) -> Calendar | None:
        """The windows in which weights may grow, `None` where spec has none, or cannot be read."""
        return self._of_spec.calendar if self._of_spec else None

    @property
    def flaw(self) -> Blocked | None:
        """What is wrong with the plan's gates or windows, `None` where nothing is, or spec cannot be read."""
        return self._of_spec.flaw if self._of_spec else None

    @property
    def absent_classes(self) -> tuple[GateClass, ...]:
        """The classes of which the plan has no gate that acts."""
        return self._of_spec.absent_classes if self._of_spec else ()

    @property
    def wanted(self) -> VersionStatus | None:
        """The candidate that spec asks for, `None` where spec cannot be read."""
        return self._of_spec.candidate if self._of_spec else None

    @property
    def given_baseline(self) -> VersionStatus | None:
        """The baseline that spec names, `None` where it names none, or cannot be read."""
        return self._of_spec.baseline if self._of_spec else None

    @property
    def _read(self) -> _OfSpec:
        if self._of_spec is None:
            raise ValueError(self.problem)
        return self._of_spec


def parse_rollout(obj: Mapping[str, Any], known: Rollout | None = None) -> Rollout:
    """Return the object parsed; never raises for what stands in spec or status.

    `known` is an earlier version of it: one of the same generation has the same spec, which is not read again.
    """
    metadata = obj["metadata"]
    status, ignored = _parse_status(obj.get("status"))
    if known and known.uid == metadata["uid"] and known.generation == metadata.get("generation"):
        return replace(
            known,
            guard=metadata["resourceVersion"],
            status=status,
            ignored=ignored,
            editor=_editor_in(metadata),
            hands=hands_in(obj),
        )
    raw_spec = obj.get("spec")
    spec, problem = _parse(ModelRolloutSpec, raw_spec)
    traffic = (
        spec.traffic if spec else _parse(Traffic, raw_spec.get("traffic") if isinstance(raw_spec, dict) else None)[0]
    )
    return Rollout(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        guard=metadata["resourceVersion"],
        spec=spec,
        problem=problem,
        traffic=traffic,
        status=status,
        ignored=ignored,
        editor=_editor_in(metadata),
        edit_hand=editing_hand(obj),
        hands=hands_in(obj),
        _of_spec=_OfSpec(spec) if spec else None,
    )


def _editor_in(metadata: Mapping[str, Any]) -> str | None:
    return (metadata.get("annotations") or {}).get(EDITED_BY) or None


def _parse(model: type[M], raw: object) -> tuple[M | None, str]:
    try:
        return model.model_validate(raw), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return None, f"spec.{where}: {first['msg']}"


def _parse_status(raw: object) -> tuple[ModelRolloutStatus, tuple[str, ...]]:
    """Read status, and where that fails each part on its own: garbage in one does not cost the others."""
    if not isinstance(raw, Mapping):
        return ModelRolloutStatus(), ("status",) if raw else ()
    try:
        return ModelRolloutStatus.model_validate(raw), ()
    except (ValidationError, OverflowError):  # The latter: a time that UTC has no year for.
        pass
    kept: dict[str, Any] = {}
    ignored = []
    for key, value in raw.items():
        try:
            ModelRolloutStatus.model_validate({key: value})
        except (ValidationError, OverflowError):
            ignored.append(key)
        else:
            kept[key] = value
    return ModelRolloutStatus.model_validate(kept), tuple(sorted(ignored))
