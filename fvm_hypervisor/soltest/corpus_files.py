"""Corpus files in forge's format: `<corpus_dir>/<contract>/<test>/worker0/corpus/<uuid>-<seconds>.json`.

A file is a list of calls: one for a fuzz test, a sequence for an invariant test. With `corpus_gzip`, files above 4 KiB
are compressed and end with `.gz`. The folders of all workers are read, sorted by file name; names are derived from the
content. Other files are ignored.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from time import time
from typing import Final
from uuid import UUID

from fvm_hypervisor.soltest.project import CorpusSettings
from fvm_hypervisor.soltest.project_files import write_inside
from fvm_hypervisor.soltest.stored_failures import StoredCall, bare_name, hex_bytes
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded
from store.json_text import parse_json

_MAX_SIZE: Final = 16 << 20
"""Maximum size of a file in bytes, compressed or not."""
_MAX_FILES: Final = 65_536
"""Maximum number of files read for a test."""
_COMPRESSED: Final = 4 << 10
"""Size in bytes above which a file is compressed, as in forge."""
_FILE: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d{1,20}\.json(?:\.gz)?", re.IGNORECASE)


class CorpusFolder:
    """The corpus files of one test."""

    def __init__(self, root: Path, settings: CorpusSettings, contract: str, signature: str) -> None:
        """Locate the folder: `corpus_dir` is relative to `root`. Without `corpus_dir` nothing is read or written."""
        self._root = root
        folder = settings.corpus_dir
        self._folder = None if folder is None else root / folder / contract / bare_name(signature)
        self._compresses = settings.corpus_gzip
        self._names: set[str] = set()

    def read(self) -> Iterator[tuple[StoredCall, ...]]:
        """Yield the stored inputs in the order of their file names; duplicates of a name are skipped."""
        if self._folder is None:
            return
        files: dict[str, Path] = {}
        places = [self._folder, *sorted(self._folder.glob("worker*/corpus"))]
        for file in (file for place in places for file in sorted(place.glob("*.json*"))):
            found = _FILE.fullmatch(file.name)
            if found is not None and file.is_file() and not file.is_symlink():
                files.setdefault(found[1].lower(), file)
        for name in sorted(files)[:_MAX_FILES]:
            calls = _calls(files[name])
            if calls:
                self._names.add(name)
                yield calls

    def write(self, calls: Sequence[StoredCall]) -> None:
        """Write an input. Raises InvalidInput if the file cannot be written."""
        rows = [_row(call) for call in calls]
        content = json.dumps(rows, separators=(",", ":")).encode()
        name = str(UUID(bytes=sha256(content).digest()[:16], version=4))
        if name in self._names or self._folder is None:
            return
        self._names.add(name)
        is_long = self._compresses and len(content) > _COMPRESSED
        place = self._folder / "worker0" / "corpus" / f"{name}-{int(time())}.json{'.gz' if is_long else ''}"
        try:
            write_inside(self._root, place, gzip.compress(content, mtime=0) if is_long else content)
        except OSError as error:
            raise InvalidInput(f"the corpus cannot be written to {place.parent}: {error.strerror}") from None


def _calls(file: Path) -> tuple[StoredCall, ...]:
    try:
        content = read_bounded(file, _MAX_SIZE, "the file")
        if file.suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=BytesIO(content)) as packed:
                content = packed.read(_MAX_SIZE)
        rows = parse_json(content)
    except (OSError, ValueError, EOFError, zlib.error, InvalidInput):
        return ()
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return ()
    found = []
    for row in rows:
        sender, target, calldata = (hex_bytes(row.get(name)) for name in ("sender", "target", "calldata"))
        if sender is None or target is None or calldata is None or len(sender) != 20 or len(target) != 20:
            return ()
        found.append(StoredCall(sender, target, calldata))
    return tuple(found)


def _row(call: StoredCall) -> dict[str, str]:
    parts = {"sender": call.sender, "target": call.address, "calldata": call.calldata}
    return {name: f"0x{data.hex()}" for name, data in parts.items()}
