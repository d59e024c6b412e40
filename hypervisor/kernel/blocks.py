"""Blocks, the scan for the links in a block, and a cache of scanned blocks.

The scan is a pure function of codec and bytes (ref-fvm fvm/src/ipld; FIP-0071): it returns the linked CIDs and the
amount of work, so that the kernel can charge for it. It is deliberately less strict than a decoder: like the network,
it accepts non-minimal integers and any key order.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from hypervisor.exit_codes import ErrorNumber
from store.cid import (
    BLAKE2B_256,
    BLAKE2B_CID_LENGTH,
    CBOR,
    CBOR_CID_PREFIX,
    DAG_CBOR,
    FIL_COMMITMENT_SEALED,
    FIL_COMMITMENT_UNSEALED,
    IDENTITY,
    RAW,
    RAW_CID_PREFIX,
    Cid,
    CidError,
    read_cid,
    split_cid,
)
from store.codec import LINK_HEAD, LINK_TAG
from store.links import STEPS

MAX_BLOCK_SIZE = 1 << 20
ALLOWED_CODECS = frozenset({RAW, CBOR, DAG_CBOR})
_COMMITMENTS = frozenset({FIL_COMMITMENT_SEALED, FIL_COMMITMENT_UNSEALED})


@dataclass(slots=True, unsafe_hash=True)
class LinkScan:
    """Result of a scan: links, number of CBOR fields and CIDs read, and the error that stopped it, if any."""

    links: Final[tuple[Cid, ...]]
    fields: Final[int]
    cids: Final[int]
    error: Final[ErrorNumber | None] = None


@dataclass(slots=True, unsafe_hash=True)
class Block:
    """Bytes with their codec, and their link scan if there was one."""

    codec: Final[int]
    data: Final[bytes]
    scan: LinkScan | None = field(default=None, compare=False)

    @property
    def links(self) -> tuple[Cid, ...]:
        """Linked CIDs (in order, with repetitions); empty if the block was not scanned."""
        return () if self.scan is None else self.scan.links


NOTHING_SCANNED = LinkScan((), 0, 0)


def scan_links(codec: int, data: bytes) -> LinkScan:
    """Scan a block for links. Only DAG-CBOR has links; other codecs are not scanned and cost nothing."""
    if codec != DAG_CBOR:
        return NOTHING_SCANNED
    scanner = _Scanner()
    error: ErrorNumber | None = None
    try:
        scanner.scan(data)
    except _ScanStopped as stopped:
        error = stopped.error
    return LinkScan(tuple(scanner.links), scanner.fields, scanner.cids, error)


class ScannedBlocks:
    """Cache of state blocks with their scans, by CID.

    The caller must know that the state has the block. The cache is cleared when it is full.
    """

    __slots__ = ("_available", "_blocks", "get")

    MAX_BYTES: ClassVar = 4 << 20
    """Maximum size in bytes, including `_OVERHEAD` bytes per block."""
    _OVERHEAD: ClassVar = 512

    def __init__(self) -> None:
        self._blocks: dict[Cid, Block] = {}
        self._available = self.MAX_BYTES
        self.get: Callable[[Cid], Block | None] = self._blocks.get
        """Return the block, or None if it is not cached."""

    def put(self, cid: Cid, block: Block) -> None:
        """Cache a block if its scan found no error."""
        if block.scan is None or block.scan.error is not None or cid in self._blocks:
            return
        size = len(block.data) + self._OVERHEAD
        if size > self._available:
            self._blocks.clear()
            self._available = self.MAX_BYTES
        self._available -= size
        self._blocks[cid] = block


class _ScanStopped(Exception):
    def __init__(self, error: ErrorNumber) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass(slots=True)
class _Scanner:
    links: list[Cid] = field(default_factory=list)
    fields: int = 0
    cids: int = 0

    def scan(self, data: bytes) -> None:
        position, size, remaining = 0, len(data), 1
        while remaining:
            self.fields += 1
            if position >= size:
                raise _ScanStopped(ErrorNumber.SERIALIZATION)
            step, change = STEPS[data[position]]
            if step:
                if step == 1 and remaining >= _LONG:
                    run = _ONE_BYTE_VALUES.match(data, position, min(position + remaining, size))
                    if run:
                        step = run.end() - position
                        change = -step
                        self.fields += step - 1
                position += step
                if position > size:
                    raise _ScanStopped(ErrorNumber.SERIALIZATION)
                remaining += change
            elif data[position] == _SHORT_BYTES and position + 1 < size:
                position += 2 + data[position + 1]
                if position > size:
                    raise _ScanStopped(ErrorNumber.SERIALIZATION)
                remaining -= 1
            elif data.startswith(_LINK_STARTS, position) and position + _LINK_LENGTH <= size:
                self.cids += 1
                self.links.append(Cid(data[position + len(LINK_HEAD) : position + _LINK_LENGTH]))
                position += _LINK_LENGTH
                remaining -= 1
            else:
                position, change = self._rare(data, position)
                remaining += change
            if remaining >= 1 << 64:
                raise _ScanStopped(ErrorNumber.SERIALIZATION)
        if position != size:
            raise _ScanStopped(ErrorNumber.SERIALIZATION)

    def _rare(self, data: bytes, position: int) -> tuple[int, int]:
        """Scan a value with a long head or a tag; return the new position and the change in values left to read."""
        major, value, position = _header(data, position)
        if major in (2, 3):
            if position + value > len(data):
                raise _ScanStopped(ErrorNumber.SERIALIZATION)
            return position + value, -1
        if major == 4:
            return position, value - 1
        if major == 5:
            return position, 2 * value - 1
        if major == 6:
            return (self._link(data, position), -1) if value == LINK_TAG else (position, 0)
        return position, -1

    def _link(self, data: bytes, position: int) -> int:
        self.cids += 1
        major, length, position = _header(data, position)
        end = position + length
        if major != 2 or end > len(data) or length < 1 or data[position] != 0:
            raise _ScanStopped(ErrorNumber.SERIALIZATION)
        body = data[position + 1 : end]
        try:
            cid, used = read_cid(body)
        except CidError:
            raise _ScanStopped(ErrorNumber.SERIALIZATION) from None
        if used != len(body):
            raise _ScanStopped(ErrorNumber.SERIALIZATION)
        self._visit(cid)
        return end

    def _visit(self, cid: Cid) -> None:
        _, codec, hash_code, digest = split_cid(cid)
        if codec in _COMMITMENTS:
            return
        if codec not in ALLOWED_CODECS:
            raise _ScanStopped(ErrorNumber.NOT_FOUND)
        if hash_code == IDENTITY:
            if codec == DAG_CBOR:
                self.scan(digest)
            return
        if hash_code != BLAKE2B_256 or len(digest) != 32:
            raise _ScanStopped(ErrorNumber.NOT_FOUND)
        self.links.append(cid)


def _header(data: bytes, position: int) -> tuple[int, int, int]:
    """Read a CBOR head: return major type, number and the offset after it. Rejects indefinite lengths."""
    if position >= len(data):
        raise _ScanStopped(ErrorNumber.SERIALIZATION)
    first = data[position]
    position += 1
    major, low = first >> 5, first & 0x1F
    if low < 24:
        return major, low, position
    if low > 27:
        raise _ScanStopped(ErrorNumber.SERIALIZATION)
    end = position + (1 << (low - 24))
    if end > len(data):
        raise _ScanStopped(ErrorNumber.SERIALIZATION)
    return major, int.from_bytes(data[position:end], "big"), end


_LINK_STARTS = (LINK_HEAD + CBOR_CID_PREFIX, LINK_HEAD + RAW_CID_PREFIX)
_SHORT_BYTES = 0x58
"""First byte of a byte string with a length of one byte."""
_LINK_LENGTH = len(LINK_HEAD) + BLAKE2B_CID_LENGTH
_ONE_BYTE = bytes(first for first in range(256) if STEPS[first] == (1, -1))
_LONG = 64
_ONE_BYTE_VALUES = re.compile(b"[%b]{%d,}" % (re.escape(_ONE_BYTE), _LONG // 2))
"""Runs of one-byte values, which are scanned at once: a block of 1 MiB can hold a million of them."""
