"""Mining with a teacher: asked on demand and never twice, with the negatives that asking about everything gives."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Dataset, DatasetDict, load_dataset
from hypothesis import given, strategies as st
from judge import Judge, Pairs, ids
from mine_with_teacher import RECIPE
from places import SUPPORT
from properties import examples
from scripted import Scripted, ranked, world
from small_collection import bits, documents, ours, pairs
from typer.testing import CliRunner
from word_teacher import WordTeacher

import hfneg
from hfneg import cli, formats
from hfneg.base import columns
from hfneg.base.hashing import hash_texts, uniform
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.errors import NonFiniteError, RecipeError, SettingError
from hfneg.pipeline.policy import Policy
from hfneg.runs import units
from hfneg.steps import scorer as scoring


def share(anchor: str, document: str) -> float:
    """As `WordTeacher` scores."""
    return WordTeacher().of(anchor, document)


@dataclass(frozen=True)
class Together(hfneg.Filter):
    """Keeps what is not the best of its list by the teacher: a verdict that depends on other candidates."""

    verdict = "best"
    pointwise = False
    needs_teacher = True

    def keep(self, pool: Any) -> Any:
        best = np.full(len(pool.numbers), -np.inf, dtype=np.float32)
        np.fmax.at(best, pool.owners, pool.score("teacher"))
        return pool.score("teacher") < best[pool.owners]


@dataclass(frozen=True)
class Undeclared(hfneg.Filter):
    """Reads the teacher's score and does not say so."""

    verdict = "undeclared"

    def keep(self, pool: Any) -> Any:
        return pool.score("teacher") < 0.5


@dataclass(frozen=True)
class Declared(Undeclared):
    """The same, and says so."""

    needs_teacher = True


@dataclass(frozen=True)
class EasiestFirst(hfneg.Sampler):
    """The user's own order by the teacher's score; NaN for those that were dropped before."""

    needs_teacher = True

    def places(self, pool: Any) -> Any:
        return pool.score("teacher")


@dataclass(frozen=True)
class UndeclaredOrder(hfneg.Sampler):
    """Reads the teacher's score and does not say so."""

    def places(self, pool: Any) -> Any:
        return np.nan_to_num(pool.score("teacher"))


# Lazy is full, and both are what plain Python says.

TEXTS = [f"document{i} word{i * 7} term{i * 13} name{i * 29}" for i in range(16)]
POSITIVES = {"first question": [0], "second question": [1, 2], "third question": [3, 4, 5]}
BATCH = {"q": list(POSITIVES), "a": [[TEXTS[row] for row in rows] for rows in POSITIVES.values()]}
small_world = world(TEXTS, POSITIVES)

scores = st.sampled_from([-0.25, 0.0, 0.1, 0.5, 0.6, 1.0]) | st.floats(-1, 1, width=32)
shares = st.sampled_from([0.0, 0.05, 0.5]) | st.floats(0, 0.99)
by = st.sampled_from([None, None, "teacher", "score"])
against = st.sampled_from(["min", "mean", "max"])
quantiles = st.sampled_from([0.25, 0.5, 0.75]) | st.floats(0.01, 0.99)
some_filters = st.one_of(
    st.builds(hfneg.Margin, relative=shares, by=by, against=against),
    st.builds(hfneg.Margin, absolute=shares, by=by, against=against),
    st.builds(hfneg.Margin, absolute=shares, by=st.none(), against=against, noisy=quantiles),
    st.builds(hfneg.BelowPositives, quantiles | st.sampled_from([0, 1])),
    st.builds(lambda low, wide, by: hfneg.Band(low, low + wide, by=by), scores, shares, by),
    st.builds(lambda skip, more: hfneg.RankWindow(skip, skip + more), st.integers(0, 4), st.integers(1, 16)),
)
some_samplers = st.one_of(
    st.builds(hfneg.TakeTop, st.integers(1, 6)),
    st.builds(hfneg.TakeRandom, st.integers(1, 6), seed=st.integers(0, 9)),
    st.builds(hfneg.TakeSimANS, st.integers(1, 6), a=st.sampled_from([0.0, 1.0, 9.0]), seed=st.integers(0, 9)),
)
lists = st.lists(st.dictionaries(st.integers(0, 15), scores, max_size=16), min_size=3, max_size=3)


def of_positives(values: Sequence[float], against: str) -> float:
    """One float32 of those of several known positives."""
    if against == "mean":
        return float(np.float32(sum(values) / len(values)))
    return min(values) if against == "min" else max(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The largest value that at most this share of the others lies below."""
    return sorted(values)[math.floor(share * (len(values) - 1))]


def keeps(
    step: Any,
    rank: int,
    own: dict[str, float],
    positives: dict[str, list[float]],
    known: Sequence[float],
    unreturned: Collection[str] = (),
) -> bool:
    """One filter, one candidate, in words; `known` are the teacher's scores of all anchors' positives, `unreturned` the
    sources that did not return the candidate, whose score in `own` is then the most it can be."""
    if isinstance(step, hfneg.BelowPositives):
        return own["teacher"] <= quantile(known, step.quantile)
    if isinstance(step, hfneg.RankWindow):
        return step.skip < rank <= step.stop
    by = step.by or "teacher"
    if isinstance(step, hfneg.Band):
        return by not in unreturned and bool(np.float32(step.low) <= own[by] <= np.float32(step.high))
    lifted = [p if step.noisy is None else max(p, quantile(known, step.noisy)) for p in positives[by]]
    positive = of_positives(lifted, step.against)
    below = step.absolute if step.absolute is not None else abs(positive) * step.relative
    return own[by] <= positive - below


def place(sampler: Any, anchor: int, row: int, rank: int, own: float, positives: list[float]) -> float:
    if isinstance(sampler, hfneg.TakeTop):
        return rank
    number = small_world.numbers(BATCH)[anchor]
    drawn = uniform(sampler.seed, small_world.normal_hashes[number : number + 1], np.array([row]))[0]
    if isinstance(sampler, hfneg.TakeRandom):
        return drawn
    return np.log(-np.log(drawn)) + sampler.a * (own - of_positives(positives, "mean") - sampler.b) ** 2


def plain(
    filters: Sequence[Any], sampler: Any, anchor: int, found: dict[int, float], teaching: list[dict[int, float]]
) -> tuple[list[int], set[int]]:
    """(rows of the negatives in order, rows of the candidates that must be looked at for that), of one anchor."""
    known, taught = POSITIVES[BATCH["q"][anchor]], teaching[anchor]
    everywhere = [teaching[i][row] for i, q in enumerate(BATCH["q"]) for row in POSITIVES[q]]
    hits = dict(ranked(found))
    positives = {"score": [hits.get(row, 0.0) for row in known], "teacher": [taught[row] for row in known]}
    left = []
    for rank, (row, score) in enumerate(hits.items(), 1):
        own = {"score": score, "teacher": taught[row]}
        verdicts = {step: keeps(step, rank, own, positives, everywhere) for step in filters}
        free = all(
            kept
            for step, kept in verdicts.items()
            if getattr(step, "by", "score") == "score" and not step.needs_teacher
        )
        if row not in known and free:
            where = place(sampler, anchor, row, rank, score, positives["score"])
            left.append((where, rank, row, all(verdicts.values())))
    negatives: list[int] = []
    seen = set()
    for _, _, row, kept in sorted(left):
        if len(negatives) < sampler.n:
            seen.add(row)
            negatives += [row] if kept else []
    return negatives, seen


@examples(80)
@given(lists, st.lists(scores, min_size=48, max_size=48), st.lists(some_filters, max_size=3), some_samplers)
def test_lazy_is_full_is_plain_python(
    found: list[dict[int, float]], drawn: list[float], filters: list[Any], sampler: Any
) -> None:
    """Negatives, ids and all scores are equal, lazily, in full, and by an oracle that scores everything; the lazy
    one looks at exactly the candidates up to the last negative in the sampler's order, and nobody asks twice."""
    taught = [{row: float(np.float32(drawn[16 * i + row])) for row in range(16)} for i in range(3)]
    table = {(q, TEXTS[row]): taught[i][row] for i, q in enumerate(BATCH["q"]) for row in range(16)}
    judge = Judge(lambda *pair: table[pair])
    retriever = Scripted({q: ranked(found[i]) for i, q in enumerate(BATCH["q"])})
    recipe = hfneg.Recipe(retrievers=retriever, k=16, teacher=judge.teacher(scale="cosine"), sampler=sampler)
    recipe = recipe.model_copy(update={"filters": tuple(filters)})  # also those that leave fewer than the sampler takes
    lazy = recipe.transform(small_world)(BATCH)
    expected = [plain(filters, sampler, i, found[i], taught) for i in range(3)]
    looked_at = {(q, TEXTS[row]) for i, q in enumerate(BATCH["q"]) for row in expected[i][1] | {*POSITIVES[q]}}
    assert set(judge.pairs) == looked_at
    with mock.patch.object(Policy, "why_not_lazy", "a test"):
        full = recipe.transform(small_world)(BATCH)
    assert max(Counter(judge.pairs).values()) == 1
    for name in lazy:
        assert lazy[name] == full[name], name
    for i, (negatives, _) in enumerate(expected):
        assert lazy[columns.NEGATIVES][i] == [TEXTS[row] for row in negatives]
        assert lazy[columns.NEGATIVE_TEACHER_SCORES][i] == [taught[i][row] for row in negatives]
        own = [taught[i][row] for row in POSITIVES[BATCH["q"][i]]]
        assert lazy[columns.POSITIVE_TEACHER_SCORES][i] == own


# What is asked.


def hundred(anchors: int = 20) -> tuple[Dataset, list[str], Scripted]:
    """Anchors with one positive and 100 candidates each."""
    texts = [f"text{i} word{i * 7 + 1} name{i * 31 + 2} term{i * 17 + 3}" for i in range(300)]
    rows = Dataset.from_dict({"q": [f"question {i}" for i in range(anchors)], "a": texts[:anchors]})
    hits = {f"question {i}": [(100 + (i * 7 + j) % 200, 100.0 - j) for j in range(100)] for i in range(anchors)}
    return rows, texts, Scripted(hits)


def rejecting(rate: float, positives: Sequence[str]) -> Judge:
    """Gives positives 1.0 and so many of the others more than 95% of it."""

    def of(anchor: str, document: str) -> float:
        draw = float(uniform(hash_texts([anchor + document])["low"])[0])
        return 1.0 if document in positives else 0.99 if draw < rate else 0.5 * draw

    return Judge(of)


def test_asking_on_demand_costs_a_fraction(tmp_path: Path) -> None:
    """7 of 100 candidates where 30% are rejected: at most a fifth of all pairs is asked; the others are
    `not_examined` in the ledger, without a teacher's score, and the summary counts them."""
    rows, texts, retriever = hundred()
    judge = rejecting(0.3, texts[:20])
    recipe = hfneg.Recipe(retrievers=retriever, k=100, teacher=judge.teacher(), filters=hfneg.Margin(relative=0.05))
    out = tmp_path / "mined"
    mined = hfneg.mine(rows, texts, recipe, anchor="q", positive="a", out=out)
    assert {len(negatives) for negatives in mined[columns.NEGATIVES]} == {7}
    assert len(judge.pairs) <= 20 * 101 / 5
    summary = json.loads((out / "summary.json").read_text())
    unseen = summary["verdicts"]["not_examined"]
    assert len(judge.pairs) == 20 * 101 - unseen == summary["teacher"]["pairs_asked"]
    assert summary["teacher"]["candidates_not_examined"] == unseen
    assert summary["teacher"]["scored_in_full_because"] is None
    codes = {int(code): name for code, name in summary["verdict_codes"].items()}
    for row in load_dataset(str(out), "ledger", split="anchors"):
        verdicts = [codes[code] for code in row["verdicts"]]
        assert [score is None for score in row["teacher_scores"]] == [name == "not_examined" for name in verdicts]
        by_verdict = {
            name: [s for s, v in zip(row["teacher_scores"], verdicts, strict=True) if v == name] for name in verdicts
        }
        assert max(by_verdict["selected"]) <= 0.95 < min(by_verdict.get("margin", [1.0]))
        assert row["positive_teacher_scores"] == [1.0]


def test_another_policy_asks_only_what_is_new() -> None:
    """The same run asks nothing, another margin what no run has asked yet, another scale nothing."""
    rows, texts, retriever = hundred(6)
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(texts), anchor="q", positive="a")
    judge = rejecting(0.3, texts[:6])
    name = next(ids)

    def mined(scale: str = "from_zero", **slots: Any) -> dict[str, Any]:
        recipe = hfneg.Recipe(retrievers=retriever, k=100, teacher=judge.teacher(id=name, scale=scale), **slots)
        return recipe.transform(anchors)(rows[:])

    first = mined(filters=hfneg.Margin(relative=0.05))
    asked = set(judge.pairs)
    judge.forget()
    again = mined(filters=hfneg.Margin(relative=0.05))
    assert judge.forget() == 0
    assert again == first
    mined(filters=hfneg.Margin(relative=0.8))
    assert judge.pairs
    assert asked.isdisjoint(judge.pairs)
    assert judge.forget() < 600
    mined(sampler=hfneg.TakeSimANS(7, by="teacher"))
    judge.forget()
    as_it_is = mined(filters=hfneg.Margin(absolute=0.1))
    probable = mined("probability", filters=hfneg.Margin(absolute=0.1))
    assert judge.forget() == 0
    raw, sigmoid = (rows[columns.POSITIVE_TEACHER_SCORES][0] for rows in (as_it_is, probable))
    assert raw == [1.0]
    assert sigmoid == pytest.approx([1 / (1 + np.exp(-1))])


@pytest.mark.parametrize("batch_size", [3, 64])
def test_no_pair_is_asked_twice(batch_size: int) -> None:
    """Rows that share an anchor lie in many batches, sources find the same documents, positives are candidates of
    other anchors: each (anchor, document) is asked once."""
    anchors = hfneg.Anchors(pairs(), hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")
    judge = Judge(share)
    sources = [hfneg.BM25(), hfneg.RandomDocuments()]
    recipe = hfneg.Recipe(retrievers=sources, k=40, teacher=judge.teacher(), filters=hfneg.Margin(relative=0.3))
    pairs().map(recipe.transform(anchors), batched=True, batch_size=batch_size)
    assert len(judge.pairs) > 200
    assert max(Counter(judge.pairs).values()) == 1


def test_a_pair_that_stands_twice_in_one_call_is_asked_once() -> None:
    """`Scorer` answers every place in the list, and counts what was asked and what the store knew."""
    judge = Judge(lambda anchor, document: float(len(document)))
    scorer = scoring.TeacherScorer(small_world, judge.teacher())
    numbers, rows = np.array([1, 0, 1, 1]), np.array([3, 3, 3, 4])
    expected = [len(TEXTS[row]) for row in rows]
    assert scorer.score(numbers, rows).tolist() == expected
    assert scorer.score(numbers[::-1], rows[::-1]).tolist() == expected[::-1]
    assert len(judge.pairs) == len(set(judge.pairs)) == 3
    assert (scorer.asked, scorer.stored) == (3, 4)


def test_a_long_call_is_cut_into_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few pairs are looked up at once, the answers are the same and no pair is asked twice."""
    judge = Judge(lambda anchor, document: float(len(document)))
    monkeypatch.setattr(scoring, "PAIRS", 3)
    scorer = scoring.TeacherScorer(small_world, judge.teacher())
    numbers, rows = np.array([1, 0, 1, 1, 0, 1, 0, 1]), np.array([3, 3, 3, 4, 3, 4, 2, 3])
    assert scorer.score(numbers, rows).tolist() == [len(TEXTS[row]) for row in rows]
    assert scorer.score(numbers[:0], rows[:0]).shape == (0,)
    assert len(judge.pairs) == len(set(judge.pairs)) == 4


# Policies that cannot be lazy, and steps that are refused.


@pytest.mark.parametrize(
    ("slots", "why"),
    [
        ({"filters": Together()}, "looks at several candidates together"),
        ({"sampler": hfneg.TakeSimANS(3, by="teacher")}, "orders candidates by the teacher's score"),
        ({"sampler": EasiestFirst(3)}, "orders candidates by the teacher's score"),
    ],
)
def test_what_is_not_prefix_decidable_scores_everything_and_says_why(
    slots: dict[str, Any], why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A verdict over several candidates, an order by the teacher: all are scored; summary, log and command line say
    why."""
    rows, texts, retriever = hundred(3)
    judge = rejecting(0.3, texts[:3])
    recipe = hfneg.Recipe(retrievers=retriever, k=30, teacher=judge.teacher(), **slots)
    with caplog.at_level(logging.WARNING, "hfneg"):
        mined = hfneg.mine(rows, texts, recipe, anchor="q", positive="a", out=tmp_path / "mined")
    assert len(judge.pairs) == 3 * 31
    assert caplog.text.count(why) == 1
    summary = json.loads((tmp_path / "mined" / "summary.json").read_text())
    assert why in summary["teacher"]["scored_in_full_because"]
    assert summary["verdicts"]["not_examined"] == 0
    if isinstance(recipe.sampler, EasiestFirst):
        for row in mined:
            of_all = sorted(judge.of(row["q"], texts[hit]) for hit, _ in retriever.lists[row["q"]][:30])
            assert row[columns.NEGATIVE_TEACHER_SCORES] == pytest.approx(of_all[:3])


def test_a_filter_of_one_s_own_says_that_it_looks_at_the_teacher() -> None:
    """With `needs_teacher` it is asked lazily; without, filter and sampler are refused before any call."""
    rows, texts, retriever = hundred(3)
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(texts), anchor="q", positive="a")
    judge = rejecting(0.3, texts[:3])
    teacher = judge.teacher()
    for slots in ({"filters": Undeclared()}, {"sampler": UndeclaredOrder(3)}):
        recipe = hfneg.Recipe(retrievers=retriever, k=30, teacher=teacher, **slots)
        with pytest.raises(SettingError, match="needs_teacher = True"):
            recipe.transform(anchors)(rows[:])
    assert judge.forget() == 0
    declared = hfneg.Recipe(retrievers=retriever, k=30, teacher=teacher, filters=Declared(), sampler=hfneg.TakeTop(5))
    mined = declared.transform(anchors)(rows[:])
    assert len(judge.pairs) < 3 * 15
    assert max(map(max, mined[columns.NEGATIVE_TEACHER_SCORES])) < 0.5


@pytest.mark.parametrize(
    ("slots", "scale", "message"),
    [
        ({"filters": hfneg.Margin(relative=0.05)}, "logit", "scale='probability'.*absolute margin"),
        ({"filters": hfneg.Margin(relative=0.05)}, None, "on the scale 'raw'.*scale='probability'"),
        ({"filters": hfneg.Margin(relative=0.05, by="teacher")}, "no teacher", "there is no teacher: pass teacher="),
        ({"filters": hfneg.Band(high=0.5, by="teacher")}, "no teacher", "there is no teacher: pass teacher="),
        ({"filters": hfneg.BelowPositives()}, "no teacher", "there is no teacher: pass teacher="),
        ({"promote": hfneg.Promote()}, "no teacher", "there is no teacher: pass teacher="),
        ({"filters": hfneg.Margin(absolute=0.1, noisy=0.1, by="score")}, "raw", "for the teacher's scores only"),
        ({"filters": hfneg.Margin(absolute=0.1, noisy=0.1)}, "no teacher", "for the teacher's scores only"),
        ({"filters": hfneg.Agreement(hfneg.Margin(absolute=0.1))}, "raw", "compares teachers.*MeanOfTeachers"),
        ({"filters": Declared()}, "no teacher", "there is no teacher: pass teacher="),
        ({"sampler": hfneg.TakeSimANS(3, by="teacher")}, "no teacher", "there is no teacher: pass teacher="),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_call(slots: dict[str, Any], scale: Any, message: str) -> None:
    """A share of a logit, a teacher's score without a teacher: the fix is in the message, for both kinds of use."""
    judge = Judge(share)
    anchors = small_world
    teacher = None if scale == "no teacher" else judge.teacher(scale=scale)
    with pytest.raises(SettingError, match=message):
        hfneg.Recipe(teacher=teacher, k=7, **slots).transform(anchors)
    with pytest.raises(SettingError, match=message):
        hfneg.Select(anchors, teacher=teacher, **slots)
    assert judge.pairs == []


def test_no_source_may_be_called_teacher() -> None:
    """by="teacher" means one thing."""
    with pytest.raises(SettingError, match="'teacher'"):
        hfneg.Recipe(retrievers=Scripted({}, name="teacher"))


def test_a_nan_names_the_pair_and_loses_nothing() -> None:
    """The error names anchor and document; what was scored before is stored, and the next run does not ask it again."""
    rows, texts, retriever = hundred(6)
    anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(texts), anchor="q", positive="a")
    good = rejecting(0.3, texts[:6])
    name = next(ids)
    bad = Judge(lambda anchor, document: np.nan if len(bad.pairs) > 20 else good.of(anchor, document))

    def mined(judge: Judge) -> dict[str, Any]:
        teacher = judge.teacher(id=name, batch_size=4)
        recipe = hfneg.Recipe(retrievers=retriever, k=100, teacher=teacher, filters=hfneg.Margin(relative=0.05))
        return recipe.transform(anchors)(rows[:])

    with pytest.raises(NonFiniteError, match=r"anchor 'question .', document 'text"):
        mined(bad)
    assert len(bad.pairs) == 6 + 4 * 4  # the positives, then batches of four, of which the last was bad
    stored = set(bad.pairs[:18])
    mined(good)
    assert stored.isdisjoint(good.pairs)
    assert len(good.pairs) == len(set(good.pairs)) > 0


# One result, however it is run.

TAUGHT = {"k": 12, "filters": [hfneg.Margin(relative=0.1), hfneg.RankWindow(1)], "sampler": hfneg.TakeTop(3)}


def test_every_way_of_running_gives_equal_values(tmp_path: Path) -> None:
    """Two maps, one map, a stream, splits and `mine`: equal in every bit, with a teacher too."""
    given, recipe = pairs(), hfneg.Recipe(teacher=Judge(share).teacher(), **TAUGHT)
    corpus = hfneg.Corpus.from_texts(documents())
    anchors = hfneg.Anchors(given, corpus, anchor="query", positive="answer")
    one = given.map(recipe.transform(anchors), batched=True)
    expected = ours(one)
    assert {columns.NEGATIVE_TEACHER_SCORES, columns.POSITIVE_TEACHER_SCORES} < set(expected)
    staged = given.map(hfneg.Retrieve(anchors, hfneg.BM25(), k=12), batched=True, batch_size=7)
    slots = {name: TAUGHT[name] for name in ("filters", "sampler")}
    select = hfneg.Select(anchors, teacher=Judge(share).teacher(), **slots)
    assert ours(staged.map(select, batched=True, batch_size=5)) == expected
    transform = recipe.transform(anchors)
    stream = given.to_iterable_dataset()
    assert ours(stream.map(transform, batched=True, batch_size=6, features=transform.features(stream))) == expected
    splits = DatasetDict({"train": given.select(range(40)), "test": given.select(range(40, len(given)))})
    mapped = splits.map(transform, batched=True)
    names = {"anchor": "query", "positive": "answer"}
    mined = hfneg.mine(splits, corpus, recipe, out=tmp_path / "splits", **names)
    for rows in (mapped, mined):
        joined = Dataset.from_list([*rows["train"], *rows["test"]], features=rows["train"].features)
        assert ours(joined) == expected
    assert ours(hfneg.mine(given, corpus, recipe, out=tmp_path / "mined", **names)) == expected


SCRIPT = SUPPORT / "mine_with_teacher.py"


def start(folder: Path, *devices: str, kill_at: int | None = None) -> Pairs:
    """`mine_with_teacher.py`, killed once its teacher was asked about so many pairs; all pairs asked."""
    folder.mkdir(exist_ok=True)
    said = folder / f"asked-{len(list(folder.glob('asked-*')))}"
    said.touch()
    env = {**os.environ, "HFNEG_STORE": str(folder / "store"), "HFNEG_ASKED": str(said)}
    env |= {"HFNEG_ASKED_PAUSE": "0.03" if kill_at is not None else "0"}
    command = [sys.executable, str(SCRIPT), str(folder / "mined"), *devices]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        while kill_at is not None and process.poll() is None and len(said.read_text().splitlines()) < kill_at:
            time.sleep(0.01)
        if kill_at is not None:
            process.kill()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL), errors
    return [tuple(json.loads(line)) for line in said.read_text().splitlines()]  # type: ignore[misc]


def result(out: Path) -> dict[str, Any]:
    """Data and ledger, in bits."""
    tables = {path.relative_to(out): pq.read_table(path) for path in sorted(out.glob("*/*.parquet"))}
    return {str(name): {c: bits(table[c]) for c in table.column_names} for name, table in tables.items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `mine` leaves in this process, with other parts and blocks."""
    folder = tmp_path_factory.mktemp("undisturbed")
    names = {"anchor": "query", "positive": "answer"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFNEG_STORE", str(folder / "store"))
        patch.setattr(units, "PART", 4096)
        patch.setattr(scoring, "BLOCK", 2048)
        hfneg.mine(pairs(), documents(), RECIPE, out=folder / "mined", **names)
    return result(folder / "mined")


def committed(folder: Path, asked: Pairs, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Which of the pairs have a score in the store."""
    anchors, texts = map(list, zip(*asked, strict=True))
    with monkeypatch.context() as patch:
        patch.setenv("HFNEG_STORE", str(folder / "store"))
        found = ScoreStore(WordTeacher().digest).get(pair_keys(hash_texts(anchors), hash_texts(texts)))
    return {pair for pair, score in zip(asked, found, strict=True) if not np.isnan(score)}


def test_killed_while_the_teacher_scores(
    undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL twice in the middle of scoring, then resumed: the same data and ledger, and no pair that was committed is
    asked again."""
    asked: Pairs = []
    done: set[tuple[str, str]] = set()
    for kill_at in (70, 90, None):
        now = start(tmp_path, kill_at=kill_at)
        assert done.isdisjoint(now)
        asked += now
        done = committed(tmp_path, asked, monkeypatch)
    assert len(done) > 150
    assert set(asked) == done
    assert len(asked) - len(done) <= 2 * 16  # what was not committed when it was killed: a block each
    assert result(tmp_path / "mined") == undisturbed


def test_two_processes_give_the_same(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """devices=["cpu", "cpu"]: the same data and ledger, each pair asked once."""
    asked = start(tmp_path, "cpu", "cpu")
    assert max(Counter(asked).values()) == 1
    assert result(tmp_path / "mined") == undisturbed


# What comes out of it.


def mined_by(teacher: hfneg.Teacher, **slots: Any) -> Dataset:
    given = pairs().select_columns(["query", "answer"])
    anchors = hfneg.Anchors(given, hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")
    recipe = hfneg.Recipe(**{**TAUGHT, "teacher": teacher, **slots})
    return given.map(recipe.transform(anchors), batched=True)


def test_columns_are_aligned_and_formats_take_them() -> None:
    """The teacher's scores belong to the texts beside them, and are what the distilling formats use."""
    mined = mined_by(Judge(share).teacher(), filters=hfneg.Margin(absolute=0.01))
    for row in mined:
        own = [share(row["query"], text) for text in row[columns.NEGATIVES]]
        assert row[columns.NEGATIVE_TEACHER_SCORES] == pytest.approx(own)
        assert row[columns.POSITIVE_TEACHER_SCORES] == pytest.approx([share(row["query"], row["answer"])])
    whole = mined.filter(lambda row: len(row[columns.NEGATIVES]) == 3)
    assert len(whole) > 10
    labels = [
        p + n
        for p, n in zip(whole[columns.POSITIVE_TEACHER_SCORES], whole[columns.NEGATIVE_TEACHER_SCORES], strict=True)
    ]
    for train in (formats.margin_mse(mined, n=3), formats.distillation(mined, n=3)):
        assert train.column_names == ["query", "answer", "negative_1", "negative_2", "negative_3", "label"]
        assert train["label"][:] == labels
    ranked_lists = formats.listwise(mined, graded=True)
    assert all(len(row["labels"]) == len(row["documents"]) for row in ranked_lists)
    assert [row["labels"] for row in ranked_lists if len(row["labels"]) == 4] == labels


@pytest.mark.parametrize(("kind", "of"), [(hfneg.MeanOfTeachers, np.mean), (hfneg.MinOfTeachers, np.min)])
def test_ensembles_keep_what_their_members_said(kind: Any, of: Callable[..., Any]) -> None:
    """Filters see the combination; the store keeps each member's raw scores, so that a member alone, or another
    combination, asks nothing."""
    judges = [Judge(share), Judge(lambda anchor, document: share(document, anchor))]
    members = [judge.teacher(scale=scale) for judge, scale in zip(judges, ("probability", "probability"), strict=True)]
    mined = mined_by(kind(members), filters=[], sampler=hfneg.TakeTop(3))
    assert set(judges[0].pairs) == set(judges[1].pairs)
    for judge in judges:
        judge.forget()
    alone = [mined_by(member, filters=[], sampler=hfneg.TakeTop(3)) for member in members]
    mined_by(hfneg.MinOfTeachers([hfneg.MeanOfTeachers(members), members[0]]), filters=[], sampler=hfneg.TakeTop(3))
    assert [judge.forget() for judge in judges] == [0, 0]
    for together, *single in zip(mined, *alone, strict=True):
        for name in (columns.NEGATIVE_TEACHER_SCORES, columns.POSITIVE_TEACHER_SCORES):
            assert together[name] == pytest.approx(of([row[name] for row in single], axis=0).tolist())


# Recipes and the command line.


def test_recipes_hold_teachers() -> None:
    """Nested ensembles, as text, as a mapping, and with a teacher of one's own, are read back equal."""
    nested = hfneg.MeanOfTeachers(
        [
            hfneg.EndpointTeacher("http://127.0.0.1:8080", id="a"),
            hfneg.MinOfTeachers([hfneg.EndpointTeacher("http://127.0.0.1:8081", id="b", retries=2), WordTeacher(0.5)]),
        ]
    )
    recipe = hfneg.Recipe(teacher=nested, filters=hfneg.Margin(absolute=0.1))
    text = recipe.to_yaml()
    assert hfneg.Recipe.from_yaml(text, trust=True) == recipe
    with pytest.raises(RecipeError, match=r"word_teacher.WordTeacher.*trust=True"):
        hfneg.Recipe.from_yaml(text)
    mapping = {
        "teacher": {
            "MeanOfTeachers": {
                "teachers": [
                    {"EndpointTeacher": {"url": "http://127.0.0.1:8080", "id": "a"}},
                    "MinOfTeachers([EndpointTeacher('http://127.0.0.1:8081', id='b', retries=2), "
                    "word_teacher.WordTeacher(0.5)])",
                ]
            }
        },
        "filters": "Margin(absolute=0.1)",
    }
    assert hfneg.Recipe.from_yaml(yaml.safe_dump(mapping), trust=True) == recipe
    assert recipe.with_settings(["teacher=null"]).teacher is None
    endpoint = hfneg.Recipe().with_settings(["teacher=EndpointTeacher('http://127.0.0.1:8080', id='a')"])
    assert endpoint.with_settings(["teacher.scale=logit"]).teacher.resolved_scale == "logit"


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CrossEncoder of random weights, a few kilobytes."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("reranker")
    words = sorted({word for text in documents() for word in text.lower().split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    torch.manual_seed(0)
    size = {
        "initializer_range": 1.0,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = BertConfig(vocab_size=5 + len(words), max_position_embeddings=64, num_labels=1, **size)
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_the_command_line_with_a_reranker(reranker: Path, tmp_path: Path) -> None:
    """`--set "teacher=..."` asks a real CrossEncoder; the end says what was scored, from the store, and not needed."""
    given = tmp_path / "pairs.parquet"
    pairs().select_columns(["query", "answer"]).to_parquet(str(given))
    corpus = tmp_path / "docs.parquet"
    Dataset.from_dict({"text": documents()}).to_parquet(str(corpus))
    command = ["mine", str(given), "--corpus", str(corpus), "--anchor", "query", "--positive", "answer"]
    command += ["--set", f"teacher=CrossEncoderTeacher({str(reranker)!r}, scale='probability')", "--set", "k=20"]
    command += ["--set", "filters=[Margin(relative=0.0001)]", "--set", "sampler.n=3", "--set", "short=Keep()", "--out"]
    first = CliRunner().invoke(cli.app, [*command, str(tmp_path / "a")])
    assert first.exit_code == 0, first.output
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())["teacher"]
    asked, unseen = summary["pairs_asked"], summary["candidates_not_examined"]
    assert asked > 50
    assert unseen > 50
    assert f"teacher: {asked:,} pairs scored, 0 from the store, {unseen:,} not needed" in " ".join(first.output.split())
    again = CliRunner().invoke(cli.app, [*command, str(tmp_path / "b")])
    assert f"teacher: 0 pairs scored, {asked:,} from the store" in " ".join(again.output.split())
    assert result(tmp_path / "a") == result(tmp_path / "b")
