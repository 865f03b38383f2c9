"""The janitor at work: beside the audit trail, in slices, killed, and what begins with what it carried."""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from fakes import FakeVenue
from fks.actors import janitor
from fks.actors.guard import Guard
from fks.actors.janitor import Janitor
from fks.actors.trades import Trades
from fks.domain.errors import Refusal
from fks.domain.ids import RESEND_S
from fks.domain.orders import State
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
from janitor_world import KEEP, MARKETS, World, fixture_world, rows
from ledger_cases import alert, order, report, sql
from makers import dec
from rig import Rig
from standins.paper import settings as paper_settings

__all__ = ["fixture_world"]


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
