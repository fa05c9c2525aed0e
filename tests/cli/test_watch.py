"""`watch`: what is drawn, how often, and by how many connections."""

import asyncio
import io
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from modelrollout.cli import watch as module
from modelrollout.cli.follow import Changed, Listed, Lost, Removed
from modelrollout.cli.pictures import evidence_bar
from modelrollout.cli.rollouts import rollouts_of
from modelrollout.cli.session import Session
from modelrollout.cli.sights import Sight, Sights
from modelrollout.cli.watch import View
from modelrollout.core.rollout import parse_rollout
from rich.console import Console

from local.cluster import LocalCluster
from tests.api.manifests import good
from tests.cli.stage import OnCall, call, canary_status, condition, on_call, said_by

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "operator")}
NOW = datetime(2026, 11, 17, 15, 52, tzinfo=UTC)


def gate(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    usual = {"reason": "NeedEvidence", "message": f"what {name} says", "evaluatedAt": "2026-11-17T15:50:00.000Z"}
    return {"name": name, "verdict": verdict, **usual, **more}


def stored(name: str = "fraud", version: int = 1, status: dict[str, Any] | None = None) -> dict[str, Any]:
    manifest = good(name, "models")
    metadata = manifest["metadata"] | {"uid": f"u-{name}", "resourceVersion": str(version), "generation": 1}
    return manifest | {"metadata": metadata, "status": canary_status() if status is None else status}


def with_gates(*gates: dict[str, Any], **changes: Any) -> dict[str, Any]:
    status = canary_status(**changes)
    return {**status, "attempt": {**status["attempt"], "gates": list(gates)}}


def drawn(view: View, height: int = 40, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(view.draw(height))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    return text


def test_one_rollout_is_drawn_with_its_track_its_shares_and_each_gates_way():
    view = View("fraud", is_everywhere=False)
    evidence = {"towardsFail": 20, "towardsPass": 80}
    view.take(Listed((stored(status=with_gates(gate("errors", "Unknown", evidence=evidence))),)))

    text = drawn(view)

    assert "models/fraud  Canary  2026.11.2 on top of 2026.10.4, attempt 3" in text
    assert "shadow 100% ✓ ─ canary 1% ✓ ─ ● 5% ─ 12.5% ─ 50% ─ full" in text
    assert "wanted 5%; seen 5% on HTTPRoute fraud" in text
    assert "░░░░░░░░██│████████░░" in text
    assert "NeedEvidence: what errors says" in text
    assert "gate latency: 120 of 300 requests" in text


@pytest.mark.parametrize(("verdict", "bar"), [("Pass", "░" * 10 + "│" + "█" * 10), ("Fail", "█" * 10 + "│" + "░" * 10)])
def test_without_evidence_in_status_a_verdict_is_all_or_nothing(verdict: str, bar: str):
    status = parse_rollout(stored(status=with_gates(gate("errors", verdict)))).status

    assert status.attempt
    assert evidence_bar(status.attempt.gates[0]).plain == bar


def test_shares_that_are_not_as_wanted_show():
    view = View("fraud", is_everywhere=False)
    route = {"kind": "HTTPRoute", "name": "fraud", "candidate": 1, "mirror": 0, "since": "2026-11-17T15:47:00.000Z"}
    view.take(Listed((stored(status=canary_status(route=route)),)))

    assert "wanted 5%; seen 1%" in drawn(view)


@pytest.mark.parametrize("status", [{}, {"observedGeneration": -1}, {"attempt": "odd", "phase": "Canary"}])
def test_odd_statuses_are_drawn_all_the_same(status: dict[str, Any]):
    for view in (View("fraud", is_everywhere=False), View(None, is_everywhere=True)):
        view.take(Listed((stored(status=status),)))

        assert "fraud" in drawn(view)


def test_those_that_need_somebody_come_first_and_the_rest_is_counted():
    view = View(None, is_everywhere=False)
    promoted = [stored(f"a{n:03}", status=canary_status(phase="Promoted")) for n in range(200)]
    held = stored("zebra", status=canary_status(phase="Held"))
    view.take(Listed((*promoted, held)))

    lines = drawn(view, height=30).splitlines()

    assert "zebra" in lines[2]
    assert len(lines) <= 30
    assert "more that need nobody now" in "\n".join(lines)


def test_what_happens_is_told_once():
    view = View("fraud", is_everywhere=False)
    first = stored(status=with_gates(gate("errors", "Unknown")))
    second = stored(version=2, status=with_gates(gate("errors", "Pass"), phase="Held"))
    view.take(Listed((first,)))

    told = [one.text for one in view.take(Changed(second))]

    assert told == ["Held: gate latency: 120 of 300 requests", "gate errors: Pass: what errors says"]
    assert view.take(Changed(second)) == []
    assert [one.text for one in view.take(Removed(second))] == ["was deleted"]


def test_nothing_that_somebody_wrote_reaches_the_terminal_as_a_command():
    hostile = "\x1b]0;owned\x07\x1b[2J\u202egnp"
    view = View("fraud", is_everywhere=False)
    view.take(Listed((stored(),)))
    filed = {"command": "hold", "reason": "x", "result": hostile, "handledAt": "2026-11-17T15:47:00.000Z"}
    conditions = [condition("Ready", "False", "Held", hostile)]
    view.take(Changed(stored(version=2, status=canary_status(commands=[filed], conditions=conditions))))

    text = drawn(view)

    assert "owned" in text
    assert not set("\x1b\x07\u202e") & set(text)


def test_whoever_is_missing_in_a_new_list_is_gone():
    sights = Sights()
    sights.put_all((stored("a"), stored("b")))

    assert [(one.name, one.text) for one in sights.put_all((stored("b"),))] == [("a", "was deleted")]


def test_a_lost_connection_shows_until_there_is_news():
    view = View(None, is_everywhere=False)
    view.take(Listed((stored(),)))
    view.take(Lost("the API server cannot be reached"))
    assert "cannot be reached; trying again" in drawn(view)

    view.take(Changed(stored(version=2)))
    assert "cannot be reached" not in drawn(view)


def test_an_unchanged_spec_is_read_once():
    sights = Sights()
    sights.put(stored())
    before: Sight = sights.by_key["models", "fraud"]
    sights.put(stored(version=2))

    assert sights.by_key["models", "fraud"].parsed.spec is before.parsed.spec


async def test_many_changes_are_few_redraws(monkeypatch: pytest.MonkeyPatch):
    """200 rollouts that change all the time are drawn a few times a second, whatever comes in."""
    frames = Counter[str]()
    monkeypatch.setattr(module, "SHORTEST_FRAME", 0.05)

    async def storm(_: Any, view: View) -> None:
        for version in range(100):
            for number in range(0, 200, 10):
                view.take(Changed(stored(f"m{number:03}", version)))
            await asyncio.sleep(0.005)

    monkeypatch.setattr(module, "_take", storm)
    view = View(None, is_everywhere=False)
    view.take(Listed(tuple(stored(f"m{n:03}") for n in range(200))))
    draw = view.draw

    def counted(height: int) -> Any:
        frames["drawn"] += 1
        return draw(height)

    monkeypatch.setattr(view, "draw", counted)
    began = time.monotonic()
    await module._draw(Console(file=io.StringIO(), force_terminal=True, width=160, height=50), None, view)  # type: ignore[arg-type]

    assert 1 <= frames["drawn"] <= (time.monotonic() - began) / 0.05 + 2
    assert frames["drawn"] < 100


@pytest.fixture
def alice(cluster: LocalCluster, namespace: str) -> OnCall:
    return on_call(cluster, namespace)


@pytest.mark.cluster
def test_without_a_terminal_each_change_is_a_line_until_it_is_gone(alice: OnCall):
    alice.create("fraud", canary_status())
    arguments = ["watch", "fraud", "--kubeconfig", str(alice.kubeconfig), "-n", alice.namespace]
    argv = [sys.executable, "-m", "modelrollout.cli.main", *arguments]

    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as watching:
        assert watching.stdout
        first = watching.stdout.readline()
        conditions = [condition("Ready", "False", "RolledBack", "gate errors failed")]
        alice.write_status("fraud", {"phase": "RolledBack", "conditions": conditions})
        second = watching.stdout.readline()
        alice.cluster.api.call("DELETE", alice.path("fraud"))
        third = watching.stdout.readline()
        code = watching.wait(30)

    assert "fraud: Canary, 5%: Progressing: gate latency" in first
    assert "fraud: RolledBack: gate errors failed" in second
    assert "fraud: was deleted" in third
    assert code == 3


@pytest.mark.cluster
async def test_two_hundred_rollouts_are_one_list_and_one_watch(alice: OnCall):
    for number in range(200):
        alice.create(f"m{number:03}")
    asked: list[str] = []
    view = View(None, is_everywhere=False)
    session = Session(kubeconfig=alice.kubeconfig, namespace=alice.namespace)

    def shows(phase: str) -> bool:
        found = view.sights.by_key.get((alice.namespace, "m199"))
        return found is not None and found.parsed.status.phase == phase

    async with rollouts_of(session) as rollouts, asyncio.timeout(30):
        rollouts.server._on_call = lambda verb, _, __: asked.append(verb)
        taking = asyncio.create_task(module._take(rollouts, view))
        while len(view.sights.by_key) < 200:
            await view.changed.wait()
            view.changed.clear()
        for number in range(0, 200, 4):
            await asyncio.to_thread(alice.write_status, f"m{number:03}", canary_status())
        await asyncio.to_thread(alice.write_status, "m199", {"phase": "Held"})
        while not shows("Held"):
            await view.changed.wait()
            view.changed.clear()
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    assert Counter(asked) == {"list": 1, "watch": 1}
    assert sum(sight.parsed.status.phase == "Canary" for sight in view.sights.by_key.values()) == 50


@pytest.mark.cluster
def test_a_name_that_is_not_there_is_said(alice: OnCall):
    result = call("watch", "nothing", "--kubeconfig", alice.kubeconfig, "-n", alice.namespace)

    said_by(result, 3)
    assert "not found" in result.stderr
