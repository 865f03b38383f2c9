"""The paper exchange rebuilt from the journal; the general rule is in test_paper_properties.py."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
import trio

from fks.domain.errors import Unknown
from fks.domain.orders import State
from fks.venues.paper import PaperVenue
from standins.paper import SPOT, TinyJournal, limit, order, placed, protection, state_of, venue

D = Decimal


def restored(journal: TinyJournal, **changes: Any) -> PaperVenue:
    exchange = venue(**changes)
    exchange.restore(journal.history, journal.live)
    return exchange


async def test_order_that_the_journal_only_meant_to_send_is_not_there_after_a_restart() -> None:
    journal = TinyJournal()
    journal.intend(order("q1"), order("q2", state=State.UNKNOWN), order("q3", state=State.PLANNED))
    exchange = restored(journal)
    assert [await exchange.find(row) for row in journal.rows.values()] == [None] * 3
    assert (await exchange.balance()).total == {"USDT": D(1000)}
    assert (await placed(exchange, order("q1"))).trades[0].id == "q1-1"


async def test_restart_remembers_fills_marks_and_ids() -> None:
    exchange, journal = venue(), TinyJournal()
    exchange.hint(SPOT, D(120))
    journal.intend(order("q1"))
    journal.settle(await placed(exchange, order("q1")))
    again = restored(journal)
    assert await again.balance() == await exchange.balance()
    assert (await again.ticker(SPOT)).last == D("120.12")
    assert await again.find(order("q1")) == await exchange.find(order("q1"))
    with pytest.raises(Unknown):
        await again.place(order("q1"), (), 1000.0)


async def test_a_fill_proves_an_order_that_is_still_marked_as_being_sent() -> None:
    exchange, journal = venue(), TinyJournal()
    journal.intend(order("q1"))
    journal.settle(await placed(exchange, order("q1")))
    ((_, fill),) = journal.history
    exchange.restore([(order("q1"), fill)], [order("q1")])
    assert await state_of(exchange, "q1") is State.FILLED
    assert await exchange.open_orders() == []


async def test_legs_are_there_after_a_restart_when_only_their_entry_was_written_down() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = order("q1")
    legs = protection(entry, stop="80", targets=[("110", "1")])
    journal.intend(entry, *legs)
    journal.settle(await placed(exchange, entry, *legs))
    again = restored(journal)
    again.hint(SPOT, D(80))
    assert await state_of(again, "q1-sl") is State.FILLED
    assert await state_of(again, "q1-tp0") is State.CANCELED


async def test_leg_that_was_to_be_sent_alone_is_not_there_after_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = order("q1")
    (stop,) = protection(entry, stop="80")
    alone = msgspec.structs.replace(stop, attached=False)
    journal.intend(entry, alone)
    journal.settle(await placed(exchange, entry))
    assert await restored(journal).find(alone) is None


async def test_resting_order_fills_at_its_own_price_after_a_restart_too() -> None:
    exchange, journal = venue(), TinyJournal()
    one = limit("q1", "buy", "90")
    journal.intend(one)
    journal.settle(await placed(exchange, one))
    again = restored(journal)
    again.hint(SPOT, D(80))
    found = await again.find(one)
    assert found is not None
    assert found.average == D(90)


async def test_first_change_after_a_restart_is_noticed() -> None:
    exchange = venue()
    await placed(exchange, limit("q1", "buy", "90"))
    exchange.restore([], [])
    await exchange.wait(10)
    start = trio.current_time()
    await placed(exchange, limit("q1", "buy", "90"))
    await exchange.wait(10)
    assert trio.current_time() == start


async def test_leg_whose_sibling_filled_is_canceled_after_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = order("q1")
    legs = protection(entry, stop="80", targets=[("110", "1")])
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    exchange.hint(SPOT, D(110))
    filled = await exchange.find(legs[1])
    assert filled is not None
    journal.settle(filled)  # and killed before the stop was asked for
    again = restored(journal)
    assert await state_of(again, "q1-sl") is State.CANCELED
    start = trio.current_time()
    await again.wait(10)
    assert trio.current_time() == start, "the follower is to ask at once"


async def test_leg_of_an_entry_that_ended_unfilled_is_canceled_after_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = limit("q1", "buy", "90")
    legs = protection(entry, stop="80")
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    canceled = await exchange.cancel(entry)
    assert canceled is not None
    journal.settle(canceled)
    again = restored(journal)
    assert await state_of(again, "q1-sl") is State.CANCELED


async def test_entry_fills_again_when_only_its_legs_fill_was_written_down() -> None:
    exchange, journal = venue(), TinyJournal()
    entry = limit("q1", "buy", "90")
    legs = protection(entry, stop="80")
    journal.intend(entry, *legs)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    exchange.hint(SPOT, D(75))
    stopped = await exchange.find(legs[0])
    assert stopped is not None
    journal.settle(stopped)
    again = restored(journal)
    found = await again.find(entry)
    assert found is not None
    assert (found.state, found.average, found.trades[0].id) == (State.FILLED, D(90), "q1-1")
    assert (await again.balance()).total == (await exchange.balance()).total


async def test_legs_that_a_sale_made_smaller_are_as_small_after_a_restart() -> None:
    exchange, journal = venue(balance={"USDT": D(1000), "BTC": D(5)}), TinyJournal()
    entry, sale = order("q1"), order("q2", "sell", "0.4")
    legs = protection(entry, stop="80")
    journal.intend(entry, *legs, sale)
    for report in await exchange.place(entry, legs, 1000.0):
        journal.settle(report)
    journal.settle(await placed(exchange, sale))
    again = restored(journal, balance={"USDT": D(1000), "BTC": D(5)})
    again.hint(SPOT, D(75))
    assert (await again.balance()).total["BTC"] == 5


async def test_nothing_fills_for_the_old_marks_of_a_restart() -> None:
    exchange, journal = venue(), TinyJournal()
    exchange.hint(SPOT, D(200))
    one = limit("q1", "buy", "150")
    journal.intend(one)
    journal.settle(await placed(exchange, one))
    again = restored(journal)  # its mark is the configured 100 again
    assert await state_of(again, "q1") is State.OPEN
    await placed(again, order("q2"))
    assert await state_of(again, "q1") is State.OPEN
    again.hint(SPOT, D(200))
    assert await state_of(again, "q1") is State.OPEN
    again.hint(SPOT, D(150))
    assert await state_of(again, "q1") is State.FILLED
