"""Writes the account of an attempt: before a weight grows, and after each look at the route that shows something new.

Nothing is remembered that cannot be read again: of a rollout's record only where it stands.
"""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from modelrollout.api.crd import GROUP, RECORD_KIND, VERSION
from modelrollout.api.fields import parse_time
from modelrollout.api.record import MAX_SEGMENTS, RecordSpec, Segment
from modelrollout.api.rollout import Owner
from modelrollout.api.status import Attempt, Cause, HeldStatus
from modelrollout.core.case import Case, Mark, Observed
from modelrollout.core.chain import hash_of
from modelrollout.core.notices import Recorded
from modelrollout.core.opening import spec_of
from modelrollout.core.projection import Decision
from modelrollout.core.recall import attempts_newest_first
from modelrollout.core.record import (
    MAX_BYTES,
    NAME_LABEL,
    UID_LABEL,
    Decided,
    Spans,
    Standing,
    continuation_name,
    found_shares,
    grows,
    hold_of,
    intent_of,
    is_recorded,
    segment_due,
    segment_of_return,
    shares_by_version,
    standing_of,
)
from modelrollout.core.rollout import Rollout
from modelrollout.core.traffic import Blocked, Routed, Shares
from modelrollout.engine.memory import Notes
from modelrollout.engine.ports import Announcer, Conflict, Gone, Records, Refused, Unavailable

log = structlog.get_logger(__name__)

TRIES_AT_ONCE = 3
TRIES_BEFORE_A_HOLD = 3
"""How often in a row an API server that is away puts a growth off, before people are told."""


class _Whose(NamedTuple):
    """The rollout that a record speaks of; it may be gone."""

    namespace: str
    name: str
    uid: str
    owner: Owner | None


class Recorder:
    """Keeps the records of all rollouts up to date. Its methods may raise the engine's four errors where they say so."""

    def __init__(self, records: Records, announcer: Announcer | None = None) -> None:
        self._records = records
        self._announcer = announcer

    async def catch_up(
        self, rollout: Rollout, seen: Observed, notes: Notes, now: datetime, *, ended: Attempt | None = None
    ) -> Mark | None:
        """Write down what is seen, if it is not yet; return where it stands, `None` where there is no record.

        `rollout` is as it was when the route was seen, `ended` its attempt as it is by now.

        Raises:
            Conflict, Gone, Refused, Unavailable: as the API server says.
        """
        attempt = rollout.status.attempt
        if attempt is None or attempt.record is None:
            return None
        is_same = ended is not None and ended.number == attempt.number
        outcome = ended.outcome if ended and is_same else attempt.outcome
        if outcome == attempt.outcome and (known := is_recorded(rollout, seen)):
            return known
        if isinstance(seen.route, Blocked):
            return None
        for _ in range(TRIES_AT_ONCE):
            standing = await self._standing(rollout, attempt, notes, seen, now)
            segment = segment_due(rollout, seen, standing, now, outcome=outcome)
            if segment is None:
                return Mark(standing.name, standing.count - 1 if standing.count else None)
            try:
                standing = await self._add(rollout, notes, standing, segment)
            except (Conflict, Gone):
                continue  # Another operator was faster, or what is remembered is old.
            return Mark(standing.name, standing.count - 1)
        raise Conflict(f"record {attempt.record} changes faster than it can be written")

    async def confirm(self, rollout: Rollout, decision: Decision) -> dict[str, Any] | None:
        """See that the rollout is still what an attempt was decided to begin on; return it where that was asked.

        Decided on a list from before a restart, it may be an attempt that is over: it must leave no record.

        Raises:
            Conflict: it is not.
            Gone, Refused, Unavailable: as the API server says.
        """
        before, after = rollout.status.attempt, decision.status.attempt
        if after is not None and (before is None or before.number != after.number):
            return await self._records.confirm_rollout(rollout.namespace, rollout.name, rollout.guard)
        return None

    async def announce(self, case: Case, decision: Decision, notes: Notes) -> None:
        """Have it written down that the candidate is given more, before it is.

        Raises:
            Conflict, Gone, Refused, Unavailable: it cannot be, so it must not happen.
        """
        after = replace(case.rollout, status=decision.status)
        attempt = after.status.attempt
        shares = decision.write.shares if decision.write else None
        if attempt is None or attempt.record is None or not grows(case, decision.verb, shares):
            return
        before = case.rollout.status.attempt
        intent = intent_of(case, after, decision.verb)
        for _ in range(TRIES_AT_ONCE):
            standing = notes.standing
            if standing is None or not _is_part_of(standing, attempt.record):
                found = found_shares(case.rollout, case.seen)
                standing = await self._ensure(
                    after, attempt, found, case.now, case.seen.names_bound_since, before=before
                )
            notes.standing = standing
            if intent is None or (intent.since, intent.cause) in _known_to(standing):
                return
            try:
                await self._set(after, notes, replace(standing, intent=intent), {"intent": intent.render()})
            except (Conflict, Gone):
                continue
            return
        raise Conflict(f"record {attempt.record} changes faster than it can be written")

    async def note_hold(
        self, rollout: Rollout, seen: Observed, held: HeldStatus | None, notes: Notes, now: datetime
    ) -> None:
        """Have the record say that a person holds the attempt, or (`None`) no longer does: status may get lost.

        Raises:
            Conflict, Gone, Refused, Unavailable: as the API server says.
        """
        attempt, before = rollout.status.attempt, rollout.status.held
        hold = hold_of(held) if held else hold_of(before, until=now) if before else None
        if attempt is None or attempt.record is None or hold is None:
            return
        for _ in range(TRIES_AT_ONCE):
            standing = await self._standing(rollout, attempt, notes, seen, now)
            try:
                await self._set(rollout, notes, standing, {"held": hold.render()})
            except (Conflict, Gone):
                continue
            return
        raise Conflict(f"record {attempt.record} changes faster than it can be written")

    async def note_return(self, namespace: str, uid: str, kind: str, route: Routed, now: datetime) -> None:
        """Have the record of a rollout that was deleted in mid-attempt say that its traffic has gone back.

        Raises:
            Conflict, Gone, Refused, Unavailable: as the API server says.
        """
        for _ in range(TRIES_AT_ONCE):
            attempts = attempts_newest_first(await self._records.record_names(namespace, uid))
            if not attempts:
                return
            record = await self._records.get_record(namespace, attempts[0][-1])
            standing = _standing(record)
            segment = None if is_full(standing) else segment_of_return(record, standing, kind, route, now)
            if segment is None:
                return
            try:
                spec = RecordSpec.model_validate(record["spec"])
                whose = _Whose(namespace, spec.rollout.name, uid, spec.owner)
                await self._append(whose, standing, segment, {})
            except Conflict:
                continue
            return
        raise Conflict(f"the record of the rollout with uid {uid} changes faster than it can be written")

    async def _standing(
        self, rollout: Rollout, attempt: Attempt, notes: Notes, seen: Observed, now: datetime
    ) -> Standing:
        """Return where the record stands, with room for one more segment; it is made where it is missing."""
        standing = notes.standing
        if standing is None or is_full(standing) or not _is_part_of(standing, _name_in(attempt)):
            route = rollout.status.route
            known = Shares(route.candidate, route.mirror) if route else None
            found = shares_by_version(rollout, known) if known else found_shares(rollout, seen)
            notes.standing = standing = await self._ensure(rollout, attempt, found, now, seen.names_bound_since)
        return standing

    async def _ensure(
        self,
        rollout: Rollout,
        attempt: Attempt,
        found: Spans,
        now: datetime,
        bound_since: datetime | None,
        *,
        before: Attempt | None = None,
    ) -> Standing:
        """Return where the attempt's record stands, its last part; make it where there is none."""
        name = _name_in(attempt)
        spec = spec_of(rollout, attempt, found, now, before=before, bound_since=bound_since)
        is_new = attempt.applied_at is None and attempt.target.cause is Cause.STARTED
        standing = await (self._make(rollout, name, spec) if is_new else self._read_or_make(rollout, name, spec))
        while is_full(standing):
            spec = spec_of(rollout, attempt, standing.shares, now, continues=standing)
            earlier, name = standing, continuation_name(_name_in(attempt), standing.part + 1)
            standing = await self._read_or_make(rollout, name, spec)
            # What has been said in the parts before counts.
            standing = replace(
                standing,
                commands=standing.commands or earlier.commands,
                outcome=standing.outcome or earlier.outcome,
                known=standing.known or earlier.known,
                intent=standing.intent or earlier.intent,
            )
        return standing

    async def _read_or_make(self, rollout: Rollout, name: str, spec: RecordSpec) -> Standing:
        try:
            found = await self._records.get_record(rollout.namespace, name)
        except Gone:
            return await self._make(rollout, name, spec)
        standing = _standing(found)
        # Whoever wrote its last segment may have ended before anybody was told.
        if segments := (found.get("status") or {}).get("segments"):
            self._tell(_whose(rollout), standing, segments[-1], again=True)
        return standing

    async def _make(self, rollout: Rollout, name: str, spec: RecordSpec) -> Standing:
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": RECORD_KIND,
            "metadata": {
                "name": name,
                "namespace": rollout.namespace,
                # No ownerReference: the end of a rollout must not take its account along.
                "labels": {
                    "app.kubernetes.io/managed-by": "modelrollout",
                    NAME_LABEL: rollout.name,
                    UID_LABEL: rollout.uid,
                },
            },
            "spec": spec.render(),
        }
        try:
            made = await self._records.create_record(rollout.namespace, body)
        except Conflict:  # It is there: by a process that ended since, or by another one.
            made = await self._records.get_record(rollout.namespace, name)
        else:
            log.info("record created", record=name, spec_hash=hash_of(made["spec"]))
        return _standing(made)

    async def _add(self, rollout: Rollout, notes: Notes, standing: Standing, segment: Segment) -> Standing:
        fields: dict[str, Any] = {}
        if segment.outcome:
            fields = {"outcome": segment.outcome.value, "endedAt": segment.render()["confirmedAt"]}
        notes.standing = None  # Whatever comes of it, what was known is old.
        notes.standing = added = await self._append(_whose(rollout), standing, segment, fields)
        return added

    async def _append(self, whose: _Whose, standing: Standing, segment: Segment, fields: dict[str, Any]) -> Standing:
        sent = segment.render()
        stands = await self._records.extend_record(
            whose.namespace, standing.name, standing.guard, segment=sent, fields=fields
        )
        stored = stands["status"]["segments"]
        if len(stored) != standing.count + 1 or stored[-1] != sent:
            raise Refused(
                f"the API server did not keep segment {segment.seq} of record {standing.name} as it was sent: its CRD is"
                " older than this operator. Apply the CRDs that came with it"
            )
        added = replace(
            standing,
            guard=stands["metadata"]["resourceVersion"],
            count=standing.count + 1,
            size=standing.size + _size_of(sent),
            end=hash_of(sent),
            shares=tuple(segment.shares),
            since=segment.confirmed_at,
            commands=tuple(segment.commands),
            outcome=segment.outcome or standing.outcome,
            known=(segment.intent_at, segment.cause) if segment.intent_at else standing.known,
            intent=None,
        )
        self._tell(whose, added, sent)
        return added

    def _tell(self, whose: _Whose, standing: Standing, segment: dict[str, Any], *, again: bool = False) -> None:
        """Have a segment leave the cluster, as a line of the log and as what targets are told."""
        log.info("segment recorded", record=standing.name, hash=standing.end, **_told(segment), again=again)
        if self._announcer:
            told = Recorded(
                record=standing.name,
                hash=standing.end,
                at=parse_time(segment["confirmedAt"]),
                namespace=whose.namespace,
                name=whose.name,
                uid=whose.uid,
                segment=segment,
                owner=whose.owner,
            )
            self._announcer.announce(told)

    async def _set(self, rollout: Rollout, notes: Notes, standing: Standing, fields: dict[str, Any]) -> None:
        notes.standing = None  # Whatever comes of it, what was known is old.
        stands = await self._records.extend_record(
            rollout.namespace, standing.name, standing.guard, segment=None, fields=fields
        )
        notes.standing = replace(standing, guard=stands["metadata"]["resourceVersion"])


def _whose(rollout: Rollout) -> _Whose:
    return _Whose(rollout.namespace, rollout.name, rollout.uid, rollout.spec.owner if rollout.spec else None)


def _known_to(standing: Standing) -> set[Decided | None]:
    intent = standing.intent
    return {standing.known, (intent.since, intent.cause) if intent else None}


def hold_for(error: Refused | Unavailable, failures: int) -> Blocked | None:
    """Return why nothing may grow while a record cannot be written, `None` where it is worth a few tries first."""
    match error:
        case Unavailable() if failures < TRIES_BEFORE_A_HOLD:
            return None
        case Refused():
            remedy = "see to that"
        case _:
            remedy = "it goes on by itself when the API server takes it"
    return Blocked(
        "RecordUnavailable",
        f"the record of this attempt cannot be written, and no weight grows without one: {error}; {remedy}."
        " control.rollback works",
    )


def is_full(standing: Standing) -> bool:
    """Whether a record has no room for another segment."""
    return standing.count >= MAX_SEGMENTS or standing.size >= MAX_BYTES


def _standing(record: dict[str, Any]) -> Standing:
    segments = (record.get("status") or {}).get("segments") or []
    try:
        return standing_of(record, sum(map(_size_of, segments)))
    except ValueError as error:
        name = record["metadata"]["name"]
        raise Refused(f"record {name} cannot be read: {error}. Delete it, or apply a newer operator") from error


def _size_of(segment: dict[str, Any]) -> int:
    return len(json.dumps(segment))


def _name_in(attempt: Attempt) -> str:
    if attempt.record is None:
        raise ValueError("an attempt without a record")
    return attempt.record


def _is_part_of(standing: Standing, first: str) -> bool:
    return standing.name in {first, continuation_name(first, standing.part)}


def _told(segment: dict[str, Any]) -> dict[str, Any]:
    """Return a segment as a line of the log: complete, but for the gates' sentences."""
    gates = segment.get("gates", ())
    return {**segment, "gates": [{name: value for name, value in gate.items() if name != "message"} for gate in gates]}
