"""`explain`: why a rollout stands where it stands, and each verdict from the question to its runbook."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never

import click
from rich.console import Console
from rich.text import Text

from modelrollout.api.fields import render_number, render_share, render_time
from modelrollout.api.gates import Gate, OnFail
from modelrollout.api.status import GateStatus, Outcome, Phase, Tally, Verdict
from modelrollout.cli.exits import Exit, Problem
from modelrollout.cli.output import output_option, print_json
from modelrollout.cli.pictures import VERDICTS, evidence_bar, headline, shares, track
from modelrollout.cli.recording import Exchange, exchange
from modelrollout.cli.rollouts import rollouts_of
from modelrollout.cli.session import Session, cluster_options, run, with_kubectl
from modelrollout.cli.sights import Sight
from modelrollout.cli.simulation import where_of
from modelrollout.cli.sourcing import Asking, source_options
from modelrollout.cli.words import age, printable, ready_condition, span
from modelrollout.core.evidence import Answer, Counted, Distributed, Judged, Measured, NoData, Question
from modelrollout.core.gates import is_lost
from modelrollout.core.looking import questions
from modelrollout.core.rollout import Rollout, parse_rollout
from modelrollout.metrics.answers import Found

_CODES = {Verdict.PASS: Exit.YES, Verdict.FAIL: Exit.NO, Verdict.UNKNOWN: Exit.OPEN}


@dataclass(frozen=True, slots=True)
class Told:
    """A gate, its last verdict, and what was asked for it; `None` where that cannot be told."""

    gate: Gate | None
    status: GateStatus
    question: Question | None
    exchange: Exchange | None


@click.command(
    epilog=with_kubectl("kubectl get mr NAME -o jsonpath='{.status.attempt.gates}'", "kubectl describe mr NAME")
)
@click.argument("name")
@click.argument("gate", required=False)
@source_options
@output_option("text", "json")
@cluster_options
@click.pass_obj
def command(session: Session, *, name: str, gate: str | None, asking: Asking, output: str) -> None:
    """Explain where a rollout stands, and its gates: what was asked, what came back, why the verdict is what it is, what to
    do, and the runbook.

    The queries are those that the operator sends, written by the same code. With --prometheus they are asked once more,
    for the same window.

    With GATE it explains that gate alone, and ends with 0 if it passes, 1 if it fails, 2 if it does not know.
    """  # noqa: D205 - click shows the first paragraph whole
    sight, told = run(_explain(session, name, gate, asking))
    if output == "json":
        print_json(_facts(sight, told))
    else:
        _print(sight, told, is_whole=gate is None)
    if gate:
        raise SystemExit(_CODES[told[0].status.verdict])


async def _explain(session: Session, name: str, only: str | None, asking: Asking) -> tuple[Sight, list[Told]]:
    async with rollouts_of(session) as rollouts:
        raw = printable(await rollouts.get(name))
    sight = Sight(raw, parse_rollout(raw))
    names = [gate.name for gate in sight.gates]
    if only and only not in names:
        known = ", ".join(names) or "none yet"
        raise Problem(f"{name} has no verdict of a gate {only}; it has: {known}")
    wanted = [gate for gate in sight.gates if only in {None, gate.name}]
    return sight, [await _told(sight.parsed, gate, asking) for gate in wanted]


async def _told(rollout: Rollout, status: GateStatus, asking: Asking) -> Told:
    question = question_of(rollout, status)
    gate = question.gate if question else _gate_of(rollout, status.name)
    found = await exchange(question, asking) if question else None
    return Told(gate, status, question, found)


def question_of(rollout: Rollout, status: GateStatus) -> Question | None:
    """Return what was asked for a gate's last verdict, `None` where no such question can be put together any more."""
    attempt = rollout.status.attempt
    if attempt is None or attempt.applied_at is None or rollout.spec is None:
        return None
    # As it was then: an attempt that has ended, or goes back, is not asked about.
    then = attempt.model_copy(update={"outcome": None, "rollback": None, "gates": []})
    asked = questions(
        replace(rollout, status=rollout.status.model_copy(update={"attempt": then})),
        *where_of(rollout),
        status.evaluated_at,
    )
    question = asked.get(status.name)
    if question is None:
        return None
    evidence = status.evidence
    since = evidence.since if evidence and evidence.since else question.since
    until = evidence.until if evidence and evidence.until else question.until
    return replace(question, since=since, until=until, before=None) if since < until else None


def _gate_of(rollout: Rollout, name: str) -> Gate | None:
    attempt = rollout.status.attempt
    if rollout.spec is None or attempt is None:
        return None
    plan = rollout.plan(has_baseline=attempt.baseline is not None)
    return next((gate for gate in plan.gates if gate.name == name), None)


def _print(sight: Sight, told: Sequence[Told], *, is_whole: bool) -> None:
    console, now = Console(soft_wrap=True, highlight=False), datetime.now(UTC)
    if is_whole:
        console.print(headline(sight, now))
        console.print(track(sight))
        console.print(shares(sight))
        _, reason, message = ready_condition(sight.raw.get("status") or {})
        console.print(Text(f"why    {reason}: {message}" if reason else "why    nobody has looked at it yet"))
        for line in advice(sight):
            console.print(Text(f"do     {line}"))
    for one in told:
        if is_whole:
            console.print()
        _print_gate(console, sight, one, now)


def _print_gate(console: Console, sight: Sight, told: Told, now: datetime) -> None:
    status = told.status
    verdict = (str(status.verdict), VERDICTS[status.verdict])
    limit = f", allowed is {status.limit}" if status.limit else ""
    console.print(Text.assemble(("gate ", "dim"), (status.name, "bold"), " ", verdict, f" ({status.reason}){limit}"))
    for label, line in _lines(sight, told, now):
        console.print(Text.assemble((f"  {label:<10}", "dim"), line))


def _lines(sight: Sight, told: Told, now: datetime) -> Iterator[tuple[str, Text | str]]:
    status = told.status
    if told.gate:
        yield "gate", _definition(told.gate)
    if told.question:
        window = told.question.until - told.question.since
        yield "window", f"{render_time(told.question.since)} to {render_time(told.question.until)} ({span(window)})"
    for index, (query, answer) in enumerate(told.exchange.asked if told.exchange else ()):
        yield "asked" if index == 0 else "", query
        if told.exchange and told.exchange.answer is not None:
            yield "", f"= {_returned(answer)}"
    yield from _digest(told)
    yield "came back", f"{_came_back(status)} (measured {age(status.evaluated_at, now)} ago)"
    if told.exchange and told.exchange.answer is not None:
        yield "now", _answered(told.exchange.answer)
    yield "verdict", f"{status.verdict}: {status.message}"
    yield "evidence", evidence_bar(status).append(_scale(status), "dim")
    for line in remedies(sight, told):
        yield "do", line
    runbook = (told.gate.runbook_url if told.gate else None) or (
        sight.parsed.spec.owner.runbook_url if sight.parsed.spec else None
    )
    yield "runbook", runbook or "none is named: spec.owner.runbookURL or the gate's own runbookURL"


def _digest(told: Told) -> Iterator[tuple[str, str]]:
    known = told.status.evidence.query_digest if told.status.evidence else None
    if known is None or told.exchange is None:
        return
    if known == told.exchange.digest:
        yield "digest", f"{known}, as in status: this is what was asked, to the letter"
    else:
        text = (
            f"status has {known}, these have {told.exchange.digest}: the operator's settings add to them (--settings), or"
            " the window before the stage was asked about, too"
        )
        yield "digest", text


def _definition(gate: Gate) -> str:
    kind, fields = next((key, value) for key, value in gate.render().items() if isinstance(value, dict))
    limits = ", ".join(f"{key} {value}" for key, value in fields.items())
    return f"{kind}: {limits}; a failure {'holds' if gate.on_fail is OnFail.HOLD else 'rolls back'}"


def _returned(answer: Found | NoData) -> str:
    if isinstance(answer, NoData):
        return f"{answer.reason}: {answer.message}"
    return ", ".join(sample.text for sample in answer.samples) or "nothing"


def _answered(answer: Answer) -> str:
    match answer:
        case Counted(candidate, baseline):
            compared = f", baseline {baseline.bad} of {baseline.total}" if baseline else ""
            return f"candidate {candidate.bad} of {candidate.total} bad{compared}"
        case Measured(value):
            return render_number(value)
        case Distributed(candidate, baseline):
            compared = f", baseline {sum(baseline)}" if baseline else ""
            return f"candidate {sum(candidate)} observations{compared}"
        case Judged(verdict, message):
            return f"its judge says {verdict}: {message}"
        case NoData(reason, message):
            return f"{reason}: {message}"
        case _:
            assert_never(answer)


def _came_back(status: GateStatus) -> str:
    if status.tally is None:
        return status.value or "nothing that counts yet"
    text = _tally(status.tally)
    if status.earlier:
        text += f"; in earlier steps of the stage {'; '.join(map(_tally, status.earlier))}"
    return text


def _tally(tally: Tally) -> str:
    share = render_share(tally.bad / tally.total) if tally.total else "none"
    compared = f", baseline {tally.baseline_bad} of {tally.baseline_total}" if tally.baseline_total else ""
    return f"candidate {tally.bad} of {tally.total} bad ({share}){compared}"


def _scale(status: GateStatus) -> str:
    evidence = status.evidence
    if evidence is None or evidence.towards_fail is None or evidence.towards_pass is None:
        return ""
    text = f" {evidence.towards_fail} % of what fails, {evidence.towards_pass} % of what passes"
    if evidence.detectable:
        text += f"; a regression of {evidence.detectable} would have been seen"
    if evidence.dispersion and evidence.dispersion != "1":
        text += f"; bad requests come {evidence.dispersion} times more unevenly than by chance"
    return text


def remedies(sight: Sight, told: Told) -> Iterator[str]:
    """Yield what to do about a gate's verdict."""
    status, name = told.status, sight.parsed.name
    match status.verdict:
        case Verdict.PASS:
            yield "nothing: it passes"
        case Verdict.FAIL:
            yield "look at what the candidate does differently, and make a version that does not the candidate"
            yield f"if it is a false alarm: kubectl modelrollout retry {name} --reason …, or give the gate more room"
        case Verdict.UNKNOWN if is_lost(status):
            yield "mend what the verdict names; it goes on by itself, and nothing is promoted or rolled back meanwhile"
            yield f"if that takes long: kubectl modelrollout rollback {name} --reason …"
        case Verdict.UNKNOWN:
            needed = status.evidence.needed if status.evidence else None
            eta = status.evidence.eta if status.evidence else None
            more = f" for about {needed} more requests of the candidate" if needed else ""
            yield f"wait{more}{f', about until {eta:%Y-%m-%d %H:%M} UTC' if eta else ''}"
        case _:
            assert_never(status.verdict)


def advice(sight: Sight) -> list[str]:
    """Return the commands that fit the state of the whole rollout."""
    status, name = sight.parsed.status, sight.parsed.name
    attempt = status.attempt
    back = f"kubectl modelrollout rollback {name} --reason …   gives the baseline everything"
    match status.phase:
        case Phase.HELD:
            return [f"kubectl modelrollout resume {name}   goes on, once what it names is mended", back]
        case Phase.ROLLED_BACK:
            return [f"make another version the candidate, or kubectl modelrollout retry {name} --reason …"]
        case Phase.INVALID:
            return ["correct the manifest or what it names, and apply it again"]
        case Phase.PROMOTED:
            is_open = attempt is not None and attempt.outcome is Outcome.PROMOTED and attempt.baseline is not None
            return [back] if is_open else []
        case Phase.SHADOW | Phase.CANARY | Phase.FULL:
            return [f"kubectl modelrollout watch {name}", back]
        case _:
            return []


def _facts(sight: Sight, told: Sequence[Told]) -> dict[str, Any]:
    _, reason, message = ready_condition(sight.raw.get("status") or {})
    return {
        "rollout": sight.parsed.name,
        "namespace": sight.parsed.namespace,
        "phase": sight.parsed.status.phase,
        "reason": reason,
        "message": message,
        "do": advice(sight),
        "gates": [_gate_facts(sight, one) for one in told],
    }


def _gate_facts(sight: Sight, told: Told) -> dict[str, Any]:
    asked = [
        {"query": query, **({"answer": _returned(answer)} if told.exchange and told.exchange.answer else {})}
        for query, answer in (told.exchange.asked if told.exchange else ())
    ]
    return {
        **told.status.render(),
        "definition": told.gate.render() if told.gate else None,
        "asked": asked,
        "do": list(remedies(sight, told)),
    }
