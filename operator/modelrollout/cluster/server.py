"""The API server over HTTP: plain dicts in and out, refusals as the engine's four errors."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from modelrollout import __version__
from modelrollout.cluster.failures import OPERATOR, Caller, failure_of
from modelrollout.cluster.skew import ServerClock
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable

PAGE = 500
METADATA_PAGE = 250
_JSON = "application/json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
_EXPIRED = 410
LONGEST_EVENT = 8 * 1024 * 1024
"""Bytes of one event of a watch: etcd takes no object above 1.5 MiB, and JSON may write it longer."""
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
    kubeconfig: Path | None,
    *,
    call_limit: timedelta,
    on_call: OnCall = _ignore,
    fence: Fence | None = None,
    caller: Caller = OPERATOR,
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
    return ApiServer(ApiClient(configuration), call_limit=call_limit, on_call=on_call, fence=fence, caller=caller)


class ApiServer:
    """Calls, each with a time limit and no hidden retries. Every method may raise the engine's four errors."""

    def __init__(
        self,
        client: ApiClient,
        *,
        call_limit: timedelta,
        on_call: OnCall = _ignore,
        fence: Fence | None = None,
        caller: Caller = OPERATOR,
    ) -> None:
        self._client = client
        self._client.user_agent = f"{caller.field_manager}/{__version__}"
        self._caller = caller
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

    async def pages(
        self, resource: Resource, namespace: str | None, name: str | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the lists that make up all objects of the kind (or that one), each of at most `PAGE`."""
        async for page in self._pages(resource, namespace, _JSON, PAGE, name):
            yield page

    async def labelled_pages(
        self, resource: Resource, namespace: str | None, labels: str
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield such lists of the objects with these labels, as `kubectl -l` writes them."""
        async for page in self._pages(resource, namespace, _JSON, PAGE, labels=labels):
            yield page

    async def metadata_pages(
        self, resource: Resource, namespace: str | None, labels: str = ""
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield such lists with nothing but each object's metadata, each of at most `METADATA_PAGE`."""
        async for page in self._pages(resource, namespace, _METADATA_LIST, METADATA_PAGE, labels=labels):
            yield page

    async def newest_version(self, resource: Resource, namespace: str | None) -> int:
        """Return as of which resourceVersion a list of the kind is now; one object's metadata is read for it."""
        page = await self._call("list", "GET", resource.path(namespace), {"limit": "1"}, accept=_METADATA_LIST)
        return int(page["metadata"]["resourceVersion"])

    def metadata_changes(
        self, resource: Resource, namespace: str | None, since: int, *, seconds: int
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events (`type`, and the metadata in `object`) after a resourceVersion, for so many seconds.

        Raises:
            Gone: the API server has no history any more that goes back so far.
        """
        return self._changes(resource, namespace, str(since), seconds, _METADATA, {})

    def changes(
        self, resource: Resource, namespace: str | None, since: str, *, seconds: int, name: str | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events (`type`, and the whole `object`) after a resourceVersion, for so many seconds.

        With `name` those of one object: who may watch no other may do so. Bookmarks are among them.

        Raises:
            Gone: the API server has no history any more that goes back so far.
        """
        more = {"allowWatchBookmarks": "true", **_selecting(name)}
        return self._changes(resource, namespace, since, seconds, _JSON, more)

    async def _changes(
        self,
        resource: Resource,
        namespace: str | None,
        since: str,
        seconds: int,
        accept: str,
        more: Mapping[str, str],
    ) -> AsyncGenerator[dict[str, Any], None]:
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(seconds), **more}
        began = time.perf_counter()
        outcome = "unavailable"
        limit = self._call_limit + timedelta(seconds=seconds)
        try:
            reply = await self._send("GET", resource.path(namespace), query, None, accept, limit)
            try:
                if reply.status >= 300:
                    raise _watch_failure(reply.status, await _read(reply), self._caller)
                outcome = "ok"
                async for line in _lines(reply):
                    yield _event(line)
            finally:
                reply.close()  # Nothing where it was read to its end: then the connection is in the pool again.
        except (Conflict, Gone, Refused, Unavailable) as error:
            outcome = _OUTCOMES[type(error)]
            raise
        finally:
            self._on_call("watch", outcome, time.perf_counter() - began)

    async def _pages(
        self,
        resource: Resource,
        namespace: str | None,
        accept: str,
        size: int,
        name: str | None = None,
        labels: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        query = {"limit": str(size), **_selecting(name, labels)}
        while True:
            page = await self._call("list", "GET", resource.path(namespace), query, accept=accept)
            page["items"] = page.get("items") or []  # Null in a list of metadata that has none.
            yield page
            proceed = page["metadata"].get("continue")
            if not proceed:
                return
            query = {"limit": str(size), "continue": proceed, **_selecting(name, labels)}

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        """Create the object and return it; `strict` refuses fields that the server does not know.

        Raises:
            Conflict: it exists.
        """
        return await self._call("create", "POST", resource.path(namespace), self._writing(strict=strict), body)

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
        return await self._call("patch", "PATCH", path, self._writing(strict=strict), body)

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        steps: Sequence[Mapping[str, Any]],
        *,
        subresource: str | None = None,
        strict: bool = False,
    ) -> dict[str, Any]:
        """Carry out a JSON patch (RFC 6902) and return the object; a step that sets resourceVersion guards the write."""
        path = resource.path(namespace, name, subresource)
        return await self._call("patch", "PATCH", path, self._writing(strict=strict), list(steps))

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, guard: str) -> None:
        """Delete the object of this uid, if it is still at resourceVersion `guard`.

        Raises:
            Conflict: it has changed, or is another one under the name.
        """
        only = {"uid": uid, "resourceVersion": guard}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only}
        await self._call("delete", "DELETE", resource.path(namespace, name), None, body)

    async def served(self, group: str, version: str) -> frozenset[str]:
        """Return the plural names of the kinds that the server knows in a group; none where it lacks the group."""
        try:
            found = await self._call("get", "GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
        except Gone:
            return frozenset()
        return frozenset(item["name"] for item in found.get("resources", []))

    def _writing(self, *, strict: bool) -> dict[str, str]:
        manager = self._caller.field_manager
        return {"fieldManager": manager, **({"fieldValidation": "Strict"} if strict else {})}

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
        asked = time.monotonic()
        reply = await self._send(method, path, query, body, accept, self._call_limit)
        data = await _read(reply)
        self.clock.note(reply.headers.get("Date"), asked, time.monotonic())
        if reply.status >= 300:
            raise failure_of(reply.status, data, reply.headers.get("Retry-After"), self._caller)
        return _parse_object(data)

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: object, accept: str, limit: timedelta
    ) -> aiohttp.ClientResponse:
        """Return an answer whose body has not been read; `limit` is for all of it."""
        patch = "application/json-patch+json" if isinstance(body, list) else "application/merge-patch+json"
        content_type = patch if method == "PATCH" else "application/json"
        method, url, headers, body, _ = await self._client.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        # Asked last, and the answer bounds the call: what is sent does not outlive the right to send it.
        limit = min(limit, self._fence()) if self._fence and method != "GET" else limit
        timeout = aiohttp.ClientTimeout(total=limit.total_seconds())
        try:
            sent = await self._client.call_api(method, url, headers, body, _request_timeout=timeout)
        except (aiohttp.ClientError, OSError) as error:  # A TimeoutError is an OSError.
            raise _unreachable(error) from error
        reply: aiohttp.ClientResponse = sent.response
        return reply


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    try:
        return await reply.read()
    except (aiohttp.ClientError, OSError) as error:
        raise _unreachable(error) from error


async def _lines(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the body's lines; aiohttp's own take no more than 128 KiB, and an object may have more."""
    rest = bytearray()
    try:
        async for chunk in reply.content.iter_any():
            rest += chunk
            *lines, last = rest.split(b"\n") if b"\n" in chunk else (rest,)
            for line in lines:
                yield bytes(line)
            rest = last
            if len(rest) > LONGEST_EVENT:
                raise Unavailable(f"the API server sent an event of more than {LONGEST_EVENT} bytes")
    except (aiohttp.ClientError, OSError) as error:
        raise _unreachable(error) from error
    if rest:
        yield bytes(rest)


def _selecting(name: str | None, labels: str = "") -> dict[str, str]:
    selected = {"fieldSelector": f"metadata.name={name}"} if name else {}
    return selected | ({"labelSelector": labels} if labels else {})


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(f"the API server cannot be reached: {type(error).__name__} {error}".rstrip())


def _event(line: bytes) -> dict[str, Any]:
    event = _parse_object(line)
    if event.get("type") == "ERROR":
        raise _watch_failure(event["object"].get("code", 500), json.dumps(event["object"]).encode())
    return event


def _watch_failure(code: int, body: bytes, caller: Caller = OPERATOR) -> Exception:
    failure = failure_of(code, body, caller=caller)
    return Gone(str(failure)) if code == _EXPIRED else failure


def _parse_object(data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unavailable("the API server's answer is not JSON: is there something else at its address?") from error
    if not isinstance(parsed, dict):
        raise Unavailable("the API server's answer is not an object: is there something else at its address?")
    return parsed
