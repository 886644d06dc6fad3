"""`python -m operatorlab` is the `operatorlab` command."""

from operatorlab.cli import main

main()
