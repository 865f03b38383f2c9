"""The sixty faults, and which test proves each: `python -m faults > docs/faults.md` writes the table.

A test says what it proves with `@pytest.mark.fault(number, ...)`, or one of its parameters does with `marks`.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

TESTS = Path(__file__).parent

FAULTS = {
    "Ingress": {
        1: "JSON → 200",
        2: "JSON as `text/plain` → 200",
        3: "empty body → 400",
        4: "not UTF-8 → 400",
        5: "byte order mark → 400",
        6: "deep nesting → 400",
        7: "duplicate keys → 400",
        8: "17 KB → 413, memory flat",
        9: "NaN, 1e400, negative or zero amount → 400",
        10: "unknown symbol or account → 400 and an alarm",
        11: "hostile HTTP of every kind → process alive, actors untouched",
        12: "slow head or body → closed within 15 s",
        13: "2,000 idle connections → a real alert still under 1 s",
        14: "full mailbox → 503",
    },
    "Authentication": {
        15: "no proof → 401; one body and one timing class for 15 to 17",
        16: "wrong proof → 401",
        17: "proof that is not ASCII → 401",
        18: "the previous secret works while it is listed",
        19: "forged X-Forwarded-For → the peer's address counts",
        20: "address not allowed → 403",
        21: "edited body → refused",
        22: "old timestamp → refused",
        23: "two signatures of which one is good → accepted",
        24: "admin routes want their own token",
    },
    "Replay": {
        25: "same alert 4 times, 5 s apart → one order, each time 200",
        26: "100 at once → one order",
        27: "again after a restart → one order",
        28: "stale → 400",
        29: "from the future → 400",
        30: "same key, other body → 409 and an alarm",
        31: "two real fills within a second → two orders",
    },
    "Journal": {
        32: "disk full → 503, no order, recovers",
        33: "I/O error on fsync → stops at once, exit code not 0",
        34: "read-only file system → refuses to start",
        35: "locked database → 503 within 2 s",
        36: "corrupt database → refuses to start, file kept",
        37: "SIGKILL at every write → nothing lost, nothing doubled",
        38: "newer schema → exit code 78",
    },
    "Exchange: network": {
        39: "DNS failure → not sent, safe to try again",
        40: "connection refused → not sent, safe to try again",
        41: "reset → unknown, in the end one order",
        42: "silence → unknown, in the end one order",
        43: "cut in mid-body → unknown, in the end one order",
        44: "empty or HTML 200 → unknown, in the end one order",
        45: "524 → unknown, in the end one order",
        46: "one exchange dead → the others do not notice",
    },
    "Exchange: semantics": {
        47: "partial fill, then cancel → what was filled stays",
        48: "fill during cancel → no error loop",
        49: "insufficient funds → terminal, alarm",
        50: "step size, minimum notional → refused before sending",
        51: "foreign orders at start → reported, untouched",
    },
    "Limits": {
        52: "429 → its Retry-After is obeyed",
        53: "418 → exchange frozen, no probes",
        54: "a cancel passes while entries wait",
    },
    "Clock": {
        55: "±10 s of skew → handled, placement fenced",
        56: "a jump of the wall clock → monotonic timers do not care",
    },
    "Process": {
        57: "SIGTERM during a placement → clean exit in 30 s, resolved at the next start",
        58: "an actor's exception → that actor restarts; over its budget → fails closed",
    },
    "Configuration and secrets": {
        59: "bad configuration → at start exit code 78, at reload the old one stays",
        60: "secrets → in no log, journal, audit trail, traceback, reply, metric or child's environment",
    },
}


def proofs(folder: Path = TESTS) -> dict[int, list[str]]:
    """For each fault the tests that are marked with it, as pytest names them."""
    found: dict[int, list[str]] = {}
    for path in sorted(folder.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for test, numbers in _marked(tree):
            for number in numbers:
                found.setdefault(number, []).append(f"{path.name}::{test}")
    return found


def _marked(tree: ast.Module) -> Iterator[tuple[str, list[int]]]:
    tests = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    lists = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for test in tests:
        for decorator in test.decorator_list:
            if numbers := _fault(decorator):
                yield test.name, numbers
            used = [
                lists[node.id]
                for node in ast.walk(decorator)
                if isinstance(node, ast.Name) and node.id in lists
            ]
            for values in (decorator, *used):
                yield from ((f"{test.name}[{name}]", numbers) for name, numbers in _parameters(values))


def _parameters(values: ast.AST) -> Iterator[tuple[str, list[int]]]:
    """Of `pytest.param(..., marks=fault(...), id=...)`: its id, else the last word of its first value."""
    for node in ast.walk(values):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "param"
        ):
            continue
        told = {keyword.arg: keyword.value for keyword in node.keywords}
        numbers = [number for part in ast.walk(told.get("marks", ast.Tuple())) for number in _fault(part)]
        if numbers:
            name = ast.literal_eval(told["id"]) if "id" in told else ast.unparse(node.args[0]).split(".")[-1]
            yield name, numbers


def _fault(node: ast.AST) -> list[int]:
    """The numbers of `fault(...)` or `pytest.mark.fault(...)`; of anything else none."""
    if not (isinstance(node, ast.Call) and ast.unparse(node.func) in ("fault", "pytest.mark.fault")):
        return []
    return [ast.literal_eval(argument) for argument in node.args]


def table(found: Mapping[int, list[str]]) -> str:
    """Markdown. Parameters of one test are put together."""
    lines = [
        "# Sixty faults",
        "",
        "What can go wrong, what must happen then, and the tests that prove it. The test suite checks that",
        "this page is complete and true; `PYTHONPATH=tests python -m faults > docs/faults.md` writes it.",
    ]
    for section, faults in FAULTS.items():
        lines += ["", f"## {section}", "", "| | fault → what must happen | proven by |", "|---|---|---|"]
        for number, told in faults.items():
            lines.append(f"| {number} | {told} | {'<br>'.join(_gathered(found.get(number, [])))} |")
    return "\n".join(lines) + "\n"


def _gathered(tests: list[str]) -> Iterator[str]:
    for name, same in groupby(tests, key=lambda test: test.partition("[")[0]):
        parameters = [test.partition("[")[2].rstrip("]") for test in same]
        yield f"`{name}`" + (f" ({', '.join(parameters)})" if parameters[0] else "")


if __name__ == "__main__":
    sys.stdout.write(table(proofs()))
