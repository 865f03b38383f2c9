"""The simulated disk keeps what was synced and no more, and SQLite recovers from what a power cut leaves."""

from contextlib import suppress
from random import Random

import apsw

from simulation.disk import Disk, opened
from simulation.files import SECTOR, File
from simulation.world import World

ROWS = 5


def cut_within_a_commit(seed: int) -> tuple[bool, int]:
    """Whether the commit was answered, and how many of its rows the next start finds."""
    disk = Disk(World(seed, wide=True))
    connection = opened()
    connection.execute("CREATE TABLE word(text TEXT)")
    disk.fail(lambda: apsw.IOError("no power"))
    answered = False
    with suppress(apsw.IOError):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO word VALUES (?)", [("x" * 1500,)] * ROWS)
        connection.execute("COMMIT")
        answered = True
    disk.power_cut(connection)
    after = opened()
    assert after.execute("PRAGMA integrity_check").get == "ok"
    found = after.execute("SELECT count(*) FROM word").get
    after.close()
    return answered, found


def test_a_commit_that_loses_power_is_there_whole_or_not_at_all() -> None:
    outcomes = {cut_within_a_commit(seed) for seed in range(150)}
    assert outcomes == {(True, ROWS), (False, ROWS), (False, 0)}


def test_what_was_not_synced_is_gone() -> None:
    file = File(b"old")
    file.write(b"new", 0)
    assert bytes(file.after_power_cut(None).seen) == b"old"
    file.sync()
    assert bytes(file.after_power_cut(None).seen) == b"new"


def test_what_was_not_synced_may_be_torn_at_sectors() -> None:
    old, new = b"o" * 4 * SECTOR, b"n" * 4 * SECTOR
    file = File(old)
    file.write(new, 0)
    left = {bytes(file.after_power_cut(Random(seed)).seen[::SECTOR]) for seed in range(200)}
    assert len(left) == 2**4
    assert {len(file.after_power_cut(Random(seed)).seen) for seed in range(20)} == {len(old)}
