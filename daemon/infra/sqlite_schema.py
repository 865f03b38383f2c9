"""The journal's tables, and the views that users may rely on.

Tables change only by appending to MIGRATIONS; what is derived (views, triggers) is compared with this
file at every start and made anew when it differs. Amounts and prices are TEXT, exact; times are UTC
epoch seconds, which the views render as ISO 8601.
"""

from collections.abc import Callable, Iterable

import apsw

from fks.domain.orders import AT_REST, ENDED_SHORT, IN_FLIGHT, NEXT, State
from fks.domain.outcome import ENDED

Migration = str | Callable[[apsw.Connection], None]

APPLICATION_ID = 0x666B7331  # "fks1"


def _names(states: frozenset[State]) -> str:
    return _quoted(state for state in State if state in states)


def _quoted(states: Iterable[str]) -> str:
    return ",".join(f"'{state}'" for state in states)


def carried(n: str, account: str, order_id: str) -> str:
    """The SQL condition that a fill is part of what was carried forward; the arguments are expressions."""
    return f"""({n} <= coalesce((SELECT c.upto FROM carried c JOIN order_ co ON co.id = {order_id}
    WHERE c.account = {account} AND c.symbol = co.symbol), 0))"""  # noqa: S608 - expressions of ours


# Of an alert `a`: nothing rests on it any more. Takes the horizon three times. The plus sign keeps SQLite
# from looking through all alerts of those states, which are nearly all there are. The newest fill stays,
# because its number would be given to the next one, which then were carried already.
FORGETTABLE = f"""a.received_at < ? AND a.updated_at < ? AND +a.state IN ({_quoted(ENDED)})
  AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.alert_id = a.id AND i.state = 'accepted')
  AND NOT EXISTS (SELECT 1 FROM order_ o WHERE o.alert_id = a.id AND (
    o.state NOT IN ({_names(AT_REST)}) OR o.updated_at >= ?
    OR EXISTS (SELECT 1 FROM fill f WHERE f.order_id = o.id
      AND (f.n = (SELECT max(n) FROM fill) OR NOT {carried("f.n", "f.account", "f.order_id")}))))"""  # noqa: S608 - our own constants

# Spelled the same in index and queries, so that SQLite sees that the partial index serves them.
UNFINISHED = f"state IN ({_names(frozenset(State) - AT_REST)})"
CUT_SHORT = f"state IN ({_names(ENDED_SHORT)})"
OWED = f"state IN ({_names(IN_FLIGHT | {State.PLANNED})})"

_V1 = """
CREATE TABLE alert(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL,
  source TEXT NOT NULL,
  state TEXT NOT NULL,
  symbol TEXT NOT NULL,
  action TEXT NOT NULL,
  strategy TEXT,
  body TEXT NOT NULL,
  alert TEXT NOT NULL,
  received_at REAL NOT NULL,
  good_until REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
CREATE INDEX alert_by_state ON alert(state, n);

CREATE TABLE intent(
  n INTEGER PRIMARY KEY,
  alert_id TEXT NOT NULL REFERENCES alert(id),
  account TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'accepted',
  reason TEXT,
  code TEXT,
  UNIQUE(alert_id, account)
) STRICT;
CREATE INDEX intent_unsized ON intent(account, n) WHERE state = 'accepted';

CREATE TABLE order_(
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  client_order_id TEXT NOT NULL UNIQUE,
  alert_id TEXT NOT NULL REFERENCES alert(id),
  account TEXT NOT NULL,
  leg TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  parent TEXT REFERENCES order_(id),
  symbol TEXT NOT NULL,
  side TEXT NOT NULL CHECK(side IN ('buy','sell')),
  type TEXT NOT NULL,
  amount TEXT NOT NULL,
  price TEXT,
  stop_price TEXT,
  trail_percent TEXT,
  time_in_force TEXT,
  post_only INTEGER NOT NULL,
  reduce_only INTEGER NOT NULL,
  leverage INTEGER,
  margin_mode TEXT,
  attached INTEGER NOT NULL,
  state TEXT NOT NULL,
  exchange_order_id TEXT,
  filled TEXT NOT NULL,
  average TEXT,
  reference_price TEXT,
  reason TEXT,
  cancel_requested INTEGER NOT NULL,
  good_until REAL NOT NULL,
  not_before REAL NOT NULL,
  send_by REAL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
) STRICT;
CREATE INDEX order_unfinished ON order_(account, n) WHERE {unfinished};
CREATE INDEX order_by_account ON order_(account, n);
CREATE INDEX order_by_state ON order_(state, n);
CREATE INDEX order_by_alert ON order_(alert_id);
CREATE INDEX order_by_parent ON order_(parent) WHERE parent IS NOT NULL;
CREATE INDEX order_by_exchange_id ON order_(exchange_order_id) WHERE exchange_order_id IS NOT NULL;

CREATE TABLE attempt(
  client_order_id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES order_(id),
  account TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  sent_at REAL,
  UNIQUE(order_id, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_sent ON attempt(account, sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE fill(
  n INTEGER PRIMARY KEY,
  order_id TEXT NOT NULL REFERENCES order_(id),
  account TEXT NOT NULL,
  trade_id TEXT NOT NULL,
  time REAL NOT NULL,
  price TEXT NOT NULL,
  amount TEXT NOT NULL,
  fee TEXT NOT NULL,
  fee_currency TEXT,
  fee_quote TEXT NOT NULL, -- the fee in quote currency, 0 when that is not known
  realized TEXT NOT NULL, -- gross
  UNIQUE(account, trade_id)
) STRICT;
CREATE INDEX fill_by_order ON fill(order_id);
CREATE INDEX fill_by_time ON fill(account, time);

CREATE TABLE position(
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  amount TEXT NOT NULL,
  average TEXT NOT NULL,
  realized TEXT NOT NULL,
  fees TEXT NOT NULL,
  updated_at REAL NOT NULL,
  PRIMARY KEY(account, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE event(
  seq INTEGER PRIMARY KEY,
  time REAL NOT NULL,
  kind TEXT NOT NULL,
  alert_id TEXT,
  order_id TEXT,
  account TEXT,
  data TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

CREATE TABLE chain_anchor(
  seq INTEGER PRIMARY KEY,
  hash TEXT NOT NULL
) STRICT;

CREATE TABLE trading(
  account TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  by TEXT NOT NULL,
  at REAL NOT NULL
) STRICT, WITHOUT ROWID;
""".replace("{unfinished}", UNFINISHED)

# A strategy's share of a position. `net_before`: its realised profit less fees before `day` (of the epoch).
_V2 = """
ALTER TABLE order_ ADD COLUMN strategy TEXT NOT NULL DEFAULT '';
ALTER TABLE order_ ADD COLUMN waived INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trading ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE trading ADD COLUMN resumed_at REAL NOT NULL DEFAULT 0;

CREATE TABLE unprotected( -- entries that were once without the stop they asked for, and are told
  order_id TEXT PRIMARY KEY REFERENCES order_(id),
  at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE equity_peak(
  account TEXT PRIMARY KEY,
  equity TEXT NOT NULL,
  at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE strategy_position(
  account TEXT NOT NULL,
  strategy TEXT NOT NULL,
  symbol TEXT NOT NULL,
  amount TEXT NOT NULL,
  average TEXT NOT NULL,
  realized TEXT NOT NULL,
  fees TEXT NOT NULL,
  day INTEGER NOT NULL,
  net_before TEXT NOT NULL,
  PRIMARY KEY(account, strategy, symbol)
) STRICT, WITHOUT ROWID;
"""

# Schema 2 grew while it was already on main: what a journal made by an earlier build of it lacks.
_LATE_IN_V2 = (
    ("order_", "waived", "INTEGER NOT NULL DEFAULT 0"),
    ("trading", "why", "TEXT NOT NULL DEFAULT ''"),
    ("trading", "resumed_at", "REAL NOT NULL DEFAULT 0"),
)
_V3 = """
CREATE TABLE IF NOT EXISTS unprotected(
  order_id TEXT PRIMARY KEY REFERENCES order_(id),
  at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS equity_peak(
  account TEXT PRIMARY KEY,
  equity TEXT NOT NULL,
  at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE carried( -- what a market's fills up to `upto` came to, when it was flat: domain.retention
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  upto INTEGER NOT NULL,
  price TEXT NOT NULL, -- of the last of them
  amount TEXT NOT NULL,
  average TEXT NOT NULL,
  realized TEXT NOT NULL,
  fees TEXT NOT NULL,
  PRIMARY KEY(account, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE carried_share( -- of each strategy; of '' what is no named one's
  account TEXT NOT NULL,
  symbol TEXT NOT NULL,
  strategy TEXT NOT NULL,
  amount TEXT NOT NULL,
  average TEXT NOT NULL,
  realized TEXT NOT NULL,
  fees TEXT NOT NULL,
  PRIMARY KEY(account, symbol, strategy)
) STRICT, WITHOUT ROWID;
"""


def _third(connection: apsw.Connection) -> None:
    for table, column, kind in _LATE_IN_V2:
        if all(row[1] != column for row in connection.execute(f"PRAGMA table_info({table})")):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    connection.execute(_V3)


MIGRATIONS: tuple[Migration, ...] = (_V1, _V2, _third)  # PRAGMA user_version: how many of them were applied


def _iso(column: str) -> str:
    name = column.rpartition(".")[2]
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column}, 'unixepoch') AS {name}"


_VIEWS = {
    "alerts": f"""SELECT id, state, source, symbol, action, strategy, key, body,
  {_iso("received_at")}, {_iso("good_until")}, {_iso("updated_at")} FROM alert""",  # noqa: S608 - our own constants
    "orders": f"""SELECT id, alert_id, account, leg, attempt, parent, client_order_id, exchange_order_id,
  symbol, side, type, amount, price, stop_price, trail_percent, time_in_force, post_only, reduce_only,
  leverage, margin_mode, attached, strategy, state, filled, average, reason, cancel_requested,
  {_iso("good_until")}, {_iso("send_by")}, {_iso("created_at")}, {_iso("updated_at")} FROM order_""",  # noqa: S608 - our own constants
    "fills": f"""SELECT f.order_id, o.alert_id, f.account, o.symbol, o.side, f.trade_id, {_iso("f.time")},
  f.price, f.amount, f.fee, f.fee_currency, f.realized FROM fill f JOIN order_ o ON o.id = f.order_id""",  # noqa: S608 - our own constants
    "positions": f"""SELECT account, symbol, amount, average, realized, fees, {_iso("updated_at")}
  FROM position""",  # noqa: S608 - our own constants
    "events": f"""SELECT seq, {_iso("time")}, kind AS event, alert_id, order_id, account, data, hash
  FROM event""",  # noqa: S608 - our own constants
}
USER_VIEWS = tuple(_VIEWS)


def _legal() -> str:
    pairs = [f"(OLD.state = '{now}' AND NEW.state IN ({_names(to)}))" for now, to in NEXT.items() if to]
    return " OR ".join(pairs)


_TRIGGERS = {
    "order_starts_planned": f"""BEFORE INSERT ON order_ WHEN NEW.state <> '{State.PLANNED}'
  BEGIN SELECT RAISE(ABORT, 'an order starts as planned'); END""",
    "order_transition": f"""BEFORE UPDATE OF state ON order_
  WHEN NEW.state <> OLD.state AND NOT ({_legal()})
  BEGIN SELECT RAISE(ABORT, 'illegal order transition'); END""",
    "alert_is_kept": f"""BEFORE DELETE ON alert WHEN OLD.state NOT IN ({_quoted(ENDED)})
  BEGIN SELECT RAISE(ABORT, 'an alert without an outcome is kept'); END""",
    "order_is_kept": f"""BEFORE DELETE ON order_ WHEN OLD.state NOT IN ({_names(AT_REST)})
  BEGIN SELECT RAISE(ABORT, 'an order that is not at rest is kept'); END""",
    "fill_is_final": """BEFORE UPDATE ON fill BEGIN SELECT RAISE(ABORT, 'fills are append-only'); END""",
    "fill_is_kept": f"""BEFORE DELETE ON fill
  WHEN OLD.n = (SELECT max(n) FROM fill) OR NOT {carried("OLD.n", "OLD.account", "OLD.order_id")}
  BEGIN SELECT RAISE(ABORT, 'a fill that is not carried forward is kept'); END""",  # noqa: S608
    "event_is_final": """BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    "event_is_kept": """BEFORE DELETE ON event WHEN OLD.seq > coalesce((SELECT max(seq) FROM chain_anchor), 0)
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
}

DERIVED: dict[str, tuple[str, str]] = {  # name: (kind, the statement that makes it)
    **{name: ("view", f"CREATE VIEW {name} AS {body}") for name, body in _VIEWS.items()},
    **{name: ("trigger", f"CREATE TRIGGER {name} {body}") for name, body in _TRIGGERS.items()},
}
