"""HardNegativeRefresh in real trainings: the next batches use the new negatives, and nothing else changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import SUPPORT
from sentence_transformers import SentenceTransformerTrainingArguments
from training_small import PAIRS, TEXTS, static_model, trainer_of

import hfneg
from hfneg.base import hashing
from hfneg.errors import ColumnError, DamagedError, OutputExistsError, SettingError
from hfneg.models import encoder as encoding
from hfneg.training import live

N = 3


@pytest.fixture(scope="module")
def anchors() -> hfneg.Anchors:
    return hfneg.Anchors(PAIRS, hfneg.Corpus.from_texts(TEXTS), anchor="query", positive="answer")


def recipe(model: Any, **slots: Any) -> hfneg.Recipe:
    return hfneg.Recipe(**{"retrievers": hfneg.Dense(model), "k": 8, "sampler": hfneg.TakeTop(N), **slots})


def arguments(out: Path, **given: Any) -> SentenceTransformerTrainingArguments:
    settings = {
        "output_dir": str(out / "trainer"),
        "per_device_train_batch_size": 4,
        "max_steps": 18,
        "learning_rate": 0.05,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "use_cpu": True,
    }
    return SentenceTransformerTrainingArguments(**{**settings, **given})


def train(anchors: Any, out: Path, refreshing: Any = None, resume: Any = None, **given: Any) -> tuple[Any, Any]:
    """(trainer, callback) of a finished training."""
    model = static_model(0)
    settings = {"every_steps": 6, **(refreshing or {})}
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, recipe(model), out=out / "refreshes", **settings)
    trainer = trainer_of(model, arguments(out, **given), refresh)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, refresh


def negatives(refresh: Any, version: int) -> Any:
    return np.load(refresh.folder / f"{version:06d}.npy")


def weights(trainer: Any) -> list[Any]:
    return [tensor.detach().clone() for tensor in trainer.model.state_dict().values()]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"gradient_accumulation_steps": 2},
        {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 2},
        {"dataloader_num_workers": 2, "dataloader_persistent_workers": True, "max_steps": 30},
    ],
    ids=["no workers", "accumulation", "workers", "persistent workers"],
)
def test_the_next_batches_use_the_new_negatives(given: dict[str, Any], anchors: Any, tmp_path: Path) -> None:
    """After a refresh at most ``batches_in_flight`` batches still have the old ones; every version is used, the first
    batch already has the first; steps and learning rates are those of the schedule."""
    trainer, refresh = train(anchors, tmp_path, **given)
    steps = trainer.args.max_steps
    assert [facts["step"] for facts in refresh.history] == list(range(0, steps, 6))
    per_step = trainer.args.gradient_accumulation_steps
    seen = trainer.seen
    assert len(seen) == steps * per_step
    for facts in refresh.history:
        later = [version for step, version, _ in seen if step >= facts["step"]]
        stale = [version for version in later if version < facts["version"]]
        assert len(stale) <= (facts["batches_in_flight"] if facts["step"] else 0)
        assert later[: len(stale)] == stale
        assert facts["version"] in later
    assert trainer.state.global_step == steps
    assert [rate for _, _, rate in seen] == pytest.approx([0.05 * (1 - step / steps) for step, _, _ in seen])


def test_negatives_are_those_of_the_weights_at_that_step(anchors: Any, tmp_path: Path) -> None:
    """Version 1 is what mining with the untrained model gives, the last what mining with its weights then gives; the
    dataset's rows hold their texts."""
    trainer, refresh = train(anchors, tmp_path, {"every_steps": 6}, max_steps=7)
    expected = recipe(static_model(0)).transform(anchors)(PAIRS[:])["hard_negatives"]
    texts = anchors.corpus.texts(negatives(refresh, 1).reshape(-1)).to_pylist()
    rows = [texts[i * N : (i + 1) * N] for i in range(len(PAIRS))]
    assert all(row[: len(known)] == list(known) for row, known in zip(rows, expected, strict=True))
    row = refresh.dataset[3]
    assert refresh.dataset.column_names == list(row)
    assert list(row) == ["query", "answer", "negative_1", "negative_2", "negative_3"]
    current = anchors.corpus.texts(negatives(refresh, 2)[3]).to_pylist()
    assert [row[f"negative_{i}"] for i in (1, 2, 3)] == current
    assert (negatives(refresh, 2) != negatives(refresh, 1)).any()
    assert refresh.history[1]["changed"] == pytest.approx(
        (negatives(refresh, 2) != negatives(refresh, 1)).mean(), abs=1e-6
    )
    del trainer


def test_random_numbers_mode_and_optimiser_are_left_alone(anchors: Any, tmp_path: Path) -> None:
    """A refresh draws nothing from torch's generator, leaves the model in training mode, and the optimiser's state."""
    model = static_model(0)
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, recipe(model), out=tmp_path / "refreshes", every_steps=2)
    trainer = trainer_of(model, arguments(tmp_path, max_steps=3), refresh)
    trainer.train()
    model.train()
    before = torch.get_rng_state(), json.dumps(trainer.optimizer.state_dict(), default=lambda value: value.tolist())
    refresh.on_step_end(trainer.args, trainer.state, trainer.control, model=model)
    trainer.state.global_step, trainer.state.max_steps = 4, 9
    refresh.on_step_end(trainer.args, trainer.state, trainer.control, model=model)
    assert refresh.history[-1]["step"] == 4
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == json.dumps(trainer.optimizer.state_dict(), default=lambda value: value.tolist())
    assert model.training


@pytest.mark.parametrize("sampler", ["NO_DUPLICATES", "NO_DUPLICATES_HASHED"])
def test_samplers_that_read_the_rows(sampler: str, anchors: Any, tmp_path: Path) -> None:
    """Samplers that look at every column of a row find it; a batch of the first negatives has no text twice."""
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    if not hasattr(BatchSamplers, sampler):
        pytest.skip("this sentence-transformers has no such sampler")
    given = {"batch_sampler": getattr(BatchSamplers, sampler), "max_steps": 8, "per_device_train_batch_size": 2}
    trainer, refresh = train(anchors, tmp_path, {"every_steps": 4}, **given)
    assert [facts["step"] for facts in refresh.history] == [0, 4]
    assert {version for _, version, _ in trainer.seen} == {1, 2}
    reading = trainer.get_batch_sampler(refresh.dataset, batch_size=2, drop_last=True)
    for batch in reading:
        texts = [text for i in batch for text in set(refresh.dataset[i].values())]
        assert len(texts) == len(set(texts))


def test_epochs(anchors: Any, tmp_path: Path) -> None:
    """every_epochs=1: at the beginning and after each epoch but the last."""
    _, refresh = train(anchors, tmp_path, {"every_steps": None, "every_epochs": 1}, max_steps=-1, num_train_epochs=3)
    assert [facts["epoch"] for facts in refresh.history] == [0, 1, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_from_a_checkpoint_is_as_undisturbed(workers: int, anchors: Any, tmp_path: Path) -> None:
    """Cut off at step 11 and resumed from step 8: later versions are made anew, and the final weights are equal."""
    whole, _ = train(anchors, tmp_path / "whole", max_steps=18, dataloader_num_workers=workers)
    model = static_model(0)
    folder = tmp_path / "cut"
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, recipe(model), out=folder / "refreshes", every_steps=6)
    saving = {"save_strategy": "steps", "save_steps": 8, "dataloader_num_workers": workers}
    cut = trainer_of(model, arguments(folder, **saving), refresh, StopAt(13))
    cut.train()
    assert [facts["step"] for facts in refresh.history] == [0, 6, 12]
    again, resumed = train(anchors, folder, resume=True, **saving)
    assert [facts["step"] for facts in resumed.history] == [0, 6, 12]
    if workers == 0:
        assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))
    with pytest.raises(OutputExistsError, match="resume that training"):
        train(anchors, folder, **saving)


@pytest.mark.parametrize("name", ["000002.npy", "000002.json", "000001.json", "training.json", "current.json"])
def test_damaged_negatives_are_never_trained_with_in_silence(name: str, anchors: Any, tmp_path: Path) -> None:
    """One bit of a file of the refreshes: a resumed training says which one, or needs it not, and removes nothing; one
    that begins anew is as undisturbed."""
    saving = {"save_strategy": "steps", "save_steps": 8}
    whole, _ = train(anchors, tmp_path, **saving)
    path = tmp_path / "refreshes" / name
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    before = {file.name for file in path.parent.glob("0*")}
    if name in ("training.json", "current.json"):
        again, _ = train(anchors, tmp_path, resume=str(tmp_path / "trainer" / "checkpoint-16"), **saving)
    else:
        with pytest.raises(DamagedError, match=f"{name} is damaged"):
            train(anchors, tmp_path, resume=str(tmp_path / "trainer" / "checkpoint-8"), **saving)
        assert {file.name for file in path.parent.glob("0*")} == before
        again, refresh = train(anchors, tmp_path, {"overwrite": True}, **saving)
        assert [facts["step"] for facts in refresh.history] == [0, 6, 12]
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))


class StopAt(hfneg.HardNegativeRefresh.__mro__[1]):  # type: ignore[misc]
    """Ends a training, as a kill would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        control.should_training_stop = state.global_step >= self.step
        return control


def test_a_part_of_the_anchors_in_rotation(anchors: Any, tmp_path: Path) -> None:
    """part=3: after the first refresh a third of the anchors each time, the rows of the others keep theirs."""
    _, refresh = train(anchors, tmp_path, {"every_steps": 3, "part": 3})
    owners = refresh._owners
    for facts in refresh.history[1:]:
        turn = facts["version"] % 3
        before, after = negatives(refresh, facts["version"] - 1), negatives(refresh, facts["version"])
        changed = (before != after).any(axis=1)
        assert set(owners[changed] % 3) <= {turn}
        assert facts["anchors_mined"] == sum(np.arange(len(anchors)) % 3 == turn)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    calls: list[tuple[str, int]] = []
    real = encoding.Encoder.encode

    def encode(self: Any, texts: Any, role: str, *args: Any, **kwargs: Any) -> Any:
        calls.append((role, len(texts)))
        return real(self, texts, role, *args, **kwargs)

    monkeypatch.setattr(encoding.Encoder, "encode", encode)
    return calls


def refreshed_now(trainer: Any, refresh: Any) -> Any:
    """The negatives of a refresh with the weights as they are after the training."""
    trainer.state.global_step, trainer.state.max_steps = 12, 99
    refresh.on_step_end(trainer.args, trainer.state, trainer.control, model=trainer.model)
    return negatives(refresh, refresh.history[-1]["version"])


def check_best(after: Any, anchors: Any, refresh: Any, queries: Any, documents: Any, rows: Any) -> None:
    """Each row of the pairs has the N best of the documents `rows`, without what the guard refuses, in plain NumPy.

    Place by place the scores are the N highest: documents that score the same but for last bits may stand in any order.
    """
    forms = np.array(
        [hashing.normal_form(text) for text in anchors.corpus.texts(range(len(anchors.corpus))).to_pylist()]
    )
    for negatives, owner in zip(after, refresh._owners, strict=True):
        text = anchors.texts([owner])[0].as_py()
        scores = documents.astype(np.float64) @ queries.encode(text, normalize_embeddings=True).astype(np.float64)
        refused = [*forms[anchors.positives_of(owner)], hashing.normal_form(text)]
        allowed = rows[~np.isin(forms[rows], refused)]
        highest = [scores[allowed][forms[allowed] == form].max() for form in set(forms[allowed])]
        assert len(highest) >= N
        assert set(negatives) <= set(allowed)
        assert len(set(forms[negatives])) == N
        assert scores[negatives] == pytest.approx(sorted(highest, reverse=True)[:N], abs=1e-5)


@pytest.mark.parametrize("encode", ["queries", "previous"])
def test_what_is_encoded_anew(encode: Any, anchors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "queries": new queries against the documents as they were at the first refresh, which are encoded once;
    "previous": new vectors of the documents in earlier lists, and no others."""
    calls = counted(monkeypatch)
    model = static_model(0)
    exact = recipe(model, k=20 if encode == "queries" else 6, guard=hfneg.Guard(near_duplicate=None))
    out = tmp_path / "refreshes"
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, exact, out=out, every_steps=6, encode=encode)
    trainer = trainer_of(model, arguments(tmp_path, max_steps=7), refresh)
    trainer.train()
    named = refresh._named
    after = refreshed_now(trainer, refresh)
    size = len(anchors.corpus)
    texts = anchors.corpus.texts(range(size)).to_pylist()
    encoder = static_model(0) if encode == "queries" else trainer.model
    rows = np.arange(size) if encode == "queries" else named
    check_best(after, anchors, refresh, trainer.model, encoder.encode(texts, normalize_embeddings=True), rows)
    documents = [count for role, count in calls if role == "document"]
    if encode == "queries":
        assert sum(documents) <= size  # nothing at all where an earlier test has left the same vectors in the store
    else:
        assert documents[-1] == len(named)
        assert sum(count == size for count in documents) <= 1
    assert refresh.history[-1]["documents_encoded"] == (0 if encode == "queries" else len(named))
    assert encode == "queries" or len(named) < size


def test_rows_always_have_their_negatives(anchors: Any, tmp_path: Path) -> None:
    """An anchor with fewer than n repeats them, one with none gets random documents, never a known positive; and it
    is counted."""
    model = static_model(0)
    strict = recipe(model, filters=hfneg.Margin(absolute=0.6), sampler=hfneg.TakeTop(5))
    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, strict, out=tmp_path / "refreshes", every_steps=9)
    trainer_of(model, arguments(tmp_path, max_steps=2), refresh).train()
    mined = strict.transform(anchors)(PAIRS[:])["hard_negatives"]
    assert refresh.history[0]["short_anchors"] > 0
    assert {len(row) for row in mined} >= {0}
    for i, row in enumerate(negatives(refresh, 1)):
        texts = anchors.corpus.texts(row).to_pylist()
        known = list(mined[i])
        assert texts == (known * 5)[:5] if known else len(texts) == 5
        number = refresh._owners[i]
        assert not set(row.tolist()) & set(anchors.positives_of(int(number)).tolist())


def test_two_ranks_switch_at_the_same_step(tmp_path: Path) -> None:
    """torchrun with gloo: each text is encoded by one rank, both train on the same version at each step."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = SUPPORT / "refresh_ranks.py"
    environment = {**os.environ, "HFNEG_STORE": str(tmp_path / "store"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(script), str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank-{i}.json").read_text()) for i in (0, 1)]
    assert [facts["step"] for facts in ranks[0]["history"]] == [0, 3, 6]
    assert ranks[0]["seen"] == ranks[1]["seen"]
    assert {version for _, version, _ in ranks[0]["seen"]} == {1, 2, 3}
    anchors, documents = ranks[0]["history"][0]["anchors_mined"], ranks[0]["history"][0]["documents_encoded"]
    assert sum(rank["encoded"] for rank in ranks) == 3 * (anchors + documents)
    assert min(rank["encoded"] for rank in ranks) > anchors + documents


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "say one of the two"),
        ({"every_steps": 5, "every_epochs": 1}, "say one of the two"),
        ({"every_steps": 0}, "whole number of at least 1"),
        ({"every_epochs": -1}, "a number above 0"),
        ({"every_steps": 5, "part": 0}, "part=0"),
        ({"every_steps": 5, "encode": "some"}, "'all', 'queries' or 'previous'"),
        ({"every_steps": 5, "student": "sparse"}, "one Dense retriever"),
    ],
)
def test_settings_are_checked(settings: Any, message: str, anchors: Any, tmp_path: Path) -> None:
    """When it is built; nothing is written."""
    with pytest.raises(SettingError, match=message):
        hfneg.HardNegativeRefresh(anchors, PAIRS, recipe(static_model(0)), out=tmp_path / "r", **settings)
    assert not (tmp_path / "r").exists()


def test_rows_with_several_positives_are_refused(anchors: Any, tmp_path: Path) -> None:
    """With what to do; rows of other anchors too."""
    from datasets import Dataset

    several = Dataset.from_dict({"query": PAIRS["query"][:2], "answer": [["a"], ["b"]]})
    with pytest.raises(SettingError, match="a row of its own first"):
        hfneg.HardNegativeRefresh(anchors, several, recipe(static_model(0)), out=tmp_path / "r", every_steps=1)
    other = Dataset.from_dict({"query": ["unheard of"], "answer": ["a"]})
    with pytest.raises(ColumnError, match="was not in the pairs"):
        hfneg.HardNegativeRefresh(anchors, other, recipe(static_model(0)), out=tmp_path / "r", every_steps=1)


def test_the_transform_is_small_and_travels(anchors: Any, tmp_path: Path) -> None:
    """What goes into the workers of a DataLoader is a path and a digest."""
    import pickle

    refresh = hfneg.HardNegativeRefresh(anchors, PAIRS, recipe(static_model(0)), out=tmp_path / "r", every_steps=1)
    transform = live.LiveNegatives(refresh.folder, anchors.corpus, "query", "answer", N)
    transform.current()
    assert len(pickle.dumps(transform)) < 600
