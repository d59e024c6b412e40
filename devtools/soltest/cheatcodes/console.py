"""What tests write with `console.log`, line by line."""

from __future__ import annotations

from localnet.console_log import MOST_LINES, log_line


class Console:
    """The lines of a test."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, data: bytes) -> None:
        """Keep the line of a call's data; forge leaves empty ones out."""
        line = log_line(data)
        if line and len(self.lines) < MOST_LINES:
            self.lines.append(line)

    def clear(self) -> None:
        """Forget all lines."""
        self.lines.clear()
