"""The table of what each exchange can do here, and the README's copy of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fks.cli import main
from fks.cli.exchanges import BIG_TEN, MARKERS, between_markers, cells, columns, markdown
from fks.domain.orders import OrderType
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.venues import ccxt_session
from fks.venues.capabilities import VERIFIED_BY, Capability, MarketCapability, capability
from fks.venues.ccxt_venue import CcxtVenue
from fks.venues.trio_ccxt import exchange_ids

TESTS = Path(__file__).parent
README = TESTS.parent / "README.md"
PLAIN = MarketCapability(testnet=True, order_types=("limit", "market"), attached_stop=False)


def fks(*args: str) -> Result:
    return CliRunner().invoke(main, ["exchanges", *args], prog_name="fks")


# --- what is found out


def test_every_exchange_of_ccxt_is_told_or_says_why_not() -> None:
    for exchange_id in exchange_ids():
        found = capability(exchange_id)
        assert found.exchange == exchange_id
        assert found.name
        if found.problem is None:
            assert found.client_id
            known = {one.value for one in OrderType}
            for market in (found.spot, found.swap):
                assert market is None or {"limit", "market"} <= set(market.order_types) <= known
        else:
            assert (found.spot, found.swap) == (None, None)


@pytest.mark.parametrize("kind", ["spot", "swap"])
def test_the_table_says_what_the_venue_says(kind: str) -> None:
    keys = Secret("k"), Secret("s")
    settings = AccountSettings(type="bybit", api_key=keys[0], api_secret=keys[1], market=kind)  # type: ignore[arg-type]
    venue = CcxtVenue("bybit", settings, timeout=1, retry_attempts=0, retry_delay=0)
    found = capability("bybit")
    market = {"spot": found.spot, "swap": found.swap}[kind]
    assert market is not None
    assert set(market.order_types) == venue.features.order_types
    assert market.attached_stop == venue.features.attached_stop
    assert found.window_s == venue.features.window_s


@pytest.mark.parametrize(
    ("exchange_id", "spot", "swap"),
    [
        ("binance", True, True),
        ("bitget", True, True),
        ("kraken", False, None),
        ("krakenfutures", None, True),
        ("kucoin", False, False),
        ("bingx", False, True),
        ("binancecoinm", None, None),  # inverse contracts only
    ],
)
def test_testnets_by_kind_of_market(exchange_id: str, spot: bool | None, swap: bool | None) -> None:
    found = capability(exchange_id)
    assert (found.spot and found.spot.testnet, found.swap and found.swap.testnet) == (spot, swap)


@pytest.mark.parametrize(
    ("exchange_id", "parameter", "known", "lookup"),
    [
        ("binance", "clientOrderId", True, "direct"),
        ("coinbase", "client_order_id", True, "in lists"),
        ("bit2c", "clientOrderId", False, "in trades"),
        ("paymium", "clientOrderId", False, "none"),
    ],
)
def test_client_ids_and_how_an_order_is_found(
    exchange_id: str, parameter: str, known: bool, lookup: str
) -> None:
    found = capability(exchange_id)
    assert (found.client_id, found.client_id_known, found.lookup) == (parameter, known, lookup)


def test_exchange_that_cannot_be_configured_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert capability("ndax").problem is None
    monkeypatch.delitem(ccxt_session._CREDENTIALS, "login")
    assert capability("ndax").problem == "login: ndax needs it"


@pytest.mark.parametrize(("exchange_id", "names"), VERIFIED_BY.items())
def test_verified_by_names_tests_that_know_the_exchange(exchange_id: str, names: tuple[str, ...]) -> None:
    assert exchange_id in exchange_ids()
    for name in names:
        assert f'"{exchange_id}"' in (TESTS / f"{name}.py").read_text(encoding="utf8")


# --- how it is shown


@pytest.mark.parametrize(
    ("spot", "swap", "told"),
    [
        (PLAIN, PLAIN, "yes"),
        (PLAIN, None, "yes"),
        (None, None, "-"),
        (MarketCapability(testnet=False, order_types=(), attached_stop=False), PLAIN, "swap"),
    ],
)
def test_a_cell_says_on_which_markets(
    spot: MarketCapability | None, swap: MarketCapability | None, told: str
) -> None:
    assert cells(Capability(exchange="x", name="X", spot=spot, swap=swap))["testnet"] == told


def test_unchecked_client_id_is_marked() -> None:
    assert cells(capability("mexc"))["client_id"] == "clientOrderId"
    assert cells(capability("bit2c"))["client_id"] == "clientOrderId ?"


def test_table_of_those_that_are_named() -> None:
    result = fks("kraken", "binance")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["EXCHANGE", "kraken", "binance"]
    assert "5 s" in result.stdout


def test_reason_is_shown_where_an_account_cannot_be_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ccxt_session._CREDENTIALS, "login")
    assert "CANNOT BE CONFIGURED" not in fks("binance").stdout
    assert "login: ndax needs it" in fks("ndax").stdout


def test_json_is_one_document() -> None:
    [found] = json.loads(fks("--json", "okx").stdout)
    assert (found["exchange"], found["spot"]["testnet"]) == ("okx", True)


def test_unknown_exchange_is_a_wrong_call_with_a_hint() -> None:
    result = fks("binanse")
    assert result.exit_code == 64
    assert "did you mean binance" in result.stderr


def test_markdown_is_one_row_for_each() -> None:
    lines = [line for line in markdown(["gate", "htx"]).splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0] for line in lines] == ["| exchange", "| ---", "| gate", "| htx"]
    assert len({line.count("|") for line in lines}) == 1
    assert len(columns([capability("gate")])) == lines[0].count("|") - 1


# --- the README


def test_update_replaces_what_is_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKERS[0]}\nold\n{MARKERS[1]}\nafter\n")
    assert fks("--update", str(page), "gate").exit_code == 0
    written = page.read_text()
    assert written == f"before\n{MARKERS[0]}\n{markdown(['gate'])}{MARKERS[1]}\nafter\n"
    assert "up to date" in fks("--update", str(page), "gate").stdout
    assert page.read_text() == written


@pytest.mark.parametrize("text", ["", MARKERS[0], f"{MARKERS[1]} {MARKERS[0]}"])
def test_update_without_markers_changes_nothing(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    result = fks("--update", str(page), "gate")
    assert result.exit_code == 1
    assert "markers" in result.stderr
    assert page.read_text() == text


def test_readme_holds_the_table_of_the_big_ten() -> None:
    text = README.read_text(encoding="utf8") if README.exists() else ""
    if MARKERS[0] not in text:
        pytest.skip(f"README.md has no {MARKERS[0]}")
    assert text == between_markers(text, markdown(BIG_TEN)), "run: fks exchanges --update README.md"
