"""Memory of this process."""

import os
from pathlib import Path

STATUS = Path("/proc/self/statm")


def resident() -> int:
    """Return the resident memory of this process in bytes; 0 if the system does not report it."""
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATUS.is_file() else 0
