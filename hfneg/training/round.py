"""`Round`: one mining pass with one checkpoint, its folder, and what became of the training after it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfneg.base.files import part_files
from hfneg.errors import NonFiniteError, OutputError, TrainingError
from hfneg.models.encoder import Encoder
from hfneg.pipeline.recipe import Recipe
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.form import Summary
from hfneg.training import saved_model

if TYPE_CHECKING:
    import datasets

    from hfneg.review.diff.result import Diff

log = logging.getLogger(__name__)

RECORD = "round.json"
MINED = "mined"
CHECKPOINT = "checkpoint"
TRAINER = "training"
"""The trainer's folder in a round's."""

PROBED = 32
"""Anchors that a new checkpoint encodes once, to see that its vectors are numbers."""


@dataclass
class Round:
    """One round of `hfneg.rounds`, mined and waiting for its training, or trained already.

    Attributes:
        number: from 1.
        folder: ``OUT/round-001``; holds ``mined/``, ``checkpoint/`` where `finish` saved one, and ``round.json``.
        model: what mined: the folder or Hub id of the checkpoint, or a live model.
        checkpoint: digest of its weights, tokenizer and prompts.
        recipe: as it was mined with, the checkpoint in its place.
        parent: the round before: its folder, or the published round that this began from; None for the first.
        pool: what ``pool="previous"`` left out, see `hfneg.training.previous_lists`; None where the whole corpus was
            searched.
        metrics: what the training said, see `finish`.
        next_model: the checkpoint that the training left; None before it.
    """

    number: int
    folder: Path
    model: Any
    checkpoint: str
    recipe: Recipe
    parent: str | None = None
    pool: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    next_model: Any = None
    next_checkpoint: str | None = None

    def __repr__(self) -> str:
        state = "trained" if self.trained else "mined"
        return f"Round({self.number}, {state}, checkpoint={self.checkpoint[:12]}, folder={str(self.folder)!r})"

    @property
    def mined_folder(self) -> Path:
        return self.folder / MINED

    @cached_property
    def mined(self) -> datasets.Dataset | datasets.DatasetDict:
        """The user's rows with this round's negatives."""
        return mined_folder.open_rows(self.mined_folder, several=len(self.summary["rows"]) > 1)

    @cached_property
    def summary(self) -> Summary:
        """Counts and settings of the mining."""
        return mined_folder.open_summary(self.mined_folder)

    @cached_property
    def diff(self) -> Diff | None:
        """Against the round before; None for the first, or where that one is not on this machine."""
        from hfneg.review.diff.diff import diff

        if self.parent is None or not (Path(self.parent) / MINED).is_dir():
            return None
        return diff(Path(self.parent) / MINED, self.mined_folder)

    @property
    def trained(self) -> bool:
        return self.next_model is not None

    @property
    def unchanged(self) -> bool:
        """Whether the training left the very weights that mined this round."""
        return self.next_checkpoint == self.checkpoint

    def publish(self, repo: str, **options: Any) -> Any:
        """`hfneg.publish` of its mined folder under its own number: tag and config ``round-001``, ``round-002``, ..."""
        from hfneg.hub.publish import publish

        return publish(self.mined_folder, repo, round=self.number, **options)

    # The end of its training.

    def finish(self, model: Any, **metrics: Any) -> None:
        """Say what the training of this round left: the next round is mined with it.

        Args:
            model: the folder (or Hub id) of the trained checkpoint, or the SentenceTransformer itself, which is saved
                into ``checkpoint/`` of the round's folder.
            metrics: numbers worth keeping with the round, such as ``ndcg=0.61``.

        Raises TrainingError: None, or no model at all. OutputExistsError: a model is to be saved where somebody else
        has put files. NonFiniteError: its vectors are not numbers; nothing is recorded then, and the round can be
        trained again.
        """
        if model is None:
            raise TrainingError(
                f"round {self.number}: the training returned no checkpoint (None); return the folder it saved the "
                "model to, or the model itself"
            )
        place = model if isinstance(model, str | os.PathLike) else self._saved(model)
        place = str(place)
        encoder = Encoder(place)
        self._probe(encoder, place)
        if encoder.digest == self.checkpoint:
            log.warning(
                "round %d: the training left the weights as they were (%s), so that another round would mine the same "
                "negatives: no round follows; see whether the trainer has saved the trained model, and whether it made "
                "a step at all",
                self.number,
                self.checkpoint[:12],
            )
        self.next_model, self.next_checkpoint, self.metrics = place, encoder.digest, dict(metrics)
        self.write()

    def _saved(self, model: Any) -> Path:
        """A live model in the round's folder, whole or not at all."""
        if not hasattr(model, "save_pretrained"):
            raise TrainingError(
                f"round {self.number}: the training returned a {type(model).__name__}; expected the folder of a "
                "checkpoint, or a SentenceTransformer"
            )
        final = self.folder / CHECKPOINT
        try:
            saved_model.save(model, final)
        except OSError as error:
            raise OutputError(f"round {self.number}: cannot save the checkpoint in {self.folder}: {error}") from error
        return final

    def _probe(self, encoder: Encoder, place: str) -> None:
        rows = self.mined
        rows = next(iter(rows.values())) if isinstance(rows, dict) else rows
        texts = rows.select(range(min(PROBED, len(rows))))[self.summary["columns"]["anchor"]]
        try:
            encoder.encode(list(texts), "query")
        except NonFiniteError as error:
            raise NonFiniteError(
                f"round {self.number}: the training has diverged ({error}); {place} is not used: round {self.number} "
                "stands as it was mined, train it again with a lower learning rate"
            ) from error

    # On disk.

    def write(self) -> None:
        """``round.json``, replaced at once."""
        part_files.save_facts(
            self.folder / RECORD,
            {
                "number": self.number,
                "parent": self.parent,
                "model": self.model if isinstance(self.model, str) else None,
                "checkpoint": self.checkpoint,
                "pool": self.pool,
                "next_model": self.next_model,
                "next_checkpoint": self.next_checkpoint,
                "metrics": self.metrics,
            },
        )

    def read(self) -> Mapping[str, Any]:
        """What an earlier run has recorded of it; empty where it has recorded nothing. Raises DamagedError."""
        path = self.folder / RECORD
        lost = "nobody knows what this round's training left: rename its folder to do the round again"
        return part_files.read_facts(path, lost) if path.exists() else {}
