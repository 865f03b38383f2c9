"""JSON that is decoded in many short steps: in a thread, it does not keep the event loop from running.

One call of any JSON library holds the interpreter's lock to its end: 10 ms for 3 MB with the fastest, and
the market list of a big exchange has over 10 MB.
"""

import json
import re
from json import JSONDecodeError
from typing import Any

_decode = json.JSONDecoder().raw_decode  # (text, start) -> (value, end)
_space = re.compile(r"[ \t\n\r]*")


def loads_in_steps(text: str, depth: int = 3) -> Any:
    """As `json.loads`; what lies `depth` levels down is decoded by one call each. Raises JSONDecodeError."""
    value, end = _value(text, _skip(text, 0), depth)
    if (end := _skip(text, end)) != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth and text.startswith("[", at):
        return _array(text, at, depth)
    if depth and text.startswith("{", at):
        return _object(text, at, depth)
    return _decode(text, at)


def _array(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _skip(text, at + 1)
    if text.startswith("]", at):
        return items, at + 1
    while True:
        item, at = _value(text, at, depth - 1)
        items.append(item)
        at = _skip(text, at)
        if text.startswith("]", at):
            return items, at + 1
        at = _after(text, at, ",")


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    table: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text.startswith("}", at):
        return table, at + 1
    while True:
        if not text.startswith('"', at):
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = _decode(text, at)
        at = _after(text, _skip(text, at), ":")
        table[key], at = _value(text, at, depth - 1)
        at = _skip(text, at)
        if text.startswith("}", at):
            return table, at + 1
        at = _after(text, at, ",")


def _after(text: str, at: int, sign: str) -> int:
    if not text.startswith(sign, at):
        raise JSONDecodeError(f"Expecting {sign!r} delimiter", text, at)
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _space.match(text, at)
    return found.end() if found else at
