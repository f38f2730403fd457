"""Where judgments are given: how many of the mined negatives are relevant after all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints, Mask
from hfneg.base.lists import Lists, offsets
from hfneg.data.files import beir
from hfneg.data.judgments import Judgments, relevant as labels_of
from hfneg.data.layouts import Given, pairs
from hfneg.data.layouts.tables import read
from hfneg.errors import InputError
from hfneg.review.audit.checks import TestSet
from hfneg.review.audit.facts import Facts, among
from hfneg.review.audit.findings import FalseNegatives
from hfneg.review.audit.opening import AuditedRows, open_source
from hfneg.review.components import components
from hfneg.review.intervals import share

BLOCK = 100_000


@dataclass(frozen=True)
class Truth:
    """The rate, and bool [negatives]: the relevant, and those truly not (of judged anchors, or given as such)."""

    rate: FalseNegatives
    relevant: Mask
    irrelevant: Mask


def judge(facts: Facts, qrels: Judgments) -> Truth:
    """What the judgments say of the negatives."""
    keys, judged, by_id = judged_keys(facts, qrels)
    relevant = relevant_negatives(facts, keys)
    rate = false_negatives(facts, relevant, keys, judged, by_id=by_id)
    known = among(facts.anchors[facts.owners()], judged) | facts.given
    return Truth(rate, relevant, known & ~relevant & ~facts.empty_negative)


def judged_keys(facts: Facts, found: Judgments) -> tuple[Ints, Ints, bool]:
    """(`Facts.keys` of the relevant (anchor, text or id), the judged anchors), both ascending; whether documents are
    known by their ids.

    Raises InputError where none of the anchors is judged.
    """
    by_id = _anchors_by_id(facts)
    keys: list[Ints] = []
    judged: list[Ints] = []
    known_by_id = False
    labels = np.array(labels_of(found.relevance, None), dtype=np.float64)
    for start in range(0, len(found), BLOCK):
        block = slice(start, start + BLOCK)
        said = ~np.isnan(labels[block])
        anchors = facts.numbering.of_texts(text or "" for text in found.anchors[block])
        ids = facts.numbering.of_ids(name or "" for name in found.anchor_ids[block])
        anchors = np.where(among(anchors, np.unique(facts.anchors)), anchors, by_id[ids])  # by_id[-1] is -1
        judged.append(anchors[said & (anchors >= 0)])
        texts = facts.numbering.of_texts(text or "" for text in found.documents[block])
        names = facts.numbering.of_ids(name or "" for name in found.document_ids[block])
        known_by_id |= bool((names[anchors >= 0] >= 0).any())
        for documents in (texts, names):
            good = (labels[block] > 0) & (anchors >= 0) & (documents >= 0)
            keys.append(facts.keys(anchors, documents)[good])
    if not sum(map(len, judged)):
        raise InputError(
            "none of the anchors is in the judgments, neither by text nor by id; are these the judgments of this "
            "dataset, and of this split? Without texts they need a column of the anchors' ids (query_id)"
        )
    return np.unique(np.concatenate(keys)), np.unique(np.concatenate(judged)), known_by_id


def _anchors_by_id(facts: Facts) -> Ints:
    """int64 [numbers + 1]: the anchor with the id of this number, -1 where there is none."""
    found = np.full(len(facts.numbering) + 1, -1, dtype=np.int64)
    if len(facts.anchor_ids):
        found[facts.anchor_ids] = facts.anchors
    return found


def relevant_negatives(facts: Facts, keys: Ints) -> Mask:
    """bool [negatives]: judged relevant, by text or by id."""
    anchors = facts.anchors[facts.owners()]
    found = among(facts.keys(anchors, facts.negatives.flat), keys) & ~facts.empty_negative
    if len(facts.negative_ids):
        found |= among(facts.keys(anchors, facts.negative_ids), keys)
    return found


def false_negatives(facts: Facts, relevant: Mask, keys: Ints, judged: Ints, *, by_id: bool) -> FalseNegatives:
    """The rate over the negatives of the judged anchors, row by row as they would be trained on.

    Raises InputError where the judgments know no text of theirs at all, and no id (`by_id`): texts differ then.
    """
    anchors = facts.anchors[facts.owners()]
    counted = among(anchors, judged) & ~facts.empty_negative
    owners = facts.anchors[facts.positives.owners]
    own = among(owners, judged) & ~facts.empty_positive
    known = among(facts.keys(owners, facts.positives.flat), keys)[own]
    if not relevant.any() and not by_id and len(known) and not known.any():
        raise InputError(
            f"the judgments know {len(judged)} of the anchors, but none of their {len(known)} positives: the "
            "documents' texts are written in another way there (a title before the text?); give judgments whose "
            "texts or ids are those of this dataset"
        )
    hits, rows = relevant[counted], anchors[counted]
    found = share(hits, components_of(facts)[rows])
    return FalseNegatives(
        rate=found.value if len(hits) else 0.0,
        low=found.low,
        high=found.high,
        relevant=int(hits.sum()),
        negatives=len(hits),
        anchors=len(np.unique(rows)),
        unjudged_anchors=len(np.unique(facts.anchors)) - len(judged),
        positives_found=float(known.mean()) if len(known) and (known.any() or not by_id) else None,
    )


def components_of(facts: Facts) -> Ints:
    """int64 [numbers]: of each number that is an anchor the component over shared positives, see `components`."""
    owners, texts = facts.anchors[facts.positives.owners], facts.positives.flat
    order = np.argsort(owners, kind="stable")
    order = order[~facts.empty_positive[order]]
    counts = np.bincount(owners[order], minlength=len(facts.numbering))
    return components(Lists(offsets(counts), texts[order]))


def load_test_set(facts: Facts, given: Any, split: str | None = None) -> TestSet:
    """The training texts that a test set has: a BEIR folder ("test" where there is one), or pairs of any kind."""
    source = _open_test(given, split)
    layout = pairs(source.features.arrow_schema, Given(source.anchor, source.positive))
    anchors, positives = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for table in source.tables(layout.columns):
        batch = read(table, layout)
        anchors.append(facts.numbering.of_texts(batch.anchors.fill_null("").to_pylist()))
        positives.append(facts.numbering.of_texts(batch.positives.flat.fill_null("").to_pylist()))
    found = (np.unique(np.concatenate(numbers)) for numbers in (anchors, positives))
    return TestSet(*(numbers[numbers >= 0] for numbers in found))


def _open_test(given: Any, split: str | None) -> AuditedRows:
    if not beir.is_beir(given):
        return open_source(given, split)
    if split is None and (Path(given) / "qrels" / "test.tsv").is_file():
        split = "test"
    rows, _ = beir.load_beir(given, split)
    return AuditedRows(str(given), rows, beir.ANCHOR, beir.POSITIVE)
