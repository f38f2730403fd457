"""One request over HTTP, bounded: in time as a whole, in bytes, and in where it may be sent on to."""

from __future__ import annotations

import functools
import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from hfneg.errors import EndpointError

LARGEST = 16 << 20
"""Bytes of an answer; the scores of 100,000 texts take a third of it."""
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 5
PIECE = 1 << 16


def asked(url: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> bytes:
    """The content of the answer to a GET, or to a POST of `body`.

    Redirects are followed within the origin (scheme, host and port), with the same method and body; to another origin
    nothing is sent, for texts and token are meant for the server that was named.

    Args:
        timeout: seconds for all of it, however the server drips.

    Raises:
        urllib.error.HTTPError: a status that is no success; its body can be read, within the same time.
        OSError, http.client.HTTPException, ValueError: no connection, a broken answer, an unusable proxy.
        EndpointError: another origin, too many redirects, or more than LARGEST bytes.
    """
    deadline = time.monotonic() + timeout
    target = url
    for _ in range(MOST_REDIRECTS + 1):
        request = urllib.request.Request(target, data=body, headers=dict(headers))
        try:
            with _opener(deadline).open(request, timeout=max(deadline - time.monotonic(), 1e-3)) as answer:
                return _content(answer, url)
        except urllib.error.HTTPError as error:
            if error.code not in REDIRECTS or not error.headers.get("Location"):
                raise
            with error:
                target = _followed(url, target, error, body is not None)
    raise EndpointError(f"{url} sends on more than {MOST_REDIRECTS} times; give the url that answers at last")


def _followed(url: str, here: str, error: urllib.error.HTTPError, posted: bool) -> str:
    """Where a redirect leads; raises EndpointError where that is another origin, or something else than was asked."""
    try:
        there: str = urljoin(here, error.headers["Location"])
        origin = origin_of(there)
        if "@" in urlsplit(there).netloc:
            raise ValueError("a user in it")
    except ValueError:
        raise EndpointError(f"{url} sends on ({error.code}) to an address that is none") from None
    if origin != origin_of(here):
        raise EndpointError(
            f"{url} sends on ({error.code}) to another origin, {origin}; neither texts nor a token were sent there: "
            "if that is the server you mean, give its url"
        )
    if posted and error.code == 303:
        raise EndpointError(f"{url} sends a POST on to a GET (303): give the url that answers itself")
    return there


def origin_of(url: str) -> str:
    """``https://host:443``: scheme, host and port, without anything else. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{shown_host(parts)}:{parts.port or {'http': 80, 'https': 443}.get(parts.scheme, 0)}"


def shown_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host


def _content(answer: Any, url: str) -> bytes:
    """All of it; raises EndpointError above LARGEST bytes, IncompleteRead where the server broke off."""
    content = bytearray()
    while (answer.length or 0) + len(content) <= LARGEST and (piece := answer.read(PIECE)):
        content += piece
    if (answer.length or 0) + len(content) > LARGEST:
        raise EndpointError(
            f"{url} answers with more than {LARGEST >> 20} MB, which no scores need: is this a "
            "server of the kind that was named?"
        )
    if answer.length:
        raise http.client.IncompleteRead(bytes(content), answer.length)
    return bytes(content)


# An opener that follows nothing and watches the clock.


class _FollowNothing(urllib.request.HTTPRedirectHandler):
    """Redirects become HTTPError, and are looked at in `asked`."""

    def http_error_302(self, *given: Any) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


class _TimedRaw(io.RawIOBase):
    """What arrives at a socket until the deadline; the socket's own timeout begins anew with every byte."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._file = sock.makefile("rb", buffering=0)  # keeps the socket open as long as the answer is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *given: Any, deadline: float, **options: Any) -> None:
        super().__init__(sock, *given, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedRaw(sock, deadline))


def _timed(kind: type[http.client.HTTPConnection], deadline: float, host: str, **options: Any) -> Any:
    connection = kind(host, **options)
    connection.response_class = functools.partial(_TimedResponse, deadline=deadline)  # type: ignore[assignment]
    return connection


def _opener(deadline: float) -> urllib.request.OpenerDirector:
    """For one request: proxies and certificates as everywhere, no redirects, and an end in time."""

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(functools.partial(_timed, http.client.HTTPConnection, deadline), request)

    class Secure(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(functools.partial(_timed, http.client.HTTPSConnection, deadline), request)

    return urllib.request.build_opener(_FollowNothing, Plain, Secure)
