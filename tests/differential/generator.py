"""Random cases for the two machines, from a seed: two generated contracts, some fixed ones, and messages to them."""

from functools import cache
from random import Random
from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.types import Gas
from runtimes.evm.ethereum.alloc import AllocAccount
from tests.differential.grammar import THEMES, WORDS, Grammar
from tests.differential.twins import CallOf, Case
from tests.runtimes.evm.assembler import assemble, deployer

SENDER: Final = EthAddress(bytes.fromhex("e01e2bdd4f9a789002da086a6445ca6481c6864c"))
FIRST, SECOND = (EthAddress(bytes([0xC0 + index]) * 20) for index in range(2))
_HELPERS: Final = (
    "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 RETURN",
    "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 REVERT",
    "1 0 SLOAD ADD 0 SSTORE CALLER 0 MSTORE CALLVALUE 32 MSTORE 64 0 RETURN",
    "CALLER SELFDESTRUCT",
    "7 0 0 LOG1 7 7 TSTORE INVALID",
    "0 0 0 0 CALLVALUE CALLER GAS CALL 0 SSTORE",
)
"""Contracts that the generated ones call: echo, revert, count and name the caller, selfdestruct, fail, call back."""
_GAS_LIMIT: Final = Gas(120_000_000)
"""Gas for some sixty frames; an endless loop uses it up in a tenth of a second."""
_DEPLOYED: Final = 8
"""One case in this many creates its first contract by a message."""
_NOISE: Final = 40
"""One case in this many has random bytes as its first contract."""


@cache
def helpers() -> dict[EthAddress, AllocAccount]:
    """Return the fixed contracts by address."""
    return {
        EthAddress(bytes([0xD0 + index]) * 20): AllocAccount(1000, 1, assemble(code), {})
        for index, code in enumerate(_HELPERS)
    }


def generate(seed: int, index: int) -> Case:
    """Return the case of this number for this seed."""
    random = Random(f"{seed}:{index}")
    theme = random.choice([*THEMES])
    targets = (FIRST, SECOND, *helpers())
    codes = [assemble(Grammar(random, theme, targets).program()) for _ in range(2)]
    if random.randrange(_NOISE) == 0:
        codes[0] = random.randbytes(random.randrange(200))
    accounts = {
        SENDER: AllocAccount(10**24, random.randrange(3)),
        FIRST: AllocAccount(random.choice((0, 7, 10**18)), 1, codes[0], _slots(random)),
        SECOND: AllocAccount(7, 1, codes[1], {}),
        **helpers(),
    }
    calls = [_call(random) for _ in range(2)]
    if random.randrange(_DEPLOYED) == 0:
        calls.insert(0, CallOf(SENDER, None, random.choice((deployer(codes[0]), codes[0])), random.choice((0, 9))))
    return Case(f"{seed}:{index}", theme, accounts, calls, _GAS_LIMIT)


def _slots(random: Random) -> dict[int, int]:
    keys = random.sample((0, 1, 31, 1 << 128, (1 << 255) + 1), random.randrange(4))
    return {key: random.choice((1, 7, *WORDS[-4:])) for key in keys}


def _call(random: Random) -> CallOf:
    data = random.randbytes(random.choice((0, 4, 32, 36, 64, 68, 96)))
    return CallOf(SENDER, random.choice((FIRST, FIRST, FIRST, SECOND)), data, random.choice((0, 0, 0, 5)))
