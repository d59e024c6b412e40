"""The statuses with which commands end that do not end well."""

from typing import Final

FAILED: Final = 1
"""Of what did not work."""
MISUSED: Final = 2
"""Of wrong input: options, values, files that are named."""
INTERRUPTED: Final = 130
"""Of what Ctrl-C has ended: 128 and the signal's number."""
TERMINATED: Final = 143
"""As shells say of a process that SIGTERM has ended."""
