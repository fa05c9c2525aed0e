"""What really happened: every version of the rollouts and routes, as watched at the API server itself."""

import asyncio
import json
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from local.cluster import LocalCluster
from tests.faults.loop import LoopThread

ROLLOUTS, LEAVES, ROUTES, RECORDS = "modelrollouts", "traefikservices", "httproutes", "modelrolloutrecords"
PATHS = {
    ROLLOUTS: "/apis/modelrollout.dev/v1alpha1/modelrollouts",
    LEAVES: "/apis/traefik.io/v1alpha1/traefikservices",
    ROUTES: "/apis/gateway.networking.k8s.io/v1/httproutes",
    RECORDS: "/apis/modelrollout.dev/v1alpha1/modelrolloutrecords",
}


@dataclass(frozen=True)
class Version:
    """One version of an object; `at` is monotonic seconds."""

    resource: str
    number: int
    is_deleted: bool
    obj: dict[str, Any]
    at: float


class Witness:
    """Watches all namespaces for as long as its loop runs."""

    def __init__(self, thread: LoopThread, cluster: LocalCluster, token: str) -> None:
        self._server, self._token = cluster.server, token
        self._tls = ssl.create_default_context(cafile=str(cluster.ca_file))
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._news = threading.Condition()
        for resource, path in PATHS.items():
            asyncio.run_coroutine_threadsafe(self._follow(resource, path), thread.loop)

    def versions(self, namespace: str, *resources: str) -> list[Version]:
        """Return what has been seen in a namespace, in the order of resourceVersions."""
        with self._news:
            found = [one for one in self._versions[namespace] if not resources or one.resource in resources]
        return sorted(found, key=lambda one: one.number)

    def last(self, namespace: str, resource: str, name: str = "fraud") -> dict[str, Any]:
        """Return the newest version of an object; `{}` where there is none."""
        found = [one for one in self.versions(namespace, resource) if one.obj["metadata"]["name"] == name]
        return found[-1].obj if found and not found[-1].is_deleted else {}

    def wait(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Return whether it became so in time; it is asked at each news, and twenty times a second."""
        limit = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > limit:
                return False
            with self._news:
                self._news.wait(0.05)
        return True

    async def _follow(self, resource: str, path: str) -> None:
        connector = aiohttp.TCPConnector(ssl=self._tls)
        headers = {"Authorization": f"Bearer {self._token}"}
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            self._server, connector=connector, headers=headers, timeout=timeout, read_bufsize=2**22
        ) as session:
            while True:
                # A definition that another test changes ends its watches, and is not served for a moment.
                with suppress(aiohttp.ClientError):
                    async with session.get(path, params={"watch": "true"}, raise_for_status=True) as stream:
                        async for line in stream.content:
                            self._note(resource, json.loads(line))
                await asyncio.sleep(0.05)

    def _note(self, resource: str, event: dict[str, Any]) -> None:
        obj = event["object"]
        if "namespace" not in obj.get("metadata", {}):
            return
        number = int(obj["metadata"]["resourceVersion"])
        version = Version(resource, number, event["type"] == "DELETED", obj, time.monotonic())
        with self._news:
            known = self._versions[obj["metadata"]["namespace"]]
            if any((one.resource, one.number) == (resource, number) for one in known):
                return  # A new stream begins with what stands.
            known.append(version)
            self._news.notify_all()
