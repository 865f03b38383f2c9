"""No document, however odd, does more than load or name its mistakes."""

import json
import string
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config_cases import IDS, no_usual_places  # noqa: F401 - a fixture
from fks.domain.settings import Settings
from fks.infra.config import ConfigError, load
from fks.infra.config_decode import dotted_names
from fks.infra.config_document import parse_toml, parse_yaml

KEY_NAMES = sorted({part for name in dotted_names(Settings) for part in name.split(".")})
KEY = st.sampled_from(KEY_NAMES) | st.text(max_size=6)
LEAF = (
    st.booleans() | st.integers() | st.floats() | st.dates()
    | st.text(max_size=12) | st.text(string.punctuation, max_size=8)
    | st.sampled_from(["${A}", "${credential:x}", "1e999", "http://[", "[::1]:8", "unix:/\0", "10.0.0.1/8"])
)  # fmt: skip
TREE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4), max_leaves=12
)


def toml(value: Any) -> str:
    """As TOML, the document itself as one inline table."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)


def mistakes(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8", newline="")
    try:
        load(path, {"A": "a"}, IDS)
    except ConfigError as error:
        return list(error.errors) or ["an error without a reason"]
    return []


@given(tree=st.dictionaries(KEY, TREE, max_size=6))
def test_a_random_document_either_loads_or_names_its_mistakes(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "random"
    as_toml = "\n".join(f"{toml(key)} = {toml(one)}" for key, one in tree.items())
    found = mistakes(path.with_suffix(".toml"), as_toml)
    found += mistakes(path.with_suffix(".yaml"), yaml.safe_dump(tree))
    assert [line for line in found if ": " not in line or not line.isprintable()] == []


@given(text=st.text(max_size=60) | st.text("[]{}=.\"'#\n:&*!|->%@` \t019aeE_+", max_size=60))
def test_a_random_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_toml, parse_yaml):
        with suppress(ValueError):
            assert isinstance(parse(text), dict)
