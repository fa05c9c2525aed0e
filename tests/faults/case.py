"""One case: a namespace with two versions behind Services, one rollout named fraud, and an operator behind a proxy.

Nobody sends requests: the numbers are made up, so that a whole rollout takes a few seconds and many can run at once.
"""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from modelrollout.core.chain import verify

from local.cluster import LocalCluster
from local.serving import service_objects
from tests.faults.loop import LoopThread
from tests.faults.operators import Operator, WarmParent
from tests.faults.proxy import Proxy
from tests.faults.scripted import Numbers, ScriptedMetrics
from tests.faults.witness import LEAVES, RECORDS, ROLLOUTS, Witness

GROUP = "modelrollout.dev/v1alpha1"
STAGES = [
    {"name": "shadow", "shadow": {"percent": 100}, "minDuration": "0s"},
    {"name": "canary", "canary": {"weights": [10, 50]}, "minDuration": "0s"},
    {"name": "full", "full": {}, "minDuration": "0s"},
]
QUICK = {"interval": "1s", "warmup": "0s", "ingestDelay": "0s", "minRequests": 20, "freshness": "10s"}
STEPS = ["v1 100, v2 copied 100", "v1 90, v2 10", "v1 50, v2 50", "v2 100"]
GATES = [{"name": "errors", "errorRate": {"max": "5%"}}]
REPORTER = "modelrollout.dev/operator"
OVER = frozenset({"Promoted", "RolledBack"})
QUIET_SECONDS = 1.2
"""Longer than the interval: who still wants to write something has done so by then."""
_BACKEND = "10.244.100.3"
_TIMES = frozenset({"since", "startedAt", "stageStartedAt", "stepStartedAt", "appliedAt", "endedAt", "evaluatedAt",
                    "lastTransitionTime", "handledAt", "resumedAt", "until", "idleSince", "metricsLostSince", "unreadySince"})  # fmt: skip
_NUMBERS = frozenset({"value", "samples", "tally", "earlier", "message", "observedGeneration", "record", "queryDigest"})


@dataclass
class Ground:
    """What all cases share."""

    cluster: LocalCluster
    thread: LoopThread
    warm: WarmParent
    metrics: ScriptedMetrics
    witness: Witness
    token: str
    """Of the operator's ServiceAccount, with the rights that the chart gives it for a whole cluster."""
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def case(self, **arguments: Any) -> "Case":
        """Return a new case with its Services; no operator runs yet."""
        return Case(self, **arguments)


class Case:
    """A namespace of its own, to its `end`."""

    def __init__(self, ground: Ground, *, stages: object = None, token: str = "", **spec: Any) -> None:
        self.ground = ground
        self.witness = ground.witness
        self.number = next(ground.numbers)
        self.namespace = f"faults-{self.number}"
        self.numbers: Numbers = ground.metrics.numbers(self.namespace)
        self.proxy = Proxy(ground.thread, ground.cluster.server, ground.cluster.ca_file)
        self.proxy.start()
        self.operators: list[Operator] = []
        self._looked_at = 0.0
        self._spec = {"stages": stages or STAGES, **spec}
        self._token = token or ground.token
        self._api = ground.cluster.api
        self._api.call("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        for version in ("v1", "v2"):
            self.add_service(version)

    @property
    def path(self) -> str:
        """Where the rollout is."""
        return f"/apis/{GROUP}/namespaces/{self.namespace}/modelrollouts/fraud"

    @property
    def leaf_path(self) -> str:
        """Where its TraefikService is."""
        return f"/apis/traefik.io/v1alpha1/namespaces/{self.namespace}/traefikservices/fraud"

    @property
    def operator(self) -> Operator:
        """The operator that was started last."""
        return self.operators[-1]

    def add_service(self, version: str) -> None:
        """Create a version's Service with one ready endpoint."""
        service, endpoints = service_objects(self.namespace, f"fraud-{version}", _BACKEND)
        self._api.call("POST", f"/api/v1/namespaces/{self.namespace}/services", service)
        self._api.call("POST", f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices", endpoints)

    def manifest(self, **spec: Any) -> dict[str, Any]:
        """Return the rollout: v1 serves, v2 should."""
        return {
            "apiVersion": GROUP,
            "kind": "ModelRollout",
            "metadata": {"name": "fraud", "namespace": self.namespace},
            "spec": {
                "owner": {"team": "risk-ml"},
                "baseline": version_of("v1"),
                "candidate": version_of("v2"),
                "traffic": {"traefikService": {"name": "fraud"}},
                "metrics": {"preset": "traefik"},
                "gates": GATES,
                "analysis": QUICK,
                **self._spec,
                **spec,
            },
        }

    def apply(self) -> None:
        """Create the rollout."""
        self._api.call("POST", self.path.rpartition("/")[0], self.manifest())

    def apply_another(self, name: str) -> None:
        """Create one more rollout, with a route of its own."""
        manifest = self.manifest(traffic={"traefikService": {"name": name}})
        manifest["metadata"]["name"] = name
        self._api.call("POST", self.path.rpartition("/")[0], manifest)

    def edit(self, spec: Mapping[str, Any]) -> None:
        """Merge something into spec, as a pipeline does."""
        self._api.call("PATCH", self.path, {"spec": spec}, content_type="application/merge-patch+json")

    def ask(self, **messages: Mapping[str, Any]) -> None:
        """Put messages into the inbox, past the proxy, as a person does."""
        body = {"status": {"control": messages}}
        self._api.call("PATCH", f"{self.path}/status", body, content_type="application/merge-patch+json")

    def wipe_status(self) -> None:
        """Do as `kubectl replace --subresource=status` does with a manifest that has none."""
        stands = self._api.call("GET", self.path)
        self._api.call("PUT", f"{self.path}/status", {key: part for key, part in stands.items() if key != "status"})

    def start_operator(self, **environment: str) -> Operator:
        """Start an operator (one more, if one runs) that sees the API server through the proxy alone."""
        cluster = self.ground.cluster
        kubeconfig = cluster.logs / f"{self.namespace}.kubeconfig"
        kubeconfig.write_text(_kubeconfig(self.proxy.url, self._token))
        kubeconfig.chmod(0o600)
        settings = {
            "MODELROLLOUT_NAMESPACES": json.dumps([self.namespace]),
            "MODELROLLOUT_METRICS_SOURCES": json.dumps({"default": {"url": self.numbers.url, "timeout": "2s"}}),
            "MODELROLLOUT_MIN_INTERVAL": "1s",
            "MODELROLLOUT_LISTEN": "127.0.0.1:0",
            "MODELROLLOUT_LOG_FORMAT": "text",
            **environment,
        }
        log = cluster.logs / f"operator-{self.namespace}.log"
        self.operators.append(self.ground.warm.start([f"--kubeconfig={kubeconfig}"], settings, log))
        return self.operator

    def restart_operator(self, **environment: str) -> None:
        """Start a fresh operator once the last one has ended."""
        self.operator.wait_ended()
        self.start_operator(**environment)

    def write_route(self, spec: Mapping[str, Any]) -> None:
        """Change the route's spec, as a person does who edits it."""
        self._api.call("PATCH", self.leaf_path, {"spec": spec}, content_type="application/merge-patch+json")

    def status(self, name: str = "fraud") -> dict[str, Any]:
        """Return status as it was last seen at the API server."""
        found: dict[str, Any] = self.witness.last(self.namespace, ROLLOUTS, name).get("status", {})
        return found

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of a condition; empty where it is absent."""
        return next(((c["status"], c["reason"]) for c in self._conditions(kind)), ("", ""))

    def message(self, kind: str) -> str:
        """Return a condition's sentence."""
        return next((str(c["message"]) for c in self._conditions(kind)), "")

    def _conditions(self, kind: str) -> list[dict[str, Any]]:
        return [c for c in self.status().get("conditions", []) if c["type"] == kind]

    def shares(self) -> str:
        """Return the route's shares as last seen, in words; empty without a route."""
        leaf = self.witness.last(self.namespace, LEAVES)
        return shares_of(leaf) if leaf else ""

    def until(self, what: str, is_so: Callable[[], bool], within: timedelta = timedelta(seconds=60)) -> None:
        """Return once it is so; fail with the last status and log."""
        if not self.witness.wait(is_so, within.total_seconds()):
            calls = "\n".join(f"  {call}" for call in self.proxy.calls[-15:])
            raise AssertionError(
                f"{self.namespace}: not {what} within {within}; route: {self.shares()}\n"
                f"{json.dumps(self.status(), indent=1)[-2500:]}\nlast calls:\n{calls}\n{self.operator.last_lines()}"
            )

    def until_shares(self, shares: str, within: timedelta = timedelta(seconds=60)) -> None:
        """Return once the route has these shares."""
        self.until(f"at {shares}", lambda: self.shares() == shares, within)

    def until_over(self, within: timedelta = timedelta(seconds=90)) -> str:
        """Return the phase in which the rollout has come to its end."""
        self.until("over", lambda: self.status().get("phase") in OVER, within)
        return str(self.status()["phase"])

    def until_recorded(self) -> None:
        """Return once status says that the shares, and the end of the attempt, are written down."""
        self.until("recorded", lambda: "record" in self.status()["route"])

    def is_over_with_restarts(self) -> bool:
        """Return whether it is over; start an operator that has ended again, as Kubernetes does, twice a second."""
        if time.monotonic() > self._looked_at + 0.5:
            self._looked_at = time.monotonic()
            if self.operator.exit_code() is not None:
                self.start_operator()
        return self.status().get("phase") in OVER

    def until_quiet(self, within: timedelta = timedelta(seconds=30)) -> None:
        """Return once nothing has been written for a while; fail if writing goes on."""
        limit = time.monotonic() + within.total_seconds()
        count, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            now = len(self.proxy.writes)
            if now != count:
                count, since = now, time.monotonic()
            if time.monotonic() > limit:
                raise AssertionError(f"still writing: {[str(call) for call in self.proxy.writes[-10:]]}")
            time.sleep(0.05)

    def world(self) -> dict[str, Any]:
        """Return all that a user can see of the end and of the way there, without times and numbers."""
        return {
            "route": self.shares(),
            "shares": self.shares_seen(),
            "steps": self.steps_seen(),
            "status": timeless(self.status()),
            "records": [told(record) for record in self.records()],
            "lies": self.lies(),
        }

    def records(self) -> list[dict[str, Any]]:
        """Return the records as they stand, oldest first."""
        last = {one.obj["metadata"]["name"]: one.obj for one in self.witness.versions(self.namespace, RECORDS)}
        return sorted(last.values(), key=lambda record: (record["spec"]["decidedAt"], record["spec"]["attempt"]))

    def lies(self) -> list[str]:
        """Return what the records say and was not so: chains that do not hold, shares that the route did not have then.

        A segment names the version of the route that it was read from.
        """
        had = {str(one.number): shares_of(one.obj) for one in self.witness.versions(self.namespace, LEAVES)}
        found = [f"{one.record} {one.seq}: {one.message}" for record in self.records() for one in verify([record])]
        for record in self.records():
            for segment in record["status"]["segments"]:
                was, says = had.get(segment["route"].get("resourceVersion", "")), recorded_shares(segment["shares"])
                if was != says:
                    found.append(f"{record['metadata']['name']} {segment['seq']} says {says}, it was {was}")
        known = [segment["shares"] for record in self.records() for segment in record["status"]["segments"]]
        if known and recorded_shares(known[-1]) != self.shares():
            found.append(f"the record ends with {recorded_shares(known[-1])}, the route has {self.shares()}")
        return found

    def shares_seen(self) -> list[str]:
        """Return the shares that the route has had, in order, each as often as it came back."""
        return _changes(shares_of(one.obj) for one in self.witness.versions(self.namespace, LEAVES))

    def steps_seen(self) -> list[tuple[Any, ...]]:
        """Return the steps that status has told of, in order, a new start of the same step included."""
        attempts = [one.obj.get("status", {}).get("attempt") for one in self.witness.versions(self.namespace, ROLLOUTS)]
        marks = [(a["number"], a["stage"], a["step"], a["stepStartedAt"]) for a in attempts if a]
        return [mark[:-1] for mark in _changes(marks)]

    def events(self) -> Counter[str]:
        """Return how often each thing was told."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        items = self._api.call("GET", path)["items"]  # The API server posts some, too.
        return Counter(f"{item['reason']}: {item['note']}" for item in items if item["reportingController"] == REPORTER)

    def end(self) -> None:
        """End its operators and its proxy."""
        for operator in self.operators:
            operator.kill()
        self.proxy.close()


def version_of(name: str) -> dict[str, Any]:
    """Return a version as spec names it."""
    return {"version": name, "service": {"name": f"fraud-{name}", "port": 8080}}


def shares_of(leaf: Mapping[str, Any]) -> str:
    """Return what a TraefikService gives to whom, such as `v1 90, v2 10`."""
    spec = leaf["spec"]
    if "mirroring" in spec:
        mirrors = [f"{_short(one)} copied {one.get('percent', 0)}" for one in spec["mirroring"].get("mirrors", [])]
        return ", ".join([f"{_short(spec['mirroring'])} 100", *mirrors])
    services = spec.get("weighted", {}).get("services", [])
    total = sum(one.get("weight", 1) for one in services) or 1
    return ", ".join(f"{_short(one)} {100 * one.get('weight', 1) // total}" for one in services)


def told(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record says, without times, hashes and numbers."""
    return {
        "name": (record["spec"]["attempt"], record["spec"]["candidate"]["version"], record["spec"]["trigger"]["cause"]),
        "segments": [
            (recorded_shares(one["shares"]), one["stage"], one["step"], one["cause"], one.get("outcome"))
            for one in record["status"]["segments"]
        ],
        "outcome": record["status"].get("outcome"),
    }


def recorded_shares(shares: list[Mapping[str, Any]]) -> str:
    """Return a segment's shares in the words of `shares_of`."""
    served = [f"{one['version']} {one['weight']}" for one in shares if one["weight"]]
    copied = [f"{one['version']} copied {one['mirror']}" for one in shares if "mirror" in one]
    return ", ".join([*served, *copied])


def timeless(value: Any) -> Any:
    """Return status without times, counts and sentences: what must be the same whatever happened on the way."""
    if isinstance(value, Mapping):
        return {name: timeless(inner) for name, inner in value.items() if name not in _TIMES | _NUMBERS}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def _short(ref: Mapping[str, Any]) -> str:
    return str(ref["name"]).removeprefix("fraud-")


def _changes(values: Any) -> list[Any]:
    return [value for value, _ in itertools.groupby(values)]


def _kubeconfig(server: str, token: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": {"server": server}}],
            "users": [{"name": "local", "user": {"token": token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
            "current-context": "local",
        }
    )
