"""What requests do: counts of bad ones, by run and look. Every array has one row a run and one column a look."""

import numpy as np
from numpy.typing import NDArray

Counted = NDArray[np.int64]

LOOKS = 120
SECONDS = 30
"""Between two looks: 120 of them are an hour."""


def generator(*seed: int) -> np.random.Generator:
    """Return random numbers that are the same at each run, and independent for each seed."""
    return np.random.default_rng(seed)


def arriving(random: np.random.Generator, runs: int, per_look: float) -> Counted:
    """Return requests at each look: they come when they come."""
    found: Counted = random.poisson(per_look, size=(runs, LOOKS))
    return found


def steady(runs: int, per_look: int) -> Counted:
    """Return requests at each look: the same at each."""
    return np.full((runs, LOOKS), per_look, dtype=np.int64)


def independent(random: np.random.Generator, requests: Counted, share: float | NDArray[np.float64]) -> Counted:
    """Return bad ones among requests, each with the same probability; `share` may be a row of looks."""
    found: Counted = random.binomial(requests, share)
    return found


def bursts(random: np.random.Generator, shape: tuple[int, int], per_look: int, share: float, length: float) -> Counted:
    """Return bad requests that come several at a time: `length` on average, geometric.

    Their variance is 2 * length - 1 times that of independent ones.
    """
    begun = random.poisson(per_look * share / length, size=shape)
    more = random.negative_binomial(np.maximum(begun, 1), 1 / length) * (begun > 0) if length > 1 else 0
    found: Counted = np.minimum(begun + more, per_look)
    return found


def so_far(bad: Counted) -> Counted:
    """Return what has been counted from the first look to each."""
    found: Counted = bad.cumsum(axis=1)
    return found


def last(counts: Counted, looks: int) -> Counted:
    """Return what a window of so many looks holds at each; in the beginning it is shorter."""
    total = so_far(counts)
    before = np.concatenate([np.zeros((len(counts), looks), dtype=np.int64), total[:, :-looks]], axis=1)
    found: Counted = total - before
    return found
