"""The notifier: what goes out when, to whom, and that nothing of it waits for a target or repeats a day."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from fakes import InlineJournal
from fks.actors.notify import FAREWELL_S, Notifier, Notify
from fks.domain.events import Kind
from fks.domain.limits import BreakerState
from fks.domain.messages import AccountStatus, Event
from fks.domain.outbox import Message
from fks.domain.secret import Secret
from fks.domain.settings import NotifySettings
from fks.infra.courier import PAUSES_S, WAITING
from fks.infra.notify import NotDelivered
from fks.kernel import INLINE, Latest, supervise

URL, OTHER, BAD = Secret("json://one"), Secret("json://two"), Secret("bad")
BEGIN = 1_790_071_200.0  # 2026-09-22 10:00 UTC


class Phone:
    """A target: `fails` next deliveries, or hangs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.got: list[tuple[float, Message]] = []
        self.fails = 0
        self.hangs = False
        self.tried = 0

    async def deliver(self, message: Message) -> None:
        self.tried += 1
        if self.hangs:
            await trio.sleep(30)
            raise NotDelivered("no answer")
        if self.fails:
            self.fails -= 1
            raise NotDelivered("refused")
        self.got.append((trio.current_time(), message))

    @property
    def titles(self) -> list[str]:
        return [message.title for _, message in self.got]


class World:
    def __init__(self, folder: Path, **settings: Any) -> None:
        self.journal = InlineJournal(folder / "fks.db", self.wall)
        self.notifier = Notifier(NotifySettings(**{"urls": (URL,), **settings}))
        self.phones = {url: Phone(url.reveal()) for url in (URL, OTHER)}
        self.opened: list[Secret] = []
        self.counts: list[tuple[str, str]] = []
        self.statuses: dict[str, Latest[AccountStatus]] = {}
        self.ahead = 0.0  # of the clock that the actor sleeps by

    def wall(self) -> float:
        return BEGIN + self.ahead + trio.current_time()

    async def go(self, hours: float) -> None:
        """In steps: a virtual hour is all that a test has."""
        while hours > 0:
            step = min(hours, 3.0)
            self.ahead += step * 3600 - 61
            await trio.sleep(61)
            hours -= step

    def open(self, urls: Sequence[Secret]) -> Any:
        self.opened += urls
        return {url: self.phones[url] for url in urls if url != BAD}, ["unusable"] * (BAD in urls)

    def make(self, tasks: trio.Nursery) -> Notify:
        cell, count = self.notifier.settings, lambda *told: self.counts.append(told)
        self.actor = Notify(tasks, cell, self.journal, self.statuses, count, self.wall, self.open)
        return self.actor

    @asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        """One life of the actor."""
        INLINE.set(True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervise, self.make, self.notifier.inbox, Notify.RESTART)
            await trio.sleep(0.1)
            yield self
            nursery.cancel_scope.cancel()

    @property
    def phone(self) -> Phone:
        return self.phones[URL]

    def fill(self, n: int = 1) -> None:
        data = {"side": "buy", "filled": str(n), "symbol": "BTC/USDT", "average": "100"}
        self.notifier.observe([Event(seq=n, time=0.0, kind="order_filled", data=data)])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_first_at_once_a_burst_as_one(world: World) -> None:
    async with world.running():
        for n in range(1, 42):
            world.fill(n)
            await trio.sleep(0.1)
        await trio.sleep(60)
    assert world.phone.titles == ["bought 1 BTC/USDT at 100", "fks: 40 filled"]
    assert world.phone.got[1][0] - world.phone.got[0][0] == pytest.approx(10.0)
    assert world.counts == [("json", "sent")] * 2


async def test_only_what_on_names(world: World) -> None:
    async with world.running():
        world.notifier.use(NotifySettings(urls=(URL,), on=("alarm",)))
        world.fill()
        alarm = {"code": "drift", "detail": "book 1, exchange 2"}
        world.notifier.observe([Event(seq=1, time=0.0, kind="alarm", account="main", data=alarm)])
        await trio.sleep(60)
    ((_, message),) = world.phone.got
    assert message == Message("main: alarm drift", "book 1, exchange 2")


async def test_without_a_url_nothing_is_opened_nor_kept(tmp_path: Path) -> None:
    world = World(tmp_path, urls=())
    async with world.running():
        world.fill()
        assert world.notifier.ref.depth == 0
        await trio.sleep(600)
        await world.notifier.take_leave()
    assert world.opened == []


async def test_a_target_that_fails_is_tried_again_then_given_up_and_told_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.phone.fails = len(PAUSES_S) + 1
    async with world.running():
        world.fill(1)
        await trio.sleep(sum(PAUSES_S) + 1)
        assert world.counts == [("json", "failed")]
        world.phone.fails = 2
        world.fill(2)
        await trio.sleep(60)
    assert world.phone.titles == ["bought 2 BTC/USDT at 100"]
    said = capsys.readouterr().out
    assert said.count("notification_failed") == 1
    assert said.count("notification_works_again") == 1


async def test_a_target_that_hangs_holds_up_no_other_and_no_memory(tmp_path: Path) -> None:
    world = World(tmp_path, urls=(URL, OTHER), digest_s=0.0, per_minute=6000.0)
    world.phone.hangs = True
    async with world.running():
        for n in range(500):
            world.fill(n + 1)
            await trio.sleep(0.1)
            assert len(world.actor._couriers[URL]._waiting) <= WAITING
        await trio.sleep(1)
        assert len(world.phones[OTHER].got) == 500
        assert world.counts.count(("json", "dropped")) == 500 - WAITING - 1
        began = trio.current_time()
        await world.notifier.take_leave()
        assert trio.current_time() == began  # of it nothing is to be expected


async def test_leave_is_not_waited_for_without_end(world: World) -> None:
    world.phone.hangs = True
    async with world.running():
        world.fill()
        await trio.sleep(1)
        began = trio.current_time()
        await world.notifier.take_leave()
        assert trio.current_time() - began == pytest.approx(FAREWELL_S)


async def test_settings_are_replaced_at_run_time(world: World) -> None:
    async with world.running():
        world.notifier.use(NotifySettings(urls=(OTHER, BAD, URL)))
        await trio.sleep(0.1)
        world.fill()
        await trio.sleep(1)
        world.notifier.use(NotifySettings(urls=(OTHER,)))
        await trio.sleep(0.1)
        world.fill(2)
        await trio.sleep(60)
    assert world.opened == [URL, OTHER, BAD]  # what stays is not opened again
    assert len(world.phone.got) == 1
    assert len(world.phones[OTHER].got) == 2


async def test_what_comes_before_there_is_a_target_waits_for_one(tmp_path: Path) -> None:
    world = World(tmp_path, urls=(BAD,))
    async with world.running():
        world.fill()
        await trio.sleep(60)
        world.notifier.use(NotifySettings(urls=(URL,)))
        await trio.sleep(1)
    assert world.phone.titles == ["bought 1 BTC/USDT at 100"]


async def test_leave_is_taken_with_what_waits(tmp_path: Path) -> None:
    world = World(tmp_path, on=("filled", "stopped"))
    async with world.running():
        for n in range(1, 4):
            world.fill(n)
            await trio.sleep(1)
        await world.notifier.take_leave()
    assert world.phone.titles[-1] == "fks: 2 filled, 1 stopped"


async def test_a_breaker_that_opens_and_closes_is_told(world: World) -> None:
    status = world.statuses["main"] = Latest(AccountStatus(account="main", type="fake"))
    async with world.running():
        for state in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.OPEN, BreakerState.CLOSED):
            status.set(AccountStatus(account="main", type="fake", breaker=state))
            await trio.sleep(20)
    assert world.phone.titles == [
        "main: the exchange fails: entries wait",
        "main: the exchange answers again",
    ]


# --- the day; it is 10:00 UTC


def daily(tmp_path: Path, **more: Any) -> World:
    return World(tmp_path, **{"daily_at": "12:00", "on": (), **more})


async def start(world: World) -> None:
    await world.journal.write(lambda ledger: ledger.note(Kind.DAEMON_STARTED))


def days(*numbers: int) -> list[str]:
    return [f"fks: the day to 2026-09-{number} 12:00 UTC" for number in numbers]


async def test_a_summary_a_day_at_its_time(tmp_path: Path) -> None:
    world = daily(tmp_path)
    await start(world)
    async with world.running():
        await world.go(1.9)
        assert world.phone.got == []
        await world.go(3 * 24)
    assert world.phone.titles == days(22, 23, 24)
    assert all(message.body.startswith("Alerts: none") for _, message in world.phone.got)


async def test_it_is_sent_within_a_minute_of_its_time(tmp_path: Path) -> None:
    world = daily(tmp_path, daily_at="10:30")
    await start(world)
    async with world.running():
        await trio.sleep(2000)
    ((at, _),) = world.phone.got
    assert at == pytest.approx(1800, abs=0.2)


async def test_a_restart_neither_repeats_nor_skips_it(tmp_path: Path) -> None:
    world = daily(tmp_path)
    await start(world)
    for hours in (1, 2, 1, 12):  # of each life
        async with world.running():
            await world.go(hours)
    assert world.phone.titles == days(22)
    await world.go(12)  # down over the second day's end
    for _ in range(2):
        async with world.running():
            await trio.sleep(1)
        assert world.phone.titles == days(22, 23)
    assert world.journal.kinds().count(Kind.SUMMARY_SENT) == 2


async def test_who_has_it_does_not_get_it_again_because_another_has_not(tmp_path: Path) -> None:
    world = daily(tmp_path, urls=(URL, OTHER), daily_at="10:01")
    await start(world)
    world.phones[OTHER].fails = 1000
    for _ in range(3):  # each life ends while it is still being tried
        async with world.running():
            await trio.sleep(65)
    assert len(world.phone.got) == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_a_daemon_that_is_new_owes_no_summary_of_before(tmp_path: Path, begun: bool) -> None:
    world = daily(tmp_path, daily_at="09:00")
    if begun:
        await start(world)
    async with world.running():
        await world.go(12)
        assert world.phone.got == []
        await world.go(12)
        assert len(world.phone.got) == 1


async def test_a_summary_that_reaches_nobody_is_tried_until_it_does(tmp_path: Path) -> None:
    world = daily(tmp_path, daily_at="10:01")
    await start(world)
    world.phone.fails = 12  # more than two rounds of attempts
    async with world.running():
        await trio.sleep(3000)
    assert len(world.phone.got) == 1
    assert world.journal.kinds().count(Kind.SUMMARY_SENT) == 1


async def test_the_time_is_that_of_the_zone_and_can_be_changed(tmp_path: Path) -> None:
    world = daily(tmp_path, timezone="Asia/Tokyo", daily_at="20:00")  # 11:00 UTC
    await start(world)
    async with world.running():
        await world.go(1.1)
        assert world.phone.titles == ["fks: the day to 2026-09-22 20:00 JST"]
        world.notifier.use(NotifySettings(urls=(URL,), daily_at="12:00", on=()))
        await world.go(1)
    assert world.phone.titles[1:] == days(22)
