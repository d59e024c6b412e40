"""One instance of the guest: its mailbox, memory, loaded codes and rules, and owner.

An instance runs one frame at a time but holds any number of suspended ones. A frame that makes a call leaves the
instance to the next frame, usually the callee, and must resume on the same instance. While frames wait, the instance
belongs to their message (`owner`). The pool (`pool`) assigns an instance to one thread at a time.
"""

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from weakref import ref

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import Fatal
from hypervisor.threads import hold_memory
from hypervisor.tracing import RuntimeEvent
from runtimes.evm.contracts.engine import Host
from runtimes.evm.contracts.rules import EvmRules
from runtimes.evm.regions.compiler import MAX_INSTANCES, InstanceRegions
from runtimes.evm.regions.numbers import EXCHANGE, GuestCommand
from runtimes.wasmtime.engine import LinkedModule
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import Trap

_MEMORY: Final = (1 << 32) - (1 << 16)
_HEAD: Final = 11  # gas, host call, failed, seven numbers, position
_POSITION: Final = 10
"""Layout of the numbers after a frame's end."""
_WORD: Final = 32
_PADDING: Final = bytes(12)
"""Rest of an address's word."""
_WORDS: Final = 8
_CODE_BYTES: Final = 4 << 20
_HOT_BYTES: Final = 8 * (1 + 3 * 8)
"""Size of the report of hot jumpdests: their count, and an entry for each (`Mailbox` in guests/frames/src/host.rs)."""
_NO_OPCODE: Final = (1 << 64) - 1
MAX_REUSED_MEMORY: Final = 8 << 20
"""Maximum memory in bytes of a reused instance; a larger one is closed when none of its frames waits."""
_LARGE: Final = 1 << 20
"""Size in bytes from which data that is copied counts as memory of the request (`hypervisor.threads`)."""
_COPIES: Final = 3
"""Number of copies of data that leaves the guest: its bytes, a block, and a decoded block."""
_MAX_REUSED_PAGES: Final = MAX_REUSED_MEMORY >> 16
_PAGES: Final = 5
"""Index of the mailbox number that holds the memory size in pages at a frame's end."""


def address_of(word: int) -> EthAddress:
    """Return the address in a word, ignoring its upper bytes."""
    return EthAddress((word & (1 << 160) - 1).to_bytes(20, "big"))


class FastInstance:
    """One instance of the guest. `numbers` are the mailbox's; `host` serves the running frame."""

    def __init__(
        self,
        linked: LinkedModule,
        live: "dict[int, FastInstance]",
        host_calls: "Sequence[Callable[[FastInstance, Host], None]]",
        threshold: int = 0,
        regions_of: "Callable[[FastInstance, Instance, memoryview], InstanceRegions] | None" = None,
    ) -> None:
        """`threshold` is the number of executed jumpdests after which a code is reported to the result of `regions_of`.

        The arguments of `regions_of` are this object, its instance, and the guest's report.
        """
        engine = linked.linker.engine
        self._functions = host_calls
        self.lock = threading.Lock()
        self.host: Host | None = None
        self.failure: BaseException | None = None
        self.code = b""
        self.running = b""
        self.names: Mapping[int, str] = {}
        self.before: int | None = None
        self.visit: Callable[[int], None] | None = None
        self.pause: Callable[[int, Callable[[], RuntimeEvent]], int] | None = None
        self.waiting = 0
        self.owner: ref[object] | None = None
        """Message whose frames wait on this instance."""
        self.orphans: list[int] = []
        self.copied = 0
        """Bytes of data passed to the pending calls of waiting frames."""
        self.broken = False
        self._live = live
        self._instance = Instance(engine.lib, engine.pointer, _MEMORY, 1024, instances=MAX_INSTANCES)
        live[self._instance.context] = self
        self._instance.instantiate(linked.pointer)
        if not self._instance.find_memory() or not self._instance.find_function(b"enter"):
            raise Fatal("the EVM engine's module lacks its memory or its entry")
        self._codes: OrderedDict[bytes, int] = OrderedDict()
        self._code_bytes = 0
        self._rules: dict[str, int] = {}
        self._rule_sets: list[EvmRules] = []
        self._follow()
        offset = self._instance.enter_alone(GuestCommand.MAILBOX)
        self._mail = self._view[offset : offset + 8 * _HEAD].cast("Q")
        self.numbers = self._mail[3:_POSITION]
        words = offset + 8 * _HEAD
        self._words = self._view[words : words + (_WORDS + 1) * _WORD]  # the last word: the running contract
        self._exchange = words + (_WORDS + 1) * _WORD
        hot = self._exchange + EXCHANGE
        reported = self._view[hot : hot + _HOT_BYTES].cast("Q")
        self.regions = None if regions_of is None else regions_of(self, self._instance, reported)
        self.numbers[0] = threshold
        self._instance.enter_alone(GuestCommand.HEAT)

    def _follow(self) -> None:
        base, self.size = self._instance.memory()
        self._view = memoryview((ctypes.c_ubyte * self.size).from_address(base)).cast("B")

    # --- memory -----------------------------------------------------------------------------------------------

    @property
    def is_large(self) -> bool:
        """True if its memory, which never shrinks, exceeds the limit for reuse; valid after a frame's end."""
        return self.numbers[_PAGES] > _MAX_REUSED_PAGES

    def hold(self, more: int) -> None:
        """Count the memory in use and `more` bytes for the thread's request. Raises MemoryExhausted."""
        hold_memory(self._instance.memory()[1] + _COPIES * self.copied + more)

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes of the guest's memory. Raises MemoryExhausted."""
        if size > _LARGE:
            self.hold(_COPIES * size)
        if offset + size > self.size:
            self._follow()
        return self._view[offset : offset + size].tobytes()

    def write(self, offset: int, data: bytes) -> None:
        """Write bytes to the guest's memory."""
        if offset + len(data) > self.size:
            self._follow()
        self._view[offset : offset + len(data)] = data

    def word(self, number: int) -> int:
        """Return a word of the mailbox."""
        at = number * _WORD
        return int.from_bytes(self._words[at : at + _WORD], "little")

    def address(self, number: int) -> EthAddress:
        """Return the address in a word of the mailbox."""
        return address_of(self.word(number))

    def put(self, value: int, number: int = 0) -> None:
        """Write a word of the mailbox."""
        at = number * _WORD
        self._words[at : at + _WORD] = value.to_bytes(_WORD, "little")

    def put_bytes(self, value: bytes, number: int = 0) -> None:
        """Write at most 32 big-endian bytes as a word of the mailbox."""
        at = number * _WORD
        self._words[at : at + _WORD] = value[::-1].ljust(_WORD, b"\0")

    def put_frame(self, address: EthAddress, caller: EthAddress, value: int) -> None:
        """Write the mailbox's words of a new frame."""
        head = b"".join((address[::-1], _PADDING, caller[::-1], _PADDING, value.to_bytes(_WORD, "little")))
        self._words[: 3 * _WORD] = head

    @property
    def position(self) -> int:
        """Program counter of the running frame, as last reported by the guest."""
        return self._mail[_POSITION]

    def pass_in(self, data: bytes) -> None:
        """Pass data to the guest: in the exchange buffer, or in memory that it allocates."""
        size = len(data)
        if size <= EXCHANGE:
            self._view[self._exchange : self._exchange + size] = data
            return
        if size > _LARGE:
            self.hold(_COPIES * size)
        self.numbers[0] = size
        self._instance.enter_alone(GuestCommand.RESERVE)
        self.write(self.numbers[0], data)

    # --- rules and codes --------------------------------------------------------------------------------------

    def rules_number(self, rules: EvmRules) -> int:
        """Return the guest's number of a set of rules, adding it if needed."""
        number = self._rules.get(rules.name)
        if number is None:
            prices = [_NO_OPCODE] * 256
            for opcode, row in rules.opcodes.items():
                prices[opcode] = row.gas
            prices += rules.operands.exponent
            prices += [price for kind in rules.operands.divisions for pair in kind for price in pair]
            prices.append(rules.operands.product)
            self.pass_in(b"".join(price.to_bytes(8, "little") for price in prices))
            self.numbers[0], self.numbers[1] = rules.copied_bytes_per_gas, rules.creation_returns
            self._instance.enter_alone(GuestCommand.ADD_RULES)
            number = self._rules[rules.name] = self.numbers[0]
            self._rule_sets.append(rules)
        return number

    def code_number(self, code: bytes) -> int:
        """Return the guest's number of a code, adding it if needed; the least recently used ones are dropped."""
        number = self._codes.get(code)
        if number is not None:
            self._codes.move_to_end(code)
            return number
        self.pass_in(code)
        self.numbers[0] = len(code)
        self._instance.enter_alone(GuestCommand.ADD_CODE)
        number = self._codes[code] = self.numbers[0]
        self._code_bytes += len(code)
        while self._code_bytes > _CODE_BYTES and len(self._codes) > 1:
            oldest, dropped = self._codes.popitem(last=False)
            self._code_bytes -= len(oldest)
            self.numbers[0] = dropped
            self._instance.enter_alone(GuestCommand.DROP_CODE)
        return number

    def opcode_at(self, position: int) -> int:
        """Return the opcode of the running code at a position; STOP after its end."""
        return self.running[position] if position < len(self.running) else 0

    def tidy(self) -> None:
        """Drop frames that will never be resumed."""
        while self.orphans:
            self.numbers[0] = self.orphans.pop()
            self._instance.enter_alone(GuestCommand.DROP_FRAME)
            self.remove_waiting()

    def wait(self, owner: "ref[object]", copied: int) -> None:
        """Register a waiting frame of a message, whose call has `copied` bytes of data."""
        self.waiting += 1
        self.owner = owner
        self.copied += copied

    def remove_waiting(self, copied: int = 0) -> None:
        self.waiting -= 1
        self.copied -= copied
        if not self.waiting:
            self.owner = None
            self.copied = 0

    # --- running ----------------------------------------------------------------------------------------------

    def run(self, command: int, host: Host) -> int:
        """Run a frame until it ends or makes a call; return the guest's exit. Raises the host's errors, or Fatal."""
        gas = host.gas
        self.host, self.failure = host, None
        if gas.granted == gas.remaining == 0:  # a refund may have added gas to an empty grant
            gas.refill()
        self._mail[0] = gas.remaining
        try:
            exit_code = self._instance.enter_alone(command)  # an engine never runs on the main thread
        except Trap as trap:
            raise self.failed(trap) from (self.failure or trap)
        finally:
            self.host = None
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        gas.remaining = self._mail[0]
        return exit_code

    def failed(self, defect: Exception) -> Fatal:
        """Return an error for an internal failure in the running frame, and mark the instance as broken."""
        self.broken = True
        where = f"in a frame of 0x{self.address(_WORDS).hex()} at {self.position}"
        return Fatal(f"the EVM engine failed {where}: {type(defect).__name__}: {defect}")

    def execute_host_call(self) -> None:
        """Execute the host call in the mailbox; errors are stored for `run`."""
        mail, host = self._mail, self.host
        try:
            if host is None:
                raise Fatal("the EVM engine made a host call while no frame was running")
            gas = host.gas
            gas.remaining = mail[0]
            self._functions[mail[1]](self, host)
            mail[0] = gas.remaining
        except BaseException as error:  # noqa: BLE001  # nothing may leave a callback
            self.failure = error
            mail[2] = 1

    def update_regions(self) -> None:
        """Request hot regions and install compiled ones; called between runs, or when the guest draws gas."""
        regions = self.regions
        if regions is not None and (regions.hot[0] or regions.awaited):
            regions.update(self._instance.enter_alone, self._rule_sets)

    def prepare(self, code: int, rules: int) -> None:
        """Compile a code that is about to run, if compilation is forced."""
        if self.regions is not None:
            self.regions.compile_now(code, rules, self._instance.enter_alone, self._rule_sets[rules])

    def drop(self, frame: int) -> bool:
        """Mark a frame as never resumed. Return True if this leaves only memory that is not reused."""
        self.orphans.append(frame)
        if len(self.orphans) < self.waiting:
            return False
        return self.broken or self._instance.memory()[1] > MAX_REUSED_MEMORY

    def close(self) -> None:
        self._live.pop(self._instance.context, None)
        self._instance.close()
