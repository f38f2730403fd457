"""JSON over HTTP with retries, a bounded number of requests under way, and messages without the token."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import os
import random
import re
import threading
import time
import urllib.error
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

from hfneg.base.credentials import usable_token
from hfneg.base.http.connection import asked
from hfneg.base.scrubbing import scrub
from hfneg.errors import EndpointError

TOKEN_VARIABLE = "HFNEG_ENDPOINT_TOKEN"
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
FIRST_WAIT = 0.5  # seconds; doubled with each try
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 600.0
SAID = 4_000  # bytes that are looked at of what a server says is wrong

COMMON_HINTS = {
    401: "set HFNEG_ENDPOINT_TOKEN",
    403: "set HFNEG_ENDPOINT_TOKEN to a token that may use it",
}
RERANKER = "a server of text-embeddings-inference"
HINTS = {
    **COMMON_HINTS,
    404: "give the url without /rerank, of a text-embeddings-inference server",
    413: "lower batch_size, or start the server with a larger --max-client-batch-size",
    422: "pass truncate=True, or shorten the texts",
    424: "the server's log says why; it must serve a reranker with one label",
}

Given = TypeVar("Given")
Answer = TypeVar("Answer")


class Server:
    """One server; safe to share between threads. After ``stop.set()`` nothing is tried again.

    `kind` is what should answer there, and `hints` say what to do about a status.

    Raises SettingError where HFNEG_ENDPOINT_TOKEN cannot stand in a header.
    """

    def __init__(
        self, url: str, timeout: float, retries: int, *, kind: str = RERANKER, hints: Mapping[int, str] = HINTS
    ) -> None:
        self.url, self.timeout, self.retries, self._kind, self._hints = url, timeout, retries, kind, hints
        self.stop = threading.Event()
        self._token = usable_token(os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE)
        self._secrets = [self._token] if self._token else []

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
                    raise self.error(
                        f"{self.url}{path} {error} ({tries}); scores received so far are kept: see that the server is "
                        "up, lower concurrency or raise timeout or retries, and run again"
                    ) from None
        raise AssertionError("unreachable")

    def _once(self, path: str, body: bytes | None) -> Any:
        """One try. What the library raised is no context of what is raised here, for it holds the server's words."""
        failure: Exception | None = None
        try:
            content = asked(f"{self.url}{path}", body, self._headers(), self.timeout)
        except (OSError, http.client.HTTPException, ValueError, EndpointError) as error:
            failure = self._failure(path, error)
        if failure is not None:
            raise failure
        return self._parsed(path, content)

    def _failure(self, path: str, error: Exception) -> Exception:
        """What is said of an error of the library: to be tried again (_TransientError), or final."""
        if isinstance(error, urllib.error.HTTPError):
            with error:
                said = self._said(error)
            if error.code in TRANSIENT:
                return _TransientError(f"answered {error.code} ({said})", _retry_after(error))
            hint = self._hints.get(error.code, "see the server's log")
            return self.error(f"{self.url}{path} answered {error.code} ({said}): {hint}")
        if isinstance(error, EndpointError):
            return self.error(str(error))
        if isinstance(error, OSError | http.client.HTTPException):  # URLError is an OSError
            reason = getattr(error, "reason", error)
            slow = isinstance(reason, TimeoutError)
            said = f"gave no answer within {self.timeout:g} s" if slow else f"cannot be reached ({reason!r})"
            return _TransientError(scrub(said, self._secrets))
        return self.error(  # what was wrong is not quoted: it may be a proxy's address, with user and password
            f"{self.url}{path} cannot be asked: its host, or the proxy that HTTP_PROXY or HTTPS_PROXY names, is no "
            f"address ({type(error).__name__}); correct it"
        )

    def _headers(self) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {"Content-Type": "application/json", **token}

    def _parsed(self, path: str, content: bytes) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(content)
        raise self.error(
            f"{self.url}{path} answered {self.shown(content)!r}, which is no JSON that could be read: is this "
            f"{self._kind}?"
        )

    # What is said of a connection.

    def error(self, said: str) -> EndpointError:
        """The one way from here into a message: without the token, whatever the server or a library has made of it."""
        return EndpointError(scrub(said, self._secrets))

    def _said(self, error: urllib.error.HTTPError) -> str:
        """What the server says went wrong, shortened."""
        try:
            content = error.read(SAID)
        except (OSError, http.client.HTTPException):
            content = b""
        try:
            parsed = json.loads(content)
            return self.shown(parsed.get("error") or parsed.get("message") or parsed, 200)
        except (ValueError, AttributeError, RecursionError):
            return self.shown(content) or self.shown(error.reason)

    def shown(self, said: Any, longest: int = 80) -> str:
        """The beginning of a text or value; scrubbed before it is cut, for half a token would not be known as one."""
        try:
            text = said[:SAID].decode("utf-8", "replace") if isinstance(said, bytes) else str(said)[:SAID]
        except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
            text = f"a {type(said).__name__}"
        return scrub(text, self._secrets)[:longest]


def is_address(url: str) -> bool:
    """Whether it is http or https, with a host, perhaps a port and a path, and nothing else."""
    if re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url) is None:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none
        return False


def shown_address(given: Any) -> Any:
    """The url for a message: without user, password, query or fragment, wherever they stand."""
    if not isinstance(given, str):
        return given
    bare, mark, _ = re.sub(r"^([^/@]*//)?.*@", r"\1***@", given, flags=re.DOTALL).partition("?")
    return f"{bare}?***" if mark else bare.partition("#")[0]


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
    except (TypeError, ValueError, OverflowError, OSError):
        return None
