"""What is counted and measured, under the names that dashboards rely on (prefix `fks_`).

Callers use the small methods of `Metrics`. Labels are words out of small sets, never an id; should a set
turn out larger than thought, the rest of it is counted together as `other`.
"""

import platform
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, values

from fks.domain.messages import Verdict
from fks.domain.orders import Leg, Side, State
from fks.domain.outcome import AlertState
from fks.infra.metrics_catalogue import FAMILIES, MAX_SERIES
from fks.infra.metrics_pulled import Pulled

C = TypeVar("C", Counter, Gauge, Histogram)

_STATUSES = ("200", "202", "400", "401", "403", "409", "413", "422", "429", "503")  # of the webhook's replies
_INVALID = (  # the codes of refusals before acceptance that every set-up may meet
    "alert.json", "alert.encoding", "alert.schema", "alert.missing", "alert.number", "alert.timestamp",
    "alert.symbol", "alert.account", "gate.stale", "gate.future", "gate.confidence", "gate.conflict",
)  # fmt: skip

# Two process-wide switches of the library. With PROMETHEUS_MULTIPROC_DIR in the environment it would keep
# every value in a file there, for other processes; we are one. And each counter would have a `_created` twin.
values.ValueClass = values.MutexValue
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types here


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

    def forget(self, first: str) -> None:
        """Take away the children whose first label is that."""
        for words in [words for words in self._children if words[0] == first]:
            self._metric.remove(*words)
            del self._children[words]


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
        self._gauge("build_info")(version, platform.python_version()).set(1)
        self._gauge("start_time_seconds")().set(started_at)
        self._foresee()

    def expect(self, account: str, actors: Iterable[str]) -> None:
        """Series at 0 for an account and its actors: else the first failure is a birth, not an increase."""
        for side in Side:
            for leg in Leg:
                self._executions(account, side.value, leg.value)
        for failed in (State.REJECTED, State.REFUSED, State.UNKNOWN):
            self._failures(account, failed.value)
        for family in (self._fills, self._unknown, self._order_s, self._throttle_s, self._unprotected):
            family(account)
        for actor in actors:
            self._restarts(actor)

    def forget(self, account: str) -> None:
        """The account is no longer there: neither is what is true of it now. What was counted stays."""
        for family in (self._skew, self._equity, self._drift, self._unprotected):
            family.forget(account)

    def _foresee(self) -> None:
        """Series at 0, as in `expect`, of what is no account's."""
        self._limited("webhook")
        for status in _STATUSES:
            self._requests(status)
        for reason in _INVALID:
            self._invalid(reason)
        for reason in ("full", "busy"):
            self._refused_commits(reason)
        for result in ("ok", "refused"):
            self._reloads(result)
        for state in AlertState:
            self._alerts(state.value)

    def text(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return prometheus_client.generate_latest(self._registry)

    def _door(self) -> None:
        self._requests = self._counter("webhook_requests")
        self._request_s = self._histogram("webhook_duration_seconds")
        self._ack_s = self._histogram("webhook_ack_seconds")
        self._age_s = self._histogram("alert_age_seconds")
        self._last_alert = self._gauge("alert_last_timestamp_seconds")
        self._received = self._counter("alerts_received")
        self._invalid = self._counter("webhook_validation_failures")
        self._unsigned = self._counter("webhook_signature_failures")
        self._limited = self._counter("rate_limit_rejections")

    def _orders(self) -> None:
        self._alerts = self._counter("alerts")
        self._wire_s = self._histogram("alert_to_wire_seconds")
        self._executions = self._counter("order_executions")
        self._failures = self._counter("order_failures")
        self._order_s = self._histogram("order_duration_seconds")
        self._fills = self._counter("fills")
        self._unknown = self._counter("unknown_outcomes")
        self._alarms = self._counter("alarms")
        self._audit = self._counter("audit_events")
        self._sequence = self._gauge("journal_sequence")

    def _machine(self) -> None:
        self._exchange_s = self._histogram("exchange_request_seconds")
        self._throttle_s = self._histogram("throttle_wait_seconds")
        self._skew = self._gauge("clock_skew_seconds")
        self._equity = self._gauge("equity")
        self._drift = self._gauge("position_drift")
        self._unprotected = self._gauge("unprotected_seconds")
        self._commit_s = self._histogram("journal_commit_seconds")
        self._batch = self._histogram("journal_batch_size")
        self._refused_commits = self._counter("journal_failures")
        self._lag_s = self._histogram("loop_lag_seconds")
        self._notified = self._counter("notifications")
        self._restarts = self._counter("actor_restarts")
        self._reloads = self._counter("config_reloads")

    def _counter(self, name: str) -> _Family[Counter]:
        one = FAMILIES[name]
        return _Family(
            Counter(name, one.text, one.labels, namespace="fks", registry=self._registry), one.labels
        )

    def _gauge(self, name: str) -> _Family[Gauge]:
        one = FAMILIES[name]
        return _Family(
            Gauge(name, one.text, one.labels, namespace="fks", registry=self._registry), one.labels
        )

    def _histogram(self, name: str) -> _Family[Histogram]:
        one = FAMILIES[name]
        metric = Histogram(
            name, one.text, one.labels, namespace="fks", registry=self._registry, buckets=one.buckets
        )
        return _Family(metric, one.labels)

    # The door

    def webhook(self, status: int, seconds: float) -> None:
        """One request, answered."""
        self._requests(str(status)).inc()
        self._request_s().observe(seconds)

    def acknowledged(self, seconds: float) -> None:
        """From the request to the alert being on disk."""
        self._ack_s().observe(seconds)

    def received(self, verdict: Verdict, sender: str, at: float, age: float | None) -> None:
        """A valid alert and what the journal made of it. `sender`: the name of its secret; `at`: when it
        came, UTC epoch seconds; `age`: by its own timestamp.
        """
        self._received(verdict.value, sender).inc()
        if verdict is Verdict.FRESH:
            self._last_alert().set(at)
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

    def equity(self, account: str, currency: str, value: float) -> None:
        """Cash plus holdings, in `currency`."""
        self._equity(account, currency).set(value)

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
        """`reason`: "full" or "busy"."""
        self._refused_commits(reason).inc()

    def loop_lag(self, seconds: float) -> None:
        """A task was woken so much later than it asked for."""
        self._lag_s().observe(seconds)

    def restarted(self, actor: str) -> None:
        self._restarts(actor).inc()

    def notified(self, service: str, result: str) -> None:
        """`service`: the scheme of a URL of `notify.urls`."""
        self._notified(service, result).inc()

    def reloaded(self, *, ok: bool) -> None:
        """A SIGHUP; refused, the configuration of before stays."""
        self._reloads("ok" if ok else "refused").inc()
