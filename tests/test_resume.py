"""A run that is killed, at whatever moment, and started again ends where an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from small_collection import bits, documents, pairs

import hfneg
from hfneg import mining, run_folder, stages, store
from hfneg import rows as row_stage

SCRIPT = Path(__file__).with_name("mine_in_parts.py")
PAUSE = 0.01
STAGES = ("encode/document", "encode/query", "search/0", "search/1", "choose", "compact", "rows", "finish")


# What a run leaves.


def result(out: Path) -> dict[str, Any]:
    """Everything in a finished folder: parquet files as bits by name, the others as text."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    found: dict[str, Any] = {}
    for path in files:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found[str(path.relative_to(out))] = {name: bits(table[name]) for name in table.column_names}
        else:
            found[str(path.relative_to(out))] = path.read_text()
    return found


# Killed from outside, in a process of its own.


@dataclass
class Run:
    """One `mine_in_parts.py` and all that it says; every later one on the same folder resumes."""

    folder: Path
    recipe: str
    devices: list[str] | None = None
    said: list[list[str]] = field(default_factory=list)  # of each process started: its lines
    errors: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "mined"

    def start(self, until: Callable[[str], bool] = lambda line: False, kill: str = "parent") -> int:
        """Run until a line meets `until`, then SIGKILL the parent or the worker that said it; its exit code.

        Returns when stdout is closed by all who hold it, so no worker is left.
        """
        job = {
            "out": str(self.out),
            "recipe": self.recipe,
            "devices": self.devices,
            "resume": True,
            "pause": PAUSE,
            "hidden": "relevant",
        }
        env = {**os.environ, "HFNEG_JOB": json.dumps(job), "HFNEG_STORE": str(self.folder / "store")}
        lines: list[str] = []
        self.said.append(lines)
        with subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            killed = False
            for line in process.stdout:
                who, _, what = line.strip().partition(" ")
                lines.append(what)
                if not killed and until(what):
                    os.kill(process.pid if kill == "parent" else int(who), signal.SIGKILL)
                    killed = True
            assert process.stderr is not None
            self.errors.append(process.stderr.read())
        return process.returncode

    def units(self, word: str) -> Counter[str]:
        """How often each unit was said to begin or to end, over all processes."""
        return Counter(
            line.removeprefix(f"{word} ") for lines in self.said for line in lines if line.startswith(f"{word} ")
        )

    def check_no_work_twice(self, kills: int) -> None:
        """A unit that ended is never begun again; only those in flight at a kill are."""
        ended, begun = self.units("end"), self.units("begin")
        assert max(ended.values()) == 1
        assert sum(begun.values()) - len(begun) <= kills
        finished: set[str] = set()
        for lines in self.said:
            assert not finished & {line.removeprefix("begin ") for line in lines if line.startswith("begin ")}
            finished |= {line.removeprefix("end ") for line in lines if line.startswith("end ")}


def nth(stage: str, n: int) -> Callable[[str], bool]:
    """True at the n-th unit of a stage that begins."""
    seen: list[str] = []

    def met(line: str) -> bool:
        if line.startswith(f"begin {stage}"):
            seen.append(line)
        return len(seen) == n

    return met


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


def test_worker_killed(recipe: str, undisturbed: Run, tmp_path: Path) -> None:
    """With two workers, one of them killed while it searches: WorkerDiedError says what to do, no worker is left,
    resume with two workers gives the files of an undisturbed run in one process."""
    run = Run(tmp_path, recipe, devices=["cpu", "cpu"])
    assert run.start(nth("choose", 3), kill="worker") == 1
    assert "hfneg.errors.WorkerDiedError" in run.errors[0]
    assert "resume" in run.errors[0].splitlines()[-1]
    assert run.start() == 0, run.errors
    assert result(run.out) == result(undisturbed.out)
    run.check_no_work_twice(kills=2)


def test_workers_end_with_their_parent(recipe: str, undisturbed: Run, tmp_path: Path) -> None:
    """The parent of two workers killed: they do not live on (Run.start waits for all who hold its pipe), and a
    resumed run in one process ends with the same files."""
    run = Run(tmp_path, recipe, devices=["cpu", "cpu"])
    assert run.start(nth("search/1", 2)) == -signal.SIGKILL
    run.devices = None
    assert run.start() == 0, run.errors
    assert result(run.out) == result(undisturbed.out)
    run.check_no_work_twice(kills=2)
