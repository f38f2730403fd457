"""Selection among numbers, for other kernels: NumPy's own partition takes nine seconds to compile."""

from __future__ import annotations

from typing import Any

import numpy as np

from hfneg.base.compiling import compiled


@compiled
def select_largest(values: Any, count: int, k: int) -> None:
    """Quickselect: reorder ``values[:count]`` so that the k largest come first, the k-th largest last of them.

    Partitions without branches, and puts those equal to the pivot together, so that ties cost nothing.
    """
    left, right, target = np.int64(0), np.int64(count), k - 1
    while right - left > 1:
        a, b, c = values[left], values[(left + right) // 2], values[right - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        middle = left
        for i in range(left, right):
            value = values[i]
            values[i], values[middle] = values[middle], value
            middle += int(value > pivot)
        if target < middle:
            right = middle
            continue
        left = middle
        for i in range(left, right):
            value = values[i]
            values[i], values[left] = values[left], value
            left += int(value == pivot)
        if target < left:
            return
