"""What is counted and measured, under the names that dashboards rely on (prefix `fks_`).

Callers use the small methods of `Metrics`. Labels are words out of small sets, never an id; should a set
turn out larger than thought, the rest of it is counted together as `other`.
"""

import platform
from collections.abc import Sequence
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, values

from fks.infra.metrics_pulled import Pulled

C = TypeVar("C", Counter, Gauge, Histogram)

MAX_SERIES = 500  # label sets of one metric: a few accounts x endpoints x results stay well below

# Two process-wide switches of the library. With PROMETHEUS_MULTIPROC_DIR in the environment it would keep
# every value in a file there, for other processes; we are one. And each counter would have a `_created` twin.
values.ValueClass = values.MutexValue
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here

_REPLY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5)  # TradingView waits 3 s
_DISK_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
_EXCHANGE_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_AGE_S = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
_BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class _Family(Generic[C]):
    """A metric's children by label values, kept: 0.4 us a call against 1.9 us through the library."""

    def __init__(self, metric: C, labels: Sequence[str]) -> None:
        self._metric: C = metric
        self._other = ("other",) * len(labels)
        self._children: dict[tuple[str, ...], C] = {} if labels else {(): metric}

    def __call__(self, *words: str) -> C:
        child = self._children.get(words)
        if child is None:
            if len(self._children) >= MAX_SERIES:
                words = self._other
            child = self._children[words] = self._metric.labels(*words)
        return child


class Metrics:
    """All metrics of one daemon, on a registry of their own. For the event loop's thread only.

    Times are in seconds; `account`, `actor`, `endpoint` (a class such as `place`, `cancel`, `read`),
    `result`, `code` and `scope` are words of the code or of the configuration, never of a sender.
    """

    def __init__(self, version: str, started_at: float) -> None:
        """`started_at`: UTC epoch seconds."""
        self._registry = CollectorRegistry()
        self.pulled = Pulled()
        self._registry.register(self.pulled)
        ProcessCollector(registry=self._registry)
        self._door()
        self._orders()
        self._machine()
        self._gauge("build_info", "1, for what runs", "version", "python")(
            version, platform.python_version()
        ).set(1)
        self._gauge("start_time_seconds", "When the daemon started")().set(started_at)

    def text(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return prometheus_client.generate_latest(self._registry)

    def _door(self) -> None:
        self._requests = self._counter("webhook_requests", "Webhook requests by reply", "status")
        self._request_s = self._histogram("webhook_duration_seconds", "From request to reply", _REPLY_S)
        self._ack_s = self._histogram("webhook_ack_seconds", "From request to alert on disk", _REPLY_S)
        self._age_s = self._histogram("alert_age_seconds", "Of an alert when it arrives", _AGE_S)
        self._received = self._counter(
            "alerts_received", "Alerts: fresh, duplicate, conflict", "verdict", "sender"
        )
        self._invalid = self._counter("webhook_validation_failures", "Alerts refused, by code", "reason")
        self._unsigned = self._counter("webhook_signature_failures", "Requests of nobody known")
        self._limited = self._counter("rate_limit_rejections", "Requests over a rate limit", "scope")

    def _orders(self) -> None:
        self._alerts = self._counter("alerts", "Alerts that came to this state", "state")
        self._wire_s = self._histogram("alert_to_wire_seconds", "From acceptance to sending", _REPLY_S)
        self._executions = self._counter(
            "order_executions", "Orders executed, wholly or partly", "account", "side", "leg"
        )
        self._failures = self._counter(
            "order_failures", "Orders refused, rejected or unknown", "account", "reason"
        )
        self._order_s = self._histogram(
            "order_duration_seconds", "From sending to the exchange's word", _EXCHANGE_S, "account"
        )
        self._fills = self._counter("fills", "Fills recorded", "account")
        self._unknown = self._counter("unknown_outcomes", "Answers that proved nothing", "account")
        self._alarms = self._counter("alarms", "Alarms by code", "code")
        self._audit = self._counter("audit_events", "Events of the journal's chain", "kind")
        self._sequence = self._gauge("journal_sequence", "Number of the newest event seen")

    def _machine(self) -> None:
        self._exchange_s = self._histogram(
            "exchange_request_seconds", "Of one request", _EXCHANGE_S, "account", "endpoint", "result"
        )
        self._throttle_s = self._histogram(
            "throttle_wait_seconds", "Waited for the exchange's rate limit", _EXCHANGE_S, "account"
        )
        self._skew = self._gauge("clock_skew_seconds", "The exchange's clock minus ours", "account")
        self._equity = self._gauge("equity", "Cash and holdings, quote currency", "account")
        self._drift = self._gauge(
            "position_drift", "The exchange's position minus the journal's", "account", "symbol"
        )
        self._unprotected = self._gauge("unprotected_seconds", "Longest time without its stop", "account")
        self._commit_s = self._histogram("journal_commit_seconds", "One transaction with fsync", _DISK_S)
        self._batch = self._histogram("journal_batch_size", "Changes in one transaction", _BATCH)
        self._refused_commits = self._counter("journal_failures", "Transactions not stored", "reason")
        self._notified = self._counter(
            "notifications", "Messages to humans: sent, failed (given up), dropped", "service", "result"
        )
        self._restarts = self._counter("actor_restarts", "Actors rebuilt after a failure", "actor")
        self._reloads = self._counter("config_reloads", "Configurations read anew: ok, refused", "result")

    def _counter(self, name: str, text: str, *labels: str) -> _Family[Counter]:
        return _Family(Counter(name, text, labels, namespace="fks", registry=self._registry), labels)

    def _gauge(self, name: str, text: str, *labels: str) -> _Family[Gauge]:
        return _Family(Gauge(name, text, labels, namespace="fks", registry=self._registry), labels)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> _Family[Histogram]:
        metric = Histogram(name, text, labels, namespace="fks", registry=self._registry, buckets=buckets)
        return _Family(metric, labels)

    # The door

    def webhook(self, status: int, seconds: float) -> None:
        """One request, answered."""
        self._requests(str(status)).inc()
        self._request_s().observe(seconds)

    def acknowledged(self, seconds: float) -> None:
        """From the request to the alert being on disk."""
        self._ack_s().observe(seconds)

    def received(self, verdict: str, sender: str, age: float | None) -> None:
        """A valid alert and what the journal made of it; `age` by its own timestamp, `sender` by the name
        of its secret.
        """
        self._received(verdict, sender).inc()
        if age is not None:
            self._age_s().observe(age)

    def validation_failure(self, code: str) -> None:
        self._invalid(code).inc()

    def signature_failure(self) -> None:
        self._unsigned().inc()

    def rate_limited(self, scope: str) -> None:
        self._limited(scope).inc()

    # Committed facts

    def committed_event(self, kind: str, seq: int) -> None:
        self._audit(kind).inc()
        self._sequence().set(seq)

    def alert_came_to(self, state: str) -> None:
        self._alerts(state).inc()

    def sent(self, seconds_after_alert: float) -> None:
        self._wire_s().observe(seconds_after_alert)

    def executed(self, account: str, side: str, leg: str) -> None:
        self._executions(account, side, leg).inc()

    def failed(self, account: str, reason: str) -> None:
        self._failures(account, reason).inc()

    def order_took(self, account: str, seconds: float) -> None:
        self._order_s(account).observe(seconds)

    def filled(self, account: str) -> None:
        self._fills(account).inc()

    def unknown_outcome(self, account: str) -> None:
        self._unknown(account).inc()

    def alarm(self, code: str) -> None:
        self._alarms(code).inc()

    # Accounts

    def exchange_call(self, account: str, endpoint: str, result: str, seconds: float) -> None:
        self._exchange_s(account, endpoint, result).observe(seconds)

    def throttled(self, account: str, seconds: float) -> None:
        self._throttle_s(account).observe(seconds)

    def clock_skew(self, account: str, seconds: float) -> None:
        self._skew(account).set(seconds)

    def equity(self, account: str, value: float) -> None:
        """In the account's quote currency."""
        self._equity(account).set(value)

    def drift(self, account: str, symbol: str, amount: float) -> None:
        """In base units; 0 once the two agree again."""
        self._drift(account, symbol).set(amount)

    def unprotected(self, account: str, seconds: float) -> None:
        """How long the worst position has been without its stop; 0 when there is none."""
        self._unprotected(account).set(seconds)

    # The machine

    def committed(self, seconds: float, size: int) -> None:
        """One transaction of `size` changes is on disk."""
        self._commit_s().observe(seconds)
        self._batch().observe(size)

    def commit_failed(self, reason: str) -> None:
        """`reason`: the error's class."""
        self._refused_commits(reason).inc()

    def notified(self, service: str, result: str) -> None:
        """`service`: the scheme of a URL of `notify.urls`."""
        self._notified(service, result).inc()

    def restarted(self, actor: str) -> None:
        self._restarts(actor).inc()

    def reloaded(self, *, ok: bool) -> None:
        """A SIGHUP; refused, the configuration of before stays."""
        self._reloads("ok" if ok else "refused").inc()
