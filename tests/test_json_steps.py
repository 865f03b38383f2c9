"""JSON in steps is JSON."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fks.venues.json_steps import loads_in_steps

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.integers(0, 4), st.sampled_from([None, 2, "\t"]))
def test_json_in_steps_is_json(value: object, depth: int, indent: Any) -> None:
    text = json.dumps(value, indent=indent)
    assert loads_in_steps(f" {text}\n", depth) == json.loads(text)


def outcome(loads: Callable[[str], object], text: str) -> object:
    try:
        return loads(text)
    except ValueError:
        return ValueError


@given(VALUES, st.integers(0, 4), st.data())
def test_damaged_json_is_refused_in_steps_as_in_one(value: object, depth: int, data: st.DataObject) -> None:
    text = json.dumps({"a": [value]})
    at = data.draw(st.integers(0, len(text) - 1))
    more = data.draw(st.sampled_from(',:]}["1 '))
    for damaged in (text[:at], text[:at] + text[at + 1 :], text[:at] + more + text[at:]):
        expected = outcome(json.loads, damaged)
        found = outcome(partial(loads_in_steps, depth=depth), damaged)
        assert repr(found) == repr(expected)
