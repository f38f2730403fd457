"""Trainer formats and other tools' files: the values, what is dropped, and what is said about it."""

from __future__ import annotations

import csv
import json
import logging
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import (
    Dataset,
    DatasetDict,
    Features,
    IterableDataset,
    IterableDatasetDict,
    List,
    Value,
    load_dataset,
)
from datasets.fingerprint import Hasher
from datasets.utils import disable_progress_bars

from hfneg import formats
from hfneg.errors import ColumnError, EmptyInputError, InputError, OutputExistsError, SettingError
from hfneg.formats.converting import Convert
from hfneg.formats.layout import TrainerLayout
from hfneg.formats.shapes import Tuples

disable_progress_bars()

SCORES = List(Value("float32"))
TEXTS = List(Value("string"))
FEATURES = {
    "topic": Value("string"),
    "query": Value("string"),
    "answer": Value("string"),
    "hard_negatives": TEXTS,
    "hard_negative_ids": TEXTS,
    "hard_negative_scores": SCORES,
    "positive_scores": SCORES,
    "hard_negative_sources": TEXTS,
}
#: Three rows with 2, 1 and no negatives.
MINED: dict[str, list[Any]] = {
    "topic": ["t0", "t1", "t2"],
    "query": ["q0", "q1", "q2"],
    "answer": ["a0", "a1", "a2"],
    "hard_negatives": [["n1", "n2"], ["n3"], []],
    "hard_negative_ids": [["i1", "i2"], ["i3"], []],
    "hard_negative_scores": [[0.5, 0.25], [0.125], []],
    "positive_scores": [[0.875], [0.75], [0.625]],
    "hard_negative_sources": [["bm25", "dense"], ["bm25"], []],
}
NAMES: dict[str, Any] = {"anchor": "query", "positive": "answer"}


def mined(**columns: Any) -> Dataset:
    """The three rows; a column given as None is left out, others are replaced or added."""
    values = {name: column for name, column in (MINED | columns).items() if column is not None}
    features = {name: FEATURES[name] for name in values if name in FEATURES and name not in columns}
    table = Dataset.from_dict({name: values[name] for name in values})
    return table.cast(Features({name: features.get(name, table.features[name]) for name in values}))


def beir() -> Dataset:
    """Two rows as a BEIR folder gives them: lists of positives (2 and 1), ids beside all."""
    return Dataset.from_dict(
        {
            "query_id": ["x", "y"],
            "query": ["qx", "qy"],
            "positive_ids": [["p1", "p2"], ["p3"]],
            "positive": [["P1", "P2"], ["P3"]],
            "hard_negatives": [["N1", "N2"], ["N1", "N3"]],
            "hard_negative_ids": [["n1", "n2"], ["n1", "n3"]],
            "hard_negative_scores": [[0.5, 0.25], [0.125, 0.0625]],
            "positive_scores": [[4.0, 3.0], [2.0]],
            "hard_negative_teacher_scores": [[-1.0, -2.0], [-3.0, -4.0]],
            "positive_teacher_scores": [[7.0, 6.0], [5.0]],
        }
    )


def rows(ds: Any) -> list[dict[str, Any]]:
    return list(ds)


# ---------------------------------------------------------------- tuples


def test_tuples_values_and_order() -> None:
    """tuples gives anchor, positive, negative_1 .. n in this order, and drops rows with fewer than n."""
    out = formats.tuples(mined(), n=1, **NAMES)
    assert out.column_names == ["query", "answer", "negative_1"]
    assert rows(out) == [
        {"query": "q0", "answer": "a0", "negative_1": "n1"},
        {"query": "q1", "answer": "a1", "negative_1": "n3"},
    ]


def test_tuples_default_n_is_the_longest_list() -> None:
    """Without n every row with fewer negatives than the longest list is dropped."""
    out = formats.tuples(mined(), **NAMES)
    assert rows(out) == [{"query": "q0", "answer": "a0", "negative_1": "n1", "negative_2": "n2"}]


def test_dropped_rows_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The warning names the format, the rows dropped, all rows and the reason, every time."""
    for _ in range(2):
        caplog.clear()
        formats.tuples(mined(), n=2, **NAMES)
        assert [record.getMessage() for record in caplog.records if record.name == "hfneg.formats"] == [
            "tuples: 2 of 3 rows dropped: fewer than 2 negatives"
        ]
        assert caplog.records[-1].levelno == logging.WARNING


def test_the_hash_is_of_settings_alone() -> None:
    """What `datasets` hashes and ships is small, does not change with use, and changes with n and the columns."""
    convert = Convert(TrainerLayout("query", "answer"), Tuples("tuples", "query", "answer", 1))
    before = Hasher.hash(convert)
    convert(mined().with_format("arrow")[:])
    assert Hasher.hash(convert) == before
    assert len(pickle.dumps(convert)) < 500
    others = [
        replace(convert, shape=Tuples("tuples", "query", "answer", 2)),
        replace(convert, layout=TrainerLayout("query", "topic")),
    ]
    assert len({before, *(Hasher.hash(other) for other in others)}) == 3


def test_counts_are_said_when_the_rows_come_from_the_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A second conversion of a dataset on disk is read from the cache, and still reports what was dropped."""
    path = tmp_path / "mined.parquet"
    mined().to_parquet(str(path))
    ds = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    first = formats.tuples(ds, n=1, **NAMES)
    caplog.clear()
    again = formats.tuples(ds, n=1, **NAMES)
    assert first.cache_files == again.cache_files != []
    assert "1 of 3 rows dropped" in caplog.text


def test_hint_says_which_n_would_keep_more(caplog: pytest.LogCaptureFixture) -> None:
    """Where a smaller n would keep 95% of the rows the warning names it and the rows it keeps."""
    lists = [["a", "b", "c"]] * 2 + [["a", "b"]] * 38
    ds = Dataset.from_dict(
        {"q": [f"q{i}" for i in range(40)], "a": [f"a{i}" for i in range(40)], "hard_negatives": lists}
    )
    assert len(formats.tuples(ds)) == 2
    assert "tuples: 38 of 40 rows dropped: fewer than 3 negatives (n=2 would keep 40)" in caplog.text


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_n_must_be_a_positive_whole_number(n: Any) -> None:
    """n that is not a whole number of at least 1 is refused with its value."""
    with pytest.raises(SettingError, match="n="):
        formats.tuples(mined(), n=n, **NAMES)


def test_no_negatives_at_all_is_an_error() -> None:
    """A dataset without a single negative cannot say its n; with n given everything is dropped instead."""
    empty = mined(hard_negatives=[[], [], []])
    with pytest.raises(EmptyInputError, match="no row has a negative"):
        formats.tuples(empty, **NAMES)
    out = formats.tuples(empty, n=3, **NAMES)
    assert len(out) == 0
    assert out.column_names == ["query", "answer", "negative_1", "negative_2", "negative_3"]


def test_dataset_without_rows_keeps_the_columns() -> None:
    """Zero rows in, zero rows out, and the columns and types are those of the format."""
    out = formats.labelled_pairs(mined().select([]), **NAMES)
    assert out.features == Features({"query": Value("string"), "document": Value("string"), "label": Value("int64")})
    assert len(out) == 0


# ---------------------------------------------------------------- the other shapes


def test_triplets_values_and_count(caplog: pytest.LogCaptureFixture) -> None:
    """One row per negative, three columns; rows without any are dropped; the growth is said at INFO."""
    caplog.set_level(logging.INFO, logger="hfneg.formats")
    out = formats.triplets(mined(), **NAMES)
    assert out.column_names == ["query", "answer", "negative"]
    assert [tuple(row.values()) for row in rows(out)] == [
        ("q0", "a0", "n1"),
        ("q0", "a0", "n2"),
        ("q1", "a1", "n3"),
    ]
    assert "triplets: 1 of 3 rows dropped: no negative to use" in caplog.text
    assert "triplets: 2 rows became 3" in caplog.text


def test_labelled_pairs_values_and_types() -> None:
    """The positive once with 1, each negative once with 0, int labels; rows without negatives still count."""
    out = formats.labelled_pairs(mined(), **NAMES)
    assert out.features["label"] == Value("int64")
    assert [tuple(row.values()) for row in rows(out)] == [
        ("q0", "a0", 1),
        ("q0", "n1", 0),
        ("q0", "n2", 0),
        ("q1", "a1", 1),
        ("q1", "n3", 0),
        ("q2", "a2", 1),
    ]


def test_scored_pairs_values_and_types() -> None:
    """The same pairs with float32 scores, the positive's from positive_scores."""
    out = formats.scored_pairs(mined(), **NAMES)
    assert out.features["score"] == Value("float32")
    assert [tuple(row.values()) for row in rows(out)] == [
        ("q0", "a0", 0.875),
        ("q0", "n1", 0.5),
        ("q0", "n2", 0.25),
        ("q1", "a1", 0.75),
        ("q1", "n3", 0.125),
        ("q2", "a2", 0.625),
    ]


@pytest.mark.parametrize("make", [formats.margin_mse, formats.distillation])
def test_margin_mse_and_distillation_labels(make: Any) -> None:
    """The label has the raw scores of the positive and then the n negatives: n + 1 float32."""
    out = make(mined(), n=1, **NAMES)
    assert out.column_names == ["query", "answer", "negative_1", "label"]
    assert out.features["label"] == SCORES
    assert [row["label"] for row in rows(out)] == [[0.875, 0.5], [0.75, 0.125]]


def test_listwise_binary() -> None:
    """One row stays one row: the positive first, labels 1 and 0 of the same length; ragged is kept."""
    out = formats.listwise(mined(), **NAMES)
    assert rows(out) == [
        {"query": "q0", "documents": ["a0", "n1", "n2"], "labels": [1, 0, 0]},
        {"query": "q1", "documents": ["a1", "n3"], "labels": [1, 0]},
    ]
    assert out.features["labels"] == List(Value("int64"))


def test_listwise_graded() -> None:
    """graded=True, or naming the scores, puts the float32 scores in place of 1 and 0."""
    out = formats.listwise(mined(), graded=True, **NAMES)
    assert [row["labels"] for row in rows(out)] == [[0.875, 0.5, 0.25], [0.75, 0.125]]
    assert out.features["labels"] == SCORES
    assert rows(formats.listwise(mined(), scores="retriever", **NAMES)) == rows(out)


# ---------------------------------------------------------------- many positives


def test_a_list_of_positives_gives_a_row_each() -> None:
    """positives="all" repeats the negatives for each positive; "first" takes the first positive only."""
    out = formats.tuples(beir())
    assert out.column_names == ["query", "positive", "negative_1", "negative_2"]
    assert [tuple(row.values()) for row in rows(out)] == [
        ("qx", "P1", "N1", "N2"),
        ("qx", "P2", "N1", "N2"),
        ("qy", "P3", "N1", "N3"),
    ]
    assert [row["positive"] for row in rows(formats.tuples(beir(), positives="first"))] == ["P1", "P3"]


def test_triplets_of_many_positives() -> None:
    """Every positive meets every negative of its own row, in order."""
    out = formats.triplets(beir())
    assert [tuple(row.values())[1:] for row in rows(out)] == [
        ("P1", "N1"),
        ("P1", "N2"),
        ("P2", "N1"),
        ("P2", "N2"),
        ("P3", "N1"),
        ("P3", "N3"),
    ]


def test_pairs_of_many_positives_do_not_repeat_negatives() -> None:
    """In pairs and lists each positive and each negative of a row stands once."""
    pairs = formats.labelled_pairs(beir())
    assert [(row["document"], row["label"]) for row in rows(pairs)][:4] == [
        ("P1", 1),
        ("P2", 1),
        ("N1", 0),
        ("N2", 0),
    ]
    assert rows(formats.listwise(beir()))[0]["labels"] == [1, 1, 0, 0]
    assert rows(formats.listwise(beir(), positives="first"))[0]["documents"] == ["P1", "N1", "N2"]


def test_scores_follow_their_positive() -> None:
    """Each row of a multi-positive anchor has that positive's own score first."""
    out = formats.margin_mse(beir(), scores="retriever")
    assert [row["label"] for row in rows(out)] == [[4.0, 0.5, 0.25], [3.0, 0.5, 0.25], [2.0, 0.125, 0.0625]]


def test_positives_option_is_checked() -> None:
    """Anything but "all" and "first" is refused."""
    with pytest.raises(SettingError, match="'all'"):
        formats.tuples(beir(), positives="some")  # type: ignore[arg-type]


# ---------------------------------------------------------------- scores


def test_the_teachers_scores_come_first() -> None:
    """scores=None takes the teacher's where they are there, the retriever's otherwise."""
    assert rows(formats.scored_pairs(beir()))[0]["score"] == 7.0
    assert rows(formats.scored_pairs(beir(), scores="retriever"))[0]["score"] == 4.0
    without = beir().remove_columns("positive_teacher_scores")
    assert rows(formats.scored_pairs(without))[0]["score"] == 4.0


def test_missing_scores_are_an_error_with_a_way_out() -> None:
    """Asked-for scores that are not there name the missing columns and what to do."""
    with pytest.raises(ColumnError, match=r"'hard_negative_teacher_scores'.*mine with teacher="):
        formats.margin_mse(mined(), scores="teacher", **NAMES)
    with pytest.raises(ColumnError, match="'positive_scores'"):
        formats.scored_pairs(mined(positive_scores=None), **NAMES)
    with pytest.raises(SettingError, match="'techer'"):
        formats.scored_pairs(mined(), scores="techer", **NAMES)  # type: ignore[arg-type]


def test_scores_that_are_no_numbers_never_become_labels(caplog: pytest.LogCaptureFixture) -> None:
    """A negative with a NaN, infinite or null score is left out and counted; a positive's drops the row."""
    ds = mined(
        hard_negative_scores=[[float("nan"), 0.25], [0.125], []],
        positive_scores=[[0.875], [None], [float("inf")]],
    )
    out = formats.scored_pairs(ds, **NAMES)
    assert [tuple(row.values()) for row in rows(out)] == [("q0", "a0", 0.875), ("q0", "n2", 0.25)]
    assert "scored_pairs: 1 negatives without a finite score left out" in caplog.text
    assert "2 of 3 rows dropped: no anchor or no positive to use" in caplog.text


def test_scores_out_of_step_are_refused() -> None:
    """As many scores as texts, or an error that names the anchor and both counts."""
    with pytest.raises(ColumnError, match=r"'q0' there are 1 and 2"):
        formats.scored_pairs(mined(hard_negative_scores=[[0.5], [0.125], []]), **NAMES)


# ---------------------------------------------------------------- columns


def test_columns_are_found_when_only_two_remain() -> None:
    """Without names the two columns that are neither hfneg's nor ids are taken in their order."""
    ds = mined(topic=None).add_column("query_id", ["x", "y", "z"]).add_column("_id", ["1", "2", "3"])
    assert formats.triplets(ds).column_names == ["query", "answer", "negative"]
    assert formats.triplets(beir()).column_names == ["query", "positive", "negative"]


def test_one_given_name_leaves_the_other_to_be_found() -> None:
    """With anchor= alone the only other column is the positive, and the other way round."""
    ds = mined(topic=None)
    assert formats.triplets(ds, anchor="answer").column_names == ["answer", "query", "negative"]
    assert formats.triplets(ds, positive="query").column_names == ["answer", "query", "negative"]


def test_ambiguous_columns_are_an_error() -> None:
    """With a third column the error lists all three and says how to name them."""
    with pytest.raises(ColumnError, match=r"'topic', 'query', 'answer'.*anchor=.*positive="):
        formats.triplets(mined())


def test_misspelt_column_is_an_error_with_near_miss() -> None:
    """A name that does not exist is never replaced by a guess."""
    with pytest.raises(ColumnError, match="Did you mean 'answer'"):
        formats.triplets(mined(), anchor="query", positive="anser")


def test_unmined_dataset_is_refused() -> None:
    """Without hard_negatives the error says to mine first."""
    with pytest.raises(ColumnError, match=r"hfneg\.mine"):
        formats.tuples(mined(hard_negatives=None), **NAMES)


@pytest.mark.parametrize("name", ["label", "score", "dataset_name"])
def test_names_that_the_trainers_take_for_labels_are_refused(name: str) -> None:
    """A text column named like a label would be taken as one: refused, with the renaming in the message."""
    ds = mined(topic=None).rename_column("answer", name)
    with pytest.raises(ColumnError, match="rename"):
        formats.tuples(ds, n=1)


def test_a_name_that_the_format_makes_itself_is_refused() -> None:
    """Two columns of one name would silently become one."""
    ds = mined(topic=None).rename_column("query", "document")
    with pytest.raises(ColumnError, match="'document'"):
        formats.labelled_pairs(ds)


def test_columns_that_hold_no_text_are_refused() -> None:
    """An anchor of lists, or of anything that is not text, is an error and not a surprise in training."""
    with pytest.raises(ColumnError, match="one text a row"):
        formats.triplets(beir(), anchor="positive", positive="query")


def test_null_texts_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """Rows without anchor or positive are dropped and counted, null negatives do not count."""
    ds = mined(query=["q0", None, "q2"], answer=["a0", "a1", None], hard_negatives=[["n1", None], ["n3"], None])
    assert rows(formats.tuples(ds, n=1, **NAMES)) == [{"query": "q0", "answer": "a0", "negative_1": "n1"}]
    assert "2 of 3 rows dropped: no anchor or no positive to use" in caplog.text


# ---------------------------------------------------------------- kinds of dataset

WITH_N = {"tuples", "margin_mse", "distillation", "ids"}


def identified() -> Dataset:
    return mined(topic=None, query_id=["x", "y", "z"], positive_ids=[["p0"], ["p1"], ["p2"]])


@pytest.mark.parametrize("name", sorted(formats.TRAINER_FORMATS))
def test_streams_give_the_same_rows_and_features(name: str) -> None:
    """A stream gives what the Dataset gives, with the same features, also when it does not know its own."""
    options = {"n": 1} if name in WITH_N else {}
    make = formats.TRAINER_FORMATS[name]
    expected = make(identified(), **options)
    stream = identified().to_iterable_dataset()
    unknowing = stream.map(lambda row: row)
    assert unknowing.features is None
    for source in (stream, unknowing):
        out = make(source, **options)
        assert isinstance(out, IterableDataset)
        assert out.features == expected.features
        assert list(out) == list(expected)


@pytest.mark.parametrize("name", ["tuples", "margin_mse", "distillation", "ids"])
def test_streams_need_n(name: str) -> None:
    """A stream cannot be counted beforehand: without n it is refused, and the message says n=."""
    with pytest.raises(SettingError, match="pass n="):
        formats.TRAINER_FORMATS[name](identified().to_iterable_dataset())


def test_streams_report_as_they_go(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said before rows flow; then the counts so far, each time they have doubled."""
    ds = Dataset.from_dict({"q": ["q"] * 4000, "a": ["a"] * 4000, "hard_negatives": [["n"], []] * 2000})
    out = formats.tuples(ds.to_iterable_dataset(), n=1)
    assert not caplog.records
    assert len(list(out)) == 2000
    assert [record.getMessage() for record in caplog.records] == [
        f"tuples: {n // 2} of {n} rows dropped so far, after {n} rows of the stream: no negative to use"
        for n in (1000, 2000, 4000)
    ]


def test_dataset_dict_keeps_splits_and_shares_n() -> None:
    """Each split is converted, n is the longest over all of them, and the kind stays DatasetDict."""
    ds = DatasetDict(train=mined(topic=None), test=mined(topic=None).select([1]))
    out = formats.tuples(ds)
    assert isinstance(out, DatasetDict)
    assert {name: split.num_rows for name, split in out.items()} == {"train": 1, "test": 0}
    assert out["train"].features == out["test"].features
    streamed = formats.tuples(IterableDatasetDict({k: v.to_iterable_dataset() for k, v in ds.items()}), n=1)
    assert isinstance(streamed, IterableDatasetDict)
    assert list(streamed["test"]) == [{"query": "q1", "answer": "a1", "negative_1": "n3"}]


def test_a_split_that_was_not_mined_is_named() -> None:
    """The error says which split lacks the column."""
    ds = DatasetDict(train=mined(), test=mined(hard_negatives=None))
    with pytest.raises(ColumnError, match="split 'test'"):
        formats.tuples(ds, n=1, **NAMES)


def test_formatted_selected_and_shuffled_datasets() -> None:
    """A numpy format, an indices mapping and several Arrow chunks change nothing in the values."""
    ds = mined().with_format("numpy").select([2, 1, 0])
    assert [row["answer"] for row in rows(formats.triplets(ds, **NAMES))] == ["a1", "a0", "a0"]
    many = Dataset.from_dict({"q": [f"q{i}" for i in range(2500)], "a": ["a"] * 2500, "hard_negatives": [["n"]] * 2500})
    assert formats.triplets(many.shuffle(seed=1))["q"][:] == many.shuffle(seed=1)["q"][:]


def test_other_things_are_refused() -> None:
    """A list or a path is not a dataset."""
    with pytest.raises(InputError, match="list"):
        formats.tuples([{"query": "q"}])
    with pytest.raises(EmptyInputError, match="no rows"):
        formats.triplets(IterableDataset.from_generator(lambda: iter(())))


# ---------------------------------------------------------------- ids


def test_ids_values() -> None:
    """One scalar positive id per row, exactly n negative ids, the names that resolve_ids turns to text."""
    out = formats.ids(beir())
    assert out.features == Features(
        {"query_id": Value("string"), "positive_id": Value("string"), "negative_ids": TEXTS}
    )
    assert [tuple(row.values()) for row in rows(out)] == [
        ("x", "p1", ["n1", "n2"]),
        ("x", "p2", ["n1", "n2"]),
        ("y", "p3", ["n1", "n3"]),
    ]
    assert [row["negative_ids"] for row in rows(formats.ids(beir(), n=1, positives="first"))] == [
        ["n1"],
        ["n1"],
    ]


def test_ids_need_no_texts_and_turn_numbers_into_strings() -> None:
    """A dataset of ids alone works, other column names can be given, integer ids become strings."""
    ds = Dataset.from_dict({"qid": [7], "pid": [8], "hard_negative_ids": [["9"]]})
    assert rows(formats.ids(ds, anchor_id="qid", positive_id="pid")) == [
        {"query_id": "7", "positive_id": "8", "negative_ids": ["9"]}
    ]


def test_ids_without_id_columns_say_which_to_give() -> None:
    """Missing ids are an error that names the option."""
    with pytest.raises(ColumnError, match="anchor_id="):
        formats.ids(mined())
    with pytest.raises(ColumnError, match="positive_id="):
        formats.ids(mined(query_id=["x", "y", "z"]))


def test_lookups_hold_each_text_once() -> None:
    """queries and documents have every id that the rows name, once, with its text."""
    tables = formats.lookups(beir())
    assert list(tables) == ["query_id", "positive_id", "negative_ids"]
    assert rows(tables["query_id"]) == [{"query_id": "x", "text": "qx"}, {"query_id": "y", "text": "qy"}]
    found = tables["negative_ids"]
    assert dict(zip(found["document_id"], found["text"], strict=True)) == {
        "p1": "P1",
        "p2": "P2",
        "p3": "P3",
        "n1": "N1",
        "n2": "N2",
        "n3": "N3",
    }
    assert len(found) == 6


def test_lookups_warn_of_an_id_with_two_texts(caplog: pytest.LogCaptureFixture) -> None:
    """Two texts under one id cannot both be right: the first is taken and the id is named."""
    ds = Dataset.from_dict(beir().to_dict() | {"hard_negatives": [["N1", "N2"], ["other", "N3"]]})
    formats.lookups(ds)
    assert "1 of 6 values of document_id have more than one text (e.g. 'n1')" in caplog.text


# ---------------------------------------------------------------- files


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_flagembedding_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """query, pos, neg and both score lists per line; a row without negatives is dropped."""
    path = tmp_path / "train.jsonl"
    assert formats.write_flagembedding(mined(), path, **NAMES) == 2
    assert lines(path)[0] == {
        "query": "q0",
        "pos": ["a0"],
        "neg": ["n1", "n2"],
        "pos_scores": [0.875],
        "neg_scores": [0.5, 0.25],
    }
    assert "flagembedding: 1 of 3 rows dropped" in caplog.text
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.jsonl"]


def test_flagembedding_many_positives_and_scores_by_choice(tmp_path: Path) -> None:
    """All positives in one line; the teacher's scores by default, none where not there or not wanted."""
    path = tmp_path / "train.jsonl"
    formats.write_flagembedding(beir(), path)
    assert lines(path)[0]["pos"] == ["P1", "P2"]
    assert lines(path)[0]["pos_scores"] == [7.0, 6.0]
    formats.write_flagembedding(beir(), path, scores="none", overwrite=True)
    assert set(lines(path)[0]) == {"query", "pos", "neg"}
    formats.write_flagembedding(mined(positive_scores=None), path, overwrite=True, **NAMES)
    assert set(lines(path)[0]) == {"query", "pos", "neg"}


def test_flagembedding_scores_read_back_as_the_same_float32(tmp_path: Path) -> None:
    """0.1 is written as 0.1, not as 0.10000000149, and is the same float32 when read."""
    ds = mined(topic=None, positive_scores=[[0.1], [1 / 3], [1e-7]], hard_negatives=[["n"]] * 3,
               hard_negative_ids=[["i"]] * 3, hard_negative_scores=[[1e9], [2 / 3], [-0.3]])  # fmt: skip
    path = tmp_path / "train.jsonl"
    formats.write_flagembedding(ds, path)
    assert lines(path)[0]["pos_scores"] == [0.1]
    found = [row["pos_scores"][0] for row in lines(path)]
    assert [np.float32(score) for score in found] == [np.float32(0.1), np.float32(1 / 3), np.float32(1e-7)]


def test_flagembedding_reads_only_json_names(tmp_path: Path) -> None:
    """FlagEmbedding passes over other names in silence, so they are refused here."""
    with pytest.raises(SettingError, match="jsonl"):
        formats.write_flagembedding(mined(), tmp_path / "train.txt", **NAMES)


def test_tevatron_file(tmp_path: Path) -> None:
    """query_id, query and passages with docid, title (empty) and text, from the dataset's ids."""
    path = tmp_path / "train.jsonl"
    assert formats.write_tevatron(beir(), path) == 2
    assert lines(path)[1] == {
        "query_id": "y",
        "query": "qy",
        "positive_passages": [{"docid": "p3", "title": "", "text": "P3"}],
        "negative_passages": [
            {"docid": "n1", "title": "", "text": "N1"},
            {"docid": "n3", "title": "", "text": "N3"},
        ],
    }


def test_tevatron_makes_ids_from_texts(tmp_path: Path) -> None:
    """Without id columns equal texts get equal ids and different texts different ones."""
    path = tmp_path / "train.jsonl"
    formats.write_tevatron(mined(query=["q", "q", "r"], answer=["a", "b", "c"]), path, **NAMES)
    first, second = lines(path)
    assert first["query_id"] == second["query_id"]
    assert first["positive_passages"][0]["docid"] != second["positive_passages"][0]["docid"]
    assert first["negative_passages"][0]["docid"] == "i1"


def test_pylate_distillation_folder(tmp_path: Path) -> None:
    """The three tables open by name, as PyLate loads them; ids resolve, scores stand beside ids."""
    folder = tmp_path / "kd"
    assert formats.write_pylate(beir(), folder) == 3
    train, queries, documents = (
        load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path / "cache"))
        for name in ("train", "queries", "documents")
    )
    assert rows(train)[1] == {
        "query_id": "x",
        "document_ids": ["p2", "n1", "n2"],
        "scores": [6.0, -1.0, -2.0],
    }
    assert dict(zip(queries["query_id"], queries["text"], strict=True)) == {"x": "qx", "y": "qy"}
    texts = dict(zip(documents["document_id"], documents["text"], strict=True))
    assert [texts[key] for key in train[2]["document_ids"]] == ["P3", "N1", "N3"]
    assert len(documents) == 6


def test_pylate_distillation_rows_have_equal_lengths(tmp_path: Path) -> None:
    """Its loss reshapes to (batch, n_ways): rows with fewer than n negatives are dropped, more are cut."""
    assert formats.write_pylate(mined(), tmp_path / "kd", n=1, **NAMES) == 2
    train = pq.read_table(tmp_path / "kd" / "train.parquet").to_pylist()
    assert [len(row["document_ids"]) for row in train] == [2, 2]
    assert train[0]["scores"] == [0.875, 0.5]


def test_pylate_contrastive_file(tmp_path: Path) -> None:
    """Triples named query, positive, negative, because PyLate knows a query by its column's name."""
    path = tmp_path / "triples.parquet"
    assert formats.write_pylate(mined(), path, layout="contrastive", **NAMES) == 3
    assert pq.read_table(path).to_pylist()[1] == {"query": "q0", "positive": "a0", "negative": "n2"}
    assert formats.write_pylate(mined(), path, layout="contrastive", n=2, overwrite=True, **NAMES) == 1
    assert pq.read_table(path).column_names == ["query", "positive", "negative_1", "negative_2"]
    with pytest.raises(SettingError, match="layout"):
        formats.write_pylate(mined(), path, layout="triples", **NAMES)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(formats.FORMATS))
def test_export_writes_every_format(name: str, tmp_path: Path) -> None:
    """Every name of the registry writes something that load_dataset opens with as many rows as it says."""
    suffix = ".jsonl" if name in ("flagembedding", "tevatron") else ".parquet"
    path = tmp_path / ("kd" if name == "pylate" else f"out{suffix}")
    written = formats.export(identified(), name, path)
    kind, files = (
        ("json" if suffix == ".jsonl" else "parquet"),
        path / "train.parquet" if name == "pylate" else path,
    )
    opened = load_dataset(kind, data_files=str(files), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(opened) == written > 0
    if name in formats.TRAINER_FORMATS:
        assert rows(opened) == rows(formats.TRAINER_FORMATS[name](identified()))


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".csv.gz", ".JSONL.gz", ".parquet"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["triplets", "margin_mse", "labelled_pairs"])
def test_the_suffix_says_what_is_written(name: str, stream: bool, suffix: str, tmp_path: Path) -> None:
    """Each kind of file opens as what its name says, with the same rows and values; a list in a CSV file is refused."""
    path = tmp_path / f"out{suffix}"
    options = {"n": 1} if name == "margin_mse" else {}
    expected = formats.TRAINER_FORMATS[name](identified(), **options)
    source = identified().to_iterable_dataset() if stream else identified()
    if name == "margin_mse" and "csv" in suffix:
        with pytest.raises(SettingError, match="has no lists"):
            formats.export(source, name, path, **options)
        assert not list(tmp_path.iterdir())
        return
    assert formats.export(source, name, path, **options) == len(expected)
    kind = "parquet" if suffix == ".parquet" else "csv" if "csv" in suffix else "json"
    opened = load_dataset(kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert opened.cast(expected.features).to_list() == expected.to_list()
    if suffix == ".json":
        assert json.loads(path.read_text(encoding="utf-8")) == expected.to_list()


@pytest.mark.parametrize("text", ['a, "b"', "one\rtwo", "one\n\ntwo", "\u2028", "tab\tß", "'"])
def test_texts_survive_every_kind_of_file(text: str, tmp_path: Path) -> None:
    """Quotes, ends of lines and separators inside a text are read back as they were."""
    ds = Dataset.from_dict({"query": [text], "answer": [text], "hard_negatives": [[text]]})
    for suffix in (".jsonl", ".json", ".csv"):
        formats.export(ds, "triplets", tmp_path / f"out{suffix}", **NAMES)
    names = ["query", "answer", "negative"]
    assert json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8")) == dict.fromkeys(names, text)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == [dict.fromkeys(names, text)]
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [names, [text] * 3]


@pytest.mark.parametrize(
    ("format", "name"),
    [
        *(("triplets", name) for name in ("out", "out.txt", "out.parquet.gz", "out.jsonl.bak", ".jsonl", "out.tsv")),
        *((format, name) for format in ("flagembedding", "tevatron") for name in ("out.parquet", "out.csv", "out")),
        ("pylate", "out.parquet"),
        ("pylate", "out.jsonl"),
    ],
)
def test_another_suffix_is_refused(format: str, name: str, tmp_path: Path) -> None:
    """A name that says nothing, or something else than what would be written: refused, and nothing is written."""
    with pytest.raises(SettingError, match=re.escape(name)):
        formats.export(identified(), format, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["~/x.parquet", "a:b/x.parquet", "10:30.parquet"])
def test_export_writes_where_it_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where pyarrow would take the name for one in the home folder, or for another file system."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert formats.export(identified(), "triplets", name)
    assert Path(name).is_file()
    assert not list((tmp_path / "home").iterdir())
    assert not list(tmp_path.rglob(".*.partial"))


def test_export_of_a_stream(tmp_path: Path) -> None:
    """A stream goes to a file without becoming a Dataset first, with the same rows."""
    path = tmp_path / "out.parquet"
    assert formats.export(identified().to_iterable_dataset(), "margin_mse", path, n=1) == 2
    assert pq.read_table(path).to_pylist() == rows(formats.margin_mse(identified(), n=1))
    assert formats.export(identified().to_iterable_dataset(), "flagembedding", tmp_path / "out.jsonl") == 2


def test_export_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """An unknown name gets a near miss, a DatasetDict the way to one split."""
    with pytest.raises(SettingError, match="Did you mean 'triplets'"):
        formats.export(identified(), "triplet", tmp_path / "out.parquet")
    with pytest.raises(InputError, match=r"ds\['train'\]"):
        formats.export(DatasetDict(train=identified()), "triplets", tmp_path / "out.parquet")
    with pytest.raises(InputError, match=r"ds\['train'\]"):
        formats.write_tevatron(DatasetDict(train=identified()), tmp_path / "out.jsonl")


def test_existing_files_are_kept_unless_told(tmp_path: Path) -> None:
    """Nothing is replaced without overwrite=True, and a folder of other things never."""
    path = tmp_path / "out.jsonl"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        formats.write_tevatron(identified(), path)
    assert path.read_text() == "mine"
    folder = tmp_path / "kd"
    formats.write_pylate(identified(), folder)
    formats.write_pylate(identified(), folder, overwrite=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match=r"thesis\.txt"):
        formats.write_pylate(identified(), folder, overwrite=True)
    folder.rename(tmp_path / "kd.jsonl")
    with pytest.raises(OutputExistsError, match="folder"):
        formats.write_tevatron(identified(), tmp_path / "kd.jsonl", overwrite=True)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """An error in the middle leaves neither the file nor the temporary one, and an old file as it was."""
    bad = mined(hard_negative_scores=[[0.5], [0.125], []])
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(ColumnError):
        formats.write_flagembedding(bad, path, overwrite=True, **NAMES)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("out.jsonl", "old")]
    with pytest.raises(ColumnError):
        formats.write_pylate(bad, tmp_path / "kd", n=1, **NAMES)
    assert len(list(tmp_path.iterdir())) == 1


def test_the_package_loads_no_model_library() -> None:
    """hfneg.formats imports neither torch nor sentence-transformers."""
    code = (
        "import sys, hfneg.formats\n"
        "import hfneg.formats as f\n"
        "own = [m for n, m in sys.modules.items() if n.startswith('hfneg.formats')]\n"
        "assert 'sentence_transformers' not in sys.modules\n"
        "assert not any(hasattr(m, 'torch') for m in own)\n"
        "assert set(f.__all__) <= set(dir(f))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
