"""Texts for people: names that are filled in, and nothing else. A line that names what is not known is left out."""

from string import Template

from modelrollout.api.fields import render_time
from modelrollout.core.notices import Notice, Transition

TITLE = "$model: $headline ($namespace)"
TEXT = """\
$message
Traffic: $traffic.
Gate $gate: $gate_value, allowed $gate_limit, $gate_samples requests.
Asked for by $actor
Owner: $owner
Runbook: $runbook
Next: $plugin
or: $kubectl
Record: $record"""
LONGEST = 8000
"""Characters of a rendered text: chats take less, and none of ours is longer."""

_HEADLINES = {
    Transition.STARTED: "a rollout of $version has started",
    Transition.STEP: "$version goes on to the next step",
    Transition.HELD: "the rollout of $version waits ($reason)",
    Transition.RESUMED: "the rollout of $version goes on",
    Transition.STALLED: "somebody has to mend something ($reason)",
    Transition.GATE_WARNS: "a gate warns of $version",
    Transition.GATES_OVERRIDDEN: "gates of $version were overridden",
    Transition.PROMOTED: "$version now serves",
    Transition.ROLLING_BACK: "$version is being rolled back",
    Transition.ROLLED_BACK: "$version was rolled back",
    Transition.SUPERSEDED: "$version gave way to a newer candidate",
    Transition.CANDIDATE_IDLE: "$version is idle, its pods may go",
    Transition.SAFETY_STOP: "$version failed a safety gate, nothing begins before a retry",
    Transition.FAILED: "the operator cannot do what it should ($reason)",
}
NAMES = frozenset(
    {
        "actor",
        "attempt",
        "baseline",
        "cluster",
        "contact",
        "digest",
        "gate",
        "gate_limit",
        "gate_message",
        "gate_samples",
        "gate_value",
        "headline",
        "id",
        "kubectl",
        "message",
        "model",
        "namespace",
        "owner",
        "plugin",
        "reason",
        "record",
        "runbook",
        "severity",
        "stage",
        "team",
        "time",
        "traffic",
        "transition",
        "version",
    }
)


def checked_template(text: str, more: tuple[str, ...] = ()) -> str:
    """Return the template.

    Raises:
        ValueError: it has a name that is not known, or a lone `$`.
    """
    template = Template(text)
    known = NAMES | set(more)
    if unknown := sorted(set(template.get_identifiers()) - known):
        raise ValueError(f"${unknown[0]} is no name that a template knows: {', '.join(sorted(known))}")
    if not template.is_valid():
        raise ValueError("a $ begins a name: write $$ for one that does not")
    return text


def values_of(notice: Notice, cluster: str) -> dict[str, str]:
    """Return what each name stands for; empty where it is not known."""
    attempt, gate, owner = notice.attempt, notice.gate, notice.owner
    contact = (owner.contact if owner else None) or ""
    values = {
        "actor": notice.actor or "",
        "attempt": str(attempt.number) if attempt else "",
        "baseline": attempt.baseline.version if attempt and attempt.baseline else "",
        "cluster": cluster,
        "contact": contact,
        "digest": attempt.candidate.digest if attempt else "",
        "gate": gate.name if gate else "",
        "gate_limit": (gate.limit if gate else None) or "",
        "gate_message": gate.message if gate else "",
        "gate_samples": str(gate.samples) if gate and gate.samples is not None else "",
        "gate_value": (gate.value if gate else None) or "",
        "id": notice.id,
        "kubectl": notice.commands.kubectl,
        "message": notice.message,
        "model": notice.name,
        "namespace": notice.namespace,
        "owner": f"{owner.team} ({contact})" if owner and contact else owner.team if owner else "",
        "plugin": notice.commands.plugin,
        "reason": notice.reason,
        "record": notice.record or "",
        "runbook": (owner.runbook_url if owner else None) or "",
        "severity": notice.level.value,
        "stage": attempt.stage if attempt else "",
        "team": owner.team if owner else "",
        "time": render_time(notice.at),
        "traffic": notice.traffic,
        "transition": notice.transition.value,
        "version": attempt.candidate.version if attempt else "",
    }
    values = {name: _printable(value) for name, value in values.items()}
    headline = Template(_HEADLINES[notice.transition])
    return {**values, "headline": headline.substitute({**values, "version": values["version"] or "the candidate"})}


def fill_in(template: str, values: dict[str, str]) -> str:
    """Return the template with its names filled in, without the lines that name what is not known."""
    lines = []
    for line in template.split("\n"):
        found = Template(line)
        if all(values.get(name) for name in found.get_identifiers()):
            lines.append(found.substitute(values))
    return "\n".join(lines)[:LONGEST]


def _printable(text: str) -> str:
    """Return the text on one line: people write reasons, and a line of theirs is not to look like one of ours."""
    return "".join(one if one.isprintable() else " " for one in text)
