"""What strategies send: seeded scripts of alerts that race, repeat, contradict, protect and reverse."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulation.book import Book
from simulation.life import SECRET
from simulation.world import EPOCH, World

BOILERPLATE = frozenset({"symbol", "confidence", "secret", "comment", "timestamp", "exchanges"})
MIRRORED = {"buy": "sell", "sell": "buy", "long": "short", "short": "long"}


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert that fires: `event` is what it means; twins have the same, and so must have one effect."""

    event: str
    at: float  # virtual time
    body: bytes
    conflicting: bool = False  # the same key with another meaning

    @property
    def told(self) -> dict[str, Any]:
        """What differs between one alert and another."""
        return {name: one for name, one in json.loads(self.body).items() if name not in BOILERPLATE}


def script(world: World, books: Mapping[str, Book]) -> list[Firing]:
    """Two to five events, some sent twice, some contradicted."""
    chance = world.random
    accounts, swap = list(books), any(book.swap for book in books.values())
    mirrored = swap and world.wide and world.further.random() < 0.4
    firings = []
    at = 0.0
    for number in range(chance.randint(2, 5)):
        at += chance.choice((0.0, 0.05, 0.5, 2.0)) * chance.random()
        fields = _fields(world, number, swap=swap)
        if world.wide and world.further.random() < 0.5:
            fields = _wide_fields(world, swap=swap, attached=any(book.attached for book in books.values()))
        if mirrored:
            fields = _mirrored(fields)
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


def _wide_fields(world: World, *, swap: bool, attached: bool) -> dict[str, Any]:
    """Several take profits, protected entries that rest, parts of a position, turns back."""
    chance = world.further
    kinds = ["rests", "breaks out", "profits", "part", "close", "percent"]
    kind = chance.choice(kinds + ["reduces", "turns back"] * swap)
    amount = chance.choice((1, 1, 2))
    protected = {"stop_loss": {"offset": 1}, "take_profit": {"price": 102}}
    shares = [{"percent": 0.9, "share": 0.5}, {"percent": 1.9, "share": 0.5}]
    match kind:
        case "rests":
            return {"action": "buy", "amount": amount, "order_type": "limit", "price": 99.5, **protected}
        case "breaks out":
            at = {"order_type": "stop", "stop_price": chance.choice((100.5, 101))}
            return {"action": "buy", "amount": amount, **at, "stop_loss": {"percent": 1}}
        case "profits" if not attached:
            return {"action": "buy", "amount": amount, "stop_loss": {"percent": 1}, "take_profit": shares}
        case "part":
            return {"action": "sell", "amount": 0.4}
        case "percent":
            return {"action": "buy", "percent": 1.5, "stop_loss": {"offset": 1.5}}
        case "reduces":
            return {"action": "sell", "amount": amount, "reduce_only": True}
        case "turns back":
            turn = {"market_position": "long", "prev_market_position": "short", "position_size": 1}
            return {"action": "buy", "amount": amount + 1, **turn}
    return {"action": "close"}


def _mirrored(fields: dict[str, Any]) -> dict[str, Any]:
    """The same on the other side of 100: what was bought is sold."""
    turned = {name: MIRRORED.get(one, one) if isinstance(one, str) else one for name, one in fields.items()}
    for name in ("price", "stop_price"):
        if name in turned:
            turned[name] = 200 - turned[name]
    if isinstance(target := turned.get("take_profit"), dict) and "price" in target:
        turned["take_profit"] = {"price": 200 - target["price"]}
    if "position_size" in turned:
        turned["position_size"] = -turned["position_size"]
    return turned


def _bytes(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()
