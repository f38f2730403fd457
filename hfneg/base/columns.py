"""The columns hfneg adds, named once.

A mined row carries flat, aligned lists: the i-th id, text, score and source belong together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hfneg.errors import ColumnError, near_miss

NEGATIVES = "hard_negatives"  # list[str], texts
NEGATIVE_IDS = "hard_negative_ids"  # list[str], ids of the corpus
NEGATIVE_SCORES = "hard_negative_scores"  # list[float32], the retriever's or the fused score
POSITIVE_SCORES = "positive_scores"  # list[float32], same scale, aligned with the row's positives
NEGATIVE_TEACHER_SCORES = "hard_negative_teacher_scores"  # list[float32]
POSITIVE_TEACHER_SCORES = "positive_teacher_scores"  # list[float32]
NEGATIVE_SOURCES = "hard_negative_sources"  # list[str], e.g. "bm25+dense", or "random" where filled
EXTRA_POSITIVES = "extra_positives"  # list[str], texts that the teacher puts above the positive
EXTRA_POSITIVE_IDS = "extra_positive_ids"  # list[str], aligned

CANDIDATE_ROWS = "candidate_rows"  # list[int64], rows of the corpus in fused rank order
CANDIDATE_SCORES = "candidate_scores"  # list[float32], what ranks them
CANDIDATE_SOURCES = "candidate_sources"  # list[uint8], bit i set: source i retrieved it
CANDIDATE_SOURCE_SCORES = "candidate_source_scores"  # list[float32], n_candidates x n_sources, flat
CANDIDATE_SOURCE_RANKS = "candidate_source_ranks"  # list[int32], the same shape, 0 = not retrieved
CANDIDATE_ORIGIN = "candidate_origin"  # list[str], digest of the anchors, then what bit i means
CANDIDATE_POSITIVE_SCORES = "candidate_positive_scores"  # list[float32], n_positives x (1 + n_sources)
CANDIDATE_FIRST = "candidate_first"  # list[int64] of one: how many the first search found (where lists may be longer)
CANDIDATE_DEEPER_POSITIVE_SCORES = "candidate_deeper_positive_scores"  # list[float32], as above, in the deeper lists
CANDIDATE_VERDICTS = "candidate_verdicts"  # list[uint8], hfneg.steps.block.verdicts names them

MINED = (
    NEGATIVES,
    NEGATIVE_IDS,
    NEGATIVE_SCORES,
    POSITIVE_SCORES,
    NEGATIVE_TEACHER_SCORES,
    POSITIVE_TEACHER_SCORES,
    NEGATIVE_SOURCES,
    EXTRA_POSITIVES,
    EXTRA_POSITIVE_IDS,
)
CANDIDATES = (
    CANDIDATE_ROWS,
    CANDIDATE_SCORES,
    CANDIDATE_SOURCES,
    CANDIDATE_SOURCE_SCORES,
    CANDIDATE_SOURCE_RANKS,
    CANDIDATE_ORIGIN,
    CANDIDATE_POSITIVE_SCORES,
    CANDIDATE_FIRST,
    CANDIDATE_DEEPER_POSITIVE_SCORES,
    CANDIDATE_VERDICTS,
)
OURS = MINED + CANDIDATES


def require(column: str, existing: Iterable[str], role: str) -> None:
    """Raise unless `column` is one of `existing`; `role` says what it was wanted for."""
    names = list(existing)
    if column not in names:
        raise ColumnError(
            f"there is no column {column!r} (wanted as the {role}); the columns are "
            f"{', '.join(map(repr, names)) or 'none'}.{near_miss(column, names)}"
        )


def refuse_taken(existing: Sequence[str], adds: Sequence[str], remine: bool) -> None:
    """Raise where a column we are about to add exists, unless `remine` allows replacing it."""
    taken = [name for name in adds if name in existing]
    if taken and not remine:
        raise ColumnError(
            f"the dataset already has {', '.join(map(repr, taken))}, which this step would add; "
            "pass remine=True to replace what an earlier mining left, or remove or rename the columns first"
        )


_ROLES = re.compile(r"hfneg columns: (?=\{)")


def described(roles: Mapping[str, str]) -> str:
    """A description for a mined dataset's info, which says which of its columns hold anchor and positive.

    `datasets` keeps it over `load_dataset`, `map`, `filter`, `select` and `save_to_disk`.
    """
    said = {role: roles[role] for role in ("anchor", "positive")}
    return f"Hard negatives mined with hfneg. hfneg columns: {json.dumps(said, ensure_ascii=False)}"


def roles_in(dataset: Any) -> dict[str, str]:
    """Role -> column, as a dataset's info says; nothing where it does not, or where several mined ones disagree."""
    text = getattr(getattr(dataset, "info", None), "description", None) or ""
    found: list[dict[str, str]] = []
    end = 0
    while (match := _ROLES.search(text, end)) is not None:
        try:
            roles, end = json.JSONDecoder().raw_decode(text, match.end())
        except ValueError:  # somebody has edited it
            end = match.end()
            continue
        if roles not in found:
            found.append(roles)
    return {role: str(name) for role, name in found[0].items()} if len(found) == 1 else {}
