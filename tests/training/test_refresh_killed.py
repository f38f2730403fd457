"""A training with `HardNegativeRefresh` that was killed: the same script starts again, where nothing can be resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("refresh_until_killed.py")


def start(out: Path, step: int, save: int = 0) -> tuple[int, str, str]:
    """(exit code, the last line that it said, the last line of its errors)."""
    command = [sys.executable, str(SCRIPT), str(out), str(step), str(save)]
    done = subprocess.run(command, capture_output=True, text=True)
    said, errors = ([line for line in text.splitlines() if line.strip()] for text in (done.stdout, done.stderr))
    return done.returncode, (said or [""])[-1], (errors or [""])[-1]


def test_killed_before_the_first_checkpoint(tmp_path: Path) -> None:
    """SIGKILL after a refresh, with a half checkpoint: the same call begins again and ends as an undisturbed one; a
    training that has ended, or that has a whole checkpoint, is still not overwritten without a word."""
    assert start(tmp_path / "a", 7)[:2] == (-signal.SIGKILL, "")
    half = tmp_path / "a" / "trainer" / "checkpoint-7"
    half.mkdir(parents=True)
    (half / "trainer_state.json").write_text('{"global_st')
    again, undisturbed = start(tmp_path / "a", 0), start(tmp_path / "b", 0)
    assert again[0] == 0, again
    assert again[1] == undisturbed[1] != ""
    code, _, error = start(tmp_path / "b", 0)
    assert code == 1
    assert "OutputExistsError" in error
    assert start(tmp_path / "c", 7, save=5)[0] == -signal.SIGKILL
    code, _, error = start(tmp_path / "c", 0, save=5)
    assert code == 1
    assert "resume_from_checkpoint" in error
