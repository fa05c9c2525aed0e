"""What each parser does with anything at all: a value, or the error that it promises. One function a parser."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from unittest import mock

from modelrollout.api import fields
from modelrollout.api.versions import ServiceRef
from modelrollout.cluster.failures import LONGEST_MESSAGE, failure_of
from modelrollout.core.evidence import NoData
from modelrollout.core.rollout import parse_rollout
from modelrollout.engine.ports import Conflict, Gone, Refused, Unavailable
from modelrollout.metrics.answers import LONGEST_QUOTE, Reply, number_of, parse_reply
from modelrollout.routing.objects import other_writer
from modelrollout.wiring.settings import Settings
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from tests.fuzz.verdicts import verdicts

META = {"namespace": "models", "name": "fraud", "uid": "u1", "generation": 1, "resourceVersion": "7"}
SERVICE = ServiceRef(name="fraud-v1", port=8080)


def field_texts(data: bytes) -> None:
    """Percentages, durations, shares, numbers and times: what is read prints as something that reads the same."""
    text = data.decode(errors="surrogatepass") if _is_text(data) else data.decode("latin-1")
    pairs: tuple[tuple[Callable[[object], Any], Callable[[Any], object]], ...] = (
        (fields.parse_percent, fields.render_percent),
        (fields.parse_duration, fields.render_duration),
        (fields.parse_share, fields.render_share),
        (fields.parse_number, fields.render_number),
        (fields.parse_time, fields.render_time),
    )
    for parse, render in pairs:
        try:
            value = parse(text)
        except ValueError:
            continue
        if parse in {fields.parse_percent, fields.parse_duration}:
            assert parse(render(value)) == value
        else:
            render(value)


def prometheus_answers(data: bytes) -> None:
    """Bytes of any kind, after a first one for the status."""
    status = (200, 200, 200, 302, 400, 401, 422, 503)[data[0] % 8] if data else 200
    found = parse_reply(Reply(status, data[1:]), "default")
    if not isinstance(found, NoData):
        answer = number_of(found, "default", what="the count")
        if not isinstance(answer, NoData):
            assert abs(answer) < float("inf")
            return
        found = answer
    found.message.encode()
    assert len(found.message) < LONGEST_QUOTE + 300


def api_failures(data: bytes) -> None:
    """An answer of the API server with an error code."""
    code = 300 + int.from_bytes(data[:2], "big") % 300
    wait = data[2:6].decode("latin-1") if len(data) > 6 else None
    error = failure_of(code, data[6:], wait)
    assert isinstance(error, Conflict | Gone | Refused | Unavailable)
    assert len(str(error)) < 3 * LONGEST_MESSAGE
    str(error).encode()


def stored_objects(data: bytes) -> None:
    """A ModelRollout whose spec and status are any JSON."""
    value = _json(data)
    obj = value if isinstance(value, dict) else {"spec": value, "status": value}
    rollout = parse_rollout({"metadata": META, "spec": obj.get("spec"), "status": obj.get("status")})
    rollout.problem.encode(errors="strict" if _is_text(data) else "replace")
    again = parse_rollout({"metadata": META, "status": json.loads(json.dumps(rollout.status.render()))})
    assert not again.ignored


def managed_fields(data: bytes) -> None:
    """Field ownership, entries of which are as the API server has them: texts and a tree."""
    value = _json(data)
    entries = [
        {
            "manager": str(entry.get("manager", "")),
            "operation": str(entry.get("operation", "")),
            "time": str(entry.get("time", "")),
            "fieldsV1": entry.get("fieldsV1"),
        }
        for entry in (value if isinstance(value, list) else [])
        if isinstance(entry, Mapping)
    ]
    other_writer({"metadata": {"managedFields": entries}}, [("spec", "rules")])
    other_writer({"metadata": {"managedFields": entries or None}}, [("spec", "weighted", "services")])


def settings(data: bytes) -> None:
    """An environment variable or a flag of any text: a setting, or an error that main puts into words."""
    names = list(Settings.model_fields)
    name = names[data[0] % len(names)] if data else names[0]
    text = data[1:].decode("latin-1").replace("\0", "")
    for environment, flags in (
        ({f"MODELROLLOUT_{name.upper()}": text}, []),
        ({}, [f"--{name.replace('_', '-')}={text}"]),
    ):
        # SystemExit is argparse's, of a flag that it cannot take apart.
        quietly = suppress(ValidationError, SettingsError, SystemExit)
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch("sys.stderr"), quietly:
            CliApp.run(Settings, cli_args=flags)


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__.replace("_", "-"): target
    for target in (field_texts, prometheus_answers, verdicts, api_failures, stored_objects, managed_fields, settings)
}
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "field-texts": (b"0.5", b"1h30m", b"14d", b"25%", b"-0.2", b"2026-11-17T15:47:00Z"),
    "prometheus-answers": (
        b'\0{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}',
        b'\0{"status":"success","warnings":["x"],"data":{"resultType":"scalar","result":[1,"NaN"]}}',
        b'\4{"status":"error","errorType":"timeout","error":"x"}',
    ),
    "verdicts": (
        b"\0\0\n2\n300\n3\n300\n3\n65\n65\n4000\n40\n1.5",
        b"\0\1\n2\npart=0:2 part=1:300 part=2:3 part=3:300 part=4:3",
        b"\2\0\n2\n300\n290\n300\n290",
        b"\3\0\n2\n300\n300",
        b"\4\0\n2\nle=1:100 le=2:200 le=+Inf:300\nle=1.0:100 le=2.0:150 le=+Inf:300",
        b"\7\0\n0.1\nNaN",
        b"\x08\0\n0.1\n1e400\n-Inf",
        b'\x09\0\n2\n!\6x\n{"status":"success","warnings":["x"],"data":{"resultType":"vector","result":[]}}',
        b"\x0b\3\n1794930420\n0.5",
    ),
    "api-failures": (b'\0\x670010\0{"message":"cannot patch resource \\"httproutes\\""}',),
    "stored-objects": (b'{"spec":{"owner":{"team":"x"}},"status":{"phase":"Held","commands":[]}}',),
    "managed-fields": (b'[{"manager":"a","fieldsV1":{"f:spec":{"f:rules":{}}},"time":"2026"}]',),
    "settings": (b'\2{"default":{"url":"http://x"}}', b"\x0110s"),
}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
