"""One blob that comes: from any offset and any origin, in one stream or several, never poisoned."""
