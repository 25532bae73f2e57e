"""A server of gRPC over HTTP/2, which knows nothing of what is served."""
