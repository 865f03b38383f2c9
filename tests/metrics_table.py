"""Every metric as a page: `PYTHONPATH=tests python -m metrics_table > docs/metrics.md`."""

import sys

from fks.infra.metrics_catalogue import SECTIONS, Family

HEAD = """# Metrics

`GET /metrics` on the desk, in Prometheus' text format. All of them are there from the start; what can be
foreseen starts at 0, so that the first failure of a kind is an increase. Times are in seconds, amounts in
base units, money in quote currency. Labels are words of the code or of the configuration, or markets of an
exchange: never an id, and nothing that a sender chose. A metric has at most 500 series; of what is counted,
the rest is counted together as `other`.

`process_*` (memory, CPU, open files) are the client library's. The dashboard is `etc/grafana/fks.json`, the
alerting rules are `etc/prometheus/rules.yml`; the test suite holds both, and this page, to what is exposed.
`PYTHONPATH=tests python -m metrics_table > docs/metrics.md` writes this page.
"""


def page() -> str:
    """Markdown."""
    lines = [HEAD.rstrip()]
    for section, families in SECTIONS.items():
        lines += [
            "",
            f"## {section}",
            "",
            "| name | type | labels | what it tells | from |",
            "|---|---|---|---|---|",
        ]
        lines += map(_row, families)
    return "\n".join(lines) + "\n"


def _row(one: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels)
    span = f" ({one.buckets[0]:g} to {one.buckets[-1]:g})" if one.buckets else ""
    return f"| `{one.exposed}` | {one.kind}{span} | {labels} | {one.text} | {one.source} |"


if __name__ == "__main__":
    sys.stdout.write(page())
