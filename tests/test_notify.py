"""Through Apprise to real sockets: what arrives, what is said of what does not, and never a secret."""

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from fks.cli import main
from fks.domain.outbox import Message
from fks.domain.secret import Secret
from fks.infra import notify
from fks.infra.notify import NotDelivered, Unusable, open_target, open_targets, scrub
from notify_target import Service, hanging, refusing, service

CANARY = "canary5f1e7c"
MESSAGE = Message("fks: 2 filled <b>", "- bought {{1}} & sold *2*\n- second line")


@pytest.fixture(name="there")
def fixture_there() -> Iterator[Service]:
    with service() as one:
        yield one


@pytest.mark.real_time
async def test_a_message_arrives_as_it_is(there: Service) -> None:
    await open_target(Secret(f"json://{there.address}/hook")).deliver(MESSAGE)
    (got,) = there.got
    assert (got["title"], got["message"]) == (MESSAGE.title, MESSAGE.body)
    assert there.paths == ["/hook"]


@pytest.mark.real_time
async def test_what_sounds_secret_in_a_reason_does_not_leave(there: Service) -> None:
    await open_target(Secret(f"json://{there.address}")).deliver(
        Message("rejected", f"GET https://x/?signature={CANARY}&a=1")
    )
    assert there.got[0]["message"] == "GET https://x/?signature=***&a=1"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"json://user:{CANARY}@collector.example:8080/{CANARY}", "json://collector.example:8080"),
        (f"tgram://123456789:{CANARY}_abcdefghijklmnopqrs/12315544", "tgram://***"),
        (f"discord://{CANARY}/{CANARY}token", "discord://***"),
        (f"https://discord.com/api/webhooks/417429632418316298/{CANARY * 6}", "discord://***"),
        (f"mailto://me:{CANARY}@gmail.com", "mailtos://gmail.com:587"),
        (f"gotify://push.example/{CANARY}", "gotify://push.example"),
        (f"ntfy://{CANARY}", "ntfys://***"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnl{CANARY}abc/", "slack://***"),
    ],
)
def test_a_target_is_named_without_its_secrets(url: str, name: str) -> None:
    assert open_target(Secret(url)).name == name


@pytest.mark.parametrize("url", [f"nothing://{CANARY}", CANARY, f"tgram://{CANARY}", "json://"])
def test_a_url_that_apprise_cannot_read_is_named_by_its_place(
    url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unusable) as found:
        open_target(Secret(url))
    assert CANARY not in str(found.value)
    targets, problems = open_targets([Secret("json://a.example"), Secret(url)])
    assert [one.name for one in targets.values()] == ["json://a.example"]
    assert problems == [f"notify.urls[1]: {found.value}"]
    assert capfd.readouterr() == ("", "")


@pytest.fixture(name="log_of_all")
def fixture_log_of_all() -> Iterator[io.StringIO]:
    """Whatever reaches the root logger, at any level."""
    root, text = logging.getLogger(), io.StringIO()
    level, handler = root.level, logging.StreamHandler(text)
    root.setLevel(1)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.real_time
@pytest.mark.fault(60)
async def test_a_refusal_says_why_without_the_url(
    capfd: pytest.CaptureFixture[str], log_of_all: io.StringIO
) -> None:
    with service(401) as closed, refusing() as gone:
        for address, reason in ((closed.address, "error=401"), (gone, "A Connection error occurred")):
            target = open_target(
                Secret(f"json://{CANARY}user:{CANARY}@{address}/{CANARY}/hook?+X-Key={CANARY}")
            )
            # As if somebody had asked for more.
            for name in ("apprise", "urllib3", "requests"):
                logging.getLogger(name).setLevel(1)
            with pytest.raises(NotDelivered, match=reason) as found:
                await target.deliver(MESSAGE)
            assert CANARY not in repr(found.value)
            assert found.value.__cause__ is None
    assert CANARY not in "".join(capfd.readouterr()) + log_of_all.getvalue()


@pytest.mark.real_time
async def test_one_that_hangs_is_left_alone_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "DEADLINE_S", 0.2)
    with hanging() as address:
        target = open_target(Secret(f"json://{address}/?rto=2"))
        for _ in range(2):  # the second finds the first one's thread still there, and makes no other
            began = trio.current_time()
            with pytest.raises(NotDelivered, match="no answer"):
                await target.deliver(MESSAGE)
            assert trio.current_time() - began < 1.9
        assert target._thread.borrowed_tokens == 1


def test_a_reason_loses_every_part_of_the_url() -> None:
    url = "json://me:p%40ss@host.example/TOKEN?key=value&x=ab"
    told = scrub("me p@ss token TOKEN p%40ss at HOST.EXAMPLE: value\nab api_key=other", url)
    assert told == "me *** *** *** *** at ***: *** ab api_***=***"
    assert len(scrub("x" * 1000, "json://")) == 200


def test_apprise_is_not_imported_while_there_is_no_url() -> None:
    script = (
        "import sys; from fks.infra.notify import open_targets; import fks.actors.supervisor;"
        " open_targets(()); sys.exit('apprise' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# --- fks notify test


def run(tmp_path: Path, urls: list[str], *args: str, command: str = "notify test") -> Result:
    config = tmp_path / "fks.toml"
    config.write_text(f"[notify]\nurls = {json.dumps(urls)}\n")
    config.chmod(0o600)
    return CliRunner().invoke(main, [*command.split(), "--config", str(config), *args])


def test_it_sends_to_each_and_says_what_came_of_it(tmp_path: Path, there: Service) -> None:
    result = run(tmp_path, [f"json://u:{CANARY}@{there.address}/{CANARY}", f"jsons://{there.address}/a"])
    assert result.exit_code == 1
    good, bad = result.stdout.splitlines()
    assert good.split()[:2] == ["ok", f"json://{there.address}"]
    assert bad.split()[:2] == ["fail", f"jsons://{there.address}"]
    assert "1 of 2 did not arrive" in result.stderr
    assert CANARY not in result.output
    assert there.titles == ["fks: a test"]


def test_as_json_and_exit_0_when_all_arrived(tmp_path: Path, there: Service) -> None:
    result = run(tmp_path, [f"json://{there.address}"] * 2, "--json")
    told: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["ok"] is True
    assert [(one["target"], one["verdict"]) for one in told["targets"]] == [
        (f"json://{there.address}", "ok")
    ] * 2
    assert len(there.got) == 2


def test_what_it_says_when_there_is_nothing_to_try(tmp_path: Path) -> None:
    result = run(tmp_path, [])
    assert result.exit_code == 1
    assert "notify.urls is empty" in result.stderr
    told = run(tmp_path, [f"nothing://{CANARY}"])
    assert (told.exit_code, told.stdout.split()[:2]) == (1, ["fail", "notify.urls[0]"])


def test_the_check_warns_of_a_url_that_cannot_be_used(tmp_path: Path) -> None:
    result = run(tmp_path, ["json://a.example", f"tgram://{CANARY}"], command="check")
    assert result.exit_code == 0
    assert result.stderr == "Warning: notify.urls[1]: not a URL that Apprise can read\n"


def test_one_that_hangs_holds_up_neither_the_others_nor_the_end(tmp_path: Path, there: Service) -> None:
    """As a process: the interpreter waits for no thread of Apprise."""
    with hanging() as address:
        config = tmp_path / "fks.toml"
        urls = [f"json://{address}/?rto=60", f"json://{there.address}"]
        config.write_text(f"[notify]\nurls = {json.dumps(urls)}\n")
        script = (
            "import sys; from fks.infra import notify; notify.DEADLINE_S = 0.5; from fks.cli import main;"
            f" main(['notify', 'test', '--config', {str(config)!r}])"
        )
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
        assert time.monotonic() - began < 45
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["fail", "ok"]
    assert "no answer" in done.stdout
