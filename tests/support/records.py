"""Records as the operator writes them, their chains sound, for tests that read them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modelrollout.api.fields import render_time
from modelrollout.core.chain import hash_of

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
Object = dict[str, Any]
OPERATOR = "modelrollout-operator"


def share(version: str, weight: float, mirror: int | None = None) -> Object:
    whole = int(weight) if weight == int(weight) else str(weight)
    return {
        "version": version,
        "digest": f"d-{version}",
        "weight": whole,
        **({"mirror": mirror} if mirror is not None else {}),
    }


def shares(weight: float, candidate: str = "v2", baseline: str = "v1") -> list[Object]:
    """The candidate's weight, and the rest for the baseline."""
    both = [share(baseline, 100 - weight), share(candidate, weight)]
    return [one for one in both if one["weight"] != 0]


def gate(name: str = "errors", verdict: str = "Pass", **fields: Any) -> Object:
    return {
        "name": name,
        "verdict": verdict,
        "reason": "EvidenceSuffices",
        "value": "0.2%",
        "limit": "1%",
        "samples": 4210,
        "bad": 9,
        "baselineSamples": 80112,
        "baselineBad": 140,
        "message": f"gate {name}: 9 of 4,210 requests were bad",
        **fields,
    }


def asked(command: str, actor: str, at: datetime, **fields: Any) -> Object:
    told = {"command": command, "actor": actor, "verified": True, "at": render_time(at), "result": "done"}
    return told | fields


def segment(after: Sequence[Object], at: datetime, *, took: float | None = 1.2, **fields: Any) -> Object:
    """A segment that is seen `took` seconds after it was decided, at `at`; `None` where no decision is known."""
    seen = at + timedelta(seconds=took or 0)
    return {
        "shares": list(after),
        **({"intentAt": render_time(at)} if took is not None else {}),
        "confirmedAt": render_time(seen),
        "route": {"kind": "HTTPRoute", "name": "fraud"},
        "stage": "canary",
        "step": 0,
        "cause": "GatesPassed",
        "actor": OPERATOR,
        "verified": False,
        "message": "",
        "gates": [],
        "commands": [],
        **fields,
    }


def record(
    *segments: Object,
    rollout: str = "fraud",
    namespace: str = "models",
    attempt: int = 1,
    decided: datetime = NOON,
    uid: str = "11111111-2222",
    part: int = 1,
    continues: Object | None = None,
    status: Object | None = None,
    **spec: Any,
) -> Object:
    """A stored record: `segments` get their numbers and hashes, status its outcome, from what they say."""
    name = f"{rollout}-{uid[:8]}-g{attempt}-{attempt}" + (f".{part}" if part > 1 else "")
    service = {"name": "fraud-v2", "port": 8080}
    body: Object = {
        "apiVersion": "modelrollout.dev/v1alpha1",
        "kind": "ModelRolloutRecord",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": render_time(decided),
            "labels": {"modelrollout.dev/rollout": rollout, "modelrollout.dev/rollout-uid": uid},
        },
        "spec": {
            "rollout": {"name": rollout, "uid": uid, "generation": attempt},
            "attempt": attempt,
            "part": part,
            **({"continues": continues} if continues else {}),
            "decidedAt": render_time(decided),
            "specDigest": "d",
            "baseline": {"version": "v1", "digest": "d-v1", "service": service},
            "candidate": {"version": "v2", "digest": "d-v2", "service": service},
            "trigger": {"cause": "NewCandidate", "verified": False},
            "found": shares(0),
            **spec,
        },
    }
    stored = chained(body["spec"], segments)
    ends = [one for one in stored if one.get("outcome")]
    ended = {"outcome": ends[-1]["outcome"], "endedAt": ends[-1]["confirmedAt"]} if ends else {}
    return body | {"status": {"segments": stored, **ended, **(status or {})}}


def chained(spec: Mapping[str, Any], segments: Sequence[Object]) -> list[Object]:
    """Segments with their numbers, and each with the hash of what stands before it."""
    found: list[Object] = []
    for seq, one in enumerate(segments):
        found.append({"seq": seq, **one, "previous": hash_of(found[-1] if found else spec)})
    return found


def promoted(*, decided: datetime = NOON, hours: float = 1, commands: Sequence[Object] = (), **fields: Any) -> Object:
    """A record of an attempt that went by 5 and 50 to 100 % and was promoted."""
    candidate = fields.get("candidate", {"version": "v2"})["version"]
    baseline = fields.get("baseline", {"version": "v1"})["version"]
    step = timedelta(hours=hours)

    def at(weight: float) -> list[Object]:
        return shares(weight, candidate, baseline)

    return record(
        segment(at(5), decided, cause="Started", message="attempt 1 has started"),
        segment(at(50), decided + step, step=1, gates=[gate()], commands=list(commands)),
        segment(at(100), decided + 2 * step, stage="full", gates=[gate(), gate("latency")]),
        segment(at(100), decided + 3 * step, took=None, stage="full", cause="Promoted", outcome="Promoted"),
        decided=decided,
        **fields,
    )


def rolled_back(
    *, decided: datetime = NOON, took: float | None = 2.4, commands: Sequence[Object] = (), **fields: Any
) -> Object:
    """A record of an attempt whose gate failed at 5 %."""
    candidate = fields.get("candidate", {"version": "v2"})["version"]
    baseline = fields.get("baseline", {"version": "v1"})["version"]
    failed = gate(
        verdict="Fail", reason="LimitExceeded", value="4.1%", bad=172, message="172 of 4,210 requests were bad"
    )
    return record(
        segment(shares(5, candidate, baseline), decided, cause="Started", message="attempt 1 has started"),
        segment(
            shares(0, candidate, baseline),
            decided + timedelta(minutes=20),
            took=took,
            cause="GateFailed",
            message="gate errors: 4.1% of 4,210 requests were bad, 1% is allowed",
            gates=[failed],
            commands=list(commands),
            outcome="RolledBack",
        ),
        decided=decided,
        **fields,
    )


def version(name: str) -> Object:
    return {"version": name, "digest": f"d-{name}", "service": {"name": "fraud-v2", "port": 8080}}
