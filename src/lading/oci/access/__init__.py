"""Which hosts answer for a registry, and who we are to them: hosts.toml, credentials, tokens."""
