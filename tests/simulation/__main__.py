# ruff: noqa: T201 - a command tells by printing
"""python -m simulation --seed N --trace | --seeds COUNT [--start N] [--jobs J] [--bug NAME]"""

import argparse
import os
import subprocess
import sys
import time
from itertools import pairwise

from simulation.bugs import BUGS, NONE
from simulation.run import Result, simulate

PROGRESS_S = 10.0
ENOUGH = 20  # violating seeds of one process: more say nothing new


def main() -> int:
    """0: nothing found. 1: an invariant was violated, and how to see it again is printed."""
    asked = _arguments()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of strings is part of an execution
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]])
    if asked.seed is not None:
        return _one(asked)
    if asked.jobs > 1:
        return _share(asked)
    return _many(asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation", description="One seed is one execution.")
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happened, and when")
    parser.add_argument("--seeds", type=int, default=1000, help="run so many")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--bug", choices=sorted(BUGS), default=NONE.name, help="plant it; stop when found")
    return parser.parse_args()


def _one(asked: argparse.Namespace) -> int:
    result = simulate(asked.seed, BUGS[asked.bug], verbose=asked.trace)
    if asked.trace:
        print("\n".join(result.trace))
    _report(result, asked.bug)
    print(f"seed {asked.seed}: {len(result.violations)} violations, {result.crashes} crashes")
    return 1 if result.violations else 0


def _many(asked: argparse.Namespace) -> int:
    bad = done = crashes = sent = 0
    began = told = time.monotonic()
    for seed in range(asked.start, asked.start + asked.seeds):
        result = simulate(seed, BUGS[asked.bug])
        done, crashes, sent = done + 1, crashes + result.crashes, sent + result.sent
        if result.violations:
            bad += 1
            _report(result, asked.bug)
            if bad == (ENOUGH if asked.bug == NONE.name else 1):
                break
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            print(f"{done} seeds, {bad} bad, {done / (told - began):.0f}/s", file=sys.stderr, flush=True)
    print(f"{done} seeds, {bad} bad, {crashes} crashes, {sent} placements", flush=True)
    return 1 if bad else 0


def _report(result: Result, bug: str) -> None:
    for line in result.report(bug):
        print(line, flush=True)


def _share(asked: argparse.Namespace) -> int:
    """Each process takes a range of its own."""
    bounds = [asked.start + asked.seeds * part // asked.jobs for part in range(asked.jobs + 1)]
    own = [sys.executable, "-m", "simulation", "--bug", asked.bug]
    shares = [
        subprocess.Popen([*own, "--start", str(first), "--seeds", str(after - first)])
        for first, after in pairwise(bounds)
    ]
    return max(share.wait() for share in shares)


if __name__ == "__main__":
    sys.exit(main())
