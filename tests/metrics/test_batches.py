"""Queries that travel together: who shares a request, what each gets back, and who travels alone after trouble."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from modelrollout.core.evidence import NoData, Unknown
from modelrollout.metrics.answers import Found, Sample
from modelrollout.metrics.batches import MOST_QUERIES, REFUSALS, Answer, Batches
from modelrollout.metrics.config import SourceConfig
from modelrollout.metrics.prometheus import PrometheusSource
from modelrollout.metrics.queries import PromQL
from modelrollout.metrics.tenancy import Confined

from tests.metrics.conftest import Calls
from tests.metrics.scripted import Say, Scripted, vector

AT = datetime(2026, 11, 17, 15, 47, tzinfo=UTC)
LIMIT = timedelta(seconds=1)
REFUSED = Say({"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400)


@pytest.fixture
async def batches(scripted: Scripted, calls: Calls) -> AsyncIterator[Batches]:
    source = PrometheusSource("default", SourceConfig(url=scripted.url, timeout=LIMIT), calls)
    made = Batches(source, threads=16, time_limit=LIMIT)
    yield made
    made.close()
    await source.close()


def sums(*names: str) -> list[Confined]:
    return [Confined(PromQL(f"sum({name})")) for name in names]


def is_said_to(scripted: Scripted, **texts: str) -> None:
    for name, text in texts.items():
        scripted.on(f"sum({name})", lambda text=text: vector(text))  # type: ignore[misc]


def texts_of(answers: list[Answer]) -> list[str | Unknown]:
    return [
        answer.reason if isinstance(answer, NoData) else ",".join(s.text for s in answer.samples) for answer in answers
    ]


async def test_what_arrives_together_for_one_moment_is_one_request(batches: Batches, scripted: Scripted) -> None:
    is_said_to(scripted, a="1", b="2", c="3")

    first, second = await asyncio.gather(
        batches.ask("models/one", sums("a", "b"), AT), batches.ask("models/two", sums("c", "a"), AT)
    )

    assert texts_of(first) == ["1", "2"]
    assert texts_of(second) == ["3", "1"]
    assert scripted.queries == sums("a", "b", "c")  # what two ask for is asked once
    assert len(scripted.requests) == 1


async def test_other_moments_are_other_requests(batches: Batches, scripted: Scripted) -> None:
    later = AT + timedelta(seconds=1)

    await asyncio.gather(
        batches.ask("models/one", sums("a", "b"), AT), batches.ask("models/two", sums("a", "b"), later)
    )

    times = {parse_qs(urlsplit(path).query)["time"][0] for path, _ in scripted.requests}
    assert times == {f"{AT.timestamp():.3f}", f"{later.timestamp():.3f}"}


async def test_one_query_goes_out_as_it_is(batches: Batches, scripted: Scripted) -> None:
    await batches.ask("models/one", sums("a"), AT)

    ((path, _),) = scripted.requests
    assert "label_replace" not in path


async def test_a_full_batch_waits_for_no_more(batches: Batches, scripted: Scripted) -> None:
    many = sums(*(f"x{number}" for number in range(MOST_QUERIES + 1)))

    await asyncio.gather(*(batches.ask("models/one", [query], AT) for query in many))

    assert len(scripted.requests) == 2
    assert len(scripted.queries) == len(many)


async def test_answers_that_are_not_there_stay_with_their_own_query(batches: Batches, scripted: Scripted) -> None:
    is_said_to(scripted, a="1", nan="NaN")
    scripted.on("sum(none)", vector)
    scripted.on("sum(many)", lambda: vector("1", "2"))

    answers = await batches.ask("models/one", sums("a", "none", "nan", "many"), AT)

    assert texts_of(answers) == ["1", "", "NaN", "1,2"]
    assert answers[0] == Found((Sample({"n": "0"}, "1"),))
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        pytest.param(REFUSED, Unknown.REFUSED, id="refused"),
        pytest.param(vector("2", warnings=["partial"]), Unknown.WARNINGS, id="a warning"),
        pytest.param(Say("<html>"), Unknown.MALFORMED, id="a login page"),
    ],
)
async def test_a_batch_with_something_odd_is_asked_query_by_query(
    batches: Batches, scripted: Scripted, say: Say, reason: Unknown
) -> None:
    is_said_to(scripted, a="1")
    scripted.on("sum(odd)", lambda: say)

    good, odd = await asyncio.gather(
        batches.ask("models/good", sums("a", "a2"), AT), batches.ask("models/odd", sums("odd", "a"), AT)
    )

    assert texts_of(good) == ["1", "300"]
    assert texts_of(odd) == [reason, "1"]


async def test_who_spoils_a_batch_travels_alone_from_then_on(batches: Batches, scripted: Scripted) -> None:
    scripted.on("sum(odd)", lambda: REFUSED)
    await asyncio.gather(batches.ask("models/good", sums("a", "b"), AT), batches.ask("models/odd", sums("odd"), AT))
    scripted.requests.clear()

    answers = await asyncio.gather(
        batches.ask("models/good", sums("a", "b"), AT), batches.ask("models/odd", sums("odd", "c"), AT)
    )

    assert [texts_of(each) for each in answers] == [["300", "300"], [Unknown.REFUSED, "300"]]
    assert len(scripted.requests) == 3  # one for the good, each of the odd one's by itself


async def test_a_slow_query_costs_the_others_one_answer_and_no_second(batches: Batches, scripted: Scripted) -> None:
    scripted.on("sum(slow)", lambda: Say(hang=True))
    askers = [batches.ask("models/good", sums("a", "b"), AT), batches.ask("models/slow", sums("slow"), AT)]
    elsewhere = batches.ask("models/other", sums("a", "b"), AT + timedelta(seconds=1))

    good, slow, other = await asyncio.gather(*askers, elsewhere)

    assert texts_of(good) == [Unknown.TIMED_OUT, Unknown.TIMED_OUT]
    assert texts_of(slow) == [Unknown.TIMED_OUT]
    assert texts_of(other) == ["300", "300"]
    good, slow = await asyncio.gather(
        batches.ask("models/good", sums("a", "b"), AT), batches.ask("models/slow", sums("slow"), AT)
    )
    assert texts_of(good) == ["300", "300"]
    assert texts_of(slow) == [Unknown.TIMED_OUT]


async def test_a_source_that_hangs_is_not_asked_again_for_each_query(batches: Batches, scripted: Scripted) -> None:
    scripted.always(Say(hang=True))

    answers = await asyncio.gather(*(batches.ask(f"models/r{n}", sums(f"a{n}", f"b{n}"), AT) for n in range(10)))

    assert {reason for each in answers for reason in texts_of(each)} == {Unknown.TIMED_OUT}
    assert len(scripted.requests) == 1


async def test_a_source_that_is_down_is_asked_again_for_one_asker_at_most(batches: Batches, scripted: Scripted) -> None:
    scripted.always(Say("down", status=503))

    answers = await asyncio.gather(*(batches.ask(f"models/r{n}", sums(f"a{n}", f"b{n}"), AT) for n in range(10)))

    assert {reason for each in answers for reason in texts_of(each)} == {Unknown.UNREACHABLE}
    assert len(scripted.requests) == 3


async def test_a_source_that_takes_no_batches_is_asked_without(
    batches: Batches, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.metrics.scripted.together", lambda _: Say("no forms here", status=405))

    for _ in range(REFUSALS):
        assert texts_of(await batches.ask("models/one", sums("a", "b"), AT)) == ["300", "300"]
    scripted.requests.clear()
    await batches.ask("models/one", sums("a", "b"), AT)

    assert len(scripted.requests) == 2


async def test_who_stops_waiting_takes_nothing_away_from_the_others(batches: Batches, scripted: Scripted) -> None:
    gone = asyncio.ensure_future(batches.ask("models/gone", sums("a", "gone"), AT))
    stays = asyncio.ensure_future(batches.ask("models/stays", sums("a", "b"), AT))
    await asyncio.sleep(0)
    gone.cancel()

    assert texts_of(await stays) == ["300", "300"]

    assert "sum(gone)" not in scripted.queries


async def test_closing_ends_every_wait(batches: Batches, scripted: Scripted) -> None:
    scripted.always(Say(hang=True))
    waiting = asyncio.ensure_future(batches.ask("models/one", sums("a", "b"), AT))
    await asyncio.to_thread(scripted.asked.wait, 5)

    batches.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_queries_too_long_for_an_address_travel_as_a_form(batches: Batches, scripted: Scripted) -> None:
    long = Confined(PromQL(f'sum(a{{b="{"x" * 5000}"}})'))

    assert texts_of([await batches.ask_alone(long, AT)]) == ["300"]

    assert scripted.queries == [long]
