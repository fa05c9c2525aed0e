"""The records of a model, as the commands that read them print them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from modelrollout.api.fields import parse_time, render_time
from modelrollout.api.record import RecordedVersion, VersionShare
from modelrollout.cli.exits import Problem
from modelrollout.cli.rollouts import Object, rollouts_of
from modelrollout.cli.session import Session
from modelrollout.cluster.kubernetes import RECORDS
from modelrollout.core.history import Account, Span, parse_account
from modelrollout.core.record import NAME_LABEL


async def read_records(session: Session, model: str | None) -> list[Object]:
    """Return the records of a model, or all there are; also of rollouts that are gone.

    Raises:
        Problem: there is none of that name, or the cluster refused something.
    """
    found: list[Object] = []
    async with rollouts_of(session) as rollouts:
        namespace = rollouts.home if model else rollouts.namespace
        labels = f"{NAME_LABEL}={model}" if model else ""
        async for page in rollouts.server.labelled_pages(RECORDS, namespace, labels):
            found += page["items"]
    if model and not found:
        raise Problem(
            f"no record of {model} in namespace {namespace}: `kubectl get mrr -A` lists all there are. Records begin with"
            " an attempt"
        )
    return found


def accounts_of(records: list[Object]) -> list[Account]:
    """Return the records as they are read.

    Raises:
        Problem: one of them is not as this release writes them.
    """
    try:
        return [parse_account(record) for record in records]
    except ValueError as error:
        raise Problem(
            f"a record cannot be read: {error}: use the command line of the operator's own release"
        ) from error


def parse_moment(text: str) -> datetime:
    """Return a time from what people type: RFC 3339, or without an offset the time here.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    return parse_time(moment if moment.tzinfo else moment.astimezone())


def shares_text(shares: tuple[VersionShare, ...] | list[VersionShare]) -> str:
    """Return shares in words, such as `2026.10.4 95%, 2026.11.2 5%`."""
    parts = [
        f"{one.version} {one.weight}%" if one.mirror is None else f"{one.version} {one.weight}% (+{one.mirror}% copied)"
        for one in shares
    ]
    return ", ".join(parts) or "nobody, or versions of somebody else's"


def time_text(moment: datetime) -> str:
    """Return a time for people: UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def version_in(span: Span, share: VersionShare) -> RecordedVersion | None:
    """Return what is known of the version that had a share."""
    known = (span.account.spec.candidate, span.account.spec.baseline)
    return next((one for one in known if one and one.digest == share.digest), None)


def span_json(span: Span) -> Mapping[str, Any]:
    """Return a span as JSON."""
    segment = span.segment
    return {
        "record": span.account.name,
        "segment": segment.seq if segment else None,
        "since": render_time(span.since),
        "possibleSince": render_time(span.earliest),
        "versions": [_share_json(span, share) for share in span.shares],
        "cause": segment.cause.value if segment else None,
        "actor": segment.actor if segment else None,
        "verified": segment.verified if segment else None,
        "message": segment.message if segment else None,
        "gates": [gate.render() for gate in segment.gates] if segment else [],
    }


def _share_json(span: Span, share: VersionShare) -> Mapping[str, Any]:
    version = version_in(span, share)
    artifact = version.artifact.render() if version and version.artifact else None
    return {**share.render(), **({"artifact": artifact} if artifact else {})}
