"""Tokens as they are given: checked before they go into a header, and never shown."""

from __future__ import annotations

from hfneg.base.scrubbing import remember
from hfneg.errors import SettingError


def usable_token(given: str | None, name: str) -> str | None:
    """The token without blanks around it, None for none; from now on no message of this process holds it.

    Args:
        given: as somebody typed, exported or passed it.
        name: where it is from, for messages: ``token=``, ``HF_TOKEN``.

    Raises SettingError where it cannot stand in a header (a line break, a blank, a letter that is not ASCII). An HTTP
    library would say so with the whole token in its message.
    """
    if given is None:
        return None
    if not isinstance(given, str):
        raise SettingError(f"{name}: expected a token as text, not a {type(given).__name__}")
    token = given.strip()
    remember(token)
    wrong = next((place for place, letter in enumerate(token) if not "!" <= letter <= "~"), None)
    if wrong is not None:
        raise SettingError(
            f"{name} is no token: character {wrong + 1} of {len(token)} is {_in_words(token[wrong])}, and only visible "
            "ASCII characters can be sent; copy the token once more, alone"
        )
    return token or None


def _in_words(letter: str) -> str:
    if letter in "\r\n":
        return "a line break"
    if letter.isspace():
        return "a blank"
    return "a control character" if letter < " " or letter == "\x7f" else "not an ASCII character"
