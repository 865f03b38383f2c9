"""The journal's file, and a store of it that must hold when its test is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fks.infra import journal_check
from fks.infra.ledger_sqlite import SqliteStore
from ledger_cases import opened


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    return tmp_path / "fks.db"


@pytest.fixture(name="store")
def fixture_store(path: Path) -> Iterator[SqliteStore]:
    store = opened(path)
    yield store
    problems = store.read(journal_check.verify_journal).problems
    store.close()
    assert problems == (), problems
