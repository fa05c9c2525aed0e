"""The API server over HTTP: plain dicts in and out, refusals as the engine's four errors."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from modelrollout import __version__
from modelrollout.cluster.failures import failure_of
from modelrollout.cluster.skew import ServerClock
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

FIELD_MANAGER = "modelrollout-operator"
PAGE = 500
_JSON = "application/json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_OUTCOMES = {Conflict: "conflict", Gone: "gone", Refused: "refused", Unavailable: "unavailable"}


class Resource(NamedTuple):
    """A kind of object as the API server's paths name it; the core group is the empty string."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of the list, or of one object; `None` as namespace is for all, or for none."""
        parts = ["/api" if not self.group else f"/apis/{self.group}", self.version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [self.plural, *(part for part in (name, subresource) if part)]
        return "/".join(parts)


class OnCall(Protocol):
    """Told of each call: verb, outcome (ok, conflict, gone, refused, unavailable) and its seconds."""

    def __call__(self, verb: str, outcome: str, seconds: float) -> None:
        """Take note of one call."""
        ...


def _ignore(verb: str, outcome: str, seconds: float) -> None:
    """Take no note."""


class Fence(Protocol):
    """Asked before each write."""

    def __call__(self) -> timedelta:
        """Return how long a write that is sent now may take at most.

        Raises:
            Unavailable: nothing may be written now.
        """
        ...


async def connect(
    kubeconfig: Path | None, *, call_limit: timedelta, on_call: OnCall = _ignore, fence: Fence | None = None
) -> "ApiServer":
    """Return the API server that a kubeconfig names; without one, that of the pod we run in.

    `call_limit` is how long any one call may take; every write passes `fence` as well.

    Raises:
        Unavailable: there is neither.
    """
    # Like kopf's own session: no proxies from the environment, so that both see the same server.
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    try:
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)
    except ConfigException as error:
        raise Unavailable(f"no credentials for the API server: {error}") from error
    return ApiServer(ApiClient(configuration), call_limit=call_limit, on_call=on_call, fence=fence)


class ApiServer:
    """Calls, each with a time limit and no hidden retries. Every method may raise the engine's four errors."""

    def __init__(
        self, client: ApiClient, *, call_limit: timedelta, on_call: OnCall = _ignore, fence: Fence | None = None
    ) -> None:
        self._client = client
        self._client.user_agent = f"modelrollout-operator/{__version__}"
        self._call_limit = call_limit
        self._on_call = on_call
        self._fence = fence
        self.clock = ServerClock()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        """Return the object as it stands now."""
        return await self._call("get", "GET", resource.path(namespace, name))

    async def pages(self, resource: Resource, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        """Yield the lists that make up all objects of the kind, each of at most `PAGE`."""
        async for page in self._pages(resource, namespace, _JSON):
            yield page

    async def metadata_pages(self, resource: Resource, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        """Yield the same lists with nothing but each object's metadata."""
        async for page in self._pages(resource, namespace, _METADATA_ONLY):
            yield page

    async def _pages(self, resource: Resource, namespace: str | None, accept: str) -> AsyncIterator[dict[str, Any]]:
        query = {"limit": str(PAGE)}
        while True:
            page = await self._call("list", "GET", resource.path(namespace), query, accept=accept)
            yield page
            proceed = page["metadata"].get("continue")
            if not proceed:
                return
            query = {"limit": str(PAGE), "continue": proceed}

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        """Create the object and return it; `strict` refuses fields that the server does not know.

        Raises:
            Conflict: it exists.
        """
        return await self._call("create", "POST", resource.path(namespace), _writing(strict=strict), body)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        strict: bool = False,
    ) -> dict[str, Any]:
        """Merge the body into the object and return it; `metadata.resourceVersion` in the body guards the write."""
        path = resource.path(namespace, name, subresource)
        return await self._call("patch", "PATCH", path, _writing(strict=strict), body)

    async def served(self, group: str, version: str) -> frozenset[str]:
        """Return the plural names of the kinds that the server knows in a group; none where it lacks the group."""
        try:
            found = await self._call("get", "GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
        except Gone:
            return frozenset()
        return frozenset(item["name"] for item in found.get("resources", []))

    async def _call(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        accept: str = _JSON,
    ) -> dict[str, Any]:
        began = time.perf_counter()
        outcome = "unavailable"
        try:
            answer = await self._exchange(method, path, query or {}, body, accept)
        except (Conflict, Gone, Refused, Unavailable) as error:
            outcome = _OUTCOMES[type(error)]
            raise
        else:
            outcome = "ok"
            return answer
        finally:
            self._on_call(verb, outcome, time.perf_counter() - began)

    async def _exchange(
        self, method: str, path: str, query: Mapping[str, str], body: object, accept: str
    ) -> dict[str, Any]:
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        method, url, headers, body, _ = await self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        # Asked last, and the answer bounds the call: what is sent does not outlive the right to send it.
        limit = min(self._call_limit, self._fence()) if self._fence and method != "GET" else self._call_limit
        timeout = aiohttp.ClientTimeout(total=limit.total_seconds())
        asked = time.monotonic()
        try:
            response = await self._client.call_api(method, url, headers, body, _request_timeout=timeout)
            data = await response.read()
        except (aiohttp.ClientError, OSError) as error:  # A TimeoutError is an OSError.
            raise Unavailable(f"the API server cannot be reached: {type(error).__name__} {error}".rstrip()) from error
        self.clock.note(response.headers.get("Date"), asked, time.monotonic())
        if response.status >= 300:
            raise failure_of(response.status, data, response.headers.get("Retry-After"))
        return _parse_object(data)


def _parse_object(data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unavailable("the API server's answer is not JSON: is there something else at its address?") from error
    if not isinstance(parsed, dict):
        raise Unavailable("the API server's answer is not an object: is there something else at its address?")
    return parsed


def _writing(*, strict: bool) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER, **({"fieldValidation": "Strict"} if strict else {})}
