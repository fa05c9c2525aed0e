"""What is given to Argo CD: its health check and its buttons, run by Lua 5.1 as Argo CD does, on every situation."""

from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from tests.gitops.argocd_cm import HOME, KIND, render
from tests.support.situations import Situation, situations

ALL = [pytest.param(one, id=one.name) for one in situations()]
# What Argo CD opens of Lua's libraries is base and table: no string, no math, no os, no io.
CLOSED = ("string", "math", "os", "io", "debug", "coroutine", "require", "dofile", "loadfile", "load", "loadstring")


def run(script: str, obj: dict[str, Any]) -> Any:
    lua = LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    lua.execute('debug.setmetatable("", nil)')
    lua.globals().obj = lua.table_from(obj, recursive=True)
    for library in CLOSED:
        lua.globals()[library] = None
    return plain(lua.execute((HOME / script).read_text("utf-8")))


def plain(value: Any) -> Any:
    if not hasattr(value, "items"):
        return value
    found = {key: plain(item) for key, item in value.items()}
    return list(found.values()) if found and all(isinstance(key, int) for key in found) else found


@pytest.mark.parametrize("situation", ALL)
def test_health_is_what_the_situation_is(situation: Situation):
    assert run("health.lua", situation.obj)["status"] == situation.argo


@pytest.mark.parametrize("situation", ALL)
def test_health_says_why(situation: Situation):
    message = run("health.lua", situation.obj)["message"]

    assert message
    assert situation.argo != "Suspended" or ": " in message


def test_an_object_without_status_is_progressing():
    assert run("health.lua", {"metadata": {"generation": 1}})["status"] == "Progressing"


def named(name: str) -> dict[str, Any]:
    return next(one.obj for one in situations() if one.name == name)


@pytest.mark.parametrize(
    ("situation", "enabled"),
    [
        ("not seen yet", {"hold"}),
        ("in canary", {"rollback", "hold"}),
        ("held by a person", {"rollback", "resume"}),
        ("without metrics", {"rollback", "hold", "resume"}),
        ("promoted", {"rollback", "hold"}),
        ("rolled back", {"hold"}),
    ],
)
def test_buttons_are_those_that_do_something(situation: str, enabled: set[str]):
    actions = run("actions/discovery.lua", named(situation))

    assert {name for name, action in actions.items() if not action["disabled"]} == enabled
    assert actions.keys() == {"rollback", "hold", "resume"}


@pytest.mark.parametrize("action", ["rollback", "hold", "resume"])
@pytest.mark.parametrize("situation", ["not seen yet", "in canary"])
def test_a_button_puts_its_command_into_the_inbox_and_changes_nothing_else(action: str, situation: str):
    obj = named(situation)

    changed = run(f"actions/{action}.lua", obj)

    assert changed["status"].pop("control") == {action: {"reason": "asked for in Argo CD"}}
    assert changed["status"] == plain(LuaRuntime().table_from(obj["status"], recursive=True))
    assert {key: changed[key] for key in ("apiVersion", "kind")} == {key: obj[key] for key in ("apiVersion", "kind")}


def test_a_command_that_waits_in_the_inbox_stays_there():
    obj = named("in canary")
    obj["status"]["control"] = {"rollback": {"reason": "p99"}}

    assert run("actions/hold.lua", obj)["status"]["control"].keys() == {"rollback", "hold"}


def test_the_config_map_holds_the_scripts_as_they_are_tested():
    config = yaml.safe_load(text("argocd-cm.yaml"))["data"]
    actions = yaml.safe_load(config[f"resource.customizations.actions.{KIND}"])

    assert text("argocd-cm.yaml") == render(), (
        "out of date: python -m tests.gitops.argocd_cm > gitops/argocd/argocd-cm.yaml"
    )
    assert config[f"resource.customizations.health.{KIND}"] == text("health.lua")
    assert actions["discovery.lua"] == text("actions/discovery.lua")
    assert {one["name"]: one["action.lua"] for one in actions["definitions"]} == {
        name: text(f"actions/{name}.lua") for name in ("rollback", "hold", "resume")
    }


def text(script: str) -> str:
    return (HOME / script).read_text("utf-8")
