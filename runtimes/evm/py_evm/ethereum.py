"""The opcodes that differ under Ethereum's rules, or exist only there.

Memory is extended for all regions of an opcode, and charged, before anything else; the balance and depth for a call or
creation are checked after its price is charged, when it is executed.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from bridge.ethereum.addresses import word_to_address
from runtimes.evm.engine import BlobHost, CallInputs, CallKind, CreateInputs, Status, SubcallInputs
from runtimes.evm.py_evm.computation import FrameComputation, FrameError
from runtimes.evm.py_evm.opcodes import OPCODE_FUNCTIONS, require_writable

_NO_DEPTH: Final = range(91, 128)
_NO_PAIR: Final = range(82, 128)
"""Invalid operands. In older code these bytes are JUMPDEST and pushes, whose meaning must not change (EIP-8024)."""
_DEPTH_OFFSET: Final = 145


def _host(frame: FrameComputation) -> BlobHost:
    return cast(BlobHost, frame.host)


def _blobhash(frame: FrameComputation) -> None:
    # STACK
    index = frame.stack_pop1_int()
    # GAS: static
    # OPERATION
    frame.stack_push_bytes(_host(frame).get_blob_hash(index))
    # PROGRAM COUNTER: next


def _blobbasefee(frame: FrameComputation) -> None:
    # STACK: none
    # GAS: static
    # OPERATION
    frame.stack_push_int(_host(frame).get_blob_base_fee())
    # PROGRAM COUNTER: next


def _slotnum(frame: FrameComputation) -> None:
    # STACK: none
    # GAS: static
    # OPERATION
    frame.stack_push_int(_host(frame).get_slot_number())
    # PROGRAM COUNTER: next


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
    # GAS
    frame.extend_memory(start, size)
    frame.pay_for_copy(size)
    code = frame.host.copy_code(word_to_address(address))
    # OPERATION
    frame.write(start, size, code[code_start : code_start + size])
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
    "BLOBHASH": _blobhash, "BLOBBASEFEE": _blobbasefee, "SLOTNUM": _slotnum,
    "DUPN": _dupn, "SWAPN": _swapn, "EXCHANGE": _exchange,
    "EXTCODECOPY": _ethereum_extcodecopy, "RETURNDATACOPY": _ethereum_returndatacopy,
    "CALL": _calling(CallKind.CALL), "CALLCODE": _calling(CallKind.CALLCODE),
    "DELEGATECALL": _calling(CallKind.DELEGATECALL), "STATICCALL": _calling(CallKind.STATICCALL),
    "CREATE": _ethereum_create(salted=False), "CREATE2": _ethereum_create(salted=True),
})  # fmt: skip
"""Functions by mnemonic."""
