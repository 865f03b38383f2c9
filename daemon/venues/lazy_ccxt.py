"""Importing one exchange of ccxt without importing all the others.

The three `__init__` files of ccxt import every exchange: 94 MB and 0.6 s, against 45 MB for one. The
stand-ins put in their place find the real submodules through the real search path and resolve names on
first use (PEP 562). No file of ccxt is changed.
"""

import importlib
import importlib.util
import re
import sys
import types
from pathlib import Path
from typing import Any

_BASES = {
    "ccxt": "ccxt.base.exchange",
    "ccxt.async_support": "ccxt.async_support.base.exchange",
    "ccxt.pro": "ccxt.async_support.base.exchange",
}
_SHARED = (
    "ccxt.base.errors",
    "ccxt.base.decimal_to_precision",
    "ccxt.base.precise",
    "ccxt.base.order_router",
)


class _LazyPackage(types.ModuleType):
    """Stands where a package of ccxt would; `exchanges` is the list of the package's own source."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or spec.submodule_search_locations is None:
            raise ImportError(f"{name} is not installed")
        self.__spec__, self.__file__, self.__package__ = spec, spec.origin, name
        self.__path__ = list(spec.submodule_search_locations)
        source = Path(spec.origin).read_text(encoding="utf8")
        version = re.search(r"__version__ = '([^']+)'", source)
        self.__version__ = version[1] if version else ""
        listed = re.search(r"^exchanges = \[(.*?)\]", source, re.DOTALL | re.MULTILINE)
        self.exchanges = re.findall(r"'(\w+)'", listed[1]) if listed else []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._resolve(name)
        super().__setattr__(name, value)
        return value

    def _resolve(self, name: str) -> Any:
        if name in self.exchanges:
            return getattr(importlib.import_module(f"{self.__name__}.{name}"), name)
        if name in ("Exchange", "BaseExchange"):
            return getattr(importlib.import_module(_BASES[self.__name__]), name)
        for module in map(importlib.import_module, _SHARED):
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a submodule binds it here; `ccxt.binance` must stay the class, as in the real package.
        if isinstance(value, types.ModuleType) and name in self.__dict__.get("exchanges", ()):
            value = getattr(value, name, value)
        super().__setattr__(name, value)


def install() -> None:
    """Put the stand-ins in place, unless ccxt is there already: then there is nothing left to save."""
    if "ccxt" in sys.modules:
        return
    for name in _BASES:
        package = _LazyPackage(name)
        sys.modules[name] = package
        if "." in name:
            setattr(sys.modules["ccxt"], name.rpartition(".")[2], package)
