"""Talks to one account as the daemon would, and says what it finds. Reads only; runs without the daemon."""

from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import trio

from fks.domain.diagnosis import (
    Finding,
    Judgement,
    Verdict,
    judge_balance,
    judge_clock,
    judge_margin_mode,
    judge_minimum,
    judge_position_mode,
    judge_rights,
)
from fks.domain.errors import Fatal, Transient
from fks.domain.messages import Balance
from fks.domain.reachability import is_local
from fks.domain.settings import AccountSettings, Settings
from fks.domain.sizing import laid_over
from fks.domain.venue import Venue
from fks.venues.accounts import only_aliased
from fks.venues.ccxt_derivatives import Derivatives
from fks.venues.ccxt_rights import key_rights
from fks.venues.ccxt_session import Session, make_exchange
from fks.venues.ccxt_venue import CcxtVenue
from fks.venues.market_table import Shared
from fks.venues.paper import PaperVenue

_RETRIES = 1  # somebody is waiting for the answer
_CLOCK_SAMPLES = 3  # the first also opens the connection; the quickest answer is the most exact
_CLOSING_S = 2.0

Wall = Callable[[], float]
Found = AsyncIterator[tuple[str, Judgement]]


async def examine(name: str, settings: Settings, wall: Wall) -> list[Finding]:
    """Every check of one configured account. What cannot be asked is a finding, never an exception."""
    own = settings.exchanges[name]
    if own.type == "paper":
        checks = _examine_paper(name, settings, wall)
    else:
        checks = _examine_ccxt(name, settings, wall)
    try:
        return [judgement.of(name, check) async for check, judgement in checks]
    except Fatal as error:  # the paper account's, or ccxt's before anything was asked
        remedy = "correct the configuration; `fks check` reads it without asking anybody"
        return [Judgement(Verdict.FAIL, str(error), remedy).of(name, "configuration")]


async def _examine_paper(name: str, settings: Settings, wall: Wall) -> Found:
    own = settings.exchanges[name]
    yield "environment", Judgement(Verdict.OK, "the embedded paper exchange: no real money")
    venue = PaperVenue(name, own, wall=wall, extra_symbols=only_aliased(own, settings))
    balance = await venue.balance()
    yield "balance", judge_balance(balance)
    async for found in _symbols(venue, balance, own, settings):
        yield found


async def _examine_ccxt(name: str, settings: Settings, wall: Wall) -> Found:
    own, shared = settings.exchanges[name], Shared()
    retries: dict[str, Any] = {"retry_attempts": _RETRIES, "retry_delay": settings.retry_delay}
    venue = CcxtVenue(name, own, timeout=settings.timeout, shared=shared, **retries)
    # For the questions that only a doctor asks. Two clients of one key take turns here: never at once.
    make = partial(make_exchange, name, own, settings.timeout)
    session = Session(make, own.market, **retries, ban=shared.ban(own))
    try:
        yield "environment", _environment(own)
        try:
            began = trio.current_time()
            await venue.open()
        except (Transient, Fatal) as error:
            yield "markets", _no_markets(error, own)
            return
        yield "markets", _markets(venue, own, trio.current_time() - began)
        loaded = await shared.table(own).get(own.symbols, make, session.aside)
        session.exchange.set_markets_from_exchange(loaded.exchange)
        async for found in _key(session, name, own, wall):
            yield found
        balance, judgement = await _balance(venue)
        yield "balance", judgement
        async for found in _symbols(venue, balance, own, settings):
            yield found
    finally:
        with trio.move_on_after(_CLOSING_S, shield=True):
            await venue.close()
            await session.exchange.close()


# --- the exchange and the way to it


def _environment(own: AccountSettings) -> Judgement:
    where = f", by way of {own.base_url}" if own.base_url else ""
    if own.testnet:
        told = f"testnet{where}: no real money"
    elif own.mode == "dry_run":
        told = f"the live exchange{where}, dry run: no order is sent"
    else:
        told = f"the live exchange{where}: real money"
    base = urlsplit(own.base_url)
    if base.scheme == "http" and not is_local(base.netloc if base.port else f"{base.netloc}:80"):
        return Judgement(
            Verdict.WARN, f"{told}; the key travels in the clear", "use an https:// address as base_url"
        )
    return Judgement(Verdict.OK, told)


def _no_markets(error: Exception, own: AccountSettings) -> Judgement:
    if isinstance(error, Fatal):
        return Judgement(Verdict.FAIL, str(error), "correct the symbols of this account")
    remedy = (
        f"check that this machine reaches {own.base_url or own.type}: DNS, firewall, proxy, their status page"
    )
    return Judgement(Verdict.FAIL, f"the market list could not be loaded: {error}", remedy)


def _markets(venue: Venue, own: AccountSettings, seconds: float) -> Judgement:
    count = len(venue.markets())
    if not count:
        remedy = "choose another `market` for this account"
        return Judgement(Verdict.FAIL, f"{own.type} has no {own.market} markets that can be traded", remedy)
    return Judgement(Verdict.OK, f"{count} {own.market} markets, loaded just now in {seconds:.1f} s")


# --- the key


async def _key(session: Session, name: str, own: AccountSettings, wall: Wall) -> Found:
    yield "clock", await _clock(session, wall)
    try:
        rights = await key_rights(session, own.market)
    except Transient as error:
        remedy = "look on the exchange's site; the key must be allowed to trade, and not to withdraw"
        yield "key's rights", Judgement(Verdict.WARN, f"cannot be told: {error}", remedy)
    else:
        for found in judge_rights(rights):
            yield found
    if own.market != "spot":
        yield "position mode", await _position_mode(session, name, own)
        yield "margin mode", await _margin_mode(session, own)


async def _clock(session: Session, wall: Wall) -> Judgement:
    if not session.has("fetchTime"):
        return Judgement(Verdict.OK, f"cannot be told: {session.exchange.id} does not say what time it is")
    samples = []
    try:
        for _ in range(_CLOCK_SAMPLES):
            sent, began = wall(), trio.current_time()
            theirs = await session.ask("fetch_time")
            half = (trio.current_time() - began) / 2
            samples.append((half, sent + half - theirs / 1000))
    except Transient as error:
        return Judgement(Verdict.WARN, f"cannot be told: {error}", "try again in a moment")
    uncertainty, ahead = min(samples)
    return judge_clock(ahead, uncertainty, session.dialect.window_s)


async def _position_mode(session: Session, name: str, own: AccountSettings) -> Judgement:
    """As the venue learns it before it trades; where that is by symbol, of one of them."""
    symbol = next(iter(own.symbols or session.exchange.markets), None)
    if symbol is None or not (session.has("fetchPositionMode") or session.dialect.mode_key):
        return judge_position_mode(None)
    derivatives = Derivatives(name, session, own)
    try:
        await derivatives.learn_mode(symbol)
    except Transient as error:
        return Judgement(Verdict.WARN, f"cannot be told: {error}", "make sure that it is one-way")
    return judge_position_mode(derivatives.hedged(symbol))


async def _margin_mode(session: Session, own: AccountSettings) -> Judgement:
    """Of one of its symbols; some exchanges keep it by symbol, some for the account."""
    if session.feature("createOrder").get("marginMode"):
        return Judgement(Verdict.OK, "named with each order: that of the alert, else the exchange's default")
    symbol = next(iter(own.symbols or session.exchange.markets), None)
    if symbol is None or not session.has("fetchMarginMode"):
        return judge_margin_mode(None)
    try:
        told = await session.ask("fetch_margin_mode", symbol)
    except Transient as error:
        return Judgement(Verdict.WARN, f"cannot be told: {error}", "look on the exchange's site")
    return judge_margin_mode(told.get("marginMode"))


async def _balance(venue: Venue) -> tuple[Balance | None, Judgement]:
    try:
        balance = await venue.balance()
    except Transient as error:
        remedy = "check the key, its secret, its right to read, and the addresses that it is bound to"
        return None, Judgement(Verdict.FAIL, f"cannot be read: {error}", remedy)
    return balance, judge_balance(balance)


# --- the symbols


async def _symbols(venue: Venue, balance: Balance | None, own: AccountSettings, settings: Settings) -> Found:
    """The account's own symbols, and those that `[symbols]` leads to."""
    aliases = {symbol: alias for alias, symbol in settings.symbols.items()}
    wanted: Iterable[str] = dict.fromkeys((*own.symbols, *own.prices, *aliases))
    for symbol in wanted:
        check = f"minimum {symbol}"
        market = venue.markets().get(symbol)
        if market is None:
            if not own.symbols:  # else it is left out on purpose
                detail = f"[symbols] {aliases[symbol]!r} stands for it, and this account has no such market"
                remedy = "correct [symbols]; right as it is if alerts never mean this account by that name"
                yield check, Judgement(Verdict.WARN, detail, remedy)
            continue
        try:
            price = (await venue.ticker(symbol)).last
        except Transient as error:
            yield check, Judgement(Verdict.WARN, f"there is no price: {error}", "try again in a moment")
        else:
            size, limits = laid_over(settings.sizing, own.sizing), own.risk or settings.risk
            yield check, judge_minimum(market, price, balance, size, limits)
