"""The opcodes that are not py-evm's: those that access state, those with size-dependent gas, and a few that differ.

Each function has the paragraphs of the execution specifications: stack, gas, operation, program counter. The
interpreter loop has already charged the static gas and advanced the program counter. The host charges prices that
depend on the state. Opcodes that leave the frame return the subcall's inputs, and the engine pushes its outcome. All
opcodes not in `OPCODE_FUNCTIONS` are py-evm's (Cancun); docs/engines.md lists the parts of py-evm in use.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from eth.exceptions import Halt, InvalidJumpDestination

from bridge.ethereum.addresses import word_to_address
from runtimes.evm.engine import CallInputs, CallKind, CreateInputs, Status, SubcallInputs
from runtimes.evm.py_evm.computation import FrameComputation, FrameError


def require_writable(frame: FrameComputation) -> None:
    """End the frame if it is static."""
    if frame.msg.is_static:
        raise FrameError(Status.READ_ONLY)


def _invalid(_: FrameComputation) -> None:
    # STACK: none
    # GAS: none
    # OPERATION
    raise FrameError(Status.INVALID_INSTRUCTION)
    # PROGRAM COUNTER: the frame ends


def undefined(_: FrameComputation) -> None:
    """Handle every byte that is not an opcode under the rules."""
    # STACK: none
    # GAS: none
    # OPERATION
    raise FrameError(Status.UNDEFINED_INSTRUCTION)
    # PROGRAM COUNTER: the frame ends


def _clz(frame: FrameComputation) -> None:
    # STACK
    word = frame.stack_pop1_int()
    # GAS: static
    # OPERATION
    frame.stack_push_int(256 - word.bit_length())
    # PROGRAM COUNTER: next


def _exp(frame: FrameComputation) -> None:
    # STACK
    base, exponent = frame.stack_pop_ints(2)
    # GAS
    frame.pay(frame.frame.rules.gas.exp_byte * ((exponent.bit_length() + 7) // 8))
    # OPERATION
    frame.stack_push_int(pow(base, exponent, 1 << 256))
    # PROGRAM COUNTER: next


def _jump_to(frame: FrameComputation, destination: int) -> None:
    if destination not in frame.jump_destinations:
        raise InvalidJumpDestination
    frame.code.program_counter = destination


def _jump(frame: FrameComputation) -> None:
    # STACK
    destination = frame.stack_pop1_int()
    # GAS: static
    # OPERATION: none
    # PROGRAM COUNTER
    _jump_to(frame, destination)


def _jumpi(frame: FrameComputation) -> None:
    # STACK
    destination, condition = frame.stack_pop_ints(2)
    # GAS: static
    # OPERATION: none
    # PROGRAM COUNTER
    if condition:
        _jump_to(frame, destination)


def _gas(frame: FrameComputation) -> None:
    # STACK: none
    # GAS: static
    # OPERATION
    frame.stack_push_int(frame.host.get_gas_left())
    # PROGRAM COUNTER: next


def _balance(frame: FrameComputation) -> None:
    # STACK
    address = word_to_address(frame.stack_pop1_int())
    # GAS: charged by the host
    # OPERATION
    frame.stack_push_int(frame.host.get_balance(address))
    # PROGRAM COUNTER: next


def _selfbalance(frame: FrameComputation) -> None:
    # STACK: none
    # GAS: static
    # OPERATION
    frame.stack_push_int(frame.host.get_self_balance())
    # PROGRAM COUNTER: next


def _origin(frame: FrameComputation) -> None:
    # STACK: none
    # GAS: static
    # OPERATION
    frame.stack_push_bytes(frame.host.get_origin())
    # PROGRAM COUNTER: next


def _prevrandao(frame: FrameComputation) -> None:
    # STACK: none
    # GAS: static
    # OPERATION
    frame.stack_push_bytes(frame.host.get_prev_randao())
    # PROGRAM COUNTER: next


def _blockhash(frame: FrameComputation) -> None:
    # STACK
    number = frame.stack_pop1_int()
    # GAS: static
    # OPERATION
    frame.stack_push_bytes(frame.host.get_block_hash(number))
    # PROGRAM COUNTER: next


def _context(field: str) -> Callable[[FrameComputation], None]:
    def push(frame: FrameComputation) -> None:
        # STACK: none
        # GAS: static
        # OPERATION
        value = getattr(frame.host.get_tx_context(), field)
        if isinstance(value, bytes):
            frame.stack_push_bytes(value)
        else:
            frame.stack_push_int(value)
        # PROGRAM COUNTER: next

    return push


def _extcodesize(frame: FrameComputation) -> None:
    # STACK
    address = word_to_address(frame.stack_pop1_int())
    # GAS: charged by the host
    # OPERATION
    frame.stack_push_int(frame.host.get_code_size(address))
    # PROGRAM COUNTER: next


def _extcodehash(frame: FrameComputation) -> None:
    # STACK
    address = word_to_address(frame.stack_pop1_int())
    # GAS: charged by the host
    # OPERATION
    frame.stack_push_bytes(frame.host.get_code_hash(address))
    # PROGRAM COUNTER: next


def _copy_from(source: Callable[[FrameComputation], bytes]) -> Callable[[FrameComputation], None]:
    def copy(frame: FrameComputation) -> None:
        # STACK
        start, offset, size = frame.stack_pop_ints(3)
        # GAS
        frame.extend_memory(start, size)
        frame.pay_for_copy(size)
        # OPERATION
        frame.write(start, size, source(frame)[offset : offset + size])
        # PROGRAM COUNTER: next

    return copy


def _mcopy(frame: FrameComputation) -> None:
    # STACK
    start, source, size = frame.stack_pop_ints(3)
    # GAS
    frame.extend_memory(max(start, source), size)
    frame.pay_for_copy(size)
    # OPERATION
    frame.write(start, size, frame.region(source, size))
    # PROGRAM COUNTER: next


def _extcodecopy(frame: FrameComputation) -> None:
    """Copy code; it is read before memory is extended, as in the official actor."""
    # STACK
    address, start, code_start, size = frame.stack_pop_ints(4)
    # GAS
    code = frame.host.copy_code(word_to_address(address))
    frame.extend_memory(start, size)
    frame.pay_for_copy(size)
    # OPERATION
    frame.write(start, size, code[code_start : code_start + size])
    # PROGRAM COUNTER: next


def _keccak256(frame: FrameComputation) -> None:
    # STACK
    start, size = frame.stack_pop_ints(2)
    # GAS: memory; the host charges for words
    data = frame.region(start, size)
    # OPERATION
    frame.stack_push_bytes(frame.host.keccak256(data))
    # PROGRAM COUNTER: next


def _returndatacopy(frame: FrameComputation) -> None:
    """Copy return data; memory is extended before the bounds are checked, as in the official actor."""
    # STACK
    start, source, size = frame.stack_pop_ints(3)
    # GAS
    frame.extend_memory(start, size)
    if source + size > len(frame.return_data):
        raise FrameError(Status.ILLEGAL_MEMORY_ACCESS)
    frame.pay_for_copy(size)
    # OPERATION
    frame.write(start, size, frame.return_data[source : source + size])
    # PROGRAM COUNTER: next


def _sload(frame: FrameComputation) -> None:
    # STACK
    key = frame.stack_pop1_int()
    # GAS: charged by the host
    # OPERATION
    frame.stack_push_int(frame.host.get_storage(key))
    # PROGRAM COUNTER: next


def _sstore(frame: FrameComputation) -> None:
    # STACK
    key, value = frame.stack_pop_ints(2)
    # GAS: charged by the host
    # OPERATION
    require_writable(frame)
    frame.host.set_storage(key, value)
    # PROGRAM COUNTER: next


def _tload(frame: FrameComputation) -> None:
    # STACK
    key = frame.stack_pop1_int()
    # GAS: static
    # OPERATION
    frame.stack_push_int(frame.host.get_transient_storage(key))
    # PROGRAM COUNTER: next


def _tstore(frame: FrameComputation) -> None:
    # STACK
    key, value = frame.stack_pop_ints(2)
    # GAS: static
    # OPERATION
    require_writable(frame)
    frame.host.set_transient_storage(key, value)
    # PROGRAM COUNTER: next


def _log(count: int) -> Callable[[FrameComputation], None]:
    def emit(frame: FrameComputation) -> None:
        # STACK
        start, size, *topics = frame.stack_pop_ints(2 + count)
        require_writable(frame)
        # GAS: memory; the host charges for bytes
        data = frame.region(start, size)
        # OPERATION
        frame.host.emit_log([topic.to_bytes(32, "big") for topic in topics], data)
        # PROGRAM COUNTER: next

    return emit


def _call(frame: FrameComputation) -> SubcallInputs:
    # STACK
    gas, to, value, in_start, in_size, out_start, out_size = frame.stack_pop_ints(7)
    if value:
        require_writable(frame)
    # GAS: memory; the rest when the call is executed
    data = frame.region(in_start, in_size)
    # OPERATION
    frame.return_region = out_start, out_size
    return CallInputs(CallKind.CALL, gas, word_to_address(to), value, data)
    # PROGRAM COUNTER: next, with the outcome


def _call_without_value(kind: CallKind) -> Callable[[FrameComputation], SubcallInputs]:
    def call(frame: FrameComputation) -> SubcallInputs:
        # STACK
        gas, to, in_start, in_size, out_start, out_size = frame.stack_pop_ints(6)
        # GAS: memory; the rest when the call is executed
        data = frame.region(in_start, in_size)
        # OPERATION
        frame.return_region = out_start, out_size
        return CallInputs(kind, gas, word_to_address(to), 0, data)
        # PROGRAM COUNTER: next, with the outcome

    return call


def _create_opcode(salted: bool) -> Callable[[FrameComputation], SubcallInputs | None]:
    def create(frame: FrameComputation) -> SubcallInputs | None:
        # STACK
        value, start, size, *salt = frame.stack_pop_ints(4 if salted else 3)
        require_writable(frame)
        early = not frame.frame.rules.creation_returns
        if early and value > frame.host.get_self_balance():
            frame.stack_push_int(0)
            return None
        # GAS: memory; the rest when the call is executed
        if not early:
            frame.return_data = b""
        init_code = frame.region(start, size)
        # OPERATION
        if not early and value > frame.host.get_self_balance():
            frame.stack_push_int(0)
            return None
        return CreateInputs(value, init_code, salt[0] if salt else None)
        # PROGRAM COUNTER: next, with the outcome

    return create


def _selfdestruct(frame: FrameComputation) -> None:
    # STACK
    beneficiary = word_to_address(frame.stack_pop1_int())
    require_writable(frame)
    # GAS: charged by the host
    # OPERATION
    frame.host.selfdestruct(beneficiary)
    raise Halt
    # PROGRAM COUNTER: the frame ends


OPCODE_FUNCTIONS: Final[Mapping[str, Callable[[FrameComputation], SubcallInputs | None]]] = MappingProxyType({
    "EXP": _exp, "CALLDATACOPY": _copy_from(lambda frame: frame.frame.calldata),
    "CODECOPY": _copy_from(lambda frame: frame.frame.code.data), "MCOPY": _mcopy,
    "CLZ": _clz, "BALANCE": _balance, "ORIGIN": _origin, "GASPRICE": _context("gas_price"),
    "EXTCODESIZE": _extcodesize, "EXTCODECOPY": _extcodecopy, "EXTCODEHASH": _extcodehash,
    "KECCAK256": _keccak256, "RETURNDATACOPY": _returndatacopy,
    "BLOCKHASH": _blockhash, "COINBASE": _context("coinbase"), "TIMESTAMP": _context("timestamp"),
    "NUMBER": _context("number"), "DIFFICULTY": _prevrandao, "PREVRANDAO": _prevrandao,
    "GASLIMIT": _context("gas_limit"),
    "CHAINID": _context("chain_id"), "SELFBALANCE": _selfbalance, "BASEFEE": _context("base_fee"),
    "SLOAD": _sload, "SSTORE": _sstore, "JUMP": _jump, "JUMPI": _jumpi, "GAS": _gas, "TLOAD": _tload,
    "TSTORE": _tstore, "LOG0": _log(0), "LOG1": _log(1), "LOG2": _log(2), "LOG3": _log(3), "LOG4": _log(4),
    "CREATE": _create_opcode(salted=False), "CREATE2": _create_opcode(salted=True), "CALL": _call,
    "STATICCALL": _call_without_value(CallKind.STATICCALL),
    "DELEGATECALL": _call_without_value(CallKind.DELEGATECALL),
    "INVALID": _invalid, "SELFDESTRUCT": _selfdestruct,
})  # fmt: skip
"""Mapping from mnemonic to function."""
