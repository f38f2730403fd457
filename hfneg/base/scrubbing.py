"""What a secret looks like, and messages without any.

Every error of hfneg takes its message through `scrub` (see `hfneg.errors`), and so does all that the command line
prints and logs: whatever a server echoes or a library quotes, no token, password or signed address is in it.

It stands below `errors` and imports nothing of hfneg.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
SHORTEST, SHORTEST_OTHER = 8, 16
"""Characters from which a token of the Hub or an endpoint, and any other, counts as a secret whatever its form: shorter
ones stand in any text."""


class Form(NamedTuple):
    """One kind of secret by its form; `pattern` is for `re` and for RE2 alike, so it looks neither ahead nor behind."""

    kind: str
    pattern: str
    anywhere: bool = False  # also right behind a letter or digit

    @property
    def whole(self) -> str:
        return self.pattern if self.anywhere else f"{BORDER}(?:{self.pattern})"


BORDER = r"(?:\b|_|\\[nrt]|%[0-9A-Fa-f]{2})"
"""Where a token may begin: not inside a word, but behind ``my_``, a written ``\\n``, or a written ``%3D``."""

_OPENAI = r"sk-[A-Za-z0-9]{20,}|sk-(?:proj|svcacct|admin|or|lf|None)-[A-Za-z0-9_-]{20,}"
_SERVICES = (
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|gsk_[A-Za-z0-9]{32,}"
    r"|xai-[A-Za-z0-9]{32,}|r8_[A-Za-z0-9]{32,}|dapi[0-9a-f]{32}|do[opr]_v1_[0-9a-f]{40,}|dckr_pat_[A-Za-z0-9_-]{20,}"
    r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}|nvapi-[A-Za-z0-9_-]{30,}|pplx-[A-Za-z0-9]{32,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|AccountKey=[A-Za-z0-9+/]{60,}"
)
_KEY_BLOCK = (  # to its end; where that is cut off, all that may belong to it
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\s\S]*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)"
)
_QUERY_KEYS = (
    r"api[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret|X-Amz-(?:Signature|Security-Token)|X-Goog-Signature"
)

FORMS = (
    Form("a token of Hugging Face", r"hf_[A-Za-z]{34}", anywhere=True),  # exactly this: also inside a longer name
    Form("a token of Hugging Face", r"(?:hf_(?:oauth_)?|api_org_)[A-Za-z0-9]{16,}\b"),
    Form("a key of AWS", r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"),
    Form("a key of AWS", r"(?:aws_?|AWS_?)?(?:secret|SECRET)_?(?:access|ACCESS)_?(?:key|KEY)\W{1,5}[A-Za-z0-9/+]{40}"),
    Form("a token of GitHub", r"gh[opsru]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"),
    Form("a key of Anthropic", r"sk-ant-[A-Za-z0-9_-]{16,}"),
    Form("a key of OpenAI", _OPENAI),
    Form("a key of Google", r"AIza[A-Za-z0-9_-]{30,}|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}"),
    Form("a token of Slack", r"xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    Form("a token of Slack", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"),
    Form("a token of GitLab", r"gl(?:pat|dt|rt|ptt|oas|cbt|ft|soat|agent)-[A-Za-z0-9_-]{20,}"),
    Form("a token of npm", r"npm_[A-Za-z0-9]{30,}"),
    Form("a token of PyPI", r"pypi-(?:AgE[A-Za-z0-9_-]{16,}|[A-Za-z0-9_-]{60,})"),
    Form("a key of a service", _SERVICES),
    Form("a private key", _KEY_BLOCK, anywhere=True),
    Form("a JSON web token", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    Form("a password in a URL", r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@'\"<>\[\]]*:[^\s/?#@'\"<>{}$*\[\]]+@"),
    Form("a password in a header", r"[Aa]uthorization['\"]?[:=] ?['\"]?[Bb]asic [A-Za-z0-9+/]{8,}={0,2}"),
    Form("a bearer token", r"[Bb]earer[ +]+[A-Za-z0-9._~+/-]{20,}"),
    Form("a key in a URL", rf"[?&](?:{_QUERY_KEYS})=[A-Za-z0-9%._~+/-]{{16,}}", anywhere=True),
)
ANY = "|".join(f"(?:{form.whole})" for form in FORMS)
"""All of them, for `re` and RE2: whether a text holds any."""

_SCHEME = "(?:bearer|basic|token|digest)"
_NAMES = r"token|password|passwd|secret|api[_-]?key|access[_-]?key|session[_-]?key"

# In messages, where too much costs nothing: before and after what is known by its form any user, query and header, and
# whatever is called a password or the like.
_IN_MESSAGES = (
    (r"(://)[^\s/?#'\"<>]+@", rf"\1{MASK}@"),
    (r"(://[^\s?#'\"<>]*\?)[^\s#'\"<>)]+", rf"\1{MASK}"),
    (
        rf"(?i)(\bauthorization\\?['\"]?\s*[:=]\s*\\?['\"]?(?:{_SCHEME}\s+)?)(?!{_SCHEME}\b)[^\s'\",;)}}]{{4,}}",
        rf"\1{MASK}",
    ),
    (f"(?a:{ANY})", MASK),
    (r"(?i)(\b(?:set-)?cookie\\?['\"]?\s*:\s*)[^\r\n'\"]+", rf"\1{MASK}"),
    (rf"(?i)((?:{_NAMES})=\\?['\"]?)(?!true\b|false\b|none\b)[^\s'\",;)}}&]{{4,}}", rf"\1{MASK}"),
    (rf"(?i)((?:{_NAMES})\\?['\"]\s*:\s*\\?['\"])[^'\"\\]{{4,}}", rf"\1{MASK}"),
    (r"(\bB(?:earer|EARER)\s+)(?!token\b|auth)[^\s'\",;)}]{4,}", rf"\1{MASK}"),
)

_USERS = re.compile(
    r"((?:/home|/Users|/export/home|\b[A-Za-z]:\\{1,2}(?:Users|Documents and Settings))[/\\]{1,2})[^\s/\\'\"<>|]+"
)
_OURS = re.compile(r"(HF|HFNEG|HUGGING|HUGGINGFACE)_.*TOKEN$")
_NAMED = re.compile(r"(TOKEN|API_?KEY|SECRET|SECRET_?KEY|ACCESS_?KEY|PASSWORD|PASSWD)$")
_PROXIES = re.compile(r"(?i)_proxy$")
_remembered: set[str] = set()


def remember(secret: str) -> None:
    """Take this out of all messages of this process, and refuse to publish it: a token that somebody gave us."""
    if len(secret.strip()) >= SHORTEST:
        _remembered.add(secret.strip())


def own_secrets() -> list[str]:
    """The secrets of whoever runs this, whatever their form, longest first.

    Those that were given to hfneg, those of the environment (HF_TOKEN, HFNEG_ENDPOINT_TOKEN, and every variable whose
    name ends in TOKEN, API_KEY, SECRET, ACCESS_KEY or PASSWORD; passwords of proxies), and the stored logins.
    """
    found = {value for name, value in os.environ.items() if _OURS.match(name)}
    found |= {value for name, value in os.environ.items() if _NAMED.search(name) and len(value) >= SHORTEST_OTHER}
    for name, value in os.environ.items():
        if _PROXIES.search(name) and "@" in value:
            user = value.rpartition("@")[0].rpartition("//")[2]
            found |= {user, unquote(user), user.partition(":")[2], unquote(user.partition(":")[2])}
    stripped = {text.strip() for text in (*found, *_stored_logins(), *_remembered)}
    return sorted((text for text in stripped if len(text) >= SHORTEST), key=len, reverse=True)


def _stored_logins() -> list[str]:
    """Tokens that ``hf auth login`` has left, without importing its library."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    current = Path(os.path.expandvars(os.path.expanduser(os.environ.get("HF_TOKEN_PATH") or f"{home}/token")))
    found = [_text_of(current)]
    found += [line.partition("=")[2] for line in _text_of(current.with_name("stored_tokens")).splitlines()]
    return found


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # not there, not ours, no path at all
        return ""


_URL_SAFE = str.maketrans("+/", "-_")


@lru_cache(maxsize=256)
def written(secret: str) -> tuple[str, ...]:
    """The ways in which a secret stands in a text: as it is, in quotes, JSON, a URL or base64; and line by line."""
    pieces = {secret, *(line.strip() for line in secret.splitlines() if len(line.strip()) >= SHORTEST)}
    ways = set(pieces)
    for text in pieces:
        ways |= {repr(text)[1:-1], ascii(text)[1:-1], json.dumps(text)[1:-1], repr(text.encode(errors="replace"))[2:-1]}
        ways |= {quote(text, safe="", errors="replace"), quote_plus(text, errors="replace")}
        ways.update(_in_base64(text))
    return tuple(sorted(ways, key=len, reverse=True))


def _in_base64(text: str) -> Iterator[str]:
    """What of it stands in the base64 of a longer text, wherever it begins there: letters that are its own alone."""
    content = text.encode(errors="replace")
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
        whole = coded[-(-8 * before // 6) : (before + len(content)) * 8 // 6]
        if len(whole) >= SHORTEST:
            yield whole
            yield whole.translate(_URL_SAFE)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with ``***`` for secrets: `secrets`, those of whoever runs this, and all that have the form of one.

    Of web addresses go user, password and query too. Doing it twice changes nothing.
    """
    text = _without(text, [*secrets, *own_secrets()])
    for pattern, instead in _in_messages():
        text = pattern.sub(instead, text)
    return text


def masked(text: str) -> str:
    """`text` with ``***`` for what has the form of a secret, and nothing else changed."""
    return _any().sub(MASK, text)


def masked_example(text: str) -> str:
    """A text of the data as it is shown in a card: ``***`` for all secrets, and for the names of users in paths."""
    return _USERS.sub(rf"\1{MASK}", masked(_without(text, own_secrets())))


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        for way in written(secret):
            text = re.sub(re.escape(way), MASK, text, flags=re.IGNORECASE)
    return text


def form_of(text: str) -> tuple[str, str] | None:
    """(kind, the text found) of the first secret by its form; None where there is none."""
    found = _any().search(text)
    if found is None:
        return None
    form = next(form for form in FORMS if re.match(form.whole, found.group(), re.ASCII))
    without_border = re.search(form.pattern, found.group(), re.ASCII)
    return form.kind, (without_border or found).group()


def scrubbed(error: BaseException) -> BaseException:
    """The error itself, its message and those of all errors behind it scrubbed; for ``raise X from scrubbed(error)``.

    A traceback prints the whole chain, so that what a library said of a connection is seen there too. An error that
    does not make its text of its arguments is replaced by one that says its kind.
    """
    for one in _chain(error):
        one.args = tuple(scrub(part) if isinstance(part, str) else part for part in one.args)
        if isinstance(one, OSError) and isinstance(one.strerror, str):
            one.strerror = scrub(one.strerror)
        if hasattr(one, "__notes__"):
            one.__notes__ = [scrub(str(note)) for note in one.__notes__]
        for behind in ("__cause__", "__context__"):
            if getattr(one, behind) is not None:
                setattr(one, behind, _or_instead(getattr(one, behind)))
    return _or_instead(error)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and all behind it, those furthest behind first."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and all(one is not other for other in found):
            found.append(one)
            waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found[::-1]


def _or_instead(error: BaseException) -> BaseException:
    said = str(error)
    return error if scrub(said) == said else RuntimeError(f"{type(error).__name__}: {scrub(said)}")


def traceback_to_scrub(error: BaseException) -> str | None:
    """The whole traceback with all chained errors, scrubbed; None where there is nothing to take out of it."""
    whole = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    shown = scrub(whole)
    return None if shown == whole else shown


def scrubbed_line(record: logging.LogRecord) -> bool:
    """A filter for handlers of `logging`: every line that is logged passes the scrubber."""
    record.msg, record.args = scrub(record.getMessage()), ()
    return True


@cache
def _any() -> re.Pattern[str]:
    return re.compile(ANY, re.ASCII)


@cache
def _in_messages() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), instead) for pattern, instead in _IN_MESSAGES]
