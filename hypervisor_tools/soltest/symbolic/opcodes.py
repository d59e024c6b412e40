"""The opcodes, except those that leave a frame (`calls`).

A handler gets the path and its operands, the stack's top first. It asks for decisions before it changes anything,
because the instruction is repeated on each side of one. Rules: those of Ethereum's newest fork, without gas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import z3

from hypervisor_tools.soltest.symbolic.inputs import number_of
from hypervisor_tools.soltest.symbolic.path import Halt, Path
from hypervisor_tools.soltest.symbolic.words import (
    OPERATIONS,
    Byte,
    Data,
    NotModelled,
    Word,
    bytes_of_word,
    concrete,
    joined,
    operate,
    power,
    slice_of,
    truth,
    word_at,
    word_of,
)
from store.keccak import keccak

Handler = Callable[..., Word | None]
MAX_STACK: Final = 1024


def place(path: Path, at: Word, size: Word, what: str) -> tuple[int, int]:
    """Return a range of memory as numbers, and allocate it. Raises Fork, NotModelled."""
    length = path.number(size, f"size of {what}")
    if not length:
        return 0, 0
    start = path.number(at, f"offset of {what}")
    path.frame.reserve(start, length)
    return start, length


def memory(path: Path, at: Word, size: Word, what: str) -> list[Byte]:
    """Return bytes of memory."""
    start, length = place(path, at, size, what)
    return path.frame.memory[start : start + length]


def _copy(path: Path, to: Word, data: Data, at: Word, size: Word, what: str) -> None:
    start, length = place(path, to, size, what)
    if not length:
        return
    begin = path.number(at, f"source of {what}")
    path.frame.memory[start : start + length] = slice_of(data, begin, length)


def _mload(path: Path, at: Word) -> Word:
    start, _ = place(path, at, 32, "MLOAD")
    return word_at(path.frame.memory, start)


def _mstore(path: Path, at: Word, word: Word) -> None:
    start, _ = place(path, at, 32, "MSTORE")
    path.frame.memory[start : start + 32] = bytes_of_word(word)


def _mstore8(path: Path, at: Word, word: Word) -> None:
    start, _ = place(path, at, 1, "MSTORE8")
    path.frame.memory[start] = bytes_of_word(word)[31]


def _mcopy(path: Path, to: Word, at: Word, size: Word) -> None:
    part = memory(path, at, size, "MCOPY")
    start, length = place(path, to, size, "MCOPY")
    path.frame.memory[start : start + length] = part


def _hash(path: Path, at: Word, size: Word) -> Word:
    return path.hash(memory(path, at, size, "KECCAK256"))


def _calldataload(path: Path, at: Word) -> Word:
    data = path.frame.calldata
    if isinstance(at, int):
        return word_at(data, at)
    return word_at(data, min(path.number(at, "offset of CALLDATALOAD"), len(data)))


def _returndatacopy(path: Path, to: Word, at: Word, size: Word) -> None:
    data = path.frame.returned
    length, begin = path.number(size, "size of RETURNDATACOPY"), path.number(at, "source of RETURNDATACOPY")
    if begin + length > len(data):
        raise Halt("return data are read beyond their end")
    _copy(path, to, data, begin, length, "RETURNDATACOPY")


def _extcodecopy(path: Path, address: Word, to: Word, at: Word, size: Word) -> None:
    _copy(path, to, _code(path, address, "EXTCODECOPY"), at, size, "EXTCODECOPY")


def account_number(path: Path, address: Word) -> int:
    """Return the account at the address in a word. Raises Fork, NotModelled."""
    return path.account_number(operate(0x16, address, (1 << 160) - 1))


def _code(path: Path, address: Word, what: str) -> Data:
    number = account_number(path, address)
    if is_special(number):
        raise NotModelled(f"{what} of {special_name(number)}")
    return path.account(number).code.data


def is_special(address: int) -> bool:
    """Return True for Ethereum's precompiles, and for the addresses of Filecoin's precompiles and actors."""
    is_filecoin_precompile = address >> 152 == 0xFE and address & ((1 << 152) - 1) < 0x100
    return 0 < address <= 0x1FF or is_filecoin_precompile or address >> 64 == 0xFF << 88


def special_name(address: int) -> str:
    """Return the name of a precompile or Filecoin address in messages."""
    if address <= 0x1FF:
        return f"the precompile {address:#x}"
    return f"Filecoin's {'precompile' if address >> 152 == 0xFE else 'actor'} {address:#042x}"


def _extcodehash(path: Path, address: Word) -> Word:
    code = concrete(_code(path, address, "EXTCODEHASH"))
    if not code:
        raise NotModelled(f"EXTCODEHASH of {'code with symbolic bytes' if code is None else 'an account without code'}")
    return int.from_bytes(keccak(code), "big")


def _balance(path: Path, address: Word) -> Word:
    number = account_number(path, address)
    if number > 0x1FF and is_special(number):
        raise NotModelled(f"BALANCE of {special_name(number)}")
    return path.account(number).balance


def _origin(path: Path) -> Word:
    if any(prank.origin is not None for prank in path.pranks.values()):
        raise NotModelled("ORIGIN during a prank of the origin")
    return path.frame.origin


def _sload(path: Path, key: Word) -> Word:
    return path.account(path.frame.address).storage.read(key, path.hashes.same)


def _sstore(path: Path, key: Word, word: Word) -> None:
    _check_static(path)
    path.account(path.frame.address).storage.write(key, word)


def _tload(path: Path, key: Word) -> Word:
    return path.account(path.frame.address).transient.read(key, path.hashes.same)


def _tstore(path: Path, key: Word, word: Word) -> None:
    _check_static(path)
    path.account(path.frame.address).transient.write(key, word)


def _check_static(path: Path) -> None:
    if path.frame.static:
        raise Halt("a static call changes state")


def _jump(path: Path, to: Word) -> None:
    _jump_to(path, path.number(to, "jump target"))


def _jump_to(path: Path, target: int) -> None:
    code = path.frame.code
    if target not in code.jumps:
        if code.known <= target < len(code.data):
            raise NotModelled("a jump into code with symbolic opcodes")
        raise Halt("invalid jump destination")
    path.frame.pc = target


def _jumpi(path: Path, to: Word, holds: Word) -> None:
    if path.decide(truth(holds)):
        _jump_to(path, path.number(to, "jump target"))


def _log(topics: int) -> Handler:
    def log(path: Path, at: Word, size: Word, *_: Word) -> None:
        _check_static(path)
        place(path, at, size, f"LOG{topics}")

    return log


def _unsupported(name: str) -> Handler:
    def refuse(_path: Path, *_: Word) -> None:
        raise NotModelled(f"the opcode {name}")

    return refuse


_GAS: Final = "gas"
"""Prefix of the names of symbolic words for remaining gas."""


def _gas(_path: Path) -> Word:
    return number_of(32, name=_GAS)


def is_all_gas(word: Word) -> bool:
    """Return True if a call passes all remaining gas, so that its callee cannot run out of gas."""
    if isinstance(word, int):
        return word >= 1 << 30
    last = word.arg(1) if z3.is_app_of(word, z3.Z3_OP_CONCAT) and word.num_args() == 2 else word
    return bool(z3.is_const(last) and last.decl().name().startswith(f"{_GAS}!"))


def _arithmetic(opcode: int) -> Handler:
    return lambda _path, *operands: operate(opcode, *operands)


HANDLERS: Final[dict[int, tuple[int, Handler]]] = {
    **{opcode: (row[0], _arithmetic(opcode)) for opcode, row in OPERATIONS.items()},
    0x14: (2, lambda path, left, right: word_of(path.hashes.same_word(left, right))),
    0x0A: (2, lambda _path, base, exponent: power(base, exponent)),
    0x20: (2, _hash),
    0x30: (0, lambda path: path.frame.address),
    0x31: (1, _balance),
    0x32: (0, _origin),
    0x33: (0, lambda path: path.frame.caller),
    0x34: (0, lambda path: path.frame.value),
    0x35: (1, _calldataload),
    0x36: (0, lambda path: len(path.frame.calldata)),
    0x37: (3, lambda path, to, at, size: _copy(path, to, path.frame.calldata, at, size, "CALLDATACOPY")),
    0x38: (0, lambda path: len(path.frame.code.data)),
    0x39: (3, lambda path, to, at, size: _copy(path, to, path.frame.code.data, at, size, "CODECOPY")),
    0x3A: (0, _unsupported("GASPRICE")),
    0x3B: (1, lambda path, address: len(_code(path, address, "EXTCODESIZE"))),
    0x3C: (4, _extcodecopy),
    0x3D: (0, lambda path: len(path.frame.returned)),
    0x3E: (3, _returndatacopy),
    0x3F: (1, _extcodehash),
    0x40: (1, _unsupported("BLOCKHASH")),
    0x41: (0, lambda path: path.block.coinbase),
    0x42: (0, lambda path: path.block.timestamp),
    0x43: (0, lambda path: path.block.number),
    0x44: (0, lambda path: path.block.randomness),
    0x45: (0, lambda path: path.block.gas_limit),
    0x46: (0, lambda path: path.block.chain_id),
    0x47: (0, lambda path: path.account(path.frame.address).balance),
    0x48: (0, lambda path: path.block.base_fee),
    0x49: (1, _unsupported("BLOBHASH")),
    0x4A: (0, _unsupported("BLOBBASEFEE")),
    0x50: (1, lambda _path, _word: None),
    0x51: (1, _mload),
    0x52: (2, _mstore),
    0x53: (2, _mstore8),
    0x54: (1, _sload),
    0x55: (2, _sstore),
    0x56: (1, _jump),
    0x57: (2, _jumpi),
    0x59: (0, lambda path: len(path.frame.memory)),
    0x5A: (0, _gas),
    0x5B: (0, lambda _path: None),
    0x5C: (1, _tload),
    0x5D: (2, _tstore),
    0x5E: (3, _mcopy),
    **{0xA0 + topics: (2 + topics, _log(topics)) for topics in range(5)},
    0xFF: (1, _unsupported("SELFDESTRUCT")),
}
"""Number of operands and handler by opcode."""


def push(path: Path, word: Word) -> None:
    """Push a word on the stack of the running frame. Raises Halt."""
    if len(path.frame.stack) >= MAX_STACK:
        raise Halt("stack overflow")
    path.frame.stack.append(word)


def run_simple(path: Path, opcode: int) -> bool:
    """Run PUSH, DUP, SWAP or PC; return False for any other opcode."""
    frame = path.frame
    stack, at = frame.stack, frame.pc
    if 0x5F <= opcode <= 0x7F:
        size = opcode - 0x5F
        push(path, joined(slice_of(frame.code.data, at + 1, size)) if size else 0)
        frame.pc = at + 1 + size
        return True
    if opcode == 0x58:
        push(path, at)
    elif 0x80 <= opcode <= 0x8F:
        depth = opcode - 0x7F
        if len(stack) < depth:
            raise Halt("stack underflow")
        push(path, stack[-depth])
    elif 0x90 <= opcode <= 0x9F:
        depth = opcode - 0x8E
        if len(stack) < depth:
            raise Halt("stack underflow")
        stack[-1], stack[-depth] = stack[-depth], stack[-1]
    else:
        return False
    frame.pc = at + 1
    return True
