"""Whatever a command is given: one line that says what to do and an exit code, never a traceback, a hang or a crash."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hfneg
from hfneg.base.hashing import mix
from hfneg.cli import app
from hfneg.pipeline import yaml_text

PAIRS = [{"query": f"what is topic {i}", "answer": f"topic {i} is thing number {i}"} for i in range(6)]
DEEP = "[" * 20_000 + "]" * 20_000
BAD_NAME = os.fsdecode(b"not\xffutf-8")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    return tmp_path / "work"


def refused(*arguments: str, code: tuple[int, ...] = (2,)) -> str:
    """Run a command that must end with one line; what it says."""
    before = sorted(path.name for path in Path().iterdir())
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code in code, result.output
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    lines = [line for line in result.stderr.splitlines() if "error" in line or "Error" in line]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    assert sorted(path.name for path in Path().iterdir()) == before
    return lines[0]


def beir(folder: str, **files: str) -> str:
    whole = {"corpus.jsonl": '{"_id": "d1", "text": "a"}\n', "queries.jsonl": '{"_id": "q1", "text": "one"}\n'}
    whole |= {"qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n", **files}
    for name, text in whole.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def deep_lines() -> str:
    Path("deep.jsonl").write_text(f'{{"query": "a", "answer": {DEEP}}}\n')
    return "deep.jsonl"


def deep_folder() -> str:
    Path("folder").mkdir()
    Path("folder/rows.jsonl").write_text('{"a":' * 20_000 + "1" + "}" * 20_000)
    return "folder"


def deep_json() -> str:
    Path("deep.json").write_text(DEEP)
    return "deep.json"


def fifo() -> str:
    os.mkfifo("pipe.jsonl")
    return "pipe.jsonl"


def fifo_in_a_folder() -> str:
    Path("folder").mkdir()
    os.mkfifo("folder/rows.jsonl")
    return "folder"


def fifo_of_judgments() -> str:
    folder = beir("collection")
    Path(folder, "qrels/test.tsv").unlink()
    os.mkfifo(Path(folder, "qrels/test.tsv"))
    return folder


def unix_socket() -> str:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket.jsonl")
    return "socket.jsonl"


def circle() -> str:
    Path("circle").symlink_to("circle")
    return "circle"


def bad_name() -> str:
    Path(f"{BAD_NAME}.jsonl").write_bytes(Path("good.jsonl").read_bytes())
    return f"{BAD_NAME}.jsonl"


INPUTS: list[Callable[[], str]] = [
    deep_lines,
    deep_json,
    deep_folder,
    fifo,
    fifo_in_a_folder,
    unix_socket,
    circle,
    bad_name,
    lambda: "/dev/zero",
    lambda: "x" * 5_000,
    lambda: "",
    lambda: beir("collection", **{"corpus.jsonl": f'{{"_id": "d1", "text": "a", "more": {DEEP}}}\n'}),
]

COLLECTIONS: list[Callable[[], str]] = [
    fifo_of_judgments,
    lambda: beir("collection", **{"queries.jsonl": f'{{"_id": "q1", "text": {DEEP}}}\n'}),
    lambda: beir("collection", **{"queries.jsonl": '{"_id": "q1", "text": "\\ud800"}\n'}),
    lambda: beir("collection", **{"qrels/test.tsv": "q1\td1\tnan\n"}),
]


@pytest.mark.parametrize("make", COLLECTIONS)
def test_collections_that_cannot_be_read(make: Callable[[], str]) -> None:
    """A pipe instead of judgments, queries nested too deeply or of no valid Unicode, judgments that are no number."""
    place = make()
    refused("mine", place, "--quiet", "--out", "mined")


@pytest.mark.parametrize("make", INPUTS)
@pytest.mark.parametrize("command", ["mine", "audit"])
def test_what_cannot_be_read(command: str, make: Callable[[], str]) -> None:
    """Pipes, devices, sockets, names that are not UTF-8 or too long, JSON so deep that a parser would crash."""
    place = make()
    refused(*([command, place, "--quiet", "--out", "mined"] if command == "mine" else [command, place, "--quiet"]))
    if command == "mine":
        refused("mine", "good.jsonl", "--corpus", place or "/dev/null", "--quiet", "--out", "mined")


@pytest.mark.parametrize("out", [BAD_NAME, "good.jsonl", "x" * 5_000, "/dev/null", "good.jsonl/below"])
def test_where_nothing_can_be_written(out: str) -> None:
    """Before any work, with exit code 3."""
    refused("mine", "good.jsonl", "--quiet", "--out", out, code=(3,))


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

RECIPES: list[tuple[str | bytes, str]] = [
    (LAUGHS, "with aliases"),
    ("filters: &a [*a]", "inside of what it is an alias of"),
    ("[" * 20_000, "more than 50 deep"),
    ("{a: " * 20_000, "more than 50 deep"),
    ("k: 5\nk: 6\n", "'k' comes twice"),
    ("sampler: {TakeTop: {n: 2, n: 3}}", "'n' comes twice"),
    (b"k: 5\n#" + b"x" * 2_000_000, "2,000,006 bytes"),
    ("k: 5\n".encode("utf-16"), "no text file"),
    ("k:\t- 5\n\tx: 3", "no valid YAML"),
    ("k: \0", "no valid YAML"),
    ("k: " + "1" * 5_000, "no valid YAML"),
    ("k: 0x" + "f" * 5_000, "bits was given"),
    ("k: 2024-13-45", "no valid YAML"),
    ("k: !!bool maybe", "no valid YAML"),
    ("k: !!python/object/apply:os.getcwd []", "no valid YAML"),
    ("sampler: " + "(" * 5_000, "is no step"),
    ("sampler: TakeTop(" + "-" * 20_000 + "1)", "is no step"),
    ("sampler: a" + ".a" * 20_000 + "()", "is no step"),
    ("sampler: TakeTop(n=99999999999999999999999)", "up to"),
    ("k: 99999999999999999999999", "less than or equal"),
    ("sampler: TakeRandom(n=2, seed=-1)", "whole number"),
    ("sampler: TakeRandom(n=2, seed=1.5)", "whole number"),
    ("sampler: TakeRandom(n=2, seed='a')", "whole number"),
    ("filters: OtherCluster(model='x', seed=True)", "whole number"),
    ("retrievers: Dense('')", "is no name"),
    ("retrievers: Dense('a\\0b')", "is no name"),
    ("retrievers: Dense('~nobody-of-this-name/x')", "no such folder"),
    ("teacher: CrossEncoderTeacher('')", "no such folder"),
]


@pytest.mark.parametrize(("text", "said"), RECIPES)
def test_recipes_that_are_none(text: str | bytes, said: str) -> None:
    """YAML that grows, goes round, is deep, long, says a key twice or is no text; settings of any size and kind."""
    Path("recipe.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = refused("mine", "good.jsonl", "--recipe", "recipe.yaml", "--quiet", "--out", "mined")
    assert said in line
    assert len(line) < 900


@pytest.mark.parametrize("command", ["mine latin.jsonl", "audit latin.jsonl", "mine good.jsonl --corpus latin.jsonl"])
def test_lines_in_another_encoding(command: str) -> None:
    """Named with the line, before any work."""
    Path("latin.jsonl").write_bytes(b'{"query": "a", "answer": "b"}\n{"query": "caf\xe9", "answer": "b"}\n')
    assert "latin.jsonl, line 2 is no UTF-8" in refused(*command.split())


def test_recipes_with_aliases_are_read() -> None:
    """An alias that stands for little is as good as what it stands for."""
    recipe = hfneg.Recipe.from_yaml("sampler: {TakeTop: {n: &n 3}}\ndeeper: 400\nk: &k 50\nshort: {Fill: {seed: *n}}\n")
    assert (recipe.k, recipe.sampler, recipe.short) == (50, hfneg.TakeTop(3), hfneg.Fill(seed=3))
    assert yaml_text.parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}", "it") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}}


@pytest.mark.parametrize("name", ["pipe", "folder", "absent", BAD_NAME, "x" * 5_000])
@pytest.mark.parametrize("command", ["mine", "rounds"])
def test_recipes_that_are_no_file(command: str, name: str) -> None:
    """Pipes, folders, names that cannot be."""
    os.mkfifo("pipe")
    Path("folder").mkdir()
    refused(command, "good.jsonl", "--recipe", name, "--out", "mined")


SEEDS = [2**63, 2**64 - 1, 2**80, pytest.param(10**900, id="huge")]


@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_of_any_size(seed: int) -> None:
    """Every step that draws takes a seed of any size, writes it into its recipe, and draws as that seed says."""
    rows = {"query": [row["query"] for row in PAIRS], "answer": [row["answer"] for row in PAIRS]}
    corpus = hfneg.Corpus.from_texts([f"topic {i} is thing number {i}" for i in range(60)])
    anchors = hfneg.Anchors(PAIRS, corpus, anchor="query", positive="answer")

    def drawn(seed: int) -> Any:
        recipe = hfneg.Recipe(
            retrievers=[hfneg.BM25(), hfneg.RandomDocuments(seed=seed)],
            k=20,
            sampler=hfneg.TakeRandom(4, seed=seed),
            short=hfneg.Fill(seed=seed),
        )
        assert hfneg.Recipe.from_yaml(recipe.to_yaml()) == recipe
        return [list(texts) for texts in recipe.transform(anchors)(rows)["hard_negatives"]]

    assert drawn(seed) == drawn(seed) != drawn(seed + 1)
    assert hfneg.TakeSimANS(2, seed=seed).seed == seed


def test_small_seeds_draw_as_ever() -> None:
    """Of numbers below 2**64 nothing has changed."""
    assert mix(7, np.arange(2)).tolist() == [13309476754707697221, 4414019431610648415]


@pytest.mark.parametrize("seed", [-1, 1.0, True, "5", None, np.int64(5), pytest.param(10**5_000, id="huge")])
def test_what_is_no_seed(seed: Any) -> None:
    """One line that shows it, also where Python would not write it down."""
    for step in (hfneg.Fill, hfneg.RandomDocuments, lambda seed: hfneg.TakeRandom(2, seed=seed)):
        with pytest.raises(hfneg.SettingError, match="whole number, 0 or more"):
            step(seed=seed)


def test_what_the_machine_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the operating system ends a command with its words and exit code 4."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error", f"/mnt/{BAD_NAME}")

    monkeypatch.setattr("hfneg.data.loading.load_pairs", fail)
    assert "Input/output error" in refused("mine", "good.jsonl", "--out", "mined", code=(4,))


@pytest.mark.parametrize("text", ["", "[]", "{", DEEP, '{"a": 1}', "\0"])
def test_a_summary_that_is_none(text: str) -> None:
    """Commands that look back at a folder say so."""
    Path("mined").mkdir()
    Path("mined/summary.json").write_text(text)
    for command in (["report", "mined"], ["select", "mined", "--out", "other"], ["diff", "mined", "mined"]):
        refused(*command)
