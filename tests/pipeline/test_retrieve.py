"""Retrieval: k after the known positives, ranks of the raw list, whoever searches."""

from __future__ import annotations

import logging
import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import examples
from scripted import Scripted, SearchOnly, ranked, world

from hfneg.base.hashing import hash_normal_forms
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.errors import ColumnError, EmptyInputError, NonFiniteError, RetrieverError, SettingError
from hfneg.pipeline.retrieve import Retrieve
from hfneg.steps.block.block import Block
from hfneg.steps.block.columns import columns_of, from_columns
from hfneg.steps.retrievers import BM25, RandomDocuments, candidates_from
from hfneg.steps.retrievers.random_documents import permuted

DOCUMENTS = [f"document {i} about faults" for i in range(30)]
few = examples(25)

positives = st.fixed_dictionaries(
    {text: st.lists(st.integers(0, 29), min_size=1, max_size=6, unique=True) for text in ("one", "two", "three")}
)
lists = st.fixed_dictionaries(
    {text: st.dictionaries(st.integers(0, 29), st.integers(-3, 3).map(float)) for text in ("one", "two", "three")}
)


def cut(rows: list[int], known: list[int], k: int) -> list[int]:
    """A raw list up to its k-th document that is no known positive."""
    kept, taken = [], 0
    for row in rows:
        if row not in known:
            if taken == k:
                break
            taken += 1
        kept.append(row)
        if taken == k and row not in known:
            break
    return kept


def of_anchor(found: Block, i: int) -> slice:
    return slice(int(found.indptr[i]), int(found.indptr[i + 1]))


@few
@given(positives, lists, st.integers(1, 8))
def test_k_counts_after_the_known_positives(known: Any, given_lists: Any, k: int) -> None:
    """Each list goes to the k-th document that is no known positive; positives before it stay in, at their rank."""
    anchors = world(DOCUMENTS, known)
    hits = {text: ranked(scores) for text, scores in given_lists.items()}
    found = Retrieve(anchors, SearchOnly(hits), k=k).run(np.arange(3))
    for i, text in enumerate(known):
        raw = [row for row, _ in hits[text]]
        rows = found.rows[of_anchor(found, i)].tolist()
        assert rows == raw[: len(rows)]
        others = [row for row in rows if row not in known[text]]
        assert len(others) == min(k, len([row for row in raw if row not in known[text]]))
        assert not rows or len(others) < k or rows[-1] == others[-1]
        assert rows[: len(cut(raw, known[text], k))] == cut(raw, known[text], k)
        assert found.ranks[of_anchor(found, i)].tolist() == list(range(1, len(rows) + 1))
        assert found.source_ranks[of_anchor(found, i), 0].tolist() == list(range(1, len(rows) + 1))
        assert found.scores[of_anchor(found, i)].tolist() == [dict(hits[text])[row] for row in rows]
    assert np.isnan(found.positive_scores).all()


@few
@given(positives, lists, st.integers(1, 8), st.permutations(range(3)))
def test_an_anchor_s_candidates_do_not_depend_on_its_block(known: Any, given_lists: Any, k: int, order: Any) -> None:
    """Alone, together or in another order: the same rows, scores and positives' scores."""
    anchors = world(DOCUMENTS, known)
    retrieve = Retrieve(anchors, Scripted({text: ranked(s) for text, s in given_lists.items()}), k=k)
    together = retrieve.run(np.array(order))
    for place, number in enumerate(order):
        alone = retrieve.run(np.array([number]))
        assert alone.rows.tolist() == together.rows[of_anchor(together, place)].tolist()
        assert alone.scores.tolist() == together.scores[of_anchor(together, place)].tolist()
        own = anchors.positives(np.array(order)).indptr
        assert alone.positive_scores.tolist() == together.positive_scores[own[place] : own[place + 1]].tolist()


def test_an_anchor_with_many_positives_widens_no_other() -> None:
    """k asked of the index is k + the anchor's own positives, rounded up to a power of two, for each group alike."""
    documents = [f"document {i}" for i in range(1_000)]
    known = {f"anchor {i}": [i] for i in range(20)} | {"many": list(range(300)), "three": [7, 8, 9]}
    mine = SearchOnly({text: [(row, 1.0 - row / 1_000) for row in range(1_000)] for text in known})
    found = Retrieve(world(documents, known), mine, k=10).run(np.arange(22))
    assert sorted(mine.asked) == [(1, 14), (1, 522), (20, 11)]
    assert np.diff(found.indptr).tolist() == [11 if i < 10 else 10 for i in range(20)] + [310, 13]


def test_k_is_bounded_by_the_corpus() -> None:
    """Never is an index asked for more than there is: k above the corpus means all of it."""
    mine = SearchOnly({"one": [(row, -float(row)) for row in range(30)]})
    anchors = world(DOCUMENTS, {"one": [3, 4]})
    assert np.diff(Retrieve(anchors, mine, k=30).run(np.array([0])).indptr).tolist() == [30]
    assert mine.asked == [(1, 30)]
    larger = Retrieve(anchors, mine, k=31)
    assert larger.k == 30
    assert np.diff(larger.run(np.array([0])).indptr).tolist() == [30]
    for k in (0, -1, 1.5, True):
        with pytest.raises(SettingError, match="k"):
            Retrieve(anchors, mine, k=k)  # type: ignore[arg-type]


def test_a_row_that_a_retriever_repeats_counts_once_where_it_came_first() -> None:
    """Chunks of one document may hit several times: the first hit gives rank and score, and k counts documents."""
    mine = SearchOnly({"one": [(5, 9.0), (0, 8.0), (5, 7.0), (0, 6.5), (6, 6.0), (5, 5.0), (7, 4.0)]})
    found = Retrieve(world(DOCUMENTS, {"one": [0]}), mine, k=5).run(np.array([0]))
    assert found.rows.tolist() == [5, 0, 6]
    assert found.scores.tolist() == [9.0, 8.0, 6.0]
    assert found.source_ranks[:, 0].tolist() == [1, 2, 3]


class Broken:
    """Answers what it was made with."""

    name = "broken"

    def __init__(self, scores: Any, rows: Any, positive: Any = None) -> None:
        self.answer = scores, rows
        if positive is not None:
            self.score = lambda texts, rows: positive

    def search(self, texts: list[str], k: int) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("scores", "rows", "error", "message"),
    [
        ([[1.0, 0.5]], [[1, 2]], RetrieverError, r"both must be \[1, 3\]"),
        ([[3.0, 2.0, 1.0]], [[1, 2]], RetrieverError, "shape"),
        ([[3.0, 2.0, 1.0]], [[1.0, 2.0, 3.0]], RetrieverError, "whole numbers"),
        ([[3.0, 2.0, 1.0]], [[1, 2, 30]], RetrieverError, "row 30"),
        ([[3.0, 2.0, 1.0]], [[1, 2, -2]], RetrieverError, "row -2"),
        ([[1.0, 2.0, 3.0]], [[1, 2, 3]], RetrieverError, "best first for anchor 'one'"),
        ([[3.0, np.nan, 1.0]], [[1, 2, 3]], NonFiniteError, "document '2' as nan for anchor 'one'"),
        ([[np.inf, 2.0, 1.0]], [[1, 2, 3]], NonFiniteError, "document '1' as inf"),
    ],
)
def test_a_retriever_is_held_to_its_contract(scores: Any, rows: Any, error: type[Exception], message: str) -> None:
    """Shape, type, range, order and finiteness of what a user's retriever returns; the message names what is wrong."""
    retrieve = Retrieve(world(DOCUMENTS, {"one": [0]}), Broken(scores, rows), k=2)
    with pytest.raises(error, match=message):
        retrieve.run(np.array([0]))


@pytest.mark.parametrize(
    ("positive", "error", "message"),
    [
        ([1.0], RetrieverError, r"score\(texts, rows\).*same shape"),
        ([[np.nan]], NonFiniteError, "document '0' as nan for anchor 'one'"),
        ([[np.inf]], NonFiniteError, "document '0' as inf"),
    ],
)
def test_score_is_held_to_its_contract(positive: Any, error: type[Exception], message: str) -> None:
    """A positive's score must be one finite number, else every margin below it would be nonsense."""
    broken = Broken(np.array([[3.0, 2.0, 1.0]]), np.array([[1, 2, 3]]), np.array(positive))
    with pytest.raises(error, match=message):
        Retrieve(world(DOCUMENTS, {"one": [0]}), broken, k=2).run(np.array([0]))


def test_retrievers_are_checked_when_the_step_is_made() -> None:
    """No search method, none at all, too many, or two of one name: refused before work."""
    anchors = world(DOCUMENTS, {"one": [0]})
    for wrong, message in (
        (object(), r"search\(texts, k\)"),
        ([], "one to eight"),
        ([SearchOnly({}, f"s{i}") for i in range(9)], "one to eight"),
        ([SearchOnly({}), SearchOnly({})], "both called 'scripted'"),
    ):
        with pytest.raises(SettingError, match=message):
            Retrieve(anchors, wrong, k=2)


# Candidates that one brings.


@pytest.mark.parametrize("by", ["id", "text", "mixed"])
@pytest.mark.parametrize("scored", [True, False])
def test_candidates_brought_by_id_or_text(by: str, scored: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A column of ids, texts or both is the raw list: scores given or 1 / i, repeats once, strangers in the log; a
    second row of the anchor is joined to it."""
    corpus = Corpus.from_dataset([{"id": f"d{i}", "text": text} for i, text in enumerate(DOCUMENTS)], id="id")
    wanted = [4, 0, 9, 4, 2]
    found = [*(f"d{i}" if by == "id" or (by == "mixed" and i % 2) else DOCUMENTS[i] for i in wanted), "stranger"]
    row: dict[str, Any] = {"q": "ONE", "found": found}
    if scored:
        row["s"] = [0.5, 3.0, 0.25, 0.75, -1.0, 9.0]
    given_rows = [row, {"q": "one ", "found": ["d1"], "s": [1.0]}]
    brought = candidates_from(given_rows, "found", anchor="q", scores="s" if scored else None)
    anchors = Anchors([{"q": "one", "a": "d0"}, {"q": "two", "a": "d0"}], corpus, anchor="q", positive="a")
    with caplog.at_level(logging.WARNING, "hfneg"):
        got = Retrieve(anchors, brought, k=3).run(np.arange(2))
    joined = [(0, 3.0), (1, 1.0), (4, 0.75), (9, 0.25)]
    expected = joined if scored else [(4, 1.0), (0, 1 / 2), (9, 1 / 3), (2, 1 / 4)]
    assert got.rows.tolist() == [row for row, _ in expected]
    assert got.scores.tolist() == [np.float32(score) for _, score in expected]
    assert got.indptr.tolist() == [0, 4, 4]
    assert got.names == ("given",)
    assert "1 given candidates are not in the corpus" in caplog.text
    assert pickle.loads(pickle.dumps(brought)).__dict__ == brought.__dict__


@pytest.mark.parametrize("form", [None, "numpy"])
@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("one_each", [True, False])
def test_several_rows_of_an_anchor_are_joined(scored: bool, one_each: bool, form: str | None) -> None:
    """No candidate of a later row is lost: by score, the better of two; without scores in the order of the rows."""
    from datasets import Dataset

    lists = {"one": [("7", 0.1), ("3", 0.5), ("7", 0.9), ("5", 0.5)], "two": [("8", 0.0)], "ONE ": [("1", 2.0)]}
    if one_each:
        rows = [{"q": q, "found": name, "s": mark} for q, found in lists.items() for name, mark in found]
    else:
        cut = [(q, found[i : i + 2]) for q, found in lists.items() for i in range(0, len(found), 2)]
        rows = [{"q": q, "found": [name for name, _ in some], "s": [mark for _, mark in some]} for q, some in cut]
    dataset = Dataset.from_list(rows).with_format(form)
    corpus = Corpus.from_texts(DOCUMENTS)
    anchors = Anchors([{"q": "one", "a": "0"}, {"q": "two", "a": "0"}], corpus, anchor="q", positive="a")
    brought = candidates_from(dataset, "found", anchor="q", scores="s" if scored else None)
    got = Retrieve(anchors, brought, k=5).run(np.arange(2))
    assert got.rows.tolist() == ([1, 7, 3, 5, 8] if scored else [7, 3, 5, 1, 8])
    marks = [2.0, 0.9, 0.5, 0.5, 0.0] if scored else [1.0, 1 / 2, 1 / 3, 1 / 4, 1.0]
    assert got.scores.tolist() == [np.float32(mark) for mark in marks]


def test_brought_candidates_are_checked() -> None:
    """Missing columns, scores of another length and no rows are refused."""
    from datasets import Dataset

    row = {"q": "one", "found": ["d1", "d2"], "s": [1.0]}
    with pytest.raises(ColumnError, match="Did you mean 'found'"):
        candidates_from(Dataset.from_list([row]), "fund", anchor="q")
    with pytest.raises(ColumnError, match="2 candidates in 'found' but 1 scores"):
        candidates_from([row], "found", anchor="q", scores="s")
    with pytest.raises(EmptyInputError, match="no rows"):
        candidates_from([], "found", anchor="q")


def test_brought_candidates_in_every_format() -> None:
    """Rows of a Dataset in list, NumPy or torch format are the same candidates."""
    from datasets import Dataset

    dataset = Dataset.from_dict({"q": ["one", "two"], "found": [["3", "1"], ["2"]], "s": [[0.5, 0.25], [1.0]]})
    made = {
        candidates_from(dataset.with_format(form), "found", anchor="q", scores="s").digest for form in (None, "numpy")
    }
    assert len(made) == 1


def test_brought_scores_must_be_finite() -> None:
    """A score that is no number is refused when it is read, never sorted somewhere."""
    row = {"q": "one", "found": ["1", "2", "3"], "s": [1.0, float("nan"), 3.0]}
    with pytest.raises(ColumnError, match="nan"):
        candidates_from([row], "found", anchor="q", scores="s")


# Random documents and BM25.


@few
@given(st.integers(1, 300), st.integers(0, 5), st.text(min_size=1, max_size=3))
def test_random_documents_are_a_permutation(size: int, seed: int, text: str) -> None:
    """Every document comes exactly once, and the first k of a larger draw are the draw of k."""
    keys = hash_normal_forms([text])[:, None] + np.uint64(seed)
    places = np.arange(size, dtype=np.uint64)[None]
    rows = permuted(places, keys, size)
    assert sorted(rows[0].tolist()) == list(range(size))
    k = min(7, size)
    assert permuted(places[:, :k], keys, size).tolist() == rows[:, :k].tolist()


def test_random_documents_are_uniform_and_depend_on_seed_and_anchor_alone() -> None:
    """Each document is drawn equally often; an anchor's draw is the same in any company, another by another seed."""
    texts = [f"anchor {i}" for i in range(4_000)]
    anchors = world(DOCUMENTS, {text: [0] for text in texts})
    found = Retrieve(anchors, RandomDocuments(), k=3).run(np.arange(4_000))
    kept = ~found.is_positive
    counts = np.bincount(found.rows[kept], minlength=30)[1:]
    expected = kept.sum() / 29
    assert ((counts - expected) ** 2 / expected).sum() < 60  # chi-square, 28 degrees of freedom: 0.9996
    few_anchors = Retrieve(anchors, RandomDocuments(), k=3).run(np.array([17, 5]))
    for place, number in enumerate((17, 5)):
        assert few_anchors.rows[of_anchor(few_anchors, place)].tolist() == found.rows[of_anchor(found, number)].tolist()
    other = Retrieve(anchors, RandomDocuments(seed=1), k=3).run(np.arange(4_000))
    assert other.rows.tolist() != found.rows.tolist()


def test_bm25_and_random_together_know_their_sources() -> None:
    """The union of two sources: masks, ranks and scores are each source's own; a query without hits has the other's."""
    documents = ["faults slip", "faults slip slowly", "waves travel", "rocks melt", "plates move", "magma rises"]
    anchors = world(documents, {"which faults slip": [0], "unrelated": [2]})
    found = Retrieve(anchors, [BM25(), RandomDocuments()], k=4).run(np.arange(2))
    alone = [Retrieve(anchors, source, k=4).run(np.arange(2)) for source in (BM25(), RandomDocuments())]
    for i in range(2):
        part = of_anchor(found, i)
        for s, single in enumerate(alone):
            mine = part.start + np.flatnonzero(found.sources[part] >> s & 1)
            mine = mine[np.argsort(found.source_ranks[mine, s])]
            assert found.rows[mine].tolist() == single.rows[of_anchor(single, i)].tolist()
            assert found.source_scores[mine, s].tolist() == single.scores[of_anchor(single, i)].tolist()
            assert found.source_ranks[mine, s].tolist() == list(range(1, len(mine) + 1))
    assert np.diff(alone[0].indptr).tolist()[1] == 0
    assert found.positive_scores[:, 1].tolist() == alone[0].positive_scores[:, 0].tolist()
    assert np.isnan(found.positive_scores[:, 2]).all()


# In columns.


@few
@given(positives, lists, lists, st.integers(1, 5))
def test_candidates_survive_columns(known: Any, one: Any, two: Any, k: int) -> None:
    """What goes through the columns of a dataset comes back equal in every value."""
    from datasets import Dataset

    anchors = world(DOCUMENTS, known)
    for sources in ([one], [one, two]):
        scripted = [Scripted({t: ranked(s) for t, s in source.items()}, f"s{i}") for i, source in enumerate(sources)]
        found = Retrieve(anchors, scripted, k=k).run(np.arange(3))
        columns = {name: lists.split() for name, lists in columns_of(found, anchors).items()}
        backs = [from_columns(anchors, columns, np.arange(3), np.arange(3))]
        backs.append(from_columns(anchors, Dataset.from_dict(columns)[:], np.arange(3), np.arange(3)))
        for back in backs:
            for name, value in ((field.name, getattr(found, field.name)) for field in fields(Block)):
                if name == "names" or value is None:
                    assert getattr(back, name) == value
                elif name == "positives":
                    assert [one.tolist() for one in back.positives] == [one.tolist() for one in value]
                else:
                    other = getattr(back, name)
                    assert (other.dtype, other.shape) == (value.dtype, value.shape), name
                    assert np.array_equal(other, value, equal_nan=value.dtype.kind == "f"), name
