"""What the acts are played with: people's commands, and the parts they act on."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cluster import LocalCluster
from local.demo.installed import Installed
from local.demo.manifest import NAME, NAMESPACE, TO_LEAF, changed_lines, track, users_route
from local.demo.screen import Screen
from local.demo.watch import Watch


@dataclass
class Stage:
    """One rollout, its manifest as it was applied last, and the people who use it."""

    cluster: LocalCluster
    screen: Screen
    watch: Watch
    operator: Installed
    manifest: str = ""

    @property
    def file(self) -> Path:
        """Where the manifest lies, beside the logs."""
        return self.cluster.logs / f"{NAME}.yaml"

    def apply(self, manifest: str, title: str) -> None:
        """Show a manifest, or what has changed in it, and apply it as a team does."""
        changes = changed_lines(self.manifest, manifest) if self.manifest else [manifest]
        self.screen.yaml("\n".join(changes))
        self.manifest = manifest
        self.file.write_text(manifest)
        said = self.cluster.kubectl("apply", "-f", str(self.file))
        self.screen.command(f"kubectl apply -f {self.file.name}", said)
        self.watch.announce(title, track(manifest))

    def point_to_leaf(self) -> None:
        """Point the team's route to the object that the operator keeps the shares in."""
        self.cluster.apply(users_route(self.cluster.traefik.parent_ref, TO_LEAF))

    def ask(self, message: dict[str, Any], *, on_call: bool) -> None:
        """Put a message into the rollout's inbox by the command that a person types."""
        patch = json.dumps({"status": {"control": message}}, separators=(",", ":"))
        self.kubectl("patch", "mr", NAME, "--subresource=status", "--type=merge", "-p", patch, on_call=on_call)

    def kubectl(self, *arguments: str, on_call: bool = False, check: bool = True) -> str:
        """Show a command and its answer, in the rollouts' namespace; with no more rights than on call has, if asked."""
        rights = self.operator.on_call if on_call else None
        command = [*arguments, "-n", NAMESPACE]
        said = self.cluster.kubectl(*command, kubeconfig=rights, check=check)
        self.screen.command(shlex.join(["kubectl", *command]), said)
        return said
