"""What the pages say is so: links lead somewhere, names exist, manifests are good, numbers are the code's own."""

import math
import re

import pytest
import yaml
from modelrollout.api.fields import render_duration
from modelrollout.api.rollout import ModelRolloutSpec, Risk
from modelrollout.core.counts import PASS_THRESHOLD
from modelrollout.core.decide import RULES
from modelrollout.core.notices import Transition
from modelrollout.core.plan import StageKind, plan_of, policy_of
from modelrollout.core.stats import (
    Counts,
    Pair,
    log_evidence_above,
    log_evidence_increase,
    requests_until_pass,
)
from modelrollout.notify.templates import NAMES, TEXT, TITLE

from local.cluster import LocalCluster
from tests.api.manifests import changed, good
from tests.docs.pages import PAGES, TOP, Page, page
from tests.docs.reasons import reasons
from tests.docs.settings_page import settings_table, sources_table, targets_tables, webhooks_table
from tests.support.chart import install_crds, render

KIND = page("docs/modelrollout.md")
each_page = pytest.mark.parametrize("here", PAGES, ids=str)


@each_page
def test_every_link_leads_somewhere(here: Page):
    for link in here.links():
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        there = Page((here.path.parent / file).resolve()) if file else here

        assert there.path.exists(), link
        assert not anchor or anchor in there.anchors(), link


@each_page
def test_every_make_target_that_is_named_exists(here: Page):
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text("utf-8"), re.MULTILINE))

    assert set(re.findall(r"`make ([a-z-]+)", here.text)) <= targets


@each_page
def test_every_test_that_is_named_exists(here: Page):
    written = {
        name for file in (TOP / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }

    assert {word for word in here.words() if re.fullmatch(r"test_\w+", word)} <= written


@pytest.mark.parametrize("here", [page("docs/architecture.md"), page("docs/decisions.md")], ids=str)
def test_every_module_that_is_named_exists(here: Page):
    named = {word for word in re.findall(r"(?:tests/)?[a-z_]+/[a-z_]+\.py", here.text) if not word.startswith("tests")}

    assert named
    assert [name for name in named if not (TOP / "operator" / "modelrollout" / name).exists()] == []


def test_the_picture_counts_the_rules():
    assert f"── {len(RULES)} rules" in page("docs/architecture.md").text


def test_the_readme_shows_the_smallest_example():
    (shown,) = page("README.md").blocks("yaml")

    assert shown == (TOP / "examples" / "minimal.yaml").read_text("utf-8")


def test_every_reason_that_a_user_can_meet_is_explained():
    assert {"Promoted", "CannotMirror", "CandidateNotReady", "NoData", "StepStarted"} <= reasons()
    explained = set(re.findall(r"\b\w+\b", KIND.text))

    assert reasons() - explained == set()


def test_the_runbook_names_no_reason_that_there_is_not():
    named = {word for row in page("docs/runbook.md").rows(r"`.*") for word in re.findall(r"`(\w+)`", row[0])}

    assert named
    assert named - reasons() == set()


def test_every_setting_is_explained_as_the_models_do():
    text = page("docs/settings.md").text

    assert settings_table() in text
    assert sources_table() in text
    assert webhooks_table() in text
    assert [table for table in targets_tables().values() if table not in text] == []


def test_what_is_told_is_explained_as_the_code_has_it():
    text = page("docs/notifications.md").text

    assert f"```\n{TITLE}\n```" in text
    assert f"```\n{TEXT}\n```" in text
    assert [name for name in NAMES if f"`${name}`" not in text] == []
    table = re.findall(r"^\| `(\w+)` \| (?:info|warning|critical) \|", text, re.MULTILINE)
    assert table == [transition.value for transition in Transition]


def test_every_metric_of_the_operators_own_is_named():
    source = (TOP / "operator" / "modelrollout" / "wiring" / "telemetry.py").read_text("utf-8")
    text = page("docs/settings.md").text

    assert [name for name in re.findall(r'"(modelrollout_\w+)"', source) if f"`{name}" not in text] == []


@pytest.mark.parametrize("risk", list(Risk))
def test_the_default_plans_are_those_of_the_code(risk: Risk):
    spec = ModelRolloutSpec.model_validate({**good()["spec"], "risk": risk, "stages": None})
    steps = {kind: [s for s in plan_of(spec, has_baseline=True).steps if s.kind is kind] for kind in StageKind}
    (shadow,), canary, (full,) = steps[StageKind.SHADOW], steps[StageKind.CANARY], steps[StageKind.FULL]

    (row,) = KIND.rows(rf"{risk}( \(when left out\))?")

    assert [_days_as_hours(cell) for cell in row[1:]] == [
        f"{_days_as_hours(render_duration(shadow.min_duration))} at {shadow.shares.mirror} %",
        ", ".join(str(step.shares.candidate) for step in canary),
        render_duration(canary[0].min_duration),
        _days_as_hours(render_duration(full.min_duration)),
    ]


def _days_as_hours(text: str) -> str:
    return text.replace("1d", "24h") if text.startswith("1d") else text


def test_the_defaults_of_analysis_are_those_of_the_code():
    policy = policy_of(ModelRolloutSpec.model_validate({**good()["spec"], "analysis": {}}))

    told = {row[0].strip("`"): row[1] for row in KIND.rows(r"`(interval|warmup|ingestDelay|freshness)`")}

    assert told == {
        "interval": render_duration(policy.interval),
        "warmup": render_duration(policy.warmup),
        "ingestDelay": render_duration(policy.ingest_delay),
        "freshness": render_duration(policy.freshness),
    }
    assert f"| `minRequests` | {policy.min_requests} |" in KIND.text


def test_the_requests_that_a_pass_takes_are_those_of_the_statistics():
    rows = [row for row in KIND.rows(r"[\d.]+%") if len(row) == 5]

    assert len(rows) == 5
    for limit, *requests in rows:
        share = float(limit.rstrip("%")) / 100
        assert [int(n) for n in requests] == [requests_until_pass(bad, share, PASS_THRESHOLD) for bad in (0, 1, 2, 5)]


def test_the_bad_requests_that_fail_are_those_of_the_statistics():
    rows = [row for row in KIND.rows(r"[\d.]+%") if len(row) == 7]

    assert len(rows) == 3
    for limit, *bad in rows:
        share = float(limit.rstrip("%")) / 100
        assert [int(n) for n in bad] == [_fewest_that_fail(n, share) for n in (20, 50, 100, 200, 500, 1000)]


def test_the_example_of_a_relative_limit_is_so():
    def odds(bad: int) -> float:
        return log_evidence_increase([Pair(Counts(300, bad), Counts(5700, 57))], 0.25)

    assert odds(7) <= 0 < odds(8)
    assert odds(13) < math.log(200) <= odds(14)


def test_the_price_of_no_breach_is_so():
    def passes(share: float) -> int:
        chance = sum(math.comb(300, bad) * share**bad * (1 - share) ** (300 - bad) for bad in range(4))
        return round(100 * chance)

    assert f"passes with a probability of {passes(0.01)} % and one twice as bad with {passes(0.02)} %" in " ".join(
        KIND.text.split()
    )


def _fewest_that_fail(total: int, limit: float) -> int:
    return next(bad for bad in range(total + 1) if log_evidence_above(Counts(total, bad), limit) >= math.log(200))


OF_OTHERS = {"argoproj.io", "kustomize.toolkit.fluxcd.io"}
"""Groups whose definitions no cluster of ours has; what these say of routes is tested beside the routes."""


VALUES, WORKFLOW = "# values.yaml of the chart\n", "# .github/workflows/"
"""How a block begins that is nothing for the API server."""


def _is_manifest(block: str) -> bool:
    return not block.startswith((VALUES, WORKFLOW))


@pytest.mark.cluster
@pytest.mark.parametrize("here", [here for here in PAGES if VALUES in "".join(here.blocks("yaml"))], ids=str)
def test_the_chart_takes_the_values_that_are_shown(cluster: LocalCluster, here: Page):
    for shown in here.blocks("yaml"):
        if shown.startswith(VALUES):
            assert render(cluster, yaml.safe_load(shown), "modelrollout-system")


@pytest.mark.cluster
@pytest.mark.parametrize("here", [here for here in PAGES if any(map(_is_manifest, here.blocks("yaml")))], ids=str)
def test_the_api_server_takes_every_manifest_that_is_shown(cluster: LocalCluster, namespace: str, here: Page):
    install_crds(cluster)

    for shown in map(yaml.safe_load, filter(_is_manifest, here.blocks("yaml"))):
        # What is no object is a part of a rollout's spec.
        manifest = shown if "apiVersion" in shown else changed(good(), {f"spec.{key}": shown[key] for key in shown})
        if manifest["apiVersion"].partition("/")[0] in OF_OTHERS:
            continue
        manifest["metadata"]["namespace"] = namespace
        told = cluster.kubectl(
            "apply", "-f", "-", "--dry-run=server", "--validate=strict", "-o", "name", input=yaml.safe_dump(manifest)
        )
        assert manifest["metadata"]["name"] in told
