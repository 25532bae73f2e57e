"""Processes that really die: by `kill -9`, at any byte and before any call."""
