"""A configuration read from a text, and its mistakes; no file lies in the usual places."""

from pathlib import Path

import pytest

from fks.infra import config
from fks.infra.config import ConfigError, Loaded, load

IDS = ("binance", "bybit", "kraken")
CANARY = "canary-5f1e7c"


@pytest.fixture(autouse=True)
def no_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration in the usual places."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(config, "DEFAULT_PATHS", (Path("fks.toml"), tmp_path / "etc.toml"))


def read(tmp_path: Path, text: str, env: dict[str, str] | None = None, name: str = "my.toml") -> Loaded:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load(path, env or {}, IDS)


def errors(tmp_path: Path, text: str, env: dict[str, str] | None = None, name: str = "my.toml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, env, name)
    assert str(caught.value) == "\n".join(caught.value.errors), caught.value
    assert caught.value.exit_code == 78, caught.value.exit_code
    return list(caught.value.errors)
