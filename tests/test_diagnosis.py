"""What measured facts, an exchange's word on a key and configured addresses mean."""

from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest

from fks.domain.diagnosis import (
    KeyRights,
    Verdict,
    judge_balance,
    judge_clock,
    judge_minimum,
    judge_position_mode,
    judge_rights,
)
from fks.domain.messages import Balance
from fks.domain.reachability import is_local, judge_desk, judge_door, judge_proxies
from fks.domain.settings import RiskSettings, ServerSettings, Settings, SizingSettings
from fks.venues.ccxt_rights import key_rights
from fks.venues.ccxt_session import Session
from fks.venues.trio_ccxt import trio_exchange
from makers import market

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


# --- what the facts mean


@pytest.mark.parametrize(
    ("ahead", "uncertainty", "window", "verdict"),
    [
        (0.4, 0.0, 5.0, OK),
        (-0.4, 0.0, 5.0, OK),
        (0.6, 0.0, 5.0, WARN),
        (-0.6, 0.0, 5.0, WARN),
        (0.6, 0.2, 5.0, OK),  # not proven
        (2.4, 0.0, 5.0, WARN),
        (2.6, 0.0, 5.0, FAIL),
        (-2.6, 0.0, 5.0, FAIL),
        (2.6, 0.2, 5.0, WARN),
        (60.0, 0.0, None, WARN),  # no fence to miss
    ],
)
def test_clock(ahead: float, uncertainty: float, window: float | None, verdict: Verdict) -> None:
    judged = judge_clock(ahead, uncertainty, window)
    assert judged.verdict is verdict
    assert ("ahead of" in judged.detail) == (ahead > 0)


@pytest.mark.parametrize(
    ("rights", "verdicts"),
    [
        (KeyRights(trade=True, withdraw=False, address_bound=True), [OK, OK]),
        (KeyRights(trade=True, withdraw=True, address_bound=True), [OK, WARN]),
        (KeyRights(trade=False, withdraw=False, address_bound=True), [FAIL, OK]),
        (KeyRights(trade=True, withdraw=False, address_bound=False), [OK, OK, WARN]),
        (KeyRights(), [WARN, WARN]),
    ],
)
def test_rights(rights: KeyRights, verdicts: list[Verdict]) -> None:
    judged = dict(judge_rights(rights))
    assert [one.verdict for one in judged.values()] == verdicts
    assert all(bool(one.remedy) == (one.verdict is not OK) for one in judged.values())


def test_unknown_rights_are_called_unknown() -> None:
    assert all("cannot be told" in one.detail for _, one in judge_rights(KeyRights()))


@pytest.mark.parametrize(("hedged", "verdict"), [(False, OK), (True, OK), (None, WARN)])
def test_position_mode(hedged: bool | None, verdict: Verdict) -> None:
    assert judge_position_mode(hedged).verdict is verdict


def test_balance_names_the_first_currencies() -> None:
    free = {name: Decimal(1) for name in "ABCDEFG"} | {"ZERO": Decimal(0)}
    judged = judge_balance(Balance(free=free, total=free))
    assert judged.verdict is OK
    assert judged.detail.endswith("1 A, 1 B, 1 C, 1 D, 1 E and 2 more")
    assert judge_balance(Balance(free={"A": Decimal(0)}, total={"A": Decimal(1)})).verdict is WARN


FIXED = SizingSettings(method="fixed_amount", amount=Decimal("0.0002"))


@pytest.mark.parametrize(
    ("size", "limits", "verdict"),
    [
        (FIXED, RiskSettings(), OK),  # 10 USDT
        (msgspec.structs.replace(FIXED, amount=Decimal("0.00009")), RiskSettings(), WARN),
        (SizingSettings(method="fixed_notional", notional=Decimal("4.99")), RiskSettings(), WARN),
        (SizingSettings(pct=Decimal("0.05")), RiskSettings(), OK),  # of 1000
        (SizingSettings(pct=Decimal("0.001")), RiskSettings(), WARN),
        (SizingSettings(method="risk_based"), RiskSettings(), OK),  # depends on the alert
        (FIXED, RiskSettings(max_order_notional=Decimal("4.99")), FAIL),
        (FIXED, RiskSettings(max_order_notional=Decimal(5)), OK),
    ],
)
def test_minimum(size: SizingSettings, limits: RiskSettings, verdict: Verdict) -> None:
    cash = {"USDT": Decimal(1000)}
    of = market(min_notional=Decimal(5))
    judged = judge_minimum(of, Decimal(50_000), Balance(free=cash, total=cash), size, limits)
    assert judged.verdict is verdict
    assert judged.detail.startswith("at least 0.0001 BTC, 5 USDT")


def test_market_that_is_closed_is_a_warning() -> None:
    judged = judge_minimum(market(active=False), Decimal(1), None, SizingSettings(), RiskSettings())
    assert judged.verdict is WARN


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:8080", True),
        ("127.9.9.9:80", True),
        ("[::1]:8080", True),
        ("localhost:80", True),
        ("unix:/run/fks/door", True),
        ("0.0.0.0:8080", False),
        ("[::]:8080", False),
        ("192.168.1.5:8080", False),
        ("example.org:80", False),
    ],
)
def test_address_that_others_can_reach_is_a_warning(address: str, local: bool) -> None:
    assert is_local(address) == local
    assert judge_door(address).verdict is judge_desk(address).verdict is (OK if local else WARN)


@pytest.mark.parametrize(
    ("listen", "trusted", "allow", "verdict"),
    [
        ("127.0.0.1:8080", (), ("tradingview",), WARN),
        ("127.0.0.1:8080", (), ("127.0.0.1/32",), OK),
        ("127.0.0.1:8080", ("127.0.0.1/32",), ("tradingview",), OK),
        ("unix:/run/door", (), ("tradingview",), WARN),
        ("0.0.0.0:80", (), ("tradingview",), OK),
        ("127.0.0.1:8080", ("0.0.0.0/0",), ("tradingview",), FAIL),
    ],
)
def test_proxies(listen: str, trusted: tuple[str, ...], allow: tuple[str, ...], verdict: Verdict) -> None:
    server = ServerSettings(listen=(listen,), trusted_proxies=trusted)
    judged = judge_proxies(server, msgspec.structs.replace(Settings().webhook, allow=allow))
    assert judged.verdict is verdict


# --- what an exchange says of a key


class Asked:
    """As much of a `Session` as a question needs; the answer is given."""

    def __init__(self, exchange_id: str, answer: Any) -> None:
        self.exchange = trio_exchange(exchange_id)()
        self.answer = answer
        self.methods: list[str] = []

    async def ask(self, method: str) -> Any:
        assert callable(getattr(self.exchange, method))  # ccxt has that very question
        self.methods.append(method)
        return self.answer


BYBIT = {"readOnly": 0, "permissions": {"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]}, "ips": ["*"]}
BINANCE = {"ipRestrict": True, "enableWithdrawals": True, "enableSpotAndMarginTrading": True,
           "enableFutures": False}  # fmt: skip
OKX = {"perm": "read_only,trade", "ip": "1.2.3.4"}


@pytest.mark.parametrize(
    ("exchange_id", "kind", "answer", "rights"),
    [
        ("binance", "spot", BINANCE, (True, True, True)),
        ("binance", "swap", BINANCE, (False, True, True)),
        ("binanceusdm", "swap", BINANCE | {"enableFutures": True}, (True, True, True)),
        ("binance", "spot", {}, (None, None, None)),
        ("bybit", "spot", {"result": BYBIT}, (True, True, False)),
        ("bybit", "swap", {"result": BYBIT}, (False, True, False)),
        ("bybit", "spot", {"result": BYBIT | {"readOnly": 1, "ips": ["1.2.3.4"]}}, (False, False, True)),
        ("bybit", "spot", {"result": {}}, (None, None, None)),
        ("okx", "swap", {"data": [OKX]}, (True, False, True)),
        ("okx", "spot", {"data": [OKX | {"perm": "read_only,withdraw", "ip": ""}]}, (False, True, False)),
        ("okx", "spot", {"data": []}, (None, None, None)),
    ],
)
async def test_rights_are_read_from_the_exchange_s_answer(
    exchange_id: str, kind: str, answer: Any, rights: tuple[bool | None, ...]
) -> None:
    found = await key_rights(cast(Session, Asked(exchange_id, answer)), kind)
    assert (found.trade, found.withdraw, found.address_bound) == rights


async def test_exchange_that_tells_no_rights_is_not_asked() -> None:
    asked = Asked("kraken", {})
    assert await key_rights(cast(Session, asked), "spot") == KeyRights()
    assert not asked.methods
