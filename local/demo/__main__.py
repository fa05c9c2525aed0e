"""`python -m local.demo [--keep]`: the whole show; exit code 0 only if each act ended as it should."""

import argparse
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from types import FrameType

from local.api import ApiRefused
from local.cluster import CommandFailed, LocalCluster
from local.demo.acts import PROGRAMME
from local.demo.installed import Installed, install
from local.demo.manifest import HOST, NAMESPACE, TO_VERSION_1, users_route
from local.demo.outcome import Outcome
from local.demo.screen import Screen, open_screen
from local.demo.stage import Stage
from local.demo.summary import is_good, summary
from local.demo.watch import NotSo, Watch
from local.golang import BuildFailed
from local.models import TrainedModels, find_models
from local.namespace import NamespaceRefused
from local.process import ProcessFailed, wait_until

_REQUESTS_PER_SECOND = 50
_TROUBLES = (BuildFailed, NamespaceRefused, ProcessFailed, CommandFailed, ApiRefused, NotSo, OSError)
_INTERRUPTED = 130
_ROWS = "rows.json"
"""Beside the logs: the body of one request, to send by hand."""


def main() -> int:
    """Play the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description="Watch the operator at work.")
    parser.add_argument("--keep", action="store_true", help="leave everything running afterwards, until Ctrl-C")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _play(keep=options.keep)
    except KeyboardInterrupt:
        print("\nstopped; nothing is left running")
        return _INTERRUPTED
    except (*_TROUBLES, subprocess.CalledProcessError) as trouble:
        notes = "".join(f"\n{note}" for note in getattr(trouble, "__notes__", []))
        print(f"\nthe demo could not go on: {trouble}{notes}", file=sys.stderr)
        return 1


def _play(*, keep: bool) -> int:
    models = find_models()
    print("A real control plane, gateway, metrics and models as plain processes; no Docker, no cluster of yours.")
    print("starting etcd, kube-apiserver, Traefik and Prometheus", flush=True)
    with LocalCluster(traefik=True, prometheus=True, helm=True) as cluster, open_screen() as screen:
        stage = _set_up(cluster, screen, models)
        outcomes = _perform(stage)
        screen.title("Summary")
        screen.print(summary(outcomes, stage.watch.elapsed))
        screen.say(f"Logs of every process: {cluster.logs}")
        if not is_good(outcomes) and (hint := _hint_on_load(os.getloadavg()[0], os.cpu_count() or 1)):
            screen.say(hint)
        if keep:
            _keep(stage)
    return 0 if is_good(outcomes) else 1


def _set_up(cluster: LocalCluster, screen: Screen, models: TrainedModels) -> Stage:
    """Return the stage before the first act: v1 serves real requests, and the operator has nothing to do."""
    screen.say("installing the operator by its chart, with the rights that the chart gives it and no others")
    operator = install(cluster)
    screen.say("starting four versions of a scikit-learn classifier, v1 to v4, each behind a Service of its own")
    servers = {
        version: cluster.model(NAMESPACE, f"fraud-{version}", version=version, model=path)
        for version, path in models.paths.items()
    }
    cluster.apply(users_route(cluster.traefik.parent_ref, TO_VERSION_1))
    rows = models.bodies
    (cluster.logs / _ROWS).write_text(json.dumps(rows[0]))
    wait_until(lambda: cluster.send(HOST, "/v1/score", 1, rows)["v1"] == 1, "v1 answers through the gateway")
    load = cluster.load(
        HOST, "/v1/score", requests_per_second=_REQUESTS_PER_SECOND, rows=rows, duration=timedelta(days=1)
    )
    screen.say(f"{_REQUESTS_PER_SECOND} requests a second, 8 real rows each, go through Traefik to v1")
    watch = Watch(cluster, screen, operator=operator, models=servers, load=load)
    return Stage(cluster, screen, watch, operator)


def _perform(stage: Stage) -> list[Outcome]:
    """Play the acts; one that cannot be played to its end is the last."""
    outcomes = [Outcome(title) for title, _ in PROGRAMME]
    for outcome, (title, act) in zip(outcomes, PROGRAMME, strict=True):
        stage.screen.title(title)
        try:
            act(stage, outcome)
        except _TROUBLES as trouble:
            outcome.expect(str(trouble), is_met=False)
            break
    return outcomes


def _hint_on_load(load: float, cores: int) -> str:
    """Return what a crowded machine explains; empty where there is room."""
    if load <= 2 * cores:
        return ""
    return f"This machine has {cores} cores and a load of {load:.0f}: models that wait for a core answer late."


def _keep(stage: Stage) -> None:
    """Say how to look around, and go on until Ctrl-C."""
    cluster = stage.cluster
    stage.screen.title("Everything keeps running until Ctrl-C")
    for line in _directions(cluster, stage.operator):
        stage.screen.say(line)
    stage.watch.announce("Running until Ctrl-C", [])
    try:
        while True:
            stage.watch.linger(timedelta(minutes=1))
    except KeyboardInterrupt:
        return


def _directions(cluster: LocalCluster, operator: Installed) -> list[str]:
    return [
        "A shell inside, with kubectl, from another terminal:",
        f"  {cluster.enter_command}",
        "In it:",
        f"  kubectl get mr -n {NAMESPACE} -o wide",
        f"  kubectl describe mr fraud -n {NAMESPACE}",
        f"  kubectl apply -f {cluster.logs / 'fraud.yaml'}      # after editing it",
        f"  kubectl --kubeconfig={operator.on_call} get mr -n {NAMESPACE}      # as on call",
        f"  curl -i -H 'Host: {HOST}' -d @{cluster.logs / _ROWS} {cluster.traefik.url}/v1/score",
        f"  Prometheus {cluster.prometheus.url}, Traefik's metrics {cluster.traefik.metrics_url}, the operator's {operator.url}/metrics",
    ]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: the terminal is put in order and every process stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
