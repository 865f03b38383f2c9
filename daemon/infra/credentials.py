"""Secrets that the daemon makes for itself when the configuration names none."""

import os
import secrets
import stat
from pathlib import Path

import structlog

from fks.domain.secret import Secret
from fks.infra.config import ConfigError

ADMIN_TOKEN = "admin_token"  # noqa: S105 - file names
WEBHOOK_SECRET = "webhook_secret"  # noqa: S105

log = structlog.get_logger()


def ensure_secret(path: Path) -> Secret:
    """The secret in `path`; made (256 bits, base64url, mode 0600) when there is no such file.

    Several processes may call it at once: all get the same secret. It is on disk before it is
    returned, so a token shown to somebody outlives a power cut. Raises ConfigError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _create(path, secrets.token_urlsafe(32))
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning("secret_readable_by_others", path=str(path), advice="chmod 600")
    except OSError as error:
        problem = f"{path}: cannot be read or made: {error.strerror} (make its folder writable)"
        raise ConfigError([problem]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text (delete it, a new one will be made)"]) from None
    if not value:
        raise ConfigError([f"{path}: is empty (delete it, a new one will be made)"])
    return Secret(value)


def _create(path: Path, value: str) -> None:
    """Appears whole or not at all; who comes second leaves the first one's in place."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
