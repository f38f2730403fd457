"""Every example of ``hfneg COMMAND --help`` runs as it is printed, where the files that it names are there."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from small_models import DEMO, save_encoder, save_teacher
from typer.testing import CliRunner

import hfneg
from hfneg import cli

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MISSING = ("--pairs pairs.parquet", "--corpus docs.jsonl", "--model checkpoint=path/to/it")
HUB = ("push", "reproduce")


def examples() -> Iterator[str]:
    waiting = [typer.main.get_command(cli.app)]
    while waiting:
        command: Any = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        if not hasattr(command, "commands"):
            yield from (line.strip() for line in (command.help or "").splitlines() if line.strip().startswith("hfneg "))


EXAMPLES = [line.removeprefix("hfneg ") for line in examples()]


def run(line: str, folder: Path) -> tuple[int, str]:
    """What a shell in `folder` would run; (exit code, all that is printed)."""
    given, _, into = line.partition(" > ")
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(cli.app, shlex.split(given))
    finally:
        os.chdir(before)
    if into:
        (folder / into).write_text(done.stdout)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("path/to/scifact", "path/to/banking77"):
        shutil.copytree(DEMO, folder / name)
    (folder / "qrels").mkdir()
    with (folder / "path/to/scifact/queries.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "asked", "text": "what is a fault"}) + "\n")
    with (folder / "path/to/scifact/qrels/train.tsv").open("a") as file:
        file.write("asked\td004\t1\n")
    shutil.copy(DEMO / "qrels" / "train.tsv", folder / "qrels" / "test.tsv")
    for name in (MODEL, "org/another-model", "checkpoint"):
        save_encoder(folder / name)
    shutil.copytree(folder / "checkpoint", folder / "path/to/it")
    teacher = hfneg.CrossEncoderTeacher(str(save_teacher(folder / "teacher")))
    found = hfneg.load_pairs(str(DEMO))
    rows = [{"question": row[found.anchor], "answer": row[found.positive][0]} for row in found.rows]
    _write_tables(folder, rows, found.corpus)
    for name, policy in (
        ("mined", {"teacher": teacher, "filters": hfneg.Margin(relative=0.05, by="teacher")}),
        ("round-001", {}),
        ("round-002", {"filters": hfneg.RankWindow(skip=1)}),
        ("round-003", {"retrievers": hfneg.BM25()}),
    ):
        model = "checkpoint" if name == "round-002" else MODEL
        slots = {"retrievers": hfneg.Dense(str(folder / model)), "k": 30, "sampler": hfneg.TakeTop(n=3), **policy}
        recipe = hfneg.Recipe(**slots)
        brought = (
            (folder / "path/to/scifact", None) if name == "mined" else (folder / "pairs.parquet", folder / "docs.jsonl")
        )
        hfneg.mine(*brought, recipe, out=folder / name)
    for line in (
        "export mined --format triplets --out triplets.parquet",
        "export mined --format triplets --out triplets.jsonl",
        "calibrate mined --sample 60 --out judged.csv",
    ):
        code, said = run(line, folder)
        assert code == 0, said
    _judge(folder / "judged.csv")
    return folder


def _write_tables(folder: Path, rows: list[dict[str, Any]], corpus: Any) -> None:
    import datasets

    table = datasets.Dataset.from_list(rows)
    table.to_parquet(str(folder / "pairs.parquet"))
    table.to_csv(str(folder / "pairs.csv"), index=False)
    texts = [
        {"id": str(i), "text": text.replace("\t", " ")}
        for i, text in enumerate(corpus.texts(range(len(corpus))).to_pylist())
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    with (folder / "docs.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text"], delimiter="\t")
        writer.writeheader()
        writer.writerows(texts)


def _judge(path: Path) -> None:
    """As somebody would who finds every fourth relevant."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        row["relevance"] = "1" if i % 4 == 0 else "0"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("line", [line for line in EXAMPLES if line.split()[0] not in HUB])
def test_an_example_runs_as_printed(line: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exit code 0, or 1 where an audit is asked to find something."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.setattr("webbrowser.open", lambda *_: True)
    if line.startswith("mine"):
        shutil.rmtree(folder / "mined")
    if line.endswith("--resume"):
        assert run(line.removesuffix(" --resume"), folder)[0] == 0
    if line.startswith(("select", "calibrate", "leak-rate")):
        assert run("examine mined", folder)[0] == 0
    code, said = run(line, folder)
    assert code in ((0, 1) if line.startswith("audit") else (0,)), said
    for option in ("--out", "--plot", "--fix"):
        if option in line:
            assert (folder / shlex.split(line)[shlex.split(line).index(option) + 1]).exists()


def test_the_examples_of_push_run_as_printed(prepared: Path, client: Callable[..., Any], hub: Any) -> None:
    for line in EXAMPLES:
        if line.startswith("push"):
            if "--private" in line:
                hub.repositories["dataset", "org/pushed"].private = True
            code, said = client(run, line.replace("org/name", "org/pushed"), prepared)
            assert code == 0, (line, said)


@pytest.mark.parametrize("line", [line for line in EXAMPLES if line.startswith("reproduce")])
def test_the_examples_of_reproduce_run(
    line: str, prepared: Path, client: Callable[..., Any], hub: Any, tmp_path: Path
) -> None:
    """Here the data did not come from the Hub: an example that leaves them out is given them, as its error asks for."""
    for number in () if ("dataset", "org/name") in hub.repositories else (2, 3):
        code, said = client(run, f"push round-00{number} org/name --round {number} --license mit", prepared)
        assert code == 0, said
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    for _ in range(2):
        code, said = client(run, line, folder)
        if code == 2:
            asked = [option for option in MISSING if option.split()[0] in said and option not in line]
            assert asked, said
            line = " ".join([line, *asked])
    code, said = client(run, f"{line} --overwrite", folder)
    assert (code, said.startswith("identical")) == (0, True), said
