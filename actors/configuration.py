"""The configuration as the daemon runs by it: the file is right, and each of its accounts can be made."""

from collections.abc import Mapping
from pathlib import Path

from fks.infra.config import ConfigError, Loaded, load
from fks.venues.accounts import impossible_accounts
from fks.venues.trio_ccxt import exchange_ids


def read(path: Path | None, env: Mapping[str, str]) -> Loaded:
    """As `load`, each account tried out; nobody is asked. Raises ConfigError with all that is wrong."""
    loaded = load(path, env, exchange_ids())
    if impossible := impossible_accounts(loaded.settings):
        raise ConfigError(impossible, loaded.path)
    return loaded
