"""The secrets that the daemon makes for itself."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog

from fks.infra.config import ConfigError
from fks.infra.credentials import ensure_secret


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "admin_token"
    first = ensure_secret(path)
    assert len(first.reveal()) >= 43  # 256 bits
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert ensure_secret(path) == first
    assert ensure_secret(path.with_name("other")) != first


def test_a_secret_put_there_by_hand_is_used(tmp_path: Path) -> None:
    path = tmp_path / "webhook_secret"
    path.write_text("chosen by hand\n")
    path.chmod(0o600)
    with structlog.testing.capture_logs() as lines:
        assert ensure_secret(path).reveal() == "chosen by hand"
    assert lines == []


def test_starters_at_the_same_time_agree_on_one_secret_and_leave_nothing_behind(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for round_ in range(20):
            path = tmp_path / f"token{round_}"
            made = list(pool.map(ensure_secret, [path] * 8))
            assert len(set(made)) == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(f"token{at}" for at in range(20))


def test_a_secret_that_others_may_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("x" * 40)
    path.chmod(0o640)
    with structlog.testing.capture_logs() as lines:
        ensure_secret(path)
    assert [line["event"] for line in lines] == ["secret_readable_by_others"]


@pytest.mark.parametrize(("content", "problem"), [(b"\n", "is empty"), (b"\xff", "is not UTF-8")])
def test_a_damaged_secret_is_an_error_not_a_new_one(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        ensure_secret(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/t: cannot be read or made: .*\(make its folder writable\)"):
        ensure_secret(tmp_path / "file" / "t")
