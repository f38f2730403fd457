"""`Block`: its parts and longer lists, compared with the same done to plain records, one per anchor."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from hfneg.base.lists import Lists, offsets
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import EACH, Block, is_in

S, T = 2, 3
WIDTH = {"positive_scores": (1 + S,), "deeper_positive_scores": (1 + S,), "positive_member_scores": (T,)}
WIDTH |= {"source_scores": (S,), "source_ranks": (S,), "member_scores": (T,)}
OPTIONAL = [field.name for field in fields(Block) if field.default is None]


def made(shape: list[tuple[list[int], list[int]]], seed: int, without: frozenset[str] = frozenset()) -> Block:
    """A block of anchors with these (rows, positives); every other value is random, and no two are likely equal."""
    random = np.random.default_rng(seed)
    n, rows = len(shape), [row for own, _ in shape for row in own]
    known = Lists(offsets([len(own) for _, own in shape]), np.array([row for _, own in shape for row in sorted(own)]))
    sizes = {"anchor": n, "positive": len(known.flat), "candidate": len(rows)}
    arrays = {
        name: random.random((sizes[what], *WIDTH.get(name, ()))).astype(np.float32)
        for what, names in EACH.items()
        for name in names
        if name not in without
    }
    lengths = np.array([len(own) for own, _ in shape])
    arrays |= {"numbers": np.arange(n) + 100, "rows": np.array(rows, dtype=np.int64), "first": lengths // 2}
    arrays |= {"verdicts": random.integers(0, 20, len(rows)).astype(np.uint8), "turns": np.arange(len(rows)) % 4 - 1}
    return Block(names=("a", "b"), indptr=offsets(lengths), positives=known, **arrays)


def records(block: Block) -> list[dict[str, Any]]:
    """One record per anchor: its own values, and a record for each of its positives and candidates."""
    spans = {"positive": block.positives.indptr, "candidate": block.indptr}
    return [
        {
            **{name: getattr(block, name)[i] for name in EACH["anchor"]},
            "positives": block.positives[i].tolist(),
            **{
                what: [
                    {name: np.asarray(getattr(block, name)[j]).tolist() for name in there(block, what)}
                    for j in range(indptr[i], indptr[i + 1])
                ]
                for what, indptr in spans.items()
            },
        }
        for i in range(len(block.numbers))
    ]


def there(block: Block, what: str) -> list[str]:
    return [name for name in EACH[what] if getattr(block, name) is not None]


rows = st.lists(st.integers(0, 9), max_size=6, unique=True)
anchors = st.tuples(rows, st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
shapes = st.lists(anchors, min_size=1, max_size=4)
seeds = st.integers(0, 1000)
left_out = st.frozensets(st.sampled_from(OPTIONAL))


def test_every_array_belongs_to_anchors_positives_or_candidates() -> None:
    """So that none is forgotten when a block is cut or made longer."""
    named = [name for names in EACH.values() for name in names]
    assert sorted([*named, "names", "indptr", "positives"]) == sorted(field.name for field in fields(Block))


@given(shapes, seeds, left_out, st.data())
def test_take_gives_the_anchors_asked_for(shape: Any, seed: int, without: frozenset[str], data: Any) -> None:
    block = made(shape, seed, without)
    at = data.draw(st.lists(st.integers(0, len(shape) - 1), max_size=5))
    whole = records(block)
    assert records(block.take(np.array(at, dtype=np.int64))) == [whole[i] for i in at]


@given(shapes, seeds, left_out, st.data())
def test_only_keeps_the_candidates_asked_for(shape: Any, seed: int, without: frozenset[str], data: Any) -> None:
    """Of the first search as many count as are left of it."""
    block = made(shape, seed, without)
    kept = [data.draw(st.booleans()) for _ in range(len(block))]
    marks, expected = iter(kept), []
    for record in records(block):
        own = [next(marks) for _ in record["candidate"]]
        left = [one for one, keep in zip(record["candidate"], own, strict=True) if keep]
        expected.append({**record, "candidate": left, "first": sum(own[: record["first"]])})
    assert records(block.only(np.array(kept, dtype=bool))) == expected


@given(shapes, seeds, left_out, st.data())
def test_knowing_keeps_the_positives_asked_for(shape: Any, seed: int, without: frozenset[str], data: Any) -> None:
    block = made(shape, seed, without)
    expected, kept = [], []
    for record in records(block):
        size = len(record["positives"])
        own = data.draw(st.lists(st.booleans(), min_size=size, max_size=size).filter(any))
        kept += own
        left = {
            name: [v for v, keep in zip(record[name], own, strict=True) if keep] for name in ("positives", "positive")
        }
        expected.append({**record, **left})
    assert records(block.knowing(np.array(kept))) == expected


@given(st.lists(st.tuples(anchors, rows), min_size=1, max_size=4), seeds)
def test_extended_adds_what_is_new_behind_the_list(both: Any, seed: int) -> None:
    """In its order, spare and unknown where the other block says nothing; the lists themselves stay as they are."""
    unknown = frozenset(["closed", "teacher_scores", "member_scores"])
    block, more = made([one for one, _ in both], seed), made([(own, one[1]) for one, own in both], seed + 1, unknown)
    got, expected = records(block.extended(more)), []
    for record, other in zip(records(block), records(more), strict=True):
        listed = [one["rows"] for one in record["candidate"]]
        blank = {"closed": 0.0, "teacher_scores": None, "member_scores": [None] * T}
        new = [{**blank, **one} for one in other["candidate"] if one["rows"] not in listed]
        expected.append({**record, "candidate": [*record["candidate"], *new]})
    assert _none_for_nan(got) == _none_for_nan(expected)


@given(shapes, seeds, st.data())
def test_replaced_puts_longer_lists_in_their_places(shape: Any, seed: int, data: Any) -> None:
    """With all that is known of them; anchors without a longer list have no score from a deeper search."""
    block = made(shape, seed, frozenset(["deeper_positive_scores"]))
    order = data.draw(st.permutations(range(len(shape))))
    cut = data.draw(st.integers(0, len(order)))
    end = data.draw(st.integers(cut, len(order)))
    expected, pieces = records(block), []
    for record in expected:
        for one in record["positive"]:
            one["deeper_positive_scores"] = [None] * (1 + S)
    for at in (sorted(order[:cut]), sorted(order[cut:end])):
        if at:
            longer = made(
                [([*shape[i][0], *range(10, 10 + data.draw(st.integers(0, 3)))], shape[i][1]) for i in at], seed + 7
            )
            longer = Block(**{**vars_of(longer), "numbers": block.numbers[at], "first": block.first[at]})
            pieces.append((np.array(at), longer))
            for i, record in zip(at, records(longer), strict=True):
                expected[i] = record
    got = records(block.replaced(pieces))
    if not pieces:
        expected = records(block)
    assert _none_for_nan(got) == _none_for_nan(expected)


orders = st.integers(0, 2).map(float)  # few, so that many are equal


@given(shapes, st.integers(-1, 4), st.data())
def test_first_of_and_taking_by_order_then_by_rank(shape: Any, n: int, data: Any) -> None:
    """Of those that may be taken, until the anchor has n; what was taken before keeps its turn and its verdict."""
    block, m = made(shape, 0), sum(len(own) for own, _ in shape)
    among = data.draw(st.lists(st.booleans(), min_size=m, max_size=m))
    order = data.draw(st.lists(orders, min_size=m, max_size=m))
    before = data.draw(st.lists(st.booleans(), min_size=m, max_size=m))
    turns, codes, first = [], block.verdicts.tolist(), [False] * m
    for start, stop in itertools.pairwise(block.indptr.tolist()):
        own = range(start, stop)
        had = [j for j in own if before[j]]
        turns += [had.index(j) if j in had else -1 for j in own]
        wanted = sorted((j for j in own if among[j] and j not in had), key=lambda j: (order[j], j))
        for j in wanted[: max(n, 0)]:
            first[j] = True
        for j in wanted[: max(n - len(had), 0)]:
            turns[j], codes[j] = len(had) + wanted.index(j), 99
    earlier = np.array([-1] * m, dtype=np.int64)
    for start, stop in itertools.pairwise(block.indptr.tolist()):
        at = [j for j in range(start, stop) if before[j]]
        earlier[at] = np.arange(len(at))
    block = Block(**{**vars_of(block), "turns": earlier})
    may = np.array(among, dtype=bool) & ~np.array(before, dtype=bool)
    assert block.first_of(may, np.array(order), n).tolist() == first
    taken = block.taking(may, np.array(order), max(n, 0), 99)
    assert taken.turns.tolist() == turns
    assert taken.verdicts.tolist() == codes
    assert block.turns.tolist() == earlier.tolist(), "a block does not change"


def test_undecided_is_as_the_guard_has_left_it() -> None:
    block = made([([1, 2, 3, 4], [5])], 0)
    codes = np.array(
        [verdicts.KNOWN_POSITIVE, verdicts.SELECTED, verdicts.CONTAINED, verdicts.FIRST_FILTER], dtype=np.uint8
    )
    fresh = Block(**{**vars_of(block), "verdicts": codes}).undecided()
    assert fresh.verdicts.tolist() == [verdicts.KNOWN_POSITIVE, verdicts.SPARE, verdicts.CONTAINED, verdicts.SPARE]
    assert fresh.turns.tolist() == [-1] * 4
    assert (fresh.teacher_scores, fresh.positive_member_scores) == (None, None)


@given(shapes, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=9))
def test_is_in_finds_rows_in_their_owners_lists(shape: Any, asked: list[tuple[int, int]]) -> None:
    block = made(shape, 0)
    owners = np.array([owner % len(shape) for owner, _ in asked], dtype=np.int64)
    wanted = np.array([row for _, row in asked], dtype=np.int64)
    expected = [row in shape[owner][1] for owner, row in zip(owners.tolist(), wanted.tolist(), strict=True)]
    assert is_in(block.positives, owners, wanted).tolist() == expected


def vars_of(block: Block) -> dict[str, Any]:
    return {field.name: getattr(block, field.name) for field in fields(Block)}


def _none_for_nan(value: Any) -> Any:
    """NaN equals nothing."""
    if isinstance(value, dict):
        return {name: _none_for_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_none_for_nan(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value
