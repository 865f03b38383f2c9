"""The front with the actors behind it, on a clock of its own: re-sends, and a journal that has no room."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import structlog.testing
import trio

from fakes import FakeVenue, wall
from fks.actors.crews import Crews
from fks.actors.front import Front, Waiters
from fks.actors.lint import Linter
from fks.domain.addresses import networks
from fks.domain.auth import sign
from fks.domain.gate import gate_rules
from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings, Settings
from fks.infra.metrics import Metrics
from fks.kernel import mailbox
from fks.ledger import Journal, Write
from fks.venues.accounts import AccountMaker
from fks.venues.outlook import Outlook
from rig import Rig

SECRET = Secret("a-webhook-secret-of-24-bytes")
SETTINGS = Settings(default_exchange="main", exchanges={"main": AccountSettings(type="paper")})


def front(rig: Rig, journal: Journal) -> Front:
    return Front(
        journal=journal,
        rules=gate_rules(SETTINGS, lambda: SECRET),
        allow=networks(("127.0.0.1/32",)),
        trusted_proxies=(),
        indexes=lambda _name: rig.account.index,
        waiters=Waiters(),
        metrics=Metrics("test", 0.0),
        unready=list,
        wall=wall,
    )


def body(**fields: Any) -> bytes:
    raw = {"symbol": "BTC/USDT", "action": "buy", "amount": 0.01, "confidence": 0.9, "timestamp": wall()}
    return json.dumps({**raw, **fields}).encode()


async def post(door: Front, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers, body."""
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(b"x-signature", sign(SECRET, sent).encode())]
    scope = {"type": "http", "method": "POST", "path": "/webhook", "headers": headers}
    await door({**scope, "client": ("127.0.0.1", 1)}, receive, send)
    start, content = told
    return (
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        json.loads(content["body"]),
    )


@contextmanager
def watching(rig: Rig, door: Front) -> Iterator[None]:
    """Outcomes reach those who wait, as the supervisor sees to it."""
    rig.journal.observers.append(door.waiters.observe)
    yield


@pytest.mark.fault(25)
async def test_one_alert_sent_four_times_five_seconds_apart_is_one_order(tmp_path: Path) -> None:
    venue = FakeVenue()
    async with Rig(tmp_path, venue).running() as rig:
        await trio.sleep(1)
        door = front(rig, rig.journal)
        with watching(rig, door):
            sent = body()
            replies = []
            for _ in range(4):
                replies.append(await post(door, sent))
                await trio.sleep(5)
        assert [status for status, _, _ in replies] == [200] * 4
        assert [told["status"] for _, _, told in replies] == ["success"] + ["duplicate"] * 3
        assert len({told["order_id"] for _, _, told in replies}) == 1
        assert len(venue.placed) == 1


async def test_who_waits_for_an_outcome_is_answered_when_the_daemon_stops(tmp_path: Path) -> None:
    """Its order may have to wait for the next start: a reply that is cut off would look like a lost alert."""
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        door = front(rig, rig.journal)  # nobody observes: no outcome is ever told
        door.rules = msgspec.structs.replace(
            door.rules, webhook=msgspec.structs.replace(door.rules.webhook, wait_s=60.0)
        )
        replies = []

        async def send(name: str) -> None:
            replies.append((await post(door, body(id=name)))[0])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "before")
            await trio.sleep(1)
            began = trio.current_time()
            door.waiters.close()
            nursery.start_soon(send, "after")
        assert replies == [202, 202]
        assert trio.current_time() - began < 2.0


class Late(Journal):
    """The rig's journal on a disk that takes its time."""

    def __init__(self, rig: Rig, *, write_s: float = 0.0, read_s: float = 0.0) -> None:
        self.rig, self.write_s, self.read_s = rig, write_s, read_s

    async def offer(self, operation: Any, *, within: float = 5.0) -> Any:
        with trio.fail_after(within):
            await trio.sleep(self.write_s)
        return await self.rig.journal.write(operation)

    async def read(self, query: Any, *, within: float = 5.0) -> Any:
        with trio.fail_after(within):
            await trio.sleep(self.read_s)
        return await self.rig.journal.read(query)


@pytest.mark.parametrize(
    ("disk", "fields", "status"),
    [
        ({"write_s": 60.0}, {}, 503),
        ({"write_s": 60.0}, {"symbol": "DOGE/MOON"}, 400),  # which is recorded, and is an alarm
        ({"write_s": 1.9}, {"order_type": "limit", "price": 1.0, "wait": True}, 202),
        ({"write_s": 1.0, "read_s": 60.0}, {}, 202),
    ],
)
async def test_whatever_the_disk_does_the_answer_comes_before_tradingview_gives_up(
    tmp_path: Path, disk: dict[str, float], fields: dict[str, Any], status: int
) -> None:
    unsettled = fields.pop("wait", False)
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        door = front(rig, Late(rig, **disk))
        if not unsettled:
            rig.journal.observers.append(door.waiters.observe)
        sent = body(id="a", **fields)
        began = trio.current_time()
        assert (await post(door, sent))[0] == status
        assert trio.current_time() - began < 3.0
        if status == 202:
            assert (await post(door, sent))[0] in (200, 202), "and so does the answer to its repetition"
            assert trio.current_time() - began < 6.0


@pytest.mark.fault(14)
async def test_a_full_mailbox_is_503_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        ref, _nobody_reads = mailbox("journal", 1, Write)
        door = front(rig, Journal(ref, rig.journal.store))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, door, body(id="takes the room"))
            await trio.sleep(0.1)
            began = trio.current_time()
            status, headers, told = await post(door, body(id="too many"))
            assert trio.current_time() == began
            nursery.cancel_scope.cancel()
        assert (status, headers["retry-after"]) == (503, "5")
        assert "could not be stored" in told["detail"]
        assert await rig.orders() == []


async def test_while_an_account_is_taken_up_anew_linting_says_to_try_again(
    tmp_path: Path,
) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        there: list[Outlook | None] = [None]
        lint = Linter(rig.journal, gate_rules(SETTINGS, lambda: SECRET), lambda _name: there[0], wall)
        report = await lint(body(id="a"))
        assert [one["refusal"]["code"] for one in report["accounts"]] == ["account.starting"]
        assert not report["accepted"]
        there[0] = rig.outlook
        assert (await lint(body(id="a")))["accepted"]
        crews = Crews(rig.journal, Metrics("test", 0.0), SETTINGS, maker=cast(AccountMaker, None))
        assert crews.outlook("main") is None, "as between its end and its beginning"


async def test_a_record_that_is_lost_is_logged_with_its_reason(tmp_path: Path) -> None:
    async with Rig(tmp_path, FakeVenue()).running() as rig:
        await trio.sleep(1)
        with structlog.testing.capture_logs() as lines:
            await post(front(rig, Late(rig, write_s=60.0)), body(id="a", confidence=7))
        (lost,) = [line for line in lines if line["event"] == "audit_record_lost"]
        assert (lost["kind"], lost["reason"]) == ("alert_rejected", "the journal is slow")
