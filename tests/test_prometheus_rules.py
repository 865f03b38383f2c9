"""The alerting rules: nothing fires on a healthy daemon, and each rule fires for its own illness alone."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fks.infra.metrics import Metrics
from promql import names_in, samples_of

RULES = Path(__file__).parents[1] / "etc" / "prometheus" / "rules.yml"
PROMETHEUS_OWN = {"up"}
STEP_S, LONG, LATE = 60, 60, 4  # an hour of scrapes; what happened late

JOB = 'job="fks",instance="desk"'
ACCOUNT = f'{JOB},account="a"'


def histogram(name: str, labels: str, below: str, seconds: str) -> dict[str, str]:
    """Series of a histogram in which each observation is at most `seconds`, and none at most `below`."""
    return {
        f'{name}_bucket{{{labels},le="{below}"}}': f"0x{LONG}",
        f'{name}_bucket{{{labels},le="{seconds}"}}': f"0+1x{LONG}",
        f'{name}_bucket{{{labels},le="+Inf"}}': f"0+1x{LONG}",
    }


HEALTHY = {
    f'up{{{JOB}}}': f"1x{LONG}",
    f"fks_oldest_unknown_seconds{{{ACCOUNT}}}": f"0x{LONG}",
    f"fks_unprotected_seconds{{{ACCOUNT}}}": f"0x{LONG}",
    f'fks_position_drift{{{ACCOUNT},symbol="BTC/USDT"}}': f"0x{LONG}",
    f"fks_reconciled_timestamp_seconds{{{ACCOUNT}}}": f"0+{STEP_S}x{LONG}",  # promtool's clock starts at 0
    f"fks_circuit_breaker_state{{{ACCOUNT}}}": f"0x{LONG}",
    f"fks_account_failed{{{ACCOUNT}}}": f"0x{LONG}",
    f"fks_account_ready{{{ACCOUNT}}}": f"1x{LONG}",
    f"fks_trading_state{{{ACCOUNT}}}": f"0x{LONG}",
    f'fks_order_failures_total{{{ACCOUNT},reason="rejected"}}': f"0x{LONG}",
    f'fks_alarms_total{{{JOB},code="drift"}}': f"4x{LONG}",
    f"fks_accepting_alerts{{{JOB}}}": f"1x{LONG}",
    f'fks_webhook_validation_failures_total{{{JOB},reason="alert.age"}}': f"4x{LONG}",
    f"fks_webhook_signature_failures_total{{{JOB}}}": f"0+1x{LONG}",  # 10 in ten minutes
    f'fks_secret_expiry_timestamp_seconds{{{JOB},sender="tv"}}': f"{30 * 86400}x{LONG}",
    f'fks_journal_failures_total{{{JOB},reason="full"}}': f"0x{LONG}",
    f"fks_backlog{{{JOB}}}": f"3x{LONG}",
    f'fks_mailbox_depth{{{JOB},actor="journal"}}': f"3x{LONG}",
    f"fks_disk_free_bytes{{{JOB}}}": f"50e9-1e5x{LONG}",  # 6 MB an hour
    f"fks_clock_skew_seconds{{{ACCOUNT}}}": f"0.2x{LONG}",
    f'fks_exchange_request_seconds_count{{{ACCOUNT},endpoint="find",result="ok"}}': f"0+9x{LONG}",
    f'fks_exchange_request_seconds_count{{{ACCOUNT},endpoint="find",result="no_answer"}}': f"0+1x{LONG}",
    f'fks_actor_restarts_total{{{JOB},actor="sizing/a"}}': f"1x{LONG}",
    f"fks_book_timestamp_seconds{{{JOB}}}": f"0+{STEP_S}x{LONG}",
    f'fks_dropped_messages_total{{{JOB},observer="metrics"}}': f"0x{LONG}",
    **histogram("fks_alert_age_seconds", JOB, "0.5", "1.0"),
    **histogram("fks_webhook_ack_seconds", JOB, "0.005", "0.01"),
    **histogram("fks_alert_to_wire_seconds", JOB, "0.05", "0.1"),
    **histogram("fks_journal_commit_seconds", JOB, "0.001", "0.002"),
    **histogram("fks_loop_lag_seconds", JOB, "0.001", "0.0025"),
}  # fmt: skip

SICK: list[tuple[str, dict[str, str]]] = [
    ("FksUnknownOrder", {f"fks_oldest_unknown_seconds{{{ACCOUNT}}}": f"0+15x{LONG}"}),
    ("FksUnprotectedPosition", {f"fks_unprotected_seconds{{{ACCOUNT}}}": f"31x{LONG}"}),
    ("FksPositionDrift", {f'fks_position_drift{{{ACCOUNT},symbol="BTC/USDT"}}': f"-0.01x{LONG}"}),
    ("FksReconciliationStale", {f"fks_reconciled_timestamp_seconds{{{ACCOUNT}}}": f"0x{LONG}"}),  # never
    ("FksBreakerOpen", {f"fks_circuit_breaker_state{{{ACCOUNT}}}": f"2x{LONG}"}),
    (
        "FksAccountFailed",
        {f"fks_account_failed{{{ACCOUNT}}}": f"1x{LONG}", f"fks_account_ready{{{ACCOUNT}}}": f"0x{LONG}"},
    ),
    ("FksAccountNotReady", {f"fks_account_ready{{{ACCOUNT}}}": f"0x{LONG}"}),
    ("FksTradingRestricted", {f"fks_trading_state{{{ACCOUNT}}}": f"1x{LONG}"}),
    (
        "FksOrdersRejected",
        {f'fks_order_failures_total{{{ACCOUNT},reason="rejected"}}': f"0x{LONG - LATE} 4x{LATE}"},
    ),
    ("FksAlarm", {f'fks_alarms_total{{{JOB},code="drift"}}': f"4x{LONG - LATE} 5x{LATE}"}),
    (
        "FksAlarm",
        {f'fks_alarms_total{{{JOB},code="account.failed"}}': f"_x{LONG - LATE} 1x{LATE}"},
    ),  # the first
    ("FksDown", {f"up{{{JOB}}}": f"0x{LONG}"}),
    ("FksNotAcceptingAlerts", {f"fks_accepting_alerts{{{JOB}}}": f"0x{LONG}"}),
    ("FksAlertsLate", histogram("fks_alert_age_seconds", JOB, "30.0", "60.0")),
    ("FksAcknowledgementSlow", histogram("fks_webhook_ack_seconds", JOB, "1.0", "2.0")),
    ("FksOrdersLate", histogram("fks_alert_to_wire_seconds", JOB, "5.0", "10.0")),
    (
        "FksAlertsRefused",
        {f'fks_webhook_validation_failures_total{{{JOB},reason="alert.age"}}': f"4x{LONG - LATE} 5x{LATE}"},
    ),
    (
        "FksAlertsRefused",
        {f'fks_webhook_validation_failures_total{{{JOB},reason="alert.json"}}': f"_x{LONG - LATE} 1x{LATE}"},
    ),
    ("FksStrangers", {f"fks_webhook_signature_failures_total{{{JOB}}}": f"0+8x{LONG}"}),
    (
        "FksSecretExpires",
        {f'fks_secret_expiry_timestamp_seconds{{{JOB},sender="tv"}}': f"500000x{LONG}"},
    ),
    ("FksJournalSlow", histogram("fks_journal_commit_seconds", JOB, "0.25", "0.5")),
    (
        "FksJournalRefuses",
        {f'fks_journal_failures_total{{{JOB},reason="full"}}': f"0x{LONG - LATE} 1x{LATE}"},
    ),
    ("FksBacklog", {f"fks_backlog{{{JOB}}}": f"101x{LONG}"}),
    ("FksJournalQueue", {f'fks_mailbox_depth{{{JOB},actor="journal"}}': f"1001x{LONG}"}),
    ("FksDiskFilling", {f"fks_disk_free_bytes{{{JOB}}}": f"0.9e9x{LONG}"}),
    ("FksDiskFilling", {f"fks_disk_free_bytes{{{JOB}}}": f"50e9-2e7x{LONG}"}),  # 1.2 GB an hour
    ("FksClockSkew", {f"fks_clock_skew_seconds{{{ACCOUNT}}}": f"-1.5x{LONG}"}),
    (
        "FksExchangeErrors",
        {f'fks_exchange_request_seconds_count{{{ACCOUNT},endpoint="place",result="unknown"}}': f"0+9x{LONG}"},
    ),
    ("FksActorRestarts", {f'fks_actor_restarts_total{{{JOB},actor="sizing/a"}}': f"0+1x{LONG}"}),
    ("FksLoopLag", histogram("fks_loop_lag_seconds", JOB, "0.25", "0.5")),
    ("FksMetricsIncomplete", {f"fks_book_timestamp_seconds{{{JOB}}}": f"0x{LONG}"}),
]


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_rule_is_of_metrics_that_exist_and_says_what_to_do() -> None:
    known = samples_of(Metrics("1", 0.0)) | PROMETHEUS_OWN
    for rule in rules():
        used = names_in(rule["expr"])
        assert used, rule["alert"]
        assert used <= known, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        assert len(rule["annotations"]["description"]) > 80, rule["alert"]


def test_every_rule_has_its_illness() -> None:
    assert {name for name, _ in SICK} == {rule["alert"] for rule in rules()}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_rules_as_prometheus_reads_and_runs_them(tmp_path: Path) -> None:
    assert promtool("check", RULES) == ""
    cases = [("", {}), *SICK]
    plan = tmp_path / "rules_test.yml"
    plan.write_text(
        json.dumps(
            {
                "rule_files": [str(RULES)],
                "evaluation_interval": f"{STEP_S}s",
                "tests": [case(name, changes) for name, changes in cases],
            }
        )
    )
    assert promtool("test", plan) == ""


def promtool(verb: str, file: Path) -> str:
    """What it has against the file."""
    ran = subprocess.run(["promtool", verb, "rules", file], capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr if ran.returncode else ""


def case(name: str, changes: dict[str, str]) -> dict[str, Any]:
    """An hour of a daemon that is healthy but for `changes`; at its end that alert fires, and no other."""
    end = f"{LONG * STEP_S}s"
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name else []
    replaced = {series.partition("{")[0] for series in changes if "_bucket{" in series}
    healthy = {one: values for one, values in HEALTHY.items() if one.partition("{")[0] not in replaced}
    return {
        "name": name or "healthy",
        "interval": f"{STEP_S}s",
        "input_series": [{"series": one, "values": values} for one, values in (healthy | changes).items()],
        "promql_expr_test": [{"expr": firing, "eval_time": end, "exp_samples": expected}],
    }
