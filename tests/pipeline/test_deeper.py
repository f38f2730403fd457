"""Anchors with too few negatives are searched deeper; nothing of the first search changes, however it is run."""

from __future__ import annotations

import itertools
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from datasets import Dataset, load_dataset
from hypothesis import example, given, strategies as st
from judge import Judge
from killed import Run, nth, result
from properties import examples
from scripted import Scripted, SearchOnly, ranked, world
from small_collection import HashEncoder, documents, ours, pairs, values
from test_teaching import keeps, of_positives
from typer.testing import CliRunner
from word_teacher import WordTeacher

import hfneg
from hfneg import cli
from hfneg.base import columns
from hfneg.base.hashing import mix, uniform
from hfneg.pipeline import deeper as deepening
from hfneg.pipeline.policy import Policy
from hfneg.runs import units
from hfneg.steps.retrievers.random_documents import permuted

ids = (f"deeper-{i}" for i in itertools.count())

# All of it in plain Python.

TEXTS = [f"document{i} word{i * 7} term{i * 13} name{i * 29}" for i in range(24)]
POSITIVES = {"first question": [0], "second question": [1, 2], "third question": [3, 4, 5]}
BATCH = {"q": list(POSITIVES), "a": [[TEXTS[row] for row in rows] for rows in POSITIVES.values()]}
small_world = world(TEXTS, POSITIVES)

scores = st.sampled_from([-0.25, 0.0, 0.1, 0.5, 0.6, 1.0]) | st.floats(-1, 1, width=32)
shares = st.sampled_from([0.0, 0.05, 0.5]) | st.floats(0, 0.99)
found = st.lists(st.dictionaries(st.integers(0, 23), scores, max_size=24), min_size=3, max_size=3)
bys = st.sampled_from([None, "teacher", "score", "a"])
against = st.sampled_from(["min", "mean", "max"])
filters = st.one_of(
    st.builds(hfneg.Margin, relative=shares, by=bys, against=against),
    st.builds(hfneg.Margin, absolute=shares, by=bys, against=against),
    st.builds(lambda low, wide, by: hfneg.Band(low, low + wide, by=by), scores, shares, bys),
    st.builds(lambda skip, more: hfneg.RankWindow(skip, skip + more), st.integers(0, 4), st.integers(1, 20)),
)
samplers = st.one_of(
    st.builds(hfneg.TakeTop, st.integers(2, 7)),
    st.builds(hfneg.TakeRandom, st.integers(2, 7), seed=st.integers(0, 9)),
    st.builds(hfneg.TakeSimANS, st.integers(2, 7), by=st.sampled_from(["score", "a"]), seed=st.integers(0, 9)),
)
shorts = st.sampled_from([hfneg.Keep(), hfneg.Relax(), hfneg.Fill(), hfneg.Fill(seed=3)])


class Searched:
    """One anchor's list from one or two sources, by k: rows in order, and the scores by name."""

    def __init__(self, lists: dict[str, list[tuple[int, float]]], known: Sequence[int], k: int) -> None:
        self.of = {name: self._cut(hits, known, k) for name, hits in lists.items()}
        if len(lists) == 1:
            self.fused = next(iter(self.of.values()))
        else:
            rows = {row for hits in self.of.values() for row in hits}
            places = [{row: 1 / (61 + i) for i, row in enumerate(hits)} for hits in self.of.values()]
            sums = {row: float(np.float32(sum(sorted(part.get(row, 0.0) for part in places)))) for row in rows}
            self.fused = dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
        listed = {name: dict(hits) for name, hits in lists.items()}
        self.positives = {name: [listed[name].get(row, 0.0) for row in known] for name in lists}
        fused = next(iter(listed.values())) if len(lists) == 1 else self.fused
        self.positives["score"] = [fused.get(row, 0.0) for row in known]

    def _cut(self, hits: list[tuple[int, float]], known: Sequence[int], k: int) -> dict[int, float]:
        kept: dict[int, float] = {}
        for row, score in hits:
            if sum(row not in known for row in kept) < k:
                kept[row] = score
        return kept


class Plain:
    """One anchor: what becomes of its candidates, everything scored, step by step."""

    def __init__(self, recipe: hfneg.Recipe, anchor: int, lists: dict[str, Any], taught: dict[int, float] | None):
        self.recipe, self.anchor, self.taught = recipe, anchor, taught
        self.known = POSITIVES[BATCH["q"][anchor]]
        first = Searched(lists, self.known, recipe.k)
        self.rows, self.first = list(first.fused), len(first.fused)
        self.own = [self._own(first, first, row) for row in self.rows]
        self.unreturned = [self._without(first, row) for row in self.rows]
        self.scores = list(first.fused.values())
        self.dropped: list[int] = []
        self.looked: set[int] = set()
        self.negatives = self._judge(range(self.first), first, [])
        self.deepened = recipe.deeper is not None and len(self.negatives) < recipe.sampler.n
        if self.deepened:
            deeper = Searched(lists, self.known, recipe.deeper or 0)
            new = [row for row in deeper.fused if row not in self.rows]
            self.rows += new
            self.scores += [deeper.fused[row] for row in new]
            for name in lists:  # what a source is known to have given at all
                deeper.of[name] = {r: s for r, s in deeper.of[name].items() if r in new or r in first.of[name]}
            self.own += [self._own(deeper, deeper, row) for row in new]
            self.unreturned += [self._without(deeper, row) for row in new]
            self.negatives += self._judge(range(self.first, len(self.rows)), deeper, self.negatives)
        self.right = len(self.negatives)
        getattr(self, type(recipe.short).__name__.lower())()

    def _own(self, searched: Searched, lists: Searched, row: int) -> dict[str, float]:
        own = {"score": searched.fused[row]}
        for name, hits in lists.of.items():
            own[name] = hits.get(row, min(hits.values(), default=np.nan))
        return own | ({} if self.taught is None else {"teacher": self.taught[row]})

    def _without(self, searched: Searched, row: int) -> set[str]:
        """The sources that did not return it."""
        return {name for name, hits in searched.of.items() if row not in hits}

    def _judge(self, places: Sequence[int], searched: Searched, before: list[int]) -> list[int]:
        """Rows of further negatives."""
        positives = dict(searched.positives)
        default = "score"
        if self.taught is not None:
            positives["teacher"], default = [self.taught[row] for row in self.known], "teacher"
        left = []
        for at in places:
            row, own = self.rows[at], self.own[at]
            steps = [s.__class__(**{**s.settings(), "by": s.by or default}) if hasattr(s, "by") else s
                     for s in self.recipe.filters]  # fmt: skip
            kept = [keeps(step, at + 1, own, positives, [], self.unreturned[at]) for step in steps]
            if row in self.known:
                continue
            if not all(kept):
                self.dropped.append(at)
            if all(k for k, step in zip(kept, steps, strict=True) if getattr(step, "by", "score") != "teacher"):
                left.append((self._place(at, positives), at, all(kept)))
        negatives: list[int] = []
        for _, at, survives in sorted(left):
            if len(before) + len(negatives) < self.recipe.sampler.n:
                self.looked.add(self.rows[at])
                negatives += [self.rows[at]] if survives else []
        return negatives

    def _place(self, at: int, positives: dict[str, list[float]]) -> float:
        sampler = self.recipe.sampler
        if isinstance(sampler, hfneg.TakeTop):
            return at
        drawn = uniform(sampler.seed, self._hash(), np.array([self.rows[at]]))[0]
        if isinstance(sampler, hfneg.TakeRandom):
            return drawn
        distance = self.own[at][sampler.by] - of_positives(positives[sampler.by], "mean") - sampler.b
        place = np.log(-np.log(drawn)) + sampler.a * distance**2
        return np.inf if np.isnan(place) else place

    def _hash(self) -> Any:
        number = small_world.numbers(BATCH)[self.anchor]
        return small_world.normal_hashes[number : number + 1]

    def _below(self, row: int) -> bool:
        return self.taught is None or self.taught[row] < min(self.taught[row] for row in self.known)

    def keep(self) -> None:
        pass

    def relax(self) -> None:
        """The teacher's lowest first, of equal ones (or without a teacher) the deepest."""
        missing = self.recipe.sampler.n - len(self.negatives)
        if missing > 0:
            self.looked |= {self.rows[at] for at in self.dropped}
            order = sorted(self.dropped, key=lambda at: (0 if self.taught is None else self.taught[self.rows[at]], -at))
            self.negatives += [self.rows[at] for at in order if self._below(self.rows[at])][:missing]

    def fill(self) -> None:
        """The anchor's own permutation of the corpus, without what is in the list."""
        order = permuted(np.arange(24, dtype=np.uint64), np.repeat(mix(self.recipe.short.seed, self._hash()), 24), 24)
        listed = list(self.rows)
        for row in order.tolist():
            if len(self.negatives) < self.recipe.sampler.n and row not in [*self.known, *listed]:
                self.looked.add(row)
                if self._below(row):
                    self.rows.append(row)
                    self.negatives.append(row)


def judged(drawn: list[float], with_teacher: bool) -> tuple[Judge, list[dict[int, float]]]:
    taught = [{row: float(np.float32(drawn[24 * i + row])) for row in range(24)} for i in range(3)]
    table = {(q, TEXTS[row]): taught[i][row] for i, q in enumerate(BATCH["q"]) for row in range(24)}
    return Judge(lambda *pair: table[pair]), taught if with_teacher else []


@examples(70)
@given(
    st.lists(found, min_size=1, max_size=2),
    st.lists(scores, min_size=72, max_size=72),
    st.booleans(),
    st.lists(filters, max_size=2),
    samplers,
    st.integers(1, 6),
    st.none() | st.integers(1, 18),
    shorts,
)
# "a" did not return a document that "b" did, and the least score of its list is the band's one value.
@example(
    [[{0: -0.25}, {}, {}], [{0: -0.25, 1: -0.25}, {}, {}]],
    [-0.25] * 72,
    False,
    [hfneg.Band(-0.25, -0.25, by="a")],
    hfneg.TakeTop(2),
    1,
    None,
    hfneg.Fill(seed=0),
)
def test_deeper_and_short_are_plain_python(
    lists: list[list[dict[int, float]]],
    drawn: list[float],
    with_teacher: bool,
    steps: list[Any],
    sampler: Any,
    k: int,
    more: int | None,
    short: Any,
) -> None:
    """Candidates, negatives, scores and sources by an oracle that scores everything; lazy is full; the teacher is asked
    about no more than the sampler's order needs, and about nothing twice."""
    if not with_teacher:
        steps = [step for step in steps if getattr(step, "by", None) != "teacher"]
    judge, taught = judged(drawn, with_teacher)
    names = ["a", "b"][: len(lists)]
    given_lists = [
        {name: ranked(one[i]) for name, one in zip(names, lists, strict=True)} for i in range(3)
    ]  # fmt: skip
    retrievers = [Scripted({q: given_lists[i][name] for i, q in enumerate(BATCH["q"])}, name) for name in names]
    recipe = hfneg.Recipe(
        retrievers=retrievers,
        k=k,
        deeper=None if more is None else k + more,
        teacher=judge.teacher(scale="cosine", id=next(ids)) if with_teacher else None,
        filters=steps,
        sampler=sampler,
        short=hfneg.Fill(),
    ).model_copy(update={"short": short})  # unchecked: many of these leave too few whatever the scores are
    lazy = recipe.transform(small_world, keep_candidates=True)(BATCH)
    oracle = [Plain(recipe, i, given_lists[i], taught[i] if with_teacher else None) for i in range(3)]
    for i, own in enumerate(oracle):
        assert lazy[columns.CANDIDATE_ROWS][i] == own.rows
        assert lazy[columns.NEGATIVES][i] == [TEXTS[row] for row in own.negatives]
        retrieved = [dict(zip(own.rows, own.scores, strict=False)).get(row) for row in own.negatives]
        got = lazy[columns.NEGATIVE_SCORES][i]
        assert [mine for mine, score in zip(got, retrieved, strict=True) if score is not None] == [
            score for score in retrieved if score is not None
        ]
        labels = [word.rpartition("+")[2] for word in lazy[columns.NEGATIVE_SOURCES][i][own.right :]]
        assert set(labels) <= {"relaxed" if short == hfneg.Relax() else "random"}
        if own.deepened:
            assert lazy[columns.CANDIDATE_FIRST][i] == [own.first]
    if with_teacher:
        needed = {(q, TEXTS[r]) for q, own in zip(BATCH["q"], oracle, strict=True) for r in {*own.looked, *own.known}}
        assert set(judge.pairs) == needed
        assert max(Counter(judge.pairs).values()) == 1
        with mock.patch.object(Policy, "why_not_lazy", "a test"):
            full = recipe.transform(small_world)(BATCH)
        for name in full:
            assert lazy[name] == full[name], name


# However it is run.

BOTH = [hfneg.BM25(), hfneg.Dense(HashEncoder())]
STRICT: dict[str, Any] = {
    "retrievers": BOTH,
    "k": 6,
    "deeper": 40,
    "filters": [hfneg.Margin(relative=0.04, by="dense"), hfneg.FirstOfDuplicates()],
}
RECIPES = {
    "keep": hfneg.Recipe(**STRICT, sampler=hfneg.TakeTop(5)),
    "relax": hfneg.Recipe(**STRICT, sampler=hfneg.TakeRandom(5, seed=2), short=hfneg.Relax()),
    "fill": hfneg.Recipe(
        **{**STRICT, "retrievers": BOTH[:1], "deeper": 20, "filters": hfneg.Band(high=1.2)},
        sampler=hfneg.TakeSimANS(14),
        short=hfneg.Fill(4),
    ),
}
TAUGHT = {
    "keep": [hfneg.Margin(relative=0.2)],
    "relax": [hfneg.Margin(relative=0.2), hfneg.RankWindow(skip=2)],
    "fill": [hfneg.Margin(relative=0.2)],
}


class Ground:
    """The small collection, and what each recipe gives in one batch."""

    def __init__(self) -> None:
        self.pairs = pairs()
        self.corpus = hfneg.Corpus.from_texts(documents())
        self.anchors = hfneg.Anchors(self.pairs, self.corpus, anchor="query", positive="answer")
        self._mapped: dict[str, Dataset] = {}

    def mapped(self, recipe: hfneg.Recipe) -> Dataset:
        text = recipe.to_yaml()
        if text not in self._mapped:
            self._mapped[text] = self.pairs.map(recipe.transform(self.anchors), batched=True)
        return self._mapped[text]

    def mine(self, recipe: hfneg.Recipe, out: Path, **options: Any) -> Any:
        return hfneg.mine(self.pairs, self.corpus, recipe, anchor="query", positive="answer", out=out, **options)


@pytest.fixture(scope="module")
def ground() -> Ground:
    return Ground()


def taught(name: str) -> hfneg.Recipe:
    return hfneg.Recipe(
        **{slot: getattr(RECIPES[name], slot) for slot in ("retrievers", "k", "deeper", "sampler", "short")},
        teacher=WordTeacher(),
        filters=TAUGHT[name],
    )


EVERY = {
    "keep": RECIPES["keep"],
    "fill": RECIPES["fill"],
    "relax-taught": taught("relax"),
    "fill-taught": taught("fill"),
}
every_recipe = pytest.mark.parametrize("recipe", EVERY.values(), ids=EVERY)


def summary_of(out: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return facts


@every_recipe
def test_batches_streams_and_mine_give_the_same(
    ground: Ground, recipe: hfneg.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 3, of 7, of all; a stream; `mine` in parts of 4 and in slices of few candidates: the same bits."""
    expected = values(ground.mapped(recipe))
    transform = recipe.transform(ground.anchors)
    assert values(ground.pairs.map(transform, batched=True, batch_size=3)) == expected
    stream = ground.pairs.to_iterable_dataset()
    assert values(stream.map(transform, batched=True, batch_size=7, features=transform.features(stream))) == expected
    assert ours(ground.mine(recipe, tmp_path / "whole")) == ours(ground.mapped(recipe))
    monkeypatch.setattr(units, "PART", 4)
    monkeypatch.setattr(deepening, "HELD", 100)
    assert ours(ground.mine(recipe, tmp_path / "parts")) == ours(ground.mapped(recipe))
    facts = [summary_of(tmp_path / name) for name in ("whole", "parts")]
    assert facts[0]["deeper"]["anchors"] > facts[0]["short"]["anchors"] > 3
    for part in ("deeper", "short"):  # the second run asks nothing new
        asked = [{key: value for key, value in fact[part].items() if "pairs" not in key} for fact in facts]
        assert asked[0] == asked[1]
    ledgers = [
        {name: value for name, value in result(tmp_path / out).items() if name.startswith("ledger")}
        for out in ("whole", "parts")
    ]
    assert ledgers[0] == ledgers[1]


def ledger_of(out: Path) -> list[dict[str, Any]]:
    codes = {int(code): name for code, name in summary_of(out)["verdict_codes"].items()}
    rows = load_dataset(str(out), "ledger", split="anchors").to_list()
    return [{**row, "verdicts": [codes[code] for code in row["verdicts"]]} for row in rows]


@every_recipe
def test_nothing_of_the_first_search_changes(ground: Ground, recipe: hfneg.Recipe, tmp_path: Path) -> None:
    """With `deeper`, rows, scores and verdicts of the first candidates are those of a run without it; its negatives
    come first; only anchors that were short have more candidates, none of them twice; the summary counts them."""
    plain_recipe = recipe.model_copy(update={"deeper": None, "short": hfneg.Keep()})
    before, after = ground.mine(plain_recipe, tmp_path / "before"), ground.mine(recipe, tmp_path / "after")
    n = recipe.sampler.n
    appended = short = 0
    for one, two in zip(ledger_of(tmp_path / "before"), ledger_of(tmp_path / "after"), strict=True):
        first = two["searched_first"]
        assert first == one["searched_first"] == len(one["rows"])
        assert len(set(two["rows"])) == len(two["rows"])
        for name in ("rows", "scores", "sources"):
            assert two[name][:first] == one[name]
        verdicts = zip(one["verdicts"], two["verdicts"], strict=False)
        assert {pair for pair in verdicts if pair[0] != pair[1]} <= {(name, "relaxed") for name in DROPPED}
        was_short = one["verdicts"].count("selected") < n
        filled = two["verdicts"].count("filled")
        appended += len(two["rows"]) - first - filled
        short += was_short
        assert len(two["rows"]) == first or was_short
    for one, two in zip(before, after, strict=True):
        assert two[columns.NEGATIVES][: len(one[columns.NEGATIVES])] == one[columns.NEGATIVES]
        assert two[columns.POSITIVE_SCORES] == one[columns.POSITIVE_SCORES]
    facts = summary_of(tmp_path / "after")
    assert (facts["deeper"]["anchors"], facts["deeper"]["candidates"]) == (short, appended)
    got = facts["negatives_per_anchor"]
    assert facts["short"]["still_short"] == sum(count for many, count in got.items() if int(many) < n)
    assert facts["deeper"]["still_short"] == facts["short"]["anchors"] < short


DROPPED = ("margin", "band", "rank_window", "near_duplicate")


# What it is for, and its edges.


def far_below(anchors: int = 12, relevant: int = 60) -> tuple[Dataset, list[str], Scripted]:
    """As in banking77: an anchor has many relevant documents, one of them known, and they fill the top of its list."""
    texts = [f"intent {i} said in way {j} with words w{i * 61 + j}" for i in range(anchors) for j in range(relevant)]
    rows = Dataset.from_dict(
        {"q": [f"question {i}" for i in range(anchors)], "a": [texts[i * relevant] for i in range(anchors)]}
    )
    hits = {}
    for i in range(anchors):
        others = [(i * relevant + relevant + j) % len(texts) for j in range(100)]
        own = [i * relevant + j for j in range(relevant)]
        hits[f"question {i}"] = [(row, 1000.0 - place) for place, row in enumerate([*own, *others])]
    return rows, texts, Scripted(hits)


def intent(anchor: str, document: str) -> float:
    """A teacher that knows: 1.0 for a relevant document."""
    return 1.0 if document.split()[1] == anchor.split()[1] else 0.1


def test_true_negatives_below_rank_k_are_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """60 relevant documents at the top, k=50: without `deeper` no anchor has a negative (and the log says so), with it
    each has all, and none of them is relevant; the teacher is asked about no more appended ones than it takes."""
    rows, texts, retriever = far_below()
    judge = Judge(intent)
    slots: dict[str, Any] = {
        "retrievers": retriever,
        "k": 50,
        "teacher": judge.teacher(id=next(ids)),
        "filters": hfneg.Margin(relative=0.05),
        "sampler": hfneg.TakeTop(5),
    }
    with caplog.at_level(logging.WARNING, "hfneg"):
        none = hfneg.mine(rows, texts, hfneg.Recipe(**slots), anchor="q", positive="a", out=tmp_path / "short")
    assert sum(map(len, none[columns.NEGATIVES])) == 0
    assert "12 of 12 anchors have fewer than 5 negatives (short: Keep())" in caplog.text
    judge.forget()
    deeper = hfneg.Recipe(**slots, deeper=100)
    found = hfneg.mine(rows, texts, deeper, anchor="q", positive="a", out=tmp_path / "deeper")
    for row in found:
        assert len(row[columns.NEGATIVES]) == 5
        assert all(intent(row["q"], text) < 1 for text in row[columns.NEGATIVES])
        assert row[columns.NEGATIVE_TEACHER_SCORES] == pytest.approx([0.1] * 5)
    asked = judge.forget()
    facts = summary_of(tmp_path / "deeper")
    assert facts["deeper"]["pairs_asked"] == facts["teacher"]["pairs_asked"] == asked
    # nine more relevant ones, then five negatives; asked in rounds of five
    assert 12 * (9 + 5) <= asked <= 12 * (9 + 5 + 4)
    assert facts["deeper"] | {"pairs_asked": 0, "pairs_from_store": 0} == {
        "k": 100,
        "anchors": 12,
        "still_short": 0,
        "candidates": 12 * 50,
        "pairs_asked": 0,
        "pairs_from_store": 0,
    }


def test_only_short_anchors_are_searched_again_in_one_pass(tmp_path: Path) -> None:
    """The retriever is asked once more, for the short anchors alone; where no anchor is short, not at all."""
    texts = [f"text{i} word{i * 7} name{i * 31}" for i in range(40)]
    questions = [f"question {i}" for i in range(6)]
    rows = Dataset.from_dict({"q": questions, "a": texts[:6]})
    hits = {q: [(10 + j, 9.0 - i % 2 * 8 - j / 10) for j in range(30)] for i, q in enumerate(questions)}
    for limit, expected in ((5.0, [(6, 6), (3, 21)]), (0.0, [(6, 6)])):
        source = SearchOnly(hits)
        recipe = hfneg.Recipe(
            retrievers=source, k=5, deeper=20, filters=hfneg.Band(low=limit - 5), sampler=hfneg.TakeTop(5)
        )
        recipe = recipe.with_settings([f"filters=Band(low={limit - 4})"]) if limit else recipe
        anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(texts), anchor="q", positive="a")
        rows.map(recipe.transform(anchors), batched=True, load_from_cache_file=False)
        assert source.asked == expected


def test_the_guard_covers_both_searches() -> None:
    """An appended document that repeats one of the first search, but for case, or a positive, is refused."""
    texts = [
        "the positive of it all",
        "A first candidate",
        "another one",
        "a FIRST candidate",
        "THE positive of it all",
    ]
    texts += ["a third one entirely"]
    anchors = world(texts, {"one": [0]})
    source = Scripted({"one": [(1, 5.0), (2, 4.0), (3, 3.0), (4, 2.0), (5, 1.0)]})
    recipe = hfneg.Recipe(retrievers=source, k=2, deeper=5, filters=hfneg.Band(high=4.5), sampler=hfneg.TakeTop(4))
    transform = recipe.transform(anchors, keep_candidates=True)
    rows = transform({"q": ["one"], "a": [texts[0]]})
    codes = transform.select.policy.verdict_names
    assert [codes[code] for code in rows[columns.CANDIDATE_VERDICTS][0]] == [
        "band",
        "selected",
        "repeat",
        "near_positive",
        "selected",
    ]


@pytest.mark.parametrize("recipe", [RECIPES["keep"], taught("keep")], ids=["score", "teacher"])
def test_kept_candidates_can_be_selected_from_again(ground: Ground, recipe: hfneg.Recipe) -> None:
    """The candidate columns say which candidates are of the first search: `Select` over them gives the same rows."""
    transform = recipe.transform(ground.anchors, keep_candidates=True)
    kept = ground.pairs.map(transform, batched=True)
    ours_of = [column for column in columns.MINED if column in kept.column_names]
    bare = kept.remove_columns([*ours_of, columns.CANDIDATE_VERDICTS])
    again = bare.map(transform.select, batched=True, batch_size=9)
    assert values(again, ours_of) == values(kept, ours_of)
    assert values(kept, ours_of) == values(ground.mapped(recipe), ours_of)


def test_quotas_hold_in_the_deeper_search() -> None:
    """A source with a quota brings no more documents when it is searched deeper."""
    texts = [f"text{i} word{i * 7} name{i * 31}" for i in range(40)]
    anchors = world(texts, {"one": [0]})
    sources = [Scripted({"one": [(row, 1.0 / row) for row in rows]}, name) for name, rows in SOURCES.items()]
    recipe = hfneg.Recipe(
        retrievers=sources,
        k=4,
        deeper=9,
        fusion=hfneg.RoundRobin(quotas={"b": 2}),
        sampler=hfneg.TakeTop(11),
    )
    rows = recipe.transform(anchors)({"q": ["one"], "a": [texts[0]]})
    found = rows[columns.NEGATIVE_SOURCES][0]
    assert Counter(found) == {"a": 9, "b": 2}


SOURCES = {"a": range(1, 20), "b": range(20, 39)}


@pytest.mark.parametrize(("documents_there", "searches"), [(3, [3]), (9, [5, 9]), (30, [5, 20])])
def test_deeper_is_cut_to_the_corpus(documents_there: int, searches: list[int]) -> None:
    """`k` and `deeper` above the corpus mean all of it; where k has it all there is no second search."""
    texts = [f"text{i} word{i * 7} name{i * 31}" for i in range(documents_there)]
    source = SearchOnly({"one": [(row, 1.0 / (1 + row)) for row in range(1, documents_there)]})
    recipe = hfneg.Recipe(retrievers=source, k=5, deeper=20, sampler=hfneg.TakeTop(20))
    rows = recipe.transform(world(texts, {"one": [0]}))({"q": ["one"], "a": [texts[0]]})
    assert [k - 1 if k < documents_there else k for _, k in source.asked] == searches
    assert len(rows[columns.NEGATIVES][0]) == min(documents_there, 21) - 1


# Killed and resumed; the command line.


def test_killed_in_every_stage(tmp_path: Path) -> None:
    """Two sources, a teacher, Relax: SIGKILL in each stage, resumed after each, gives what an undisturbed run gives,
    and no pair is scored twice but those of the block at hand."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("some weights")
    recipe = hfneg.Recipe(
        retrievers=[hfneg.BM25(), hfneg.Dense(folder)],
        k=6,
        deeper=40,
        teacher=WordTeacher(),
        filters=[hfneg.Margin(relative=0.2), hfneg.RankWindow(skip=2)],
        sampler=hfneg.TakeRandom(5),
        short=hfneg.Relax(),
    )
    one, two = Run(tmp_path / "a", recipe.to_yaml()), Run(tmp_path / "b", recipe.to_yaml())
    assert one.start() == 0, one.errors
    stages_here = ("examine", "deeper/1", "choose")
    for stage in stages_here:
        assert two.start(nth(stage, 2 if stage in ("examine", "choose") else 1)) != 0
    assert two.start() == 0, two.errors
    two.check_no_work_twice(len(stages_here))
    results = [
        {name: value for name, value in result(run.out).items() if name.endswith(".parquet")} for run in (one, two)
    ]
    assert results[0] == results[1]
    facts = [summary_of(run.out) for run in (one, two)]
    assert facts[0]["verdicts"] == facts[1]["verdicts"]
    assert facts[0]["verdicts"]["relaxed"] > 5


def test_the_command_line_says_what_was_done(tmp_path: Path) -> None:
    """`--set deeper=60 --set "short=Fill(seed=1)"`: the end says how many anchors were searched deeper, how many were
    still short, and what was filled; the recipe that is kept has both slots."""
    given_pairs, corpus = tmp_path / "pairs.parquet", tmp_path / "docs.parquet"
    pairs().select_columns(["query", "answer"]).to_parquet(str(given_pairs))
    Dataset.from_dict({"text": documents()}).to_parquet(str(corpus))
    command = ["mine", str(given_pairs), "--corpus", str(corpus), "--anchor", "query", "--positive", "answer"]
    command += [
        "--set",
        "k=6",
        "--set",
        "deeper=60",
        "--set",
        "filters=Margin(relative=0.5)",
        "--set",
        "short=Fill(seed=1)",
    ]
    run = CliRunner().invoke(cli.app, [*command, "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    facts, said = summary_of(tmp_path / "out"), " ".join(run.output.split())
    deeper, short = facts["deeper"], facts["short"]
    assert deeper["anchors"] > deeper["still_short"] == short["anchors"] > 0
    assert (
        f"{deeper['anchors']} anchors searched deeper, 60 candidates per source: {short['anchors']} still short" in said
    )
    assert f"{short['filled']} negatives filled (Fill(seed=1)), for {short['anchors']} short anchors" in said
    kept = hfneg.Recipe.load(tmp_path / "out" / "recipe.yaml")
    assert (kept.deeper, kept.short) == (60, hfneg.Fill(seed=1))


def test_fused_scores_of_a_deeper_search_are_compared_with_the_positive_s_there() -> None:
    """The positive is in no list of the first search, so its fused score is 0 there and a margin drops everything; in
    the deeper lists it has a score, and what ranks below it is kept."""
    texts = [f"text{i} word{i * 7} name{i * 31}" for i in range(20)]
    lists = {"a": [1, 2, 3, 0, 4, 5, 6], "b": [7, 8, 9, 0, 10, 11, 12]}
    sources = [Scripted({"one": [(row, 9.0 - i) for i, row in enumerate(rows)]}, name) for name, rows in lists.items()]
    recipe = hfneg.Recipe(
        retrievers=sources, k=2, deeper=6, filters=hfneg.Margin(absolute=0.0, by="score"), sampler=hfneg.TakeTop(4)
    )
    rows = recipe.transform(world(texts, {"one": [0]}))({"q": ["one"], "a": [texts[0]]})
    assert rows[columns.NEGATIVES] == [[texts[row] for row in (3, 9, 4, 10)]]
    assert rows[columns.POSITIVE_SCORES] == [[0.0]]
