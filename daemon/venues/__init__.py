"""Everything that talks to an exchange, and the exchange that lives inside the daemon."""
