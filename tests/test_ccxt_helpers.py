"""The replaced helpers of ccxt: for every input the result, or the error, is upstream's."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fks.venues.ccxt_helpers import Helpers
from fks.venues.trio_ccxt import trio_exchange

EXCHANGE = trio_exchange("binance")()
UPSTREAM = next(one for one in trio_exchange("binance").__mro__ if one.__module__ == "ccxt.base.exchange")

keys = st.one_of(st.sampled_from(["a", "b", "", 0, 1, -1, None, 1.5]), st.just(["unhashable"]))
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([]), st.just({}),
    st.just(b""), st.just(10**5000),
)  # fmt: skip
tables = st.dictionaries(st.sampled_from(["a", "b", 0, 1]), values, max_size=4)
holders = st.one_of(
    tables,
    tables.map(OrderedDict),
    tables.map(lambda table: defaultdict(lambda: "made", table)),
    st.lists(values, max_size=3),
    st.just("text"),
    st.none(),
)


def outcome(function: Callable[..., Any], *args: Any) -> str:
    try:
        result = function(*args)
        return "a long number" if isinstance(result, int) and result > 10**100 else repr(result)
    except Exception as error:  # noqa: BLE001 - compared
        return type(error).__name__


def test_upstream_is_not_ours() -> None:
    for name in vars(Helpers):
        if not name.startswith("__"):
            assert getattr(UPSTREAM, name) is not getattr(Helpers, name)
            assert getattr(trio_exchange("binance"), name) is getattr(Helpers, name)


@pytest.mark.parametrize("name", ["safe_string", "safe_value", "safe_integer"])
@given(holder=holders, key=keys, default=values)
@example(holder={"a": ""}, key="a", default="default")
@example(holder={"a": None}, key="a", default="default")
@example(holder={"a": True}, key="a", default="default")
@example(holder={"a": "12.9"}, key="a", default="default")
@example(holder={"a": "1e400"}, key="a", default="default")
def test_field(name: str, holder: Any, key: Any, default: Any) -> None:
    args = (holder, key, default)
    assert outcome(getattr(Helpers, name), *args) == outcome(getattr(UPSTREAM, name), *args)


@pytest.mark.parametrize("name", ["safe_string_2", "safe_value_2"])
@given(holder=holders, key=keys, other=keys, default=values)
@example(holder={"a": "", "b": "b"}, key="a", other="b", default="default")
@example(holder={"b": ""}, key="a", other="b", default="default")
def test_either_of_two_fields(name: str, holder: Any, key: Any, other: Any, default: Any) -> None:
    args = (holder, key, other, default)
    assert outcome(getattr(Helpers, name), *args) == outcome(getattr(UPSTREAM, name), *args)


@given(
    st.one_of(
        st.integers(), st.integers(0, 9 * 10**15), st.integers(0, 10**13), st.floats(), st.booleans(),
        st.none(), st.text(max_size=3), st.integers(0, 10**13).map(str),
    )
)  # fmt: skip
@example(253402300799999)
@example(253402300800000)
@example(0)
@example(-1)
def test_time(timestamp: Any) -> None:
    assert outcome(Helpers.iso8601, timestamp) == outcome(UPSTREAM.iso8601, timestamp)


names = st.sampled_from(["mode", "defaultMode", "callerMethodName", "createOrder", "fetchOrder", "", "x"])
options_ = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just([]),
    st.sampled_from(["createOrder", "fetchOrder"]),
)  # fmt: skip


@given(
    options=st.dictionaries(
        names, st.one_of(options_, st.dictionaries(names, options_, max_size=3)), max_size=4
    ),
    params=st.one_of(st.dictionaries(names, options_, max_size=3), st.lists(options_), st.none()),
    method=st.sampled_from(["createOrder", "fetchOrder", "", None, 5]),
    option=st.sampled_from(["mode", "x", ""]),
    default=options_,
)
@example(options={"createOrder": {"mode": 1}}, params={}, method="createOrder", option="mode", default=2)
@example(options={"defaultMode": 1}, params={"a": 1}, method="createOrder", option="mode", default=2)
@example(options={"mode": 1}, params={"mode": 3}, method="createOrder", option="mode", default=2)
def test_option(options: Any, params: Any, method: Any, option: str, default: Any) -> None:
    EXCHANGE.options = options
    args = (EXCHANGE, params, method, option, default)
    ours = Helpers.handle_option_and_params(*args)
    assert repr(ours) == repr(UPSTREAM.handle_option_and_params(*args))
    if type(params) is dict and method is not None:
        assert ours[1] is not params, "a caller may change what it was given"


@given(
    st.one_of(tables, st.dictionaries(st.text(max_size=3), values, max_size=4)),
    st.booleans(),
    st.booleans(),
)
@example({"symbol": "BTCUSDT", "quantity": "0.001", "timestamp": 1755432123456}, False, False)
@example({"a": "x y", "b": True}, False, False)
def test_query(params: dict[Any, Any], doseq: bool, sort: bool) -> None:
    args = (params, doseq, sort)
    assert outcome(Helpers.urlencode, *args) == outcome(UPSTREAM.urlencode, *args)
