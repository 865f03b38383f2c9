"""The commands as a user calls them, against a stand-in of the daemon."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli_daemon import TOKEN, Daemon
from fks.cli import main

SECRET = "webhook-secret"


@pytest.fixture(name="daemon")
def fixture_daemon() -> Iterator[Daemon]:
    with Daemon() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(name="invoke")
def fixture_invoke(tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`fks ...` with a configuration that points at the stand-in; secrets as the daemon leaves them."""
    for name in ("FKS_CONFIG", "FKS_ADMIN_URL", "FKS_ADMIN_TOKEN", "FKS_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    (tmp_path / "admin_token").write_text(TOKEN + "\n")
    (tmp_path / "webhook_secret").write_text(SECRET + "\n")
    config = tmp_path / "fks.toml"
    port = daemon.server_address[1]
    # Two spellings of one address: the configuration must name two.
    config.write_text(f'[server]\nlisten = ["127.0.0.1:{port}"]\nadmin = ["0.0.0.0:{port}"]\n')

    def run(*args: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, ["--config", str(config), *args], input=stdin, prog_name="fks")

    return run


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
