"""Verified contracts of a chain: files in its folder, or entries in memory.

A file `verified/<address>.json` in the chain's folder has the response fields of Sourcify's API (`summary`, `fields`)
and the hash of the runtime code (`codeHash`). Files are untrusted: unreadable ones count as missing. Beyond the limits,
the oldest contracts are dropped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import orjson

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded

if TYPE_CHECKING:
    from localnet.explorer.site import VerifiedSource

FOLDER: Final = "verified"
"""Name of the folder in a chain's folder."""
MAX_CONTRACTS: Final = 1_000
MAX_BYTES: Final = 256 << 20
"""Maximum total size of the stored contracts."""
_MAX_ENTRY_BYTES: Final = 64 << 20
"""Maximum size of a contract: sources of one request, and the compiler's output for one contract."""
_FILE: Final = re.compile(r"0x[0-9a-f]{40}\.json")


class VerifiedContracts:
    """Stored contracts by address (`0x` and lower-case hex). Threads may share it."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the contracts stored in a chain's folder; None stores them in memory."""
        self._folder = None if folder is None else folder / FOLDER
        self._lock = Lock()
        self._in_memory: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {} if self._folder is None else _sizes(self._folder)
        """Sizes in bytes by address, oldest first."""

    def addresses(self) -> list[str]:
        """Return the addresses of the stored contracts, newest first."""
        with self._lock:
            return list(reversed(self._sizes))

    def get(self, address: str) -> Mapping[str, Any] | None:
        """Return the entry for an address, or None."""
        with self._lock:
            if address not in self._sizes:
                return None
            data = self._in_memory.get(address)
        try:
            if data is None:
                assert self._folder is not None
                data = read_bounded(self._folder / f"{address}.json", _MAX_ENTRY_BYTES, "the verified contract")
            found = orjson.loads(data)
        except (InvalidInput, OSError, ValueError):
            return None
        is_entry = isinstance(found, dict) and all(isinstance(found.get(name), dict) for name in ("summary", "fields"))
        return found if is_entry else None

    def put(self, address: str, entry: Mapping[str, Any]) -> None:
        """Store the entry of an address. Raises OSError, InvalidInput for one that is too large."""
        data = orjson.dumps(entry)
        if len(data) > _MAX_ENTRY_BYTES:
            raise InvalidInput(f"the verified contract {address} has {len(data):,} bytes, at most {_MAX_ENTRY_BYTES:,}")
        with self._lock:
            if self._folder is None:
                self._in_memory[address] = data
            else:
                _write(self._folder / f"{address}.json", data)
            self._sizes.pop(address, None)
            self._sizes[address] = len(data)
            while len(self._sizes) > MAX_CONTRACTS or (sum(self._sizes.values()) > MAX_BYTES and len(self._sizes) > 1):
                self._drop(next(iter(self._sizes)))

    def _drop(self, address: str) -> None:
        del self._sizes[address]
        self._in_memory.pop(address, None)
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / f"{address}.json").unlink()


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of the stored contracts by address, oldest first."""
    found = []
    with suppress(OSError):  # nothing was stored yet
        for file in os.scandir(folder):
            if _FILE.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                state = file.stat(follow_symlinks=False)
                found.append((state.st_mtime_ns, file.name.removesuffix(".json"), state.st_size))
    return {address: size for _, address, size in sorted(found)}


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def source_of(stored: VerifiedContracts, address: EthAddress) -> VerifiedSource | None:
    """Return the verified sources of the contract at an address; None without any, or if the entry is malformed."""
    from localnet.explorer.site import VerifiedSource

    entry = stored.get(f"0x{address.hex()}")
    if entry is None:
        return None
    try:
        summary, fields = entry["summary"], entry["fields"]
        compilation = fields["compilation"]
        file, _, name = str(compilation["fullyQualifiedName"]).rpartition(":")
        return VerifiedSource(
            name=name,
            file=file,
            compiler=f"solc {compilation['compilerVersion']}",
            settings=json.dumps(compilation["compilerSettings"], indent=2),
            runtime_match=str(summary["runtimeMatch"] or "differs"),
            creation_match=str(summary["creationMatch"] or "unknown or differs"),
            verified_at=str(summary["verifiedAt"]),
            code_hash=str(entry["codeHash"]),
            sources={path: str(source["content"]) for path, source in fields["sources"].items()},
            output={"storageLayout": fields["storageLayout"]},
        )
    except (KeyError, TypeError, AttributeError):
        return None
