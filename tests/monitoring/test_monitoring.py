"""Alerts and dashboard: they ask for metrics that there are, fire when they should, and lead to a page."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelrollout.engine.store import Store
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.wiring.telemetry import Metrics, Process, Targets, World
from prometheus_client import CollectorRegistry

from local.cluster import LocalCluster
from tests.support.chart import CHART, TOP, render

FILES = CHART / "files"
RULES = yaml.safe_load((FILES / "rules.yaml").read_text("utf-8"))
DASHBOARD = json.loads((FILES / "dashboard.json").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
NAME = re.compile(r"\bmodelrollout_[a-z_]+\b")
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}


def exposed() -> set[str]:
    """Return the names of all series that the operator can have."""
    registry = CollectorRegistry()
    Metrics(registry)
    registry.register(World(Store(), WorkQueue(), lambda: datetime(2026, 11, 17, tzinfo=UTC)))
    age = lambda: 1.0  # noqa: E731
    registry.register(
        Process(leading=lambda: True, renewed_ago=age, swept_ago=age, reread_ago=age, longest_pass=age, tasks=age)
    )
    registry.register(Targets({}))
    return {f"{family.name}{suffix}" for family in registry.collect() for suffix in SUFFIXES[family.type]}


def asked_by_rules() -> set[str]:
    return {name for rule in ALERTS for name in NAME.findall(rule["expr"])}


def asked_by_the_dashboard() -> set[str]:
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    asked = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
    return {name for text in (*targets, *asked) for name in NAME.findall(text)}


@pytest.mark.parametrize("asked", [asked_by_rules, asked_by_the_dashboard])
def test_every_metric_that_is_asked_for_exists(asked: Any):
    assert asked()
    assert asked() - exposed() == set()


def test_every_alert_says_how_bad_it_is_and_leads_to_a_page_of_its_own_words():
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"critical", "warning"}
        page = TOP / alert["annotations"]["runbook_url"]
        assert f"# {alert['alert']}" in page.read_text("utf-8").replace(", Model", "\n# Model"), page


def test_every_page_belongs_to_an_alert():
    pages = {page.name for page in (TOP / "docs" / "runbooks").glob("*.md")}

    assert pages == {Path(alert["annotations"]["runbook_url"]).name for alert in ALERTS}


def test_every_alert_is_tested_to_fire_and_not_to():
    tests = yaml.safe_load((TOP / "tests" / "monitoring" / "rules.test.yaml").read_text("utf-8"))["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    names = {alert["alert"] for alert in ALERTS}

    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == names
    assert {check["alertname"] for check in checks if not check.get("exp_alerts")} == names


def test_the_page_for_the_night_fits_one_screen():
    assert len((TOP / "docs" / "on-call.md").read_text("utf-8").splitlines()) <= 40


@pytest.mark.slow
def test_the_alerts_fire_when_they_should_and_not_when_all_is_well(promtool: Path, tmp_path: Path):
    for file in (FILES / "rules.yaml", TOP / "tests" / "monitoring" / "rules.test.yaml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")

    answer = subprocess.run(
        [promtool, "test", "rules", "rules.test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.cluster
def test_the_chart_brings_dashboard_and_rules_where_they_are_wanted(cluster: LocalCluster):
    values = {
        "dashboard": {"enabled": True, "labels": {"grafana_dashboard": "1"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "runbooks": "https://wiki/"},
    }
    objects = {one["kind"]: one for one in render(cluster, values, "ops")}
    without = {one["kind"] for one in render(cluster, {}, "ops")}

    assert without.isdisjoint({"ConfigMap", "PrometheusRule"})
    assert json.loads(objects["ConfigMap"]["data"]["modelrollout.json"]) == DASHBOARD
    assert objects["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    shipped = objects["PrometheusRule"]["spec"]["groups"]
    assert [rule["expr"] for group in shipped for rule in group["rules"]] == [rule["expr"] for rule in ALERTS]
    assert shipped[0]["rules"][0]["annotations"]["runbook_url"] == "https://wiki/rollback-late.md"
