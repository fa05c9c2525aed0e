"""What programs are told: docs/notifications.md has the fields. Nothing is ever taken away from version 1, only added."""

import json
from typing import Any
from urllib.parse import quote

from modelrollout.api.crd import GROUP, VERSION
from modelrollout.api.fields import render_time
from modelrollout.api.rollout import Owner
from modelrollout.api.status import GateStatus, VersionStatus
from modelrollout.core.notices import Notice, Recorded, Told
from modelrollout.core.record import evidence_of
from modelrollout.notify.config import Mode
from modelrollout.notify.templates import fill_in

PREFIX = "dev.modelrollout"
_PLAIN = "!#$&'()*+,/:;=?@[]-._~<>\\^`{|}"
"""Printable ASCII that CloudEvents lets stand in a header as it is: all but space, quote and percent sign."""


def data_of(told: Told, cluster: str) -> dict[str, Any]:
    """Return the message as JSON."""
    return _notice(told, cluster) if isinstance(told, Notice) else _recorded(told, cluster)


def _notice(notice: Notice, cluster: str) -> dict[str, Any]:
    attempt = notice.attempt
    return {
        "version": 1,
        "id": notice.id,
        "transition": notice.transition.value,
        "severity": notice.level.value,
        "time": render_time(notice.at),
        "cluster": cluster or None,
        "namespace": notice.namespace,
        "name": notice.name,
        "uid": notice.uid,
        "attempt": attempt.number if attempt else None,
        "stage": attempt.stage if attempt else None,
        "step": attempt.step if attempt else None,
        "reason": notice.reason,
        "message": notice.message,
        "traffic": notice.traffic,
        "shares": {"candidate": str(attempt.target.candidate), "mirror": str(attempt.target.mirror)}
        if attempt
        else None,
        "candidate": _version(attempt.candidate) if attempt else None,
        "baseline": _version(attempt.baseline) if attempt and attempt.baseline else None,
        "gate": _gates((notice.gate,))[0] if notice.gate else None,
        "gates": _gates(notice.gates),
        "record": notice.record,
        "actor": notice.actor,
        "owner": _owner(notice.owner),
        "commands": {"plugin": notice.commands.plugin, "kubectl": notice.commands.kubectl},
    }


def _recorded(told: Recorded, cluster: str) -> dict[str, Any]:
    return {
        "version": 1,
        "id": told.id,
        "time": render_time(told.at),
        "cluster": cluster or None,
        "namespace": told.namespace,
        "name": told.name,
        "uid": told.uid,
        "record": told.record,
        "hash": told.hash,
        "segment": dict(told.segment),
        "owner": _owner(told.owner),
    }


def cloud_event(told: Told, cluster: str) -> dict[str, Any]:
    """Return the message as a CloudEvent 1.0 in the JSON format."""
    kind, level = (told.transition.value, told.level.value) if isinstance(told, Notice) else ("segment", "info")
    where = f"/apis/{GROUP}/{VERSION}/namespaces/{told.namespace}/modelrollouts/{told.name}"
    return {
        "specversion": "1.0",
        "id": told.id,
        "source": f"//{cluster}{where}" if cluster else where,
        "type": f"{PREFIX}.{kind.lower()}.v1",
        "subject": f"{told.namespace}/{told.name}",
        "time": render_time(told.at),
        "severity": level,
        "datacontenttype": "application/json",
        "data": data_of(told, cluster),
    }


def request_of(event: dict[str, Any], mode: Mode) -> tuple[dict[str, str], bytes]:
    """Return headers and body that carry a CloudEvent."""
    if mode is Mode.STRUCTURED:
        return {"Content-Type": "application/cloudevents+json; charset=utf-8"}, encoded(event)
    attributes = {name: value for name, value in event.items() if name not in {"data", "datacontenttype"}}
    headers = {f"ce-{name}": quote(value, safe=_PLAIN) for name, value in attributes.items()}
    return {"Content-Type": event["datacontenttype"], **headers}, encoded(event["data"])


def webhook_body(shape: dict[str, Any] | None, data: dict[str, Any], values: dict[str, str]) -> bytes:
    """Return a body of this shape: names in its texts are filled in, `"$data"` is the message itself."""
    return encoded(data if shape is None else _filled(shape, data, values))


def encoded(value: object) -> bytes:
    """Return JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def _filled(shape: Any, data: dict[str, Any], values: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    match shape:
        case "$data":
            return data
        case str():
            return fill_in(shape, values)
        case dict():
            return {key: _filled(part, data, values) for key, part in shape.items()}
        case list():
            return [_filled(part, data, values) for part in shape]
        case _:
            return shape


def _version(version: VersionStatus) -> dict[str, Any]:
    service = version.service
    return {
        "version": version.version,
        "digest": version.digest,
        "service": {"name": service.name, "port": service.port},
    }


def _gates(gates: tuple[GateStatus, ...]) -> list[dict[str, Any]]:
    return [one.render() for one in evidence_of(gates)]


def _owner(owner: Owner | None) -> dict[str, Any] | None:
    return owner.render() if owner else None
