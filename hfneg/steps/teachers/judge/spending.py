"""What asking costs: a budget in pairs and tokens, and no more requests a minute than are allowed."""

from __future__ import annotations

import threading
import time


class Spending:
    """Counts what one process has asked of a judge; safe to share between threads.

    Args:
        pairs, tokens: the budget; None without an end. Requests that are under way when it is spent are still taken.
        per_minute: requests at most; None as many as there can be.
    """

    def __init__(self, pairs: int | None, tokens: int | None, per_minute: float | None) -> None:
        self._most_pairs, self._most_tokens = pairs, tokens
        self._apart = 60.0 / per_minute if per_minute else 0.0
        self._lock, self._next = threading.Lock(), 0.0
        self.pairs = self.tokens = 0

    def take(self) -> bool:
        """Whether one more pair may be asked about; it then counts."""
        with self._lock:
            if self._spent():
                return False
            self.pairs += 1
            return True

    def used(self, tokens: int) -> None:
        """An answer has cost so many."""
        with self._lock:
            self.tokens += tokens

    def _spent(self) -> bool:
        of_pairs = self._most_pairs is not None and self.pairs >= self._most_pairs
        return of_pairs or (self._most_tokens is not None and self.tokens >= self._most_tokens)

    def wait(self, stop: threading.Event) -> None:
        """Until the next request may go out, or until `stop`."""
        if not self._apart:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._apart
        stop.wait(turn - now)

    @property
    def budget(self) -> str:
        """In words."""
        parts = [
            f"{most:,} {what}"
            for most, what in ((self._most_pairs, "pairs"), (self._most_tokens, "tokens"))
            if most is not None
        ]
        return " and ".join(parts)
