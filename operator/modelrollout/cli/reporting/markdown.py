"""A report in Markdown, as GitHub and its like show it."""

import re
from collections.abc import Iterator, Sequence

from modelrollout.cli.records import time_text
from modelrollout.cli.reporting import texts
from modelrollout.core.summary import Report, hands_of, totals_of
from modelrollout.core.tale import Tale

# What Markdown, GitHub's included, takes for more than a character; what it would make a link of; what would begin a list.
_SPECIAL = re.compile(
    r"[\\`*_\[\]#~|!$]|:(?=//)|(?<=www)\.|^[-+=](?=\s|[-=])|(?<=^\d)[.)](?=\s|$)|(?<=^\d\d)[.)](?=\s|$)", re.IGNORECASE
)
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Return a text of somebody else's so that it shows as it is, on one line."""
    marked = _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    return "".join(_HTML.get(one, one) for one in marked)


def markdown(report: Report, made: str) -> str:
    """Return the report; `made` says when and how it was made."""
    return "\n".join([*_lines(report, made), ""])


def _lines(report: Report, made: str) -> Iterator[str]:
    yield f"# Model rollouts, {texts.period_text(report.period)}"
    yield ""
    yield escape(texts.headline(report))
    yield ""
    yield from _look_at(report)
    if report.models:
        yield from _table(
            ("", "in this time"), [(a, b) for a, b, _ in texts.figures(totals_of(report.tales, report.period))]
        )
        yield from _models(report)
        yield from _causes(report)
        yield from _people(report)
    for model in report.models:
        yield f"## {escape(texts.model_name(model))}"
        yield ""
        for tale in model.tales:
            yield from _tale(tale)
    yield "## How to read this"
    yield ""
    yield from (f"- {escape(line)}" for line in texts.ABOUT)
    yield ""
    yield escape(made)


def _look_at(report: Report) -> Iterator[str]:
    found = list(texts.to_look_at(report))
    yield "## To look at"
    yield ""
    if not found:
        yield "Nothing: every chain of hashes holds, and nobody acted past a gate or under a name that nobody vouches for."
    for _, name, sentence in found:
        yield f"- {escape(f'{name}: {sentence}' if name else sentence)}"
    yield ""


def _models(report: Report) -> Iterator[str]:
    yield "## By model"
    yield ""
    header = (
        "model",
        "owner",
        "rollouts",
        "promoted",
        "rolled back",
        "under way",
        "time to roll back",
        "approvals",
        "overridden",
    )
    rows = []
    for model in report.models:
        totals = totals_of(model.tales, report.period)
        rows.append(
            (
                texts.model_name(model),
                model.owner.team if model.owner and model.owner.team else "-",
                str(totals.attempts),
                str(totals.promoted),
                str(totals.rolled_back),
                str(totals.open),
                texts.back_text(totals.median_back, totals),
                str(totals.approvals),
                str(totals.overrides),
            )
        )
    yield from _table(header, rows)


def _causes(report: Report) -> Iterator[str]:
    causes = totals_of(report.tales, report.period).causes
    if causes:
        yield "## Why rollouts went back"
        yield ""
        yield from _table(("cause", "rollbacks"), [(cause, str(count)) for cause, count in causes.items()])


def _people(report: Report) -> Iterator[str]:
    hands = hands_of(report.tales, report.period)
    if hands:
        yield "## Who did what"
        yield ""
        yield from _table(("who", "name", "did"), [texts.hand_text(hand) for hand in hands])


def _tale(tale: Tale) -> Iterator[str]:
    spec = tale.spec
    yield f"### {escape(f'{spec.candidate.version}, {time_text(spec.decided_at)}: {texts.outcome_text(tale)}')}"
    yield ""
    yield from _table(("", ""), list(texts.facts_of(tale)))
    yield from _table(("since", "shares", "why", "by"), list(texts.spans_of_tale(tale)))
    evidence = [(time_text(one.confirmed_at), *texts.numbers(gate)) for one in tale.segments for gate in one.gates]
    if evidence:
        header = ("at", "gate", "verdict", "value", "limit", "candidate", "baseline", "evidence")
        yield from _table(header, evidence)
    if tale.acts:
        yield from _table(("at", "what", "who", "why, and what came of it"), [texts.act_text(act) for act in tale.acts])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header)):
        yield f"| {' | '.join(row)} |"
    for row in rows:
        yield f"| {' | '.join(map(escape, row))} |"
    yield ""
