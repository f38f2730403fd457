"""A command that is stopped by a signal ends with one line that is true, its number, and nothing half there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from killed import result
from places import SUPPORT
from small_collection import documents, pairs

import hfneg

SCRIPT = SUPPORT / "stopped_command.py"
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


def stopped(name: str, place: str, *command: object, whom: str = "itself") -> tuple[int, str]:
    """(exit code, what was said on stderr) of a command that got the signal when `place` was called."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), name, place, whom, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    _, said = process.communicate()  # ends when nobody holds the pipe any more, workers too
    return process.returncode, said


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    pairs().select_columns(["query", "answer"]).to_parquet(folder / "pairs.parquet")
    corpus = folder / "docs.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents()))
    return folder / "pairs.parquet", corpus


@pytest.fixture(scope="module")
def mined(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "mined"
    hfneg.mine(str_rows(files[0]), documents(), k=8, anchor="query", positive="answer", out=out)
    return out


def str_rows(path: Path) -> Any:
    from datasets import Dataset

    return Dataset.from_parquet(str(path))


def mine(files: tuple[Path, Path], out: Path, *more: object) -> tuple[object, ...]:
    return "mine", files[0], "--corpus", files[1], "--set", "k=8", "--out", out, *more


@pytest.mark.parametrize("name", list(CODES))
def test_mine_is_stopped_and_gone_on_with(name: str, files: tuple[Path, Path], mined: Path, tmp_path: Path) -> None:
    """In the middle of its work: its code, one line, no traceback; what it says to type gives the finished folder."""
    out = tmp_path / "mined"
    code, said = stopped(name, "hfneg.runs.folder.rows:RowWriter.write", *mine(files, out, "-q"))
    assert (code, said.splitlines()) == (CODES[name], [f"stopped; the same command with --resume goes on in {out}"])
    assert not list(tmp_path.rglob(".*.partial"))
    assert not list(tmp_path.rglob(".hfneg.lock"))
    command = [sys.executable, "-c", "from hfneg.cli import app; app()", *map(str, mine(files, out, "--resume", "-q"))]
    subprocess.run(command, check=True, capture_output=True)
    assert result(out) == result(mined)


@pytest.mark.parametrize("how", [(), ("--overwrite",)])
def test_nothing_was_begun(how: tuple[str, ...], files: tuple[Path, Path], tmp_path: Path) -> None:
    """While the pairs are read: it says so, and leaves no folder; a run that was to be overwritten is whole."""
    out = tmp_path / "mined"
    if how:
        hfneg.mine(
            str_rows(files[0]),
            documents(),
            hfneg.Recipe(k=3, sampler=hfneg.TakeTop(3)),
            anchor="query",
            positive="answer",
            out=out,
        )
    before = result(out) if how else None
    code, said = stopped("SIGTERM", "hfneg.data.loading:load_pairs", *mine(files, out, "-q", *how))
    assert (code, said.splitlines()) == (143, [f"stopped; nothing is begun in {out}: run the same command again"])
    assert (result(out) if how else out.exists()) == (before if how else False)


def test_overwriting_is_gone_on_with_by_resume(files: tuple[Path, Path], tmp_path: Path) -> None:
    """--resume and --overwrite exclude each other, and the line says which to type."""
    out = tmp_path / "mined"
    hfneg.mine(
        str_rows(files[0]),
        documents(),
        hfneg.Recipe(k=3, sampler=hfneg.TakeTop(3)),
        anchor="query",
        positive="answer",
        out=out,
    )
    _, said = stopped("SIGTERM", "hfneg.runs.folder.rows:RowWriter.write", *mine(files, out, "-q", "--overwrite"))
    assert said.strip() == f"stopped; the same command with --resume in place of --overwrite goes on in {out}"


@pytest.mark.parametrize(("name", "whom"), [("SIGTERM", "itself"), ("SIGINT", "all"), ("SIGHUP", "all")])
def test_workers_end_too(name: str, whom: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    """Two worker processes that would work for ever: they end with their parent (which else never closes its pipe), and
    say nothing, also where the terminal sends the signal to all."""
    given = mine(files, tmp_path / "mined", "-q", "--device", "cpu", "--device", "cpu")
    code, said = stopped(name, "hfneg.runs.units:SearchPart.__call__", *given, whom=whom)
    assert (code, len(said.splitlines())) == (CODES[name], 1), said
    assert said.startswith("stopped; ")


def test_a_second_signal_kills(files: tuple[Path, Path], tmp_path: Path) -> None:
    """At once, without a word."""
    code, said = stopped(
        "SIGTERM", "hfneg.runs.folder.rows:RowWriter.write", *mine(files, tmp_path / "m", "-q"), whom="twice"
    )
    assert (code, said) == (-signal.SIGTERM, "")


COMMANDS = {
    "audit": (("audit", "MINED"), "hfneg.review.audit:audit", "run the same command again"),
    "report": (("report", "MINED", "--out", "OUT"), "hfneg.base.store:replace_file", "run the same command again"),
    "export": (("export", "MINED", "--out", "OUT.parquet"), "hfneg.formats:export", "run the same command again"),
    "diff": (("diff", "MINED", "MINED"), "hfneg.review.diff.diff:diff", "run the same command again"),
    "select": (
        ("select", "MINED", "--out", "OUT"),
        "hfneg.runs.folder.rows:RowWriter.write",
        "--resume goes on in OUT",
    ),
    "examine": (("examine", "MINED"), "hfneg.runs.examine:examine", "run the same command again"),
    "calibrate": (("calibrate", "MINED"), "hfneg.review.calibrate.calibrate:calibrate", "run the same command again"),
    "leak-rate": (("leak-rate", "MINED"), "hfneg.review.leak.leak:leak_rate", "run the same command again"),
    "push": (("push", "MINED", "org/name"), "hfneg.hub.publish:publish", "run the same command again"),
    "reproduce": (
        ("reproduce", "org/name", "--out", "OUT"),
        "hfneg.hub.reproduce:reproduce",
        "nothing is begun in OUT",
    ),
    "rounds": (("rounds", "R", "P", "--out", "OUT"), "hfneg.training.trainer:load_training_recipe", "nothing is begun"),
    "store": (("store", "size"), "hfneg.base.store.stored:stored_teachers", "run the same command again"),
}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_ends_with_one_line(command: str, mined: Path, tmp_path: Path) -> None:
    """SIGTERM or Ctrl-C, by turns: 143 or 130, one line, no traceback, and nothing left where it was to write."""
    words, place, says = COMMANDS[command]
    name = ("SIGTERM", "SIGINT")[list(COMMANDS).index(command) % 2]
    given = [word.replace("MINED", str(mined)).replace("OUT", str(tmp_path / "out")) for word in words]
    code, said = stopped(name, place, *given, *(() if command == "store" else ("-q",)))
    assert code == CODES[name], said
    assert len(said.splitlines()) == 1, said
    assert said.startswith("stopped; ")
    assert says.replace("OUT", str(tmp_path / "out")) in said
    if command != "select":
        assert not list(tmp_path.iterdir())
