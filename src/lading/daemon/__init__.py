"""The daemon: the rooms put together, and served.

settings     what a daemon is told: by flags, the environment and a file
listeners    where it listens, and how a listener is written
sockets      whose a unix socket's path is
journal      what it logs
notices      what it tells systemd
identity     what it is known by
serving      its start, its life and its end

Where it has several processes:

parent       lets clients in, and hands them over
children     how the parent bears, tells and buries the others
child        what each of those does
channel      what a parent and a child say to each other
tally        what they see of each other
sharing      what is one thing in all children: events and tickets
"""
