"""`report`: what people read, whatever others wrote into it; and the command on a real API server."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt
from modelrollout.cli.output import json_text
from modelrollout.cli.reporting.facts import facts
from modelrollout.cli.reporting.markdown import escape, markdown
from modelrollout.cli.reporting.page import page
from modelrollout.cli.words import printable
from modelrollout.core.summary import Period, Report, report_of

from local.cluster import LocalCluster
from tests.cli.stage import OnCall, call, on_call, said_by
from tests.support.chart import install_crds
from tests.support.records import NOON, asked, gate, promoted, record, rolled_back, segment, shares, version

MONTH = Period(NOON - timedelta(days=15), NOON + timedelta(days=15))
HOSTILE = [
    "<script>alert(1)</script>",
    "</title></svg></style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "| a | b |\n|---|---|\n# heading\n- list",
    "[click](javascript:alert(1)) ![x](http://evil.example/p.png) <http://evil.example>",
    "`code` **bold** _it_ ~~gone~~ $x$ \\",
    "{{ 7 * 7 }} {% raw %} &amp; &#x3c;b&#x3e;",
    "http://evil.example www.evil.example",
    "1. one",
    "\x1b[2J\x07\u202egnp.exe",
]


def report(*records: dict[str, Any]) -> Report:
    return report_of(records, MONTH, shown=printable)


def hostile(text: str) -> Report:
    """A report in which this text stands wherever somebody may write."""
    command = asked("hold", text, NOON + timedelta(minutes=5), verified=False, reason=text, result=text)
    name = text[:60]
    found = report(
        rolled_back(
            commands=[command],
            candidate={**version(name), "artifact": {"uri": text, "trainingData": text}},
            owner={"team": text[:100], "contact": text[:100]},
            trigger={"cause": "Retry", "actor": text, "verified": False, "reason": text},
            plan={
                "digest": "p",
                "stages": [{"name": text, "mirror": 100, "weights": [], "minDuration": "1m"}],
                "gates": [{"name": text, "rule": text}],
            },
        ),
        record(
            segment(shares(5), NOON + timedelta(hours=1), cause="External", actor=text, message=text, took=None),
            segment(shares(0), NOON + timedelta(hours=2), message=text, gates=[gate(text, message=text, value=text)]),
            attempt=2,
            decided=NOON + timedelta(hours=1),
        ),
    )
    assert not found.unread
    return found


class Elements(HTMLParser):
    """The names of elements and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


class TestThePage:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_shows_what_people_wrote_and_takes_none_of_it_for_html(self, text: str):
        harmless, found = Elements(page(hostile("harmless"), "made")), Elements(page(hostile(text), "made"))

        assert found.names <= harmless.names
        assert found.attributes <= harmless.attributes
        assert printable(text) in found.text

    def test_needs_nothing_else(self):
        text = page(report(promoted(), rolled_back(attempt=2)), "made")

        assert not re.search(r"(?i)(src|href)\s*=\s*[\"'](?!#)|url\((?!#)|@import|<script|<link|https?://", text)
        assert "default-src 'none'" in text

    def test_draws_each_span_and_marks_what_went_back(self):
        text = page(report(promoted(), rolled_back(attempt=2, decided=NOON + timedelta(days=1))), "made")

        assert "v1 50%, v2 50%" in text
        assert 'class="back"' in text
        assert "GateFailed, 2.4 s" in text

    def test_of_nothing_says_so(self):
        text = page(report(), "made")

        assert "No record tells of a rollout in this time." in text
        assert "<svg viewBox" not in text

    def test_unfolds_of_many_rollouts_those_that_do_not_hold(self):
        many = [promoted(attempt=number, decided=NOON + timedelta(hours=4 * number)) for number in range(1, 20)]
        many[7]["status"]["segments"][0]["stage"] = "forged"

        assert page(report(*many), "made").count("<details open>") == 1


class TestMarkdown:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_shows_what_people_wrote_and_takes_none_of_it_for_markup(self, text: str):
        parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])

        def kinds(one: str) -> set[str]:
            tokens = parser.parse(markdown(hostile(one), "made"))
            return {inner.type for token in tokens for inner in (token, *(token.children or []))}

        assert kinds(text) <= kinds("harmless")

    @pytest.mark.parametrize("text", HOSTILE)
    def test_gives_back_the_very_text(self, text: str):
        (_, inline, _) = MarkdownIt("commonmark").parse(escape(text))

        assert "".join(child.content for child in inline.children or []) == " ".join(text.split())

    def test_leaves_names_and_numbers_readable(self):
        assert escape("fraud-scorer 2026.11.2, 0.8 s (5 % of 1,000)") == "fraud-scorer 2026.11.2, 0.8 s (5 % of 1,000)"

    def test_tells_of_ends_causes_people_and_evidence(self):
        text = markdown(report(rolled_back(commands=[asked("approve", "ada", NOON)])), "made")

        for line in (
            "1 rollout of 1 model: 0 promoted, 1 rolled back, 0 under way. Going back took 2.4 s.",
            "| GateFailed | 1 |",
            "| ada | verified | approve 1 |",
            "| errors | Fail | 4.1% | 1% | 172 bad of 4,210 | 140 bad of 80,112 |",
        ):
            assert line in text


def test_what_is_not_there_is_to_be_looked_at():
    text = markdown(report(promoted(attempt=3)), "made")

    assert "- models/fraud: no record tells of attempts 1 to 2, and retention would have left them" in text


def test_json_has_seconds_and_null_for_what_no_record_tells():
    told = json.loads(json_text(facts(report(rolled_back(), rolled_back(took=None, attempt=2)))))

    (model,) = told["models"]
    assert [one["rollback"]["seconds"] for one in model["rollouts"]] == [2.4, None]
    assert told["totals"]["rollbackSeconds"] == {"median": 2.4, "longest": 2.4, "known": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--since", "tomorrow"], "write a time such as"),
        (["--since", "2026-11-02T00:00Z", "--until", "2026-11-01T00:00Z"], "is not before --until"),
        (["--since", "2199-01-01T00:00Z"], "is not before now"),
    ],
)
def test_a_time_that_cannot_be_is_refused_before_anything_is_asked(arguments: list[str], sentence: str):
    result = call("report", *arguments, "--kubeconfig", "/nowhere")

    assert result.exit_code == 64
    assert sentence in " ".join(result.stderr.split())


@pytest.fixture
def person(cluster: LocalCluster, namespace: str) -> OnCall:
    """Somebody on call, in a namespace with two records."""
    install_crds(cluster)
    at = f"/apis/modelrollout.dev/v1alpha1/namespaces/{namespace}/modelrolloutrecords"
    for stored in (promoted(namespace=namespace), rolled_back(namespace=namespace, attempt=2, candidate=version("v3"))):
        body = {**stored, "metadata": {name: stored["metadata"][name] for name in ("name", "labels")}}
        cluster.api.call("POST", at, {name: value for name, value in body.items() if name != "status"})
        name = stored["metadata"]["name"]
        cluster.api.call(
            "PATCH", f"{at}/{name}/status", {"status": stored["status"]}, content_type="application/merge-patch+json"
        )
    return on_call(cluster, namespace)


@pytest.mark.cluster
def test_the_report_of_stored_records_holds_and_counts(person: OnCall):
    told = json.loads(said_by(person.call("report", "--since", "2026-11-01T00:00Z", "-o", "json")))

    assert (told["totals"]["promoted"], told["totals"]["rolledBack"], told["totals"]["flaws"]) == (1, 1, 0)


@pytest.mark.cluster
def test_a_page_is_written_to_a_file(person: OnCall, tmp_path: Any):
    file = tmp_path / "report.html"

    said = person.call("report", "fraud", "--since", "2026-11-01T00:00Z", "-o", "html", "--output-file", file)

    assert said_by(said) == ""
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert said_by(person.call("report", "--output-file", tmp_path / "no" / "r.md"), 3) == ""


@pytest.mark.cluster
def test_a_record_that_does_not_hold_is_told_by_the_exit_code(cluster: LocalCluster, namespace: str):
    install_crds(cluster)
    stored = promoted(namespace=namespace)
    at = f"/apis/modelrollout.dev/v1alpha1/namespaces/{namespace}/modelrolloutrecords"
    body = {**stored, "metadata": {name: stored["metadata"][name] for name in ("name", "labels")}}
    cluster.api.call("POST", at, {name: value for name, value in body.items() if name != "status"})
    stored["status"]["segments"][1]["previous"] = "0" * 64
    cluster.api.call(
        "PATCH",
        f"{at}/{stored['metadata']['name']}/status",
        {"status": stored["status"]},
        content_type="application/merge-patch+json",
    )
    person = on_call(cluster, namespace)

    said = said_by(person.call("report", "--since", "2026-11-01T00:00Z"), 1)

    assert "segment 1: it was made after another segment 0 than the one that stands" in said


@pytest.mark.cluster
def test_where_there_are_no_records_the_report_says_so(cluster: LocalCluster, namespace: str):
    said = said_by(on_call(cluster, namespace).call("report", "churn"))

    assert "No record tells of a rollout in this time." in said
