"""A recipe in words, and where its methods come from."""

from __future__ import annotations

import inspect
import re
from typing import Any

from hfneg.pipeline.recipe_text import STEPS, parse_yaml
from hfneg.runs.folder.card.markdown import in_code

INTRODUCED = {
    "retrievers": "**Candidates** for each anchor come from",
    "fusion": "**Several lists become one** by",
    "teacher": "**A teacher** reads anchor and candidate together:",
    "guard": "**A guard** refuses known positives, the anchor's own text and near-duplicates of either:",
    "filters": "**A filter** then drops what may be relevant after all, or too easy:",
    "promote": "**Likely positives** are set apart:",
    "short": "**Anchors with too few** survivors get more by",
    "sampler": "**Negatives** are taken of what is left:",
}

SOURCES = {
    "BM25": [
        "Robertson, Walker: Some simple effective approximations to the 2-Poisson model for probabilistic weighted "
        "retrieval. SIGIR 1994.",
        "Lù: BM25S: Orders of magnitude faster lexical search via eager sparse scoring. arXiv:2407.03618, 2024.",
    ],
    "Dense": [
        "Karpukhin et al.: Dense Passage Retrieval for Open-Domain Question Answering. EMNLP 2020. arXiv:2004.04906.",
        "Reimers, Gurevych: Sentence-BERT. EMNLP 2019. arXiv:1908.10084.",
    ],
    "Sparse": ["Formal et al.: SPLADE v2. arXiv:2109.10086, 2021."],
    "RRF": [
        "Cormack, Clarke, Buettcher: Reciprocal rank fusion outperforms Condorcet and individual rank learning "
        "methods. SIGIR 2009."
    ],
    "WeightedSum": ["Fox, Shaw: Combination of multiple searches. TREC-2, 1994."],
    "CrossEncoderTeacher": [
        "Nogueira, Cho: Passage re-ranking with BERT. arXiv:1901.04085, 2019.",
        "Qu et al.: RocketQA. NAACL 2021. arXiv:2010.08191.",
    ],
    "BiEncoderTeacher": ["Reimers, Gurevych: Sentence-BERT. EMNLP 2019. arXiv:1908.10084."],
    "Guard": ["Broder: On the resemblance and containment of documents. SEQUENCES 1997."],
    "RankWindow": ["Qu et al.: RocketQA. NAACL 2021. arXiv:2010.08191."],
    "Band": [
        "Zhan et al.: Optimizing dense retrieval model training with hard negatives. SIGIR 2021. arXiv:2104.08051."
    ],
    "Margin": ["Moreira et al.: NV-Retriever. arXiv:2407.15831, 2024."],
    "Promote": ["Thakur et al.: Fixing data that hurts performance. arXiv:2505.16967, 2025."],
    "TakeRandom": ["Xiong et al.: ANCE. ICLR 2021. arXiv:2007.00808."],
    "TakeSimANS": [
        "Zhou et al.: SimANS: Simple ambiguous negatives sampling for dense text retrieval. EMNLP 2022. "
        "arXiv:2210.11773.",
        "Efraimidis, Spirakis: Weighted random sampling with a reservoir. Information Processing Letters 97, 2006.",
    ],
}
"""Step -> what to cite for it. A step that is not here has no source but its docstring."""


def in_words(recipe: str) -> list[str]:
    """One Markdown sentence per step of a recipe's YAML, in the order in which they work."""
    slots = parse_yaml(recipe, "the recipe") or {}
    several = len(_steps(slots.get("retrievers"))) > 1
    said = []
    for slot, value in slots.items():
        if slot == "fusion" and not several:
            continue
        if slot == "k":
            said.append(f"**{value} candidates** per source are looked at, known positives not counted.")
            continue
        for step in _steps(value):
            if slot == "short" and _name(step) == "Keep":
                said.append("**Anchors with too few** survivors keep those that they have: nothing is filled up.")
                continue
            said.append(f"{INTRODUCED.get(slot, f'**{slot.capitalize()}**:')} {in_code(step)}{_meaning(step)}")
    return said


def in_one_line(recipe: str) -> str:
    """The steps that tell recipes apart, by name and setting: ``BM25(); k=100; TakeTop(n=7)``."""
    slots = parse_yaml(recipe, "the recipe") or {}
    said = [" + ".join(_steps(slots.get("retrievers"))), f"k={slots['k']}" if "k" in slots else ""]
    said += [step for slot in ("teacher", "filters", "promote", "sampler") for step in _steps(slots.get(slot))]
    return "; ".join(part for part in said if part)


def references(recipe: str) -> list[str]:
    """What to cite for the steps of a recipe's YAML, each once, in order."""
    slots = parse_yaml(recipe, "the recipe") or {}
    names = [name for value in slots.values() for step in _steps(value) for name in re.findall(r"(\w+)\(", step)]
    if len(_steps(slots.get("retrievers"))) < 2:
        names = [name for name in names if name not in ("RRF", "WeightedSum", "RoundRobin")]
    return list(dict.fromkeys(source for name in names for source in SOURCES.get(name, ())))


def seeds_of(recipe: str) -> dict[str, int]:
    """Step -> seed, of all steps of a recipe's YAML that draw at random; a seed left out is the step's default."""
    slots = parse_yaml(recipe, "the recipe") or {}
    found = {}
    for step in (step for value in slots.values() for step in _steps(value)):
        given, default = re.search(r"\bseed=(\d+)", step), getattr(STEPS.get(_name(step)), "seed", None)
        if given or isinstance(default, int):
            found[_name(step)] = int(given.group(1)) if given else int(str(default))
    return found


def _steps(value: Any) -> list[str]:
    """The steps of a slot as text."""
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else str(item) for item in items if item is not None]


def _name(step: str) -> str:
    match = re.match(r"[\w.]+", step)
    return match.group().rpartition(".")[2] if match else ""


def _meaning(step: str) -> str:
    """The first sentence of the step's docstring, as the end of a sentence."""
    kind = STEPS.get(_name(step))
    paragraph = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ") if kind is not None else ""
    return f". {paragraph.replace('``', '`')}" if paragraph else "."
