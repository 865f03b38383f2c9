"""The real desk, held by schemathesis against the description that it gives of itself."""

import subprocess
import sys
from pathlib import Path

from process import TOKEN, Daemon

# Whether an account exists is not for a schema to say; the event stream has no end.
_OPTIONS = (
    "--exclude-path-regex", "/webhook.*|/v1/events",
    "--exclude-checks", "positive_data_acceptance", "--no-color",
)  # fmt: skip


def fuzz(daemon: Daemon, seed: int, examples: int) -> int:
    """Prints what it finds; 0: nothing. `examples`: for each operation, at most."""
    _trade(daemon)
    host, port = daemon.desk
    tool = Path(sys.executable).with_name("schemathesis")
    command = [tool, "run", f"http://{host}:{port}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}"]
    tuned = ["--max-examples", str(examples), "--seed", str(seed), *_OPTIONS]
    return subprocess.run([*command, *tuned], cwd=daemon.folder, check=False).returncode


def _trade(daemon: Daemon) -> None:
    """Something to be asked for: done, open and refused."""
    daemon.alert()
    daemon.alert(order_type="limit", price=49_000)
    daemon.alert(action="sell", amount=1_000)
