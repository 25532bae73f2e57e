"""The daemon: the rooms put together, and served.

settings     what a daemon is told: by flags, the environment and a file
listeners    where it listens, and how a listener is written
sockets      whose a unix socket's path is
journal      what it logs
notices      what it tells systemd
identity     what it is known by
serving      its start, its life and its end
"""
