"""The usual layouts of retrieval data load without code, from folders as from the Hub (which has the same configs)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.errors import ColumnError, EmptyInputError, InputError, PositiveError

DOCUMENTS = [{"_id": f"d{i}", "title": "Faults" if i == 1 else "", "text": f"text number {i}"} for i in range(6)]
QUERIES = [{"_id": "q2", "text": "second question"}, {"_id": "q1", "text": "first question"}]
D1 = "Faults\ntext number 1"
NEW = {"query-id": "q1", "corpus-id": "d1", "score": 1}


def configs(folder: Path, **given: Any) -> str:
    """A folder that `load_dataset` opens as it opens a repository: one config per name, with splits."""
    folder.mkdir()
    listed = []
    for name, splits in given.items():
        splits = splits if isinstance(splits, dict) else {"train": splits}
        files = []
        for split, rows in splits.items():
            path = f"{name}/{split}.parquet"
            (folder / name).mkdir(exist_ok=True)
            datasets.Dataset.from_list(rows).to_parquet(folder / path)
            files.append({"split": split, "path": path})
        listed.append({"config_name": name, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': listed})}---\n")
    return str(folder)


def rows_of(loaded: Any) -> list[dict[str, Any]]:
    return loaded.rows.to_list()


def negatives(loaded: Any, out: Path) -> dict[str, list[str]]:
    """What mining makes of it, by anchor."""
    recipe = hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=9, sampler=hfneg.TakeTop(9))
    mined = hfneg.mine(
        loaded.rows,
        loaded.corpus,
        recipe,
        anchor=loaded.anchor,
        positive=loaded.positive,
        positives_are=loaded.positives_are,
        out=out,
    )
    return {row[loaded.anchor]: sorted(row["hard_negatives"]) for row in mined}


def all_but(*texts: str) -> list[str]:
    return (
        sorted({f"text number {i}" for i in range(6) if i != 1} | {"Faults\ntext number 1"} - {*texts})
        if not texts
        else sorted(({f"text number {i}" for i in range(6) if i != 1} | {"Faults\ntext number 1"}) - {*texts})
    )


@pytest.mark.parametrize("qrels", ["default", "qrels"])
def test_judged_queries_with_their_corpus(qrels: str, tmp_path: Path) -> None:
    """BEIR and MTEB: one row per judged query with its positives, those of zero as given negatives; mined against the
    config's corpus, title and text joined as everywhere."""
    judged = [NEW, {**NEW, "corpus-id": "d3", "score": 0}, {**NEW, "corpus-id": "d2"}, {**NEW, "query-id": "q2"}]
    place = configs(tmp_path / "set", corpus={"corpus": DOCUMENTS}, queries={"queries": QUERIES}, **{qrels: judged})
    loaded = hfneg.load_pairs(place)
    assert (loaded.layout, loaded.positives_are) == ("judged", "text")
    assert rows_of(loaded) == [
        {
            "query_id": "q1",
            "query": "first question",
            "positive_ids": ["d1", "d2"],
            "positive": [D1, "text number 2"],
            "negative_ids": ["d3"],
            "negative": ["text number 3"],
        },
        {
            "query_id": "q2",
            "query": "second question",
            "positive_ids": ["d1"],
            "positive": [D1],
            "negative_ids": [],
            "negative": [],
        },
    ]
    assert negatives(loaded, tmp_path / "mined") == {
        "first question": all_but("Faults\ntext number 1", "text number 2"),
        "second question": all_but("Faults\ntext number 1"),
    }


def test_splits_of_judgments(tmp_path: Path) -> None:
    """All splits unless one is named."""
    splits = {"train": [NEW], "test": [{**NEW, "query-id": "q2"}]}
    place = configs(tmp_path / "set", corpus=DOCUMENTS, queries=QUERIES, default=splits)
    assert {name: rows["query_id"][:] for name, rows in hfneg.load_pairs(place).rows.items()} == {
        "train": ["q1"],
        "test": ["q2"],
    }
    assert hfneg.load_pairs(place, "test").rows["query_id"][:] == ["q2"]


def numbered(rows: list[dict[str, Any]], **names: str) -> list[dict[str, Any]]:
    """Rows with whole numbers as ids and other names."""
    return [{names.get(k, k): int(v[1:]) if k == "_id" else v for k, v in row.items() if k != "title"} for row in rows]


@pytest.mark.parametrize(
    ("rows", "layout", "expected"),
    [
        ([{"query_id": 1, "positive_id": 4, "negative_id": 5, "score": 2.5}], "ids", [["4"]]),
        ([{"query": 1, "positive": 4, "negative_1": 5, "negative_2": 0}], "ids", [["4"]]),
        ([{"query_id": 1, "positive_ids": [4, 2]}, {"query_id": 1, "positive_ids": [0]}], "ids", [["4", "2"], ["0"]]),
        ([{"query_id": 1, "doc_ids": [3, 4, 5], "labels": [0, 1, 1]}], "labelled lists", [["4", "5"]]),
    ],
)
def test_ids_whose_texts_are_elsewhere(rows: Any, layout: str, expected: Any, tmp_path: Path) -> None:
    """sentence-transformers' MS MARCO layouts, with numbers as ids: rows stay rows, other columns are kept."""
    corpus, queries = (
        numbered(DOCUMENTS, _id="passage_id", text="passage"),
        numbered(QUERIES, _id="query_id", text="query"),
    )
    place = configs(tmp_path / "set", corpus=corpus, queries=queries, **{"some-ids": rows, "others": [{"x": 1}]})
    loaded = hfneg.load_pairs(f"{place}:some-ids")
    assert loaded.layout == layout
    assert loaded.rows["positive_ids"][:] == expected
    assert loaded.rows["query"][:] == ["first question"] * len(rows)
    assert loaded.rows["query_id"][:] == ["1"] * len(rows)
    assert {"score", "negative_id", "negative_1", "doc_ids"} & {*rows[0]} <= {*loaded.rows.column_names}
    known = {f"text number {i}" for positives in expected for i in positives}
    mined = negatives(loaded, tmp_path / "mined")["first question"]
    assert mined == sorted({f"text number {i}" for i in range(6)} - known)


def test_several_configs_and_none_named(tmp_path: Path) -> None:
    """The message says which there are."""
    place = configs(tmp_path / "set", corpus=DOCUMENTS, queries=QUERIES, one=[NEW], two=[NEW])
    with pytest.raises(InputError, match=r"has the configs one, two; say which: .*:one"):
        hfneg.load_pairs(place)


def test_judgments_in_a_repository_of_their_own(tmp_path: Path) -> None:
    """As BeIR/scifact has its judgments in BeIR/scifact-qrels."""
    place = configs(tmp_path / "set", corpus=DOCUMENTS, queries=QUERIES)
    configs(tmp_path / "set-qrels", default={"train": [NEW], "test": [{**NEW, "corpus-id": "d5"}]})
    assert hfneg.load_pairs(place, "test").rows["positive_ids"][:] == [["d5"]]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"queries": QUERIES[:1]}, PositiveError, "name the query 'q1', which the queries do not have"),
        ({"default": [{**NEW, "corpus-id": "d9"}]}, PositiveError, "the document 'd9', which the corpus does not have"),
        ({"queries": [{"name": "q1", "text": "first"}]}, ColumnError, "expected a column of ids"),
        ({"default": [{**NEW, "score": 0}]}, EmptyInputError, "name no relevant document"),
        ({"default": [{"query-id": "q1", "other": 1}]}, ColumnError, "no column of document ids among query-id, other"),
        ({"default": [{"one": "q1", "other": 1}]}, ColumnError, "no column of query ids among one, other"),
        ({"default": [{"query_id": "q1", "doc_ids": ["d1"], "labels": [1, 0]}]}, ColumnError, "not of the same length"),
    ],
)
def test_ids_that_lead_nowhere(changes: Any, error: Any, message: str, tmp_path: Path) -> None:
    """Typed errors that name what is missing."""
    place = configs(tmp_path / "set", **{"corpus": DOCUMENTS, "queries": QUERIES, "default": [NEW], **changes})
    with pytest.raises(error, match=message):
        hfneg.load_pairs(place)


def passages(*ids: int, titled: bool = False) -> list[dict[str, str]]:
    return [{"docid": f"d{i}", "title": "Faults" if titled else "", "text": f"text number {i}"} for i in ids]


def test_passages_in_the_rows(tmp_path: Path) -> None:
    """Tevatron's and RLHN's rows: the corpus is all passages of all rows, by their ids."""
    rows = [
        {
            "query_id": "1",
            "query": "one",
            "positive_passages": passages(1, 2, titled=True),
            "negative_passages": passages(3),
        },
        {"query_id": "2", "query": "two", "positive_passages": passages(4), "negative_passages": []},
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = hfneg.load_pairs(str(path))
    assert loaded.layout == "passages"
    assert loaded.rows["positive"][:] == [["Faults\ntext number 1", "Faults\ntext number 2"], ["text number 4"]]
    assert sorted(loaded.corpus.ids(range(4))) == ["d1", "d2", "d3", "d4"]
    assert negatives(loaded, tmp_path / "mined")["one"] == ["text number 3", "text number 4"]


def test_passages_whose_ids_mean_several_texts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows gathered from several collections: numbered anew, and it is said."""
    rows = [
        {"query": "one", "positive_passages": passages(1), "negative_passages": []},
        {"query": "two", "positive_passages": [{**passages(2)[0], "docid": "d1"}], "negative_passages": []},
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(hfneg.load_pairs(str(path)).corpus) == 2
    assert "numbered anew" in caplog.text


def test_flagembedding_lines(tmp_path: Path) -> None:
    """query, pos, neg: mined among all its documents, not the positives alone."""
    rows = [{"query": "one", "pos": ["a", "b"], "neg": ["c"]}, {"query": "two", "pos": ["d"], "neg": ["a"]}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = hfneg.load_pairs(str(path))
    assert (loaded.layout, len(loaded.corpus)) == ("flagembedding", 4)
    recipe = hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=4, sampler=hfneg.TakeTop(4))
    mined = hfneg.mine(loaded.rows, loaded.corpus, recipe, anchor="query", positive="pos", out=tmp_path / "mined")
    assert [sorted(texts) for texts in mined["hard_negatives"]] == [["c", "d"], ["a", "b", "c"]]


def test_two_columns_of_texts(tmp_path: Path) -> None:
    """No corpus of their own: the positives are it."""
    path = tmp_path / "pairs.csv"
    path.write_text("question,answer\nWhat slips?,Faults\nWhat travels?,Waves\n")
    loaded = hfneg.load_pairs(str(path))
    assert (loaded.anchor, loaded.positive, loaded.corpus, loaded.layout) == ("question", "answer", None, "texts")
    with pytest.raises(ColumnError, match="question"):
        hfneg.load_pairs(str(path), anchor="query")


def test_the_command_line_reads_them_and_says_how(tmp_path: Path) -> None:
    """hfneg mine FOLDER, with nothing else said."""
    place = configs(tmp_path / "set", corpus=DOCUMENTS, queries=QUERIES, default=[NEW])
    out = tmp_path / "mined"
    result = CliRunner().invoke(
        cli.app, ["mine", place, "--out", str(out), "--set", "retrievers=RandomDocuments()", "--set", "k=7"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads((out / "summary.json").read_text())["negatives"] == 5
