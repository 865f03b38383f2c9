"""The API's description (OpenAPI 3.1.0), made from the types of what is sent and taken.

`OPERATIONS` is the list of what there is; tests/test_openapi.py compares it with the desk's own routes
and the documents with real replies.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from fks.domain import documents as doc
from fks.domain.alerts import SECRET_FIELD, Alert, Target
from fks.domain.orders import State
from fks.domain.outcome import AlertState
from fks.infra.problem import CONTENT_TYPE

_REF = "#/components/schemas/{name}"
_PROBLEM = {"content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}}}
_NUMBER = {"type": ["number", "string", "null"], "description": "a JSON number or a decimal string"}
_LIMIT = {"limit": Annotated[int, Meta(ge=1, le=1000, description="how many; by default 100")]}
_PAGE = {**_LIMIT, "before": Annotated[str, Meta(description="the `next` of the page before")]}
_ACCOUNT = {"account": Annotated[str, Meta(description="only of this account")]}


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path; `<name>` is a part that varies. `problems`: statuses besides the usual."""

    method: str
    path: str
    summary: str
    returns: Any
    status: int = 200
    media: str = "application/json"
    takes: Any = None
    query: Mapping[str, Any] = {}
    required: Sequence[str] = ()  # of the query
    problems: Sequence[int] = ()
    public: bool = False  # without the admin token
    door: bool = False  # served at the door too


def _webhook(path: str) -> Operation:
    return Operation(
        method="POST", path=path, summary="One alert, signed or with the secret in its body.", door=True,
        takes=Alert, returns=doc.AlertReply, public=True, problems=(400, 401, 403, 409, 413, 422, 429, 503),
    )  # fmt: skip


OPERATIONS = (
    _webhook("/webhook"),
    _webhook("/webhook/tradingview"),
    Operation(
        method="GET", path="/healthz", summary="Whether the process lives and the journal answers.",
        returns=doc.Health, public=True, door=True, problems=(503,),
    ),
    Operation(
        method="GET", path="/readyz", summary="Whether alerts are accepted; if not, why not.",
        returns=doc.Health, public=True, door=True, problems=(503,),
    ),
    Operation(
        method="GET", path="/metrics", summary="Prometheus' text format.", returns=str, public=True,
        media="text/plain",
    ),
    Operation(
        method="GET", path="/openapi.json", summary="This document.", returns=dict[str, Any],
    ),
    Operation(
        method="GET", path="/v1/alerts", summary="Alerts, newest first.", returns=doc.AlertPage,
        query=_PAGE | {"state": AlertState}, problems=(400,),
    ),
    Operation(
        method="GET", path="/v1/alerts/<alert_id>", summary="An alert, its intents, orders and fills.",
        returns=doc.AlertChainView, problems=(404,),
    ),
    Operation(
        method="GET", path="/v1/orders", summary="Orders, newest first.", returns=doc.OrderPage,
        query=_PAGE | _ACCOUNT | {"state": State}, problems=(400,),
    ),
    Operation(
        method="GET", path="/v1/orders/<order_id>", summary="An order by any of its ids, with its fills.",
        returns=doc.OrderView, problems=(404,),
    ),
    Operation(
        method="DELETE", path="/v1/orders/<order_id>", summary="Cancel an order.", returns=doc.OrderView,
        status=202, problems=(404, 409),
    ),
    Operation(
        method="POST", path="/v1/cancel", summary="Cancel every live order of an account, or of all.",
        takes=doc.CancelRequest, returns=doc.Orders, status=202, problems=(400, 413),
    ),
    Operation(
        method="GET", path="/v1/positions", summary="Positions by the journal's book.",
        returns=doc.Positions, query=_ACCOUNT,
    ),
    Operation(
        method="GET", path="/v1/trades", summary="Round trips, those that ended last first.",
        returns=doc.TradePage, problems=(400,),
        query=_PAGE | _ACCOUNT | {"strategy": Annotated[str, Meta(description="only of this strategy")]},
    ),
    Operation(
        method="GET", path="/v1/balance", summary="Balances as last read from the exchanges.",
        returns=doc.Balances,
    ),
    Operation(
        method="GET", path="/v1/accounts", summary="The accounts, and whether each is ready.",
        returns=doc.Accounts,
    ),
    Operation(
        method="GET", path="/v1/ticker", summary="The last price, asked of the exchange now.",
        returns=doc.TickerView, problems=(400, 502), required=("symbol",),
        query={"symbol": str, "exchange": Annotated[str, Meta(description="an account's name")]},
    ),
    Operation(
        method="GET", path="/v1/trading", summary="What may be traded.", returns=doc.Trading,
    ),
    Operation(
        method="POST", path="/v1/trading", summary="Halt, reduce only, or resume.",
        takes=doc.TradingRequest, returns=doc.Trading, problems=(400, 413),
    ),
    Operation(
        method="POST", path="/v1/lint", summary="What an alert would do; nothing is sent or stored.",
        takes=str, returns=dict[str, Any], problems=(400, 413),
    ),
    Operation(
        method="GET", path="/v1/events", summary="Every record of the journal as it lands.", returns=str,
        media="text/event-stream", problems=(400,),
        query={"after": Annotated[str, Meta(pattern="^[0-9]{1,18}$", description="a record's number")]},
    ),
)  # fmt: skip


@cache
def document() -> bytes:
    """The whole description, as JSON."""
    paths: dict[str, dict[str, Any]] = {}
    kinds = [kind for one in OPERATIONS for kind in (one.returns, one.takes, *one.query.values()) if kind]
    schemas, components = msgspec.json.schema_components([*kinds, doc.Problem], ref_template=_REF)
    known = dict(zip(map(id, kinds), schemas, strict=False))
    for one in OPERATIONS:
        path = re.sub("<(.*?)>", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, known)
    components["Alert"] = _alert(components["Alert"])
    components.pop("Target", None)
    about = {
        "title": "fks-execution",
        "version": version("fks-execution"),
        "description": "The desk (server.admin), and the door (server.listen): webhook and health.",
    }
    bearer = {"type": "http", "scheme": "bearer", "description": "the daemon's admin token"}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": about,
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": {"admin": bearer}},
            "security": [{"admin": []}],
        }
    )


def _operation(one: Operation, schemas: Mapping[int, Any]) -> dict[str, Any]:
    phrase = HTTPStatus(one.status).phrase
    good = {"description": phrase, "content": {one.media: {"schema": schemas[id(one.returns)]}}}
    problems = sorted({*one.problems, *(() if one.public else (401, 421))})
    told: dict[str, Any] = {
        "summary": one.summary,
        "responses": {str(one.status): good}
        | {str(status): {"description": HTTPStatus(status).phrase, **_PROBLEM} for status in problems}
        | {"default": {"description": "anything else", **_PROBLEM}},
    }
    if one.returns is doc.AlertReply:
        told["responses"]["202"] = {**good, "description": HTTPStatus.ACCEPTED.phrase}
        told["tags"] = ["door"]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall("<(.*?)>", one.path)
    ] + [
        {"name": name, "in": "query", "required": name in one.required, "schema": schemas[id(kind)]}
        for name, kind in one.query.items()
    ]
    if parameters:
        told["parameters"] = parameters
    if one.takes is not None:
        media = "text/plain" if one.takes is str else "application/json"  # whatever there is to be linted
        content = {media: {"schema": schemas[id(one.takes)]}}
        told["requestBody"] = {"required": one.takes is not str, "content": content}
    if one.public:
        told["security"] = []
    return told


def _alert(schema: dict[str, Any]) -> dict[str, Any]:
    """The native alert as its sender writes it: the struct is what became of it."""
    fields = {name: _lenient(kind) for name, kind in schema["properties"].items()}
    ways = ", ".join(f"`{name}`" for name in Target.__struct_fields__)
    target = {"type": ["object", "number", "string", "null"], "description": f"a price, or one of {ways}"}
    fields |= {
        "timestamp": {
            "type": ["string", "number"],
            "description": "ISO 8601, or seconds or milliseconds of UTC",
        },
        "stop_loss": target,
        "take_profit": {"anyOf": [target, {"type": "array", "items": target}]},
        SECRET_FIELD: {"type": "string", "description": "instead of a signature"},
    }
    told = "The native alert. Fields that are not known are kept with it and ignored."
    return schema | {"properties": fields, "description": told}


def _lenient(schema: dict[str, Any]) -> dict[str, Any]:
    return _NUMBER if "decimal" in str(schema) else {k: v for k, v in schema.items() if k != "default"}
