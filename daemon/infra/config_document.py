"""A configuration file's bytes as a plain tree. TOML, or YAML as older versions had it.

No message quotes the text: it may hold secrets.
"""

import tomllib
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml


def parse_toml(text: str) -> dict[str, Any]:
    """Numbers with a point are Decimal, exactly as written. Raises ValueError."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not valid TOML: {error}") from None
    except (ValueError, InvalidOperation):
        raise ValueError("not valid TOML: a number has too many digits") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_yaml(text: str) -> dict[str, Any]:
    """Only plain data: no tags, no aliases, no key twice. Raises ValueError."""
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        # str(error) would quote the line, and with it perhaps a key.
        mark = error.problem_mark
        where = f" (at line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"not valid YAML: {error.problem}{where}") from None
    except yaml.YAMLError:
        raise ValueError("not valid YAML: it holds a character that YAML does not allow") from None
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError):
        # PyYAML lets these through for an impossible date, an odd number or a misused tag.
        raise ValueError("not valid YAML: a date, number or tag makes no sense") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError("not a table of keys and values")
    return tree


class _Loader(yaml.SafeLoader):
    """Without aliases a document's tree is as large as its text (no "billion laughs")."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is not text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} appears twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
