"""Random programs of accounts that run code, compared with Ethereum's Prague rules, as a recorded run (lab `accounts`).

A program is a few transactions, most of type 4, with valid and invalid authorizations. It uses accounts, contracts with
random code (storage, transient storage, all kinds of calls, reads of code and balances, logs, reverts, SELFDESTRUCT in
an account's name), precompiles, native actors and unassigned addresses. Each runs on both machines; then code, storage,
balances, nonces, logs and results must be equal. In the variant `fip`, delegated code calls no accounts, where FIP-0111
and EIP-7702 differ.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any, Final, cast

from bridge.ethereum.addresses import EthAddress, from_delegated, masked_id, to_filecoin
from bridge.ethereum.execution import EthereumExecution
from bridge.ethereum.transactions import (
    DYNAMIC_FEE,
    SET_CODE,
    Authorization,
    SignedTransaction,
    Transaction,
)
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.messages import set_code_message_from
from bridge.filecoin.parameters import unwrap_return
from bridge.filecoin.receipts import apply_and_call_result, entries_to_log
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.types import ActorID, ChainEpoch, TokenAmount
from hypervisor_labs.accounts import delegation_nonce
from lab_tests.random_programs import RandomPrograms, Shown
from localnet import Network
from localnet.accounts import Account, accounts
from localnet.state.controls import code_of, nonce_of, set_balance, set_code
from store.cid import EMPTY_ARRAY_CID
from store.keccak import keccak
from store.trees.kamt import Kamt

STAGES: Final = ("the same on both", "delegated an account", "ran code in its name")
VARIANTS: Final = ("fip", "eip")
KEYS: Final = accounts(count=5)
"""Keys of the accounts; the first two pay."""
PLAIN: Final = tuple(EthAddress(bytes([0xC0] * 19 + [place])) for place in range(3))
"""Contracts whose code calls accounts."""
LENT: Final = tuple(EthAddress(bytes([0xD0] * 19 + [place])) for place in range(3))
"""Contracts that accounts delegate to; in the variant `fip` they call no accounts."""
FRESH: Final = EthAddress(bytes(range(7, 27)))
IDENTITY: Final = EthAddress(bytes(19) + b"\4")
NATIVE: Final = masked_id(ActorID(7))
FUNDS: Final = 10**6
GAS: Final = 1 << 33
STATIC_GAS: Final = 1 << 38
"""Gas of a STATICCALL. Its callee writes, which uses up all of it under Ethereum's rules but not under Filecoin's."""
SLOTS: Final = (*range(6), 7)
MAX: Final = 3
"""Maximum depth of calls."""
_DELEGATED: Final = keccak(b"Delegated(address)")


@dataclass(frozen=True, slots=True)
class Side:
    """A machine under one set of rules."""

    network: Network
    machine: Hypervisor
    start: Snapshot

    @property
    def is_ethereum(self) -> bool:
        """True if these are Ethereum's rules."""
        return self.network.rules.name == "ethereum"


@cache
def side(rules: str) -> Side:
    """Return the machine, made once per process; epoch, time and chain ID are the same on all."""
    network = Network(rules=rules, hardfork="prague" if rules == "ethereum" else "", chain_id=31337)
    machine = network.machine
    for account in KEYS:
        set_balance(machine, account.delegated, TokenAmount(FUNDS))
    machine.advance(epoch=ChainEpoch(9), timestamp=1_700_000_000, base_fee=TokenAmount(0))
    if rules == "ethereum":
        machine.advance(block=_with_room(machine.context.block))
    return Side(network, machine, machine.snapshot())


def _with_room(block: Any) -> Any:
    return replace(block, gas_limit=1 << 50)


# --- code -------------------------------------------------------------------------------------------------------------


def _push(value: int) -> bytes:
    size = max(1, (value.bit_length() + 7) // 8)
    return bytes([0x5F + size]) + value.to_bytes(size, "big")


class Code:
    """Draws the code of a contract: with calldata of 0 it only stores its caller, else it executes some steps."""

    def __init__(self, random: Random, targets: tuple[EthAddress, ...], variant: str) -> None:
        self.random, self.targets, self.variant = random, targets, variant

    def draw(self) -> bytes:
        steps = b"".join(self.step() for _ in range(self.random.randrange(1, 6)))
        # mem[0] = calldata[0] - 1, or the end where that is 0
        body = bytes.fromhex("6001") + b"\x5f\x35\x03\x5f\x52" + steps + self.end()
        head = b"\x5f\x35\x15\x61"
        jump = len(head) + 3 + len(body)
        return head + jump.to_bytes(2, "big") + b"\x57" + body + b"\x5b" + b"\x33" + _push(7) + b"\x55\x00"

    def end(self) -> bytes:
        """Draw STOP, RETURN of a word, or REVERT; INVALID would only use up Ethereum's gas."""
        return self.random.choice(
            (b"\x00", b"\x00", b"\x00", b"\x60\x20\x5f\xf3", b"\x60\x20\x5f\xf3", b"\x60\x20\x5f\xfd", b"\x5f\x5f\xfd")
        )

    def value(self) -> bytes:
        """Draw words that push one word."""
        random = self.random
        address = _push(int.from_bytes(random.choice((*self.targets, NATIVE, IDENTITY)), "big"))
        known = _push(int.from_bytes(random.choice((*PLAIN, *LENT, *(key.address for key in KEYS))), "big"))
        own = b"\x30"
        return random.choice((
            _push(random.randrange(1, 9)), own, b"\x33", b"\x34", b"\x32", b"\x47", b"\x36", b"\x3d",  # RETURNDATASIZE
            known + b"\x31", known + b"\x3b", known + b"\x3f", own + b"\x3b", own + b"\x3f", own + b"\x31",
            known + b"\x5f\x60\x80\x52" + b"\x60\x17\x5f\x60\x80\x83\x3c" + b"\x50\x60\x80\x51",  # EXTCODECOPY
            _push(random.randrange(6)) + b"\x54", _push(random.randrange(3)) + b"\x5c", address,
        ))  # fmt: skip

    def step(self) -> bytes:
        random = self.random
        kind = random.randrange(10)
        if kind < 3:
            return self.value() + _push(random.randrange(6)) + b"\x55"
        if kind == 3:
            return self.value() + _push(random.randrange(3)) + b"\x5d"
        if kind == 4:
            return self.value() + b"\x60\x40\x52" + self.value() + b"\x60\x20\x60\x40\xa1"
        if kind == 5 and self.variant == "eip":  # SELFDESTRUCT, in an account's name alone
            beneficiary = _push(int.from_bytes(random.choice((FRESH, KEYS[0].address, *PLAIN)), "big"))
            skip = b"\x30\x3b\x60\x17\x14\x15"
            return skip + b"\x58" + _push(len(beneficiary) + 6) + b"\x01\x57" + beneficiary + b"\xff" + b"\x5b"
        return self.call() + _push(random.randrange(6)) + b"\x55"

    def call(self) -> bytes:
        """Draw a call with the word in memory as its calldata; the success flag is pushed."""
        random = self.random
        to = _push(int.from_bytes(random.choice(self.targets), "big"))
        kind = random.choice((0xF1, 0xF1, 0xF1, 0xFA, 0xF4))
        if kind == 0xF4 and self.variant == "fip":
            to = _push(int.from_bytes(random.choice(LENT), "big"))
        value = _push(random.choice((0, 0, 1, 50, FUNDS * 9))) if kind == 0xF1 else b""
        gas = _push(STATIC_GAS) if kind == 0xFA else b"\x5a"
        return b"\x60\x20\x60\x60\x60\x20\x5f" + value + to + gas + bytes([kind])


# --- programs ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Play:
    seed: int
    findings: list[str] = field(default_factory=list)
    delegated: bool = False
    ran: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """An authorization before it is signed: `nonce` relative to the next one; `spoilt` names its defect."""

    account: Account
    delegate: EthAddress
    nonce: int
    chain_id: int
    spoilt: str


class Program:
    """Draws code, transactions and authorizations."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.variant = VARIANTS[seed % 2]
        random, people = self.random, tuple(account.address for account in KEYS)
        lent = (*LENT, IDENTITY, FRESH) if self.variant == "fip" else (*LENT, *PLAIN, *people, IDENTITY, FRESH)
        self.codes = {address: Code(random, lent, self.variant).draw() for address in LENT}
        plain = (*LENT, *PLAIN, *people, *people, IDENTITY, FRESH)
        self.codes |= {address: Code(random, plain, self.variant).draw() for address in PLAIN}
        most = random.choice((1, 3, 6, 12))
        self.lenders: tuple[EthAddress, ...] = ()
        self.delegates = (*LENT * most, *(() if self.variant == "fip" else PLAIN), *self._odd())

    def _odd(self) -> tuple[EthAddress, ...]:
        """Return delegates without executable code: unassigned addresses, precompiles, native actors, accounts."""
        return (EthAddress(bytes(20)), FRESH, IDENTITY, *(account.address for account in KEYS))

    def wishes(self) -> list[Wish]:
        """Return the authorizations that accounts sign for one transaction."""
        random, people = self.random, list(KEYS)
        random.shuffle(people)
        count = random.choice((1, 1, 2, 3))
        signers = people[:count] if self.variant == "fip" else random.choices(people, k=count)
        found = [self.wish(account) for account in signers]
        self.lenders += tuple(wish.account.address for wish in found if wish.delegate in (*LENT, *PLAIN))
        return found

    def wish(self, account: Account) -> Wish:
        """Draw an authorization; most are valid."""
        random = self.random
        spoilt = random.choice(("",) * 16 + ("s", "parity", "r", "zero"))
        nonce = random.choice((0,) * 14 + (1, -1))
        return Wish(account, random.choice(self.delegates), nonce, random.choice((0, *(31337,) * 10, 314)), spoilt)

    def transaction(self) -> tuple[Account, EthAddress, int, bytes, list[Wish]]:
        """Draw sender, receiver, value, calldata, and authorizations."""
        random = self.random
        depth = random.randrange(MAX + 1)
        wishes = self.wishes() if random.random() < 0.6 else []
        sender = random.choice((*KEYS[:2], *KEYS[:2], *KEYS))
        people = tuple(account.address for account in KEYS)
        to = random.choice((*people, *people, *self.lenders * 10, *PLAIN, *LENT, FRESH))
        return sender, to, random.choice((0, 0, 3, 100)), depth.to_bytes(32, "big"), wishes


def signed(wish: Wish, nonce: int) -> Authorization:
    """Return the authorization signed at this nonce; a spoilt one is changed after signing."""
    item = wish.account.sign_authorization(
        wish.delegate, nonce + wish.nonce if nonce + wish.nonce >= 0 else 99, wish.chain_id
    )
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    if wish.spoilt == "s":
        return item._replace(s=order - item.s, y_parity=1 - item.y_parity)
    if wish.spoilt == "parity":
        return item._replace(y_parity=5)
    if wish.spoilt == "r":
        return item._replace(r=0)
    return item._replace(r=0, s=0) if wish.spoilt == "zero" else item


def base_nonces(here: Side, variant: str, sender: Account) -> dict[EthAddress, int]:
    """Return the accounts' nonces after the message's own nonce was counted."""
    own = variant == "fip" and not here.is_ethereum
    return {
        account.address: delegation_nonce(here.machine, account.address)
        if own
        else nonce_of(here.machine, account.delegated) + (account is sender)
        for account in KEYS
    }


def authorizations(here: Side, variant: str, sender: Account, wishes: list[Wish]) -> tuple[Authorization, ...]:
    """Sign the authorizations on this side; an account's nonces count its earlier valid authorizations."""
    nonces = base_nonces(here, variant, sender)
    found = []
    for wish in wishes:
        address = wish.account.address
        found.append(signed(wish, nonces[address]))
        good = not wish.spoilt and wish.chain_id in (0, 31337)
        nonces[address] += good and found[-1].nonce == nonces[address]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class End:
    """Return the end of a transaction in a form that both sides can produce."""

    succeeded: bool
    output: bytes
    logs: tuple[tuple[EthAddress, tuple[bytes, ...], bytes], ...]


def execute(
    here: Side, variant: str, sender: Account, to: EthAddress, value: int, data: bytes, wishes: list[Wish]
) -> End:
    """Execute a transaction on one side without fees."""
    machine = here.machine
    transaction = Transaction(
        SET_CODE if wishes else DYNAMIC_FEE,
        31337,
        nonce_of(machine, sender.delegated),
        to,
        value,
        data,
        1 << 49 if here.is_ethereum else GAS,
        0,
        0,
        authorizations=authorizations(here, variant, sender, wishes),
    )
    if here.is_ethereum:
        executor = cast(EthereumExecution, machine.executor)
        result = executor.apply_signed(SignedTransaction(transaction, 0, 0, 0), sender.address)
    else:
        result = machine.apply(set_code_message_from(transaction, sender.delegated))
    if result.fatal is not None:
        raise result.fatal
    exit_code, output = (result.exit_code, result.return_data)
    if wishes and not here.is_ethereum:
        assert not exit_code, result
        exit_code, output = apply_and_call_result(result.receipt)
    else:
        output = unwrap_return(output)
    return End(not exit_code, output if exit_code in (0, 33) else b"", tuple(_logs(machine, result.events)))


def _logs(
    machine: Hypervisor, events: tuple[StampedEvent, ...]
) -> Iterator[tuple[EthAddress, tuple[bytes, ...], bytes]]:
    for event in events:
        log, actor = entries_to_log(event.entries), machine.state_tree.get_actor(event.emitter)
        address = None if actor is None else from_delegated(actor.delegated_address)
        if log is not None and address is not None and log.topics != (_DELEGATED,):
            yield address, tuple(log.topics), log.data


def facts(here: Side, variant: str) -> dict[str, Any]:
    """Return everything that must be equal."""
    machine, found = here.machine, dict[str, Any]()
    for address in (*(account.address for account in KEYS), *PLAIN, *LENT, FRESH, IDENTITY):
        there, name = to_filecoin(address), f"0x{address.hex()}"
        found[f"balance {name}"] = int(machine.balance(there))
        found[f"code {name}"] = code_of(machine, there)
        found[f"storage {name}"] = _slots(machine, there)
    for account in KEYS:
        nonce = nonce_of(machine, account.delegated)
        own = variant == "fip" and not here.is_ethereum
        found[f"nonce 0x{account.address.hex()}"] = nonce + (delegation_nonce(machine, account.address) if own else 0)
    return found


def _slots(machine: Hypervisor, address: Address) -> dict[int, int]:
    """Return the nonzero words of a storage."""
    actor = machine.actor(address)
    if actor is None or actor.head == EMPTY_ARRAY_CID or actor.delegated_address is None:
        return {}
    tree = Kamt(machine.store, EvmState.decode(machine.store.get(actor.head)).storage)
    return {slot: word for slot in SLOTS if (word := tree.get(slot))}


def play(seed: int) -> Play:
    program, played = Program(seed), Play(seed)
    sides = side("ethereum"), side(f"lab:accounts={program.variant}")
    for here in sides:
        here.machine.restore(here.start)
        for address, code in program.codes.items():
            set_code(here.machine, address, code)
    for _ in range(program.random.randrange(3, 8)):
        sender, to, value, data, wishes = program.transaction()
        value = min(value, *(int(here.machine.balance(sender.delegated)) for here in sides))
        ends = [execute(here, program.variant, sender, to, value, data, wishes) for here in sides]
        if ends[0] != ends[1]:
            played.findings.append(_difference("end", ends[0], ends[1]))
        states = [facts(here, program.variant) for here in sides]
        for name in sorted(states[0].keys() | states[1].keys()):
            one, other = (state.get(name) for state in states)
            if one != other:
                played.findings.append(_difference(name, one, other))
        if played.findings:
            return played
        lent = [to_filecoin(account.address) for account in KEYS if states[1][f"code 0x{account.address.hex()}"]]
        played.delegated |= bool(lent)
        played.ran |= any(states[1][f"storage 0x{account.address.hex()}"] for account in KEYS)
    return played


def _difference(name: str, one: Any, other: Any) -> str:
    kind, _, rest = name.partition(" ")
    return f"{kind}: {rest} is {one!s:.300} by Ethereum's rules, and {other!s:.300} in the lab"


# --- many of them -----------------------------------------------------------------------------------------------------


def _shown(seed: int) -> Shown:
    played = play(seed)
    return played.findings, (played.delegated, played.ran)


PROGRAMS: Final = RandomPrograms(STAGES, _shown)
run = PROGRAMS.run

if __name__ == "__main__":
    sys.exit(PROGRAMS.main(__doc__))
