"""What the demo shows: the live view, the lines that stand for it, and the manifest that a newcomer reads."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
import yaml
from modelrollout.api.rollout import ModelRolloutSpec
from rich.console import Console

from local.demo import screen as screens
from local.demo.manifest import Mark, changed_lines, manifest, track
from local.demo.outcome import Outcome
from local.demo.picture import Picture, Told, line_of
from local.demo.screen import PlainScreen
from local.demo.sight import Gate, Shares, Sight
from local.demo.summary import summary
from local.demo.view import dashboard
from local.load import Snapshot

GATES = (
    Gate("errors", "Pass", "BelowLimit", "0 of 93 requests failed (0%), allowed is 5%", "0%", 93),
    Gate("latency", "Unknown", "Unreachable", "source default cannot be reached", "", None),
)
SIGHT = Sight(
    phase="Canary", serving="v2", number=4, candidate="v4", baseline="v2", stage="canary", step=1, applied_at=1.0,
    target=Shares(50, 0), gates=GATES,
)  # fmt: skip
TOLD = Told(1.0, is_warning=True, reason="GateFailed", note="gate errors in stage canary: " + "on and on " * 20)


def snapshot(**answers: int) -> Snapshot:
    counts = Counter({(200, version): count for version, count in answers.items()})
    return Snapshot(1.0, counts.total(), counts, Counter(), {}, {}, {})


def picture(**changes) -> Picture:
    usual = Picture(
        title="Act 3", elapsed=83.0, sight=SIGHT, track=tuple(track(manifest("v4"))), recent=snapshot(v2=100, v4=100),
        total=snapshot(v1=1600, v2=2600, v3=20, v4=700), copies=None, told=(TOLD,) * 4,
    )  # fmt: skip
    return replace(usual, **changes)


class TestManifest:
    def test_it_is_short_and_what_the_operator_takes(self):
        text = manifest("v2")

        assert len(text.splitlines()) <= 30
        assert max(map(len, text.splitlines())) <= 80
        spec = ModelRolloutSpec.model_validate(yaml.safe_load(text)["spec"])
        assert spec.candidate.version == "v2"

    def test_its_steps_are_those_of_the_track(self):
        assert track(manifest("v2")) == [
            Mark("shadow", 0, "shadow 100% copied"),
            Mark("canary", 0, "canary 10%"),
            Mark("canary", 1, "canary 50%"),
            Mark("full", 0, "full"),
        ]
        assert [mark.stage for mark in track(manifest("v3", has_shadow=False))] == ["canary", "canary", "full"]

    def test_later_acts_show_what_has_changed_only(self):
        changed = changed_lines(manifest("v2"), manifest("v3"))

        assert [line[0] for line in changed] == ["-", "+"]
        assert all("candidate:" in line for line in changed)


class TestLine:
    def test_it_has_what_is_wanted_what_users_see_and_the_gates(self):
        line = line_of(picture(remark="Prometheus is stopped"))

        assert line.startswith("1:23  Canary")
        assert "canary 50%: wanted 50%, users see 50.0%" in line
        assert "errors Pass (0% of 93), latency Unknown (Unreachable)" in line
        assert "Prometheus is stopped; 4920 answers, 0 errors so far" in line

    def test_a_rollback_is_named_with_its_cause(self):
        assert "v2 serves; v4 was rolled back (Manual)" in line_of(
            picture(sight=replace(SIGHT, outcome="RolledBack", cause="Manual"))
        )


class TestDashboard:
    @pytest.mark.parametrize(
        "shown",
        [
            pytest.param(picture(), id="canary"),
            pytest.param(picture(sight=replace(SIGHT, held="Unreachable: " + "why " * 50)), id="held"),
            pytest.param(picture(sight=replace(SIGHT, stage="shadow", step=0, target=Shares(0, 100)), copies=9), id="shadow"),
            pytest.param(picture(sight=replace(SIGHT, outcome="RolledBack", cause="Manual")), id="rolled back"),
            pytest.param(picture(sight=Sight(), track=(), told=(), recent=snapshot(), total=snapshot()), id="nothing"),
        ],
    )  # fmt: skip
    def test_it_fits_a_small_terminal(self, shown):
        console = Console(width=80, force_terminal=False)

        with console.capture() as capture:
            console.print(dashboard(shown))

        lines = capture.get().splitlines()
        assert len(lines) <= 23
        assert {len(line) for line in lines} == {80}


class TestPlainScreen:
    @pytest.fixture
    def now(self, monkeypatch):
        clock = {"seconds": 100.0}
        monkeypatch.setattr(screens.time, "monotonic", lambda: clock["seconds"])
        return clock

    def test_a_line_comes_on_every_change_and_every_five_seconds_at_least(self, now, capsys):
        screen = PlainScreen()
        times = []
        for tenth in range(120):
            now["seconds"] = 100 + tenth / 10
            phase = "Canary" if tenth < 33 else "Full"
            screen.show(picture(sight=replace(SIGHT, phase=phase), elapsed=tenth / 10))
            if capsys.readouterr().out:
                times.append(tenth / 10)

        assert times[0] == 0.0
        assert 3.3 in times
        assert all(later - earlier <= 5.0 for earlier, later in pairwise(times))
        assert len(times) <= 4

    def test_nothing_it_prints_has_control_codes(self, capsys, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        screen = PlainScreen()
        with screen:
            screen.title("Act")
            screen.say("[bold]a sentence[/bold]")
            screen.yaml(manifest("v2"))
            screen.command("kubectl get mr", "NAME\n")
            screen.tell(TOLD, 3.0)
            screen.show(picture())
            screen.print(summary([Outcome("Act 1", users=snapshot(v1=3))], timedelta(seconds=9)))

        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\r" not in out
        assert "[bold]a sentence[/bold]" in out
