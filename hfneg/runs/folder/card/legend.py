"""What the columns of mined rows hold, in the words of a card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hfneg.base import columns

ALIGNED = "aligned with the negatives"
MINED = {
    columns.NEGATIVES: "texts of the hard negatives, in the sampler's order",
    columns.NEGATIVE_IDS: f"their ids in the corpus, {ALIGNED}",
    columns.NEGATIVE_SCORES: "their scores by the retriever, or fused of several; null where one was not retrieved",
    columns.NEGATIVE_SOURCES: "who has found each of them",
    columns.NEGATIVE_TEACHER_SCORES: f"the teacher's scores, {ALIGNED}",
    columns.POSITIVE_SCORES: "the scores of the row's positives on the same scale",
    columns.POSITIVE_TEACHER_SCORES: "the teacher's scores of the row's positives",
    columns.EXTRA_POSITIVES: "texts that the teacher puts above the positive, and that are no negatives therefore",
    columns.EXTRA_POSITIVE_IDS: "their ids",
}
PUBLISHED = {
    "query_id": "the anchor, a row of the config `queries`",
    "positive_id": "a relevant document, a row of the config `corpus`",
    "negative_ids": "the hard negatives, rows of the config `corpus`, in the sampler's order",
    "negative_scores": f"their scores by the retriever, or fused of several, {ALIGNED}",
    "negative_sources": "who has found each of them",
    "positive_score": "the positive's score on the same scale",
}
TAUGHT = {
    "negative_teacher_scores": f"the teacher's scores, {ALIGNED}",
    "positive_teacher_score": "the teacher's score of the positive",
}


def of_folder(names: Iterable[str], roles: Mapping[str, str]) -> dict[str, str]:
    """Column -> what it holds, of the rows of a mined folder; those that came with the pairs are named only by role."""
    said = {roles["anchor"]: "the anchor (query)", roles["positive"]: "what is relevant to it"}
    return {name: meaning for name in names if (meaning := {**said, **MINED}.get(name))}


def of_round(*, taught: bool) -> dict[str, str]:
    """The same of the rows of a published round."""
    return {**PUBLISHED, **(TAUGHT if taught else {})}
