"""Arrays by what they hold, as signatures name them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
"""Numbers of anchors, rows of the corpus, places in lists, counts."""

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
"""Scores, as they are kept."""

Numbers = npt.NDArray[np.float64]
"""What is computed with."""
