"""Gauges that are looked up at a scrape: accounts, mailboxes, the ledger, the disk."""

from decimal import Decimal
from pathlib import Path

import trio

from fks.actors.metrics import BOOK_S
from fks.domain.messages import AccountStatus, Balance, Position, TradingState
from fks.domain.orders import State
from fks.domain.settings import Moment, WebhookSecret
from fks.infra.disk_usage import DiskUsage, disk_usage
from fks.infra.metrics_catalogue import MAX_SERIES
from fks.infra.metrics_pulled import Book
from fks.kernel import Latest, mailbox
from fks.ledger import JournalBusy
from memory_journal import MemoryJournal, MemoryLedger, an_order
from test_metrics import new_metrics, running, value


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
    assert value(metrics, "fks_balance", account="binance", currency="USDT") == 2
    assert value(metrics, "fks_balance_updated_timestamp_seconds", account="binance") == 9


def test_mailboxes_show_their_depth_and_observers_what_they_missed() -> None:
    metrics = new_metrics()
    ref, _inbox = mailbox("audit", 1, int)
    metrics.pulled.mailboxes = lambda: [ref]
    metrics.pulled.observers = {"metrics": lambda: ref.dropped}
    assert ref.offer(1)
    assert not ref.offer(2)
    assert value(metrics, "fks_mailbox_depth", actor="audit") == 1
    assert value(metrics, "fks_dropped_messages_total", observer="metrics") == 1


def test_zeros_are_said_and_an_account_that_was_told_nothing_trades() -> None:
    metrics = new_metrics()
    metrics.pulled.accounts = {"a": Latest(AccountStatus(account="a", type="paper"))}
    assert value(metrics, "fks_open_orders", account="a", state="open") == 0
    assert value(metrics, "fks_oldest_unknown_seconds", account="a") == 0
    assert value(metrics, "fks_trading_state", account="a") is None  # the ledger was not asked yet
    metrics.pulled.book = Book(1.0, trading={None: TradingState.HALTED})
    assert value(metrics, "fks_trading_state", account="all") == 2
    assert value(metrics, "fks_trading_state", account="a") == 0


def test_whether_alerts_are_taken() -> None:
    metrics = new_metrics()
    reasons: list[str] = []
    metrics.pulled.unready = lambda: reasons
    assert value(metrics, "fks_accepting_alerts") == 1
    reasons.append("draining")
    assert value(metrics, "fks_accepting_alerts") == 0


def test_an_account_with_a_thousand_currencies_is_cut() -> None:
    metrics = new_metrics()
    total = {f"C{number}": Decimal(number) for number in range(1000)}  # the first of it empty
    status = AccountStatus(account="a", type="binance", balance=Balance(free=total, total=total))
    metrics.pulled.accounts = {"a": Latest(status)}
    shown = [line for line in metrics.text().decode().splitlines() if line.startswith("fks_balance{")]
    assert len(shown) == MAX_SERIES
    assert value(metrics, "fks_balance", account="a", currency="C0") is None


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
        assert value(metrics, "fks_file_bytes", file="journal") == 5
        assert value(metrics, "fks_disk_free_bytes") == 7
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


async def test_a_disk_that_cannot_be_asked_has_no_figure_and_stops_nothing() -> None:
    def gone() -> DiskUsage:
        raise OSError("no such device")

    metrics = new_metrics()
    async with running(metrics, MemoryJournal(MemoryLedger(order_rows=[an_order("q1")])), gone):
        await trio.sleep(BOOK_S / 2)
        assert value(metrics, "fks_backlog") == 1
        assert value(metrics, "fks_disk_free_bytes") is None


def test_the_disk_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "fks.db").write_bytes(b"12345")
    (tmp_path / "fks.db-wal").write_bytes(b"123")
    usage = disk_usage(tmp_path / "fks.db", tmp_path / "audit.jsonl")
    assert usage.files == {"journal": 5, "wal": 3, "audit": 0}
    assert 0 < usage.free <= usage.size


def test_secrets_with_an_end_say_when() -> None:
    metrics = new_metrics()
    metrics.pulled.secrets = lambda: [
        WebhookSecret(name="tv", expires=Moment(99.0)),
        WebhookSecret(name="endless"),
    ]
    assert value(metrics, "fks_secret_expiry_timestamp_seconds", sender="tv") == 99
    assert value(metrics, "fks_secret_expiry_timestamp_seconds", sender="endless") is None
