"""How a cross-encoder is computed: shorter, with packed weights or by OpenVINO, and always with the model's scores."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_teachers import WORDS, live, pairs, save_tokenizer

from hfneg.base import store
from hfneg.errors import DiskFullError, MissingExtraError, SettingError
from hfneg.models.cross_encoding.first_token import first_token_alone
from hfneg.models.cross_encoding.openvino import _core, _openvino
from hfneg.models.cross_encoding.packed import packed_weights
from hfneg.steps.teachers import CrossEncoderTeacher

needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed")

SHORT = ("Bert", "XLMRoberta", "Roberta", "Electra")  # families whose head reads the first token of such layers


def save_model(folder: Path, family: str) -> Path:
    """Random weights, for 60 tokens; scores differ from pair to pair."""
    import torch
    import transformers

    torch.manual_seed(5)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": len(WORDS), "max_position_embeddings": 64, "type_vocab_size": 2, "num_labels": 1}
    if family == "DebertaV2":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
    config = getattr(transformers, f"{family}Config")(**sizes, pad_token_id=0, initializer_range=0.3)
    getattr(transformers, f"{family}ForSequenceClassification")(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("engines")
    return {family: save_model(root / family, family) for family in (*SHORT, "DebertaV2", "ModernBert")}


@pytest.fixture(scope="module", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One store for the module, so that a model is converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HFNEG_STORE", str(tmp_path_factory.mktemp("store")))
        yield


def predicted(model: Any, anchors: list[str], documents: list[str]) -> Any:
    import torch

    listed = [list(pair) for pair in zip(anchors, documents, strict=True)]
    return model.predict(listed, activation_fn=torch.nn.Identity(), show_progress_bar=False)


# Torch.


@pytest.mark.parametrize("family", [*SHORT, "DebertaV2", "ModernBert"])
def test_the_short_way_gives_the_models_scores(models: dict[str, Path], family: str) -> None:
    """Equal to predict to 1e-5 with the last layer cut short and weights packed, where a model's family allows it."""
    model = live(models[family])
    model.eval()
    anchors, documents = pairs()
    wanted = predicted(model, anchors, documents)
    assert np.ptp(wanted) > 0.01
    np.testing.assert_allclose(CrossEncoderTeacher(model).score(anchors, documents), wanted, atol=1e-5)
    with first_token_alone(model) as short:
        assert short == (family in SHORT)


def test_the_last_layer_is_cut_short(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its feed-forward sees one token a pair, that of the layer before sees all; the model is left as it was."""
    model = live(models["Bert"])
    layers = model.model.bert.encoder.layer
    seen: dict[int, set[int]] = {0: set(), 1: set()}
    for i, layer in enumerate(layers):
        layer.intermediate.register_forward_pre_hook(lambda _, given, i=i: seen[i].add(given[0].shape[1]))
    teacher = CrossEncoderTeacher(model)
    with first_token_alone(model):  # its trial also runs the model whole
        seen[1].clear()
    teacher.score(*pairs())
    assert seen[1] == {1}
    assert min(seen[0]) > 1
    assert not any("forward" in vars(module) for module in model.modules())
    np.testing.assert_allclose(predicted(model, *pairs()), teacher.score(*pairs()), atol=1e-5)


def test_a_head_that_reads_more_is_left_alone(models: dict[str, Path]) -> None:
    """A pooler of two tokens: the trial notices that the short way scores otherwise."""
    model = live(models["Bert"])
    pooler = model.model.bert.pooler
    pooler.forward = lambda hidden: pooler.activation(pooler.dense(hidden[:, :2].mean(dim=1)))
    model.eval()
    with first_token_alone(model) as short:
        assert not short
    teacher = CrossEncoderTeacher(model)
    np.testing.assert_allclose(teacher.score(*pairs()), predicted(model, *pairs()), atol=1e-5)


def test_a_forward_of_somebody_else_is_left_alone(models: dict[str, Path]) -> None:
    """Layers whose forward was replaced are called as they are."""
    model = live(models["Bert"])
    last = model.model.bert.encoder.layer[-1]
    calls: list[int] = []
    for module in (last, last.intermediate.dense):
        whole = module.forward
        module.forward = lambda *given, whole=whole, **named: calls.append(1) or whole(*given, **named)
    CrossEncoderTeacher(model).score(["w1"], ["w2"])
    assert len(calls) == 2


def test_packed_weights_multiply_alike(models: dict[str, Path]) -> None:
    """Where the machine packs, outputs agree to 1e-6, and a changed weight counts at the next call."""
    import torch

    model = live(models["Bert"])
    anchors, documents = pairs(30)
    before = CrossEncoderTeacher(model).score(anchors, documents)
    with torch.no_grad():
        model.model.bert.encoder.layer[0].intermediate.dense.weight *= 2
    after = CrossEncoderTeacher(model).score(anchors, documents)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(after, predicted(model, anchors, documents), atol=1e-5)
    with torch.inference_mode(), packed_weights(model) as packed:
        inner = model.model.bert.encoder.layer[0].output.dense
        values = torch.randn(3, 5, 64)
        given = inner(values)
    with torch.inference_mode():
        torch.testing.assert_close(given, inner(values), atol=1e-5, rtol=1e-5)
    assert packed == ("AVX" in torch.backends.cpu.get_cpu_capability())


# OpenVINO.


@needs_openvino
@pytest.mark.parametrize("family", ["Bert", "XLMRoberta", "DebertaV2", "ModernBert"])
def test_openvino_scores_as_torch_does(models: dict[str, Path], family: str) -> None:
    """Logits to 1e-4, though the CPU may have bfloat16; the same bits again, in another order and in part."""
    anchors, documents = pairs()
    teacher = CrossEncoderTeacher(str(models[family]), engine="openvino")
    scores = teacher.score(anchors, documents)
    wanted = CrossEncoderTeacher(str(models[family])).score(anchors, documents)
    np.testing.assert_allclose(scores, wanted, atol=1e-4)
    np.testing.assert_array_equal(teacher.score(anchors, documents), scores)
    order = np.random.default_rng(1).permutation(len(anchors))[:77]
    some = [[texts[i] for i in order] for texts in (anchors, documents)]
    np.testing.assert_array_equal(teacher.score(*some), scores[order])


@needs_openvino
def test_bfloat16_is_asked_for(models: dict[str, Path]) -> None:
    """It changes the digest and the third digit, or is refused by a CPU without it or with it forbidden."""
    anchors, documents = pairs(30)
    full = CrossEncoderTeacher(str(models["Bert"]), engine="openvino")
    half = CrossEncoderTeacher(str(models["Bert"]), engine="openvino", dtype="bfloat16")
    digests = {CrossEncoderTeacher(str(models["Bert"])).digest, full.digest, half.digest}
    assert len(digests) == 3
    able = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if able and "ONEDNN_MAX_CPU_ISA" not in os.environ:
        assert 1e-6 < np.abs(half.score(anchors, documents) - full.score(anchors, documents)).max() < 0.2
    else:
        with pytest.raises(SettingError, match="does not compute in bfloat16"):
            half.score(anchors, documents)


@needs_openvino
def test_a_model_is_converted_once(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """For all teachers with these weights, whatever their max_length and dtype; other weights are converted anew."""
    openvino = _openvino()
    first = CrossEncoderTeacher(str(models["Bert"]), engine="openvino").score(["w1 w2"], ["w3"])

    def convert(*given: Any, **named: Any) -> Any:
        raise RuntimeError("converted again")

    monkeypatch.setattr(openvino, "convert_model", convert)
    again = CrossEncoderTeacher(str(models["Bert"]), engine="openvino", max_length=30).score(["w1 w2"], ["w3"])
    np.testing.assert_array_equal(again, first)
    model = live(models["Bert"])
    model.model.classifier.bias.data += 1
    with pytest.raises(SettingError, match=r"cannot be converted .*converted again"):
        CrossEncoderTeacher(model, engine="openvino").score(["w1 w2"], ["w3"])


SCORE = """
import pickle, sys
teacher = pickle.load(open(sys.argv[1], "rb"))
print([float(score).hex() for score in teacher.score(["w1 w2", "w5"], ["w3", "w4 w5 w6"])])
assert not any(name.startswith("openvino_telemetry") for name in sys.modules)
"""


@needs_openvino
def test_several_processes_at_once(models: dict[str, Path], tmp_path: Path) -> None:
    """Two that start from nothing convert once and score alike, bit by bit; neither reports to OpenVINO's makers."""
    teacher = CrossEncoderTeacher(str(save_model(tmp_path / "Electra", "Electra")), engine="openvino")
    (tmp_path / "teacher").write_bytes(pickle.dumps(teacher))
    command = [sys.executable, "-c", SCORE, str(tmp_path / "teacher")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=240)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    here = [float(score).hex() for score in teacher.score(["w1 w2", "w5"], ["w3", "w4 w5 w6"])]
    assert [json.loads(text.replace("'", '"')) for text in said] == [here, here]


SIGNALLED = """
import signal, sys
import faulthandler
faulthandler.enable()
from hfneg.steps.teachers import CrossEncoderTeacher
from hfneg.models.cross_encoding.openvino import _request
for model in sys.argv[1:]:
    CrossEncoderTeacher(model, engine="openvino").score(["w1 w2"], ["w3"])
_request.cache_clear()
heard = []
signal.signal(signal.SIGUSR1, lambda *given: heard.append(1))
signal.raise_signal(signal.SIGUSR1)
print(heard)
"""


@needs_openvino
def test_signals_are_heard_after_several_models(models: dict[str, Path]) -> None:
    """More models than are kept ready: no signal handler is left with a stack that went with one of them."""
    command = [sys.executable, "-c", SIGNALLED, *(str(models[family]) for family in SHORT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[1]\n"), done.stderr[-2000:]


def kept() -> set[Path]:
    """The converted models of the store."""
    return {path for path in store.artefact("converted", "x").parent.glob("*") if path.is_dir()}


@needs_openvino
def test_no_room_for_the_converted_model(
    models: dict[str, Path], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the model's fault, and is said so; with room it is converted."""
    monkeypatch.setenv("HFNEG_STORE", str(small_disk / "store"))
    teacher = CrossEncoderTeacher(str(models["Bert"]), engine="openvino")
    other = small_disk / "other"
    other.write_bytes(b"0" * 190_000)
    with pytest.raises(DiskFullError, match="no space is left"):
        teacher.score(["w1 w2"], ["w3"])
    other.unlink()
    assert np.isfinite(teacher.score(["w1 w2"], ["w3"])).all()


@needs_openvino
def test_what_cannot_be_converted(models: dict[str, Path]) -> None:
    """A model that fails while it is traced, or whose trace scores otherwise: use torch; nothing is kept, and other
    people's log lines are not silenced."""
    import torch

    level = logging.getLogger().level

    def failing(features: Any, **given: Any) -> Any:
        if torch.jit.is_tracing():
            raise NotImplementedError("no tracing here")
        return type(model).forward(model, features, **given)

    def by_width(features: Any, **given: Any) -> Any:
        width = int(features["input_ids"].shape[1])  # a trace takes it for a constant
        out = type(model).forward(model, features, **given)
        return {**out, "scores": out["scores"] * width}

    for forward, said in (
        (failing, r"cannot be converted \(NotImplementedError: no tracing here\)"),
        (by_width, "scores otherwise"),
    ):
        model = live(models["Roberta"])
        model.forward = forward
        teacher = CrossEncoderTeacher(model, engine="openvino")
        before = kept()
        with pytest.raises(SettingError, match=f"{said}.*use engine='torch'"):
            teacher.score(["w1 w2"], ["w3"])
        assert kept() == before
        assert logging.getLogger().level == level


def test_what_is_refused(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another engine, float16 with OpenVINO, and OpenVINO where it is not installed: before anything is loaded."""
    with pytest.raises(SettingError, match=r"engine must be one of 'openvino', 'torch'.*Did you mean 'openvino'"):
        CrossEncoderTeacher(str(models["Bert"]), engine="openvin")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'hfneg\[openvino\]'"):
        CrossEncoderTeacher(str(models["Bert"]), engine="openvino")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(SettingError, match=r"dtype must be 'bfloat16', 'float32' or None"):
        CrossEncoderTeacher(str(models["Bert"]), engine="openvino", dtype="float16")
