"""Bodies of alerts, good and spoilt: each dialect's examples, mutated. One seed is one sequence."""

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

from fks.domain.auth import sign
from fks.domain.secret import Secret

SIGNED, SECRET_INSIDE = 0.15, 0.15  # shares; the rest comes from nobody known
_MOST = 18_000  # bytes: some are over what the door takes

_ODD = (
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"}", b"[", b'"', b"\\", b"\\ud800", b"\\u0000",
    b"null", b"true", b"NaN", b"-Infinity", b"1e400", b"-0", b"1_000", b"0x10", b"1,234.5", b"{{close}}",
    b"\r\n", b";", b",", b"=", b"(", "\u0661\u0662".encode(), "\U0001f4a9".encode(), b"9" * 400, b"[" * 200,
    b"A" * 5000,
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, 10**18, 10**30, "", " ", "NaN", "1e-400", "-0.0", "0.00000001",
    "{{close}}",
    "BTCUSDT", "BINANCE:BTCUSDT.P", "\x00", "\ud800", "x" * 300, [], {}, [[]], {"percent": 2}, "buy", "close",
    [{"price": 1, "share": 2}], "flat", "2025-02-30T00:00:00Z",
)  # fmt: skip


def natives(random: Random) -> dict[str, Any]:
    """A good alert in our own words."""
    raw: dict[str, Any] = {
        "symbol": random.choice(("BTC/USDT", "BINANCE:BTCUSDT", "ETHUSDT.P")),
        "action": random.choice(("buy", "sell", "close", "cancel")),
        "confidence": 0.9,
        "timestamp": time.time(),
        "amount": random.choice((0.001, "0.01")),
        "id": f"fuzz-{random.getrandbits(40)}",
    }
    more: dict[str, Any] = {
        "exchange": "paper", "price": 50_000, "order_type": "limit", "stop_loss": 48_000, "comment": "x",
        "take_profit": {"percent": 2}, "strategy": "trend", "market_position": "long", "position_size": 1,
        "prev_market_position": "flat", "leverage": 2, "reduce_only": True, "stop_price": 49_000,
        "time_in_force": "IOC",
    }  # fmt: skip
    for name in random.sample(sorted(more), random.choice((0, 0, 1, 3))):
        raw[name] = more[name]
    return raw


# As their vendors' documentation writes them; `SECRET` becomes the daemon's.
OTHERS: tuple[str, ...] = (
    '{"ticker":"BTCUSDT","action":"buy","orderType":"limit","limitPrice":50000,"quantity":0.01,'
    '"takeProfit":{"percent":5},"stopLoss":{"type":"stop","percent":2},"time":"2025-11-07T10:30:00Z","secret":"SECRET"}',
    '{"ticker":"BTCUSDT","action":"exit","sentiment":"flat","quantity":50,"quantityType":"percent_of_position"}',
    '{"secret":"SECRET","max_lag":"300","timestamp":"2025-11-07T10:30:00Z","trigger_price":"50000",'
    '"tv_exchange":"BINANCE","tv_instrument":"BTCUSDT","action":"enter_long","bot_uuid":"8f3c",'
    '"strategy_info":{"market_position":"long","prev_market_position":"flat"},'
    '"order":{"amount":"0.01","currency_type":"base"}}',
    '{"id":"1","action":"buy","marketPosition":"long","prevMarketPosition":"flat","instrument":"BTCUSDT",'
    '"signalToken":"SECRET","timestamp":"2025-11-07T10:30:00Z","maxLag":"60","investmentType":"base","amount":"0.01"}',
    '{"action":"ENTER_LONG","instrument":"BTC-USDT","signalToken":"SECRET","orderType":"limit","orderPriceOffset":"0.1"}',
    "60123456789,buy,BTCUSDT,risk=1,sl=48000,tp=52000,secret=SECRET",
    "SECRET,closelong,BTCUSDT",
    "EXCHANGE=paper;SYMBOL=BTC/USDT;SIGNAL=BUY;ORDER_TYPE=LIMIT;PRICE=50000;VOLUME=2%;TOKEN=SECRET",
    '{"password":"SECRET","exchange":"BINANCE","base":"BTC","quote":"USDT","side":"buy","amount":"0.01",'
    '"order_name":"long","stop_price":"48000","profit_price":"52000"}',
    "Keys(BTCUSDT) { market(side=buy, amount=0.01); } secret=SECRET",
)


class Bodies:
    """An endless sequence of requests to the webhook."""

    def __init__(
        self, seed: str, secret: Secret, signed: float = SIGNED, inside: float = SECRET_INSIDE
    ) -> None:
        self._random = Random(seed)
        self._secret = secret
        self._signed = signed
        self._known = signed + inside

    def next(self) -> tuple[bytes, list[tuple[str, str]]]:
        """The body and the headers that belong to it; some of it good, most of it spoilt."""
        random = self._random
        fate = random.random()
        key = self._secret.reveal() if fate < self._known else "nobody-knows-this"
        body = self._body(random, key if fate >= self._signed else "")[:_MOST]
        headers = [("Content-Type", random.choice(("application/json", "text/plain; charset=utf-8", "")))]
        if fate < self._signed:
            headers.append(("X-Signature", sign(self._secret, body)))
        elif random.random() < 0.1:
            headers.append(("X-Signature", random.choice(("", "sha256=", "zz", "\xff" * 64, "0" * 64))))
        elif random.random() < 0.1:
            headers += _standard(random)
        return body, headers

    def _body(self, random: Random, key: str) -> bytes:
        if random.random() < 0.6:
            raw = natives(random)
            if key:
                raw["secret"] = key
            for _ in range(random.choice((0, 1, 1, 2))):
                _spoil(random, raw)
            body = json.dumps(raw).encode()
        else:
            body = random.choice(OTHERS).replace("SECRET", key).encode()
        return body if random.random() < 0.3 else mutated(random, body)


def _standard(random: Random) -> list[tuple[str, str]]:
    stamp = random.choice((str(int(time.time())), "0", "-1", "9" * 30, "x"))
    signature = random.choice(("v1,", "v1,AAAA", "v2,x", "v1,!!! v1,====", "v1," + "A" * 3000))
    return [("webhook-id", "m1"), ("webhook-timestamp", stamp), ("webhook-signature", signature)]


def _spoil(random: Random, raw: dict[str, Any]) -> None:
    name = random.choice(sorted(raw))
    match random.randrange(3):
        case 0:
            raw[name] = random.choice(_VALUES)
        case 1:
            raw.pop(name)
        case 2:
            raw[random.choice((name.upper(), name + " ", "\u200b" + name))] = raw[name]


def mutated(random: Random, data: bytes) -> bytes:
    """One to four random changes."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(_CHANGES)(random, data)
    return data


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def _insert(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(_ODD) + data[at:]


def _cut(random: Random, data: bytes) -> bytes:
    start, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:start] + data[end:]


def _double(random: Random, data: bytes) -> bytes:
    start, end = sorted((random.randint(0, len(data)), random.randint(0, len(data))))
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 30)) + data[end:]


def _splice(random: Random, data: bytes) -> bytes:
    other = random.choice(OTHERS).encode()
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _noise(random: Random, data: bytes) -> bytes:
    return random.randbytes(random.choice((1, 16, 256))) if random.random() < 0.1 else _flip(random, data)


_CHANGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    _flip,
    _flip,
    _insert,
    _cut,
    _double,
    _splice,
    _noise,
)
