"""`python -m crash [--rounds N] [--seed N] [--keep FOLDER]`: kill the daemon under load, N times.

Prints a summary like `200 kills, 3,412 acknowledged, 0 lost, 0 doubled`.
Exit codes: 0 nothing was violated, 1 something was (the evidence is kept and its folder printed), 2 usage.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from crash.exchange import serving
from crash.rounds import Campaign, Tally


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m crash", description="Kill the daemon under load.")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="kills (200)")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep log and journal there")
    options = parser.parse_args(arguments)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fks-crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    tally = _run(folder, options.rounds, options.seed)
    sys.stdout.write(f"{tally}\n(seed {options.seed}, {tally.executed:,} executions, ")
    sys.stdout.write(f"{time.monotonic() - began:.0f} s)\n")
    if not tally.sound:
        lines = [*(f"lost: {one}" for one in tally.lost), *(f"doubled: {one}" for one in tally.doubled)]
        sys.stdout.write("\n".join([*lines, *tally.problems, f"evidence: {folder}"]) + "\n")
        return 1
    if options.keep is None:
        shutil.rmtree(folder)
    return 0


def _run(folder: Path, rounds: int, seed: int) -> Tally:
    console = Console(stderr=True)
    with serving() as exchange, Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=rounds)
        return Campaign(folder, exchange, seed).run(
            rounds, lambda tally: progress.update(task, completed=tally.kills, description=str(tally))
        )


if __name__ == "__main__":
    sys.exit(main())
