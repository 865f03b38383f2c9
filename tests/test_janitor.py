"""Retention: what is old and rests on nothing goes, in slices; what anything rests on stays."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from fakes import FakeVenue, InlineJournal
from fks.actors import janitor
from fks.actors.guard import Guard
from fks.actors.janitor import Janitor
from fks.actors.trades import Trades
from fks.domain.errors import Refusal
from fks.domain.ids import RESEND_S
from fks.domain.messages import Look, Verdict
from fks.domain.orders import Leg, Side, State
from fks.domain.protection_watch import Lots
from fks.domain.retention import DAY_S, Rules, rules
from fks.domain.settings import (
    JournalSettings,
    KellySettings,
    RiskSettings,
    Settings,
    SizingSettings,
    WebhookSettings,
)
from fks.domain.trades import TripQuery
from fks.infra.audit import AuditExporter, verify
from fks.infra.journal_check import verify_journal
from fks.infra.sqlite_schema import FORGETTABLE
from fks.venues.paper import PaperVenue
from ledger_cases import NOON, alert, order, report, sql, trade
from makers import dec, market
from rig import Rig
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


async def test_what_is_old_and_flat_goes_whole_and_the_books_stay(world: World) -> None:
    world.fill("buy", "1", "100", strategy="trend", fee="0.1", currency="USDT")
    world.fill("sell", "1", "110", strategy="trend", fee="0.1", currency="USDT")
    world.fill("buy", "2", "50", symbol="ETH/USDT")
    world.days(40)
    kept = [world.fill("buy", "1", "120"), world.fill("sell", "0.5", "130")]
    books, purse = world.books(), world.purse()
    await world.clean()
    assert world.books() == books
    assert world.purse() == purse
    assert world.alerts() == [kept[1], kept[0], alert(3).id]  # ETH is held
    assert [rows(world, table) for table in ("intent", "order_", "attempt", "fill")] == [3, 3, 3, 3]
    world.check()
    world.fill("sell", "0.5", "140")
    world.check()


async def test_what_rests_on_nothing_goes_and_what_is_not_at_rest_stays(world: World) -> None:
    refused = world.accept()
    (intent,) = world.journal.store.read(lambda reader: reader.intents_of(refused.id))
    world.do(lambda ledger: ledger.refuse(intent, Refusal("risk.max_open_orders", "too many")))
    undecided = world.accept()
    unknown = world.accept()
    (intent,) = world.journal.store.read(lambda reader: reader.intents_of(unknown.id))
    one = order(unknown)
    world.do(lambda ledger: ledger.plan(intent, [one]))
    world.do(lambda ledger: ledger.claim("paper", now=world.now, window=5.0, limit=10))
    world.do(lambda ledger: ledger.mark(one.id, State.UNKNOWN, "no answer", world.now))
    world.days(400)
    await world.clean()
    assert world.alerts() == [unknown.id, undecided.id]
    world.check()


async def test_what_changed_lately_stays_however_old_it_is(world: World) -> None:
    resting = world.accept()
    (intent,) = world.journal.store.read(lambda reader: reader.intents_of(resting.id))
    one = order(resting)
    world.do(lambda ledger: ledger.plan(intent, [one]))
    world.days(40)
    world.do(lambda ledger: ledger.request_cancel([one.id], world.now, "a human"))
    await world.clean()
    assert world.alerts() == [resting.id]


async def test_less_than_a_step_counts_as_flat_and_is_carried_exactly(world: World) -> None:
    world.fill("buy", "1", "100", fee="0.0004", currency="BTC")  # paid out of the position
    world.fill("sell", "0.999", "110")
    world.days(40)
    young = world.fill("buy", "1", "120", fee="0.0004", currency="BTC")
    books, lots = world.books(), world.lots().held["BTC/USDT"]
    await world.clean()
    assert world.alerts() == [young]
    assert world.books() == books
    assert world.journal.store.read(lambda reader: reader.carried())[0].position.amount == dec("0.0006")
    assert [str(lot.amount) for lot in world.lots().held["BTC/USDT"].values()] == ["1"]
    assert len(lots) == 2  # the dust of the old entry is nobody's to protect
    world.fill("sell", "1.0002", "130")
    assert world.books()[0][0].amount == 0
    world.check()


async def test_an_open_round_trip_keeps_all_its_fills(world: World) -> None:
    entries = [world.fill("buy", "1", "100"), world.fill("sell", "0.4", "110")]
    world.days(400)
    await world.clean()
    assert world.alerts() == entries[::-1]
    assert rows(world, "carried") == 0


async def test_an_alert_of_two_accounts_goes_when_both_are_flat(world: World) -> None:
    both = world.accept(("paper", "other"))
    for intent in world.journal.store.read(lambda reader: reader.intents_of(both.id)):
        one = order(both, account=intent.account)
        world.do(lambda ledger, intent=intent, one=one: ledger.plan(intent, [one]))
        world.do(
            lambda ledger, intent=intent: ledger.claim(intent.account, now=world.now, window=5.0, limit=10)
        )
        told = report(one, State.FILLED, "1", "100")
        world.do(lambda ledger, one=one, told=told: ledger.settle(one.id, told, world.now))
    world.fill("sell", "1", "110")
    world.days(40)
    world.fill("buy", "1", "100", symbol="ETH/USDT")
    await world.clean()
    assert both.id in world.alerts()  # `other` still holds it
    world.check()
    world.fill("sell", "1", "110", account="other")
    world.days(40)
    world.fill("buy", "1", "100", symbol="ETH/USDT")
    await world.clean()
    assert both.id not in world.alerts()
    world.check()


async def test_the_newest_fill_stays_because_its_number_would_be_given_again(world: World) -> None:
    world.fill("buy", "1", "100")
    last = world.fill("sell", "1", "110")
    world.days(40)
    await world.clean()
    assert world.alerts() == [last]
    world.fill("buy", "1", "120")
    world.check()
    assert world.books()[0][0].amount == 1


async def test_the_last_round_trips_of_a_strategy_stay_for_what_counts_them(world: World) -> None:
    world.rules = replace(world.rules, newest=1)
    for _ in range(3):
        world.fill("buy", "1", "100", strategy="trend")
        world.fill("sell", "1", "90", strategy="trend")
    world.days(40)
    await world.clean()
    trips = await Trades(world.journal, lambda: MARKETS)(TripQuery(limit=10))
    assert len(trips.closed) == 1
    world.check()


async def test_round_trips_are_the_same_while_the_janitor_works(world: World) -> None:
    world.fill("buy", "1", "100")
    world.fill("sell", "1", "110")
    world.days(40)
    world.fill("buy", "1", "120")
    asked = Trades(world.journal, lambda: MARKETS)
    before = await asked(TripQuery(limit=10))
    await world.clean()
    world.fill("sell", "1", "125")
    after, anew = (
        await asked(TripQuery(limit=10)),
        await Trades(world.journal, lambda: MARKETS)(TripQuery(limit=10)),
    )
    assert [trip for _, trip in after.closed][1:] == [trip for _, trip in before.closed]
    assert anew.closed[0][1] == after.closed[0][1]


async def test_a_resent_alert_is_a_duplicate_for_as_long_as_it_would_be_taken(world: World) -> None:
    first = world.accept()
    (intent,) = world.journal.store.read(lambda reader: reader.intents_of(first.id))
    world.do(lambda ledger: ledger.refuse(intent, Refusal("risk.max_open_orders", "too many")))
    world.accept()
    for days, verdict in ((29, Verdict.DUPLICATE), (2, Verdict.FRESH)):
        world.days(days)
        await world.clean()
        again = replace(first, received_at=world.now)
        assert world.do(lambda ledger, again=again: ledger.accept(again)).verdict is verdict


async def test_what_came_since_the_last_look_stays_when_the_clock_jumps_ahead(world: World) -> None:
    async with trio.open_nursery() as tasks:
        one = Janitor(tasks, world.journal, lambda: world.rules, lambda: MARKETS, lambda: 0, world.wall)
        await one.start()
        new = world.accept()
        (intent,) = world.journal.store.read(lambda reader: reader.intents_of(new.id))
        world.do(lambda ledger: ledger.refuse(intent, Refusal("risk.max_open_orders", "too many")))
        world.days(400)
        await one.handle(Look())
        assert world.alerts() == [new.id]
        await one.handle(Look())
        assert world.alerts() == []
        tasks.cancel_scope.cancel()


async def test_events_go_when_the_audit_trail_has_them_and_both_still_hold(world: World) -> None:
    world.fill("buy", "1", "100")
    world.days(40)
    world.fill("sell", "1", "110")
    total = rows(world, "event")
    await world.clean(exported=3)
    assert rows(world, "event") == total - 3 + 1  # `journal_pruned` tells of it
    world.check()
    await world.clean()
    left = rows(world, "event")
    assert left < total - 3
    assert world.journal.store.read(lambda reader: reader.events(0))[0].time > world.now - KEEP
    world.check()
    world.fill("buy", "1", "120")
    again = AuditExporter(world.folder / "audit.jsonl", world.journal.store)
    while again.pump():
        pass
    again.close()
    told, kept = verify([world.folder / "audit.jsonl"]), world.journal.store.read(verify_journal)
    assert (told.problems, told.head) == ((), kept.head)
    assert told.records > kept.records


async def test_without_an_audit_trail_no_event_goes(world: World) -> None:
    world.fill("buy", "1", "100")
    world.days(400)
    total = rows(world, "event")
    await world.clean(exported=0)
    assert rows(world, "event") == total


async def test_killed_between_two_slices_the_journal_holds_and_the_next_round_ends_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(50):
        world.fill("buy", "1", "100", strategy="a")
        world.fill("sell", "1", "110", strategy="a")
    world.days(40)
    young = world.fill("buy", "1", "100")
    books = world.books()

    class Killed(BaseException):
        pass

    real, left = world.journal.write, 0

    async def dies(operation: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return await real(operation, **more)

    for slices in (1, 1, 2, 3, 4, 5):
        left = slices
        monkeypatch.setattr(world.journal, "write", dies)
        with pytest.RaisesGroup(Killed, flatten_subgroups=True, allow_unwrapped=True):
            await world.clean()
        world.check()
        assert world.books() == books
    monkeypatch.undo()
    await world.clean()
    world.check()
    assert world.alerts() == [young]


async def test_each_slice_is_small_and_others_have_their_turn_between(
    world: World, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(35):
        new = world.accept()
        (intent,) = world.journal.store.read(lambda reader, new=new: reader.intents_of(new.id))
        world.do(lambda ledger, intent=intent: ledger.refuse(intent, Refusal("risk.x", "no")))
    world.days(40)
    slices: list[tuple[float, int]] = []
    real = world.journal.write

    async def seen(operation: Any, **more: Any) -> Any:
        before = rows(world, "alert") + rows(world, "event")
        result = await real(operation, **more)
        slices.append((trio.current_time(), before - rows(world, "alert") - rows(world, "event")))
        return result

    monkeypatch.setattr(world.journal, "write", seen)
    await world.clean()
    assert max(gone for _, gone in slices) <= max(janitor.ALERTS, janitor.EVENTS)
    times = [at for at, _ in slices]
    assert len(set(times)) >= len(times) - 2
    assert world.alerts() == []


async def test_it_looks_every_hour(
    world: World, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    assert janitor.EVERY_S == 3600
    monkeypatch.setattr(janitor, "EVERY_S", 600.0)
    new = world.accept()
    (intent,) = world.journal.store.read(lambda reader: reader.intents_of(new.id))
    world.do(lambda ledger: ledger.refuse(intent, Refusal("risk.x", "no")))
    world.days(29.999)
    start = world.now

    def wall() -> float:
        return start + trio.current_time()

    async with trio.open_nursery() as tasks:
        one = Janitor(tasks, world.journal, lambda: world.rules, lambda: MARKETS, lambda: 0, wall)
        await one.start()
        await trio.sleep(janitor.EVERY_S * 0.9)
        assert world.alerts() == [new.id]
        await trio.sleep(janitor.EVERY_S * 0.2)
        assert world.alerts() == []
        assert world.journal.kinds()[-1] == "journal_pruned"
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_was_traded_the_books_are_the_same_after_pruning(tmp_path: Path, seed: int) -> None:
    random, world = Random(seed), World(tmp_path, newest=seed % 3)
    held: dict[tuple[str, str], Decimal] = {}
    for step in range(60):
        key = random.choice(["BTC/USDT", "ETH/USDT"]), random.choice(["", "a", "b"])
        have, price = held.get(key, Decimal(0)), str(random.randint(50, 150))
        if have and random.random() < 0.6:
            amount = have if random.random() < 0.7 else have / 2
            world.fill("sell", str(amount), price, symbol=key[0], strategy=key[1], fee="0.1", currency="USDT")
            held[key] = have - amount
        else:
            amount = Decimal(random.randint(1, 8)) / 4
            world.fill("buy", str(amount), price, symbol=key[0], strategy=key[1], fee="0.1", currency="USDT")
            held[key] = have + amount
        world.days(random.random() * 2)
        if step % 20 == 19:
            before = world.books(), world.purse(), _protected(world)
            alerts = len(world.alerts())
            await world.clean()
            assert (world.books(), world.purse(), _protected(world)) == before
            world.check()
    assert len(world.alerts()) <= alerts


def _protected(world: World) -> Any:
    lots = world.lots().held.items()
    return {symbol: {name: lot.parts for name, lot in own.items()} for symbol, own in lots if own}


@pytest.mark.parametrize(
    ("changes", "keep_s", "newest"),
    [
        ({}, 365 * DAY_S, 0),
        ({"webhook": WebhookSettings(max_age_s=400 * DAY_S)}, 400 * DAY_S + 30 + RESEND_S, 0),
        ({"sizing": SizingSettings(kelly=KellySettings(estimate=True))}, 365 * DAY_S, 1000),
    ],
)
def test_the_rules_follow_the_settings(changes: dict[str, Any], keep_s: float, newest: int) -> None:
    assert rules(Settings(**changes)) == Rules(keep_s=keep_s, newest=newest)


def test_zero_days_keep_everything() -> None:
    assert rules(Settings(journal=JournalSettings(retention_days=0))) is None


def test_a_paper_exchange_that_reckons_funding_keeps_its_fills() -> None:
    paid = paper_settings(funding_rate=dec("0.0001"))
    found = rules(Settings(exchanges={"paper": paid, "other": paper_settings()}))
    assert found is not None
    assert found.whole == {"paper"}


async def test_the_guard_begins_with_what_is_carried(world: World, tmp_path: Path) -> None:
    world.fill("buy", "1", "100", fee="0.0004", currency="BTC")
    world.fill("sell", "0.999", "110")
    world.days(40)
    world.fill("buy", "1", "120")
    await world.clean()
    (tmp_path / "rig").mkdir()
    account = Rig(tmp_path / "rig", FakeVenue()).account
    account.name, account.journal = "paper", world.journal
    async with trio.open_nursery() as tasks:
        guard = Guard(tasks, account, RiskSettings(), lambda _account, _seconds: None)
        await guard._take_in()
    assert guard._lots._positions["BTC/USDT"] == world.books()[0][0]
    assert guard._trips.positions()["paper", "", "BTC/USDT"].amount == world.books()[0][0].amount


async def test_a_trade_twice_told_is_booked_once_even_when_its_first_fill_is_forgotten(world: World) -> None:
    """The exchange's late word about an order that is gone finds no order, and changes nothing."""
    world.fill("buy", "1", "100")
    world.fill("sell", "1", "110")
    world.days(40)
    world.fill("buy", "1", "120")
    gone = order(alert(1))
    await world.clean()
    books = world.books()
    with pytest.raises(KeyError):
        world.do(lambda ledger: ledger.settle(gone.id, report(gone, State.FILLED, "1", "100"), world.now))
    assert world.books() == books


async def test_the_round_trips_of_the_time_that_is_kept_are_all_there(world: World) -> None:
    for price in ("110", "120"):
        world.fill("buy", "1", "100")
        world.fill("sell", "1", price)
        world.days(20)
    await world.clean()
    trips = await Trades(world.journal, lambda: MARKETS)(TripQuery(limit=10))
    assert [str(trip.realized) for _, trip in trips.closed] == ["20"]


async def test_a_round_trip_sells_the_rest_that_was_carried(world: World) -> None:
    world.fill("buy", "1", "100", fee="0.0004", currency="BTC")
    world.fill("sell", "0.999", "110")
    world.days(40)
    world.fill("buy", "1", "120")
    world.fill("sell", "1.0006", "130")
    await world.clean()
    trips = await Trades(world.journal, dict)(TripQuery(limit=10))
    assert ([str(trip.exit) for _, trip in trips.closed], trips.still_open) == (["130"], ())


async def test_a_slice_costs_the_same_however_many_alerts_there_are(world: World) -> None:
    """Neither of its two questions goes through all alerts that have ended."""
    given = "SELECT a.id FROM alert a WHERE a.id IN (SELECT value FROM json_each('[]'))"
    page = "SELECT a.id FROM alert a WHERE a.n > 0 AND a.n <= 9"
    for question, by in ((given, "(id=?)"), (page, "(rowid>? AND rowid<?)")):
        plan = sql(
            world.folder / "fks.db", f"EXPLAIN QUERY PLAN {question} AND {FORGETTABLE.replace('?', '0')}"
        )
        assert any("SEARCH a " in row[3] and by in row[3] for row in plan), plan
