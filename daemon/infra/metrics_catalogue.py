"""Every metric there is, in one place: name, type, labels, what it tells and who tells it.

`fks_` goes before each name, and `_total` behind a counter's. `docs/metrics.md` is made of this, and the
dashboard and the rules in `etc/` are held against it. Labels are words of the code or of the
configuration, or markets of an exchange; never an id, and nothing that a sender chose.
"""

from typing import Literal

from msgspec import Struct

MAX_SERIES = 500  # label sets of one metric: a few accounts x endpoints x results stay well below

_REPLY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0)  # TradingView: 3 s
_WIRE_S = (*_REPLY_S, 10.0, 30.0, 60.0, 300.0)  # an alert may wait until it is stale
_DISK_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_EXCHANGE_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_AGE_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_BATCH = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)


class Family(Struct, frozen=True, kw_only=True):
    """One metric. `text` is its HELP, with the unit; `source` the actor or room that measures it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    source: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def exposed(self) -> str:
        """As Prometheus knows it; a histogram's samples have `_bucket`, `_sum` and `_count` behind it."""
        return f"fks_{self.name}{'_total' if self.kind == 'counter' else ''}"


def _counter(name: str, source: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="counter", text=text, source=source, labels=labels)


def _gauge(name: str, source: str, text: str, *labels: str) -> Family:
    return Family(name=name, kind="gauge", text=text, source=source, labels=labels)


def _histogram(name: str, source: str, buckets: tuple[float, ...], text: str, *labels: str) -> Family:
    return Family(name=name, kind="histogram", text=text, source=source, labels=labels, buckets=buckets)


SECTIONS: dict[str, tuple[Family, ...]] = {
    "The door": (
        _counter("webhook_requests", "front", "Requests to the webhook by status of the reply", "status"),
        _histogram(
            "webhook_duration_seconds",
            "front",
            _REPLY_S,
            "From a request to its reply, with the wait for the order's outcome (webhook.wait_s)",
        ),
        _histogram(
            "webhook_ack_seconds",
            "front",
            _REPLY_S,
            "From a request to its alert being on disk: what must stay below a sender's patience (3 s)",
        ),
        _histogram(
            "alert_age_seconds",
            "front",
            _AGE_S,
            "From an alert's own timestamp to its arrival, as both clocks say",
        ),
        _counter(
            "alerts_received",
            "front",
            "Valid alerts: fresh, duplicate (seen before), conflict (same key, other body); "
            "sender is the name of its secret",
            "verdict",
            "sender",
        ),
        _gauge(
            "alert_last_timestamp_seconds",
            "front",
            "When the last fresh alert came (UTC epoch), 0 for none yet",
        ),
        _counter(
            "webhook_validation_failures",
            "front",
            "Authentic alerts that were refused at the door, by code",
            "reason",
        ),
        _counter("webhook_signature_failures", "front", "Requests without a valid signature or secret"),
        _counter("rate_limit_rejections", "front", "Requests over a rate limit of [webhook]", "scope"),
        _gauge(
            "accepting_alerts", "supervisor", "1 while alerts are taken (as /readyz), 0 while they get a 503"
        ),
        _gauge(
            "secret_expiry_timestamp_seconds",
            "configuration",
            "When a webhook secret ends (UTC epoch); only of those that have an end",
            "sender",
        ),
    ),
    "Alerts and orders": (
        _counter(
            "alerts",
            "metrics",
            "Alerts that came to this state: accepted, working, placed, done, refused",
            "state",
        ),
        _histogram(
            "alert_to_wire_seconds",
            "metrics",
            _WIRE_S,
            "From an alert being on disk to its first order being sent to the exchange",
        ),
        _counter(
            "order_executions", "metrics", "Orders executed, wholly or partly", "account", "side", "leg"
        ),
        _counter(
            "order_failures",
            "metrics",
            "Orders that were rejected by the exchange, refused by us, or came to be unknown; "
            "refusals before there is an order by the code's first word (risk, sizing, ...)",
            "account",
            "reason",
        ),
        _histogram(
            "order_duration_seconds",
            "metrics",
            _EXCHANGE_S,
            "From sending an order to the exchange's word on it; unknown is no word",
            "account",
        ),
        _counter("fills", "metrics", "Fills recorded", "account"),
        _counter(
            "unknown_outcomes", "metrics", "Orders whose answer proved nothing; each is looked up", "account"
        ),
        _gauge("unknown_orders", "exchange", "Orders whose outcome is not known at the moment", "account"),
        _gauge(
            "foreign_orders",
            "reconciler",
            "Open orders on the exchange that are not ours; left alone",
            "account",
        ),
        _gauge(
            "oldest_unknown_seconds",
            "metrics",
            "For how long the oldest unknown order has been so, 0 for none",
            "account",
        ),
        _gauge("open_orders", "metrics", "Orders that are not at rest, by state", "account", "state"),
        _gauge("backlog", "metrics", "Alerts without a decision plus orders planned or in flight"),
        _counter("alarms", "metrics", "Alarms: what a human must look at, by code", "code"),
    ),
    "Accounts": (
        _gauge(
            "account_info",
            "configuration",
            "1; what an account is: exchange type, live or dry_run",
            "account",
            "type",
            "mode",
        ),
        _gauge("account_ready", "exchange, reconciler", "1 when entries may go to the account", "account"),
        _gauge("account_reachable", "exchange", "1 when its exchange answered the last request", "account"),
        _gauge(
            "account_failed",
            "exchange",
            "1 when it takes no entries until the daemon is started anew",
            "account",
        ),
        _gauge(
            "trading_state",
            "metrics",
            "0 active, 1 reduce only, 2 halted; account all holds for every account",
            "account",
        ),
        _gauge(
            "circuit_breaker_state",
            "exchange",
            "0 closed, 1 half open, 2 open: entries are held back",
            "account",
        ),
        _gauge(
            "unprotected_seconds",
            "guard",
            "For how long the worst filled entry has been without the stop it asked for, 0 for none",
            "account",
        ),
        _gauge("position", "metrics", "Position in base units, above zero is long", "account", "symbol"),
        _gauge(
            "position_average_price",
            "metrics",
            "Mean entry price of the position, quote currency",
            "account",
            "symbol",
        ),
        _gauge(
            "position_realized",
            "metrics",
            "Profit taken so far, before fees, in quote currency",
            "account",
            "symbol",
        ),
        _gauge("position_fees", "metrics", "Fees paid so far, quote currency", "account", "symbol"),
        _gauge(
            "position_drift",
            "reconciler",
            "The exchange's position minus the book's, base units; 0 once they agree again",
            "account",
            "symbol",
        ),
        _gauge(
            "reconciled_timestamp_seconds",
            "reconciler",
            "When the book was last held against the exchange (UTC epoch), 0 for never",
            "account",
        ),
        _gauge(
            "equity",
            "metrics",
            "Cash plus holdings at their last prices; of contracts the balance in their settlement currency",
            "account",
            "currency",
        ),
        _gauge(
            "balance_free",
            "follower",
            "What can be spent now, in units of the currency",
            "account",
            "currency",
        ),
        _gauge("balance", "follower", "As balance_free, with what open orders hold", "account", "currency"),
        _gauge(
            "balance_updated_timestamp_seconds",
            "follower",
            "When the balance was read (UTC epoch), 0 for never",
            "account",
        ),
    ),
    "Exchanges": (
        _histogram(
            "exchange_request_seconds",
            "account",
            _EXCHANGE_S,
            "One request to an exchange, by kind and by what its answer proved, waits for the rate limit too",
            "account",
            "endpoint",
            "result",
        ),
        _histogram(
            "throttle_wait_seconds",
            "venue",
            _EXCHANGE_S,
            "What a request waited for the exchange's rate limit; those that need not wait are not counted",
            "account",
        ),
        _gauge("clock_skew_seconds", "venue", "The exchange's clock minus ours", "account"),
    ),
    "Journal and machine": (
        _histogram(
            "journal_commit_seconds",
            "journal",
            _DISK_S,
            "One transaction with its fsync, and the hop to its thread",
        ),
        _histogram("journal_batch_size", "journal", _BATCH, "Writes in one transaction"),
        _counter(
            "journal_failures",
            "journal",
            "Transactions that were refused: full (disk), busy (locked)",
            "reason",
        ),
        _gauge("journal_sequence", "metrics", "Number of the newest event of the hash chain"),
        _counter("audit_events", "metrics", "Events of the journal's hash chain, by kind", "kind"),
        _gauge("file_bytes", "metrics", "Size of the daemon's files: journal, wal, audit", "file"),
        _gauge("disk_free_bytes", "metrics", "What the daemon may still write where its journal is"),
        _gauge(
            "book_timestamp_seconds",
            "metrics",
            "When orders, positions and files were last looked at, 0 for never",
        ),
        _gauge("mailbox_depth", "kernel", "Messages waiting in a mailbox", "actor"),
        _counter(
            "dropped_messages",
            "kernel",
            "Batches of events that a slow observer missed: counts fall short",
            "observer",
        ),
        _counter(
            "notifications",
            "notify",
            "Messages to humans: sent, failed (given up), dropped",
            "service",
            "result",
        ),
        _counter("actor_restarts", "kernel", "Actors built anew after a failure", "actor"),
        _counter("config_reloads", "supervisor", "Configurations read anew: ok, refused", "result"),
        _histogram(
            "loop_lag_seconds", "metrics", _LAG_S, "How late the event loop wakes a task, asked each second"
        ),
        _gauge("build_info", "supervisor", "1; which version runs on which Python", "version", "python"),
        _gauge("start_time_seconds", "supervisor", "When the daemon started (UTC epoch)"),
    ),
}

FAMILIES: dict[str, Family] = {one.name: one for section in SECTIONS.values() for one in section}
