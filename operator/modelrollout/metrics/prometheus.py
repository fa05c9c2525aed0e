"""One Prometheus: a query goes out, its samples come back, or the reason why not."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from modelrollout.core.evidence import NoData, Unknown
from modelrollout.metrics.answers import Found, Reply, parse_reply
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.credentials import Certificate, CredentialError, Credentials
from modelrollout.metrics.queries import PromQL

LARGEST_BODY = 1024 * 1024
"""Bytes of an answer; one number needs a few hundred."""

LONGEST_IN_ADDRESS = 2000
"""Characters of a query that go into the address; proxies take 8 KiB at most, and escaping makes it longer."""

OnCall = Callable[[str, float], None]
"""Takes note of one query: its outcome, `ok` or the word of an `Unknown`, and the seconds it took."""


class PrometheusSource:
    """Asks one Prometheus, with threads and connections of its own."""

    def __init__(self, name: str, config: SourceConfig, on_call: OnCall) -> None:
        self.name = name
        self._config = config
        self._on_call = on_call
        self._seconds = config.timeout / timedelta(seconds=1)
        self._transport = _Transport(config)
        self._client = PrometheusConnect(
            url=config.url,
            session=self._transport,
            timeout=self._seconds,
            auth=Credentials(config),
        )
        self._threads = ThreadPoolExecutor(config.concurrency, thread_name_prefix=f"metrics-{name}")

    async def ask(self, query: PromQL, at: datetime | None = None) -> Found | NoData:
        """Return the answer to an instant query evaluated `at` a time, by default the source's own present.

        Never raises. A caller that stops waiting frees its thread once the HTTP time-out has passed.
        """
        started = time.monotonic()
        outcome: str = Unknown.TIMED_OUT
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, query, at)
            outcome = answer.reason if isinstance(answer, NoData) else "ok"
            return answer
        finally:
            self._on_call(outcome, time.monotonic() - started)

    async def close(self) -> None:
        """End the threads, once their queries have ended or timed out, and the connections."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._client.close()

    def _ask(self, query: PromQL, at: datetime | None) -> Found | NoData:
        parameters = {"timeout": f"{self._config.timeout // timedelta(milliseconds=1)}ms"}
        if at is not None:
            parameters["time"] = f"{at.timestamp():.3f}"
        try:
            reply = self._client.custom_query(query, parameters)
        except (CredentialError, _BodyError) as error:
            return NoData(error.reason, f"source {self.name}: {error}")
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            return NoData(Unknown.TIMED_OUT, f"source {self.name} did not answer within {self._seconds:g} s")
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            return NoData(Unknown.UNREACHABLE, f"source {self.name} cannot be reached: {_in_words(error)}")
        return parse_reply(reply, self.name)


class _Transport:
    """What the client takes for a `requests.Session`: nothing around us changes it, and its answers are bounded.

    `verify`, `cert` and the arguments of `request` are those that the client uses.
    """

    def __init__(self, config: SourceConfig) -> None:
        self.verify: bool | str = str(config.ca_file) if config.ca_file else True
        self._certificate = Certificate(config.client_certificate) if config.client_certificate else None
        self.cert = self._certificate.files if self._certificate else None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no netrc, no CA bundle from the environment
        self._session.headers["Accept-Encoding"] = "identity"  # a small body cannot unpack to a large one
        # read=False makes a read time-out come out as one, not as a spent retry. Retry(0): the engine's next look is the retry; urllib3's would sleep as long as a server asks for.
        self._adapter = HTTPAdapter(
            pool_connections=1, pool_maxsize=config.concurrency, max_retries=Retry(0, read=False)
        )
        self._session.mount("http://", self._adapter)
        self._session.mount("https://", self._adapter)

    def mount(self, prefix: str, adapter: HTTPAdapter) -> None:
        """Leave things as they are: the client would put its own adapter, with retries, before ours."""

    def request(self, method: str, url: str, *, timeout: float, **arguments: Any) -> "_Envelope":
        """Return the whole answer, whatever its status. A long query travels as a form: the client knows no such way."""
        if len(arguments["params"]["query"]) > LONGEST_IN_ADDRESS:
            method, arguments["data"] = "POST", arguments.pop("params")
        deadline = time.monotonic() + timeout
        if self._certificate and self._certificate.has_changed():
            self._adapter.poolmanager.clear()  # Connections that were made with the old one; those in use end by themselves.
        with self._session.request(
            method, url, timeout=timeout, stream=True, allow_redirects=False, **arguments
        ) as response:
            return _Envelope(Reply(response.status_code, _read(response, deadline)))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


class _Envelope:
    """An answer in the place where the client looks for `data.result`.

    The client hands on that part alone: resultType and warnings would be lost, and a refusal's own words, too.
    """

    status_code = 200

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def json(self) -> dict[str, dict[str, Reply]]:
        return {"data": {"result": self._reply}}


def _read(response: requests.Response, deadline: float) -> bytes:
    """Return the body.

    The deadline is looked at after each piece: a socket's time-out alone starts anew with each byte.
    """
    body = bytearray()
    for piece in _pieces(response):
        body += piece
        if len(body) > LARGEST_BODY:
            raise _BodyError(f"its answer is larger than {LARGEST_BODY} bytes; aggregate the series in the query")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(body)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    while piece := response.raw.read1(65536):
        yield piece


class _BodyError(Exception):
    reason = Unknown.MALFORMED


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "its TLS certificate is not trusted; check caFile and the name in the address"),
    (
        ssl.SSLError,
        "TLS fails; check that its address begins with the right one of http and https, and clientCertificate",
    ),
    (socket.gaierror, "its name does not resolve"),
    (urllib3.exceptions.NameResolutionError, "its name does not resolve"),
    (ConnectionRefusedError, "connection refused"),
    (urllib3.exceptions.ProtocolError, "it hung up or speaks no HTTP"),
    (FileNotFoundError, "its CA file cannot be read"),
)


def _in_words(error: BaseException) -> str:
    """Return the first cause we have words for. The error's own text may hold headers and addresses: not repeated."""
    causes = list(_causes(error))
    for kind, words in _WORDS:
        if any(isinstance(cause, kind) for cause in causes):
            return words
    return "the connection fails" if isinstance(error, requests.ConnectionError) else "check its address and CA file"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield it and all below it: requests and urllib3 wrap a cause in arguments and attributes as often as in `__cause__`."""
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        current = todo.pop()
        if not isinstance(current, BaseException) or current in seen:
            continue
        seen.append(current)
        yield current
        todo += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
