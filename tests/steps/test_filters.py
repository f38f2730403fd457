"""Filters: each keeps exactly what its one sentence says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples
from scripted import Scripted, SearchOnly, decided, ranked, world

import hfneg
from hfneg.errors import SettingError
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.select import Policy
from hfneg.steps.block.pool import Pool
from hfneg.steps.filters import Band, Filter, Margin, RankWindow
from hfneg.steps.retrievers import BM25, RandomDocuments
from hfneg.steps.samplers import TakeTop

DOCUMENTS = [f"document {i} is here" for i in range(12)]
POSITIVES = {"one": [0], "two": [1, 2], "three": [0, 5, 11]}
few = examples(60)

grades = st.integers(-8, 8).map(lambda n: n / 8)
lists = st.fixed_dictionaries({text: st.dictionaries(st.integers(0, 11), grades) for text in POSITIVES})
either = st.sampled_from(["score", "a"])
AGAINST = {"min": min, "mean": lambda values: sum(values) / len(values), "max": max}


def pool_of(*sources: dict[str, dict[int, float]], k: int = 12) -> Pool:
    """All candidates of the three anchors from sources "a", "b", with scores for whatever is asked about."""
    anchors = world(DOCUMENTS, POSITIVES)
    retrievers = [
        Scripted({text: ranked(scores) for text, scores in source.items()}, name)
        for name, source in zip("ab", sources, strict=False)
    ]
    return Pool(anchors, Retrieve(anchors, retrievers, k=k).run(np.arange(3)))


def kept(step: Filter, pool: Pool) -> list[bool]:
    mask = step.keep(pool)
    assert (mask.dtype, mask.shape) == (np.dtype(bool), (len(pool),))
    return mask.tolist()


def positives_of(pool: Pool, by: str) -> list[list[float]]:
    """The scores of each anchor's positives."""
    column = pool.block.positive_scores[:, 0 if by == "score" else 1 + pool.block.names.index(by)]
    ends = pool.positives.indptr
    return [column[a:b].astype(float).tolist() for a, b in pairwise(ends)]


def bound(pool: Pool, by: str) -> list[float]:
    """The score, or the least of the source's list for that anchor where the source did not retrieve the candidate."""
    scores = pool.score(by).astype(float).tolist()
    least = {}
    for owner, score in zip(pool.owners.tolist(), scores, strict=True):
        if score == score:
            least[owner] = min(score, least.get(owner, score))
    return [
        score if score == score else least.get(owner, float("nan"))
        for owner, score in zip(pool.owners.tolist(), scores, strict=True)
    ]


@few
@given(lists, st.integers(0, 12), st.none() | st.integers(1, 12))
def test_rank_window(source: Any, skip: int, more: int | None) -> None:
    """skip < rank <= stop, ranks counted in the retrieved list with the positives in it."""
    pool = pool_of(source)
    stop = None if more is None else skip + more
    ranks = [j + 1 for text in POSITIVES for j in range(len(source[text]))]
    assert kept(RankWindow(skip, stop), pool) == [skip < rank <= (stop or 99) for rank in ranks]


@few
@given(lists, lists, either, grades, grades)
def test_band(one: Any, two: Any, by: str, a: float, b: float) -> None:
    """low <= score <= high; what the source did not retrieve is below every low, and counts for high as the least."""
    pool = pool_of(one, two)
    low, high = min(a, b), max(a, b)
    scores, most = pool.score(by).astype(float).tolist(), bound(pool, by)
    assert kept(Band(low=low, by=by), pool) == [score >= low for score in scores]
    assert kept(Band(high=high, by=by), pool) == [score <= high for score in most]
    assert kept(Band(low, high, by=by), pool) == [low <= score <= high for score in scores]


@few
@given(lists, lists, st.sampled_from(["score", "a", "b"]), st.sampled_from(["min", "mean", "max"]), grades.map(abs))
def test_margin(one: Any, two: Any, by: str, against: Any, share: float) -> None:
    """score <= positive - absolute, score <= positive - relative x |positive|, for the chosen positive and score."""
    pool = pool_of(one, two)
    limits = [float(np.float32(AGAINST[against](scores))) for scores in positives_of(pool, by)]
    pairs = [(most, limits[owner]) for most, owner in zip(bound(pool, by), pool.owners.tolist(), strict=True)]
    absolute = kept(Margin(absolute=share, by=by, against=against), pool)
    assert absolute == [most <= limit - share for most, limit in pairs]
    if share < 1:
        relative = kept(Margin(relative=share, by=by, against=against), pool)
        assert relative == [most <= limit - share * abs(limit) for most, limit in pairs]


@few
@given(lists, lists, either, st.sampled_from(["min", "mean", "max"]), grades.map(abs), grades.map(abs))
def test_a_wider_margin_never_keeps_more(one: Any, two: Any, by: str, against: Any, a: float, b: float) -> None:
    """What a margin keeps a narrower one keeps too; and a smaller positive ("min") never keeps more than a larger."""
    pool = pool_of(one, two)
    wide, narrow = max(a, b), min(a, b)
    for kind in ("absolute", "relative"):
        if kind == "absolute" or wide < 1:
            one_kept = np.array(kept(Margin(**{kind: wide}, by=by, against=against), pool), dtype=bool)
            other_kept = np.array(kept(Margin(**{kind: narrow}, by=by, against=against), pool), dtype=bool)
            assert not (one_kept & ~other_kept).any()
    least, mean, most = (Margin(absolute=a, by=by, against=x).keep(pool) for x in ("min", "mean", "max"))
    assert not (least & ~mean).any()
    assert not (mean & ~most).any()


def test_a_relative_margin_below_a_negative_positive() -> None:
    """Five percent below -0.2 is -0.21: a positive below zero does not raise the limit."""
    source = {"one": {0: -0.2, 3: -0.19, 4: -0.2, 5: -0.205, 6: -0.22}, "two": {}, "three": {}}
    pool = pool_of(source)
    rows = pool.rows[np.array(kept(Margin(relative=0.05), pool))]
    assert rows.tolist() == [6]
    assert pool.rows[np.array(kept(Margin(relative=0.0), pool))].tolist() == [0, 4, 5, 6]


def test_margin_against_several_positives() -> None:
    """Of positives 0.4 and 0.8 the least, their mean or the largest is what a candidate must stay below."""
    source = {"one": {}, "two": {1: 0.8, 2: 0.4, 3: 0.35, 4: 0.55, 5: 0.75}, "three": {}}
    pool = pool_of(source)
    for against, rows in (("min", [3]), ("mean", [4, 2, 3]), ("max", [5, 4, 2, 3])):
        found = pool.rows[np.array(kept(Margin(absolute=0.04, against=against), pool))]  # type: ignore[arg-type]
        assert found.tolist() == rows, against


def test_the_bound_of_what_a_source_did_not_retrieve() -> None:
    """A document that source b left out of its top k scores at most b's last, whatever its place with the other."""
    one = {"one": {3: 0.9, 4: 0.8, 5: 0.7}, "two": {3: 0.5}, "three": {}}
    two = {"one": {0: 0.6, 6: 0.5, 3: 0.2}, "two": {}, "three": {4: 0.1}}
    pool = pool_of(one, two)
    got = dict(zip(zip(pool.owners.tolist(), pool.rows.tolist(), strict=True), pool.highest_possible("b"), strict=True))
    least = np.float32(0.2)
    assert (got[0, 4], got[0, 5], got[0, 3], got[0, 6]) == (least, least, least, np.float32(0.5))
    assert np.isnan(got[1, 3])
    # b found nothing for "two", so nothing bounds the score of document 3: no filter by b keeps it
    for step in (Margin(absolute=0.0, by="b"), Band(high=1.0, by="b"), Band(low=-1.0, by="b")):
        assert not step.keep(pool)[pool.owners == 1].any()
    below = Margin(absolute=0.3, by="b").keep(pool)  # the positive has 0.6, so at most 0.3: the bound decides
    assert pool.rows[below & (pool.owners == 0)].tolist() == [3, 4, 5]


@pytest.mark.parametrize("last", [True, False])
def test_an_anchor_without_candidates_disturbs_no_other(last: bool) -> None:
    """An empty list, at the end of a block too, leaves the other anchors' verdicts as they are."""
    full = {0: 0.5, 3: 0.25, 4: 0.5}
    source = {"one": full, "two": {}, "three": {} if last else {3: 0.5}}
    pool = pool_of(source, {"one": {4: 1.0}, "two": {}, "three": {}})
    for step in (Margin(absolute=0.25, by="a"), Band(0.0, 0.25, by="a"), RankWindow(1)):
        assert len(kept(step, pool)) == len(pool)
    assert pool.rows[np.array(kept(Margin(absolute=0.25, by="a"), pool))].tolist()[:1] == [3]


def test_by_names_a_source() -> None:
    """A name of no source is refused with the near miss, when the transform is made and when a filter runs alone."""
    anchors = world(DOCUMENTS, POSITIVES)
    recipe = Recipe(retrievers=[Scripted({})], k=7, filters=[Margin(relative=0.1, by="scriptd")])
    with pytest.raises(SettingError, match="Did you mean 'scripted'"):
        recipe.transform(anchors)
    pool = pool_of({text: {} for text in POSITIVES})
    with pytest.raises(SettingError, match="the scores are 'score', 'a'"):
        Band(low=0, by="b").keep(pool)


@pytest.mark.parametrize("retriever", [RandomDocuments(), SearchOnly({})])
def test_a_margin_on_a_source_without_score_is_refused_before_work(retriever: Any) -> None:
    """A positive's score cannot be had there: refused when the transform is made, with the way out."""
    anchors = world(DOCUMENTS, POSITIVES)
    for step in ({"filters": [Margin(relative=0.1)]}, {"sampler": hfneg.TakeSimANS(3)}):
        with pytest.raises(SettingError, match=r"score\(texts, rows\)"):
            Recipe(retrievers=[retriever], k=7, **step).transform(anchors)
    several = Recipe(retrievers=[retriever, BM25()], k=7, filters=[Margin(relative=0.1)])
    several.transform(anchors)  # the fused score of a positive is known
    by_that = several.with_settings([f"filters.margin.by={retriever.name}"])
    with pytest.raises(SettingError, match=r"score\(texts, rows\)"):
        by_that.transform(anchors)


@pytest.mark.parametrize(
    "build",
    [
        lambda: RankWindow(skip=-1),
        lambda: RankWindow(skip=3, stop=3),
        lambda: RankWindow(skip=1.5),  # type: ignore[arg-type]
        lambda: Band(),
        lambda: Band(low=1.0, high=0.5),
        lambda: Margin(),
        lambda: Margin(relative=0.1, absolute=0.1),
        lambda: Margin(relative=1.0),
        lambda: Margin(relative=-0.1),
        lambda: Margin(absolute=-0.1),
        lambda: Margin(relative=0.1, against="median"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_checked_when_a_filter_is_made(build: Any) -> None:
    """A setting that makes no sense is refused with its name and what was expected."""
    with pytest.raises(SettingError, match="must be"):
        build()


# The policy: filters and sampler together.


@dataclass(frozen=True)
class Every(Filter):
    """Keeps rows by a remainder; only for these tests."""

    n: int = 2
    verdict = "every"

    def keep(self, pool: Pool) -> Any:
        return pool.rows % self.n > 0


steps = st.lists(
    st.sampled_from([RankWindow(1), RankWindow(0, 6), Band(low=-0.5), Band(high=0.5), Margin(absolute=0.25), Every(3)]),
    max_size=3,
    unique=True,
)


@few
@given(lists, steps, st.integers(1, 5), st.randoms())
def test_one_verdict_each_and_only_kept_ones_are_taken(source: Any, filters: Any, n: int, shuffle: Any) -> None:
    """Each candidate has one named verdict, at most n are taken, all of them kept by every filter, in rank order; and
    the order of the filters changes only which of them is named."""
    pool = pool_of(source)
    policy = Policy(filters, TakeTop(n))
    chosen = decided(policy, pool.anchors, pool.block)
    names = [policy.verdict_names[code] for code in chosen.verdicts.tolist()]
    assert len(names) == len(pool)
    masks = [np.array(kept(step, pool), dtype=bool) for step in filters]
    guarded = np.isin(pool.rows, [0, 1, 2, 5, 11]) & np.array(
        [row in list(POSITIVES.values())[owner] for row, owner in zip(pool.rows, pool.owners, strict=True)], dtype=bool
    )
    for i in range(3):
        mine = np.flatnonzero(pool.owners == i)
        fit = [at for at in mine if not guarded[at] and all(mask[at] for mask in masks)]
        assert chosen.negatives[i].tolist() == pool.rows[fit[:n]].tolist()
        for at in mine:
            first = next((step.verdict for step, mask in zip(filters, masks, strict=True) if not mask[at]), None)
            expected = "known_positive" if guarded[at] else first or ("selected" if at in fit[:n] else "spare")
            assert names[at].removesuffix("_2").removesuffix("_3") == expected
    other = list(filters)
    shuffle.shuffle(other)
    again = decided(Policy(other, TakeTop(n)), pool.anchors, pool.block)
    assert again.negatives.flat.tolist() == chosen.negatives.flat.tolist()
    assert again.negatives.indptr.tolist() == chosen.negatives.indptr.tolist()
    assert ((again.verdicts < 16) == (chosen.verdicts < 16)).all()
    assert (again.verdicts[again.verdicts < 16] == chosen.verdicts[chosen.verdicts < 16]).all()


def test_two_filters_of_one_name_are_told_apart() -> None:
    """The second margin's verdict is margin_2."""
    policy = Policy([Margin(relative=0.1), Band(low=0), Margin(absolute=0.1)])
    assert [policy.verdict_names[code] for code in (16, 17, 18)] == ["margin", "band", "margin_2"]


def test_what_is_no_step_is_refused() -> None:
    """A sampler among the filters, a class instead of a step, a filter whose mask has the wrong shape: all said."""
    for wrong in ([TakeTop(3)], [Margin], ["Margin(relative=0.1)"]):
        with pytest.raises(SettingError, match="is no filter"):
            Policy(wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="is no sampler"):
        Policy(sampler=Margin(relative=0.1))  # type: ignore[arg-type]

    @dataclass(frozen=True)
    class Scalar(Filter):
        verdict = "scalar"

        def keep(self, pool: Pool) -> Any:
            return True

    pool = pool_of({text: {3: 1.0} for text in POSITIVES})
    with pytest.raises(SettingError, match="one bool per candidate"):
        decided(Policy([Scalar()]), pool.anchors, pool.block)
