"""The command line: what it takes, what it writes, what it prints, and how it ends."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
import typer
from command import hfneg, one_line
from datasets import load_dataset
from rich.console import Console
from typer.testing import CliRunner

import hfneg as package
from hfneg import __version__, cli, formats
from hfneg.errors import MissingExtraError, NonFiniteError, OutputError, RecipeError, StoreError

DOCUMENTS = [
    {"_id": "d0", "title": "Faults", "text": "A fault slips when stress exceeds friction."},
    {"_id": "d1", "title": "", "text": "In deep water a tsunami moves as fast as a jet."},
    {"_id": "d2", "title": "", "text": "A fault creeps where friction is low."},
    {"_id": "d3", "title": "", "text": "A tsunami warning reaches the coast by siren."},
    {"_id": "d4", "title": "", "text": "A fault is mapped where rock layers slip past each other."},
    {"_id": "d5", "title": "", "text": "a FAULT creeps where friction is low."},
    {"_id": "d6", "title": "", "text": "Basalt is a dark rock that makes the floor of deep water."},
]
QUERIES = [
    {"_id": "q0", "text": "What makes a fault slip?"},
    {"_id": "q1", "text": "How fast does a tsunami travel in deep water?"},
]
TRAIN = [("q0", "d0"), ("q0", "d4"), ("q1", "d1")]
TEST = [("q1", "d1")]
SMALL = ["--set", "k=4", "--set", "sampler.n=2"]


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    yield
    datasets.disable_progress_bars()


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A BEIR folder of two queries, one of them with two positives."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, judged in (("train", TRAIN), ("test", TEST)):
        lines = "".join(f"{query}\t{document}\t1\n" for query, document in judged)
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}")
    return folder


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The same as two files of JSON lines: pairs with texts, and documents."""
    texts = {row["_id"]: row["text"] for row in QUERIES}
    answers = {row["_id"]: row["text"] for row in DOCUMENTS}
    pairs, documents = tmp_path / "pairs.jsonl", tmp_path / "docs.jsonl"
    rows = [{"note": i, "question": texts[q], "answer": answers[d]} for i, (q, d) in enumerate(TRAIN)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    documents.write_text("".join(json.dumps({"id": d["_id"], "text": d["text"]}) + "\n" for d in DOCUMENTS))
    return pairs, documents


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return datasets.load_dataset(str(folder), split="train").to_list()


def facts_of(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return facts


# Help


def commands() -> Iterator[tuple[str, Any]]:
    """Every command of the tree with its full name, groups too."""
    waiting = [("hfneg", typer.main.get_command(cli.app))]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        waiting += [(f"{name} {sub}", found) for sub, found in getattr(command, "commands", {}).items()]


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_is_documented(name: str, command: Any) -> None:
    """Each command has help and a real example of itself; each option and argument says what it is."""
    shown = hfneg(*name.split()[1:], "--help")
    assert command.help
    if not hasattr(command, "commands"):
        examples = [line.strip() for line in command.help.splitlines() if line.strip().startswith("hfneg ")]
        assert examples
        for example in examples:
            assert f"{example} ".startswith(f"{name} ")
            assert len(example) < 76  # so that it stands on one line of a terminal of 80
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in example.split() if word.startswith("-")} <= known
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name
        if getattr(parameter, "hidden", False):
            continue
        assert parameter.opts[0] in shown or parameter.metavar in shown


def test_without_arguments_the_help_is_shown() -> None:
    """``hfneg`` alone lists the commands and the exit codes."""
    result = CliRunner().invoke(cli.app, [])
    for word in ("mine", "export", "Exit codes: 0 done, 2 unusable input, 3 unusable output, 4 the work failed"):
        assert word in result.output


def test_the_installed_command_says_its_version() -> None:
    """``hfneg --version`` runs as installed, and starts without loading torch."""
    command = Path(sys.executable).with_name("hfneg")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"hfneg {__version__}\n"
    code = "import sys, hfneg.cli; sys.exit(any(name in sys.modules for name in ('torch', 'faiss', 'datasets')))"
    subprocess.run([sys.executable, "-c", code], check=True)


# hfneg mine


def test_a_beir_folder_is_mined(beir: Path, tmp_path: Path) -> None:
    """The folder alone is enough: rows come out one to one, no positive of an anchor is its negative."""
    out = tmp_path / "mined"
    hfneg("mine", beir, "--out", out, *SMALL)
    rows = rows_of(out)
    assert [row["query_id"] for row in rows] == ["q0", "q1"]
    assert [row["positive_ids"] for row in rows] == [["d0", "d4"], ["d1"]]
    assert rows[0]["hard_negative_ids"] == ["d6", "d2"]  # d5 differs from d2 in case only, and is a repeat
    for row in rows:
        assert not set(row["hard_negative_ids"]) & set(row["positive_ids"])
        assert len(row["hard_negative_ids"]) == 2
    assert {path.name for path in out.iterdir()} == {
        "data",
        "ledger",
        "README.md",
        "checksums.json",
        "recipe.yaml",
        "statistics.json",
        "summary.json",
    }


def test_another_split_is_mined(beir: Path, tmp_path: Path) -> None:
    """``--split test`` reads qrels/test.tsv; a misspelt split is named back."""
    hfneg("mine", beir, "--split", "test", "--out", tmp_path / "mined", *SMALL)
    assert [row["query_id"] for row in rows_of(tmp_path / "mined")] == ["q1"]
    output = hfneg("mine", beir, "--split", "tset", "--out", tmp_path / "other", code=2)
    assert "there are test, train. Did you mean 'test'?" in one_line(output)
    assert not (tmp_path / "other").exists()


def test_files_are_mined(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Pairs and corpus from JSON lines: the guessed columns are printed, every column of the user is kept."""
    pairs, documents = files
    output = hfneg("mine", pairs, "--corpus", documents, "--out", tmp_path / "mined", *SMALL)
    assert "anchor = 'question', positive = 'answer' (guessed; --anchor and --positive say otherwise)" in one_line(
        output
    )
    rows = rows_of(tmp_path / "mined")
    assert [row["note"] for row in rows] == [0, 1, 2]
    assert rows[0]["hard_negative_ids"] == rows[1]["hard_negative_ids"]
    assert not {"d0", "d4"} & set(rows[0]["hard_negative_ids"])


def test_columns_that_are_said_are_not_guessed(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Only what was guessed is printed; a column that is not there is an error that lists what is."""
    pairs, documents = files
    base = ["mine", pairs, "--corpus", documents, *SMALL, "--positive", "answer"]
    output = hfneg(*base, "--anchor", "question", "--out", tmp_path / "a")
    assert "guessed" not in output
    output = hfneg(*base, "--out", tmp_path / "b")
    assert "anchor = 'question' (guessed" in one_line(output)
    output = hfneg(*base, "--anchor", "questoin", "--out", tmp_path / "c", code=2)
    assert "the columns are 'note', 'question', 'answer'. Did you mean 'question'?" in one_line(output)


def test_the_corpus_may_be_described(files: tuple[Path, Path], tmp_path: Path) -> None:
    """--corpus-split, --corpus-text and --corpus-id; positives as ids of it."""
    texts = [row["text"] for row in DOCUMENTS]
    split = datasets.Dataset.from_dict({"code": [row["_id"] for row in DOCUMENTS], "abstract": texts})
    datasets.DatasetDict(docs=split, others=split.select([0])).save_to_disk(tmp_path / "corpus")
    pairs = tmp_path / "by_id.csv"
    datasets.Dataset.from_dict({"q": ["What makes a fault slip?"], "p": ["d0"]}).to_csv(pairs)
    base = ["mine", pairs, "--corpus", tmp_path / "corpus", "--out", tmp_path / "mined", *SMALL]
    assert "several splits (docs, others); pass one of them (--corpus-split)" in one_line(hfneg(*base, code=2))
    base += ["--corpus-split", "docs"]
    assert "columns are code, abstract: say --corpus-text COLUMN" in one_line(hfneg(*base, code=2))
    base += ["--corpus-text", "abstract", "--corpus-id", "code"]
    hfneg(*base, "--positives-are", "id")
    row = rows_of(tmp_path / "mined")[0]
    assert row["p"] == "d0"
    assert "d0" not in row["hard_negative_ids"]


def test_positives_that_the_corpus_lacks(files: tuple[Path, Path], tmp_path: Path) -> None:
    """More than a tenth is refused, in words of the command line; --missing add adds them and the number is printed."""
    pairs, documents = files
    lines = documents.read_text().splitlines()
    documents.write_text("\n".join(lines[1:]) + "\n")
    base = ["mine", pairs, "--corpus", documents, *SMALL]
    output = hfneg(*base, "--out", tmp_path / "added", "--missing", "add")
    assert "1 positive not in the corpus, and added to it" in one_line(output)
    for said in ((), ("--missing", "refuse")):
        output = hfneg(*base, "--out", tmp_path / "refused", *said, code=2)
        assert "--missing add adds them to it on purpose" in one_line(output)


def test_settings_change_the_recipe(beir: Path, tmp_path: Path) -> None:
    """--set goes before --recipe, which goes before the defaults; the folder holds what was used."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("retrievers: BM25(k1=0.9)\nk: 3\nsampler: TakeRandom(n=3, seed=5)\n")
    hfneg(
        "mine",
        beir,
        "--recipe",
        recipe,
        "--set",
        "sampler.n=1",
        "--set",
        "filters=RankWindow(skip=1)",
        "--out",
        tmp_path / "m",
    )
    used = (tmp_path / "m" / "recipe.yaml").read_text()
    for text in ("k1=0.9", "k: 3", "TakeRandom(n=1, seed=5)", "RankWindow(skip=1"):
        assert text in used
    assert facts_of(tmp_path / "m")["wanted_per_anchor"] == 1
    hfneg("mine", beir, "--recipe", tmp_path / "m" / "recipe.yaml", "--out", tmp_path / "again")
    assert rows_of(tmp_path / "again") == rows_of(tmp_path / "m")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("kk=3", "Did you mean 'k'?"),
        ("sampler.m=3", "TakeTop has no setting 'm'; it has n."),
        ("sampler.n=0", "n"),
        ("filters=Margn(relative=0.1)", "Did you mean 'Margin'?"),
        ("k", "write slot.key=value"),
    ],
)
def test_wrong_settings_end_with_code_2(beir: Path, tmp_path: Path, setting: str, message: str) -> None:
    """A setting that does not exist is refused before anything is written, with the near miss."""
    assert message in one_line(hfneg("mine", beir, "--set", setting, "--out", tmp_path / "mined", code=2))
    assert not (tmp_path / "mined").exists()


def test_components_by_import_path_need_trust(beir: Path, tmp_path: Path) -> None:
    """Without --trust nothing of another module is loaded, and the message names the option once."""
    setting = ["--set", "filters=hfneg.steps.filters.RankWindow(skip=3)"]
    output = one_line(hfneg("mine", beir, *SMALL, *setting, "--out", tmp_path / "mined", code=2))
    assert "allow it with --trust" in output
    assert output.count("--trust") == 1
    hfneg("mine", beir, *SMALL, *setting, "--trust", "--out", tmp_path / "mined")
    assert facts_of(tmp_path / "mined")["verdicts"]["rank_window"] > 0


def test_an_output_that_is_there(beir: Path, tmp_path: Path) -> None:
    """Refused with code 3; --resume returns the finished run; --overwrite replaces it; others' files stay."""
    out = tmp_path / "mined"
    hfneg("mine", beir, "--out", out, *SMALL)
    before = (out / "summary.json").stat().st_mtime_ns
    assert "--resume goes on with it, --overwrite starts anew, --out gives" in one_line(
        hfneg("mine", beir, "--out", out, *SMALL, code=3)
    )
    hfneg("mine", beir, "--out", out, *SMALL, "--resume")
    assert (out / "summary.json").stat().st_mtime_ns == before
    output = one_line(hfneg("mine", beir, "--out", out, "--set", "k=3", "--set", "sampler.n=2", "--resume", code=3))
    assert "(recipe: k: 4 before, k: 3 now)" in output
    hfneg("mine", beir, "--out", out, "--set", "k=3", "--set", "sampler.n=1", "--overwrite")
    assert facts_of(out)["wanted_per_anchor"] == 1
    (tmp_path / "file").touch()
    hfneg("mine", beir, "--out", tmp_path / "file", code=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    hfneg("mine", beir, "--out", tmp_path / "full", "--overwrite", code=3)
    assert (tmp_path / "full" / "thesis.tex").read_text() == "mine"


def test_an_interrupted_run_says_how_to_go_on(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with code 130 and one line, and --resume then gives what an uninterrupted run gives."""
    from hfneg.runs import mine as mining

    out, whole = tmp_path / "mined", tmp_path / "whole"
    with monkeypatch.context() as patch:

        def interrupt(*args: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(mining.work, "write_rows", interrupt)
        output = hfneg("mine", beir, "--out", out, *SMALL, code=130)
    assert f"stopped; the same command with --resume goes on in {out}" in output
    hfneg("mine", beir, "--out", out, *SMALL, "--resume")
    hfneg("mine", beir, "--out", whole, *SMALL)
    assert rows_of(out) == rows_of(whole)


def test_a_mined_folder_can_be_mined_again(beir: Path, tmp_path: Path) -> None:
    """Columns of an earlier mining are refused with --remine in the message, and replaced with it."""
    first, second = tmp_path / "first", tmp_path / "second"
    hfneg("mine", beir, "--out", first, *SMALL)
    base = ["mine", first, "--corpus", beir, "--out", second, "--set", "k=4", "--set", "sampler.n=1"]
    assert "pass --remine to replace" in one_line(hfneg(*base, code=2))
    hfneg(*base, "--remine")
    assert [row["hard_negative_ids"] for row in rows_of(second)] == [
        row["hard_negative_ids"][:1] for row in rows_of(first)
    ]
    assert list(rows_of(second)[0]) == list(rows_of(first)[0])


def test_hidden_positives_are_counted(beir: Path, tmp_path: Path) -> None:
    """--show-positives 1 hides d4 from q0; it is mined, and printed as a share of the negatives."""
    out = tmp_path / "mined"
    output = one_line(hfneg("mine", beir, "--show-positives", 1, "--out", out, *SMALL))
    mined = [set(row["hard_negative_ids"]) & set(row["hidden_positive_ids"]) for row in rows_of(out)]
    assert mined == [{"d4"}, set()]
    assert facts_of(out)["hidden_positives"] == {
        "negatives": 4,
        "hidden_found": 1,
        "hidden": 1,
        "share_of_negatives": 0.25,
    }
    assert "25.0% of the negatives are hidden positives (1 of 4 in the rows)" in output


def test_show_positives_needs_a_beir_folder(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Elsewhere nobody knows the list of all positives; at least one must be shown."""
    output = hfneg("mine", files[0], "--show-positives", 1, "--out", tmp_path / "m", code=2)
    assert "needs a BEIR folder" in one_line(output)
    hfneg("mine", files[0], "--show-positives", 0, "--out", tmp_path / "m", code=2)


def test_worker_processes_give_the_same_rows(beir: Path, tmp_path: Path) -> None:
    """--device cpu --device cpu spawns workers, as installed, and the rows are those of one process."""
    command = Path(sys.executable).with_name("hfneg")
    devices = ["--device", "cpu", "--device", "cpu"]
    subprocess.run([command, "mine", beir, "--out", tmp_path / "two", *SMALL, *devices, "-q"], check=True)
    hfneg("mine", beir, "--out", tmp_path / "one", *SMALL)
    assert rows_of(tmp_path / "two") == rows_of(tmp_path / "one")


def test_quiet_prints_the_result_only(beir: Path, tmp_path: Path) -> None:
    """--quiet: nothing on stderr, the summary on stdout; without it both log and bars are on stderr."""
    command = Path(sys.executable).with_name("hfneg")
    environment = {k: v for k, v in os.environ.items() if "PROGRESS" not in k}
    for flags, silent in (["-q"], True), ([], False):
        arguments = [command, "mine", beir, "--out", tmp_path / f"m{silent}", *SMALL, *flags]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment)
        assert "4 hard negatives for 2 anchors from 7 documents" in done.stdout
        assert (done.stderr == "") == silent
        assert ("Selecting" in done.stderr) != silent


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RecipeError("x"), 2),
        (OutputError("x"), 3),
        (NonFiniteError("x"), 4),
        (StoreError("x"), 4),
        (MissingExtraError("x"), 4),
    ],
)
def test_exit_codes(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    """2 for input, 3 for output, 4 for work that failed; one paragraph that begins with the kind of error."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr("hfneg.runs.mine.mine", fail)
    output = hfneg("mine", beir, "--out", tmp_path / "m", code=code)
    assert f"error ({type(error).__name__}): x" in output
    assert "Traceback" not in output


def test_a_bug_keeps_its_traceback(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no typed error is not dressed up as one."""
    monkeypatch.setattr("hfneg.runs.mine.mine", lambda *args, **kwargs: {}["bug"])
    with pytest.raises(KeyError, match="bug"):
        hfneg("mine", beir, "--out", tmp_path / "m")


@pytest.mark.parametrize("pairs", ["nothing.jsonl", "org/name"])
def test_pairs_that_are_nowhere(pairs: str, tmp_path: Path) -> None:
    """A missing file and an unreachable Hub id end with code 2 and leave nothing behind."""
    assert "there is no file or folder" in one_line(hfneg("mine", pairs, "--out", tmp_path / "m", code=2))
    assert not (tmp_path / "m").exists()


# What is printed


@pytest.mark.parametrize("width", [80, 120])
def test_the_summary_fits_the_terminal(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """At 80 and at 120 columns every verdict is one line, no sentence is broken, and what to do next is there."""
    monkeypatch.setattr("hfneg.cli.mine.out", Console(width=width))
    monkeypatch.chdir(tmp_path)
    output = hfneg("mine", beir, "--out", "mined", *SMALL, "--set", "filters=RankWindow(skip=3)")
    lines = output[output.index("for 2 anchors from 7 documents") :].splitlines()
    assert all(len(line) <= width for line in lines)
    facts = facts_of(tmp_path / "mined")
    for name, count in facts["verdicts"].items():
        shown = [line for line in lines if re.search(rf"\b{name}  ", line)]
        assert len(shown) == (count > 0)
        if count:
            assert re.match(rf"\s*{count}  +{count / facts['candidates']:.1%}  {name} +\w.*\w$", shown[0].rstrip())
    assert "  import datasets, hfneg  # train: query, positive, negative_1 .. 2" in lines
    assert '  train = hfneg.formats.tuples(datasets.load_dataset("mined", split="train"))' in lines
    assert any(line.startswith("  hfneg calibrate mined ") and line.endswith("not measured yet") for line in lines)
    rows = load_dataset(str(tmp_path / "mined"), split="train")
    shown = [lines.index(f"? {row['query']}") for row in rows]
    for at, row in zip(shown, rows, strict=True):
        assert lines[at + 1][2:-1] in row["positive"][0].replace("\n", ": ")
        assert lines[at + 2][2:-1] in row["hard_negatives"][0].replace("\n", ": ")


def test_what_is_printed_to_train_with_counts_what_there_is(beir: Path, tmp_path: Path) -> None:
    """Where nobody gets as many negatives as were asked for, the columns are those of the anchor that has the most."""
    output = hfneg("mine", beir, "--out", tmp_path / "mined", "--n", 90, "--recipe", "bm25", "--set", "short=Keep()")
    most = max(len(row["hard_negatives"]) for row in rows_of(tmp_path / "mined"))
    assert 0 < most < 90
    assert f"negative_1 .. {most}\n" in output
    assert (
        formats.tuples(datasets.load_dataset(str(tmp_path / "mined"), split="train")).column_names[-1]
        == f"negative_{most}"
    )


@pytest.mark.parametrize("positives", ["text", "id", "ids"])
def test_what_is_printed_to_train_with_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, positives: str) -> None:
    """As it stands, for columns of the user's own and a folder with blanks and quotes; ids become texts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hfneg.cli.mine.out", Console(width=200))
    texts = [f"The fault {i} slips." for i in range(12)]
    given: list[Any] = texts if positives == "text" else [f"d{i}" for i in range(12)]
    rows = [
        {"Frage": f"Which fault is {i}?", "Antwort": [one] if positives == "ids" else one}
        for i, one in enumerate(given)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    corpus = [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts)]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in corpus))
    columns = ("--anchor", "Frage", "--positive", "Antwort", "--corpus", "corpus.jsonl")
    output = hfneg("mine", "pairs.jsonl", "--out", "my \"mined\" 'set'", *columns)
    code = output[output.index("  import ") : output.index("  hfneg show ")]
    there: dict[str, Any] = {}
    exec("\n".join(line.strip() for line in code.splitlines()), there)
    assert code.splitlines()[0].endswith("# train: Frage, Antwort, negative_1 .. 7")
    assert there["train"].column_names == ["Frage", "Antwort", *(f"negative_{i}" for i in range(1, 8))]
    assert there["train"]["Antwort"][:12] == texts
    assert f"+ {texts[0]}" in output


def test_the_last_line_of_mine(
    beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To a log that listens, else to a terminal; nowhere where neither is there, nor where the command says it."""
    pairs, corpus = package.load_beir(beir)
    stderr = io.StringIO()
    monkeypatch.setattr("datasets.utils.are_progress_bars_disabled", lambda: False)
    monkeypatch.setattr(sys, "stderr", stderr)
    log = logging.getLogger("hfneg")
    monkeypatch.setattr(log, "level", logging.WARNING)

    def mine(name: str) -> str:
        log.manager._clear_cache()  # type: ignore[attr-defined]
        package.mine(pairs, corpus, "bm25", n=2, k=5, out=tmp_path / name)
        return "\n".join(line for line in stderr.getvalue().splitlines() if "hard negatives for" in line)

    assert mine("one") == ""
    monkeypatch.setattr(stderr, "isatty", lambda: True)
    assert f"4 hard negatives for 2 anchors in {tmp_path / 'two'}; how many are false is not measured" in mine("two")
    stderr.truncate(0)
    monkeypatch.setattr(log, "level", logging.INFO)
    caplog.clear()
    assert mine("three") == ""
    assert sum("hard negatives for 2 anchors" in line for line in caplog.messages) == 1
    caplog.clear()
    hfneg("mine", beir, "--recipe", "bm25", "--out", tmp_path / "four")
    assert not any("hard negatives for" in line for line in caplog.messages)


def test_large_counts_fit_too(tmp_path: Path) -> None:
    """A run of 200 million candidates, with every verdict and remark, still has one line each at 80 columns."""
    from hfneg.cli import printing
    from hfneg.runs.folder.statistics import Collector
    from hfneg.steps.block.verdicts import names_of

    names = names_of(["rank_window", "margin", "margin"]).values()
    facts = {
        "anchors": 1_000_000,
        "documents": 10_000_000,
        "rows": {"train": 1_200_000},
        "negatives": 6_900_000,
        "candidates": 200_000_000,
        "verdicts": dict.fromkeys(names, 123_456_789),
        "negatives_per_anchor": {"6": 100_000, "7": 900_000},
        "wanted_per_anchor": 7,
        "added_positives": 123_456,
        "exact": False,
        "hidden_positives": {
            "hidden_found": 1_234_567,
            "negatives": 8_400_000,
            "hidden": 1,
            "share_of_negatives": 0.147,
        },
    }
    statistics = Collector(SimpleNamespace(names=["bm25"], verdict_names={}, taught=False, summary=facts)).finish()
    short = {"known_positive": 12_345_678, "rank_window": 1_234_567, "margin": 1_234_567, "margin_2": 1_234_567}
    statistics = replace(statistics, short=100_000, short_verdicts=short)
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    printing.ending(console, tmp_path, facts, statistics, 12_345.6)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0] == "6,900,000 hard negatives for 1,000,000 anchors from 10,000,000 documents"
    table = [line for line in lines if "123,456,789" in line]
    assert len(table) == len(list(names))
    assert "14.7% of the negatives are hidden positives (1,234,567 of 8,400,000 in the rows)" in lines
    assert "  why: of their 16,049,379 candidates 12,345,678 known_positive, 1,234,567" in lines
    assert any(line.startswith("1,200,000 rows written to ") and "in 3 h 25 min. Next:" in line for line in lines)


# hfneg export


@pytest.fixture
def mined(beir: Path, tmp_path: Path) -> Path:
    out = tmp_path / "mined"
    hfneg("mine", beir, "--out", out, *SMALL)
    return out


def test_formats_are_listed() -> None:
    """``hfneg export --list`` needs no folder and names every format with what it is."""
    output = hfneg("export", "--list")
    for name in formats.FORMATS:
        assert re.search(rf"^  {name}  +\w", output, re.MULTILINE), name
    assert "returns" not in output


OPTIONS = {"ids": ["--n", "2"], "distillation": ["--n", "2"], "pylate": ["--n", "2"]}
SUFFIX = {"flagembedding": ".jsonl", "tevatron": ".jsonl", "pylate": ""}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_every_format_is_written(mined: Path, tmp_path: Path, name: str) -> None:
    """The file opens, has as many rows as was printed, and is refused a second time without --overwrite."""
    to = tmp_path / f"train{SUFFIX.get(name, '.parquet')}"
    command = ["export", mined, "--format", name, "--out", to, *OPTIONS.get(name, [])]
    output = one_line(hfneg(*command))
    match = re.search(rf"(\d+) rows? as {name} in ", output)
    assert match
    if name == "pylate":
        rows = datasets.load_dataset(str(to), "train", split="train")
    else:
        kind = "json" if to.suffix == ".jsonl" else "parquet"
        rows = datasets.load_dataset(kind, data_files=str(to), split="train")
    assert len(rows) == int(match[1]) > 0
    assert "(--overwrite, --out)" in one_line(hfneg(*command, code=3))
    hfneg(*command, "--overwrite")


def test_the_next_step_is_printed_and_works(mined: Path, tmp_path: Path) -> None:
    """The printed load_dataset call opens what was written, with the user's names of the columns."""
    output = hfneg("export", mined, "--n", "1", "--out", tmp_path / "train.parquet")
    call = re.search(r"load_dataset\(.*?\)", output)
    assert call
    rows = eval(call[0], {"load_dataset": datasets.load_dataset})["train"]
    assert rows.column_names == ["query", "positive", "negative_1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "tuple"], "Did you mean 'tuples'?"),
        (["--format", "triplets", "--n", "3"], "the format 'triplets' has no option --n"),
        (["--split", "tran"], "has the splits train; say which (--split). Did you mean 'train'?"),
        (["--scores", "teacher", "--format", "margin_mse"], "teacher"),
    ],
)
def test_wrong_exports_end_with_code_2(mined: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    """Options that a format does not have are refused, not ignored; nothing is written."""
    output = one_line(hfneg("export", mined, "--out", tmp_path / "o.parquet", *arguments, code=2))
    assert message in output
    assert not (tmp_path / "o.parquet").exists()


def test_export_says_what_is_missing(tmp_path: Path, mined: Path) -> None:
    """Without a folder, without --out, and of a folder that nobody mined."""
    assert "hfneg export MINED" in hfneg("export", code=2)
    assert "--out FILE" in hfneg("export", mined, code=2)
    output = one_line(hfneg("export", tmp_path, "--out", tmp_path / "o.parquet", code=2))
    assert "mine into it first (hfneg mine" in output
