"""Every test session works in folders of its own, offline and without progress bars."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

_ROOT = Path(tempfile.mkdtemp(prefix="hfneg-tests-"))

# Set before anything imports datasets, which reads them once.
os.environ["HFNEG_STORE"] = str(_ROOT / "store")
os.environ["HF_HOME"] = str(_ROOT / "home")
os.environ["HF_DATASETS_CACHE"] = str(_ROOT / "home" / "datasets")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Processes that tests start find what tests stand on, as pytest does (pythonpath in pyproject.toml).
_SUPPORT = str(Path(__file__).parent / "support")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_SUPPORT, os.environ.get("PYTHONPATH"))))


from hypothesis import settings  # noqa: E402

# `make test` tries the same examples every time, so that nothing fails by chance; `make test-properties` draws others,
# and more, from a seed that it prints.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("nightly", max_examples=1000, deadline=None, database=None, print_blob=True)
settings.load_profile("ci")

# Small work goes to the kernels too, which are what is tested; that plain NumPy gives the same has its own tests.
from hfneg.base import small  # noqa: E402

small.ENABLED = False

# Fixtures; they import no datasets.
from disk_fixtures import large_disk, small_disk  # noqa: E402, F401
from hub_fixtures import client, hub, hub_client, hub_server  # noqa: E402, F401


def pytest_runtest_setup() -> None:
    """Commands say how loud hfneg's logger is; the next test is none of their business."""
    log = logging.getLogger("hfneg")
    log.setLevel(logging.INFO)
    log.handlers.clear()


def pytest_unconfigure() -> None:
    shutil.rmtree(_ROOT, ignore_errors=True)


# What tests stand on, and scripts that they start.
collect_ignore = [
    "support",
    "training/refresh_until_killed.py",
    "training/rounds_until_killed.py",
    "whole/map_and_say.py",
]
