"""PineConnector, OctoBot and Alertatron: the messages of their documentations, and what is refused."""

from typing import Any

import pytest

from dialect_cases import means, refused, understood
from fks.domain.alerts import Target
from fks.domain.dialects import recognise
from fks.domain.errors import Refusal
from makers import dec

# --- PineConnector


def line(rest: str) -> str:
    return "60123456789," + rest


@pytest.mark.parametrize(
    ("rest", "meaning"),
    [
        ("buy,BTCUSD,vol_lots=0.1", {"action": "buy", "amount": dec("0.1")}),
        ("sell,BTCUSD,vol_lots=1, secret=HappyTrader501", {"action": "sell", "amount": dec(1)}),
        ("bullish , BTCUSD ,", {"action": "buy"}),
        ("short,BTCUSD", {"action": "sell"}),
        ("closelong,BTCUSD", {"action": "close", "position_side": "long"}),
        ("closeshort,BTCUSD", {"action": "close", "position_side": "short"}),
        ("cancellong,BTCUSD", {"action": "cancel", "position_side": "long"}),
        (
            'buylimit,BTCUSD,entry_price=50000,vol_lots=0.5,comment="strategy 1"',
            {
                "action": "buy", "order_type": "limit", "price": dec(50000), "amount": dec("0.5"),
                "comment": "strategy 1",
            },
        ),
        (
            "sellstop,BTCUSD,entry_price=50000",
            {"action": "sell", "order_type": "stop", "stop_price": dec(50000)},
        ),
        (
            "buy,BTCUSD,vol_pct_bal_loss=1,sl_price=49000,tp_pct=4",
            {
                "action": "buy", "sizing": {"method": "risk_based", "risk_pct": dec("0.01")},
                "stop_loss": Target(price=dec(49000)), "take_profit": (Target(percent=dec(4)),),
            },
        ),
        (
            "buy,BTCUSD,vol_dollar=50,sl_pct=2",
            {"action": "buy", "notional": dec(2500), "stop_loss": Target(percent=dec(2))},
        ),
        (
            "closelongopenshort,BTCUSD,vol_lots=1",
            {"action": "sell", "amount": dec(1), "market_position": "short", "prev_market_position": "long"},
        ),
    ],
)  # fmt: skip
def test_pineconnector_lines(rest: str, meaning: dict[str, Any]) -> None:
    if rest.endswith(" ,"):
        assert refused("pineconnector", line(rest))[0] == "dialect.unsupported"
        rest = rest.rstrip(" ,")
    means("pineconnector", line(rest), symbol="BTCUSD", **meaning)


@pytest.mark.parametrize(
    ("rest", "field"),
    [
        ("buy,AUDUSD,risk=0.1", "risk"),
        ("sell,GBPJPY,sl=50,risk=1", "risk"),
        ("buy,EURUSD,sl=50", "sl"),
        ("buy,EURUSD,tp=50", "tp"),
        ("buylimit,EURUSD,price=10", "price"),
        ("buy,EURUSD,sl_pips=20", "sl_pips"),
        ("sell,GBPJPY,vol_dollar=50,sl_pips=20", "sl_pips"),
        ("buy,EURUSD,vol_dollar=50", "vol_dollar"),
        ("buy,EURUSD,vol_lots=1,vol_dollar=50", "vol_lots"),
        ("buy,EURUSD,vol_lots=x", "vol_lots"),
        ("buy,EURUSD,vol_lots=1,vol_lots=2", "vol_lots"),
        ("buy,EURUSD,betrigger=10", "betrigger"),
        ("buy,EURUSD,what", ""),
        ("buy,EURUSD,entry_price=5", "entry_price"),
        ("closelong,EURUSD,vol_lots=1", "vol_lots"),
        ("closelongpct,EURUSD", "command"),
        ("newsltplong,NAS100,sl_pips=25,tp_pips=50", "command"),
        ("eaon,eaon", "command"),
        ("closelongshortopenlong,EURUSD", "command"),
    ],
)
def test_pineconnector_refusals(rest: str, field: str) -> None:
    code, found = refused("pineconnector", line(rest))
    assert (code, found) in (
        ("dialect.unsupported", field), ("alert.number", field), ("dialect.several", None),
    )  # fmt: skip


def test_pineconnector_one_line_is_one_alert() -> None:
    two = line("closelong,BTCUSD\n") + line("sell,BTCUSD")
    assert refused("pineconnector", two)[0] == "dialect.several"


# --- OctoBot


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("EXCHANGE=BINANCE\nSYMBOL=BTCUSDT\nSIGNAL=BUY", {"symbol": "BTCUSDT", "action": "buy"}),
        ("EXCHANGE=BINANCE_DL;SYMBOL=BTCUSDT;SIGNAL=SELL", {"symbol": "BTCUSDT", "action": "sell"}),
        (
            "EXCHANGE=binance\nSYMBOL=BTCUSDT\nVOLUME=0.01\nPRICE=30000\nTAKE_PROFIT_PRICE=35000\n"
            "SIGNAL=BUY\nORDER_TYPE=LIMIT",
            {
                "symbol": "BTCUSDT", "action": "buy", "amount": dec("0.01"), "order_type": "limit",
                "price": dec(30000), "take_profit": (Target(price=dec(35000)),),
            },
        ),
        ("EXCHANGE=binance\nSYMBOL=ETHBTC\nSIGNAL=CANCEL", {"symbol": "ETHBTC", "action": "cancel"}),
        (
            "EXCHANGE=binance;SYMBOL=X;SIGNAL=CANCEL;PARAM_SIDE=SELL",
            {"symbol": "X", "action": "cancel", "position_side": "short"},
        ),
        (
            "EXCHANGE=binance;SYMBOL=X;SIGNAL=SELL;ORDER_TYPE=STOP;STOP_PRICE=3;VOLUME=10;TAG=exit1;REDUCE_ONLY=true",
            {
                "symbol": "X", "action": "sell", "order_type": "stop", "stop_price": dec(3),
                "amount": dec(10), "comment": "exit1", "reduce_only": True,
            },
        ),
        (
            "EXCHANGE=binance;SYMBOL=X;SIGNAL=BUY;STOP_PRICE=-2%;TAKE_PROFIT_PRICE=e100d;VOLUME=2%;LEVERAGE=3",
            {
                "symbol": "X", "action": "buy", "percent": dec(2), "leverage": 3,
                "stop_loss": Target(percent=dec(2)), "take_profit": (Target(offset=dec(100)),),
            },
        ),
        (
            "EXCHANGE=binance;SYMBOL=X;SIGNAL=BUY;VOLUME=100q;TAKE_PROFIT_PRICE=1234;TAKE_PROFIT_PRICE_1=1456",
            {
                "symbol": "X", "action": "buy", "notional": dec(100),
                "take_profit": (
                    Target(price=dec(1234), share=dec("0.5")), Target(price=dec(1456), share=dec("0.5")),
                ),
            },
        ),
    ],
)  # fmt: skip
def test_octobot_messages(message: str, meaning: dict[str, Any]) -> None:
    means("octobot", message, exchange="binance", **meaning)


def test_octobot_ratios_split_the_whole() -> None:
    targets = "TAKE_PROFIT_PRICE=1234;TAKE_PROFIT_PRICE_1=1456;TAKE_PROFIT_PRICE_2=1600"
    ratios = "TAKE_PROFIT_VOLUME_RATIO_1=1;TAKE_PROFIT_VOLUME_RATIO_2=2;TAKE_PROFIT_VOLUME_RATIO_3=4"
    found = understood("octobot", f"SYMBOL=X;SIGNAL=BUY;{targets};{ratios}").take_profit
    shares = [one.share or 0 for one in found]
    assert [round(float(share), 3) for share in shares] == [0.143, 0.286, 0.571]
    assert sum(shares) == 1


@pytest.mark.parametrize(
    ("rest", "field"),
    [
        ("VOLUME=12a%", "VOLUME"),
        ("VOLUME=10s%", "VOLUME"),
        ("VOLUME=10t%", "VOLUME"),
        ("VOLUME=x", "VOLUME"),
        ("VOLUME=-1", "amount"),
        ("PRICE=30000", "PRICE"),
        ("ORDER_TYPE=LIMIT;PRICE=10%", "PRICE"),
        ("ORDER_TYPE=STOP;STOP_PRICE=-3d;TAG=exit1", "STOP_PRICE"),
        ("ORDER_TYPE=LIMIT;PRICE=5;STOP_PRICE=-2%", "STOP_PRICE"),
        ("STOP_PRICE=2%", "STOP_PRICE"),
        ("TAKE_PROFIT_PRICE=-2%", "TAKE_PROFIT_PRICE"),
        (
            "TAKE_PROFIT_PRICE=1;TAKE_PROFIT_PRICE_1=2;TAKE_PROFIT_VOLUME_RATIO_1=1",
            "TAKE_PROFIT_VOLUME_RATIO",
        ),
        ("TRAILING_PROFILE=filled_take_profit", "TRAILING_PROFILE"),
        ("REDUCE_ONLY=maybe", "REDUCE_ONLY"),
        ("nonsense", ""),
    ],
)  # fmt: skip
def test_octobot_refusals(rest: str, field: str) -> None:
    assert refused("octobot", f"SYMBOL=X;SIGNAL=BUY;{rest}")[1] == field


def test_octobot_several_orders_are_refused() -> None:
    assert refused("octobot", "SYMBOL=X\nSIGNAL=BUY\nSYMBOL=Y\nSIGNAL=SELL")[0] == "dialect.several"
    assert refused("octobot", "SYMBOL=X;SIGNAL=CANCEL;TAG=exit1") == ("dialect.unsupported", "TAG")


# --- Alertatron


def test_alertatron_documented_example() -> None:
    message = "MyKeys(XBTUSD) { market(side=buy, amount=100); }\n#bot"
    assert refused("alertatron", message) == ("dialect.unsupported", "market.amount")  # of contracts
    means(
        "alertatron", message.replace("XBTUSD", "BTCUSDT"), exchange="MyKeys", symbol="BTCUSDT", action="buy",
        amount=dec(100),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("commands", "meaning"),
    [
        ("market(side=sell, amount=50%); notify(msg=hi)", {"action": "sell", "percent": dec(50)}),
        ("market(position=0)", {"action": "close"}),
        ("cancel(which=all);", {"action": "cancel"}),
        ("cancelOrders(which=buy)", {"action": "cancel", "position_side": "long"}),
        (
            "limitOrder(side=buy, amount=1, offset=@50000, tag=in);",
            {"action": "buy", "order_type": "limit", "price": dec(50000), "amount": dec(1)},
        ),
        (
            """# enter, then protect
            market(side=buy, amount=50%);
            stopOrder(side=sell, amount=100%p, offset=2%);
            limit(side=sell, amount=100%p, offset=3%);""",
            {
                "action": "buy", "percent": dec(50), "stop_loss": Target(percent=dec(2)),
                "take_profit": (Target(percent=dec(3)),),
            },
        ),
        (
            "limit(side=buy,amount=1,offset=@5);stopOrder(side=sell,amount=1,offset=e2,reduceOnly=true);"
            "takeProfit(side=sell,amount=50%p,offset=@7);takeProfit(side=sell,amount=50%p,offset=e4)",
            {
                "action": "buy", "amount": dec(1), "order_type": "limit", "price": dec(5),
                "stop_loss": Target(offset=dec(2)),
                "take_profit": (
                    Target(price=dec(7), share=dec("0.5")), Target(offset=dec(4), share=dec("0.5")),
                ),
            },
        ),
    ],
)  # fmt: skip
def test_alertatron_scripts(commands: str, meaning: dict[str, Any]) -> None:
    means(
        "alertatron", f"bybit(BTCUSDT) {{ {commands} }} #bot", exchange="bybit", symbol="BTCUSDT", **meaning
    )


@pytest.mark.parametrize(
    "commands",
    [
        "",
        "notify(msg=hi)",
        "market(side=buy)",
        "market(side=buy, amount=100%%)",
        "market(side=buy, amount=100%a)",
        "market(position=100)",
        "cancelOrders()",
        "cancelOrders(tagged, allIn)",
        "cancel(which=session)",
        "limit(side=buy, amount=1, offset=10)",
        "market(side=buy, amount=1); market(side=sell, amount=1)",
        "market(side=buy, amount=1); wait(30m); cancelOrders(tagged, x)",
        "market(side=buy, amount=1); stopOrder(side=buy, amount=100%p, offset=1)",
        "market(side=buy, amount=1); stopOrder(side=sell, amount=50%p, offset=1)",
        "market(side=buy, amount=1); stopOrder(side=sell, amount=3, offset=1)",
        "limit(side=buy, amount=1, offset=@5); limit(side=sell, amount=100%p, offset=3%)",
        "market(position=0); market(side=buy, amount=1)",
        "scaledOrder(from=5, to=100, amount=1, side=buy)",
        "trailingStop(side=sell, amount=1, offset=5)",
        "market(side=buy, amount=1, leverage=5)",
        "market(side=buy, amount=1) and then some",
        "oneCancelsOther(); limit(side=sell, amount=1, offset=@5); oneCancelsOther()",
    ],
)
def test_alertatron_refusals(commands: str) -> None:
    code, _ = refused("alertatron", f"bybit(BTCUSDT) {{ {commands} }}")
    assert code in ("dialect.unsupported", "dialect.several", "alert.missing")


def test_alertatron_one_block_is_one_alert() -> None:
    block = "bybit(BTCUSDT) { market(position=0); }"
    assert refused("alertatron", block + "\n" + block)[0] == "dialect.several"


# --- none of them


@pytest.mark.parametrize("text", ["", "buy", "buy BTC now", "a,b,c", "A=1;B=2", "f(x) = y", "[1, 2]", "7"])
def test_other_text_is_no_alert(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        recognise(text.encode())
    assert caught.value.code == "alert.json"
