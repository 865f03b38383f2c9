"""Labels have bounded cardinality: no id, and nothing that a sender chose, gets into the metrics."""

import re
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import FakeVenue, wall
from fks.actors.metrics import MetricsActor
from fks.domain.errors import Rejected
from rig import Rig
from test_front import body, front, post

CANARY = "canary"
ALERTS: list[dict[str, Any]] = [
    {},
    {"symbol": "CANARY/USDT"},
    {"exchange": CANARY},
    {"action": CANARY},
    {"order_type": CANARY},
    {"id": CANARY, "strategy": CANARY, "comment": CANARY, CANARY: CANARY},
    {"id": CANARY, "amount": 0.02},  # another body: a conflict
    {"id": CANARY, "strategy": CANARY, "comment": CANARY, CANARY: CANARY},  # a duplicate
    {"amount": CANARY},
    {"time_in_force": CANARY},
    {"id": "refused", "amount": 1e9, "strategy": CANARY},
]


@pytest.mark.parametrize("script", [(), (Rejected(CANARY, CANARY),)])
async def test_nothing_of_a_sender_and_no_id_is_a_label(tmp_path: Path, script: tuple[Any, ...]) -> None:
    async with Rig(tmp_path, FakeVenue(*script)).running() as rig, trio.open_nursery() as tasks:
        await trio.sleep(1)
        door = front(rig, rig.journal)
        began = wall()
        replies = [(await post(door, body(timestamp=began, **fields)))[0] for fields in ALERTS]
        assert {200, 202, 400, 409} == set(replies)
        await trio.sleep(5)
        actor = MetricsActor(tasks, door.metrics, rig.journal, wall, _no_disk, tuple)
        await actor.handle(rig.journal.events)
        text = door.metrics.text().decode()
        ids = {order.id for order in await rig.orders()} | {order.alert_id for order in await rig.orders()}
        tasks.cancel_scope.cancel()
    labels = set(re.findall(r'="([^"]*)"', text))
    assert {"fresh", "conflict", "duplicate", "main", "alert.symbol", "accepted"} <= labels
    assert not [label for label in labels if CANARY in label.lower()]
    assert ids
    assert not ids & labels


def _no_disk() -> Any:
    raise OSError
