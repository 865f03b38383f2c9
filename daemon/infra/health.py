"""The two health replies, which the door and the desk give alike."""

from collections.abc import Sequence

import msgspec
import trio

from fks.domain.errors import FksError
from fks.infra.problem import problem
from fks.ledger import Journal

PROBE_S = 1.0  # a journal that takes longer to answer a trivial question cannot serve alerts

Reply = tuple[int, bytes, dict[str, str]]


async def healthz(journal: Journal) -> Reply:
    """200 while the journal answers a trivial read within a second, else 503: status, body, headers."""
    try:
        await journal.read(lambda reader: reader.trading(), within=PROBE_S)
    except trio.TooSlowError:
        return _unavailable(f"the journal did not answer within {PROBE_S:g} s; look at the disk and the log")
    except FksError as error:
        return _unavailable(f"the journal does not answer: {error}")
    return _ok("alive")


def readyz(reasons: Sequence[str]) -> Reply:
    """200 when there is no reason against taking alerts, else 503 with all of them."""
    if reasons:
        return _unavailable("alerts are not accepted now: " + "; ".join(reasons), reasons=list(reasons))
    return _ok("ready")


def _ok(status: str) -> Reply:
    return 200, msgspec.json.encode({"status": status}), {"content-type": "application/json"}


def _unavailable(detail: str, reasons: list[str] | None = None) -> Reply:
    body, headers = problem(503, "", detail, reasons=reasons)
    return 503, body, headers
