"""The CustomResourceDefinitions of ModelRollout and ModelRolloutRecord, made from their models.

`python -m modelrollout.api.crd` prints it; `--write` renews the committed copies, `--check` compares them.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from modelrollout.api.fields import rules
from modelrollout.api.record import STATUS_STAYS_RULE, RecordSpec, RecordStatus
from modelrollout.api.rollout import NAME_RULE, ModelRolloutSpec
from modelrollout.api.status import ModelRolloutStatus
from modelrollout.api.structural import Schema, structural_schema

GROUP = "modelrollout.dev"
VERSION = "v1alpha1"
KIND = "ModelRollout"
PLURAL = "modelrollouts"
RECORD_KIND = "ModelRolloutRecord"
RECORD_PLURAL = "modelrolloutrecords"
FOLDERS = (Path("crds"), Path("charts/modelrollout/crds"))
COPIES = tuple(folder / f"{GROUP}_{PLURAL}.yaml" for folder in FOLDERS)

_DESCRIPTION = (
    "Moves traffic from the version of a model that serves today to the one that should, in stages judged by gates,"
    " and back in one write."
)
_RECORD_DESCRIPTION = (
    "Tells of one attempt of a ModelRollout: which version had which share from when to when, why, and by whom. What"
    " was written once stays as it is, also when the rollout is gone."
)


def custom_resource_definition() -> dict[str, Any]:
    """Return the CRD as JSON."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["mr"],
                # Beside the Services and Deployments that it works with: on call looks there first.
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema()},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                }
            ],
        },
    }


def record_definition() -> dict[str, Any]:
    """Return the CRD of the records as JSON."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{RECORD_PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": RECORD_KIND,
                "listKind": f"{RECORD_KIND}List",
                "plural": RECORD_PLURAL,
                "singular": RECORD_KIND.lower(),
                "shortNames": ["mrr"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _record_schema()},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _record_columns(),
                }
            ],
        },
    }


def render_crd(definition: dict[str, Any] | None = None) -> str:
    """Return a CRD as the YAML that is committed; needs PyYAML, which the operator itself does not."""
    import yaml  # noqa: PLC0415  # a tool of this repository, not of the operator

    body = definition or custom_resource_definition()
    text: str = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)
    return f"# Made by `python -m modelrollout.api.crd --write`: edit the models, not this file.\n{text}"


def renew(pages: dict[Path, str], *, only_check: bool) -> list[Path]:
    """Return the files below the current directory that differ from `pages`; write them unless `only_check`."""
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in () if only_check else stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], "utf-8")
    return stale


def run(pages: dict[Path, str], name: str) -> int:
    """Return the exit code of a generator of committed files: print, `--write` or `--check` them."""
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description="Run it at the top of the repository.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--write", action="store_true", help="renew the committed files")
    how.add_argument("--check", action="store_true", help="fail when a committed file is out of date")
    given = parser.parse_args()
    if not given.write and not given.check:
        sys.stdout.write(next(iter(pages.values())))
        return 0
    stale = renew(pages, only_check=given.check)
    if given.check and stale:
        listed = ", ".join(map(str, stale))
        sys.stderr.write(f"out of date: {listed}: run `python -m {name} --write`\n")
        return 1
    return 0


def _schema() -> Schema:
    status = structural_schema(ModelRolloutStatus)
    # Without it an object that nobody has looked at counts as done (kstatus: no status, no complaint), and an
    # on-call patch of status.control has nothing to merge into.
    status["default"] = {"observedGeneration": -1}
    return _object_schema(KIND, _DESCRIPTION, structural_schema(ModelRolloutSpec), status, NAME_RULE)


def _record_schema() -> Schema:
    status = structural_schema(RecordStatus)
    # A segment is added to the end of a list, which has to be there.
    status["default"] = {"segments": []}
    return _object_schema(RECORD_KIND, _RECORD_DESCRIPTION, structural_schema(RecordSpec), status, STATUS_STAYS_RULE)


def _object_schema(kind: str, description: str, spec: Schema, status: Schema, rule: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{kind}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        **rules(rule),
    }


def _record_columns() -> list[dict[str, Any]]:
    usual = {
        "Rollout": ".spec.rollout.name",
        "Attempt": ".spec.attempt",
        "Baseline": ".spec.baseline.version",
        "Candidate": ".spec.candidate.version",
        "Outcome": ".status.outcome",
    }
    wide = {"Trigger": ".spec.trigger.cause", "Owner": ".spec.owner.team", "Part": ".spec.part"}
    numbers = {"Attempt", "Part"}

    def column(name: str, path: str) -> dict[str, Any]:
        return {"name": name, "type": "integer" if name in numbers else "string", "jsonPath": path}

    return [
        *(column(name, path) for name, path in usual.items()),
        *({**column(name, path), "priority": 1} for name, path in wide.items()),
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def committed_pages() -> dict[Path, str]:
    """Return what the committed files have to hold."""
    texts = {PLURAL: render_crd(), RECORD_PLURAL: render_crd(record_definition())}
    return {folder / f"{GROUP}_{plural}.yaml": text for plural, text in texts.items() for folder in FOLDERS}


def _columns() -> list[dict[str, Any]]:
    ready = ".status.conditions[?(@.type=='Ready')]"
    held = ".status.conditions[?(@.type=='Held')]"
    usual = {
        "Phase": ".status.phase",
        "Serving": ".status.serving.version",
        "Candidate": ".spec.candidate.version",
        "Weight": ".status.weight",
        "Gates": ".status.gates",
    }
    wide = {
        "Stage": ".status.attempt.stage",
        "Reason": f"{ready}.reason",
        "Held": f"{held}.reason",
        "Risk": ".spec.risk",
        "Owner": ".spec.owner.team",
    }
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return [
        *({"name": name, "type": "string", "jsonPath": path} for name, path in usual.items()),
        *({"name": name, "type": "string", "jsonPath": path, "priority": 1} for name, path in wide.items()),
        age,
    ]


if __name__ == "__main__":
    sys.exit(run(committed_pages(), "modelrollout.api.crd"))
