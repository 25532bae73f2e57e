"""`python -m benchmarks.growth ROOT SOURCE`: ingest once, and print by how many bytes one grew.

A program of its own and a bare one, since what it imports before its first look is not counted.
"""

import signal
import sys


def resident(field: str) -> int:
    """A size of this process as the kernel counts it: VmRSS is today's, VmHWM the highest ever."""
    with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib is an import
        for line in status:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    raise LookupError(field)


def main(root: str, source: str) -> None:
    """Import lading, ingest `source`, or standard input when that is "-", and print the growth."""
    at_start = resident("VmRSS")
    from lading.content.transfer import ingest  # noqa: PLC0415 - the import is part of the growth
    from lading.stores.local.store import LocalStore  # noqa: PLC0415 - likewise

    ingest(LocalStore(root), "large", sys.stdin.buffer if source == "-" else source)
    print(resident("VmHWM") - at_start)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(*sys.argv[1:])
