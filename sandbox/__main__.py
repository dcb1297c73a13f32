"""`python -m sandbox` is `linbench`."""

from sandbox.cli import main

main()
