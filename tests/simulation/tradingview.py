"""A sender with TradingView's true rules.

It waits 3 s for a reply and sends again only on 5xx other than 504, 5 s apart, at most 4 times in all; a
time-out or a connection that breaks is the end of it.
"""

import json
from typing import Any

import trio

from fks.domain.orders import LIVE, State
from simulation.alerts import Firing
from simulation.life import Life, Reply
from simulation.world import Rule, World

GIVES_UP_S, SENDS, APART_S = 3.0, 4, 5.0
ACCEPTED = frozenset({200, 202, 422})


class Sender:
    """Sends each firing to whoever lives then; remembers what it was promised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.life: Life | None = None
        self.promised: dict[str, str] = {}  # alert ids, and the event that each was promised for
        proxy = world.random.random() < 0.5  # one in front answers where nobody listens
        self.refused: set[str] = set()  # ids of which it was told that nothing comes of them
        self._nobody = (504 if world.wide and world.further.random() < 0.3 else 502) if proxy else 0

    async def send(self, firing: Firing) -> None:
        await trio.sleep(firing.at)
        self.world.note("sender", "fires", event=firing.event, alert=firing.told)
        for number in range(SENDS):
            if number:
                await trio.sleep(APART_S)
            status, body = await self._once(firing)
            if not 500 <= status <= 599 or status == 504:
                break
        else:
            return
        if status in ACCEPTED:
            self.promised[json.loads(body)["alert_id"]] = firing.event
            if status == 422:
                self.refused.add(json.loads(body)["alert_id"])
        elif status == 400 and not firing.conflicting:
            self.world.violation(Rule.REFUSED, body.decode())

    async def _once(self, firing: Firing) -> Reply:
        """Status 0: no reply."""
        life, reply = self.life, None
        if life is not None and life.door is not None:
            with trio.move_on_after(GIVES_UP_S):
                reply = await life.post(firing.body) or (self._nobody, b"")
        else:
            reply = self._nobody, b""
        status, body = reply or (0, b"")
        told = json.loads(body) if body else {}
        self.world.note(
            "sender", str(status), event=firing.event, alert=told.get("alert_id"), said=told.get("status")
        )
        if status == 200:
            self._believe(told)
        return status, body

    def _believe(self, told: dict[str, Any]) -> None:
        """What the sender is told is placed or filled, the exchange has."""
        assert self.life is not None
        for one in told["orders"]:
            if one["state"] not in (*LIVE, State.FILLED):
                continue
            records = self.life.books[one["exchange"]].records
            if not any(record.order.id == one["id"] for record in records):
                self.world.violation(Rule.GHOST, f"{one['leg']} {one['id']} is told to be {one['state']}")
