"""A run that is killed, at whatever moment, and started again ends where an undisturbed one does."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from killed import Run, nth, result
from small_collection import documents, pairs

import hfneg
from hfneg.base import store
from hfneg.runs import mine as mining, units
from hfneg.runs.folder import rows as row_stage, work_area

STAGES = ("search/0", "encode/document", "encode/query", "search/1", "choose", "compact", "rows", "finish")


# What a run leaves.


# Killed from outside, in a process of its own.


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """BM25 and a model folder (the script lets a hash encoder stand for it)."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "weights").write_text("some weights")
    both = [hfneg.BM25(), hfneg.Dense(folder)]
    filters = [hfneg.Margin(relative=0.02, by="dense")]
    return hfneg.Recipe(retrievers=both, k=15, filters=filters, sampler=hfneg.TakeRandom(4)).to_yaml()


@pytest.fixture(scope="module")
def undisturbed(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("undisturbed"), recipe)
    assert run.start() == 0, run.errors
    return run


def test_the_run_has_many_units_in_every_stage(undisturbed: Run) -> None:
    """The ground of these tests: several units per stage, each begun and ended once; resume=True began from nothing."""
    begun = undisturbed.units("begin")
    assert begun == undisturbed.units("end")
    assert set(begun.values()) == {1}
    counts = {stage: sum(unit.startswith(stage) for unit in begun) for stage in STAGES}
    assert counts["compact"] == counts["finish"] == 1
    assert min(counts[stage] for stage in STAGES[:5]) >= 2, counts
    assert counts["rows"] >= 3
    assert undisturbed.said[0][-1] == f"done {len(pairs())}"


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_in_every_stage(seed: int, recipe: str, undisturbed: Run, tmp_path: Path) -> None:
    """SIGKILL at a random unit of several stages, one after the other: the same files in the end, no unit that
    was finished done again, and nothing left in the folder."""
    draw = random.Random(seed)
    begun = undisturbed.units("begin")
    run = Run(tmp_path, recipe)
    kills = 0
    for stage in STAGES[seed % 2 :: 2]:
        count = sum(unit.startswith(stage) for unit in begun)
        assert run.start(nth(stage, draw.randint(1, count))) == -signal.SIGKILL
        kills += 1
        assert not (run.out / "summary.json").exists()
    assert run.start() == 0, run.errors
    assert result(run.out) == result(undisturbed.out)
    run.check_no_work_twice(kills)


def test_finished_folder_is_returned_without_work(undisturbed: Run) -> None:
    """resume=True on a finished folder begins no unit, changes no file, and gives the rows."""
    before = {path: path.stat().st_mtime_ns for path in undisturbed.out.rglob("*")}
    assert undisturbed.start() == 0
    assert undisturbed.said.pop() == [f"done {len(pairs())}"]
    assert {path: path.stat().st_mtime_ns for path in undisturbed.out.rglob("*")} == before


def test_worker_and_parent_killed(recipe: str, undisturbed: Run, tmp_path: Path) -> None:
    """Two workers, first one of them killed, then their parent, then one process: a dead worker is a
    WorkerDiedError that says what to do; no worker outlives its parent (Run.start waits for all who hold its
    pipe); the files are those of an undisturbed run in one process."""
    run = Run(tmp_path, recipe, devices=["cpu", "cpu"])
    assert run.start(nth("search/0", 2), kill="worker") == 1
    assert "hfneg.errors.WorkerDiedError" in run.errors[0]
    assert "resume" in run.errors[0].splitlines()[-1]
    assert run.start(nth("search/0", 1)) == -signal.SIGKILL
    run.devices = None
    assert run.start() == 0, run.errors
    assert result(run.out) == result(undisturbed.out)
    run.check_no_work_twice(kills=4)  # two units are in flight at each


# Killed at every rename, in a forked child.


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "PART", 16)
    monkeypatch.setattr(row_stage, "SHARD_BYTES", 12_000)


def _mine(out: Path, **settings: Any) -> Any:
    recipe = hfneg.Recipe(retrievers=[hfneg.BM25(), hfneg.RandomDocuments()], k=8)
    names = {"anchor": "query", "positive": "answer", "hidden": "relevant"}
    return hfneg.mine(pairs(), documents(), out=out, **{"recipe": recipe, **names, **settings})


def _replaces_until_killed(out: Path, at: int, after: bool, **settings: Any) -> bool:
    """Mine in a forked child that kills itself with SIGKILL before (or right after) its `at`-th rename into `out`;
    whether it came that far."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    try:
        replace, count = os.replace, 0

        def counted(source: Any, target: Any) -> None:
            nonlocal count
            inside = out in Path(target).parents
            count += inside
            if inside and count == at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)
            if inside and count == at:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = counted
        _mine(out, **settings)
    finally:
        os._exit(0)


@pytest.mark.parametrize(("first", "after"), [(1, False), (2, False), (3, True)])
def test_killed_at_many_renames(first: int, after: bool, small_parts: None, tmp_path: Path) -> None:
    """A run is killed before (after) its `first` rename, every resumed one at its third, and so on to the end,
    through parts, shards and the final moves: the folder holds what an undisturbed run leaves."""
    _mine(tmp_path / "undisturbed")
    out = tmp_path / "mined"
    kills = 0
    while _replaces_until_killed(out, at=3 if kills else first, after=after, resume=True):
        kills += 1
        assert kills < 40  # a unit makes two files at most, so each process finishes one
    assert kills >= 5
    _mine(out, resume=True)
    assert result(out) == result(tmp_path / "undisturbed")


@pytest.mark.parametrize("at", range(1, 6))
def test_cut_off_between_the_final_renames(
    at: int, small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at one of the five moves into the folder: it is not taken for a finished one, and resume only
    moves the rest."""
    _mine(tmp_path / "undisturbed")
    out = tmp_path / "mined"
    replace, moves = os.replace, []

    def failing(source: Any, target: Any) -> None:
        if Path(target).parent == out:
            moves.append(Path(target).name)
            if len(moves) == at:
                raise OSError("the disk is gone")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            _mine(out)
    assert not (out / "summary.json").exists()
    monkeypatch.setattr(mining._Run, "work", lambda self: pytest.fail("the work was done again"))
    assert len(_mine(out, resume=True)) == len(pairs())
    assert result(out) == result(tmp_path / "undisturbed")


def test_overwrite_cut_off_leaves_no_half_folder(
    small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """overwrite=True killed while it removes the old files, at any of them: the rest is never taken for a finished
    run."""
    _mine(tmp_path / "undisturbed")
    remove = work_area._remove
    for at in range(7):
        out = tmp_path / f"mined{at}"
        _mine(out)
        done = []

        def failing(path: Path, at: int = at, done: list[Path] = done) -> None:
            if len(done) == at:
                raise KeyboardInterrupt
            done.append(path)
            remove(path)

        with monkeypatch.context() as patch:
            patch.setattr(work_area, "_remove", failing)
            with pytest.raises(KeyboardInterrupt):
                _mine(out, overwrite=True)
        if not (out / "summary.json").exists():
            with pytest.raises(hfneg.OutputExistsError, match="cut off"):
                _mine(out)
        assert len(_mine(out, resume=True)) == len(pairs())
        assert result(out) == result(tmp_path / "undisturbed")


def test_parts_without_a_record_are_not_used(
    small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut-off run is being overwritten with another recipe when that is cut off too: the first one's parts, which
    still lie there, do not get into the second one's result."""
    out = tmp_path / "mined"
    assert _replaces_until_killed(out, at=6, after=True)
    other = {"recipe": hfneg.Recipe(retrievers=[hfneg.BM25(k1=0.5), hfneg.RandomDocuments(seed=1)], k=8)}
    remove = work_area._remove
    with monkeypatch.context() as patch:
        patch.setattr(work_area, "_remove", lambda path: remove(path) if path.name == "run.json" else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _mine(out, overwrite=True, **other)
    assert list((out / ".hfneg" / "search").rglob("*.npz"))
    _mine(out, resume=True, **other)
    _mine(tmp_path / "undisturbed", **other)
    assert result(out) == result(tmp_path / "undisturbed")


def test_overwritten_folder_is_not_served_from_the_cache(small_parts: None, tmp_path: Path) -> None:
    """`load_dataset` keys its cache by a folder's name and card: mined anew, or into another folder of the same
    name, it must give the new rows."""
    counts = []
    for folder, n in ((tmp_path / "a" / "mined", 1), (tmp_path / "a" / "mined", 2), (tmp_path / "b" / "mined", 3)):
        recipe = hfneg.Recipe(k=8, sampler=hfneg.TakeTop(n))
        mined = hfneg.mine(
            pairs(), documents(), recipe, anchor="query", positive="answer", out=folder, overwrite=folder.exists()
        )
        loaded = load_dataset(str(folder), split="train")
        ledger = load_dataset(str(folder), "ledger", split="anchors")
        assert sum(verdicts.count(0) for verdicts in ledger["verdicts"]) > 0
        counts.append([max(map(len, rows["hard_negatives"])) for rows in (mined, loaded)])
    assert counts == [[1, 1], [2, 2], [3, 3]]


def test_resume_with_other_inputs_is_refused(small_parts: None, tmp_path: Path) -> None:
    """A folder that was begun with one recipe, or with other values in any column, is not gone on with."""
    out = tmp_path / "mined"
    assert _replaces_until_killed(out, at=3, after=True)
    names = {"anchor": "query", "positive": "answer", "hidden": "relevant"}
    recipe = hfneg.Recipe(retrievers=[hfneg.BM25(), hfneg.RandomDocuments()], k=9)
    with pytest.raises(hfneg.ResumeError, match="recipe"):
        hfneg.mine(pairs(), documents(), recipe, out=out, **names, resume=True)
    recipe = hfneg.Recipe(retrievers=[hfneg.BM25(), hfneg.RandomDocuments()], k=8)
    changed = pairs().map(lambda row: {"level": 1})
    with pytest.raises(hfneg.ResumeError, match="rows"):
        hfneg.mine(changed, documents(), recipe, out=out, **names, resume=True)
    with pytest.raises(hfneg.ResumeError, match="anchors"):
        hfneg.mine(pairs(), [*documents(), "one more"], recipe, out=out, **names, resume=True)
    assert len(_mine(out, resume=True)) == len(pairs())


def test_parts_are_replaced_whole(tmp_path: Path) -> None:
    """What a unit writes is seen whole or not at all: a write that fails leaves neither the file nor a part."""

    def write(path: Path) -> None:
        path.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        store.replace_file(tmp_path / "part", write)
    assert not list(tmp_path.iterdir())
