"""What outlives the daemon: chance, the trace, what was found wrong, and when the daemon dies."""

import random
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import trio

EPOCH = 1_790_000_000.0
WINDOW_S, LAG_S = 2.0, 1.0  # the exchange's fence, and how long it may hide what it executed
LOWEST, HIGHEST = Decimal(98), Decimal(102)  # the price stays between


class Rule(StrEnum):
    """What must hold, named by how it is broken."""

    LOST = "acknowledged and lost"
    OUTCOME = "not exactly one outcome"
    TWICE = "executed more than once"
    NO_INTENT = "no durable intent"
    OVER = "over the limit"
    DIFFERS = "ledger and exchange differ"
    RESTLESS = "does not come to rest"
    BARE = "without its stop loss"
    GHOST = "said to be placed and is not"
    HALTED = "entered while halted"
    REFUSED = "a valid alert was refused"
    STALE = "sent when it was too old"
    SILENT = "refused as too old without an alarm"
    BROKEN_WORD = "told to be refused, and is not"
    FELL = "fell without a reason"
    DAMAGED = "the journal is damaged"


class Violation(NamedTuple):
    rule: Rule
    detail: str


class Dead(BaseException):
    """Raised in what a dead daemon's tasks still try to do: nothing of it reaches the world."""


class World:
    """`chance` is 0 in a healthy world: every run ends in one, to see whether all comes to rest.

    In a wide one more can happen: power fails within a commit and tears what it was writing, the log is
    copied back often, the machine is down for long, an operator interferes, alerts ask for more, and an
    order fills while it is canceled, which may show later. An exchange may have no fence, forget what has
    ended, tell no prices for a while, and show coins and positions late. What only it knows has a source of
    chance of its own, `further`, so that a seed found without it is still the same execution.
    """

    def __init__(self, seed: int, *, wide: bool = False) -> None:
        self.random = random.Random(seed)
        self.wide = wide
        self.further = random.Random(f"wide {seed}")
        self.healthy = False
        self.trace: list[str] = []
        self.violations: list[Violation] = []
        self.crashes = 0
        self.sent = 0  # placements
        self.price = Decimal(100)
        self.unfenced: set[str] = set()  # accounts whose exchange takes requests however late they come
        self.operated = False  # somebody at the desk may have barred entries
        self.halted_since: float | None = None  # wall time: no entry may be claimed from then on
        self.on_occasion: Callable[[str], None] = lambda _what: None
        self.nursery: trio.Nursery  # of the exchange's and the network's own tasks

    def wall(self) -> float:
        """UTC seconds."""
        return EPOCH + trio.current_time()

    def chance(self, probability: float) -> bool:
        return not self.healthy and self.random.random() < probability

    def between(self, least: float, most: float) -> float:
        return self.random.uniform(least, most)

    def note(self, who: str, what: str, **facts: Any) -> None:
        told = " ".join(f"{name}={value}" for name, value in facts.items())
        self.trace.append(f"{trio.current_time():9.4f} {who:<9} {what} {told}".rstrip())

    def occasion(self, what: str) -> None:
        """Something happened close to which a crash is worth trying."""
        self.on_occasion(what)

    def violation(self, rule: Rule, detail: str) -> None:
        self.note("VIOLATION", rule, detail=detail)
        self.violations.append(Violation(rule, detail))


OCCASIONS = ("durable", "send", "executed", "answered", "reply")


class Crashes(trio.abc.Instrument):
    """Strikes at the k-th task step of a life, or a few steps after the k-th occasion of some kind."""

    def __init__(self, world: World, strike: Callable[[], None]) -> None:
        self._random = world.random
        self._strike = strike
        self._left = world.random.choice((0, 1, 2, 3, 4))
        self._steps = self._wanted = 0
        self._aim = ""
        world.on_occasion = self._occasion

    def new_life(self) -> None:
        self._steps, self._aim = 0, ""
        if self._left == 0:
            return
        self._left -= 1
        if self._random.random() < 0.4:
            self._steps = int(self._random.expovariate(1 / 300)) + 1
        else:
            self._aim = self._random.choice(OCCASIONS)
            self._wanted = self._random.randint(1, 4)

    def stop(self) -> None:
        self._left = self._steps = 0
        self._aim = ""

    def _occasion(self, what: str) -> None:
        if what == self._aim:
            self._wanted -= 1
            if self._wanted == 0:
                self._steps = self._random.randint(1, 25)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._steps > 0:
            self._steps -= 1
            if self._steps == 0:
                self._strike()
