"""Rounds of `kill -9` under load: one journal, one exchange, many lives of the daemon."""

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

from crash import invariants
from crash.exchange import Exchange
from crash.invariants import Book, Journal
from crash.sender import Senders
from process import Daemon

REST_S = 120.0  # everything must have come to rest by then
THOROUGH = 10  # every so many rounds the whole journal is checked
LONG = 8  # so many lives until one that is long enough to trade
MARKS = {"BTCUSDT": 50_000, "ETHUSDT": 2_500}
TROUBLE = 0.1  # share of the placements that go wrong

# The breaker and the default wait for an outcome would leave little load: they are tested elsewhere.
ACCOUNTS = """
breaker = { failure_threshold = 1000 }
[risk]
max_price_deviation = 0.0
[exchanges.paper]
type = "paper"
balance = { USDT = 100000.0, BTC = 1.0, ETH = 20.0 }
prices = { "BTC/USDT" = 50000.0, "ETH/USDT" = 2500.0 }
"""


@dataclass
class Tally:
    """What came of the rounds."""

    kills: int = 0
    alerts: int = 0
    acknowledged: int = 0
    executed: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.problems)

    def __str__(self) -> str:
        told = f"{self.kills:,} kills, {self.acknowledged:,} acknowledged, "
        told += f"{len(self.lost):,} lost, {len(self.doubled):,} doubled"
        return told + (f", {len(self.problems):,} other violations" if self.problems else "")


class Campaign:
    """`folder` keeps the evidence: log, journal, and `killed/`, the journal as the last kill left it."""

    def __init__(self, folder: Path, exchange: Exchange, seed: int) -> None:
        self.random = Random(seed)
        self.exchange = exchange
        self.daemon = Daemon(folder, exchange.config() + ACCOUNTS, head="timeout = 2.0\n")
        self.daemon.config.write_text(re.sub("wait_s = .*", "wait_s = 0.2", self.daemon.config.read_text()))
        self.senders = Senders(self.daemon, seed)
        self.tally = Tally()
        self.scene = folder / "killed"
        exchange.control("trouble", share=TROUBLE, seed=seed)

    def run(self, rounds: int, progress: Callable[[Tally], None] = lambda _tally: None) -> Tally:
        """All rounds, then rest. Stops at the first violation, so that the evidence is fresh."""
        with self.senders:
            for number in range(1, rounds + 1):
                self._round(thorough=number % THOROUGH == 0, long=number % LONG == 0)
                progress(self.tally)
                if not self.tally.sound:
                    return self.tally
        self._rest()
        progress(self.tally)
        return self.tally

    def _round(self, *, thorough: bool, long: bool) -> None:
        """One life. One in five does not live to see its own start; a long one looks up what the earlier
        ones have lost, and then trades.
        """
        self.daemon.spawn()
        if long:
            self.daemon.await_started()
            time.sleep(self.random.uniform(6.0, 9.0))
        elif self.random.random() < 0.2:
            time.sleep(self.random.uniform(0.1, 1.5))
        else:
            self.daemon.await_started()
            time.sleep(self.random.uniform(0.0, 0.9))
        self._move_the_market()
        self.daemon.kill()
        self.tally.kills += 1
        if (journal := self._as_killed(thorough=thorough)) is not None:
            self._judge(journal)

    def _move_the_market(self) -> None:
        for name, price in MARKS.items():
            self.exchange.control(
                "mark", symbol=name, price=round(price * self.random.uniform(0.95, 1.05), 1)
            )

    def _as_killed(self, *, thorough: bool) -> Journal | None:
        """Read from a copy, so that the next life finds what the kill left, not what a reader made of it."""
        source = self.daemon.folder / "fks.db"
        shutil.rmtree(self.scene, ignore_errors=True)
        self.scene.mkdir()
        for path in (source, source.with_name("fks.db-wal")):
            if path.exists():
                shutil.copy(path, self.scene)
        if not source.exists() or source.stat().st_size == 0:
            return None  # killed before it had a journal
        return invariants.recorded(self.scene / "fks.db", thorough=thorough)

    def _book(self) -> Book:
        coins = self.exchange.coins()
        before = self.exchange.start
        return Book(
            sent=self.exchange.sent(),
            executions=self.exchange.executions(),
            rows={row["clientOrderId"]: row for row in self.exchange.control("orders")},
            gained={name: Decimal(coins[name]) - Decimal(before.get(name, "0")) for name in coins},
        )

    def _judge(self, journal: Journal) -> Book:
        """What must hold at any moment. Acknowledged before the kill: the journal is read after it."""
        acknowledged = list(self.senders.acknowledged)
        book, tally = self._book(), self.tally
        tally.alerts, tally.acknowledged = len(journal.alerts), len({one.alert_id for one in acknowledged})
        tally.executed = sum(book.executions.values())
        tally.lost |= invariants.lost(journal, acknowledged)
        tally.doubled |= invariants.doubled(journal, book)
        tally.problems += [*self.senders.surprises, *invariants.always(journal, book)]
        return book

    def _rest(self) -> None:
        """A last life without trouble, in which everything must come to rest."""
        self.exchange.control("trouble", share=0)
        self.daemon.start()
        deadline = time.monotonic() + REST_S
        while unrest := self._unrest():
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        if self.daemon.stop() != 0:
            unrest.append("the daemon did not end with 0")
        self._judge(invariants.recorded(self.daemon.folder / "fks.db", thorough=True))
        self.tally.problems += unrest

    def _unrest(self) -> list[str]:
        journal = invariants.recorded(self.daemon.folder / "fks.db", thorough=False)
        return list(invariants.at_rest(journal, self._book(), self.senders.acknowledged))
