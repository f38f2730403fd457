"""Numba kernels of `hfneg.near`; imported at first use, because numba takes a while to load."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shingle_sets(data: Any, starts: Any, width: int) -> Any:
    """Distinct `width`-byte windows of each text, ascending: (uint64 [total], int64 [n + 1]).

    Text i is ``data[starts[i]:starts[i + 1]]``, at least `width` bytes long.
    """
    n = len(starts) - 1
    values = np.empty(len(data), dtype=np.uint64)
    ends = np.zeros(n + 1, dtype=np.int64)
    at = 0
    for i in range(n):
        count = starts[i + 1] - starts[i] - width + 1
        windows = np.empty(count, dtype=np.uint64)
        for j in range(count):
            value = np.uint64(0)
            for b in range(width):
                value = (value << np.uint64(8)) | np.uint64(data[starts[i] + j + b])
            # Spread the values: the order of the sets must not follow the alphabet, or prefixes are all alike.
            windows[j] = value * np.uint64(0x9E3779B97F4A7C15)
        windows.sort()
        first = at
        for j in range(count):
            if at == first or windows[j] != values[at - 1]:
                values[at] = windows[j]
                at += 1
        ends[i + 1] = at
    return values[:at], ends


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def jaccard(values: Any, ends: Any, left: Any, right: Any) -> Any:
    """float64: Jaccard similarity of the sets left[i] and right[i]."""
    result = np.empty(len(left), dtype=np.float64)
    for p in range(len(left)):
        i, i_end = ends[left[p]], ends[left[p] + 1]
        j, j_end = ends[right[p]], ends[right[p] + 1]
        total = (i_end - i) + (j_end - j)
        common = 0
        while i < i_end and j < j_end:
            if values[i] == values[j]:
                common += 1
                i += 1
                j += 1
            elif values[i] < values[j]:
                i += 1
            else:
                j += 1
        result[p] = common / (total - common)
    return result
