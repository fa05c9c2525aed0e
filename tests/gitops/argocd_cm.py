"""gitops/argocd/argocd-cm.yaml, made of the Lua files beside it. `python -m tests.gitops.argocd_cm` prints it."""

import textwrap
from pathlib import Path

TOP = Path(__file__).parents[2]
HOME = TOP / "gitops" / "argocd"
KIND = "modelrollout.dev_ModelRollout"
ACTIONS = ("rollback", "hold", "resume")
HEAD = """\
# Health and buttons of ModelRollouts for Argo CD, to be merged into the ConfigMap that it has:
#   kubectl -n argocd patch configmap argocd-cm --type=merge --patch-file gitops/argocd/argocd-cm.yaml
# Made of the Lua files beside it: edit those.
data:
"""


def render() -> str:
    """Return the text of argocd-cm.yaml."""
    actions = ["discovery.lua: |", _indented("actions/discovery.lua"), "definitions:"]
    for name in ACTIONS:
        actions += [f"- name: {name}", "  action.lua: |", textwrap.indent(_indented(f"actions/{name}.lua"), "  ")]
    return (
        f"{HEAD}  resource.customizations.health.{KIND}: |\n{textwrap.indent(_indented('health.lua'), '  ')}\n"
        f"  resource.customizations.actions.{KIND}: |\n{textwrap.indent(chr(10).join(actions), '    ')}\n"
    )


def _indented(script: str) -> str:
    return textwrap.indent((HOME / script).read_text("utf-8").rstrip("\n"), "  ")


if __name__ == "__main__":
    print(render(), end="")
