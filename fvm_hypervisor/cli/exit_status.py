"""Exit statuses of commands that fail."""

from typing import Final

FAILED: Final = 1
"""Exit status of a failed operation."""
MISUSED: Final = 2
"""Exit status of wrong input: options, values, named files."""
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C: 128 plus the signal's number."""
TERMINATED: Final = 143
"""Exit status after SIGTERM, as shells report it."""
