"""fks: a daemon that turns trading alerts into exchange orders."""
