"""`python -m fuzz parser|door|desk [...]`: spoilt alerts, a flood for the door, odd questions.

Exit codes: 0 it held, 1 it did not (the seed is printed; of the daemon, its folder is kept), 2 usage.
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

from fuzz import desk
from fuzz import parser as reader
from fuzz.campaign import Report, attack, door
from fuzz.flood import Flood
from process import running


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    sys.stdout.write(f"seed {options.seed}\n")
    return {"parser": _parser, "door": _door, "desk": _desk}[options.target](options)


def _options() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m fuzz", description="Hostile input without end.")
    targets = top.add_subparsers(dest="target", required=True)
    parser = targets.add_parser("parser", help="the reader of alerts, in this process")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S")
    front = targets.add_parser("door", help="the door of the real daemon, over sockets")
    front.add_argument("--bodies", type=int, default=30_000, metavar="N")
    front.add_argument("--connections", type=int, default=10_000, metavar="N")
    front.add_argument(
        "--default-rate",
        action="store_true",
        help="the rate that is the default, strangers only, and one address for all",
    )
    front.add_argument("--keep", type=Path, metavar="FOLDER", help="keep log and journal there")
    asked = targets.add_parser("desk", help="the desk of the real daemon, against its own description")
    asked.add_argument("--examples", type=int, default=50, metavar="N", help="for each operation")
    for target in (parser, front, asked):
        target.add_argument("--seed", type=int, default=int(time.time()) % 100_000, metavar="N")
    return top


def _parser(options: argparse.Namespace) -> int:
    began = time.monotonic()
    outcomes = reader.fuzz(options.seed, seconds=options.seconds)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{outcomes.total():,} bodies in {seconds:.0f} s: {dict(outcomes.most_common())}\n")
    return 0


def _desk(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="fks-fuzz-") as folder, running(Path(folder)) as daemon:
        return int(desk.fuzz(daemon, options.seed, options.examples) != 0)


def _door(options: argparse.Namespace) -> int:
    folder = options.keep or Path(tempfile.mkdtemp(prefix="fks-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    report = _flood(folder, options)
    sys.stdout.write(f"{report}\n")
    if report.problems():
        sys.stdout.write(f"evidence: {folder}\n")
        return 1
    if options.keep is None:
        shutil.rmtree(folder)
    return 0


def _flood(folder: Path, options: argparse.Namespace) -> Report:
    daemon = door(folder, rate="{ burst = 100, per_minute = 100 }") if options.default_rate else door(folder)
    flood = Flood(daemon.start().door, options.seed, strangers=options.default_rate)
    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=not console.is_terminal) as progress:
            tasks = {"bodies": options.bodies, "connections": options.connections}
            ids = {name: progress.add_task(name, total=total) for name, total in tasks.items()}

            def show(now: Flood) -> None:
                for name, task in ids.items():
                    progress.update(task, completed=getattr(now, name))

            return attack(daemon, flood, **tasks, progress=show)
    finally:
        daemon.kill()


if __name__ == "__main__":
    sys.exit(main())
