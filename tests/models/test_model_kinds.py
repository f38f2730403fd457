"""Every slot that takes a model refuses another kind of model before any work, and says where that kind belongs."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentence_transformers
from datasets import Dataset
from small_models import save_encoder, save_teacher, tokenizer
from training_small import PAIRS, TEXTS, static_model

import hfneg
from hfneg.errors import SettingError

SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


def save_bert(folder: Path, kind: str) -> Path:
    """A transformer of random weights as transformers saves it: nothing of sentence-transformers."""
    import transformers

    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer(), mask_token="[MASK]", **names)
    fast.save_pretrained(folder)
    config = transformers.BertConfig(**SIZES, vocab_size=tokenizer().get_vocab_size(), max_position_embeddings=64)
    getattr(transformers, kind)(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder of each kind; "old" are without what sentence-transformers 5 and later say of the kind."""
    root = tmp_path_factory.mktemp("models")
    made = {"static": save_encoder(root / "static"), "reranker": save_teacher(root / "reranker")}
    made |= {"bare": save_bert(root / "bare", "BertModel"), "masked": save_bert(root / "masked", "BertForMaskedLM")}
    for name, kind, base in (
        ("bi", "SentenceTransformer", "bare"),
        ("cross", "CrossEncoder", "reranker"),
        ("splade", "SparseEncoder", "masked"),
        ("multi", "MultiVectorEncoder", "bare"),
    ):
        if not hasattr(sentence_transformers, kind):
            continue
        made[name] = root / name
        getattr(sentence_transformers, kind)(str(made[base]), device="cpu").save_pretrained(str(made[name]))
        made[f"old {name}"] = without_kind(made[name], root / f"old {name}")
    return made


def without_kind(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    path = target / "config_sentence_transformers.json"
    if path.is_file():
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "model_type"}))
    return target


VECTOR_SLOTS: dict[str, Callable[[str], Any]] = {
    "Dense": lambda name: hfneg.Dense(name),
    "PositiveSimilarity": lambda name: hfneg.PositiveSimilarity(name, below=0.8),
    "OtherCluster": lambda name: hfneg.OtherCluster(name, clusters=2),
    "NearAnchorPositives": lambda name: hfneg.NearAnchorPositives(name),
    "Training": lambda name: hfneg.Training(model=name),
    "recipe": lambda name: hfneg.Recipe.from_yaml(f"retrievers: Dense(model={name!r})"),
    "audit's reference": lambda name: hfneg.audit(ROWS, reference=name),
}
ROWS = Dataset.from_dict({"anchor": ["a b", "c d"], "positive": ["a", "c"], "negative": ["x", "y"]})
CROSS, SPARSE, MULTI = "give it to CrossEncoderTeacher", "no retriever for them", "give it to BiEncoderTeacher"


@pytest.mark.parametrize("slot", VECTOR_SLOTS)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("reranker", CROSS),
        ("cross", CROSS),
        ("old cross", CROSS),
        ("splade", SPARSE),
        ("old splade", SPARSE),
        ("multi", MULTI),
        ("old multi", MULTI),
    ],
)
def test_slots_for_vectors(kind: str, said: str, slot: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """A reranker, SPLADE or ColBERT is refused where single vectors are wanted; a bi-encoder is taken."""
    if kind not in folders:
        pytest.skip("this sentence-transformers has no such model")
    with pytest.raises(SettingError, match=said):
        VECTOR_SLOTS[slot](str(folders[kind]))


@pytest.mark.parametrize("slot", [slot for slot in VECTOR_SLOTS if slot != "audit's reference"])
@pytest.mark.parametrize("kind", ["static", "bi", "old bi", "bare", "masked"])
def test_encoders_are_taken(kind: str, slot: str, folders: dict[str, Path]) -> None:
    """Also a bare transformer, as a training may begin with one."""
    VECTOR_SLOTS[slot](str(folders[kind]))


def test_a_bare_transformer_is_named(folders: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """What sentence-transformers did not save is said to be averaged, once it is loaded."""
    with caplog.at_level(logging.WARNING, logger="hfneg"):
        hfneg.Dense(str(folders["masked"])).encoder.encode(["a fault"], "query")
        assert "its token vectors are averaged, a head is left out" in caplog.text
        caplog.clear()
        hfneg.Dense(str(folders["static"])).encoder.encode(["a fault"], "query")
        assert "averaged" not in caplog.text


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("bi", "BiEncoderTeacher"),
        ("old bi", "BiEncoderTeacher"),
        ("static", "BiEncoderTeacher"),
        ("bare", "is a BertModel, no cross-encoder; it is without a scoring head"),
        ("masked", "is a BertForMaskedLM, no cross-encoder; it is without a scoring head"),
        ("splade", "FunctionTeacher"),
        ("old splade", "FunctionTeacher"),
        ("multi", "BiEncoderTeacher"),
    ],
)
def test_no_head_is_made_at_random(kind: str, said: str, folders: dict[str, Path]) -> None:
    """CrossEncoderTeacher refuses whatever has no saved head."""
    if kind not in folders:
        pytest.skip("this sentence-transformers has no such model")
    with pytest.raises(SettingError, match=said):
        hfneg.CrossEncoderTeacher(str(folders[kind]))


def test_a_config_that_names_no_architecture(folders: dict[str, Path], tmp_path: Path) -> None:
    """Nothing says that there is a head, so there is none."""
    shutil.copytree(folders["bare"], tmp_path / "unnamed")
    path = tmp_path / "unnamed" / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "architectures"}))
    with pytest.raises(SettingError, match="names no architecture, no cross-encoder; it is without a scoring head"):
        hfneg.CrossEncoderTeacher(str(tmp_path / "unnamed"))


@pytest.mark.parametrize(("kind", "said"), [("cross", CROSS), ("reranker", CROSS), ("splade", "FunctionTeacher")])
def test_bi_encoder_teacher(kind: str, said: str, folders: dict[str, Path]) -> None:
    """It takes bi-encoders and ColBERT."""
    with pytest.raises(SettingError, match=said):
        hfneg.BiEncoderTeacher(str(folders[kind]))
    for taken in ("static", "bi", "multi"):
        if taken in folders:
            hfneg.BiEncoderTeacher(str(folders[taken]))


@pytest.mark.parametrize(("kind", "folder"), [("SparseEncoder", "splade"), ("CrossEncoder", "cross")])
def test_models_in_memory(kind: str, folder: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """The same for a live model, also where a trainer of that kind calls `HardNegativeRefresh`."""
    model = getattr(sentence_transformers, kind)(str(folders[folder]), device="cpu")
    for slot in (hfneg.Dense, hfneg.BiEncoderTeacher):
        with pytest.raises(SettingError, match=f"{kind}"):
            slot(model)
    anchors = hfneg.Anchors(PAIRS, hfneg.Corpus.from_texts(TEXTS), anchor="query", positive="answer")
    recipe = hfneg.Recipe(retrievers=hfneg.Dense(static_model(0)), k=8, sampler=hfneg.TakeTop(2))
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, recipe, out=tmp_path / "r", every_steps=2)
    with pytest.raises(SettingError, match=f"{kind}"):
        refresh._mining(model)


def test_hub_ids_are_checked_before_work(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the commit is first asked for, as every digest does."""
    from hfneg.models import held, kinds, weights

    def saved(name: str, revision: Any, file: str) -> Any:
        path = folders[name.split("/")[1]] / file
        return json.loads(path.read_text()) if path.is_file() else {}

    for module in (kinds, weights):
        monkeypatch.setattr(module, "saved_content", saved)
    monkeypatch.setattr(held, "hub_commit", lambda repository, revision=None: "a" * 40)
    with pytest.raises(SettingError, match=SPARSE):
        _ = hfneg.Dense("org/splade").encoder.digest
    with pytest.raises(SettingError, match="BiEncoderTeacher"):
        _ = hfneg.CrossEncoderTeacher("org/bi").digest
    with pytest.raises(SettingError, match="CrossEncoderTeacher"):
        _ = hfneg.BiEncoderTeacher("org/cross").digest
    assert hfneg.Dense("org/bi").encoder.digest
