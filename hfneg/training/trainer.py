"""The training between two rounds, by SentenceTransformerTrainer, for those who bring no script of their own."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hfneg import formats
from hfneg.base.settings import shown
from hfneg.errors import EmptyInputError, RecipeError, SettingError, TrainingError, near_miss
from hfneg.hub.round_files import round_name
from hfneg.models.kinds import BARE, BI_ENCODER, refuse_but
from hfneg.models.weights import is_folder
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.recipe_text import parse_yaml
from hfneg.pipeline.yaml_text import recipe_text
from hfneg.training.mix import mix_rounds
from hfneg.training.parts import end_of_part, forget, keep_last, last_checkpoint, steps_of, take
from hfneg.training.round import TRAINER, Round

if TYPE_CHECKING:
    import datasets

FORMATS = {
    "MultipleNegativesRankingLoss": formats.tuples,
    "CachedMultipleNegativesRankingLoss": formats.tuples,
    "TripletLoss": formats.triplets,
    "MarginMSELoss": formats.margin_mse,
    "DistillKLDivLoss": formats.distillation,
}
"""What each loss is fed with; the last two need a teacher in the recipe."""

MOST_SEED = 2**32 - 2**16
"""NumPy's generator, which the trainer seeds too, takes 32 bits; rounds that begin anew count upwards from it."""

Loss = Literal[
    "MultipleNegativesRankingLoss",
    "CachedMultipleNegativesRankingLoss",
    "TripletLoss",
    "MarginMSELoss",
    "DistillKLDivLoss",
]


class Training(BaseModel):
    """The section ``training:`` of a recipe for `hfneg rounds`; every setting has a default but `model`.

    ::

        training = hfneg.Training(model=base, rounds=3, epochs=1)
        for round in hfneg.rounds(pairs, corpus, recipe, train=training, out="rounds/"):
            print(round.number, round.next_model)

    Settings:
        model: what the first round mines with and trains: Hub id or folder of a SentenceTransformer.
        rounds: how many.
        loss: a loss of sentence-transformers; it gets the columns it eats (`hfneg.formats`).
        negatives: per row, in losses with a fixed number; None: as many as the recipe's sampler takes.
        from_base: train `model` anew in each round, with better negatives; else train on with the last checkpoint.
        continuous: the rounds are the parts of one training: optimiser, schedule and the order of the rows go on where
            the round before has stopped, as inside `HardNegativeRefresh`. False: each round begins them anew. None:
            continuous, unless `from_base`.
        mix: also negatives of earlier rounds, see `mix_rounds`; the decay, or None for the newest round's only.
        epochs: of each round; fractions will do.
        batch_size, learning_rate, warmup, seed: as in SentenceTransformerTrainingArguments; warmup is the share of the
            steps. Rounds that begin anew add one to the seed of the round before: with the same one all would begin
            with the same batches.
        max_seq_length: in tokens; None: the model's own.

    Raises RecipeError: a setting that is unknown or makes no sense; SettingError: the folder of another kind of model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str
    rounds: int = Field(default=3, ge=1)
    loss: Loss = "MultipleNegativesRankingLoss"
    negatives: int | None = Field(default=None, ge=1)
    from_base: bool = False
    continuous: bool | None = None
    mix: float | None = Field(default=None, ge=0, le=1)
    epochs: int | float = Field(default=1, gt=0)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: int | float = Field(default=2e-5, gt=0)
    warmup: int | float = Field(default=0.1, ge=0, lt=1)
    seed: int = Field(default=42, ge=0, le=MOST_SEED)
    max_seq_length: int | None = Field(default=None, ge=1)

    def __init__(self, **settings: Any) -> None:
        allowed = type(self).model_fields
        for name in settings:
            if name not in allowed:
                raise RecipeError(
                    f"training has no setting {name!r}; it has {', '.join(allowed)}.{near_miss(name, allowed)}"
                )
        if isinstance(settings.get("model"), os.PathLike):
            settings["model"] = str(settings["model"])
        try:
            super().__init__(**settings)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["training", *map(str, first["loc"])])
            said = first["msg"].removeprefix("Value error, ")
            raise RecipeError(f"{where}: {said}; {shown(first['input'])} was given") from None
        if is_folder(self.model):
            refuse_but((BI_ENCODER, BARE), self.model, None, "SentenceTransformer, which Training trains")

    @model_validator(mode="after")
    def _one_beginning(self) -> Training:
        if self.from_base and self.continuous:
            raise ValueError("from_base begins anew in each round, continuous goes on; say one of them")
        return self

    def with_settings(self, settings: Sequence[str]) -> Training:
        """Some settings changed: ``["training.epochs=2", "training.learning_rate=1e-5"]``."""
        changed = {}
        for setting in settings:
            name, sign, value = setting.removeprefix("training.").partition("=")
            if not sign:
                raise RecipeError(f"--set {setting}: expected training.NAME=VALUE")
            changed[name.strip()] = parse_yaml(value, f"--set {setting}")
        return Training(**{**self.model_dump(), **changed})

    @property
    def _goes_on(self) -> bool:
        return not self.from_base if self.continuous is None else self.continuous

    def settings(self) -> dict[str, Any]:
        """What a run that is gone on with must have as it was; more rounds may follow, but in one training."""
        return self.model_dump(exclude=None if self._goes_on else {"rounds"})

    def __call__(self, round: Round) -> Any:
        """Train on the round's negatives; gives the trained SentenceTransformer.

        A training that was cut off goes on from the trainer's last checkpoint that is as it was saved. What the trainer
        keeps (optimiser and schedule, in ``training/`` of the round's folder) is deleted two rounds later.
        """
        rows = self.rows(round)
        _forget_trainer(round)
        checkpoint = last_checkpoint(round.folder / TRAINER)
        if not self._goes_on:
            length = {"num_train_epochs": self.epochs, "seed": self.seed + round.number - 1}
            return self._trained(round, rows, checkpoint, length)
        before = self._left_before(round)
        done, total = (0, self._steps(len(rows))) if before is None else steps_of(before)
        end = end_of_part(done, total, self.rounds)
        if checkpoint is not None and steps_of(checkpoint)[0] >= end:
            return self._model(checkpoint)
        from hfneg.training.stopping import StopAt

        length = {"max_steps": total, "seed": self.seed}
        return self._trained(round, rows, checkpoint or before, length, [StopAt(end)])

    def _trained(
        self, round: Round, rows: Any, checkpoint: Path | None, length: dict[str, Any], callbacks: Sequence[Any] = ()
    ) -> Any:
        import torch
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer import losses

        from hfneg.training.stopping import KEPT, MarkWhole

        take(round.folder / TRAINER)
        keep_last(round.folder / TRAINER, KEPT)
        model = self._model(self.model if self.from_base else round.model)
        loss = getattr(losses, self.loss)(model)
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(round.folder / TRAINER),
            per_device_train_batch_size=min(self.batch_size, len(rows)),
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup,
            save_strategy="epoch",
            report_to="none",
            disable_tqdm=not _bars(),
            dataloader_pin_memory=torch.cuda.is_available(),  # else it warns in each round
            **length,
        )
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=rows, loss=loss, callbacks=[*callbacks, MarkWhole()]
        )
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        keep_last(round.folder / TRAINER, 1)
        return model

    def _model(self, place: Any) -> Any:
        from sentence_transformers import SentenceTransformer

        named = isinstance(place, str | os.PathLike)
        model = SentenceTransformer(str(place)) if named else copy.deepcopy(place)
        if self.max_seq_length is not None:
            model.max_seq_length = self.max_seq_length
        return model

    def _left_before(self, round: Round) -> Path | None:
        """The trainer's checkpoint that the round before ended with; None where the rounds of this folder begin."""
        if round.parent is None or Path(round.parent).parent != round.folder.parent:
            return None
        left = last_checkpoint(Path(round.parent) / TRAINER)
        if left is None:
            raise TrainingError(
                f"continuous: {round.parent} has no trainer's checkpoint ({TRAINER}/checkpoint-...) that is as it was "
                "saved, so that optimiser and schedule cannot go on; put it back, or begin anew in another folder "
                "(--start)"
            )
        done, total = steps_of(left)
        if done >= total:
            raise TrainingError(
                f"continuous: the training ended with {round.parent}, after {total} steps; for more rounds begin a new "
                f"one in another folder (--start {round.parent})"
            )
        return left

    def _steps(self, rows: int) -> int:
        """Of the whole training."""
        import torch

        batch = self.batch_size * max(1, torch.cuda.device_count())  # on several GPUs the trainer gives each so many
        total = math.ceil(self.rounds * self.epochs * math.ceil(rows / batch))
        if total < self.rounds:
            raise SettingError(
                f"continuous: {self.rounds} rounds of {self.epochs} epochs are {total} steps in all; each round needs "
                "one: train longer, or in smaller batches, or ask for fewer rounds"
            )
        return total

    def rows(self, round: Round) -> datasets.Dataset:
        """What the loss eats: this round's rows, or mixed with those of the rounds before it."""
        n = self.negatives or round.recipe.sampler.n
        mined = [_rows(earlier) for earlier in _until(round)] if self.mix is not None else [_rows(round)]
        mixed = mix_rounds(mined, n, self.mix or 0.0) if len(mined) > 1 else mined[0]
        names = round.summary["columns"]
        count: dict[str, Any] = {} if self.loss == "TripletLoss" else {"n": n}
        rows = FORMATS[self.loss](mixed, **count, anchor=names["anchor"], positive=names["positive"])
        if not len(rows):
            raise EmptyInputError(
                f"round {round.number} has no row with enough negatives for {self.loss}: ask for fewer (training: "
                "negatives), search deeper (k, deeper) or filter less"
            )
        return rows


def _forget_trainer(round: Round) -> None:
    """Of the round before the one before, in this folder: twice the weights, which nothing goes on from any more."""
    forget(round.folder.with_name(round_name(round.number - 2)) / TRAINER)


def _bars() -> bool:
    from datasets.utils import are_progress_bars_disabled

    return not are_progress_bars_disabled()


def _rows(round: Round) -> Any:
    """The rows to train on: all there are, or the split "train"."""
    rows = round.mined
    if not isinstance(rows, dict):
        return rows
    if "train" not in rows:
        raise RecipeError(f"the mined splits are {', '.join(rows)}; say which is to be trained on (--split)")
    return rows["train"]


def _until(round: Round) -> list[Round]:
    """The rounds of the same folder up to this one, the oldest first."""
    found = [round]
    while found[0].parent is not None and (Path(found[0].parent) / "mined").is_dir():
        folder = Path(found[0].parent)
        facts = Round(found[0].number - 1, folder, None, "", round.recipe).read()
        earlier = Round(found[0].number - 1, folder, facts["model"], facts["checkpoint"], round.recipe, facts["parent"])
        found.insert(0, earlier)
    return found


def load_training_recipe(path: str | Path, *, trust: bool = False) -> tuple[Recipe, Training]:
    """A recipe with a section ``training:``, from a YAML file.

    Raises RecipeError: no such file, no such section, a setting that is unknown or makes no sense.
    """
    slots = parse_yaml(recipe_text(path), str(path))
    if not isinstance(slots, dict) or not isinstance(slots.get("training"), dict):
        raise RecipeError(
            f"{path} has no section training: write\n\ntraining:\n  model: sentence-transformers/all-MiniLM-L6-v2\n"
            "  rounds: 3\n\nbeside the slots of the recipe"
        )
    section = slots.pop("training")
    try:
        training = Training(**{str(name): value for name, value in section.items()})
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    return Recipe.from_yaml(yaml.safe_dump(slots), trust=trust), training
