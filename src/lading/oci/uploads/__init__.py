"""One blob that goes to a registry: in chunks, remembered beside the store."""
