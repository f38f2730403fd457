"""What is said to somebody who holds it wrong: what was given, what was expected, and what to type instead."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.errors import ColumnError, EmptyInputError, InputError, OutputExistsError, RecipeError, SettingError

ROWS = {"question": ["What slips?", "What travels?"], "answer": ["Faults slip.", "Waves travel."]}
PAIRS = Dataset.from_dict(ROWS)
HUB = "nobody/has-this-model"


def anchors() -> hfneg.Anchors:
    return hfneg.Anchors(PAIRS, None, anchor="question", positive="answer")


def command(*words: Any) -> Any:
    return CliRunner().invoke(cli.app, list(map(str, words)))


@pytest.mark.parametrize("given", [["a", "b"], PAIRS, None], ids=["list", "Dataset", "None"])
def test_a_corpus_is_made_by_its_class_methods(given: Any) -> None:
    """`Corpus(...)` itself opens a digest; what was meant is named."""
    with pytest.raises(InputError, match=rf"given a {type(given).__name__}; Corpus.from_texts\(texts\)"):
        hfneg.Corpus(given)


@pytest.mark.parametrize("step", ["recipe", "retrieve"])
def test_map_without_batched(step: str) -> None:
    """Rows instead of batches: the letters of a text are not taken for anchors."""
    made = {
        "recipe": hfneg.Recipe(k=1, sampler=hfneg.TakeTop(1)).transform(anchors()),
        "retrieve": hfneg.Retrieve(anchors(), hfneg.BM25(), k=1),
    }
    with pytest.raises(ColumnError, match=r"is one text, 'What slips\?', where a batch .*map\(step, batched=True\)"):
        PAIRS.map(made[step], load_from_cache_file=False)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_a_model_of_the_hub_offline(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Said when the step is built, naming the variable, from a handful of frames; nothing is pickled before."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    recipe = hfneg.Recipe(retrievers=hfneg.Dense(HUB), k=1, sampler=hfneg.TakeTop(1))
    ways: list[Any] = [
        lambda: recipe.transform(anchors()),
        lambda: hfneg.mine(PAIRS, None, recipe, anchor="question", positive="answer", out=tmp_path / "out"),
        lambda: hfneg.Select(anchors(), filters=hfneg.PositiveSimilarity(HUB, below=0.8)),
    ]
    for way in ways:
        with pytest.raises(SettingError, match=f"{HUB}' .* and {variable} is set.* unset {variable}") as caught:
            way()
        assert len(caught.traceback) < 8
    assert not (tmp_path / "out").exists()


def test_a_step_that_needs_a_model(tmp_path: Path) -> None:
    """In Python the class itself, in YAML its name alone."""
    with pytest.raises(SettingError, match=r"Dense is a class; .* Dense\(\.\.\.\)"):
        hfneg.Recipe(retrievers=[hfneg.Dense])
    path = tmp_path / "recipe.yaml"
    path.write_text("retrievers: [Dense]\n")
    with pytest.raises(RecipeError, match=r"Dense needs model="):
        hfneg.Recipe.load(path)


@pytest.mark.parametrize(("given", "meant"), [("Bm25", "BM25"), ("dense", "Dense"), ("HardNegativesRefresh", "Hard")])
def test_a_name_that_is_nearly_one(given: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute '{given}'. Did you mean '{meant}"):
        getattr(hfneg, given)


def test_what_lies_there_is_said_in_the_words_of_the_caller(tmp_path: Path) -> None:
    """Arguments in Python, options on the command line."""
    PAIRS.to_csv(str(tmp_path / "pairs.csv"))
    typed = ("mine", tmp_path / "pairs.csv", "--out", tmp_path / "mined", "--set", "k=7")
    assert command(*typed).exit_code == 0
    again = command(*typed)
    assert again.exit_code == 3
    said = " ".join(again.output.split())
    assert "--resume goes on with it, --overwrite starts anew, --out gives another folder" in said
    assert "=True" not in said
    with pytest.raises(OutputExistsError, match=r"resume=True goes on with it, overwrite=True starts anew$"):
        hfneg.mine(PAIRS, None, hfneg.Recipe(k=7), anchor="question", positive="answer", out=tmp_path / "mined")


# Rows with something missing.

GAPS = "question,answer\nWhat slips?,Faults slip.\nWhat melts?,\n,Waves.\n  ,Rocks.\nWhat travels?,Waves travel.\n"


def test_a_missing_cell(tmp_path: Path) -> None:
    """The command's advice is an option; with it such rows are left out and counted, and the others are mined."""
    (tmp_path / "pairs.csv").write_text(GAPS)
    typed = ("mine", tmp_path / "pairs.csv", "--out", tmp_path / "mined", "--set", "k=7", "--set", "sampler.n=1")
    refused = command(*typed)
    assert refused.exit_code == 2
    assert "--skip-missing leaves such rows out" in " ".join(refused.output.split())
    assert not (tmp_path / "mined").exists()
    done = command(*typed, "--skip-missing")
    assert done.exit_code == 0, done.output
    assert "3 of 5 rows were left out: 2 without 'question', 1 without 'answer'" in " ".join(done.output.split())
    assert [row["question"] for row in hfneg.runs.folder.mined.open_rows(tmp_path / "mined", several=False)] == [
        "What slips?",
        "What travels?",
    ]


@pytest.mark.parametrize(
    ("columns", "how", "left"),
    [
        ({"q": ["a", None, " ", "d"], "a": ["b", "b", "b", None]}, {"anchor": "q", "positive": "a"}, [0]),
        ({"q": ["a", "b", "c", "d"], "a": [["x"], [], None, ["x", None]]}, {"anchor": "q", "positive": "a"}, [0]),
        ({"query": ["a", "b"], "doc": ["x", None], "label": [1, 1]}, {"anchor": "query", "positive": "doc"}, [0]),
        ({"text": ["a", "b", None, "c"], "label": [0, 0, 0, None]}, {"classes": True}, [0, 1]),
    ],
    ids=["texts", "lists", "labels", "classes"],
)
def test_rows_that_are_left_out(columns: Any, how: Any, left: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """By every layout, in a Dataset and in each split of a DatasetDict; the rest is as if they had never been there."""
    rows = Dataset.from_dict(columns)
    found = hfneg.load_pairs(rows, skip_missing=True, **how)
    expected = hfneg.load_pairs(rows.select(left), **how)
    assert found.rows.to_list() == expected.rows.to_list()
    assert f"{len(rows) - len(left)} of {len(rows)} rows were left out" in caplog.text
    both = hfneg.load_pairs(DatasetDict(train=rows, test=rows.select(left)), skip_missing=True, **how)
    assert {name: part.to_list() for name, part in both.rows.items()} == dict.fromkeys(
        ("train", "test"), expected.rows.to_list()
    )


def test_no_row_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    """All left out is an error; nothing to leave out is no word."""
    with pytest.raises(EmptyInputError, match="no row of this Dataset has all it needs: 1 without 'a'"):
        hfneg.load_pairs(Dataset.from_dict({"q": ["a"], "a": [""]}), anchor="q", positive="a", skip_missing=True)
    assert hfneg.load_pairs(PAIRS, skip_missing=True).rows is PAIRS
    assert "left out" not in caplog.text


# The command itself.


def test_the_package_is_a_command() -> None:
    """`python -m hfneg` is `hfneg`."""
    done = subprocess.run([sys.executable, "-m", "hfneg", "--version"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, f"hfneg {hfneg.__version__}\n")


def test_the_shell_can_complete() -> None:
    """Typer's completion, for the shells it knows."""
    environment = {**os.environ, "_HFNEG_COMPLETE": "complete_bash", "COMP_WORDS": "hfneg exp", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "hfneg"], capture_output=True, text=True, timeout=120, env=environment)
    assert done.stdout.split() == ["export"]


def test_verbose_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    """--verbose adds the traceback of a typed error, and lines that are else too many; without it there is one line."""
    typed = ("mine", tmp_path / "nothing.csv")
    short, long = command(*typed), command(*typed, "--verbose")
    assert short.exit_code == long.exit_code == 2
    assert "Traceback" not in short.output
    assert "Traceback (most recent call last)" in long.output
    assert "nothing.csv" in long.output
    assert logging.getLogger("hfneg").level == logging.DEBUG
    for name in ("export", "audit", "report", "store"):
        words = (name, "size", "--help") if name == "store" else (name, "--help")
        assert "--verbose" in command(*words).output
