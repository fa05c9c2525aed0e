"""Versions of the past under the names that metrics had for them then."""

from dataclasses import replace

import click

from modelrollout.core.evidence import Question, Track

Place = tuple[str, int | None, str | None]
"""A Service, its port and the version behind it; `None` is what the manifest says."""


class Where(click.ParamType[Place]):
    """SERVICE[:PORT][@VERSION]."""

    name = "service[:port][@version]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Return its parts."""
        service, _, version = str(value).partition("@")
        service, _, port = service.partition(":")
        if not service or (port and not port.isdecimal()):
            self.fail(f"{value!r}: write SERVICE, SERVICE:PORT or SERVICE@VERSION", param, ctx)
        return service, int(port) if port else None, version or None


WHERE = Where()


def located(question: Question, candidate: Place | None, baseline: Place | None) -> Question:
    """Return the question about other versions than the manifest's."""
    before = question.before
    return replace(
        question,
        candidate=_at(question.candidate, candidate),
        baseline=_at(question.baseline, baseline) if question.baseline else None,
        before=replace(before, baseline=_at(before.baseline, baseline)) if before else None,
    )


def _at(track: Track, place: Place | None) -> Track:
    if place is None:
        return track
    service, port, version = place
    return replace(track, service=service, port=port or track.port, version=version or track.version)
