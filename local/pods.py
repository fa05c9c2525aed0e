"""What a kubelet would give a container, for one that is started as a process: its variables, and the files behind them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def environment_of(pod: dict[str, Any], objects: Iterable[dict[str, Any]], place: Path) -> dict[str, str]:
    """Return the variables of a pod's only container.

    Files of ConfigMaps that it mounts are written below `place`, where the variables then say they are.
    """
    (container,) = pod["containers"]
    variables = {one["name"]: one["value"] for one in container.get("env", [])}
    maps = {one["metadata"]["name"]: one.get("data", {}) for one in objects if one["kind"] == "ConfigMap"}
    mounts = {one["name"]: one["mountPath"] for one in container.get("volumeMounts", [])}
    for volume in pod.get("volumes", []):
        if "configMap" not in volume:
            continue
        path, files = mounts[volume["name"]], place / volume["name"]
        files.mkdir(parents=True, exist_ok=True)
        for name, text in maps[volume["configMap"]["name"]].items():
            (files / name).write_text(text, "utf-8")
        variables = {
            name: f"{files}{value.removeprefix(path)}" if value.startswith(f"{path}/") else value
            for name, value in variables.items()
        }
    return variables
