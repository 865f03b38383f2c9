"""How a setting is called in a message."""

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def join(path: str, key: str) -> str:
    """The dotted path, as TOML writes it: `symbols."BTC/USDT"`."""
    name = key if _BARE.fullmatch(key) else json.dumps(key)
    return f"{path}.{name}" if path else name
