"""Scripts that put no spaces between words: cut into pairs of characters, which any two texts can share.

The way of Lucene's CJKAnalyzer (`CJKBigramFilter` behind `CJKWidthFilter`), also for scripts of South-East Asia: no
dictionary, no model, no language to name. 東京都庁 becomes 東京, 京都, 都庁; a character alone is itself.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

SCRIPTS = ("Han", "Hiragana", "Katakana", "Hangul", "Thai", "Lao", "Khmer", "Myanmar")

CHARACTER = (
    "".join(rf"\p{{{script}}}" for script in SCRIPTS) + r"\x{30FC}\x{FF70}\x{FF9E}\x{FF9F}\x{3031}-\x{3035}\x{3006}"
)
"""In RE2's brackets: these scripts, and signs that several share (the long vowel of コーヒー, the mark of ｶﾞ)."""

RUN = rf"([{CHARACTER}][{CHARACTER}\pM]*)"
CUT = "\0"  # never in a word

IDENTITY = ("bigrams", RUN)
"""All that decides how words are cut."""


def runs_in(words: pa.LargeStringArray) -> dict[int, list[str]]:
    """For each word with such characters, by its position: its parts, in turn other text and a run of them.

    ``"java言語2"`` gives ``["java", "言語", "2"]``; the first and the last part may be empty.
    """
    found = pc.indices_nonzero(pc.match_substring_regex(words, f"[{CHARACTER}]"))
    marked = pc.replace_substring_regex(words.take(found), RUN, rf"{CUT}\1{CUT}")
    return dict(zip(found.to_pylist(), (word.split(CUT) for word in marked.to_pylist()), strict=True))


def pieces(parts: list[str]) -> list[str]:
    """The parts of a word as `runs_in` gives them, with the runs cut, in the order of the text."""
    return [piece for i, part in enumerate(parts) for piece in (bigrams(part) if i % 2 else [part])]


def bigrams(run: str) -> list[str]:
    """Each two neighbouring characters of a run, or its only one.

    Half width and full width, composed and decomposed are one (NFKC); marks (vowels and tones of Thai, as accents)
    belong to their character.
    """
    characters: list[str] = []
    for letter in unicodedata.normalize("NFKC", run):
        if characters and unicodedata.category(letter).startswith("M"):
            characters[-1] += letter
        else:
            characters.append(letter)
    return [first + second for first, second in pairwise(characters)] or characters
