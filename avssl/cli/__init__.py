"""The command line: each command reads its flags and calls the one function that does the work."""

from avssl.cli.main import main

__all__ = ["main"]
