"""Filters: each says which candidates it keeps. A new one is a short file here, its line below, and a test."""

from hfneg.filters.band import Band
from hfneg.filters.base import Filter
from hfneg.filters.margin import Margin
from hfneg.filters.other_cluster import OtherCluster
from hfneg.filters.rank_window import RankWindow

FILTERS: list[type[Filter]] = [RankWindow, Band, Margin, OtherCluster]

__all__ = ["FILTERS", "Band", "Filter", "Margin", "OtherCluster", "RankWindow"]
