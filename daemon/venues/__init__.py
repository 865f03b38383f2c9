"""Everything that talks to an exchange, and the exchange that lives inside the daemon."""

from fks.venues import lazy_ccxt

lazy_ccxt.install()  # before any module of this room imports ccxt, which would import every exchange
