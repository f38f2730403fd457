"""One process at a time works in a folder; a dead one keeps nobody out."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from killed import result
from small_collection import documents, pairs

import hfneg
from hfneg.base.files import holding
from hfneg.errors import OutputError
from hfneg.runs import mine as mining

NAMES = {"anchor": "query", "positive": "answer"}
HOLD = """
import sys
from pathlib import Path
from hfneg.base.files import holding
from hfneg.errors import OutputError
with holding.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read(1)
"""


@pytest.fixture
def elsewhere() -> Iterator[Any]:
    """`elsewhere(folder)`: another process that works in it, until it is killed or its stdin is closed."""
    started = []

    def hold(folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def mine(out: Path, **given: Any) -> Any:
    return hfneg.mine(pairs(), documents(), hfneg.Recipe(k=8), out=out, **{**NAMES, **given})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "mined"
    mine(out)
    return out


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}], ids=["new", "resume", "overwrite"])
def test_the_second_says_who_is_there(how: dict[str, bool], elsewhere: Any, tmp_path: Path) -> None:
    """Whatever was asked for: an error with pid and host, nothing touched; when that process is killed, none."""
    out = tmp_path / "mined"
    mine(out)
    before = result(out)
    other = elsewhere(out)
    with pytest.raises(hfneg.InUseError, match=rf"in use by process {other.pid} on .*wait=True"):
        mine(out, **how)
    assert {name: facts for name, facts in result(out).items() if name != holding.LOCK} == before
    other.send_signal(signal.SIGKILL)
    other.wait()
    if how:
        mine(out, **how)
    else:
        with pytest.raises(hfneg.OutputExistsError, match="a finished run"):
            mine(out)
    assert result(out) == before


def test_waiting(elsewhere: Any, tmp_path: Path, undisturbed: Path) -> None:
    """wait=True goes on when the other one has ended, and looks at the folder then."""
    out = tmp_path / "mined"
    other = elsewhere(out)
    said = []

    class EndsTheOther(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("waiting for "):
                said.append(record.getMessage())
                other.communicate("x")

    logging.getLogger("hfneg").addHandler(EndsTheOther())
    mine(out, wait=True)
    assert said[0].startswith(f"waiting for process {other.pid} on ")
    assert result(out) == result(undisturbed)
    other = elsewhere(out)
    with pytest.raises(hfneg.OutputExistsError, match="a finished run"):
        mine(out, wait=True)


def test_two_at_once_in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Path) -> None:
    """Of two processes that are told to mine into the same new folder one does, the other ends with 3 and one line."""
    folder = tmp_path / "in"
    folder.mkdir()
    pairs().to_parquet(folder / "pairs.parquet")
    lines = [json.dumps({"text": text}) for text in documents()]
    (folder / "docs.jsonl").write_text("\n".join(lines))
    said = []
    work = mining._Run.work

    def both(self: Any) -> None:
        code = "from hfneg.cli import app; app()"
        given = ["mine", folder / "pairs.parquet", "--corpus", folder / "docs.jsonl", "--out", self.folder.out, "-q"]
        for more in ([], ["--overwrite"], ["--resume"]):
            command = [sys.executable, "-c", code, *map(str, given), *more]
            said.append(subprocess.run(command, capture_output=True, text=True))
        work(self)

    monkeypatch.setattr(mining._Run, "work", both)
    mine(tmp_path / "mined")
    assert [one.returncode for one in said] == [3, 3, 3]
    for one in said:
        assert one.stderr.startswith("error (InUseError): ")
        assert f"process {os.getpid()} on " in one.stderr
        assert "(--wait)" in one.stderr
        assert len(one.stderr.splitlines()) == 1
    assert result(tmp_path / "mined") == result(undisturbed)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system says "no such file" to every new folder, as in /proc: it is no other process that removes it."""

    def refused(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(OutputError, match=r"cannot make the folder .*new: No such file"):
        mine(tmp_path / "new")


def test_the_lock_is_nobody_elses_file(tmp_path: Path, elsewhere: Any) -> None:
    """A lock that a killed process has left makes no folder foreign, is not read by load_dataset, and is gone after."""
    out = tmp_path / "mined"
    other = elsewhere(out)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert [path.name for path in out.iterdir()] == [holding.LOCK]
    mine(out)
    assert not (out / holding.LOCK).exists()
    other = elsewhere(out)
    assert len(load_dataset(str(out), split="train")) == len(pairs())
    other.communicate("x")
    assert not (out / holding.LOCK).exists()


@pytest.mark.parametrize("there", [False, True])
def test_a_refused_run_leaves_the_folder_as_it_was(there: bool, tmp_path: Path) -> None:
    """An empty folder stays, one that was not there is not; also its parents."""
    out = tmp_path / "a" / "b" / "mined"
    if there:
        out.mkdir(parents=True)
    with pytest.raises(hfneg.ColumnError):
        mine(out, anchor="nobody")
    assert out.exists() == there
    assert (tmp_path / "a").exists() == there
    assert not there or not list(out.iterdir())


def test_readers_and_writers_of_a_mined_folder(undisturbed: Path, elsewhere: Any, tmp_path: Path) -> None:
    """What reads a folder that is being written says so, as does what would write into it."""
    out = tmp_path / "mined"
    mine(out)
    other = elsewhere(out)
    with pytest.raises(hfneg.InUseError, match=f"being written by process {other.pid}"):
        hfneg.reselect(out, out=tmp_path / "other")
    with pytest.raises(hfneg.InUseError, match=f"process {other.pid}"):
        hfneg.examine(out)
    assert not (tmp_path / "other").exists()
    other.communicate("x")
    hfneg.reselect(out, out=tmp_path / "other")


def test_a_folder_is_not_reselected_into_itself(undisturbed: Path) -> None:
    """Overwriting what is read would lose it."""
    before = result(undisturbed)
    with pytest.raises(hfneg.SettingError, match="is the mined folder itself"):
        hfneg.reselect(undisturbed, out=undisturbed, overwrite=True)
    assert result(undisturbed) == before


@pytest.mark.parametrize("place", ["data/notes.txt", "data/train-extra.parquet", "ledger/mine.parquet"])
def test_files_among_ours_are_never_deleted(place: str, tmp_path: Path) -> None:
    """overwrite=True is refused where somebody has put a file between hfneg's; beside them it stays."""
    out = tmp_path / "mined"
    mine(out)
    (out / "notes.txt").write_text("mine")
    (out / place).write_text("mine too")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(hfneg.OutputExistsError, match="files that hfneg did not write among its own"):
        mine(out, overwrite=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / place).unlink()
    mine(out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "statistics.json", "recipe.yaml"])
def test_files_beside_a_run_that_was_cut_off_are_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Path
) -> None:
    """Where a finished run would put its own: refused until somebody has moved them, to resume and to overwrite."""
    out = tmp_path / "mined"
    with monkeypatch.context() as patch:
        patch.setattr(mining.work, "write_rows", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mine(out)
    (out / name).write_text("mine")
    for how in ("resume", "overwrite"):
        with pytest.raises(hfneg.OutputExistsError, match=f"did not write among its own: .*{name}"):
            mine(out, **{how: True})
    assert (out / name).read_text() == "mine"
    (out / name).unlink()
    mine(out, resume=True)
    assert result(out) == result(undisturbed)


def test_what_a_killed_process_left_is_swept(tmp_path: Path, undisturbed: Path) -> None:
    """Half files and half removed folders, in the output and in its work area, are gone after the next start."""
    out = tmp_path / "mined"
    left = [
        ".summary.json.77-0123abcd.partial",
        ".data.0123abcd-77-4567cdef-89ab0123.removed",
        ".hfneg/selected/.000000.npz.7-0123abcd.partial",
    ]
    for name in left:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("half")
    (out / ".mine.partial").write_text("a user's")
    mine(out, resume=True)
    assert result(out).pop(".mine.partial") == "a user's"
    (out / ".mine.partial").unlink()
    assert result(out) == result(undisturbed)
