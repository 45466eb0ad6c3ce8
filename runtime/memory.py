"""Memory of pictures goes back to the system when they are done with.

glibc raises the size from which it asks the system for a block of its own each time such a block
is freed (mallopt(3), M_MMAP_THRESHOLD), up to 32 MiB; pictures of ever other sizes then leave
holes in the heaps of several threads. A size that is set stays; one heap has fewer holes.
"""

import ctypes
import sys

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
BLOCK_BYTES = 128 * 1024
"""glibc's own first value."""


def give_back_pictures() -> bool:
    """Fix size and heaps for this process; say whether its C library has such a thing."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES), mallopt(M_ARENA_MAX, 1)
    return taken == (1, 1)
