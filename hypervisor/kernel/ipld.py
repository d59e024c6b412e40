"""Blocks: open, create, read, link. An actor can access the blocks reachable from its state.

Source: ref-fvm fvm/src/kernel/{blocks,default}.rs; FIP-0071 for reachability (machine version 4 only).
"""

from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.blocks import ALLOWED_CODECS, MAX_BLOCK_SIZE, NOTHING_SCANNED, Block, LinkScan, scan_links
from hypervisor.kernel.calls import Calls
from hypervisor.tracing import BlockLinked, BlockOpened
from hypervisor.types import NO_BLOCK, BlockId
from store.blockstore import BlockNotFound
from store.cid import BLAKE2B_256, Cid, cid_of, codec_of, show

MAX_BLOCKS = (1 << 31) - 1
_DIGEST_SIZE = 32
_MAX_I32 = (1 << 31) - 1


class IpldBlockOps:
    """The blocks of one invocation by handle, and the CIDs that it may open or link.

    Handles are 1, 2, 3, ..., and are never freed.
    """

    __slots__ = ("_blocks", "_calls", "_tracks", "reachable")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._blocks: list[Block] = []
        self._tracks = calls.machine.context.network.rules.tracks_links
        self.reachable: set[Cid] = set()
        """CIDs that the invocation may open and link; machine version 3 permits all (`is_reachable`)."""

    def accept(self, block: Block) -> BlockId:
        """Register a block from outside (parameters, a callee's return); its links become reachable."""
        if self._tracks and block.scan is not None:
            self.reachable.update(block.scan.links)
        return self.add(block)

    def add(self, block: Block) -> BlockId:
        """Return a handle of a block. Errors: LIMIT_EXCEEDED if the registry is full."""
        blocks = self._blocks
        if len(blocks) >= MAX_BLOCKS:
            self.check_capacity()
        blocks.append(block)
        return BlockId(len(blocks))

    def check_capacity(self) -> None:
        """Raise LIMIT_EXCEEDED if the invocation cannot register another block."""
        if len(self._blocks) >= MAX_BLOCKS:
            raise SyscallError(ErrorNumber.LIMIT_EXCEEDED, f"the invocation has more than {MAX_BLOCKS} open blocks")

    def find(self, block_id: int) -> Block | None:
        """Return the block of a handle without charge; None for 0. Errors: INVALID_HANDLE."""
        return None if block_id == NO_BLOCK else self.block(block_id)

    def block(self, block_id: int) -> Block:
        """Return the block of a handle without charge. Errors: INVALID_HANDLE."""
        if not 0 < block_id <= len(self._blocks):
            raise SyscallError(ErrorNumber.INVALID_HANDLE, f"no block has the handle {block_id}")
        return self._blocks[block_id - 1]

    def is_reachable(self, cid: Cid) -> bool:
        """Return True if the invocation may open or link a CID."""
        return not self._tracks or cid in self.reachable

    def open(self, cid: Cid) -> Block:
        """Open a block of reachable state; its links become reachable. `add` gives it a handle.

        Errors: NOT_FOUND if it is not reachable, ILLEGAL_CODEC. A reachable block that is missing in the store is
        Fatal.
        """
        calls = self._calls
        prices, gas, tracks = calls.prices, calls.gas, self._tracks
        # charge
        gas.charge("OnBlockOpenBase", prices.block_open_flat + prices.link_checked, prices.block_open_flat)
        # check
        if tracks and cid not in self.reachable:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"block {show(cid)} is not reachable from this actor's state")
        # do
        block = calls.machine.blocks.get(cid) if tracks else None
        if block is None:
            block = self._load(cid)
        size = len(block.data)
        if calls.tracer is not None:
            calls.tracer.event(BlockOpened(cid, size))
        scan = block.scan or NOTHING_SCANNED
        self._charge_scanned(scan, size, "OnBlockOpen", prices.link_tracked, copies=False)
        self.reachable.update(scan.links)
        # return
        return block

    def create(self, codec: int, data: bytes) -> BlockId:
        """Create a block. Errors: LIMIT_EXCEEDED over 1 MiB, ILLEGAL_CODEC, NOT_FOUND for an unreachable link."""
        size, tracks = len(data), self._tracks
        # check
        if size > MAX_BLOCK_SIZE:
            raise SyscallError(ErrorNumber.LIMIT_EXCEEDED, f"a block of {size} bytes exceeds 1 MiB")
        if tracks and codec not in ALLOWED_CODECS:
            raise _illegal_codec(codec)
        scan = scan_links(codec, data) if tracks else NOTHING_SCANNED
        # charge
        self._charge_scanned(scan, size, "OnBlockCreate", self._calls.prices.link_checked, copies=True)
        # do
        if codec not in ALLOWED_CODECS:  # machine version 3 charges before it checks the codec
            raise _illegal_codec(codec)
        for link in scan.links:
            if link not in self.reachable:
                raise SyscallError(ErrorNumber.NOT_FOUND, f"the block links {show(link)}, which is not reachable")
        # return
        return self.add(Block(codec, data, scan if tracks else None))

    def read(self, block_id: int, offset: int, length: int) -> tuple[bytes, int]:
        """Return bytes of a block, fewer than `length` at its end, and the number left, negative beyond its end.

        Errors: ILLEGAL_ARGUMENT, INVALID_HANDLE.
        """
        # check
        end = offset + length
        if end > _MAX_I32:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"offset {offset} + length {length} exceeds 2^31 - 1")
        block = self.block(block_id).data
        data = block[offset:end]
        # charge
        self.charge_read(len(data))
        # return
        return data, len(block) - end

    def charge_read(self, size: int) -> None:
        """Charge for reading bytes of a block."""
        self._calls.gas.charge("OnBlockRead", self._calls.prices.memory_copy_per_byte * size)

    def link(
        self, block_id: int, hash_code: int = BLAKE2B_256, hash_length: int = _DIGEST_SIZE, cid: Cid | None = None
    ) -> Cid:
        """Write a block to the state and return its CID. Errors: ILLEGAL_CID (unsupported hash), INVALID_HANDLE.

        `cid` is the block's CID if the caller has computed it.
        """
        # check
        if hash_code != BLAKE2B_256 or hash_length != _DIGEST_SIZE:
            raise SyscallError(ErrorNumber.ILLEGAL_CID, f"hash {hash_code:#x} of {hash_length} bytes is not allowed")
        block = self.block(block_id)
        # charge
        calls = self._calls
        prices, size = calls.prices, len(block.data)
        storage = prices.block_persist_storage
        other = prices.block_persist_compute + storage.flat + storage.per_unit * size
        calls.gas.charge("OnBlockLink", prices.block_link(size), other)
        # do
        if cid is None:
            cid = cid_of(block.data, block.codec)
        calls.machine.store.put(cid, block.data)
        calls.machine.blocks.put(cid, block)
        self.reachable.add(cid)
        if calls.tracer is not None:
            calls.tracer.event(BlockLinked(cid, size))
        # return
        return cid

    def _load(self, cid: Cid) -> Block:
        """Load a block from the store, and scan it for links if links are tracked."""
        machine = self._calls.machine
        try:
            data = machine.store.get(cid)
        except BlockNotFound as error:
            raise Fatal(f"reachable state is missing: {error}") from error
        codec = codec_of(cid)
        if self._tracks and codec not in ALLOWED_CODECS:
            raise _illegal_codec(codec)
        block = Block(codec, data, scan_links(codec, data) if self._tracks else None)
        machine.blocks.put(cid, block)
        return block

    def _charge_scanned(self, scan: LinkScan, size: int, name: str, per_link: int, *, copies: bool) -> None:
        """Charge for the scan of a block, even if it failed, and for opening or creating the block.

        The price is the maximum of retaining the block and of copying it and tracking its links. `copies` is true if
        the trace counts the copy as computation.
        """
        prices, gas = self._calls.prices, self._calls.gas
        scanned = prices.scan_per_field * scan.fields + prices.scan_per_cid * scan.cids
        copied = (prices.memory_copy_per_byte + prices.memory_allocate_per_byte) * size
        linked = per_link * len(scan.links)
        cost = max(prices.memory_retain_per_byte * size, linked + copied)
        used = gas.used + scanned + cost
        if scan.error is None and gas.tracer is None and used <= gas.limit:  # `GasTracker.try_charge` inlined
            gas.used = used
            return
        if scanned:
            gas.charge("OnScanIpldLinks", scanned)
        if scan.error is not None:
            raise SyscallError(scan.error, "the block is not valid DAG-CBOR for the state")
        gas.charge(name, cost, cost - linked - (copied if copies else 0))


def _illegal_codec(codec: int) -> SyscallError:
    return SyscallError(ErrorNumber.ILLEGAL_CODEC, f"codec {codec:#x} is not allowed")
