"""`fks bench` in miniature: each section produces its figures, and they are possible."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from fks.bench import report, targets, venue, webhook
from fks.bench.process import BenchError, running
from fks.cli import main
from fks.cli.bench import _show


def silent(_what: str) -> None:
    pass


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> venue.VenueReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(venue, "ROUNDS", 2)
        patch.setattr(venue, "MARKETS", 500)
        return venue.measure(0.05, tmp_path_factory.mktemp("venue"), silent)


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> webhook.WebhookReport:
    only = ("exchange, at once", "bare server")
    return webhook.measure(0.2, tmp_path_factory.mktemp("webhook"), Path("nowhere.py"), silent, only)


def test_both_sides_place_orders_at_every_number_in_flight(orders: venue.VenueReport) -> None:
    for side in (orders.ours, orders.upstream):
        assert [one.in_flight for one in side.orders] == list(venue.IN_FLIGHT)
        for one in side.orders:
            assert one.orders >= 2 * one.in_flight
            assert 0.01 < one.cpu_ms_per_order < 100
            assert one.orders_per_s > 1
    for ratio in orders.ratios:
        assert 0.1 < ratio.cpu < 20
        assert 0.1 < ratio.rate < 20


def test_a_loaded_market_list_is_seen_in_the_memory_and_ours_imports_one_exchange(
    orders: venue.VenueReport,
) -> None:
    for side in (orders.ours, orders.upstream):
        assert 10 < side.import_mb < side.loaded_mb - 5 < 1000
    assert orders.import_memory < 0.6  # the promise; unlike time, memory does not depend on the moment


def test_every_target_is_loaded_in_both_modes_and_refuses_nothing(alerts: webhook.WebhookReport) -> None:
    measured = [(one.target, one.mode) for one in alerts.loads]
    assert measured == [
        (target, mode)
        for target in ("exchange, at once", "bare server")
        for mode in (webhook.KEEP_ALIVE, webhook.CLOSE)
    ]
    for one in alerts.loads:
        assert one.alerts >= webhook.CONNECTIONS
        assert one.refused == 0
        assert 0 < one.p50_ms <= one.p95_ms <= one.p99_ms < 5000
        assert 0 <= one.cpu_ms_per_alert < 1000
        assert one.rss_mb > 10


def test_the_daemon_is_compared_with_each_reference_that_ran(alerts: webhook.WebhookReport) -> None:
    compared = {(one.target, one.reference, one.mode) for one in alerts.ratios}
    assert compared == {
        ("exchange, at once", "bare server", mode) for mode in (webhook.KEEP_ALIVE, webhook.CLOSE)
    }
    assert "nowhere.py" in (alerts.left_out or "")
    assert alerts.fsync_ms > 0


def test_the_report_is_one_json_document_and_every_section_says_how_it_was_measured(
    orders: venue.VenueReport, alerts: webhook.WebhookReport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def measure(sections: tuple[str, ...], seconds: float, *_: object) -> report.Report:
        asked.append((sections, seconds))
        return report.Report(machine=report._machine(), venue=orders, webhook=alerts)

    monkeypatch.setattr(report, "measure", measure)
    result = CliRunner().invoke(main, ["bench", "--only", "venue", "--seconds", "0.5", "--json", "-"])
    assert asked == [(("venue",), 0.5)]
    document = json.loads(result.stdout)
    assert document["venue"]["ours"]["orders"][0]["cpu_ms_per_order"] > 0
    assert document["machine"]["cores"] >= 1
    for section in report.SECTIONS:
        assert "CPU per" in document[section]["how"]
    assert msgspec.convert(document, report.Report).venue == orders


def test_the_tables_name_every_target_and_tell_what_was_left_out(
    orders: venue.VenueReport, alerts: webhook.WebhookReport, capsys: pytest.CaptureFixture[str]
) -> None:
    _show(report.Report(machine=report._machine(), venue=orders, webhook=alerts))
    told = capsys.readouterr().out
    for words in ("CPU ms per order, 50 in flight", "MiB after import", "exchange, at once", "bare server",
                  "Left out: the reference service", venue.HOW, webhook.HOW):  # fmt: skip
        assert words in told


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [webhook._percentile(values, percent) for percent in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert webhook._percentile([7.0], 99) == 7.0


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    dying = "import sys; sys.exit('no such thing')"
    with running(tmp_path / "log", "-c", dying) as child, pytest.raises(BenchError, match="no such thing"):
        child.read()


def test_no_process_outlives_the_bench(tmp_path: Path) -> None:
    with running(tmp_path / "log", "-m", "fks.bench.exchange_server", "1") as child:
        child.read()
    assert child.process.returncode is not None


def test_the_reference_service_is_left_out_without_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = tmp_path / "service.py"
    service.touch()
    monkeypatch.setattr(targets, "PACKAGES", ("a_package_that_nobody_has",))
    assert "pip install 'fks-execution[bench]'" in (targets.why_no_reference(service) or "")
    monkeypatch.setattr(targets, "PACKAGES", ("json",))
    assert targets.why_no_reference(service) is None
