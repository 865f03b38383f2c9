"""Pure decisions and the words they are written in: no clock, socket, disk or randomness."""
