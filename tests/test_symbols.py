"""From a sender's word for a market to the market that is meant, or a refusal: never a guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.errors import Refusal
from fks.domain.messages import Market
from fks.domain.symbols import SymbolIndex
from makers import market

FUTURE = "BTC/USDT:USDT-261225"


def index(*markets: Market, **aliases: str) -> SymbolIndex:
    return SymbolIndex({one.symbol: one for one in markets}, aliases)


SPOT = index(market("BTC/USDT"), market("ETH/USDT"), market("PERP/USDT"), market("BTC/EUR", active=False))
SWAP = index(market("BTC/USDT:USDT"), market("ETH/USDT:USDT"), market("BTC/USD:BTC", id="BTCUSD_PERP"))
DATED = index(
    market("BTC/USDT:USDT"),
    market(FUTURE, id="BTCUSDT_261225", kind="future"),
    market("BTC/USDT", id="tBTCUST"),
)


def refusal(of: SymbolIndex, name: str) -> str:
    with pytest.raises(Refusal) as caught:
        of.resolve(name)
    assert (caught.value.code, caught.value.field) == ("alert.symbol", "symbol")
    return caught.value.detail


@pytest.mark.parametrize(
    "name",
    [
        "BTC/USDT",
        "BTCUSDT",
        "btcusdt",
        " BTCUSDT ",
        "BTC-USDT",
        "BTC_USDT",
        "BINANCE:BTCUSDT",
        "BINANCE:BTC/USDT",
        "BINANCE_DL:BTCUSDT",
        "BINANCE_DLY:BTCUSDT",
        "KRAKEN:XBTUSDT",
        "XBT/USDT",
    ],
)
def test_the_usual_names_of_a_spot_market(name: str) -> None:
    assert SPOT.resolve(name).symbol == "BTC/USDT"


@pytest.mark.parametrize(
    "name",
    [
        "BTC/USDT:USDT",
        "BTCUSDT",
        "BTCUSDT.P",
        "BINANCE:BTCUSDT.P",
        "BTCUSDTPERP",
        "BTCUSDT-PERP",
        "BTC/USDT.P",
        "BTC-USDT-SWAP",
        "OKX_DLY:BTCUSDT.P",
        "XBTUSDT.P",
    ],
)
def test_the_usual_names_of_a_perpetual(name: str) -> None:
    assert SWAP.resolve(name).symbol == "BTC/USDT:USDT"


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT.P",
        "BINANCE:BTCUSDT.P",
        "BTCUSDTPERP",
        "btcusdt.p",
        "BTC/USDT:USDT",
        "BTC-USDT-SWAP",
        "XBTUSDT.P",
    ],
)
def test_a_perpetual_never_becomes_a_spot_market(name: str) -> None:
    assert "no market" in refusal(SPOT, name)


def test_the_reason_says_that_a_perpetual_was_meant() -> None:
    assert "perpetual" in refusal(SPOT, "BTCUSDT.P")


def test_a_coin_called_perp_is_a_coin() -> None:
    assert SPOT.resolve("PERPUSDT").base == "PERP"


def test_a_coin_margined_contract_is_found_by_its_id() -> None:
    assert SWAP.resolve("BTCUSD_PERP").symbol == "BTC/USD:BTC"
    assert SWAP.resolve("BTCUSD.P").symbol == "BTC/USD:BTC"


def test_a_dated_future_is_only_meant_by_its_own_name() -> None:
    assert DATED.resolve(FUTURE).symbol == FUTURE
    assert DATED.resolve("BTCUSDT_261225").symbol == FUTURE
    assert DATED.resolve("BTCUSDT.P").symbol == "BTC/USDT:USDT"


def test_what_fits_several_markets_is_refused_with_their_names() -> None:
    several = index(market("BTC/USDT", id="1"), market("BTC/USDT:USDT", id="2"))
    assert "BTC/USDT, BTC/USDT:USDT" in refusal(several, "BTCUSDT")
    assert several.resolve("BTC/USDT").symbol == "BTC/USDT"
    assert several.resolve("BTCUSDT.P").symbol == "BTC/USDT:USDT"


@pytest.mark.parametrize(
    "name", ["", " ", "BTC", "USDT", "BTCUSD", "BTCUSDTX", "XBTC/USDT", "BINANCE:", ":", ".P", "PERP", "/"]
)
def test_an_unknown_name_is_refused(name: str) -> None:
    assert repr(name) in refusal(SPOT, name)


def test_a_market_that_is_called_xbt_wins_over_bitcoin() -> None:
    both = index(market("BTC/USDT"), market("XBT/USDT"))
    assert both.resolve("XBTUSDT").symbol == "XBT/USDT"


def test_an_alias_wins_over_the_exchanges_own_list() -> None:
    aliased = index(market("BTC/USDT"), market("BTC/USD"), BTCUSD="BTC/USDT")
    assert aliased.resolve("BTCUSD").symbol == "BTC/USDT"
    assert aliased.resolve("COINBASE:btcusd").symbol == "BTC/USDT"
    assert aliased.resolve("BTC/USD").symbol == "BTC/USD"


def test_an_alias_without_a_market_is_refused() -> None:
    assert "'DOGE/USDT'" in refusal(index(market("BTC/USDT"), DOGE="DOGE/USDT"), "DOGE")


def test_an_alias_does_not_hide_that_a_perpetual_was_meant() -> None:
    refusal(index(market("BTC/USDT"), BTCUSDT="BTC/USDT"), "BTCUSDT.P")


def test_a_market_that_does_not_trade_is_refused() -> None:
    assert "not trading" in refusal(SPOT, "BTCEUR")


@given(st.text(max_size=12) | st.text("BTCUSDTP.:/-_", max_size=14))
def test_no_name_raises_anything_but_a_refusal_or_finds_what_it_does_not_name(name: str) -> None:
    try:
        found = SPOT.resolve(name)
    except Refusal:
        return
    letters = "".join(one for one in name.upper().rpartition(":")[2] if one.isalnum())
    assert letters == found.base + found.quote
