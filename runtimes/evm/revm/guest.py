"""The guest with revm: its instances, and the messages to it that have lists (`runtimes/evm/guests/revm`).

The layouts of messages are in `protocol`. The guest's module imports nothing, so a guest may run on any thread: a
transaction that lacks a value stops with a request.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakMethod

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction, authority_of
from bridge.filecoin.receipts import Log
from hypervisor.errors import Fatal, InvalidModule, RuntimeUnavailable
from hypervisor.exit_codes import ExitCode
from hypervisor.threads import hold_memory, once
from runtimes.evm.contracts.engine import CallKind, EngineRules, Status
from runtimes.evm.regions.compiler import (
    MAX_CODES,
    MAX_INSTANCES,
    CompiledRegion,
    HotCode,
    RegionTable,
    region_compiler,
)
from runtimes.evm.revm.protocol import (
    AUTHORIZATION,
    COUNT,
    HOT_CODE,
    LOG_HEAD,
    MAILBOX,
    PAUSE,
    REGION,
    TRANSACTION_END,
    TRANSACTION_HEAD,
    CallScheme,
    Command,
    InstructionResult,
    TransactionEnd,
)
from runtimes.wasmtime.cache import ModuleCache, default_folder, load_or_compile
from runtimes.wasmtime.engine import LinkedModule, Linker, own_engine, trap_signals
from runtimes.wasmtime.instance import Instance
from runtimes.wasmtime.raw import Trap, WasmtimeUnusable

ARTIFACT: Final = Path(__file__).parent.parent / "guests" / "revm" / "revm.wasm"
MAX_MEMORY: Final = (1 << 32) - (1 << 16)
MAX_REUSED_MEMORY: Final = 16 << 20
"""Maximum memory in bytes of a guest that another query uses."""
"""Bytes of memory that a guest may have; a transaction that needs more ends the session."""
_ADDRESS_SPACE: Final = 1 << 32


_TABLE_SIZE: Final = 2048


class GuestFailure(Exception):
    """A guest has trapped, and must not be used any more."""


class Refusal(Exception):  # not an error of the guest
    """Raised for a transaction that the guest refuses as invalid, with its reason."""


class Guest:
    """An instance of the guest, used by one thread at a time."""

    last_snapshot = 0
    """Largest number of a copy of a snapshot in any guest: settings of cheatcodes may be loaded into another one."""

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
        self.ended = 0
        """Number of calls of the batch that had ended before the running one when it last wrote something."""
        self.times = 0
        """Number of times that cheatcodes have set the block's number or time, when it last wrote something."""
        self.snapshots = 0
        """Number of the last copy of a snapshot, when it last wrote something."""
        self.copied = 0
        """Bytes of all copies of snapshots, when it last wrote something."""
        self.memory_bytes = 0
        """Size of the guest's memory, which never shrinks, when it last wrote something."""
        self.release: WeakMethod[Callable[[], None]] | None = None
        """Method of its owner that closes it at the end of a query, if it is large."""
        self.is_full = False
        """True if it cannot hold further regions."""
        self.has_campaign = False
        """True if it holds a campaign, which ends with it."""
        self.memory_before = 0
        """Size of its memory when it has last forgotten its state during a campaign."""
        self.is_closed = False
        self.cheats: bytes | None = None
        """Expectations, pranks, mocks and recordings that it holds, if these are known (`Interception`)."""
        self._reserve(1 << 12)
        self._table = RegionTable(self._instance)
        self._fork = b""
        self._hot: dict[bytes, tuple[bytes, HotCode]] = {}
        """Hot code by its hash, and what the guest has of its regions."""
        self._awaited: set[bytes] = set()
        """Hashes of code with regions that wait for compilation."""

    def _reserve(self, size: int) -> None:
        COUNT.pack_into(self._view, self._mailbox, size)
        self._instance.enter_alone(Command.RESERVE)
        self._capacity, self._input = size, MAILBOX.read(self._view, self._mailbox).input

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
            COUNT.pack_into(self._view, self._mailbox, size)
            return self._instance.enter_alone(command)
        except Trap as trap:
            raise GuestFailure(str(trap)) from trap

    def set_rules(self, fork: bytes, rest: bytes) -> None:
        """Set the rules of the following transactions. Raises GuestFailure."""
        self.call(Command.RULES, data_message(fork) + rest)
        if fork != self._fork:  # it has forgotten its regions
            self._fork = fork
            self._hot.clear()
            self._awaited.clear()

    def compile(self, pause: bytes, rules: EngineRules) -> None:
        """Request the region where code is hot, and install those that were compiled meanwhile.

        Raises GuestFailure.
        """
        if len(pause) > PAUSE.size:
            counter, code_hash, size = HOT_CODE.read(pause, PAUSE.size)
            hot = self._hot.get(code_hash)
            if hot is None and size and len(self._hot) < MAX_CODES:
                code = pause[PAUSE.size + HOT_CODE.size :]
                hot = self._hot[code_hash] = code, HotCode(region_compiler().regions(code, rules))
            if hot is not None:
                region_compiler().request(hot[1].found, hot[0], rules, counter, hot[1].is_installed)
                self._awaited.add(code_hash)
        for code_hash in tuple(self._awaited):
            code, regions = self._hot[code_hash]
            if not regions.found.waiting:
                self._awaited.remove(code_hash)
            for slot, region in self._install(regions):
                head = REGION.pack(code_hash, len(code), slot)
                self.call(Command.ADD_REGION, head + list_message(map(COUNT.pack_values, region.entries)))
        self.is_full = self._table.is_full or len(self._hot) == MAX_CODES

    def _install(self, code: HotCode) -> list[tuple[int, CompiledRegion]]:
        try:
            return [*self._table.install(code)]
        except Trap as trap:
            raise GuestFailure(str(trap)) from trap

    def output(self) -> bytes:
        """Return what the last command has written. Raises MemoryExhausted."""
        pages, _, at, size, *counts = MAILBOX.unpack_from(self._view, self._mailbox)
        self.ended, self.times, self.snapshots, self.copied = counts
        Guest.last_snapshot = max(Guest.last_snapshot, self.snapshots)
        self.memory_bytes = pages << 16
        if self.memory_bytes > MAX_REUSED_MEMORY:
            hold_memory(self.memory_bytes, self.release)
        return self._view[at : at + size].tobytes()

    def close(self) -> None:
        self.is_closed = True
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


_NO_FEE: Final = bytes(16)

_NO_LISTS: Final = bytes(12)


def data_message(data: bytes) -> bytes:
    """Return data with its size."""
    return COUNT.pack_values(len(data)) + data


def list_message(items: Iterable[bytes]) -> bytes:
    """Return a list of messages with their number."""
    found = tuple(items)
    return b"".join((COUNT.pack_values(len(found)), *found))


def read_data(data: bytes, at: int) -> tuple[bytes, int]:
    """Return data with a size at a position of a message, and the position after it."""
    (size,) = COUNT.unpack_from(data, at)
    end = at + COUNT.size + size
    return data[at + COUNT.size : end], end


def read_addresses(data: bytes, at: int) -> tuple[list[EthAddress], int]:
    """Return a list of addresses at a position of a message, and the position after it."""
    (count,) = COUNT.unpack_from(data, at)
    at += COUNT.size
    end = at + 20 * count
    return [EthAddress(data[place : place + 20]) for place in range(at, end, 20)], end


def call_message(sender: bytes, to: bytes, value: int, data: bytes, gas: int, mode: int, steps: int) -> bytes:
    """Return the message of a free call of a contract, with calldata `data`."""
    head = TRANSACTION_HEAD.pack_values(
        mode, steps, DYNAMIC_FEE, gas, 0, _NO_FEE, _NO_FEE, _NO_FEE, sender, 1, to, value.to_bytes(32, "big")
    )
    return b"".join((head, data_message(data), _NO_LISTS))


def transaction_message(transaction: Transaction, sender: bytes, mode: int, steps: int, chain_id: int) -> bytes:
    """Return the message of a transaction, whose fees have at most 128 bits; it stops after `steps` jumpdests."""
    to, data = transaction.to, transaction.data
    head = TRANSACTION_HEAD.pack_values(
        mode, steps, transaction.type, transaction.gas_limit, transaction.nonce,
        transaction.max_fee.to_bytes(16, "little"), transaction.max_priority_fee.to_bytes(16, "little"),
        transaction.max_fee_per_blob_gas.to_bytes(16, "little"), sender, to is not None, to or ZERO_ADDRESS,
        transaction.value.to_bytes(32, "big"),
    )  # fmt: skip
    if not (transaction.access_list or transaction.blob_hashes or transaction.authorizations):
        return b"".join((head, COUNT.pack_values(len(data)), data, _NO_LISTS))
    access_list = [
        address + list_message(slot.to_bytes(32, "big") for slot in slots) for address, slots in transaction.access_list
    ]
    authorizations = []
    for each in transaction.authorizations:
        signer = authority_of(each, chain_id)
        authorizations.append(
            AUTHORIZATION.pack(
                chain_id=each.chain_id.to_bytes(32, "big"),
                address=each.address,
                nonce=each.nonce,
                is_valid=signer is not None,
                authority=signer or ZERO_ADDRESS,
            )
        )
    lists = map(list_message, (access_list, transaction.blob_hashes, authorizations))
    return b"".join((head, data_message(data), *lists))


KINDS: Final = {
    CallScheme.CALL: CallKind.CALL,
    CallScheme.STATICCALL: CallKind.STATICCALL,
    CallScheme.DELEGATECALL: CallKind.DELEGATECALL,
    CallScheme.CALLCODE: CallKind.CALLCODE,
}
"""Kinds of calls by the guest's number; others are creations."""
STATUS: Final = {
    InstructionResult.STOP: 0,
    InstructionResult.RETURN: 0,
    InstructionResult.SELF_DESTRUCT: 0,
    InstructionResult.REVERT: Status.REVERT,
    InstructionResult.OUT_OF_FUNDS: ExitCode.SYS_INSUFFICIENT_FUNDS,
    InstructionResult.OUT_OF_GAS: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.MEMORY_OOG: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.MEMORY_LIMIT_OOG: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.INVALID_OPERAND_OOG: Status.ILLEGAL_MEMORY_ACCESS,  # of offsets and sizes above 32 bits
    InstructionResult.REENTRANCY_SENTRY_OOG: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.OPCODE_NOT_FOUND: Status.UNDEFINED_INSTRUCTION,
    InstructionResult.CALL_NOT_ALLOWED_INSIDE_STATIC: Status.READ_ONLY,
    InstructionResult.STATE_CHANGE_DURING_STATIC_CALL: Status.READ_ONLY,
    InstructionResult.INVALID_FE_OPCODE: Status.INVALID_INSTRUCTION,
    InstructionResult.INVALID_JUMP: Status.BAD_JUMPDEST,
    InstructionResult.NOT_ACTIVATED: Status.UNDEFINED_INSTRUCTION,
    InstructionResult.STACK_UNDERFLOW: Status.STACK_UNDERFLOW,
    InstructionResult.STACK_OVERFLOW: Status.STACK_OVERFLOW,
    InstructionResult.OUT_OF_OFFSET: Status.ILLEGAL_MEMORY_ACCESS,
    InstructionResult.CREATE_COLLISION: ExitCode.USR_FORBIDDEN,
    InstructionResult.OVERFLOW_PAYMENT: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.PRECOMPILE_ERROR: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.CREATE_CONTRACT_SIZE_LIMIT: ExitCode.SYS_OUT_OF_GAS,
    InstructionResult.CREATE_CONTRACT_STARTING_WITH_EF: Status.INVALID_INSTRUCTION,
    InstructionResult.CREATE_INIT_CODE_SIZE_LIMIT: ExitCode.SYS_OUT_OF_GAS,
}
"""Exit codes by revm's `InstructionResult`."""


class Ended(NamedTuple):
    """A transaction's end, as the guest tells it (`TransactionEnd`), with the output and the logs.

    `state_gas` is the part of the gas that is for new state, `floor` the minimum charged for the transaction. The
    output after a size limit is the code's size and the limit (`text_of`).
    """

    head: TransactionEnd
    output: bytes
    logs: tuple[tuple[EthAddress, Log], ...]
    cause: bytes
    """A call below the first one that has failed, and its callers with it (`text_of_cause`); empty for none."""


def read_end(data: bytes) -> Ended:
    """Return what the guest says of a transaction that has ended."""
    head = TransactionEnd(*TRANSACTION_END.unpack_from(data))
    at = TRANSACTION_END.size + head.size
    logs, after = read_logs(data, at)
    return Ended(head, data[TRANSACTION_END.size : at], logs, data[after:])


def read_logs(data: bytes, at: int) -> tuple[tuple[tuple[EthAddress, Log], ...], int]:
    """Return a list of logs with their emitters, and the position after it."""
    (count,) = COUNT.unpack_from(data, at)
    at += COUNT.size
    if not count:
        return (), at
    logs = []
    for _ in range(count):
        emitter, topics = LOG_HEAD.unpack_from(data, at)
        at += LOG_HEAD.size
        end = at + 32 * topics
        listed = tuple([data[place : place + 32] for place in range(at, end, 32)])
        text, at = read_data(data, end)
        logs.append((EthAddress(emitter), Log(listed, text)))
    return tuple(logs), at
