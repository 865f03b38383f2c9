"""`python -m conformance [ID...] [--json FILE]`: every exchange of the installed ccxt, or the named ones.

Exit codes: 0 all equal, 1 differences, 2 usage.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from conformance.calls import CALLS, REPLIES
from conformance.compare import Verdict, compare
from fks.venues.trio_ccxt import exchange_ids


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="The same calls through ccxt on asyncio and on trio, over loopback: all must be equal.",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="ccxt's name of an exchange; none: all of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there")
    options = parser.parse_args(arguments)
    if unknown := set(options.ids) - set(exchange_ids()):
        parser.error(f"ccxt {version('ccxt')} has no exchange {min(unknown)!r}")
    # An exchange whose own code forgets to await does so on both sides.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    began = time.perf_counter()
    verdicts = _judged(options.ids or exchange_ids())
    seconds = time.perf_counter() - began
    if options.json:
        report = {"ccxt": version("ccxt"), "seconds": round(seconds, 1), "exchanges": verdicts}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return _tell(verdicts, seconds)


def _judged(ids: Sequence[str]) -> list[Verdict]:
    verdicts = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(ids))
        for one in ids:
            progress.update(task, description=one)
            verdicts.append(compare(one, CALLS, REPLIES))
            progress.advance(task)
    return verdicts


def _tell(verdicts: Sequence[Verdict], seconds: float) -> int:
    out = Console(highlight=False, markup=False, soft_wrap=True)
    differences = [one for verdict in verdicts for one in verdict.differences]
    for one in differences:
        out.print(f"{one.exchange}, reply {one.reply}: {one.method}{one.arguments}")
        for line in one.what:
            out.print(f"    {line}")
    total = sum(one.calls for one in verdicts)
    requests = sum(one.requests for one in verdicts)
    out.print(
        f"{total - len(differences)} of {total} calls equal over {len(verdicts)} exchanges"
        f" (ccxt {version('ccxt')}, {requests} requests, {seconds:.0f} s)"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
