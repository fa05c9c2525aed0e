"""`python -m local.kind [--dry-run] [--without-demo]`: needs docker, kind, kubectl and helm."""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from local.build import find_definitions
from local.golang import BuildFailed
from local.kind.manifests import GATEWAY_NODE_PORT, PROMETHEUS_NODE_PORT
from local.kind.steps import CLUSTER, Step, cluster_steps, demo_steps, files
from local.release.image import IMAGE
from local.targets import GATEWAY_API, TRAEFIK, TRAEFIK_ROLES, Definitions

TOP = Path(__file__).parents[2]
_PLACE = "build/kind"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the steps, or only print them; return the exit code of the first that fails, else 0."""
    parser = argparse.ArgumentParser(prog="python -m local.kind", description="The demo on a cluster of kind's.")
    parser.add_argument("--dry-run", action="store_true", help="write the files, print the commands, run none")
    parser.add_argument("--without-demo", action="store_true", help="make the cluster and stop there")
    options = parser.parse_args(arguments)
    steps = cluster_steps(IMAGE, _PLACE) + ([] if options.without_demo else demo_steps(_PLACE))
    if not options.dry_run and (missing := _missing(steps)):
        print(f"not found: {', '.join(missing)}; `make kind ARGS=--dry-run` shows what they are for", file=sys.stderr)
        return 1
    try:
        _write_files(TOP / _PLACE)
    except BuildFailed as failure:
        print(f"no manifests: {failure}", file=sys.stderr)
        return 1
    for step in steps:
        print(f"\n# {step.says}\n{shlex.join(step.command)}", flush=True)
        if options.dry_run or _is_needless(step):
            continue
        if code := subprocess.run(step.command, cwd=TOP, check=False).returncode:
            print(f"ended with {code}; `kind delete cluster --name {CLUSTER}` removes the cluster", file=sys.stderr)
            return code
    print(_directions())
    return 0


def _missing(steps: Sequence[Step]) -> list[str]:
    return [name for name in dict.fromkeys(step.command[0] for step in steps) if not shutil.which(name)]


def _write_files(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    definitions = [*_objects(GATEWAY_API), *_objects(TRAEFIK)]
    for name, text in files(IMAGE, definitions, _objects(TRAEFIK_ROLES)).items():
        (place / name).write_text(text, "utf-8")


def _objects(definitions: Definitions) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(find_definitions(definitions).read_text("utf-8"))
    return found


def _is_needless(step: Step) -> bool:
    if not step.unless:
        return False
    answer = subprocess.run(step.unless, capture_output=True, text=True, check=False)
    return CLUSTER in answer.stdout.splitlines()


def _directions() -> str:
    return f"""
The gateway is http://127.0.0.1:8000 (node port {GATEWAY_NODE_PORT}), Prometheus http://127.0.0.1:9090 ({PROMETHEUS_NODE_PORT}).
  curl -i -H 'Host: fraud.example' http://127.0.0.1:8000/v1/score
  kubectl --context=kind-{CLUSTER} get mr -A
  kind delete cluster --name {CLUSTER}"""


if __name__ == "__main__":
    sys.exit(main())
