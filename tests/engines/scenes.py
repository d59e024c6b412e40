"""Inputs of the engine comparison: batches of contracts that may call each other, and a transaction for each contract.

Everything is drawn from the seed and the batch's number. Every transaction starts from the batch's initial state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, create2_address
from bridge.ethereum.transactions import DELEGATION_PREFIX, Authorization
from hypervisor.messages.signatures import public_key, sign
from hypervisor.types import MAX_BALANCE
from hypervisor.versions.network_versions import network_version
from runtimes.evm.blocks.alloc import AllocAccount
from runtimes.evm.contracts.engine import EngineRules
from runtimes.evm.contracts.rules import filecoin_evm_rules
from runtimes.evm.forks.forks import FORKS, LATEST_FORK
from store.keccak import keccak
from tests.differential.grammar import SENDER, THEMES, WORDS, helpers
from tests.engines.grammar import COLLISIONS, INITS, futures, program
from tests.runtimes.evm.assembler import assemble

FILECOIN: Final = ("nv28", "nv24")
ETHEREUM: Final = ("Cancun", "Prague", "Osaka", "Amsterdam")
"""Forks whose opcodes appear in programs; official state tests cover the older ones."""
RULES: Final = (*ETHEREUM[:1] * 3, *ETHEREUM[1:], ETHEREUM[-1], *FILECOIN)
"""Rules of the batches, in turn: pyrevm supports the oldest fork, and the newest is the least tested."""
MODES: Final = 4
"""Execution modes of the batches, in turn: with a tracer that sees each instruction; unrestricted; with an interceptor;
and unrestricted, with Filecoin's addresses if the rules have them.
"""
SIZE: Final = 25
"""Number of programs per batch."""
COINBASE: Final = EthAddress(b"\xc0" * 20)
_GAS: Final = (24_000, 28_000, 36_000, 55_000, 100_000, 100_000, 250_000, 250_000, 2_000_000, 2_000_000)
NOTHING: Final = EthAddress(b"\xe0" * 20)
"""An account without balance, nonce and code."""
_IDENTITY: Final = EthAddress(bytes(19) + b"\4")
_OCCUPIED: Final = 24
"""Accounts at addresses of contracts that may be created."""
_KEYS_OF_SIGNERS: Final = tuple(bytes([number]) * 32 for number in (1, 2, 3))
_KEYS: Final = (0, 1, 2, 31, 1 << 128, (1 << 255) + 1)
_OFTEN: Final = ("mixed", "calls", "calls", "calls", "creation", "creation", "precompiles", *[COLLISIONS] * 6)
_LISTED_GAS: Final = 2400
"""Gas of an address in an access list, which is at least that of a slot."""
_CREATION_GAS: Final = 40_000
_STATE_GAS: Final = (400_000, 1_000_000, (1 << 24) + 60_000, (1 << 24) + 500_000)
"""More gas limits for rules with state gas; a part above 2^24 is its reservoir."""
_FILECOIN_GAS: Final = (20_000_000, 60_000_000)


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to a contract, or init code if `to` is None. Value in wei (attoFIL).

    `listed` is its access list: addresses with slots; `authorizations` are those of EIP-7702.
    """

    to: EthAddress | None
    data: bytes
    value: int
    gas_limit: int
    listed: tuple[tuple[EthAddress, tuple[int, ...]], ...] = ()
    authorizations: tuple[Authorization, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts and transactions under one set of rules.

    With `framed`, Python runs the frames; with `intercepted`, the kernel makes the calls; with `filecoin`, masked IDs
    and Filecoin's precompiles exist under Ethereum's rules, too.
    """

    name: str
    rules: str
    framed: bool
    accounts: Mapping[EthAddress, AllocAccount]
    calls: tuple[Call, ...]
    filecoin: bool = False
    intercepted: bool = False
    compiled: bool = False
    """True if a session has compiled all code before it runs."""


@cache
def rules_by_name(name: str) -> EngineRules:
    """Return the rules of a fork, or of a network version such as `nv28`."""
    return FORKS[name] if name in FORKS else filecoin_evm_rules(network_version(int(name.removeprefix("nv"))))


def batch(seed: int, number: int) -> Batch:
    random = Random(f"{seed}:{number}")
    rules = RULES[number % len(RULES)]
    ethereum = rules in ETHEREUM
    places = [EthAddress(bytes([0xA0, index]) * 10) for index in range(SIZE)]
    targets = (*places, *helpers())
    makers, made = _makers(random)
    later = (*made, *made, *made, *futures(random.sample(places, 2)))
    accounts = {SENDER: AllocAccount(10**24), **helpers(), **makers, **_unusual(random, rules, made)}
    if ethereum:
        accounts.update(_occupied(random, rules, futures(random.sample(places, 8))))
    for place in places:
        drawn = (*random.sample(places, 4), *helpers(), *_delegates(rules), *signers(rules), *makers, NOTHING)
        theme = random.choice((*THEMES, *_OFTEN))
        code = program(random, theme, drawn, ethereum, rules_by_name(rules), (*futures((place,)), *later))
        balance = random.choice((0, 7, 10**18) if rules not in ETHEREUM[1:] else (0, 7, 10**18, MAX_BALANCE - 3))
        accounts[place] = AllocAccount(balance, 1, code, _slots(random, rules))
    for place in _delegates(rules):
        lent = random.choice((*targets, *targets, *_delegates(rules), *later, NOTHING, _IDENTITY))
        accounts[place] = AllocAccount(random.choice((0, 9)), 1, DELEGATION_PREFIX + lent, {})
    calls = tuple(_call(random, rules, place, accounts) for place in places)
    mode = (number + number // len(RULES)) % MODES
    filecoin = rules in ETHEREUM[1:] and mode == MODES - 1
    intercepted = ethereum and mode == 2
    compiled = mode == MODES - 1 and random.randrange(2) == 0
    return Batch(f"{seed}:{number}", rules, mode == 0, accounts, calls, filecoin, intercepted, compiled)


def _makers(random: Random) -> tuple[dict[EthAddress, AllocAccount], tuple[EthAddress, ...]]:
    """Return contracts that create another (always the same) and call it, and the addresses of those."""
    makers, made = {}, []
    for number in range(3):
        place, init = EthAddress(bytes([0xEA, number]) * 10), random.choice(INITS)
        create = f"0x{init.hex() or 0} 0 MSTORE {number} {len(init)} {32 - len(init)} {number} CREATE2 DUP1 64 MSTORE"
        makers[place] = AllocAccount(20, 1, assemble(f"{create} 32 0 0 0 1 64 MLOAD GAS CALL 32 MSTORE 96 0 RETURN"))
        made.append(create2_address(place, number.to_bytes(32, "big"), init))
    return makers, tuple(made)


def _unusual(random: Random, rules: str, later: Sequence[EthAddress]) -> dict[EthAddress, AllocAccount]:
    """Return empty accounts, and some with a balance or slots at future contract addresses; slots prevent creation."""
    rich, written = random.sample(later, 2)
    found = {NOTHING: AllocAccount(), rich: AllocAccount(9)}
    if rules not in ETHEREUM:
        return {rich: AllocAccount(9)}
    if rules in ETHEREUM[1:]:
        found[written] = AllocAccount(0, 0, b"", {1: 1})  # EIP-7610, which pyrevm does not know
        for signer in signers(rules):
            if random.randrange(3):
                found[signer] = AllocAccount(random.choice((0, 9)), random.randrange(2))
    return found


def _occupied(random: Random, rules: str, later: Sequence[EthAddress]) -> dict[EthAddress, AllocAccount]:
    """Return accounts at addresses of future contracts, most of which prevent the creation."""
    kinds = [AllocAccount(3), AllocAccount(0, 1), AllocAccount(0, 0, b"\0"), AllocAccount(0, 1, assemble("1 1 SSTORE"))]
    if rules in ETHEREUM[1:]:
        kinds += (
            AllocAccount(MAX_BALANCE),
            AllocAccount(0, 0, b"", {1: 1}),
            AllocAccount(3, 1, DELEGATION_PREFIX + _IDENTITY),
        )
    return {place: random.choice(kinds) for place in random.sample(later, _OCCUPIED)}


def _delegates(rules: str) -> tuple[EthAddress, ...]:
    """Return accounts that delegate to another's code, if the rules support it."""
    return () if rules not in ETHEREUM[1:] else tuple(EthAddress(bytes([0xDE, index]) * 10) for index in range(3))


@cache
def signers(rules: str) -> tuple[EthAddress, ...]:
    """Return accounts with known keys for authorizations, if the rules support them."""
    return (
        tuple(EthAddress(keccak(public_key(key)[1:])[-20:]) for key in _KEYS_OF_SIGNERS)
        if rules in ETHEREUM[1:]
        else ()
    )


def _slots(random: Random, rules: str) -> dict[int, int]:
    """Return slots; pyrevm treats only the first slot of an account as present before the transaction."""
    most = 2 if rules == ETHEREUM[0] else 4
    keys = random.sample(_KEYS, random.randrange(most)) if random.randrange(most) else []
    return {key: random.choice((1, 7, *WORDS[-4:])) for key in keys}


def _call(random: Random, rules: str, place: EthAddress, accounts: Mapping[EthAddress, AllocAccount]) -> Call:
    data = random.randbytes(random.choice((0, 4, 32, 36, 64, 68, 96)))
    value = random.choice((0, 0, 0, 5))
    if rules not in ETHEREUM:
        return Call(place, data, value, random.choice(_FILECOIN_GAS))
    listed = _listed(random, rules, accounts)
    limits = _GAS + _STATE_GAS * 2 if FORKS[rules].execution_gas_cap else _GAS
    gas = random.choice(limits) + sum(_LISTED_GAS + _LISTED_GAS * len(slots) for _, slots in listed)
    if rules in ETHEREUM[1:] and random.randrange(6) == 0:
        signed = tuple(_authorization(random, accounts) for _ in range(random.randint(1, 3)))
        to = random.choice((place, place, *signers(rules)))
        return Call(to, data, value, gas + LATEST_FORK.authorization * len(signed), listed, signed)
    if rules in ETHEREUM[1:] and random.randrange(12) == 0:
        return Call(random.choice((*_delegates(rules), NOTHING, _IDENTITY)), data, value, gas, listed)
    if random.randrange(12) == 0:
        return Call(None, accounts[place].code, value, gas + _CREATION_GAS, listed)
    return Call(place, data, value, gas, listed)


def _authorization(random: Random, accounts: Mapping[EthAddress, AllocAccount]) -> Authorization:
    number = random.randrange(len(_KEYS_OF_SIGNERS))
    signer = signers(ETHEREUM[-1])[number]
    nonce = accounts.get(signer, AllocAccount()).nonce + random.choice((0, 0, 0, 0, 1))
    lent = random.choice((*accounts, ZERO_ADDRESS, _IDENTITY))
    unsigned = Authorization(random.choice((0, 1, 1, 2)), lent, nonce, 0, 0, 0)
    signature = sign(_KEYS_OF_SIGNERS[number], unsigned.digest())
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    return unsigned._replace(y_parity=signature[64], r=r, s=s)


def _listed(
    random: Random, rules: str, accounts: Mapping[EthAddress, AllocAccount]
) -> tuple[tuple[EthAddress, tuple[int, ...]], ...]:
    """Return an access list; under pyrevm's rules it contains all accounts with slots, which pyrevm treats as warm."""
    if rules == ETHEREUM[0]:
        chosen = [place for place, account in accounts.items() if account.storage]
    else:
        chosen = random.sample([*accounts], random.choice((0, 0, 0, 1, 3)))
    return tuple((place, tuple(random.sample(_KEYS, random.choice((0, 0, 1, 2))))) for place in chosen)
