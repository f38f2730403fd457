"""Whose a temporary file is: its name says which process wrote it, so that others can tell whether that one lives.

An owner is ``HOST-PID-START-N``, e.g. ``4f3a9c21-12345-9be0aa17-1c0ffee5``. HOST stands for the machine and, in
containers, for the space in which process numbers mean something; START for the moment the process began, so that a
number which is given to another process later does not keep a dead one's files alive. Of another host's processes
nothing is known.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import socket
import uuid
from pathlib import Path

OWNER = r"(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-(?P<start>[0-9a-f]{8})-[0-9a-f]{8}"
UNKNOWN = "0" * 8  # the start of a process, where the system does not say
ENDED = "ended"


def new_owner() -> str:
    """This process, with a number of its own for each call."""
    pid = os.getpid()
    return f"{_host()}-{pid}-{_own_start(pid)}-{uuid.uuid4().hex[:8]}"


def is_dead(owner: str) -> bool | None:
    """Whether the process behind an owner's name has ended; None where that cannot be known here."""
    match = re.fullmatch(OWNER, owner)
    if match is None or match["host"] != _host():
        return None
    pid = int(match["pid"])
    try:
        os.kill(pid, 0)  # asks only
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # another user's
        pass
    return _start_of(pid) not in (match["start"], UNKNOWN)


@functools.lru_cache(maxsize=4)
def _own_start(pid: int) -> str:
    return _start_of(pid)


def _start_of(pid: int) -> str:
    """8 hex digits that no other process of this number has; UNKNOWN, or ENDED where only its parent remembers it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return UNKNOWN
    fields = text.rpartition(")")[2].split()  # a program's name may hold anything, also ")"
    return ENDED if fields[0] in "ZX" else _short(boot, fields[19])


@functools.lru_cache(maxsize=1)
def _host() -> str:
    return _short(socket.gethostname(), _read("/etc/machine-id"), _space_of_numbers())


def _space_of_numbers() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _short(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=4).hexdigest()
