"""The command `lading`: one file per verb, and each is loaded when it is named."""

from lading.cli.process import main

__all__ = ["main"]
