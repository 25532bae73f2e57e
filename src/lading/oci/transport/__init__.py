"""How a request reaches a server, and what its answer may say: HTTP, TLS, proxies, redirects."""
