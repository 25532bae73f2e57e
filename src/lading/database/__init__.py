"""Engines, transactions and migrations: the floor under the rooms that keep rows."""
