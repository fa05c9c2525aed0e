"""What a source is shown of who asks: read anew, sent to nobody else, repeated nowhere."""

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.metrics.answers import Found
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PromQL
from pydantic import ValidationError

from tests.metrics.conftest import Calls
from tests.metrics.scripted import Say, Scripted

QUERY = PromQL("sum(x)")
SECRET = "hunter2-correct-horse"
Config = dict[str, Any]


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Write files by name; return where each is."""

    def write(**texts: str | bytes) -> dict[str, str]:
        for name, text in texts.items():
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return {name: str(tmp_path / name) for name in texts}

    return write


async def asked(scripted: Scripted, config: Config) -> Found | NoData:
    source = PrometheusSource("default", SourceConfig.model_validate({"url": scripted.url, **config}), Calls())
    try:
        return await source.ask(QUERY)
    finally:
        await source.close()


def headers(scripted: Scripted) -> list[dict[str, str]]:
    return [found for _, found in scripted.requests]


@pytest.mark.parametrize("user", ["given", "in a file"])
async def test_user_and_password_are_sent_as_basic_auth(
    scripted: Scripted, files: Callable[..., dict[str, str]], user: str
) -> None:
    at = files(user="ops\n", password=f" pässword {SECRET}\n")
    named = {"username": "ops"} if user == "given" else {"usernameFile": at["user"]}

    await asked(scripted, {"basicAuth": {**named, "passwordFile": at["password"]}})

    (sent,) = headers(scripted)
    kind, encoded = sent["Authorization"].split(" ")
    assert (kind, base64.b64decode(encoded).decode()) == ("Basic", f"ops:pässword {SECRET}")


async def test_headers_are_sent_as_given_or_from_their_file(
    scripted: Scripted, files: Callable[..., dict[str, str]]
) -> None:
    at = files(key=f"{SECRET}\n")

    await asked(scripted, {"headers": {"X-Scope-OrgID": "team-a|team-b", "X-Api-Key": {"file": at["key"]}}})

    (sent,) = headers(scripted)
    assert sent["X-Scope-OrgID"] == "team-a|team-b"
    assert sent["X-Api-Key"] == SECRET
    assert sent["Accept-Encoding"] == "identity"
    assert "Authorization" not in sent


async def test_files_are_read_anew_for_each_query(scripted: Scripted, files: Callable[..., dict[str, str]]) -> None:
    at = files(password="first", key="one")
    config = {
        "url": scripted.url,
        "basicAuth": {"username": "ops", "passwordFile": at["password"]},
        "headers": {"X-Api-Key": {"file": at["key"]}},
    }
    source = PrometheusSource("default", SourceConfig.model_validate(config), Calls())

    await source.ask(QUERY)
    files(password="second", key="two")
    await source.ask(QUERY)

    sent = headers(scripted)
    assert [base64.b64decode(one["Authorization"].split(" ")[1]) for one in sent] == [b"ops:first", b"ops:second"]
    assert [one["X-Api-Key"] for one in sent] == ["one", "two"]
    await source.close()


@pytest.mark.parametrize(
    ("config", "texts", "words"),
    [
        pytest.param({"basicAuth": {"username": "a", "passwordFile": "F"}}, None, "password file cannot be read", id="none"),
        pytest.param({"basicAuth": {"username": "a", "passwordFile": "F"}}, "", "password file holds no password", id="empty"),
        pytest.param({"basicAuth": {"username": "a", "passwordFile": "F"}}, f"a\n{SECRET}", "holds no password", id="lines"),
        pytest.param({"basicAuth": {"username": "a", "passwordFile": "F"}}, b"\xff" + SECRET.encode(), "cannot be read", id="bytes"),
        pytest.param({"basicAuth": {"username": "a", "passwordFile": "F"}}, SECRET * 4000, "larger than", id="too large"),
        pytest.param({"basicAuth": {"usernameFile": "F", "passwordFile": "F"}}, f"a:{SECRET}", "holds no username", id="a colon"),
        pytest.param({"headers": {"X-Key": {"file": "F"}}}, None, "file for header X-Key cannot be read", id="no header"),
        pytest.param({"headers": {"X-Key": {"file": "F"}}}, f"a\r\nX-Other: {SECRET}", "holds no header's value", id="two headers"),
        pytest.param({"headers": {"X-Key": {"file": "F"}}}, f"ü{SECRET}", "holds no header's value", id="not ASCII"),
        pytest.param({"bearerTokenFile": "F"}, f"a\n{SECRET}", "holds no token", id="a token in lines"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused_before_anything_leaves_and_never_repeated(
    scripted: Scripted, tmp_path: Path, config: Config, texts: str | bytes | None, words: str
) -> None:
    file = tmp_path / "secret"
    if texts is not None:
        file.write_bytes(texts if isinstance(texts, bytes) else texts.encode())

    found = await asked(scripted, json.loads(json.dumps(config).replace('"F"', json.dumps(str(file)))))

    assert isinstance(found, NoData)
    assert found.reason is Unknown.REFUSED
    assert words in found.message
    assert SECRET not in found.message
    assert scripted.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Say(status=302, headers={"Location": "ELSEWHERE"}), id="a redirect"),
        pytest.param(Say(status=307, headers={"Location": "ELSEWHERE"}), id="one that keeps the method"),
        pytest.param(Say(status=401, headers={"WWW-Authenticate": "Digest realm=x, nonce=y"}), id="a challenge"),
        pytest.param(Say({"status": "error", "error": "no"}, status=400), id="a refusal"),
        pytest.param(Say(b"\x00" * 64), id="something else"),
    ],
)
async def test_credentials_go_to_their_origin_alone_and_into_no_log_or_message(
    scripted: Scripted,
    files: Callable[..., dict[str, str]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    answer: Say,
) -> None:
    elsewhere = Scripted()
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.url)
    answer.headers = {name: text.replace("ELSEWHERE", elsewhere.url) for name, text in answer.headers.items()}
    scripted.always(answer)
    at = files(password=SECRET, key=SECRET)
    caplog.set_level(logging.DEBUG)

    found = await asked(
        scripted,
        {
            "basicAuth": {"username": "ops", "passwordFile": at["password"]},
            "headers": {"X-Api-Key": {"file": at["key"]}, "X-Plain": SECRET},
        },
    )

    assert isinstance(found, NoData)
    assert len(scripted.requests) == 1
    assert elsewhere.requests == []
    assert SECRET not in found.message + caplog.text
    assert base64.b64encode(f"ops:{SECRET}".encode()).decode() not in found.message + caplog.text
    elsewhere.server_close()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"basicAuth": {"passwordFile": "/p"}}, "give username or usernameFile, one of them"),
        ({"basicAuth": {"username": "a", "usernameFile": "/u", "passwordFile": "/p"}}, "give username or usernameFile"),
        ({"basicAuth": {"username": "a:b", "passwordFile": "/p"}}, "a username has no ':'"),
        ({"basicAuth": {"username": "a"}}, "Field required"),
        ({"basicAuth": {"username": "a", "password": SECRET}}, "Extra inputs are not permitted"),
        ({"bearerTokenFile": "/t", "basicAuth": {"username": "a", "passwordFile": "/p"}}, "give one of them"),
        ({"clientCertificate": {"certFile": "/c", "keyFile": "/k"}}, "clientCertificate needs TLS: write an https"),
        ({"headers": {"Authorization": f"Bearer {SECRET}"}}, "give bearerTokenFile or basicAuth"),
        ({"headers": {"AUTHORIZATION": f"Bearer {SECRET}"}}, "give bearerTokenFile or basicAuth"),
        ({"headers": {"Proxy-Authorization": SECRET}}, "no proxy is used"),
        ({"headers": {"cookie": SECRET}}, "no session is kept"),
        ({"headers": {"Host": "other"}}, "write it in url"),
        ({"headers": {"Accept-Encoding": "gzip"}}, "could outgrow"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "belongs to the connection"),
        ({"headers": {"Content-Length": "0"}}, "belongs to the connection"),
        ({"headers": {"X Key": SECRET}}, "is no header's name"),
        ({"headers": {"X-Key:": SECRET}}, "is no header's name"),
        ({"headers": {"": SECRET}}, "is no header's name"),
        ({"headers": {"X-Key": f"a\r\nHost: {SECRET}"}}, "a header's value is 1 to 4096 printable ASCII"),
        ({"headers": {"X-Key": ""}}, "a header's value is"),
        ({"headers": {"X-Key": 1}}, "a header is a text, or"),
        ({"headers": {"X-Key": {"file": "/a", "value": SECRET}}}, "Extra inputs are not permitted"),
        ({"headers": {"X-Key": "a", "x-key": "b"}}, "header x-key is given twice"),
        ({"headers": {f"X-{n}": "a" for n in range(21)}}, "at most 20"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence_that_repeats_no_value(config: Config, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SourceConfig.model_validate({"url": "http://prometheus", **config})

    assert sentence in str(refused.value)
    assert SECRET not in str(refused.value)
