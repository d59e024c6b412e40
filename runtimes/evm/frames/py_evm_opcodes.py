"""The opcodes that are not py-evm's, and the computation of one frame.

The opcodes are those that access state, those with size-dependent gas, a few that differ, and those that differ under
Ethereum's rules or exist only there. Each function has the paragraphs of the execution specifications: stack, gas,
operation, program counter. The interpreter loop has already charged the static gas and advanced the program counter.
The host charges prices that depend on the state. Memory is extended for all regions of an opcode, and charged, before
anything else; the balance and depth for a call or creation are checked after its price is charged, when it is executed.
Opcodes that leave the frame return the subcall's inputs, and the engine pushes its outcome. All opcodes not in
`OPCODE_FUNCTIONS` are py-evm's (Cancun); docs/engines.md lists the parts of py-evm in use.

The computation has only what py-evm's opcode functions use: code, message, stack, memory, return data, output, and two
hooks; no state object, child computations and gas meter. Gas comes from the budget shared with the host, memory from
the host.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import floordiv, mod
from types import MappingProxyType
from typing import Final, cast

from eth.exceptions import Halt, InvalidJumpDestination, VMError
from eth.vm.code_stream import CodeStream
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.memory import Memory
from eth.vm.stack import Stack

from bridge.ethereum.addresses import word_to_address
from hypervisor.errors import Fatal
from runtimes.evm.contracts.engine import (
    U32_MAX,
    CallInputs,
    CallKind,
    CreateInputs,
    EthereumHost,
    Frame,
    Host,
    Status,
    SubcallInputs,
)


class FrameError(VMError):
    """Ends the frame with a status that has no py-evm error."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class FrameMessage:
    """The fields of a message that opcodes read."""

    __slots__ = ("data", "data_as_bytes", "is_static", "sender", "storage_address", "value")

    def __init__(self, frame: Frame) -> None:
        self.data = self.data_as_bytes = frame.calldata
        self.is_static = frame.static
        self.sender = frame.caller
        self.storage_address = frame.address
        self.value = frame.value


class FrameComputation(CancunComputation):
    """The object passed to opcode functions."""

    def __init__(self, frame: Frame, host: Host) -> None:
        # the parent's __init__ is skipped: it needs a state, a transaction and a gas meter, which no opcode here uses
        self.frame = frame
        self.host = host
        self.msg = FrameMessage(frame)  # type: ignore[assignment]  # only the fields that are used
        self.code = CodeStream(frame.code.data)
        self.jump_destinations = frame.code.jump_destinations
        self._stack = stack = Stack()
        self._memory = Memory()
        self._granted = 0
        self.return_region = (0, 0)
        # py-evm looks these up through a cached property, whose first access costs as much as ten opcodes
        self.__dict__.update(
            stack_pop_ints=stack.pop_ints,
            stack_pop_bytes=stack.pop_bytes,
            stack_pop_any=stack.pop_any,
            stack_pop1_int=stack.pop1_int,
            stack_pop1_bytes=stack.pop1_bytes,
            stack_pop1_any=stack.pop1_any,
            stack_push_int=stack.push_int,
            stack_push_bytes=stack.push_bytes,
        )

    def consume_gas(self, amount: int, reason: str) -> None:
        """Raise Fatal: py-evm functions with their own prices are not used here."""
        raise Fatal(f"py-evm charges {amount} gas for '{reason}', which the rules do not price")

    def pay_for_copy(self, size: int) -> None:
        """Charge for copying `size` bytes."""
        self.pay(self.frame.rules.copy_gas(size))

    def pay(self, amount: int) -> None:
        """Charge EVM gas; raises OutOfGas."""
        gas = self.host.gas
        if amount > gas.remaining:
            gas.overdraw(amount)
        gas.remaining -= amount

    def extend_memory(self, start_position: int, size: int) -> None:
        """Extend memory to include a region; an empty region may lie anywhere.

        Raises FrameError if it ends above 32 bits; the host ends the frame if the process cannot allocate the memory.
        """
        if size == 0:
            return
        end = start_position + size
        if end <= len(self._memory):
            return
        if end > U32_MAX:
            raise FrameError(Status.ILLEGAL_MEMORY_ACCESS)
        if end > self._granted:
            self._granted = self.host.grow_memory((end + 31) & ~31)
        self._memory.extend(start_position, size)

    def region(self, start: int, size: int) -> bytes:
        """Return the bytes of a memory region, extending memory if needed."""
        self.extend_memory(start, size)
        return self._memory.read_bytes(start, size) if size else b""

    def write(self, start: int, size: int, data: bytes) -> None:
        """Write `data`, zero-padded to `size`, to a memory region, extending memory if needed."""
        self.extend_memory(start, size)
        self._memory.write(start, size, data.ljust(size, b"\0"))


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
    frame.pay(frame.frame.rules.operands.power(exponent))
    # OPERATION
    frame.stack_push_int(pow(base, exponent, 1 << 256))
    # PROGRAM COUNTER: next


def _signed(word: int) -> int:
    return word - (1 << 256) if word >> 255 else word


def _truncated(dividend: int, divisor: int) -> int:
    """Return the quotient of signed numbers, rounded towards 0, as a word."""
    quotient = abs(dividend) // abs(divisor)
    return (quotient if (dividend < 0) == (divisor < 0) else -quotient) % (1 << 256)


def _remainder(dividend: int, divisor: int) -> int:
    """Return the remainder of signed numbers, with the sign of the dividend, as a word."""
    remainder = abs(dividend) % abs(divisor)
    return (-remainder if dividend < 0 else remainder) % (1 << 256)


def _dividing(operate: Callable[[int, int], int], is_signed: bool = False) -> Callable[[FrameComputation], None]:
    def divide(frame: FrameComputation) -> None:
        # STACK
        a, b = map(_signed, frame.stack_pop_ints(2)) if is_signed else frame.stack_pop_ints(2)
        # GAS
        frame.pay(frame.frame.rules.operands.division(0, a.bit_length(), b.bit_length()))
        # OPERATION
        frame.stack_push_int(operate(a, b) if b else 0)
        # PROGRAM COUNTER: next

    return divide


def _modular(is_product: bool) -> Callable[[FrameComputation], None]:
    def divide(frame: FrameComputation) -> None:
        # STACK
        a, b, modulus = frame.stack_pop_ints(3)
        # GAS
        result = a * b if is_product else a + b
        bits = a.bit_length() + b.bit_length() if is_product and result else result.bit_length()
        frame.pay(frame.frame.rules.operands.division(1 + is_product, bits, modulus.bit_length()))
        # OPERATION
        frame.stack_push_int(result % modulus if modulus else 0)
        # PROGRAM COUNTER: next

    return divide


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
    "DIV": _dividing(floordiv), "SDIV": _dividing(_truncated, is_signed=True),
    "MOD": _dividing(mod), "SMOD": _dividing(_remainder, is_signed=True),
    "ADDMOD": _modular(is_product=False), "MULMOD": _modular(is_product=True),
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


_NO_DEPTH: Final = range(91, 128)
_NO_PAIR: Final = range(82, 128)
"""Invalid operands. In older code these bytes are JUMPDEST and pushes, whose meaning must not change (EIP-8024)."""
_DEPTH_OFFSET: Final = 145


def _execute(frame: FrameComputation, opcode: int, operands: Sequence[int], memory: bytes = b"") -> tuple[int, bytes]:
    return cast(EthereumHost, frame.host).execute(opcode, operands, memory)


def _reading(opcode: int) -> Callable[[FrameComputation], None]:
    def read(frame: FrameComputation) -> None:
        # STACK, GAS and OPERATION
        frame.stack_push_int(_execute(frame, opcode, ())[0])
        # PROGRAM COUNTER: next

    return read


def _reading_one(opcode: int) -> Callable[[FrameComputation], None]:
    def read(frame: FrameComputation) -> None:
        # STACK, GAS and OPERATION
        frame.stack_push_int(_execute(frame, opcode, (frame.stack_pop1_int(),))[0])
        # PROGRAM COUNTER: next

    return read


def _writing(opcode: int) -> Callable[[FrameComputation], None]:
    def write(frame: FrameComputation) -> None:
        # STACK
        operands = frame.stack_pop_ints(2)
        require_writable(frame)
        # GAS and OPERATION
        _execute(frame, opcode, operands)
        # PROGRAM COUNTER: next

    return write


def _ethereum_log(count: int) -> Callable[[FrameComputation], None]:
    def emit(frame: FrameComputation) -> None:
        # STACK
        start, size, *topics = frame.stack_pop_ints(2 + count)
        require_writable(frame)
        # GAS: memory; the host charges for bytes
        data = frame.region(start, size)
        # OPERATION
        _execute(frame, 0xA0 + count, (0, size, *topics), data)
        # PROGRAM COUNTER: next

    return emit


def _ethereum_keccak256(frame: FrameComputation) -> None:
    # STACK
    start, size = frame.stack_pop_ints(2)
    # GAS: memory; the host charges for words
    data = frame.region(start, size)
    # OPERATION
    frame.stack_push_int(_execute(frame, 0x20, (0, size), data)[0])
    # PROGRAM COUNTER: next


def _ethereum_selfdestruct(frame: FrameComputation) -> None:
    # STACK
    beneficiary = frame.stack_pop1_int()
    require_writable(frame)
    # GAS and OPERATION
    _execute(frame, 0xFF, (beneficiary,))
    raise Halt
    # PROGRAM COUNTER: the frame ends


def _operand(frame: FrameComputation, reserved: range) -> int:
    """Return the byte after the opcode, 0 after the end of the code, and skip it (EIP-8024)."""
    position, code = frame.code.program_counter, frame.frame.code.data
    operand = code[position] if position < len(code) else 0
    if operand in reserved:
        raise FrameError(Status.UNDEFINED_INSTRUCTION)
    frame.code.program_counter = position + 1
    return operand


def _exchange_words(frame: FrameComputation, near: int, far: int) -> None:
    """Exchange two words, counted from 1 at the top of the stack."""
    values = frame._stack.values  # type: ignore[attr-defined]  # py-evm declares an interface without it
    if len(values) < far:
        raise FrameError(Status.STACK_UNDERFLOW)
    values[-near], values[-far] = values[-far], values[-near]


def _dupn(frame: FrameComputation) -> None:
    # GAS: static
    # PROGRAM COUNTER: after the operand
    depth = (_operand(frame, _NO_DEPTH) + _DEPTH_OFFSET) % 256
    # STACK and OPERATION
    frame._stack.dup(depth)


def _swapn(frame: FrameComputation) -> None:
    # GAS: static
    # PROGRAM COUNTER: after the operand
    depth = (_operand(frame, _NO_DEPTH) + _DEPTH_OFFSET) % 256
    # STACK and OPERATION
    _exchange_words(frame, 1, depth + 1)


def _exchange(frame: FrameComputation) -> None:
    # GAS: static
    # PROGRAM COUNTER: after the operand
    row, column = divmod(_operand(frame, _NO_PAIR) ^ 143, 16)
    # STACK and OPERATION
    near, far = (row + 1, column + 1) if row < column else (column + 1, 29 - row)
    _exchange_words(frame, near + 1, far + 1)


def _ethereum_extcodecopy(frame: FrameComputation) -> None:
    # STACK
    address, start, code_start, size = frame.stack_pop_ints(4)
    # GAS: memory; the host charges for the rest
    frame.extend_memory(start, size)
    # OPERATION
    frame.write(start, size, _execute(frame, 0x3C, (address, 0, code_start, size), bytes(size))[1])
    # PROGRAM COUNTER: next


def _ethereum_returndatacopy(frame: FrameComputation) -> None:
    # STACK
    start, source, size = frame.stack_pop_ints(3)
    # GAS
    if source + size > len(frame.return_data):
        raise FrameError(Status.ILLEGAL_MEMORY_ACCESS)
    frame.extend_memory(start, size)
    frame.pay_for_copy(size)
    # OPERATION
    frame.write(start, size, frame.return_data[source : source + size])
    # PROGRAM COUNTER: next


def _calling(kind: CallKind) -> Callable[[FrameComputation], SubcallInputs]:
    """Return a call opcode's function; both memory regions are extended before anything else."""
    has_value = kind in (CallKind.CALL, CallKind.CALLCODE)

    def call(frame: FrameComputation) -> SubcallInputs:
        # STACK
        gas, to, *value, in_start, in_size, out_start, out_size = frame.stack_pop_ints(7 if has_value else 6)
        amount = value[0] if value else 0
        if amount and kind is CallKind.CALL:
            require_writable(frame)
        # GAS: memory; the rest when the call is executed
        data = frame.region(in_start, in_size)
        frame.extend_memory(out_start, out_size)
        # OPERATION
        frame.return_region = out_start, out_size
        return CallInputs(kind, gas, word_to_address(to), amount, data)
        # PROGRAM COUNTER: next, with the outcome

    return call


def _ethereum_create(salted: bool) -> Callable[[FrameComputation], SubcallInputs]:
    def create(frame: FrameComputation) -> SubcallInputs:
        # STACK
        value, start, size, *salt = frame.stack_pop_ints(4 if salted else 3)
        require_writable(frame)
        # GAS: memory; the rest when the call is executed
        init_code = frame.region(start, size)
        # OPERATION
        frame.return_data = b""
        return CreateInputs(value, init_code, salt[0] if salt else None)
        # PROGRAM COUNTER: next, with the outcome

    return create


ETHEREUM: Final[Mapping[str, Callable[[FrameComputation], SubcallInputs | None]]] = MappingProxyType({
    **OPCODE_FUNCTIONS,
    "BALANCE": _reading_one(0x31), "ORIGIN": _reading(0x32), "GASPRICE": _reading(0x3A),
    "EXTCODESIZE": _reading_one(0x3B), "EXTCODEHASH": _reading_one(0x3F), "BLOCKHASH": _reading_one(0x40),
    "COINBASE": _reading(0x41), "TIMESTAMP": _reading(0x42), "NUMBER": _reading(0x43), "DIFFICULTY": _reading(0x44),
    "PREVRANDAO": _reading(0x44), "GASLIMIT": _reading(0x45), "CHAINID": _reading(0x46),
    "SELFBALANCE": _reading(0x47), "BASEFEE": _reading(0x48),
    "BLOBHASH": _reading_one(0x49), "BLOBBASEFEE": _reading(0x4A), "SLOTNUM": _reading(0x4B),
    "SLOAD": _reading_one(0x54), "SSTORE": _writing(0x55), "TLOAD": _reading_one(0x5C), "TSTORE": _writing(0x5D),
    **{f"LOG{count}": _ethereum_log(count) for count in range(5)},
    "KECCAK256": _ethereum_keccak256, "SELFDESTRUCT": _ethereum_selfdestruct,
    "DUPN": _dupn, "SWAPN": _swapn, "EXCHANGE": _exchange,
    "EXTCODECOPY": _ethereum_extcodecopy, "RETURNDATACOPY": _ethereum_returndatacopy,
    "CALL": _calling(CallKind.CALL), "CALLCODE": _calling(CallKind.CALLCODE),
    "DELEGATECALL": _calling(CallKind.DELEGATECALL), "STATICCALL": _calling(CallKind.STATICCALL),
    "CREATE": _ethereum_create(salted=False), "CREATE2": _ethereum_create(salted=True),
})  # fmt: skip
"""Functions by mnemonic."""
