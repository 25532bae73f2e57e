"""Processes that want the same ref at the same moment."""
