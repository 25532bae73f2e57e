"""Image layouts and archives, of OCI and of docker, in and out. They need no HTTP."""
