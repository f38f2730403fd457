"""The rounds of `hfneg.Training` are the parts of one run of the trainer, if nothing else is asked for."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from test_rounds import NAMES, base, command, files, recipe, run, written  # noqa: F401
from training_small import PAIRS, TEXTS

import hfneg
from hfneg.errors import RecipeError, ResumeError, SettingError, TrainingError
from hfneg.training.trainer import load_training_recipe

ROWS = PAIRS.add_column("negative", [TEXTS[i] for i in range(len(PAIRS))])
SETTINGS: dict[str, Any] = {"rounds": 3, "epochs": 1.5, "batch_size": 8, "learning_rate": 0.05}
STEPS = 23  # of 8 rows of 40, in 3 x 1.5 epochs


class SameRows(hfneg.Training):
    """Trains on the same rows in every round, so that rounds differ by nothing but where the training stands."""

    def rows(self, round: hfneg.Round) -> Dataset:
        return ROWS


def weights(model: Any) -> Any:
    return SentenceTransformer(str(model), device="cpu")[0].embedding.weight.detach()


@pytest.fixture(scope="module")
def undisturbed(base: str, tmp_path_factory: pytest.TempPathFactory) -> list[hfneg.Round]:  # noqa: F811
    return run(base, tmp_path_factory.mktemp("one") / "rounds", train=SameRows(model=base, **SETTINGS))


def steps_left(done: list[hfneg.Round]) -> list[str]:
    """Of the last two rounds; what those before have kept is of no use any more."""
    assert not any((round.folder / "training").exists() for round in done[:-2])
    return [path.name for round in done[-2:] for path in (round.folder / "training").glob("checkpoint-*")]


def test_rounds_are_parts_of_one_training(base: str, undisturbed: list[hfneg.Round], tmp_path: Path) -> None:  # noqa: F811
    """On the same rows three rounds leave the very weights of one training of as many steps: schedule, optimiser and
    order of the rows went on, also in the middle of an epoch."""
    model = SentenceTransformer(base, device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "trainer"),
        max_steps=STEPS,
        per_device_train_batch_size=8,
        learning_rate=0.05,
        warmup_steps=0.1,
        seed=42,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    loss = MultipleNegativesRankingLoss(model)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=ROWS, loss=loss).train()
    assert steps_left(undisturbed) == ["checkpoint-15", "checkpoint-23"]
    assert torch.equal(weights(undisturbed[-1].next_model), model[0].embedding.weight.detach().cpu())
    assert not torch.equal(weights(undisturbed[1].next_model), weights(undisturbed[2].next_model))


@pytest.mark.parametrize("at", ["the checkpoint", "the round's end"])
def test_cut_off_and_gone_on(
    at: str,
    base: str,  # noqa: F811
    undisturbed: list[hfneg.Round],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the middle of writing the checkpoint that ends round 2, or just behind it: the same weights come out; half a
    checkpoint is thrown away, and a whole one is not trained on."""
    train = SameRows(model=base, **SETTINGS)
    with monkeypatch.context() as patched:
        if at == "the checkpoint":
            save = SentenceTransformerTrainer._save_optimizer_and_scheduler

            def half(self: Any, place: str) -> None:
                if place.endswith("checkpoint-15"):
                    raise KeyboardInterrupt
                save(self, place)

            patched.setattr(SentenceTransformerTrainer, "_save_optimizer_and_scheduler", half)
        else:
            finish = hfneg.Round.finish

            def ending(self: Any, model: Any) -> None:
                if self.number == 2:
                    raise KeyboardInterrupt
                finish(self, model)

            patched.setattr(hfneg.Round, "finish", ending)
        with pytest.raises(KeyboardInterrupt):
            run(base, tmp_path / "rounds", train=train)
    left = sorted(path.name for path in (tmp_path / "rounds" / "round-002" / "training").glob("checkpoint-*"))
    assert left == (["checkpoint-10", "checkpoint-15"] if at == "the checkpoint" else ["checkpoint-15"])
    steps = []
    step = SentenceTransformerTrainer.training_step

    @functools.wraps(step)
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps.append(self.state.global_step)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(SentenceTransformerTrainer, "training_step", counted)
    done = run(base, tmp_path / "rounds", train=train, resume=True)
    assert steps == list(range(10 if at == "the checkpoint" else 15, STEPS))
    assert steps_left(done) == ["checkpoint-15", "checkpoint-23"]
    assert torch.equal(weights(done[-1].next_model), weights(undisturbed[-1].next_model))


def test_the_command_goes_on_with_one_schedule(base: str, tmp_path: Path) -> None:  # noqa: F811
    """`hfneg rounds` with its own mined rows; --rounds counts, and --resume trains nothing again."""
    data, corpus = files(tmp_path)
    text = written(tmp_path, base, epochs=0.5)
    given = (text, data, "--corpus", corpus, "--out", tmp_path / "rounds", "--rounds", "3", "-q")
    for more in ((), ("--resume",)):
        result = command(*given, *more)
        assert result.exit_code == 0, result.output
    left = [path.name for path in sorted((tmp_path / "rounds").glob("round-*/training/checkpoint-*"))]
    assert left == ["checkpoint-5", "checkpoint-8"]


def test_what_cannot_go_on(base: str, undisturbed: list[hfneg.Round], tmp_path: Path) -> None:  # noqa: F811
    """More rounds than the schedule has, the trainer's state gone, other settings, fewer steps than rounds."""
    train = SameRows(model=base, **SETTINGS)
    out = tmp_path / "rounds"
    with pytest.raises(TrainingError, match=r"the training ended with .*round-003, after 23 steps.*--start"):
        run(base, out, train=train, n=4)
    with pytest.raises(ResumeError, match=r"training.epochs changed \(training.epochs: 1.5 before, 2 now\).*--start"):
        run(base, out, train=train.model_copy(update={"epochs": 2}), resume=True)
    with pytest.raises(SettingError, match=r"3 rounds of 0.1 epochs are 2 steps in all"):
        run(base, tmp_path / "few", train=train.model_copy(update={"epochs": 0.1}))
    gone = run(base, tmp_path / "gone", train=train, n=1)[0]
    (gone.folder / "training" / "checkpoint-7" / "trainer_state.json").unlink()
    with pytest.raises(TrainingError, match=r"round-001 has no trainer's checkpoint"):
        run(base, tmp_path / "gone", train=train, resume=True)


def test_another_folder_begins_another_training(base: str, undisturbed: list[hfneg.Round], tmp_path: Path) -> None:  # noqa: F811
    """Rounds that start from a round of another folder go on with its weights, and with a schedule of their own."""
    train = SameRows(model=base, **{**SETTINGS, "rounds": 1})
    last = undisturbed[-1]
    out = tmp_path / "more"
    (done,) = hfneg.rounds(PAIRS, TEXTS, recipe(base), out=out, start=last.folder, train=train, **NAMES)
    assert (done.number, done.checkpoint) == (4, last.next_checkpoint)
    assert steps_left([done]) == ["checkpoint-8"]
    assert steps_left(undisturbed) == ["checkpoint-15", "checkpoint-23"]


def test_anew_and_going_on_exclude_each_other(base: str, tmp_path: Path) -> None:  # noqa: F811
    """Said as an error of the recipe."""
    with pytest.raises(RecipeError, match="say one of them"):
        load_training_recipe(written(tmp_path, base, continuous=True, from_base=True))


def test_a_live_model_is_not_trained_itself(base: str, tmp_path: Path) -> None:  # noqa: F811
    """A model given as an object mines the first round and is trained as a copy; model and number of rounds are those
    of the training where nothing else is said."""
    model = SentenceTransformer(base, device="cpu")
    before = weights(base)
    train = SameRows(model=base, **{**SETTINGS, "rounds": 2})
    named = list(hfneg.rounds(PAIRS, TEXTS, recipe(base), out=tmp_path / "named", train=train, **NAMES))
    live = list(hfneg.rounds(PAIRS, TEXTS, recipe(base), model=model, out=tmp_path / "live", train=train, **NAMES))
    assert [round.number for round in named] == [round.number for round in live] == [1, 2]
    assert torch.equal(model[0].embedding.weight.detach(), before)
    assert torch.equal(weights(live[-1].next_model), weights(named[-1].next_model))
    assert not torch.equal(weights(live[-1].next_model), before)
