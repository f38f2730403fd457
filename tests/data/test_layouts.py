"""Columns and files are taken for what they are, by any usual name, and what does not say what it is, is refused."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

import hfneg
from hfneg.data import corpora, files, layouts
from hfneg.data.layouts import Given, names
from hfneg.errors import ColumnError, EmptyInputError, InputError

TEXT, LIST, NUMBER, NUMBERS = pa.string(), pa.list_(pa.string()), pa.int64(), pa.list_(pa.float32())


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Question": TEXT, "Answer": TEXT}, ("pairs", "Question", ("Answer",), (), None)),
        ({"id": TEXT, "search_query": TEXT, "doc": TEXT}, ("pairs", "search_query", ("doc",), (), None)),
        ({"Query": TEXT, "positiveId": NUMBER, "lang": TEXT}, ("pairs", "Query", ("positiveId",), (), None)),
        (
            {"anchor": TEXT, "positive": TEXT, "Negative": TEXT},
            ("triplets", "anchor", ("positive",), ("Negative",), None),
        ),
        ({"q_id": TEXT, "query": TEXT, "pos": LIST, "negs": LIST}, ("lists", "query", ("pos",), ("negs",), None)),
        (
            {"question": TEXT, "context": TEXT, "neg_2": TEXT, "neg_1": TEXT},
            ("tuples", "question", ("context",), ("neg_1", "neg_2"), None),
        ),
        ({"query": TEXT, "pos": TEXT, "neg": LIST}, ("flagembedding", "query", ("pos",), ("neg",), None)),
        ({"query": TEXT, "passage": TEXT, "is_relevant": NUMBER}, ("labelled_pairs", "query", (), (), "is_relevant")),
        (
            {"sentence1": TEXT, "sentence2": TEXT, "gold_label": TEXT},
            ("labelled_pairs", "sentence1", (), (), "gold_label"),
        ),
        ({"query": TEXT, "docs": LIST, "relevance": NUMBERS}, ("listwise", "query", (), (), "relevance")),
        (
            {"question1": TEXT, "question2": TEXT, "is_duplicate": NUMBER},
            ("labelled_pairs", "question1", (), (), "is_duplicate"),
        ),
    ],
)
def test_rows_to_mine_are_recognised(columns: dict[str, Any], expected: Any) -> None:
    """Anchor, positives, given negatives and label, by names in any spelling and by what the columns hold."""
    found = layouts.to_mine(pa.schema(list(columns.items())), Given())
    assert (found.name, found.anchor, found.positives, found.negatives, found.label) == expected


def test_what_the_user_says_goes_before_any_guess() -> None:
    """Named columns are taken, a misspelt one is refused, and label=False means that there is none."""
    schema = pa.schema([("query", TEXT), ("answer", TEXT), ("label", NUMBER), ("other", TEXT), ("mark", NUMBER)])
    assert layouts.to_mine(schema, Given(label="mark")).label == "mark"
    assert layouts.to_mine(schema, Given(label=False)).label is None
    assert layouts.to_mine(schema, Given(negatives=("other",))).negatives == ("other",)
    assert layouts.to_mine(schema, Given(positive="other")).documents == "other"
    for given in (Given(label="lable"), Given(negatives=("othre",)), Given(anchor="qury")):
        with pytest.raises(ColumnError, match="Did you mean"):
            layouts.to_mine(schema, given)


def test_texts_with_a_label_are_asked_about() -> None:
    """One text and a class could be read as a pair; it is refused and --classes named."""
    for label, kind in (("label", NUMBER), ("label", TEXT), ("intent", TEXT), ("category", NUMBER)):
        with pytest.raises(ColumnError, match=r"texts with a label.*--classes"):
            layouts.to_mine(pa.schema([("text", TEXT), (label, kind)]), Given())


def test_names_are_compared_without_case_and_punctuation() -> None:
    """One table of names, for every spelling; the exact one goes before others."""
    assert names.one_of(["QueryID", "text"], names.QUERY_IDS) == "QueryID"
    assert names.one_of(["Query-Id", "query_id"], names.ANCHOR_IDS) == "query_id"
    assert names.one_of(["idea", "grid"], names.DOCUMENT_IDS) is None
    assert [names.is_id(name) for name in ("docId", "corpus-id", "doc_ids", "uuid", "idea", "paid", "video")] == [
        *(True, True, True, True),
        *(False, False, False),
    ]


# Files.


def test_cells_stay_what_they_are(tmp_path: Path) -> None:
    """ "NA", "null" and "None" are texts, ids keep leading zeros, and columns of numbers are numbers."""
    path = written(
        tmp_path / "a.csv", "query,answer,doc_id,n,x\nwhat is NA,NA,007,1,0.5\nnull,None,12,2,1\nnan,-,3e4,3,2\n"
    )
    rows = files.load_any(str(path))
    assert rows["query"][:] == ["what is NA", "null", "nan"]
    assert rows["answer"][:] == ["NA", "None", "-"]
    assert rows["doc_id"][:] == ["007", "12", "3e4"]
    assert (rows["n"][:], rows["x"][:]) == ([1, 2, 3], [0.5, 1.0, 2.0])


def test_cells_in_a_folder_too(tmp_path: Path) -> None:
    """A folder of CSV files is read as its files are."""
    written(tmp_path / "a.csv", "query,answer,doc_id\nNA,null,007\n")
    written(tmp_path / "b.csv", "query,answer,doc_id\nNone,x,12\n")
    assert files.load_any(str(tmp_path)).to_list() == [
        {"query": "NA", "answer": "null", "doc_id": "007"},
        {"query": "None", "answer": "x", "doc_id": "12"},
    ]


def test_a_stray_quote_swallows_no_line_of_a_tsv(tmp_path: Path) -> None:
    """BEIR and MS MARCO write TSV without quoting; all rows are there and the quotes stay."""
    texts = [f"text {i}" if i % 7 else f'"stray {i}' for i in range(40)]
    lines = "".join(f"d{i}\t{text}\n" for i, text in enumerate(texts))
    rows = files.load_any(str(written(tmp_path / "docs.tsv", f"docid\ttext\n{lines}")))
    assert rows["text"][:] == texts
    with gzip.open(tmp_path / "docs.tsv.gz", "wt") as file:
        file.write(f"docid\ttext\n{lines}")
    assert files.load_any(str(tmp_path / "docs.tsv.gz"))["text"][:] == texts


def test_a_tsv_that_is_quoted_all_over_is_read_so(tmp_path: Path) -> None:
    """As csv.writer and pandas write one: doubled quotes, tabs and line breaks inside of cells."""
    rows = [{"query": 'a "b" c', "answer": "one\ttwo"}, {"query": "plain", "answer": 'x\n"y"'}]
    with (tmp_path / "q.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["query", "answer"], delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    assert files.load_any(str(tmp_path / "q.tsv")).to_list() == rows


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", 'query,answer\n"one,two\nthree,four\n', "line 2: a quote that opens a cell is not closed"),
        ("b.csv", 'query,answer\na,"b" c\nd,"e"\n', "line 2: a quote that opens a cell is not closed"),
        ("c.csv", "query,answer\none,two,three\n", "Expected 2 columns, got 3"),
        ("d.tsv", "query\tanswer\none\n", "Expected 2 columns, got 1"),
        ("e.tsv", "query-id\tcorpus-id\tscore\nq\t0\td\t1\n", "Expected 3 columns, got 4"),
    ],
)
def test_lines_that_do_not_fit_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    """Never padded, shifted or swallowed."""
    with pytest.raises(InputError, match=message):
        files.load_any(str(written(tmp_path / name, text)))


@pytest.mark.parametrize(
    ("name", "text", "example"),
    [
        ("a.tsv", "12\tThe presence of communication.\n13\tThe Manhattan Project.\n", "id,text"),
        ("b.csv", "what is a fault?,A break in rock.\nwhat is a wave?,Water that moves.\n", "query,positive"),
        ("c.tsv", "what slips\ta fault slips under stress\nwhat moves\ta wave\n", "query,positive"),
    ],
)
def test_a_file_without_a_line_of_names_is_recognised(name: str, text: str, example: str, tmp_path: Path) -> None:
    """Its first row is not lost as names; --columns says them."""
    path = written(tmp_path / name, text)
    with pytest.raises(ColumnError, match=f"looks like a row, .*--columns {example}"):
        files.load_any(str(path))
    rows = files.load_any(str(path), columns=example.split(","))
    assert len(rows) == 2
    assert rows.column_names == example.split(",")
    with pytest.raises(ColumnError, match="has 2 columns"):
        files.load_any(str(path), columns=["one"])


def test_names_that_repeat_the_first_line_are_no_row(tmp_path: Path) -> None:
    """--columns for a file that has them already changes nothing; other files refuse it."""
    path = written(tmp_path / "a.csv", "query,answer\nx,y\n")
    assert files.load_any(str(path), columns=["query", "answer"]).to_list() == [{"query": "x", "answer": "y"}]
    with pytest.raises(InputError, match="names its columns itself"):
        files.load_any(str(written(tmp_path / "a.jsonl", '{"a": "b"}\n')), columns=["a"])
    with pytest.raises(EmptyInputError, match="no rows below"):
        files.load_any(str(written(tmp_path / "b.csv", "query,answer\n")))


def test_texts_among_lists_are_lists_of_one(tmp_path: Path) -> None:
    """JSON lines with now a text, now a list; and ids that are now numbers, now texts."""
    lines = [{"query": "a", "pos": "one", "key": 1}, {"query": "b", "pos": ["two", "three"], "key": "2b"}]
    path = written(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert files.load_any(str(path)).to_list() == [
        {"query": "a", "pos": ["one"], "key": "1"},
        {"query": "b", "pos": ["two", "three"], "key": "2b"},
    ]


# Corpora.


@pytest.mark.parametrize("column", ["_id", "docid", "uuid", "pid", "doc", "DocNo", "chunk_id", "corpus-id"])
def test_ids_of_a_corpus_go_by_any_usual_name(column: str) -> None:
    """Not numbered where there is a column of ids."""
    rows = datasets.Dataset.from_dict({column: ["x7", "x8"], "text": ["one", "two"]})
    corpus = corpora.as_corpus(rows)
    assert corpus is not None
    assert corpus.ids([0, 1]) == ["x7", "x8"]


def test_a_rarer_name_with_repeated_values_is_no_id() -> None:
    """Chunks of one document under ``doc``: they are numbered, as before."""
    rows = datasets.Dataset.from_dict({"doc": ["x", "x"], "text": ["one", "two"]})
    corpus = corpora.as_corpus(rows)
    assert corpus is not None
    assert (corpus.ids([0, 1]), corpus.unread) == (["0", "1"], ("doc",))


@pytest.mark.parametrize("text", [None, "", "  "])
def test_a_title_without_a_text_is_the_document(text: str | None, tmp_path: Path) -> None:
    """No line break behind it; as a row, as a line of a file, and as a passage among the rows."""
    rows = [{"_id": "a", "title": "Alone", "text": text}, {"_id": "b", "title": "With", "text": "more"}]
    path = written(tmp_path / "c.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    corpus = corpora.as_corpus(str(path))
    assert corpus is not None
    assert corpus.texts([0, 1]).to_pylist() == ["Alone", "With\nmore"]
    passages = [{"docid": row["_id"], "title": row["title"], "text": row["text"] or ""} for row in rows]
    told = [{"query": "q", "positive_passages": passages[:1], "negative_passages": passages[1:]}]
    loaded = hfneg.load_pairs(datasets.Dataset.from_list(told))
    assert loaded.rows["positive"][:] == [["Alone"]]
    report = hfneg.audit(datasets.Dataset.from_list([{**told[0], "negative_passages": passages}]))
    assert report["positive_as_negative"].count == 1


def test_nothing_at_all_is_still_no_document() -> None:
    """Neither title nor text."""
    with pytest.raises(hfneg.DocumentError, match="its text is None"):
        hfneg.Corpus.from_dataset([{"title": "", "text": None}], title="title")


# DPR.


def dpr(i: int, *, ids: bool) -> dict[str, Any]:
    def passage(j: int) -> dict[str, Any]:
        return {"title": f"Page {j}", "text": f"The fault {j} slips."} | ({"passage_id": str(j)} if ids else {})

    hard, easy = [passage(100 + i)], [passage(200 + i)] if i else []
    whole = {"positive_ctxs": [passage(i)], "hard_negative_ctxs": hard, "negative_ctxs": easy}
    return {"dataset": "nq", "question": f"Which fault is {i}?", "answers": [f"fault {i}"], **whole}


@pytest.mark.parametrize("ids", [True, False])
def test_dpr(ids: bool, tmp_path: Path) -> None:
    """Its passages are the positives and given negatives, not the short answers beside them; the command and audit
    read it alike."""
    path = tmp_path / "nq-train.json"
    path.write_text(json.dumps([dpr(i, ids=ids) for i in range(12)]))
    found = hfneg.load_pairs(str(path))
    assert (found.anchor, found.layout, found.negatives) == ("question", "passages", ("negative",))
    assert found.rows[3]["positive"] == ["Page 3\nThe fault 3 slips."]
    assert found.rows[0]["negative"] == ["Page 100\nThe fault 100 slips."]
    assert found.rows[3]["negative"] == [f"Page {j}\nThe fault {j} slips." for j in (103, 203)]
    assert found.corpus is not None
    assert len(found.corpus) == 12 + 12 + 11
    if ids:
        assert found.corpus.ids([0]) == ["0"]
    mined = hfneg.mine(found, recipe=hfneg.Recipe(k=20, sampler=hfneg.TakeTop(5)), out=tmp_path / "mined")
    for i, row in enumerate(mined):
        assert row["hard_negatives"][0] == f"Page {100 + i}\nThe fault {100 + i} slips."
        assert f"Page {i}\nThe fault {i} slips." not in row["hard_negatives"]
    audited = hfneg.audit(str(path))
    assert audited.to_dict()["layout"] == "dpr"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_without_commas_between_its_cells(delimiter: str, tmp_path: Path) -> None:
    """As spreadsheets of many countries save it: byte order mark, semicolons, CRLF, quoted cells with commas."""
    lines = [delimiter.join(("Question", "Answer")), *(delimiter.join((f"q, {i}", f'"a, ""{i}"""')) for i in range(3))]
    path = tmp_path / "pairs.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    found = hfneg.load_pairs(str(path))
    assert (found.anchor, found.positive) == ("Question", "Answer")
    assert found.rows[:] == {"Question": ["q, 0", "q, 1", "q, 2"], "Answer": ['a, "0"', 'a, "1"', 'a, "2"']}
