"""The way in, from the user's side: what is brought is read as what it is, or refused with what to type."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pytest
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.data.corpora import load_corpus
from hfneg.errors import InputError, PositiveError, SettingError

N = 24
BODIES = [f"The valve of pump {i} opens when pressure in chamber {i} rises." for i in range(N)]
TITLES = [f"Pump {i}" for i in range(N)]
ASKED = [f"When does the valve of pump {i} open?" for i in range(N)]
EVERY = hfneg.Recipe(retrievers=hfneg.RandomDocuments(), k=N, sampler=hfneg.TakeTop(N))


def as_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(**columns: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def titled(tmp_path: Path) -> Path:
    return as_lines(tmp_path / "docs.jsonl", rows_of(id=[f"m{i:03}" for i in range(N)], title=TITLES, text=BODIES))


def run(*arguments: Any) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


# Positives and what the corpus has.


@pytest.mark.parametrize(
    ("written", "way"),
    [
        (lambda i: f"{TITLES[i]}\n{BODIES[i]}", "text"),
        (lambda i: BODIES[i], "without title"),
        (lambda i: f"{TITLES[i].upper()}  {BODIES[i]} ", "normal form"),
        (lambda i: f"  {BODIES[i].upper()}", "normal form without title"),
        (lambda i: f"m{i:03}", "id"),
    ],
)
def test_a_positive_is_found_however_it_is_written(written: Any, way: str, tmp_path: Path) -> None:
    """By id, whole text, without title and in normal form: it is that document, nothing is added, and mined is none."""
    corpus = load_corpus(str(titled(tmp_path)))
    pairs = datasets.Dataset.from_list(rows_of(asked=ASKED, told=[written(i) for i in range(N)]))
    anchors = hfneg.Anchors(pairs, corpus, anchor="asked", positive="told")
    assert (anchors.matched, anchors.added, len(anchors.corpus)) == ({way: N}, 0, N)
    assert [anchors.positives_of(i).tolist() for i in range(N)] == [[i] for i in range(N)]
    mined = hfneg.mine(pairs, corpus, EVERY, out=tmp_path / "mined", anchor="asked", positive="told")
    assert all(f"m{i:03}" not in row["hard_negative_ids"] for i, row in enumerate(mined))
    assert pairs.map(EVERY.transform(anchors), batched=True)["hard_negative_ids"][:] == mined["hard_negative_ids"][:]


def test_documents_that_differ_by_title_alone_are_all_known(tmp_path: Path) -> None:
    """A bare passage that two titles have: neither document is mined."""
    corpus = hfneg.Corpus.from_dataset(
        rows_of(title=["one", "two", "three"], text=["same", "same", "other"]), title="title"
    )
    anchors = hfneg.Anchors([{"q": "a", "a": "same"}], corpus, anchor="q", positive="a")
    assert anchors.positives_of(0).tolist() == [0, 1]


def test_non_ascii_normal_forms() -> None:
    """Full width, sharp s and composed letters, as everywhere in hfneg."""
    corpus = hfneg.Corpus.from_dataset(
        rows_of(title=["x", "y"], text=["STRASSE nach \uff30aris", "Cafe\u0301"]), title="title"
    )
    anchors = hfneg.Anchors(
        [{"q": "a", "a": "stra\u00dfe  nach paris"}, {"q": "b", "a": "CAF\u00c9"}], corpus, anchor="q", positive="a"
    )
    assert anchors.matched == {"normal form without title": 2}


def test_more_than_a_tenth_missing_is_refused_and_says_what_to_type(tmp_path: Path) -> None:
    """Positives that are ids of an unknown column: two examples, what the corpus has, and the three ways out."""
    pairs = as_lines(tmp_path / "p.jsonl", rows_of(question=ASKED, answer=[f"ref/{i}" for i in range(N)]))
    docs = as_lines(tmp_path / "d.jsonl", rows_of(signature=[f"ref/{i}" for i in range(N)], text=BODIES))
    code, said = run("mine", pairs, "--corpus", docs, "--out", tmp_path / "out")
    assert code == 2
    assert not (tmp_path / "out").exists()
    for part in (
        f"{N} of {N} positives",
        "'ref/0'",
        "'ref/1'",
        "--corpus-id",
        "--positives-are",
        "--missing add",
        "skip",
    ):
        assert part in said
    code, _ = run("mine", pairs, "--corpus", docs, "--corpus-id", "signature", "--out", tmp_path / "out", "--quiet")
    assert code == 0


def test_the_nearest_document_is_shown(tmp_path: Path) -> None:
    """Passages that were edited: what they nearly are."""
    corpus = hfneg.Corpus.from_texts(BODIES)
    pairs = rows_of(q=ASKED[:3], a=["When chamber 17 is under pressure the valve of pump 17 opens.", *BODIES[:2]])
    with pytest.raises(PositiveError, match=r"1 of 3 positives .*nearest is '17'"):
        hfneg.Anchors(pairs, corpus, anchor="q", positive="a")


def test_up_to_a_tenth_is_added_and_the_rest_is_said_on_purpose(caplog: pytest.LogCaptureFixture) -> None:
    """2 of 20 are added and counted; 3 of 20 need missing="add"; skip leaves their rows out."""
    corpus = hfneg.Corpus.from_texts(BODIES[:18])
    few = hfneg.Anchors(rows_of(q=ASKED[:20], a=BODIES[:20]), corpus, anchor="q", positive="a")
    assert (few.added, few.matched) == (2, {"text": 18, "added": 2})
    many = rows_of(q=ASKED[:20], a=[*BODIES[:17], "new 1", "new 2", "new 3"])
    with pytest.raises(PositiveError, match="more than a tenth"):
        hfneg.Anchors(many, corpus, anchor="q", positive="a")
    assert hfneg.Anchors(many, corpus, anchor="q", positive="a", missing="add").added == 3
    with caplog.at_level(logging.WARNING, "hfneg"):
        left = hfneg.Anchors(many, corpus, anchor="q", positive="a", missing="skip")
    assert (len(left), left.rows, left.left_out, len(left.corpus)) == (17, 17, 3, 18)
    assert "3 of 20 values of column 'a' are not in the corpus and are left out" in caplog.text


def test_what_is_said_of_pairs_is_no_part_of_the_anchors() -> None:
    """With and without rows that are left out, and with other names of columns: the same anchors, each with its own."""
    corpus = hfneg.Corpus.from_texts(BODIES)
    rows = [*rows_of(q=ASKED[:6], a=BODIES[:6]), {"q": "Who?", "a": "nobody"}]
    whole = hfneg.Anchors(rows, corpus, anchor="q", positive="a", missing="skip")
    fewer = hfneg.Anchors(rows[:6], corpus, anchor="q", positive="a")
    assert whole.digest == fewer.digest
    assert ((whole.left_out, whole.said), (fewer.left_out, fewer.said)) == ((1, {"missing": "skip"}), (0, {}))
    assert hfneg.Anchors(rows, corpus, anchor="q", positive="a", missing="skip").left_out == 1
    more = hfneg.Anchors([{**rows[0], "a": [BODIES[0], "gone"]}], corpus, anchor="q", positive="a", missing="skip")
    assert more.digest != hfneg.Anchors(rows[:1], corpus, anchor="q", positive="a").digest
    assert more.positive_rows({"q": ASKED[:1], "a": [[BODIES[0], "gone"]]}).flat.tolist() == [0]


@pytest.mark.parametrize("kind", ["text", "id"])
def test_skipped_positives_leave_their_rows_out_of_a_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For texts as for ids; a row with another positive stays; resuming goes on, and so does `reselect` where the
    store is gone; `.map` says which rows to filter."""
    corpus = datasets.Dataset.from_list(rows_of(_id=[f"m{i}" for i in range(N)], text=BODIES))
    told = [[BODIES[i]] if kind == "text" else [f"m{i}"] for i in range(6)]
    told[1], told[2] = [*told[1], "gone"], ["gone for good"]
    pairs = datasets.Dataset.from_list(rows_of(asked=ASKED[:6], told=told, own=list(range(6))))
    options: dict[str, Any] = {"anchor": "asked", "positive": "told", "positives_are": kind, "missing": "skip"}
    mined = hfneg.mine(pairs, corpus, EVERY, out=tmp_path / "m", **options)
    assert mined["own"][:] == [0, 1, 3, 4, 5]
    assert {len(ids) for ids in mined["hard_negative_ids"]} == {N - 1}
    hfneg.mine(pairs, corpus, EVERY, out=tmp_path / "m", resume=True, **options)
    assert hfneg.open_summary(tmp_path / "m")["reading"] == {"missing": "skip"}
    anchors = hfneg.Anchors(pairs, hfneg.Corpus.from_dataset(corpus, id="_id"), **options)
    with pytest.raises(hfneg.ColumnError, match=r"rows\.filter\(anchors\.has, batched=True\)"):
        pairs.map(EVERY.transform(anchors), batched=True)
    kept = pairs.filter(anchors.has, batched=True).map(EVERY.transform(anchors), batched=True)
    assert kept["hard_negative_ids"][:] == mined["hard_negative_ids"][:]
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "another"))
    again = hfneg.reselect(tmp_path / "m", out=tmp_path / "r", corpus=corpus)
    assert again["hard_negative_ids"][:] == mined["hard_negative_ids"][:]


def test_positions_are_not_taken_for_ids(tmp_path: Path) -> None:
    """A corpus whose column of ids was not recognised is numbered: numbers of another column would name wrong texts."""
    docs = as_lines(tmp_path / "d.jsonl", rows_of(nr=[(i + 5) % N for i in range(N)], text=BODIES))
    pairs = as_lines(tmp_path / "p.jsonl", rows_of(query=ASKED, answer=[(i + 5) % N for i in range(N)]))
    code, said = run("mine", pairs, "--corpus", docs, "--out", tmp_path / "out")
    assert code == 2
    assert "counted from 0" in said
    assert "its other columns are nr" in said
    assert "--corpus-id" in said


# Labels.


def labelled(tmp_path: Path, marks: list[Any], **names: str) -> Path:
    """Each query with its own passage and the next two; `marks` are their labels."""
    columns = {"query": "query", "passage": "passage", "label": "label", **names}
    rows = [
        {columns["query"]: ASKED[i], columns["passage"]: BODIES[(i + k) % N], columns["label"]: mark}
        for i in range(N)
        for k, mark in enumerate(marks)
    ]
    return as_lines(tmp_path / "labelled.jsonl", rows)


@pytest.mark.parametrize(
    ("marks", "names", "settings"),
    [
        ([1, 0], {}, {}),
        ([True, False], {"label": "is_duplicate", "query": "question1", "passage": "question2"}, {}),
        (["1", "0"], {"label": "relevance"}, {}),
        (["yes", "no"], {"label": "relevant"}, {}),
        ([1.0, 0.0], {"label": "score"}, {}),
        ([1, 0], {"label": "mark"}, {"label": "mark"}),
        ([3, 1], {"label": "grade"}, {"min_grade": 2}),
        ([0.91, 0.2], {"label": "similarity"}, {"min_grade": 0.5}),
        ([0, 2], {}, {"positive_label": "0", "negative_label": "2"}),
        (
            ["entailment", "contradiction", "neutral"],
            {"query": "premise", "passage": "hypothesis", "label": "gold_label"},
            {"positive_label": "entailment", "negative_label": ["contradiction"]},
        ),
    ],
)
def test_labels_say_what_is_a_positive_and_what_a_given_negative(
    marks: list[Any], names: dict[str, str], settings: dict[str, Any], tmp_path: Path
) -> None:
    """A row per anchor; 1 is a positive, 0 a given negative; grades and names by what the user says."""
    loaded = hfneg.load_pairs(str(labelled(tmp_path, marks, **names)), **settings)
    assert loaded.rows["positive"][:] == [[body] for body in BODIES]
    assert loaded.rows["negative"][:] == [[BODIES[(i + 1) % N]] for i in range(N)]
    mined = hfneg.mine(loaded, recipe=EVERY, out=tmp_path / "mined")
    for i, row in enumerate(mined):
        assert BODIES[i] not in row["hard_negatives"]
        assert (row["hard_negatives"][0], row["hard_negative_sources"][0]) == (BODIES[(i + 1) % N], "given")
        assert set(row["hard_negative_sources"][1:]) == {"random"}


@pytest.mark.parametrize(
    ("marks", "names", "message"),
    [
        ([2, 1, 0], {}, "--min-grade"),
        ([0.4, 0.9], {"label": "score"}, "--min-grade"),
        ([-1, 1], {}, "--min-grade"),
        ([0, 1, 2], {"query": "premise", "passage": "hypothesis"}, "--positive-label"),
        (["entailment", "neutral", "contradiction"], {}, "--positive-label entailment"),
        ([float("nan"), 1.0], {}, "no finite numbers"),
    ],
)
def test_labels_that_do_not_say_it_are_refused(
    marks: list[Any], names: dict[str, str], message: str, tmp_path: Path
) -> None:
    """By the command before any work, with the values and the option to type."""
    code, said = run("mine", labelled(tmp_path, marks, **names), "--out", tmp_path / "out")
    assert code == 2
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["--min-grade", "--relevant-from"])
def test_the_least_grade_has_two_names(name: str, tmp_path: Path) -> None:
    """That of `mine`, and that of `calibrate`."""
    code, said = run("mine", labelled(tmp_path, [2, 1, 0]), name, "2", "--out", tmp_path / "out")
    assert code == 0, said


def test_rows_of_positives_stay_rows(tmp_path: Path) -> None:
    """A label that is 1 in every row, and label=False, change nothing."""
    for label, settings in ((1, {}), (0, {"label": False})):
        loaded = hfneg.load_pairs(str(labelled(tmp_path, [label])), **settings)
        assert loaded.rows.column_names == ["query", "passage", "label"]
        assert (loaded.anchor, loaded.positive, len(loaded.rows)) == ("query", "passage", N)


def test_class_labels_with_names_are_asked_about(tmp_path: Path) -> None:
    """QNLI's 0 is entailment: 0 and 1 with names do not say which is a positive."""
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["entailment", "not_entailment"]),
        }
    )
    rows = datasets.Dataset.from_dict(
        {"question": ASKED[:4], "sentence": BODIES[:4], "label": [0, 1, 0, 1]}, features=features
    )
    with pytest.raises(InputError, match=r"entailment, not_entailment.*--positive-label"):
        hfneg.load_pairs(rows, positive="sentence")
    loaded = hfneg.load_pairs(rows, positive="sentence", positive_label="entailment", negative_label="not_entailment")
    assert loaded.rows["positive"][:] == [[BODIES[0]], [BODIES[2]]]


@pytest.mark.parametrize("stream", [False, True])
def test_map_refuses_labelled_rows_too(stream: bool) -> None:
    """`Anchors` over rows of which some are negatives: it would take each for a positive."""
    rows: Any = datasets.Dataset.from_dict({"q": ["a", "a"], "doc": ["one", "two"], "label": [1, 0]})
    rows = rows.to_iterable_dataset() if stream else rows
    for given in (rows, [{"q": "a", "doc": "one", "label": 0}], ({"q": "a", "doc": "one", "label": i} for i in (1, 0))):
        with pytest.raises(PositiveError, match=r"label 0 .*load_pairs.*label=False"):
            hfneg.Anchors(given, None, anchor="q", positive="doc")
    assert len(hfneg.Anchors(rows, None, anchor="q", positive="doc", label=False).positives_of(0)) == 2


def test_lists_with_labels(tmp_path: Path) -> None:
    """A list of documents with one label each, as the cross-encoders' listwise losses have it."""
    rows = [
        {"query": ASKED[i], "docs": [BODIES[i], BODIES[i - 1], BODIES[i - 2]], "labels": [1, 0, 0]} for i in range(6)
    ]
    loaded = hfneg.load_pairs(str(as_lines(tmp_path / "l.jsonl", rows)))
    assert loaded.rows["positive"][:] == [[BODIES[i]] for i in range(6)]
    assert loaded.rows["negative"][:] == [[BODIES[i - 1], BODIES[i - 2]] for i in range(6)]


def test_labelled_ids_are_labelled_too(tmp_path: Path) -> None:
    """Documents by their ids, with labels: a label is never passed over, whatever the columns are called."""
    docs = datasets.Dataset.from_list(rows_of(_id=[f"m{i}" for i in range(N)], text=BODIES))
    for names in (("query", "doc_id", "label"), ("question", "passage_id", "relevance"), ("x", "y", "score")):
        rows = [dict(zip(names, (ASKED[i], f"m{(i + k) % N}", 1 - k), strict=True)) for i in range(N) for k in range(2)]
        loaded = hfneg.load_pairs(datasets.Dataset.from_list(rows))
        assert loaded.rows["positive"][:] == [[f"m{i}"] for i in range(N)]
        mined = hfneg.mine(loaded, docs, EVERY, out=tmp_path / names[0])
        for i, row in enumerate(mined):
            assert (row["hard_negative_ids"][0], row["hard_negative_sources"][0]) == (f"m{(i + 1) % N}", "given")
            assert f"m{i}" not in row["hard_negative_ids"]


def test_ids_of_positives_and_negatives_beside_texts(tmp_path: Path) -> None:
    """query, positive_id, negative_ids with a corpus: by id, and the given ones come first."""
    docs = datasets.Dataset.from_list(rows_of(docno=[f"m{i}" for i in range(N)], text=BODIES))
    ids = [[f"m{(i + 3) % N}"] for i in range(N)]
    rows = datasets.Dataset.from_list(rows_of(query=ASKED, positive_id=[f"m{i}" for i in range(N)], negative_ids=ids))
    loaded = hfneg.load_pairs(rows)
    mined = hfneg.mine(loaded, docs, EVERY, out=tmp_path / "m")
    assert [row["hard_negative_ids"][0] for row in mined] == [one for (one,) in ids]
    assert hfneg.open_summary(tmp_path / "m")["positives_are"] == "id"


def test_one_word_positives_without_a_corpus_are_asked_about(caplog: pytest.LogCaptureFixture) -> None:
    """They may be ids that somebody forgot the corpus of; a log line says so."""
    with caplog.at_level(logging.WARNING, "hfneg"):
        hfneg.Anchors(rows_of(q=ASKED, a=[f"doc-{i}" for i in range(N)]), None, anchor="q", positive="a")
    assert "holds what looks like ids ('doc-0')" in caplog.text


def test_files_without_a_line_of_names_on_the_command_line(tmp_path: Path) -> None:
    """--columns and --corpus-columns; without them nothing is mined, and the first row is not lost with them."""
    pairs, docs = tmp_path / "p.tsv", tmp_path / "d.tsv"
    pairs.write_text("".join(f"{ASKED[i]}\t{10 + i}\n" for i in range(N)))
    docs.write_text("".join(f"{10 + i}\t{BODIES[i]}\n" for i in range(N)))
    base = ["mine", pairs, "--corpus", docs, "--out", tmp_path / "m", "--set", "retrievers=RandomDocuments()"]
    code, said = run(*base)
    assert (code, "--columns" in said) == (2, True)
    code, said = run(*base, "--columns", "query,positive_id", "--corpus-columns", "id,text")
    assert code == 0, said
    assert hfneg.open_summary(tmp_path / "m")["anchors"] == N


def test_documents_of_one_corpus_by_any_column(tmp_path: Path) -> None:
    """Positions are allowed where they are meant."""
    corpus = hfneg.Corpus.from_dataset(datasets.Dataset.from_list(rows_of(text=BODIES, nr=list(range(N)))))
    assert corpus.unread == ("nr",)
    anchors = hfneg.Anchors(rows_of(q=ASKED, a=list(range(N))), corpus, anchor="q", positive="a", positives_are="id")
    assert [anchors.positives_of(i).tolist() for i in range(N)] == [[i] for i in range(N)]


def test_wrong_settings_are_refused() -> None:
    """Each with the allowed values."""
    rows = rows_of(q=["a"], a=["b"])
    for setting in ({"given": "last"}, {"symmetric": "yes"}, {"missing": "ignore"}, {"label": "label"}):
        with pytest.raises(SettingError, match="must be one of"):
            hfneg.Anchors(rows, None, anchor="q", positive="a", **setting)  # type: ignore[arg-type]
    dataset = datasets.Dataset.from_list(rows_of(query=["a"], answer=["b"], label=[1]))
    for settings, message in (
        ({"min_grade": float("nan")}, "must be a number"),
        ({"negative_label": "0"}, "without positive_label"),
        ({"positive_label": "1", "min_grade": 1}, "both given"),
        ({"positive_label": "1", "negative_label": "1"}, "cannot be positive and negative"),
        ({"classes": True, "class_positives": 0, "anchor": "query"}, "whole number"),
    ):
        with pytest.raises(SettingError, match=message):
            hfneg.load_pairs(dataset, **settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no row has the label 'yes'; the labels .* are 1"):
        hfneg.load_pairs(dataset, positive_label="yes")
