"""Files of corpora, in forge's format: inputs of a fuzz test, or sequences of an invariant test.

With `corpus_dir` a test first runs the inputs in its folder. The campaign chooses and mutates them
(`guests/revm/src/campaign/corpus.rs`), and returns those that reach something new, which are written. The seed and the
folder's inputs determine every run. Keys and defaults: the Foundry book.

A file, `<corpus_dir>/<contract>/<test>/worker0/corpus/<uuid>-<seconds>.json`, is a list of calls: one for a fuzz test,
a sequence for an invariant test. With `corpus_gzip`, files above 4 KiB are compressed and end with `.gz`. The folders
of all workers are read, sorted by file name; names are derived from the content. Files with other names are ignored;
damaged ones are skipped with a notice.

`<corpus_dir>/<contract>/<test>/optimization_best.json` has the best sequence of a maximizing test, and its value.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from time import time
from typing import Final
from uuid import UUID

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from hypervisor.text import printable
from hypervisor_tools.soltest.execution.results import read_delay
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall, bare_name, hex_bytes, write_corpus_file
from hypervisor_tools.soltest.project.project import CorpusSettings
from store.untrusted import parse_json

_MAX_SIZE: Final = 16 << 20
"""Maximum size of a file in bytes, compressed or not."""
_MAX_FILES: Final = 65_536
"""Maximum number of files read for a test."""
_MAX_NOTICES: Final = 10
"""Maximum number of notices about damaged files of a test."""
_MAX_PATH: Final = 4096
"""Maximum number of characters of a path in a notice."""
_COMPRESSED: Final = 4 << 10
"""Size in bytes above which a file is compressed, as in forge."""
BEST: Final = "optimization_best.json"
"""Name of the file with the best sequence of a maximizing test."""
_FILE: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d{1,20}\.json(?:\.gz)?", re.IGNORECASE)


StoreFile = Callable[[Path, bytes], None]


class CorpusFolder:
    """The corpus files of one test."""

    def __init__(
        self, root: Path, settings: CorpusSettings, contract: str, signature: str, store: StoreFile | None = None
    ) -> None:
        """Locate the folder: `corpus_dir` is relative to `root`. Without `corpus_dir` nothing is read or written.

        `store` is called with the path below `root` and the content of each new file, which is not written then, and
        without content for a superfluous one.
        """
        self._root = root
        self._store = store
        self._current: Path | None = None
        folder = settings.corpus_dir
        self._folder = None if folder is None else root / folder / contract / bare_name(signature)
        self._compresses = settings.corpus_gzip
        self._names: set[str] = set()
        self._damaged: list[tuple[Path, str]] = []

    @property
    def notices(self) -> tuple[str, ...]:
        """A notice for each damaged file that `read` has skipped, with the file, the defect and the remedy."""
        found = [
            f"the corpus file {printable(str(file), _MAX_PATH)} is skipped: {defect}; repair or remove it"
            for file, defect in self._damaged[:_MAX_NOTICES]
        ]
        rest = len(self._damaged) - len(found)
        return (*found, f"{rest:,} more corpus files in {self._folder} are damaged") if rest else tuple(found)

    def read(self) -> Iterator[tuple[StoredCall, ...]]:
        """Yield the stored inputs in the order of their file names; duplicates of a name are skipped."""
        if self._folder is None:
            return
        files: dict[str, Path] = {}
        places = [self._folder, *sorted(self._folder.glob("worker*/corpus"))]
        for file in (file for path in places for file in sorted(path.glob("*.json*"))):
            found = _FILE.fullmatch(file.name)
            if found is not None and file.is_file() and not file.is_symlink():
                files.setdefault(found[1].lower(), file)
        for name in sorted(files)[:_MAX_FILES]:
            calls = self._read(files[name], _calls)
            if calls is not None:
                self._names.add(name)
                self._current = files[name]
                yield calls

    def read_best(self) -> tuple[StoredCall, ...]:
        """Return the best sequence of a maximizing test; empty if none is stored."""
        file = None if self._folder is None else self._folder / BEST
        return () if file is None or not file.is_file() or file.is_symlink() else self._read(file, _best_calls) or ()

    def _read(self, file: Path, calls: Callable[[object], tuple[StoredCall, ...]]) -> tuple[StoredCall, ...] | None:
        """Return the calls of a file; None for a damaged one, which gets a notice."""
        try:
            return calls(_parsed(file))
        except InvalidInput as defect:
            self._damaged.append((file, str(defect)))
            return None

    def drop(self) -> None:
        """Report the file that `read` yielded last as superfluous: it reached nothing new."""
        if self._store is not None and self._current is not None:
            self._store(self._current.relative_to(self._root), b"")

    def write(self, calls: Sequence[StoredCall]) -> None:
        """Write an input. Raises InvalidInput if the file cannot be written."""
        rows = [_row(call) for call in calls]
        content = json.dumps(rows, separators=(",", ":")).encode()
        name = str(UUID(bytes=sha256(content).digest()[:16], version=4))
        if name in self._names or self._folder is None:
            return
        self._names.add(name)
        is_long = self._compresses and len(content) > _COMPRESSED
        path = self._folder / "worker0" / "corpus" / f"{name}-{int(time())}.json{'.gz' if is_long else ''}"
        self._write_file(path, gzip.compress(content, mtime=0) if is_long else content)

    def write_best(self, value: int, calls: Sequence[StoredCall]) -> None:
        """Write the best sequence of a maximizing test, and its value. Raises InvalidInput if it cannot be written."""
        if self._folder is not None:
            best = {"best_value": str(value), "best_sequence": [_row(call) for call in calls]}
            self._write_file(self._folder / BEST, json.dumps(best, separators=(",", ":")).encode())

    def _write_file(self, path: Path, data: bytes) -> None:
        if self._store is None:
            write_corpus_file(self._root, path, data)
        else:
            self._store(path.relative_to(self._root), data)


def _parsed(file: Path) -> object:
    """Return the content of a file. Raises InvalidInput with its defect."""
    content = _content(file)
    try:
        return parse_json(content)
    except ValueError:
        raise InvalidInput("it is not valid JSON") from None


def best_value(data: bytes) -> int | None:
    """Return the value of the content of `BEST`; None for damaged content."""
    try:
        return int(parse_json(data)["best_value"])
    except (ValueError, TypeError, KeyError):
        return None


def stored_value(file: Path) -> int | None:
    """Return the value of a file; None if it is missing or damaged."""
    try:
        return best_value(_content(file)) if file.is_file() else None
    except InvalidInput:
        return None


def _best_calls(best: object) -> tuple[StoredCall, ...]:
    """Return the calls of a best sequence. Raises InvalidInput with its defect."""
    if not isinstance(best, dict):
        raise InvalidInput("it is not an object")
    return _calls(best.get("best_sequence"))


def _calls(rows: object) -> tuple[StoredCall, ...]:
    """Return the calls of a list. Raises InvalidInput with its defect."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput("it is not a list of calls")
    found = []
    for number, row in enumerate(rows, 1):
        sender, target, calldata = (hex_bytes(row.get(name)) for name in ("sender", "target", "calldata"))
        if sender is None or len(sender) != 20:
            raise InvalidInput(f"`sender` of call {number} is not an address of 20 bytes in hex")
        if target is None or len(target) != 20:
            raise InvalidInput(f"`target` of call {number} is not an address of 20 bytes in hex")
        if calldata is None:
            raise InvalidInput(f"`calldata` of call {number} is not bytes in hex")
        delay = read_delay(row)
        if delay is None:
            raise InvalidInput(f"`warp` or `roll` of call {number} is not a number below 2^64 in hex")
        found.append(StoredCall(sender, target, calldata, delay))
    return tuple(found)


def _content(file: Path) -> bytes:
    """Return a file's content, decompressed. Raises InvalidInput."""
    content = read_bounded(file, _MAX_SIZE, "the file")
    if file.suffix.lower() != ".gz":
        return content
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) as packed:
            return packed.read(_MAX_SIZE)
    except (OSError, EOFError, zlib.error):
        raise InvalidInput("it is not a valid gzip file") from None


def _row(call: StoredCall) -> dict[str, str]:
    parts = {"sender": call.sender, "target": call.address, "calldata": call.calldata}
    delays = {name: text for name, text in call.delay.forge_json().items() if text is not None}
    return delays | {name: f"0x{data.hex()}" for name, data in parts.items()}
