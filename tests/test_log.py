"""What a log line looks like, what never gets into one, and that logging stops nobody."""

import fcntl
import io
import json
import logging
import os
import re
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from fks.domain.secret import Secret
from fks.domain.settings import AccountSettings
from fks.infra import log as log_module
from fks.infra.log import configure, set_level
from fks.infra.log_sink import Sink
from fks.infra.redact import is_secret_name, mask_text, redact_fields

CANARY = "canary5f1e7c"


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    root, ccxt = logging.getLogger(), logging.getLogger("ccxt.base.exchange")
    level = root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.removeHandler(log_module._library)
    ccxt.removeFilter(log_module._warnings_only)
    root.setLevel(level)


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def logged(*args: Any, level: Any = "debug", **fields: Any) -> dict[str, Any]:
    stream = io.BytesIO()
    configure(level, "json", stream)
    structlog.get_logger().info(*args, **fields)
    (line,) = lines(stream)
    return line


# --- form


def test_a_line_is_json_that_begins_with_time_level_event() -> None:
    line = logged("order_sent", account="binance", ms=1.5, ok=True, none=None)
    assert list(line) == ["time", "level", "event", "account", "ms", "ok", "none"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "order_sent",
        "account": "binance",
        "ms": 1.5,
        "ok": True,
        "none": None,
    }


def test_context_and_bound_values_are_in_the_line() -> None:
    stream = io.BytesIO()
    configure("info", "json", stream)
    with structlog.contextvars.bound_contextvars(alert_id="a1"):
        structlog.get_logger().bind(actor="gate").warning("alert_stale")
    (line,) = lines(stream)
    assert (line["alert_id"], line["actor"], line["level"]) == ("a1", "gate", "warning")


def test_a_reload_changes_the_level_of_loggers_in_use() -> None:
    stream = io.BytesIO()
    levels: list[Any] = ["info", "warning", "info"]
    log = structlog.get_logger()
    for level in levels:
        configure(level, "json", stream)
        log.info("said", at=level)
    assert [line["at"] for line in lines(stream)] == ["info", "info"]


def test_a_level_that_is_set_holds_for_loggers_in_use_and_keeps_the_rest() -> None:
    stream = io.BytesIO()
    configure("info", "json", stream)
    log = structlog.get_logger()
    log.debug("before")
    set_level("debug")
    log.debug("after")
    set_level("error")
    log.warning("too little")
    assert [line["event"] for line in lines(stream)] == ["after"]


def test_auto_is_json_but_on_a_terminal() -> None:
    for stream in (io.BytesIO(), Terminal()):
        configure("info", "auto", stream)
        structlog.get_logger().info("hello", a=1)
        text = stream.getvalue().decode()
        assert text.startswith("{") is not stream.isatty()
        assert "hello" in text


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.fault(60)
def test_a_traceback_is_there_without_local_variables(form: Any) -> None:
    stream = io.BytesIO()
    configure("info", form, stream)

    def spend(api: str) -> None:
        raise ValueError(f"GET https://x/?signature={api}")

    try:
        spend(CANARY)
    except ValueError:
        structlog.get_logger().exception("actor_failed")
    text = stream.getvalue().decode()
    assert "Traceback" in text
    assert "in spend" in text
    assert "signature=***" in text
    assert CANARY not in text
    if form == "json":
        assert lines(stream)[0]["level"] == "error"


def test_values_that_json_has_no_form_for_do_not_stop_the_line() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    line = logged("odd", surrogate="\ud800", huge=2**200, rude=Rude(), nan=float("nan"), key={None: {1}})
    assert line["event"] == "odd"
    assert line["surrogate"] == "\\ud800"
    assert line["rude"] == "<Rude that cannot be printed>"
    loop: list[Any] = []
    loop.append(loop)
    assert logged("odd", loop=loop)["event"] == "odd"


def test_a_very_long_value_is_shortened() -> None:
    text = logged("page", html="<" + "x" * 100_000 + ">")["html"]
    assert len(text) < 20_000
    assert (text[0], text[-1]) == ("<", ">")


def test_a_warning_that_repeats_is_told_once_an_error_each_time() -> None:
    stream = io.BytesIO()
    configure("info", "json", stream)
    log = structlog.get_logger(account="main")
    for _ in range(3):
        log.warning("marks_unknown", reason="timed out")
        log.error("alarm")
    assert [line["event"] for line in lines(stream)] == ["marks_unknown", "alarm", "alarm", "alarm"]


# --- secrets

NAMES = [
    "secret",
    "password",
    "api_key",
    "token",
    "signature",
    "authorization",
    "Authorization",
    "apiKey",
    "X-MBX-APIKEY",
    "admin_token",
    "api_secret",
    "webhook-signature",
    "KC-API-SIGN",
    "passphrase",
    "Cookie",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_sounding_name_is_masked_wherever_it_stands(name: str) -> None:
    assert logged("x", **{name: CANARY})[name] == "***"
    assert logged("x", deep=[{name: [CANARY]}])["deep"] == [{name: "***"}]
    for text in (
        f"https://h/p?a=1&{name}={CANARY}&b=2",
        f'{{"{name}": "{CANARY}", "b": 2}}',
        f"{{'{name}': '{CANARY}', 'b': 2}}",
        f"{name}: Bearer {CANARY}\nb: 2",
    ):
        for masked in (mask_text(text), logged(text)["event"], logged("x", error=ValueError(text))["error"]):
            assert CANARY not in masked
            assert "b" in masked  # what follows is kept
            assert "2" in masked


@pytest.mark.parametrize(
    "name", ["client_order_id", "symbol", "key", "design", "signal", "tokenizer", "account"]
)
def test_other_names_are_not_masked(name: str) -> None:
    assert not is_secret_name(name)
    assert mask_text(f"{name}=visible {name}: visible") == f"{name}=visible {name}: visible"


def test_secrets_bodies_structs_and_passwords_in_addresses_are_not_printed() -> None:
    settings = AccountSettings(api_key=Secret(CANARY), password=Secret(CANARY))
    line = logged(
        "x",
        value=Secret(CANARY),
        body=CANARY.encode(),
        settings=settings,
        text=f"{Secret(CANARY)}",
        url=f"postgresql://user:{CANARY}@db/fks",
        inside={"one": (Secret(CANARY),)},
    )
    assert CANARY not in json.dumps(line)
    assert line["value"] == "***"
    assert line["url"] == "postgresql://***@db/fks"


@given(
    st.recursive(st.just(Secret(CANARY)), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_a_secret_is_masked_however_deep_it_sits(value: Any) -> None:
    assert CANARY not in repr(redact_fields({"value": value}))


# --- libraries


def test_libraries_are_heard_from_warning_upwards_in_our_format() -> None:
    stream = io.BytesIO()
    configure("debug", "json", stream)
    library = logging.getLogger("some.library")
    library.setLevel(logging.DEBUG)
    library.info("chatter")
    library.warning("slow %s apiKey=%s", "call", CANARY)
    library.error("failed", exc_info=OSError("gone"))
    slow, failed = lines(stream)
    assert (slow["level"], slow["event"], slow["logger"], slow["message"]) == (
        "warning",
        "library_message",
        "some.library",
        "slow call apiKey=***",
    )
    assert "OSError: gone" in failed["exception"]


def test_a_library_message_whose_arguments_do_not_fit_is_still_heard() -> None:
    stream = io.BytesIO()
    configure("debug", "json", stream)
    record = logging.makeLogRecord({"msg": "%s and %s", "args": ("one",), "levelno": logging.CRITICAL})
    log_module._library.handle(record)  # pytest's own handler would fail on it
    (line,) = lines(stream)
    assert (line["level"], line["message"]) == ("error", "%s and %s")


def test_ccxt_prints_no_requests_whatever_its_level_and_handlers() -> None:
    stream, other = io.BytesIO(), io.StringIO()
    configure("debug", "json", stream)
    ccxt = logging.getLogger("ccxt.base.exchange")
    handler = logging.StreamHandler(other)
    ccxt.addHandler(handler)
    ccxt.setLevel(logging.DEBUG)
    try:
        ccxt.debug("fetch Request: GET https://x {'KEY': '%s'}", CANARY)
        ccxt.info(CANARY)
        ccxt.warning("careful")
    finally:
        ccxt.removeHandler(handler)
        ccxt.setLevel(logging.NOTSET)
    assert [line["message"] for line in lines(stream)] == ["careful"]
    assert other.getvalue() == "careful\n"


# --- a reader that is slow or gone


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.BufferedWriter]]:
    read, write = os.pipe()
    with os.fdopen(write, "wb") as writer:
        yield read, writer
    try:
        os.close(read)
    except OSError:
        pass  # the test did


def test_a_line_is_out_before_the_call_returns(pipe: tuple[int, io.BufferedWriter]) -> None:
    read, writer = pipe
    configure("info", "json", writer)
    structlog.get_logger().info("now")
    assert json.loads(os.read(read, 1000))["event"] == "now"


def test_a_reader_that_does_not_read_costs_lines_not_time(pipe: tuple[int, io.BufferedWriter]) -> None:
    read, writer = pipe
    configure("info", "json", writer)
    log = structlog.get_logger()
    for number in range(300):  # a pipe holds 64 KiB: without a reader a blocking write would hang here
        log.info("filling", number=number, text="x" * (10_000 if number % 7 == 0 else 700))
    first = drain(read)
    log.info("after")
    got = [parsed for parsed in map(parse, (first + drain(read)).split(b"\n")) if parsed]
    numbers = [line["number"] for line in got if line["event"] == "filling"]
    assert numbers == sorted(set(numbers))
    assert [line["event"] for line in got][-2:] == ["log_lines_dropped", "after"]
    assert got[-2]["count"] + len(numbers) == 300
    log.info("later")
    assert [line["event"] for line in map(parse, drain(read).splitlines()) if line] == ["later"]


def test_a_line_that_was_cut_does_not_spoil_the_next(pipe: tuple[int, io.BufferedWriter]) -> None:
    read, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    sink = Sink(writer, lambda count: b"lost %d" % count)
    sink.msg(b"x" * 5000)
    assert drain(read) == b"x" * 4096
    sink.msg(b"whole")
    assert drain(read) == b"\nlost 1\nwhole\n"


def drain(read: int) -> bytes:
    data = b""
    while select.select([read], [], [], 0)[0]:
        data += os.read(read, 1 << 20)
    return data


def parse(line: bytes) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError:
        return None  # the one line that was cut
    return value


def test_a_reader_that_has_gone_is_no_error(pipe: tuple[int, io.BufferedWriter]) -> None:
    read, writer = pipe
    configure("info", "json", writer)
    os.close(read)
    for _ in range(3):
        structlog.get_logger().error("to nobody")


def test_nothing_is_written_to_a_descriptor_whose_number_has_a_new_owner(tmp_path: Path) -> None:
    for stream in (io.BytesIO(), (tmp_path / "log").open("wb")):
        configure("info", "json", stream)
        stream.close()
        with (tmp_path / "other").open("wb"):  # takes the number that has become free
            structlog.get_logger().error("to nobody")
        assert (tmp_path / "other").read_bytes() == b""


def test_a_full_disk_loses_lines_until_there_is_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        sink = Sink(file, lambda count: b"lost %d" % count)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", no_space)
            sink.msg(b"one")
            sink.msg(b"two")
        sink.msg(b"three")
    assert (tmp_path / "log").read_bytes() == b"lost 2\nthree\n"


def no_space(_descriptor: int, _data: bytes) -> int:
    raise OSError(28, "No space left on device")
