"""One source on the wire: time limits, credentials, bodies, and how it ends."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.metrics.answers import Found
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import LARGEST_BODY, PrometheusSource
from modelrollout.metrics.queries import PromQL

from tests.metrics.conftest import Calls
from tests.metrics.scripted import Say, Scripted, vector

QUERY = PromQL("sum(x)")


@pytest.fixture
async def source(scripted: Scripted, calls: Calls) -> AsyncIterator[PrometheusSource]:
    made = PrometheusSource("default", SourceConfig(url=f"{scripted.url}/"), calls)
    yield made
    await made.close()


@pytest.fixture
async def hasty(scripted: Scripted, calls: Calls) -> AsyncIterator[PrometheusSource]:
    made = PrometheusSource("default", SourceConfig(url=scripted.url, timeout=timedelta(milliseconds=300)), calls)
    yield made
    await made.close()


async def reason_of(source: PrometheusSource) -> Unknown:
    found = await source.ask(QUERY)
    assert isinstance(found, NoData)
    assert found.message.startswith("source default")
    return found.reason


async def test_a_query_is_sent_as_it_is_with_its_time_and_a_time_limit(
    source: PrometheusSource, scripted: Scripted, calls: Calls
) -> None:
    found = await source.ask(PromQL('x{a="ü\\\\+& "}'), datetime(2026, 11, 17, 15, 47, 0, 123_000, tzinfo=UTC))

    assert isinstance(found, Found)
    assert scripted.queries == ['x{a="ü\\\\+& "}']
    ((path, headers),) = scripted.requests
    assert path.startswith("/api/v1/query?")
    assert "time=1794930420.123" in path
    assert "timeout=5000ms" in path
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers
    assert calls == ["ok"]


async def test_connections_are_used_again(source: PrometheusSource, scripted: Scripted) -> None:
    for _ in range(5):
        await source.ask(QUERY)

    assert len(scripted.connections) == 1


async def test_many_queries_run_at_once(scripted: Scripted, source: PrometheusSource) -> None:
    together = threading.Barrier(16, timeout=4)

    def meet() -> Say:
        together.wait()
        return vector("1")

    scripted.on("sum(x)", meet)

    found = await asyncio.gather(*(source.ask(QUERY) for _ in range(16)))

    assert all(isinstance(one, Found) for one in found)


@pytest.mark.parametrize("answer", [Say(hang=True), Say(drip=True)], ids=["silence", "one byte at a time"])
async def test_a_slow_source_times_out(hasty: PrometheusSource, scripted: Scripted, calls: Calls, answer: Say) -> None:
    scripted.always(answer)
    started = time.monotonic()

    assert await reason_of(hasty) is Unknown.TIMED_OUT

    assert time.monotonic() - started < 3
    assert calls == ["TimedOut"]


async def test_an_unwell_source_is_asked_once_whatever_it_says_of_retries(
    source: PrometheusSource, scripted: Scripted
) -> None:
    scripted.always(Say({"status": "error", "error": "no"}, status=503, headers={"Retry-After": "30"}))

    assert await reason_of(source) is Unknown.UNREACHABLE

    assert len(scripted.requests) == 1


async def test_a_redirect_is_not_followed(source: PrometheusSource, scripted: Scripted) -> None:
    scripted.always(Say(status=302, headers={"Location": f"{scripted.url}/login"}))

    assert await reason_of(source) is Unknown.REFUSED

    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Say(b"x" * (LARGEST_BODY + 1)), id="a giant body"),
        pytest.param(Say("<html>please log in</html>"), id="a login page"),
        pytest.param(Say(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}), id="packed, though not asked for"),
    ],
)
async def test_row_33_a_body_that_is_no_result_is_malformed(
    source: PrometheusSource, scripted: Scripted, answer: Say
) -> None:
    scripted.always(answer)

    assert await reason_of(source) is Unknown.MALFORMED


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("http://127.0.0.1:1", "connection refused", id="nobody listens"),
        pytest.param("http://prometheus.invalid:9090", "does not resolve", id="no such name"),
        pytest.param("http://127.0.0.1:99999", "check its address", id="no such port"),
    ],
)
async def test_a_source_that_cannot_be_reached_says_why(calls: Calls, url: str, words: str) -> None:
    source = PrometheusSource("default", SourceConfig(url=url), calls)

    found = await source.ask(QUERY)

    assert isinstance(found, NoData)
    assert found.reason is Unknown.UNREACHABLE
    assert words in found.message
    assert calls == ["Unreachable"]
    await source.close()


async def test_tls_towards_a_plain_server_says_so(scripted: Scripted, calls: Calls) -> None:
    source = PrometheusSource("default", SourceConfig(url=scripted.url.replace("http:", "https:")), calls)

    found = await source.ask(QUERY)

    assert isinstance(found, NoData)
    assert found.reason is Unknown.UNREACHABLE
    assert "TLS" in found.message
    await source.close()


async def test_a_missing_ca_file_says_so(scripted: Scripted, calls: Calls, tmp_path: Path) -> None:
    config = SourceConfig(url=scripted.url.replace("http:", "https:"), ca_file=tmp_path / "ca.crt")
    source = PrometheusSource("default", config, calls)

    found = await source.ask(QUERY)

    assert isinstance(found, NoData)
    assert found.reason is Unknown.UNREACHABLE
    assert "CA file" in found.message
    await source.close()


async def test_the_token_is_read_anew_for_each_query(scripted: Scripted, calls: Calls, tmp_path: Path) -> None:
    token = tmp_path / "token"
    source = PrometheusSource("default", SourceConfig(url=scripted.url, bearer_token_file=token), calls)

    for text in ("first\n", "second"):
        token.write_text(text)
        await source.ask(QUERY)

    assert [headers["Authorization"] for _, headers in scripted.requests] == ["Bearer first", "Bearer second"]
    await source.close()


@pytest.mark.parametrize("text", [None, "", "a b", "a\nSecret: b", "ü"])
async def test_a_bad_token_is_never_sent_or_shown(
    scripted: Scripted, calls: Calls, tmp_path: Path, text: str | None
) -> None:
    token = tmp_path / "token"
    if text is not None:
        token.write_text(text)
    source = PrometheusSource("default", SourceConfig(url=scripted.url, bearer_token_file=token), calls)

    found = await source.ask(QUERY)

    assert isinstance(found, NoData)
    assert found.reason is Unknown.REFUSED
    assert "bearer token" in found.message
    assert "Secret" not in found.message
    assert scripted.requests == []
    await source.close()


async def test_the_environment_has_no_say(
    scripted: Scripted, source: PrometheusSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert isinstance(await source.ask(QUERY), Found)

    assert scripted.queries == [QUERY]


async def test_closing_ends_threads_and_drops_what_still_waits(scripted: Scripted, calls: Calls) -> None:
    config = SourceConfig(url=scripted.url, timeout=timedelta(milliseconds=200), concurrency=1)
    source = PrometheusSource("closing", config, calls)
    scripted.always(Say(hang=True))
    waiting = [asyncio.create_task(source.ask(QUERY)) for _ in range(5)]
    await asyncio.to_thread(scripted.asked.wait, 5)

    await source.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("metrics-closing")]
    await asyncio.wait(waiting, timeout=1)
    assert all(task.done() for task in waiting)
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    "url",
    ["prometheus:9090", "ftp://x", "http://", "http://u:p@x", "http://x/#a", "http://x/?a=b", "file:///etc/passwd"],
)
def test_an_address_that_is_no_base_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        SourceConfig(url=url)
