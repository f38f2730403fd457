"""Small work is done in plain NumPy, so that a first example does not wait for kernels to be compiled.

Compiling takes seconds, once on a machine; plain loops take longer the more there is. So each kind of work has an
allowance for the whole process, of half a second and less: what fits into it is done plainly, and the first that does
not, and all after it, goes to the kernels. The values are the same in every bit.
"""

from __future__ import annotations

ENABLED = True


class Allowance:
    """How much of one kind of work this process may still do plainly, in units of the caller's choice."""

    def __init__(self, units: float) -> None:
        self.left = units

    def takes(self, units: float) -> bool:
        """Whether that is to be done plainly; if so it is used up."""
        if not ENABLED or units > self.left:
            self.left = 0.0  # kernels from here on: they are compiled now
            return False
        self.left -= units
        return True
