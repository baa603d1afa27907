"""`python -m gateway` is `hutong`."""

from gateway.cli import main

main()
