"""Pairs and corpora from files, folders and Hub ids."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from hfneg.data import corpora, files
from hfneg.data.corpus import Corpus
from hfneg.data.files import beir as beir_folders
from hfneg.data.layouts import guessing
from hfneg.errors import ColumnError, EmptyInputError, InputError, PositiveError

ROWS = [
    {"query": "What slips?", "answer": 'Faults, said she, "slip".'},
    {"query": "What travels?", "answer": "Waves\ttravel."},
    {"query": "Was ist heiß?", "answer": "Magma — très chaud."},
]


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def as_gzip(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def as_separated(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    datasets.Dataset.from_list(rows).to_parquet(path)
    return path


def as_saved(path: Path, rows: list[dict[str, Any]]) -> Path:
    datasets.Dataset.from_list(rows).save_to_disk(path)
    return path


def as_saved_dict(path: Path, rows: list[dict[str, Any]]) -> Path:
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(path)
    return path


def as_folder(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.mkdir()
    for i, row in enumerate(rows):
        as_parquet(path / f"part-{i}.parquet", [row])
    return path


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], Path]] = {
    "rows.parquet": as_parquet,
    "rows.jsonl": as_jsonl,
    "rows.v2.jsonl.gz": as_gzip,
    "rows.JSONL": as_jsonl,
    "rows.csv": as_separated,
    "rows.tsv": as_separated,
    "saved": as_saved,
    "saved_dict": as_saved_dict,
    "folder": as_folder,
}


def beir(folder: Path, documents: list[dict[str, Any]], queries: list[dict[str, Any]], **qrels: list[Any]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    as_jsonl(folder / "corpus.jsonl", documents)
    as_jsonl(folder / "queries.jsonl", queries)
    for split, rows in qrels.items():
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


DOCUMENTS = [
    {"_id": "d1", "title": "Faults", "text": "Faults slip."},
    {"_id": "d2", "title": "", "text": "Waves travel."},
    {"_id": "d3", "title": "", "text": "Waves travel."},
    {"_id": "d4", "title": "", "text": "Magma is hot."},
]
QUERIES = [{"_id": "q1", "text": "What slips?"}, {"_id": "q2", "text": "What travels?"}]
TRAIN = [("q1", "d1", 1), ("q2", "d4", 0), ("q2", "d3", 1), ("q1", "d4", 2)]


@pytest.mark.parametrize("name", WRITERS)
def test_pairs_of_every_kind_are_the_same_rows(tmp_path: Path, name: str) -> None:
    """A file or folder of any kind gives the rows that were written, in their order."""
    path = WRITERS[name](tmp_path / name, ROWS)
    loaded = files.load_any(str(path))
    assert isinstance(loaded, datasets.Dataset)
    assert loaded.to_list() == ROWS


@pytest.mark.parametrize("name", WRITERS)
def test_a_corpus_of_every_kind_is_the_same_corpus(tmp_path: Path, name: str) -> None:
    """Ids, titles and texts come out the same, so the digest does not depend on the kind of file."""
    path = WRITERS[name](tmp_path / name, [DOCUMENTS[0], {**DOCUMENTS[1], "title": "Of waves"}])
    corpus = corpora.as_corpus(str(path))
    assert corpus is not None
    assert corpus.ids([0, 1]) == ["d1", "d2"]
    assert corpus.texts([0, 1]).to_pylist() == ["Faults\nFaults slip.", "Of waves\nWaves travel."]


def test_splits_are_kept_or_chosen(tmp_path: Path) -> None:
    """A saved `DatasetDict` of several splits stays one, and `split` takes one of them."""
    both = datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS[:2]), test=datasets.Dataset.from_list(ROWS[2:]))
    both.save_to_disk(tmp_path / "both")
    assert list(files.load_any(str(tmp_path / "both"))) == ["train", "test"]
    assert files.load_any(str(tmp_path / "both"), "test").to_list() == ROWS[2:]
    with pytest.raises(InputError, match=r"no split 'tset'; it has train, test\. Did you mean 'test'\?"):
        files.load_any(str(tmp_path / "both"), "tset")
    with pytest.raises(InputError, match=r"several splits \(train, test\)"):
        corpora.as_corpus(str(tmp_path / "both"))


def test_a_split_of_what_has_none_is_refused(tmp_path: Path) -> None:
    """A single file has only the split train."""
    path = as_jsonl(tmp_path / "rows.jsonl", ROWS)
    assert len(files.load_any(str(path), "train")) == 3
    with pytest.raises(InputError, match=r"has no splits, but the split 'test' was asked for"):
        files.load_any(str(path), "test")


def test_an_edited_file_is_read_anew(tmp_path: Path) -> None:
    """The cache of `datasets` does not serve the rows that a file had before."""
    path = as_jsonl(tmp_path / "rows.jsonl", ROWS)
    assert len(files.load_any(str(path))) == 3
    as_jsonl(path, ROWS[:1])
    assert files.load_any(str(path)).to_list() == ROWS[:1]


# BEIR


def test_a_beir_folder_is_one_row_per_query_with_its_positives(tmp_path: Path) -> None:
    """Rows follow the qrels, positives their order in it, judgments of zero are given negatives, titles come first."""
    folder = beir(tmp_path / "b", DOCUMENTS, QUERIES, train=TRAIN, test=[("q1", "d4", 1)])
    rows, corpus = beir_folders.load_beir(folder)
    assert rows.to_list() == [
        {
            "query_id": "q1",
            "query": "What slips?",
            "positive_ids": ["d1", "d4"],
            "positive": ["Faults\nFaults slip.", "Magma is hot."],
            "negative_ids": [],
            "negative": [],
        },
        {
            "query_id": "q2",
            "query": "What travels?",
            "positive_ids": ["d3"],
            "positive": ["Waves travel."],
            "negative_ids": ["d4"],
            "negative": ["Magma is hot."],
        },
    ]
    assert len(corpus) == 3
    assert corpus.rows_of_ids(["d2", "d3"]).tolist() == [1, 1]
    assert beir_folders.load_beir(folder, "test")[0]["positive_ids"] == [["d4"]]


def test_shown_and_hidden_positives_are_all_positives(tmp_path: Path) -> None:
    """`show` keeps the first ones as positives and puts the others aside, also where none are left over."""
    rows, _ = beir_folders.load_beir(beir(tmp_path / "b", DOCUMENTS, QUERIES, train=TRAIN), show=1)
    assert rows["positive_ids"] == [["d1"], ["d3"]]
    assert rows["hidden_positive_ids"] == [["d4"], []]
    assert rows["positive"] == [["Faults\nFaults slip."], ["Waves travel."]]


def test_the_split_is_train_or_the_only_one(tmp_path: Path) -> None:
    """Without train and with several splits one must be named; a misspelt one is named back."""
    folder = beir(tmp_path / "b", DOCUMENTS, QUERIES, dev=TRAIN[:1], test=TRAIN[:1])
    with pytest.raises(InputError, match="say which split; there are dev, test"):
        beir_folders.load_beir(folder)
    with pytest.raises(InputError, match=r"no split 'tests'; there are dev, test\. Did you mean 'test'\?"):
        beir_folders.load_beir(folder, "tests")
    (folder / "qrels" / "dev.tsv").unlink()
    assert len(beir_folders.load_beir(folder)[0]) == 1


def test_whole_numbers_as_ids(tmp_path: Path) -> None:
    """Ids that are numbers in the JSON are the texts that the qrels have."""
    folder = beir(
        tmp_path / "b", [{"_id": 7, "title": "", "text": "Faults slip."}], [{"_id": 3, "text": "q"}], train=[(3, 7, 1)]
    )
    assert beir_folders.load_beir(folder)[0]["positive_ids"] == [["7"]]


def test_documents_need_no_title(tmp_path: Path) -> None:
    """A title may be missing, null or empty, in some rows or in all."""
    documents = [
        {"_id": "a", "text": "x"},
        {"_id": "b", "title": None, "text": "y"},
        {"_id": "c", "title": "T", "text": "z"},
    ]
    corpus = beir_folders.load_beir(beir(tmp_path / "b", documents, QUERIES, train=[("q1", "a", 1)]))[1]
    assert corpus.texts([0, 1, 2]).to_pylist() == ["x", "y", "T\nz"]


def test_a_quotation_mark_in_an_id_is_only_a_character(tmp_path: Path) -> None:
    """TSV has no quoting: a line that begins with a quotation mark does not swallow those after it."""
    queries = [{"_id": '"q', "text": "one"}, {"_id": "r", "text": "two"}]
    folder = beir(tmp_path / "b", DOCUMENTS, queries, train=[('"q', "d1", 1), ("r", "d2", 1)])
    assert beir_folders.load_beir(folder)[0]["query_id"] == ['"q', "r"]


@pytest.mark.parametrize(
    ("qrels", "error", "message"),
    [
        ([("q9", "d1", 1)], PositiveError, "the query 'q9', which queries.jsonl does not have"),
        ([("q1", "d9", 1)], PositiveError, "the document 'd9', which corpus.jsonl does not have"),
        ([("q1", "d1", 0)], EmptyInputError, "name no relevant document"),
        ([("q1", "d1", "high")], InputError, "line 2: expected query-id, corpus-id and score"),
        ([("q1", "d1")], InputError, "line 2: expected query-id, corpus-id and score"),
    ],
)
def test_qrels_that_fit_nothing_are_refused(
    tmp_path: Path, qrels: list[Any], error: type[InputError], message: str
) -> None:
    """Each refusal names the file's line or the id."""
    with pytest.raises(error, match=message):
        beir_folders.load_beir(beir(tmp_path / "b", DOCUMENTS, QUERIES, train=qrels))


@pytest.mark.parametrize("line", ["{broken", "[1]", '{"text": "no id"}', '{"_id": "q3"}'])
@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
def test_lines_that_hold_no_document_are_typed_errors(tmp_path: Path, file: str, line: str) -> None:
    """A broken line of corpus or queries is an InputError, never a KeyError or JSONDecodeError."""
    folder = beir(tmp_path / "b", DOCUMENTS, QUERIES, train=TRAIN)
    with (folder / file).open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(InputError):
        beir_folders.load_beir(folder)


# Corpora


def test_ids_are_guessed_or_numbered() -> None:
    """`_id` before `id`; whole numbers become texts; without an id column documents are numbered."""
    both = datasets.Dataset.from_dict({"id": [1, 2], "_id": ["x", "y"], "text": ["a", "b"]})
    for data, ids in ((both, ["x", "y"]), (both.remove_columns("_id"), ["1", "2"])):
        corpus = corpora.as_corpus(data)
        assert corpus is not None
        assert corpus.ids([0, 1]) == ids
    numbered = corpora.as_corpus(both.select_columns("text"))
    assert numbered is not None
    assert numbered.ids([0, 1]) == ["0", "1"]


def test_the_columns_of_a_corpus_can_be_said() -> None:
    """`text` and `id` go before the usual names."""
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "abstract": ["c", "d"], "doi": ["10/c", "10/d"]})
    corpus = corpora.as_corpus(data, text="abstract", id="doi")
    assert corpus is not None
    assert corpus.texts([0, 1]).to_pylist() == ["c", "d"]
    assert corpus.ids([1]) == ["10/d"]


def test_what_a_corpus_may_be(tmp_path: Path) -> None:
    """A corpus, a list of texts, a stream, a dataset of one split, a file of lines, and nothing."""
    texts = ["Faults slip.", "Waves travel."]
    expected = Corpus.from_texts(texts).digest
    data = datasets.Dataset.from_dict({"text": texts})
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    stream = datasets.IterableDataset.from_generator(lambda: iter(data))
    for given in (Corpus.from_texts(texts), texts, data, stream, datasets.DatasetDict(all=data)):
        corpus = corpora.as_corpus(given)
        assert corpus is not None
        assert corpus.digest == expected
    lines = corpora.as_corpus(tmp_path / "lines.txt")
    assert lines is not None
    assert lines.digest == expected
    assert corpora.as_corpus(None) is None


@pytest.mark.parametrize("given", [7, ["a", 7], {"train": 7}])
def test_what_is_no_corpus(given: Any) -> None:
    """Anything else is refused with what would do."""
    with pytest.raises(InputError, match="pass a Corpus, a Dataset, a data frame, a list of texts or of rows"):
        corpora.as_corpus(given)


def test_a_corpus_without_a_text_column_lists_its_columns() -> None:
    """The refusal names the columns and both ways out."""
    data = datasets.Dataset.from_dict({"abstract": ["a"], "doi": ["b"]})
    with pytest.raises(ColumnError, match=r"columns are abstract, doi: say --corpus-text COLUMN, or .*from_dataset"):
        corpora.as_corpus(data)


# Guessing


@pytest.mark.parametrize(
    ("names", "given", "found"),
    [
        (["query", "answer"], (None, None), ("query", "answer")),
        (["id", "context", "question", "title"], (None, None), ("question", "context")),
        (["anchor", "query", "positive", "document"], (None, None), ("anchor", "positive")),
        (["left", "right"], (None, None), ("left", "right")),
        (["left", "right"], (None, "left"), ("right", "left")),
        (["left", "right"], ("right", None), ("right", "left")),
        (["claim", "evidence", "answer"], ("claim", None), ("claim", "answer")),
        (["query", "text", "more"], (None, "text"), ("query", "text")),
        (["left", "right", "hard_negatives", "hard_negative_ids"], (None, None), ("left", "right")),
    ],
)
def test_columns_are_guessed(names: list[str], given: tuple[Any, Any], found: tuple[str, str]) -> None:
    """What is given stays; the rest goes by usual names, or is the other of two columns; ours do not count."""
    assert guessing.guess(names, *given) == found


@pytest.mark.parametrize("given", [(None, None), ("claim", None), (None, "label")])
def test_what_cannot_be_guessed_is_asked_for(given: tuple[Any, Any]) -> None:
    """The refusal lists the columns and what to say (options on the command line, see `cli_ending`)."""
    with pytest.raises(ColumnError, match=r"columns are claim, evidence, label: say anchor='COLUMN' and positive="):
        guessing.guess(["claim", "evidence", "label"], *given)


# Hub ids, and what is nothing at all


@pytest.mark.parametrize(
    ("typed", "call"),
    [("org/name", ("org/name", None)), ("org/name:pair", ("org/name", "pair")), ("squad", ("squad", None))],
)
def test_a_hub_id_is_passed_on_unchanged(monkeypatch: pytest.MonkeyPatch, typed: str, call: tuple[str, Any]) -> None:
    """What is no file or folder here becomes ``load_dataset(name, config)``, nothing else.

    (`load_dataset` itself is replaced: the tests have no Hub.)
    """
    calls = []

    def load_dataset(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert files.load_any(typed).to_list() == ROWS
    assert calls == [(call, {})]


def test_a_hub_that_cannot_be_reached_is_a_typed_error() -> None:
    """The message says that nothing of that name is here, and what the Hub's client said."""
    with pytest.raises(InputError, match=r"no file or folder 'org/name', and as a Hub id it cannot be loaded: .*reach"):
        files.load_any("org/name")


@pytest.mark.parametrize("path", ["/no/such/folder", "a/b/c", "../none", "rows.csv"])
def test_a_path_is_not_looked_for_on_the_hub(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can only be a path is missing here, whatever the Hub has; the network is not asked."""
    monkeypatch.setattr(datasets, "load_dataset", lambda *args: pytest.fail("asked the Hub"))
    with pytest.raises(InputError, match="there is no file or folder"):
        files.load_any(path)


def test_a_misspelt_file_is_named(tmp_path: Path) -> None:
    """The nearest file of the folder is suggested."""
    as_jsonl(tmp_path / "pairs.jsonl", ROWS)
    with pytest.raises(InputError, match=r"Did you mean 'pairs\.jsonl'\?"):
        files.load_any(str(tmp_path / "pair.jsonl"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.xyz", "text", "cannot tell what kind of file this is; expected one of .parquet"),
        ("rows.jsonl", "", "is empty"),
        ("rows.jsonl", "{broken", "cannot load"),
        ("rows.parquet", "no parquet", "cannot load"),
    ],
)
def test_files_that_hold_no_rows_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """An unknown kind, an empty file and a damaged one are typed errors that name the file."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        files.load_any(str(path))
    assert name in str(caught.value)


def test_two_folders_of_one_name_are_two_datasets(tmp_path: Path) -> None:
    """`load_dataset` would serve the first one's rows for both, and for one whose files were replaced."""
    card = "---\nconfigs:\n- config_name: default\n  data_files: rows.jsonl\n---\n"
    for place, text in (("one", "a"), ("other", "b")):
        folder = tmp_path / place / "same"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(card)
        as_jsonl(folder / "rows.jsonl", [{"text": text}])
        assert files.load_any(str(folder))["text"][:] == [text]
    as_jsonl(tmp_path / "one" / "same" / "rows.jsonl", [{"text": "changed"}])
    assert files.load_any(str(tmp_path / "one" / "same"))["text"][:] == ["changed"]
