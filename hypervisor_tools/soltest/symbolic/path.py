"""A path of a symbolic test: its call frames, accounts, storage, constraints and decisions.

Storage of a contract has the written words over the initial ones, with symbolic keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

import z3

from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, CREATE2_DEPLOYER, VM_ADDRESS
from hypervisor_tools.soltest.execution.results import SVM
from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
from hypervisor_tools.soltest.symbolic.hashes import MAX_HASHES, Hashes
from hypervisor_tools.soltest.symbolic.solver import Solver
from hypervisor_tools.soltest.symbolic.words import (
    BITS,
    Byte,
    Condition,
    Data,
    NotModelled,
    Word,
    choose,
    condition,
    equal,
    negation,
    slice_of,
    term,
    word_at,
)
from store.keccak import keccak

Same = Callable[[Word, Word], Condition]
"""Returns the condition under which two keys are equal."""


@dataclass(slots=True)
class Storage:
    """Words by key. `initial` are the words at the start of the test; with `array`, all other slots are symbolic."""

    initial: Mapping[int, int] = field(default_factory=dict)
    array: Any = None
    asked: list[Word] = field(default_factory=list)
    """Keys of the symbolic slots that were read, shared by all copies."""
    _written: dict[tuple[str, int], tuple[Word, Word]] = field(default_factory=dict)
    """Keys and words, oldest first, by the identity of the key."""

    def copy(self) -> Storage:
        """Return an independent copy."""
        return Storage(self.initial, self.array, self.asked, dict(self._written))

    def changes(self) -> list[tuple[Word, Word]]:
        """Return written keys and words, oldest first; if all keys are numbers, by key, and without unchanged words."""
        rows = list(self._written.values())
        if self.array is not None or not all(isinstance(key, int) for key, _ in rows):
            return rows
        rows.sort(key=lambda row: row[0])
        return [(key, word) for key, word in rows if not isinstance(word, int) or word != self.initial.get(key, 0)]

    def write(self, key: Word, word: Word) -> None:
        """Write a slot. An earlier word of the same key is dropped, since it cannot be read any more."""
        name = ("number", key) if isinstance(key, int) else ("term", key.get_id())
        self._written.pop(name, None)
        self._written[name] = (key, word)

    def read(self, key: Word, same: Same) -> Word:
        """Return the word of a slot: the newest one whose key may be equal, else an older one."""
        found: list[tuple[Condition, Word]] = []
        for written, word in reversed(self._written.values()):
            holds = same(key, written)
            if holds is True:
                return _chosen(found, word)
            if holds is not False:
                found.append((holds, word))
        return _chosen(found, self._initial(key, same))

    def _initial(self, key: Word, same: Same) -> Word:
        if self.array is not None:
            self.asked.append(key)
            return z3.Select(self.array, term(key))
        if isinstance(key, int):
            return self.initial.get(key, 0)
        found = [(same(key, slot), word) for slot, word in self.initial.items()]
        return _chosen([(holds, word) for holds, word in found if holds is not False], 0)


def _chosen(found: list[tuple[Condition, Word]], last: Word) -> Word:
    for holds, word in reversed(found):
        last = choose(holds, word, last)
    return last


MAX_CHOICES: Final = 16
"""Maximum number of values of a term that an opcode needs as a number."""
MAX_ADDRESSES: Final = 64
"""Maximum number of known accounts that a symbolic address is compared with."""
FIRST_SYMBOLIC: Final = 1 << 160
"""Number of the first account at a symbolic address; higher than all addresses."""
CHEATCODE_ADDRESSES: Final = tuple(int.from_bytes(address, "big") for address in (VM_ADDRESS, SVM, CONSOLE_ADDRESS))
"""Addresses of the cheatcodes of forge and of halmos, and of the console."""
_TOOLS: Final = (*CHEATCODE_ADDRESSES, int.from_bytes(CREATE2_DEPLOYER, "big"))
"""Addresses with code that a symbolic address is assumed not to be."""
MAX_BYTES: Final = 1 << 16
"""Maximum size of a cheatcode's argument, and of bytes that svm creates."""
MAX_MEMORY: Final = 1 << 20
"""Maximum memory of a frame, in bytes."""
_NUMBERS: Final = count()


class Fork(Exception):
    """Raised by an instruction that has not changed anything yet, and whose condition may hold or not."""

    def __init__(self, holds: Condition, model: Any, other: Any) -> None:
        super().__init__()
        self.holds = holds
        self.models = (model, other)


class Dead(Exception):
    """Raised if a path's constraints contradict each other, or an assumption of the test does not hold."""


class Halt(Exception):
    """Raised if a frame ends exceptionally, as an invalid jump does."""


class Code:
    """Code with symbolic bytes, such as immutable variables."""

    def __init__(self, data: Data) -> None:
        self.data = tuple(data)

    @cached_property
    def jumps(self) -> frozenset[int]:
        """Valid jump destinations, up to the first symbolic opcode."""
        found, at = set(), 0
        while at < self.known:
            opcode = self.data[at]
            if opcode == 0x5B:
                found.add(at)
            at += 1 + (opcode - 0x5F if isinstance(opcode, int) and 0x60 <= opcode <= 0x7F else 0)
        return frozenset(found)

    @cached_property
    def known(self) -> int:
        """Offset of the first symbolic opcode, or the code's size."""
        at = 0
        while at < len(self.data):
            opcode = self.data[at]
            if not isinstance(opcode, int):
                return at
            at += 1 + (opcode - 0x5F if 0x60 <= opcode <= 0x7F else 0)
        return len(self.data)


@dataclass(slots=True)
class Account:
    """An account. `code` is empty for accounts without code."""

    code: Code
    storage: Storage
    balance: Word = 0
    nonce: int = 0
    transient: Storage = field(default_factory=Storage)

    def copy(self) -> Account:
        """Return an independent copy."""
        storage, transient = self.storage.copy(), self.transient.copy()
        return Account(self.code, storage, self.balance, self.nonce, transient)


Accounts = dict[int, Account]


class ActorCall(NamedTuple):
    """A call of a Filecoin precompile or native actor by a contract."""

    kind: str
    """Name of the opcode."""
    origin: int
    sender: int
    balance: int
    """Balance of the sender before the call, in attoFIL."""
    to: int
    value: int
    data: bytes
    static: bool


@dataclass(slots=True)
class Frame:
    """A running call. `result` is called with success and output at its end, on the path of that moment."""

    code: Code
    address: int
    caller: Word
    value: Word
    calldata: Data
    static: bool
    result: Callable[[Path, bool, Data], None]
    saved: Accounts
    origin: Word
    saved_calls: tuple[ActorCall, ...]
    """The path's calls of actors before the frame."""
    is_creation: bool = False
    pc: int = 0
    stack: list[Word] = field(default_factory=list)
    memory: list[Byte] = field(default_factory=list)
    returned: Data = ()
    branches: dict[int, int] = field(default_factory=dict)
    """Number of decisions at a conditional jump, by its place."""

    def copy(self) -> Frame:
        """Return an independent copy; `saved` is shared, because it is never changed."""
        return Frame(
            self.code, self.address, self.caller, self.value, self.calldata, self.static, self.result, self.saved,
            self.origin, self.saved_calls, self.is_creation, self.pc, list(self.stack), list(self.memory),
            self.returned, dict(self.branches),
        )  # fmt: skip

    def reserve(self, at: int, size: int) -> None:
        """Grow memory for a range. Raises NotModelled."""
        if size and at + size > len(self.memory):
            end = (at + size + 31) // 32 * 32
            if end > 1 << 32:
                raise Halt("memory beyond the limit of 2^32 bytes")
            if end > MAX_MEMORY:
                raise NotModelled(f"memory of {end} bytes, more than {MAX_MEMORY}")
            self.memory += [0] * (end - len(self.memory))


@dataclass(slots=True)
class Prank:
    """A prank of calls at a depth."""

    sender: Word
    origin: Word | None
    once: bool


@dataclass(slots=True)
class Block:
    """Values of the block, which cheatcodes may change."""

    number: Word
    timestamp: Word
    coinbase: Word
    gas_limit: Word
    chain_id: Word
    base_fee: Word
    randomness: Word


class Start(Protocol):
    """The state in which the test begins, on the concrete machine."""

    @property
    def opcodes(self) -> Mapping[int, str]:
        """Names of the fork's opcodes by number."""

    def load(self, address: int) -> Account:
        """Return an account."""

    @property
    def addresses(self) -> frozenset[int]:
        """Addresses of all accounts except `CHEATCODE_ADDRESSES`."""

    def run_precompile(self, address: int, data: bytes) -> tuple[bool, bytes]:
        """Return success and output of a precompile that depends on nothing but its input."""

    def run_actor(self, calls: Sequence[ActorCall]) -> tuple[bool, bytes, Mapping[int, int]]:
        """Make calls; return success, output and changes of balances of the last one. Raises NotModelled."""

    def block(self) -> Block:
        """Return the values of the block."""

    def run_cheatcode(self, data: bytes) -> tuple[bool, bytes]:
        """Return success and output of a cheatcode that depends on nothing but its input; failed assertions revert."""

    @property
    def assertions_revert(self) -> bool:
        """True if a failed assertion of the test reverts (`assertions_revert` in foundry.toml)."""

    @property
    def settings(self) -> SymbolicSettings:
        """Bounds of the test."""

    def abi_at(self, code: Code) -> Sequence[Mapping[str, Any]]:
        """Return the ABI of the contract with this code. Raises NotModelled."""

    def abi_named(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Return the ABI of a contract, `Name` or `File.sol:Name`. Raises NotModelled."""


@dataclass(slots=True)
class Path:
    """A path: a state of the machine, and the constraints under which it is reached; `model` satisfies them."""

    solver: Solver
    accounts: Accounts
    block: Block
    start: Start
    frames: list[Frame] = field(default_factory=list)
    constraints: list[Any] = field(default_factory=list)
    model: Any = None
    hashes: Hashes = field(default_factory=Hashes)
    decisions: dict[int, tuple[Any, bool]] = field(default_factory=dict)
    """Conditions that the current instruction has decided."""
    pranks: dict[int, Prank] = field(default_factory=dict)
    created: tuple[tuple[bytes, Data], ...] = ()
    """Calldata and return data of calls of svm, which create symbolic values."""
    arrays: tuple[tuple[int, Any, list[Word]], ...] = ()
    """Symbolic storages: address, initial words, and the keys that were read."""
    expected: tuple[int, Data | None] | None = None
    """Depth and reason (None for any) of the revert that the next call is expected to end with."""
    has_failed: bool = False
    """True if the test has set the failure slot."""
    steps: int = 0
    ended: tuple[bool, Data] | None = None
    """Success and output of the test, once it has ended."""
    halted: str = ""
    """Reason why the test's own frame ended exceptionally."""
    fixed: dict[int, tuple[Any, int]] = field(default_factory=dict)
    """Terms that have one value on this path, and their values."""
    account_numbers: dict[int, tuple[Any, int]] = field(default_factory=dict)
    """Symbolic addresses, and the numbers of their accounts."""
    precompiled: tuple[tuple[int, int, tuple[Word, ...], Data], ...] = ()
    """Calls of precompiles with symbolic input: address, size and words of the input, and the result."""
    symbolic_accounts: tuple[tuple[Any, int], ...] = ()
    """Symbolic addresses of accounts without code that do not exist at the start, and their numbers."""
    actor_calls: tuple[ActorCall, ...] = ()
    """Calls of Filecoin's precompiles and actors so far."""

    @property
    def frame(self) -> Frame:
        """The running frame."""
        return self.frames[-1]

    def copy(self) -> Path:
        """Return an independent copy."""
        return Path(
            self.solver, copied(self.accounts), self.block_copy(), self.start, [frame.copy() for frame in self.frames],
            list(self.constraints), self.model, self.hashes.copy(), dict(self.decisions), dict(self.pranks),
            self.created, self.arrays, self.expected, self.has_failed, self.steps, self.ended, self.halted,
            dict(self.fixed), dict(self.account_numbers), self.precompiled, self.symbolic_accounts,
            self.actor_calls,
        )  # fmt: skip

    def block_copy(self) -> Block:
        """Return a copy of the block's values."""
        one = self.block
        return Block(one.number, one.timestamp, one.coinbase, one.gas_limit, one.chain_id, one.base_fee, one.randomness)

    def account(self, address: int) -> Account:
        """Return the account of an address, from the initial state at first."""
        found = self.accounts.get(address)
        if found is None:
            is_symbolic = address >= FIRST_SYMBOLIC
            found = self.accounts[address] = Account(Code(()), Storage()) if is_symbolic else self.start.load(address)
        return found

    def account_number(self, address: Word) -> int:
        """Return the account number of an address, a word of 160 bits. Raises Fork, NotModelled.

        The path forks for each known account that the address may equal; the account's number is its address. On the
        remaining path the address is an unknown account without code, whose number is at least `FIRST_SYMBOLIC`.
        Precompiles, masked IDs, cheatcode addresses, the console and the CREATE2 deployer are excluded by assumption.
        """
        if isinstance(address, int):
            if address not in self.accounts and address not in self.start.addresses:
                for other, number in self.symbolic_accounts:
                    if self.decide(equal(other, address)):
                        return number
            return address
        found = self.account_numbers.get(address.get_id())
        if found is not None:
            return found[1]
        known = sorted(self.start.addresses.union(self.accounts).difference(_TOOLS))
        if len(known) > MAX_ADDRESSES:
            raise NotModelled(f"a symbolic address with more than {MAX_ADDRESSES} known accounts")
        for other, number in [
            *self.symbolic_accounts,
            *((number, number) for number in known if number < FIRST_SYMBOLIC),
        ]:
            if self.decide(equal(address, other)):
                self.account_numbers[address.get_id()] = (address, number)
                return number
        try:
            self.assume(*_is_plain_account(address))
        except Dead:
            raise NotModelled("a symbolic address of precompiles, masked IDs or cheatcodes only") from None
        number = max([FIRST_SYMBOLIC - 1, *(number for _, number in self.symbolic_accounts)]) + 1
        self.symbolic_accounts = (*self.symbolic_accounts, (address, number))
        self.account_numbers[address.get_id()] = (address, number)
        return number

    def merge_symbolic_account(self, address: int) -> None:
        """Merge the account of a symbolic address that equals `address` into the one at `address`. Raises Fork."""
        for other, number in self.symbolic_accounts:
            if self.decide(equal(other, address)):
                if number in self.accounts:
                    self.accounts[address] = self.accounts.pop(number)
                self.account_numbers = {
                    key: (one, address if at == number else at) for key, (one, at) in self.account_numbers.items()
                }
                self.symbolic_accounts = tuple(entry for entry in self.symbolic_accounts if entry[1] != number)
                return

    # --- constraints ------------------------------------------------------------------------------------------------

    def assume(self, *conditions: Condition) -> None:
        """Add constraints. Raises Dead if they contradict the others, NotModelled if the solver cannot tell."""
        added = [one for one in map(condition, conditions) if one is not True]
        if any(one is False for one in added):
            raise Dead
        added += map(condition, self.hashes.activate(added, self.solver.constants))
        self.constraints += added
        if self.model is None or not all(z3.is_true(self.model.eval(one, model_completion=True)) for one in added):
            self.model = self.solver.model(self.constraints)
            if self.model is None:
                raise Dead

    def mention(self, *terms: Any) -> None:
        """Add the axioms of the hashes that terms contain, so that the model assigns possible values to the terms."""
        axioms = self.hashes.activate(terms, self.solver.constants)
        if axioms:
            self.assume(*axioms)

    def decide(self, holds: Condition) -> bool:
        """Return a condition's value on this path. Raises Fork if it may hold or not.

        If the solver cannot decide whether the other side is possible, the path continues on its model's side, and the
        test is reported as undecided.
        """
        holds = condition(holds)
        if isinstance(holds, bool):
            return holds
        known = self.decisions.get(holds.get_id())
        if known is not None:
            return bool(known[1])
        self.mention(holds)
        side = bool(z3.is_true(self.model.eval(holds, model_completion=True)))
        try:
            other = self.solver.model([*self.constraints, z3.Not(holds) if side else holds])
        except NotModelled as reason:
            self.solver.undecided[str(reason)] += 1
            self.constraints.append(holds if side else negation(holds))
            other = None
        if other is not None:
            raise Fork(holds, *((self.model, other) if side else (other, self.model)))
        self.decisions[holds.get_id()] = (holds, side)
        return side

    def with_decision(self, fork: Fork, side: bool) -> Path:
        """Return a copy on which a condition has a value."""
        made = self.copy()
        made.constraints.append(fork.holds if side else negation(fork.holds))
        made.model = fork.models[0 if side else 1]
        made.decisions[fork.holds.get_id()] = (fork.holds, side)
        return made

    def number(self, word: Word, what: str) -> int:
        """Return a word as a number, on one path for each of its values. Raises Fork, NotModelled."""
        if isinstance(word, int):
            return word
        known = self.fixed.get(word.get_id())
        if known is not None:
            return known[1]
        if len(self.decisions) > MAX_CHOICES:
            raise NotModelled(f"a symbolic {what}")
        self.mention(word)
        found: int = self.model.eval(word, model_completion=True).as_long()
        if self.decide(equal(word, found)):
            self.fixed[word.get_id()] = (word, found)
            return found
        raise NotModelled(f"a symbolic {what}")

    def hash(self, data: Data) -> Word:
        """Return the Keccak-256 of data."""
        made, axioms = self.hashes.hash(data)
        if len(self.hashes.symbolic) > MAX_HASHES:
            raise NotModelled(f"more than {MAX_HASHES} hashes of symbolic data")
        self.assume(*axioms)
        return made

    def learn_hashes(self) -> bool:
        """Relate the data that the model gives to their real hashes; return False if the model has them already.

        Raises Dead if no model is left.
        """
        self.mention(*(entry.data for entry in self.hashes.active.values()))
        learnt = []
        for entry in self.hashes.active.values():
            data = self.model.eval(entry.data, model_completion=True)
            real = int.from_bytes(keccak(data.as_long().to_bytes(entry.size, "big")), "big")
            if self.model.eval(entry.hash, model_completion=True).as_long() != real:
                learnt.append(z3.Implies(entry.data == data, entry.hash == real))
        self.assume(*learnt)
        return bool(learnt)

    def argument(self, data: Data, index: int) -> Word:
        """Return a word of arguments behind a selector."""
        return word_at(data, 4 + 32 * index)

    def bytes_argument(self, data: Data, index: int, size: int = 1) -> list[Byte]:
        """Return an argument of type `bytes` or `string`, or with `size` 32 the words of an array."""
        at = 4 + self.number(self.argument(data, index), "offset of a cheatcode's argument")
        length = size * self.number(word_at(data, at), "size of a cheatcode's argument")
        if length > MAX_BYTES:
            raise NotModelled(f"a cheatcode's argument of {length} bytes")
        return slice_of(data, at + 32, length)


def _is_plain_account(address: Any) -> list[Any]:
    """Return the conditions that an address is no precompile, masked ID, cheatcode, console or CREATE2 deployer."""
    filecoin = z3.And(z3.LShR(address, 152) == 0xFE, address & ((1 << 152) - 1) < 0x100)
    return [
        z3.Or(address == 0, z3.UGT(address, 0x1FF)), z3.Not(filecoin), z3.LShR(address, 64) != 0xFF << 88,
        *(address != tool for tool in _TOOLS),
    ]  # fmt: skip


def fresh(name: str, bits: int = BITS) -> Any:
    """Return a new symbolic word, or a shorter bit vector."""
    return z3.BitVec(f"{name}!{next(_NUMBERS)}", bits)


def copied(accounts: Accounts) -> Accounts:
    """Return an independent copy of accounts."""
    return {address: account.copy() for address, account in accounts.items()}
