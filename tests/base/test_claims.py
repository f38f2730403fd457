"""Processes that share a store: each pair is asked about by one of them; a claim of a dead one counts for nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from places import SUPPORT
from small_collection import bits, documents, pairs
from word_teacher import WordTeacher

import hfneg
from hfneg.base import store
from hfneg.base.store import claims
from hfneg.base.store.claims import Claims
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.steps import scorer as scoring
from hfneg.steps.scorer import TeacherScorer

SCRIPT = SUPPORT / "mine_with_teacher.py"


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))


@pytest.fixture
def anchors() -> hfneg.Anchors:
    return hfneg.Anchors(pairs(), hfneg.Corpus.from_texts(documents()), anchor="query", positive="answer")


def result(out: Path) -> dict[str, Any]:
    """Data and ledger, in bits."""
    tables = {path.relative_to(out): pq.read_table(path) for path in sorted(out.glob("*/*.parquet"))}
    return {str(name): {c: bits(table[c]) for c in table.column_names} for name, table in tables.items()}


def test_four_cold_processes_ask_each_pair_once(tmp_path: Path) -> None:
    """Four runs over one empty store, at the same time: together they ask exactly the pairs that one alone asks, each
    once, and all leave its data and ledger to the bit."""

    def start(name: str, root: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "HFNEG_STORE": str(tmp_path / f"{root}-store"), "HFNEG_ASKED_PAUSE": "0.01"}
        environment["HFNEG_ASKED"] = str(tmp_path / f"{root}-asked")
        command = [sys.executable, str(SCRIPT), str(tmp_path / name)]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def asked(root: str) -> list[str]:
        return sorted((tmp_path / f"{root}-asked").read_text().splitlines())

    four = [f"mined-{i}" for i in range(4)]
    for process in [start("mined", "one"), *(start(name, "four") for name in four)]:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    assert asked("four") == asked("one")
    shares = []
    for name in four:
        assert result(tmp_path / name) == result(tmp_path / "mined")
        shares.append(json.loads((tmp_path / name / "summary.json").read_text())["teacher"]["pairs_asked"])
    assert sum(shares) == len(asked("one"))


def some(anchors: hfneg.Anchors, n: int = 30) -> tuple[Any, Any, Any]:
    """n pairs: numbers of anchors, rows of documents, and their keys."""
    numbers, rows = np.arange(n) % len(anchors), np.arange(n)
    keys = pair_keys(np.asarray(anchors.text_hashes[numbers]), np.asarray(anchors.corpus.text_hashes[rows]))
    return numbers, rows, keys


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*.*.claim*")]


def test_what_others_are_at_is_waited_for(
    anchors: hfneg.Anchors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pairs that somebody else has claimed are not asked about: the rest comes first, then the scores that the other
    one commits are taken; it is said whom one waits for, as long as one waits."""
    caplog.set_level("INFO", logger="hfneg")
    monkeypatch.setattr(claims, "SAY_SECONDS", 0.0)
    monkeypatch.setattr(scoring, "BLOCK", 8)
    numbers, rows, keys = some(anchors)
    asked: list[str] = []
    ready = threading.Event()

    def judge(queries: list[str], texts: list[str]) -> list[float]:
        asked.extend(texts)
        if len(asked) == 20:
            ready.set()
        return [0.5] * len(texts)

    teacher = hfneg.FunctionTeacher(judge, id="waits")
    other = Claims(teacher.digest)
    found: list[Any] = []
    with other.one_at_a_time():
        claim = other.make(keys[:10])
    scorer = TeacherScorer(anchors, teacher)
    with claim:
        thread = threading.Thread(target=lambda: found.append(scorer.score(numbers, rows)))
        thread.start()
        assert ready.wait(60)
        until = time.monotonic() + 60
        while "s so far" not in caplog.text and time.monotonic() < until:
            thread.join(0.05)
        ScoreStore(teacher.digest).put(keys[:10], np.full(10, 0.25))
    thread.join(60)
    assert sorted(asked) == sorted(anchors.corpus.texts(rows[10:]).to_pylist())
    np.testing.assert_array_equal(found[0], [0.25] * 10 + [0.5] * 20)
    assert scorer.calls.tolist() == [20, 10, 0]
    assert f"that process {os.getpid()} on " in caplog.text
    assert " s so far" in caplog.text


def test_a_claim_of_a_dead_process_is_none(anchors: hfneg.Anchors) -> None:
    """A process that was killed while it had claimed all pairs keeps nobody waiting, and its claim is cleared away."""
    numbers, rows, keys = some(anchors)
    teacher = WordTeacher()
    child = os.fork()
    if child == 0:
        with Claims(teacher.digest).one_at_a_time():
            claim = Claims(teacher.digest).make(keys)
        with claim:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert left(store.root() / "scores") != []
    scorer = TeacherScorer(anchors, teacher)
    scorer.score(numbers, rows)
    assert scorer.calls.tolist() == [30, 0, 0]
    assert left(store.root() / "scores") == []


def test_a_claim_without_a_sign_of_life_is_passed_over(anchors: hfneg.Anchors, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds a claim and does nothing (it was stopped) is not waited for without end."""
    monkeypatch.setattr(claims, "PATIENCE_SECONDS", 0.0)
    numbers, rows, keys = some(anchors)
    teacher = WordTeacher()
    stopped = Claims(teacher.digest)
    with stopped.one_at_a_time():
        claim = stopped.make(keys)
    with claim:
        assert np.isfinite(TeacherScorer(anchors, teacher).score(numbers, rows)).all()


def test_an_error_gives_the_claim_back(anchors: hfneg.Anchors) -> None:
    """Where a teacher fails, what it had scored is kept, and its pairs are free for the next one."""
    numbers, rows, _ = some(anchors)

    def judge(queries: list[str], texts: list[str]) -> list[float]:
        return [float("nan") if text == texts[3] else 0.5 for text in texts]

    with pytest.raises(hfneg.NonFiniteError):
        TeacherScorer(anchors, hfneg.FunctionTeacher(judge, id="fails")).score(numbers, rows)
    assert left(store.root() / "scores") == []
    again = TeacherScorer(anchors, hfneg.FunctionTeacher(lambda queries, texts: [0.5] * len(texts), id="fails"))
    again.score(numbers, rows)
    assert again.asked < 30
    assert again.asked + again.stored == 30
