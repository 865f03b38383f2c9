"""`etc/grafana/fks.json`: a dashboard whose every query is about a metric that exists."""

import json
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from fks.infra.metrics import Metrics
from fks.infra.metrics_catalogue import FAMILIES
from promql import names_in, samples_of
from test_prometheus_rules import promtool

DASHBOARD = Path(__file__).parents[1] / "etc" / "grafana" / "fks.json"
ROOT = {"annotations", "panels", "schemaVersion", "templating", "time", "title", "uid"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return found


def queries() -> Iterator[tuple[str, str]]:
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for note in dashboard()["annotations"]["list"]:
        yield note["name"], note["expr"]


def test_every_query_is_of_a_metric_that_exists() -> None:
    known = samples_of(Metrics("1", 0.0))
    for title, expression in queries():
        assert names_in(expression), title
        assert names_in(expression) <= known, title


def test_every_label_that_a_legend_shows_is_the_metric_s() -> None:
    for panel in panels():
        for target in panel.get("targets", ()):
            names = {name.removeprefix("fks_") for name in names_in(target["expr"])}
            labels = {"instance", "job"}
            for name in names:
                for suffix in ("", "_total", "_bucket", "_sum", "_count"):
                    family = FAMILIES.get(name.removesuffix(suffix))
                    labels |= set(family.labels) if family else set()
            legend = target["legendFormat"]
            shown = {part.split("}}")[0] for part in legend.split("{{")[1:]}
            assert shown <= labels, panel["title"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed")
def test_every_query_is_valid(tmp_path: Path) -> None:
    plain = [
        {
            "record": "x",
            "labels": {"number": str(number)},
            "expr": expression.replace("$__rate_interval", "1m"),
        }
        for number, (_, expression) in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": plain}]}))
    assert promtool("check", file) == ""


def test_money_comes_first() -> None:
    first = [name for _, expression in list(queries())[:6] for name in names_in(expression)]
    assert first == [
        "fks_unknown_orders",
        "fks_oldest_unknown_seconds",
        "fks_unprotected_seconds",
        "fks_position_drift",
        "fks_circuit_breaker_state",
        "fks_trading_state",
    ]


def test_every_query_is_of_the_chosen_daemons_and_data_source() -> None:
    variables = {one["name"]: one["type"] for one in dashboard()["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query", "account": "query"}
    for title, expression in queries():
        assert 'instance=~"$instance"' in expression, title
    for panel in panels():
        assert panel["type"] == "row" or panel["datasource"] == SOURCE
        assert all(target["datasource"] == SOURCE for target in panel.get("targets", ()))


def test_it_has_what_grafana_asks_of_a_dashboard() -> None:
    assert dashboard().keys() >= ROOT
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["type"] in ("row", "stat", "timeseries")
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(references) == len(set(references))


def test_no_panel_covers_another() -> None:
    def apart(one: dict[str, int], other: dict[str, int]) -> bool:
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        return beside or below

    places = [panel["gridPos"] for panel in panels()]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert all(apart(one, other) for one, other in combinations(places, 2))
