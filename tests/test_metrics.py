"""The names that dashboards rely on, bounded labels, and what committed events are counted as."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from fks.actors import metrics as actor_module
from fks.actors.metrics import BOOK_S, MetricsActor
from fks.domain.events import Kind
from fks.domain.messages import AccountStatus, Balance, Event, Position, TradingState
from fks.domain.orders import State
from fks.infra.metrics import MAX_SERIES, Metrics
from fks.kernel import Latest, mailbox
from fks.ledger import JournalBusy
from memory_journal import MemoryJournal, MemoryLedger, an_order

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
async def running(metrics: Metrics, journal: MemoryJournal) -> AsyncIterator[MetricsActor]:
    async with trio.open_nursery() as tasks:
        actor = MetricsActor(tasks, metrics, journal, lambda: 160.0)
        await actor.start()
        yield actor
        tasks.cancel_scope.cancel()


_seq = count(1)


def event(kind: str, time: float = 0.0, **fields: Any) -> Event:
    return Event(seq=next(_seq), time=time, kind=kind, account=fields.pop("account", "paper"), **fields)


def test_the_ten_agreed_names_are_there_before_anything_happened() -> None:
    types = dict(
        line.removeprefix("# TYPE ").split(" ")
        for line in new_metrics().text().decode().splitlines()
        if line.startswith("# TYPE ")
    )
    assert TEN.items() <= types.items()
    assert len([name for name in types if name.startswith("fks_")]) >= len(TEN) + 25


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
            lambda m: m.received("fresh", "tv", 2.0),
            "alerts_received_total",
            {"verdict": "fresh", "sender": "tv"},
            1,
        ),
        (lambda m: m.received("fresh", "tv", 2.0), "alert_age_seconds_sum", {}, 2.0),
        (lambda m: m.received("duplicate", "tv", None), "alert_age_seconds_count", {}, 0),
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
        (lambda m: m.equity("a", 99.5), "equity", {"account": "a"}, 99.5),
        (lambda m: m.drift("a", "S", 0.1), "position_drift", {"account": "a", "symbol": "S"}, 0.1),
        (lambda m: m.unprotected("a", 31.0), "unprotected_seconds", {"account": "a"}, 31.0),
        (lambda m: m.committed(0.001, 7), "journal_batch_size_sum", {}, 7),
        (lambda m: m.committed(0.001, 7), "journal_commit_seconds_sum", {}, 0.001),
        (lambda m: m.commit_failed("JournalFull"), "journal_failures_total", {"reason": "JournalFull"}, 1),
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
        metrics.validation_failure(f"code.{number}")
    lines = [
        line
        for line in metrics.text().decode().splitlines()
        if line.startswith("fks_webhook_validation_failures_total{")
    ]
    assert len(lines) == MAX_SERIES + 1
    assert sum(float(line.split()[-1]) for line in lines) == different
    assert value(metrics, "fks_webhook_validation_failures_total", reason="other") == different - MAX_SERIES


def test_an_environment_for_many_processes_does_not_make_us_write_files(tmp_path: Path) -> None:
    code = "from fks.infra.metrics import Metrics; m = Metrics('1', 0.0); m.webhook(200, 0.1); m.text()"
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_an_accounts_status_is_looked_up_at_the_scrape() -> None:
    metrics = new_metrics()
    cell = Latest(AccountStatus(account="binance", type="binance"))
    metrics.pulled.accounts = {"binance": cell}
    assert value(metrics, "fks_account_ready", account="binance") == 0
    balance = Balance(free={"USDT": Decimal("1.5")}, total={"USDT": Decimal(2)})
    cell.set(
        AccountStatus(
            account="binance",
            type="binance",
            ready=True,
            breaker=2,
            unknown=3,
            balance=balance,
            balance_at=9.0,
        )
    )
    assert value(metrics, "fks_account_ready", account="binance") == 1
    assert value(metrics, "fks_circuit_breaker_state", account="binance") == 2
    assert value(metrics, "fks_unknown_orders", account="binance") == 3
    assert value(metrics, "fks_balance_free", account="binance", currency="USDT") == 1.5
    assert value(metrics, "fks_balance_total", account="binance", currency="USDT") == 2
    assert value(metrics, "fks_balance_updated_timestamp_seconds", account="binance") == 9


def test_mailboxes_show_their_depth_and_what_they_dropped() -> None:
    metrics = new_metrics()
    ref, _inbox = mailbox("audit", 1, int)
    metrics.pulled.mailboxes = lambda: [ref]
    assert ref.offer(1)
    assert not ref.offer(2)
    assert value(metrics, "fks_mailbox_depth", actor="audit") == 1
    assert value(metrics, "fks_dropped_messages_total", actor="audit") == 1


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


async def test_the_ledgers_facts_are_read_again_and_again() -> None:
    metrics = new_metrics()
    ledger = MemoryLedger(
        order_rows=[
            an_order("q1", state=State.UNKNOWN, updated_at=100.0),
            an_order("q2", state=State.OPEN),
            an_order("q3", state=State.FILLED),
        ],
        position_rows=[Position(account="paper", symbol="BTC/USDT", amount=Decimal(-2), realized=Decimal(7))],
        trading_states={None: TradingState.REDUCE},
    )
    async with running(metrics, MemoryJournal(ledger)):
        await trio.sleep(BOOK_S / 2)
        assert value(metrics, "fks_backlog") == 2
        assert value(metrics, "fks_open_orders", account="paper", state="unknown") == 1
        assert value(metrics, "fks_open_orders", account="paper", state="filled") is None
        assert value(metrics, "fks_oldest_unknown_seconds", account="paper") == 60.0
        assert value(metrics, "fks_position", account="paper", symbol="BTC/USDT") == -2
        assert value(metrics, "fks_position_realized", account="paper", symbol="BTC/USDT") == 7
        assert value(metrics, "fks_trading_state", account="all") == 1
        ledger.order_rows.clear()
        await trio.sleep(BOOK_S)
        assert value(metrics, "fks_backlog") == 0
        assert value(metrics, "fks_open_orders", account="paper", state="unknown") is None


async def test_a_journal_that_does_not_answer_leaves_the_last_facts() -> None:
    metrics = new_metrics()
    journal = MemoryJournal(MemoryLedger(order_rows=[an_order("q1")]))
    async with running(metrics, journal):
        await trio.sleep(BOOK_S / 2)
        journal.error = JournalBusy("locked")
        await trio.sleep(BOOK_S * 2)
        journal.error, journal.hangs = None, True
        await trio.sleep(BOOK_S * 3)
        assert value(metrics, "fks_backlog") == 1
        assert value(metrics, "fks_book_timestamp_seconds") == 160.0
        journal.hangs = False
        journal.ledger.order_rows.clear()
        await trio.sleep(BOOK_S * 2)
        assert value(metrics, "fks_backlog") == 0
