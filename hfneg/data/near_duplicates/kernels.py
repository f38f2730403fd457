"""Numba kernels of `hfneg.data.near_duplicates`; imported at first use, because numba takes a while to load."""

from __future__ import annotations

from typing import Any

import numpy as np

from hfneg.base.compiling import compiled


@compiled
def windows(data: Any, starts: Any, limit: Any, values: Any, ends: Any) -> None:
    """Values up to `limit` of the 8-byte windows of each text, text by text: uint64 [total], int64 [n + 1].

    Text i is ``data[starts[i]:starts[i + 1]]``, at least 8 bytes long. `values` has room for ``len(data)``.
    """
    at = np.int64(0)
    for i in range(len(starts) - 1):
        window = np.uint64(0)
        for b in range(starts[i], starts[i + 1]):
            window = (window << np.uint64(8)) | np.uint64(data[b])  # what is shifted out leaves the last 8 bytes
            # Spread the values: the least of them must be a fair sample, not those first in the alphabet.
            value = window * np.uint64(0x9E3779B97F4A7C15)
            if b - starts[i] >= 7 and value <= limit:
                values[at] = value
                at += 1
        ends[i + 1] = at


@compiled
def _differ_at_most(values: Any, a: int, a_end: int, b: int, b_end: int, most: int) -> bool:
    """Whether at most `most` elements are in one of the sets values[a:a_end] and values[b:b_end] only."""
    while most >= 0:
        if a == a_end or b == b_end:
            return (a_end - a) + (b_end - b) <= most
        if values[a] == values[b]:
            a += 1
            b += 1
        else:
            most -= 1
            if values[a] < values[b]:
                a += 1
            else:
                b += 1
    return False


@compiled
def _most_different(a: int, b: int, share: float) -> int:
    """How many elements at most are in one only of two sets of a and b elements that have a share in common."""
    total = a + b
    common = int(share / (1.0 + share) * total)
    while common > 0 and (common - 1) / (total - common + 1) >= share:
        common -= 1
    while common <= min(a, b) and common / (total - common) < share:
        common += 1
    return total - 2 * common if common <= min(a, b) else -1


# Pairs found lie in one flat array, (i, j) behind (i, j), which grows; the number of pairs goes with it.


@compiled
def _room(found: Any, count: int) -> Any:
    """`found` with room for one pair behind the first `count`: doubled where it was full."""
    if 2 * count < len(found):
        return found
    wider = np.empty(4 * count, dtype=np.int64)
    for i in range(2 * count):
        wider[i] = found[i]
    return wider


@compiled
def similar_pairs(values: Any, ends: Any, left_ptr: Any, left: Any, right_ptr: Any, right: Any, share: float) -> Any:
    """Positions (i, j) in `left` and `right` of one owner's sets with a Jaccard similarity of at least `share`."""
    found = np.empty(32, dtype=np.int64)
    count = np.int64(0)
    for owner in range(len(left_ptr) - 1):
        for i in range(left_ptr[owner], left_ptr[owner + 1]):
            a, a_end = ends[left[i]], ends[left[i] + 1]
            for j in range(right_ptr[owner], right_ptr[owner + 1]):
                b, b_end = ends[right[j]], ends[right[j] + 1]
                if _differ_at_most(values, a, a_end, b, b_end, _most_different(a_end - a, b_end - b, share)):
                    found = _room(found, count)
                    found[2 * count] = i
                    found[2 * count + 1] = j
                    count += 1
    return found, count


@compiled
def _possible(sample: Any, ends: Any, windows: Any, lengths: Any, x: int, y: int, share: float) -> bool:
    """Whether the lengths of texts x and y agree and their samples do not rule out the share.

    Sets with a share s in common differ in at most 1 - s of their union, which has at most 1 / s times the
    elements of the smaller, and that has at most as many as its text has windows. Samples differ in no more.
    """
    shorter, longer = min(lengths[x], lengths[y]), max(lengths[x], lengths[y])
    if longer > 0 and shorter / longer < share:
        return False
    most = int((1.0 - share) / share * min(windows[x], windows[y]) + 1e-6)
    return _differ_at_most(sample, ends[x], ends[x + 1], ends[y], ends[y + 1], most)  # type: ignore[no-any-return]


@compiled
def possible_pairs(
    sample: Any,
    ends: Any,
    windows: Any,
    lengths: Any,
    left_ptr: Any,
    left: Any,
    right_ptr: Any,
    right: Any,
    share: float,
) -> Any:
    """As `similar_pairs`, but all pairs whose `lengths` agree and whose samples do not rule it out."""
    found = np.empty(32, dtype=np.int64)
    count = np.int64(0)
    for owner in range(len(left_ptr) - 1):
        for i in range(left_ptr[owner], left_ptr[owner + 1]):
            x = left[i]
            for j in range(right_ptr[owner], right_ptr[owner + 1]):
                if _possible(sample, ends, windows, lengths, x, right[j], share):
                    found = _room(found, count)
                    found[2 * count] = i
                    found[2 * count + 1] = j
                    count += 1
    return found, count


@compiled
def possible_earlier_pairs(
    sample: Any, ends: Any, windows: Any, lengths: Any, list_ptr: Any, numbers: Any, share: float
) -> Any:
    """As `possible_pairs`, but of each list with itself: the pairs (i, j) of which j comes first."""
    found = np.empty(32, dtype=np.int64)
    count = np.int64(0)
    for owner in range(len(list_ptr) - 1):
        for i in range(list_ptr[owner], list_ptr[owner + 1]):
            x = numbers[i]
            for j in range(list_ptr[owner], i):
                if _possible(sample, ends, windows, lengths, x, numbers[j], share):
                    found = _room(found, count)
                    found[2 * count] = i
                    found[2 * count + 1] = j
                    count += 1
    return found, count


@compiled
def contained_pairs(
    values: Any, ends: Any, left_ptr: Any, left: Any, right_ptr: Any, right: Any, share: float, least: int
) -> Any:
    """As `similar_pairs`: the sets have at least `least` elements, of the smaller at least `share` in the larger."""
    found = np.empty(32, dtype=np.int64)
    count = np.int64(0)
    for owner in range(len(left_ptr) - 1):
        for i in range(left_ptr[owner], left_ptr[owner + 1]):
            a, a_end = ends[left[i]], ends[left[i] + 1]
            for j in range(right_ptr[owner], right_ptr[owner + 1]):
                b, b_end = ends[right[j]], ends[right[j] + 1]
                smaller = min(a_end - a, b_end - b)
                if smaller >= least and _in_common(values, a, a_end, b, b_end) / smaller >= share:
                    found = _room(found, count)
                    found[2 * count] = i
                    found[2 * count + 1] = j
                    count += 1
    return found, count


@compiled
def _in_common(values: Any, a: int, a_end: int, b: int, b_end: int) -> int:
    """How many elements are in both of the sets values[a:a_end] and values[b:b_end]."""
    common = 0
    while a < a_end and b < b_end:
        if values[a] == values[b]:
            common += 1
            a += 1
            b += 1
        elif values[a] < values[b]:
            a += 1
        else:
            b += 1
    return common


@compiled
def _one_inside(values: Any, a: int, a_end: int, b: int, b_end: int, most_a: int, most_b: int) -> bool:
    """Whether the other set lacks at most `most_a` elements of the first, or at most `most_b` of the second."""
    while a < a_end and b < b_end and (most_a >= 0 or most_b >= 0):
        if values[a] == values[b]:
            a += 1
            b += 1
        elif values[a] < values[b]:
            most_a -= 1
            a += 1
        else:
            most_b -= 1
            b += 1
    return a_end - a <= most_a or b_end - b <= most_b


@compiled
def possibly_contained_pairs(
    sample: Any,
    ends: Any,
    windows: Any,
    lengths: Any,
    left_ptr: Any,
    left: Any,
    right_ptr: Any,
    right: Any,
    share: float,
    least: int,
    like: float,
) -> Any:
    """As `contained_pairs`, but all pairs of unlike `lengths` (min/max below `like`) that the samples do not rule out.

    A set of which a share s is in another lacks at most 1 - s of its elements there, and it has at most as many as its
    text has windows. Its sample lacks no more.
    """
    found = np.empty(32, dtype=np.int64)
    count = np.int64(0)
    for owner in range(len(left_ptr) - 1):
        for i in range(left_ptr[owner], left_ptr[owner + 1]):
            x = left[i]
            if windows[x] < least:
                continue
            most_x = int((1.0 - share) * windows[x] + 1e-6)
            for j in range(right_ptr[owner], right_ptr[owner + 1]):
                y = right[j]
                most_y = int((1.0 - share) * windows[y] + 1e-6)
                shorter, longer = min(lengths[x], lengths[y]), max(lengths[x], lengths[y])
                if windows[y] < least or longer == 0 or shorter / longer >= like:
                    continue
                if _one_inside(sample, ends[x], ends[x + 1], ends[y], ends[y + 1], most_x, most_y):
                    found = _room(found, count)
                    found[2 * count] = i
                    found[2 * count + 1] = j
                    count += 1
    return found, count
