"""The outside world other than exchanges: configuration, store, HTTP server, log, systemd."""
