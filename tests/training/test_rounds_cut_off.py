"""Rounds that end at the wrong moment: killed, or out of disk. They go on, and end where undisturbed ones do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_rounds import base, negatives, run  # noqa: F401 - a fixture

import hfneg
from hfneg.errors import DiskFullError, StoreError

SCRIPT = Path(__file__).with_name("rounds_until_killed.py")


def start(base: str, out: Path, moment: str) -> tuple[int, list[str]]:  # noqa: F811
    """(exit code, rounds that were trained)."""
    command = [sys.executable, str(SCRIPT), base, str(out), moment]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, -9), done.stderr[-3000:]
    return done.returncode, done.stdout.split()


def test_killed_in_round_two(base: str, tmp_path: Path) -> None:  # noqa: F811
    """SIGKILL in mining, training, saving and recording, resumed after each: the rounds of an undisturbed run; a
    training that was recorded is not done again."""
    out = tmp_path / "rounds"
    assert start(base, out, "mining") == (-9, ["1"])
    for moment in ("training", "saving", "recording"):
        assert start(base, out, moment) == (-9, ["2"])
    assert start(base, out, "never") == (0, ["2", "3"])
    done = run(base, out, resume=True, train=not_again)
    expected = run(base, tmp_path / "undisturbed")
    assert [round.checkpoint for round in done] == [round.checkpoint for round in expected]
    assert [negatives(round) for round in done] == [negatives(round) for round in expected]
    assert not list(out.rglob("*.partial/*"))


def not_again(round: hfneg.Round) -> Any:
    raise AssertionError("trained already")


def test_the_disk_fills_in_a_round(small_disk: Path, base: str, tmp_path: Path) -> None:  # noqa: F811
    """A typed error that says what to do; with room again the same rounds come out, and none is trained twice."""
    trainings = []

    def train(round: hfneg.Round) -> Any:
        from test_rounds import trained

        trainings.append(round.number)
        return trained(round)

    with pytest.raises(DiskFullError, match=r"no space is left .*make room .*resume=True"):
        run(base, small_disk / "rounds", n=5, train=train)
    assert 1 in trainings
    assert trainings[-1] < 5
    before = len(trainings)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    done = run(base, small_disk / "rounds", n=5, train=train, resume=True)
    assert trainings[:before] == list(range(1, before + 1))
    assert trainings[before] in (before, before + 1)
    expected = run(base, tmp_path / "undisturbed", n=5)
    assert [negatives(round) for round in done] == [negatives(round) for round in expected]


def test_the_disk_of_the_store_is_full(
    large_disk: Path,
    base: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said too, with the store's folder; no artefact is left half there."""
    monkeypatch.setenv("HFNEG_STORE", str(large_disk / "store"))
    (large_disk / "other").write_bytes(b"0" * 1_950_000)
    with pytest.raises((DiskFullError, StoreError), match=r"No space|no space"):
        run(base, tmp_path / "rounds")
    (large_disk / "other").unlink()
    assert [round.number for round in run(base, tmp_path / "rounds", n=2, resume=True)] == [1, 2]
