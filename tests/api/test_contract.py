"""The contract as the real API server keeps it."""

import json
from typing import Any

import pytest
from modelrollout.api.rollout import ModelRolloutSpec

from local.api import ApiRefused
from local.cluster import LocalCluster
from local.process import wait_until
from tests.api.manifests import REMOVED, Changes, changed, good, refusal_of
from tests.api.refusals import ON_CHANGE, ON_CREATE, ChangeRefusal, Refusal

pytestmark = pytest.mark.cluster

ACCEPTED: dict[str, Changes] = {
    "one of everything": {},
    "the smallest": {"spec.stages": REMOVED, "spec.gates": REMOVED, "spec.analysis": REMOVED},
    "a first deployment": {"spec.baseline": REMOVED},
    "a plan of one stage": {"spec.stages": [{"name": "full", "full": {}}]},
    "weights as numbers and texts": {"spec.stages.1.canary.weights": ["0.5", 1, "2.25", 10, "100"]},
    "20 gates": {"spec.gates": [{"name": f"g{n}", "errorRate": {"max": "1%"}} for n in range(20)]},
    "20 stages of 20 weights and 20 gates": {
        "spec.stages": [
            *(
                {
                    "name": f"c{stage}",
                    "canary": {"weights": list(range(1, 21))},
                    "gates": [{"name": f"g{stage}-{n}", "errorRate": {"max": "1%"}} for n in range(20)],
                }
                for stage in range(19)
            ),
            {"name": "full", "full": {}},
        ]
    },
    "a stage with a gate of its own": {"spec.stages.1.gates": [{"name": "own", "errorRate": {"maxIncrease": "0%"}}]},
    "a value compared with the baseline's": {
        "spec.gates.2.value": {"query": 'avg(score{service="$service"})', "maxDecrease": "5%", "maxIncrease": "0.5%"}
    },
    "a throughput": {"spec.gates.0": {"name": "load", "throughput": {"maxDecrease": "20%", "autoscaled": True}}},
    "a drift": {
        "spec.gates.0": {"name": "scores", "drift": {"histogram": {"metric": "model_score"}, "max": "0.05"}},
        "spec.gates.1": {"name": "inputs", "drift": {"histogram": {"metric": "amount"}, "method": "JensenShannon"}},
    },
    "a webhook": {
        "spec.gates.0": {
            "name": "monitor",
            "webhook": {
                "url": "https://judge.models.svc:8443/v1/judge",
                "parameters": [{"name": "monitor", "value": "fraud-scores"}],
            },
        }
    },
    "a ratio": {
        "spec.gates.0": {
            "name": "disagreement",
            "ratio": {
                "bad": {"metric": "answers_total", "matchers": [{"label": "agrees", "value": "false"}]},
                "total": {"metric": "answers_total"},
                "versionLabel": {"name": "version", "holds": "Version"},
                "max": "2%",
            },
        }
    },
    "gates with options": {
        "spec.gates.0.stages": ["shadow", "canary"],
        "spec.gates.0.severity": "safety",
        "spec.gates.1.dryRun": True,
        "spec.gates.2.severity": "warning",
    },
    "a gate of gates": {
        "spec.gates.2": {"name": "both", "failsWhen": {"all": ["errors", "latency"]}, "class": "model"},
        "spec.gates.1.labelDelay": "7d",
        "spec.gates.0.onUnknown": "Rollback",
        "spec.gates.0.unknownTimeout": "10m",
    },
    "a gate for a stage of the default plan": {"spec.stages": REMOVED, "spec.gates.0.stages": ["full"]},
    "an adopted rule": {"spec.traffic": {"httpRoute": {"adopt": {"name": "fraud", "rule": "score"}}}},
    "a GRPCRoute": {
        "spec.traffic": {
            "grpcRoute": {
                "parentRefs": [{"name": "edge"}],
                "hostnames": ["fraud.example.com"],
                "service": "fraud.v1.Scorer",
                "method": "Score",
            }
        },
        "spec.metrics": {
            "preset": "custom",
            "custom": {"requests": {"metric": "calls_total"}, "versionLabel": {"name": "service"}},
        },
    },
    "20 stages that require 10 things": {
        "spec.readiness": [{"id": f"r{n}", "description": "x", "expires": "90d", "scope": "Model"} for n in range(10)],
        "spec.stages": [
            *(
                {"name": f"c{n}", "canary": {"weights": [n + 1]}, "requires": [f"r{m}" for m in range(10)]}
                for n in range(19)
            ),
            {"name": "full", "full": {}, "requires": ["r0"]},
        ],
    },
    "approvals and windows": {
        "spec.stages.1.approval": {"required": 2, "groups": ["risk", "sre"], "separationOfDuties": True},
        "spec.windows": [
            {"start": "0 9 * * MON-FRI", "duration": "8h", "timeZone": "America/Argentina/ComodRivadavia"},
            {"start": "*/15 0-6,22-23 1-7 JAN-MAR *", "duration": "1h30m"},
        ],
    },
    "a TraefikService": {"spec.traffic": {"traefikService": {"name": "fraud"}}},
    "a wildcard host and a path": {
        "spec.traffic.httpRoute.hostnames": ["*.example.com"],
        "spec.traffic.httpRoute.path": "/v1/score",
    },
    "the root path": {"spec.traffic.httpRoute.path": "/"},
    "a path of a version": {"spec.traffic.httpRoute.path": "/v1.2/score/"},
    "durations in every unit": {"spec.stages.0.minDuration": "1d2h3m4s5ms"},
    "a threshold of a tenth of a second": {"spec.gates.1.latency.threshold": "100ms"},
    "negative limits": {"spec.gates.2.value": {"query": "vector(-1)", "min": "-3", "max": "-0.5"}},
    "a query of 2,048 characters": {"spec.gates.2.value.query": "x" * 2048},
    "a name of 63 characters": {"metadata.name": "a" * 63},
    "metrics of one's own": {
        "spec.metrics": {
            "source": "team-a",
            "preset": "custom",
            "custom": {
                "requests": {"metric": "http_requests_total", "matchers": [{"label": "path", "op": "=~", "value": "/v1.*"}]},
                "errors": {"metric": "http_errors_total"},
                "duration": {"metric": "http_request_duration_seconds", "unit": "s"},
                "versionLabel": {"name": "version", "holds": "Version"},
            },
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", [pytest.param(changes, id=case) for case, changes in ACCEPTED.items()])
def test_a_good_manifest_is_accepted(contract: LocalCluster, changes: Changes) -> None:
    manifest = changed(good(), changes)

    assert refusal_of(contract, manifest) == ""
    ModelRolloutSpec.model_validate(manifest["spec"])


@pytest.mark.parametrize("row", [pytest.param(row, id=row.case) for row in ON_CREATE])
def test_a_bad_manifest_is_refused_with_its_remedy(contract: LocalCluster, row: Refusal) -> None:
    assert row.sentence in refusal_of(contract, changed(good(), row.changes))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.case) for row in ON_CHANGE])
def test_a_bad_change_is_refused_with_its_remedy(contract: LocalCluster, namespace: str, row: ChangeRefusal) -> None:
    manifest = good(namespace=namespace)

    refusal = refusal_of(contract, changed(manifest, row.after), old=changed(manifest, row.before))

    assert row.sentence in refusal


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"spec.candidate.version": "2026.12.1"}, id="the next candidate"),
        pytest.param({"spec.traffic.httpRoute.hostnames": ["other.example.com"]}, id="other hosts on the own route"),
        pytest.param({"spec.stages": REMOVED}, id="the default plan"),
    ],
)
def test_a_running_rollout_can_be_changed(contract: LocalCluster, namespace: str, changes: Changes) -> None:
    manifest = good(namespace=namespace)

    assert refusal_of(contract, changed(manifest, changes), old=manifest) == ""


def test_nothing_of_spec_is_filled_in_by_the_server(contract: LocalCluster, namespace: str) -> None:
    manifest = good(namespace=namespace)

    (stored,) = contract.apply(manifest)

    assert stored["spec"] == manifest["spec"]


def test_an_object_that_nobody_has_looked_at_counts_as_unfinished(contract: LocalCluster, namespace: str) -> None:
    (stored,) = contract.apply(good(namespace=namespace))

    assert stored["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"control": {"rollback": {"reason": "p99", "requestedBy": "ana"}}}, id="rollback"),
        pytest.param({"control": {"hold": {}}}, id="hold without a word"),
        pytest.param({"control": {"resume": {"reason": "fixed"}, "retry": {}}}, id="two messages at once"),
        pytest.param({"control": {"advance": {"overrideGates": True, "reason": "labels are late"}}}, id="override"),
        pytest.param({"control": {"approve": [{"requestedBy": "ana", "groups": ["sre"]}]}}, id="approval"),
        pytest.param({"control": {"attest": [{"id": "bias", "evidenceURL": "https://x"}]}}, id="attestation"),
        pytest.param({"phase": "RollingBack"}, id="the phase, by hand"),
    ],
)
def test_the_inbox_takes_what_people_write_before_the_operator_wrote(
    contract: LocalCluster, namespace: str, patch: dict[str, Any]
) -> None:
    (stored,) = contract.apply(good(namespace=namespace))

    told = contract.kubectl(
        "patch", "mr", "fraud-scorer", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": patch}), "-o", "json",
    )  # fmt: skip

    assert json.loads(told)["status"] == stored["status"] | patch


@pytest.mark.parametrize("reason", [{}, {"reason": "  "}])
def test_gates_are_not_overridden_without_a_reason(
    contract: LocalCluster, namespace: str, reason: dict[str, str]
) -> None:
    (stored,) = contract.apply(good(namespace=namespace))
    path = contract.api.path_of(stored, subresource="status")
    control = {"advance": {"overrideGates": True, **reason}}

    with pytest.raises(ApiRefused, match="write in reason why"):
        contract.api.call("PATCH", path, {"status": {"control": control}}, content_type="application/merge-patch+json")


def test_a_phase_that_is_none_is_refused_with_those_there_are(contract: LocalCluster, namespace: str) -> None:
    (stored,) = contract.apply(good(namespace=namespace))
    path = contract.api.path_of(stored, subresource="status")

    with pytest.raises(ApiRefused, match=r'supported values: "Pending",.*"RollingBack"'):
        contract.api.call("PATCH", path, {"status": {"phase": "Back"}}, content_type="application/merge-patch+json")


@pytest.mark.parametrize(
    ("field", "sentences"),
    [
        ("mr", ["Moves traffic from the version of a model", "spec", "status"]),
        ("mr.spec.owner", ["team", "-required-", "Team that answers for this model"]),
        ("mr.spec.stages.canary.weights", ["Percentages of live requests, one a step, ascending."]),
        ("mr.spec.gates.onFail", ["ENUM: Rollback Hold", "Rollback (when left out)"]),
        ("mr.status.control.rollback", ["Baseline 100, mirror off, at once", "reason", "requestedBy"]),
    ],
)
def test_kubectl_explain_reads_well(contract: LocalCluster, field: str, sentences: list[str]) -> None:
    # The API server publishes a new kind's documentation a moment after it serves the kind.
    wait_until(lambda: "FIELD" in contract.kubectl("explain", "mr", check=False), "kubectl explain mr")

    told = contract.kubectl("explain", field)

    assert [sentence for sentence in sentences if sentence not in " ".join(told.split())] == []


def test_kubectl_get_tells_the_story(contract: LocalCluster, namespace: str) -> None:
    (stored,) = contract.apply(changed(good(namespace=namespace), {"spec.risk": "high"}))
    status = {"phase": "Canary", "weight": "5", "gates": "2/3"}
    path = contract.api.path_of(stored, subresource="status")
    contract.api.call("PATCH", path, {"status": status}, content_type="application/merge-patch+json")

    told = contract.kubectl("get", "mr", "-n", namespace).splitlines()
    wide = contract.kubectl("get", "mr", "-n", namespace, "-o", "wide").splitlines()

    assert told[0].split() == ["NAME", "PHASE", "SERVING", "CANDIDATE", "WEIGHT", "GATES", "AGE"]
    assert told[1].split()[:5] == ["fraud-scorer", "Canary", "2026.11.2", "5", "2/3"]
    assert wide[0].split()[6:] == ["STAGE", "REASON", "HELD", "RISK", "OWNER", "AGE"]
