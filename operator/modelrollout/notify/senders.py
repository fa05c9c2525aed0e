"""How one try to tell somebody goes. What goes wrong is said without the address, which may be a secret."""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol, assert_never
from urllib.parse import urlsplit

import aiohttp

from modelrollout import __version__
from modelrollout.core.notices import Notice, Told
from modelrollout.notify.bodies import cloud_event, data_of, request_of, webhook_body
from modelrollout.notify.config import AnyTarget, AppriseTarget, CloudEventsTarget, WebhookTarget
from modelrollout.notify.templates import fill_in, values_of

# Answers that say that the request was no good, which no other try mends. The others may be mended: an address or a
# token in a file, a service that is set up at this moment.
_HOPELESS = frozenset({400, 405, 406, 409, 410, 411, 413, 414, 415, 422, 431})
LONGEST_ADDRESS = 16 * 1024


class Failed(Exception):
    """A try has failed; the sentence says why. `hopeless`: the message itself is refused, no other try mends it.

    `retry_after` is what the other side asked for, if it did.
    """

    def __init__(self, message: str, *, hopeless: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.hopeless = hopeless
        self.retry_after = retry_after


class Sender(Protocol):
    """Tells one target."""

    async def send(self, told: Told) -> None:
        """Tell it.

        Raises:
            Failed: it cannot be told now, or at all.
        """
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class HttpSender:
    """Sends a POST. No redirect is followed, no proxy variable read, and nothing of the answer but its status."""

    def __init__(self, config: CloudEventsTarget | WebhookTarget, cluster: str) -> None:
        self._config = config
        self._cluster = cluster
        self._session: aiohttp.ClientSession | None = None

    async def send(self, told: Told) -> None:
        """Tell it.

        Raises:
            Failed: it cannot be told now, or at all.
        """
        url = await asyncio.to_thread(address_of, self._config)
        if not _is_http(url):
            raise Failed("its address does not begin with http:// or https:// and a host")
        headers, body = self._request(told)
        try:
            await self._post(url, {**headers, "User-Agent": f"modelrollout/{__version__}"}, body)
        except ssl.SSLError:
            raise Failed("its CA file holds no certificates") from None
        except aiohttp.ClientSSLError:
            raise Failed("TLS fails: check its certificate and the caFile") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Failed("it cannot be reached, or speaks no HTTP") from None

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    def _request(self, told: Told) -> tuple[dict[str, str], bytes]:
        config = self._config
        match config:
            case CloudEventsTarget():
                return request_of(cloud_event(told, self._cluster), config.mode)
            case WebhookTarget():
                values = _texts(config, told, self._cluster) if isinstance(told, Notice) else {}
                data = {**data_of(told, self._cluster), "title": values.get("title"), "text": values.get("text")}
                return {"Content-Type": "application/json"}, webhook_body(config.body, data, values)
            case _:
                assert_never(config)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        more = {}
        if self._config.bearer_token_file:
            more["Authorization"] = f"Bearer {await asyncio.to_thread(_one_line, self._config.bearer_token_file)}"
        ca_file = self._config.ca_file
        trust = await asyncio.to_thread(ssl.create_default_context, cafile=str(ca_file)) if ca_file else True
        async with self._opened().post(
            url, data=body, headers={**headers, **more}, allow_redirects=False, ssl=trust
        ) as response:
            if not 200 <= response.status < 300:
                raise _refusal(response)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=2),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # no proxy, no netrc from the environment
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _refusal(response: aiohttp.ClientResponse) -> Failed:
    status = response.status
    if 300 <= status < 400:
        return Failed(f"it answers with a redirect ({status}), which is not followed: give the address behind it")
    if status in {401, 403}:
        return Failed(f"it refuses the operator's credentials ({status})")
    asked = response.headers.get("Retry-After", "")
    pause = timedelta(seconds=int(asked)) if asked.isdecimal() and len(asked) < 6 else None
    return Failed(f"it answers {status}", hopeless=status in _HOPELESS, retry_after=pause)


def sender_of(config: AnyTarget, cluster: str) -> Sender:
    """Return what tells this target."""
    if isinstance(config, AppriseTarget):
        from modelrollout.notify.chats import ChatSender, warm_up  # noqa: PLC0415 - an extra's package, may be missing

        warm_up()
        return ChatSender(lambda told: _chat_texts(config, told, cluster), config)
    return HttpSender(config, cluster)


def _chat_texts(config: AppriseTarget, told: Told, cluster: str) -> tuple[str, str]:
    if not isinstance(told, Notice):
        raise Failed("segments are for programs", hopeless=True)
    values = _texts(config, told, cluster)
    return values["title"], values["text"]


def _texts(config: WebhookTarget | AppriseTarget, notice: Notice, cluster: str) -> dict[str, str]:
    values = values_of(notice, cluster)
    return {**values, "title": fill_in(config.title, values), "text": fill_in(config.text, values)}


def address_of(config: AnyTarget) -> str:
    """Return the target's address, as it is now.

    Raises:
        Failed: its file cannot be read.
    """
    if config.url is not None:
        return config.url.get_secret_value()
    return _one_line(config.url_file) if config.url_file else ""


def _one_line(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            text = opened.read(LONGEST_ADDRESS + 1).decode("ascii").strip()
    except (OSError, ValueError):
        raise Failed(f"file {file} cannot be read") from None
    if not text or not text.isprintable() or " " in text or len(text) > LONGEST_ADDRESS:
        raise Failed(f"file {file} does not hold one word on one line")
    return text
