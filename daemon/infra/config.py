"""From a file and the environment to `Settings`, or to the list of everything that is wrong with it."""

import re
import stat
import time
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from fks.domain.dotted import join
from fks.domain.errors import Fatal
from fks.domain.settings import AccountSettings, RiskSettings, Settings
from fks.infra.config_decode import Decoder, nearest
from fks.infra.config_document import parse_toml, parse_yaml
from fks.infra.config_rules import unreasonable
from fks.infra.config_senders import check_senders, named, secret_warnings
from fks.infra.references import References

DEFAULT_PATHS = (Path("fks.toml"), Path("/etc/fks/fks.toml"))
INSTALLED = DEFAULT_PATHS[1].parent  # where the units of systemd/ have their configurations ...
STATE = Path("/var/lib")  # ... and their state

S = TypeVar("S", bound=Struct)

PAPER = "paper"
_ACCOUNT = re.compile(r"exchanges(\.[^.]+)?")
_PAPER_BALANCE = {"USDT": Decimal(100_000)}
_PAPER_PRICES = {"BTC/USDT": Decimal(50_000)}


class ConfigError(Fatal):
    """The configuration cannot be used; `errors` are all the reasons, one line each."""

    exit_code = 78

    def __init__(self, errors: Iterable[str], path: Path | None = None) -> None:
        self.errors = tuple(errors)
        self.path = path
        super().__init__("\n".join(self.errors))


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration that holds. `path` is None for the embedded defaults (one paper account).

    `warnings`: allowed, but probably not meant; one line each. `secret_files`: what holds its secrets.
    """

    settings: Settings
    path: Path | None
    state_dir: Path
    warnings: tuple[str, ...] = ()
    secret_files: tuple[Path, ...] = ()

    @property
    def journal_path(self) -> Path:
        """Absolute path of the SQLite journal."""
        return self.state_dir / self.settings.journal.url.removeprefix("sqlite:")

    @property
    def audit_path(self) -> Path:
        """Absolute path of the audit trail."""
        return self.state_dir / self.settings.audit.path

    def make_state_dir(self) -> None:
        """Raises ConfigError when it is not there and cannot be made."""
        try:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            remedy = "set STATE_DIRECTORY to a folder that this user can write"
            problem = f"the state directory {self.state_dir} cannot be made: {error.strerror} ({remedy})"
            raise ConfigError([problem]) from None


def load(path: Path | None, env: Mapping[str, str], exchange_ids: Collection[str] = ()) -> Loaded:
    """Read `path`, else $FKS_CONFIG, ./fks.toml, /etc/fks/fks.toml, else the embedded paper defaults.

    `exchange_ids`: the types an account may have besides "paper"; empty: any.
    Raises ConfigError with every mistake in the file.
    """
    found, text = _find(path, env)
    try:
        raw = {} if found is None else (parse_yaml if _is_yaml(found) else parse_toml)(text)
    except ValueError as error:
        raise ConfigError([f"{found}: {error} (correct the file)"], found) from None
    references = References(env, _credential_folders(raw, found, env))
    decoder = Decoder(references)
    try:
        settings = _complete(decoder.table(raw, Settings), raw, decoder)
    except RecursionError:  # a dotted key may be as long as the file
        raise ConfigError([f"{found}: nested too deeply (correct the file)"], found) from None
    _check_together(settings, decoder, exchange_ids)
    if decoder.errors:
        raise ConfigError(decoder.errors, found)
    warnings = unreasonable(settings) + secret_warnings(settings, time.time())
    literal = [found] if found and decoder.literal_secrets else []
    files = tuple(dict.fromkeys((*literal, *references.files)))
    return Loaded(
        settings=settings,
        path=found,
        state_dir=_state_dir(env, found),
        warnings=(*warnings, *readable_by_all(files)),
        secret_files=files,
    )


def _find(path: Path | None, env: Mapping[str, str]) -> tuple[Path | None, str]:
    """The file and its text. One that was named must exist; the usual places may be empty."""
    named = path or (Path(env["FKS_CONFIG"]) if env.get("FKS_CONFIG") else None)
    for candidate in (named,) if named else DEFAULT_PATHS:
        try:
            return candidate, candidate.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            if named:
                raise ConfigError(
                    [f"{named}: no such file (check --config and $FKS_CONFIG)"], named
                ) from None
        except UnicodeDecodeError:
            raise ConfigError([f"{candidate}: not UTF-8 text (save it as UTF-8)"], candidate) from None
        except (OSError, ValueError) as error:
            # Not passed over: running on paper because the real file was unreadable would mislead.
            reason = error.strerror if isinstance(error, OSError) else error
            problem = f"{candidate}: cannot be read: {reason} (check the path and its permissions)"
            raise ConfigError([problem], candidate) from None
    return None, ""


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yml", ".yaml")


def _state_dir(env: Mapping[str, str], path: Path | None) -> Path:
    """The first of $STATE_DIRECTORY, in which systemd may list several with colons.

    Without it, that of the unit whose configuration this is, so that `fks orders` finds the daemon's token;
    else ./var.
    """
    if first := env.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(first).absolute()
    if path is None or path.absolute().parent != INSTALLED:
        return Path("var").absolute()
    return STATE / ("fks" if path.stem == "fks" else f"fks-{path.stem}")


def _credential_folders(raw: Mapping[str, Any], path: Path | None, env: Mapping[str, str]) -> list[Path]:
    """$CREDENTIALS_DIRECTORY, then `secrets_dir`, which is relative to the configuration file."""
    folders = [Path(env["CREDENTIALS_DIRECTORY"])] if env.get("CREDENTIALS_DIRECTORY") else []
    named = raw.get("secrets_dir")
    if isinstance(named, str) and named:
        try:
            named = References(env, folders).expand(named)
        except ExceptionGroup:
            return folders  # the decoder reports it
        if named.isprintable():
            folders.append((path.parent if path else Path()).absolute() / named)
    return folders


def _complete(settings: Settings, raw: Mapping[str, Any], decoder: Decoder) -> Settings:
    """What the file leaves open: an account's type, the paper account's money, the default account."""
    given = raw.get("exchanges")
    given = given if isinstance(given, Mapping) else {}
    accounts = {
        name: _complete_account(name, one, given, settings.risk) for name, one in settings.exchanges.items()
    }
    if not given and "exchanges" not in decoder.failed and settings.default_exchange == PAPER:
        accounts = {PAPER: _complete_account(PAPER, AccountSettings(), {}, settings.risk)}
    default = settings.default_exchange
    if "default_exchange" not in raw and default not in accounts and len(accounts) == 1:
        default = next(iter(accounts))
    hook = replace(settings.webhook, secrets=named(settings.webhook.secrets))
    return replace(settings, exchanges=accounts, default_exchange=default, webhook=hook)


def _complete_account(
    name: str, account: AccountSettings, given: Mapping[Any, Any], risk: RiskSettings
) -> AccountSettings:
    account, written = replace(account, type=account.type or name), given.get(name, {})
    if account.risk is not None:
        account = replace(account, risk=_laid_over(risk, account.risk, written["risk"]))
    if account.type != PAPER:
        return account
    return replace(
        account,
        balance=account.balance if "balance" in written else dict(_PAPER_BALANCE),
        prices=account.prices if "prices" in written else dict(_PAPER_PRICES),
    )


def _laid_over(below: S, own: S, written: Mapping[Any, Any]) -> S:
    """`below` with what is `written` of `own`, key by key: who changes one limit keeps the others."""
    said: dict[str, Any] = {}
    for key in written.keys() & set(own.__struct_fields__):
        value = getattr(own, key)
        if isinstance(value, dict):
            known = getattr(below, key)
            value = known | {
                name: _laid_over(known[name], one, written[key][name]) if name in known else one
                for name, one in value.items()
            }
        said[key] = value
    return replace(below, **said)


def _check_together(settings: Settings, decoder: Decoder, exchange_ids: Collection[str]) -> None:
    """What keys demand of each other. A key that failed alone is not blamed again."""
    failed = decoder.failed
    blamed = "default_exchange" in failed or any(_ACCOUNT.fullmatch(path) for path in failed)
    if settings.default_exchange not in settings.exchanges and not blamed:
        close = nearest(settings.default_exchange, settings.exchanges)
        known = ", ".join(settings.exchanges) or f"none: add [exchanges.{settings.default_exchange}]"
        advice = f"did you mean {close}?" if close else f"accounts: {known}"
        decoder.report("default_exchange", f"names no account ({advice})")
    for name, account in settings.exchanges.items():
        _check_account(join("exchanges", name), account, decoder, exchange_ids)
    for key in ("listen", "admin"):
        if not getattr(settings.server, key):
            decoder.report(f"server.{key}", "is empty (give at least one address)")
    shared = [
        one for one in settings.server.admin if one in settings.server.listen and not one.endswith(":0")
    ]
    if shared:
        decoder.report("server.admin", "shares an address with server.listen (choose another port)")
    check_senders(settings, decoder)


def _check_account(
    path: str, account: AccountSettings, decoder: Decoder, exchange_ids: Collection[str]
) -> None:
    types = (PAPER, *exchange_ids)
    if exchange_ids and account.type not in types and f"{path}.type" not in decoder.failed:
        close = nearest(account.type, types)
        advice = f"did you mean {close}?" if close else "set it to paper or a ccxt exchange id"
        decoder.report(f"{path}.type", f"is not an exchange ({advice})")
    if account.api_key and not account.api_secret and f"{path}.api_secret" not in decoder.failed:
        decoder.report(f"{path}.api_secret", "is missing although api_key is given (set both)")


def readable_by_all(paths: Iterable[Path]) -> list[str]:
    """A warning for each file that it is true of."""
    return [
        f"{path}: holds secrets and is readable by every user (chmod 600)"
        for path in paths
        if path.stat().st_mode & stat.S_IROTH
    ]
