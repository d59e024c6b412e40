"""The engine of one frame: it answers the host functions of pallet-revive from the machine's `Host`.

Names, arguments and results are those of pallet-revive (`substrate/frame/revive/src/vm/pvm/env.rs`). The guest answers
functions that need only the frame. An instruction costs `INSTRUCTION_GAS`; the host's own operations have Filecoin's
prices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, cast

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmStep, forward_step
from hypervisor.errors import ActorExit, InvalidModule
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.machine_state import MachineState
from hypervisor.threads import BoundedCache, once
from hypervisor_riscv.guest import MAGIC, SENTINEL, Guest, Stop, Stopped, Write, guest, host_functions, split_code
from runtimes.evm import (
    CallInputs,
    CallKind,
    CreateInputs,
    FilecoinHost,
    Frame,
    FrameOutcome,
    Host,
    Status,
    Step,
    SubcallInputs,
    SubcallOutcome,
)
from store.cid import Cid
from store.keccak import keccak

INSTRUCTION_GAS: Final = 55
"""Filecoin gas of an instruction: the time of the interpreter, at ten gas per nanosecond."""
MAX_BLOCK: Final = 1_000
"""Maximum number of instructions of a basic block, which is charged at once."""
MAX_IMMUTABLES: Final = 4_096
_SLICE: Final = 1_000_000
"""Instructions that run without a check of the time limit: some milliseconds."""
_KEPT_FRAMES: Final = 16
"""Number of waiting frames from which on a frame forgets its translated code when it calls."""
_MAX_TOPICS: Final = 4
_U64: Final = (1 << 64) - 1
_WORD: Final = 32
_TRANSIENT: Final = 1
"""Flag of storage."""
_READ_ONLY, _REENTRY = 16, 8
"""Flags of a call."""
_STIPEND: Final = 2_300
"""Gas of a call without flags, by which resolc compiles `transfer` and `send`: what solc gives them without value."""
_SUCCESS, _TRAPPED, _REVERTED, _KEY_NOT_FOUND = 0, 1, 2, 3
"""Results of host functions."""

Answer = tuple[int | None, tuple[Write, ...]]
"""The result of a host function, if it has one, and what it writes."""


class Halt(Exception):  # not an error: it carries the end of a frame
    """Raised by a host function that ends the frame."""

    def __init__(self, status: Status, data: bytes = b"") -> None:
        self.outcome = FrameOutcome(status, data)


def _high(register: int) -> int:
    return register >> 32


def _low(register: int) -> int:
    return register & SENTINEL


class RiscvEngine:
    """Runs one frame: the constructor of a contract (`deploy`), or a call."""

    def __init__(self, constructs: bool) -> None:
        self._constructs = constructs
        self._guest: Guest | None = None
        self._handle = -1
        self._pending: tuple[Write, ...] = ()
        """Outputs of the call that the frame waits for, without their data."""

    def __del__(self) -> None:
        if self._guest is not None:  # an error has ended the message while the frame waited
            self._guest.orphans.append(self._handle)

    def start(self, frame: Frame, host: Host) -> Step:
        self._frame, self._host = frame, host
        blob, rest = split_code(frame.code.data)
        self._blob = blob
        calldata, self._immutables = (rest + frame.calldata, b"") if self._constructs else (frame.calldata, rest)
        running = guest()
        try:
            program = running.load(blob, host.steps is not None)
        except InvalidModule as error:
            raise ActorExit(ExitCode.USR_ILLEGAL_ARGUMENT, message=str(error)) from None
        host.grow_memory(program.memory)
        self._handle = running.start(program, self._constructs, frame.caller, frame.address, frame.value, calldata)
        self._guest = running
        self._gas = host.gas.in_units(INSTRUCTION_GAS * MILLIGAS_PER_GAS)
        self._gas.widen(_SLICE)
        return self._run((None, ()))

    def resume(self, outcome: SubcallOutcome) -> Step:
        assert self._guest is not None
        self._guest.set_returned(self._handle, outcome.output)
        writes = [write._replace(data=outcome.output) for write in self._pending[:1]]
        writes += [write._replace(data=outcome.created) for write in self._pending[1:] if outcome.created]
        failed = _REVERTED if outcome.output else _TRAPPED
        return self._run((_SUCCESS if outcome.success else failed, tuple(writes)))

    def _run(self, answer: Answer) -> Step:
        """Run until the frame ends or calls."""
        running, gas, handle = self._guest, self._gas, self._handle
        assert running is not None
        forgets = running.frames > _KEPT_FRAMES
        try:
            while True:
                gas.refill()
                stopped = running.run(handle, gas.remaining, *answer, forgets)
                gas.remaining = stopped.gas
                gas.put_back()
                answer, forgets = (None, ()), False
                match stopped.reason:
                    case Stop.CALLED:
                        step = _functions()[stopped.function](self, stopped)
                        if isinstance(step, SubcallInputs):
                            return step
                        answer = step
                    case Stop.STEP:
                        self._trace(stopped)
                    case Stop.NO_GAS:
                        gas.refill()
                        if gas.granted <= max(stopped.gas, 0):
                            gas.overdraw(MAX_BLOCK)  # raises OutOfGas: the block would fit into more gas
                        gas.put_back()
                    case Stop.RETURNED if stopped.registers[0] & 1:
                        raise Halt(Status.REVERT, stopped.inputs)
                    case Stop.RETURNED | Stop.FINISHED:
                        code = self._blob + self._immutables
                        raise Halt(Status.SUCCESS, code if self._constructs else stopped.inputs)
                    case _:
                        raise Halt(Status.INVALID_INSTRUCTION)
        except Halt as halt:
            self._guest = None
            running.drop(handle)
            return halt.outcome

    def _trace(self, stopped: Stopped) -> None:
        tracer = self._host.steps
        if tracer is not None and self._guest is not None:
            at, text = self._guest.instruction(self._handle)
            forward_step(tracer, EvmStep(at, 0, text, self._host.gas.left, stopped.registers, b"", b"", 0))

    def _forbid_static(self) -> None:
        if self._frame.static:
            raise Halt(Status.READ_ONLY)

    # --- storage ----------------------------------------------------------------------------------------------

    def _set_storage(self, stopped: Stopped) -> Answer:
        self._forbid_static()
        flags, _, size, _, length, _ = stopped.registers
        if _low(size) not in (_WORD, SENTINEL) or _low(length) != _WORD:
            raise Halt(Status.INVALID_INSTRUCTION)  # the state of a contract has words only
        return self._store(flags, stopped.inputs[:_WORD], stopped.inputs[_WORD:])

    def _set_word(self, stopped: Stopped) -> Answer:
        self._forbid_static()
        return self._store(stopped.registers[0], stopped.inputs[:_WORD], stopped.inputs[_WORD:])

    def _store(self, flags: int, key_bytes: bytes, value_bytes: bytes) -> Answer:
        host, order = self._host, _order(flags)
        key, value = int.from_bytes(key_bytes, order), int.from_bytes(value_bytes, order)
        if flags & _TRANSIENT:
            before = host.get_transient_storage(key)
            host.set_transient_storage(key, value)
        else:
            before = host.get_storage(key)
            host.set_storage(key, value)
        return _WORD if before else SENTINEL, ()

    def _load(self, stopped: Stopped) -> bytes:
        host, flags = self._host, stopped.registers[0]
        key = int.from_bytes(stopped.inputs, _order(flags))
        value = host.get_transient_storage(key) if flags & _TRANSIENT else host.get_storage(key)
        return value.to_bytes(_WORD, _order(flags))

    def _get_storage(self, stopped: Stopped) -> Answer:
        if len(stopped.inputs) != _WORD:
            raise Halt(Status.INVALID_INSTRUCTION)
        word, registers = self._load(stopped), stopped.registers
        if not any(word):
            return _KEY_NOT_FOUND, ()
        return _SUCCESS, (Write(_low(registers[3]), word, _low(registers[4])),)

    def _get_word(self, stopped: Stopped) -> Answer:
        return None, (Write(_low(stopped.registers[2]), self._load(stopped)),)

    # --- calls ------------------------------------------------------------------------------------------------

    def _call(self, stopped: Stopped) -> SubcallInputs:
        flags, value, data = _high(stopped.registers[0]), _little(stopped.inputs[20:52]), stopped.inputs[52:]
        if value and (flags & _READ_ONLY or self._frame.static):
            raise Halt(Status.READ_ONLY)
        if flags == _REENTRY | _READ_ONLY:
            return self._leave(stopped, CallKind.STATICCALL, value, data)
        if flags == _REENTRY:
            return self._leave(stopped, CallKind.CALL, value, data)
        if flags or data:
            raise Halt(Status.INVALID_INSTRUCTION)
        return self._leave(stopped, CallKind.CALL, value, data, 0 if value else _STIPEND)

    def _delegate_call(self, stopped: Stopped) -> SubcallInputs:
        if _high(stopped.registers[0]):
            raise Halt(Status.INVALID_INSTRUCTION)
        return self._leave(stopped, CallKind.DELEGATECALL, 0, stopped.inputs[20:])

    def _leave(self, stopped: Stopped, kind: CallKind, value: int, data: bytes, gas: int | None = None) -> CallInputs:
        output = stopped.registers[5]
        if gas is None:
            gas = stopped.registers[1] or _U64
        self._pending = (Write(_low(output), b"", _high(output)),)
        return CallInputs(kind, gas, _address(stopped), value, data)

    def _instantiate(self, stopped: Stopped) -> SubcallInputs | Answer:
        self._forbid_static()
        registers, inputs = stopped.registers, stopped.inputs
        value, rest = _little(inputs[:_WORD]), inputs[_WORD:]
        salt = None
        if _low(registers[5]) != SENTINEL:
            salt, rest = int.from_bytes(rest[:_WORD], "big"), rest[_WORD:]
        blob = _installed_blob(self._host, rest[:_WORD])
        if blob is None or value > self._host.get_self_balance():
            return _TRAPPED, ()
        self._pending = (
            Write(_low(registers[4]), b"", _high(registers[4])), Write(_high(registers[5]), b""),
        )  # fmt: skip
        return CreateInputs(value, blob + rest[_WORD:], salt)

    # --- events and context -----------------------------------------------------------------------------------

    def _deposit_event(self, stopped: Stopped) -> Answer:
        self._forbid_static()
        count = _low(stopped.registers[1])
        if count > _MAX_TOPICS:
            raise Halt(Status.INVALID_INSTRUCTION)
        data = stopped.inputs
        topics = [data[at : at + _WORD] for at in range(0, _WORD * count, _WORD)]
        self._host.emit_log(topics, data[_WORD * count :])
        return None, ()

    def _set_immutable_data(self, stopped: Stopped) -> Answer:
        if not self._constructs or len(stopped.inputs) > MAX_IMMUTABLES:
            raise Halt(Status.INVALID_INSTRUCTION)
        self._immutables = stopped.inputs
        return None, ()

    def _get_immutable_data(self, stopped: Stopped) -> Answer:
        pointer, length = stopped.registers[:2]
        return None, (Write(_low(pointer), self._immutables, _low(length)),)

    def _block_hash(self, stopped: Stopped) -> Answer:
        number = _little(stopped.inputs)
        return None, (Write(_low(stopped.registers[1]), self._host.get_block_hash(min(number, _U64))),)

    def _keccak(self, stopped: Stopped) -> Answer:
        return None, (Write(_low(stopped.registers[2]), self._host.keccak256(stopped.inputs)),)

    def _code_size(self, stopped: Stopped) -> Answer:
        return self._host.get_code_size(_address(stopped)), ()

    def _balance_of(self, stopped: Stopped) -> Answer:
        return None, (Write(_low(stopped.registers[1]), _word(self._host.get_balance(_address(stopped)))),)

    def _code_hash(self, stopped: Stopped) -> Answer:
        return None, (Write(_low(stopped.registers[1]), self._host.get_code_hash(_address(stopped))),)

    def _terminate(self, stopped: Stopped) -> Answer:
        self._forbid_static()
        self._host.selfdestruct(_address(stopped))
        raise Halt(Status.SUCCESS)

    def _consume_all_gas(self, stopped: Stopped) -> Answer:
        self._gas.refill()
        self._gas.overdraw(1 << 62)
        return None, ()


def _installed_blob(host: Host, code_hash: bytes) -> bytes | None:
    """Return the installed blob of a Keccak-256, None if there is none."""
    assert isinstance(host, FilecoinHost)
    machine = cast(MachineState, host.syscalls.kernel.machine)
    for code in reversed(machine.installed):
        if _hash_of(machine, code) == code_hash:
            return machine.installed_module(code)
    return None


_hashes: Final[BoundedCache[Cid, bytes]] = BoundedCache(1 << 20, "riscv_hashes")


def _hash_of(machine: MachineState, code: Cid) -> bytes:
    """Return the Keccak-256 of an installed blob, which is read once; empty for other code."""
    found = _hashes.get(code)
    if found is None:
        blob = machine.installed_module(code)
        if blob is None:
            return b""  # its installation was rolled back
        found = _hashes.setdefault(code, keccak(blob) if blob.startswith(MAGIC) else b"", 100)
    return found


def _order(flags: int) -> Literal["big", "little"]:
    """Return the byte order of words in storage: resolc swaps the bytes of persistent words only."""
    return "little" if flags & _TRANSIENT else "big"


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD, "little")


def _address(stopped: Stopped) -> EthAddress:
    return EthAddress(stopped.inputs[:20])


HostFunction = Callable[[RiscvEngine, Stopped], SubcallInputs | Answer]
"""A host function: its answer, or the call that the frame waits for."""


def _written(read: Callable[[Host], bytes]) -> HostFunction:
    """Return a host function that writes a value to its first argument."""
    return lambda engine, stopped: (None, (Write(_low(stopped.registers[0]), read(engine._host)),))


def _returned(read: Callable[[Host], int]) -> HostFunction:
    """Return a host function whose result is a number."""
    return lambda engine, stopped: (read(engine._host) & _U64, ())


@once
def _functions() -> tuple[HostFunction, ...]:
    """Return the host functions by their numbers in the guest, which answers those without one here."""
    missing = RiscvEngine._consume_all_gas  # never called
    return tuple(HOST_FUNCTIONS.get(name, missing) for name in host_functions())


HOST_FUNCTIONS: Final[Mapping[str, HostFunction]] = MappingProxyType({
    "set_storage": RiscvEngine._set_storage,
    "set_storage_or_clear": RiscvEngine._set_word,
    "get_storage": RiscvEngine._get_storage,
    "get_storage_or_zero": RiscvEngine._get_word,
    "call": RiscvEngine._call,
    "delegate_call": RiscvEngine._delegate_call,
    "instantiate": RiscvEngine._instantiate,
    "deposit_event": RiscvEngine._deposit_event,
    "get_immutable_data": RiscvEngine._get_immutable_data,
    "set_immutable_data": RiscvEngine._set_immutable_data,
    "balance": _written(lambda host: _word(host.get_self_balance())),
    "balance_of": RiscvEngine._balance_of,
    "origin": _written(lambda host: host.get_origin()),
    "code_hash": RiscvEngine._code_hash,
    "code_size": RiscvEngine._code_size,
    "chain_id": _written(lambda host: _word(host.get_tx_context().chain_id)),
    "now": _written(lambda host: _word(host.get_tx_context().timestamp)),
    "block_number": _written(lambda host: _word(host.get_tx_context().number)),
    "block_hash": RiscvEngine._block_hash,
    "block_author": _written(lambda host: host.get_tx_context().coinbase),
    "base_fee": _written(lambda host: _word(host.get_tx_context().base_fee)),
    "gas_limit": _returned(lambda host: host.get_tx_context().gas_limit),
    "gas_price": _returned(lambda host: host.get_tx_context().gas_price),
    "ref_time_left": _returned(lambda host: host.get_gas_left()),
    "hash_keccak_256": RiscvEngine._keccak,
    "terminate": RiscvEngine._terminate,
    "consume_all_gas": RiscvEngine._consume_all_gas,
})  # fmt: skip
"""The host functions that leave the guest, by name. An answer of them resumes the frame, inputs of a call leave it."""
