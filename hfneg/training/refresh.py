"""`HardNegativeRefresh`: re-mine inside one run of SentenceTransformerTrainer, every so many steps or epochs."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from transformers import TrainerCallback

from hfneg.base.arrays import Ints
from hfneg.base.files import part_files, temporary
from hfneg.base.settings import is_number, is_whole
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.recipe_text import replaced
from hfneg.pipeline.transform import unique
from hfneg.training import live, processes
from hfneg.training.extras import require_trainer
from hfneg.training.live_search import FrozenDocuments, PoolOnly
from hfneg.training.rounds import _student_of
from hfneg.training.stopgaps import filled, random_documents

log = logging.getLogger(__name__)


BLOCK = 4_096
"""Anchors mined at once."""


class HardNegativeRefresh(TrainerCallback):  # type: ignore[misc]
    """Fresh hard negatives while a model trains (Xiong et al., ANCE, ICLR 2021, section 4).

    ::

        refresh = hfneg.HardNegativeRefresh(anchors, pairs, recipe, out="refreshes/", every_steps=500)
        trainer = SentenceTransformerTrainer(model, args, train_dataset=refresh.dataset, loss=loss, callbacks=[refresh])

    When training begins, and then every so often, the anchors are mined with the weights as they are, and the next
    batches that are built use the new negatives. Optimiser and schedule are not touched. Batches built before the
    switch and not yet trained on keep the old ones: one by the trainer's own look-ahead, and with workers up to
    ``dataloader_num_workers x dataloader_prefetch_factor``; each record says how many (``batches_in_flight``).

    Cost of a refresh: encoding ``documents_encoded`` documents and ``anchors_mined`` queries with the model, one exact
    search, and the teacher for pairs that it has not seen; ``seconds`` says what it took.

    Args:
        anchors: made from `pairs`, with the corpus that is searched.
        pairs: a `Dataset`; each row needs one positive (a text).
        recipe: with a `Dense` retriever, which follows the model. Its sampler says how many negatives: each row gets
            exactly so many; a row that has too few repeats them, one that has none gets random documents.
        out: a folder that all processes of the run see; versions of the negatives are kept in it.
        every_steps, every_epochs: one of the two.
        part: refresh this share of the anchors each time, in rotation: 4 means a quarter.
        encode: "all"; "queries" keeps the documents as they were at the first refresh (Zhan et al., ADORE, SIGIR 2021);
            "previous" encodes only the documents of the last lists.
        student: which retriever follows the model, where the recipe has several `Dense`.
        overwrite: replace versions that an earlier run left in `out`; a run that resumes from a checkpoint goes on with
            those of its step, and one that was killed before its first checkpoint simply begins again.

    Attributes:
        dataset: what the trainer trains on: anchor, positive, negative_1 .. negative_n. With any batch sampler; but
            NO_DUPLICATES_HASHED looks at the rows once, when training begins, and does not see later negatives.
        history: a record of each refresh.

    Raises MissingExtraError without the extra ``hfneg[train]``, when it is built.

    Under ``torchrun`` the ranks encode disjoint parts of the documents and anchors, rank 0 searches and publishes, and
    all switch at the same step.
    """

    def __init__(
        self,
        anchors: Anchors,
        pairs: Any,
        recipe: Recipe,
        *,
        out: str | Path,
        every_steps: int | None = None,
        every_epochs: float | None = None,
        part: int = 1,
        encode: Literal["all", "queries", "previous"] = "all",
        student: str | None = None,
        overwrite: bool = False,
    ) -> None:
        _check(every_steps, every_epochs, part, encode)
        require_trainer("HardNegativeRefresh")
        self.anchors, self.recipe = anchors, recipe
        self.every_steps, self.every_epochs, self.part, self.encode = every_steps, every_epochs, part, encode
        self.folder = Path(out)
        self.overwrite = overwrite
        self.student = _student_of(recipe, student)
        self.n = recipe.sampler.n
        self.history: list[dict[str, Any]] = []
        self._owners = _owners(anchors, pairs)
        self._frozen: Any = None
        self._named: Ints | None = None
        self._next_epoch = 0.0
        if processes.first() and part_files.load_facts(self.folder / live.CURRENT) is None:
            self._publish_random()
        processes.wait()
        self.dataset = self._live(pairs)

    def _live(self, pairs: Any) -> Any:
        """The rows with a transform that looks up the current negatives."""
        names = self.anchors.anchor, self.anchors.positive
        rows = pairs.with_format(None).select_columns(list(names))
        # as text, for sentence-transformers 5 takes its card's examples from the columns of text alone
        rows = rows.add_column(live.ROW, np.arange(len(rows)).astype(str))
        for i in range(2, self.n + 1):
            rows = rows.add_column(f"negative_{i}", np.full(len(rows), ""))
        rows.set_transform(live.LiveNegatives(self.folder, self.anchors.corpus, *names, self.n))
        return rows

    # What the trainer calls.

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Mine with the weights training begins with, or go on with the negatives of the step it resumes from."""
        resumed = None
        if processes.first():
            live.hold(self.folder)
            try:
                resumed = self._begun(args, state)
            except BaseException:
                live.let_go(self.folder)
                raise
            live.begin(self.folder, args.output_dir)
        processes.wait()
        self.history = [facts for facts in live.versions(self.folder) if facts["step"] >= 0]
        self._set_next_epoch(state)
        if state.global_step == 0 or not self.history:
            self._refresh(args, state, model)
        elif resumed is not None:
            log.info("the negatives of version %d are gone on with", resumed)

    def _begun(self, args: Any, state: Any) -> int | None:
        """The version that a training which is resumed goes on with; else the folder as it is before any."""
        if state.global_step:
            return live.forget_after(self.folder, state.global_step)
        if not self.overwrite:
            live.refuse_used(self.folder, args.output_dir)
        self._publish_random()
        live.forget_all_but_first(self.folder)
        return None

    def _publish_random(self) -> None:
        live.publish(self.folder, 0, self._random_of(self._owners), {"step": -1, "random": True})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let go of the folder."""
        if processes.first():
            live.end(self.folder)
            live.let_go(self.folder)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Refresh after every so many steps, but not after the last."""
        if self.every_steps and state.global_step % self.every_steps == 0 and state.global_step < state.max_steps:
            self._refresh(args, state, model)
        elif (
            self.every_epochs and state.global_step < state.max_steps and (state.epoch or 0) + 1e-6 >= self._next_epoch
        ):
            self._refresh(args, state, model)
            self._set_next_epoch(state)

    def _set_next_epoch(self, state: Any) -> None:
        if self.every_epochs:
            done = np.floor((state.epoch or 0.0) / self.every_epochs + 1e-6)
            self._next_epoch = float((done + 1) * self.every_epochs)

    # The refresh.

    def _refresh(self, args: Any, state: Any, model: Any) -> None:
        began = time.perf_counter()
        training = model.training
        version = len(live.versions(self.folder))
        numbers = self._turn(version)
        try:
            transform, encoded = self._mining(model)
            if hasattr(transform.retrieve.indexes[self.student], "query_vectors"):
                processes.encode_parts(transform.retrieve.indexes[self.student], self.anchors)
            processes.wait()
            if processes.first():
                self._publish(transform, numbers, version, encoded, args, state, began)
                self._forget_vectors(transform)
        finally:
            model.train(training)
        processes.wait()
        self.history = [facts for facts in live.versions(self.folder) if facts["step"] >= 0]

    def _turn(self, version: int) -> Ints:
        """The anchors of this refresh: all, or one part in rotation; at the first one all."""
        numbers = np.arange(len(self.anchors))
        return numbers if self.part == 1 or version <= 1 else numbers[numbers % self.part == version % self.part]

    def _mining(self, model: Any) -> tuple[Any, int]:
        """(the recipe's transform with the model in its place, documents encoded for it)."""
        steps = list(self.recipe.retrievers)
        corpus, student = self.anchors.corpus, steps[self.student]
        encoded = len(corpus)
        if self.encode == "queries" and self._frozen is not None:
            steps[self.student], encoded = FrozenDocuments(self._frozen, model, corpus, student.name), 0
        elif self.encode == "previous" and self._named is not None:
            steps[self.student], encoded = PoolOnly(student, model, corpus, self._named, student.name), len(self._named)
        else:
            steps[self.student] = replaced(student, "model", model)
        if self.encode == "queries" and self._frozen is None:
            self._frozen = _snapshot(replaced(student, "model", model), corpus)
        slots = {name: getattr(self.recipe, name) for name in Recipe.model_fields}
        return Recipe(**{**slots, "retrievers": steps}).transform(self.anchors), encoded

    def _publish(
        self, transform: Any, numbers: Ints, version: int, encoded: int, args: Any, state: Any, began: float
    ) -> None:
        """Mine in blocks, put the rows' negatives together, and make them current."""
        before = np.array(live.LiveNegatives(self.folder, self.anchors.corpus, "", "", self.n).current())
        table, lengths = self._random_of(np.arange(len(self.anchors))), np.zeros(len(self.anchors), dtype=np.int64)
        named = [np.empty(0, dtype=np.int64)]
        for start in range(0, len(numbers), BLOCK):
            block = numbers[start : start + BLOCK]
            decided = transform.run(block)
            chosen = transform.select.policy.negatives(decided)
            table[block] = filled(chosen.rows, table[block])
            lengths[block] = chosen.rows.lengths
            named.append(np.unique(np.concatenate([decided.rows, self.anchors.positives(block).flat])))
        fresh = np.isin(self._owners, numbers)
        negatives = np.where(fresh[:, None], table[self._owners], before)
        if self.encode == "previous":
            self._named = np.unique(np.concatenate([*named, *([] if self._named is None else [self._named])]))
        workers = args.dataloader_num_workers
        facts = {
            "step": state.global_step,
            "epoch": state.epoch or 0.0,
            "anchors_mined": len(numbers),
            "documents_encoded": encoded,
            "changed": round(float((negatives != before).mean()), 6),
            "short_anchors": int((lengths[numbers] < self.n).sum()),
            "batches_in_flight": 1 + workers * (args.dataloader_prefetch_factor or 2) if workers else 1,
            "seconds": round(time.perf_counter() - began, 3),
        }
        live.publish(self.folder, version, negatives, facts)
        said = state.global_step, facts["seconds"], 100 * facts["changed"]
        log.info("step %d: negatives refreshed in %.1f s, %.0f%% changed", *said)

    def _forget_vectors(self, transform: Any) -> None:
        """Vectors of weights that will be other ones after the next step are of no use to anybody."""
        index = transform.retrieve.indexes[self.student]
        if self.encode != "queries" and hasattr(index, "query_vectors"):
            for vectors in (index.vectors, index.query_vectors(self.anchors)):
                temporary.remove(vectors.folder)

    def _random_of(self, numbers: Ints) -> Ints:
        """int64 [len(numbers), n]: random documents, none a known positive; what training never sees but in need."""
        return random_documents(self.anchors, numbers, self.n)


def _owners(anchors: Anchors, pairs: Any) -> Ints:
    """int64 [rows]: each row's anchor; refuses rows with several positives."""
    found = [np.empty(0, dtype=np.int64)]
    for batch in pairs.with_format(None).select_columns([anchors.anchor, anchors.positive]).iter(BLOCK):
        if any(not isinstance(text, str) for text in batch[anchors.positive]):
            raise SettingError(
                f"HardNegativeRefresh needs one positive text per row, but {anchors.positive!r} holds something else; "
                "give each positive a row of its own first"
            )
        _, numbers, place = unique(anchors.numbers(batch))
        found.append(numbers[place])
    return np.concatenate(found)


def _snapshot(dense: Any, corpus: Any) -> Any:
    """The retriever with a copy of the model as it is, its documents encoded."""
    import copy

    frozen = replaced(dense, "model", copy.deepcopy(dense.model))
    frozen.open(corpus).vectors.build()
    return frozen


def _check(every_steps: Any, every_epochs: Any, part: Any, encode: Any) -> None:
    if (every_steps is None) == (every_epochs is None):
        raise SettingError(
            f"HardNegativeRefresh(every_steps={every_steps!r}, every_epochs={every_epochs!r}): say one of the two"
        )
    if every_steps is not None and not is_whole(every_steps, 1):
        raise SettingError(f"HardNegativeRefresh(every_steps={every_steps!r}): expected a whole number of at least 1")
    if every_epochs is not None and not (is_number(every_epochs) and every_epochs > 0):
        raise SettingError(f"HardNegativeRefresh(every_epochs={every_epochs!r}): expected a number above 0")
    if not is_whole(part, 1):
        raise SettingError(f"HardNegativeRefresh(part={part!r}): expected a whole number of at least 1")
    if encode not in ("all", "queries", "previous"):
        raise SettingError(f"HardNegativeRefresh(encode={encode!r}): expected 'all', 'queries' or 'previous'")
