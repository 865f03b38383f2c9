"""A journal whose clock a test sets, and the janitor who forgets what is old in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from fakes import InlineJournal
from fks.actors.janitor import Janitor
from fks.domain.messages import Look
from fks.domain.orders import Leg, Side, State
from fks.domain.protection_watch import Lots
from fks.domain.retention import DAY_S, Rules
from fks.infra.audit import AuditExporter
from fks.infra.journal_check import verify_journal
from fks.venues.paper import PaperVenue
from ledger_cases import NOON, alert, order, report, sql, trade
from makers import dec, market
from standins.paper import settings as paper_settings

KEEP = 30 * DAY_S
MARKETS = {"paper": {"BTC/USDT": market("BTC/USDT"), "ETH/USDT": market("ETH/USDT")}}


class World:
    """A journal whose clock we set, and a janitor who has known all its alerts for an hour."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.now = NOON
        self.journal = InlineJournal(folder / "fks.db", lambda: self.now)
        self.exporter = AuditExporter(folder / "audit.jsonl", self.journal.store)
        self.rules = Rules(**{"keep_s": KEEP, **changes})
        self.count = 0

    def wall(self) -> float:
        return self.now

    def do(self, operation: Any) -> Any:
        (result,) = self.journal.store.commit([operation]).results
        if isinstance(result, Exception):
            raise result
        return result

    def accept(self, accounts: Sequence[str] = ("paper",)) -> Any:
        self.count += 1
        new = replace(
            alert(self.count, accounts=tuple(accounts)), received_at=self.now, good_until=self.now + 300
        )
        self.do(lambda ledger: ledger.accept(new))
        return new

    def fill(self, side: str, amount: str, price: str, *, symbol: str = "BTC/USDT", **more: Any) -> str:
        """An alert that becomes one filled order, now; its id."""
        account, fee, currency = (
            more.pop("account", "paper"),
            more.pop("fee", "0"),
            more.pop("currency", None),
        )
        new = self.accept((account,))
        leg = Leg.ENTRY if side == "buy" else Leg.CLOSE
        one = order(new, leg, account=account, side=Side(side), amount=dec(amount), symbol=symbol, **more)
        (intent,) = self.journal.store.read(lambda reader: reader.intents_of(new.id))
        self.do(lambda ledger: ledger.plan(intent, [one]))
        self.do(lambda ledger: ledger.claim(account, now=self.now, window=5.0, limit=10))
        trades = (replace(trade(f"t{self.count}", amount, price, fee, currency), time=self.now),)
        told = replace(report(one, State.FILLED, amount, price, trades=trades), time=self.now)
        self.do(lambda ledger: ledger.settle(one.id, told, self.now))
        return new.id

    def days(self, days: float) -> None:
        self.now += days * DAY_S

    async def clean(self, *, exported: int | None = None, looks: int = 2) -> None:
        while self.exporter.pump():
            pass
        self.exporter.close()
        async with trio.open_nursery() as tasks:
            one = Janitor(
                tasks,
                self.journal,
                lambda: self.rules,
                lambda: MARKETS,
                lambda: self.exporter.synced if exported is None else exported,
                self.wall,
            )
            await one.start()
            for _ in range(looks - 1):
                await one.handle(Look())
            tasks.cancel_scope.cancel()

    def alerts(self) -> list[str]:
        return [one["id"] for one in self.journal.store.read(lambda reader: reader.alerts(limit=1000))]

    def books(self) -> Any:
        def read(reader: Any) -> Any:
            return reader.positions(), sorted(reader.strategy_positions(), key=str)

        return self.journal.store.read(read)

    def check(self) -> None:
        found = self.journal.store.read(verify_journal)
        assert found.problems == (), found.problems

    def lots(self) -> Lots:
        """As the guard folds them after a start."""
        lots = Lots()
        carried, fills = self.journal.store.read(
            lambda reader: (reader.carried(0, "paper"), reader.fills_after("paper", 0, 10_000))
        )
        for one in carried:
            lots.begin(one.position)
        for _, of, fill in fills:
            lots.add(of, fill)
        return lots

    def purse(self) -> Any:
        """What the paper exchange holds after a restart."""
        venue = PaperVenue("paper", paper_settings(balance={"USDT": dec("100000")}), wall=self.wall)
        history, carried = self.journal.store.read(
            lambda reader: (reader.account_fills("paper"), reader.carried(account="paper"))
        )
        venue.restore(history, [], carried)
        total = venue._book.balance().total
        return {name: round(amount, 18) for name, amount in total.items() if amount}  # means have 28 digits


@pytest.fixture(name="world")
def fixture_world(tmp_path: Path) -> World:
    return World(tmp_path)


def rows(world: World, table: str) -> int:
    count: int = sql(world.folder / "fks.db", f"SELECT count(*) FROM {table}")[0][0]
    return count
