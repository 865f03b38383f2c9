"""What the journal needs of a store: the queue of the daemon, and the truth of it.

A channel only says "look again"; what is to be done is what the ledger says, so that a crash, a
restart and a lost wake-up are the same case. Methods are synchronous: the engine runs them in its
worker thread, those of `Ledger` inside a transaction that is on disk before anyone hears of it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import trio
from msgspec import Struct

from fks.domain.daily import Day
from fks.domain.errors import Fatal, Overloaded, Refusal
from fks.domain.messages import (
    Acceptance,
    Carried,
    Event,
    Exposure,
    Fill,
    Intent,
    NewAlert,
    Order,
    Position,
    Report,
    Share,
    TradingRecord,
    TradingState,
)
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.domain.trades import Execution
from fks.domain.trading_state import Peak
from fks.kernel import Ref, Reply, ask, in_thread

R = TypeVar("R")


class JournalFull(Overloaded):
    """No space: the whole batch was refused and nothing of it is on disk. Come again later."""


class JournalBusy(Overloaded):
    """Another program holds a lock on the database for too long."""


class JournalBroken(Fatal):
    """The disk failed, or the file is damaged. Nothing after the last acknowledged write is sure: stop."""


class JournalLocked(Fatal):
    """Another daemon owns this journal."""

    exit_code = 77


class SchemaTooNew(Fatal):
    """The journal was written by a newer version of this program."""

    exit_code = 78


class Reader(Protocol):
    """Questions. They see only what is committed."""

    def unsized(self, account: str, limit: int, after: str | None = None) -> list[Intent]:
        """Accepted intents without a decision, oldest first; behind that of the alert `after`."""
        ...

    def live_orders(self, account: str | None = None) -> list[Order]:
        """Every order that is not at rest, oldest first."""
        ...

    def ended_short(self, account: str, since: float, limit: int) -> list[Order]:
        """Orders that were sent and have ended since that UTC second, before all was filled; newest first."""
        ...

    def exposure(self, account: str, now: float) -> Exposure: ...
    def last_entry(
        self, account: str, symbol: str, since: float, strategy: str | None = None
    ) -> float | None:
        """When an order that may open a position was last sent, since then; UTC s. `strategy`: only its."""
        ...

    def symbol_today(self, account: str, symbol: str, now: float) -> Share:
        """What the account did in one market, without its position; as in `Exposure`."""
        ...

    def shares(self, account: str, symbol: str) -> dict[str, Decimal]:
        """The named strategies' signed positions."""
        ...

    def order(self, any_id: str) -> Order | None:
        """By our id, any attempt's client order id, or the exchange's id."""
        ...

    def orders(
        self,
        *,
        limit: int = 100,
        before: str | None = None,
        state: str | None = None,
        account: str | None = None,
    ) -> list[Order]:
        """Newest first. `before` is an order's id."""
        ...

    def orders_of(self, alert_id: str) -> list[Order]: ...
    def fills_of(self, order_id: str) -> list[Fill]: ...
    def account_fills(self, account: str) -> list[tuple[Order, Fill]]:
        """Every fill of an account that is not carried, with its order, oldest first."""
        ...

    def executions(self, after: int, limit: int = 1000) -> tuple[list[Execution], int]:
        """The next fills of all accounts in the order of their recording, and where those that follow begin;
        not those that are carried. `alert_price` is the alert's own, else the last price when it was sized.
        """
        ...

    def carried(self, after: int = 0, account: str | None = None) -> list[Carried]:
        """What stands for the fills that are in no fold any more, of markets where those reach beyond fill
        `after`. A fold that has come to there begins anew with it, then goes on with the fills.
        """
        ...

    def intents_of(self, alert_id: str) -> list[Intent]: ...
    def alert_state(self, alert_id: str) -> AlertState | None: ...
    def alert(self, alert_id: str) -> dict[str, Any] | None:
        """The row as JSON-ready values: id, key, source, state, body, received_at, ..."""
        ...

    def alerts(
        self, *, limit: int = 100, before: str | None = None, state: str | None = None
    ) -> list[dict[str, Any]]:
        """Newest first. `before` is an alert's id."""
        ...

    def positions(self, account: str | None = None) -> list[Position]: ...
    def strategy_positions(self, account: str | None = None) -> list[tuple[str, Position]]:
        """The named strategies' shares of the positions."""
        ...

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        """Of the chain, with `seq` above `after`, in order."""
        ...

    def last_event(self, kind: str) -> Event | None:
        """The newest of its kind. There is no index: it walks back to it."""
        ...

    def day(self, since: float, until: float) -> Day:
        """What came in within that span, and what has become of it."""
        ...

    def newest_alert(self) -> int:
        """The number of the last alert, 0 when there is none; they are counted as they are accepted."""
        ...

    def forgettable(self, after: int, upto: int, horizon: float, limit: int) -> list[tuple[int, str]]:
        """Alerts numbered above `after`, at most `upto`, that nothing rests on any more; number and id.

        They have their outcome, nothing of them has changed since `horizon`, and their fills are carried. The
        one with the newest fill stays, because numbers are not given twice.
        """
        ...

    def backlog(self) -> int:
        """Intents without a decision plus orders planned or in flight: what the daemon still owes."""
        ...

    def trading(self) -> dict[str | None, TradingState]:
        """Trading state by account; None is the global one. Absent means active."""
        ...

    def trading_records(self) -> dict[str | None, TradingRecord]:
        """The same, with who, when and why."""
        ...

    def fills_after(self, account: str, n: int, limit: int) -> list[tuple[int, Order, Fill]]:
        """Its fills behind number `n`, each with its number and order, in the order of their recording.
        Those that are carried are left out.
        """
        ...

    def equity_peak(self, account: str) -> Peak | None:
        """The highest equity that was recorded."""
        ...


class Ledger(Reader, Protocol):
    """Changes. Each either happens whole or raises and changes nothing."""

    def accept(self, new: NewAlert) -> Acceptance:
        """Store the alert and one intent per account; or tell that its key is there already."""
        ...

    def plan(self, intent: Intent, orders: Sequence[Order]) -> None:
        """The sizing's decision: `accepted → planned`, with its orders in state PLANNED."""
        ...

    def extend(self, legs: Sequence[Order]) -> None:
        """Further legs of a planned entry. One that is there stays; an ended stop's next comes instead."""
        ...

    def refuse(self, intent: Intent, refusal: Refusal) -> None:
        """The sizing's other decision: `accepted → refused`."""
        ...

    def claim(
        self, account: str, *, now: float, window: float, limit: int, entries: bool = True
    ) -> list[Order]:
        """`planned → sending` with `send_by = now + window`, for what may be sent now.

        Exits go before entries; which orders may overtake is `domain.dispatch`'s decision. Attached
        legs are claimed together with their entry. What is past `good_until` is refused as stale, and so
        is a planned entry that the trading state has come to forbid; a close that late goes, with an alarm.
        Without `entries` only exits are claimed (breaker open, account not ready).
        """
        ...

    def settle(self, order_id: str, report: Report, now: float) -> Order:
        """Write down what the exchange proves: state, new fills (each once), position, alert's state.
        A report that says less than is known already changes nothing. Raises IllegalTransition.
        """
        ...

    def adopt(self, order: Order, report: Report, now: float) -> None:
        """An order of the exchange's own making (a liquidation), with what it proves; once."""
        ...

    def mark(
        self, order_id: str, state: State, reason: str, now: float, *, send_by: float | None = None
    ) -> Order:
        """A state without an exchange's report: UNKNOWN, REJECTED, REFUSED, CANCELED.

        `send_by` names the claim that this is about. Raises StaleClaim if there was another since.
        """
        ...

    def retry(
        self,
        order_id: str,
        *,
        reason: str,
        not_before: float,
        now: float,
        attempt: int,
        send_by: float | None,
    ) -> Order:
        """`sending | unknown → planned`: proven not placed. A higher `attempt` gets a new client id.

        `send_by` names the claim that this is about. Raises StaleClaim if there was another since: a
        late proof about an earlier request must never free a later one to be sent twice.
        """
        ...

    def detach(self, order_id: str, now: float, *, reason: str, send_by: float | None) -> Order:
        """From now on an attached leg is an order of its own.

        One that is still in flight is proven not to have come along with its entry: it is planned anew,
        held and under a new client id. `send_by` and StaleClaim as in `retry`.
        """
        ...

    def release(self, order_id: str, amount: Decimal, now: float) -> Order:
        """A held order may be sent from now on, for that amount."""
        ...

    def request_cancel(
        self, order_ids: Sequence[str], now: float, by: str, *, waive: bool = False
    ) -> list[Order]:
        """Mark for cancelling; planned ones are canceled at once. Returns those not at rest.

        `waive`: a human wants it so, and a stop among them is not put back.
        """
        ...

    def set_trading(
        self, account: str | None, state: TradingState, by: str, now: float, *, why: str = ""
    ) -> None:
        """`why` is a rule's own reason: without one it is a human's word."""
        ...

    def set_equity_peak(self, account: str, peak: Peak) -> None: ...
    def note_unprotected(self, entry: Order, detail: str, now: float) -> bool:
        """An alarm `position.unprotected`, once an entry; whether this was the one. Raises JournalFull."""
        ...

    def probe(self) -> None:
        """A write that changes nothing, so that its commit shows whether the disk answers."""
        ...

    def carry(self, carried: Carried) -> None:
        """From now on this stands for the market's fills up to its number: `domain.retention` says when."""
        ...

    def forget(self, alert_ids: Sequence[str], horizon: float) -> int:
        """Delete those that still are `forgettable`, with all that belongs to them; how many it was."""
        ...

    def trim(self, exported: int, horizon: float, limit: int) -> int:
        """Delete the oldest events, at most `limit`, none after record `exported` or `horizon`; how many.
        The last one's number and hash stay as the anchor of those that follow.
        """
        ...

    def note(self, kind: str, *, account: str | None = None, **data: Any) -> None:
        """An event that changes nothing else: start, stop, alarm, refused request."""
        ...


class Store(Protocol):
    """An engine: `commit` in its writer thread, `read` in any other. Both block."""

    def commit(self, operations: Sequence[Callable[[Ledger], Any]]) -> "Committed":
        """Run all in one transaction with one fsync; each that raises is rolled back alone.
        Raises JournalFull, JournalBusy (nothing of the batch is stored) or JournalBroken.
        """
        ...

    def read(self, query: Callable[[Reader], R]) -> R: ...
    def close(self) -> None: ...


class Committed(Struct, frozen=True):
    """What a batch came to, in order, and the events it appended."""

    results: tuple[Any, ...]  # a value, or the Exception that this operation raised
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """The journal's one message: a change, and where to tell that it is on disk."""

    operation: Callable[[Ledger], Any]
    reply: Reply[Any]


class Journal:
    """The way to the ledger for every actor: writes go through the journal's mailbox, reads do not."""

    def __init__(self, ref: Ref[Write], store: Store) -> None:
        self._ref = ref
        self._store = store

    async def write(self, operation: Callable[[Ledger], R], *, within: float = 5.0) -> R:
        """Run one change; return when it is on disk.

        Raises what the operation raises, JournalFull or JournalBusy, or `trio.TooSlowError`: then
        treat its effect as unknown.
        """
        return await ask(self._ref, lambda reply: Write(operation, reply), within=within)

    async def write_all(self, operations: Sequence[Callable[[Ledger], Any]], *, within: float = 5.0) -> None:
        """Run changes in this order; return when all are on disk. One that raises does not undo the others.

        Raises as `write`, the first error, or Overloaded; but only when each change has been answered,
        so that what is still unchanged then may be decided anew.
        """
        writes = [Write(operation, Reply[Any]()) for operation in operations]
        taken = [write for write in writes if self._ref.offer(write)]  # at one go: one commit takes them all
        with trio.fail_after(within):
            for write in taken:
                await write.reply.done()
        for write in taken:
            await write.reply.get()
        if len(taken) < len(writes):
            raise Overloaded("the journal's mailbox is full")

    async def offer(self, operation: Callable[[Ledger], R], *, within: float = 5.0) -> R:
        """As `write`, but refused at once when the mailbox is full. Raises Overloaded."""
        reply = Reply[R]()
        if not self._ref.offer(Write(operation, reply)):
            raise Overloaded("the journal's mailbox is full")
        with trio.fail_after(within):
            return await reply.get()

    async def read(self, query: Callable[[Reader], R], *, within: float = math.inf) -> R:
        """Answer a question from what is committed, in a worker thread.

        Raises `trio.TooSlowError`: the thread is left to itself, its answer is dropped. Without
        `within` the read is awaited to its end, also when the asker is cancelled.
        """
        with trio.fail_after(within):
            return await in_thread(self._store.read, query, abandon_on_cancel=within < math.inf)


@contextmanager
def losing(log: Any, kind: str) -> Iterator[None]:
    """The audit record that is written within may be lost, with a full disk: what it tells of may not."""
    try:
        yield
    except (Overloaded, Fatal, trio.TooSlowError) as error:  # a broken journal ends the daemon by itself
        log.warning("audit_record_lost", kind=kind, reason=str(error) or "the journal is slow")
