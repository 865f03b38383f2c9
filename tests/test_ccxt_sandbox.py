"""`testnet = true`, over every exchange of the installed ccxt: the testnet or a refusal, never real money."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest

from fks.domain.errors import Fatal
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues.ccxt_sandbox import NoSandbox, enter_sandbox
from fks.venues.ccxt_session import make_exchange
from fks.venues.http import TransportError
from fks.venues.trio_ccxt import exchange_ids, trio_exchange

MARK = "CREDENTIAL"
VERBS = ("get", "post", "put", "delete", "patch", "head")
# How an exchange whose testnet keeps to the live addresses marks a request as one of the testnet.
DEMO_HEADERS = ("x-simulated-trading", "paptrading")
DEMO_PATH = "/sim/"
# Price data, which both environments share; the key is sent along with it, and nothing can be changed.
SHARED_DATA = "data.alpaca.markets"


@dataclass(frozen=True)
class Sent:
    method: str
    url: str
    headers: dict[str, str]
    body: str

    @property
    def host(self) -> str:
        return str(urlsplit(self.url).hostname)

    @property
    def harmless(self) -> bool:
        """Public, marked as a test, or a look at prices."""
        texts = (self.url, self.body, *self.headers.values())
        signed = "authorization" in self.headers or any(MARK in text for text in texts)
        marked = any(self.headers.get(name) == "1" for name in DEMO_HEADERS) or DEMO_PATH in self.url
        return marked or (self.method == "GET" and (not signed or self.host == SHARED_DATA))


def fresh(exchange_id: str) -> Any:
    kind = trio_exchange(exchange_id)
    needed = kind().requiredCredentials
    credentials = dict.fromkeys(("apiKey", "secret", "password", "uid"), f"{MARK}{'0' * 30}")
    credentials |= {name: "0x" + "1" * 40 for name in needed if name not in credentials}
    return kind(credentials)


@cache
def sandboxed(exchange_id: str, market: str = "swap") -> Any:
    """None where there is no sandbox."""
    exchange = fresh(exchange_id)
    try:
        enter_sandbox(exchange, market)
    except NoSandbox:
        return None
    return exchange


@cache
def with_sandbox() -> list[str]:
    return [one for one in exchange_ids() if either(one)]


def either(exchange_id: str) -> Any:
    return sandboxed(exchange_id) or sandboxed(exchange_id, "spot")


def endpoints(api: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[list[str], str, str]]:
    for name, inner in api.items():
        if name.lower() in VERBS:
            for endpoint in inner:
                yield list(path), name.upper(), endpoint
        elif isinstance(inner, dict):
            yield from endpoints(inner, (*path, name))


def declared(exchange: Any) -> Iterator[Sent]:
    """Every request that ccxt knows how to make there, signed; those that it refuses to sign are not sent."""
    for section, method, endpoint in endpoints(exchange.api):
        try:
            signed = exchange.sign(endpoint, section, method, {})
            headers = exchange.prepare_request_headers(signed["headers"])
        except Exception:  # noqa: BLE001 - ccxt raises whatever it stumbles over
            continue
        lower = {name.lower(): str(value) for name, value in headers.items()}
        yield Sent(method, signed["url"], lower, str(signed["body"] or ""))


@cache
def live_hosts(exchange_id: str) -> frozenset[str]:
    return frozenset(one.host for one in declared(fresh(exchange_id)))


def test_every_declared_request_of_a_testnet_stays_away_from_real_money() -> None:
    checked = 0
    for exchange_id in with_sandbox():
        live = live_hosts(exchange_id)
        for sent in declared(either(exchange_id)):
            checked += 1
            assert sent.host not in live or sent.harmless, f"{exchange_id}: {sent.method} {sent.url}"
    assert checked > 5_000


@dataclass
class Recorder:
    """Stands where the HTTP client does: remembers each request and lets none out."""

    sent: list[Sent] = field(default_factory=list)

    async def request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, _timeout: float
    ) -> None:
        lower = {name.lower(): value for name, value in headers.items()}
        self.sent.append(Sent(method, url, lower, (body or b"").decode()))
        raise TransportError("connect", "nothing leaves this test", maybe_sent=False)


async def test_first_calls_of_a_testnet_account_stay_away_from_real_money() -> None:
    """Also what a method's own code addresses, past the declared endpoints."""
    asked = 0
    for exchange_id in with_sandbox():
        exchange, recorder = fresh(exchange_id), Recorder()
        enter_sandbox(exchange, "swap" if sandboxed(exchange_id) else "spot")
        exchange.http, exchange.closed_by_user = recorder, False
        for method in ("fetch_time", "fetch_markets", "fetch_balance", "fetch_open_orders"):
            try:
                await getattr(exchange, method)()
            except Exception:  # noqa: BLE001 - nothing answers; what counts is what was addressed
                continue
        for sent in recorder.sent:
            asked += 1
            assert sent.host not in live_hosts(exchange_id) or sent.harmless, f"{exchange_id}: {sent.url}"
    assert asked > len(with_sandbox())


def test_no_testnet_is_another_company_s() -> None:
    """Two exchanges at one test address, and neither one's class nor its live addresses the other's."""
    users: dict[str, set[str]] = defaultdict(set)
    for exchange_id in with_sandbox():
        for sent in declared(either(exchange_id)):
            users[sent.host].add(exchange_id)
    for host, sharing in users.items():
        for one in sharing:
            for other in sharing - {one}:
                family = {base.__name__ for base in trio_exchange(one).__mro__}
                family &= {base.__name__ for base in trio_exchange(other).__mro__} & set(exchange_ids())
                assert family or live_hosts(one) & live_hosts(other), f"{one} and {other}: {host}"


def account(exchange_id: str, market: Any = "spot") -> AccountSettings:
    keys = Secret("k"), Secret("s"), Secret("p")
    return AccountSettings(
        type=exchange_id, api_key=keys[0], api_secret=keys[1], password=keys[2], market=market, testnet=True
    )


@pytest.mark.parametrize("exchange_id", ["kraken", "coinbase", "kucoin", "mexc", "htx", "blockchaincom"])
def test_exchange_without_a_testnet_is_fatal_and_named(exchange_id: str) -> None:
    with pytest.raises(Fatal) as caught:
        make_exchange("alice", account(exchange_id), 1.0)
    assert "[exchanges.alice] testnet" in str(caught.value)
    assert exchange_id in str(caught.value)


@pytest.mark.parametrize("exchange_id", ["binance", "bybit", "okx", "gate", "bitget", "deribit"])
def test_exchange_with_a_testnet_starts(exchange_id: str) -> None:
    assert make_exchange("alice", account(exchange_id), 1.0).id == exchange_id


def test_testnet_of_another_kind_of_market_is_refused() -> None:
    assert make_exchange("alice", account("bingx", "swap"), 1.0)
    with pytest.raises(Fatal, match="no spot markets"):
        make_exchange("alice", account("bingx", "spot"), 1.0)


def test_every_exchange_has_a_testnet_or_refuses() -> None:
    """Whatever ccxt does without an address, it becomes NoSandbox: `sandboxed` lets nothing else through."""
    without = set(exchange_ids()) - set(with_sandbox())
    assert {"kraken", "coinbase", "kucoin", "mexc", "htx"} <= without
    assert all(sandboxed(one, market) is None for one in without for market in ("spot", "swap", "future"))
