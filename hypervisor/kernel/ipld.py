"""Blocks: open, create, read, link. An actor can access the blocks reachable from its state.

Source: ref-fvm fvm/src/kernel/{blocks,default}.rs; FIP-0071 for reachability (machine version 4 only).
"""

from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.blocks import ALLOWED_CODECS, MAX_BLOCK_SIZE, Block, BlockRegistry, BlockStat, scan_links
from hypervisor.kernel.calls import Calls
from hypervisor.tracing import BlockLinked, BlockOpened
from hypervisor.types import NO_BLOCK, BlockId
from store.blockstore import BlockNotFound
from store.cid import BLAKE2B_256, DAG_CBOR, Cid, cid_of, codec_of, show

_DIGEST_SIZE = 32
_MAX_I32 = (1 << 31) - 1


class IpldBlockOps:
    """The block registry of one invocation, and the set of CIDs that it may open or link."""

    __slots__ = ("_calls", "_reachable", "_registry", "_tracks")

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._registry = BlockRegistry()
        self._reachable: set[Cid] = set()
        self._tracks = calls.machine.context.network.rules.tracks_links

    def accept(self, block: Block) -> BlockId:
        """Register a block from outside (parameters, a callee's return); its links become reachable."""
        if self._tracks and block.scan is not None:
            self._reachable.update(block.scan.links)
        return self._registry.add(block)

    def check_capacity(self) -> None:
        """Raise LIMIT_EXCEEDED if the invocation cannot register another block."""
        self._registry.check_capacity()

    def find(self, block_id: int) -> Block | None:
        """Return the block of a handle without charge; None for 0. Errors: INVALID_HANDLE."""
        return None if block_id == NO_BLOCK else self._registry.get(block_id)

    def block(self, block_id: int) -> Block:
        """Return the block of a handle without charge. Errors: INVALID_HANDLE."""
        return self._registry.get(block_id)

    def mark_reachable(self, cid: Cid) -> None:
        """Allow the invocation to open and link a CID."""
        if self._tracks:
            self._reachable.add(cid)

    def is_reachable(self, cid: Cid) -> bool:
        """Return True if the invocation may open or link a CID."""
        return not self._tracks or cid in self._reachable

    def open(self, cid: Cid) -> BlockStat:
        """Open a block of reachable state.

        Errors: NOT_FOUND if it is not reachable, ILLEGAL_CODEC. A reachable block that is missing in the store is
        Fatal.
        """
        prices, gas = self._calls.prices, self._calls.gas
        # charge
        gas.charge("OnBlockOpenBase", prices.block_open_flat + prices.link_checked, prices.block_open_flat)
        # check
        if self._tracks and cid not in self._reachable:
            raise SyscallError(ErrorNumber.NOT_FOUND, f"block {show(cid)} is not reachable from this actor's state")
        # do
        block = self._calls.machine.blocks.get(cid) if self._tracks else None
        if block is None:
            block = self._load(cid)
        data = block.data
        if self._calls.tracer is not None:
            self._calls.tracer.event(BlockOpened(cid, len(data)))
        links = self._scan(block)
        cost = prices.block_open(len(data), len(links))
        gas.charge("OnBlockOpen", cost, cost - prices.link_tracked * len(links))
        # return
        return BlockStat(self.accept(block), block.codec, len(data))

    def open_and_read(self, cid: Cid, syscall: int) -> bytes | None:
        """Open a block and read all of it, with one charge for both; `syscall` is the price of each in milligas.

        Returns None, without effect, unless the block is known and reachable and `GasTracker.try_charge` succeeds:
        then the caller makes the two calls. The block gets no handle.
        """
        calls = self._calls
        block = calls.machine.blocks.get(cid) if self._tracks and cid in self._reachable else None
        if block is None or block.scan is None:
            return None
        prices, scan, size = calls.prices, block.scan, len(block.data)
        opened = 2 * syscall + prices.block_open_flat + prices.link_checked + prices.block_open(size, len(scan.links))
        scanned = prices.scan_per_field * scan.fields + prices.scan_per_cid * scan.cids
        if not calls.gas.try_charge(opened + scanned + prices.memory_copy_per_byte * size):
            return None
        self._reachable.update(scan.links)
        return block.data

    def create_and_link(self, codec: int, data: bytes, syscall: int) -> Cid | None:
        """Write a block to the state, with one charge for its creation and its link; see `open_and_read`."""
        calls, size = self._calls, len(data)
        if not self._tracks or size > MAX_BLOCK_SIZE or codec not in ALLOWED_CODECS:
            return None
        scan = scan_links(codec, data)
        if scan.error is not None or not self._reachable.issuperset(scan.links):
            return None
        prices = calls.prices
        scanned = prices.scan_per_field * scan.fields + prices.scan_per_cid * scan.cids
        written = prices.block_create(size, len(scan.links)) + prices.block_link(size)
        if not calls.gas.try_charge(2 * syscall + scanned + written):
            return None
        cid = cid_of(data, codec)
        calls.machine.store.put(cid, data)
        calls.machine.blocks.put(cid, Block(codec, data, scan))
        self._reachable.add(cid)
        return cid

    def create(self, codec: int, data: bytes) -> BlockId:
        """Create a block. Errors: LIMIT_EXCEEDED over 1 MiB, ILLEGAL_CODEC, NOT_FOUND for an unreachable link."""
        # check
        if len(data) > MAX_BLOCK_SIZE:
            raise SyscallError(ErrorNumber.LIMIT_EXCEEDED, f"a block of {len(data)} bytes exceeds 1 MiB")
        if codec not in ALLOWED_CODECS:
            self._refuse_codec(codec)
        block = Block(codec, data, scan_links(codec, data) if self._tracks else None)
        links = self._scan(block) if codec == DAG_CBOR else ()
        # charge
        prices, size = self._calls.prices, len(data)
        cost = prices.block_create(size, len(links))
        copied = (prices.memory_copy_per_byte + prices.memory_allocate_per_byte) * size
        self._calls.gas.charge("OnBlockCreate", cost, cost - copied - prices.link_checked * len(links))
        # do
        if codec not in ALLOWED_CODECS:  # machine version 3 charges before it checks the codec
            raise SyscallError(ErrorNumber.ILLEGAL_CODEC, f"codec {codec:#x} is not allowed")
        for link in links:
            if link not in self._reachable:
                raise SyscallError(ErrorNumber.NOT_FOUND, f"the block links {show(link)}, which is not reachable")
        # return
        return self._registry.add(block)

    def read(self, block_id: int, offset: int, length: int) -> bytes:
        """Return bytes of a block, fewer than `length` at its end. Errors: ILLEGAL_ARGUMENT, INVALID_HANDLE."""
        # check
        if offset + length > _MAX_I32:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"offset {offset} + length {length} exceeds 2^31 - 1")
        data = self._registry.get(block_id).data[offset : offset + length]
        # charge
        self._calls.gas.charge("OnBlockRead", self._calls.prices.memory_copy_per_byte * len(data))
        # return
        return data

    def stat(self, block_id: int) -> BlockStat:
        """Return codec and size of a block. Errors: INVALID_HANDLE."""
        block = self._registry.get(block_id)
        return BlockStat(BlockId(block_id), block.codec, len(block.data))

    def link(self, block_id: int, hash_code: int = BLAKE2B_256, hash_length: int = _DIGEST_SIZE) -> Cid:
        """Write a block to the state and return its CID. Errors: ILLEGAL_CID (unsupported hash), INVALID_HANDLE."""
        # check
        if hash_code != BLAKE2B_256 or hash_length != _DIGEST_SIZE:
            raise SyscallError(ErrorNumber.ILLEGAL_CID, f"hash {hash_code:#x} of {hash_length} bytes is not allowed")
        block = self._registry.get(block_id)
        # charge
        prices, size = self._calls.prices, len(block.data)
        storage = prices.block_persist_storage
        other = prices.block_persist_compute + storage.flat + storage.per_unit * size
        self._calls.gas.charge("OnBlockLink", prices.block_link(size), other)
        # do
        cid = cid_of(block.data, block.codec)
        self._calls.machine.store.put(cid, block.data)
        self._calls.machine.blocks.put(cid, block)
        self.mark_reachable(cid)
        if self._calls.tracer is not None:
            self._calls.tracer.event(BlockLinked(cid, size))
        # return
        return cid

    def _refuse_codec(self, codec: int) -> None:
        if self._tracks and codec not in ALLOWED_CODECS:
            raise SyscallError(ErrorNumber.ILLEGAL_CODEC, f"codec {codec:#x} is not allowed")

    def _load(self, cid: Cid) -> Block:
        """Load a block from the store, and scan it for links if links are tracked."""
        machine = self._calls.machine
        try:
            data = machine.store.get(cid)
        except BlockNotFound as error:
            raise Fatal(f"reachable state is missing: {error}") from error
        codec = codec_of(cid)
        self._refuse_codec(codec)
        block = Block(codec, data, scan_links(codec, data) if self._tracks else None)
        machine.blocks.put(cid, block)
        return block

    def _scan(self, block: Block) -> tuple[Cid, ...]:
        """Return the links of a block, charging for the scan even if it failed."""
        scan = block.scan
        if scan is None:
            return ()
        prices = self._calls.prices
        cost = prices.scan_per_field * scan.fields + prices.scan_per_cid * scan.cids
        if cost:
            self._calls.gas.charge("OnScanIpldLinks", cost)
        if scan.error is not None:
            raise SyscallError(scan.error, "the block is not valid DAG-CBOR for the state")
        return scan.links
