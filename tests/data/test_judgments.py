"""Judgments are read as what they are, whatever their form, and nothing in them becomes something else."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pytest

import hfneg
from hfneg.data import judgments
from hfneg.data.files.qrels import read_qrels
from hfneg.errors import EmptyInputError, InputError, PositiveError

ROWS = [("t1", "p-9", 1), ("t1", "p-3", 0), ("t2", "p-4", 2)]


def as_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def folder_of(path: Path, text: str, name: str = "test.tsv", **more: Any) -> Path:
    """A BEIR folder with the topics t1 and t2, the passages p-0 .. p-9, and these judgments."""
    (path / "qrels").mkdir(parents=True)
    as_lines(path / "corpus.jsonl", [{"_id": f"p-{i}", "title": "", "text": f"passage {i}"} for i in range(10)])
    topics = more.get("topics", [{"_id": "t1", "text": "first topic"}, {"_id": "t2", "text": "second topic"}])
    as_lines(path / "queries.jsonl", topics)
    (path / "qrels" / name).write_text(text, encoding="utf-8")
    return path


def forms() -> dict[str, str]:
    """The same three judgments, written in every way that is read."""
    three = [f"{q}\t{d}\t{g}\n" for q, d, g in ROWS]
    four = [(q, "0", d, str(g)) for q, d, g in ROWS]
    return {
        "three between tabs": "".join(three),
        "three with BEIR's names": "query-id\tcorpus-id\tscore\n" + "".join(three),
        "three with other names": "topic_id\tdocno\trel\n" + "".join(three),
        "three in another order": "score\tquery_id\tdoc_id\n" + "".join(f"{g}\t{q}\t{d}\n" for q, d, g in ROWS),
        "three between blanks": "".join(f"{q} {d} {g}\n" for q, d, g in ROWS),
        "four between tabs": "".join("\t".join(row) + "\n" for row in four),
        "four between blanks": "".join("  ".join(row) + "\n" for row in four),
        "four with Q0": "".join(f"{q} Q0 {d} {g}\n" for q, d, g in ROWS),
        "four with names": "query-id\titer\tcorpus-id\tscore\n" + "".join("\t".join(row) + "\n" for row in four),
        "a byte order mark and blank lines": "\ufeff" + "\n".join(three) + "\r\n\n",
        "grades with a point": "".join(f"{q}\t0\t{d}\t{g}.0\n" for q, d, g in ROWS),
    }


@pytest.mark.parametrize("form", forms())
def test_every_form_says_the_same(form: str, tmp_path: Path) -> None:
    """Three columns or four, tabs or blanks, with names or without: the same positives and given negatives."""
    rows, _ = hfneg.load_beir(folder_of(tmp_path / "b", forms()[form]))
    assert rows["positive_ids"][:] == [["p-9"], ["p-4"]]
    assert rows["negative_ids"][:] == [["p-3"], []]
    assert rows["positive"][:] == [["passage 9"], ["passage 4"]]


@pytest.mark.parametrize("form", forms())
def test_audit_and_calibrate_read_the_same_file(form: str, tmp_path: Path) -> None:
    """The reader that `audit --qrels` and `calibrate --judge` share gives the same pairs and grades."""
    path = tmp_path / "judged.qrels"
    path.write_text(forms()[form], encoding="utf-8")
    found = judgments.read(path)
    assert list(zip(found.anchor_ids, found.document_ids, found.relevance, strict=True)) == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t1\tp-1\n", "line 1: .*found 2 columns"),
        ("t1\tp-1\t1\nt2\tp-2\n", "line 2: .*found 2 columns"),
        ("t1 0 p-1 1\nt1 p-2 1\n", "line 2: .*found 3 columns"),
        ("t1 Q0 p-1 1 17.5 mytag\n", r"line 1: .*found 6 columns \(a run"),
        ("query-id\tcorpus-id\tscore\nt1\t0\tp-1\t1\n", "line 2: .*found 4 columns"),
        ("t1\tp-1\tnan\n", "line 1: .*'nan', which is no finite number"),
        ("t1\tp-1\tinf\n", "line 1: .*'inf', which is no finite number"),
        ("t1\tp-1\t1\nt1\tp-2\tyes\n", "line 2: .*'yes', which is no finite number"),
        ("t1 p-2 p-1 1\n", "the second is TREC's iteration .* found 'p-2'"),
        ("t1 p-1 1\nt1 p-1 0\n", "line 2: query 't1' and document 'p-1' are judged 0 here and 1 before"),
        ("t1 0 7\nt2 0 8\n", "every line names the document '0'"),
        ("topic\tanswer text\tweight of it\nt1\tp-1\t1\n", "line 1: expected query-id, corpus-id and score"),
    ],
)
def test_what_is_no_judgment_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    """Never read as something else: the message shows the line and says what was expected."""
    with pytest.raises(InputError, match=message):
        hfneg.load_beir(folder_of(tmp_path / "b", text))


def test_a_file_without_judgments_is_refused(tmp_path: Path) -> None:
    """Empty, or a first line of names and nothing below it."""
    for text in ("", "query-id\tcorpus-id\tscore\n"):
        with pytest.raises(EmptyInputError):
            hfneg.load_beir(folder_of(tmp_path / f"b{len(text)}", text))


def test_repeated_lines_count_once_and_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No doubled positive, and the log says how many lines said nothing new."""
    folder = folder_of(tmp_path / "b", "t1 0 p-1 1\nt1 0 p-2 1\nt1 0 p-1 1\nt2 0 p-1 1\nt1 0 p-1 1\n")
    with caplog.at_level(logging.WARNING, "hfneg"):
        rows, _ = hfneg.load_beir(folder)
    assert rows["positive_ids"][:] == [["p-1", "p-2"], ["p-1"]]
    assert "2 lines repeat an earlier judgment" in caplog.text


def test_other_suffixes_and_compressed_files(tmp_path: Path) -> None:
    """``qrels/dev.trec`` is a split as ``dev.tsv`` is; a compressed file is read as it is."""
    assert len(hfneg.load_beir(folder_of(tmp_path / "b", "t1 0 p-1 1\n", "dev.trec"), "dev")[0]) == 1
    with gzip.open(tmp_path / "some.qrels.gz", "wt") as file:
        file.write("t1 0 p-1 1\n")
    found = read_qrels(tmp_path / "some.qrels.gz")
    assert found is not None
    assert found.documents == ["p-1"]


def test_absent_documents_and_queries_are_named_or_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The error names the first and the way out; with missing="skip" they are counted, and a query left without a
    positive goes."""
    folder = folder_of(tmp_path / "b", "t1 0 p-1 1\nt1 0 gone 1\nt9 0 p-2 1\nt2 0 lost 1\n")
    with pytest.raises(PositiveError, match=r"'gone', which corpus.jsonl does not have .*3 of 4.*missing='skip'"):
        hfneg.load_beir(folder)
    with caplog.at_level(logging.WARNING, "hfneg"):
        rows, _ = hfneg.load_beir(folder, missing="skip")
    assert (rows["query"][:], rows["positive_ids"][:]) == (["first topic"], [["p-1"]])
    assert "3 of 4 judgments name what is not there" in caplog.text


def test_a_query_id_with_two_texts_is_refused(tmp_path: Path) -> None:
    """Which text would be mined for?"""
    topics = [{"_id": "t1", "text": "one"}, {"_id": "t1", "text": "two"}]
    with pytest.raises(InputError, match="'t1' is there with two texts, 'one' and 'two'"):
        hfneg.load_beir(folder_of(tmp_path / "b", "t1 0 p-1 1\n", topics=topics))


def test_grades_from_which_a_document_is_a_positive(tmp_path: Path) -> None:
    """Below `min_grade` a judged document is a given negative; without it every grade above zero is a positive."""
    folder = folder_of(tmp_path / "b", "t1 0 p-1 3\nt1 0 p-2 1\nt1 0 p-3 -1\nt2 0 p-5 2\n")
    assert hfneg.load_beir(folder)[0]["positive_ids"][:] == [["p-1", "p-2"], ["p-5"]]
    rows, _ = hfneg.load_beir(folder, min_grade=2)
    assert rows["positive_ids"][:] == [["p-1"], ["p-5"]]
    assert rows["negative_ids"][:] == [["p-2", "p-3"], []]


def test_queries_with_negatives_alone_are_left_out_of_mining_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They stay judged, for `audit` and `calibrate`, which read the same folder."""
    folder = folder_of(tmp_path / "b", "t1 0 p-1 1\nt2 0 p-2 0\n")
    with caplog.at_level(logging.WARNING, "hfneg"):
        rows, _ = hfneg.load_beir(folder)
    assert rows["query_id"][:] == ["t1"]
    assert "1 queries have negatives alone (such as 't2')" in caplog.text
    found = judgments.read(folder)
    assert [*zip(found.anchors, found.documents, found.relevance, strict=True)] == [
        ("first topic", "passage 1", 1.0),
        ("second topic", "passage 2", 0.0),
    ]


def test_tables_with_other_names(tmp_path: Path) -> None:
    """Columns of a table of judged pairs go by any usual name, in any spelling."""
    for names in (("queryId", "docId", "relevanceScore"), ("QID", "pid", "rel"), ("query", "passage", "is_relevant")):
        table = datasets.Dataset.from_dict(dict(zip(names, (["t1"], ["p"], [1]), strict=True)))
        found = judgments.read(table)
        assert "t1" in (found.anchor_ids[0], found.anchors[0])
        assert "p" in (found.document_ids[0], found.documents[0])
        assert found.relevance[0] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "high"])
def test_a_relevance_that_is_no_number_is_refused_in_tables_too(value: Any) -> None:
    """NaN is no "not judged": an empty cell is."""
    found = judgments.read([{"qid": "t1", "docid": "p", "rel": 1}, {"qid": "t1", "docid": "q", "rel": value}])
    with pytest.raises(InputError, match=r"1 of 2 judgments have other labels"):
        judgments.relevant(found.relevance, None)


def test_judged_rows_of_the_hub_are_read_alike(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Four named columns, repeated rows and grades in configs of a repository; NaN and two grades are refused."""
    from test_inputs import DOCUMENTS, QUERIES, configs

    row = {"query-id": "q1", "iteration": 0, "corpus-id": "d1", "score": 1}
    judged = [row, {**row, "corpus-id": "d2", "score": 0}, row]
    place = configs(tmp_path / "a", corpus=DOCUMENTS, queries=QUERIES, default=judged)
    with caplog.at_level(logging.WARNING, "hfneg"):
        rows = hfneg.load_pairs(place).rows
    assert (rows["positive_ids"][:], rows["negative_ids"][:]) == ([["d1"]], [["d2"]])
    assert "1 rows repeat an earlier judgment" in caplog.text
    for i, (extra, message) in enumerate(
        [
            ({**row, "score": 0}, "are judged 0 here and 1 before"),
            ({**row, "corpus-id": "d4", "score": float("nan")}, "no finite number"),
        ]
    ):
        rows_ = [{**one, "score": float(one["score"])} for one in (row, extra)]
        place = configs(tmp_path / f"x{i}", corpus=DOCUMENTS, queries=QUERIES, default=rows_)
        with pytest.raises(InputError, match=message):
            hfneg.load_pairs(place)
    place = configs(tmp_path / "gone", corpus=DOCUMENTS, queries=QUERIES, default=[row, {**row, "corpus-id": "gone"}])
    with pytest.raises(PositiveError, match=r"'gone', which the corpus does not have"):
        hfneg.load_pairs(place)
    assert hfneg.load_pairs(place, missing="skip").rows["positive_ids"][:] == [["d1"]]
