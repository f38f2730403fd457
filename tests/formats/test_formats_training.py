"""Every loss of sentence-transformers takes one real optimiser step on what our formats make.

The trainers, losses and collators are the installed ones; only the models are small and made here. For each
loss the collator's input is recorded, so that the columns, their order and the label are checked too.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from datasets.utils import disable_progress_bars
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
    SparseEncoder,
    SparseEncoderTrainer,
    SparseEncoderTrainingArguments,
)
from sentence_transformers.cross_encoder import losses as cross_losses
from sentence_transformers.sentence_transformer import losses as dense_losses
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.sparse_encoder import losses as sparse_losses
from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from hfneg import formats

try:
    from sentence_transformers import (
        MultiVectorEncoder,
        MultiVectorEncoderTrainer,
        MultiVectorEncoderTrainingArguments,
    )
    from sentence_transformers.multi_vector_encoder import losses as multi_losses
    from sentence_transformers.util import resolve_ids
except ImportError:
    MultiVectorEncoder = None
needs_6 = pytest.mark.skipif(MultiVectorEncoder is None, reason="came with sentence-transformers 6")

disable_progress_bars()

WORDS = ["red", "green", "blue", "round", "square", "heavy", "light", "apple", "stone", "water", "hill", "sea"]
ROWS = 6
PAIR = ["query", "answer"]
TUPLE = ["query", "answer", "negative_1", "negative_2"]


def mined() -> Dataset:
    """Six rows of made-up words with 2 or 3 negatives, ids, retriever's and teacher's scores."""
    counts = [2 + i % 2 for i in range(ROWS)]
    texts = [f"{WORDS[i]} {WORDS[(i * 5 + 3) % 12]}" for i in range(12)]
    lists = [[(i + 4 + j) % 12 for j in range(count)] for i, count in enumerate(counts)]
    return Dataset.from_dict(
        {
            "query_id": [f"q{i}" for i in range(ROWS)],
            "query": [f"which {WORDS[i]} thing" for i in range(ROWS)],
            "positive_ids": [[f"d{i}"] for i in range(ROWS)],
            "answer": texts[:ROWS],
            "hard_negatives": [[texts[k] for k in row] for row in lists],
            "hard_negative_ids": [[f"d{k}" for k in row] for row in lists],
            "hard_negative_scores": [[0.5 / (j + 1) for j in range(count)] for count in counts],
            "positive_scores": [[0.9]] * ROWS,
            "hard_negative_teacher_scores": [[-1.0 - j for j in range(count)] for count in counts],
            "positive_teacher_scores": [[4.0 - i] for i in range(ROWS)],
        }
    )


# ---------------------------------------------------------------- tiny models


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of one layer and 32 dimensions over the words above, on disk."""
    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[Q]", "[D]", "which", "thing", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast.from_pretrained(str(folder)).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def models(checkpoint: str) -> dict[str, Any]:
    """One model of each kind."""
    torch.manual_seed(0)
    transformer = Transformer(checkpoint)
    dense = SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())], device="cpu")
    sparse = SparseEncoder(modules=[MLMTransformer(checkpoint), SpladePooling()], device="cpu")
    cross = CrossEncoder(checkpoint, num_labels=1, max_length=32, device="cpu")
    several = {} if MultiVectorEncoder is None else {"multi": MultiVectorEncoder(checkpoint, device="cpu")}
    return {"dense": dense, "sparse": sparse, "cross": cross, **several}


@pytest.fixture
def fresh(models: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The shared models with their first weights, whatever an earlier test did to them."""
    first = {name: copy.deepcopy(model.state_dict()) for name, model in models.items()}
    yield models
    for name, model in models.items():
        model.load_state_dict(first[name])


TRAINERS: dict[str, tuple[Any, Any]] = {
    "dense": (SentenceTransformerTrainer, SentenceTransformerTrainingArguments),
    "sparse": (SparseEncoderTrainer, SparseEncoderTrainingArguments),
    "cross": (CrossEncoderTrainer, CrossEncoderTrainingArguments),
}
if MultiVectorEncoder is not None:
    TRAINERS["multi"] = MultiVectorEncoderTrainer, MultiVectorEncoderTrainingArguments


class Recording:
    """A collator that keeps the rows it was given and the batch it made."""

    def __init__(self, collator: Any) -> None:
        self.collator = collator
        self.features: list[dict[str, Any]] = []
        self.batch: dict[str, Any] = {}

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        self.features = features
        self.batch = self.collator(features)
        return dict(self.batch)

    def __getattr__(self, name: str) -> Any:
        if name == "collator":
            raise AttributeError(name)
        return getattr(self.collator, name)


def one_step(kind: str, model: Any, loss: Any, train: Dataset, folder: Path) -> Recording:
    """Train for one step; the loss must be finite and a weight must have moved."""
    trainer_class, arguments_class = TRAINERS[kind]
    arguments = arguments_class(
        output_dir=str(folder),
        max_steps=1,
        per_device_train_batch_size=16,
        learning_rate=0.01,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=1,
    )
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = trainer_class(model=model, args=arguments, train_dataset=train, loss=loss)
    recording = Recording(trainer.data_collator)
    trainer.data_collator = recording
    result = trainer.train()
    assert result.global_step == 1
    assert math.isfinite(result.training_loss)
    assert any(not torch.equal(before[name], weight) for name, weight in model.named_parameters())
    return recording


# ---------------------------------------------------------------- every loss


@dataclass(frozen=True)
class Case:
    """A loss, the format made for it, and the columns that its collator should see."""

    kind: str
    loss: Callable[[Any], Any]
    make: Callable[[Dataset], Dataset]
    inputs: list[str]
    label: str | None = None


def guided(loss: Any) -> Callable[[Any], Any]:
    """GIST needs a second encoder as its guide."""
    return lambda model: loss(model, copy.deepcopy(model))


def splade(loss: Any) -> Callable[[Any], Any]:
    """Sparse losses run only inside SpladeLoss; without regularisers only the inner loss moves weights."""
    return lambda model: sparse_losses.SpladeLoss(
        model, loss(model), document_regularizer_weight=0.0, query_regularizer_weight=0.0
    )


def two(make: Callable[..., Dataset]) -> Callable[[Dataset], Dataset]:
    return lambda ds: make(ds, n=2)


tuples, margins, distilled = two(formats.tuples), two(formats.margin_mse), two(formats.distillation)
triplets, labelled, scored, lists = (
    formats.triplets,
    formats.labelled_pairs,
    formats.scored_pairs,
    formats.listwise,
)
TRIPLET, LABELLED, LISTED = [*PAIR, "negative"], ["query", "document"], ["query", "documents"]


def bounded(ds: Dataset) -> Dataset:
    """Cosine-like scores, for the loss that wants them between -1 and 1."""
    return formats.scored_pairs(ds, scores="retriever")


def graded(ds: Dataset) -> Dataset:
    return formats.listwise(ds, graded=True)


CASES = {
    "dense MultipleNegativesRanking": Case("dense", dense_losses.MultipleNegativesRankingLoss, tuples, TUPLE),
    "dense CachedMultipleNegativesRanking": Case(
        "dense", dense_losses.CachedMultipleNegativesRankingLoss, tuples, TUPLE
    ),
    "dense Triplet": Case("dense", dense_losses.TripletLoss, triplets, TRIPLET),
    "dense GISTEmbed": Case("dense", guided(dense_losses.GISTEmbedLoss), triplets, TRIPLET),
    "dense CachedGISTEmbed": Case("dense", guided(dense_losses.CachedGISTEmbedLoss), triplets, TRIPLET),
    "dense Contrastive": Case("dense", dense_losses.ContrastiveLoss, labelled, LABELLED, "label"),
    "dense OnlineContrastive": Case("dense", dense_losses.OnlineContrastiveLoss, labelled, LABELLED, "label"),
    "dense CoSENT": Case("dense", dense_losses.CoSENTLoss, scored, LABELLED, "score"),
    "dense AnglE": Case("dense", dense_losses.AnglELoss, scored, LABELLED, "score"),
    "dense CosineSimilarity": Case("dense", dense_losses.CosineSimilarityLoss, bounded, LABELLED, "score"),
    "dense MarginMSE": Case("dense", dense_losses.MarginMSELoss, margins, TUPLE, "label"),
    "dense DistillKLDiv": Case("dense", dense_losses.DistillKLDivLoss, distilled, TUPLE, "label"),
    "sparse MultipleNegativesRanking": Case(
        "sparse", splade(sparse_losses.SparseMultipleNegativesRankingLoss), tuples, TUPLE
    ),
    "sparse Triplet": Case("sparse", splade(sparse_losses.SparseTripletLoss), triplets, TRIPLET),
    "sparse CoSENT": Case("sparse", splade(sparse_losses.SparseCoSENTLoss), scored, LABELLED, "score"),
    "sparse AnglE": Case("sparse", splade(sparse_losses.SparseAnglELoss), scored, LABELLED, "score"),
    "sparse CosineSimilarity": Case(
        "sparse", splade(sparse_losses.SparseCosineSimilarityLoss), bounded, LABELLED, "score"
    ),
    "sparse MarginMSE": Case("sparse", splade(sparse_losses.SparseMarginMSELoss), margins, TUPLE, "label"),
    "sparse DistillKLDiv": Case("sparse", splade(sparse_losses.SparseDistillKLDivLoss), distilled, TUPLE, "label"),
    "cross MultipleNegativesRanking": Case("cross", cross_losses.MultipleNegativesRankingLoss, tuples, TUPLE),
    "cross CachedMultipleNegativesRanking": Case(
        "cross", cross_losses.CachedMultipleNegativesRankingLoss, tuples, TUPLE
    ),
    "cross BinaryCrossEntropy": Case("cross", cross_losses.BinaryCrossEntropyLoss, labelled, LABELLED, "label"),
    "cross MSE": Case("cross", cross_losses.MSELoss, scored, LABELLED, "score"),
    "cross MarginMSE": Case("cross", cross_losses.MarginMSELoss, margins, TUPLE, "label"),
    "cross Lambda": Case("cross", cross_losses.LambdaLoss, lists, LISTED, "labels"),
    "cross ListNet": Case("cross", cross_losses.ListNetLoss, lists, LISTED, "labels"),
    "cross ListMLE": Case("cross", cross_losses.ListMLELoss, lists, LISTED, "labels"),
    "cross PListMLE": Case("cross", cross_losses.PListMLELoss, lists, LISTED, "labels"),
    "cross RankNet": Case("cross", cross_losses.RankNetLoss, lists, LISTED, "labels"),
    "cross Lambda graded": Case("cross", cross_losses.LambdaLoss, graded, LISTED, "labels"),
    "cross ListNet graded": Case("cross", cross_losses.ListNetLoss, graded, LISTED, "labels"),
}
if hasattr(cross_losses, "ADRMSELoss"):  # it came after sentence-transformers 5.4
    CASES |= {
        "cross ADRMSE": Case("cross", cross_losses.ADRMSELoss, lists, LISTED, "labels"),
        "cross ADRMSE graded": Case("cross", cross_losses.ADRMSELoss, graded, LISTED, "labels"),
    }
if MultiVectorEncoder is not None:
    CASES |= {
        "multi MultipleNegativesRanking": Case(
            "multi", multi_losses.MultiVectorMultipleNegativesRankingLoss, tuples, TUPLE
        ),
        "multi CachedMultipleNegativesRanking": Case(
            "multi", multi_losses.CachedMultiVectorMultipleNegativesRankingLoss, tuples, TUPLE
        ),
        "multi MarginMSE": Case("multi", multi_losses.MultiVectorMarginMSELoss, margins, TUPLE, "label"),
        "multi DistillKLDiv": Case("multi", multi_losses.MultiVectorDistillKLDivLoss, distilled, TUPLE, "label"),
    }


@pytest.mark.parametrize("name", list(CASES))
def test_one_step_of_every_loss(name: str, fresh: dict[str, Any], tmp_path: Path) -> None:
    """The loss is finite and moves a weight, on exactly the columns meant for it, in their order."""
    case = CASES[name]
    model = fresh[case.kind]
    train = case.make(mined())
    seen = one_step(case.kind, model, case.loss(model), train, tmp_path)
    columns = case.inputs + ([case.label] if case.label else [])
    assert train.column_names == columns
    assert all(list(row) == columns for row in seen.features)
    assert ("label" in seen.batch) == (case.label is not None)
    check_inputs(case, seen)
    if case.label is not None:
        check_labels(case.label, seen)


def check_inputs(case: Case, seen: Recording) -> None:
    """What reached the loss as text: the inputs and nothing else, in the order of the columns."""
    if case.kind == "cross":
        assert [key for key in seen.batch if key != "label"] == case.inputs
    else:
        tokenized = [key.removesuffix("_input_ids") for key in seen.batch if key.endswith("_input_ids")]
        assert tokenized == case.inputs


def check_labels(label: str, seen: Recording) -> None:
    """What reached the loss as label: our values, and one per document where the label is a list."""
    found = [tensor.tolist() for tensor in seen.batch["label"]]
    assert found == [pytest.approx(row[label]) for row in seen.features]
    if label == "labels":
        assert [len(row["documents"]) for row in seen.features] == [len(row) for row in found]
    elif isinstance(found[0], list):
        assert {len(row) for row in found} == {3}


@pytest.mark.parametrize("kind", list(TRAINERS))
def test_margin_mse_with_one_negative(kind: str, fresh: dict[str, Any], tmp_path: Path) -> None:
    """With n=1 the label [positive, negative] is understood as two scores, not refused as a wrong shape."""
    loss = {
        "dense": dense_losses.MarginMSELoss,
        "sparse": splade(sparse_losses.SparseMarginMSELoss),
        "cross": cross_losses.MarginMSELoss,
    }.get(kind) or multi_losses.MultiVectorMarginMSELoss
    train = formats.margin_mse(mined(), n=1)
    seen = one_step(kind, fresh[kind], loss(fresh[kind]), train, tmp_path)
    assert all(len(row) == 2 for row in seen.batch["label"])


def test_a_stream_trains(fresh: dict[str, Any], tmp_path: Path) -> None:
    """A format made of a stream goes into the trainer as it is: its features are known."""
    train = formats.tuples(mined().to_iterable_dataset(), n=2)
    model = fresh["dense"]
    seen = one_step("dense", model, dense_losses.MultipleNegativesRankingLoss(model), train, tmp_path)
    assert list(seen.features[0]) == TUPLE


# ---------------------------------------------------------------- ids


@needs_6
def test_ids_resolve_to_what_tuples_gives() -> None:
    """ids -> resolve_ids(lookups) is the same text, row by row, as tuples."""
    train = formats.ids(mined(), n=2)
    train.set_transform(resolve_ids(formats.lookups(mined())))
    expected = formats.tuples(mined(), n=2).rename_columns({"answer": "positive"})
    assert [train[i] for i in range(len(train))] == list(expected)


@needs_6
def test_training_on_ids(fresh: dict[str, Any], tmp_path: Path) -> None:
    """The trainer takes ids with the transform on them and sees query, positive and the negatives."""
    train = formats.ids(mined(), n=2)
    train.set_transform(resolve_ids(formats.lookups(mined())))
    model = fresh["dense"]
    seen = one_step("dense", model, dense_losses.MultipleNegativesRankingLoss(model), train, tmp_path)
    assert list(seen.features[0]) == ["query", "positive", "negative_1", "negative_2"]
    assert seen.features[0]["query"].startswith("which ")
