"""From text to terms: words, stemmed and without stop words, or the pieces of a Hugging Face tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.errors import SettingError
from hfneg.scrubbing import scrubbed
from hfneg.store import digest_of

SEPARATOR = r"[^\pL\pM\pN_]+"  # what stands between words: everything but letters, marks, digits, underscore
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
    from bm25s import stopwords

    names = {"english": "EN", "porter": "EN", "dutch_porter": "DUTCH"}
    suffix = "" if language is None else names.get(language, language.upper())
    return frozenset(getattr(stopwords, f"STOPWORDS_{suffix}", ()))


class Words:
    """Lower-cased words of two characters or more, without stop words, stemmed (Snowball, by PyStemmer).

    The words are those of ``bm25s.tokenize`` (``\\b\\w\\w+\\b``, scikit-learn's pattern) with one
    difference: a combining mark belongs to its word instead of cutting it in two, without which Hindi,
    Tamil or decomposed accents lose most of their words. ``language=None``: no stop words, no stemming.
    """

    def __init__(self, language: str | None) -> None:
        import Stemmer

        self.language = language
        self.stop_words = stop_words(language)
        stemmer = [language, Stemmer.version()] if language is not None else None
        self.identity = digest_of("words", SEPARATOR, sorted(self.stop_words), stemmer)

    def __call__(self, texts: pa.LargeStringArray) -> Terms:
        words = pc.split_pattern_regex(pc.utf8_lower(texts), pattern=SEPARATOR)
        offsets = words.offsets.to_numpy().astype(np.int64)
        encoded = words.flatten().dictionary_encode()
        unique, code_of = self._terms(encoded.dictionary.to_pylist())
        codes = code_of[encoded.indices.to_numpy()]
        return _without_gaps(unique, codes, offsets - offsets[0])

    def _terms(self, words: list[str]) -> tuple[list[str], Codes]:
        """The unique terms, and for each word the position of its term, -1 where it is left out."""
        kept = np.array([len(word) > 1 and word not in self.stop_words for word in words], dtype=bool)
        code_of = np.full(len(words), -1, dtype=np.int32)
        stems = self._stem([words[i] for i in np.flatnonzero(kept)])
        position: dict[str, int] = {}
        code_of[kept] = [position.setdefault(stem, len(position)) for stem in stems]
        return list(position), code_of

    def _stem(self, words: list[str]) -> list[str]:
        if self.language is None:
            return words
        import Stemmer

        stems: list[str] = Stemmer.Stemmer(self.language, 0).stemWords(words)  # one per call: not thread-safe
        return stems


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
