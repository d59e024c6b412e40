"""The opcodes that reach the machine, those with a price that depends on sizes, and the few that py-evm does otherwise.

Each function takes its operands off the stack, checks, asks the host, and pushes. Those that leave the frame return
an Ask; the engine puts the answer onto the stack. Everything not in `OWN` is py-evm's (Cancun).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from eth.exceptions import Halt, InvalidJumpDestination

from bridge.addresses import word_to_address
from runtimes.evm.engine import Ask, CallAsk, CallKind, CreateAsk, Status
from runtimes.evm.py_evm.computation import FrameComputation, FrameError


def require_writable(frame: FrameComputation) -> None:
    """End the frame where it may not change state."""
    if frame.msg.is_static:
        raise FrameError(Status.READ_ONLY)


def _invalid(_: FrameComputation) -> None:
    raise FrameError(Status.INVALID_INSTRUCTION)


def undefined(_: FrameComputation) -> None:
    """Every byte that is no opcode under the rules."""
    raise FrameError(Status.UNDEFINED_INSTRUCTION)


def _clz(frame: FrameComputation) -> None:
    frame.stack_push_int(256 - frame.stack_pop1_int().bit_length())


def _exp(frame: FrameComputation) -> None:
    base, exponent = frame.stack_pop_ints(2)
    frame.pay(frame.frame.rules.gas.exp_byte * ((exponent.bit_length() + 7) // 8))
    frame.stack_push_int(pow(base, exponent, 1 << 256))


def _jump_to(frame: FrameComputation, destination: int) -> None:
    if destination not in frame.jump_destinations:
        raise InvalidJumpDestination
    frame.code.program_counter = destination


def _jump(frame: FrameComputation) -> None:
    _jump_to(frame, frame.stack_pop1_int())


def _jumpi(frame: FrameComputation) -> None:
    destination, condition = frame.stack_pop_ints(2)
    if condition:
        _jump_to(frame, destination)


def _gas(frame: FrameComputation) -> None:
    frame.stack_push_int(frame.host.get_gas_left())


def _balance(frame: FrameComputation) -> None:
    frame.stack_push_int(frame.host.get_balance(word_to_address(frame.stack_pop1_int())))


def _selfbalance(frame: FrameComputation) -> None:
    frame.stack_push_int(frame.host.get_self_balance())


def _origin(frame: FrameComputation) -> None:
    frame.stack_push_bytes(frame.host.get_origin())


def _prevrandao(frame: FrameComputation) -> None:
    frame.stack_push_bytes(frame.host.get_prev_randao())


def _blockhash(frame: FrameComputation) -> None:
    frame.stack_push_bytes(frame.host.get_block_hash(frame.stack_pop1_int()))


def _context(field: str) -> Callable[[FrameComputation], None]:
    def push(frame: FrameComputation) -> None:
        value = getattr(frame.host.get_tx_context(), field)
        if isinstance(value, bytes):
            frame.stack_push_bytes(value)
        else:
            frame.stack_push_int(value)

    return push


def _extcodesize(frame: FrameComputation) -> None:
    frame.stack_push_int(frame.host.get_code_size(word_to_address(frame.stack_pop1_int())))


def _extcodehash(frame: FrameComputation) -> None:
    frame.stack_push_bytes(frame.host.get_code_hash(word_to_address(frame.stack_pop1_int())))


def _copy_from(source: Callable[[FrameComputation], bytes]) -> Callable[[FrameComputation], None]:
    def copy(frame: FrameComputation) -> None:
        start, offset, size = frame.stack_pop_ints(3)
        frame.extend_memory(start, size)
        frame.pay_for_copy(size)
        frame.write(start, size, source(frame)[offset : offset + size])

    return copy


def _mcopy(frame: FrameComputation) -> None:
    start, source, size = frame.stack_pop_ints(3)
    frame.extend_memory(max(start, source), size)
    frame.pay_for_copy(size)
    frame.write(start, size, frame.region(source, size))


def _extcodecopy(frame: FrameComputation) -> None:
    address, start, code_start, size = frame.stack_pop_ints(4)
    code = frame.host.copy_code(word_to_address(address))
    frame.extend_memory(start, size)
    frame.pay_for_copy(size)
    frame.write(start, size, code[code_start : code_start + size])


def _keccak256(frame: FrameComputation) -> None:
    frame.stack_push_bytes(frame.host.keccak256(frame.region(*frame.stack_pop_ints(2))))


def _returndatacopy(frame: FrameComputation) -> None:
    """The memory is claimed before the bounds of the return data are looked at: the official actor's order."""
    start, source, size = frame.stack_pop_ints(3)
    frame.extend_memory(start, size)
    if source + size > len(frame.return_data):
        raise FrameError(Status.ILLEGAL_MEMORY_ACCESS)
    frame.pay_for_copy(size)
    frame.write(start, size, frame.return_data[source : source + size])


def _sload(frame: FrameComputation) -> None:
    frame.stack_push_int(frame.host.get_storage(frame.stack_pop1_int()))


def _sstore(frame: FrameComputation) -> None:
    key, value = frame.stack_pop_ints(2)
    require_writable(frame)
    frame.host.set_storage(key, value)


def _tload(frame: FrameComputation) -> None:
    frame.stack_push_int(frame.host.get_transient_storage(frame.stack_pop1_int()))


def _tstore(frame: FrameComputation) -> None:
    key, value = frame.stack_pop_ints(2)
    require_writable(frame)
    frame.host.set_transient_storage(key, value)


def _log(count: int) -> Callable[[FrameComputation], None]:
    def emit(frame: FrameComputation) -> None:
        start, size, *topics = frame.stack_pop_ints(2 + count)
        require_writable(frame)
        data = frame.region(start, size)
        frame.host.emit_log([topic.to_bytes(32, "big") for topic in topics], data)

    return emit


def _call(frame: FrameComputation) -> Ask:
    gas, to, value, in_start, in_size, out_start, out_size = frame.stack_pop_ints(7)
    if value:
        require_writable(frame)
    data = frame.region(in_start, in_size)
    frame.answer_region = out_start, out_size
    return CallAsk(CallKind.CALL, gas, word_to_address(to), value, data)


def _call_without_value(kind: CallKind) -> Callable[[FrameComputation], Ask]:
    def call(frame: FrameComputation) -> Ask:
        gas, to, in_start, in_size, out_start, out_size = frame.stack_pop_ints(6)
        data = frame.region(in_start, in_size)
        frame.answer_region = out_start, out_size
        return CallAsk(kind, gas, word_to_address(to), 0, data)

    return call


def _create(frame: FrameComputation) -> Ask | None:
    value, start, size = frame.stack_pop_ints(3)
    return _ask_to_create(frame, value, start, size, None)


def _create2(frame: FrameComputation) -> Ask | None:
    value, start, size, salt = frame.stack_pop_ints(4)
    return _ask_to_create(frame, value, start, size, salt)


def _ask_to_create(frame: FrameComputation, value: int, start: int, size: int, salt: int | None) -> Ask | None:
    require_writable(frame)
    frame.return_data = b""
    init_code = frame.region(start, size)
    if value > frame.host.get_self_balance():
        frame.stack_push_int(0)
        return None
    return CreateAsk(value, init_code, salt)


def _selfdestruct(frame: FrameComputation) -> None:
    beneficiary = word_to_address(frame.stack_pop1_int())
    require_writable(frame)
    frame.host.selfdestruct(beneficiary)
    raise Halt


OWN: Final[Mapping[str, Callable[[FrameComputation], Ask | None]]] = MappingProxyType({
    "EXP": _exp, "CALLDATACOPY": _copy_from(lambda frame: frame.frame.calldata),
    "CODECOPY": _copy_from(lambda frame: frame.frame.code.data), "MCOPY": _mcopy,
    "CLZ": _clz, "BALANCE": _balance, "ORIGIN": _origin, "GASPRICE": _context("gas_price"),
    "EXTCODESIZE": _extcodesize, "EXTCODECOPY": _extcodecopy, "EXTCODEHASH": _extcodehash,
    "KECCAK256": _keccak256, "RETURNDATACOPY": _returndatacopy,
    "BLOCKHASH": _blockhash, "COINBASE": _context("coinbase"), "TIMESTAMP": _context("timestamp"),
    "NUMBER": _context("number"), "PREVRANDAO": _prevrandao, "GASLIMIT": _context("gas_limit"),
    "CHAINID": _context("chain_id"), "SELFBALANCE": _selfbalance, "BASEFEE": _context("base_fee"),
    "SLOAD": _sload, "SSTORE": _sstore, "JUMP": _jump, "JUMPI": _jumpi, "GAS": _gas, "TLOAD": _tload,
    "TSTORE": _tstore, "LOG0": _log(0), "LOG1": _log(1), "LOG2": _log(2), "LOG3": _log(3), "LOG4": _log(4),
    "CREATE": _create, "CREATE2": _create2, "CALL": _call,
    "STATICCALL": _call_without_value(CallKind.STATICCALL),
    "DELEGATECALL": _call_without_value(CallKind.DELEGATECALL),
    "INVALID": _invalid, "SELFDESTRUCT": _selfdestruct,
})  # fmt: skip
"""By mnemonic."""
