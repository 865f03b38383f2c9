"""As much of PromQL as tells which metrics an expression is about."""

import re

from fks.infra.metrics import Metrics

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACES = re.compile(r"\{[^}]*\}|\[[^\]]*\]")  # matchers, ranges
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_WORDS = frozenset({"and", "or", "unless", "offset", "bool", "by", "without"})


def names_in(expression: str) -> set[str]:
    """Names of metrics: what is neither a function (which has a bracket behind it), a keyword nor a label."""
    bare = _GROUPING.sub(" ", _BRACES.sub(" ", _STRINGS.sub('""', expression)))
    found = set()
    for match in _NAME.finditer(bare):
        before, after = bare[: match.start()], bare[match.end() :].lstrip()
        number = before[-1:].isalnum() or before[-1:] == "."  # 1e9, 5m
        if not number and not after.startswith("(") and match.group() not in _WORDS:
            found.add(match.group())
    return found


def samples_of(metrics: Metrics) -> set[str]:
    """The names that Prometheus stores of a scrape."""
    samples = set()
    for line in metrics.text().decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            samples |= {name + suffix for suffix in suffixes}
    return samples
