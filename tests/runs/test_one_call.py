"""The front door: one call with little said gives what all that was meant gives, and is found again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pytest
from small_models import DEMO, save_encoder, save_teacher
from typer.testing import CliRunner

import hfneg
from hfneg.base import store
from hfneg.base.files import holding
from hfneg.base.store import artefacts
from hfneg.cli import app
from hfneg.pipeline import recipes
from hfneg.pipeline.shortcuts import recipe_of
from hfneg.runs import mine as mining, units

N = 20
ROWS = [
    {"Question": f"which pump has valve {i}?", "page": i, "Answer": f"Valve {i} belongs to pump {i}.", "note": "none"}
    for i in range(N)
]
DOCUMENTS = [{"id": f"d{i}", "text": row["Answer"]} for i, row in enumerate(ROWS)]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of a bi-encoder and a cross-encoder."""
    root = tmp_path_factory.mktemp("small")
    return {"dense": str(save_encoder(root / "dense")), "teacher": str(save_teacher(root / "teacher"))}


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


def run(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.replace("│", " ").split())


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("mined again")

    monkeypatch.setattr(mining._Run, "work", fail)


# One line.


def test_one_line_with_a_model(small: dict[str, str], own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BM25 and the model together, seven for every anchor, in the store; the same call finds it, without any work."""
    mined = hfneg.mine(str(DEMO), model=small["dense"])
    assert {len(row["hard_negatives"]) for row in mined} == {7}
    sources = {source for row in mined for source in row["hard_negative_sources"]}
    assert {"bm25", "dense", "bm25+dense"} <= sources
    assert mined.folder.parent == own_store / "mined"
    assert (mined.folder / "summary.json").is_file()
    train = hfneg.formats.tuples(mined)
    assert train.column_names == ["query", "positive", *(f"negative_{i}" for i in range(1, 8))]
    no_work(monkeypatch)
    again = hfneg.mine(str(DEMO), model=Path(small["dense"]))
    assert (again.folder, again.to_list()) == (mined.folder, mined.to_list())


def test_one_line_without_a_model() -> None:
    """BM25, and random documents for what is still short; columns by their usual names, in any case."""
    mined = hfneg.mine(ROWS)
    assert {len(row["hard_negatives"]) for row in mined} == {7}
    assert mined.column_names[:4] == list(ROWS[0])
    assert hfneg.formats.tuples(mined).column_names[:2] == ["Question", "Answer"]
    text = (mined.folder / "recipe.yaml").read_text()
    assert "BM25" in text
    assert "Fill" in text


def test_with_a_teacher_what_is_like_a_positive_is_left_out(small: dict[str, str]) -> None:
    """One limit for all anchors; what is short is filled up with what the teacher puts below the anchor's positive."""
    mined = hfneg.mine(str(DEMO), teacher=small["teacher"], n=4)
    recipe = hfneg.Recipe.load(mined.folder / "recipe.yaml")
    assert recipe.filters == (hfneg.BelowPositives(quantile=0.1),)
    assert sum(len(row["hard_negatives"]) == 4 for row in mined) > 50  # the teacher is random, and some positives last
    scores = sorted(score for row in mined for score in row["positive_teacher_scores"])
    limit = scores[len(scores) // 5]
    judged = [
        score
        for row in mined
        for source, score in zip(row["hard_negative_sources"], row["hard_negative_teacher_scores"], strict=True)
        if source != "random"
    ]
    assert len(judged) > 100
    assert max(judged) <= limit


def test_what_was_mined_so_is_looked_back_at(small: dict[str, str], tmp_path: Path) -> None:
    """The folder in the store is a mined folder like any: another policy, the rest of the scores, a report, a push."""
    folder = hfneg.mine(str(DEMO), model=small["dense"], teacher=small["teacher"], n=3).folder
    hfneg.examine(folder)
    assert {len(row["hard_negatives"]) for row in hfneg.reselect(folder, sampler=hfneg.TakeTop(2), out="fewer")} >= {2}
    assert hfneg.leak_rate(folder)
    assert hfneg.report(folder, tmp_path / "report.html")
    assert hfneg.publish(folder, "org/name", dry_run="look")
    assert hfneg.diff(folder, "fewer").advice


def test_another_recipe_or_other_rows_lie_elsewhere() -> None:
    """n, a value of a column that is nobody's business, and the columns read: each has a folder of its own."""
    folders = [
        hfneg.mine(ROWS, n=3).folder,
        hfneg.mine(ROWS, n=2).folder,
        hfneg.mine([{**row, "note": "some"} for row in ROWS], n=3).folder,
        hfneg.mine([{**row, "answer": row["Answer"]} for row in ROWS], n=3, positive="answer").folder,
        hfneg.mine([{**row, "answer": row["Answer"]} for row in ROWS], n=3, positive="Answer").folder,
    ]
    assert len(set(folders)) == 5
    assert hfneg.mine(ROWS, n=3).folder == folders[0]


def test_a_run_in_the_store_goes_on_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was searched before is not searched again; nobody says resume. overwrite begins anew."""
    searched: list[Any] = []
    search, choose = units.SearchPart.__call__, units.Choose.__call__

    def counted(self: Any, span: Any) -> Any:
        searched.append(span)
        return search(self, span)

    def killed(self: Any, part: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(units.SearchPart, "__call__", counted)
    monkeypatch.setattr(units.Choose, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        hfneg.mine(ROWS, n=3)
    monkeypatch.setattr(units.Choose, "__call__", choose)
    before = len(searched)
    assert before
    mined = hfneg.mine(ROWS, n=3)
    assert len(searched) == before
    assert hfneg.mine(ROWS, n=3, overwrite=True).to_list() == mined.to_list()
    assert len(searched) == 2 * before


@pytest.mark.parametrize("damaged", ["recipe.yaml", "summary.json", "data"])
def test_a_damaged_run_in_the_store_is_set_aside(damaged: str, caplog: pytest.LogCaptureFixture) -> None:
    """And mined again, with a warning, as every artefact is."""
    mined = hfneg.mine(ROWS, n=3)
    rows = mined.to_list()
    path = mined.folder / damaged
    path = next(path.iterdir()) if path.is_dir() else path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = hfneg.mine(ROWS, n=3)
    assert again.to_list() == rows
    assert "is damaged" in caplog.text
    assert mined.folder.with_name(f"{mined.folder.name}.damaged").is_dir()
    assert artefacts.not_ours() == []


def test_runs_in_the_store_are_counted_and_cleared_like_the_rest(own_store: Path) -> None:
    """store size names them; clear takes them, but not one that is being written, nor one with a file of somebody."""
    first, second, third = (hfneg.mine(ROWS, n=n).folder for n in (1, 2, 3))
    (third / "thesis.tex").write_text("mine")
    code, said = run("store", "size")
    assert code == 0
    assert " mined 2 " in said
    assert artefacts.not_ours() == [f"mined/{third.name}"]
    with holding.held(second):
        assert artefacts.clearable()["mined"] == [first]
        code, said = run("store", "clear", "mined", "--yes")
    assert (code, first.exists(), second.exists(), third.exists()) == (0, False, True, True)
    assert hfneg.mine(ROWS, n=1).folder == first
    assert run("store", "verify")[0] == 0


def test_a_preview_takes_the_same(small: dict[str, str]) -> None:
    """What would be searched, with the shortcuts, of a list of rows."""
    seen = hfneg.preview(ROWS, DOCUMENTS, model=small["dense"], n=2, k=5)
    assert (seen.pairs["anchor"], seen.documents) == ("Question", N)
    assert any(step.startswith("Dense(") for step in seen.search)
    assert any("TakeTop(n=2)" in step for step in seen.search)


# Whatever rows are brought in.


class Frame:
    """A frame of another library: nothing but Arrow's stream, with its views and categories."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        table = pa.Table.from_pylist(rows)
        texts = [name for name in table.column_names if pa.types.is_string(table.schema.field(name).type)]
        for i, name in enumerate(texts):
            kind = pa.string_view() if i else pa.dictionary(pa.int32(), pa.string())
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def as_named_index(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).set_index(next(iter(rows[0])))


BROUGHT: dict[str, Callable[[list[dict[str, Any]], Path], Any]] = {
    "Dataset": lambda rows, _: datasets.Dataset.from_list(rows),
    "DatasetDict": lambda rows, _: datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}),
    "list": lambda rows, _: rows,
    "pandas": lambda rows, _: pd.DataFrame(rows, index=range(7, 7 + len(rows))),
    "pandas with an index that has a name": lambda rows, _: as_named_index(rows),
    "Arrow": lambda rows, _: pa.Table.from_pylist(rows),
    "a frame that is only a stream": lambda rows, _: Frame(rows),
    "splits of frames": lambda rows, _: {"train": pd.DataFrame(rows)},
    "path": lambda rows, folder: str(jsonl(folder / "rows.jsonl", rows)),
    "Path": lambda rows, folder: jsonl(folder / "rows.jsonl", rows),
}


@pytest.mark.parametrize("kind", BROUGHT)
def test_rows_of_any_kind_are_the_same_rows(kind: str, tmp_path: Path) -> None:
    """Pairs and corpus alike: the same negatives, and the user's columns with their values."""
    expected = hfneg.mine(datasets.Dataset.from_list(ROWS), datasets.Dataset.from_list(DOCUMENTS), n=3)
    (tmp_path / "docs").mkdir()
    mined = hfneg.mine(BROUGHT[kind](ROWS, tmp_path), BROUGHT[kind](DOCUMENTS, tmp_path / "docs"), n=3)
    mined = mined["train"] if isinstance(mined, dict) else mined
    assert mined.to_list() == expected.to_list()
    assert hfneg.load_pairs(BROUGHT[kind](ROWS, tmp_path)).anchor == "Question"


@pytest.mark.parametrize("texts", [list, pd.Series, lambda texts: datasets.Dataset.from_dict({"t": texts})["t"]])
def test_texts_of_any_kind_are_a_corpus(texts: Any) -> None:
    """A list, a column of a frame, a column of a dataset."""
    answers = [row["Answer"] for row in ROWS]
    assert hfneg.mine(ROWS, texts(answers), n=3).to_list() == hfneg.mine(ROWS, answers, n=3).to_list()


def test_columns_that_only_some_rows_have() -> None:
    """They are columns all the same; where a row lacks one it is missing."""
    mined = hfneg.mine([*ROWS[:3], {**ROWS[3], "late": "x"}], n=1)
    assert mined["late"][:] == [None, None, None, "x"]


# What formats know.


KEPT: dict[str, Callable[[Any, Path], Any]] = {
    "as mined": lambda mined, _: mined,
    "loaded": lambda mined, _: datasets.load_dataset(str(mined.folder), split="train"),
    "loaded as splits": lambda mined, _: datasets.load_dataset(str(mined.folder)),
    "streamed": lambda mined, _: datasets.load_dataset(str(mined.folder), split="train", streaming=True),
    "mapped": lambda mined, _: mined.map(lambda row: {"more": row["note"]}).filter(lambda row: row["page"] < 9),
    "selected": lambda mined, _: mined.shuffle(seed=1).select(range(5)).remove_columns("page"),
    "saved": lambda mined, folder: (mined.save_to_disk(folder / "saved"), datasets.load_from_disk(folder / "saved"))[1],
    "put together": lambda mined, _: datasets.concatenate_datasets([mined, mined]),
    "renamed besides": lambda mined, _: mined.rename_column("note", "remark"),
}


@pytest.mark.parametrize("way", KEPT)
def test_formats_know_anchor_and_positive(way: str, tmp_path: Path) -> None:
    """With columns that are nobody's business, after whatever `datasets` has done with the rows; audit does, too."""
    mined = KEPT[way](hfneg.mine(ROWS, n=2), tmp_path)
    found = hfneg.formats.tuples(mined, n=2)
    found = found["train"] if isinstance(found, dict) else found
    assert found.column_names == ["Question", "Answer", "negative_1", "negative_2"]
    triplets = hfneg.formats.triplets(mined)
    assert next(iter(triplets["train"] if isinstance(triplets, dict) else triplets)).keys() == {
        "Question",
        "Answer",
        "negative",
    }
    assert hfneg.audit(mined).ok


def test_names_that_look_like_the_mark() -> None:
    """Braces and quotes in a column's name."""
    anchor, positive = 'the "{anchor}"', "hfneg columns: {}"
    rows = [{anchor: row["Question"], positive: row["Answer"], "more": "x", "and": "y"} for row in ROWS]
    mined = hfneg.mine(rows, n=1, anchor=anchor, positive=positive)
    assert hfneg.formats.tuples(mined).column_names == [anchor, positive, "negative_1"]


@pytest.mark.parametrize(
    "unknown",
    [
        lambda mined: mined.rename_column("Question", "asked"),
        lambda mined: datasets.Dataset.from_list(mined.to_list()),
        lambda mined: mined.to_iterable_dataset(),
    ],
)
def test_where_nothing_says_it_the_error_says_what_to_type(unknown: Any) -> None:
    """Renamed columns and rows without an info: nothing is guessed among five, and the usual names are offered."""
    rows = unknown(hfneg.mine(ROWS, n=1))
    with pytest.raises(hfneg.ColumnError, match=r"pass anchor=.* and positive='Answer'"):
        hfneg.formats.tuples(rows, n=1)
    anchor = "asked" if "asked" in (rows.column_names or ()) else "Question"
    found = hfneg.formats.tuples(rows, n=1, anchor=anchor, positive="Answer")
    assert next(iter(found)).keys() == {anchor, "Answer", "negative_1"}


# Shortcuts and names.


def test_shortcuts_fill_the_slots_of_a_recipe(small: dict[str, str]) -> None:
    """Of a named one, a file and an object alike; what belongs to the model that is replaced goes with it."""
    recipe = recipe_of("teacher", model=small["dense"], teacher=small["teacher"], n=3, k=30)
    before = hfneg.Recipe.load("teacher")
    assert recipe.retrievers == (before.retrievers[0], hfneg.Dense(small["dense"]))
    assert recipe.teacher == hfneg.CrossEncoderTeacher(small["teacher"], scale="probability")
    assert (recipe.k, recipe.deeper, recipe.sampler, recipe.filters) == (30, 500, hfneg.TakeTop(3), before.filters)
    own = hfneg.Recipe(
        retrievers=hfneg.Dense("org/other", revision="v1", query_prompt="query: ", index="Flat", batch_size=8),
        filters=[hfneg.OtherCluster("org/other"), hfneg.PositiveSimilarity("org/third", below=0.8)],
    )
    changed = recipe_of(own, model=small["dense"])
    assert changed.retrievers == (hfneg.Dense(small["dense"], index="Flat", batch_size=8),)
    assert changed.filters == (hfneg.OtherCluster(small["dense"]), hfneg.PositiveSimilarity("org/third", below=0.8))
    assert recipe_of(own) is own
    asked = {"document_prompt": "text: ", "max_seq_length": 64}
    alike = [
        hfneg.OtherCluster("org/other", 8, revision="v1", batch_size=4, **asked),
        hfneg.NearAnchorPositives("org/other", query_prompt="query: "),
        hfneg.PositiveSimilarity("org/third", below=0.8, **asked),
    ]
    own = hfneg.Recipe(
        retrievers=hfneg.Dense("org/other", revision="v1", query_prompt="query: ", **asked), filters=alike
    )
    plain = recipe_of(own, model=small["dense"])
    here = small["dense"]
    assert plain.retrievers == (hfneg.Dense(here),)
    assert plain.filters[:2] == (hfneg.OtherCluster(here, 8, batch_size=4), hfneg.NearAnchorPositives(here))
    new = {"document_prompt": "d: ", "max_seq_length": 9}
    filters = recipe_of(own, model=hfneg.Dense(here, query_prompt="q: ", **new, batch_size=7)).filters
    assert filters[0] == hfneg.OtherCluster(here, 8, batch_size=4, **new)
    assert filters[1] == hfneg.NearAnchorPositives(here, query_prompt="q: ", max_seq_length=9)
    assert plain.filters[2] == filters[2] == alike[2]
    with_prompt = hfneg.Dense(small["dense"], query_prompt="ask: ")
    assert recipe_of("nv_retriever", model=with_prompt).retrievers == (with_prompt,)


def test_what_a_teacher_is(small: dict[str, str]) -> None:
    """By what was saved with it, or its address."""
    assert recipe_of(teacher=small["teacher"]).teacher == hfneg.CrossEncoderTeacher(small["teacher"])
    assert recipe_of(teacher=Path(small["dense"])).teacher == hfneg.BiEncoderTeacher(small["dense"])
    assert recipe_of("rlhn", teacher=small["dense"]).teacher == hfneg.BiEncoderTeacher(small["dense"])
    assert recipe_of(teacher="http://127.0.0.1:1").teacher == hfneg.EndpointTeacher("http://127.0.0.1:1")
    judge = hfneg.FunctionTeacher(lambda queries, texts: [0.0] * len(texts), id="none", scale="from_zero")
    assert recipe_of("hybrid", teacher=judge).teacher is judge


def test_a_teacher_that_nothing_looks_at_is_said(small: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """hybrid's margin is by the bi-encoder; dense's is by the teacher as soon as there is one."""
    recipe_of("dense", teacher=small["teacher"])
    assert "drops none" not in caplog.text
    recipe_of("hybrid", teacher=small["teacher"])
    assert "scores the negatives and drops none" in caplog.text


def test_recipes_have_names() -> None:
    """Each says what it needs, costs and is for in a line; loads by its name; a file of that name goes before it."""
    named = {one.name: one for one in recipes.named()}
    assert set(named) == set(recipes.names()) >= {"bm25", "hybrid", "nv_retriever", "teacher"}
    for one in named.values():
        assert 8 < len(one.purpose) < 80
        assert 6 < len(one.costs) < 40
        if one.trains:
            with pytest.raises(hfneg.RecipeError, match="hfneg rounds"):
                hfneg.Recipe.load(one.name)
            continue
        recipe = hfneg.Recipe.load(one.name)
        models = [step.model for step in recipe.retrievers if isinstance(step, hfneg.Dense)]
        assert one.model == (models[0] if models else None)
        assert (one.teacher is None) == (recipe.teacher is None)
    Path("bm25").write_text("k: 7")
    assert hfneg.Recipe.load("bm25").k == 7


def test_recipes_on_the_command_line(tmp_path: Path) -> None:
    """They are listed, printed as they are, used by name, and listed where one is not there."""
    code, said = run("recipes")
    assert code == 0
    assert all(name in said for name in recipes.names())
    shown = CliRunner().invoke(app, ["recipes", "show", "dpr"])
    assert shown.stdout == recipes.text_of("dpr")
    pairs = jsonl(tmp_path / "pairs.jsonl", ROWS)
    assert run("mine", pairs, "--recipe", "dpr", "--out", "mined", "--quiet")[0] == 0
    assert "TakeTop(n=1)" in Path("mined/recipe.yaml").read_text()
    for command in (["recipes", "show", "dpt"], ["mine", pairs, "--recipe", "dpt"], ["rounds", "dpt.yaml", pairs]):
        code, said = run(*command)
        assert (code, all(name in said for name in recipes.names())) == (2, True)
        assert "Did you mean 'dpr'?" in said


# The command.


def test_the_command_has_the_same_names(small: dict[str, str], tmp_path: Path) -> None:
    """--model, --teacher, --n, --k: the recipe of the call; the same command finds its folder again."""
    pairs = jsonl(tmp_path / "pairs.jsonl", ROWS)
    typed = ["--model", small["dense"], "--teacher", small["teacher"], "--n", 2, "--k", 9]
    code, said = run("mine", pairs, *typed, "--quiet")
    assert code == 0, said
    recipe = recipe_of(model=small["dense"], teacher=small["teacher"], n=2, k=9)
    assert hfneg.Recipe.load("mined/recipe.yaml") == recipe
    code, said = run("mine", pairs, *typed)
    assert (code, "20 rows written to mined" in said) == (0, True)
    other = jsonl(tmp_path / "other.jsonl", [{"left": "a", "right": "b", "more": "c"}])
    code, said = run("mine", other, "--out", "new")
    assert (code, "say --anchor COLUMN and --positive COLUMN" in said) == (2, True)
    code, said = run("mine", pairs, "--n", 3)
    assert (code, "recipe" in said, "--overwrite, --out" in said) == (3, True, True)


def test_every_slot_is_an_option(tmp_path: Path) -> None:
    """As --set would have it, of the usual recipe or of a named one; --set goes last."""
    pairs = jsonl(tmp_path / "pairs.jsonl", ROWS)
    typed = ["--retrievers", "[BM25(k1=0.9), RandomDocuments]", "--fusion", "RoundRobin()", "--deeper", "12", "--k", 9]
    typed += ["--filters", "RankWindow(skip=1)", "--sampler", "TakeRandom(n=1, seed=2)", "--n", 4, "--short", "Keep()"]
    typed += ["--guard", "Guard(near_duplicate=None)", "--set", "fusion=RRF(k=3)"]
    code, said = run("mine", pairs, *typed, "--out", "mined", "--quiet")
    assert code == 0, said
    assert hfneg.Recipe.load("mined/recipe.yaml") == hfneg.Recipe(
        retrievers=[hfneg.BM25(k1=0.9), hfneg.RandomDocuments()],
        fusion=hfneg.RRF(k=3),
        deeper=12,
        k=9,
        filters=hfneg.RankWindow(skip=1),
        sampler=hfneg.TakeRandom(4, seed=2),
        short=hfneg.Keep(),
        guard=hfneg.Guard(near_duplicate=None),
    )


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (["select", "mined", "--k", "3"], "--set k=200"),
        (["select", "mined", "--n=3"], "--set sampler.n=5"),
        (["select", "mined", "--filters", "x"], "--set filters=..."),
        (["rounds", "loop", "pairs", "--deeper", "9"], "--set deeper=500"),
        (["rounds", "loop", "pairs", "--model", "x"], "--set retrievers.dense.model=..."),
    ],
)
def test_where_a_slot_is_no_option_the_setting_is_said(command: list[str], instead: str) -> None:
    """Never "No such option" alone, for the name of a slot."""
    code, said = run(*command)
    assert (code, instead in said) == (2, True)
    assert "No such option" not in said
    assert "No such option" in run(command[0], "a", "b", "--colour", "x")[1]


def test_the_store_is_where_the_environment_says(own_store: Path) -> None:
    """So is the folder of a run that was given none."""
    assert hfneg.mine(ROWS, n=1).folder.is_relative_to(own_store)
    assert store.root() == own_store
