"""The log: one JSON object a line on stdout, or something readable on a terminal.

Keys `time` (RFC 3339, UTC), `level`, `event` (stable snake_case), then the rest. Nothing secret passes
(`infra.redact`), and a traceback is one string that never shows local variables.

Levels: an error is for a human to look at; a warning is for a human to know, and the daemon goes on by
itself; info is what became of alerts and orders; debug is each request to an exchange.
"""

import atexit
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO, Literal

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from fks.infra.log_repeats import Repeats
from fks.infra.log_sink import Sink
from fks.infra.redact import redact_fields

Level = Literal["debug", "info", "warning", "error"]
Render = Callable[[WrappedLogger, str, EventDict], bytes]

_LEVELS = logging.getLevelNamesMapping()


def configure(
    level: Level = "info",
    format: Literal["auto", "json", "console"] = "auto",  # noqa: A002 - the configuration's word
    stream: BinaryIO | None = None,
) -> None:
    """Log from `level` upwards to `stream` (stdout). Call it first; `set_level` changes the level later.

    "auto" is "console" on a terminal and "json" elsewhere. Libraries that use stdlib logging are heard
    at WARNING and above, whatever `level` is, in the same format.
    """
    out = stream or sys.stdout.buffer
    terminal = out.isatty()
    console = format == "console" or (format == "auto" and terminal)
    render = _console(colors=terminal) if console else _to_json

    def notice(count: int) -> bytes:
        event = _add_time(None, "", {"level": "warning", "event": "log_lines_dropped", "count": count})
        return render(None, "warning", event)

    sink = Sink(out, notice)
    repeats = Repeats(
        lambda event: sink.msg(render(None, "warning", _add_time(None, "", event))), time.monotonic
    )
    atexit.register(repeats.flush)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _redact,
            repeats,
            _add_time,
            render,
        ],
        logger_factory=lambda *_args: sink,
        # Not cached: that would save less than 1 us a line, and a logger in use would keep its level.
        cache_logger_on_first_use=False,
    )
    set_level(level)
    _hear_libraries()


def set_level(level: Level) -> None:
    """Log from `level` upwards from now on, also by loggers in use."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level.upper()]))


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redact_fields(event)


def _add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["time"] = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return event


_encode = msgspec.json.Encoder().encode


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    line = {"time": event.pop("time"), "level": event.pop("level"), "event": event.pop("event"), **event}
    try:
        return _encode(line)
    except (ValueError, OverflowError):  # a lone surrogate, an integer beyond 64 bits
        return _encode({name: _escaped(value) for name, value in line.items()})


def _escaped(value: object) -> str:
    return str(value).encode("ascii", "backslashreplace").decode()


def _console(*, colors: bool) -> Render:
    # The plain formatter: rich's would print local variables.
    pretty = structlog.dev.ConsoleRenderer(
        colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return str(pretty(logger, method, event)).encode(errors="backslashreplace")

    return render


class _Library(logging.Handler):
    """Brings a library's records into our chain, so that they are redacted and formatted as ours are."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a record whose arguments do not fit; its text must do
            message = str(record.msg)
        log = structlog.get_logger()
        tell = log.error if record.levelno >= logging.ERROR else log.warning
        tell("library_message", logger=record.name, message=message, exc_info=record.exc_info)


_library = _Library(logging.WARNING)


def _warnings_only(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _hear_libraries() -> None:
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    root.addHandler(_library)  # once: the same handler is not added again
    # Below WARNING it prints API keys and signed URLs. A filter, because a level can be set again.
    logging.getLogger("ccxt.base.exchange").addFilter(_warnings_only)
