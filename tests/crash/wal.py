"""Parser for the ends of records in a RocksDB log."""

from pathlib import Path

from store.rocks.format import FULL, LAST, pieces


def newest_log(folder: Path) -> Path:
    """Return the active log."""
    return max(folder.glob("*.log"))


def record_ends(log: bytes) -> list[int]:
    """Return the offset after each record, in order."""
    return [piece.end for piece in pieces(log) if piece.kind in (FULL, LAST) and piece.end <= len(log)]
