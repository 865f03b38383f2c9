"""ccxt on trio against ccxt on asyncio, request by request; `python -m conformance` for every exchange."""
