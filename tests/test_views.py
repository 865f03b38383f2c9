"""What users see: exact decimals as strings, UTC times, no secret."""

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fks.domain import views
from fks.domain.admin import bearer_matches, host_allowed, same_origin
from fks.domain.messages import AccountStatus, Balance, Event, Fill, Order, Position, Ticker
from fks.domain.orders import Leg, OrderType, Side, State
from fks.domain.secret import Secret

ORDER = Order(
    id="q1",
    client_order_id="q2",
    alert_id="a1",
    account="binance",
    leg=Leg.ENTRY,
    attempt=2,
    symbol="BTC/USDT",
    side=Side.BUY,
    type=OrderType.LIMIT,
    amount=Decimal("0.010"),
    price=Decimal("5E+4"),
    state=State.PARTIAL,
    exchange_order_id="77",
    filled=Decimal("1E-8"),
    average=Decimal("50000.10"),
    good_until=1762511700.0,
    created_at=1762511400.0,
    updated_at=1762511400.25,
)

amounts = st.decimals(min_value=Decimal("1e-18"), max_value=Decimal("1e18"), allow_nan=False)


def test_an_order_shows_every_agreed_key() -> None:
    assert views.order_view(ORDER) == {
        "id": "q1",
        "alert_id": "a1",
        "account": "binance",
        "exchange": "binance",
        "leg": "entry",
        "attempt": 2,
        "client_order_id": "q2",
        "exchange_order_id": "77",
        "symbol": "BTC/USDT",
        "side": "buy",
        "type": "limit",
        "amount": "0.01",
        "price": "50000",
        "stop_price": None,
        "state": "partial",
        "filled": "0.00000001",
        "average": "50000.1",
        "reason": None,
        "time_in_force": None,
        "reduce_only": False,
        "post_only": False,
        "created_at": "2025-11-07T10:30:00.000Z",
        "updated_at": "2025-11-07T10:30:00.250Z",
    }


@given(amounts)
def test_no_decimal_loses_a_digit(amount: Decimal) -> None:
    view = views.order_view(msgspec.structs.replace(ORDER, amount=amount, filled=amount))
    seen = msgspec.json.decode(msgspec.json.encode(view))
    assert Decimal(seen["amount"]) == Decimal(seen["filled"]) == amount
    assert "E" not in seen["amount"]


def test_fills_are_shown_only_where_asked_for() -> None:
    fill = Fill(order_id="q1", trade_id="t1", time=0.5, price=Decimal(50000), amount=Decimal("0.5"))
    assert "fills" not in views.order_view(ORDER)
    assert views.order_view(ORDER, [])["fills"] == []
    assert views.order_view(ORDER, [fill])["fills"] == [
        {
            "order_id": "q1",
            "trade_id": "t1",
            "time": "1970-01-01T00:00:00.500Z",
            "price": "50000",
            "amount": "0.5",
            "fee": "0",
            "fee_currency": None,
        }
    ]


def test_a_short_position_is_below_zero() -> None:
    position = Position(account="a", symbol="BTC/USDT:USDT", amount=Decimal("-0.50"), average=Decimal(100))
    assert views.position_view(position) == {
        "account": "a",
        "exchange": "a",
        "symbol": "BTC/USDT:USDT",
        "amount": "-0.5",
        "average": "100",
        "realized": "0",
        "last": None,
        "unrealized": None,
        "fees": "0",
        "strategies": [],
    }
    assert views.position_view(position, Decimal(90))["unrealized"] == "5"


def test_what_was_divided_on_the_way_is_told_without_its_noise() -> None:
    average = Decimal("49368.42105263157894736842105")
    lost = Position(account="a", symbol="X", amount=Decimal(1), average=average, realized=Decimal(-7) / 3 * 3)
    told = views.position_view(lost, Decimal(49000), [("s", lost)])
    for one in (told, told["strategies"][0]):
        assert (one["average"], one["realized"]) == ("49368.4210526316", "-7")


def test_a_currency_that_is_wholly_held_by_orders_has_zero_free() -> None:
    balance = Balance(free={"USDT": Decimal("10.50")}, total={"USDT": Decimal(11), "BTC": Decimal(1)})
    assert views.balance_view(balance) == {
        "BTC": {"free": "0", "total": "1"},
        "USDT": {"free": "10.5", "total": "11"},
    }


def test_an_account_names_its_breaker_and_says_when_it_never_read_a_balance() -> None:
    status = AccountStatus(
        account="a", type="paper", breaker=1, unknown=2, foreign=3, reconciled_at=1_767_225_600.0
    )
    view = views.account_view(status)
    assert (view["breaker"], view["unknown_orders"], view["balance_at"]) == ("half_open", 2, None)
    assert (view["foreign_orders"], view["reconciled_at"]) == (3, "2026-01-01T00:00:00.000Z")


def test_a_ticker_without_bid_and_time_says_so() -> None:
    view = views.ticker_view("paper", Ticker("BTC/USDT", Decimal("50000.0")))
    assert (view["exchange"], view["last"], view["bid"], view["time"]) == ("paper", "50000", None, None)


def test_an_alert_never_shows_a_secret() -> None:
    row = {"id": "a1", "key": "k", "source": "secret-1", "state": "done", "received_at": 0.0}
    view = views.alert_view({**row, "body": {"symbol": "X", "action": "buy", "secret": "canary"}})
    assert "canary" not in str(view)
    assert (view["symbol"], view["action"], view["received_at"]) == ("X", "buy", "1970-01-01T00:00:00.000Z")


def test_the_validated_symbol_wins_over_the_one_in_the_body() -> None:
    row = {"id": "a1", "key": "k", "source": "s", "state": "done", "received_at": 0.0}
    view = views.alert_view({**row, "symbol": "BTC/USDT", "action": "buy", "body": {"ticker": "BTCUSDT"}})
    assert (view["symbol"], view["action"]) == ("BTC/USDT", "buy")


def test_an_event_is_json_ready() -> None:
    event = Event(seq=7, time=1.0, kind="fill", order_id="q1", data={"amount": "1"})
    assert views.event_view(event)["time"] == "1970-01-01T00:00:01.000Z"
    assert msgspec.json.decode(msgspec.json.encode(views.event_view(event)))["data"] == {"amount": "1"}


def test_only_the_token_is_the_token() -> None:
    token = Secret("s3cret-tökén")
    wire = "s3cret-tökén".encode().decode("latin-1")  # how ASGI's bytes arrive
    assert bearer_matches(f"Bearer {wire}", token)
    assert bearer_matches(f"bearer  {wire} ", token)
    for wrong in ("", "Bearer", "Bearer ", f"Basic {wire}", wire, "Bearer s3cret", f"Bearer {wire}x"):
        assert not bearer_matches(wrong, token)


@given(st.text(max_size=40))
def test_no_header_raises_or_opens_the_desk(text: str) -> None:
    assert not bearer_matches(text, Secret("a-token-that-no-text-has-by-chance-0123456789"))
    assert not bearer_matches(f"Bearer {text}", Secret(""))
    host_allowed(text)
    same_origin(text, text)


def test_a_host_is_an_address_or_localhost() -> None:
    for good in (
        "127.0.0.1",
        "127.0.0.1:8081",
        "localhost",
        "LOCALHOST:1",
        "[::1]",
        "[::1]:8081",
        "10.0.0.7:80",
    ):
        assert host_allowed(good), good
    for bad in (
        "",
        "evil.example",
        "evil.example:8081",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil@127.0.0.1",
        "127.0.0.1/evil",
        "127.0.0.1:x",
        "[::1",
        "2130706433",
        "localhost\t",
        ":8081",
    ):
        assert not host_allowed(bad), bad


def test_an_origin_is_the_page_of_this_very_host() -> None:
    assert same_origin("http://127.0.0.1:8081", "127.0.0.1:8081")
    assert same_origin("https://LOCALHOST", "localhost")
    for other in ("null", "", "http://evil.example", "http://127.0.0.1:8080", "ftp://127.0.0.1:8081"):
        assert not same_origin(other, "127.0.0.1:8081"), other
