"""`[symbols]` gives a market another name; it makes none."""

from pathlib import Path

import pytest

from fakes import InlineJournal, wall
from fks.domain.errors import Refusal
from fks.domain.settings import AccountSettings, Settings
from fks.domain.symbols import SymbolIndex
from fks.infra.metrics import Metrics
from fks.venues.accounts import AccountMaker
from makers import dec

SWAP = "BTC/USDT:USDT"


async def index(folder: Path, own: AccountSettings, **aliases: str) -> SymbolIndex:
    """What a paper account's alerts may call its markets."""
    settings = Settings(exchanges={"mine": own}, symbols=aliases)
    journal = InlineJournal(folder / "fks.db", wall)
    maker = AccountMaker(
        settings, journal.store, journal, markets=folder / "markets", wall=wall, meter=Metrics("1", 0.0)
    )
    try:
        account = await maker.make("mine")
        return SymbolIndex(account.venue.markets(), aliases)
    finally:
        journal.store.close()


@pytest.mark.parametrize("name", ["BTCUSDT.P", "BTCUSDT", "BTCUSDTPERP", "BINANCE:BTCUSDT.P"])
async def test_an_alias_makes_no_name_of_a_paper_accounts_market_ambiguous(tmp_path: Path, name: str) -> None:
    own = AccountSettings(type="paper", market="swap", prices={SWAP: dec(50_000)})
    found = await index(tmp_path, own, BTCUSD="BTC/USDT")
    assert found.resolve(name).symbol == SWAP
    with pytest.raises(Refusal, match="'BTC/USDT', which this account has not"):
        found.resolve("BTCUSD")


async def test_a_paper_account_that_names_no_market_has_those_of_the_aliases(tmp_path: Path) -> None:
    found = await index(tmp_path, AccountSettings(type="paper"), BTCUSD="BTC/USDT")
    assert found.resolve("BTCUSD").symbol == "BTC/USDT"
