"""`lint` refuses what the real API server refuses, in the same words: the table of refusals is the judge of both."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelrollout.api.crd import custom_resource_definition
from modelrollout.cli.cel import Failed, Unsupported, evaluate, parse
from modelrollout.cli.linting import Finding, lint
from modelrollout.cli.manifests import Manifest

from tests.api.manifests import changed, good
from tests.api.refusals import ON_CREATE, Refusal
from tests.cli.stage import call, said_by

TOP = Path(__file__).parents[2]


def linted(manifest: dict[str, Any]) -> list[Finding]:
    return lint(Manifest("rollout.yaml", manifest))


@pytest.mark.parametrize("row", ON_CREATE, ids=lambda row: row.case)
def test_what_the_api_server_refuses_is_refused_in_its_words(row: Refusal):
    findings = linted(changed(good(), row.changes))

    said = [f"{one.field}: {one.message}" for one in findings if one.severity == "error"]
    assert any(row.sentence in one for one in said), said


def test_a_good_manifest_is_nothing_to_complain_of():
    assert linted(good()) == []


@pytest.mark.parametrize("file", sorted((TOP / "examples").glob("*.yaml")), ids=lambda file: file.name)
def test_every_example_is_fine(file: Path):
    said_by(call("lint", "-f", file))


def rules_of(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [rule for one in schema for rule in rules_of(one)]
    if not isinstance(schema, dict):
        return []
    own = [one["rule"] for one in schema.get("x-kubernetes-validations", ()) if isinstance(one, dict)]
    return own + [rule for one in schema.values() for rule in rules_of(one)]


def test_every_rule_of_the_crd_is_understood():
    rules = {rule for rule in rules_of(custom_resource_definition()) if "oldSelf" not in rule}

    assert len(rules) > 25
    for rule in rules:
        parse(rule)


@pytest.mark.parametrize(
    ("rule", "value", "holds"),
    [
        ("self.a == 1 && self.b == 'x'", {"a": 1, "b": "x"}, True),
        ("has(self.a) ? self.a > 2 : true", {}, True),
        ("has(self.a.b) || has(self.c)", {"a": {}, "c": 0}, True),
        ("self.all(x, x < 3)", [1, 2, 3], False),
        ("self.exists_one(x, x == 1)", [1, 1], False),
        ("self.filter(x, x > 1).map(x, x * 2).sum() == 10", [1, 2, 3], True),
        ("[3, 1].isSorted()", None, False),
        ("self.matches('^a[$]$')", "a$\n", False),
        ("self.matches('b')", "abc", True),
        ("type(self) == int", True, False),
        ("self != 1", True, True),
        ("duration(self) < duration('1h30m')", "89m", True),
        ("self.broken > 1 || true", {}, True),
        ("!(self.broken > 1 && false)", {}, True),
        ("1 + 2 * 3 - 4 == 3 && -self < 0 && 7 % 4 == 3", 1, True),
        ('self in ["a", "b"] && self[0:].size() > 0 || true', "a", None),
        ("self[1] == 'b' && self.size() == 2", ["a", "b"], True),
    ],
)  # fmt: skip
def test_rules_mean_what_the_api_server_takes_them_for(rule: str, value: Any, holds: bool | None):
    if holds is None:
        with pytest.raises(Unsupported):
            evaluate(rule, value)
    else:
        assert evaluate(rule, value) is holds


@pytest.mark.parametrize("rule", ["self.a", "self.a > 1", "self && true", "double(self.b) > 0.0", "self.b[3] == 1"])
def test_a_rule_that_fails_on_a_value_is_a_refusal(rule: str):
    with pytest.raises(Failed):
        evaluate(rule, {"a": "text", "b": []})


@pytest.mark.parametrize("rule", ["self.what()", "quantity(self) > 1", "self ?", "x == 1", "a(1, 2)", "self @ 1"])
def test_a_rule_in_more_than_is_known_is_said_to_be_unchecked(rule: str):
    with pytest.raises(Unsupported):
        evaluate(rule, {})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"spec.gates": [{"name": "errors", "errorRate": {"max": "1%"}, "dryRun": True}]},
            "in stage shadow no gate could stop a bad version",
        ),
        ({"spec.analysis.interval": "1s"}, "this operator looks every 10s at most"),
        (
            {"apiVersion": "modelrollout.dev/v1"},
            "apiVersion: is 'modelrollout.dev/v1': write modelrollout.dev/v1alpha1",
        ),
        ({"spec.gates.2.value.query": "sum("}, "gate approvals: value.query: is no PromQL"),
        (
            {
                "spec.metrics": {
                    "preset": "custom",
                    "custom": {"requests": {"metric": "r"}, "versionLabel": {"name": "service"}},
                }
            },
            "gate errors needs a counter of errors",
        ),
    ],
    ids=[
        "gates that never act",
        "an interval of a second",
        "another version",
        "a query with an open parenthesis",
        "a metric that a gate needs",
    ],
)
def test_what_only_the_operator_would_say_is_said(changes: dict[str, Any], sentence: str):
    findings = linted(changed(good(), changes))

    assert any(sentence in f"{one.field}: {one.message}" for one in findings), findings


def test_all_documents_of_all_files_are_checked_and_other_kinds_passed_over(tmp_path: Path):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}
    listed = {"kind": "List", "items": [good("one"), changed(good("two"), {"spec.owner": {}})]}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([service, listed]))
    (tmp_path / "b.json").write_text(json.dumps(changed(good("three"), {"spec.risk": "none"})))
    (tmp_path / "notes.txt").write_text("not looked at")

    found = json.loads(said_by(call("lint", "-f", tmp_path, "-o", "json"), 1))

    assert [(one["name"], one["field"], one["severity"]) for one in found] == [
        ("two", "spec.owner.team", "error"),
        ("three", "spec.risk", "error"),
    ]


def test_standard_input_is_a_file():
    said = said_by(call("lint", "-f", "-", input=yaml.safe_dump(good())))

    assert said == "fraud-scorer: nothing to complain of\n"


def test_a_warning_is_no_error_unless_one_wants_it_to_be():
    first = yaml.safe_dump(changed(good(), {"spec.baseline": None}))

    assert "warning: spec.baseline" in said_by(call("lint", "-f", "-", input=first))
    said_by(call("lint", "--strict", "-f", "-", input=first), 1)


@pytest.mark.parametrize("content", ["a: [", "kind: Service", "", "\x00", "- 1"])
def test_what_is_no_manifest_is_said(tmp_path: Path, content: str):
    file = tmp_path / "x.yaml"
    file.write_text(content)

    result = call("lint", "-f", file)

    said_by(result, 3)
    assert "x.yaml" in result.stderr
