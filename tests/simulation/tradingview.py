"""A sender with TradingView's true rules, and the alerts that it has to send.

It waits 3 s for a reply and sends again only on 5xx, 5 s apart, at most 4 times in all; a time-out or a
connection that breaks is the end of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from simulation.book import Book
from simulation.life import SECRET, Life, Reply
from simulation.world import EPOCH, Rule, World

GIVES_UP_S, SENDS, APART_S = 3.0, 4, 5.0
ACCEPTED = frozenset({200, 202, 422})


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert that fires: `event` is what it means; twins have the same, and so must have one effect."""

    event: str
    at: float  # virtual time
    body: bytes
    conflicting: bool = False  # the same key with another meaning


def script(world: World, books: Mapping[str, Book]) -> list[Firing]:
    """Two to five events, some sent twice, some contradicted."""
    chance = world.random
    accounts, swap = list(books), any(book.swap for book in books.values())
    firings = []
    at = 0.0
    for number in range(chance.randint(2, 5)):
        at += chance.choice((0.0, 0.05, 0.5, 2.0)) * chance.random()
        fields = _fields(world, number, swap=swap)
        fields |= {
            "symbol": "BTCUSDT.P" if swap else "BTCUSDT", "confidence": 0.9, "secret": SECRET,
            "comment": f"e{number}", "timestamp": EPOCH + round(at, 3), "exchanges": accounts,
        }  # fmt: skip
        fields |= {"id": f"id-{number}"} if chance.random() < 0.5 else {"order_id": f"o-{number}"}
        firings.append(Firing(f"e{number}", at, _bytes(fields)))
        if chance.random() < 0.35:
            twin = at + chance.choice((0.0, 0.01, 1.0, 6.0)) * chance.random()
            firings.append(Firing(f"e{number}", twin, _bytes(fields)))
        if "id" in fields and chance.random() < 0.25:
            other = fields | {"amount": 3, "action": "buy", "comment": f"e{number}"}
            firings.append(Firing(f"e{number}", at + chance.random(), _bytes(other), conflicting=True))
    return firings


def _fields(world: World, number: int, *, swap: bool) -> dict[str, Any]:
    chance = world.random
    kinds = ["buy"] * 4 + ["protected"] * 3 + ["sell", "close", "limit", "cancel"]
    kind = chance.choice(["buy", "protected"] if number == 0 else kinds + ["reverse"] * swap)
    amount = chance.choice((1, 1, 1, 2))
    match kind:
        case "protected":
            targets = {"stop_loss": {"percent": 1}}
            if chance.random() < 0.5:
                targets["take_profit"] = {"percent": 1}
            return {"action": "buy", "amount": amount, **targets}
        case "sell":
            return {"action": "sell", "amount": amount}
        case "limit":
            return {
                "action": "buy",
                "amount": amount,
                "order_type": "limit",
                "price": chance.choice((99, 99.5)),
            }
        case "reverse":
            turn = {"market_position": "short", "prev_market_position": "long", "position_size": -1}
            return {"action": "sell", "amount": amount + 1, **turn}
        case "buy" if chance.random() < 0.2:
            return {"action": "buy", "notional": 150}
        case "buy":
            return {"action": "buy", "amount": amount}
    return {"action": kind}


def _bytes(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


class Sender:
    """Sends each firing to whoever lives then; remembers what it was promised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.life: Life | None = None
        self.promised: dict[str, str] = {}  # alert ids, and the event that each was promised for
        self._proxy = world.random.random() < 0.5  # one in front answers 502 where nobody listens

    async def send(self, firing: Firing) -> None:
        await trio.sleep(firing.at)
        for number in range(SENDS):
            if number:
                await trio.sleep(APART_S)
            status, body = await self._once(firing)
            if not 500 <= status <= 599:
                break
        else:
            return
        if status in ACCEPTED:
            self.promised[json.loads(body)["alert_id"]] = firing.event
        elif status == 400 and not firing.conflicting:
            self.world.violation(Rule.REFUSED, body.decode())

    async def _once(self, firing: Firing) -> Reply:
        """Status 0: no reply."""
        life, reply = self.life, None
        if life is not None and life.door is not None:
            with trio.move_on_after(GIVES_UP_S):
                reply = await life.post(firing.body) or (502 if self._proxy else 0, b"")
        else:
            reply = 502 if self._proxy else 0, b""
        status, body = reply or (0, b"")
        told = json.loads(body) if body else {}
        self.world.note(
            "sender", str(status), event=firing.event, alert=told.get("alert_id"), said=told.get("status")
        )
        return status, body
