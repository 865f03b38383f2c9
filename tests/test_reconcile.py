"""The exchange's word against the book: foreign orders, missing ones, drift in numbers."""

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import structlog.testing
import trio

from fakes import BTC, ETH, FakeVenue, wall
from fks.actors.reconciler import Reconciler
from fks.domain.errors import Transient
from fks.domain.messages import Balance, Look, Position, Report, TradingState
from fks.domain.orders import State
from fks.domain.reconcile import Book, Drift, Findings, compare_orders, compare_positions, lasting, moving
from fks.kernel import mailbox, supervise
from makers import SWAP, dec, market, order
from rig import Rig

MARKETS = {"BTC/USDT": BTC, "BTC/USDC": market("BTC/USDC"), "ETH/USDT": ETH, SWAP: market(SWAP)}


def position(symbol: str, amount: str) -> Position:
    return Position(account="main", symbol=symbol, amount=dec(amount))


def coins(amount: str) -> Balance:
    return Balance(free={}, total={"BTC": dec(amount)})


def test_on_spot_what_was_bought_must_be_there_and_more_is_the_owner_s() -> None:
    ours = {"BTC/USDT": dec(1)}
    assert compare_positions(ours, [], coins("1"), MARKETS) == ()
    assert compare_positions(ours, [], coins("5"), MARKETS) == ()
    (drift,) = compare_positions(ours, [], coins("0.4"), MARKETS)
    assert (drift.booked, drift.actual, drift.difference) == (dec(1), dec("0.4"), dec("-0.6"))


def test_markets_of_one_coin_share_what_is_held_of_it() -> None:
    ours = {"BTC/USDC": dec(1), "BTC/USDT": dec(1)}
    assert compare_positions(ours, [], coins("2"), MARKETS) == ()
    assert compare_positions(ours, [], coins("1"), MARKETS) == (Drift("BTC/USDT", dec(1), dec(0)),)
    assert sum(one.difference for one in compare_positions(ours, [], coins("0.5"), MARKETS)) == dec("-1.5")
    sold_elsewhere = {"BTC/USDC": dec("0.4"), "BTC/USDT": dec("-0.4")}
    assert compare_positions(sold_elsewhere, [], coins("0"), MARKETS) == ()
    (drift,) = compare_positions({**sold_elsewhere, "BTC/USDC": dec(1)}, [], coins("0.5"), MARKETS)
    assert drift.difference == dec("-0.1")


def test_with_a_market_all_move_that_share_its_coins() -> None:
    before = Book([], [position("BTC/USDC", "1"), position("BTC/USDT", "1"), position("ETH/USDT", "1")])
    after = Book([], [position("BTC/USDC", "2"), *before.positions[1:]])
    assert moving(before, after, MARKETS) == {"BTC/USDC", "BTC/USDT"}
    in_flight = Book([order("a", symbol="BTC/USDC", state=State.SENDING)], before.positions)
    assert moving(before, in_flight, MARKETS) == {"BTC/USDC", "BTC/USDT"}


def test_contracts_must_be_equal_both_ways() -> None:
    ours, theirs = {SWAP: dec(2)}, [position(SWAP, "-1")]
    assert compare_positions(ours, theirs, coins("0"), MARKETS) == (Drift(SWAP, dec(2), dec(-1)),)
    assert compare_positions({}, theirs, coins("0"), MARKETS) == (Drift(SWAP, dec(0), dec(-1)),)
    assert compare_positions(ours, [position(SWAP, "2")], coins("0"), MARKETS) == ()


def test_a_market_that_moves_while_the_exchange_is_asked_is_left_out() -> None:
    quiet = Book([], [position(SWAP, "2")])
    in_flight = Book([order("a", symbol=SWAP, state=State.UNKNOWN)], quiet.positions)
    filled = Book([], [position(SWAP, "3")])
    assert moving(quiet, quiet, MARKETS) == frozenset()
    assert moving(quiet, in_flight, MARKETS) == {SWAP}
    assert moving(quiet, filled, MARKETS) == moving(Book([], []), quiet, MARKETS) == {SWAP}
    assert compare_positions(quiet.amounts, [], coins("0"), MARKETS, frozenset({SWAP})) == ()


def test_a_difference_lasts_when_both_amounts_move_and_it_does_not() -> None:
    first = Findings((Drift("BTC/USDT", dec(1), dec("0.5")), Drift("ETH/USDT", dec(1), dec("0.5"))))
    again = Findings((Drift("BTC/USDT", dec(2), dec("1.5")), Drift("ETH/USDT", dec(1), dec("0.7"))), ("f",))
    assert lasting(first, again) == Findings(again.drifts[:1], ("f",), unsure=True)


def test_what_differs_otherwise_than_before_or_moves_now_is_not_sure_yet() -> None:
    first = Findings((Drift("BTC/USDT", dec(1), dec("0.5")),))
    assert not lasting(first, first).unsure
    assert not lasting(first, Findings()).unsure, "it was a fill under way"
    assert lasting(first, Findings(moving=frozenset({"BTC/USDT"}))).unsure
    assert not lasting(first, Findings(moving=frozenset({"ETH/USDT"}))).unsure
    assert lasting(Findings(), first).unsure


def test_foreign_orders_are_told_and_ours_that_are_not_listed_or_not_to_be() -> None:
    ended = order("e", state=State.CANCELED, exchange_order_id="x-e")
    ours = order("a", state=State.OPEN, exchange_order_id="x-a")
    lost = order("b", state=State.OPEN, exchange_order_id="x-b")
    listed = [Report(client_order_id=one, exchange_order_id=f"x-{one}", state=State.OPEN) for one in "af"]
    found = compare_orders([ours, lost], listed, {"x-a": ours, "x-e": ended})
    assert (found.foreign, found.missing, found.ended) == (("x-f",), ("b",), (ended,))


async def test_drift_raises_one_alarm_with_its_numbers_and_is_over_when_it_is_over(tmp_path: Path) -> None:
    venue = FakeVenue()
    told: list[tuple[str, str, float]] = []
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        await trio.sleep(1)
        reconciler = Reconciler(nursery, rig.account, lambda *drift: told.append(drift))
        await reconciler.start()
        await rig.send(id="a", amount=Decimal("0.5"))
        await trio.sleep(100)
        assert told == []
        venue.funds["BTC"] = Decimal("0.2")  # somebody sold
        await trio.sleep(300)
        assert rig.alarm_codes() == ["drift"]
        assert "book 0.5, exchange 0.2, difference -0.3" in rig.alarms()[0]["detail"]
        assert told[-1] == ("main", "BTC/USDT", -0.3)
        venue.funds["BTC"] = Decimal(1)
        await trio.sleep(100)
        assert told[-1] == ("main", "BTC/USDT", 0.0)
        assert rig.account.status.get().reconciled_at > wall() - 100
        nursery.cancel_scope.cancel()


async def test_a_drift_takes_the_account_to_reduce_only_where_so_configured(tmp_path: Path) -> None:
    venue = FakeVenue()
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        reconciler = Reconciler(nursery, rig.account, lambda *_drift: None, reduces=True)
        await reconciler.start()
        await rig.send(id="a", amount=Decimal("0.5"))
        await trio.sleep(10)
        venue.funds["BTC"] = Decimal("0.2")
        await trio.sleep(100)
        record = (await rig.journal.read(lambda ledger: ledger.trading_records()))["main"]
        assert (record.state, record.by) == (TradingState.REDUCE, "risk.on_position_drift")
        assert "BTC/USDT: book 0.5, exchange 0.2" in record.why
        await rig.journal.write(
            lambda ledger: ledger.set_trading("main", TradingState.ACTIVE, "admin", wall())
        )
        await trio.sleep(200)
        states = await rig.journal.read(lambda ledger: ledger.trading())
        assert states["main"] is TradingState.ACTIVE  # the same drift: a human knows of it
        nursery.cancel_scope.cancel()


class Silent(FakeVenue):
    """While `silent` it lists no orders, and answers everything else."""

    silent = False

    async def open_orders(self) -> Sequence[Report]:
        if self.silent:
            raise Transient("no answer")
        return await super().open_orders()


async def reconciling(rig: Rig, nursery: trio.Nursery, *, reduces: bool = False) -> Reconciler:
    reconciler = Reconciler(nursery, rig.account, lambda *_drift: None, reduces)
    await reconciler.start()
    return reconciler


class Holder(FakeVenue):
    """Holds what its orders have bought, less what is `missing`."""

    missing = Decimal(0)

    async def balance(self) -> Balance:
        bought = sum((one.filled for one in self.orders.values()), start=-self.missing)
        held = {"USDT": Decimal(1_000_000), "BTC": bought}
        return Balance(free=held, total=held)


async def drifting(rig: Rig, venue: Holder, nursery: trio.Nursery, told: list[float]) -> None:
    """Half a coin is held and gone; `told` hears of each difference."""
    await rig.send(id="held", amount=Decimal("0.5"))
    await trio.sleep(2)
    venue.missing = Decimal("0.5")
    await Reconciler(nursery, rig.account, lambda *drift: told.append(drift[2])).start()


async def test_a_drift_is_seen_and_told_once_while_the_account_trades_all_the_time(tmp_path: Path) -> None:
    venue = Holder()
    told: list[float] = []
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        await drifting(rig, venue, nursery, told)
        for number in range(35):
            await rig.send(id=f"more-{number}", amount=Decimal("0.001"))
            await trio.sleep(4)
        assert rig.alarm_codes() == ["drift"]
        assert set(told) == {-0.5}
        nursery.cancel_scope.cancel()


async def test_a_drift_of_a_market_that_moves_is_not_over(tmp_path: Path) -> None:
    venue = Holder()
    told: list[float] = []
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        await drifting(rig, venue, nursery, told)
        await trio.sleep(20)
        venue.script, venue.blind_until = ["never"], math.inf
        await rig.send(id="lost", amount=Decimal("0.001"))
        venue.down_until = math.inf  # its outcome stays unknown
        await trio.sleep(200)
        assert told == [-0.5]
        nursery.cancel_scope.cancel()


@pytest.mark.fault(51)
async def test_a_foreign_order_is_left_alone(tmp_path: Path) -> None:
    venue = FakeVenue()
    venue.orders["theirs"] = Report(client_order_id="theirs", exchange_order_id="x-1", state=State.OPEN)
    rig = Rig(tmp_path, venue)
    with structlog.testing.capture_logs() as lines:
        async with rig.running(), trio.open_nursery() as nursery:
            reconciler = Reconciler(nursery, rig.account, lambda *_drift: None)
            await reconciler.start()
            await trio.sleep(200)
            assert venue.orders["theirs"].state is State.OPEN
            assert venue.cancelled == []
            assert rig.account.status.get().foreign == 1
            nursery.cancel_scope.cancel()
    told = [line["exchange_order_id"] for line in lines if line["event"] == "foreign_order"]
    assert told == ["x-1"], "reported, once"


async def test_every_reconnect_is_followed_by_a_reconciliation(tmp_path: Path) -> None:
    venue = FakeVenue()
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        reconciler = Reconciler(nursery, rig.account, lambda *_drift: None)
        await reconciler.start()
        await trio.sleep(20)
        first = rig.account.status.get().reconciled_at
        rig.account.called("balance", "no_answer", trio.current_time(), ok=False)
        await trio.sleep(5)
        assert rig.account.status.get().reconciled_at == first
        rig.account.called("balance", "ok", trio.current_time())
        await trio.sleep(1)
        assert rig.account.status.get().reconciled_at == pytest.approx(first + 25, abs=1)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("outage_s", [1.0, 20.0])  # over before the pause after the first is, and not
async def test_a_reconnect_right_after_another_is_followed_by_a_reconciliation_too(
    tmp_path: Path, outage_s: float
) -> None:
    rig = Rig(tmp_path, FakeVenue())
    async with rig.running(), trio.open_nursery() as nursery:
        await reconciling(rig, nursery)

        def line(*, ok: bool) -> None:
            rig.account.called("find", "ok" if ok else "no_answer", trio.current_time(), ok=ok)

        await trio.sleep(2)  # the balance is asked for each 30 s
        line(ok=False)
        await trio.sleep(0.1)
        line(ok=True)
        await trio.sleep(1)
        line(ok=False)
        await trio.sleep(outage_s)
        back = wall()
        line(ok=True)
        await trio.sleep(6)
        assert rig.account.status.get().reconciled_at >= back
        nursery.cancel_scope.cancel()


async def test_a_reconciliation_that_a_reconnect_asks_for_is_tried_until_it_is_answered(
    tmp_path: Path,
) -> None:
    venue = Silent()
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        await reconciling(rig, nursery)
        await trio.sleep(20)
        venue.silent = True
        rig.account.called("find", "no_answer", trio.current_time(), ok=False)
        rig.account.called("find", "ok", trio.current_time())
        await trio.sleep(12)
        venue.silent, back = False, wall()
        await trio.sleep(6)
        assert rig.account.status.get().reconciled_at >= back
        nursery.cancel_scope.cancel()


async def test_an_alarm_is_reason_to_reconcile_but_a_hundred_alarms_are_one(tmp_path: Path) -> None:
    venue = FakeVenue()
    lists = 0
    tell = venue.open_orders

    async def counted() -> Sequence[Report]:
        nonlocal lists
        lists += 1
        return await tell()

    venue.open_orders = counted  # type: ignore[method-assign]
    rig = Rig(tmp_path, venue)
    async with rig.running(), trio.open_nursery() as nursery:
        ref, inbox = mailbox("reconciler", 1, Look)
        make = partial(Reconciler, account=rig.account, on_drift=lambda *_drift: None)
        nursery.start_soon(supervise, make, inbox, Reconciler.RESTART)
        await trio.sleep(20)
        before = lists
        for _ in range(100):
            ref.offer(Look())
            await trio.sleep(0.01)
        await trio.sleep(3)
        assert lists == before + 1
        nursery.cancel_scope.cancel()


async def test_an_order_that_rests_although_it_has_ended_here_is_canceled_there(tmp_path: Path) -> None:
    venue = FakeVenue("open")
    async with Rig(tmp_path, venue).running() as rig, trio.open_nursery() as nursery:
        await reconciling(rig, nursery)
        await rig.send(id="a", order_type="limit", price=Decimal(49_000))
        await trio.sleep(3)
        order = await rig.only()
        await rig.cancel(order)
        await trio.sleep(30)
        assert (await rig.only()).state is State.CANCELED
        venue.put(order, State.OPEN)  # as if the answer to its cancel had been somebody's mistake
        await trio.sleep(120)
        assert venue.orders[order.client_order_id].state is State.CANCELED
        nursery.cancel_scope.cancel()
