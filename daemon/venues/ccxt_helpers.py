"""Some helpers of ccxt's base class, written for what an order does with them: same results, less time.

An order asks for about 150 fields, half of which are missing, and ccxt learns that from an exception each
time: 9 % of an order. Others were tried (hmac, capitalize, omit, safe_bool, safe_string_n, safe_number,
decimal_to_precision) and saved 1 % at most.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import ccxt

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch  # needs no escaping, whoever encodes it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000 = 253_402_300_800_000  # epoch milliseconds; it has no ISO 8601 form


class Helpers:
    """Names, arguments and results are ccxt's, errors too."""

    options: Any

    @staticmethod
    def safe_string(dictionary: Any, key: Any, default_value: Any = None) -> Any:
        try:
            value = dictionary.get(key) if type(dictionary) is dict else dictionary[key]
            kind = type(value)
            if kind is str:
                return value or default_value
            if kind is int or kind is float:
                return str(value)
        except Exception:  # noqa: BLE001, S110 - as upstream: whatever it is, it is not there
            pass
        return default_value

    @staticmethod
    def safe_value(dictionary: Any, key: Any, default_value: Any = None) -> Any:
        try:
            value = dictionary.get(key) if type(dictionary) is dict else dictionary[key]
            if value is not None and value != "":
                return value
        except Exception:  # noqa: BLE001, S110 - as above
            pass
        return default_value

    @staticmethod
    def safe_value_2(dictionary: Any, key1: Any, key2: Any, default_value: Any = None) -> Any:
        safe_value = Helpers.safe_value
        value = safe_value(dictionary, key1)
        return safe_value(dictionary, key2, default_value) if value is None else value

    @staticmethod
    def safe_string_2(dictionary: Any, key1: Any, key2: Any, default_value: Any = None) -> Any:
        safe_string = Helpers.safe_string
        value = safe_string(dictionary, key1)
        return safe_string(dictionary, key2, default_value) if value is None else value

    @staticmethod
    def safe_integer(dictionary: Any, key: Any, default_value: Any = None) -> Any:
        try:
            value = dictionary.get(key) if type(dictionary) is dict else dictionary[key]
            if value is not None:
                return int(float(value))
        except Exception:  # noqa: BLE001, S110 - as above
            pass
        return default_value

    @staticmethod
    def iso8601(timestamp: Any = None) -> Any:
        if type(timestamp) is int and 0 <= timestamp < _YEAR_10000:
            return (_EPOCH + timedelta(milliseconds=timestamp)).isoformat("T", "milliseconds")[:-6] + "Z"
        return ccxt.Exchange.iso8601(timestamp)

    def handle_option_and_params(
        self, params: Any, methodName: Any, optionName: str, defaultValue: Any = None  # noqa: N803
    ) -> Any:  # fmt: skip
        """An order asks for seven options, and mostly none is set: 2 % of one."""
        longer = f"default{optionName[:1].upper()}{optionName[1:]}"
        if (
            type(params) is not dict
            or type(methodName) is not str
            or not params.keys().isdisjoint((optionName, longer, "callerMethodName"))
        ):
            return ccxt.Exchange.handle_option_and_params(self, params, methodName, optionName, defaultValue)
        options = self.options
        value = self.safe_value_2(self.safe_value(options, methodName), optionName, longer)
        if value is None:
            value = self.safe_value_2(options, optionName, longer, defaultValue)
        return [value, params.copy()]

    @staticmethod
    def urlencode(params: Any = None, doseq: bool = False, sort: bool = False) -> str:
        """Most orders need no escaping, which is 4 % of one."""
        parts: list[str] = []
        for key, value in (params or {}).items():
            text = value if isinstance(value, str) else str(value) if type(value) is int else ""
            if not (type(key) is str and _UNRESERVED(key) and _UNRESERVED(text)):
                return str(ccxt.Exchange.urlencode(params, doseq, sort))
            parts.append(f"{key}={text}")
        return "&".join(parts)
