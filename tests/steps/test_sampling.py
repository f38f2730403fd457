"""Samplers: the promised order, the promised distribution, the same whatever the batch."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples
from scripted import Scripted, SearchOnly, decided, world

from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.select import Policy
from hfneg.steps.block.pool import Pool
from hfneg.steps.guard import Guard
from hfneg.steps.samplers import Sampler, TakeRandom, TakeSimANS, TakeTop

MANY = 4_000
PLAIN = Guard(near_duplicate=None)
few = examples(30)


class Always:
    """The same scored list for every anchor: rows 0 .. m - 1, falling scores; row 0 is the positive."""

    name = "always"

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def search(self, texts: list[str], k: int) -> tuple[Any, Any]:
        rows = np.full((len(texts), k), -1)
        scores = np.full((len(texts), k), -np.inf, dtype=np.float32)
        n = min(k, len(self.scores))
        rows[:, :n], scores[:, :n] = np.arange(n), self.scores[:n]
        return scores, rows

    def score(self, texts: list[str], rows: Any) -> Any:
        return np.where(rows < 0, np.nan, self.scores[rows])


def many(scores: list[float]) -> tuple[Anchors, Retrieve]:
    documents = [f"document {i}" for i in range(len(scores))]
    anchors = world(documents, {f"anchor {i}": [0] for i in range(MANY)})
    return anchors, Retrieve(anchors, Always(scores), k=len(scores) - 1)


@pytest.fixture(scope="module")
def even() -> tuple[Anchors, Retrieve]:
    """4,000 anchors with the same five candidates."""
    return many([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])


def run(made: tuple[Anchors, Retrieve], sampler: Sampler, numbers: Any = None) -> Any:
    anchors, retrieve = made
    candidates = retrieve.run(np.arange(MANY) if numbers is None else np.asarray(numbers))
    return decided(Policy(sampler=sampler, guard=PLAIN), anchors, candidates)


def chi_square(counts: Any, expected: Any) -> float:
    return float(((np.asarray(counts) - expected) ** 2 / expected).sum())


@few
@given(st.lists(st.integers(1, 20), min_size=1, max_size=15, unique=True), st.integers(1, 8))
def test_take_top_takes_the_first_in_rank_order(rows: list[int], n: int) -> None:
    """The first n survivors of the list, in its order, with their scores."""
    documents = [f"document {i}" for i in range(21)]
    hits = [(row, -float(i)) for i, row in enumerate(rows)]
    anchors = world(documents, {"one": [0]})
    chosen = decided(
        Policy(sampler=TakeTop(n), guard=PLAIN),
        anchors,
        Retrieve(anchors, SearchOnly({"one": hits}), k=20).run(np.array([0])),
    )
    assert chosen.negatives.flat.tolist() == rows[:n]
    assert chosen.scores.tolist() == [score for _, score in hits[:n]]


def test_every_ordered_sample_is_equally_likely(even: Any) -> None:
    """TakeRandom(2) of five: each of the 20 ordered pairs as often as any other (so each subset too)."""
    pairs = run(even, TakeRandom(2)).negatives.flat.reshape(-1, 2)
    orders = list(permutations(range(1, 6), 2))
    counts = [int((pairs == order).all(axis=1).sum()) for order in orders]
    assert sum(counts) == MANY
    assert chi_square(counts, MANY / 20) < 43.8  # 19 degrees of freedom: 0.999


def test_random_samples_of_two_seeds_are_independent(even: Any) -> None:
    """Another seed, another sample; two seeds agree on the first draw as often as chance has it."""
    one, two = (run(even, TakeRandom(1, seed=seed)).negatives.flat for seed in (0, 1))
    assert (one != two).any()
    table = np.bincount((one - 1) * 5 + two - 1, minlength=25)
    assert chi_square(table, MANY / 25) < 51.2  # 24 degrees of freedom: 0.999


@pytest.mark.parametrize("sampler", [TakeTop(2), TakeRandom(2, seed=3), TakeSimANS(2, a=0.5, seed=3)])
def test_a_sample_does_not_depend_on_the_batch(even: Any, sampler: Sampler) -> None:
    """Alone, in another company or in another order, an anchor gets the same negatives in the same order."""
    whole = run(even, sampler).negatives
    order = np.random.default_rng(0).permutation(MANY)[:300]
    some = run(even, sampler, order).negatives
    assert [some[i].tolist() for i in range(300)] == [whole[number].tolist() for number in order]
    for number in (0, 17, MANY - 1):
        assert run(even, sampler, [number]).negatives.flat.tolist() == whole[number].tolist()


def test_a_sample_depends_on_the_anchor_s_text_not_its_number() -> None:
    """Other anchors before it, or another spelling of it: the same sample."""
    documents = [f"document {i}" for i in range(30)]
    first = world(documents, {"one": [0]})
    second = world(documents, {"zero": [0], "ONE ": [0]})
    everything = Always([float(-i) for i in range(30)])
    samples = [
        decided(
            Policy(sampler=TakeRandom(5), guard=PLAIN),
            anchors,
            Retrieve(anchors, everything, k=29).run(np.array([number])),
        )
        for anchors, number in ((first, 0), (second, 1))
    ]
    assert samples[0].negatives.flat.tolist() == samples[1].negatives.flat.tolist()


def test_a_known_sample_stays_what_it_is() -> None:
    """These rows for this seed on every platform; whoever changes them must raise the step's VERSION."""
    documents = [f"document {i}" for i in range(30)]
    anchors = world(documents, {"one": [0], "two": [1]})
    everything = Always([float(-i) for i in range(30)])
    chosen = decided(
        Policy(sampler=TakeRandom(5, seed=7), guard=PLAIN),
        anchors,
        Retrieve(anchors, everything, k=29).run(np.arange(2)),
    )
    assert [chosen.negatives[i].tolist() for i in range(2)] == [[11, 23, 9, 17, 20], [21, 9, 22, 4, 11]]


SCORES = [2.0, 3.0, 2.5, 1.75, 0.75, -1.0]  # row 0 is the positive; Always lists them in this order


def simans(a: float, b: float, n: int = 1, seed: int = 0) -> Any:
    """The negatives of 4,000 anchors whose candidates have the scores SCORES[1:], the positive SCORES[0]."""
    order = np.argsort(-np.array(SCORES), kind="stable")
    documents = [f"document {i}" for i in range(len(SCORES))]
    anchors = world(documents, {f"anchor {i}": [0] for i in range(MANY)})
    hits = [(int(row), SCORES[row]) for row in order]
    retriever = Scripted({f"anchor {i}": hits for i in range(MANY)})
    candidates = Retrieve(anchors, retriever, k=5).run(np.arange(MANY))
    return decided(Policy(sampler=TakeSimANS(n, a=a, b=b, seed=seed), guard=PLAIN), anchors, candidates).negatives


@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.5, -0.5), (2.0, 0.5), (0.0, 0.0)])
def test_simans_first_draw_has_the_paper_s_distribution(a: float, b: float) -> None:
    """P(first = i) is proportional to exp(-a (s_i - s_positive - b)^2): equation 4, held by chi-square."""
    counts = np.bincount(simans(a, b).flat, minlength=6)[1:]
    weights = np.exp(-a * (np.array(SCORES[1:]) - SCORES[0] - b) ** 2)
    expected = MANY * weights / weights.sum()
    big = expected >= 5
    got = np.append(counts[big], counts[~big].sum())
    wanted = np.append(expected[big], max(expected[~big].sum(), 1e-9))
    assert chi_square(got[wanted > 1e-6], wanted[wanted > 1e-6]) < 20.5  # at most 5 degrees of freedom: 0.999


def test_simans_second_draw_is_without_replacement() -> None:
    """The pair's distribution is that of two draws without replacement, weights renewed after the first."""
    pairs = simans(1.0, 0.0, n=2).flat.reshape(-1, 2)
    weights = np.exp(-((np.array(SCORES) - SCORES[0]) ** 2))
    weights[0] = 0
    orders = list(permutations(range(1, 6), 2))
    expected = np.array(
        [MANY * weights[i] / weights.sum() * weights[j] / (weights.sum() - weights[i]) for i, j in orders]
    )
    counts = np.array([int((pairs == order).all(axis=1).sum()) for order in orders])
    assert counts.sum() == MANY
    big = expected >= 5
    got, wanted = np.append(counts[big], counts[~big].sum()), np.append(expected[big], expected[~big].sum())
    assert chi_square(got, wanted) < 43.8  # at most 19 degrees of freedom: 0.999


def test_simans_prefers_scores_near_the_positive() -> None:
    """The nearer to the positive's score the more often; with a large a (weights underflow) always the nearest."""
    counts = np.bincount(simans(1.0, 0.0).flat, minlength=6)
    nearness = np.argsort([abs(score - SCORES[0]) for score in SCORES])[1:]
    assert counts[nearness].tolist() == sorted(counts[nearness].tolist(), reverse=True)
    assert set(simans(1e6, 0.0).flat.tolist()) == {3}
    assert simans(1e6, 0.0, n=5)[0].tolist() == [3, 2, 1, 4, 5]


def test_simans_by_a_source_that_found_nothing() -> None:
    """Where `by` knows nothing of an anchor's candidates they are taken in rank order, none in preference."""
    anchors = world([f"document {i}" for i in range(9)], {"one": [0], "two": [0]})
    hits = [(row, -float(row)) for row in range(8)]
    sources = [SearchOnly({"one": hits, "two": hits}, "all"), Scripted({"one": [(0, 1.0), (5, 0.9), (6, 0.5)]}, "a")]
    candidates = Retrieve(anchors, sources, k=8).run(np.arange(2))
    chosen = decided(Policy(sampler=TakeSimANS(3, a=1e6, by="a"), guard=PLAIN), anchors, candidates).negatives
    assert chosen[0].tolist()[:1] == [5]
    assert chosen[1].tolist() == [1, 2, 3]


def test_simans_by_a_seed() -> None:
    """The same seed the same sample, another seed another."""
    one, again, other = simans(1.0, 0.0), simans(1.0, 0.0), simans(1.0, 0.0, seed=1)
    assert one.flat.tolist() == again.flat.tolist() != other.flat.tolist()


@pytest.mark.parametrize("kind", [TakeTop, TakeRandom, TakeSimANS])
def test_too_few_survivors_stay_few(even: Any, kind: Any) -> None:
    """n above the number of survivors: all of them once, none made up."""
    chosen = run(even, kind(50), [3, 9])
    assert [sorted(chosen.negatives[i].tolist()) for i in range(2)] == [[1, 2, 3, 4, 5]] * 2


@few
@given(st.integers(0, 2**31), st.integers(1, 6))
def test_a_larger_sample_begins_with_the_smaller(even: Any, seed: int, n: int) -> None:
    """The first n of n + 1 are the n: asking for more never changes what came before."""
    for kind in (TakeRandom, TakeSimANS):
        less, more = (run(even, kind(m, seed=seed), [5]).negatives.flat.tolist() for m in (n, n + 1))
        assert more[: len(less)] == less


@pytest.mark.parametrize("survivors", [[1, 3, 5], [2], []])
def test_a_sample_of_survivors_is_the_order_of_all_without_the_others(even: Any, survivors: list[int]) -> None:
    """Random places belong to documents: dropping some leaves the order of the rest as it is."""
    anchors, retrieve = even
    pool = Pool(anchors, retrieve.run(np.arange(50)))
    places = TakeRandom(5).places(pool)
    kept = np.isin(pool.rows, survivors)
    whole, part = pool.first(pool.rows > 0, places, 5), pool.first(kept, places, 5)
    assert whole.sum() == 250
    assert (part == kept).all()
    for i in range(50):
        mine = pool.owners == i
        order = [row for row in pool.rows[mine][np.argsort(places[mine])] if row in survivors]
        first = pool.first(kept, places, 1)
        assert pool.rows[first & mine].tolist() == order[:1]


@pytest.mark.parametrize(
    "build",
    [
        lambda: TakeTop(0),
        lambda: TakeTop(n=1.5),  # type: ignore[arg-type]
        lambda: TakeRandom(0),
        lambda: TakeRandom(3, seed="x"),  # type: ignore[arg-type]
        lambda: TakeSimANS(3, a=-1),
        lambda: TakeSimANS(3, b=float("nan")),
    ],
)
def test_settings_are_checked_when_a_sampler_is_made(build: Any) -> None:
    """A setting that makes no sense is refused with its name and what was expected."""
    with pytest.raises(SettingError, match="must be"):
        build()
