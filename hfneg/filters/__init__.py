"""Filters: each says which candidates it keeps. A new one is a short file here, its line below, and a test."""

from hfneg.filters.agreement import Agreement
from hfneg.filters.band import Band
from hfneg.filters.base import Filter
from hfneg.filters.below_positives import BelowPositives
from hfneg.filters.margin import Margin
from hfneg.filters.other_cluster import OtherCluster
from hfneg.filters.rank_window import RankWindow

FILTERS: list[type[Filter]] = [RankWindow, Band, Margin, BelowPositives, Agreement, OtherCluster]

__all__ = ["FILTERS", "Agreement", "Band", "BelowPositives", "Filter", "Margin", "OtherCluster", "RankWindow"]
