"""Deterministic simulation: the daemon's real actors over a simulated disk, exchange, clock and TradingView.

One seed is one execution. See `__main__` for how to run it, `verdict` for what must hold.
"""
