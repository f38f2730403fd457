"""What a teacher is: it scores (anchor, document) pairs, raw; its scale says how raw scores are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Mask
from hfneg.base.settings import check_choice
from hfneg.errors import InputError, NonFiniteError, SettingError, TeacherError
from hfneg.models.encoder import refuse_forked_child
from hfneg.models.returned import as_numbers
from hfneg.steps.step import Step

Scores = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]
OnScored = Callable[[Positions, Scores], None]
"""Called with positions in the list of pairs (int64 [m]) and their raw scores (float32 [m])."""

SCALES = {
    "probability": "the sigmoid of a logit: 0 to 1",
    "cosine": "as it is: -1 to 1",
    "from_zero": "as it is: from 0 (not relevant) up",
    "logit": "as it is: any number; 0 is an even chance",
    "raw": "as it is: any number",
}
RELATIVE = ("probability", "cosine", "from_zero")  # on these "5% below the positive" says something
SHOWN = 60  # characters of a text in a message


class TeacherFacts(Protocol):
    """What a policy needs to know of a teacher: it asks a `Scorer`, never a teacher. A ledger keeps just this."""

    @property
    def digest(self) -> str: ...

    @property
    def resolved_scale(self) -> str: ...

    @property
    def members(self) -> Sequence[TeacherFacts]: ...

    @property
    def why_no_relative_margin(self) -> str | None: ...

    @property
    def asks_positives(self) -> bool: ...

    @property
    def partial(self) -> bool: ...


class Teacher(Step):
    """Base of the teachers; a subclass is a frozen dataclass with `digest`, `resolved_scale` and `_score`.

    A teacher gives RAW outputs (logits, cosines), which is what a score store keeps under its `digest`; filters
    see ``teacher.scaled(raw)``. Changing the scale therefore costs no call.

    Whoever stores scores should go through `members` and `combine`, which work for ensembles too::

        raw = [member.score(anchors, documents) for member in teacher.members]       # each under member.digest
        scores = teacher.combine([m.scaled(r) for m, r in zip(teacher.members, raw)])
    """

    scales: ClassVar[tuple[str, ...]] = tuple(SCALES)
    """What `scale=` may be."""

    remote: ClassVar[bool] = False
    """Whether `model` is one that a server has: it is no folder here, and need not be on the Hub."""

    alone: ClassVar[bool] = False
    """Whether a pair's score is the same whatever other pairs are in the call, so that each can be kept as it comes."""

    # What it is.

    @property
    def digest(self) -> str:
        """32 hex digits over all that a raw score depends on besides the pair; the scale is not in it."""
        raise NotImplementedError

    @property
    def resolved_scale(self) -> str:
        """The name of the scale in use: what was given, or the teacher's own."""
        raise NotImplementedError

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The teachers whose raw scores are worth keeping: itself, or those an ensemble is made of."""
        return (self,)

    @property
    def asks_positives(self) -> bool:
        """Whether it is asked about the known positives, too; else their scores are NaN, and nothing can compare."""
        return True

    @property
    def highest(self) -> float | None:
        """The largest scaled score there can be; None where there is none."""
        return 1.0 if self.resolved_scale in ("probability", "cosine") else None

    partial: ClassVar[bool] = False
    """Whether some members see only some of the pairs, so that they cannot be compared one by one."""

    def wanted(self, before: Sequence[Scores]) -> Mask | None:
        """bool [n]: the pairs that the next member is to be asked about, by the scaled scores of those before it.

        None: all. The others' scores of that member are NaN.
        """
        return None

    # What its scores mean.

    def combine(self, scaled: Sequence[Scores]) -> Scores:
        """float32 [n] from one scaled array [n] per member, in the order of `members`."""
        (one,) = scaled
        return one

    def scaled(self, raw: npt.ArrayLike) -> Scores:
        """float32, shape of `raw`: raw scores as filters see them. NaN (no score) stays NaN.

        Raises SettingError where the scale is "from_zero" and a score is below zero.
        """
        return on_scale(raw, self.resolved_scale, self)

    @property
    def bounded_below(self) -> bool:
        """Whether scaled scores have a lower end, without which a relative margin means nothing."""
        return self.resolved_scale in RELATIVE

    @property
    def why_no_relative_margin(self) -> str | None:
        """Why "a share of the positive's score" makes no sense on this scale, and what to do; else None.

        On "cosine" it does, with care: the scores of one model lie in a narrow part of -1 to 1.
        """
        return why_no_relative_margin(self, self.resolved_scale, "probability" in self.scales)

    # What it does.

    def score(
        self,
        anchors: Sequence[str],
        documents: Sequence[str],
        *,
        on_scored: OnScored | None = None,
        expected: str | None = None,
    ) -> Scores:
        """float32 [n]: the raw score of each pair (anchors[i], documents[i]), in this order.

        Pairs of many anchors belong into one call: they are batched together, by length. The result depends on
        the list of pairs alone; between lists a pair's score agrees to 1e-5 (float32).

        Args:
            on_scored: called as batches finish, in this thread; what it was given is not lost when a later
                batch fails.
            expected: the `digest` that the scores will be filed under.

        Raises:
            ProcessError: a forked child, or a live model of another process.
            NonFiniteError: NaN or infinity, naming the pair; finite scores of that batch are handed on first.
            TeacherError: a number of scores that is not the number of pairs.
            SettingError: the teacher is no longer the one of `expected`.
        """
        _check_texts(anchors, documents)
        refuse_forked_child("score pairs")
        if expected is not None and self.digest != expected:
            raise SettingError(
                f"{self!r} is no longer the teacher of digest {expected[:12]} (now {self.digest[:12]}); its scores "
                "would be of two models: make the step again"
            )
        received = Received(self, anchors, documents, on_scored)
        if len(anchors):
            self._score(list(anchors), list(documents), received)
        return received.result()

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        """Score the pairs and call ``done(positions, scores)`` for each finished batch."""
        raise NotImplementedError

    # Settings and text.

    def _check_scale(self, scale: Any) -> None:
        if scale is not None:
            check_choice(self, "scale", scale, self.scales)

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        given = {f.name: getattr(self, f.name) for f in fields if not _is_default(f, getattr(self, f.name))}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._shown(given).items())})"

    def _shown(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings as plain values."""
        return settings

    def __getstate__(self) -> dict[str, Any]:
        """Settings and digest: a changed checkpoint is another fingerprint for `datasets`, and no weight travels."""
        return {**super().__getstate__(), "pinned": self.digest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: value for name, value in state.items() if name != "pinned"})
        object.__setattr__(self, "_pinned", state.get("pinned"))


class Received:
    """The scores of finished batches: checked, kept, and handed on."""

    def __init__(
        self, teacher: Teacher, anchors: Sequence[str], documents: Sequence[str], on_scored: OnScored | None
    ) -> None:
        self._teacher, self._anchors, self._documents, self._on_scored = teacher, anchors, documents, on_scored
        self._scores = np.full(len(anchors), np.nan, dtype=np.float32)

    def __call__(self, positions: Sequence[int] | Positions, scores: Any) -> None:
        """Take raw `scores` [m] of the pairs at `positions` [m].

        Raises TeacherError for a wrong count, NonFiniteError naming the pair after the finite scores were taken.
        """
        at = np.asarray(positions, dtype=np.int64)
        values = self._numbers(scores, len(at))
        finite = np.isfinite(values)
        self._scores[at[finite]] = values[finite]
        if self._on_scored is not None and finite.any():
            self._on_scored(at[finite], values[finite])
        if not finite.all():
            self._refuse(int(at[~finite][0]), float(values[~finite][0]), int((~finite).sum()), len(at))

    def result(self) -> Scores:
        """float32 [n]; raises TeacherError where pairs have no score."""
        missing = np.flatnonzero(np.isnan(self._scores))
        if len(missing):
            raise TeacherError(
                f"{self._teacher!r} gave no score to {len(missing)} of {len(self._scores)} pairs; the first is "
                f"{self._name(int(missing[0]))}"
            )
        return self._scores

    def _numbers(self, scores: Any, wanted: int) -> Scores:
        try:
            with np.errstate(over="ignore"):  # too large for float32: infinite, and refused as such
                values = as_numbers(scores).astype(np.float64).astype(np.float32)
        except (TypeError, ValueError) as error:
            raise TeacherError(
                f"{self._teacher!r} returned a {type(scores).__name__} that is no array of numbers ({error}); it must "
                "return one score per pair"
            ) from None
        if values.shape != (wanted,):
            raise TeacherError(
                f"{self._teacher!r} returned scores of shape {values.shape} for {wanted} pairs; it must return one "
                f"score per pair: [{wanted}]"
            )
        return values

    def _refuse(self, position: int, value: float, bad: int, batch: int) -> None:
        raise NonFiniteError(
            f"{self._teacher!r} gave {value} to {bad} of {batch} pairs of a batch; the first is "
            f"{self._name(position)}: look at these texts, or load the model in float32"
        )

    def _name(self, position: int) -> str:
        anchor, document = self._anchors[position], self._documents[position]
        return f"pair {position}: anchor {anchor[:SHOWN]!r}, document {document[:SHOWN]!r}"


def why_no_relative_margin(teacher: Any, scale: str, can_be_probability: bool = True) -> str | None:
    """As `Teacher.why_no_relative_margin`, of a scale; `teacher` is named."""
    if scale in RELATIVE:
        return None
    way_out = "pass scale='probability' to the teacher, or " if can_be_probability else ""
    return (
        f"a relative margin is a share of the positive's score, but the scores of {teacher!r} are on the scale "
        f"{scale!r} (any number, also below zero): {way_out}use an absolute margin"
    )


def on_scale(raw: npt.ArrayLike, scale: str, teacher: Any) -> Scores:
    """float32, shape of `raw`: raw scores as filters see them; `teacher` is named in the error. NaN stays NaN.

    Raises SettingError where the scale is "from_zero" and a score is below zero.
    """
    values = np.asarray(raw, dtype=np.float32)
    if scale == "probability":
        return sigmoid(values)
    if scale == "from_zero" and (values < 0).any():
        raise SettingError(
            f"{teacher!r} gave {np.nanmin(values):.4g}, and its scale says that scores begin at 0; pass "
            "scale='probability' (a sigmoid is applied), scale='logit' or scale='raw'"
        )
    return values


def sigmoid(logits: Scores) -> Scores:
    """float32, computed in float64: 1 / (1 + exp(-x)); monotone, and no overflow."""
    with np.errstate(over="ignore"):
        values: Scores = (1.0 / (1.0 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
    return values


def _check_texts(anchors: Sequence[str], documents: Sequence[str]) -> None:
    if isinstance(anchors, str) or isinstance(documents, str) or len(anchors) != len(documents):
        said = [type(x).__name__ if isinstance(x, str) else f"{len(x)} texts" for x in (anchors, documents)]
        raise InputError(f"score takes two lists of the same length, anchors and documents; {said} were given")
    for name, texts in (("anchor", anchors), ("document", documents)):
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"{name} {position} is {text!r}, a {type(text).__name__}; a text was expected")


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return field.default is not dataclasses.MISSING and type(value) is type(field.default) and value == field.default
