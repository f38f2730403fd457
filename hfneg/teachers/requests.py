"""JSON over HTTP with retries, and a bounded number of requests under way."""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from hfneg.errors import EndpointError

TOKEN_VARIABLE = "HFNEG_ENDPOINT_TOKEN"
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
FIRST_WAIT = 0.5  # seconds; doubled with each try
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 600.0

HINTS = {
    401: "set HFNEG_ENDPOINT_TOKEN",
    403: "set HFNEG_ENDPOINT_TOKEN to a token that may use it",
    404: "give the url without /rerank, of a text-embeddings-inference server",
    413: "lower batch_size, or start the server with a larger --max-client-batch-size",
    422: "pass truncate=True, or shorten the texts",
    424: "the server's log says why; it must serve a reranker with one label",
}

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class Server:
    """One server; safe to share between threads. After ``stop.set()`` nothing is tried again."""

    def __init__(self, url: str, timeout: float, retries: int) -> None:
        self.url, self.timeout, self.retries = url, timeout, retries
        self.stop = threading.Event()

    def get(self, path: str) -> Any:
        return self._ask(path, None)

    def post(self, path: str, body: Any) -> Any:
        """The JSON of the answer. Raises EndpointError; with transient failures only after all retries."""
        return self._ask(path, json.dumps(body).encode())

    def _ask(self, path: str, body: bytes | None) -> Any:
        for attempt in range(self.retries + 1):
            try:
                return self._once(path, body)
            except _TransientError as error:
                patience = error.after if error.after is not None else FIRST_WAIT * 2**attempt
                seconds = min(patience, LONGEST_WAIT if error.after is None else LONGEST_RETRY_AFTER)
                if attempt == self.retries or self.stop.wait(seconds * random.uniform(1.0, 1.2)):
                    tries = f"{attempt + 1} tries" if attempt else "1 try"
                    raise EndpointError(
                        f"{self.url}{path} {error} ({tries}); scores received so far are kept: see that the server is "
                        "up, lower concurrency or raise timeout or retries, and run again"
                    ) from error
        raise AssertionError("unreachable")

    def _once(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=_headers())
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                said = _said(error)
            if error.code in TRANSIENT:
                raise _TransientError(f"answered {error.code} ({said})", _retry_after(error)) from None
            hint = HINTS.get(error.code, "see the server's log")
            raise EndpointError(f"{self.url}{path} answered {error.code} ({said}): {hint}") from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", error)
            slow = isinstance(reason, TimeoutError)
            raise _TransientError(
                f"gave no answer within {self.timeout:g} s" if slow else f"cannot be reached ({reason!r})"
            ) from None
        return self._parsed(path, content)

    def _parsed(self, path: str, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            raise EndpointError(
                f"{self.url}{path} answered {content[:80]!r}, which is no JSON: is this a server of "
                "text-embeddings-inference?"
            ) from None


class _TransientError(Exception):
    """Worth another try, after so many seconds if the server says so."""

    def __init__(self, said: str, after: float | None = None) -> None:
        super().__init__(said)
        self.after = after


def at_most(
    n: int,
    work: Callable[[Given], Answer],
    tasks: Iterable[Given],
    *,
    take: Callable[[Answer], None],
    stop: threading.Event,
) -> None:
    """Give each answer to `take`, in this thread and as they come, from at most `n` threads at once.

    After a failure (of `work` or of `take`) no task is begun and `stop` is set; what is under way is waited for and
    taken, then the first failure is raised.
    """
    waiting = iter(tasks)
    running: set[Future[Answer]] = set()
    failures: list[Exception] = []
    with ThreadPoolExecutor(n, thread_name_prefix="hfneg-endpoint") as pool:
        try:
            while True:
                while not failures and len(running) < n and (task := next(waiting, None)) is not None:
                    running.add(pool.submit(work, task))
                if not running:
                    break
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    try:
                        take(future.result())
                    except Exception as error:
                        failures.append(error)
                        stop.set()
        finally:  # also when the user interrupts
            stop.set()
    if failures:
        raise failures[0]


def _headers() -> dict[str, str]:
    token = os.environ.get(TOKEN_VARIABLE)
    return {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}


def _said(error: urllib.error.HTTPError) -> str:
    """What the server says went wrong, shortened."""
    try:
        content = error.read(2_000)
    except (OSError, http.client.HTTPException):
        content = b""
    try:
        parsed = json.loads(content)
        return str(parsed.get("error") or parsed.get("message") or parsed)[:200]
    except (ValueError, AttributeError):
        return content[:80].decode("utf-8", "replace") or str(error.reason)


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    """Seconds from the header Retry-After (a number or a date), or None."""
    given = error.headers.get("Retry-After") if error.headers else None
    if given is None:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
