"""`python -m fks` is `fks`."""

from fks.cli import main

main(prog_name="fks")
