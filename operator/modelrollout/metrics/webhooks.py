"""Judges outside: a bounded question by POST, and a verdict back. Only hosts that the administrator allows are asked."""

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from modelrollout import __version__
from modelrollout.api.fields import Duration, render_duration, render_time
from modelrollout.api.kinds import Webhook
from modelrollout.api.status import Verdict
from modelrollout.core.evidence import Judged, NoData, Question, Track, Unknown
from modelrollout.metrics.answers import quote

LARGEST_BODY = 64 * 1024
LONGEST_TIMEOUT = timedelta(seconds=30)
AT_ONCE = 16
"""Judges that are asked at the same time; who waits longer than its time-out is not answered."""
_VERDICTS = {"pass": Verdict.PASS, "fail": Verdict.FAIL, "unknown": Verdict.UNKNOWN}
_HOST = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)
_PORTS = {"http": 80, "https": 443}


def _bounded(timeout: timedelta) -> timedelta:
    if not timedelta(0) < timeout <= LONGEST_TIMEOUT:
        raise ValueError(f"write a timeout above 0 and up to {render_duration(LONGEST_TIMEOUT)}, such as 5s")
    return timeout


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r}: write a host in lower case, with its port if it is not 443: judge.models:8443")
    return text


Host = Annotated[str, AfterValidator(_host)]


class WebhookConfig(BaseModel):
    """One host that gates may ask."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")

    plain: bool = Field(default=False, description="Whether it may be asked over http, unencrypted.")
    bearer_token_file: Path | None = Field(None, description="File with a bearer token, read anew for each question.")
    ca_file: Path | None = Field(None, description="CA certificates for its TLS; the usual ones when left out.")
    timeout: Annotated[Duration, AfterValidator(_bounded)] = Field(
        timedelta(seconds=5),
        description="Time for an answer; then the gate does not know. 5s when left out, 30s at most.",
    )


class Webhooks:
    """The judges that the administrator allows, by `host` or `host:port`."""

    def __init__(self, hosts: Mapping[str, WebhookConfig]) -> None:
        self._hosts = {_with_port(host): config for host, config in hosts.items()}
        self._session: aiohttp.ClientSession | None = None

    def problem(self, webhook: Webhook) -> str | None:
        """Return why this judge must not be asked, `None` if it may."""
        parts = urlsplit(webhook.url)
        config = self._config(webhook)
        if config is None:
            known = ", ".join(sorted(self._hosts)) or "none"
            return (
                f"host {_address(webhook)} is not one that this operator may ask ({known}): name one of them, or ask the"
                " administrator to allow it in the setting webhooks"
            )
        if parts.scheme == "http" and not config.plain:
            return f"host {_address(webhook)} may be asked over https only: write https, or ask the administrator"
        return None

    async def ask(self, webhook: Webhook, question: Question) -> Judged | NoData:
        """Return what the judge says, within its time limit.

        Whatever is odd is `NoData`. No redirect is followed, no proxy variable read, and a body above 64 KiB not taken.
        """
        config, problem = self._config(webhook), self.problem(webhook)
        if config is None or problem:
            return NoData(Unknown.REFUSED, problem or "not allowed")
        host = _address(webhook)
        try:
            async with asyncio.timeout(config.timeout / timedelta(seconds=1)):
                return await self._post(webhook, config, body_of(webhook, question), host)
        except TimeoutError:
            return NoData(Unknown.TIMED_OUT, f"judge {host} did not answer within {render_duration(config.timeout)}")
        except _TokenError:
            return NoData(
                Unknown.REFUSED, f"the token for judge {host} cannot be read: the administrator has to mend it"
            )
        except ssl.SSLError:
            return NoData(Unknown.UNREACHABLE, f"the CA file for judge {host} holds no certificates")
        except aiohttp.ClientSSLError:
            return NoData(Unknown.UNREACHABLE, f"TLS with judge {host} fails: check its certificate and the caFile")
        # The error's own text may hold addresses and headers: not repeated.
        except (aiohttp.ClientError, OSError, ValueError):
            return NoData(Unknown.UNREACHABLE, f"judge {host} cannot be reached, or speaks no HTTP")

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _config(self, webhook: Webhook) -> WebhookConfig | None:
        return self._hosts.get(_address(webhook))

    async def _post(self, webhook: Webhook, config: WebhookConfig, body: bytes, host: str) -> Judged | NoData:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a small body cannot unpack to a large one
            "User-Agent": f"modelrollout/{__version__}",
        }
        if config.bearer_token_file:
            headers["Authorization"] = f"Bearer {await asyncio.to_thread(_token, config.bearer_token_file)}"
        trust = await asyncio.to_thread(_trust, config.ca_file) if config.ca_file else True
        async with self._opened().post(
            webhook.url, data=body, headers=headers, allow_redirects=False, ssl=trust
        ) as response:
            if response.status != 200:
                return _refusal(response.status, host)
            answer = await _read(response)
        return (
            NoData(Unknown.MALFORMED, f"judge {host} answers with more than {LARGEST_BODY} bytes")
            if answer is None
            else _parse(answer, host)
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,  # no proxy, no netrc from the environment
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def body_of(webhook: Webhook, question: Question) -> bytes:
    """Return the question as JSON; docs/gates.md has its fields."""
    at = question.at
    body: dict[str, Any] = {
        "version": 1,
        "namespace": question.candidate.namespace,
        "name": at.rollout,
        "attempt": at.attempt,
        "gate": question.gate.name,
        "stage": at.stage,
        "step": at.step,
        "shares": {"candidate": str(at.shares.candidate), "mirror": str(at.shares.mirror)},
        "candidate": _version(question.candidate),
        "baseline": _version(question.baseline) if question.baseline else None,
        "window": {"since": render_time(question.since), "until": render_time(question.until)},
        "parameters": {parameter.name: parameter.value for parameter in webhook.parameters},
    }
    return json.dumps(body).encode()


def _version(track: Track) -> dict[str, Any]:
    return {"version": track.version, "service": track.service, "port": track.port}


def _address(webhook: Webhook) -> str:
    parts = urlsplit(webhook.url)
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:  # above 65535
        port = 0
    return f"{parts.hostname}:{port}"


def _with_port(host: str) -> str:
    return host if ":" in host else f"{host}:443"


class _TokenError(Exception):
    """The file is not there, or holds no token."""


def _token(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise _TokenError from None
    if not token or not token.isprintable() or " " in token:
        raise _TokenError
    return token


def _trust(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(file))


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    body = bytearray()
    async for piece in response.content.iter_chunked(8192):
        body += piece
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _refusal(status: int, host: str) -> NoData:
    if 300 <= status < 400:
        return NoData(
            Unknown.REFUSED,
            f"judge {host} answers with a redirect ({status}), which is not followed: give the address behind it",
        )
    if status in {401, 403}:
        return NoData(
            Unknown.REFUSED,
            f"judge {host} refuses the operator's credentials ({status}): the administrator has to mend them",
        )
    if 400 <= status < 500:
        return NoData(Unknown.REFUSED, f"judge {host} refuses the question ({status}): check the gate's url")
    return NoData(Unknown.UNREACHABLE, f"judge {host} cannot answer now ({status})")


def _parse(body: bytes, host: str) -> Judged | NoData:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    word = answer.get("verdict") if isinstance(answer, dict) else None
    verdict = _VERDICTS.get(word) if isinstance(word, str) else None
    if not isinstance(answer, dict) or verdict is None:
        return NoData(
            Unknown.MALFORMED,
            f'judge {host} answers with something other than {{"verdict": "pass", "message": "…"}}, where verdict is pass,'
            " fail or unknown",
        )
    message = answer.get("message")
    said = quote(message) if isinstance(message, str) and message.strip() else "without a word why"
    return Judged(verdict, f"judge {host} says {word}: {said}")
