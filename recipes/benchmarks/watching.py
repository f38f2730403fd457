"""The resident memory of this process that is not file-backed (RssAnon), watched by a thread."""

from __future__ import annotations

import threading
import time
from pathlib import Path

EVERY = 0.02  # seconds


def rss_anon() -> int:
    """Bytes of resident memory of this process that are not file-backed."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this benchmark needs Linux (/proc/self/status)")


class Watch(threading.Thread):
    """Samples memory until the process ends; made after the imports, over which it counts.

    Attributes:
        base: bytes when it was made.
        peak: bytes at most since the last `mark`.
        total_peak: bytes at most since it was made.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.base = self.peak = self.total_peak = rss_anon()
        self.began = time.perf_counter()
        self.start()

    def run(self) -> None:
        while True:
            now = rss_anon()
            self.peak, self.total_peak = max(self.peak, now), max(self.total_peak, now)
            time.sleep(EVERY)

    @property
    def megabytes(self) -> float:
        """The peak over the imports, since the last mark."""
        return (self.peak - self.base) / 1e6

    def mark(self, stage: str) -> None:
        """Close a stage: print its seconds and its peak."""
        seconds = time.perf_counter() - self.began
        print(f"{stage:<28} {seconds:8.1f} s   peak +{self.megabytes / 1e3:5.2f} GB over the imports", flush=True)
        self.peak, self.began = rss_anon(), time.perf_counter()
