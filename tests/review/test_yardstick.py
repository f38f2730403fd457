"""The skip that is as hard: monotone, as many, with an interval that holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples

from hfneg.errors import InputError
from hfneg.review.yardstick import BesideSkips, Pairs, beside_skips


def lists(anchors: int, length: int, seed: int, noise: float = 0.02) -> Pairs:
    """Ranked lists in which relevance and hardness fall with the rank."""
    draw = np.random.default_rng(seed)
    ranks = np.tile(np.arange(length), anchors)
    owners = np.repeat(np.arange(anchors), length)
    relevance = (draw.random(len(ranks)) < 0.5 * np.exp(-ranks / 15)).astype(np.float64)
    return Pairs(owners, relevance, 0.1 - 0.02 * np.log1p(ranks) + noise * draw.standard_normal(len(ranks)))


def some(pairs: Pairs, mask: np.ndarray) -> Pairs:
    return Pairs(pairs.owners[mask], pairs.relevance[mask], pairs.hardness[mask])


def place(pairs: Pairs, length: int) -> np.ndarray:
    return np.tile(np.arange(length), int(pairs.owners.max()) + 1)


@examples(40)
@given(st.integers(0, 40), st.integers(0, 10**6), st.integers(1, 7))
def test_a_skip_beside_the_skips_is_itself(skip: int, seed: int, n: int) -> None:
    """Without noise in hardness a skip's ratio is 1 (as its own point, or between two), and the interval holds 1."""
    ranked = lists(60, 100, seed, noise=0.0)
    at = place(ranked, 100)
    taken = some(ranked, (at >= skip) & (at < skip + n))
    found = beside_skips(taken, ranked, 60, skips=range(90))
    assert found.place == "inside"
    assert found.low <= 1 <= found.high or found.skip_rate == 0
    rates = [point.rate for point in found.curve]
    hards = [point.hardness for point in found.curve]
    assert rates == sorted(rates, reverse=True)
    assert hards == sorted(hards, reverse=True)


def test_against_the_sums_by_hand() -> None:
    """Two anchors, lists of four, one negative each: rates and hardness of the skips as counted, linear between."""
    ranked = Pairs(
        np.repeat([0, 1], 4),
        np.array([1.0, 1, 0, 0, 1, 0, 0, 0]),
        np.array([0.0, 0, 0.2, 0.0, 0, 0.4, 0.2, 0.0]),
    )
    taken = Pairs(np.array([0, 1]), np.array([1.0, 0.0]), np.array([0.0, 0.3]))
    found = beside_skips(taken, ranked, 2, skips=(1, 2, 3))
    assert [(point.skip, point.rate, round(point.hardness, 9)) for point in found.curve] == [
        (1, 0.5, 0.4),
        (2, 0.0, 0.2),
        (3, 0.0, 0.0),
    ]
    assert found.rate == 0.5
    assert found.hardness == pytest.approx(0.3)
    assert found.skip == pytest.approx(1.5)
    assert found.skip_rate == pytest.approx(0.25)
    assert found.ratio == pytest.approx(2.0)


def test_what_is_purer_at_equal_hardness_says_so() -> None:
    """Half of the relevant ones taken out of the top: .5 r / (1 - .5 r) for r; all of them: 0, and no width of 0."""
    ranked = lists(300, 100, 3)
    at, draw = place(ranked, 100), np.random.default_rng(5)
    for share, expected in ((0.5, 0.64), (1.0, 0.0)):
        top = at < 5
        dropped = top & (ranked.relevance == 1) & (draw.random(len(at)) < share)
        found = beside_skips(some(ranked, top & ~dropped), ranked, 300)
        assert found.ratio == pytest.approx(expected, abs=0.12)
        assert found.low <= found.ratio <= found.high < 0.9
        assert found.high > 0


def test_the_count_is_equal() -> None:
    """An anchor with two negatives is compared with two of its list, one with none with none."""
    ranked = lists(3, 50, 1, noise=0.0)
    taken = Pairs(np.array([0, 0, 2]), np.zeros(3), np.array([0.05, 0.04, 0.05]))
    found = beside_skips(taken, ranked, 3, skips=(0,))
    at = place(ranked, 50)
    own = ((ranked.owners == 0) & (at < 2)) | ((ranked.owners == 2) & (at < 1))
    assert found.curve[0].rate == pytest.approx(ranked.relevance[own].mean())


def test_harder_and_easier_than_any_skip() -> None:
    """Said, and compared with the nearest."""
    ranked = lists(50, 60, 2, noise=0.0)
    one = np.arange(50)
    harder = beside_skips(Pairs(one, np.zeros(50), np.full(50, 0.5)), ranked, 50)
    assert (harder.place, harder.skip) == ("harder than any skip", 0)
    easier = beside_skips(Pairs(one, np.zeros(50), np.full(50, -0.5)), ranked, 50)
    assert (easier.place, easier.skip) == ("easier than any skip", 50)
    assert "easier than any skip" in easier.in_words
    assert "which is as hard" in beside_skips(some(ranked, place(ranked, 60) == 3), ranked, 50).in_words


def test_components_count_once() -> None:
    """Anchors of one component are one: the interval is wider."""
    ranked = lists(120, 60, 4)
    taken = some(ranked, place(ranked, 60) < 3)
    alone = beside_skips(taken, ranked, 120)
    together = beside_skips(taken, ranked, 120, labels=np.arange(120) // 20)
    assert together.high - together.low > alone.high - alone.low
    assert together.ratio == alone.ratio


def test_the_interval_holds() -> None:
    """Of 60 samples of 80 anchors at least 54 hold what 4,000 anchors have."""

    def measured(anchors: int, seed: int) -> BesideSkips:
        ranked, draw = lists(anchors, 60, seed), np.random.default_rng(seed)
        at = place(ranked, 60)
        kept = (at < 5) & ~((ranked.relevance == 1) & (draw.random(len(at)) < 0.4))
        return beside_skips(some(ranked, kept), ranked, anchors)

    truth = measured(4_000, 0)
    assert truth.high - truth.low < 0.1
    assert sum(found.low <= truth.ratio <= found.high for found in (measured(80, seed) for seed in range(1, 61))) >= 54


def test_refused() -> None:
    """Nothing taken, nothing true, lists too short."""
    ranked = lists(4, 3, 0)
    empty = np.empty(0)
    with pytest.raises(InputError, match="no true negatives"):
        beside_skips(Pairs(np.empty(0, dtype=np.int64), empty, empty), ranked, 4)
    with pytest.raises(InputError, match="no true negatives"):
        beside_skips(Pairs(np.arange(4), np.ones(4), np.zeros(4)), ranked, 4)
    with pytest.raises(InputError, match="too short"):
        beside_skips(Pairs(np.repeat(np.arange(4), 9), np.zeros(36), np.zeros(36)), ranked, 4)
