"""The market list on disk: used when it is whole, young and enough; never when in doubt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fks.venues import market_cache

MARKETS = [{"symbol": "BTC/USDT", "contractSize": 0.01, "limits": {"min": None}, "n": 1e-08}]


def written(folder: Path, wanted: list[str] | None = None, at: float = 1000.0) -> Path:
    path = folder / "new" / "list.jsonl"
    market_cache.write(path, MARKETS, wanted, at)
    return path


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    found = market_cache.read(written(tmp_path), None, 1000.0)
    assert found == (MARKETS, 1000.0)
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["list.jsonl"]


@pytest.mark.parametrize(
    ("have", "wanted", "now", "used"),
    [
        (None, None, 1000.0 + 86_399, True),
        (None, None, 1000.0 + 86_400, False),
        (None, None, 999.0, False),  # the clock was turned back: its age is unknown
        (None, ["BTC/USDT"], 1000.0, True),
        (["BTC/USDT"], ["BTC/USDT"], 1000.0, True),
        (["BTC/USDT"], None, 1000.0, False),
        (["BTC/USDT"], ["ETH/USDT"], 1000.0, False),
    ],
)
def test_list_is_used_for_a_day_and_only_if_it_has_what_is_wanted(
    tmp_path: Path, have: list[str] | None, wanted: list[str] | None, now: float, used: bool
) -> None:
    assert (market_cache.read(written(tmp_path, have), wanted, now) is not None) == used


def test_list_of_another_ccxt_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    monkeypatch.setattr(market_cache, "version", lambda _name: "0.0.1")
    assert market_cache.read(path, None, 1000.0) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"0.01", b"0.10"),
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"[]\n",
        lambda data: b"\xff\x00",
        lambda data: data.partition(b"\n")[0] + b"\n",
    ],
)
def test_damaged_list_is_ignored_with_a_warning(
    tmp_path: Path, spoil: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    assert market_cache.read(path, None, 1000.0) is None
    assert "market_cache_ignored" in "".join(capsys.readouterr())


@pytest.mark.parametrize("odd", [(1, 2), {1: 2}, float("nan"), object()])
def test_what_json_cannot_say_is_not_written(
    tmp_path: Path, odd: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    market_cache.write(path, [{"symbol": "A/B", "odd": odd}], None, 2000.0)
    assert market_cache.read(path, None, 1000.0) == (MARKETS, 1000.0)
    assert "market_cache_not_written" in "".join(capsys.readouterr())


def test_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new").write_text("a file")
    written(tmp_path)
    assert "market_cache_not_written" in "".join(capsys.readouterr())
