"""Text identity: 128-bit hashes, normal forms, and a sorted hash index that lives in mapped files.

Two texts count as the same when their 128-bit xxh3 hashes are equal: among ten million texts the chance
of one wrong match is below 1e-24.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

from hfneg.base.arrays import Ints
from hfneg.base.files import disk

HASH = np.dtype([("high", "<u8"), ("low", "<u8")])

Hashes = npt.NDArray[np.void]
Halves = npt.NDArray[np.uint64]


def normal_form(text: str) -> str:
    """NFKC, case folded, white space collapsed: "Paris  IS\\n" and "paris is" are one text."""
    if not text.isascii():
        # Folding can take a letter apart ("\u0390"), so it comes between two normalisations.
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.casefold().split())


def hash_texts(texts: Iterable[str]) -> Hashes:
    """128-bit hashes, one per text (also of a text with a lone surrogate, which no corpus holds)."""
    digest = xxhash.xxh3_128_digest
    data = b"".join([digest(text.encode("utf-8", "surrogatepass")) for text in texts])
    return np.frombuffer(data, dtype=HASH)


def hash_normal_forms(texts: Iterable[str]) -> npt.NDArray[np.uint64]:
    """64-bit hashes of the normal forms, for equality tests inside one anchor's candidates."""
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(normal_form(text).encode()) for text in texts), dtype=np.uint64)


def mix(*parts: int | npt.NDArray[np.uint64] | Ints) -> npt.NDArray[np.uint64]:
    """Well-mixed 64-bit numbers from integers (splitmix64, Steele et al. 2014), element by element.

    A counter-based generator: the number for (seed, anchor, document) depends on these three alone, so a
    sample is the same whatever the batch, the process or the order.
    """
    state = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = state ^ np.asarray(_folded(part)).astype(np.uint64)
            state = state + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


def _folded(part: int | npt.NDArray[np.uint64] | Ints) -> int | npt.NDArray[np.uint64] | Ints:
    """A number beyond 64 bits (a seed may be any) by a hash of it."""
    if not isinstance(part, int) or part < 1 << 64:
        return part
    return int.from_bytes(hashlib.blake2b(hex(part).encode(), digest_size=8).digest(), "little")


def uniform(*parts: int | npt.NDArray[np.uint64] | Ints) -> npt.NDArray[np.float64]:
    """`mix` as float64 in (0, 1)."""
    return ((mix(*parts) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def first_occurrences(hashes: Hashes) -> Ints:
    """For each element the position of its first equal: int64, shape of `hashes`."""
    order = np.lexsort((hashes["low"], hashes["high"]))  # stable: equal hashes stay in their order
    high, low = hashes["high"][order], hashes["low"][order]
    new = np.ones(len(hashes), dtype=bool)
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    first = np.empty(len(hashes), dtype=np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    return first


class HashIndex:
    """hash -> row, by binary search in three mapped arrays (24 bytes an entry on disk, none in RAM)."""

    def __init__(self, high: Halves, low: Halves, rows: Ints) -> None:
        self._high, self._low, self._rows = high, low, rows

    @classmethod
    def write(cls, folder: Path, name: str, hashes: Hashes, rows: Ints) -> None:
        """Sort and save; of equal hashes the first is found."""
        order = np.lexsort((hashes["low"], hashes["high"]))
        disk.save_array(folder / f"{name}.high.npy", hashes["high"][order])
        disk.save_array(folder / f"{name}.low.npy", hashes["low"][order])
        disk.save_array(folder / f"{name}.rows.npy", np.asarray(rows, dtype=np.int64)[order])

    @classmethod
    def open(cls, folder: Path, name: str) -> HashIndex:
        high, low, rows = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("high", "low", "rows"))
        return cls(high, low, rows)

    def __len__(self) -> int:
        return len(self._rows)

    def entries(self) -> tuple[Hashes, Ints]:
        """All hashes, ascending, and their rows."""
        hashes = np.empty(len(self), dtype=HASH)
        hashes["high"], hashes["low"] = self._high, self._low
        return hashes, np.asarray(self._rows)

    def rows_of(self, texts: Sequence[str]) -> Ints:
        """int64 [len(texts)]; -1 where there is none."""
        wanted = hash_texts(texts)
        found = np.full(len(wanted), -1, dtype=np.int64)
        position = np.searchsorted(self._high, wanted["high"])
        searching = np.arange(len(wanted))
        while len(searching):  # more than one pass only where two hashes share their high half
            inside = position < len(self._high)
            searching, position = searching[inside], position[inside]
            alike = self._high[position] == wanted["high"][searching]
            searching, position = searching[alike], position[alike]
            hit = self._low[position] == wanted["low"][searching]
            found[searching[hit]] = self._rows[position[hit]]
            searching, position = searching[~hit], position[~hit] + 1
        return found
