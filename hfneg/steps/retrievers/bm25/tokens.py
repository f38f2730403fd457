"""From text to terms: words, stemmed and without stop words, or the pieces of a Hugging Face tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.lists import Lists
from hfneg.base.scrubbing import scrubbed
from hfneg.base.store import digest_of
from hfneg.errors import SettingError
from hfneg.steps.retrievers.bm25 import spaceless
from hfneg.steps.retrievers.bm25.peer import bm25s

BETWEEN = r"[^\pL\pM\pN_]+"  # everything but letters, marks, digits, underscore
SEPARATOR = rf"^{BETWEEN}|['\x{{2019}}]\pL$|(?:['\x{{2019}}]\pL)?{BETWEEN}"
"""What stands between words, in RE2: also the one letter behind an apostrophe, as in "it's" and "don't"."""

PIECE_BATCH = 1_000  # texts a Hugging Face tokenizer gets at once: its results hold far more than the ids

Codes = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


class Terms(NamedTuple):
    """The terms of n texts, in the order in which they occur, repeats included."""

    unique: list[str]
    """Every term of these texts, once."""

    codes: Codes
    """int32 [terms of all texts]: positions in `unique`."""

    offsets: Offsets
    """int64 [n + 1]: text i has the terms ``codes[offsets[i]:offsets[i + 1]]``."""


class Tokenizer(Protocol):
    """Turns texts into terms; safe to call from several threads."""

    @property
    def identity(self) -> str:
        """Digest of everything that decides which terms a text has."""
        ...

    def __call__(self, texts: pa.LargeStringArray) -> Terms: ...


def open_tokenizer(language: str | None, tokenizer: str | None) -> Tokenizer:
    """The Hugging Face tokenizer where one is named, else the words of `language`."""
    return Words(language) if tokenizer is None else Pieces(tokenizer)


def as_arrow(texts: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.LargeStringArray:
    """`texts` as one Arrow array; lone surrogates, which UTF-8 cannot hold, become question marks.

    Raises SettingError for a single string, which would be read as a list of letters.
    """
    if isinstance(texts, str):
        raise SettingError(f"queries={texts!r} is one string: give a list of texts")
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if isinstance(texts, pa.Array):
        return texts.cast(pa.large_string())
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.large_string())


def stop_words(language: str | None) -> frozenset[str]:
    """The stop words bm25s ships for a language; none where it ships none."""
    names = {"english": "EN", "porter": "EN", "dutch_porter": "DUTCH"}
    suffix = "" if language is None else names.get(language, language.upper())
    return frozenset(getattr(bm25s("stopwords"), f"STOPWORDS_{suffix}", ()))


class Words:
    """Lower-cased words without stop words, stemmed (Snowball, by PyStemmer); of scripts without spaces, bigrams.

    The words are those of ``bm25s.tokenize`` (``\\b\\w\\w+\\b``, scikit-learn's pattern) with three
    differences: a combining mark belongs to its word instead of cutting it in two, without which Hindi,
    Tamil or decomposed accents lose most of their words; a word of one letter or digit counts ("vitamin D",
    "type 1"), but not what an apostrophe cuts off ("it's"); and Chinese, Japanese, Korean, Thai, Lao, Khmer and
    Burmese are cut into pairs of characters (`hfneg.steps.retrievers.bm25.spaceless`), also inside other text.
    ``language=None``: no stop words, no stemming.
    """

    def __init__(self, language: str | None) -> None:
        import Stemmer

        self.language = language
        self.stop_words = stop_words(language)
        stemmer = [language, Stemmer.version()] if language is not None else None
        self.identity = digest_of("words", SEPARATOR, spaceless.IDENTITY, sorted(self.stop_words), stemmer)

    def __call__(self, texts: pa.LargeStringArray) -> Terms:
        words = pc.split_pattern_regex(pc.utf8_lower(texts), pattern=SEPARATOR)
        offsets = words.offsets.to_numpy().astype(np.int64)
        encoded = words.flatten().dictionary_encode()
        unique, terms = self._terms(encoded.dictionary)
        found = terms.take(encoded.indices.to_numpy())
        return Terms(unique, found.flat, found.indptr[offsets - offsets[0]])

    def _terms(self, words: pa.LargeStringArray) -> tuple[list[str], Lists]:
        """The unique terms, in the order in which they first occur, and for each word its terms' positions."""
        pieces, bounds = _pieces(words)
        kept = np.array([self._is_term(piece) for piece in pieces], dtype=bool)
        before = np.zeros(len(pieces) + 1, dtype=np.int64)
        np.cumsum(kept, out=before[1:])
        position: dict[str, int] = {}
        stems = self._stem([pieces[i] for i in np.flatnonzero(kept)])
        codes = np.array([position.setdefault(stem, len(position)) for stem in stems], dtype=np.int32)
        return list(position), Lists(before[bounds], codes)

    def _is_term(self, piece: str) -> bool:
        return (len(piece) > 1 or piece.isalnum()) and piece not in self.stop_words

    def _stem(self, words: list[str]) -> list[str]:
        if self.language is None:
            return words
        import Stemmer

        stems: list[str] = Stemmer.Stemmer(self.language, 0).stemWords(words)  # one per call: not thread-safe
        return stems


def _pieces(words: pa.LargeStringArray) -> tuple[list[str], Offsets]:
    """The words, those of scripts without spaces cut, and int64 [words + 1]: where the pieces of each begin."""
    plain, cut = words.to_pylist(), spaceless.runs_in(words)
    if not cut:
        return plain, np.arange(len(plain) + 1)
    pieces: list[str] = []
    bounds = np.zeros(len(plain) + 1, dtype=np.int64)
    for i, word in enumerate(plain):
        if i in cut:
            pieces += spaceless.pieces(cut[i])
        else:
            pieces.append(word)
        bounds[i + 1] = len(pieces)
    return pieces, bounds


class Pieces:
    """The pieces of any fast Hugging Face tokenizer, as they are; special tokens ([UNK] too) are left out."""

    def __init__(self, name: str) -> None:
        tokenizer = _load(name)
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self._special = np.array(sorted(tokenizer.all_special_ids), dtype=np.int64)
        self.identity = digest_of("pieces", self._backend.to_str(), self._special)

    def __call__(self, texts: pa.LargeStringArray) -> Terms:
        pieces = [np.array(ids, dtype=np.int64) for ids in self._encode(texts)]
        offsets = np.zeros(len(pieces) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids in pieces], out=offsets[1:])
        ids = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
        ids[np.isin(ids, self._special)] = -1
        known, codes = np.unique(ids, return_inverse=True)
        gap = int(len(known) > 0 and known[0] == -1)
        unique = [self._backend.id_to_token(int(id)) for id in known[gap:]]
        return _without_gaps(unique, codes.astype(np.int32) - gap, offsets)

    def _encode(self, texts: pa.LargeStringArray) -> Iterator[list[int]]:
        for start in range(0, len(texts), PIECE_BATCH):
            batch = texts.slice(start, PIECE_BATCH).to_pylist()
            for encoding in self._backend.encode_batch_fast(batch, add_special_tokens=False):
                yield encoding.ids


def _load(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise SettingError(
            f"BM25(tokenizer={name!r}): no Hugging Face tokenizer could be loaded under this name: "
            f"{next(iter(str(error).splitlines()), '')}"
        ) from scrubbed(error)
    if not getattr(tokenizer, "is_fast", False):
        raise SettingError(
            f"BM25(tokenizer={name!r}): a {type(tokenizer).__name__} is no fast tokenizer; give one that has a "
            "tokenizer.json"
        )
    return tokenizer


def _without_gaps(unique: list[str], codes: Codes, offsets: Offsets) -> Terms:
    """Take the codes that are -1 out."""
    kept = codes >= 0
    before = np.zeros(len(codes) + 1, dtype=np.int64)
    np.cumsum(kept, out=before[1:])
    return Terms(unique, codes[kept], before[offsets])
