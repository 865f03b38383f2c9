"""What orders on derivatives, stops, market buys and credentials become on the wire."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from fks.domain.errors import Fatal, Rejected, Transient
from fks.domain.messages import Order
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues import ccxt_session
from fks.venues.ccxt_session import make_exchange
from fks.venues.trio_ccxt import exchange_ids, trio_exchange
from venue_desk import LIMIT, NAME, STOP_LOSS, make_order
from venue_recorded import CREDENTIALS, placed, recorded

pytestmark = pytest.mark.real_time

TRAILING = {"type": OrderType.TRAILING_STOP, "trail_percent": Decimal("1.5"), "side": Side.SELL}


async def sent(where: str, kind: str, order: Order, answers: dict[str, object] | None = None) -> list[str]:
    """What changes something on the exchange."""
    async with recorded(where, kind, answers) as (venue, exchange):
        await placed(venue, order)
        return exchange.changes()


HEDGED: dict[str, object] = {
    "/positionSide/dual": {"dualSidePosition": True},
    "/api/v5/account/config": {"code": "0", "data": [{"uid": "1", "posMode": "long_short_mode"}]},
}
SHAPES = [
    ("binance", {}, None, ["/fapi/v1/order", "type=MARKET", "quantity=1", f"newClientOrderId={NAME}"]),
    ("binance", {"reduce_only": True, "side": Side.SELL}, None, ["side=SELL", "reduceOnly=true"]),
    ("binance", STOP_LOSS, None, ["/fapi/v1/algoOrder", "type=STOP_MARKET", "triggerPrice=48000",
                                  f"clientAlgoId={NAME}", "reduceOnly=true"]),
    ("binance", {"type": OrderType.STOP_LIMIT, "stop_price": Decimal(51_000), "price": Decimal(51_100)}, None,
     ["/fapi/v1/algoOrder", "type=STOP&", "triggerPrice=51000", "price=51100"]),
    ("binance", {**TRAILING, "reduce_only": True}, None,
     ["/fapi/v1/algoOrder", "type=TRAILING_STOP_MARKET", "callbackRate=1.5", f"clientAlgoId={NAME}"]),
    ("binance", {**LIMIT, "post_only": True}, None, ["timeInForce=GTX"]),
    ("binance", {}, HEDGED, ["positionSide=LONG"]),
    ("binance", STOP_LOSS, HEDGED, ["positionSide=LONG", "side=SELL", "algoOrder"]),
    ("binance", {"leg": Leg.CLOSE, "reduce_only": True}, HEDGED, ["positionSide=SHORT", "side=BUY"]),
    ("okx", {}, HEDGED, ['"posSide":"long"']),
    ("okx", {**TRAILING, "reduce_only": True}, None,
     ["/api/v5/trade/order-algo", '"ordType":"move_order_stop"', '"callbackRatio":"0.015"',
      f'"algoClOrdId":"{NAME}"']),
    ("okx", STOP_LOSS, None, ["order-algo", '"slTriggerPx":"48000"', '"slOrdPx":"-1"',
                              f'"algoClOrdId":"{NAME}"']),
    ("okx", {"margin_mode": "isolated"}, None, ['"tdMode":"isolated"']),
    ("bybit", STOP_LOSS, None, ['"triggerDirection":2', '"reduceOnly":true', f'"orderLinkId":"{NAME}"']),
    ("kucoin", {"leverage": 7}, None, ['"leverage":7']),
]  # fmt: skip


@pytest.mark.parametrize(("where", "wanted", "answers", "wire"), SHAPES)
async def test_order_on_a_derivative(
    where: str, wanted: dict[str, Any], answers: dict[str, object] | None, wire: list[str]
) -> None:
    lines = await sent(where, "swap", make_order("swap", **wanted), answers)
    assert all(part in lines[-1] for part in wire), lines
    if answers is HEDGED:
        assert "reduceOnly" not in lines[-1]


@pytest.mark.parametrize(
    ("where", "wire"),
    [
        ("binance", ["/fapi/v1/marginType", "marginType=ISOLATED", "/fapi/v1/leverage", "leverage=7"]),
        ("bybit", ["/v5/account/set-margin-mode", "ISOLATED_MARGIN", "/v5/position/set-leverage",
                   '"buyLeverage":"7"']),
        ("okx", ["/api/v5/account/set-leverage", '"lever":7', '"mgnMode":"isolated"', '"tdMode":"isolated"']),
    ],
)  # fmt: skip
async def test_leverage_and_margin_mode_go_before_the_order(where: str, wire: list[str]) -> None:
    answers: dict[str, object] = {"set-leverage": {"retCode": 0, "code": "0", "data": []},
                                  "set-margin-mode": {"retCode": 0}}  # fmt: skip
    order = make_order("swap", leverage=7, margin_mode="isolated")
    lines = await sent(where, "swap", order, answers)
    text = "\n".join(lines)
    assert all(part in text for part in wire), lines
    assert NAME in lines[-1]
    assert not any(NAME in line for line in lines[:-1])


@pytest.mark.parametrize(
    ("posture", "side"),
    [
        ({"side": Side.BUY}, '"posSide":"long"'),
        ({"side": Side.SELL}, '"posSide":"short"'),
        ({"side": Side.SELL, "reduce_only": True}, '"posSide":"long"'),
    ],
)
async def test_isolated_leverage_of_a_hedge_is_set_for_the_side_that_is_traded(
    posture: dict[str, Any], side: str
) -> None:
    order = make_order("swap", leverage=7, margin_mode="isolated", **posture)
    taken: dict[str, object] = {"set-leverage": {"code": "0", "data": []}}
    leverage, _ = await sent("okx", "swap", order, HEDGED | taken)
    assert "set-leverage" in leverage
    assert side in leverage
    one_way, _ = await sent("okx", "swap", order, taken)
    assert '"posSide":"net"' in one_way
    crossed, _ = await sent("okx", "swap", structs.replace(order, margin_mode="cross"), HEDGED | taken)
    assert "posSide" not in crossed


async def test_exit_names_the_margin_mode_of_the_position_that_it_closes() -> None:
    position = {"instId": "BTC-USDT-SWAP", "instType": "SWAP", "mgnMode": "isolated", "pos": "1",
                "posSide": "net", "avgPx": "50000"}  # fmt: skip
    answers: dict[str, object] = {"/api/v5/account/positions": {"code": "0", "data": [position]}}
    lines = await sent("okx", "swap", make_order("swap", **STOP_LOSS), answers)
    assert '"tdMode":"isolated"' in lines[-1]


async def test_stop_with_a_book_of_its_own_is_looked_up_and_canceled_there() -> None:
    async with recorded("binance", "swap") as (venue, exchange):
        order = make_order("swap", **STOP_LOSS, exchange_order_id="3358")
        with suppress(Transient):
            await venue.find(order)
        await venue.cancel(order)
        lines = exchange.wire()
    by_id = [line for line in lines if "3358" in line]
    assert len(by_id) == 2
    assert by_id[0].startswith("GET /fapi/v1/algoOrder")
    assert by_id[1].startswith("DELETE /fapi/v1/algoOrder")
    assert any(line.startswith("GET /fapi/v1/openAlgoOrders") for line in lines)


ALGO = {"algoId": 3358, "clientAlgoId": NAME, "algoType": "CONDITIONAL", "orderType": "STOP_MARKET",
        "symbol": "BTC-USDT-SWAP", "side": "SELL", "positionSide": "BOTH", "quantity": "1",
        "triggerPrice": "48000"}  # fmt: skip
BECAME = {"orderId": 777, "clientOrderId": "whatever", "symbol": "BTC-USDT-SWAP", "side": "SELL",
          "positionSide": "BOTH", "origQty": "1", "type": "MARKET"}  # fmt: skip
STATES = [
    ("NEW", {}, State.OPEN, 0),
    ("CANCELED", {}, State.CANCELED, 0),
    ("EXPIRED", {}, State.EXPIRED, 0),
    ("REJECTED", {}, State.REJECTED, 0),
    ("FINISHED", {"status": "FILLED", "executedQty": "1", "avgPrice": "47990"}, State.FILLED, 1),
    ("FINISHED", {"status": "CANCELED", "executedQty": "0"}, State.CANCELED, 0),
    ("TRIGGERED", {"status": "NEW", "executedQty": "0"}, State.OPEN, 0),
]


@pytest.mark.parametrize(("status", "after", "state", "filled"), STATES)
async def test_triggered_stop_ends_as_the_order_that_it_became(
    status: str, after: dict[str, str], state: State, filled: int
) -> None:
    answers: dict[str, object] = {
        "/algoOrder": {**ALGO, "algoStatus": status, **({"actualOrderId": "777"} if after else {})},
        "/fapi/v1/order": {**BECAME, **after},
    }
    async with recorded("binance", "swap", answers) as (venue, _):
        found = await venue.find(make_order("swap", **STOP_LOSS, exchange_order_id="3358"))
    assert found is not None
    assert (found.state, found.filled) == (state, filled * Decimal("0.01"))
    assert found.exchange_order_id == "3358"


async def test_triggered_stop_without_a_trace_of_what_it_became_is_asked_for_again() -> None:
    answers: dict[str, object] = {"/algoOrder": {**ALGO, "algoStatus": "TRIGGERED", "actualOrderId": ""},
                                  "/openOrders": [], "/allOrders": [], "/userTrades": []}  # fmt: skip
    async with recorded("binance", "swap", answers) as (venue, _):
        with pytest.raises(Transient, match="has triggered"):
            await venue.find(make_order("swap", **STOP_LOSS, exchange_order_id="3358"))


async def test_answer_about_another_order_is_none() -> None:
    answers: dict[str, object] = {
        "/orders/status": {"orders": [{"order": {"orderId": "other", "symbol": "BTC-USDT-SWAP"}}]},
        "/openorders": {"openOrders": []}, "/fills": {"fills": []},
    }  # fmt: skip
    async with recorded("krakenfutures", "swap", answers) as (venue, _):
        assert await venue.find(make_order("swap", **LIMIT, exchange_order_id="ours")) is None


POSITIONS = [
    ("one side", [("long", 3, 50_000)], "0.03", 50_000),
    ("short", [("short", 3, 50_000)], "-0.03", 50_000),
    ("both", [("long", 5, 50_000), ("short", 2, 51_000)], "0.03", 50_000),
    ("signed without a side", [(None, -3, 50_000)], "-0.03", 50_000),
    ("without a price", [("long", 3, None)], "0.03", 0),
]


@pytest.mark.parametrize(
    ("rows", "amount", "average"), [one[1:] for one in POSITIONS], ids=[one[0] for one in POSITIONS]
)
async def test_positions_are_netted_signed_and_in_base_units(
    rows: list[tuple[str | None, float, float | None]], amount: str, average: int
) -> None:
    async with recorded("okx", "swap") as (venue, _):

        async def told(*_: object) -> list[dict[str, Any]]:
            keys = ("side", "contracts", "entryPrice")
            return [{"symbol": "BTC/USDT:USDT", **dict(zip(keys, row, strict=True))} for row in rows]

        venue._session.exchange.fetch_positions = told
        [position] = await venue.positions()
    assert (position.amount, position.average) == (Decimal(amount), Decimal(average))


async def test_position_without_a_size_is_no_answer() -> None:
    async with recorded("okx", "swap") as (venue, _):

        async def told(*_: object) -> list[dict[str, Any]]:
            return [{"symbol": "BTC/USDT:USDT", "contracts": None, "notional": 500.0}]

        venue._session.exchange.fetch_positions = told
        with pytest.raises(Transient, match="without its size"):
            await venue.positions()


@pytest.mark.parametrize(
    ("where", "wire"),
    [
        ("gate", ['"type":"limit"', '"time_in_force":"ioc"', '"price":"50500"', '"amount":"0.01"']),
        ("bitget", ['"orderType":"limit"', '"timeInForce":"ioc"', '"price":"50500"', '"qty":"0.01"']),
        ("coinbase", ["sor_limit_ioc", '"limit_price":"50500"', '"base_size":"0.01"']),
        ("htx", ['"type":"buy-ioc"', '"price":"50500"', '"amount":"0.01"']),
        ("xt", ['"type":"LIMIT"', '"timeInForce":"IOC"', '"quantity":"0.01"']),
        ("okx", ['"ordType":"market"', '"tgtCcy":"base_ccy"', '"sz":"0.01"']),
        ("bybit", ['"orderType":"Market"', '"marketUnit":"baseCoin"', '"qty":"0.01"']),
        ("binance", ["type=MARKET", "quantity=0.01"]),
        ("kraken", ["ordertype=market", "volume=0.01"]),
        ("kucoin", ['"type":"market"', '"size":"0.01"']),
        ("cryptocom", ['"type":"MARKET"', '"quantity":"0.01"']),
    ],
)
async def test_market_buy_is_always_of_a_base_amount(where: str, wire: list[str]) -> None:
    [line] = await sent(where, "spot", make_order("spot"))
    assert all(part in line for part in wire), line


async def test_market_buy_for_quote_without_a_last_price_is_refused() -> None:
    async with recorded("gate", "spot") as (venue, exchange):
        with pytest.raises(Rejected, match="last price"):
            await placed(venue, make_order("spot", reference_price=None))
        assert not exchange.changes()


async def test_hyperliquid_approves_nothing_by_itself() -> None:
    async with recorded("hyperliquid", "swap") as (venue, exchange):
        await venue._get_ready()
        await placed(venue, make_order("swap", **LIMIT))
        text = "\n".join(exchange.wire())
    assert text.count("POST /exchange") == 1
    assert "setReferrer" not in text
    assert "approveBuilderFee" not in text
    assert '"builder"' not in text


async def test_every_credential_reaches_ccxt() -> None:
    async with recorded("hyperliquid", "swap") as (venue, _):
        exchange = venue._session.exchange
        assert {getattr(exchange, name) for name in exchange.requiredCredentials} == set(CREDENTIALS.values())


def test_every_credential_of_every_exchange_can_be_configured_and_is_never_told() -> None:
    ours = {field.name for field in structs.fields(AccountSettings) if isinstance(field.default, Secret)}
    assert CREDENTIALS.keys() | {"proxy"} == ours
    for one in exchange_ids():
        exchange = trio_exchange(one)()
        assert exchange.requiredCredentials.keys() <= ccxt_session._CREDENTIALS.keys(), one
        assert {ccxt_session._CREDENTIALS[name] for name in exchange.requiredCredentials} <= ours, one
        for name in exchange.requiredCredentials:
            setattr(exchange, name, "canary")
            assert "canary" not in exchange._redacted("bad request: canary"), (one, name)
            setattr(exchange, name, "")


def test_missing_credential_is_named_as_in_the_configuration() -> None:
    settings = AccountSettings(type="hyperliquid", private_key=Secret("0x1"))
    with pytest.raises(Fatal, match=r"\[exchanges.mine\] wallet_address"):
        make_exchange("mine", settings, 1.0)
