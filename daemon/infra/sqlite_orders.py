"""Changes of orders; see `fks.ledger.Ledger` for what they promise.

Every change of an order brings its event, what follows for its legs, and its alert's state with it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from fks.domain import book, ids, outcome, protection
from fks.domain.dispatch import dispatchable, is_exit
from fks.domain.errors import Refusal, StaleClaim
from fks.domain.events import Kind, alert_event, order_event
from fks.domain.messages import Fill, Order, Position, Report, TradingState
from fks.domain.money import ZERO, plain
from fks.domain.orders import ENDED_SHORT, IN_FLIGHT, IllegalTransition, Leg, State, advance
from fks.domain.risk import check_trading, effective_trading
from fks.infra import sqlite_codec as codec
from fks.infra.sqlite_chain import SqliteChain
from fks.infra.sqlite_reader import INDEXED
from fks.infra.sqlite_schema import UNFINISHED
from fks.infra.sqlite_shares import book_shares

_MARKS = frozenset({State.UNKNOWN, State.REJECTED, State.REFUSED, State.CANCELED})
_NO_EXECUTION = ENDED_SHORT | {State.REJECTED, State.REFUSED}
_CHANGING = tuple(
    name for name in Order.__struct_fields__ if name not in ("id", "alert_id", "account", "created_at")
)
_INSERT = f"INSERT INTO order_({codec.ORDER}) VALUES ({', '.join('?' * len(Order.__struct_fields__))})"  # noqa: S608 - our own constants
_UPDATE = f"UPDATE order_ SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ?"  # noqa: S608 - our own constants


class SqliteOrders(SqliteChain):
    """What becomes of an order, from its claim to its rest."""

    def claim(
        self, account: str, *, now: float, window: float, limit: int, entries: bool = True
    ) -> list[Order]:
        """See Ledger. `limit` counts requests: an entry with its attached legs is one."""
        self._refuse_stale(account, now)
        self._refuse_barred(account, now)
        ready = [one for one in dispatchable(self.live_orders(account), now) if entries or is_exit(one)]
        claimed = []
        for order in ready[:limit]:
            self._tell_late(order, now)
            claimed.append(self._send(order, now, window))
            self.rows("UPDATE attempt SET sent_at = ? WHERE client_order_id = ?", now, order.client_order_id)
            legs = [leg for leg in self.legs_of(order.id) if leg.attached and leg.state is State.PLANNED]
            claimed.extend(self._send(leg, now, window) for leg in legs)
        return claimed

    def _send(self, order: Order, now: float, window: float) -> Order:
        return self._change(order, order_to(order, State.SENDING), now, send_by=now + window, reason=None)

    def _tell_late(self, order: Order, now: float) -> None:
        """Once. A close, be it of a part, goes at any age, for what it ends is still there; a leg's time is
        its entry's fill, and a close that a limit has made is late from the start.
        """
        late = now - order.good_until
        if order.leg.protective or late <= 0 or order.good_until <= order.created_at:
            return
        was_late = "SELECT 1 FROM attempt WHERE order_id = ? AND sent_at > ?"
        if self.first(was_late, order.id, order.good_until) is None:
            detail = (
                f"{order.side} of {plain(order.amount)} {order.symbol} is sent {late:.0f} s after its time"
            )
            told = {"code": "order.late", "detail": f"{detail}: see whether it was still wanted"}
            self._event(Kind.ALARM, told, order.alert_id, order.id, order.account)

    def _refuse_stale(self, account: str, now: float) -> None:
        stale = (
            f"account = ? AND {UNFINISHED} AND state = 'planned' AND leg = 'entry' AND good_until < ?"
            " AND NOT (reduce_only AND type = 'market')"
        )
        for order in self._orders(f"{stale} ORDER BY n", account, now, table=INDEXED):
            self._change(order, State.REFUSED, now, reason="stale")
            late = now - order.good_until
            detail = f"{order.side} {order.symbol} was {late:.1f} s too old to be sent, so nothing was sent"
            told = {"code": "stale", "detail": detail}
            self._event(Kind.ALARM, told, order.alert_id, order.id, order.account)
            self._after(order.id, now)

    def _refuse_barred(self, account: str, now: float) -> None:
        """What was decided before trading was halted, or was to reduce only, and has not gone yet."""
        state = effective_trading(self.trading(), account)
        if state is TradingState.ACTIVE:
            return
        exposure = self.exposure(account, now)
        ahead: list[Order] = []
        for order in exposure.live:
            if order.state is State.PLANNED and order.leg is Leg.ENTRY:
                try:
                    check_trading(state, replace(exposure, live=tuple(ahead)), order)
                except Refusal as no:
                    self._change(order, State.REFUSED, now, reason=f"{no.code}: {no.detail}")
                    self._after(order.id, now)
                    continue
            ahead.append(order)

    def settle(self, order_id: str, report: Report, now: float) -> Order:
        """See Ledger. What was executed is recorded even where the state stays."""
        order = self._known(order_id)
        state = book.standing(order, report)
        recorded = self.fills_of(order_id)
        fills = book.new_fills(order, report, recorded, self._taken(order.account, report), now)
        told = report.average if report.filled >= order.filled else None
        after = self._change(
            order,
            state,
            now,
            exchange_order_id=report.exchange_order_id or order.exchange_order_id,
            filled=max(order.filled, report.filled),
            average=told or (book.mean_price([*recorded, *fills]) if fills else order.average),
            reason=order.reason if state is order.state else report.reason,
        )
        for fill in fills:
            self._book(after, fill, now)
        self._tell_late_fill(order, after)
        if fills:
            self._renew_stop(order.parent if order.leg.protective else order_id)
        self._after(order_id, now)
        return after

    def _tell_late_fill(self, before: Order, after: Order) -> None:
        if before.state in ENDED_SHORT and after.filled > before.filled:
            late = f"{after.side} of {plain(after.filled - before.filled)} {after.symbol}"
            detail = f"{late} shows after the order was {before.state}: see whether the position is right"
            told = {"code": "order.filled_late", "detail": detail}
            self._event(Kind.ALARM, told, after.alert_id, after.id, after.account)

    def _renew_stop(self, entry_id: str | None) -> None:
        """No fill without a stop that waits for it, where the alert asked for one."""
        if entry_id is not None:
            self.extend(protection.renewed(self._family(entry_id)))

    def _family(self, entry_id: str) -> protection.Family:
        return protection.Family(self._known(entry_id), tuple(self.legs_of(entry_id)))

    def extend(self, legs: Sequence[Order]) -> None:
        """See Ledger."""
        for leg in legs:
            wanted, there = leg, self._orders("id = ?", leg.id)
            while there and there[0].at_rest and there[0].leg is Leg.STOP_LOSS:
                wanted = protection.successor(there[0], leg.amount)
                there = self._orders("id = ?", wanted.id)
            if not there:
                self._insert(wanted)

    def adopt(self, order: Order, report: Report, now: float) -> None:
        """See Ledger."""
        if not self.rows("SELECT 1 FROM order_ WHERE id = ?", order.id):
            self._insert(order)
            self._send(order, now, 0.0)
            self.settle(order.id, report, now)

    def _insert(self, order: Order) -> None:
        self.connection.execute(_INSERT, codec.order_values(order))
        self._new_attempt(order)
        self._order_event(order_event(order.state), order)

    def _taken(self, account: str, report: Report) -> set[str]:
        """Which of the report's trade ids are recorded, for this order or (some exchanges) for another."""
        sql = "SELECT 1 FROM fill WHERE account = ? AND trade_id = ?"
        return {trade.id for trade in report.trades if self.first(sql, account, trade.id)}

    def _book(self, order: Order, fill: Fill, now: float) -> None:
        row = self.first(
            f"SELECT {codec.POSITION} FROM position WHERE account = ? AND symbol = ?",  # noqa: S608 - our own constants
            order.account,
            order.symbol,
        )
        before = codec.position(row) if row else Position(account=order.account, symbol=order.symbol)
        after = book.apply(before, order.side, fill, *book.currencies(order.symbol))
        realized = book.EXACT.subtract(after.realized, before.realized)
        numbers = [plain(one) for one in (after.amount, after.average, after.realized, after.fees)]
        self.rows(
            "INSERT INTO position(account, symbol, amount, average, realized, fees, updated_at)"
            " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET amount = excluded.amount,"
            " average = excluded.average, realized = excluded.realized, fees = excluded.fees,"
            " updated_at = excluded.updated_at",
            order.account, order.symbol, *numbers, now,
        )  # fmt: skip
        self.rows(
            "INSERT INTO fill(order_id, account, trade_id, time, price, amount, fee, fee_currency, fee_quote,"
            " realized) VALUES (?,?,?,?,?,?,?,?,?,?)",
            order.id, order.account, fill.trade_id, fill.time, plain(fill.price), plain(fill.amount),
            plain(fill.fee), fill.fee_currency, plain(book.EXACT.subtract(after.fees, before.fees)),
            plain(realized),
        )  # fmt: skip
        book_shares(self.connection, order, fill, before.amount)
        told = {
            "leg": order.leg, "symbol": order.symbol, "side": order.side, "trade_id": fill.trade_id,
            "price": plain(fill.price), "amount": plain(fill.amount), "fee": plain(fill.fee),
            "fee_currency": fill.fee_currency, "client_order_id": order.client_order_id,
            "exchange_order_id": order.exchange_order_id, "filled": plain(order.filled),
            "position": plain(after.amount), "realized": plain(realized),
        }  # fmt: skip
        self._event(Kind.FILL, told, order.alert_id, order.id, order.account)

    def mark(
        self, order_id: str, state: State, reason: str, now: float, *, send_by: float | None = None
    ) -> Order:
        """See Ledger. Legs that travelled with the order share its fate."""
        if state not in _MARKS:
            raise ValueError(f"{state} needs an exchange's report")
        order = self._known(order_id)
        _check_claim(order, send_by)
        if order.state is state:
            return order
        after = self._change(order, order_to(order, state), now, reason=reason)
        if state is State.UNKNOWN:
            for leg in self._passengers(order_id):
                self._change(leg, order_to(leg, state), now, reason=reason)
        self._after(order_id, now)
        return after

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
        """See Ledger. A repeated call changes nothing; one that is to be canceled is canceled instead."""
        order = self._known(order_id)
        if order.state is State.PLANNED:
            return order
        _check_claim(order, send_by)
        after = self._again(order, reason, not_before, now, attempt)
        for leg in self._passengers(order_id):
            self._again(leg, reason, 0.0, now, leg.attempt + (after.attempt - order.attempt))
        self._after(order_id, now)
        return after

    def _again(self, order: Order, reason: str, not_before: float, now: float, attempt: int) -> Order:
        if attempt < order.attempt:
            raise ValueError(f"order {order.id} is at attempt {order.attempt} already, not {attempt}")
        planned = order_to(order, State.PLANNED)
        if order.cancel_requested:
            return self._change(order, State.CANCELED, now, reason=f"cancel requested; not placed: {reason}")
        client_id = order.client_order_id
        if attempt > order.attempt:
            client_id = ids.client_order_id(order.alert_id, order.account, order.id, attempt)
            self._new_attempt(replace(order, client_order_id=client_id, attempt=attempt))
        return self._change(
            order,
            planned,
            now,
            reason=reason,
            not_before=not_before,
            attempt=attempt,
            client_order_id=client_id,
            send_by=None,
        )

    def detach(self, order_id: str, now: float, *, reason: str, send_by: float | None) -> Order:
        """See Ledger. A repeated call changes nothing."""
        order = self._known(order_id)
        if order.attached and order.state in IN_FLIGHT:
            _check_claim(order, send_by)
            order = self._again(order, reason, protection.HELD, now, order.attempt + 1)
        after = self._change(order, order.state, now, attached=False)
        self._after(order_id, now)
        return after

    def release(self, order_id: str, amount: Decimal, now: float) -> Order:
        """See Ledger. Raises IllegalTransition when the order is not waiting."""
        order = self._known(order_id)
        if order.state is not State.PLANNED or order.attached:
            raise IllegalTransition(
                f"{order.leg} {order_id} is {order.state}: only a waiting order is released"
            )
        if amount <= ZERO:
            raise ValueError(f"{order_id} cannot be released for {amount}")
        after = self._change(order, State.PLANNED, now, amount=amount, not_before=0.0)
        if after is not order:
            self._order_event(Kind.ORDER_RESIZED, after, {"planned_amount": plain(order.amount)})
        return after

    def request_cancel(
        self, order_ids: Sequence[str], now: float, by: str, *, waive: bool = False
    ) -> list[Order]:
        """See Ledger. Asking again changes nothing."""
        live = []
        for order_id in order_ids:
            order = self._known(order_id)
            if order.state is State.PLANNED:
                why = f"canceled by {by}"
                self._change(order, State.CANCELED, now, cancel_requested=True, reason=why, waived=waive)
                self._after(order_id, now)
            elif not order.at_rest:
                asked = self._change(
                    order, order.state, now, cancel_requested=True, waived=order.waived or waive
                )
                if asked is not order:
                    self._order_event(Kind.CANCEL_REQUESTED, asked, {"by": by})
                live.append(asked)
        return live

    def _known(self, order_id: str) -> Order:
        found = self._orders("id = ?", order_id)
        if not found:
            raise KeyError(f"the journal has no order {order_id}")
        return found[0]

    def _passengers(self, entry_id: str) -> list[Order]:
        """Attached legs that were sent with their entry and of which nothing is known apart from it."""
        return [leg for leg in self.legs_of(entry_id) if leg.attached and leg.state in IN_FLIGHT]

    def _new_attempt(self, order: Order) -> None:
        self.rows(
            "INSERT INTO attempt(client_order_id, order_id, account, attempt) VALUES (?,?,?,?)",
            order.client_order_id, order.id, order.account, order.attempt,
        )  # fmt: skip

    def _change(self, order: Order, state: State, now: float, *, alarm: bool = True, **changes: Any) -> Order:
        """Write the changed columns, and the event where the state changed. The same order: no change."""
        after = replace(order, state=state, **changes)
        if after == order:
            return order
        after = replace(after, updated_at=now)
        values = [codec.value(getattr(after, name)) for name in _CHANGING]
        self.connection.execute(_UPDATE, [*values, order.id])
        if state is not order.state:
            self._order_event(order_event(state), after)
            if state is State.REJECTED and alarm:  # an accepted alert has not become what it asked for
                told = {"code": "order.rejected", "detail": after.reason or "the exchange gave no reason"}
                self._event(Kind.ALARM, told, order.alert_id, order.id, order.account)
        return after

    def _after(self, order_id: str, now: float) -> None:
        """What follows from an order's new state: for its waiting legs, and for its alert."""
        order = self._known(order_id)
        if order.state in _NO_EXECUTION and order.filled == ZERO:
            # Without an entry there is nothing to protect; what travelled with it never existed either.
            waiting = [leg for leg in self.legs_of(order_id) if leg.state is State.PLANNED]
            refused = order.state in (State.REJECTED, State.REFUSED)
            for leg in waiting:
                state = State.REFUSED if refused else State.CANCELED
                # Ours to end: should the entry turn out to have filled, its stop comes back.
                reason = f"its {order.leg} is {order.state}"
                self._change(leg, state, now, reason=reason, cancel_requested=not refused)
                self._after(leg.id, now)
            for leg in self._passengers(order_id):
                fate, why = order_to(leg, order.state), f"its entry is {order.state}"
                self._change(leg, fate, now, alarm=False, reason=why)  # the entry's own alarm says it
        if order.leg is Leg.CLOSE and order.state in _NO_EXECUTION:
            self._guard_again(order)
        self._restate(order.alert_id)

    def _guard_again(self, close: Order) -> None:
        """A close that has not sold all has canceled the stops of what is left: they come back."""
        where = (
            f"account = ? AND symbol = ? AND leg = '{Leg.STOP_LOSS}' AND cancel_requested AND updated_at >= ?"
        )
        stops = self._orders(where, close.account, close.symbol, close.created_at)
        for entry_id in dict.fromkeys(stop.parent for stop in stops if stop.parent):
            self.extend(protection.restored(self._family(entry_id)))

    def _restate(self, alert_id: str) -> None:
        row = self.first("SELECT state, symbol, action FROM alert WHERE id = ?", alert_id)
        intents, orders = self.intents_of(alert_id), self.orders_of(alert_id)
        state = outcome.alert_state(intents, orders)
        if row is None or row[0] == state:
            return
        self.rows(
            "UPDATE alert SET state = ?, updated_at = ? WHERE id = ?", state.value, self._wall(), alert_id
        )
        reasons = [one.reason for one in intents if one.reason] + [one.reason for one in orders if one.reason]
        told = {"symbol": row[1], "action": row[2], "reasons": reasons}
        self._event(alert_event(state), told, alert_id=alert_id)


def order_to(order: Order, to: State) -> State:
    """`to`, if the table allows it for `order`. Raises IllegalTransition that names the order."""
    try:
        return advance(order.state, to)
    except IllegalTransition as error:
        raise IllegalTransition(f"order {order.id}: {error}") from None


def _check_claim(order: Order, send_by: float | None) -> None:
    if send_by is not None and order.send_by != send_by:
        raise StaleClaim(f"order {order.id} was claimed again since; nothing was changed")
