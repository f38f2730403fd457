"""Fast matrix products for `dense_kernels.search`, and how far each can be from the score.

`search` scores again, in float64, whatever a product leaves possible; so a product changes its speed and
never a bit of its result. Let u = 2**-24, v = 2**-8 (the rounding units of float32 and bfloat16),
g(m) = m u / (1 - m u), and |q|, |x| the lengths of the two vectors, so that the sum over |q_i x_i| is at
most |q| |x|.

float32 (BLAS): in whatever order it adds, fused or not, its value differs from the true one by at most
g(d) |q| |x| (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). The score differs
from the true one by far less than u |q| |x| before it is rounded to float32, and by that rounding, at most
u |q| |x|. Together: less than g(d + 2) |q| |x|.

bfloat16 (torch, on CPUs with instructions for it): rounding q and x takes away dq and dx, whose lengths are
measured, and changes the inner product by at most |q| |dx| + |dq| (|x| + |dx|). Products of bfloat16 are exact
in float32; their sums may be rounded twice as coarsely as IEEE asks, and the rounded vectors are longer by
a factor of at most 1 + v: less than 2.1 g(d + 2) |q| |x|. These terms make the slack. Last the result is
rounded by at most v times itself, which is kept apart, because near the cut it is far less than v |q| |x|.

What underflows adds d (1 + |q| + |x|) times the smallest normal float32.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from hfneg.errors import NonFiniteError

Vectors32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

WORTHWHILE = 256  # queries from which on a block is worth converting to bfloat16


class Product(Protocol):
    """A way to multiply, and its rounding."""

    relative: float
    """The last rounding, as a share of the result."""

    def sums(self, d: int) -> float:
        """Times |q| |x|: what rounding inside the sums can change."""
        ...

    def block(self, vectors: Vectors32) -> Any:
        """Vectors as the product wants them."""
        ...

    def rounded_away(self, vectors: Vectors32, block: Any) -> Vectors32 | None:
        """float32 [n, d], exactly what `block` took away from `vectors`; None for nothing."""
        ...

    def into(self, values: Vectors32, queries: Vectors32, block: Any) -> None:
        """values[i, j] = about the product of query i and vector j of the block."""
        ...


class Float32:
    """NumPy's BLAS."""

    relative = 0.0

    def sums(self, d: int) -> float:
        return _g(d + 2)

    def block(self, vectors: Vectors32) -> Any:
        return vectors

    def rounded_away(self, vectors: Vectors32, block: Any) -> Vectors32 | None:
        return None

    def into(self, values: Vectors32, queries: Vectors32, block: Any) -> None:
        np.matmul(queries, block.T, out=values)


class BFloat16:
    """torch on a CPU that multiplies bfloat16: two to four times as fast."""

    relative = 2.0**-8

    def __init__(self) -> None:
        self._out: Any = None

    def sums(self, d: int) -> float:
        return 2.1 * _g(d + 2)

    def block(self, vectors: Vectors32) -> Any:
        import torch

        return torch.tensor(vectors, dtype=torch.bfloat16)

    def rounded_away(self, vectors: Vectors32, block: Any) -> Vectors32 | None:
        away: Vectors32 = vectors - block.float().numpy()
        return away

    def into(self, values: Vectors32, queries: Vectors32, block: Any) -> None:
        import torch

        if self._out is None or self._out.numel() < values.size:
            self._out = torch.empty(values.size, dtype=torch.bfloat16)
        out = self._out[: values.size].view(values.shape)
        torch.mm(self.block(queries), block.T, out=out)
        torch.from_numpy(values).copy_(out)


class Sizes(NamedTuple):
    """Lengths of some vectors, and of what a product rounds away from them: float64 [n] each."""

    lengths: Floats
    away: Floats


def slack(product: Product, d: int, queries: Sizes, block: Sizes) -> Floats:
    """float64 [n queries]: how far product and score can be apart before the last, relative rounding.

    Raises NonFiniteError where a product may overflow float32.
    """
    longest, most_away = float(block.lengths.max(initial=0.0)), float(block.away.max(initial=0.0))
    if not (queries.lengths * longest < 1e38).all():
        raise NonFiniteError(
            f"inner products of vectors of lengths {float(queries.lengths.max()):.3g} and {longest:.3g} do not fit "
            "float32; normalise the vectors (similarity_fn_name='cosine')"
        )
    rounding = queries.lengths * most_away + queries.away * (longest + most_away)
    bound: Floats = (product.sums(d) * queries.lengths * longest + rounding) * (1 + 1e-9)  # sizes were rounded too
    return bound + d * (1 + queries.lengths + longest) * float(np.finfo(np.float32).tiny)


def fastest(queries: int) -> Product:
    """bfloat16 where the CPU has it, torch is loaded already, and there are queries enough; else float32."""
    return BFloat16() if queries >= WORTHWHILE and "torch" in sys.modules and has_bfloat16() else Float32()


@functools.cache
def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 that torch uses."""
    import torch

    known = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known is not None and known() and native is not None and native())


def _g(m: int) -> float:
    return m * 2.0**-24 / (1 - m * 2.0**-24)
