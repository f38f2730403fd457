"""`Select`: from candidates to hard negatives - guard, filters, sampler - with a verdict on each candidate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg import columns, verdicts
from hfneg.anchors import Anchors
from hfneg.batches import Lists
from hfneg.candidates import Candidates
from hfneg.errors import ColumnError, SettingError
from hfneg.filters.base import Filter
from hfneg.guard import Guard
from hfneg.pool import Pool
from hfneg.sampling import Sampler, TakeTop
from hfneg.transform import Transform, unique

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """The negatives of n anchors and the verdict on each of their m candidates.

    Attributes:
        numbers: int64 [n], the anchors.
        negatives: corpus rows per anchor, in the sampler's order.
        scores: float32, aligned with ``negatives.flat``.
        sources: uint8, aligned with ``negatives.flat``; bit i is source i.
        verdicts: uint8 [m], codes of `hfneg.verdicts`, aligned with the candidates.
    """

    numbers: Rows
    negatives: Lists
    scores: npt.NDArray[np.float32]
    sources: npt.NDArray[np.uint8]
    verdicts: npt.NDArray[np.uint8]


SELECTED_COLUMNS = (
    columns.NEGATIVES,
    columns.NEGATIVE_IDS,
    columns.NEGATIVE_SCORES,
    columns.POSITIVE_SCORES,
    columns.NEGATIVE_SOURCES,
)


class Policy:
    """Filters and a sampler: from candidates to negatives. Pure: arrays in, arrays out."""

    def __init__(
        self, filters: Sequence[Filter] | Filter = (), sampler: Sampler | None = None, guard: Guard | None = None
    ) -> None:
        self.filters = tuple(filters) if isinstance(filters, list | tuple) else (filters,)
        self.sampler = TakeTop(7) if sampler is None else sampler
        self.guard = Guard() if guard is None else guard
        for given, kind, wanted in (
            *((f, Filter, "a filter such as Margin(relative=0.05)") for f in self.filters),
            (self.sampler, Sampler, "a sampler such as TakeTop(7)"),
            (self.guard, Guard, "Guard(...)"),
        ):
            if not isinstance(given, kind):
                raise SettingError(f"{given!r} is no {kind.__name__.lower()}: expected {wanted}")
        for step in self.filters:
            _check_filter(step)

    def __repr__(self) -> str:
        return f"filters={list(self.filters)!r}, sampler={self.sampler!r}, guard={self.guard!r}"

    @property
    def verdict_names(self) -> dict[int, str]:
        """Code -> name, for the ledger and the counts."""
        return verdicts.names_of([f.verdict for f in self.filters])

    def compared_scores(self) -> list[tuple[str, str]]:
        """(step, score) for each step that needs the positive's value of a score."""
        steps = [*self.filters, self.sampler]
        return [(repr(step), by) for step in steps if (by := step.compares_with_positive()) is not None]

    def run(self, anchors: Anchors, candidates: Candidates) -> Selection:
        """Verdicts and negatives for a block of anchors."""
        pool = Pool(anchors, candidates)
        codes = self.guard.verdicts(pool)
        for i, step in enumerate(self.filters):
            kept = np.asarray(step.keep(pool))
            if kept.shape != codes.shape or kept.dtype != bool:
                raise SettingError(
                    f"{step!r}.keep returned {kept.dtype} of shape {kept.shape}; it must return one bool per "
                    f"candidate, shape {codes.shape}"
                )
            codes[(codes == verdicts.SPARE) & ~kept] = verdicts.FIRST_FILTER + i
        places = np.asarray(self.sampler.places(pool))
        if places.shape != codes.shape or places.dtype.kind not in "iuf" or np.isnan(places).any():
            raise SettingError(
                f"{self.sampler!r}.places returned {places.dtype} of shape {places.shape}; it must return one number "
                f"(not NaN) per candidate, shape {codes.shape}"
            )
        places = places.astype(np.float64)
        taken = np.flatnonzero(pool.first(codes == verdicts.SPARE, places, self.sampler.n))
        codes[taken] = verdicts.SELECTED
        order = np.lexsort((pool.ranks[taken], places[taken], pool.owners[taken]))
        taken = taken[order]
        counts = np.bincount(pool.owners[taken], minlength=len(pool.numbers))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Selection(
            numbers=pool.numbers,
            negatives=Lists(indptr, pool.rows[taken]),
            scores=candidates.scores[taken],
            sources=candidates.sources[taken],
            verdicts=codes,
        )


def _check_filter(step: Filter) -> None:
    """A user's own filter has settings (a dataclass) and a verdict of its own."""
    if not dataclasses.is_dataclass(step):
        raise SettingError(
            f"{type(step).__name__} is a filter without settings; write @dataclass(frozen=True) above its class"
        )
    verdict = getattr(step, "verdict", None)
    if not isinstance(verdict, str) or not verdict or verdict in verdicts.FIXED.values():
        raise SettingError(
            f"{step!r}.verdict is {verdict!r}; expected a name for what it drops, other than "
            f"{', '.join(verdicts.FIXED.values())}"
        )


class Select(Transform):
    """Choose hard negatives from candidates: ``pairs.map(Select(anchors, sampler=TakeTop(7)), batched=True)``.

    Args:
        anchors: what `Retrieve` was given.
        filters: each drops candidates and says why; see `hfneg.filters`.
        sampler: which survivors are taken; ``TakeTop(7)`` unless said otherwise.
        guard: the leakage guard's settings.
        keep_candidates: keep the ``candidate_*`` columns and add ``candidate_verdicts``.
        remine: replace columns that an earlier mining left.

    Adds ``hard_negatives``, ``hard_negative_ids``, ``hard_negative_scores``, ``hard_negative_sources`` and
    ``positive_scores``. A row may get fewer negatives than asked for; none are made up.
    """

    def __init__(
        self,
        anchors: Anchors,
        *,
        filters: Sequence[Filter] | Filter = (),
        sampler: Sampler | None = None,
        guard: Guard | None = None,
        keep_candidates: bool = False,
        remine: bool = False,
    ) -> None:
        self.anchors = anchors
        self.policy = Policy(filters, sampler, guard)
        self.keep_candidates = keep_candidates
        self.remine = remine

    def __repr__(self) -> str:
        return f"Select({self.policy!r})"

    @property
    def needs(self) -> dict[str, str]:
        retrieved = "result of hfneg.Retrieve, which comes before Select"
        return {
            self.anchors.anchor: "anchor",
            self.anchors.positive: "positive",
            columns.CANDIDATE_ROWS: retrieved,
            columns.CANDIDATE_SCORES: retrieved,
            columns.CANDIDATE_SOURCES: retrieved,
            columns.CANDIDATE_ORIGIN: retrieved,
            columns.CANDIDATE_POSITIVE_SCORES: retrieved,
        }

    @property
    def adds(self) -> tuple[str, ...]:
        return (*SELECTED_COLUMNS, *((columns.CANDIDATE_VERDICTS,) if self.keep_candidates else ()))

    @property
    def drops(self) -> tuple[str, ...]:
        return () if self.keep_candidates else columns.CANDIDATES

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        first, numbers, place = unique(self.anchors.numbers(batch))
        candidates = self._candidates(batch, first, numbers)
        chosen = self.policy.run(self.anchors, candidates)
        positive_scores = Lists(self.anchors.positives(numbers).indptr, candidates.positive_scores[:, 0])
        new = mined_columns(self.anchors, batch, place, chosen, positive_scores, candidates.names)
        if self.keep_candidates:
            new[columns.CANDIDATE_VERDICTS] = Lists(candidates.indptr, chosen.verdicts).take(place)
        return new

    def _candidates(self, batch: Mapping[str, Any], first: Rows, numbers: Rows) -> Candidates:
        """From the columns, which a user can have changed in between."""
        try:
            candidates = Candidates.from_columns(self.anchors, batch, first, numbers)
            candidates.check(self.anchors)
        except (ColumnError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ColumnError(
                f"the candidate_* columns are not as Retrieve(anchors, ...) has left them ({error}); run Retrieve "
                "again, with the same anchors"
            ) from error
        return candidates


def mined_columns(
    anchors: Anchors,
    batch: Mapping[str, Any],
    place: Rows,
    chosen: Selection,
    positive_scores: Lists,
    names: tuple[str, ...],
) -> dict[str, Lists]:
    """The columns of the user's rows; row i of the batch belongs to anchor ``place[i]`` of `chosen`.

    `positive_scores` are those of the known positives of the chosen anchors, flat as in `Anchors.positives`.
    Texts and ids stay Arrow arrays.
    """
    rows = chosen.negatives.take(place)
    return {
        columns.NEGATIVES: Lists(rows.indptr, anchors.corpus.texts(rows.flat)),
        columns.NEGATIVE_IDS: Lists(rows.indptr, anchors.corpus.ids_arrow(rows.flat)),
        columns.NEGATIVE_SCORES: Lists(chosen.negatives.indptr, chosen.scores).take(place),
        columns.POSITIVE_SCORES: _own_positive_scores(anchors, batch, place, chosen.numbers, positive_scores),
        columns.NEGATIVE_SOURCES: Lists(chosen.negatives.indptr, _source_names(names, chosen.sources)).take(place),
    }


def _own_positive_scores(
    anchors: Anchors, batch: Mapping[str, Any], place: Rows, numbers: Rows, scores: Lists
) -> Lists:
    """Each row's own positives (its siblings' left out), in the row's order; none where they have no score."""
    own = anchors.positive_rows(batch)
    if np.isnan(scores.flat).any():
        return Lists(np.zeros_like(own.indptr), scores.flat[:0])
    known = anchors.positives(numbers)
    wide = len(anchors.corpus)
    at = np.searchsorted(known.owners * wide + known.flat, place[own.owners] * wide + own.flat)
    return Lists(own.indptr, scores.flat[at])


def _source_names(names: tuple[str, ...], masks: npt.NDArray[np.uint8]) -> pa.Array:
    """For each mask the names of its sources, joined ("bm25+dense"), as Arrow."""
    distinct, place = np.unique(masks, return_inverse=True)
    words = ["+".join(name for i, name in enumerate(names) if mask >> i & 1) for mask in distinct.tolist()]
    return pa.array(words, type=pa.string()).take(pa.array(place.reshape(-1)))
