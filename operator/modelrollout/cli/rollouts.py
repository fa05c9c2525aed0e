"""The cluster's rollouts, as the user may see and ask of them; every refusal is a sentence with its remedy."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from modelrollout.cli.exits import Problem
from modelrollout.cli.session import Session
from modelrollout.cluster.failures import Caller
from modelrollout.cluster.kubernetes import ROLLOUTS
from modelrollout.cluster.server import Resource
from modelrollout.cluster.user import Home, connect_as_user
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

Object = dict[str, Any]
NAME_LIMIT = 3
"""Seconds that the question for one's own name may take."""

REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews")

CALLER = Caller(
    field_manager="kubectl-modelrollout",
    subject="you",
    remedy="ask the administrator for a role that lets you, such as the chart's modelrollout-oncall",
)


class Rollouts:
    """Reads and asks. `home` is the namespace of names, `namespace` that of lists: `None` for all."""

    def __init__(self, session: Session, home: Home) -> None:
        self._session = session
        self.server = home.server
        self.home = session.namespace or home.namespace
        self.namespace = None if session.all_namespaces else self.home

    async def log_in_again(self) -> None:
        """Read the kubeconfig anew: tokens of a cloud last for minutes, and a watch for hours.

        Raises:
            Unavailable: it names no cluster any more.
        """
        old, self.server = self.server, (await _connect(self._session)).server
        await old.close()

    async def own_name(self) -> str | None:
        """Return the user's name as the API server has it, `None` where it does not say."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            async with asyncio.timeout(NAME_LIMIT):
                answer = await self.server.create(REVIEWS, None, review)
        except (Conflict, Gone, Refused, Unavailable, TimeoutError):
            return None  # A rollback does not wait for a name.
        name = answer.get("status", {}).get("userInfo", {}).get("username")
        return name if isinstance(name, str) else None

    async def get(self, name: str) -> Object:
        """Return one rollout of the namespace at home."""
        return await self.server.get(ROLLOUTS, self.home, name)

    async def list(self, name: str | None = None) -> tuple[list[Object], str]:
        """Return all rollouts (or that one, if it is there), and as of which resourceVersion that is so."""
        namespace = self.home if name else self.namespace
        found: list[Object] = []
        version = ""
        async for page in self.server.pages(ROLLOUTS, namespace, name):
            found += page["items"]
            version = page["metadata"]["resourceVersion"]
        return found, version

    async def patch_status(self, name: str, status: Mapping[str, Any], *, guard: str | None = None) -> Object:
        """Merge something into the status of one rollout, as a person may; return it as it is then.

        Raises:
            Conflict: it is not at resourceVersion `guard` any more.
        """
        body: Object = {"status": dict(status), **({"metadata": {"resourceVersion": guard}} if guard else {})}
        return await self.server.patch(ROLLOUTS, self.home, name, body, subresource="status", strict=True)


@asynccontextmanager
async def rollouts_of(session: Session) -> AsyncIterator[Rollouts]:
    """Give the rollouts of the session's cluster. The engine's errors within the block become what the user is told.

    Raises:
        Problem: there is no cluster, or it refused something.
    """
    try:
        rollouts = Rollouts(session, await _connect(session))
    except Unavailable as error:
        raise Problem(str(error)) from error
    try:
        yield rollouts
    except (Conflict, Gone, Refused, Unavailable) as error:
        raise Problem(await _sentence(rollouts, error)) from error
    finally:
        await rollouts.server.close()


async def _connect(session: Session) -> Home:
    return await connect_as_user(session.kubeconfig, session.context, caller=CALLER, call_limit=session.call_limit)


async def _sentence(rollouts: Rollouts, error: Exception) -> str:
    match error:
        case Unavailable() if str(error).startswith("401"):
            return f"the cluster does not know you any more: log in again, then repeat the command ({error})"
        case Unavailable():
            return f"{error}: `kubectl cluster-info` shows whether the cluster answers, --context picks another"
        case Gone():
            return await _what_is_missing(rollouts, error)
        case Conflict():
            return f"somebody else changed it at the same moment: repeat the command ({error})"
        case _:
            return str(error)


async def _what_is_missing(rollouts: Rollouts, error: Exception) -> str:
    try:
        kinds = await rollouts.server.served(ROLLOUTS.group, ROLLOUTS.version)
    except (Refused, Unavailable):
        return str(error)
    if ROLLOUTS.plural not in kinds:
        return (
            f"this cluster has no {ROLLOUTS.plural}.{ROLLOUTS.group}: install the operator's chart, or apply its crds/,"
            " or pick another cluster with --context"
        )
    return f"{error} in namespace {rollouts.home}: `kubectl modelrollout get -A` lists all there are"
