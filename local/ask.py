"""Short questions to what a stage has started: is it there, is it well, and what a scripted part is told."""

import http.client
import json

from local.api import Api, ApiRefused


def is_served(api: Api, path: str) -> bool:
    """Whether the API server answers at this path."""
    try:
        api.call("GET", path)
    except ApiRefused:
        return False
    return True


def is_ok(host: str, port: int, path: str) -> bool:
    """Whether a server answers with 200.

    Raises:
        OSError: it cannot be reached.
    """
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    finally:
        connection.close()


def ask(host: str, port: int, method: str, path: str, body: object = None) -> bytes:
    """Return what a server answers; a body is sent as JSON.

    Raises:
        OSError: it cannot be reached.
    """
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        return connection.getresponse().read()
    finally:
        connection.close()
