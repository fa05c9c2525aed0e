"""What gateways say of a route, read from `status.parents`."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelrollout.core.traffic import Acceptance

_NEEDED = {"Accepted": "True", "ResolvedRefs": "True"}
_HARMFUL = {"PartiallyInvalid": "True"}


def acceptance_of(route: Mapping[str, Any]) -> tuple[Acceptance, str]:
    """Return what the gateways of the route's parentRefs say of it as it stands now.

    Every parent has to have said so of this generation; of two gateways that disagree the bad news counts. It is
    no proof that traffic follows: there is no condition for that.
    """
    waiting = False
    for parent in route["spec"].get("parentRefs") or []:
        said = [entry for entry in _statuses(route) if _same_parent(entry["parentRef"], parent, route)]
        waiting |= not said
        for entry in said:
            match _acceptance_by(entry, route["metadata"].get("generation", 0)):
                case Acceptance.REJECTED, detail:
                    return Acceptance.REJECTED, f"Gateway {parent.get('name')} says {detail}"
                case Acceptance.WAITING, _:
                    waiting = True
                case _:
                    pass
    return (Acceptance.WAITING, "no gateway has answered yet") if waiting else (Acceptance.ACCEPTED, "")


def _statuses(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (route.get("status") or {}).get("parents") or []


def _acceptance_by(entry: Mapping[str, Any], generation: int) -> tuple[Acceptance, str]:
    conditions = {condition["type"]: condition for condition in entry.get("conditions") or []}
    current = {
        name: condition
        for name, condition in conditions.items()
        if condition.get("observedGeneration", generation) >= generation
    }
    for name, condition in current.items():
        bad = name in _NEEDED and condition["status"] == "False"
        if bad or (name in _HARMFUL and condition["status"] == _HARMFUL[name]):
            return Acceptance.REJECTED, f"{condition.get('reason', name)}: {condition.get('message', '')}"[:300]
    known = all(current.get(name, {}).get("status") == status for name, status in _NEEDED.items())
    return (Acceptance.ACCEPTED, "") if known else (Acceptance.WAITING, "")


def _same_parent(said: Mapping[str, Any], asked: Mapping[str, Any], route: Mapping[str, Any]) -> bool:
    namespace = route["metadata"].get("namespace")
    return (
        said.get("name") == asked.get("name")
        and said.get("kind", "Gateway") == asked.get("kind", "Gateway")
        and said.get("namespace", namespace) == asked.get("namespace", namespace)
        and said.get("sectionName") == asked.get("sectionName")
        and said.get("port") == asked.get("port")
    )
