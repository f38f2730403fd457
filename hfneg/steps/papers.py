"""The papers that steps come from, as a card cites them: in a line, and for BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One paper.

    Attributes:
        key: what BibTeX calls it.
        authors: as BibTeX wants them, "Family, Given and Family, Given"; "and others" for more.
        where: journal or conference; "" for one that stands on arXiv alone.
        arxiv: its number there, or "".
    """

    key: str
    authors: str
    title: str
    year: int
    where: str = ""
    arxiv: str = ""

    def __str__(self) -> str:
        names = [author.split(",")[0] for author in self.authors.split(" and ")]
        who = f"{names[0]} et al." if names[-1] == "others" else ", ".join(names)
        at = [f"arXiv:{self.arxiv}"] if self.arxiv else []
        at = [f"{self.where} {self.year}", *at] if self.where else [f"{at[0]}, {self.year}"]
        return f"{who}: {self.title}. {'. '.join(at)}."

    def bibtex(self) -> str:
        """An entry of a BibTeX file."""
        said = {"author": self.authors, "title": f"{{{self.title}}}", "year": str(self.year)}
        said |= {"booktitle" if self.in_proceedings else "journal": self.where or f"arXiv preprint arXiv:{self.arxiv}"}
        said |= {"eprint": self.arxiv, "archiveprefix": "arXiv"} if self.arxiv else {}
        fields = "".join(f"  {name} = {{{value}}},\n" for name, value in said.items())
        return f"@{'inproceedings' if self.in_proceedings else 'article'}{{{self.key},\n{fields}}}"

    @property
    def in_proceedings(self) -> bool:
        """Whether it stands in those of a conference."""
        return bool(self.where) and self.where not in JOURNALS


JOURNALS = ("Information Processing Letters", "Journal of Machine Learning Research")

BM25 = Paper(
    "robertson1994simple",
    "Robertson, Stephen E. and Walker, Steve",
    "Some simple effective approximations to the 2-Poisson model for probabilistic weighted retrieval",
    1994,
    "SIGIR",
)
BM25S = Paper(
    "lu2024bm25s",
    "Lù, Xing Han",
    "BM25S: Orders of magnitude faster lexical search via eager sparse scoring",
    2024,
    arxiv="2407.03618",
)
DPR = Paper(
    "karpukhin2020dense",
    "Karpukhin, Vladimir and others",
    "Dense Passage Retrieval for Open-Domain Question Answering",
    2020,
    "EMNLP",
    "2004.04906",
)
SENTENCE_BERT = Paper(
    "reimers2019sentence",
    "Reimers, Nils and Gurevych, Iryna",
    "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
    2019,
    "EMNLP",
    "1908.10084",
)
RECIPROCAL_RANKS = Paper(
    "cormack2009reciprocal",
    "Cormack, Gordon V. and Clarke, Charles L. A. and Buettcher, Stefan",
    "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
    2009,
    "SIGIR",
)
COMBINATION = Paper(
    "fox1994combination", "Fox, Edward A. and Shaw, Joseph A.", "Combination of multiple searches", 1994, "TREC-2"
)
RERANKING = Paper(
    "nogueira2019passage",
    "Nogueira, Rodrigo and Cho, Kyunghyun",
    "Passage Re-ranking with BERT",
    2019,
    arxiv="1901.04085",
)
ROCKETQA = Paper(
    "qu2021rocketqa",
    "Qu, Yingqi and others",
    "RocketQA: An Optimized Training Approach to Dense Passage Retrieval for Open-Domain Question Answering",
    2021,
    "NAACL",
    "2010.08191",
)
RESEMBLANCE = Paper(
    "broder1997resemblance", "Broder, Andrei Z.", "On the resemblance and containment of documents", 1997, "SEQUENCES"
)
STATIC_AND_DYNAMIC = Paper(
    "zhan2021optimizing",
    "Zhan, Jingtao and others",
    "Optimizing Dense Retrieval Model Training with Hard Negatives",
    2021,
    "SIGIR",
    "2104.08051",
)
NV_RETRIEVER = Paper(
    "moreira2024nv",
    "Moreira, Gabriel de Souza P. and others",
    "NV-Retriever: Improving text embedding models with effective hard-negative mining",
    2024,
    arxiv="2407.15831",
)
HUBS = Paper(
    "radovanovic2010hubs",
    "Radovanović, Miloš and Nanopoulos, Alexandros and Ivanović, Mirjana",
    "Hubs in Space: Popular Nearest Neighbors in High-Dimensional Data",
    2010,
    "Journal of Machine Learning Research",
)
UMBRELA = Paper(
    "upadhyay2024umbrela",
    "Upadhyay, Shivani and others",
    "UMBRELA: UMbrela is the (Open-Source Reproduction of the) Bing RELevance Assessor",
    2024,
    arxiv="2406.06519",
)
RELABELLING = Paper(
    "thakur2025fixing",
    "Thakur, Nandan and others",
    "Fixing Data That Hurts Performance: Cascading LLMs to Relabel Hard Negatives for Robust Information Retrieval",
    2025,
    arxiv="2505.16967",
)
ANCE = Paper(
    "xiong2021approximate",
    "Xiong, Lee and others",
    "Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text Retrieval",
    2021,
    "ICLR",
    "2007.00808",
)
SIMANS = Paper(
    "zhou2022simans",
    "Zhou, Kun and others",
    "SimANS: Simple Ambiguous Negatives Sampling for Dense Text Retrieval",
    2022,
    "EMNLP",
    "2210.11773",
)
RESERVOIR = Paper(
    "efraimidis2006weighted",
    "Efraimidis, Pavlos S. and Spirakis, Paul G.",
    "Weighted random sampling with a reservoir",
    2006,
    "Information Processing Letters",
)
