"""Cases for differences of the first EVM actors: creations, contracts that die during execution, direct method calls.

`generator` rarely draws these. Differences between versions: builtin-actors 1291 (creations), 1434 (tombstones), and
the dispatch of v11 and v12 (parameters and codecs).
"""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.filecoin.parameters import DelegateCallParams
from hypervisor.types import TokenAmount
from runtimes.evm.blocks.alloc import AllocAccount
from store.cid import RAW, cid_of
from tests.differential.grammar import FIRST, SECOND, SENDER, helpers
from tests.differential.twins import CallOf, Case
from tests.runtimes.evm.assembler import assemble, deployer

_CODES: Final = (
    assemble("CALLER SELFDESTRUCT"), b"", assemble("CALLER 0 MSTORE CALLVALUE 32 MSTORE 0 SLOAD 64 MSTORE 96 0 RETURN"),
    assemble("0 SLOAD 1 ADD 0 SSTORE CALLDATASIZE 0 MSTORE 32 0 RETURN"), assemble("0xdead 0 MSTORE 32 0 REVERT"),
)  # fmt: skip
_INIT_CODES: Final = (
    b"", assemble("0 0 RETURN"), assemble("STOP"), deployer(assemble("CALLER SELFDESTRUCT")), assemble("INVALID"),
    assemble("0xdeadbeef 0 MSTORE 37 0 REVERT"), assemble("0 0 REVERT"), assemble("32 0 REVERT"),
    assemble("0xef 0 MSTORE8 1 0 RETURN"), assemble("25000 0 RETURN"), assemble("CALLER SELFDESTRUCT"),
    assemble("7 0 SSTORE 1 0 MSTORE 100 0 REVERT"),
)  # fmt: skip
"""Creations that succeed, fail, and revert with and without data."""
_SEE: Final = "RETURNDATASIZE 0 8192 RETURNDATACOPY RETURNDATASIZE 8160 MSTORE RETURNDATASIZE 40 ADD 8160 LOG0"
"""Code that logs the return data and its size."""
_ECHO: Final = int.from_bytes(next(iter(helpers())), "big")


def older_case(seed: int, index: int) -> Case:
    """Return the case of this number for this seed."""
    random = Random(f"older {seed}:{index}")
    theme = [*_THEMES][index % len(_THEMES)]
    accounts, calls = _THEMES[theme](random)
    everyone = {SENDER: AllocAccount(10**24), **accounts, **helpers()}
    return Case(f"older {seed}:{index}", theme, everyone, calls)


_Drawn = tuple[Mapping[EthAddress, AllocAccount], list[CallOf]]


def _creations(random: Random) -> _Drawn:
    """Draw a few creations, some after a call with return data, each followed by a log of the return data."""
    parts = []
    for _ in range(random.randrange(1, 5)):
        if random.randrange(2):
            parts.append(f"0 0 {random.choice((0, 1, 45))} 0 0 {_ECHO} GAS CALL POP")
        parts += [_creation(random), "0 MSTORE", _SEE, "MSIZE 0 MSTORE 32 0 LOG0"]
    code = assemble(" ".join(parts))
    return {FIRST: AllocAccount(9, 1, code)}, [CallOf(SENDER, FIRST), CallOf(SENDER, FIRST)]


def _creation(random: Random) -> str:
    code = random.choice(_INIT_CODES)
    bytes_in = " ".join(f"{byte} {place} MSTORE8" for place, byte in enumerate(code))
    start, size = random.choice([(0, len(code))] * 5 + [(1 << 40, 1), (1 << 70, 0), (20_000, 5)])
    value = random.choice((0, 0, 0, 1, 9, 10, 1 << 200))
    salt, name = random.choice((("", "CREATE"), ("5", "CREATE2"), ("5", "CREATE2")))
    return f"{bytes_in} {salt} {size} {start} {value} {name}"


def _deaths(random: Random) -> _Drawn:
    """Draw a contract that is destroyed by a frame that it has called, and continues."""
    before = random.choice(("", "1 1 SSTORE", "0 0 0 CREATE POP"))
    dies = random.choice((
        "0 0 1 0 0 ADDRESS GAS CALL POP", "0 0 1 0 ADDRESS GAS DELEGATECALL POP", "0 0 2 0 0 ADDRESS GAS CALL POP",
        "0 0 1 0 0 ADDRESS GAS CALL POP 0 0 2 0 0 ADDRESS GAS CALL POP",
    ))  # fmt: skip
    after = random.choice((
        "", "2 2 SSTORE", "0 0 0 CREATE POP", "1 1 SSTORE", "0 0 2 0 0 ADDRESS GAS CALL POP", "0 0 REVERT",
        "0 0 2 0 ADDRESS GAS STATICCALL POP", "CALLER SELFDESTRUCT", "ADDRESS SELFDESTRUCT", "0 1 SSTORE",
    ))  # fmt: skip
    heir = random.choice(("CALLER", "ORIGIN", "ADDRESS", "0x1234"))
    code = assemble(
        f"1 CALLDATASIZE EQ @die JUMPI 2 CALLDATASIZE EQ @write JUMPI 3 CALLDATASIZE EQ @see JUMPI "
        f"{before} {dies} {after} @see JUMP die: {heir} SELFDESTRUCT write: 3 SLOAD 1 ADD 3 SSTORE STOP "
        "see: ADDRESS EXTCODESIZE 0 MSTORE 1 SLOAD 32 MSTORE 2 SLOAD 64 MSTORE 3 SLOAD 96 MSTORE 128 0 RETURN"
    )
    calls = [CallOf(SENDER, FIRST, bytes(random.choice((0, 0, 3)))) for _ in range(2)]
    return {FIRST: AllocAccount(10**18, 1, code)}, [CallOf(SENDER, FIRST), *calls, CallOf(SENDER, FIRST, bytes(3))]


def _questions(random: Random) -> _Drawn:
    """Draw calls of EVM actor methods by an account, the system or the contract itself, with and without parameters."""
    code = random.choice(_CODES)
    other = random.choice([code for code in _CODES if code])
    delegate = DelegateCallParams(cid_of(other, RAW), b"\x01", SENDER, TokenAmount(3)).encode()
    params = (b"", b"\x40", b"\x80", b"\xf6", b"\x43abc", b"\x81\x40", b"\x1c", delegate, delegate, delegate[:-1])
    accounts = {FIRST: AllocAccount(5, 1, code, {0: 7}), SECOND: AllocAccount(5, 1, other)}
    calls = [CallOf(SENDER, FIRST)] if random.randrange(2) else []
    for _ in range(6):
        method = random.choice((3, 3, 4, 4, 5, 6, 6, 6, 1, 2, 7, 1023, 1024))
        asks = random.choice((FIRST, FIRST, SENDER, ZERO_ADDRESS) if method == 6 else (SENDER, SECOND, ZERO_ADDRESS))
        calls.append(CallOf(asks, FIRST, random.choice(params), method=method))
    return accounts, calls


_THEMES: Final[Mapping[str, Callable[[Random], _Drawn]]] = MappingProxyType(
    {"creations": _creations, "deaths": _deaths, "questions": _questions}
)
