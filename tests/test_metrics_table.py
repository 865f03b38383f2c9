"""The page of the metrics is true, and names in PromQL are found."""

import shutil
import subprocess
from pathlib import Path

import pytest

import metrics_table
from fks.infra.metrics import Metrics
from promql import names_in

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


def test_the_page_of_the_metrics_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == metrics_table.page(), "see tests/metrics_table.py"


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_names_are_as_prometheus_would_have_them() -> None:
    command, scrape = ["promtool", "check", "metrics"], Metrics("1", 0.0).text()
    linted = subprocess.run(command, input=scrape, capture_output=True, check=False)
    assert (linted.returncode, linted.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("a > 1e9 or b unless a offset 5m", {"a", "b"}),
        ('sum by (job, le) (rate(a_bucket{x=~"b|c"}[5m])) / on (job) c:d', {"a_bucket", "c:d"}),
        ('histogram_quantile(0.9, sum by (le) (rate(a{b="}"}[$__rate_interval])))', {"a"}),
        ("time() - 2 * a", {"a"}),
    ],
)
def test_names_of_an_expression(expression: str, names: set[str]) -> None:
    assert names_in(expression) == names
