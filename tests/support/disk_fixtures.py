"""A disk that is soon full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _disk(folder: Path, size: str) -> Iterator[Path]:
    """Only root may mount one."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 KB."""
    yield from _disk(tmp_path / "disk", "200k")


@pytest.fixture
def large_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    yield from _disk(tmp_path / "disk", "2m")
