"""The estimators of `calibrate` on synthetic data with known truth: coverage, oracles in plain Python, properties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples

from hfneg.review import intervals
from hfneg.review.calibrate import bounds, estimator, prediction, strata
from hfneg.review.calibrate.frame import Frame
from hfneg.review.calibrate.isotonic import ComponentIndex, isotonic

NONE: Any = np.empty(0)


def frame_of(
    scores: Any,
    numbers: Any,
    *,
    positives: Any = NONE,
    candidates: Any = None,
    components: Any = None,
    mined: Any = None,
) -> Frame:
    """A frame with a teacher: one pair per score."""
    scores, numbers = np.asarray(scores, dtype=np.float32), np.asarray(numbers, dtype=np.int64)
    anchors = int(numbers.max()) + 1
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    return Frame(
        numbers=numbers,
        rows=np.arange(len(scores)),
        ranks=np.arange(len(scores)) - np.repeat(first, counts) + 1,
        scores=scores,
        teacher=scores,
        mined=np.ones((1, len(scores)), dtype=bool) if mined is None else np.asarray(mined),
        components=np.arange(anchors) if components is None else np.asarray(components),
        first_half=np.arange(anchors) % 2 == 0,
        positives=np.asarray(positives, dtype=np.float32),
        candidates=scores if candidates is None else np.asarray(candidates, dtype=np.float32),
        positive_mean=np.full(anchors, 1.0, dtype=np.float32),
        width=len(scores),
        given=np.zeros(anchors, dtype=np.int64),
    )


# Intervals.


def binomial(n: int, p: float, counts: range) -> float:
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in counts)


def clopper_pearson(x: int, n: int) -> tuple[float, float]:
    """By bisection of the binomial tails, in plain Python."""

    def solve(tail: Callable[[float], float], start: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if (tail(middle) < 0.025) == (start == 0.0) else (low, middle)
        return low

    below = 0.0 if x == 0 else solve(lambda p: binomial(n, p, range(x, n + 1)), 0.0)
    above = 1.0 if x == n else solve(lambda p: binomial(n, p, range(x + 1)), 1.0)
    return below, above


@pytest.mark.parametrize(("x", "n"), [(0, 6), (0, 60), (1, 40), (7, 30), (30, 30), (29, 30)])
def test_one_stratum_is_clopper_and_pearson(x: int, n: int) -> None:
    """And components of one pair each are, too: to what 4,000 draws allow."""
    rate, low, high = intervals.stratified(*(np.array([v]) for v in (x, n, 1000)))
    assert rate == x / n
    assert (low, high) == pytest.approx(clopper_pearson(x, n), abs=0.02)
    ends = intervals.clustered(np.arange(n) < x, np.ones(n))
    assert ends == pytest.approx(clopper_pearson(x, n), abs=0.02)


@pytest.mark.parametrize("n", [10, 50, 400])
def test_nothing_seen_is_not_nothing(n: int) -> None:
    """Zero events, evenly over strata: the upper end is that of one plain sample, 1 - 0.025 ** (1 / n)."""
    five, none = np.full(5, n // 5), np.zeros(5, dtype=np.int64)
    for endless, close in ((True, 1e-6), (False, 1e-2)):  # of 100 times as many pairs, and those in steps of one
        _, low, high = intervals.stratified(none, five, five * 100, endless=endless)
        assert (low, high) == pytest.approx((0.0, 1 - 0.025 ** (1 / n)), rel=close)
        _, low, high = intervals.stratified(five, five, five * 100, endless=endless)
        assert (1 - low, high) == pytest.approx((1 - 0.025 ** (1 / n), 1.0), rel=close)
    assert intervals.clustered(np.zeros(n), np.full(n, 7.0))[1] == pytest.approx(1 - 0.025 ** (1 / n), rel=0.1)


def test_a_spotless_sample_has_the_largest_rate_that_could_have_given_it() -> None:
    """Against a search over the rates of two strata that were not sampled alike."""
    judged, sizes = np.array([5, 40]), np.array([600, 400])
    grid = np.linspace(0, 1, 1001)
    one, other = np.meshgrid(grid, grid)
    possible = (1 - one) ** 5 * (1 - other) ** 40 >= 0.025
    expected = (0.6 * one + 0.4 * other)[possible].max()
    found = intervals.stratified(np.zeros(2, dtype=np.int64), judged, sizes, endless=True)
    assert found[2] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("judged", "sizes"),
    [([5, 40], [60, 45]), ([8, 8], [20, 20]), ([3, 30], [3, 90]), ([19, 1], [20, 9]), ([60, 60], [61, 62])],
)
def test_a_spotless_sample_of_a_finite_population(judged: list[int], sizes: list[int]) -> None:
    """The most relevant pairs among those left, of all there could be, by trying them all; and the same mirrored."""

    def chance(found: tuple[int, int]) -> float:
        parts = zip(found, judged, sizes, strict=True)
        return math.prod(math.comb(size - k, n) / math.comb(size, n) for k, n, size in parts)

    left = [range(size - n + 1) for n, size in zip(judged, sizes, strict=True)]
    most = max(sum(found) for found in itertools.product(*left) if chance(found) >= 0.025 * (1 - 1e-9))
    n, size = np.array(judged), np.array(sizes)
    rate, low, high = intervals.stratified(n * 0, n, size)
    assert (rate, low, high) == pytest.approx((0.0, 0.0, most / sum(sizes)), abs=1e-12)
    assert high <= (size - n).sum() / size.sum()
    rate, low, high = intervals.stratified(n, n, size)
    assert (rate, low, high) == pytest.approx((1.0, 1 - most / sum(sizes), 1.0))


@pytest.mark.parametrize(("size", "n"), [(12, 6), (20, 18), (60, 40), (210, 150), (400, 20)])
def test_one_finite_stratum_is_the_hypergeometric_interval(size: int, n: int) -> None:
    """Each end is the last number of relevant pairs with which such a sample has 2.5%, but for what draws allow."""

    def below(k: int, x: int) -> float:  # that at most x of the sample are relevant where k of all are
        ways = (math.comb(k, i) * math.comb(size - k, n - i) for i in range(min(x, k) + 1) if n - i <= size - k)
        return sum(ways) / math.comb(size, n)

    for x in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        possible = range(x, size - n + x + 1)
        most = max(k for k in possible if below(k, x) >= 0.025)
        least = min(k for k in possible if 1 - below(k, x - 1) >= 0.025)
        _, low, high = intervals.stratified(np.array([x]), np.array([n]), np.array([size]))
        off = 0.02 * (1 - n / size) + 1 / size
        assert (low, high) == pytest.approx((least / size, most / size), abs=off), x
        assert x / size - 1e-12 <= low <= high <= (size - n + x) / size + 1e-12


def test_what_is_judged_in_part_and_in_full() -> None:
    """150 of 210 leave half the width there is to endless pairs, 209 next to none, and all none, whatever they say."""
    for x in (0, 2, 60, 148, 150):
        (_, low, high), (_, least, most) = (
            intervals.stratified(np.array([x]), np.array([150]), np.array([210]), endless=endless)
            for endless in (False, True)
        )
        assert high - low < 0.65 * (most - least)
    _, low, high = intervals.stratified(np.array([45]), np.array([150]), np.array([210]))
    assert 0.07 < high - low < 0.09
    _, low, high = intervals.stratified(np.array([60]), np.array([209]), np.array([210]))
    assert (low, high) == pytest.approx((60 / 210, 61 / 210))
    sizes = np.array([30, 40, 0, 50])
    rate, low, high = intervals.stratified(np.array([3, 0, 0, 50]), sizes, sizes)
    assert rate == low == high == pytest.approx(53 / 120)
    rate, low, high = intervals.stratified(np.array([3, 0]), np.array([30, 0]), np.array([30, 10]))
    assert (rate, low, high) == pytest.approx((8 / 40, 3 / 40, 13 / 40)), "but for a stratum that nobody judged"


@pytest.mark.parametrize("x", [[0, 0, 0], [1, 0, 4], [10, 12, 15], [40, 30, 20]])
def test_few_of_many_are_as_few_of_endless(x: list[int]) -> None:
    """Where one pair in a thousand was judged, a finite population changes no end by more than draws do."""
    seen, judged = np.array(x), np.array([40, 30, 20])
    found = intervals.stratified(seen, judged, judged * 1000)
    assert found == pytest.approx(intervals.stratified(seen, judged, judged * 1000, endless=True), abs=0.004)


@pytest.mark.parametrize(
    ("sizes", "judged"),
    [([42] * 5, [30] * 5), ([42] * 5, [10, 12, 20, 40, 42]), ([300] * 5, [250] * 5), ([60] * 5, [10, 12, 15, 25, 60])],
)
@pytest.mark.parametrize("shape", [[1, 1, 1, 1, 1], [0.05, 0.1, 0.3, 0.8, 2.0], [2.0, 0, 0, 0, 0]])
def test_a_sample_of_much_covers(sizes: list[int], judged: list[int], shape: list[float]) -> None:
    """At least 95 of 100 over rates from rare to common, with strata judged in part and in full."""
    draw = np.random.default_rng(8)
    size, n, held, tried = np.array(sizes), np.array(judged), 0, 0
    for rate in (0.01, 0.05, 0.2, 0.4):
        for _ in range(30):
            relevant = draw.binomial(size, np.minimum(np.array(shape) * rate, 1))
            _, low, high = intervals.stratified(draw.hypergeometric(relevant, size - relevant, n), n, size)
            held += low - 1e-12 <= relevant.sum() / size.sum() <= high + 1e-12
            tried += 1
    assert held >= 0.95 * tried


def test_a_stratum_nobody_judged_may_be_anything() -> None:
    """Its share of the pairs is added to the upper end, and nothing to the lower."""
    _, low, high = intervals.stratified(np.array([0, 0]), np.array([50, 0]), np.array([700, 300]))
    assert low == 0.0
    assert 0.3 < high < 0.3 + 0.7 * 0.1
    assert intervals.stratified(np.array([0]), np.array([0]), np.array([5])) == (0.5, 0.0, 1.0)


def test_needed_is_the_least_number_that_can_say_it() -> None:
    """With one judgment less even a spotless sample's upper end is above."""
    for below in (0.5, 0.1, 0.05, 0.002):
        n = intervals.needed(below)
        assert 1 - 0.025 ** (1 / n) <= below < 1 - 0.025 ** (1 / (n - 1))


SHAPES = {"flat": [1, 1, 1, 1, 1], "rising": [0.05, 0.1, 0.3, 0.8, 2.0], "hidden": [2.0, 0, 0, 0, 0]}


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.4, 0.7])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_judged_sample_covers(rate: float, shape: str) -> None:
    """Rare and common, also where the relevant hide in the stratum that was sampled least: at least 90 of 100.

    The population is finite and fixed, the strata are sampled without replacement, more from the upper ones.
    """
    draw = np.random.default_rng(5)
    sizes, judged = np.full(5, 300), np.array([10, 12, 15, 25, 38])
    chance = np.array(SHAPES[shape]) / np.mean(SHAPES[shape]) * rate
    held, widths = 0, []
    for _ in range(60):
        relevant = draw.binomial(sizes, np.minimum(chance, 1))
        seen = draw.hypergeometric(relevant, sizes - relevant, judged)
        _, low, high = intervals.stratified(seen, judged, sizes)
        held += low <= relevant.sum() / sizes.sum() <= high
        widths.append(high - low)
    assert held >= 54
    assert min(widths) > 0
    assert np.mean(widths) < 0.31


def correlated(draw: np.random.Generator, anchors: int, rate: float, each: int = 7) -> Any:
    """int64 [anchors]: relevant of `each` pairs of an anchor, nearly all or nearly none."""
    return draw.binomial(each, draw.beta(rate * 0.25, (1 - rate) * 0.25, anchors))


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.4, 0.7])
def test_correlated_positives_are_covered(rate: float) -> None:
    """Relevant documents that come in bunches: intervals over components hold the rate, over pairs they do not."""
    draw = np.random.default_rng(6)
    held = plain = 0
    for _ in range(60):
        seen = correlated(draw, 60, rate)
        low, high = intervals.clustered(seen, np.full(60, 7.0))
        held += low <= rate <= high
        wide = 1.96 * math.sqrt(max(seen.mean() / 7 * (1 - seen.mean() / 7), 0) / (60 * 7))
        plain += abs(seen.mean() / 7 - rate) <= wide
    assert held >= 54
    assert plain < 48


# Curves.


def pooled(y: list[float], w: list[float]) -> list[float]:
    """Pool adjacent violators, in plain Python."""
    blocks: list[list[float]] = []
    for value, weight in zip(y, w, strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (v1, w1, n1), (v2, w2, n2) = blocks[-2], blocks.pop()
            blocks[-1] = [(v1 * w1 + v2 * w2) / (w1 + w2), w1 + w2, n1 + n2]
    return [value for value, _, n in blocks for _ in range(int(n))]


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40))
def test_isotonic_is_pool_adjacent_violators(points: list[tuple[int, float]]) -> None:
    """Equal scores are one point, weighted by their number."""
    x, y = np.array([p[0] for p in points], dtype=float), np.array([p[1] for p in points])
    at = sorted(set(x.tolist()))
    means = [float(y[x == value].mean()) for value in at]
    expected = pooled(means, [int((x == value).sum()) for value in at])
    assert isotonic(x, y)(np.array(at)).tolist() == pytest.approx(expected)


def test_an_index_orders_by_relevance() -> None:
    """Of two features, one telling and one not, on any scale, with outliers: the telling one decides."""
    draw = np.random.default_rng(1)
    score, noise = draw.normal(size=2_000), draw.normal(size=2_000)
    y = (draw.random(2_000) < 1 / (1 + np.exp(-3 * score))).astype(float)
    features = np.stack([np.exp(5 * score), 1e6 * noise], axis=1)
    index = ComponentIndex.fit(features, y)(features)
    order = np.argsort(np.argsort(index)) - np.argsort(np.argsort(score))
    assert np.abs(order).mean() < 100


def test_no_curve_has_seen_its_own_component() -> None:
    """Turning all judgments of one component round changes no prediction there, and some elsewhere."""
    draw = np.random.default_rng(2)
    components = np.repeat(np.arange(40), 5)
    features = draw.normal(size=(200, 2))
    y = (features[:, 0] + draw.normal(size=200) > 0).astype(float)
    judged = np.arange(200)
    before = prediction.curve(features, judged, y, components)
    turned = np.where(components == 7, 1 - y, y)
    after = prediction.curve(features, judged, turned, components)
    assert np.array_equal(before[components == 7], after[components == 7])
    assert not np.array_equal(before[components != 7], after[components != 7])


@pytest.mark.parametrize("kind", ["good", "noise", "wrong"])
@pytest.mark.parametrize("rate", [0.02, 0.4])
def test_judged_anchors_cover_whatever_the_curve_is_worth(kind: str, rate: float) -> None:
    """A curve of noise, or one that falls where relevance rises, makes the interval wide and not wrong."""
    draw = np.random.default_rng(3)
    held, trust = 0, []
    for _ in range(40):
        anchors = np.repeat(np.arange(150), 5)
        score = draw.normal(size=len(anchors))
        bunch = draw.normal(size=150)[anchors]
        chance = 1 / (1 + np.exp(-(2 * score + bunch)))
        y = (draw.random(len(anchors)) < chance * rate / chance.mean()).astype(float)
        told = {"good": score, "noise": draw.normal(size=len(score)), "wrong": -score}[kind]
        judged = np.flatnonzero(np.isin(anchors, draw.choice(150, 40, replace=False)))
        curve = prediction.curve(told[:, None], judged, y[judged], anchors)
        if kind == "wrong":
            curve = 1 / (1 + np.exp(score))
        found = prediction.predict(curve, judged, y[judged], anchors)
        held += found.low <= y.mean() <= found.high
        trust.append(found.trust)
    assert held >= 36
    assert (np.mean(trust) > 0.4) == (kind == "good" and rate == 0.4)


def test_a_curve_without_trust_is_the_plain_share() -> None:
    """A constant curve tells nothing: the rate is the share of the judged."""
    y = np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
    found = prediction.predict(np.full(30, 0.3), np.arange(10), y, np.arange(30) // 2)
    assert found.rate == pytest.approx(0.2)
    assert found.trust == 0.0


# Without judgments.


def mixture(draw: np.random.Generator, share: float, drop: float, n: int = 4_000) -> tuple[Any, Any, Any]:
    """(positives, candidates, which of these are relevant); the unlabelled score `drop` deviations lower."""
    relevant = draw.random(n) < share
    return draw.normal(2, 1, 600), np.where(relevant, draw.normal(2 - drop, 1, n), draw.normal(0, 1, n)), relevant


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("limit", [None, 1.3])
def test_the_bound_holds_where_unlabelled_score_like_labelled(share: float, limit: float | None) -> None:
    """For all candidates and for those below a limit; and it grows with the shift."""
    draw = np.random.default_rng(7)
    for _ in range(5):
        positives, candidates, relevant = mixture(draw, share, 0.0)
        kept = np.ones(len(candidates), dtype=bool) if limit is None else candidates < limit
        rates = [bound.rate for bound in bounds.bounds(positives, candidates, candidates[kept])]
        assert rates[0] >= relevant[kept].mean() * 0.9
        assert rates[0] <= relevant[kept].mean() + 0.1
        assert rates == sorted(rates)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_lower_scores_of_the_unlabelled_are_what_the_shifts_are_for(share: float) -> None:
    """Half a deviation lower: without a shift the bound is too low or nearly so, with a whole deviation it holds."""
    draw = np.random.default_rng(8)
    positives, candidates, relevant = mixture(draw, share, 0.5)
    kept = candidates < 1.3
    plain, _, moved = (bound.rate for bound in bounds.bounds(positives, candidates, candidates[kept]))
    truth = relevant[kept].mean()
    assert plain < truth * 1.5 < moved


def plain_bound(positives: Any, candidates: Any, mined: Any, share: float) -> float:
    """Of one shift alone, in plain Python: share f / g, pooled until it does not fall (Ayer et al. 1955)."""
    blocks: list[list[float]] = []  # positives, candidates, scores
    for at in sorted({*positives.tolist(), *candidates.tolist()}):
        blocks.append([float((positives == at).sum()), float((candidates == at).sum()), 1.0])
        while len(blocks) > 1 and blocks[-2][0] * sum(blocks[-1][:2]) >= blocks[-1][0] * sum(blocks[-2][:2]):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    values = [min(share * a / b * len(candidates) / len(positives), 1.0) if b else 1.0 for a, b, _ in blocks]
    by_place = np.repeat(values, [int(block[2]) for block in blocks])
    places = np.searchsorted(np.unique(np.concatenate([positives, candidates])), mined)
    return float(by_place[places].mean())


@examples(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(bounds.NEEDED, 200),
    m=st.integers(bounds.NEEDED, 600),
    above=st.floats(-1, 5),
    wide=st.floats(0.01, 3),
    kind=st.sampled_from(["smooth", "tenths", "reciprocal ranks", "two places"]),
)
def test_the_bound_never_falls_as_positives_are_moved_further_down(
    seed: int, n: int, m: int, above: float, wide: float, kind: str
) -> None:
    """For any scores and any part of the candidates; without a shift it is the plain bound, else no less than that."""
    draw = np.random.default_rng(seed)
    positives, candidates = draw.normal(above, wide, n), draw.normal(0, 1, m)
    if kind == "tenths":
        positives, candidates = positives.round(1), candidates.round(1)
    elif kind == "reciprocal ranks":
        positives, candidates = 1 / draw.geometric(1 / (1 + wide), n), 1 / draw.integers(1, 101, m)
    elif kind == "two places":
        positives, candidates = np.where(draw.random(n) < 0.5, above, 0.0), np.where(draw.random(m) < 0.9, 0.0, 1.0)
    positives, candidates = positives.astype(np.float32), candidates.astype(np.float32)
    low, high = np.quantile(candidates, np.sort(draw.random(2)), method="nearest")
    mined = candidates[(candidates >= low) & (candidates <= high)]
    found = bounds.bounds(positives, candidates, mined)
    assert [one.shift for one in found] == list(bounds.SHIFTS)
    for before, after in pairwise(found):
        assert before.rate <= after.rate
        assert before.share_of_candidates <= after.share_of_candidates
    plain = plain_bound(positives, candidates, mined, found[0].share_of_candidates)
    assert found[0].rate == pytest.approx(plain, abs=1e-6)


def test_reciprocal_ranks_are_where_the_bound_of_one_shift_falls() -> None:
    """Moved past the mined the positives leave fewer of these relevant; what is told is the largest on the way."""
    draw = np.random.default_rng(0)
    positives = (1 / draw.geometric(0.6, 500)).astype(np.float32)
    candidates = np.tile(1 / np.arange(1, 101), 500).astype(np.float32)
    mined = candidates[(candidates <= 1 / 3) & (candidates >= 1 / 6)]
    told = bounds.bounds(positives, candidates, mined)
    deviation, alone = float(positives.astype(np.float64).std()), []
    for shift in np.linspace(0, 1, 11).tolist():
        moved = positives - shift * deviation  # bounded anew, as if it were not moved
        alone.append(bounds.bounds(moved, candidates, mined)[0].rate)
    assert min(np.diff(alone)) < -0.01
    assert [one.rate for one in told] == [alone[0], max(alone[:6]), max(alone)]


def test_without_judgments_there_is_no_confidence() -> None:
    """The rate has no value and no confidence, only an end: the largest of the bounds."""
    positives, candidates, _ = mixture(np.random.default_rng(9), 0.1, 0.5)
    frame = frame_of(candidates, np.arange(len(candidates)) // 5, positives=positives)
    found = estimator.Estimator.of(frame, strata.strata(frame), None, False).rate(frame.mined[0])
    assert found is not None
    assert (found.method, found.rate, found.low, found.confidence) == ("no judgments", None, 0.0, False)
    assert found.high == max(one.at_most for one in estimator.sensitivity(frame))


# Strata and samples.


def some_frame(n: int = 600, seed: int = 4) -> Frame:
    draw = np.random.default_rng(seed)
    return frame_of(draw.normal(size=n), np.arange(n) // 3, positives=draw.normal(2, 1, 200))


@pytest.mark.parametrize("n", [6, 20, 100, 599, 600, 1000])
def test_a_sample_is_spread_and_leans_to_the_doubtful(n: int) -> None:
    """Every pair at most once, as many as asked for, some of each stratum, most from the upper one."""
    frame = some_frame()
    layers = strata.strata(frame)
    given = strata.allocate(n, frame, layers, frame.mined[0])
    sizes = np.bincount(layers.of)
    assert (given <= sizes).all()
    assert given.sum() == min(n, 600)
    assert given.min() >= 1
    taken = strata.draw(given, frame, layers, frame.mined[0], seed=1)
    assert len(set(taken.tolist())) == len(taken) == given.sum()
    assert np.array_equal(np.bincount(layers.of[taken], minlength=len(layers)), given)
    if n == 100:
        assert given.min() >= 10
        assert given.argmax() == len(layers) - 1


def test_a_larger_sample_holds_the_smaller() -> None:
    """Of each stratum the pairs of the least numbers; and the first half of a file is a sample of all strata."""
    frame = some_frame()
    layers = strata.strata(frame)
    small, large = (
        strata.draw(strata.allocate(n, frame, layers, frame.mined[0]), frame, layers, frame.mined[0], seed=3)
        for n in (60, 200)
    )
    assert set(small.tolist()) <= set(large.tolist())
    shares = [np.bincount(layers.of[some], minlength=len(layers)) for some in (large[:100], large)]
    assert np.abs(shares[0] - shares[1] / 2).max() <= 1


def test_strata_are_found_again_from_the_ledger_alone() -> None:
    """Pairs that only other settings mine change no bound of the folder's own negatives."""
    frame = some_frame()
    own = frame.best < 0.5
    both = frame_of(
        frame.best, frame.numbers, positives=frame.positives, mined=np.stack([own, np.ones(len(own), dtype=bool)])
    )
    alone = frame_of(frame.best[own], frame.numbers[own], positives=frame.positives)
    few, many = strata.strata(alone), strata.strata(both)
    assert few.bounds.tolist() == many.bounds[: len(few.bounds)].tolist()
    assert np.array_equal(few.of, many.of[own])
    assert many.of[~own].min() > few.of.max()


def test_whole_anchors_are_told_from_single_pairs() -> None:
    """200 pairs of 40 anchors are judged anchors; 200 pairs drawn one by one are not, nor is everything."""
    numbers = np.repeat(np.arange(300), 5)
    drawn = np.random.default_rng(0).choice(len(numbers), 200, replace=False)
    assert estimator.bunched(numbers, numbers[:200])
    assert not estimator.bunched(numbers, numbers[drawn])
    assert not estimator.bunched(numbers, numbers)


@pytest.mark.parametrize("rate", [0.002, 0.05, 0.7])
def test_the_whole_way_covers(rate: float) -> None:
    """Allocation by scores, drawing, judging, estimating, with relevance that rises with the score, and correlated."""
    held = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        numbers = np.arange(1_500) // 5
        score = draw.normal(size=1_500)
        chance = np.exp(1.5 * score + 1.5 * draw.normal(size=300)[numbers])
        relevant = draw.random(1_500) < np.minimum(chance * rate / chance.mean(), 1)
        frame = frame_of(score, numbers, positives=draw.normal(2, 1, 300))
        layers = strata.strata(frame)
        taken = strata.draw(
            strata.allocate(100, frame, layers, frame.mined[0]), frame, layers, frame.mined[0], seed=seed
        )
        labels = np.full(1_500, np.nan)
        labels[taken] = relevant[taken]
        found = estimator.Estimator.of(frame, layers, labels, False).rate(frame.mined[0])
        assert found is not None
        assert found.method == "judged sample"
        assert found.high > found.low
        held += found.low <= relevant.mean() <= found.high
    assert held >= 36


def test_a_mean_is_drawn_by_components() -> None:
    """Against Rubin's bootstrap in plain Python; anchors of one component move together."""
    draw = np.random.default_rng(3)
    sums, counts, labels = draw.normal(size=40), draw.integers(1, 5, size=40).astype(float), np.arange(40) // 2
    expected = []
    for _ in range(8_000):
        weight = draw.standard_exponential(20)[labels]
        expected.append((weight * sums).sum() / (weight * counts).sum())
    found = intervals.mean(sums, counts, labels)
    assert found == pytest.approx(np.quantile(expected, [0.025, 0.975]), abs=0.02)
    one = intervals.mean(sums, counts, np.zeros(40, dtype=np.int64))
    assert one == pytest.approx([sums.sum() / counts.sum()] * 2)
