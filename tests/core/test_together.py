"""Gates made of gates: three-valued, and as sure as one gate would be."""

import itertools
import math
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrollout.api.gates import FailsWhen, Gate
from modelrollout.api.options import GateEffect
from modelrollout.api.rollout import ModelRolloutSpec
from modelrollout.api.status import Cause, GateStatus, Verdict
from modelrollout.core.bench import Bench
from modelrollout.core.evidence import Counted, Measured, NoData, Unknown
from modelrollout.core.flaws import flaw_of
from modelrollout.core.gates import is_lost
from modelrollout.core.looking import judge_all, questions
from modelrollout.core.panel import panel_of
from modelrollout.core.plan import plan_of
from modelrollout.core.stats import Counts
from modelrollout.core.together import judge_together
from modelrollout.core.verbs import Go, RollBack, Wait

from tests.core.builders import NOW, decided, gate, looked, running, spec

F, P, U = Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN
A = {"name": "a", "errorRate": {"max": "2%"}}
B = {"name": "b", "errorRate": {"max": "2%", "maxIncrease": "25%"}}
SCORE = {"name": "score", "value": {"query": "q", "max": "1"}}
BENCH = Bench(min_requests=100, limits=1, warming_until=None, earlier=(), stored=None, now=NOW)


def all_of(*names: str, **options: Any) -> dict[str, Any]:
    return {"name": "both", "failsWhen": {"all": list(names)}, **options}


def any_of(*names: str, **options: Any) -> dict[str, Any]:
    return {"name": "both", "failsWhen": {"any": list(names)}, **options}


def verdict_of(made: dict[str, Any], *verdicts: Verdict) -> Verdict:
    parsed = Gate.model_validate(made)
    assert isinstance(parsed.kind, FailsWhen)
    parts = {name: gate(verdict, "SoItIs", name) for name, verdict in zip("abc", verdicts, strict=False)}
    return judge_together(parsed, parsed.kind, parts, BENCH).verdict


class TestLogic:
    @pytest.mark.parametrize(
        ("one", "other", "when_all", "when_any"),
        [
            (F, F, F, F),
            (F, U, U, F),
            (F, P, P, F),
            (U, U, U, U),
            (U, P, P, U),
            (P, P, P, P),
        ],
    )
    def test_what_is_not_known_matters_only_where_it_may(self, one, other, when_all, when_any):
        for first, second in ((one, other), (other, one)):
            assert verdict_of(all_of("a", "b"), first, second) is when_all
            assert verdict_of(any_of("a", "b"), first, second) is when_any

    def test_to_know_more_never_turns_a_verdict_round(self):
        for made in (all_of("a", "b", "c"), any_of("a", "b", "c")):
            for verdicts in itertools.product((F, P, U), repeat=3):
                before = verdict_of(made, *verdicts)
                for known in itertools.product((F, P), repeat=3):
                    settled = [k if v is U else v for v, k in zip(verdicts, known, strict=True)]
                    assert before is U or verdict_of(made, *settled) is before

    def test_what_somebody_has_to_look_at_is_said_before_what_takes_time(self):
        parsed = Gate.model_validate(all_of("a", "b"))
        parts = {"a": gate(U, "NeedEvidence", "a"), "b": gate(U, "Unreachable", "b")}

        status = judge_together(parsed, FailsWhen(all_of=["a", "b"]), parts, BENCH)

        assert status.reason == "Unreachable"
        assert status.message.startswith("b does not know")
        assert is_lost(status)
        assert status.unknown_since == NOW


class TestLimits:
    def limits(self, *gates: dict[str, Any]) -> int:
        return panel_of([Gate.model_validate(one) for one in gates]).limits

    def test_all_cost_what_the_dearest_part_does_and_any_what_all_do(self):
        assert self.limits(A, B) == 3
        assert self.limits(A, B, all_of("a", "b")) == 2
        assert self.limits(A, B, any_of("a", "b")) == 3
        assert self.limits(A, B, SCORE, all_of("a", "score")) == 3

    def test_a_gate_of_gates_that_only_warns_costs_nothing(self):
        assert self.limits(A, B, SCORE, all_of("a", "b", severity="warning")) == 1

    def test_each_of_several_parts_that_may_let_it_pass_has_to_be_that_much_surer(self):
        assert panel_of([Gate.model_validate(one) for one in (A, B, all_of("a", "b"))]).ways == {"a": 2, "b": 2}
        assert panel_of([Gate.model_validate(one) for one in (A, B, any_of("a", "b"))]).ways == {}

    @pytest.mark.parametrize(("made", "passes"), [(any_of("a", "c"), True), (all_of("a", "c"), False)])
    def test_evidence_that_is_just_enough_for_one_is_not_for_one_of_two(self, made, passes):
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=[A, {**A, "name": "c"}, made])
        just_enough = Counted(Counts(1000, 8), None)

        verdicts = {one.name: one.verdict for one in judge_all(rollout, {"a": just_enough, "c": just_enough}, NOW)}

        assert (verdicts["a"] is P) is passes
        assert (verdicts["both"] is P) is passes

    def test_a_bad_version_passes_no_more_often_by_two_parts_than_by_one(self):
        """Both parts are exactly at their limit, looked at 60 times: alone either may pass in one of 20 runs."""
        random_numbers = random.Random(7)
        rollout = running("canary", 0, applied=timedelta(hours=9), gates=[A, {**A, "name": "c"}, all_of("a", "c")])
        runs, passed, failed = 150, 0, 0
        for _ in range(runs):
            bad = {"a": 0, "c": 0}
            seen = set()
            for look in range(1, 61):
                for name in bad:
                    bad[name] += sum(random_numbers.random() < 0.02 for _ in range(50))
                answers = {name: Counted(Counts(50 * look, count), None) for name, count in bad.items()}
                seen |= {one.verdict for one in judge_all(rollout, answers, NOW) if one.name == "both"}
            passed, failed = passed + (P in seen), failed + (F in seen)

        # At most 5 % and 1 % each; three standard errors above them.
        assert passed <= runs * 0.05 + 3 * math.sqrt(runs * 0.05)
        assert failed <= runs * 0.01 + 3 * math.sqrt(runs * 0.01)


class TestParts:
    def judged(self, one: Counted | NoData, other: Counted | NoData, made: dict[str, Any]) -> dict[str, GateStatus]:
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=[made, A, {**A, "name": "c"}])
        return {status.name: status for status in judge_all(rollout, {"a": one, "c": other}, NOW)}

    def test_they_are_judged_and_only_join(self):
        bad, good = Counted(Counts(1000, 60), None), Counted(Counts(1000, 0), None)

        found = self.judged(bad, good, all_of("a", "c"))

        assert (found["a"].verdict, found["a"].effect) == (F, GateEffect.JOINS)
        assert (found["both"].verdict, found["both"].effect, found["both"].reason) == (P, None, "PartsPass")

    @pytest.mark.parametrize("reason", ["AboveLimit", "Catastrophe", "CountsShrank", "Unreachable"])
    def test_a_part_does_nothing_by_itself(self, reason):
        rollout = running("canary", 0, applied=timedelta(minutes=10))
        verdict = F if reason in {"AboveLimit", "Catastrophe"} else U
        part = gate(verdict, reason, "a").model_copy(update={"effect": GateEffect.JOINS})

        decision = decided(rollout, looked(rollout, part, gate(P, "PartsPass", "both")))

        assert isinstance(decision.verb, Go)
        assert decision.verb.cause is Cause.GATES_PASSED
        assert isinstance(decided(rollout, looked(rollout, part)).verb, Wait)

    def test_the_failure_of_all_is_one_failure_and_names_each(self):
        bad = Counted(Counts(1000, 60), None)
        found = self.judged(bad, bad, all_of("a", "c"))
        rollout = running("canary", 0, gates=[all_of("a", "c"), A, {**A, "name": "c"}])

        decision = decided(rollout, looked(rollout, *found.values()))

        assert isinstance(decision.verb, RollBack)
        assert "a fails: 60 of 1000" in decision.verb.message
        assert "c fails: 60 of 1000" in decision.verb.message

    def test_nothing_is_asked_for_the_gate_that_they_make_up(self):
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=[all_of("a", "c"), A, {**A, "name": "c"}])

        assert set(questions(rollout, "TraefikService", "fraud", NOW)) == {"a", "c"}

    @given(st.sampled_from([Measured(0.0), Measured(2.0), NoData(Unknown.NO_DATA, "none")]), st.booleans())
    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    def test_a_value_can_be_a_part(self, answer, in_all):
        made = all_of("a", "score") if in_all else any_of("a", "score")
        rollout = running("canary", 0, applied=timedelta(hours=1), gates=[A, SCORE, made])
        answers = {"a": Counted(Counts(1000, 0), None), "score": answer}

        found = {one.name: one.verdict for one in judge_all(rollout, answers, NOW)}

        assert found["both"] is (P if in_all else found["score"])


class TestFlaws:
    @pytest.mark.parametrize(
        ("gates", "sentence"),
        [
            pytest.param([A, all_of("a", "x")], "fails when x does, which is not judged in stage shadow", id="absent"),
            pytest.param(
                [A, {**B, "stages": ["shadow", "full"]}, all_of("a", "b")],
                "which is not judged in stage canary: name gates of that stage",
                id="in other stages",
            ),
            pytest.param([A, B, any_of("a", "b"), {**any_of("a", "both"), "name": "c"}], "has failsWhen itself", id="nested"),
            pytest.param([A, {**B, "severity": "safety"}, all_of("a", "b")], "remove the severity of b", id="severity"),
            pytest.param([A, {**B, "onFail": "Hold", "dryRun": True}, all_of("a", "b")], "onFail and dryRun", id="two"),
            pytest.param([A, B, all_of("a", "b", dryRun=True)], "no gate could stop a bad version", id="none acts"),
        ],
    )  # fmt: skip
    def test_parts_that_do_not_fit_are_named_with_the_remedy(self, gates, sentence):
        found = ModelRolloutSpec.model_validate(spec(gates=gates))

        flaw = flaw_of(found, plan_of(found, has_baseline=True))

        assert flaw
        assert flaw.reason == "BadGates"
        assert sentence in flaw.message
