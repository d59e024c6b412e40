"""The kernel as used by a contract's actor and by precompiles.

The official EVM actor is a WASM module, so each of its kernel operations costs a syscall in addition to the kernel's
own charge; the same is charged here. Memory of an invocation is charged, and exhausted, as in the official module.
Before each operation the engine's gas is settled and the rest of its budget returned, so that no other module has to do
it. Errors are the kernel's: SyscallError, OutOfGas, Fatal. Filecoin's precompiles use the interface of the calling
contract, under any rules, and its calls' gas limits.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Protocol

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress, from_delegated, masked_id
from bridge.gas import SLICE, GasBudget
from hypervisor.errors import ActorExit
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel, SendResult
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.chain import draw
from hypervisor.messages.address import Address, is_eth_namespace
from hypervisor.messages.events import EventEntry
from hypervisor.types import NO_BLOCK, ActorID, BlockId, ChainEpoch, Gas, MethodNumber, TokenAmount
from runtimes.evm.contracts.rules import EvmRules
from store.cid import DAG_CBOR, Cid

_KECCAK_256: Final = 0x1B
_known_form: Final = lru_cache(4_096)(from_delegated)
"""Cached, because every frame looks up its own and its caller's address."""


class Syscalls:
    """The kernel of one invocation, with prices."""

    def __init__(self, kernel: Kernel, gas_rate: int) -> None:
        self.kernel = kernel
        short = kernel.machine.short
        self.check_limit = None if short is None else short.check
        """Raises LongExecution if this is a short execution that exceeds its limit; None for others.

        The budget calls it, also after each syscall, when the engine draws gas again.
        """
        self.gas = GasBudget(kernel.gas, gas_rate, SLICE, self.check_limit)
        self._price = kernel.prices.syscall

    def _pay(self, read: int | None = None) -> Kernel:
        """Settle the engine's gas and charge for a syscall; the engine draws a new budget when it continues.

        `read` is the number of bytes of a block that the syscall reads, if it reads one.
        """
        if self.gas.granted:
            self.gas.put_back()
        kernel = self.kernel
        gas = kernel.gas
        used = gas.used + self._price
        if read is not None:
            used += kernel.prices.memory_copy_per_byte * read
        if gas.tracer is None and used <= gas.limit:
            gas.used = used  # `GasTracker.try_charge` inlined: each operation passes here
        else:
            gas.charge("OnSyscall", self._price)
            if read is not None:
                kernel.ipld.charge_read(read)
        return kernel

    # --- blocks and the actor's own state ---------------------------------------------------------------------

    def params(self, block: BlockId) -> Block | None:
        """Return the invocation's parameters, None if there are none."""
        if block == NO_BLOCK:
            return None
        found = self._pay().ipld.block(block)  # for its size
        self._pay(read=len(found.data))
        return found

    def read(self, block: BlockId, size: int) -> bytes:
        """Read an open block."""
        return self._pay().ipld.read(block, 0, size)[0]

    def open(self, cid: Cid) -> bytes:
        """Open and read a block of reachable state."""
        data = self._pay().ipld.open(cid).data
        self._pay(read=len(data))
        return data

    def create(self, codec: int, data: bytes) -> BlockId:
        """Create a block to send or to return."""
        return self._pay().ipld.create(codec, data)

    def put(self, data: bytes, codec: int = DAG_CBOR, cid: Cid | None = None) -> Cid:
        """Write a block to the state; `cid` is its CID if the caller has computed it."""
        block = self._pay().ipld.create(codec, data)
        return self._pay().ipld.link(block, cid=cid)

    def root(self) -> Cid:
        """Return the actor's head."""
        return self._pay().root()

    def set_root(self, cid: Cid) -> None:
        """Change the actor's head."""
        self._pay().set_root(cid)

    def current_balance(self) -> TokenAmount:
        """Return the actor's own balance."""
        return self._pay().current_balance()

    # --- other actors -----------------------------------------------------------------------------------------

    def resolve(self, address: Address) -> ActorID | None:
        return self._pay().calls.tree.lookup_id(address)

    def delegated_address(self, actor: ActorID) -> Address | None:
        """Return an actor's f4 address; None if it has none, or does not exist."""
        state = self._pay().calls.get_actor(actor)
        return None if state is None else state.delegated_address

    def eth_address(self, actor: ActorID) -> EthAddress:
        """Return an actor's Ethereum address; exit 24 for an f410 subaddress that is not 20 bytes, as on Filecoin."""
        state = self._pay().calls.get_actor(actor)
        delegated = None if state is None else state.delegated_address
        address = _known_form(delegated)
        if address is not None:
            return address
        if delegated is not None and is_eth_namespace(delegated) and len(delegated.subaddress()) != ETH_ADDRESS_LENGTH:
            raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"{delegated} is not a valid Ethereum address")
        return masked_id(actor)

    def code_of(self, actor: ActorID) -> Cid | None:
        """Return an actor's code CID; None if it does not exist."""
        state = self._pay().calls.get_actor(actor)
        return None if state is None else state.code

    def builtin_type(self, code: Cid) -> int:
        """Return the position of a code CID in the manifest, from 1; 0 if it is missing."""
        return self._pay().machine.manifest.type_of(code)

    def balance_of(self, actor: ActorID) -> TokenAmount:
        """Return an actor's balance; 0 if it does not exist."""
        state = self._pay().calls.get_actor(actor)
        return TokenAmount(0) if state is None else state.balance

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Call another actor; the caller must have written its own state (`Contract.send`)."""
        return self._pay().send(to, method, params, value, gas_limit, read_only)

    # --- chain, events, memory --------------------------------------------------------------------------------

    def emit(self, entries: Sequence[EventEntry]) -> None:
        self._pay().events.emit(entries)

    def beacon(self, epoch: int) -> bytes:
        """Return the 32-byte digest of the beacon at an epoch."""
        return self._pay().random.beacon(ChainEpoch(epoch))

    def drawn_beacon(self, tag: int, entropy: bytes) -> bytes:
        """Return randomness of the current epoch, hashed with tag and entropy."""
        now = self.kernel.machine.context
        epoch = now.epoch
        if not now.network.rules.host_draws_randomness:
            return draw(tag, self.beacon(epoch), epoch, entropy)
        return self._pay().random.draw_beacon_randomness(tag, epoch, entropy)

    def tipset_cid(self, epoch: int) -> Cid:
        return self._pay().network.tipset_cid(ChainEpoch(epoch))

    def keccak(self, data: bytes) -> bytes:
        """Return the Keccak-256 of `data`."""
        return self._pay().crypto.hash(_KECCAK_256, data)

    def gas_left(self) -> Gas:
        """Return the remaining gas in the machine's unit, rounded down, after the price of this operation."""
        self._pay()
        return self.gas.available_gas()

    def leave(self) -> None:
        """Charge for ending with an exit code, which is a syscall."""
        self._pay()

    def settle(self) -> None:
        """Report the engine's gas to the tracker."""
        if self.gas.granted:
            self.gas.put_back()

    def charge(self, name: str, milligas: int) -> None:
        """Charge for work that is not a syscall."""
        if self.gas.granted:
            self.gas.put_back()
        self.kernel.gas.charge(name, milligas)


TWO_GIB: Final = 2 << 30
"""Size in bytes at which the official module panics instead of allocating."""


def charge_memory(syscalls: Syscalls, milligas: int) -> None:
    """Charge for memory."""
    syscalls.charge("OnEvmMemory", milligas)


def hold(
    syscalls: Syscalls,
    rules: EvmRules,
    size: int,
    copies: int = 1,
    *,
    frame_memory: int = 0,
    failure: ExitCode = ExitCode.SYS_ILLEGAL_INSTRUCTION,
) -> None:
    """Charge for copies of `size` bytes each, held in addition to `frame_memory` bytes of the frame's memory.

    What fits in the initial memory is free. Raises ActorExit: 24 for a copy of 2 GiB and more, else `failure` if the
    copies exceed an instance's limit, after one copy was charged.
    """
    if size >= TWO_GIB:
        raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"{size} bytes: capacity overflow")
    needed = size * copies
    if needed <= rules.free_memory:
        return
    if frame_memory + needed > rules.max_frame_memory:
        charge_memory(syscalls, size * rules.memory_growth_price)
        raise ActorExit(failure, message=f"{copies} copies of {size} bytes cannot be allocated")
    charge_memory(syscalls, needed * (rules.memory_fill_price + rules.memory_growth_price))


class SendingContract(Protocol):
    """Sends on behalf of the contract."""

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Call another actor. Gas limit in gas; errors as the kernel's."""


class PrecompileHost(Protocol):
    """A contract's frame, as seen by a precompile."""

    @property
    def syscalls(self) -> Syscalls:
        """The kernel, with gas in the contract's unit."""

    @property
    def contract(self) -> SendingContract:
        """The contract."""

    def hold(self, size: int, copies: int) -> None:
        """Charge for `copies` copies of `size` bytes, which the official actor keeps in memory."""

    def get_gas_left(self) -> int:
        """Return the remaining gas in the machine's unit."""


_U64_MAX: Final = (1 << 64) - 1


def gas_limit(host: PrecompileHost, wanted: int) -> int:
    """Return a call's gas limit: the requested one, at most 63/64 of the remaining gas."""
    return min(wanted, _U64_MAX, 63 * host.get_gas_left() // 64)
