"""Work for a process that may not have much memory; light to import, as workers do."""

import resource

MEMORY = 2**31  # bytes: more than a worker needs


def hungry(size: int) -> int:
    """Ask for so many bytes where no more than `MEMORY` are to be had."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return len(bytearray(size))
