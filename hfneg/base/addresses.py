"""Web addresses: whether one means something outside of the network that it was used in."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

WEB = re.compile(r"https?://[^\s'\"<>()`|]+", re.IGNORECASE)
_PRIVATE = ("local", "localhost", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "svc",
            "arpa", "test", "cluster")  # fmt: skip
"""Last parts of names that no public server has."""


def is_internal(url: str) -> bool:
    """Whether its host is a number, a name without a dot, or one that only a private network knows.

    Such an address tells of a network and helps nobody outside of it. What is no address at all counts as one, too.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return True
    try:
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        parts = host.split(".")
        return len(parts) < 2 or parts[-1] in _PRIVATE or "svc" in parts or parts[-1].isdigit()
