"""Another policy over a finished folder's ledger: the same values as mining anew, and no model is asked."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, load_dataset
from small_collection import HashEncoder, documents, ours, pairs, values
from typer.testing import CliRunner
from word_teacher import WordTeacher

import hfneg
from hfneg import cli
from hfneg.base import columns
from hfneg.cli.common import ending
from hfneg.data.anchors import Anchors
from hfneg.errors import InputError, NeedsTeacher, RecipeError, SettingError
from hfneg.runs.folder import ledger
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.reselect import guard_of
from hfneg.steps.block import verdicts

TEXTS = documents()
ids = (f"reselecting-{i}" for i in itertools.count())


class Judge:
    """A teacher's function that counts the pairs it was asked about, and can be told to refuse."""

    def __init__(self) -> None:
        self.asked, self.refuses = 0, False
        self.teacher = hfneg.FunctionTeacher(self, id=next(ids), scale="from_zero")

    def __call__(self, anchors: list[str], texts: list[str]) -> list[float]:
        assert not self.refuses, "the teacher was called"
        self.asked += len(anchors)
        return [WordTeacher().of(*pair) for pair in zip(anchors, texts, strict=True)]


def recipe(**slots: Any) -> hfneg.Recipe:
    given: dict[str, Any] = {
        "retrievers": [hfneg.BM25(), hfneg.Dense(HashEncoder())],
        "k": 12,
        "filters": [hfneg.Margin(relative=0.1, against="max")],
        "sampler": hfneg.TakeTop(3),
    }
    return hfneg.Recipe(**{**given, **slots})


def mine(out: Path, steps: hfneg.Recipe, rows: Any = None, **options: Any) -> Any:
    rows = pairs() if rows is None else rows
    return hfneg.mine(rows, TEXTS, steps, anchor="query", positive="answer", out=out, **options)


@dataclass
class Mined:
    folder: Path
    judge: Judge
    recipe: hfneg.Recipe

    def copy(self, to: Path) -> Path:
        return Path(shutil.copytree(self.folder, to))

    def anew(self, out: Path, **slots: Any) -> Any:
        """Mined from nothing with some slots changed."""
        own = {name: getattr(self.recipe, name) for name in type(self.recipe).model_fields}
        return mine(out, hfneg.Recipe(**{**own, **slots}))


@pytest.fixture(scope="module")
def lazy(tmp_path_factory: pytest.TempPathFactory) -> Mined:
    """Mined on demand: some candidates have no teacher score."""
    judge = Judge()
    steps = recipe(teacher=judge.teacher)
    folder = tmp_path_factory.mktemp("lazy") / "mined"
    mine(folder, steps)
    return Mined(folder, judge, steps)


@pytest.fixture(scope="module")
def full(lazy: Mined, tmp_path_factory: pytest.TempPathFactory) -> Mined:
    """The same with everything scored that no guard refuses."""
    folder = lazy.copy(tmp_path_factory.mktemp("full") / "mined")
    hfneg.examine(folder, lazy.judge.teacher, dropped=True)
    return Mined(folder, lazy.judge, lazy.recipe)


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Mined:
    """One source, no teacher."""
    steps = recipe(retrievers=hfneg.BM25(), filters=[])
    folder = tmp_path_factory.mktemp("untaught") / "mined"
    mine(folder, steps)
    return Mined(folder, Judge(), steps)


# Reading a ledger back.


@pytest.mark.parametrize("which", ["full", "untaught"])
@pytest.mark.parametrize("size", [1, 50, 10**9])
def test_a_ledger_gives_back_what_was_retrieved(which: str, size: int, request: pytest.FixtureRequest) -> None:
    """In every array, whatever the size of the blocks, which is kept to unless one anchor is larger."""
    mined: Mined = request.getfixturevalue(which)
    source = MinedLedger(mined.folder)
    anchors = reopen_anchors(source)
    blocks = list(source.blocks(size))
    assert np.concatenate([block.numbers for block in blocks]).tolist() == list(range(len(anchors)))
    for block in blocks:
        assert len(block) <= size or len(block.numbers) == 1
        expected = mined.recipe.transform(anchors).retrieve.run(block.numbers)
        for name in ("indptr", "rows", "scores", "sources", "source_scores", "source_ranks", "positive_scores"):
            np.testing.assert_array_equal(getattr(block, name), getattr(expected, name), err_msg=name)
        np.testing.assert_array_equal(block.positives.flat, anchors.positives(block.numbers).flat)


def test_scores_that_were_not_asked_are_nan_and_the_others_are_the_teachers(lazy: Mined, full: Mined) -> None:
    """A NaN stands where the teacher was not asked; known positives have theirs apart."""
    partial, whole = (next(MinedLedger(mined.folder).blocks()) for mined in (lazy, full))
    assert partial.teacher_scores is not None
    assert whole.teacher_scores is not None
    asked = ~np.isnan(partial.teacher_scores)
    assert 0 < asked.sum() < (~np.isnan(whole.teacher_scores)).sum()
    np.testing.assert_array_equal(partial.teacher_scores[asked], whole.teacher_scores[asked])
    anchors = reopen_anchors(MinedLedger(full.folder))
    texts, positives = anchors.texts(whole.numbers).to_pylist(), whole.positives
    expected = [
        WordTeacher().of(texts[owner], anchors.corpus.texts([row])[0].as_py())
        for owner, row in zip(positives.owners, positives.flat, strict=True)
    ]
    np.testing.assert_allclose(whole.positive_teacher_scores, np.float32(expected))


def test_taking_anchors_of_a_block(full: Mined) -> None:
    """Each with its own candidates and positives, in the order asked for, also twice."""
    block = next(MinedLedger(full.folder).blocks())
    at = np.array([5, 2, 5])
    taken = block.take(at)
    for i, position in enumerate(at.tolist()):
        here, there = taken.take(np.array([i])), block.take(np.array([position]))
        assert here.rows.tolist() == there.rows.tolist()
        assert here.positives.flat.tolist() == block.positives[position].tolist()
        np.testing.assert_array_equal(here.positive_scores, there.positive_scores)
        np.testing.assert_array_equal(here.teacher_scores, there.teacher_scores)


# The same as mining anew.

POLICIES: dict[str, dict[str, Any]] = {
    "another margin": {"filters": [hfneg.Margin(relative=0.5)]},
    "margin of a source": {"filters": [hfneg.Margin(absolute=0.5, by="bm25")], "sampler": hfneg.TakeTop(5)},
    "no filter, random": {"filters": [], "sampler": hfneg.TakeRandom(4, seed=3)},
    "around the positive": {"filters": [], "sampler": hfneg.TakeSimANS(4, by="teacher")},
    "all positives": {"filters": [hfneg.RankWindow(skip=2), hfneg.BelowPositives(0.3)]},
    "relaxed": {"filters": [hfneg.Margin(relative=0.6)], "short": hfneg.Relax()},
    "another guard": {"filters": [], "guard": hfneg.Guard(near_duplicate=None)},
    "hubs": {"filters": [hfneg.Hubs(most=2)]},
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_over_a_ledger_gives_what_mining_anew_gives(name: str, full: Mined, tmp_path: Path) -> None:
    """Every column of ours in every bit, and the user's rows; the teacher is not called, nor its scores looked up."""
    full.judge.refuses = True
    scores, aside = Path(os.environ["HFNEG_STORE"]) / "scores", tmp_path / "scores"
    scores.rename(aside)
    try:
        chosen = hfneg.reselect(full.folder, out=tmp_path / "chosen", **POLICIES[name])
        assert not scores.exists()
    finally:
        shutil.rmtree(scores, ignore_errors=True)
        aside.rename(scores)
        full.judge.refuses = False
    anew = full.anew(tmp_path / "anew", **POLICIES[name])
    assert values(chosen) == values(anew)
    assert chosen.features == anew.features
    first, second = (hfneg.open_summary(tmp_path / folder) for folder in ("chosen", "anew"))
    for key in ("negatives", "negatives_per_anchor", "anchors", "documents", "rows", "sources", "corpus", "recipe"):
        assert first[key] == second[key], key
    assert first["teacher"]["pairs_asked"] == 0
    assert first["teacher"]["digest"] == second["teacher"]["digest"]
    assert (tmp_path / "chosen" / "recipe.yaml").read_text() == (tmp_path / "anew" / "recipe.yaml").read_text()


def test_what_is_left_out_stays_as_it_was(full: Mined, tmp_path: Path) -> None:
    """Without any change the same negatives come out; a setting changes one thing."""
    same = hfneg.reselect(full.folder, out=tmp_path / "same")
    assert ours(same) == ours(load_dataset(str(full.folder))["train"])
    fewer = hfneg.reselect(full.folder, settings=["sampler.n=1"], out=tmp_path / "fewer")
    assert fewer["hard_negatives"] == [row[:1] for row in same["hard_negatives"]]


def test_a_folder_of_an_earlier_version_keeps_its_guard() -> None:
    """A recipe that knows no containment was mined without it: its ledger's verdicts are taken for nothing else."""
    for text, guard in (
        ("guard: Guard(near_duplicate=0.9)\nk: 5\n", hfneg.Guard(0.9, contained=None)),
        ("guard: Guard(near_duplicate=None)\n", hfneg.Guard(None, contained=None)),
        ("guard: Guard(near_duplicate=0.8, contained=0.7)\n", hfneg.Guard(0.8, 0.7)),
    ):
        assert guard_of(SimpleNamespace(summary={"recipe": text})) == guard  # type: ignore[arg-type]
    assert hfneg.Recipe.from_yaml("guard: Guard(near_duplicate=0.8)").guard == hfneg.Guard(0.8, contained=0.95)


def test_extra_positives_are_chosen_anew(full: Mined, tmp_path: Path) -> None:
    """A promoting policy is replayed too, from a folder that was mined with it."""
    promote = {"promote": hfneg.Promote(n=1, quantile=None), "filters": []}
    full.anew(tmp_path / "promoted", **promote)
    again = hfneg.reselect(tmp_path / "promoted", settings=["promote.n=2"], out=tmp_path / "two")
    anew = full.anew(tmp_path / "anew", promote=hfneg.Promote(n=2, quantile=None), filters=[])
    assert sum(map(len, again[columns.EXTRA_POSITIVES])) > 0
    assert values(again) == values(anew)


def test_a_selected_folder_can_be_selected_from_again(full: Mined, tmp_path: Path) -> None:
    """No score is lost on the way, though the policy in between did not look at the teacher; no row, no split."""
    hfneg.reselect(full.folder, filters=[], sampler=hfneg.TakeTop(1), out=tmp_path / "between")
    twice = hfneg.reselect(
        tmp_path / "between", **POLICIES["another margin"], sampler=hfneg.TakeTop(3), out=tmp_path / "b"
    )
    once = hfneg.reselect(full.folder, **POLICIES["another margin"], out=tmp_path / "a")
    assert values(once) == values(twice)
    entries = load_dataset(str(tmp_path / "b"), "ledger")["anchors"]
    assert len(entries) == hfneg.open_summary(full.folder)["anchors"]


def test_splits_and_the_hidden_column_go_along(tmp_path: Path) -> None:
    """A DatasetDict comes out as one; hidden positives among the negatives are counted anew."""
    rows = pairs()
    splits = DatasetDict({"train": rows.select(range(40)), "test": rows.select(range(40, len(rows)))})
    steps = recipe(retrievers=hfneg.BM25(), filters=[])
    mine(tmp_path / "mined", steps, splits, hidden="relevant")
    chosen = hfneg.reselect(tmp_path / "mined", sampler=hfneg.TakeTop(6), out=tmp_path / "chosen")
    anew = mine(tmp_path / "anew", steps.with_settings(["sampler.n=6"]), splits, hidden="relevant")
    assert list(chosen) == ["train", "test"]
    for name in chosen:
        assert values(chosen[name]) == values(anew[name])
    counted = [hfneg.open_summary(tmp_path / folder)["hidden_positives"] for folder in ("mined", "chosen", "anew")]
    assert counted[1] == counted[2] != counted[0]


def test_candidates_of_a_deeper_search_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For the anchors that were searched deeper; random documents that had filled up do not, and are refused."""
    steps = recipe(k=3, deeper=20, filters=[hfneg.RankWindow(skip=1)], short=hfneg.Fill())
    mine(tmp_path / "mined", steps)
    verdict_of = MinedLedger(tmp_path / "mined").verdict_names
    assert verdict_of[verdicts.FILLED] == "filled"
    chosen = hfneg.reselect(tmp_path / "mined", short=hfneg.Keep(), out=tmp_path / "chosen")
    anew = mine(tmp_path / "anew", steps.with_settings(["short=Keep()"]))
    assert values(chosen) == values(anew)
    with caplog.at_level("WARNING", "hfneg"):
        assert values(hfneg.reselect(tmp_path / "mined", out=tmp_path / "kept")) == values(anew)
    assert "anchors stay short" in caplog.text
    for asked in ({"short": hfneg.Fill()}, {"settings": ["short=Fill(seed=2)"]}):
        with pytest.raises(SettingError, match=r"Fill.*pass short=Keep"):
            hfneg.reselect(tmp_path / "mined", out=tmp_path / "filled", **asked)


# A ledger of which not everything is scored.


def test_a_policy_that_needs_no_more_is_run(lazy: Mined, tmp_path: Path) -> None:
    """Fewer negatives of the same: nothing further down the order is looked at."""
    chosen = hfneg.reselect(lazy.folder, sampler=hfneg.TakeTop(2), out=tmp_path / "chosen")
    assert ours(chosen) == ours(lazy.anew(tmp_path / "anew", sampler=hfneg.TakeTop(2)))


def test_missing_scores_are_counted_before_anything_is_written(lazy: Mined, tmp_path: Path) -> None:
    """The error says of how many anchors; what lies in `out` stays, though it was to be overwritten."""
    out = tmp_path / "chosen"
    hfneg.reselect(lazy.folder, sampler=hfneg.TakeTop(1), out=out)
    before = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(NeedsTeacher, match=r"at least [\d,]+ pairs of [\d,]+ of 31 anchors.*hfneg.examine"):
        hfneg.reselect(lazy.folder, filters=[], sampler=hfneg.TakeSimANS(4, by="teacher"), out=out, overwrite=True)
    assert before == {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_what_other_filters_dropped_lacks_scores_too(tmp_path: Path) -> None:
    """Where all is examined that they have let through, a policy without them needs more, and says how to get it."""
    judge = Judge()
    mine(
        tmp_path / "mined",
        recipe(filters=[hfneg.RankWindow(skip=4), hfneg.Margin(relative=0.1)], teacher=judge.teacher),
    )
    after = hfneg.examine(tmp_path / "mined", judge.teacher)
    assert after["verdicts"]["not_examined"] == 0
    wider = ["filters.0.skip=0", "sampler.n=5"]
    for refused in (
        lambda: hfneg.reselect(tmp_path / "mined", settings=wider, out=tmp_path / "out"),
        lambda: hfneg.calibrate(tmp_path / "mined", vary="filters.0.skip", values=[0, 1]),
    ):
        with pytest.raises(NeedsTeacher, match=r"at least [\d,]+ pairs of .*other filters had dropped.*--dropped"):
            refused()
    assert not (tmp_path / "out").exists()
    hfneg.examine(tmp_path / "mined", judge.teacher, dropped=True)
    assert len(hfneg.reselect(tmp_path / "mined", settings=wider, out=tmp_path / "out")) == len(pairs())


def test_only_anchors_that_lack_scores_are_counted(lazy: Mined) -> None:
    """Each anchor by itself can be decided or not, and the sum is what the block says."""
    from hfneg.runs.replay import Replay, replayed_policy
    from hfneg.runs.reselect import policy_recipe

    source = MinedLedger(lazy.folder)
    anchors = reopen_anchors(source)
    policy = policy_recipe(source, {"filters": [hfneg.Margin(relative=0.5)]}, ())
    replay = Replay(source, replayed_policy(source, policy, anchors), anchors)
    block = next(source.blocks())
    at, pairs_lacking = replay.missing(block)
    alone = [replay.missing(block.take(np.array([i]))) for i in range(len(block.numbers))]
    assert at.tolist() == [i for i, (short, _) in enumerate(alone) if len(short)]
    assert 0 < len(at) < len(block.numbers)
    assert pairs_lacking == sum(lacking for _, lacking in alone)


# Examining what was not.


def test_examining_asks_for_what_was_not_needed_once(lazy: Mined, tmp_path: Path) -> None:
    """The negatives stay to the byte; nothing is left unexamined; a second time nothing is asked."""
    folder, judge = lazy.copy(tmp_path / "mined"), lazy.judge
    data = {path.name: path.read_bytes() for path in (folder / "data").iterdir()}
    before, asked = hfneg.open_summary(folder), judge.asked
    rows = ours(load_dataset(str(folder))["train"])
    after = hfneg.examine(folder, judge.teacher)
    assert after == hfneg.open_summary(folder)
    assert data == {path.name: path.read_bytes() for path in (folder / "data").iterdir()}
    assert after["verdicts"]["not_examined"] == 0 < before["verdicts"]["not_examined"]
    assert sum(after["verdicts"].values()) == sum(before["verdicts"].values()) == after["candidates"]
    assert after["verdicts"]["selected"] == before["verdicts"]["selected"]
    assert ours(load_dataset(str(folder))["train"]) == rows
    assert judge.asked - asked <= before["verdicts"]["not_examined"]
    judge.refuses = True
    assert hfneg.examine(folder, judge.teacher)["verdicts"] == after["verdicts"]
    judge.refuses = False


def test_examined_candidates_get_the_verdicts_of_full_scoring(lazy: Mined, tmp_path: Path) -> None:
    """As if the policy had not been asked on demand."""
    folder = lazy.copy(tmp_path / "mined")
    hfneg.examine(folder, lazy.judge.teacher)
    source = MinedLedger(folder)
    (block,) = source.blocks()
    limit = np.maximum.reduceat(block.positive_teacher_scores, block.positives.indptr[:-1])[block.owners]
    for verdict, score, most in zip(block.verdicts, block.teacher_scores, limit, strict=True):
        if not np.isnan(score):
            name = "margin" if score > np.float64(most) * 0.9 else "kept"
            assert (source.verdict_names[int(verdict)] == "margin") == (name == "margin")


def test_an_examination_that_was_cut_off_goes_on(lazy: Mined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher that fails leaves the folder as it was; what it has said is not asked again."""
    folder, judge = lazy.copy(tmp_path / "mined"), Judge()
    steps = recipe(teacher=judge.teacher)
    mine(tmp_path / "own", steps)
    folder = tmp_path / "own"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("hfneg.steps.scorer.BLOCK", 16)
    original, limit = Judge.__call__, judge.asked + 40

    def failing(self: Judge, anchors: list[str], texts: list[str]) -> list[float]:
        if self.asked >= limit:
            raise RuntimeError("the server went away")
        return original(self, anchors, texts)

    monkeypatch.setattr(Judge, "__call__", failing)
    with pytest.raises(RuntimeError, match="went away"):
        hfneg.examine(folder, judge.teacher)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    paid = judge.asked
    monkeypatch.setattr(Judge, "__call__", original)
    after = hfneg.examine(folder, judge.teacher)
    assert after["teacher"]["pairs_from_store"] >= 32
    assert judge.asked - paid + 32 <= hfneg.open_summary(lazy.folder)["verdicts"]["not_examined"]


def test_another_teacher_is_refused(lazy: Mined, untaught: Mined) -> None:
    """Scores of two teachers in one ledger would be compared; and where there was none there is nothing to add."""
    with pytest.raises(SettingError, match="is not the teacher of"):
        hfneg.examine(lazy.folder, WordTeacher())
    with pytest.raises(SettingError, match="without a teacher"):
        hfneg.examine(untaught.folder)


# Cut off, gone, broken.


@pytest.mark.parametrize(
    "cut",
    [
        "hfneg.runs.folder.ledger.compact",
        "hfneg.runs.folder.rows.RowWriter.write",
        "hfneg.runs.folder.work_area.RunFolder.finish",
    ],
)
def test_a_selection_that_was_cut_off_goes_on(
    cut: str, untaught: Mined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any stage; the result is that of one go, and nobody takes half of it for a result."""

    def killed(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    out, policy = tmp_path / "chosen", {"sampler": hfneg.TakeRandom(5, seed=1)}
    with monkeypatch.context() as patch:
        patch.setattr(cut, killed)
        with pytest.raises(KeyboardInterrupt):
            hfneg.reselect(untaught.folder, out=out, **policy)
    with pytest.raises(InputError, match="no mined folder"):
        hfneg.open_summary(out)
    resumed = hfneg.reselect(untaught.folder, out=out, resume=True, **policy)
    assert values(resumed) == values(hfneg.reselect(untaught.folder, out=tmp_path / "whole", **policy))
    assert not (out / ".hfneg").exists()


def test_where_the_store_was_emptied_the_corpus_is_given_again(
    untaught: Mined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pairs are in the folder; another corpus is refused, and the error says what is wanted."""
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "new-store"))
    policy = {"sampler": hfneg.TakeTop(2)}
    with pytest.raises(InputError, match=r"no longer has the corpus .* corpus="):
        hfneg.reselect(untaught.folder, out=tmp_path / "chosen", **policy)
    with pytest.raises(InputError, match="is not the corpus"):
        hfneg.reselect(untaught.folder, out=tmp_path / "chosen", corpus=TEXTS[::-1], **policy)
    assert not (tmp_path / "chosen").exists()
    chosen = hfneg.reselect(untaught.folder, out=tmp_path / "chosen", corpus=TEXTS, **policy)
    monkeypatch.undo()
    assert ours(chosen) == ours(hfneg.reselect(untaught.folder, out=tmp_path / "other", **policy))


def test_positives_that_are_the_corpus_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mining had no corpus of its own, the folder holds all there was."""
    rows = Dataset.from_dict({"q": ["a b", "c d", "e f"], "a": ["a b c", "c d e", "e f a"]})
    steps = hfneg.Recipe(k=2, sampler=hfneg.TakeTop(1))
    hfneg.mine(rows, None, steps, anchor="q", positive="a", out=tmp_path / "mined")
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "new-store"))
    chosen = hfneg.reselect(tmp_path / "mined", sampler=hfneg.TakeTop(2), out=tmp_path / "chosen")
    assert chosen.num_rows == 3


def _without_ledger(folder: Path) -> None:
    shutil.rmtree(folder / "ledger")


def _truncated(folder: Path) -> None:
    (path,) = (folder / "ledger").iterdir()
    path.write_bytes(path.read_bytes()[:-100])


def _damaged(folder: Path) -> None:
    (path,) = (folder / "ledger").iterdir()
    data = bytearray(path.read_bytes())
    data[4:4000] = os.urandom(3996)
    path.write_bytes(data)


def _shorter(folder: Path) -> None:
    (path,) = (folder / "ledger").iterdir()
    pq.write_table(pq.read_table(path).slice(0, 5), path)


def _other_columns(folder: Path) -> None:
    (path,) = (folder / "ledger").iterdir()
    pq.write_table(pq.read_table(path).drop_columns(["sources"]), path)


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (_without_ledger, "has no ledger"),
        (_truncated, "cannot be read"),
        (_damaged, "is damaged|cannot be read"),
        (_shorter, "has 5 anchors, its summary says 31"),
        (_other_columns, "has no column 'sources'"),
    ],
)
def test_a_broken_folder_is_refused(breaks: Callable[[Path], None], said: str, untaught: Mined, tmp_path: Path) -> None:
    """With a typed error that says what is wrong, before anything is written."""
    folder = untaught.copy(tmp_path / "mined")
    (folder / "checksums.json").unlink()  # as of a version that had none
    breaks(folder)
    with pytest.raises(InputError, match=said):
        hfneg.reselect(folder, out=tmp_path / "chosen")
    assert not (tmp_path / "chosen").exists()


def test_only_the_policy_can_be_changed(untaught: Mined, tmp_path: Path) -> None:
    """Other slots, unknown steps and scores that are not there are refused with what to do."""
    for settings, error, said in (
        (["k=5"], RecipeError, "For another k mine again"),
        (["retrievers=BM25()"], RecipeError, "For another retrievers mine again"),
        (["samples.n=5"], RecipeError, "Did you mean 'sampler'"),
        (["filters=Margin(relative=0.1, by='dense')"], SettingError, "by='dense' names no score"),
        (["filters=Margin(relative=0.1, by='teacher')"], SettingError, "there is no teacher"),
    ):
        with pytest.raises(error, match=said):
            hfneg.reselect(untaught.folder, settings=settings, out=tmp_path / "chosen")
    assert not (tmp_path / "chosen").exists()


@dataclass(frozen=True)
class OddRows(hfneg.Filter):
    """A filter that a recipe cannot name without being trusted."""

    verdict = "even_row"

    def keep(self, pool: Any) -> Any:
        return pool.rows % 2 == 1


def test_ones_own_filter_is_given_in_python(untaught: Mined, tmp_path: Path) -> None:
    """A folder whose recipe names one is read with trust, or with the slot given again."""
    hfneg.reselect(untaught.folder, filters=[OddRows()], out=tmp_path / "odd")
    with pytest.raises(RecipeError, match="give that slot in Python"):
        hfneg.reselect(tmp_path / "odd", sampler=hfneg.TakeTop(1), out=tmp_path / "other")
    other = hfneg.reselect(tmp_path / "odd", filters=[OddRows()], sampler=hfneg.TakeTop(1), out=tmp_path / "other")
    trusted = hfneg.reselect(tmp_path / "odd", sampler=hfneg.TakeTop(1), trust=True, out=tmp_path / "trusted")
    assert values(other) == values(trusted)
    corpus = Anchors.reopen(
        hfneg.open_summary(tmp_path / "odd")["identity"]["anchors"], anchor="query", positive="answer"
    ).corpus
    negatives = [text for row in other["hard_negatives"] for text in row]
    assert negatives
    assert all(row % 2 == 1 for row in corpus.rows_of_texts(negatives).tolist())


def test_on_the_command_line(untaught: Mined, tmp_path: Path) -> None:
    """hfneg select writes a folder; errors have exit codes; hfneg examine says what there is to examine."""
    run = CliRunner().invoke
    out = tmp_path / "chosen"
    done = run(cli.app, ["select", str(untaught.folder), "--set", "sampler.n=2", "--out", str(out), "-q"])
    assert done.exit_code == 0, done.output
    assert json.loads((out / "summary.json").read_text())["wanted_per_anchor"] == 2
    again = run(cli.app, ["select", str(untaught.folder), "--out", str(out), "-q"])
    assert again.exit_code == ending.EXIT_OUTPUT
    wrong = run(cli.app, ["select", str(untaught.folder), "--set", "k=3", "--out", str(tmp_path / "x"), "-q"])
    assert wrong.exit_code == ending.EXIT_INPUT
    assert run(cli.app, ["examine", str(untaught.folder), "-q"]).exit_code == ending.EXIT_INPUT


def test_a_lazily_mined_folder_is_examined_on_the_command_line(tmp_path: Path) -> None:
    """With the teacher that its recipe names; a missing score is exit code 4 before, and none after."""
    mine(tmp_path / "mined", recipe(retrievers=hfneg.BM25(), teacher=WordTeacher()))
    run = CliRunner().invoke
    select = ["select", str(tmp_path / "mined"), "--set", "sampler=TakeSimANS(n=4, by='teacher')", "--out"]
    assert run(cli.app, [*select, str(tmp_path / "a"), "-q"]).exit_code == ending.EXIT_WORK
    done = run(cli.app, ["examine", str(tmp_path / "mined"), "--trust", "-q"])
    assert done.exit_code == 0, done.output
    assert "candidates not examined: 0" in done.output
    assert run(cli.app, [*select, str(tmp_path / "a"), "-q"]).exit_code == 0


def test_the_ledger_names_each_sources_score_of_the_positives(full: Mined) -> None:
    """A margin by one source can be replayed, because the positive's score by it is kept."""
    (path,) = (full.folder / "ledger").iterdir()
    names = pq.read_schema(path).names
    assert {"bm25_positive_scores", "hash-encoder-8_positive_scores", "dense_positive_scores"} & set(names)
    assert pq.ParquetFile(path).metadata.row_group(0).num_rows <= ledger.ROW_GROUP
