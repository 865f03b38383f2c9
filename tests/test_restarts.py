"""Restarts under load behind held sockets: nobody is refused, every acknowledged alert is one order."""

from pathlib import Path

from crash.restarts import run


def test_restarts_under_load_refuse_nobody(tmp_path: Path) -> None:
    seen = run(tmp_path, restarts=3)
    assert seen.sound, f"{seen}\n{seen.refused[:5]}\n{seen.wrong[:5]}"
    assert len(seen.acknowledged) > 100, seen
