"""The guest with revm: its instances, and the messages to it (`runtimes/evm/guests/revm`).

Integers in messages are little-endian; addresses, words and hashes are as Ethereum writes them. The module imports
nothing, so a guest may run on any thread: a transaction that lacks a value stops with a request.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction, authority_of
from bridge.filecoin.receipts import Log
from hypervisor.errors import Fatal, InvalidModule, RuntimeUnavailable
from hypervisor.exit_codes import ExitCode
from hypervisor.threads import once
from runtimes.evm.contracts.engine import EngineRules, Status
from runtimes.evm.regions.compiler import (
    MAX_CODES,
    MAX_INSTANCES,
    CompiledRegion,
    HotCode,
    RegionTable,
    region_compiler,
)
from runtimes.wasmtime.cache import ModuleCache, default_folder, load_or_compile
from runtimes.wasmtime.engine import LinkedModule, Linker, own_engine, trap_signals
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import Trap, WasmtimeUnusable

ARTIFACT: Final = Path(__file__).parent.parent / "guests" / "revm" / "revm.wasm"
MAX_MEMORY: Final = (1 << 32) - (1 << 16)
"""Bytes of memory that a guest may have; a transaction that needs more ends the session."""
_ADDRESS_SPACE: Final = 1 << 32


class Command(IntEnum):
    """Commands to the guest (`enter` in guests/revm/src/lib.rs)."""

    MAILBOX = 0
    RESERVE = 1
    BLOCK = 2
    TRANSACT = 3
    ANSWER = 4
    ABANDON = 5
    DRAIN = 6
    RESET = 7
    READ = 8
    UNDO = 9
    RULES = 10
    KEEP = 11
    DRAINED = 12
    OPERATE = 13
    PEEK = 14
    RECORD = 15
    JUMPS = 16
    RESULTS = 17
    ADD_REGION = 18


class Exit(IntEnum):
    """Reasons why a transaction stops (`Exit` in guests/revm/src/session.rs). An answer has its request's number."""

    DONE = 0
    ACCOUNT = 1
    SLOT = 2
    CODE = 3
    BLOCK_HASH = 4
    PRECOMPILE = 5
    PAUSE = 6
    INVALID = 7
    LEAVE = 8
    CALL = 9
    ENDED = 10
    CALL_END = 11
    NATIVE = 12
    NATIVE_END = 13
    RECORD = 14
    FRAME = 15
    RANDOM = 24
    ACCESSED = 25


# How a transaction runs (`mode` in guests/revm/src/session.rs); plain integers, which are faster than an `IntFlag`.
KEEP: Final = 1
CHECKED: Final = 2
PAID: Final = 4
SYSTEM: Final = 8
CAPPED: Final = 16
UNDOABLE: Final = 32
SHORT: Final = 64
CALL: Final = 128
ACCESSES: Final = 256
RECORD: Final = 512
COUNTERS: Final = 1024
JUMPS: Final = 2048
RECORDS: Final = 4096
PAUSES: Final = 8192
ISOLATES: Final = 1 << 14
SHOWS_PRICE: Final = 1 << 15
SHOWS_BASE_FEE: Final = 1 << 16
IMPLICIT: Final = 1 << 17
NONCE: Final = 1 << 18
FIRST: Final = 1 << 19
STEPS: Final = 1 << 20
FRAMES: Final = 1 << 21
INTERCEPTS: Final = 1 << 22
RECORDS_ALL: Final = 1 << 24

# What has happened at the end of a call (`at_once` in guests/revm/src/session.rs).
CHANGED: Final = 2
PASSED: Final = 4
TOUCHED: Final = 8


_MAILBOX: Final = Struct("<IIII")
_SIZE: Final = Struct("<I")
PAUSE: Final = Struct("<II32sI")
"""A pause: if it has steps left; where code is hot, the program counter, the code's hash and size, and the code."""
_REGION: Final = Struct("<32sIII")
_TABLE_SIZE: Final = 2048


class GuestFailure(Exception):
    """A guest has trapped, and must not be used any more."""


class Refusal(Exception):  # not an error of the guest
    """Raised for a transaction that the guest refuses as invalid, with its reason."""


class Guest:
    """An instance of the guest, used by one thread at a time."""

    def __init__(self) -> None:
        linked = _linked_module()
        engine = linked.linker.engine
        self._signals = trap_signals()
        self._instance = Instance(engine.lib, engine.pointer, MAX_MEMORY, _TABLE_SIZE, instances=MAX_INSTANCES)
        self._instance.instantiate(linked.pointer)
        if not self._instance.find_memory() or not self._instance.find_function(b"enter"):
            raise Fatal("the module with revm lacks its memory or its entry")
        base, _ = self._instance.memory()
        # The memory never moves, so one view of all that it may become serves for good.
        self._view = memoryview((ctypes.c_ubyte * _ADDRESS_SPACE).from_address(base)).cast("B")
        self._mailbox = self._instance.enter_alone(Command.MAILBOX)
        self._capacity = self._input = 0
        self.memory_bytes = 0
        """Size of the guest's memory, which never shrinks, when it last wrote something."""
        self.is_full = False
        """True if it cannot hold further regions."""
        self._reserve(1 << 12)
        self._table = RegionTable(self._instance)
        self._fork = b""
        self._hot: dict[bytes, tuple[bytes, HotCode]] = {}
        """Hot code by its hash, and what the guest has of its regions."""
        self._awaited: set[bytes] = set()
        """Hashes of code with regions that wait for compilation."""

    def _reserve(self, size: int) -> None:
        _SIZE.pack_into(self._view, self._mailbox, size)
        self._instance.enter_alone(Command.RESERVE)
        self._capacity, self._input = size, _MAILBOX.unpack_from(self._view, self._mailbox)[1]

    def call(self, command: int, data: bytes = b"") -> int:
        """Execute a command; return its exit. Raises GuestFailure."""
        size = len(data)
        if command == Command.TRANSACT:
            self._signals.restore()
        try:
            if size > self._capacity:
                self._reserve(2 * size)
            at = self._input
            self._view[at : at + size] = data
            _SIZE.pack_into(self._view, self._mailbox, size)
            return self._instance.enter_alone(command)
        except Trap as trap:
            raise GuestFailure(str(trap)) from trap

    def set_rules(self, fork: bytes, rest: bytes) -> None:
        """Set the rules of the following transactions. Raises GuestFailure."""
        self.call(Command.RULES, _SIZE.pack(len(fork)) + fork + rest)
        if fork != self._fork:  # it has forgotten its regions
            self._fork = fork
            self._hot.clear()
            self._awaited.clear()

    def compile(self, pause: bytes, rules: EngineRules) -> None:
        """Request the region where code is hot, and install those that were compiled meanwhile.

        Raises GuestFailure.
        """
        if len(pause) >= PAUSE.size:
            _, counter, code_hash, size = PAUSE.unpack_from(pause)
            hot = self._hot.get(code_hash)
            if hot is None and size and len(self._hot) < MAX_CODES:
                code = pause[PAUSE.size :]
                hot = self._hot[code_hash] = code, HotCode(region_compiler().regions(code, rules))
            if hot is not None:
                region_compiler().request(hot[1].found, hot[0], rules, counter, hot[1].is_installed)
                self._awaited.add(code_hash)
        for code_hash in tuple(self._awaited):
            code, regions = self._hot[code_hash]
            if not regions.found.waiting:
                self._awaited.remove(code_hash)
            for slot, region in self._install(regions):
                entries = b"".join(entry.to_bytes(4, "little") for entry in region.entries)
                head = _REGION.pack(code_hash, len(code), slot, len(region.entries))
                self.call(Command.ADD_REGION, head + entries)
        self.is_full = self._table.is_full or len(self._hot) == MAX_CODES

    def _install(self, code: HotCode) -> list[tuple[int, CompiledRegion]]:
        try:
            return [*self._table.install(code)]
        except Trap as trap:
            raise GuestFailure(str(trap)) from trap

    def output(self) -> bytes:
        """Return what the last command has written."""
        pages, _, at, size = _MAILBOX.unpack_from(self._view, self._mailbox)
        self.memory_bytes = pages << 16
        return self._view[at : at + size].tobytes()

    @property
    def ended(self) -> int:
        """Number of calls of the batch that ended before the running one."""
        return int(_SIZE.unpack_from(self._view, self._mailbox + _MAILBOX.size)[0])

    def close(self) -> None:
        self._view.release()
        self._instance.close()


@once
def _linked_module() -> LinkedModule:
    """Return the compiled module. Raises RuntimeUnavailable."""
    try:
        engine = own_engine()
        module = load_or_compile(engine, ARTIFACT.read_bytes(), ModuleCache(default_folder()), "EVM engine")
        return Linker(engine).link(module)
    except (OSError, WasmtimeUnusable, InvalidModule) as error:
        raise RuntimeUnavailable(f"the EVM engine cannot be loaded: {error}") from error


_HEAD: Final = Struct("<IIIQQ16s16s16s20sI")
_CALL: Final = Struct("<IIIQ56x20sI20s32sI")
_COUNT: Final = Struct("<I")


def call_message(sender: bytes, to: bytes, value: int, data: bytes, gas: int, mode: int, steps: int) -> bytes:
    """Return the message of a free call of a contract, with calldata `data`."""
    head = _CALL.pack(mode, steps, DYNAMIC_FEE, gas, sender, 1, to, value.to_bytes(32, "big"), len(data))
    return b"".join((head, data, bytes(12)))


def transaction_message(transaction: Transaction, sender: bytes, mode: int, steps: int, chain_id: int) -> bytes:
    """Return the message of a transaction, whose fees have at most 128 bits; it stops after `steps` jumpdests."""
    to, data = transaction.to, transaction.data
    head = _HEAD.pack(
        mode, steps, transaction.type, transaction.gas_limit, transaction.nonce,
        transaction.max_fee.to_bytes(16, "little"), transaction.max_priority_fee.to_bytes(16, "little"),
        transaction.max_fee_per_blob_gas.to_bytes(16, "little"), sender, to is not None,
    )  # fmt: skip
    value = transaction.value.to_bytes(32, "big")
    if not (transaction.access_list or transaction.blob_hashes or transaction.authorizations):
        return b"".join((head, to or b"", value, _COUNT.pack(len(data)), data, bytes(12)))
    parts = [head, to or b"", value, _COUNT.pack(len(data)), data, _COUNT.pack(len(transaction.access_list))]
    for address, slots in transaction.access_list:
        parts += (address, _COUNT.pack(len(slots)), *(slot.to_bytes(32, "big") for slot in slots))
    parts += (_COUNT.pack(len(transaction.blob_hashes)), *transaction.blob_hashes)
    parts.append(_COUNT.pack(len(transaction.authorizations)))
    for each in transaction.authorizations:
        authority = authority_of(each, chain_id)
        parts += (each.chain_id.to_bytes(32, "big"), each.address, each.nonce.to_bytes(8, "little"))
        parts += (_COUNT.pack(authority is not None), authority or b"")
    return b"".join(parts)


OUT_OF_FUNDS, COLLISION, OVERFLOW, PRECOMPILE_ERROR = 0x12, 0x2F, 0x30, 0x31
FAR_MEMORY, LONG_CODE, RESERVED_CODE, LONG_INIT_CODE = 0x24, 0x33, 0x34, 0x35
"""Ends of calls by revm's `InstructionResult` that have their own messages."""
STATUS: Final = {
    1: 0, 2: 0, 3: 0,  # Stop, Return, SelfDestruct
    0x10: Status.REVERT,
    OUT_OF_FUNDS: ExitCode.SYS_INSUFFICIENT_FUNDS,
    0x20: ExitCode.SYS_OUT_OF_GAS, 0x21: ExitCode.SYS_OUT_OF_GAS, 0x22: ExitCode.SYS_OUT_OF_GAS,
    FAR_MEMORY: Status.ILLEGAL_MEMORY_ACCESS,  # of offsets and sizes above 32 bits
    0x25: ExitCode.SYS_OUT_OF_GAS,
    0x26: Status.UNDEFINED_INSTRUCTION,
    0x27: Status.READ_ONLY, 0x28: Status.READ_ONLY,
    0x29: Status.INVALID_INSTRUCTION,
    0x2A: Status.BAD_JUMPDEST,
    0x2B: Status.UNDEFINED_INSTRUCTION,
    0x2C: Status.STACK_UNDERFLOW, 0x2D: Status.STACK_OVERFLOW,
    0x2E: Status.ILLEGAL_MEMORY_ACCESS,
    COLLISION: ExitCode.USR_FORBIDDEN,
    OVERFLOW: ExitCode.SYS_OUT_OF_GAS, PRECOMPILE_ERROR: ExitCode.SYS_OUT_OF_GAS,
    LONG_CODE: ExitCode.SYS_OUT_OF_GAS, RESERVED_CODE: Status.INVALID_INSTRUCTION,
    LONG_INIT_CODE: ExitCode.SYS_OUT_OF_GAS,
}  # fmt: skip
"""Exit codes by revm's `InstructionResult`."""


class Ended(NamedTuple):
    """A transaction's end: revm's `InstructionResult`, whether code ran, gas, the created contract, data, logs.

    `floor` is the minimum charged for the transaction, `state_gas` the part of the gas that is for new state. The data
    of `LONG_CODE` and `LONG_INIT_CODE` is the code's size and the limit (`text_of`).
    """

    end: int
    ran: bool
    gas_used: int
    gas_before_refunds: int
    state_gas: int
    floor: int
    created: EthAddress | None
    output: bytes
    logs: tuple[tuple[EthAddress, Log], ...]
    cause: bytes
    """A call below the first one that has failed, and its callers with it (`text_of_cause`); empty for none."""


_RESULT: Final = Struct("<IIQQQQI20sI")
_LOG: Final = Struct("<20sI")


def read_end(data: bytes) -> Ended:
    """Return what the guest says of a transaction that has ended."""
    end, ran, used, before, state, floor, creates, created, size = _RESULT.unpack_from(data)
    at = _RESULT.size
    after = at + size + _COUNT.size
    logs, after = ((), after) if after == len(data) else read_logs(data, at + size)
    made = EthAddress(created) if creates else None
    return Ended(end, bool(ran), used, before, state, floor, made, data[at : at + size], logs, data[after:])


def read_logs(data: bytes, at: int) -> tuple[tuple[tuple[EthAddress, Log], ...], int]:
    """Return a list of logs with their emitters, and the position after it."""
    count = _COUNT.unpack_from(data, at)[0]
    at += _COUNT.size
    if not count:
        return (), at
    logs = []
    for _ in range(count):
        address, topics = _LOG.unpack_from(data, at)
        at += _LOG.size
        listed = tuple([data[place : place + 32] for place in range(at, at + 32 * topics, 32)])
        at += 32 * topics
        length = _COUNT.unpack_from(data, at)[0]
        at += _COUNT.size
        logs.append((EthAddress(address), Log(listed, data[at : at + length])))
        at += length
    return tuple(logs), at
