"""Filters: each says which candidates it keeps. A new one is a short file here, its line below, and a test."""

import re

from hfneg.steps.block.verdicts import MEANING
from hfneg.steps.filters.agreement import Agreement
from hfneg.steps.filters.band import Band
from hfneg.steps.filters.base import Filter
from hfneg.steps.filters.below_positives import BelowPositives
from hfneg.steps.filters.first_of_duplicates import FirstOfDuplicates
from hfneg.steps.filters.hubs import Hubs
from hfneg.steps.filters.margin import Margin
from hfneg.steps.filters.near_anchor_positives import NearAnchorPositives
from hfneg.steps.filters.other_cluster import OtherCluster
from hfneg.steps.filters.positive_similarity import PositiveSimilarity
from hfneg.steps.filters.rank_window import RankWindow

FILTERS: list[type[Filter]] = [
    RankWindow,
    Band,
    Margin,
    BelowPositives,
    Agreement,
    OtherCluster,
    FirstOfDuplicates,
    NearAnchorPositives,
    PositiveSimilarity,
    Hubs,
]


def meaning_of(verdict: str) -> str:
    """A verdict in words: of the fixed ones, of a filter of ours ("margin", "margin_2"), or of a user's own."""
    own = {kind.verdict: kind.meaning for kind in FILTERS}
    return MEANING.get(verdict) or own.get(re.sub(r"_\d+$", "", verdict), Filter.meaning)


__all__ = [
    "FILTERS",
    "Agreement",
    "Band",
    "BelowPositives",
    "Filter",
    "FirstOfDuplicates",
    "Hubs",
    "Margin",
    "NearAnchorPositives",
    "OtherCluster",
    "PositiveSimilarity",
    "RankWindow",
    "meaning_of",
]
