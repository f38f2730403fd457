"""`rounds`: the loop around mining and training, as a plain generator that can be killed and gone on with."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from hfneg.base import store
from hfneg.base.files import holding, part_files, temporary
from hfneg.base.settings import is_whole
from hfneg.data.corpus import Corpus
from hfneg.errors import HfnegError, ResumeError, SettingError, TrainingError
from hfneg.hub.round_files import round_name
from hfneg.models.encoder import Encoder
from hfneg.models.vectors import Vectors
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.recipe_text import replaced
from hfneg.runs import closing
from hfneg.runs.executors.local import LocalExecutor
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.mine import mine
from hfneg.steps.retrievers import Dense
from hfneg.training import rounds_folder
from hfneg.training.extras import require_trainer
from hfneg.training.previous_lists import narrowed
from hfneg.training.round import CHECKPOINT, MINED, RECORD, Round
from hfneg.training.trainer import Training

OWN = ("pairs", "corpus", "recipe", "model", "teacher", "n", "k", "out", "resume", "overwrite", "wait")
"""Arguments of `mine` that are each round's own."""

log = logging.getLogger(__name__)

FIRST_MODEL = "sentence-transformers/all-MiniLM-L6-v2"  # a name only: each round puts its own checkpoint here


def rounds(
    pairs: Any,
    corpus: Any = None,
    recipe: Recipe | str | Path | None = None,
    *,
    model: Any = None,
    out: str | Path,
    n: int | None = None,
    train: Callable[[Round], Any] | None = None,
    student: str | None = None,
    pool: Literal["corpus", "previous"] = "corpus",
    start: str | Path | None = None,
    keep_vectors: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    wait: bool = False,
    **mining: Any,
) -> Iterator[Round]:
    """Mine, train, and mine again with the trained model: `n` rounds, one at a time.

    ::

        for round in hfneg.rounds(pairs, corpus, recipe, model=BASE, out="rounds/", anchor="query", positive="answer"):
            model = my_training(round.model, hfneg.formats.tuples(round.mined))
            round.finish(model, ndcg=evaluate(model))

    Args:
        pairs, corpus: as for `mine`.
        recipe: with a `Dense` retriever, whose model is replaced by each round's checkpoint. None: `Dense` and the top
            7, from 100.
        model: what the first round mines with: Hub id, folder, or a SentenceTransformer. None: the checkpoint that
            `start` ended with, where that is a folder, else the model of `train`.
        out: the folder for ``round-001``, ``round-002``, ...
        n: how many rounds; None: those of `train`, or 3. With `resume` it may be larger than before.
        train: a `Training`, or a function of the round that returns the trained checkpoint (a folder, or the model).
            Without it the loop's body trains and says ``round.finish(...)``. What its method ``settings()`` gives,
            where it has one, must be the same in a run that is resumed.
        student: the name of the retriever that follows the model, where the recipe has several `Dense`.
        pool: "previous" searches, from the second round on, only documents of the last round's lists, so that only
            these are encoded anew; `Round.pool` says how much that misses.
        start: a round to go on from, as a folder or a published one (``org/name@round-002``): numbers go on behind it.
            With a published one `model` must be the checkpoint that was trained on it.
        keep_vectors: keep the vectors of checkpoints that no round needs any more.
        resume: go on where a killed run was: finished rounds are given again, mined and trained.
        overwrite: begin anew; what hfneg did not write stays in the folder.
        wait: for the end of another process that works in `out`, which is refused else.
        mining: further arguments of `mine`: anchor, positive, hidden, devices, ...

    Yields each `Round`, mined. Teacher scores are kept by pair, so a pair is scored once over all rounds; vectors are
    kept by weights, so no round can see an earlier checkpoint's.

    Raises SettingError, OutputExistsError, InUseError, ResumeError, MissingExtraError (a `Training` without the extra
    ``hfneg[train]``) before any work; TrainingError where a round was not finished before the next is asked for.
    """
    recipe = _recipe(recipe)
    loop = _Loop(Path(out), recipe, _student_of(recipe, student), keep_vectors, mining)
    first, parent, left = _start(start)
    model = next((given for given in (model, left, getattr(train, "model", None)) if given is not None), None)
    n = getattr(train, "rounds", 3) if n is None else n
    if model is None:
        raise SettingError("rounds(model=None): say which model mines the first round: a Hub id, a folder or a model")
    if not is_whole(n, 1):
        raise SettingError(f"rounds(n={n!r}): n must be a whole number of at least 1")
    if pool not in ("corpus", "previous"):
        raise SettingError(f"rounds(pool={pool!r}): pool must be 'corpus' or 'previous'")
    _check_mining(mining)
    if isinstance(train, Training):
        require_trainer("rounds(train=Training(...))")
    facts = {"pool": pool, "start": None if start is None else str(start)}
    training = {f"training.{name}": value for name, value in getattr(train, "settings", dict)().items()}
    loop.begin(resume=resume, overwrite=overwrite, wait=wait, facts={**facts, **training})
    return loop.run(pairs, corpus, model, first, n, parent, train, pool == "previous", resume)


class _Loop:
    """The rounds in one folder."""

    def __init__(self, out: Path, recipe: Recipe, student: int, keep_vectors: bool, mining: dict[str, Any]) -> None:
        self.out, self.recipe, self.student = out, recipe, student
        self.keep_vectors, self.mining = keep_vectors, mining

    def begin(self, *, resume: bool, overwrite: bool, wait: bool, facts: dict[str, Any]) -> None:
        """Make the folder, or find in it the rounds of the same recipe."""
        self.identity = {"recipe": self._with_model(FIRST_MODEL).to_yaml(), **facts}
        self.wait = wait
        rounds_folder.begin(self.out, self.identity, resume=resume, overwrite=overwrite, wait=wait)

    def run(self, *given: Any) -> Iterator[Round]:
        """One round after the other; the folder is held from the first to the last."""
        with holding.held(self.out, wait=self.wait):
            rounds_folder.refuse_changed(self.out, self.identity)
            rounds_folder.sweep(self.out)
            yield from self._rounds(*given)

    def _rounds(
        self,
        pairs: Any,
        corpus: Any,
        model: Any,
        first: int,
        n: int,
        parent: str | None,
        train: Callable[[Round], Any] | None,
        narrow: bool,
        resume: bool,
    ) -> Iterator[Round]:
        before: Round | None = None
        for number in range(first, first + n):
            folder = self.out / round_name(number)
            documents, missed = narrowed(before, corpus, model) if narrow and before is not None else (corpus, None)
            current = Round(
                number, folder, model, Encoder(model).digest, self._with_model(model), parent=parent, pool=missed
            )
            self._mine(current, pairs, documents, resume)
            if not current.trained and train is not None:
                with store.disk_full_is_said():
                    current.finish(train(current))
            yield current
            if not current.trained:
                raise TrainingError(
                    f"round {number} was not finished: say round.finish(checkpoint) when its training has ended, or "
                    "pass train=, a function that returns the checkpoint"
                )
            self._forget_vectors(before)
            if current.unchanged:
                return
            before, parent, model = current, str(folder), current.next_model

    def _mine(self, current: Round, pairs: Any, corpus: Any, resume: bool) -> None:
        """The mined folder of the round; what an earlier run has recorded of its training is taken over."""
        current.folder.mkdir(parents=True, exist_ok=True)
        recorded = current.read()
        if recorded and recorded.get("checkpoint") != current.checkpoint:
            raise ResumeError(
                f"{current.folder} was mined with the checkpoint {recorded.get('checkpoint')}, which is not "
                f"{current.model!r} ({current.checkpoint}) as it is now; give the same model, or overwrite"
            )
        with closing.told_elsewhere():
            mine(pairs, corpus, current.recipe, out=current.mined_folder, resume=resume, **self.mining)
        self._record(current)
        current.metrics = dict(recorded.get("metrics") or {})
        current.next_model, current.next_checkpoint = _left(current, recorded)
        current.write()

    def _record(self, current: Round) -> None:
        """Number, checkpoint and parent into the mined folder's summary and card, from where `publish` takes them."""
        facts: dict[str, Any] = {"mining_round": {"round": current.number, "checkpoint": current.checkpoint}}
        if current.parent is not None and (Path(current.parent) / RECORD).is_file():
            before = _read(Path(current.parent) / RECORD)
            facts["parent"] = {"round": before["number"], "checkpoint": before["checkpoint"]}
        elif current.parent is not None:
            facts["parent"] = {"published": current.parent}
        if any(current.summary.get(name) != value for name, value in facts.items()):
            mined_folder.record(current.mined_folder, **facts)
            del current.summary  # read anew when it is next asked for

    def _with_model(self, model: Any) -> Recipe:
        """The recipe with the student's model in its place."""
        steps = [
            replaced(step, "model", model) if i == self.student else step
            for i, step in enumerate(self.recipe.retrievers)
        ]
        return Recipe(**{**{name: getattr(self.recipe, name) for name in Recipe.model_fields}, "retrievers": steps})

    def _forget_vectors(self, done: Round | None) -> None:
        """Delete the vectors of a checkpoint that these rounds have trained and will not mine with again."""
        if self.keep_vectors or done is None or done.number == 1 or done.parent is None:
            return
        identity, encoder = done.summary["identity"], done.recipe.retrievers[self.student].encoder
        for role, source in (("document", Corpus(done.summary["corpus"])), ("query", _Named(identity["anchors"]))):
            temporary.remove(Vectors(source, encoder, role).folder)  # type: ignore[arg-type]


def _left(current: Round, recorded: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(checkpoint that the round's training left, its digest); nothing of a damaged one, so that it is made again."""
    place, digest = recorded.get("next_model"), recorded.get("next_checkpoint")
    own = current.folder / CHECKPOINT
    if place is None or os.path.realpath(place) != os.path.realpath(own):
        return place, digest
    with contextlib.suppress(HfnegError):  # a file of it that cannot be read
        if own.is_dir() and Encoder(str(own)).digest == digest:
            return place, digest
    log.warning("%s is not as it was saved: round %d is trained again", own, current.number)
    return None, None


class _Named:
    """Something of which only the digest is needed."""

    def __init__(self, digest: str) -> None:
        self.digest = digest


def _recipe(given: Recipe | str | Path | None) -> Recipe:
    if given is None:
        return Recipe(retrievers=Dense(FIRST_MODEL))
    return given if isinstance(given, Recipe) else Recipe.load(given)


def _check_mining(mining: Mapping[str, Any]) -> None:
    """What `mine` would refuse only when the folder of the rounds is there."""
    known = [name for name in inspect.signature(mine).parameters if name not in OWN]
    for name in mining:
        if name not in known:
            raise SettingError(f"rounds has no argument {name!r}; of mine's it takes {', '.join(known)}")
    if mining.get("executor") is None:
        LocalExecutor(mining.get("devices"))


def _student_of(recipe: Recipe, student: str | None) -> int:
    """Which retriever follows the model."""
    dense = {i: step.name for i, step in enumerate(recipe.retrievers) if getattr(step, "bi_encoder", False)}
    chosen = [i for i, name in dense.items() if student in (None, name)]
    if len(chosen) != 1:
        raise SettingError(
            f"rounds(student={student!r}): expected the recipe to have one Dense retriever that follows the model; it "
            f"has {', '.join(dense.values()) or 'none'}"
        )
    return chosen[0]


def _start(start: str | Path | None) -> tuple[int, str | None, str | None]:
    """(number of the first round, what it follows, the checkpoint which that has left, where it is known)."""
    if start is None:
        return 1, None, None
    folder = Path(start)
    if (folder / MINED).is_dir() and (folder / RECORD).is_file():
        facts = _read(folder / RECORD)
        if not facts["next_model"]:
            raise SettingError(f"rounds(start={str(start)!r}): this round was mined and not trained; resume its rounds")
        own = Path(facts["next_model"]).parts[-2:] == (round_name(facts["number"]), CHECKPOINT)  # moved with the round
        left = folder / CHECKPOINT if own and (folder / CHECKPOINT).is_dir() else facts["next_model"]
        return int(facts["number"]) + 1, str(folder), str(left)
    from hfneg.hub.reading import read_card

    try:
        return read_card(str(start)).round + 1, str(start), None
    except SettingError as error:
        raise SettingError(
            f"rounds(start={str(start)!r}): this is neither the folder of a round (with {RECORD} and {MINED}/) nor the "
            f"id of a published one, like org/name@round-002 ({error})"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    return part_files.read_facts(path, "nobody knows what the rounds beside it belong to: overwrite=True begins anew")
