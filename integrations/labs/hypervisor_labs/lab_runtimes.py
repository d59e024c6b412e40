"""Base classes for runtimes of lab actors implemented in Python: outbox, rent, nonces and archived actors.

Parameters are charged for and their size is checked before they are decoded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Final

from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.parameters import calldata_of
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.machine.registry import InstallServices, Outcome, RuntimeServices
from hypervisor.types import NO_BLOCK, BlockId
from localnet.state.named_code import NamedCode
from store.blockstore import Blockstore
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import CodecError, array_head, encode

METHOD_GAS: Final = 500_000
"""Gas for a method's own work, in addition to its parameters, calls and blocks."""


def named_code(code: Cid, name: str) -> NamedCode:
    """Return the display name of a lab's actor, and its schema from the file of that name."""
    return NamedCode(code, name, (Path(__file__).parent / f"{name}.ipldsch").read_text("utf-8"))


class LabRuntime:
    """Base class of runtimes without a module (`registry.Runtime`); a subclass implements `invoke`."""

    what: ClassVar[str]

    def __init__(self, services: RuntimeServices) -> None:
        """Accept the services without using them."""

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Reject the upgrade: actors cannot change to this code."""
        return Outcome(ExitCode.SYS_INVALID_RECEIVER, message=f"{self.what} does not support upgrades")

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Do nothing: the actor has no module."""


class MethodsRuntime(LabRuntime, ABC):
    """Runs an actor's methods. Charges `METHOD_GAS` and the parameters' size, as `charge`, before decoding them."""

    charge: ClassVar[str]

    @abstractmethod
    def run(self, kernel: Kernel, params: Block | None) -> tuple[int, bytes] | None:
        """Run the method and return its codec and bytes. Raises ActorExit, and SyscallError from the kernel."""

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the method; OutOfGas and Fatal propagate."""
        try:
            result = self.run(kernel, charge_params(kernel, self.charge, METHOD_GAS, params))
            return Outcome(ExitCode.OK, NO_BLOCK if result is None else kernel.ipld.create(*result))
        except ActorExit as ended:
            return Outcome(ended.code, message=ended.message)
        except SyscallError as refused:
            read_only = refused.number == ErrorNumber.READ_ONLY
            return Outcome(ExitCode.USR_READ_ONLY if read_only else ExitCode.USR_ILLEGAL_STATE, message=refused.message)


class KernelBlocks:
    """A `store.blockstore.Blockstore` of the blocks that one invocation can reach; each operation is charged."""

    def __init__(self, kernel: Kernel) -> None:
        self._ipld = kernel.ipld

    def get(self, cid: Cid) -> bytes:
        """Return the data of a reachable block. Raises SyscallError for any other block."""
        data = self._ipld.open(cid).data
        self._ipld.charge_read(len(data))
        return data

    def has(self, cid: Cid) -> bool:
        """Return True if the block is reachable for the invocation."""
        return self._ipld.is_reachable(cid)

    def put(self, cid: Cid, data: bytes) -> None:
        """Write a DAG-CBOR block through the kernel, which computes the CID; `cid` is ignored."""
        self._ipld.link(self._ipld.create(DAG_CBOR, data))

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        """Write blocks in the given order. A linked block must come before the blocks that link to it."""
        for cid, data in blocks:
            self.put(cid, data)


def put_cbor(store: Blockstore, data: bytes) -> Cid:
    """Write a DAG-CBOR block and return its CID."""
    cid = cid_of(data, DAG_CBOR)
    store.put(cid, data)
    return cid


GAS_PER_BYTE: Final = 10
"""Gas per byte of parameters."""
MAX_OVERHEAD: Final = 512
"""Maximum size in bytes of an encoding apart from its payload: CBOR heads, selector, ABI words, an address, numbers."""
_UNSIGNED, _BYTES = 0, 2
_CHUNKS: Final = b"\x5f"


def charge_params(kernel: Kernel, charge: str, gas: int, params: BlockId) -> Block | None:
    """Charge `gas`, and `GAS_PER_BYTE` for the parameters, and return the parameters. Raises OutOfGas."""
    block = kernel.ipld.find(params)
    size = 0 if block is None else len(block.data)
    kernel.gas.charge(charge, to_milligas(gas + GAS_PER_BYTE * size))
    return block


def check_params_size(params: Block | None, limit: int, what: str) -> None:
    """Raise ActorExit (16) for parameters of more than `limit` bytes."""
    size = 0 if params is None else len(params.data)
    if size > limit:
        text = f"{what}: {size} bytes of parameters, at most {limit} are allowed"
        raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=text)


def read_calldata(params: Block | None) -> bytes:
    """Return the calldata in an InvokeEVM parameter block. Raises ParamsError."""
    if params is None:
        return b""
    if params.codec != RAW and params.data[:1] == _CHUNKS:
        raise ParamsError("chunked byte strings are not supported: pass a definite-length byte string")
    return calldata_of(params.codec, params.data)


def read_fields(params: Block | None, count: int) -> list[int | bytes]:
    """Decode a canonical list of `count` unsigned integers and byte strings. Raises CodecError.

    Nested values and chunked strings are rejected: decoding them would take about a hundred times as long per byte as
    the network's prices pay for.
    """
    data = b"" if params is None else params.data
    head = array_head(count)
    if not data.startswith(head):
        raise CodecError(f"expected a list of {count} fields")
    fields: list[int | bytes] = []
    at = len(head)
    for index in range(1, count + 1):
        first = data[at] if at < len(data) else 0xFF
        kind, number = first >> 5, first & 0x1F
        if kind not in (_UNSIGNED, _BYTES) or number > 27:
            found = f"begins with 0x{first:02x}" if at < len(data) else "is missing"
            raise CodecError(f"field {index} {found}: expected an unsigned integer or a byte string")
        at += 1
        if number >= 24:
            width = 1 << number - 24
            number = int.from_bytes(data[at : at + width], "big")
            at += width
        if kind == _UNSIGNED:
            fields.append(number)
        else:
            fields.append(data[at : at + number])
            at += number
    if at != len(data) or encode(fields) != data:
        raise CodecError("the fields are not in canonical form, are truncated, or are followed by other bytes")
    return fields
