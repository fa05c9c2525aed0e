"""Shares as integer weights, exactly, both ways."""

from modelrollout.api.fields import NONE, Percent
from modelrollout.core.traffic import Shares
from modelrollout.routing.weights import candidate_share, percent_of, weights_of


def test_every_share_survives_the_way_to_weights_and_back() -> None:
    for hundredths in range(10_001):
        share = Percent(hundredths)

        baseline, candidate = weights_of(Shares(share, NONE))

        assert baseline + candidate == (100 if share.is_whole else 10_000)
        assert candidate_share([(False, baseline), (True, candidate)]) == share


def test_a_share_between_two_hundredths_is_the_nearest_one() -> None:
    assert percent_of(1, 3) == Percent(3_333)
    assert percent_of(2, 3) == Percent(6_667)


def test_a_live_share_is_never_called_none_nor_all() -> None:
    assert percent_of(1, 1_000_000) == Percent(1)
    assert percent_of(999_999, 1_000_000) == Percent(9_999)


def test_weights_that_are_all_zero_are_no_share() -> None:
    assert candidate_share([(False, 0), (True, 0)]) is None
    assert candidate_share([]) is None
