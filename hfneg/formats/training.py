"""The columns that each sentence-transformers loss takes, and no others.

The trainers read columns by order: whatever is not a label goes into the loss. So every function here
returns exactly the columns of its losses, with your names for anchor and positive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from hfneg.base.columns import NEGATIVES
from hfneg.errors import SettingError
from hfneg.formats.converting import Data, Mined, open_mined
from hfneg.formats.layout import Kind, Positives, Scores, TrainerLayout, require_mined, score_columns, text_columns
from hfneg.formats.shapes import ListShape, PairShape, Triplets, Tuples


def tuples(
    ds: Data,
    *,
    n: int | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    positives: Positives = "all",
) -> Data:
    """anchor, positive, negative_1 .. negative_n: for MultipleNegativesRankingLoss and its cached, sparse
    and multi-vector forms.

    Rows with fewer than `n` negatives are dropped, and a warning says how many. `n` defaults to the
    longest list in the dataset (over all splits); a stream needs it said. Where the positive column holds
    lists, ``positives="all"`` makes a row of each and ``"first"`` takes only the first. `anchor` and
    `positive` are known of what `hfneg.mine` has written, also after ``load_dataset``; else they default to
    the only two columns that are neither hfneg's nor ids.

    Example::

        train = hfneg.formats.tuples(mined, n=5)    # query, answer, negative_1 .. negative_5
    """
    mined = open_mined(ds, unscored_layout(anchor, positive, positives))
    layout, count = mined.layout, mined.count(n, "tuples")
    return cast(Data, mined.to(Tuples("tuples", layout.anchor, layout.positive, count)))


def triplets(ds: Data, *, anchor: str | None = None, positive: str | None = None, positives: Positives = "all") -> Data:
    """anchor, positive, negative, one row per negative: for TripletLoss, SparseTripletLoss, GISTEmbedLoss.

    Rows without a negative are dropped, and a warning says how many. For the options see `tuples`.

    Example::

        train = hfneg.formats.triplets(mined)       # query, answer, negative
    """
    mined = open_mined(ds, unscored_layout(anchor, positive, positives))
    return cast(Data, mined.to(Triplets("triplets", mined.layout.anchor, mined.layout.positive)))


def labelled_pairs(
    ds: Data, *, anchor: str | None = None, positive: str | None = None, positives: Positives = "all"
) -> Data:
    """anchor, document, label (1 or 0): for ContrastiveLoss, OnlineContrastiveLoss and, of cross-encoders,
    BinaryCrossEntropyLoss.

    Of each row the positives once with 1, then each negative once with 0; a row without negatives still
    gives its positives. For the options see `tuples`.

    Example::

        train = hfneg.formats.labelled_pairs(mined)     # query, document, label
    """
    mined = open_mined(ds, unscored_layout(anchor, positive, positives))
    return cast(Data, mined.to(PairShape("labelled_pairs", mined.layout.anchor)))


def scored_pairs(
    ds: Data,
    *,
    scores: Scores | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    positives: Positives = "all",
) -> Data:
    """anchor, document, score (float32): for CoSENTLoss, AnglELoss, CosineSimilarityLoss and, of
    cross-encoders, MSELoss.

    `scores` is "teacher" or "retriever"; by default the teacher's where there are any. They are passed on as
    they are: CosineSimilarityLoss wants them between -1 and 1. Documents without a finite score are left
    out, and a warning says how many. For the other options see `tuples`.

    Example::

        train = hfneg.formats.scored_pairs(mined, scores="teacher")     # query, document, score
    """
    mined = open_mined(ds, scored_layout(anchor, positive, positives, scores))
    return cast(Data, mined.to(PairShape("scored_pairs", mined.layout.anchor, scored=True)))


def margin_mse(
    ds: Data,
    *,
    n: int | None = None,
    scores: Scores | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    positives: Positives = "all",
) -> Data:
    """anchor, positive, negative_1 .. negative_n and label, the n + 1 scores of these documents: for
    MarginMSELoss (dense, sparse, multi-vector and cross-encoder).

    The label holds raw scores, positive first, not differences. Negatives without a finite score do not
    count. For the options see `tuples` and `scored_pairs`.

    Example::

        train = hfneg.formats.margin_mse(mined, n=5)    # query, answer, negative_1 .. negative_5, label
    """
    mined = open_mined(ds, scored_layout(anchor, positive, positives, scores))
    return cast(Data, mined.to(_scored_tuples("margin_mse", mined, n)))


def distillation(
    ds: Data,
    *,
    n: int | None = None,
    scores: Scores | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    positives: Positives = "all",
) -> Data:
    """anchor, positive, negative_1 .. negative_n and label, one raw score per document (n + 1): for
    DistillKLDivLoss (dense, sparse and multi-vector).

    The loss turns the scores into a distribution by a softmax, so logits are what it wants. For the options
    see `tuples` and `scored_pairs`.

    Example::

        train = hfneg.formats.distillation(mined, n=7, scores="teacher")
    """
    mined = open_mined(ds, scored_layout(anchor, positive, positives, scores))
    return cast(Data, mined.to(_scored_tuples("distillation", mined, n)))


def listwise(
    ds: Data,
    *,
    graded: bool = False,
    scores: Scores | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    positives: Positives = "all",
) -> Data:
    """anchor, documents and labels, two lists of the same length: for the cross-encoders' LambdaLoss,
    ListNetLoss, ListMLELoss, PListMLELoss, RankNetLoss and ADRMSELoss.

    One row stays one row: all positives first, then the negatives, however many there are. The labels are
    1 and 0, or with ``graded=True`` (or `scores` named) the scores. Rows without a negative are dropped,
    and a warning says how many. For the options see `tuples` and `scored_pairs`.

    Example::

        train = hfneg.formats.listwise(mined)                       # query, documents, labels
        train = hfneg.formats.listwise(mined, scores="teacher")     # labels are the teacher's scores
    """
    graded = graded or scores is not None
    layout_of = (
        scored_layout(anchor, positive, positives, scores) if graded else unscored_layout(anchor, positive, positives)
    )
    mined = open_mined(ds, layout_of)
    return cast(Data, mined.to(ListShape("listwise", mined.layout.anchor, scored=graded)))


def _scored_tuples(name: str, mined: Mined, n: int | None) -> Tuples:
    return Tuples(name, mined.layout.anchor, mined.layout.positive, mined.count(n, name), label="label")


def unscored_layout(
    anchor: str | None, positive: str | None, positives: Positives
) -> Callable[[Mapping[str, Kind]], TrainerLayout]:
    if positives not in ("all", "first"):
        raise SettingError(f"positives={positives!r} should be 'all' (a row for each) or 'first'")

    def layout_of(kinds: Mapping[str, Kind]) -> TrainerLayout:
        require_mined(kinds, NEGATIVES)
        return TrainerLayout(*text_columns(kinds, anchor, positive), first=positives == "first")

    return layout_of


def scored_layout(
    anchor: str | None, positive: str | None, positives: Positives, scores: Scores | None
) -> Callable[[Mapping[str, Kind]], TrainerLayout]:
    unscored = unscored_layout(anchor, positive, positives)

    def layout_of(kinds: Mapping[str, Kind]) -> TrainerLayout:
        ours, theirs = score_columns(kinds, scores)
        return replace(unscored(kinds), positive_scores=ours, negative_scores=theirs)

    return layout_of
