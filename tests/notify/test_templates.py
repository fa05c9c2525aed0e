"""What people read."""

from modelrollout.core.notices import Transition
from modelrollout.notify.templates import NAMES, TEXT, TITLE, checked_template, fill_in, values_of

from tests.notify.builders import notice_of_a_hold, notice_of_a_rollback

ROLLING_BACK = """\
version v2 (digest {digest}, record fraud-u1-g1-1): GateFailed: gate errors: 120 of 4000 requests failed (3%), allowed is 1%
Traffic: all requests go back to v1.
Gate errors: 3%, allowed 1%, 4000 requests.
Owner: risk-ml (#risk-oncall)
Runbook: https://runbooks/fraud
Next: kubectl modelrollout explain fraud -n models
or: kubectl describe mr fraud -n models
Record: fraud-u1-g1-1"""


def test_a_rollback_reads_like_this():
    values = values_of(notice_of_a_rollback(), "")

    assert fill_in(TITLE, values) == "fraud: v2 is being rolled back (models)"
    assert fill_in(TEXT, values) == ROLLING_BACK.format(digest=values["digest"])


def test_a_hold_names_who_asked_and_the_command_to_go_on():
    text = fill_in(TEXT, values_of(notice_of_a_hold(), ""))

    assert "Asked for by kim" in text
    assert 'Next: kubectl modelrollout resume fraud -n models --reason "WHY"' in text
    assert """--type=merge -p '{"status":{"control":{"resume":{"reason":"WHY"}}}}'""" in text


def test_a_line_that_names_what_is_not_known_is_left_out():
    text = fill_in("$model\nRunbook: $runbook\n$$5", values_of(notice_of_a_rollback(owner=None), ""))

    assert text == "fraud\n$5"


def test_every_name_has_a_value_in_some_message_and_every_transition_a_headline():
    assert set(values_of(notice_of_a_rollback(), "")) == NAMES
    for transition in Transition:
        assert "$" not in values_of(notice_of_a_rollback(transition=transition), "")["headline"]


def test_the_templates_of_our_own_are_fit_to_use():
    assert checked_template(TITLE) == TITLE
    assert checked_template(TEXT) == TEXT
