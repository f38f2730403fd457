"""Retrievers. A new one is a short file here, its line below, and a test."""

from hfneg.steps.retrievers.base import Index, Retriever, Search
from hfneg.steps.retrievers.bm25 import BM25
from hfneg.steps.retrievers.dense import Dense
from hfneg.steps.retrievers.given import BroughtCandidates, candidates_from
from hfneg.steps.retrievers.random_documents import RandomDocuments

RETRIEVERS: list[type[Retriever]] = [BM25, Dense, RandomDocuments]

__all__ = [
    "BM25",
    "RETRIEVERS",
    "BroughtCandidates",
    "Dense",
    "Index",
    "RandomDocuments",
    "Retriever",
    "Search",
    "candidates_from",
]
