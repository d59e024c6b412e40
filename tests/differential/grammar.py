"""Random contracts and calls.

- Opcodes newer than the grammar's statements, with the numbers of words that they pop and push.
- Random EVM programs from a grammar: statements that leave the stack unchanged, made of expressions that push a word.
- Random cases for the two machines, from a seed: two generated contracts, some fixed ones, and messages to them.

An opcode's table row does not state its inputs, so the plain engine is run with increasing stack sizes until it does
not underflow. A new opcode in a table of rules is therefore drawn by the grammars at once.

So most programs end by themselves, and their results are visible in memory, slots or logs. A few statements ignore the
stack. All randomness comes from one seeded generator: the same seed makes the same program.
"""

from collections.abc import Callable, Mapping
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.types import Gas
from runtimes.evm.blocks.alloc import AllocAccount
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.engine import EngineRules, Frame, FrameOutcome, Status
from runtimes.evm.contracts.opcodes import FILECOIN_OPCODES
from runtimes.evm.engines import PLAIN_ENGINE, engine_factory
from runtimes.evm.forks.forks import FORKS, LATEST_FORK
from tests.differential.twins import CallOf, Case
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import CALLER, MYSELF, RULES, FakeHost

_KNOWN: Final = frozenset(opcode.name for opcode in FORKS["Cancun"].opcodes.values())
"""Opcodes that the grammar's statements use."""
_MAX: Final = 7
"""Maximum number of stack words that an opcode pops."""
SAME_SHAPE: Final = ("PC", "NOT", "ADD", "ADDMOD")
"""Replacements for an expression's opcode of N operands that the rules do not have."""


def newer_names(rules: Any) -> tuple[str, ...]:
    """Names of a table's opcodes that the oldest fork does not have."""
    return tuple(opcode.name for opcode in rules.opcodes.values() if opcode.name not in _KNOWN)


@cache
def newer_operators(ethereum: bool) -> Mapping[str, int]:
    """Return operators of a family's newest rules with one result and N operands, by name; N has a `SAME_SHAPE`."""
    rules: EngineRules = LATEST_FORK if ethereum else RULES
    shapes = {name: shape(rules, name) for name in newer_names(rules)}
    return MappingProxyType({name: takes for name, (takes, leaves) in shapes.items() if leaves == 1 and takes < 4})


def shape(rules: EngineRules, name: str) -> tuple[int, int]:
    """Return the words that an opcode pops and pushes; (8, 0) if it leaves the frame or ends it."""
    (number,) = (number for number, opcode in rules.opcodes.items() if opcode.name == name)
    for takes in range(_MAX + 1):
        if _ends_well(rules, b"\x5f" * takes + bytes([number])):
            leaves = 0
            while _ends_well(rules, b"\x5f" * takes + bytes([number]) + b"\x50" * (leaves + 1)):
                leaves += 1
            return takes, leaves
    return _MAX + 1, 0


def _ends_well(rules: EngineRules, code: bytes) -> bool:
    frame = Frame(rules, Code(code), b"", CALLER, MYSELF, 0, False)
    step = engine_factory(PLAIN_ENGINE, rules)().start(frame, FakeHost())
    return isinstance(step, FrameOutcome) and step.status is Status.SUCCESS


def lacks_some(rules: EngineRules) -> bool:
    """Return True if a grammar of any family uses operators that the rules do not have."""
    return bool(_unknown(rules))


def known_only(words: str, rules: EngineRules) -> str:
    """Return a program's words with unsupported operators replaced by others of the same shape."""
    for name, takes in _unknown(rules).items():
        words = words.replace(f" {name}", f" {SAME_SHAPE[takes]}")
    return words


def _unknown(rules: EngineRules) -> dict[str, int]:
    names = {opcode.name for opcode in rules.opcodes.values()}
    every = {**newer_operators(False), **newer_operators(True)}
    return {name: takes for name, takes in every.items() if name not in names}


U256: Final = (1 << 256) - 1
WORDS: Final = (
    0, 1, 2, 31, 32, 33, 255, 256, 2300, (1 << 31) - 1, 1 << 32, (1 << 64) - 1, 1 << 64, 1 << 127, 1 << 128,
    (1 << 160) - 1, 1 << 255, (1 << 255) - 1, U256 - 1, U256,
)  # fmt: skip
UNARY: Final = ("NOT", "ISZERO")
BINARY: Final = (
    "ADD", "MUL", "SUB", "DIV", "SDIV", "MOD", "SMOD", "SIGNEXTEND", "LT", "GT", "SLT", "SGT", "EQ", "AND", "OR",
    "XOR", "BYTE", "SHL", "SHR", "SAR",
)  # fmt: skip
TERNARY: Final = ("ADDMOD", "MULMOD")
CONTEXT: Final = (
    "ADDRESS", "CALLER", "ORIGIN", "CALLVALUE", "CALLDATASIZE", "CODESIZE", "GASPRICE", "RETURNDATASIZE", "COINBASE",
    "TIMESTAMP", "NUMBER", "PREVRANDAO", "GASLIMIT", "CHAINID", "SELFBALANCE", "BASEFEE", "MSIZE", "PC",
)  # fmt: skip
PRECOMPILES: Final = (*range(1, 20), 0x100, *((0xFE << 152) + index for index in range(8)))
NATIVE: Final = tuple((0xFF << 152) + actor for actor in (0, 1, 7, 10, 99, 100, 1_000_000))
SOUP: Final = tuple(
    sorted({opcode.name for opcode in FILECOIN_OPCODES.values()} - {"GAS", "JUMP", "JUMPI", "SELFDESTRUCT"})
)
SOUP_OF_ETHEREUM: Final = tuple(sorted({*SOUP, *newer_names(LATEST_FORK)}))
METHODS: Final = (0, 1, 2, 3, 4, 5, 6, 1023, 1024, INVOKE_EVM, 1 << 24, (1 << 64) - 1)
CODECS: Final = (0, 0x51, 0x55, 0x71)

Mix = Mapping[str, int]
"""Relative frequency of each kind of statement."""

_EVERYTHING: Final = MappingProxyType({
    "compute": 5, "store": 4, "transient": 2, "memory": 5, "copy": 3, "hash": 2, "inspect": 2, "log": 2, "call": 4,
    "precompile": 2, "native": 1, "create": 1, "branch": 2, "loop": 1, "juggle": 2, "soup": 1, "end": 1,
})  # fmt: skip
THEMES: Final[Mapping[str, Mix]] = MappingProxyType(
    {
        "mixed": _EVERYTHING,
        "arithmetic": {"compute": 8, "memory": 1},
        "control": {"branch": 4, "loop": 3, "compute": 2, "juggle": 3},
        "memory": {"memory": 6, "copy": 4, "compute": 1},
        "storage": {"store": 8, "branch": 1, "compute": 1},
        "transient": {"transient": 8, "store": 1},
        "hash": {"hash": 6, "memory": 3},
        "inspect": {"inspect": 6, "compute": 1},
        "logs": {"log": 6, "memory": 2},
        "calls": {"call": 6, "store": 2, "transient": 1, "memory": 2, "branch": 1},
        "creation": {"create": 5, "call": 1, "store": 1, "memory": 1},
        "precompiles": {"precompile": 6, "memory": 3},
        "native": {"native": 5, "call": 1, "memory": 1},
        "soup": {"soup": 8, "compute": 1, "memory": 1},
    }
)
"""Mixes by name; gas is compared by these names."""


class Grammar:
    """Draws the words of one program for `tests.runtimes.evm.assembler`."""

    def __init__(self, random: Random, theme: str, targets: tuple[EthAddress, ...], ethereum: bool = False) -> None:
        """`targets` are contracts that may be called; the first two call back, and get less calldata each time.

        Opcodes newer than the lists above come from the newest rules of a family: Filecoin's or Ethereum's.
        """
        self._random = random
        self._ethereum = ethereum
        newer = newer_operators(ethereum).items()
        self._operators = tuple(
            (*known, *(name for name, takes in newer if takes == operands))
            for operands, known in enumerate((CONTEXT, UNARY, BINARY, TERNARY))
        )
        self._soup_of = SOUP if not ethereum else SOUP_OF_ETHEREUM
        mix = THEMES[theme]
        self._kinds, self._weights = [*mix], [*mix.values()]
        self._targets = [int.from_bytes(target, "big") for target in targets]
        self._labels = 0
        self._depth = 0
        self._statements: Mapping[str, Callable[[], str]] = {
            "compute": self._compute, "store": self._store, "transient": self._transient, "memory": self._memory,
            "copy": self._copy, "hash": self._hash, "inspect": self._inspect, "log": self._log, "call": self._call,
            "precompile": self._precompile, "native": self._native, "create": self._create, "branch": self._branch,
            "loop": self._loop, "juggle": self._juggle, "soup": self._soup, "end": self._maybe_end,
        }  # fmt: skip

    def program(self) -> str:
        body = [self.statement() for _ in range(self._random.randint(1, 14))]
        return " ".join([*body, self._end()])

    def statement(self) -> str:
        """Draw words that mostly leave the stack unchanged."""
        (kind,) = self._random.choices(self._kinds, self._weights)
        self._depth += 1
        try:
            return self._statements[kind if self._depth < 4 else "compute"]()
        finally:
            self._depth -= 1

    # --- expressions ------------------------------------------------------------------------------------------

    def _small(self) -> str:
        return str(self._random.randrange(97))

    def _word(self) -> str:
        draw = self._random.random()
        if draw < 0.4:
            return self._small()
        return str(self._random.choice(WORDS) if draw < 0.8 else self._random.getrandbits(256))

    def _slot(self) -> str:
        """Draw one of few keys, near and far, so that slots repeat and trees get deep."""
        return str(self._random.choice((0, 1, 2, 31, 32, 1 << 128, (1 << 255) + 1, U256)))

    def _address(self) -> str:
        kind = self._random.randrange(8)
        if kind < 4:
            return str(self._random.choice(self._targets))
        if kind == 4:
            return str(self._random.choice(PRECOMPILES))
        if kind == 5:
            return str(self._random.choice(NATIVE))
        return "CALLER" if kind == 6 else str(self._random.getrandbits(160))

    def _expression(self, depth: int = 0) -> str:
        kind = self._random.randrange(12 if depth < 3 else 4)
        inner = depth + 1
        if kind < 3:
            return self._word()
        if kind == 3:
            return self._random.choice(self._operators[0])
        if kind < 8:
            name = self._random.choice(self._operators[2])
            return f"{self._expression(inner)} {self._expression(inner)} {name}"
        if kind == 8:
            return f"{self._expression(inner)} {self._random.choice(self._operators[1])}"
        if kind == 9:
            operands = " ".join(self._expression(inner) for _ in range(3))
            return f"{operands} {self._random.choice(self._operators[3])}"
        if kind == 10:
            return f"{self._small()} {self._random.choice(('CALLDATALOAD', 'MLOAD', 'BLOCKHASH'))}"
        reads = (f"{self._slot()} SLOAD", f"{self._slot()} TLOAD", f"{self._word()} {self._expression(inner)} EXP")
        return self._random.choice(reads)

    # --- statements -------------------------------------------------------------------------------------------

    def _compute(self) -> str:
        return f"{self._expression()} {self._keep()}"

    def _keep(self) -> str:
        """Pop a word, mostly to where it is visible."""
        return self._random.choice((f"{self._small()} MSTORE", f"{self._small()} MSTORE", "0 MSTORE", "POP"))

    def _store(self) -> str:
        return f"{self._random.choice((self._expression, self._word))()} {self._slot()} SSTORE"

    def _transient(self) -> str:
        write = f"{self._expression(2)} {self._slot()} TSTORE"
        return self._random.choice((write, f"{self._slot()} TLOAD {self._keep()}"))

    def _offset(self) -> str:
        """Draw an offset: mostly small, rarely beyond the end of memory."""
        return self._small() if self._random.random() < 0.97 else self._word()

    def _memory(self) -> str:
        draw = self._random.randrange(5)
        if draw == 0:
            return f"{self._expression(2)} {self._offset()} MSTORE8"
        if draw == 1:
            return f"{self._small()} {self._offset()} {self._offset()} MCOPY"
        if draw == 2:
            return f"{self._offset()} MLOAD {self._keep()}"
        return f"{self._expression(1)} {self._offset()} MSTORE"

    def _copy(self) -> str:
        name = self._random.choice(("CALLDATACOPY", "CODECOPY", "EXTCODECOPY", "RETURNDATACOPY"))
        size, source = self._offset(), self._offset()
        if name == "RETURNDATACOPY" and self._random.random() < 0.9:
            size, source = "RETURNDATASIZE", "0"
        address = f" {self._address()}" if name == "EXTCODECOPY" else ""
        return f"{size} {source} {self._offset()}{address} {name}"

    def _hash(self) -> str:
        return f"{self._offset()} {self._small()} KECCAK256 {self._keep()}"

    def _inspect(self) -> str:
        name = self._random.choice(("BALANCE", "EXTCODESIZE", "EXTCODEHASH"))
        return f"{self._address()} {name} {self._keep()}"

    def _log(self) -> str:
        topics = self._random.randrange(5)
        words = " ".join(self._expression(2) for _ in range(topics))
        return f"{words} {self._small()} {self._small()} LOG{topics}"

    def _call(self, address: str = "") -> str:
        to = address or self._address()
        name = self._random.choice(("CALL", "CALL", "STATICCALL", "DELEGATECALL"))
        gas = self._random.choice(("GAS", "GAS", "GAS", "0", "2300", str(U256)))
        value = ""
        if name == "CALL":
            value = f" {self._random.choice(('0', '0', '0', '1', '5', 'CALLVALUE', str(1 << 70), str(1 << 128)))}"
        if address or to not in {str(target) for target in self._targets[:2]}:
            call = f"{self._small()} {self._small()} {self._small()} {self._small()}{value} {to} {gas} {name}"
            return f"{call} {self._keep()}"
        # a contract that may call back gets 32 bytes less than we did, and none is called without any
        skip = self._label()
        region = f"{self._small()} {self._small()} 32 CALLDATASIZE SUB 0"
        called = f"{region}{value} {to} {gas} {name} {self._keep()}"
        return f"32 CALLDATASIZE LT @{skip} JUMPI {called} {skip}:"

    def _precompile(self) -> str:
        fill = " ".join(self._memory() for _ in range(self._random.randrange(3)))
        index = self._random.choice(PRECOMPILES)
        sizes = (32, 64, 96, 128, 192, 213, 256, 384)
        name = self._random.choice(("STATICCALL", "CALL 0", "DELEGATECALL")).split()
        call = f"64 0 {self._random.choice(sizes)} 0 {' '.join(name[1:])} {index} GAS {name[0]}"
        return f"{fill} {call} {self._keep()} {self._copy()}"

    def _native(self) -> str:
        """Draw a call of Filecoin's precompile for calls of actors by ID, with almost valid parameters."""
        length = self._random.choice((0, 1, 2, 32))
        codec = self._random.choice(CODECS[1:]) if length and self._random.random() < 0.9 else 0
        fields = (
            self._random.choice(METHODS),
            self._random.choice((0, 0, 0, 3, 1 << 70)),
            self._random.choice((0, 0, 1, 2)),
            codec,
            192,
            self._random.choice((0, 1, 7, 10, 99, 100, 101, 102, 103, 1 << 40)),
            length,
            self._random.choice((0x40, 0x80, 0x8100, 0x4101, 0xF6)) << 240,
        )
        filled = " ".join(f"{word} {place * 32} MSTORE" for place, word in enumerate(fields))
        address = (0xFE << 152) + self._random.choice((5, 5, 5, 3))
        how = self._random.choice(("DELEGATECALL", "DELEGATECALL", "DELEGATECALL", "STATICCALL"))
        return f"{filled} 96 0 {7 * 32 + length} 0 {address} GAS {how} {self._keep()} {self._copy()}"

    def _create(self) -> str:
        """Draw init code of up to 32 bytes, often followed by a call of the created contract."""
        made = self._random.choice((
            0x600A600C600039600A6000F3602A60005260206000F3,  # runtime code that returns 42
            0x60FF60005360016000F3, 0x6001600055, 0x3360005260206000F3, 0xFE, 0x60006000FD, 0x30FF,
            0x60EF60005360016000F3,
            self._random.getrandbits(256),
        ))  # fmt: skip
        size = self._random.choice((0, 32, 32, 32, 32, 33)) if made.bit_length() > 248 else (made.bit_length() + 7) // 8
        name, salt = self._random.choice((("CREATE", ""), ("CREATE2", f"{self._random.randrange(3)} ")))
        value = self._random.choice(("0", "0", "1", str(1 << 70)))
        words = f"{made << 8 * max(0, 32 - size)} 64 MSTORE {salt}{size} 64 {value} {name}"
        if self._random.random() < 0.5:
            return f"{words} {self._keep()}"
        return f"{words} DUP1 0 MSTORE 32 96 0 0 0 6 DUP1 POP DUP6 POP 0 MLOAD GAS CALL {self._keep()} POP POP"

    def _branch(self) -> str:
        skip, done = self._label(), self._label()
        yes, no = self.statement(), self.statement()
        return f"{self._expression(2)} @{skip} JUMPI {no} @{done} JUMP {skip}: {yes} {done}:"

    def _loop(self) -> str:
        again = self._label()
        body = self.statement()
        return f"{self._random.randint(1, 6)} {again}: {body} 1 SWAP1 SUB DUP1 @{again} JUMPI POP"

    def _juggle(self) -> str:
        depth = self._random.randint(2, 17)
        pushed = " ".join(self._word() for _ in range(depth))
        moves = " ".join(
            self._random.choice(
                (f"SWAP{self._random.randint(1, depth - 1)}", f"DUP{self._random.randint(1, min(depth, 16))} POP")
            )
            for _ in range(4)
        )
        return f"{pushed} {moves} {self._keep()} {'POP ' * (depth - 1)}".rstrip()

    def _soup(self) -> str:
        return " ".join(
            self._random.choice((self._word, self._word, lambda: self._random.choice(self._soup_of)))()
            for _ in range(self._random.randint(1, 6))
        )

    # --- ends -------------------------------------------------------------------------------------------------

    def _maybe_end(self) -> str:
        skip = self._label()
        return f"{self._expression(2)} @{skip} JUMPI {self._end()} {skip}:"

    def _end(self) -> str:
        draw = self._random.randrange(20)
        if draw < 12:
            return "256 0 RETURN"
        if draw < 14:
            return "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN"
        if draw < 17:
            return f"{self._small()} {self._small()} {self._random.choice(('REVERT', 'RETURN'))}"
        return ("STOP", "INVALID", f"{self._address()} SELFDESTRUCT")[draw - 17]

    def _label(self) -> str:
        self._labels += 1
        return f"l{self._labels}"


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
