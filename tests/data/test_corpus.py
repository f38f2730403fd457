"""The corpus: unique by exact text, named by its content, and never in RAM."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.hashing import HASH, HashIndex, first_occurrences, hash_texts, normal_form
from hfneg.data.corpus import Corpus, document_text
from hfneg.errors import ColumnError, DocumentError, EmptyInputError

TEXTS = st.text(alphabet=st.sampled_from("ab \nÄß東"), max_size=4)
few = examples(25)


def oracle(documents: list[tuple[str, str]]) -> tuple[list[str], list[str], dict[str, int]]:
    """Canonical ids, texts, and the row of every id, by a dict."""
    rows: dict[str, int] = {}
    ids, of = [], {}
    for name, text in documents:
        if text not in rows:
            rows[text] = len(rows)
            ids.append(name)
        of[name] = rows[text]
    return ids, list(rows), of


def rows_of(documents: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"_id": name, "text": text} for name, text in documents]


@few
@given(st.lists(TEXTS, min_size=1, max_size=12))
def test_unique_by_exact_text(texts: list[str]) -> None:
    """Rows, canonical ids and aliases are those of a dict that keeps the first of each text."""
    documents = [(f"d{i}", text) for i, text in enumerate(texts)]
    ids, unique, of = oracle(documents)
    corpus = Corpus.from_dataset(rows_of(documents), id="_id")
    assert len(corpus) == len(unique)
    assert corpus.repeated == len(texts) - len(unique)
    assert corpus.texts(range(len(corpus))).to_pylist() == unique
    assert corpus.ids(range(len(corpus))) == ids
    assert corpus.rows_of_ids(list(of)).tolist() == list(of.values())
    assert corpus.rows_of_texts(texts).tolist() == [of[name] for name, _ in documents]
    assert corpus.rows_of_ids(["nobody"]).tolist() == corpus.rows_of_texts(["nothing"]).tolist() == [-1]
    assert np.diff(corpus.lengths).tolist() == [len(text.encode()) for text in unique]


def test_rows_keep_the_order_of_first_appearance() -> None:
    """Documents are numbered in the order in which their texts first appeared, and any rows can be asked for."""
    corpus = Corpus.from_texts(["c", "a", "c", "b", "a"])
    assert corpus.texts([0, 1, 2]).to_pylist() == ["c", "a", "b"]
    assert corpus.texts([2, 0, 2]).to_pylist() == ["b", "c", "b"]
    assert corpus.ids([0, 1, 2]) == ["0", "1", "3"]
    assert corpus.text_slice(1, 3).to_pylist() == ["a", "b"]


def sources(documents: list[tuple[str, str]]) -> Iterator[Any]:
    from datasets import Dataset, IterableDataset

    rows = rows_of(documents)
    yield rows
    yield Dataset.from_list(rows)
    yield Dataset.from_list(rows).to_iterable_dataset()
    yield IterableDataset.from_generator(lambda: iter(rows))
    yield (row for row in rows)


def test_digest_names_the_content_not_the_source() -> None:
    """A list, a Dataset, a stream and a generator of equal documents are one corpus."""
    documents = [("a", "one"), ("b", "two"), ("c", "one"), ("d", "")]
    digests = {Corpus.from_dataset(source, id="_id").digest for source in sources(documents)}
    assert len(digests) == 1


def test_digest_tells_contents_apart() -> None:
    """Another id, another text, another order, one document more or one alias more: another digest."""
    base = [("a", "one"), ("b", "two"), ("c", "three")]
    others = [
        base,
        [("x", "one"), *base[1:]],
        [("a", "ONE"), *base[1:]],
        [base[1], base[0], base[2]],
        base[:2],
        [*base, ("d", "one")],
        [("a", "two"), ("b", "one"), base[2]],
        [("ao", "ne"), *base[1:]],
    ]
    assert len({Corpus.from_dataset(rows_of(given), id="_id").digest for given in others}) == len(others)


def test_title_newline_text() -> None:
    """A document's text is title, newline, text; without a title the text alone."""
    rows = [{"t": "Title", "text": "body"}, {"t": "", "text": "alone"}, {"t": None, "text": "none"}]
    corpus = Corpus.from_dataset(rows, title="t")
    assert corpus.texts([0, 1, 2]).to_pylist() == ["Title\nbody", "alone", "none"]
    assert document_text("Title", "body") == "Title\nbody"


@pytest.mark.parametrize("text", [None, "", "  ", "\n"])
def test_a_title_without_text_is_the_document(text: str | None) -> None:
    """Such a document is its title, without a newline behind it; without either, or with no text at all, as before."""
    rows = [{"t": "Title", "text": text}, {"t": "Title", "text": "body"}]
    assert Corpus.from_dataset(rows, title="t").texts([0, 1]).to_pylist() == ["Title", "Title\nbody"]
    assert Corpus.from_dataset(rows[:1], title="t").digest == Corpus.from_texts(["Title"]).digest
    assert document_text("Title", text) == "Title"
    for title in (None, ""):
        with pytest.raises(DocumentError, match="its text is None"):
            Corpus.from_dataset([{"t": title, "text": None}], title="t")


def test_ids_become_strings() -> None:
    """Ids of other types are turned into strings, and 0 is an id."""
    corpus = Corpus.from_dataset([{"id": 0, "text": "zero"}, {"id": 17, "text": "seventeen"}], id="id")
    assert corpus.ids([0, 1]) == ["0", "17"]
    assert corpus.rows_of_ids(["17", "0"]).tolist() == [1, 0]


@few
@given(st.lists(TEXTS, min_size=1, max_size=8), st.lists(TEXTS, min_size=1, max_size=5))
def test_with_texts_keeps_rows_and_every_id(texts: list[str], added: list[str]) -> None:
    """Added texts stand behind; rows, ids and the aliases of repeated texts stay as they were."""
    documents = [(f"d{i}", text) for i, text in enumerate(texts)]
    corpus = Corpus.from_dataset(rows_of(documents), id="_id")
    wider = corpus.with_texts(added)
    ids, unique, of = oracle([*documents, *((f"added-{i}", text) for i, text in enumerate(added))])
    assert wider.ids(range(len(wider))) == ids
    assert wider.texts(range(len(wider))).to_pylist() == unique
    assert wider.rows_of_ids(list(of)).tolist() == list(of.values())


def test_with_texts_tells_aliases_apart() -> None:
    """Two corpora that differ in an alias still differ after texts were added."""
    plain = Corpus.from_dataset([{"id": "a", "text": "one"}], id="id")
    aliased = Corpus.from_dataset([{"id": "a", "text": "one"}, {"id": "b", "text": "one"}], id="id")
    assert plain.with_texts(["two"]).digest != aliased.with_texts(["two"]).digest
    assert plain.with_texts(["two"]).rows_of_ids(["b"]).tolist() == [-1]


def test_pickles_to_its_digest() -> None:
    """What travels to another process is the digest and nothing else."""
    corpus = Corpus.from_texts(["one", "two"])
    corpus.texts([0]), corpus.rows_of_ids(["1"])
    copy = pickle.loads(pickle.dumps(corpus))
    assert copy.__dict__ == {"digest": corpus.digest}
    assert copy.texts([1]).to_pylist() == ["two"]
    assert len(pickle.dumps(corpus)) < 200


def broken(rows: list[Any]) -> Iterator[dict[str, Any]]:
    yield from rows
    raise RuntimeError("the source ended early")


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        ([], {}, EmptyInputError, "at least one document"),
        ([{"text": None}], {}, DocumentError, "row 0"),
        ([{"text": "a"}, {"text": 3}], {}, DocumentError, "a int"),
        ([{"text": ["a"]}], {}, DocumentError, "a list"),
        ([{"text": "a", "t": 3}], {"title": "t"}, DocumentError, "title"),
        ([{"text": "a", "id": None}], {"id": "id"}, DocumentError, "no id"),
        ([{"text": "a", "id": ""}], {"id": "id"}, DocumentError, "no id"),
        ([{"text": "a", "id": 1}, {"text": "b", "id": "1"}], {"id": "id"}, DocumentError, "'1'"),
        ([{"txt": "a"}], {}, ColumnError, "Did you mean 'txt'"),
        ([{"text": "a\ud800"}], {}, DocumentError, "surrogate"),
        (broken([{"text": "a"}]), {}, RuntimeError, "ended early"),
    ],
)
def test_bad_documents_are_refused_and_leave_nothing(
    rows: Any, options: dict[str, str], error: type[Exception], message: str
) -> None:
    """Every refusal names what is wrong, and nothing stays in the store's scratch."""
    before = {path.name for path in (store.root() / "corpus").glob("*")}
    with pytest.raises(error, match=message):
        Corpus.from_dataset(rows, **options)
    assert list((store.root() / "scratch").iterdir()) == []
    assert {path.name for path in (store.root() / "corpus").glob("*")} == before


def test_a_column_missing_in_a_dataset_is_refused_before_reading() -> None:
    """A Dataset's columns are known, so the wrong name is refused with the near miss."""
    from datasets import Dataset

    with pytest.raises(ColumnError, match="Did you mean 'texts'"):
        Corpus.from_dataset(Dataset.from_dict({"texts": ["a"]}))


def test_beir_folder(tmp_path: Path) -> None:
    """A BEIR corpus.jsonl is read with ids, titles and blank lines as they are."""
    lines = '{"_id": "a", "title": "T", "text": "x"}\n\n{"_id": "b", "title": "", "text": "é\\ny"}\n'
    (tmp_path / "corpus.jsonl").write_text(lines, encoding="utf-8")
    corpus = Corpus.from_beir(tmp_path)
    assert corpus.ids([0, 1]) == ["a", "b"]
    assert corpus.texts([0, 1]).to_pylist() == ["T\nx", "é\ny"]
    with pytest.raises(EmptyInputError, match=r"corpus\.jsonl"):
        Corpus.from_beir(tmp_path / "nowhere")


def test_ram_does_not_grow_with_the_documents() -> None:
    """Building 200,000 documents peaks below 200 bytes each; an open corpus in use holds below 1 byte each."""
    n = 200_000
    tracemalloc.start()
    try:
        corpus = Corpus.from_dataset({"text": f"document number {i} of many"} for i in range(n))
        _, peak = tracemalloc.get_traced_memory()
        corpus = Corpus(corpus.digest)
        before, _ = tracemalloc.get_traced_memory()
        assert len(corpus) == n
        assert corpus.rows_of_texts([f"document number {n - 1} of many"]).tolist() == [n - 1]
        assert corpus.rows_of_ids(["7"]).tolist() == [7]
        assert corpus.normal_hashes[n - 1] != corpus.normal_hashes[0]
        assert corpus.lengths[-1] > 0
        assert corpus.texts([5]).to_pylist() == ["document number 5 of many"]
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert peak / n < 200
    assert held / n < 1


@few
@given(st.lists(st.sampled_from("abcdef"), max_size=12))
def test_first_occurrences(texts: list[str]) -> None:
    """For each element the position of its first equal."""
    assert first_occurrences(hash_texts(texts)).tolist() == [texts.index(text) for text in texts]


def test_hash_index_tells_hashes_apart_that_share_their_high_half(tmp_path: Path, monkeypatch: Any) -> None:
    """Lookups go on past entries that agree in the first 64 bits only."""
    made = np.array([(5, 3), (5, 1), (5, 2), (9, 1)], dtype=HASH)
    HashIndex.write(tmp_path, "x", made, np.arange(4))
    index = HashIndex.open(tmp_path, "x")
    wanted = np.array([(5, 2), (5, 3), (5, 1), (9, 1), (5, 4), (9, 2), (1, 1), (10, 0)], dtype=HASH)
    monkeypatch.setattr("hfneg.base.hashing.hash_texts", lambda texts: wanted)
    found: Ints = index.rows_of([""] * len(wanted))
    assert found.tolist() == [2, 0, 1, 3, -1, -1, -1, -1]


DOTLESS = "\u0131"  # the one letter whose capital is another letter's: no case folding of Unicode joins them


@examples(300)
@given(st.text(max_size=8).filter(lambda text: DOTLESS not in text))
def test_normal_form_is_blind_to_case_space_and_form(text: str) -> None:
    """Capitals, small letters, white space around and decomposed forms are one normal form, and it is its own."""
    import unicodedata

    normal = normal_form(text)
    assert normal_form(normal) == normal
    for variant in (text.lower(), unicodedata.normalize("NFD", text), f" \t{text}\n", text.casefold()):
        assert normal_form(variant) == normal


@pytest.mark.parametrize("text", ["straße", "ΐ", "ΰδωρ", "ﬁne", "Ǆ", "ŉ", "東京 ｶﾅ", "İstanbul"])
def test_normal_form_of_capitals(text: str) -> None:
    """A text and its capitals are one, also where letters decompose (ß, ΐ) or are compatibility forms (ﬁ)."""
    assert normal_form(text.upper()) == normal_form(text)


def test_normal_form_of_every_letter() -> None:
    """No letter but the dotless i differs from its own capital or small form."""
    wrong = []
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            letter = chr(code)
            forms = {letter, letter.upper(), letter.lower()}
            if len(forms) > 1 and len({normal_form(f"a{form}b") for form in forms}) > 1:
                wrong.append(letter)
    assert wrong == [DOTLESS]
