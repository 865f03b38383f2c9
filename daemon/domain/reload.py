"""What a new configuration changes in a running daemon: at once, by taking an account up anew, or at the
next start only.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fks.domain.dotted import join
from fks.domain.settings import Settings

AT_START = (
    "server.listen", "server.admin", "server.max_connections", "server.admin_token", "journal.url",
    "audit.path", "log.format",
)  # fmt: skip
"""Addresses and files that are open."""

_VENUE = ("timeout", "retry_attempts", "retry_delay")  # of every exchange account
_DECIDES = frozenset(
    {"sizing", "risk", "leverage"}
)  # of an account: asked with each alert, not kept by its venue


class Changes(Struct, frozen=True):
    """Names of accounts, and dotted keys. `at_once` are all changed keys but those `at_start`."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()  # accounts that are taken down and up again
    at_once: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()


def changes(now: Settings, new: Settings) -> Changes:
    """From the settings that the daemon runs by to those of the file."""
    keys = tuple(_differing(now, new, ""))
    both = [name for name in now.exchanges if name in new.exchanges]
    all_anew = any(key in _VENUE for key in keys)
    return Changes(
        added=tuple(name for name in new.exchanges if name not in now.exchanges),
        removed=tuple(name for name in now.exchanges if name not in new.exchanges),
        anew=tuple(name for name in both if _other_venue(name, now, new, everywhere=all_anew)),
        at_once=tuple(key for key in keys if key not in AT_START),
        at_start=tuple(key for key in keys if key in AT_START),
    )


def effective(now: Settings, new: Settings) -> Settings:
    """`new`, but for what only a start can change: that stays as it is, and is told again next time."""
    kept: dict[str, dict[str, Any]] = {}
    for key in AT_START:
        section, _, name = key.partition(".")
        kept.setdefault(section, {})[name] = getattr(getattr(now, section), name)
    sections = {section: replace(getattr(new, section), **values) for section, values in kept.items()}
    return replace(new, **sections)


def _other_venue(name: str, now: Settings, new: Settings, *, everywhere: bool) -> bool:
    """The paper exchange also trades what `symbols` name; no other is asked for more than it has."""
    old, own = now.exchanges[name], new.exchanges[name]
    if old.type == own.type == "paper":
        everywhere = now.symbols != new.symbols
    fields = (key.partition(".")[0] for key in _differing(old, own, ""))
    return everywhere or any(field not in _DECIDES for field in fields)


def _differing(now: Any, new: Any, path: str) -> Iterator[str]:
    """Dotted keys under which the two differ; those of dicts too."""
    if isinstance(now, Struct) and type(now) is type(new):
        for field in now.__struct_fields__:
            yield from _differing(getattr(now, field), getattr(new, field), join(path, field))
    elif isinstance(now, dict) and isinstance(new, dict):
        for key in now | new:
            if key in now and key in new:
                yield from _differing(now[key], new[key], join(path, str(key)))
            else:
                yield join(path, str(key))
    elif now != new:
        yield path
