"""One repository at a registry, asked: over its hosts, with pauses, page by page."""
