"""The names that dashboards rely on, bounded labels, and what committed events are counted as."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fks.actors import metrics as actor_module
from fks.actors.metrics import MetricsActor
from fks.domain.events import Kind
from fks.domain.messages import Event, Verdict
from fks.infra.disk_usage import DiskUsage
from fks.infra.metrics import Metrics
from fks.infra.metrics_catalogue import FAMILIES, MAX_SERIES
from fks.kernel import INLINE
from memory_journal import MemoryJournal, MemoryLedger

TEN = {
    "fks_webhook_requests_total": "counter",
    "fks_webhook_duration_seconds": "histogram",
    "fks_webhook_validation_failures_total": "counter",
    "fks_webhook_signature_failures_total": "counter",
    "fks_order_executions_total": "counter",
    "fks_order_failures_total": "counter",
    "fks_order_duration_seconds": "histogram",
    "fks_rate_limit_rejections_total": "counter",
    "fks_circuit_breaker_state": "gauge",
    "fks_audit_events_total": "counter",
}


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    """One sample of a scrape; None when it is not there."""
    for family in text_string_to_metric_families(metrics.text().decode()):
        for one in family.samples:
            if one.name == sample and one.labels == labels:
                return float(one.value)
    return None


def new_metrics() -> Metrics:
    return Metrics(version="1.2.3", started_at=1000.0)


@asynccontextmanager
async def running(
    metrics: Metrics,
    journal: MemoryJournal,
    disk: Callable[[], DiskUsage] = lambda: DiskUsage({"journal": 5}, free=7, size=9),
) -> AsyncIterator[MetricsActor]:
    INLINE.set(True)  # the mock clock would not wait for a thread
    async with trio.open_nursery() as tasks:
        actor = MetricsActor(tasks, metrics, journal, lambda: 160.0, disk, tuple)
        await actor.start()
        yield actor
        tasks.cancel_scope.cancel()


_seq = count(1)


def event(kind: str, time: float = 0.0, **fields: Any) -> Event:
    return Event(seq=next(_seq), time=time, kind=kind, account=fields.pop("account", "paper"), **fields)


def types(metrics: Metrics) -> dict[str, str]:
    lines = metrics.text().decode().splitlines()
    found = dict(line.removeprefix("# TYPE ").split(" ") for line in lines if line.startswith("# TYPE "))
    return {name: kind for name, kind in found.items() if name.startswith("fks_")}


def test_the_ten_agreed_names_are_there_before_anything_happened() -> None:
    assert TEN.items() <= types(new_metrics()).items()
    assert len(types(new_metrics())) >= len(TEN) + 25


def test_what_is_exposed_is_what_the_catalogue_says() -> None:
    assert types(new_metrics()) == {one.exposed: one.kind for one in FAMILIES.values()}


def test_what_can_be_foreseen_starts_at_zero_so_that_its_first_is_an_increase() -> None:
    metrics = new_metrics()
    metrics.expect("a", ["sizing/a"])
    for name in (
        "fills_total",
        "unknown_outcomes_total",
        "order_duration_seconds_count",
        "unprotected_seconds",
    ):
        assert value(metrics, f"fks_{name}", account="a") == 0
    assert value(metrics, "fks_order_failures_total", account="a", reason="unknown") == 0
    assert value(metrics, "fks_order_executions_total", account="a", side="sell", leg="close") == 0
    assert value(metrics, "fks_actor_restarts_total", actor="sizing/a") == 0
    assert value(metrics, "fks_journal_failures_total", reason="full") == 0
    assert value(metrics, "fks_rate_limit_rejections_total", scope="webhook") == 0
    assert value(metrics, "fks_webhook_requests_total", status="200") == 0
    assert value(metrics, "fks_webhook_validation_failures_total", reason="alert.symbol") == 0


def test_an_account_that_is_gone_leaves_its_counts_and_no_present() -> None:
    metrics = new_metrics()
    for account in ("a", "b"):
        metrics.filled(account)
        metrics.drift(account, "BTC/USDT", 1.0)
        metrics.unprotected(account, 5.0)
    metrics.forget("a")
    assert value(metrics, "fks_position_drift", account="a", symbol="BTC/USDT") is None
    assert value(metrics, "fks_unprotected_seconds", account="a") is None
    assert value(metrics, "fks_fills_total", account="a") == 1
    assert value(metrics, "fks_position_drift", account="b", symbol="BTC/USDT") == 1
    metrics.drift("a", "BTC/USDT", 2.0)  # and it may come back
    assert value(metrics, "fks_position_drift", account="a", symbol="BTC/USDT") == 2


def test_a_duplicate_is_not_the_last_alert() -> None:
    metrics = new_metrics()
    assert value(metrics, "fks_alert_last_timestamp_seconds") == 0
    metrics.received(Verdict.FRESH, "tv", 9.0, None)
    metrics.received(Verdict.DUPLICATE, "tv", 10.0, None)
    assert value(metrics, "fks_alert_last_timestamp_seconds") == 9


def test_a_scrape_is_small_and_has_no_created_twins() -> None:
    text = new_metrics().text().decode()
    assert "_created" not in text
    assert 'fks_build_info{python="' in text
    assert value(new_metrics(), "fks_start_time_seconds") == 1000.0


def test_a_webhook_is_counted_by_status_and_timed() -> None:
    metrics = new_metrics()
    metrics.webhook(200, 0.02)
    metrics.webhook(401, 0.01)
    metrics.webhook(200, 4.0)
    assert value(metrics, "fks_webhook_requests_total", status="200") == 2
    assert value(metrics, "fks_webhook_requests_total", status="401") == 1
    assert value(metrics, "fks_webhook_duration_seconds_bucket", le="0.025") == 2
    assert value(metrics, "fks_webhook_duration_seconds_count") == 3


@pytest.mark.parametrize(
    ("tell", "sample", "labels", "expected"),
    [
        (lambda m: m.acknowledged(0.5), "webhook_ack_seconds_sum", {}, 0.5),
        (
            lambda m: m.received(Verdict.FRESH, "tv", 9.0, 2.0),
            "alerts_received_total",
            {"verdict": "fresh", "sender": "tv"},
            1,
        ),
        (lambda m: m.received(Verdict.FRESH, "tv", 9.0, 2.0), "alert_age_seconds_sum", {}, 2.0),
        (lambda m: m.received(Verdict.DUPLICATE, "tv", 9.0, None), "alert_age_seconds_count", {}, 0),
        (
            lambda m: m.validation_failure("alert.json"),
            "webhook_validation_failures_total",
            {"reason": "alert.json"},
            1,
        ),
        (lambda m: m.signature_failure(), "webhook_signature_failures_total", {}, 1),
        (lambda m: m.rate_limited("webhook"), "rate_limit_rejections_total", {"scope": "webhook"}, 1),
        (
            lambda m: m.exchange_call("a", "place", "ok", 0.25),
            "exchange_request_seconds_sum",
            {"account": "a", "endpoint": "place", "result": "ok"},
            0.25,
        ),
        (lambda m: m.throttled("a", 0.5), "throttle_wait_seconds_sum", {"account": "a"}, 0.5),
        (lambda m: m.clock_skew("a", -1.5), "clock_skew_seconds", {"account": "a"}, -1.5),
        (
            lambda m: m.equity("a", "USDT", 99.5),
            "equity",
            {"account": "a", "currency": "USDT"},
            99.5,
        ),
        (lambda m: m.loop_lag(0.002), "loop_lag_seconds_sum", {}, 0.002),
        (lambda m: m.drift("a", "S", 0.1), "position_drift", {"account": "a", "symbol": "S"}, 0.1),
        (lambda m: m.unprotected("a", 31.0), "unprotected_seconds", {"account": "a"}, 31.0),
        (lambda m: m.committed(0.001, 7), "journal_batch_size_sum", {}, 7),
        (lambda m: m.committed(0.001, 7), "journal_commit_seconds_sum", {}, 0.001),
        (lambda m: m.commit_failed("JournalFull"), "journal_failures_total", {"reason": "JournalFull"}, 1),
        (lambda m: m.reloaded(ok=False), "config_reloads_total", {"result": "refused"}, 1),
        (lambda m: m.restarted("sizing"), "actor_restarts_total", {"actor": "sizing"}, 1),
    ],
)
def test_each_method_moves_its_metric(
    tell: Callable[[Metrics], None], sample: str, labels: dict[str, str], expected: float
) -> None:
    metrics = new_metrics()
    tell(metrics)
    assert value(metrics, "fks_" + sample, **labels) == expected


@settings(max_examples=10)
@given(st.integers(MAX_SERIES + 1, MAX_SERIES + 400))
def test_labels_stay_bounded_and_no_count_is_lost(different: int) -> None:
    metrics = new_metrics()
    for number in range(different):
        metrics.alarm(f"code.{number}")
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith("fks_alarms_total{")]
    assert len(lines) == MAX_SERIES + 1
    assert sum(float(line.split()[-1]) for line in lines) == different
    assert value(metrics, "fks_alarms_total", code="other") == different - MAX_SERIES


def test_an_environment_for_many_processes_does_not_make_us_write_files(tmp_path: Path) -> None:
    code = "from fks.infra.metrics import Metrics; m = Metrics('1', 0.0); m.webhook(200, 0.1); m.text()"
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=30)
    assert list(tmp_path.iterdir()) == []


async def test_an_order_is_executed_once_however_many_fills_it_has() -> None:
    metrics = new_metrics()
    told = {"side": "buy", "leg": "entry"}
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle([event(Kind.FILL, order_id="q1", data=told)])
        await actor.handle(
            [event(Kind.FILL, order_id="q1", data=told), event(Kind.FILL, order_id="q2", data=told)]
        )
    assert value(metrics, "fks_order_executions_total", account="paper", side="buy", leg="entry") == 2
    assert value(metrics, "fks_fills_total", account="paper") == 3
    assert value(metrics, "fks_audit_events_total", kind="fill") == 3


async def test_failures_are_told_apart() -> None:
    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle(
            [
                event("order_rejected", order_id="q1"),
                event("order_unknown", order_id="q2"),
                event("order_refused", order_id="q3"),
                event("order_canceled", order_id="q4"),
                event(Kind.INTENT_REFUSED, alert_id="a1", data={"code": "risk.halted"}),
            ]
        )
    failures = {
        reason: value(metrics, "fks_order_failures_total", account="paper", reason=reason)
        for reason in ("rejected", "unknown", "refused", "risk", "canceled")
    }
    assert failures == {"rejected": 1, "unknown": 1, "refused": 1, "risk": 1, "canceled": None}
    assert value(metrics, "fks_unknown_outcomes_total", account="paper") == 1


async def test_an_orders_time_ends_with_the_exchanges_word_not_with_unknown() -> None:
    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle(
            [event("order_sending", 10.0, order_id="q1"), event("order_unknown", 12.0, order_id="q1")]
        )
        assert value(metrics, "fks_order_duration_seconds_count", account="paper") is None
        await actor.handle(
            [event("order_open", 15.0, order_id="q1"), event("order_filled", 99.0, order_id="q1")]
        )
    assert value(metrics, "fks_order_duration_seconds_sum", account="paper") == 5.0
    assert value(metrics, "fks_order_duration_seconds_count", account="paper") == 1


async def test_an_order_that_never_left_is_timed_from_its_next_attempt() -> None:
    metrics = new_metrics()
    kinds = [("order_sending", 10.0), ("order_planned", 20.0), ("order_sending", 30.0), ("order_open", 31.0)]
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle([event(kind, time, order_id="q1") for kind, time in kinds])
    assert value(metrics, "fks_order_duration_seconds_sum", account="paper") == 1.0


async def test_alert_to_wire_is_measured_to_the_first_order_only() -> None:
    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle(
            [
                event("alert_accepted", 1.0, alert_id="a1"),
                event("order_sending", 1.5, alert_id="a1", order_id="q1"),
                event("order_sending", 60.0, alert_id="a1", order_id="q2"),
            ]
        )
    assert value(metrics, "fks_alert_to_wire_seconds_sum") == 0.5
    assert value(metrics, "fks_alert_to_wire_seconds_count") == 1
    assert value(metrics, "fks_alerts_total", state="accepted") == 1


async def test_alarms_are_counted_by_code() -> None:
    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle([event(Kind.ALARM, data={"code": "stale", "detail": "too old"})])
    assert value(metrics, "fks_alarms_total", code="stale") == 1


async def test_orders_that_never_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor_module, "REMEMBERED", 10)
    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger())) as actor:
        await actor.handle([event("order_sending", 1.0, order_id=f"q{number}") for number in range(50)])
        await actor.handle([event("order_open", 2.0, order_id=f"q{number}") for number in range(50)])
    assert value(metrics, "fks_order_duration_seconds_count", account="paper") == 10


async def test_a_loop_that_is_held_up_is_seen() -> None:
    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger())):
        await trio.sleep(3.5)
    assert value(metrics, "fks_loop_lag_seconds_count") == 3
    assert value(metrics, "fks_loop_lag_seconds_sum") == pytest.approx(0, abs=1e-6)
