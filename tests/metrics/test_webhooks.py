"""Judges outside, over real connections: what they are asked, and what becomes of each odd answer."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from modelrollout.api.gates import Gate
from modelrollout.api.status import Verdict
from modelrollout.core.evidence import Judged, NoData, Unknown
from modelrollout.core.traffic import Blocked
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.sources import Sources
from modelrollout.metrics.webhooks import LARGEST_BODY, WebhookConfig

from tests.metrics.builders import question, track
from tests.metrics.conftest import Calls, now
from tests.metrics.judge import PASSES, Judge, judging
from tests.metrics.scripted import Say

BASELINE = track("fraud-v1", version="2026.10.4")


@pytest.fixture
def judge() -> Iterator[Judge]:
    with judging() as server:
        yield server


def asking(judge: Judge, path: str = "/v1/judge", scheme: str = "http", **more: Any) -> dict[str, Any]:
    return {"name": "drift-monitor", "webhook": {"url": f"{scheme}://{judge.host}{path}", **more}}


def sources_for(judge: Judge, **config: Any) -> Sources:
    # The metrics source does not exist: a judge needs none.
    default = SourceConfig(url="http://127.0.0.1:9")
    allowed = WebhookConfig.model_validate({"plain": True, "timeout": "2s", **config})
    return Sources({"default": default}, now, Calls(), {judge.host: allowed})


@pytest.fixture
async def sources(judge: Judge) -> AsyncIterator[Sources]:
    made = sources_for(judge)
    yield made
    await made.close()


async def test_a_judge_is_told_where_the_rollout_stands_and_its_word_comes_back(sources: Sources, judge: Judge) -> None:
    gate = asking(judge, parameters=[{"name": "monitor", "value": 'fraud "q4"'}])
    asked = question(gate, baseline=BASELINE)

    answer = await sources.measure(asked)

    assert answer == Judged(Verdict.PASS, f"judge {judge.host} says pass: all is well")
    assert answer.asked
    (seen,) = judge.asked
    assert seen.path == "/v1/judge"
    window = seen.body.pop("window")
    assert window["until"] == asked.until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert seen.body == {
        "version": 1,
        "namespace": "models",
        "name": "fraud",
        "attempt": 3,
        "gate": "drift-monitor",
        "stage": "canary",
        "step": 1,
        "shares": {"candidate": "5", "mirror": "0"},
        "candidate": {"version": "2026.11.2", "service": "fraud-v2", "port": 8080},
        "baseline": {"version": "2026.10.4", "service": "fraud-v1", "port": 8080},
        "parameters": {"monitor": 'fraud "q4"'},
    }


async def test_a_first_deployment_has_no_baseline_to_tell_of(sources: Sources, judge: Judge) -> None:
    await sources.measure(question(asking(judge)))

    assert judge.asked[0].body["baseline"] is None


@pytest.mark.parametrize(
    ("say", "found"),
    [
        pytest.param(Say({"verdict": "fail", "message": "PSI 0.4"}), (Verdict.FAIL, "says fail: PSI 0.4"), id="fail"),
        pytest.param(Say({"verdict": "unknown"}), (Verdict.UNKNOWN, "without a word why"), id="unknown"),
        pytest.param(Say({"verdict": "pass", "message": 5, "x": []}), (Verdict.PASS, "without a word"), id="odd message"),
        pytest.param(Say({"verdict": "pass", "message": "a\n\x1b[31mb\u202e" + "c" * 999}), (Verdict.PASS, "a [31mb c"),
                     id="a message with control characters"),
        pytest.param(Say({"verdict": "Pass"}), Unknown.MALFORMED, id="another spelling"),
        pytest.param(Say({"verdict": ["pass"]}), Unknown.MALFORMED, id="a list"),
        pytest.param(Say({"message": "ok"}), Unknown.MALFORMED, id="no verdict"),
        pytest.param(Say(["pass"]), Unknown.MALFORMED, id="no object"),
        pytest.param(Say("<html>"), Unknown.MALFORMED, id="a login page"),
        pytest.param(Say(b"\xff\xfe"), Unknown.MALFORMED, id="no text"),
        pytest.param(Say(""), Unknown.MALFORMED, id="nothing"),
        pytest.param(Say("[" * 30_000), Unknown.MALFORMED, id="a deep nest"),
        pytest.param(Say({"verdict": "pass", "message": "x" * LARGEST_BODY}), Unknown.MALFORMED, id="too large"),
        pytest.param(Say(PASSES.body, status=201), Unknown.UNREACHABLE, id="another status"),
        pytest.param(Say(PASSES.body, status=400), Unknown.REFUSED, id="refused"),
        pytest.param(Say(PASSES.body, status=401), Unknown.REFUSED, id="no credentials"),
        pytest.param(Say(PASSES.body, status=503), Unknown.UNREACHABLE, id="down"),
        pytest.param(Say(PASSES.body, headers={"Content-Encoding": "gzip"}), (Verdict.PASS, "all is well"), id="no gzip"),
    ],
)  # fmt: skip
async def test_an_answer_is_a_verdict_or_unknown(sources: Sources, judge: Judge, say: Say, found: Any) -> None:
    judge.say = say

    answer = await sources.measure(question(asking(judge)))

    if isinstance(answer, NoData):
        assert answer.reason == found
    else:
        assert isinstance(answer, Judged)
        assert answer.verdict is found[0]
        assert found[1] in answer.message
        assert answer.message.isprintable()
        assert len(answer.message) < 300


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(sources: Sources, judge: Judge, status: int) -> None:
    judge.say = Say(status=status, headers={"Location": f"http://{judge.host}/elsewhere"})

    answer = await sources.measure(question(asking(judge)))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.REFUSED
    assert f"redirect ({status})" in answer.message
    assert [asked.path for asked in judge.asked] == ["/v1/judge"]


@pytest.mark.parametrize("say", [Say(hang=True), Say(drip=True)], ids=["silent", "a byte now and then"])
async def test_a_slow_judge_is_unknown_within_its_time_limit(judge: Judge, say: Say) -> None:
    sources = sources_for(judge, timeout="200ms")
    judge.say = say

    answer = await sources.measure(question(asking(judge)))

    assert answer == NoData(Unknown.TIMED_OUT, f"judge {judge.host} did not answer within 200ms")
    await sources.close()


async def test_nobody_waits_for_a_judge_whose_pass_was_given_up(sources: Sources, judge: Judge) -> None:
    judge.say = Say(hang=True)
    waiting = asyncio.ensure_future(sources.measure(question(asking(judge))))
    assert await asyncio.to_thread(judge.heard.wait, 5)

    began = time.monotonic()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - began < 1.5


async def test_who_does_not_listen_is_unreachable() -> None:
    nobody = Sources(
        {"default": SourceConfig(url="http://127.0.0.1:9")}, now, Calls(), {"127.0.0.1:9": WebhookConfig(plain=True)}
    )

    answer = await nobody.measure(question({"name": "j", "webhook": {"url": "http://127.0.0.1:9/"}}))

    assert answer == NoData(Unknown.UNREACHABLE, "judge 127.0.0.1:9 cannot be reached, or speaks no HTTP")
    await nobody.close()


async def test_no_proxy_of_the_environment_is_asked(
    sources: Sources, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert isinstance(await sources.measure(question(asking(judge))), Judged)


async def test_a_token_is_read_anew_for_each_question_and_sent_to_its_host(judge: Judge, tmp_path: Path) -> None:
    file = tmp_path / "token"
    sources = sources_for(judge, bearerTokenFile=file)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        await sources.measure(question(asking(judge)))
    file.write_text("two words")
    broken = await sources.measure(question(asking(judge)))
    file.unlink()
    gone = await sources.measure(question(asking(judge)))

    assert [asked.headers["Authorization"] for asked in judge.asked] == ["Bearer first", "Bearer second"]
    for answer in (broken, gone):
        assert isinstance(answer, NoData)
        assert answer.reason is Unknown.REFUSED
        assert "words" not in answer.message
    await sources.close()


async def test_a_judge_without_tls_where_tls_is_asked_for_is_unreachable(judge: Judge) -> None:
    sources = sources_for(judge)

    answer = await sources.measure(question(asking(judge, scheme="https")))

    assert isinstance(answer, NoData)
    assert answer.reason is Unknown.UNREACHABLE
    assert judge.asked == []
    await sources.close()


async def test_a_ca_file_without_certificates_says_so(judge: Judge, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=str(file))
    sources = sources_for(judge, caFile=file)

    answer = await sources.measure(question(asking(judge, scheme="https")))

    assert isinstance(answer, NoData)
    assert (answer.reason, "holds no certificates" in answer.message) == (Unknown.UNREACHABLE, True)
    await sources.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://other.example.com/judge", "host other.example.com:443 is not one that this operator may ask (judge.example.com:443"),
        ("https://judge.example.com:8443/judge", "host judge.example.com:8443 is not one"),
        ("http://judge.example.com:443/judge", "may be asked over https only"),
        ("https://judge.example.com.evil.com/judge", "is not one that this operator may ask"),
        ("https://judge.example.com@evil.com/judge", "host evil.com:443 is not one"),
        ("https://judge.example.com:99999/judge", "is not one that this operator may ask"),
    ],
)  # fmt: skip
async def test_a_host_that_is_not_allowed_is_refused_with_the_remedy_and_never_asked(url: str, sentence: str) -> None:
    sources = Sources(
        {"default": SourceConfig(url="http://127.0.0.1:9")}, now, Calls(), {"judge.example.com": WebhookConfig()}
    )
    asked = question({"name": "monitor", "webhook": {"url": url}})

    blocked = sources.check(asked.metrics, [asked.gate])
    answer = await sources.measure(asked)

    assert isinstance(blocked, Blocked)
    assert blocked.reason == "WebhookNotAllowed"
    assert blocked.message.startswith("gate monitor: host ")
    assert sentence in blocked.message
    assert answer == NoData(Unknown.REFUSED, blocked.message)
    await sources.close()


def test_no_host_is_allowed_unless_one_is_named(judge: Judge) -> None:
    sources = Sources({"default": SourceConfig(url="http://127.0.0.1:9")}, now, Calls())

    blocked = sources.check(question().metrics, [Gate.model_validate(asking(judge))])

    assert isinstance(blocked, Blocked)
    assert "may ask (none)" in blocked.message


@pytest.mark.parametrize("timeout", ["0s", "31s", "1h"])
def test_a_time_limit_is_one(timeout: str) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 30s"):
        WebhookConfig.model_validate({"timeout": timeout})


def test_the_longest_time_limit_is_allowed() -> None:
    assert WebhookConfig.model_validate({"timeout": "30s"}).timeout == timedelta(seconds=30)
