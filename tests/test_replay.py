"""The whole daemon in simulated time, on a small past."""

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from msgspec.structs import replace

from fks.actors.replay import Replay, Replayed
from fks.cli import main
from fks.domain.history import Candle, lengths, read_lines, timeline
from fks.domain.settings import AccountSettings, RiskSettings
from fks.infra.config import Loaded, load

T0 = 1_735_689_600  # 2025-01-01
D = Decimal


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.configure(**before)


def candle(hour: int, *prices: float) -> dict[str, Any]:
    return {"candle": [T0 + 3600 * hour, *prices], "symbol": "BTC/USDT"}


def alert(hour: float, action: str = "buy", **fields: Any) -> dict[str, Any]:
    moment = int(T0 + 3600 * hour)
    return {"symbol": "BTCUSDT", "action": action, "confidence": 0.9, "timestamp": moment, **fields}


PAST = [
    candle(0, 100, 101, 99, 100),
    alert(1, amount=10, stop_loss=95, take_profit=110, strategy="trend"),
    candle(1, 100, 112, 94, 100),  # both the stop and the target are within it
    alert(2, amount=10, id="second"),
    candle(2, 100, 106, 100, 105),
    {"time": T0 + 7205, "alert": alert(2, amount=10, id="second")},  # sent again
    alert(3, "close", price=105),
    candle(3, 105, 106, 104, 105),
    alert(3.2, amount=1, confidence=0.1),
    alert(3.3, "close"),
]


def paper(**changes: Any) -> Loaded:
    loaded = load(None, {})
    given: dict[str, Any] = {"slippage_bps": D(0), "fee": D(0), "balance": {"USDT": D(10_000)}, **changes}
    account = AccountSettings(type="paper", **given)
    return replace(loaded, settings=replace(loaded.settings, exchanges={"paper": account}))


def replayed(past: list[dict[str, Any]], loaded: Loaded | None = None) -> Replayed:
    read = read_lines(json.dumps(line) for line in past)
    told = timeline(read, lengths(one for one in read if isinstance(one, Candle)))
    return Replay(loaded or paper(), told, "USDT").run()


def test_of_a_stop_and_a_target_in_one_candle_the_stop_counts_and_refusals_tell_their_line() -> None:
    result = replayed(PAST)
    stopped, closed = result.closed
    assert (stopped.strategy, stopped.entry, stopped.exit, stopped.profit) == ("trend", 100, 95, -50)
    assert (closed.entry, closed.exit, closed.profit) == (100, 105, 50)
    assert closed.opened_at == pytest.approx(T0 + 7200, abs=1)
    assert (result.performance.winners, result.performance.equity_end) == (1, 10_000)
    assert result.duplicates == 1
    assert [(one.line, one.code) for one in result.refused] == [(9, "gate.confidence"), (10, "close.nothing")]
    assert result.alarms == ()


def test_two_runs_are_one_and_the_same() -> None:
    first, second = replayed(PAST), replayed(PAST)
    assert first == second
    assert replayed(PAST[:-1]).chain != first.chain


def test_of_protected_coins_a_part_can_be_sold_and_the_stop_guards_the_rest() -> None:
    past = [
        candle(0, 100, 101, 99, 100),
        alert(1, amount=10, stop_loss=90, take_profit=120),
        alert(1.1, "close", share=0.5),
        alert(1.2, "sell", amount=2),
        alert(1.3, "sell", amount=1, reduce_only=True),
        candle(1, 100, 100, 100, 100),
        candle(2, 100, 100, 80, 85),
    ]
    result = replayed(past)
    assert (result.refused, result.alarms, result.still_open) == ((), (), ())
    (trip,) = result.closed
    assert (trip.amount, trip.profit) == (10, -20)  # 8 at 100, and 2 at the stop's 90


def test_a_close_without_a_strategy_ends_the_strategys_round_trip() -> None:
    past = [candle(0, 100, 101, 99, 100), alert(1, amount=10, strategy="trend"), alert(2, "close")]
    result = replayed([*past, candle(2, 100, 110, 100, 105)])
    assert [trip.strategy for trip in result.closed] == ["trend"]
    assert result.still_open == ()


def test_limits_of_the_configuration_hold() -> None:
    loaded = paper()
    tight = replace(loaded.settings, risk=RiskSettings(max_order_notional=D(500)))
    result = replayed(PAST[:2], replace(loaded, settings=tight))
    assert [one.code for one in result.refused] == ["risk.max_order_notional"]
    assert result.performance.trades == 0


def test_a_liquidation_is_in_the_book_and_an_alarm_and_no_drift() -> None:
    past = [
        candle(0, 100, 100, 100, 100),
        alert(1, amount=900, leverage=10, stop_loss=50),
        candle(1, 100, 100, 80, 99),
        candle(2, 99, 99, 98, 98),
    ]
    result = replayed(past, paper(market="swap", maintenance=D("0.05")))
    (trip,) = result.closed
    assert (trip.amount, trip.entry) == (900, 100)
    # From 93.56 on equity is less than 5 % of what is held; the price comes in steps of half a percent.
    assert trip.exit == D("93.22")
    assert [code for _, code, _ in result.alarms] == ["position.liquidated"]
    assert "below the maintenance margin" in result.alarms[0][2]


def test_an_entry_that_waits_fills_when_its_price_comes() -> None:
    past = [
        candle(0, 100, 100, 100, 100),
        alert(1, amount=1, order_type="limit", price=97),
        *(candle(hour, 100, 101, 98, 100) for hour in range(1, 100)),
        candle(100, 100, 101, 96, 101),
    ]
    result = replayed(past)
    (trip,) = result.still_open
    assert (trip.entry, trip.opened_at) == (97, T0 + 100 * 3600 + 2400)
    assert result.performance.equity_end == 10_004


def test_prices_in_whole_numbers_do_not_cost_a_whole_number() -> None:
    past = [candle(0, 100, 101, 99, 100), alert(0.01, amount=1), candle(1, 100, 101, 99, 100)]
    (trip,) = replayed(past, paper(slippage_bps=D(2))).still_open
    assert trip.entry == D("100.02")


def test_the_command_prints_what_came_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "past.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in PAST))
    run = CliRunner().invoke
    told = run(main, ["replay", str(file)])
    assert told.exit_code == 0, told.output
    assert "round trips: 2, won 1" in told.output
    assert "close.nothing" in told.output
    assert "open positions and funding: +0.00 USDT" in told.output
    document = json.loads(run(main, ["replay", str(file), "--json"]).output)
    assert len(document["trades"]) == 2
    assert document == json.loads(run(main, ["replay", str(file), "--json"]).output)
    assert run(main, ["replay", str(file), "--csv"]).output.count("\n") == 3


def test_a_spreadsheet_runs_nothing_of_what_an_alert_has_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    past = [candle(0, 100, 101, 99, 100), alert(1, amount=1, strategy="=1+1"), alert(2, "close")]
    (tmp_path / "past.jsonl").write_text("\n".join(json.dumps(line) for line in past))
    told = CliRunner().invoke(main, ["replay", "past.jsonl", "--csv"])
    (row,) = csv.DictReader(told.output.splitlines())
    assert (row["strategy"], row["symbol"]) == ("'=1+1", "BTC/USDT")


def test_the_command_says_what_its_files_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_alert.jsonl").write_text(json.dumps(PAST[0]))
    (tmp_path / "no_price.jsonl").write_text(json.dumps(PAST[1]))
    (tmp_path / "broken.jsonl").write_text('{"candle": 1}')
    for arguments, told in (
        ([], "--candles and --alerts"),
        (["no_alert.jsonl"], "no alert"),
        (["no_price.jsonl"], "no price"),
        (["broken.jsonl"], "broken.jsonl: line 1"),
    ):
        result = CliRunner().invoke(main, ["replay", *arguments])
        assert result.exit_code == 64
        assert told in result.output
