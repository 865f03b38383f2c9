"""Connections of clients that mean ill: what they send, how slowly, and how they leave."""

import json
from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from fuzz.bodies import mutated


class Leave(Enum):
    """How a client ends it."""

    WAIT = auto()  # reads until the server hangs up, for a while
    HALF = auto()  # closes its own side first
    CLOSE = auto()  # without reading
    RESET = auto()


@dataclass(frozen=True)
class Script:
    parts: tuple[bytes, ...]
    pause_s: float
    leave: Leave


_BODY = json.dumps({"symbol": "BTC/USDT", "action": "buy", "secret": "wrong", "amount": 1}).encode()
_POST = b"POST /webhook HTTP/1.1\r\nHost: a\r\n"
GOOD = _POST + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_UPGRADE = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"

SENT: tuple[bytes, ...] = (
    GOOD,
    GOOD * 20,
    _UPGRADE + b"Upgrade: h2c\r\nHTTP2-Settings: !!!!\r\n\r\n",
    _UPGRADE + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(range(256)) * 4,
    _UPGRADE + b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n\xff\x81\xfe\x00",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    _CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    _CHUNKED + b"zz\r\n",
    _CHUNKED + b"-1\r\n",
    _CHUNKED + b"f" * 17 + b"\r\n",
    _CHUNKED + b"1;" + b"x" * 20_000,
    _CHUNKED + b"1\r\nx\r\n" * 3000,
    _CHUNKED + b"8000\r\n" + b"x" * 0x8000 + b"\r\n8000\r\n" + b"x" * 0x8000,
    _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GOOD,
    _POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    _POST + b"Content-Length: +5\r\n\r\nhello",
    _POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    _POST + b"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n",
    _POST + b"Content-Length: 1000\r\n\r\nshort",
    _POST + b"X-Forwarded-For: 1.2.3.4, \xff\r\nX-Signature: a\r\nX-Signature: b\r\n"
    b"Content-Length: 0\r\n\r\n",
    _POST + b"X: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    _POST + b"X\x00: a\r\n\r\n",
    _POST + b"a: b\r\n" * 4000 + b"\r\n",
    _POST + b"X: " + b"x" * 40_000,
    b"POST /" + b"%2e" * 9000 + b" HTTP/1.1\r\n\r\n",
    b"POST http://127.0.0.1/webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST //webhook/../webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"TRACE /webhook HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"GET /healthz\r\n",
    b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
    b"\r\n" * 5000,
    b"\x00" * 5000,
    b"",
)  # fmt: skip


def script(random: Random) -> Script:
    """One connection: known tricks, often mutated, cut into pieces; a few of them slow."""
    data = random.choice(SENT)
    if random.random() < 0.5:
        data = mutated(random, data)
    if random.random() < 0.2:
        data += random.choice(SENT)
    slow = random.random()
    parts = _cut(random, data) if slow < 0.3 else (data,)
    pause_s = random.choice((0.2, 0.5)) if slow < 0.01 else 0.0
    return Script(parts, pause_s, random.choice(tuple(Leave)))


def _cut(random: Random, data: bytes) -> tuple[bytes, ...]:
    marks = sorted(random.randint(0, len(data)) for _ in range(random.randint(1, 6)))
    return tuple(data[start:end] for start, end in zip([0, *marks], [*marks, len(data)], strict=True))
