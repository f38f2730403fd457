"""Teachers: raw scores that depend on the pairs alone, digests that follow the weights, failures that lose nothing."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import SHARED

import hfneg
from hfneg.base.http import server as requests
from hfneg.errors import EndpointError, InputError, NonFiniteError, ProcessError, SettingError, TeacherError
from hfneg.models.cross_encoding.batches import rows_for, widths_up_to
from hfneg.steps.teachers import (
    TEACHERS,
    BiEncoderTeacher,
    CrossEncoderTeacher,
    EndpointTeacher,
    FunctionTeacher,
    MeanOfTeachers,
    MinOfTeachers,
    Teacher,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(200))]
TEACHER = SHARED / "models" / "teacher"
needs_teacher = pytest.mark.skipif(not TEACHER.is_dir(), reason="no real cross-encoder here")


# Tiny models.


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, mask_token="[MASK]", model_max_length=60, **names)
    fast.save_pretrained(folder)


def save_bert(folder: Path, labels: int | None) -> Path:
    """A BERT of random weights for 60 tokens; with a head of so many labels, or none."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    torch.manual_seed(3)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    sizes |= {"vocab_size": len(WORDS), "max_position_embeddings": 60}
    scale = {"initializer_range": 0.2}  # scores that differ from pair to pair
    config = BertConfig(**sizes, **scale, **({"num_labels": labels} if labels else {}))
    (BertForSequenceClassification(config) if labels else BertModel(config)).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import sentence_transformers

    root = tmp_path_factory.mktemp("models")
    made = {"ce": save_bert(root / "ce", 1), "two": save_bert(root / "two", 2), "bert": save_bert(root / "bert", None)}
    for name, kind in (("st", "SentenceTransformer"), ("mv", "MultiVectorEncoder")):
        if hasattr(sentence_transformers, kind):
            getattr(sentence_transformers, kind)(str(made["bert"]), device="cpu").save(str(root / name))
            made[name] = root / name
    return made


def pairs(n: int = 120, seed: int = 0) -> tuple[list[str], list[str]]:
    """n pairs of n / 10 anchors; documents of 1 to 80 words, so that some are cut."""
    rng = np.random.default_rng(seed)

    def text(most: int) -> str:
        return " ".join(f"w{i}" for i in rng.integers(0, 210, rng.integers(1, most)))

    anchors = [text(8) for _ in range(-(-n // 10))]
    return [anchors[i // 10] for i in range(n)], [text(80) for _ in range(n)]


def live(folder: Path) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(folder), device="cpu")


def copied(folder: Path, to: Path, **config: Any) -> Path:
    shutil.copytree(folder, to)
    path = to / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return to


# CrossEncoderTeacher.


@pytest.mark.parametrize("activation", ["torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"])
def test_raw_scores_are_the_logits(models: dict[str, Path], tmp_path: Path, activation: str) -> None:
    """Equal to predict with an Identity activation, whatever the model's own; which decides the scale."""
    import torch

    folder = copied(models["ce"], tmp_path / "ce", sentence_transformers={"activation_fn": activation})
    anchors, documents = pairs()
    teacher = CrossEncoderTeacher(str(folder))
    raw = teacher.score(anchors, documents)
    model = live(folder)
    listed = [list(pair) for pair in zip(anchors, documents, strict=True)]
    logits = model.predict(listed, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert raw.dtype == np.float32
    assert np.ptp(raw) > 0.1
    np.testing.assert_allclose(raw, logits, atol=1e-5)
    np.testing.assert_allclose(teacher.scaled(raw), model.predict(listed, show_progress_bar=False), atol=1e-5)
    assert teacher.resolved_scale == ("probability" if "Sigmoid" in activation else "logit")
    assert CrossEncoderTeacher(model).resolved_scale == teacher.resolved_scale


def test_a_score_depends_on_its_pair_alone(models: dict[str, Path]) -> None:
    """The same list gives the same bits; another order, part or batch size the same to 1e-5."""
    anchors, documents = pairs()
    teacher = CrossEncoderTeacher(str(models["ce"]))
    scores = teacher.score(anchors, documents)
    np.testing.assert_array_equal(teacher.score(anchors, documents), scores)
    order = np.random.default_rng(1).permutation(len(anchors))[:77]
    some = [[texts[i] for i in order] for texts in (anchors, documents)]
    np.testing.assert_allclose(teacher.score(*some), scores[order], atol=1e-5)
    sized = CrossEncoderTeacher(str(models["ce"]), batch_size=5)
    np.testing.assert_allclose(sized.score(anchors, documents), scores, atol=1e-5)


def test_batches_have_fixed_shapes(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A width has one number of rows, also for the last batch, so that a pair's batch never depends on the others."""
    teacher = CrossEncoderTeacher(str(models["ce"]))
    model = teacher._loaded()
    shapes: set[tuple[int, ...]] = set()
    forward = type(model).forward

    def spy(self: Any, features: Any, **settings: Any) -> Any:
        shapes.add(tuple(features["input_ids"].shape))
        return forward(self, features, **settings)

    monkeypatch.setattr(type(model), "forward", spy)
    teacher.score(*pairs(150))
    assert len(shapes) > 4
    assert all(rows == rows_for(width, model.device.type, None) and rows % 8 == 0 for rows, width in shapes)
    assert {width for _, width in shapes} <= set(widths_up_to(60).tolist())


def test_widths_waste_little() -> None:
    """A pair is padded by an eighth or by 7 tokens at most, and never beyond what the model takes."""
    for longest in (60, 128, 512, 8192):
        widths = widths_up_to(longest)
        assert widths[-1] == longest
        lengths = np.arange(1, longest + 1)
        padded = widths[np.searchsorted(widths, lengths)]
        assert (padded >= lengths).all()
        assert ((padded - lengths < 8) | (padded - lengths <= lengths / 8)).all()
        assert set(widths[:-1].tolist()) <= set(widths_up_to(2 * longest).tolist())


def test_a_reranker_that_generates(tmp_path: Path) -> None:
    """A causal model scored by its yes and no tokens (padded on the left) gives what predict gives."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    sizes |= {"intermediate_size": 64, "vocab_size": len(WORDS), "max_position_embeddings": 128}
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(**sizes, initializer_range=0.2)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_text())
    data["model"]["vocab"]["yes"] = data["model"]["vocab"].pop("w198")
    data["model"]["vocab"]["no"] = data["model"]["vocab"].pop("w199")
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    anchors, documents = pairs(40)
    model = CrossEncoder(str(tmp_path), device="cpu")
    listed = [list(pair) for pair in zip(anchors, documents, strict=True)]
    logits = model.predict(listed, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert model.tokenizer.padding_side == "left"
    teacher = CrossEncoderTeacher(str(tmp_path))
    np.testing.assert_allclose(teacher.score(anchors, documents), logits, atol=1e-4)
    assert teacher.resolved_scale == "probability"


def test_max_length_and_dtype_are_used(models: dict[str, Path]) -> None:
    """max_length cuts what a model in memory would read, and leaves the model as it was; bfloat16 is near float32."""
    model = live(models["ce"])
    model.train()
    anchors, documents = pairs()
    whole, short = CrossEncoderTeacher(model), CrossEncoderTeacher(model, max_length=16)
    cut = short.score(anchors, documents)
    assert (model.max_seq_length, model.training) == (60, True)
    np.testing.assert_allclose(
        cut, CrossEncoderTeacher(str(models["ce"]), max_length=16).score(anchors, documents), atol=1e-5
    )
    scores = whole.score(anchors, documents)
    assert np.abs(cut - scores).max() > 1e-3
    half = CrossEncoderTeacher(str(models["ce"]), dtype="bfloat16").score(anchors, documents)
    assert 1e-6 < np.abs(half - scores).max() < 0.2
    with pytest.raises(SettingError, match="at most 60 tokens"):
        CrossEncoderTeacher(model, max_length=61).score(["w1"], ["w2"])


def test_a_prompt_is_put_before_the_anchor(models: dict[str, Path]) -> None:
    """As CrossEncoder.predict(prompt=...) does it."""
    import torch

    anchors, documents = pairs(20)
    listed = [list(pair) for pair in zip(anchors, documents, strict=True)]
    identity = torch.nn.Identity()
    wanted = live(models["ce"]).predict(listed, prompt="w7 w7 ", activation_fn=identity, show_progress_bar=False)
    teacher = CrossEncoderTeacher(str(models["ce"]), prompt="w7 w7 ")
    np.testing.assert_allclose(teacher.score(anchors, documents), wanted, atol=1e-5)
    assert teacher.digest != CrossEncoderTeacher(str(models["ce"])).digest


def test_what_the_digest_follows(models: dict[str, Path], tmp_path: Path) -> None:
    """A weight, max_length, dtype and prompt change it; the folder's name, the scale and batch_size do not."""
    from safetensors.numpy import load_file, save_file

    folder = models["ce"]
    digest = CrossEncoderTeacher(str(folder)).digest
    other = copied(folder, tmp_path / "other")
    (other / "config.json").write_bytes((folder / "config.json").read_bytes())
    same = [CrossEncoderTeacher(other), CrossEncoderTeacher(str(folder), scale="logit", batch_size=8)]
    assert {teacher.digest for teacher in same} == {digest}
    weights = load_file(other / "model.safetensors")
    weights["classifier.bias"][0] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    settings: list[dict[str, Any]] = [{"max_length": 50}, {"dtype": "float32"}, {"dtype": "bfloat16"}, {"prompt": "p"}]
    changed = [CrossEncoderTeacher(other), *(CrossEncoderTeacher(str(folder), **setting) for setting in settings)]
    assert len({digest, *(teacher.digest for teacher in changed)}) == 6


def test_changed_weights_are_noticed(models: dict[str, Path]) -> None:
    """A live model that was trained on is another teacher; scores are not filed under the old digest."""
    import torch

    teacher = CrossEncoderTeacher(live(models["ce"]))
    before = teacher.digest
    teacher.score(["w1"], ["w2"], expected=before)
    with torch.no_grad():
        teacher.model.model.classifier.bias += 1
    assert teacher.digest != before
    with pytest.raises(SettingError, match="no longer the teacher"):
        teacher.score(["w1"], ["w2"], expected=before)


def test_what_is_no_teacher(models: dict[str, Path], tmp_path: Path) -> None:
    """Two labels, no scoring head, another kind of model, no folder: refused before anything is loaded."""
    with pytest.raises(SettingError, match=r"gives 2 scores per pair .*FunctionTeacher"):
        CrossEncoderTeacher(str(models["two"]))
    with pytest.raises(SettingError, match="gives 2 scores per pair"):
        CrossEncoderTeacher(live(models["two"]))
    with pytest.raises(SettingError, match="without a scoring head"):
        CrossEncoderTeacher(str(models["bert"]))
    with pytest.raises(SettingError, match="is a SentenceTransformer, no cross-encoder"):
        CrossEncoderTeacher(models["st"])
    with pytest.raises(SettingError, match="give it to CrossEncoderTeacher"):
        BiEncoderTeacher(str(models["ce"]))
    with pytest.raises(SettingError, match="no such folder"):
        CrossEncoderTeacher("./nowhere")
    with pytest.raises(SettingError, match="must be a Hub id, a folder, or a CrossEncoder"):
        CrossEncoderTeacher(object())
    with pytest.raises(SettingError, match="None for a live model"):
        CrossEncoderTeacher(live(models["ce"]), dtype="bfloat16")
    softplus = copied(models["ce"], tmp_path / "softplus", sbert_ce_default_activation_function="torch.nn.Softplus")
    with pytest.raises(SettingError, match="pass scale='probability'"):
        _ = CrossEncoderTeacher(str(softplus)).resolved_scale
    for setting in ({"batch_size": 0}, {"max_length": 1.5}, {"dtype": "int8"}, {"scale": "cosine"}):
        with pytest.raises(SettingError, match=next(iter(setting))):
            CrossEncoderTeacher(str(models["ce"]), **setting)


def test_nan_is_refused_by_name(models: dict[str, Path]) -> None:
    """The message quotes anchor and document; finite scores of the batch are handed on first."""
    import torch

    model = live(models["ce"])
    with torch.no_grad():
        model.model.bert.embeddings.word_embeddings.weight[WORDS.index("w9")] = torch.nan
    handed: list[int] = []
    with pytest.raises(NonFiniteError, match=r"pair 2: anchor 'w3', document 'w9 w4'"):
        CrossEncoderTeacher(model).score(
            ["w1", "w2", "w3"], ["w5", "w6", "w9 w4"], on_scored=lambda at, _: handed.extend(at.tolist())
        )
    assert handed == [0, 1]


@needs_teacher
def test_a_real_model() -> None:
    """The right answer scores above the wrong one, and logits are those of predict."""
    import torch
    from sentence_transformers import CrossEncoder

    anchors = ["What are the symptoms of glaucoma?"] * 2
    documents = ["Glaucoma often has no symptoms at first; side vision is lost slowly.", "The capital is Paris."]
    teacher = CrossEncoderTeacher(TEACHER, max_length=128)
    raw = teacher.score(anchors, documents)
    model = CrossEncoder(str(TEACHER), max_length=128, device="cpu")
    listed = [list(pair) for pair in zip(anchors, documents, strict=True)]
    np.testing.assert_allclose(
        raw, model.predict(listed, activation_fn=torch.nn.Identity(), show_progress_bar=False), atol=1e-5
    )
    assert teacher.resolved_scale == "probability"
    assert teacher.scaled(raw)[0] > 0.5 > teacher.scaled(raw)[1]


# BiEncoderTeacher.


def test_vectors_as_judge(models: dict[str, Path]) -> None:
    """The model's own pairwise similarity; each distinct text is encoded once per call."""
    from sentence_transformers import SentenceTransformer

    anchors, documents = pairs()
    documents = [documents[i % 30] for i in range(len(documents))]
    model = SentenceTransformer(str(models["st"]), device="cpu")
    wanted = model.similarity_pairwise(model.encode_query(anchors), model.encode_document(documents)).numpy()
    teacher = BiEncoderTeacher(str(models["st"]))
    scores = teacher.score(anchors, documents)
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert (teacher.resolved_scale, teacher.bounded_below) == ("cosine", True)
    asked: list[str] = []
    encode = model.encode_document
    model.encode_document = lambda texts, **settings: asked.extend(texts) or encode(texts, **settings)
    np.testing.assert_allclose(BiEncoderTeacher(model).score(anchors, documents), scores, atol=1e-5)
    assert sorted(asked) == sorted(set(documents))


def test_inner_products_are_raw(models: dict[str, Path]) -> None:
    """A model of dot similarity; a relative margin is refused, a Euclidean model too."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(models["st"]), device="cpu", similarity_fn_name="dot")
    anchors, documents = pairs(30)
    teacher = BiEncoderTeacher(model)
    wanted = (model.encode_query(anchors) * model.encode_document(documents)).sum(axis=1)
    np.testing.assert_allclose(teacher.score(anchors, documents), wanted, rtol=1e-5)
    assert teacher.resolved_scale == "raw"
    assert "absolute margin" in str(teacher.why_no_relative_margin)
    with pytest.raises(SettingError, match="compares by dot"):
        BiEncoderTeacher(model, scale="cosine")
    model.similarity_fn_name = "euclidean"
    with pytest.raises(SettingError, match="euclidean"):
        BiEncoderTeacher(model)


def test_several_vectors_as_judge(models: dict[str, Path]) -> None:
    """MaxSim of a MultiVectorEncoder, found out from the folder or the object."""
    import sentence_transformers

    if (kind := getattr(sentence_transformers, "MultiVectorEncoder", None)) is None:
        pytest.skip("MultiVectorEncoder came with sentence-transformers 6")
    anchors, documents = pairs(40)
    model = kind(str(models["mv"]), device="cpu")
    wanted = model.similarity_pairwise(model.encode_query(anchors), model.encode_document(documents)).numpy()
    for given in (str(models["mv"]), model):
        teacher = BiEncoderTeacher(given)
        np.testing.assert_allclose(teacher.score(anchors, documents), wanted, rtol=1e-5)
        assert teacher.resolved_scale == "raw"


def test_several_vectors_without_their_library(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of several vectors per text is no SentenceTransformer: sentence-transformers 5 is told to be too old."""
    import sentence_transformers

    folder = shutil.copytree(models["st"], tmp_path / "colbert")
    settings = folder / "config_sentence_transformers.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "similarity_fn_name": "maxsim"}))
    monkeypatch.delattr(sentence_transformers, "MultiVectorEncoder", raising=False)
    with pytest.raises(SettingError, match=r"pip install -U 'sentence-transformers>=6'"):
        BiEncoderTeacher(str(folder)).score(["w1"], ["w2"])


# Processes.


def in_child(calls: list[Callable[[], Any]]) -> list[str]:
    """What each call raises in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        messages = []
        for call in calls:
            try:
                call()
                messages.append("nothing raised")
            except Exception as error:
                messages.append(f"{type(error).__name__}: {error}")
        os.write(write, json.dumps(messages).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    said: list[str] = json.loads(os.read(read, 100_000))
    return said


def ones(anchors: list[str], documents: list[str]) -> list[float]:
    return [1.0] * len(anchors)


def test_a_forked_child_is_refused(models: dict[str, Path]) -> None:
    """Every teacher raises in a forked worker instead of hanging."""
    teachers = [
        CrossEncoderTeacher(str(models["ce"])),
        BiEncoderTeacher(str(models["st"])),
        EndpointTeacher("http://127.0.0.1:9"),
        FunctionTeacher(ones, id="ones"),
    ]
    teachers += [MeanOfTeachers(teachers)]
    said = in_child([lambda teacher=teacher: teacher.score(["a"], ["b"]) for teacher in teachers])  # type: ignore[misc]
    assert len(said) == len(teachers)
    assert all("ProcessError" in message and "num_proc=None" in message for message in said), said


def run_python(code: str, *given: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


UNPICKLE = """
import pickle, sys
for path in sys.argv[1:]:
    teacher = pickle.load(open(path, "rb"))
    try:
        print(teacher.digest, teacher.score(["w1"], ["w2"]).tolist())
    except Exception as error:
        print(teacher.digest, type(error).__name__, error)
"""


def test_a_live_model_stays_in_its_process(models: dict[str, Path], tmp_path: Path) -> None:
    """Its pickle is small, finds it again here, and elsewhere says what to do; a folder is loaded there."""
    teachers = [CrossEncoderTeacher(live(models["ce"])), CrossEncoderTeacher(str(models["ce"]))]
    raw = [pickle.dumps(teacher) for teacher in teachers]
    assert all(len(data) < 2_000 for data in raw)
    assert pickle.loads(raw[0]).model is teachers[0].model
    for i in range(2):
        (tmp_path / str(i)).write_bytes(raw[i])
    said = run_python(UNPICKLE, *(str(tmp_path / str(i)) for i in range(2))).splitlines()
    assert [line.split()[0] for line in said] == [teacher.digest for teacher in teachers]
    assert "ProcessError this model lives in the memory of another process; save it first" in said[0]
    assert float(said[1].split()[1].strip("[]")) == pytest.approx(teachers[1].score(["w1"], ["w2"])[0], abs=1e-5)


def test_pickles_follow_the_weights(models: dict[str, Path], tmp_path: Path) -> None:
    """Equal for the same checkpoint, another for another; a pickle whose files have changed is refused."""
    folder = copied(models["ce"], tmp_path / "ce")
    teacher = CrossEncoderTeacher(str(folder))
    before = pickle.dumps(teacher)
    assert pickle.dumps(CrossEncoderTeacher(str(folder))) == before
    teacher.score(["w1"], ["w2"])
    assert pickle.dumps(teacher) == before
    copied(models["ce"], tmp_path / "new", initializer_range=0.5)
    shutil.copy(tmp_path / "new/config.json", folder)
    assert pickle.dumps(CrossEncoderTeacher(str(folder))) != before
    with pytest.raises(ProcessError, match="files have changed"):
        pickle.loads(before).score(["w1"], ["w2"])


def test_imports_and_digests_are_light(models: dict[str, Path]) -> None:
    """Importing the teachers, a digest and a scale load no torch."""
    code = (
        "import sys; from hfneg.steps.teachers import *; t = CrossEncoderTeacher(sys.argv[1]); "
        "print(t.digest, t.resolved_scale); b = BiEncoderTeacher(sys.argv[2]); b.digest, b.resolved_scale; "
        "assert not {'torch', 'sentence_transformers'} & set(sys.modules)"
    )
    assert run_python(code, str(models["ce"]), str(models["st"])).split()[1] == "probability"


# Functions and ensembles.


def test_a_function_as_teacher() -> None:
    """Pairs arrive aligned and in batches; the id is the digest."""
    sizes: list[int] = []

    def length(anchors: list[str], documents: list[str]) -> np.ndarray:
        sizes.append(len(anchors))
        return np.array([len(a) - len(d) for a, d in zip(anchors, documents, strict=True)])

    teacher = FunctionTeacher(length, id="length-1", batch_size=4)
    anchors, documents = pairs(10)
    assert teacher.score(anchors, documents).tolist() == [
        len(a) - len(d) for a, d in zip(anchors, documents, strict=True)
    ]
    assert sizes == [4, 4, 2]
    assert teacher.digest == FunctionTeacher(ones, id="length-1").digest != FunctionTeacher(ones, id="length-2").digest
    assert pickle.loads(pickle.dumps(teacher)).function is length
    assert teacher.score([], []).shape == (0,)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ([1.0], TeacherError, r"shape \(1,\) for 2 pairs"),
        ([[1.0, 2.0]] * 2, TeacherError, "one score per pair"),
        (None, TeacherError, "one score per pair"),
        (["a", "b"], TeacherError, "no array of numbers"),
        ([0.5, float("nan")], NonFiniteError, r"pair 1: anchor 'q2', document 'd2'"),
        ([1e300, 0.5], NonFiniteError, "pair 0"),
    ],
)
def test_a_function_that_breaks_its_contract(answer: Any, error: type[Exception], said: str) -> None:
    """Wrong counts, shapes and numbers that are none: an error that says so."""
    with pytest.raises(error, match=said):
        FunctionTeacher(lambda anchors, documents: answer, id="bad").score(["q1", "q2"], ["d1", "d2"])


def test_bad_input_is_refused() -> None:
    """Lists of several lengths, no texts, no id, a function that is a text."""
    teacher = FunctionTeacher(ones, id="ones")
    with pytest.raises(InputError, match="same length"):
        teacher.score(["a", "b"], ["d"])
    with pytest.raises(InputError, match="same length"):
        teacher.score("a", "d")
    with pytest.raises(InputError, match="document 1 is None"):
        teacher.score(["a", "b"], ["d", None])  # type: ignore[list-item]
    with pytest.raises(SettingError, match="id must be"):
        FunctionTeacher(ones, id="")
    with pytest.raises(SettingError, match=r"subclass hfneg\.Teacher"):
        FunctionTeacher("os.system", id="x")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="teachers must be"):
        MeanOfTeachers([])  # type: ignore[arg-type]


def test_what_came_before_a_failure_is_handed_on() -> None:
    """on_scored has every finished batch when a later one raises, also an error that is not ours."""

    def third_fails(anchors: list[str], documents: list[str]) -> list[float]:
        if "d4" in documents:
            raise RuntimeError("the device was lost")
        return [float(document[1:]) for document in documents]

    kept: dict[int, float] = {}
    teacher = FunctionTeacher(third_fails, id="x", batch_size=2)
    with pytest.raises(RuntimeError, match="the device was lost"):
        teacher.score(
            ["q"] * 6,
            [f"d{i}" for i in range(6)],
            on_scored=lambda at, scores: kept.update(zip(at.tolist(), scores.tolist(), strict=True)),
        )
    assert kept == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}


def test_scales() -> None:
    """Reading raw scores: sigmoid or identity, NaN stays; a relative margin makes sense where there is a lower end."""
    raw = np.array([-1000, -2, 0, 3, np.nan], dtype=np.float32)
    teachers = {scale: FunctionTeacher(ones, id="x", scale=scale) for scale in FunctionTeacher.scales}
    assert len({teacher.digest for teacher in teachers.values()}) == 1
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-raw.astype(np.float64)))
    np.testing.assert_array_equal(teachers["probability"].scaled(raw), sigmoid.astype(np.float32))
    for scale in ("logit", "cosine", "raw"):
        np.testing.assert_array_equal(teachers[scale].scaled(raw), raw)
    np.testing.assert_array_equal(teachers["from_zero"].scaled(raw[2:]), raw[2:])
    with pytest.raises(SettingError, match="scores begin at 0"):
        teachers["from_zero"].scaled(raw)
    sensible = {scale for scale, teacher in teachers.items() if teacher.why_no_relative_margin is None}
    assert sensible == {"probability", "cosine", "from_zero"}
    assert "pass scale='probability'" in str(teachers["logit"].why_no_relative_margin)


def test_ensembles_combine_scaled_scores() -> None:
    """score equals combine over the members' stored raw scores; nesting works; the scale is in the digest."""
    teachers = [
        FunctionTeacher(lambda a, d, i=i: [float(i + len(x)) for x in d], id=f"t{i}", scale="probability")  # type: ignore[misc]
        for i in (-2, 0, 3)
    ]
    both = MeanOfTeachers([teachers[0], MinOfTeachers(teachers[1:])])  # type: ignore[arg-type]
    anchors, documents = ["q", "q"], ["d", "dd"]
    assert both.members == tuple(teachers)
    raw = [member.score(anchors, documents) for member in both.members]
    scaled = [member.scaled(values) for member, values in zip(both.members, raw, strict=True)]
    wanted = (scaled[0].astype(np.float64) + np.minimum(scaled[1], scaled[2])) / 2
    np.testing.assert_array_equal(both.combine(scaled), wanted.astype(np.float32))
    np.testing.assert_array_equal(both.score(anchors, documents), both.combine(scaled))
    np.testing.assert_array_equal(both.scaled(both.score(anchors, documents)), both.combine(scaled))
    assert both.resolved_scale == "probability"
    other = MeanOfTeachers([teachers[0], FunctionTeacher(ones, id="t0", scale="logit")])  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="members of one scale"):
        other.score(anchors, documents)
    assert MeanOfTeachers(teachers[:2]).digest != MinOfTeachers(teachers[:2]).digest  # type: ignore[arg-type]


def test_repr_is_recipe_text(models: dict[str, Path]) -> None:
    """What is not at its default, as plain values; it evaluates to an equal teacher."""
    teachers = [
        CrossEncoderTeacher("BAAI/bge-reranker-v2-m3", scale="probability"),
        BiEncoderTeacher("a/b", query_prompt="query: "),
        EndpointTeacher("http://host:80/", id="x"),
    ]
    assert repr(teachers[0]) == "CrossEncoderTeacher(model='BAAI/bge-reranker-v2-m3', scale='probability')"
    for teacher in (*teachers, MinOfTeachers(teachers)):  # type: ignore[arg-type]
        assert eval(repr(teacher)) == teacher
    assert repr(FunctionTeacher(ones, id="x")) == "FunctionTeacher(function='ones', id='x')"
    in_memory = CrossEncoderTeacher(live(models["ce"]))
    assert repr(in_memory) == f"CrossEncoderTeacher(model='CrossEncoder@{in_memory.digest[:12]}')"
    assert all(getattr(hfneg, kind.__name__) is kind and issubclass(kind, Teacher) for kind in TEACHERS)


# EndpointTeacher.

INFO = {"model_id": "a/b", "model_sha": "0" * 40, "model_dtype": "float16", "max_input_length": 512, "version": "1.9"}
Answer = tuple[int, Any, dict[str, str]]


class Rerank:
    """A loopback server; `answer(n-th request, body)` may replace what it says."""

    def __init__(self, answer: Callable[[int, dict[str, Any]], Answer | None] | None = None) -> None:
        self.answer = answer or (lambda n, body: None)
        self.info: Any = INFO
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.under_way = self.most = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *given: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.say(200 if outer.info else 404, outer.info or {"error": "not found"}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.asked.append(body)
                    outer.headers.append(self.headers)
                    outer.under_way += 1
                    outer.most = max(outer.most, outer.under_way)
                    number = len(outer.asked)
                try:
                    said = outer.answer(number, body) or (200, ranks(body), {})
                finally:
                    with outer.lock:
                        outer.under_way -= 1
                with contextlib.suppress(OSError):
                    self.say(*said)

            def say(self, code: int, content: Any, headers: dict[str, str]) -> None:
                payload = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(payload))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def score_of(anchor: str, document: str) -> float:
    return len(anchor) + len(document) / 8


def ranks(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Best first, as the real server answers."""
    rows = [{"index": i, "score": score_of(body["query"], text)} for i, text in enumerate(body["texts"])]
    return sorted(rows, key=lambda row: -row["score"])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rerank]]:
    monkeypatch.setattr(requests, "FIRST_WAIT", 0.01)
    servers: list[Rerank] = []

    def start(answer: Callable[[int, dict[str, Any]], Answer | None] | None = None) -> Rerank:
        servers.append(Rerank(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_an_endpoint_scores(serve: Callable[..., Rerank], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of an anchor go together, at most batch_size; raw scores are asked for and put back in order."""
    monkeypatch.setenv("HFNEG_ENDPOINT_TOKEN", "secret")
    server = serve()
    anchors, documents = pairs(50)
    order = np.random.default_rng(0).permutation(50)
    anchors, documents = [anchors[i] for i in order], [documents[i] for i in order]
    teacher = EndpointTeacher(server.url, model="a/b", batch_size=7, concurrency=3)
    wanted = [score_of(a, d) for a, d in zip(anchors, documents, strict=True)]
    assert teacher.score(anchors, documents).tolist() == wanted
    assert sorted(len(body["texts"]) for body in server.asked) == [3] * 5 + [7] * 5
    assert all(body["raw_scores"] is True and body["truncate"] is True for body in server.asked)
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}
    assert "secret" not in repr(teacher)
    assert teacher.resolved_scale == "probability"


def test_no_more_requests_than_concurrency(serve: Callable[..., Rerank]) -> None:
    """Three at once where three are allowed."""
    third = threading.Event()  # the first two wait for a third, however slow the machine is

    def answer(n: int, body: Any) -> None:
        if server.most == 3:
            third.set()
        third.wait(20)

    server = serve(answer)
    EndpointTeacher(server.url, batch_size=1, concurrency=3).score(["q"] * 20, ["d"] * 20)
    assert server.most == 3


@pytest.mark.parametrize("retry_after", [{}, {"Retry-After": "0.3"}])
def test_a_busy_server_is_asked_again(serve: Callable[..., Rerank], retry_after: dict[str, str]) -> None:
    """429 twice, then an answer; not before Retry-After has passed."""
    server = serve(lambda n, body: (429, {"error": "Model is overloaded"}, retry_after) if n < 3 else None)
    start = time.perf_counter()
    assert EndpointTeacher(server.url).score(["q"], ["d"]).tolist() == [score_of("q", "d")]
    assert len(server.asked) == 3
    assert (time.perf_counter() - start > 0.6) == bool(retry_after)


def test_a_failing_server_loses_nothing(serve: Callable[..., Rerank]) -> None:
    """500 for ever on one anchor: an error after all tries, and what was answered is handed on."""
    server = serve(lambda n, body: (500, {"error": "boom"}, {}) if body["query"] == "q3" else None)
    kept: dict[int, float] = {}
    teacher = EndpointTeacher(server.url, retries=2, concurrency=2)
    with pytest.raises(EndpointError, match=r"answered 500 \(boom\) \(3 tries\)"):
        teacher.score(
            [f"q{i}" for i in range(8)],
            ["d"] * 8,
            on_scored=lambda at, scores: kept.update(zip(at.tolist(), scores.tolist(), strict=True)),
        )
    assert {0, 1, 2} <= set(kept) <= {0, 1, 2, 4, 5, 6, 7}
    assert sum(body["query"] == "q3" for body in server.asked) == 3


def test_a_slow_server_times_out(serve: Callable[..., Rerank]) -> None:
    """No answer within the time: tried again, then an error that says what to raise."""
    server = serve(lambda n, body: time.sleep(0.6))
    with pytest.raises(EndpointError, match=r"no answer within 0.1 s \(2 tries\).*raise timeout"):
        EndpointTeacher(server.url, timeout=0.1, retries=1).score(["q"], ["d"])


def test_a_server_that_is_down() -> None:
    """Nothing listens: an error with the url, also where the digest asks for /info."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(EndpointError, match=rf"{url}/rerank cannot be reached"):
        EndpointTeacher(url, id="x", retries=0).score(["q"], ["d"])
    with pytest.raises(EndpointError, match=rf"{url}/info cannot be reached"):
        _ = EndpointTeacher(url, retries=0).digest


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>", {}), "no JSON"),
        ((200, {"results": []}, {}), "was expected"),
        ((200, [], {}), "0 scores for 2 texts"),
        ((200, [{"index": 0, "score": 1.0}], {}), "1 scores for 2 texts"),
        ((200, [{"index": 0, "score": 1.0}] * 2, {}), "one per text"),
        ((200, [{"index": 0, "score": "x"}, {"index": 1, "score": 1}], {}), "was expected"),
        ((413, {"error": "batch size 2 > maximum 1", "error_type": "Validation"}, {}), "maximum 1.*lower batch_size"),
        ((401, b"", {}), "HFNEG_ENDPOINT_TOKEN"),
        ((404, b"", {}), "without /rerank"),
    ],
)
def test_nonsense_is_refused_at_once(serve: Callable[..., Rerank], answer: Answer, said: str) -> None:
    """Garbage, wrong counts and refusals are not asked again."""
    server = serve(lambda n, body: answer)
    with pytest.raises(EndpointError, match=said):
        EndpointTeacher(server.url).score(["q", "q"], ["d1", "d2"])
    assert len(server.asked) == 1


def test_nan_of_an_endpoint_names_the_pair(serve: Callable[..., Rerank]) -> None:
    """The server writes NaN as null."""
    server = serve(lambda n, body: (200, [{"index": 0, "score": None}, {"index": 1, "score": 1}], {}))
    with pytest.raises(NonFiniteError, match="pair 0: anchor 'q', document 'd1'"):
        EndpointTeacher(server.url).score(["q", "q"], ["d1", "d2"])


def test_an_endpoint_counts_by_what_it_serves(serve: Callable[..., Rerank]) -> None:
    """By model, commit, precision and longest input, or by id; not by url, version or scale. A change is noticed."""
    one, two = serve(), serve()
    two.info = {**INFO, "version": "2.0"}
    digest = EndpointTeacher(one.url).digest
    assert EndpointTeacher(two.url, scale="logit", batch_size=4).digest == digest
    for change in ({"model_sha": "1" * 40}, {"model_dtype": "float32"}, {"max_input_length": 128}, {"model_id": "c/d"}):
        two.info = {**INFO, **change}
        assert EndpointTeacher(two.url).digest != digest
    assert EndpointTeacher(one.url, truncate=False).digest != digest
    assert EndpointTeacher(one.url, id="x").digest == EndpointTeacher(two.url, id="x").digest
    with pytest.raises(EndpointError, match="serves 'c/d', not 'a/b'"):
        _ = EndpointTeacher(two.url, model="a/b").digest
    for info in ({**INFO, "model_sha": None}, ["x"]):
        two.info = info
        with pytest.raises(EndpointError, match="pass id="):
            _ = EndpointTeacher(two.url).digest
    teacher = pickle.loads(pickle.dumps(EndpointTeacher(one.url)))
    assert teacher.score(["q"], ["d"]).tolist() == [score_of("q", "d")]
    one.info = {**INFO, "model_sha": "2" * 40}
    with pytest.raises(EndpointError, match="another model than when"):
        teacher.score(["q"], ["d"])


def test_endpoint_settings_are_checked() -> None:
    """No url, a password in it, sizes below 1."""
    for url in ("host:80", "file:///etc/passwd", "http://user:password@host", "http://host/?key=1", ""):
        with pytest.raises(SettingError, match="url must be"):
            EndpointTeacher(url)
    for setting in (
        {"batch_size": 0},
        {"concurrency": 0},
        {"retries": -1},
        {"timeout": 0},
        {"id": ""},
        {"truncate": 1},
    ):
        with pytest.raises(SettingError, match=f"{next(iter(setting))} must be"):
            EndpointTeacher("http://host", **setting)  # type: ignore[arg-type]
