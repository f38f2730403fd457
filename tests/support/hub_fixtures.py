"""Fixtures: one loopback Hub per test session, and one process whose `huggingface_hub` and `datasets` talk to it.

This process is offline for good (conftest.py), and both libraries read their settings once, so whatever talks to
the Hub runs in the other: ``client(function, *arguments)`` calls a function of a test module there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from loopback_hub import Fault, Hub, served

ANNA, BERT, READER, STRANGER = (f"hf_{letter * 34}" for letter in "abrs")


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with served(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(hub_server: Hub) -> Iterator[Hub]:
    """The running Hub, with no fault planned and an empty log; use repository names of your own."""
    hub_server.plan()
    yield hub_server
    hub_server.plan()


@pytest.fixture(scope="session")
def hub_client(hub_server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    """One process, begun with its own environment."""
    home = tmp_path_factory.mktemp("client")
    online = {
        "HF_ENDPOINT": hub_server.url,
        "HF_TOKEN": ANNA,
        "HF_HOME": str(home),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in online}
    os.environ.update(online)
    try:
        pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin)
        pool.submit(int).result(timeout=120)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    yield pool
    workers = list(pool._processes.values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:  # one whose call never came back must not keep all tests from ending
        worker.join(10)
        worker.kill()


@pytest.fixture
def client(hub_client: ProcessPoolExecutor, hub: Hub) -> Callable[..., Any]:
    """Call a function of a test module in the client's process; what it raises is raised here."""

    def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        future = hub_client.submit(function, *arguments, **options)
        try:
            return future.result(timeout=120)
        except TimeoutError:
            for worker in hub_client._processes:
                os.kill(worker, signal.SIGUSR1)  # it prints where it hangs
            raise

    return call


def _begin() -> None:
    """The clients wait a second and more before they try again; here nobody is helped by that."""
    import faulthandler
    import time

    faulthandler.register(signal.SIGUSR1, all_threads=True)

    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.01))


__all__ = ["ANNA", "BERT", "READER", "STRANGER", "Fault", "Hub", "client", "hub", "hub_client", "hub_server"]
