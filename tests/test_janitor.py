"""Retention: what is old and rests on nothing goes, in slices; what anything rests on stays."""

import trio
from msgspec.structs import replace

from fks.actors.janitor import Janitor
from fks.actors.trades import Trades
from fks.domain.errors import Refusal
from fks.domain.messages import Look, Verdict
from fks.domain.orders import State
from fks.domain.trades import TripQuery
from janitor_world import MARKETS, World, fixture_world, rows
from ledger_cases import alert, order, report
from makers import dec

__all__ = ["fixture_world"]


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
