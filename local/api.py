"""A few calls to the API server without the price of a kubectl process for each."""

import http.client
import json
import ssl
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Object = dict[str, Any]
"""A Kubernetes object as JSON; parsers only."""

_CORE = "v1"


class ApiRefused(Exception):
    """The API server answered with an error; the message is its own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """One identity at one API server. Connections are kept, one for each thread."""

    def __init__(self, server: str, ca_file: Path, token: str) -> None:
        self._address = urlsplit(server).netloc
        self._ca_file = ca_file
        self._token = token
        self._local = threading.local()
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401
        """Return the JSON that the API server answers with.

        Raises:
            ApiRefused: it answered with 400 or more.
            OSError: it cannot be reached.
        """
        status, answer = self._exchange(method, path, None if body is None else json.dumps(body).encode(), content_type)
        if status >= 400:
            try:
                message = json.loads(answer)["message"]
            except (ValueError, KeyError):
                message = answer.decode(errors="replace")
            raise ApiRefused(status, message)
        try:
            return json.loads(answer)
        except ValueError:
            return answer.decode(errors="replace")

    def path_of(self, thing: Mapping[str, Any], *, subresource: str = "") -> str:
        """Return where an object of this apiVersion, kind, namespace and name lives.

        Raises:
            ApiRefused: the API server does not know the kind, with status 404.
        """
        version, meta = thing["apiVersion"], thing["metadata"]
        plural, is_namespaced = self._resource(version, thing["kind"])
        space = f"/namespaces/{meta.get('namespace', 'default')}" if is_namespaced else ""
        tail = f"/{subresource}" if subresource else ""
        return f"{_root(version)}{space}/{plural}/{meta['name']}{tail}"

    def apply(self, things: str | Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[Object]:
        """Return the objects as they are stored after a server-side apply that takes over every field it names.

        Takes YAML text of any number of documents, one object, or several.

        Raises:
            ApiRefused: one of them was refused; those before it are applied.
        """
        return [
            self.call(
                "PATCH", f"{self.path_of(thing)}?fieldManager=local&force=true", thing,
                content_type="application/apply-patch+yaml",
            )
            for thing in parse_objects(things)
        ]  # fmt: skip

    def _resource(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._paths:
            for resource in self.call("GET", _root(version))["resources"]:
                if "/" not in resource["name"]:
                    self._paths[version, resource["kind"]] = resource["name"], resource["namespaced"]
        if (version, kind) not in self._paths:
            raise ApiRefused(404, f"the API server knows no {kind} in {version}")
        return self._paths[version, kind]

    def _exchange(self, method: str, path: str, body: bytes | None, content_type: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        for is_last_try in (False, True):
            connection = self._connection()
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                # A kept connection that the server has closed meanwhile: once more on a fresh one.
                connection.close()
                del self._local.connection
                if is_last_try:
                    raise
            except BaseException:
                connection.close()
                del self._local.connection
                raise
        raise AssertionError("unreachable")

    def _connection(self) -> http.client.HTTPSConnection:
        if not hasattr(self._local, "connection"):
            context = ssl.create_default_context(cafile=str(self._ca_file))
            self._local.connection = http.client.HTTPSConnection(self._address, timeout=30, context=context)
        connection: http.client.HTTPSConnection = self._local.connection
        return connection


def parse_objects(things: str | Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[Object]:
    """Return Kubernetes objects from YAML text, one object, or several; a List is taken apart."""
    if isinstance(things, str):
        documents = [document for document in yaml.safe_load_all(things) if document]
    elif isinstance(things, Mapping):
        documents = [dict(things)]
    else:
        documents = [dict(thing) for thing in things]
    return [one for document in documents for one in (document["items"] if document["kind"] == "List" else [document])]


def _root(version: str) -> str:
    return f"/api/{version}" if version == _CORE else f"/apis/{version}"
