"""Batches that do not fit into memory: halved, said once, with the scores and vectors that smaller batches give."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import save_encoder, save_teacher

import hfneg
from hfneg.base.memory import Halving, is_out_of_memory
from hfneg.models.encoder import Encoder

TEXTS = [f"a fault slips when stress number {i} exceeds friction" for i in range(48)]
ENOUGH = 1 << 60  # bytes that no machine has


def cpu() -> None:
    """As torch says it on a CPU."""
    torch.empty(ENOUGH, dtype=torch.uint8)


def cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has 79 GiB")


def device() -> None:
    """A device that is full in earnest."""
    torch.empty(1 << 45, dtype=torch.uint8, device="cuda")


def numpy() -> None:
    np.empty(ENOUGH, dtype=np.uint8)


def plain() -> None:
    raise MemoryError


Full = Callable[[], None]
A_DEVICE = pytest.param(device, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))
WAYS = pytest.mark.parametrize("full", [cpu, cuda, A_DEVICE, numpy, plain])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {"encoder": save_encoder(folder / "encoder"), "teacher": save_teacher(folder / "teacher")}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "do not fit into memory" in record.getMessage()]


def limited(model: Any, rows: int, full: Full) -> list[int]:
    """Make a model's forward fail above so many rows; the numbers of rows that it was asked for."""
    seen: list[int] = []
    whole = model.forward

    def forward(features: Any, *others: Any, **settings: Any) -> Any:
        n = len(features.get("attention_mask", features["input_ids"]))
        seen.append(n)
        if n > rows:
            full()
        return whole(features, *others, **settings)

    model.forward = forward
    return seen


@WAYS
def test_every_way_of_saying_it_is_understood(full: Full) -> None:
    """Torch's CPU allocator, CUDA, NumPy and Python say it in four ways; another error is none of them."""
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        full()
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(hfneg.EndpointError("the server is out of memory"))


@WAYS
def test_a_cross_encoder_goes_on_with_half(
    models: dict[str, Path], full: Full, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that takes 8 rows at most gets its batches of 32 in eights, after one failure; the scores are equal to
    those of batches of 8 to the last bit, and one line in the log says it."""
    pairs = ["what slips"] * len(TEXTS), TEXTS
    wanted = hfneg.CrossEncoderTeacher(str(models["teacher"]), batch_size=8).score(*pairs)
    teacher = hfneg.CrossEncoderTeacher(str(models["teacher"]), batch_size=32)
    seen = limited(teacher._loaded(), 8, full)
    np.testing.assert_array_equal(teacher.score(*pairs), wanted)
    assert seen[:3] == [32, 16, 8]
    assert set(seen[3:]) == {8}
    assert len(warnings(caplog)) == 1
    assert "32 rows" in warnings(caplog)[0]


@WAYS
def test_where_one_pair_is_too_much_the_error_says_what_to_do(models: dict[str, Path], full: Full) -> None:
    """A typed error, which is a MemoryError too; it names the model, the precision, the length and the device."""
    teacher = hfneg.CrossEncoderTeacher(str(models["teacher"]), batch_size=32)
    seen = limited(teacher._loaded(), 0, full)
    with pytest.raises(hfneg.OutOfMemoryError, match=r"max_length.*dtype.*HFNEG_DEVICE") as caught:
        teacher.score(["what slips"] * 40, TEXTS[:40])
    assert isinstance(caught.value, MemoryError)
    assert str(models["teacher"]) in str(caught.value)
    assert seen == [32, 16, 8, 4, 2, 1]


@WAYS
def test_an_encoder_goes_on_with_half(
    models: dict[str, Path], full: Full, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SentenceTransformer is asked again with half the batch size, and later calls begin with what fitted."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(models["encoder"]), device="cpu")
    wanted = Encoder(model, batch_size=8).encode(TEXTS, "document")
    sizes: list[int] = []
    whole = model.encode_document

    def encode(texts: list[str], batch_size: int = 32, **settings: Any) -> Any:
        sizes.append(batch_size)
        if batch_size > 8:
            full()
        return whole(texts, batch_size=batch_size, **settings)

    monkeypatch.setattr(model, "encode_document", encode)
    encoder = Encoder(model, batch_size=32)
    for _ in range(2):
        np.testing.assert_allclose(encoder.encode(TEXTS, "document"), wanted, atol=1e-6)
    assert sizes == [32, 16, 8, 8]
    assert len(warnings(caplog)) == 1


@WAYS
def test_an_object_that_encodes_gets_fewer_texts(full: Full, caplog: pytest.LogCaptureFixture) -> None:
    """An encoder without a batch size is given half of the texts, and what it gave before is kept."""
    asked: list[int] = []

    class Own:
        id = "own-1"

        def encode(self, texts: list[str]) -> Any:
            asked.append(len(texts))
            if len(texts) > 12:
                full()
            return [[float(len(text)), float(text.count("s")), 1.0] for text in texts]

    vectors = Encoder(Own()).encode(TEXTS, "document")
    np.testing.assert_array_equal(vectors[:, 0], list(map(len, TEXTS)))
    assert asked == [48, 24, 8, 8, 8, 8, 8, 8]
    assert len(warnings(caplog)) == 1


@WAYS
def test_a_function_gets_fewer_pairs(full: Full, caplog: pytest.LogCaptureFixture) -> None:
    """FunctionTeacher asks its function again with half, and no pair that was answered is asked about twice."""
    answered: list[str] = []

    def judge(queries: list[str], texts: list[str]) -> list[float]:
        if len(texts) > 10:
            full()
        answered.extend(texts)
        return [float(len(text)) for text in texts]

    scores = hfneg.FunctionTeacher(judge, id="small", batch_size=40).score(["q"] * len(TEXTS), TEXTS)
    np.testing.assert_array_equal(scores, list(map(len, TEXTS)))
    assert answered == TEXTS
    assert len(warnings(caplog)) == 1


@WAYS
def test_a_bi_encoder_as_teacher_goes_on_with_half(
    models: dict[str, Path], full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its texts are encoded in halves, with the same cosines."""
    teacher = hfneg.BiEncoderTeacher(str(models["encoder"]), batch_size=32)
    pairs = ["what slips"] * len(TEXTS), TEXTS
    wanted = teacher.score(*pairs)
    model, sizes = teacher._loaded(), []
    whole = model.encode_document

    def encode(texts: list[str], batch_size: int = 32, **settings: Any) -> Any:
        sizes.append(batch_size)
        if batch_size > 8:
            full()
        return whole(texts, batch_size=batch_size, **settings)

    monkeypatch.setattr(model, "encode_document", encode)
    np.testing.assert_allclose(teacher.score(*pairs), wanted, atol=1e-6)
    assert sizes == [32, 16, 8]


def test_a_model_that_does_not_fit_is_said(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the weights alone are too much, both kinds of step say so in words."""
    import sentence_transformers

    def load(*_: Any, **__: Any) -> None:
        cuda()

    for kind in ("SentenceTransformer", "CrossEncoder"):
        monkeypatch.setattr(sentence_transformers, kind, load)
    with pytest.raises(hfneg.OutOfMemoryError, match="does not fit into memory"):
        hfneg.CrossEncoderTeacher(str(models["teacher"])).score(["a"], ["b"])
    with pytest.raises(hfneg.OutOfMemoryError, match="does not fit into memory"):
        Encoder(str(models["encoder"])).encode(["a"], "query")


def test_other_errors_are_left_alone() -> None:
    """What has nothing to do with memory is raised as it is, after one try."""
    tries: list[int] = []

    def work(n: int) -> None:
        tries.append(n)
        raise RuntimeError("the device was lost")

    with pytest.raises(RuntimeError, match="the device was lost"):
        Halving("m", "").run(work, 32)
    assert tries == [32]


def test_widths_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """What did not fit at 64 tokens a row says how many rows of 16 tokens are tried: as many tokens."""
    caplog.set_level(logging.WARNING)
    fits, tried = Halving("m", ""), []

    def work(n: int, weight: int) -> int:
        tried.append((n, weight))
        if n * weight > 1_000:
            raise MemoryError
        return n

    assert fits.run(lambda n: work(n, 64), 32, 64) == 8
    assert fits.run(lambda n: work(n, 16), 200, 16) == 32
    assert tried == [(32, 64), (16, 64), (8, 64), (32, 16)]
