"""Fusion: equal to a plain reading of each paper's formula, whatever the order of the sources."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples
from scripted import Scripted, SearchOnly, ranked, world

from hfneg.errors import SettingError
from hfneg.pipeline.retrieve import Retrieve
from hfneg.steps.block.block import Block
from hfneg.steps.fusion import RRF, Fusion, RoundRobin, WeightedSum

DOCUMENTS = [f"document {i}" for i in range(9)]
POSITIVES = {"one": [0], "two": [1, 2], "three": [8]}
NAMES = ("a", "b", "c")
few = examples(40)

grades = st.integers(-4, 4).map(lambda n: n / 4)
lists = st.dictionaries(st.integers(0, 8), grades, max_size=9)
sources = st.lists(st.fixed_dictionaries(dict.fromkeys(POSITIVES, lists)), min_size=2, max_size=3)
weights = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.7, 3.0]))


def retrieved(given_sources: list[dict[str, dict[int, float]]], fusion: Fusion, k: int = 9) -> Block:
    retrievers = [
        Scripted({text: ranked(scores) for text, scores in source.items()}, name)
        for name, source in zip(NAMES, given_sources, strict=False)
    ]
    transform = Retrieve(world(DOCUMENTS, POSITIVES), retrievers, k=k, fusion=fusion)
    return transform.run(np.arange(len(POSITIVES)))


def rrf(hits: list[tuple[str, list[Any]]], row: int, k: int, weight: dict[str, float]) -> float:
    parts = []
    for name, found in hits:
        rows = [r for r, _ in found]
        parts.append(weight.get(name, 1.0) * (1 / (k + rows.index(row) + 1)) if row in rows else 0.0)
    return sum(sorted(parts))


def weighted_sum(hits: list[tuple[str, list[Any]]], row: int, weight: dict[str, float]) -> float:
    parts = []
    for name, found in hits:
        scores = dict(found)
        if row in scores:
            low, high = min(scores.values()), max(scores.values())
            parts.append(weight.get(name, 1.0) * ((scores[row] - low) / (high - low) if high > low else 1.0))
    return sum(sorted(parts))


def round_robin(hits: list[tuple[str, list[Any]]], row: int) -> float:
    places = [
        [r for r, _ in found].index(row) + 1 + at / len(hits)
        for at, (_, found) in enumerate(hits)
        if row in dict(found)
    ]
    return 1 / min(places)


def check_against(candidates: Block, given_sources: list[Any], score: Any) -> None:
    """Union, order, masks, ranks and scores of every candidate, and the positives' scores, by plain loops."""
    for i, text in enumerate(POSITIVES):
        hits = [(name, ranked(source[text])) for name, source in zip(NAMES, given_sources, strict=False)]
        fused = {row: np.float32(score(hits, row)) for row in {row for _, found in hits for row, _ in found}}
        order = sorted(fused, key=lambda row: (-fused[row], row))
        part = slice(candidates.indptr[i], candidates.indptr[i + 1])
        assert candidates.rows[part].tolist() == order
        assert candidates.scores[part].tolist() == [fused[row] for row in order]
        for at, row in zip(range(part.start, part.stop), order, strict=True):
            for s, (_, found) in enumerate(hits):
                rows = [r for r, _ in found]
                rank = rows.index(row) + 1 if row in rows else 0
                assert candidates.source_ranks[at, s] == rank
                assert bool(candidates.sources[at] >> s & 1) == (rank > 0)
                stored = candidates.source_scores[at, s]
                assert stored == dict(found)[row] if rank else np.isnan(stored)
    flat = [(text, row) for text, rows in POSITIVES.items() for row in rows]
    for (text, row), scores in zip(flat, candidates.positive_scores.tolist(), strict=True):
        hits = [(name, ranked(source[text])) for name, source in zip(NAMES, given_sources, strict=False)]
        listed = any(row in dict(found) for _, found in hits)
        assert scores[0] == (np.float32(score(hits, row)) if listed else 0.0)
        assert scores[1:] == [dict(found).get(row, 0.0) for _, found in hits]


@few
@given(sources, weights, st.sampled_from([0, 1, 60]))
def test_rrf_is_the_paper_s_formula(given_sources: Any, weight: dict[str, float], k: int) -> None:
    """Everything that comes out of several sources under RRF equals a loop over documents and sources."""
    weight = {name: w for name, w in weight.items() if name in NAMES[: len(given_sources)]}
    found = retrieved(given_sources, RRF(k=k, weights=weight))
    check_against(found, given_sources, lambda hits, row: rrf(hits, row, k, weight))


@few
@given(sources, weights)
def test_weighted_sum_scales_each_list(given_sources: Any, weight: dict[str, float]) -> None:
    """Each source's scores are scaled to 0 .. 1 over the anchor's list; a list of equals counts 1 throughout."""
    weight = {name: w for name, w in weight.items() if name in NAMES[: len(given_sources)]}
    found = retrieved(given_sources, WeightedSum(weights=weight))
    check_against(found, given_sources, lambda hits, row: weighted_sum(hits, row, weight))


@few
@given(sources)
def test_round_robin_takes_turns(given_sources: Any) -> None:
    """The first of each source, then the second of each, a document at its best place."""
    check_against(retrieved(given_sources, RoundRobin()), given_sources, round_robin)


@few
@given(sources, weights, st.sampled_from([RRF(), WeightedSum()]))
def test_the_order_of_the_sources_makes_no_difference(given_sources: Any, weight: dict[str, float], base: Any) -> None:
    """Rows, fused scores and positives' scores are equal in every bit for every order; the columns follow the order."""
    names = NAMES[: len(given_sources)]
    fusion = type(base)(weights={name: w for name, w in weight.items() if name in names})
    found = []
    for order in permutations(range(len(names))):
        retrievers = [
            Scripted({text: ranked(scores) for text, scores in given_sources[s].items()}, names[s]) for s in order
        ]
        got = Retrieve(world(DOCUMENTS, POSITIVES), retrievers, k=9, fusion=fusion).run(np.arange(3))
        back = np.argsort(order)
        found.append(
            (
                got.rows.tolist(),
                got.scores.tobytes(),
                got.source_ranks[:, back].tolist(),
                got.positive_scores[:, 0].tobytes(),
                [sum((mask >> at & 1) << s for at, s in enumerate(order)) for mask in got.sources.tolist()],
            )
        )
    assert all(other == found[0] for other in found)


@examples(200)
@given(st.integers(2, 8), st.integers(0, 2**32))
def test_sums_of_any_weights_are_equal_in_every_bit(n: int, seed: int) -> None:
    """Also for weights whose sums round: the kernel adds in an order of its own."""
    draw = np.random.default_rng(seed)
    names = tuple(f"s{i}" for i in range(n))
    weight = dict(zip(names, draw.random(n).tolist(), strict=True))
    ranks, scores = draw.integers(0, 50, (20, n)), draw.normal(size=(20, n))
    owners = np.sort(draw.integers(0, 3, 20))
    order = draw.permutation(n)
    shuffled = tuple(names[i] for i in order)
    for fusion in (RRF(weights=weight), WeightedSum(weights=weight)):
        one = fusion.fuse(names, owners, ranks, scores)
        other = fusion.fuse(shuffled, owners, ranks[:, order], scores[:, order])
        assert one.tobytes() == other.tobytes()


@few
@given(sources, st.integers(1, 4), st.integers(1, 4))
def test_quotas_bound_what_a_source_brings(given_sources: Any, quota: int, k: int) -> None:
    """No source has more than its quota (or k) of documents that are no known positives; known ones are not counted."""
    found = retrieved(given_sources, RoundRobin(quotas={"a": quota}), k=k)
    for i, (text, positives) in enumerate(POSITIVES.items()):
        part = slice(found.indptr[i], found.indptr[i + 1])
        for s, bound in enumerate([min(quota, k)] + [k] * (len(given_sources) - 1)):
            brought = found.rows[part][(found.sources[part] >> s & 1) > 0]
            listed = [row for row, _ in ranked(given_sources[s][text]) if row not in positives]
            assert sorted(set(brought) - set(positives)) == sorted(listed[:bound])


def test_settings_are_checked() -> None:
    """Weights, quotas and k outside their ranges, and names of no source, are refused with what is expected."""
    for build in (
        lambda: RRF(k=-1),
        lambda: RRF(weights={"a": -1.0}),
        lambda: WeightedSum(weights={"a": float("inf")}),
        lambda: WeightedSum(weights={"a": float("nan")}),
        lambda: RoundRobin(quotas={"a": 0}),
    ):
        with pytest.raises(SettingError, match="must be"):
            build()
    two = [SearchOnly({}, "first"), SearchOnly({}, "second")]
    for fusion in (RRF(weights={"secnd": 1.0}), RoundRobin(quotas={"secnd": 1})):
        with pytest.raises(SettingError, match="Did you mean 'second'"):
            Retrieve(world(DOCUMENTS, POSITIVES), two, k=3, fusion=fusion)
