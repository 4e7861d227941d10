"""Keeps the memory of a step for the next one, where the C library allows it."""

import ctypes

# Parameters of glibc's mallopt and their numbers in malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = 2**31 - 1


def keep_freed() -> None:
    """Has glibc keep what is freed; does nothing with other C libraries.

    On a CPU a step takes and frees its memory anew. glibc returns large arrays to the
    system, which hands them out again as pages of zeros, one fault for 4 kB: with 90 MB
    a seventh of a step's processor time. What the process holds afterwards is what it
    held at its peak. It must run before anything asks for a device: threads that have
    memory of their own keep returning it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_ARENA_MAX, 1)
