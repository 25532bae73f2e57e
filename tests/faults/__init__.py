"""Disks that take less than they are given, fail, and fill up."""
