"""Corpora on disk, in forge's form: `<corpus_dir>/<contract>/<test>/worker0/corpus/<uuid>-<seconds>.json`.

A file is a list of calls: of a fuzz test one, of an invariant test a sequence. Those above 4 KiB are compressed
(`corpus_gzip`) and end with `.gz`. All workers' folders are read, in the order of the names of their files: the name
of one that is written here is made of what it has. A file that is not one of these is passed by.
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

from fvm_hypervisor.soltest.kept_failures import KeptCall, bare_name, hex_bytes
from fvm_hypervisor.soltest.project import CorpusSettings
from fvm_hypervisor.soltest.project_files import write_inside
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded
from store.json_text import parse_json

_LARGEST: Final = 16 << 20
"""Bytes of a file, compressed or not."""
_MOST: Final = 65_536
"""Files of a test that are read."""
_COMPRESSED: Final = 4 << 10
"""Bytes above which a file is compressed: forge's figure."""
_FILE: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d{1,20}\.json(?:\.gz)?", re.IGNORECASE)


class CorpusFolder:
    """The corpus of one test on disk."""

    def __init__(self, root: Path, settings: CorpusSettings, contract: str, signature: str) -> None:
        """`corpus_dir` is from the project's `root`; without it there is no file, and none is written."""
        self._root = root
        folder = settings.corpus_dir
        self._folder = None if folder is None else root / folder / contract / bare_name(signature)
        self._compresses = settings.corpus_gzip
        self._names: set[str] = set()

    def read(self) -> Iterator[tuple[KeptCall, ...]]:
        """The inputs that are there, by the names of their files; of equal names one."""
        if self._folder is None:
            return
        files: dict[str, Path] = {}
        places = [self._folder, *sorted(self._folder.glob("worker*/corpus"))]
        for file in (file for place in places for file in sorted(place.glob("*.json*"))):
            found = _FILE.fullmatch(file.name)
            if found is not None and file.is_file() and not file.is_symlink():
                files.setdefault(found[1].lower(), file)
        for name in sorted(files)[:_MOST]:
            calls = _calls(files[name])
            if calls:
                self._names.add(name)
                yield calls

    def write(self, calls: Sequence[KeptCall]) -> None:
        """Keep an input. Raises InvalidInput where that cannot be."""
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
            raise InvalidInput(f"the corpus cannot be kept in {place.parent}: {error.strerror}") from None


def _calls(file: Path) -> tuple[KeptCall, ...]:
    try:
        content = read_bounded(file, _LARGEST, "the file")
        if file.suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=BytesIO(content)) as packed:
                content = packed.read(_LARGEST)
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
        found.append(KeptCall(sender, target, calldata))
    return tuple(found)


def _row(call: KeptCall) -> dict[str, str]:
    parts = {"sender": call.sender, "target": call.address, "calldata": call.calldata}
    return {name: f"0x{data.hex()}" for name, data in parts.items()}
