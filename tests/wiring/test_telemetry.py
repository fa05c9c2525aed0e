"""What an alert can be put on."""

from datetime import timedelta
from typing import Any

import pytest
from modelrollout.core.rollout import Rollout
from modelrollout.engine.store import Store
from modelrollout.engine.workqueue import WorkQueue
from modelrollout.wiring.telemetry import MOST_REASONS, Metrics, Process, World
from prometheus_client import CollectorRegistry

from tests.core.builders import NOW, running, spec


def obj(name: str, status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"namespace": "models", "name": name, "uid": name, "resourceVersion": "7", "generation": 1}
    return {"metadata": metadata, "spec": spec(), "status": status}


def held(name: str, reason: str, kind: str = "Held") -> dict[str, Any]:
    condition = {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": NOW.isoformat(),
    }
    return obj(name, {"observedGeneration": 1, "conditions": [condition]})


class Scrape:
    """A store, and what `/metrics` says of it at a time."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.now = NOW
        self.store = Store()
        for one in objects:
            self.store.put(one)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.registry.register(World(self.store, WorkQueue(lambda: 0.0), lambda: self.now))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def test_rollouts_that_wait_for_a_person_are_counted_by_reason():
    scrape = Scrape(held("a", "RouteChanged"), held("b", "RouteChanged"), held("c", "InvalidSpec", "Stalled"))

    assert scrape.value("modelrollout_held", reason="RouteChanged") == 2
    assert scrape.value("modelrollout_stalled", reason="InvalidSpec") == 1


def test_reasons_that_people_make_up_do_not_make_series_without_end():
    scrape = Scrape(*(held(f"r{i}", f"MadeUp{i}") for i in range(100)))
    (family,) = (one for one in scrape.registry.collect() if one.name == "modelrollout_held")

    assert len(family.samples) == MOST_REASONS + 1
    assert scrape.value("modelrollout_held", reason="others") == 100 - MOST_REASONS


def test_a_rollback_that_waits_shows_for_how_long():
    asked: Rollout = running()
    status = asked.status.render() | {"control": {"rollback": {"reason": "p99"}}}
    scrape = Scrape(obj("fraud", status))
    assert (scrape.value("modelrollout_rollbacks_pending"), scrape.value("modelrollout_rollback_pending_seconds")) == (
        1,
        0,
    )

    scrape.now += timedelta(seconds=30)

    assert scrape.value("modelrollout_rollback_pending_seconds") == 30


def test_without_a_rollback_none_is_pending():
    scrape = Scrape(obj("fraud", running().status.render()))

    assert scrape.value("modelrollout_rollbacks_pending") == 0
    assert scrape.value("modelrollout_rollback_pending_seconds") == 0


@pytest.mark.parametrize(("leads", "age"), [(True, 0.4), (False, None)])
def test_who_leads_and_how_old_its_lease_is(leads: bool, age: float | None):
    registry = CollectorRegistry()
    registry.register(
        Process(
            leading=lambda: leads,
            renewed_ago=lambda: age,
            swept_ago=lambda: None,
            reread_ago=lambda: 0.0,
            longest_pass=lambda: 0.0,
            tasks=lambda: 3.0,
        )
    )

    assert registry.get_sample_value("modelrollout_leading") == float(leads)
    assert registry.get_sample_value("modelrollout_lease_age_seconds") == age
    assert registry.get_sample_value("modelrollout_sweep_age_seconds") is None


def test_what_a_watch_missed_is_counted():
    scrape = Scrape()
    scrape.metrics.missed("modelrollouts", 3)

    assert scrape.value("modelrollout_watch_missed_total", resource="modelrollouts") == 3
