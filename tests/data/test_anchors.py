"""Anchors: each once, with all its known positives, whatever the form the pairs come in."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from properties import examples

from hfneg.base import store
from hfneg.base.hashing import normal_form
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.errors import ColumnError, EmptyInputError, PositiveError, SettingError

DOCUMENTS = ["Faults slip.", "Waves travel.", "Rocks melt.", "Plates move.", "Faults slip", "0", "Ж"]
few = examples(30)

names = st.sampled_from(["Paris", "paris ", "PARIS\n", "\uff30aris", "x  y", "X y", "straße", "STRASSE", "東京", "y"])
rows = st.lists(st.tuples(names, st.lists(st.integers(0, 6), min_size=1, max_size=4)), min_size=1, max_size=12)


def made(pairs: Any, corpus: Corpus | None, **options: Any) -> Anchors:
    return Anchors(pairs, corpus, anchor="q", positive="a", **options)


def oracle(given_rows: list[tuple[str, list[int]]]) -> dict[str, tuple[str, set[int]]]:
    """normal form -> (text of its first row, all positives of all its rows)."""
    found: dict[str, tuple[str, set[int]]] = {}
    for text, positives in given_rows:
        found.setdefault(normal_form(text), (text, set()))[1].update(positives)
    return found


@few
@given(rows, st.sampled_from(["text", "id"]), st.integers(0, 12))
def test_all_positives_of_all_rows_and_splits(given_rows: list[tuple[str, list[int]]], kind: str, cut: int) -> None:
    """Anchors, their texts, their order and their positives are those of a dict of sets, over both splits."""
    corpus = Corpus.from_dataset([{"id": f"d{i}", "text": text} for i, text in enumerate(DOCUMENTS)], id="id")
    value = DOCUMENTS.__getitem__ if kind == "text" else (lambda row: f"d{row}")
    pairs = [{"q": text, "a": [value(row) for row in positives]} for text, positives in given_rows]
    splits = {"train": pairs[:cut], "test": pairs[cut:]}
    anchors = made(splits, corpus, positives_are=kind)
    expected = oracle(given_rows)
    assert anchors.texts(range(len(anchors))).to_pylist() == [text for text, _ in expected.values()]
    assert [anchors.positives_of(i).tolist() for i in range(len(anchors))] == [sorted(p) for _, p in expected.values()]
    assert (anchors.rows, anchors.added, anchors.positives_are) == (len(pairs), 0, kind)
    several = anchors.positives(np.arange(len(anchors))[::-1])
    assert [several[i].tolist() for i in range(len(several))] == [sorted(p) for _, p in expected.values()][::-1]
    assert anchors.digest == made(splits, corpus, positives_are="auto").digest
    batch = {"q": [text for text, _ in given_rows], "a": [row["a"] for row in pairs]}
    places = list(expected)
    assert anchors.numbers(batch).tolist() == [places.index(normal_form(text)) for text, _ in given_rows]
    own = anchors.positive_rows(batch)
    assert [own[i].tolist() for i in range(len(own))] == [positives for _, positives in given_rows]


@pytest.mark.parametrize(
    ("positives", "kind"),
    [("Rocks melt.", "text"), (["Rocks melt."], "text"), ("c", "id"), (["c"], "id"), (17, "id"), ([17], "id")],
)
def test_a_positive_is_a_text_an_id_or_a_list_of_either(positives: Any, kind: str) -> None:
    """Each form is recognised by what the corpus knows, and resolves to the same document."""
    ids = ["a", "b", 17 if 17 in (positives, *(positives if isinstance(positives, list) else [])) else "c"]
    texts = ["Faults slip.", "Waves travel.", "Rocks melt."]
    corpus = Corpus.from_dataset([{"id": i, "text": t} for i, t in zip(ids, texts, strict=True)], id="id")
    anchors = made([{"q": "What melts?", "a": positives}], corpus)
    assert (anchors.positives_are, anchors.positives_of(0).tolist()) == (kind, [2])


def test_an_alias_resolves_to_the_canonical_document() -> None:
    """The id of a repeated text names the same positive as the first id."""
    corpus = Corpus.from_dataset([{"id": "a", "text": "one"}, {"id": "b", "text": "one"}], id="id")
    anchors = made([{"q": "x", "a": "b"}, {"q": "X", "a": ["a", "b"]}], corpus)
    assert (len(anchors), anchors.positives_of(0).tolist()) == (1, [0])


def test_values_that_are_texts_as_well_as_ids_are_refused() -> None:
    """Where both readings fit equally the user must say which."""
    corpus = Corpus.from_dataset([{"id": "one", "text": "two"}, {"id": "two", "text": "one"}], id="id")
    with pytest.raises(PositiveError, match="positives_are"):
        made([{"q": "x", "a": "one"}], corpus)
    assert made([{"q": "x", "a": "one"}], corpus, positives_are="text").positives_of(0).tolist() == [1]
    assert made([{"q": "x", "a": "one"}], corpus, positives_are="id").positives_of(0).tolist() == [0]


def test_missing_positives_are_added_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Unknown positive texts stand behind the corpus, each once; its rows and ids stay; a log line says so."""
    corpus = Corpus.from_texts(["one", "two"])
    pairs = [{"q": "x", "a": ["new", "two"]}, {"q": "y", "a": "newer"}, {"q": "z", "a": "new"}]
    with caplog.at_level(logging.WARNING, "hfneg"):
        anchors = made(pairs, corpus, missing="add")
    assert (anchors.added, len(anchors.corpus)) == (2, 4)
    assert anchors.corpus.texts([0, 1, 2, 3]).to_pylist() == ["one", "two", "new", "newer"]
    assert anchors.corpus.ids([0, 1, 2, 3]) == ["0", "1", "added-0", "added-1"]
    assert [anchors.positives_of(i).tolist() for i in range(3)] == [[1, 2], [3], [2]]
    assert "2 positives were not in the corpus" in caplog.text
    assert len(corpus) == 2


def test_ids_of_repeated_texts_still_resolve_after_positives_were_added() -> None:
    """Adding positives loses no id of the corpus."""
    corpus = Corpus.from_dataset([{"id": "a", "text": "one"}, {"id": "b", "text": "one"}], id="id")
    anchors = made([{"q": "x", "a": "new"}], corpus, missing="add")
    assert anchors.corpus.rows_of_ids(["a", "b", "added-0"]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("options", [{"missing": "refuse"}, {"positives_are": "id"}])
def test_missing_positives_can_be_refused(options: dict[str, Any]) -> None:
    """With missing="refuse", and always for ids, an unknown positive is an error with an example, and nothing stays."""
    corpus = Corpus.from_texts(["one", "two"])
    before = set((store.root() / "anchors").glob("*"))
    with pytest.raises(PositiveError, match=r"1 of 2 positives .*'new'"):
        made([{"q": "x", "a": ["0" if "positives_are" in options else "one", "new"]}], corpus, **options)
    assert set((store.root() / "anchors").glob("*")) == before
    assert list((store.root() / "scratch").iterdir()) == []


def test_without_a_corpus_the_positives_are_it() -> None:
    """corpus=None: the distinct positives, in order of first appearance, ids being their numbers."""
    anchors = made([{"q": "x", "a": ["b", "a"]}, {"q": "y", "a": "b"}, {"q": "z", "a": "c"}], None)
    assert anchors.corpus.texts([0, 1, 2]).to_pylist() == ["b", "a", "c"]
    assert anchors.corpus.ids([0, 1, 2]) == ["0", "1", "2"]
    assert [anchors.positives_of(i).tolist() for i in range(3)] == [[0, 1], [0], [2]]


PAIRS = [{"q": "What slips?", "a": ["Faults slip."]}, {"q": "WHAT  slips?", "a": ["Waves travel.", "Faults slip."]}]


def sources() -> Iterator[Any]:
    from datasets import Dataset, IterableDataset

    extra = [{**row, "other": 1} for row in PAIRS]
    yield PAIRS
    yield Dataset.from_list(PAIRS)
    yield Dataset.from_list(extra)
    yield Dataset.from_list(extra).with_format("numpy")
    yield Dataset.from_list(extra).with_format("arrow")
    yield Dataset.from_list(extra).to_iterable_dataset(2)
    yield IterableDataset.from_generator(lambda: iter(extra))
    yield (row for row in extra)


def test_the_digest_is_the_contents() -> None:
    """A list, a Dataset in any format, a stream of known or unknown columns and a generator are the same anchors."""
    corpus = Corpus.from_texts(DOCUMENTS)
    assert len({made(source, corpus).digest for source in sources()}) == 1
    assert made(PAIRS[:1], corpus).digest != made(PAIRS, corpus).digest


def test_a_dataset_dict_is_read_over_all_splits() -> None:
    """A positive of one split is known in the other, and rows are counted by split."""
    from datasets import Dataset, DatasetDict

    splits = DatasetDict({"train": Dataset.from_list(PAIRS[:1]), "test": Dataset.from_list(PAIRS[1:])})
    anchors = made(splits, Corpus.from_texts(DOCUMENTS))
    assert (len(anchors), anchors.positives_of(0).tolist()) == (1, [0, 1])
    assert (anchors.rows_of_split("train"), anchors.rows_of_split("test"), anchors.rows_of_split(None)) == (1, 1, 2)


def test_a_batch_means_the_same_in_every_format() -> None:
    """numbers() and positive_rows() read lists, numpy, Arrow tables and formatted datasets alike."""
    from datasets import Dataset

    corpus = Corpus.from_texts(DOCUMENTS)
    rows = [*PAIRS, {"q": "What melts?", "a": ["Rocks melt."]}]
    anchors = made(rows, corpus)
    listed = {"q": [row["q"] for row in rows], "a": [row["a"] for row in rows]}
    dataset = Dataset.from_list(rows)
    batches = [
        listed,
        {"q": np.array(listed["q"]), "a": [np.array(values, dtype=object) for values in listed["a"]]},
        pa.table(listed),
        *(dataset.with_format(form)[:] for form in (None, "numpy", "arrow", "pandas")),
    ]
    for batch in batches:
        assert anchors.numbers(batch).tolist() == [0, 0, 1]
        own = anchors.positive_rows(batch)
        assert [own[i].tolist() for i in range(3)] == [[0], [1, 0], [2]]


def test_a_batch_of_other_data_is_refused() -> None:
    """An anchor or a positive that was not read, or a missing column, says what to do."""
    anchors = made(PAIRS, Corpus.from_texts(DOCUMENTS))
    with pytest.raises(ColumnError, match=r"'What else'.*make Anchors from"):
        anchors.numbers({"q": ["What else"], "a": ["x"]})
    with pytest.raises(PositiveError, match="'Never'"):
        anchors.positive_rows({"q": ["What slips?"], "a": ["Never"]})
    with pytest.raises(ColumnError, match="no column 'q'"):
        anchors.numbers({"p": ["What slips?"]})


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([], EmptyInputError, "at least one row"),
        ({"train": []}, EmptyInputError, "at least one row"),
        ([{"q": "x", "b": "one"}], ColumnError, "no column 'a'"),
        ([{"q": None, "a": "one"}], ColumnError, "None.*filter"),
        ([{"q": " \n", "a": "one"}], ColumnError, "empty text"),
        ([{"q": ["x"], "a": "one"}], ColumnError, "a list; give one row per text"),
        ([{"q": "x", "a": None}], ColumnError, "None"),
        ([{"q": "x", "a": []}], PositiveError, "no positive"),
        ([{"q": "x", "a": ["one", None]}], ColumnError, "None"),
        ([{"q": "x", "a": 1.5}], ColumnError, "a float"),
        ([{"q": "x\ud800", "a": "one"}], ColumnError, "Unicode"),
    ],
)
def test_bad_pairs_are_refused_and_leave_nothing(pairs: Any, error: type[Exception], message: str) -> None:
    """Every refusal names the row or the column, and nothing stays in the store's scratch."""
    corpus = Corpus.from_texts(["one"])
    with pytest.raises(error, match=message):
        made(pairs, corpus)
    assert list((store.root() / "scratch").iterdir()) == []


def test_wrong_columns_and_settings_are_refused_before_reading() -> None:
    """Known columns are checked first; anchor and positive must differ; options have a closed set of values."""
    from datasets import Dataset

    corpus = Corpus.from_texts(["one"])
    with pytest.raises(ColumnError, match="Did you mean 'query'"):
        Anchors(Dataset.from_dict({"query": ["x"], "a": ["one"]}), corpus, anchor="qeury", positive="a")
    with pytest.raises(ColumnError, match="two columns"):
        Anchors([], corpus, anchor="q", positive="q")
    with pytest.raises(SettingError, match="positives_are must be one of"):
        made([], corpus, positives_are="texts")
    with pytest.raises(SettingError, match="missing must be one of"):
        made([], corpus, missing="ignore")


def test_pickles_to_names_and_digest() -> None:
    """What travels is two column names and a digest."""
    anchors = made(PAIRS, Corpus.from_texts(DOCUMENTS))
    anchors.numbers({"q": ["What slips?"]})
    copy = pickle.loads(pickle.dumps(anchors))
    assert copy.__dict__ == {"anchor": "q", "positive": "a", "digest": anchors.digest}
    assert copy.positives_of(0).tolist() == [0, 1]


def test_a_thousand_rows_of_one_anchor_are_one_anchor() -> None:
    """Grouping goes over the batches in which pairs are read."""
    corpus = Corpus.from_texts([f"document {i}" for i in range(50)])
    pairs = ({"q": f" Q{i % 2} ", "a": f"document {i % 50}"} for i in range(5_000))
    anchors = made(pairs, corpus)
    assert (len(anchors), anchors.rows) == (2, 5_000)
    assert anchors.positives_of(1).tolist() == list(range(1, 50, 2))
