"""The leak rate: hiding a known positive is mining without it, and intervals mean what they say."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, strategies as st
from scripted import Scripted, ranked
from small_collection import HashEncoder, documents, pairs
from typer.testing import CliRunner
from word_teacher import WordTeacher

import hfneg
from hfneg import cli
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.errors import NeedsTeacher, SettingError
from hfneg.review import intervals
from hfneg.review.components import components, first_half
from hfneg.review.intervals import share
from hfneg.review.leak.curve import chosen, leak_curve
from hfneg.review.leak.leak import LeakRate
from hfneg.review.leak.replicas import Hiding, Outcomes, _Listed, normal_quantile, normal_share
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.reselect import policy_recipe

TEXTS = documents()
STEPS: dict[str, dict[str, Any]] = {
    "no filter": {"filters": []},
    "margin": {"filters": [hfneg.Margin(relative=0.1, by="bm25")]},
    "margin, best positive": {"filters": [hfneg.Margin(absolute=0.2, against="max")], "sampler": hfneg.TakeRandom(3)},
    "around": {"filters": [], "sampler": hfneg.TakeSimANS(3)},
    "band and window": {"filters": [hfneg.RankWindow(skip=1, stop=9), hfneg.Band(high=3.0, by="bm25")]},
    "relaxed": {"filters": [hfneg.Margin(relative=0.6)], "short": hfneg.Relax()},
    "another guard": {"filters": [], "guard": hfneg.Guard(near_duplicate=None)},
}


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leak") / "mined"
    steps = hfneg.Recipe(k=12, sampler=hfneg.TakeTop(3))
    hfneg.mine(pairs(), TEXTS, steps, anchor="query", positive="answer", out=folder)
    return folder


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources and a teacher, everything scored."""
    folder = tmp_path_factory.mktemp("leak") / "mined"
    steps = hfneg.Recipe(
        retrievers=[hfneg.BM25(), hfneg.Dense(HashEncoder())],
        k=214,
        teacher=WordTeacher(),
        filters=[hfneg.Margin(relative=0.05)],
        sampler=hfneg.TakeTop(3),
    )
    hfneg.mine(pairs(), TEXTS, steps, anchor="query", positive="answer", out=folder)
    hfneg.examine(folder, WordTeacher())
    return folder


def outcomes(folder: Path, **policy: Any) -> tuple[Hiding, Outcomes, tuple[Outcomes, ...]]:
    source = MinedLedger(folder)
    hiding = Hiding(source, policy_recipe(source, policy, ()), reopen_anchors(source), 50_000, 0)
    return hiding, *hiding.outcomes()


def without(anchors: Anchors, number: int, hidden: int, instead: str | None = None) -> tuple[Anchors, int]:
    """The same pairs, of which one is gone, and the anchor's number in them."""
    rows = []
    for i in range(len(anchors)):
        known = anchors.positives_of(i).tolist()
        if i == number:
            known = [row for row in known if row != hidden] or [instead]
        texts = [row if isinstance(row, str) else anchors.corpus.texts([row])[0].as_py() for row in known]
        rows.append({"q": anchors.texts([i])[0].as_py(), "a": texts})
    return Anchors(rows, anchors.corpus, anchor="q", positive="a", positives_are="text"), number


def mines(recipe: hfneg.Recipe, anchors: Anchors, number: int, hidden: int) -> tuple[bool, bool]:
    """(whether the document is retrieved, whether it is mined), by searching and choosing for the anchor anew."""
    transform = recipe.transform(anchors)
    found = transform.run(np.array([number]))
    negatives = transform.select.policy.negatives(found).rows.flat
    return hidden in found.rows.tolist(), hidden in negatives.tolist()


@pytest.mark.parametrize("name", STEPS)
def test_hiding_a_positive_is_mining_without_it(name: str, mined: Path) -> None:
    """For each (anchor, one of its several positives): retrieved and mined as if nobody had labelled it."""
    hiding, exact, _ = outcomes(mined, **STEPS[name])
    anchors, known = reopen_anchors(MinedLedger(mined)), hiding.known.rows
    recipe = hfneg.Recipe(**{"k": 12, "sampler": hfneg.TakeTop(3), **STEPS[name]})
    replicates = [(i, row) for i, rows in enumerate(known.take(np.arange(len(known))).split()) for row in rows.tolist()]
    several = [pair for pair in replicates if len(known[pair[0]]) > 1]
    happened = dict(zip(several, zip(exact.retrieved.tolist(), exact.leaked.tolist(), strict=False), strict=False))
    assert len(several) >= 40
    leaks = 0
    for (number, row), (retrieved, leaked) in happened.items():
        fewer, at = without(anchors, number, row)
        assert (retrieved, leaked) == mines(recipe, fewer, at, row), (number, row)
        leaks += leaked
    assert leaks, "the test says nothing"


@pytest.mark.parametrize("name", ["no filter", "band and window"])
def test_an_anchors_only_positive_can_be_hidden_where_nothing_is_compared_with_it(name: str, mined: Path) -> None:
    """As mining for the anchor would with some unrelated positive in its place; there is no bracket then."""
    hiding, exact, bracket = outcomes(mined, **STEPS[name])
    assert bracket == ()
    anchors, known = reopen_anchors(MinedLedger(mined)), hiding.known.rows
    recipe = hfneg.Recipe(**{"k": 12, "sampler": hfneg.TakeTop(3), **STEPS[name]})
    alone = [i for i in range(len(known)) if len(known[i]) == 1]
    assert exact.anchors[-len(alone) :].tolist() == alone
    for number, retrieved, leaked in zip(
        alone, exact.retrieved[-len(alone) :].tolist(), exact.leaked[-len(alone) :].tolist(), strict=True
    ):
        row = int(known[number][0])
        fewer, at = without(anchors, number, row, instead=anchors.corpus.texts([0])[0].as_py())
        if 0 not in reopened_candidates(mined, number):
            assert (retrieved, leaked) == mines(recipe, fewer, at, row), number


def reopened_candidates(folder: Path, number: int) -> list[int]:
    (block,) = MinedLedger(folder).blocks()
    rows: list[int] = block.take(np.array([number])).rows.tolist()
    return rows


def test_the_report_counts_the_replicates(mined: Path) -> None:
    """Every known positive is a replicate once; misses, leaks and shares add up."""
    found = hfneg.leak_rate(mined, filters=[], sampler=hfneg.TakeTop(3))
    _, exact, _ = outcomes(mined, filters=[], sampler=hfneg.TakeTop(3))
    assert found.bracket is None
    assert found.exact is not None
    assert found.exact.replicates == found.positives == len(MinedLedger(mined).known_positives.rows.flat)
    assert (found.exact.retrieved, found.exact.leaked) == (int(exact.retrieved.sum()), int(exact.leaked.sum()))
    assert found.exact.leaked_of_retrieved.value == found.exact.leaked / found.exact.retrieved
    assert found.exact.leaked_of_all.value == found.exact.leaked / found.exact.replicates
    for one in (found.exact.retrieved_share, found.exact.leaked_of_retrieved, found.exact.leaked_of_all):
        assert 0 <= one.low < one.value < one.high <= 1
    assert found.to_dict()["exact"]["leaked"] == found.exact.leaked


def test_a_wider_margin_never_leaks_more_with_room_for_all(taught: Path) -> None:
    """With a place for every survivor there is no competition, so a stricter filter only takes away."""
    leaks = [
        outcomes(taught, filters=[hfneg.Margin(relative=margin)], sampler=hfneg.TakeTop(428))[1].leaked
        for margin in (0.0, 0.05, 0.3, 0.8)
    ]
    for loose, strict in itertools.pairwise(leaks):
        assert not (strict & ~loose).any()
    assert leaks[0].sum() > leaks[-1].sum()


def test_no_teacher_is_called_and_two_sources_are_replayed(taught: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hidden positive's own teacher score is in the ledger, too; nothing is left undecided."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a teacher was called")

    monkeypatch.setattr(WordTeacher, "_score", refuse)
    found = hfneg.leak_rate(taught, filters=[hfneg.BelowPositives(0.8)])
    assert found.exact is not None
    assert found.exact.undecided == 0
    assert found.exact.retrieved == found.exact.replicates, "every document was retrieved"
    expected = leaks_below(taught, 0.8, 3)
    assert found.exact.leaked == expected


def leaks_below(folder: Path, quantile: float, n: int) -> int:
    """Plain Python: of each list the first n that the guard left, or that are hidden, at or below the limit."""
    (block,) = MinedLedger(folder).blocks()
    assert block.teacher_scores is not None
    assert block.positive_teacher_scores is not None
    limit = sorted(block.positive_teacher_scores.tolist())[int(quantile * (len(block.positive_teacher_scores) - 1))]
    source = MinedLedger(folder)
    guard, anchors, leaks = hfneg.Guard(), reopen_anchors(source), 0
    for i in range(len(block.numbers)):
        one = block.take(np.array([i]))
        assert one.teacher_scores is not None
        assert one.positive_teacher_scores is not None
        for row, score in zip(one.positives.flat.tolist(), one.positive_teacher_scores.tolist(), strict=True):
            others = [known for known in one.positives.flat.tolist() if known != row]
            spare = [True] * len(one)
            if others:
                fewer, at = without(anchors, i, row)
                spare = [code == 1 for code in guarded(guard, fewer, one, at)]
            else:
                spare = [
                    int(code) not in (2, 3, 4, 5) or r == row for code, r in zip(one.verdicts, one.rows, strict=True)
                ]
                if row_is_own_text(anchors, i, row):
                    spare = [s and r != row for s, r in zip(spare, one.rows.tolist(), strict=True)]
            scores = [
                score if r == row else s for r, s in zip(one.rows.tolist(), one.teacher_scores.tolist(), strict=True)
            ]
            # near-duplicates of the hidden one alone have no score of their own
            scores = [score if np.isnan(s) else s for s in scores]
            left = [r for r, s, ok in zip(one.rows.tolist(), scores, spare, strict=True) if ok and s <= limit]
            leaks += row in left[:n]
    return leaks


def guarded(guard: hfneg.Guard, anchors: Anchors, block: Any, number: int) -> list[int]:
    from dataclasses import replace

    from hfneg.steps.block.pool import Pool

    numbers = np.array([number])
    own = replace(block, numbers=numbers, positives=anchors.positives(numbers))
    codes: list[int] = guard.verdicts(Pool(anchors, own)).tolist()
    return codes


def row_is_own_text(anchors: Anchors, number: int, row: int) -> bool:
    return bool(anchors.normal_hashes[number] == anchors.corpus.normal_hashes[row])


# One positive per anchor.


def lone(folder: Path, n: int = 60, margin: float = 0.1, seed: int = 0) -> tuple[Path, dict[str, float]]:
    """Anchors with one positive each, found at a known score among candidates with scores below 0.2."""
    draw = np.random.default_rng(seed)
    texts = [f"document{i} word{i * 7} term{i * 13}" for i in range(20 * n)]
    lists, rows, own = {}, [], {}
    for i in range(n):
        score = float(np.float32(draw.uniform(0.3, 1.0)))
        here = {20 * i: score, **{20 * i + j: float(draw.uniform(0, 0.2)) for j in range(1, 20)}}
        lists[f"anchor {i}"], own[f"anchor {i}"] = ranked(here), score
        rows.append({"q": f"anchor {i}", "a": texts[20 * i]})
    steps = hfneg.Recipe(
        retrievers=Scripted(lists), k=15, filters=[hfneg.Margin(relative=margin)], sampler=hfneg.TakeTop(1)
    )
    hfneg.mine(Dataset.from_list(rows), texts, steps, anchor="q", positive="a", out=folder)
    return folder, own


def test_with_one_positive_a_margin_gets_a_bracket_and_never_a_number(tmp_path: Path) -> None:
    """Compared with itself nothing passes; compared with others' positives about half do, as their scores say."""
    folder, own = lone(tmp_path / "mined")
    found = hfneg.leak_rate(folder)
    assert found.exact is None
    assert found.bracket is not None
    low, high = found.bracket
    assert low.retrieved == high.retrieved == low.replicates == len(own)
    assert low.leaked == 0
    scores = sorted(own.values())
    expected = np.mean([[a <= b * 0.9 for b in scores] for a in scores])
    assert high.leaked_of_all.low <= expected <= high.leaked_of_all.high
    assert low.leaked_of_all.high < high.leaked_of_all.value
    assert "bracket" in found.note
    assert "no number" in found.note


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_bracket_holds_the_truth_whatever_positives_have_in_common(correlation: float, tmp_path: Path) -> None:
    """One positive of several labelled: what is mined of the others lies between the ends, for any correlation."""
    world = Unlike(correlation)
    truth = world.mine(tmp_path / "mined", [hfneg.Margin(absolute=0.3)])
    found = hfneg.leak_rate(tmp_path / "mined")
    assert found.exact is None
    assert found.bracket is not None
    low, high = (end.leaked_of_all for end in found.bracket)
    spread = 2 * np.sqrt(truth * (1 - truth) / sum(map(len, world.unlabelled.values())))
    assert low.low - spread <= truth <= high.high + spread
    assert low.value < high.value < 0.6


def test_donors_go_with_the_hidden_positive_as_they_should(tmp_path: Path) -> None:
    """The normal scores of the ranks have the correlation that was asked for; the donor is of another anchor."""
    folder, _ = lone(tmp_path / "mined", n=400)
    source = MinedLedger(folder)
    hiding = Hiding(source, policy_recipe(source, {}, ()), reopen_anchors(source), 50_000, 0)
    (block,) = source.blocks()
    at, listed = np.arange(400), _Listed(block, len(hiding.anchors.corpus))
    for correlation in (0.0, 0.6, 0.9):
        donors = hiding._donors(block, listed, at, at, correlation)
        assert not (donors.rows == block.positives.flat).any()
        both = donors.scores[:, 0], block.positive_scores[:, 0]
        levels = [np.argsort(np.argsort(scores)) for scores in both]
        normal = [normal_quantile((level + 0.5) / 400) for level in levels]
        assert abs(np.corrcoef(*normal)[0, 1] - correlation) < 0.12
    again = hiding._donors(block, listed, at[::-1], at[::-1], 0.6)
    assert hiding._donors(block, listed, at, at, 0.6).rows.tolist() == again.rows.tolist()[::-1]


def test_the_normal_distribution_is_that_of_the_standard_library() -> None:
    """Quantiles and shares, to the grid's precision, and each undoes the other."""
    shares = np.linspace(0.001, 0.999, 500)
    expected = [NormalDist().inv_cdf(share) for share in shares.tolist()]
    np.testing.assert_allclose(normal_quantile(shares), expected, atol=2e-3)
    np.testing.assert_allclose(normal_share(normal_quantile(shares)), shares, atol=1e-9)
    assert np.isfinite(normal_quantile(np.array([0.0, 1.0]))).all()


# Components, halves, intervals.

graphs = st.lists(st.lists(st.integers(0, 12), max_size=4), min_size=1, max_size=14)


@given(graphs)
def test_components_are_those_of_the_graph(graph: list[list[int]]) -> None:
    """Two anchors have one label where a chain of shared positives joins them: against a search in plain Python."""
    expected = []
    for start in range(len(graph)):
        seen, left = {start}, [start]
        while left:
            here = left.pop()
            for other in range(len(graph)):
                if other not in seen and set(graph[here]) & set(graph[other]):
                    seen.add(other)
                    left.append(other)
        expected.append(min(seen))
    assert components(Lists.of([sorted(set(rows)) for rows in graph], np.int64)).tolist() == expected


def test_a_long_chain_is_one_component() -> None:
    """In a number of rounds that does not grow with its length, in any order."""
    n = 20_000
    order = np.random.default_rng(0).permutation(n)
    rows = np.stack([order, order + 1], axis=1)
    assert (components(Lists(np.arange(n + 1) * 2, rows.reshape(-1))) == 0).all()


@given(graphs, st.integers(0, 3), st.randoms(use_true_random=False))
def test_halves_keep_components_whole_and_ignore_order(graph: list[list[int]], seed: int, shuffle: Any) -> None:
    """An anchor is in the same half wherever it stands, with all that it is connected with."""
    hashes = np.arange(1, len(graph) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    labels = components(Lists.of([sorted(set(rows)) for rows in graph], np.int64))
    first = first_half(labels, hashes, seed)
    for label in np.unique(labels):
        assert len(set(first[labels == label].tolist())) == 1
    order = list(range(len(graph)))
    shuffle.shuffle(order)
    again = components(Lists.of([sorted(set(graph[i])) for i in order], np.int64))
    assert first_half(again, hashes[order], seed).tolist() == first[order].tolist()


def test_about_half_of_the_components_are_in_the_first_half() -> None:
    """And another seed is another half."""
    hashes = np.random.default_rng(0).integers(0, 2**63, 4000).astype(np.uint64)
    one, other = (first_half(np.arange(4000), hashes, seed) for seed in (0, 1))
    assert 1850 < one.sum() < 2150
    assert 1850 < (one == other).sum() < 2150


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 40), (40, 40)])
def test_single_pairs_give_the_interval_of_clopper_and_pearson(hits: int, n: int) -> None:
    """Where every replicate is its own component: the binomial tails at the ends are 2.5%, or the end is 0 or 1."""
    found = share(np.arange(n) < hits, np.arange(n))
    rng = np.random.default_rng(0)
    assert found.value == hits / n
    assert found.low == 0 if hits == 0 else abs(np.mean(rng.binomial(n, found.low, 200_000) >= hits) - 0.025) < 0.006
    assert found.high == 1 if hits == n else abs(np.mean(rng.binomial(n, found.high, 200_000) <= hits) - 0.025) < 0.006


def test_alike_components_drawn_together_are_the_plain_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """One gamma draw for many components of like content gives what one weight for each gives."""
    monkeypatch.setattr(intervals, "DRAWS", 40_000)
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(30), draw.integers(1, 4, 30))
    hits = draw.random(len(labels)) < 0.3
    found = share(hits, labels)
    weights, extra = draw.standard_exponential((40_000, 30)), draw.standard_exponential(40_000)
    sums, counts = np.bincount(labels, weights=hits), np.bincount(labels)
    bottom = weights @ counts + extra * counts.mean()
    low, high = (
        np.quantile(weights @ sums / bottom, 0.025),
        np.quantile(((weights @ sums) + extra * counts.mean()) / bottom, 0.975),
    )
    assert found.low == pytest.approx(low, abs=0.005)
    assert found.high == pytest.approx(high, abs=0.005)


def test_what_is_undecided_widens_the_interval() -> None:
    """It counts as no hit at the lower end and as one at the upper, and not in the value."""
    hits, labels = np.arange(50) < 10, np.arange(50)
    undecided = (np.arange(50) >= 40) | (np.arange(50) < 2)
    known, wide = share(hits, labels), share(hits, labels, undecided)
    assert wide.value == 8 / 38
    assert wide.low < known.low < known.high < wide.high


def test_intervals_over_components_hold_the_truth_and_those_over_pairs_do_not() -> None:
    """Pairs of one component leak together: 95% intervals by components cover in at least 90% of 100 draws."""
    draw = np.random.default_rng(5)
    held, naive = 0, 0
    for _ in range(100):
        sizes = draw.integers(1, 30, 80)
        labels = np.repeat(np.arange(80), sizes)
        chance = draw.beta(0.3, 1.2, 80)  # a component's own rate; the mean is 0.2
        hits = draw.random(len(labels)) < chance[labels]
        one, other = share(hits, labels), share(hits, np.arange(len(labels)))
        held += one.low <= 0.2 <= one.high
        naive += other.low <= 0.2 <= other.high
    assert held >= 90
    assert naive < 75


# Unlabelled positives like the labelled ones.


class World:
    """Anchors with relevant documents that score alike; each is labelled with a chance of one half."""

    def __init__(self, seed: int, anchors: int = 50) -> None:
        draw = np.random.default_rng(seed)
        self.texts: list[str] = []
        self.lists: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.unlabelled: dict[str, list[int]] = {}
        for i in range(anchors):
            mean, count = draw.normal(0, 0.7), int(draw.integers(4, 8))  # relevant ones of an anchor go together
            scores = [*(mean + draw.normal(1, 0.7, count)), *draw.normal(-1, 1, 30)]
            base = len(self.texts)
            self.texts += [f"text{base + j} word{(base + j) * 7} term{(base + j) * 13}" for j in range(len(scores))]
            self.lists[f"anchor {i}"] = ranked({base + j: float(score) for j, score in enumerate(scores)})
            labelled = draw.random(count) < 0.5
            labelled[int(draw.integers(count))] = True
            positives = [self.texts[base + j] for j in np.flatnonzero(labelled)]
            self.unlabelled[f"anchor {i}"] = [base + j for j in np.flatnonzero(~labelled).tolist()]
            self.rows.append({"q": f"anchor {i}", "a": positives})

    def mine(self, folder: Path, filters: Sequence[hfneg.Filter]) -> float:
        """The share of the unlabelled positives that are mined."""
        steps = hfneg.Recipe(retrievers=Scripted(self.lists), k=25, filters=filters, sampler=hfneg.TakeTop(5))
        found = hfneg.mine(
            Dataset.from_list(self.rows), Corpus.from_texts(self.texts), steps, anchor="q", positive="a", out=folder
        )
        hits = total = 0
        for row in found:
            mined, unlabelled = set(map(int, row["hard_negative_ids"])), self.unlabelled[row["q"]]
            hits, total = hits + len(mined & set(unlabelled)), total + len(unlabelled)
        return hits / total


class Unlike(World):
    """One positive labelled; the scores of two positives of an anchor have the given correlation."""

    def __init__(self, correlation: float, anchors: int = 60) -> None:
        draw = np.random.default_rng(7)
        self.texts, self.lists, self.rows, self.unlabelled = [], {}, [], {}
        for i in range(anchors):
            count, base = int(draw.integers(3, 7)), len(self.texts)
            together = draw.normal(1, np.sqrt(correlation))
            scores = [*(together + draw.normal(0, np.sqrt(1 - correlation), count)), *draw.normal(-1, 1, 30)]
            self.texts += [f"text{base + j} word{(base + j) * 7} term{(base + j) * 13}" for j in range(len(scores))]
            self.lists[f"anchor {i}"] = ranked({base + j: float(score) for j, score in enumerate(scores)})
            self.unlabelled[f"anchor {i}"] = list(range(base + 1, base + count))
            self.rows.append({"q": f"anchor {i}", "a": [self.texts[base]]})


def test_unlabelled_positives_like_the_labelled_ones_leak_as_the_interval_says(tmp_path: Path) -> None:
    """In six collections of fifty anchors the share of unlabelled positives that are mined lies in the 95% interval,
    widened by the truth's own spread (it is counted over about 120 of them)."""
    for seed in range(6):
        world = World(seed)
        truth = world.mine(tmp_path / str(seed), [hfneg.Band(high=0.8)])
        found = hfneg.leak_rate(tmp_path / str(seed))
        assert found.exact is not None
        spread = 2 * np.sqrt(truth * (1 - truth) / sum(map(len, world.unlabelled.values())))
        rate = found.exact.leaked_of_all
        assert rate.low - spread <= truth <= rate.high + spread
        assert rate.high - rate.low < 0.35, "an interval that says something"


# Thresholds.


def test_a_threshold_is_chosen_on_one_half_and_reported_on_the_other(tmp_path: Path) -> None:
    """The halves share no anchor and are all; the most negatives under the target win; where none is, None."""
    World(1).mine(tmp_path / "mined", [hfneg.Band(high=0.8)])
    values = [-1.0, 0.0, 0.8, 3.0]
    points = leak_curve(tmp_path / "mined", "filters.band.high", values)
    whole = [hfneg.leak_rate(tmp_path / "mined", filters=[hfneg.Band(high=value)]) for value in values]
    for point, rate in zip(points, whole, strict=True):
        parts = [half.exact for half in (point.choosing, point.reporting)]
        assert rate.exact is not None
        assert sum(part.replicates for part in parts if part) == rate.exact.replicates
        assert sum(part.leaked for part in parts if part) == rate.exact.leaked
        assert sum(part.anchors for part in parts if part) == 50
    assert [point.negatives_per_anchor for point in points] == sorted(point.negatives_per_anchor for point in points)
    best = chosen(points, 0.3)
    assert best is not None
    assert best.choosing.exact is not None
    assert best.choosing.exact.leaked_of_all.value <= 0.3
    later = points[points.index(best) + 1]
    assert later.choosing.exact is not None
    assert later.choosing.exact.leaked_of_all.value > 0.3
    assert chosen(points, 1e-9) is None or chosen(points, 1e-9) == points[0]
    with pytest.raises(SettingError, match="list of values"):
        leak_curve(tmp_path / "mined", "filters.band.high", "0.1")
    with pytest.raises(SettingError, match="rate above 0"):
        chosen(points, 1.5)


# Too many replicates, too few scores.


def test_of_many_replicates_a_sample_is_drawn(mined: Path) -> None:
    """As many as said, the same for a seed, from all anchors, with a rate like that of all."""
    some = hfneg.leak_rate(mined, filters=[], most=20)
    assert some == hfneg.leak_rate(mined, filters=[], most=20)
    assert some.exact is not None
    assert 20 <= some.exact.replicates <= 40
    assert some.exact != hfneg.leak_rate(mined, filters=[], most=20, seed=1).exact
    everything = hfneg.leak_rate(mined, filters=[])
    assert everything.exact is not None
    assert some.exact.leaked_of_all.low <= everything.exact.leaked_of_all.value <= some.exact.leaked_of_all.high


def test_the_command_says_what_the_function_finds(mined: Path) -> None:
    """In words with the interval, and as JSON: the function's numbers, of the policy that --set makes."""

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, ["leak-rate", str(mined), "-q", "--set", "filters=[]", *words])
        return done.exit_code, done.output

    found = hfneg.leak_rate(mined, settings=["filters=[]"])
    assert found.exact is not None
    share = found.exact.leaked_of_all
    code, said = run()
    assert code == 0, said
    assert f"leak rate, P(mined | relevant): {share.value:.1%} (95%: {share.low:.1%} to {share.high:.1%})" in said
    assert f"{found.exact.leaked:,} mined of {found.exact.retrieved:,} retrieved of {found.exact.replicates:,}" in said
    code, said = run("--json", "--seed", "1")
    assert code == 0, said
    assert json.loads(said)["exact"] == found.to_dict()["exact"]
    code, said = run("--set", "filters=Margin(relative=0.1, by='bm25')")
    assert code == 0, said
    bracket = hfneg.leak_rate(mined, filters=hfneg.Margin(relative=0.1, by="bm25")).bracket
    assert bracket is not None
    ends = [leak.leaked_of_all.value for leak in bracket]
    assert f"between {ends[0]:.1%} and {ends[1]:.1%} (with their 95% intervals" in said
    assert run("--set", "k=3")[0] == 2


def test_a_share_of_nothing_is_json(tmp_path: Path) -> None:
    """Where retrieval finds no hidden positive there is nothing to be mined: null, not NaN; in words "unknown"."""
    rows = [{"q": "one two", "a": "far away"}, {"q": "three four", "a": "out there"}]
    corpus = ["far away", "out there", "one two here", "three four here"]
    steps = hfneg.Recipe(k=2, filters=[], sampler=hfneg.TakeTop(1))
    hfneg.mine(rows, corpus, steps, anchor="q", positive="a", out=tmp_path / "mined")
    done = CliRunner().invoke(cli.app, ["leak-rate", str(tmp_path / "mined"), "-q", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["exact"]["leaked_of_retrieved"] == {"value": None, "low": 0.0, "high": 1.0}
    done = CliRunner().invoke(cli.app, ["leak-rate", str(tmp_path / "mined"), "-q"])
    assert "mined of the retrieved unknown" in done.output


def test_a_ledger_that_lacks_scores_says_so(tmp_path: Path) -> None:
    """Where more than a tenth of the replicates hang on scores that nobody asked for."""
    steps = hfneg.Recipe(k=20, teacher=WordTeacher(), sampler=hfneg.TakeTop(1), filters=[hfneg.Band(high=9)])
    hfneg.mine(pairs(), TEXTS, steps, anchor="query", positive="answer", out=tmp_path / "mined")
    loose: LeakRate = hfneg.leak_rate(tmp_path / "mined")
    assert loose.exact is not None
    with pytest.raises(NeedsTeacher, match=r"lacks teacher scores: at least \d+ pairs of \d+ of 31 anchors"):
        hfneg.leak_rate(tmp_path / "mined", filters=[hfneg.Band(high=0.2)], sampler=hfneg.TakeTop(9))
