"""The form of ``summary.json``: a contract between runs, which write it, and all that looks back at their folders.

Types alone: `hfneg.open_summary` gives a plain dictionary. What later versions have added is `NotRequired`, for
folders of earlier ones.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Identity(TypedDict):
    """What the result depends on; a run is gone on with where it is the same."""

    format: int
    recipe: str
    anchors: str
    rows: dict[str, str | None]
    hidden: str | None
    transform: NotRequired[str]
    reselected: NotRequired[str]


class ShareOfPairs(TypedDict):
    """A mean over anchors with its 95% interval."""

    value: float
    low: float
    high: float


class TeacherFit(TypedDict):
    """How often known positives score above candidates of like rank, see `hfneg.runs.folder.fit`.

    `by` is for "teacher", "score" (what ranks) and each of several sources; `worse_than` names that of the others that
    is best, where the teacher is clearly worse; `not_said` why nothing is known.
    """

    anchors: int
    pairs: int
    by: NotRequired[dict[str, ShareOfPairs]]
    worse_than: NotRequired[str]
    not_said: NotRequired[str]


class Taught(TypedDict):
    """The teacher, and what it cost."""

    teacher: str
    digest: str
    scale: str
    members: NotRequired[list[str]]
    asks_positives: NotRequired[bool]
    pairs_asked: int
    pairs_from_store: int
    pairs_spared: NotRequired[int]
    candidates_not_examined: int
    scored_in_full_because: str | None
    fit: NotRequired[TeacherFit]


class SearchedDeeper(TypedDict):
    """The second search, of anchors that had too few negatives."""

    k: int | None
    anchors: int
    still_short: int
    candidates: int
    pairs_asked: NotRequired[int]
    pairs_from_store: NotRequired[int]


class ShortAnchors(TypedDict):
    """What became of anchors with too few negatives."""

    policy: str
    anchors: int
    still_short: int
    relaxed: int
    filled: int
    pairs_asked: int
    pairs_from_store: int


class GivenNegatives(TypedDict):
    """Negatives that came with the pairs."""

    known: int
    taken: int


class HiddenPositives(TypedDict):
    """How many of the negatives a hidden column knew to be relevant."""

    negatives: int
    hidden_found: int
    hidden: int
    share_of_negatives: float


class Reselected(TypedDict):
    """The first run's recipe, and its digest."""

    recipe: str
    run: str


class Summary(TypedDict):
    """The counts and settings of a mined folder.

    `columns` are the user's, "anchor" and "positive"; `rows` the user's, by split; `anchors` and `candidates` are
    counted once each; `verdicts` are candidates by verdict, whose codes in the ledger are `verdict_codes`;
    `negatives_per_anchor` says how many anchors have 0, 1, 2 ... negatives.
    """

    hfneg: str
    columns: dict[str, Any]
    positives_are: NotRequired[Any]
    reading: NotRequired[dict[str, Any]]
    rows: dict[str, int]
    anchors: int
    documents: int
    added_positives: int
    candidates: int
    verdicts: dict[str, int]
    verdict_codes: dict[str, str]
    negatives: int
    negatives_per_anchor: dict[str, int]
    wanted_per_anchor: int
    sources: list[str]
    anchors_without_candidates: NotRequired[dict[str, int]]
    exact: NotRequired[bool]
    corpus: str
    recipe: str
    models: NotRequired[list[dict[str, Any]]]
    versions: dict[str, str]
    given_negatives: NotRequired[GivenNegatives]
    empty_documents: NotRequired[int]
    guard_takes: NotRequired[list[dict[str, Any]]]
    deeper: NotRequired[SearchedDeeper]
    short: NotRequired[ShortAnchors]
    teacher: NotRequired[Taught]
    hidden_positives: NotRequired[HiddenPositives]
    datasets: NotRequired[list[dict[str, str]]]
    reselected: NotRequired[Reselected]
    mining_round: NotRequired[dict[str, Any]]
    parent: NotRequired[dict[str, Any]]
    calibration: NotRequired[str]
    identity: NotRequired[Identity]  # the last to be written: where it is, the folder is whole
