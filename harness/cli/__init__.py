"""How a person reaches the rooms. No logic lives here."""

from harness.cli.main import main

__all__ = ["main"]
