"""What must not be written down is masked here, whoever logged it and however deep it sits. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fks.domain.secret import Secret

MASK = "***"
_DEEPEST = 8
_LONGEST = 16_384  # characters; an exchange's HTML error page is longer and says less

_WORDS = (
    r"(?:secret|passw(?:or)?d|passphrase|api[-_]?key|private[-_]?key|token|signature|authorization|cookie"
    r"|(?<![a-z])sign)s?"
)
# A name that ends in one of them: `api_secret`, `X-MBX-APIKEY`, `webhook-signature`.
_SECRET_NAME = re.compile(rf"{_WORDS}$", re.IGNORECASE)
# The same before a value within a text: signed URLs, dumped headers, dumped JSON; and user:password@host.
_SECRET_IN_TEXT = re.compile(
    rf"""(?P<name>{_WORDS}["']?\s*[=:]\s*["']?(?:(?:bearer|basic)\s+)?)[^\s&"',;)}}\]]+"""
    r"|(?P<scheme>://)[^/@\s]+(?=@)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """`text` without the values of secret-sounding parameters, headers and fields."""
    if "=" not in text and ":" not in text:
        return text
    return _SECRET_IN_TEXT.sub(lambda match: (match["name"] or match["scheme"]) + MASK, text)


def redact(value: Any, depth: int = 0) -> Any:
    """A copy that may be written: plain data only, everything else as its masked text."""
    if isinstance(value, str):
        return _shorten(mask_text(value))
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"  # a request's body, most likely
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return redact_fields(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [redact(one, depth + 1) for one in value]
    return _shorten(mask_text(_printed(value)))


def _printed(value: object) -> str:
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything, and logging must not
        return f"<{type(value).__name__} that cannot be printed>"


def _shorten(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2  # a traceback's head and its end
    return f"{text[:half]} ... {text[-half:]}"


def redact_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """`fields` with the values of secret-sounding names masked."""
    return {
        name: MASK if value and is_secret_name(name) else redact(value, depth)
        for name, value in ((str(key), one) for key, one in fields.items())
    }
