"""The actors: what remembers something between two messages."""
