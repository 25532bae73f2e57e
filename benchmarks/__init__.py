"""How fast lading is, against rivals that do the same work in the same run; see README.md."""
