"""The ledger on SQLite: alerts, intents and their orders; see `fks.ledger.Ledger` for what it promises.

Each operation runs inside a savepoint of the store's transaction: what raises is undone whole.
"""

from collections.abc import Sequence

from fks.domain import outcome
from fks.domain.errors import Refusal
from fks.domain.events import MISDIRECTED, Kind, alert_event
from fks.domain.ids import RESEND_S
from fks.domain.messages import Acceptance, Intent, IntentState, NewAlert, Order, TradingState, Verdict
from fks.domain.money import plain
from fks.domain.orders import IllegalTransition
from fks.domain.trading_state import Peak
from fks.infra import sqlite_codec as codec
from fks.infra.sqlite_orders import SqliteOrders
from fks.infra.sqlite_pruning import SqlitePruning


class SqliteLedger(SqliteOrders, SqlitePruning):
    """All changes; what concerns one order is in SqliteOrders, what is deleted in SqlitePruning."""

    def accept(self, new: NewAlert) -> Acceptance:
        """See Ledger. Raises JournalFull while the disk is full."""
        self._need_space()
        accounts = tuple(dict.fromkeys(new.accounts))
        if not accounts:
            raise ValueError("an alert needs an account")
        known = self.first("SELECT id, digest FROM alert WHERE key = ?", new.key) or self._resent(new)
        if known is not None:
            if known[1] == new.digest:
                return Acceptance(Verdict.DUPLICATE, known[0])
            self._event(Kind.ALERT_CONFLICT, {"sender": new.source, "digest": new.digest}, alert_id=known[0])
            detail = "an alert came with the key of this one and another body; it was refused"
            self._event(Kind.ALARM, {"code": "alert.conflict", "detail": detail}, alert_id=known[0])
            return Acceptance(Verdict.CONFLICT, known[0])
        values = (
            new.id, new.key, new.digest, new.source, outcome.AlertState.ACCEPTED.value, new.alert.symbol,
            new.alert.action.value, new.alert.strategy, codec.body_text(new.body),
            codec.alert_text(new.alert), new.received_at, new.good_until, new.received_at,
        )  # fmt: skip
        self.rows(
            "INSERT INTO alert(id, key, digest, source, state, symbol, action, strategy, body, alert,"
            " received_at, good_until, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            *values,
        )
        for account in accounts:
            self.rows("INSERT INTO intent(alert_id, account) VALUES (?, ?)", new.id, account)
        told = {
            "sender": new.source,
            "strategy": new.alert.strategy,
            "symbol": new.alert.symbol,
            "action": new.alert.action,
            "accounts": accounts,
            "digest": new.digest,
        }
        self._event(alert_event(outcome.AlertState.ACCEPTED), told, alert_id=new.id)
        return Acceptance(Verdict.FRESH, new.id)

    def _resent(self, new: NewAlert) -> codec.Row | None:
        """The alert that this one is sent again of, where only its body and the moment tell."""
        sql = "SELECT id, digest FROM alert WHERE key = ? AND abs(received_at - ?) < ?"
        found = (self.first(sql, key, new.received_at, RESEND_S) for key in new.resend_keys)
        return next((row for row in found if row is not None), None)

    def plan(self, intent: Intent, orders: Sequence[Order]) -> None:
        """See Ledger. Raises IllegalTransition when the intent was decided already."""
        self._decide(intent, IntentState.PLANNED)
        self._event(
            Kind.INTENT_PLANNED,
            {"orders": [order.id for order in orders]},
            intent.alert_id,
            None,
            intent.account,
        )
        for order in sorted(orders, key=lambda one: one.parent is not None):  # a leg refers to its entry
            if (order.alert_id, order.account) != (intent.alert_id, intent.account):
                raise ValueError(f"order {order.id} belongs to another intent")
            self._insert(order)
        self._restate(intent.alert_id)

    def refuse(self, intent: Intent, refusal: Refusal) -> None:
        """See Ledger. Raises IllegalTransition when the intent was decided already."""
        self._decide(intent, IntentState.REFUSED, refusal.detail, refusal.code)
        told = {"code": refusal.code, "reason": refusal.detail, "symbol": intent.alert.symbol}
        self._event(Kind.INTENT_REFUSED, told, intent.alert_id, None, intent.account)
        if refusal.code in MISDIRECTED or refusal.code == "gate.stale":  # it was accepted in time
            alarm = {"code": refusal.code, "detail": refusal.detail}
            self._event(Kind.ALARM, alarm, intent.alert_id, None, intent.account)
        self._restate(intent.alert_id)

    def _decide(
        self, intent: Intent, state: IntentState, reason: str | None = None, code: str | None = None
    ) -> None:
        decided = self.first(
            "UPDATE intent SET state = ?, reason = ?, code = ? WHERE alert_id = ? AND account = ?"
            " AND state = 'accepted' RETURNING n",
            state.value, reason, code, intent.alert_id, intent.account,
        )  # fmt: skip
        if decided is None:
            raise IllegalTransition(
                f"the intent of {intent.alert_id} for {intent.account} is decided already"
            )

    def set_trading(
        self, account: str | None, state: TradingState, by: str, now: float, *, why: str = ""
    ) -> None:
        """See Ledger."""
        resumed = now if state is TradingState.ACTIVE and not why else 0.0
        self.rows(
            "INSERT INTO trading(account, state, by, at, why, resumed_at) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT DO UPDATE SET state = excluded.state, by = excluded.by, at = excluded.at,"
            " why = excluded.why, resumed_at = max(resumed_at, excluded.resumed_at)",
            account or "", state.value, by, now, why, resumed,
        )  # fmt: skip
        told = {"state": state, "by": by} | ({"why": why} if why else {})
        self._event(Kind.TRADING_STATE, told, account=account)

    def set_equity_peak(self, account: str, peak: Peak) -> None:
        """See Ledger."""
        self.rows(
            "INSERT INTO equity_peak(account, equity, at) VALUES (?,?,?) ON CONFLICT DO UPDATE"
            " SET equity = excluded.equity, at = excluded.at",
            account, plain(peak.equity), peak.at,
        )  # fmt: skip

    def note_unprotected(self, entry: Order, detail: str, now: float) -> bool:
        """See Ledger."""
        self._need_space()
        new = self.first(
            "INSERT INTO unprotected(order_id, at) VALUES (?,?) ON CONFLICT DO NOTHING RETURNING at",
            entry.id, now,
        )  # fmt: skip
        if new is not None:
            told = {"code": "position.unprotected", "detail": detail}
            self._event(Kind.ALARM, told, entry.alert_id, entry.id, entry.account)
        return new is not None
