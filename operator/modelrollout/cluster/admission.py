"""Whether admission keeps messages to their writers' names: by the policy that the chart installs, looked at anew now and then."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from modelrollout.cluster.server import ApiServer, Resource
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

log = structlog.get_logger(__name__)

GROUP = "admissionregistration.k8s.io"
POLICIES = Resource(GROUP, "v1", "validatingadmissionpolicies")
BINDINGS = Resource(GROUP, "v1", "validatingadmissionpolicybindings")
NAMESPACE_NAME = "kubernetes.io/metadata.name"
EVERY = 15.0
AGAIN_AFTER_PROBLEM = 5.0
TAKES_EFFECT = timedelta(seconds=5)
"""API servers take up a changed policy after a second or so."""


class Admission:
    """Looks at a policy and the binding of the same name. What cannot be seen is not relied on."""

    def __init__(self, server: ApiServer, name: str, namespaces: Sequence[str]) -> None:
        self._server = server
        self._name = name
        self._namespaces = namespaces
        self._since: datetime | None = None
        self._problem = ""

    @property
    def names_bound_since(self) -> datetime | None:
        """Since when names are bound to who writes, by the API server's clock; `None` where they are not."""
        return self._since

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(AGAIN_AFTER_PROBLEM if self._problem else EVERY)

    async def look(self) -> None:
        """Take note of how policy and binding stand."""
        try:
            policy = await self._server.get(POLICIES, None, self._name)
            binding = await self._server.get(BINDINGS, None, self._name)
        except (Conflict, Gone, Refused, Unavailable) as error:
            problem: str | None = f"cannot be read: {error}"
        else:
            problem = gap_in(policy, binding, self._namespaces)
        if problem:
            self._since = None
        else:
            self._since = max(_changed_at(policy), _changed_at(binding)) + TAKES_EFFECT
        if problem and problem != self._problem:
            log.warning("admission does not bind names: commands count as unverified", policy=self._name, why=problem)
        self._problem = problem or ""


def gap_in(policy: Mapping[str, Any], binding: Mapping[str, Any], namespaces: Sequence[str]) -> str | None:
    """Return what lets an unchecked write through, `None` where nothing does. No `namespaces` are all of them."""
    spec = binding["spec"]
    if policy["spec"].get("failurePolicy", "Fail") != "Fail":
        return "the policy's failurePolicy is not Fail"
    if spec.get("policyName") != policy["metadata"]["name"]:
        return f"the binding is of policy {spec.get('policyName')}"
    if "Deny" not in spec.get("validationActions", ()):
        return "the binding does not deny"
    match = {key: value for key, value in (spec.get("matchResources") or {}).items() if value and key != "matchPolicy"}
    if not match:
        return None
    if match.keys() != {"namespaceSelector"} or not _selects(match["namespaceSelector"], namespaces):
        return "the binding leaves out what is watched"
    return None


def _selects(selector: Mapping[str, Any], namespaces: Sequence[str]) -> bool:
    match selector:
        case {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]} if len(selector) == 1:
            return key == NAMESPACE_NAME and bool(namespaces) and set(namespaces) <= set(values)
        case _:
            return False


def _changed_at(obj: Mapping[str, Any]) -> datetime:
    """Return when the object was made or last changed, its status aside."""
    metadata = obj["metadata"]
    entries = metadata.get("managedFields") or ()
    times = [entry["time"] for entry in entries if "time" in entry and not entry.get("subresource")]
    return max(datetime.fromisoformat(time).astimezone(UTC) for time in (metadata["creationTimestamp"], *times))
