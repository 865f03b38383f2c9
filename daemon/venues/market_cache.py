"""An exchange's market list on disk, so that a start need not wait for it.

One JSON document a line: a header, then a market each, so that no step of reading is long. The header
holds the digest of what follows it: a wrong digit in a contract's size would be an order ten times as big.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import structlog

FRESH_S = 24 * 3600.0

log = structlog.get_logger()


class Cached(NamedTuple):
    """ccxt's unified markets, and the wall time at which the exchange told them."""

    markets: list[dict[str, Any]]
    at: float


def read(path: Path, wanted: Collection[str] | None, now: float) -> Cached | None:
    """What is in the file.

    None if it is absent, older than a day by the wall time `now`, another ccxt's, or without one of the
    `wanted` symbols (None: all); and with a warning when it is damaged.
    """
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        header = json.loads(head)
        if not _fits(header, wanted, now):
            return None
        return Cached(_markets(header, body), header["at"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("market_cache_ignored", path=str(path), reason=str(error), then="asking the exchange")
        return None


def _markets(header: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
    if header["sha256"] != hashlib.sha256(body).hexdigest():
        raise ValueError("its digest does not match")
    return [json.loads(line) for line in body.splitlines()]


def _fits(header: dict[str, Any], wanted: Collection[str] | None, now: float) -> bool:
    symbols = header["symbols"]
    enough = symbols is None or (wanted is not None and set(wanted) <= set(symbols))
    return enough and header["ccxt"] == version("ccxt") and 0 <= now - header["at"] < FRESH_S


def write(path: Path, markets: Iterable[dict[str, Any]], wanted: Collection[str] | None, now: float) -> None:
    """Replace the file in one step. What cannot be written is a warning: the next start asks the exchange."""
    try:
        body = "".join(f"{_exact(one)}\n" for one in markets).encode()
        header = {
            "ccxt": version("ccxt"),
            "at": now,
            "symbols": None if wanted is None else sorted(wanted),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(json.dumps(header).encode() + b"\n" + body)
        temporary.replace(path)  # torn by a power cut it would not match its digest: no fsync
    except (OSError, ValueError, TypeError) as error:
        log.warning("market_cache_not_written", path=str(path), reason=str(error))


def _exact(market: dict[str, Any]) -> str:
    """Raises ValueError or TypeError if it would not be read back as it is (tuples, integer keys, NaN)."""
    line = json.dumps(market, separators=(",", ":"))
    if json.loads(line) != market:
        raise ValueError(f"{market.get('symbol')} cannot be said in JSON")
    return line
