"""Random trees of calls: each node is a separate contract or a native actor with a random program.

A contract's program is a straight line: slots, logs, calls of its children with prepared calldata, and an end. It
returns the results of its calls (success, and the hash of the return data), so the root's result depends on the whole
tree. Called without calldata, as by reentrant calls, a contract counts, logs and stops. No program reads gas, and every
call gets all remaining gas.
"""

from random import Random
from typing import Any, Final

from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import INVOKE_EVM, method_number
from hypervisor.messages.address import Address
from runtimes.evm.ethereum.alloc import AllocAccount
from store.cid import CBOR, DAG_CBOR, RAW
from store.codec import encode
from tests.crossing.puppet import Script
from tests.differential.twins import CallOf, Case
from tests.runtimes.evm.assembler import assemble

SENDER: Final = EthAddress(bytes.fromhex("e01e2bdd4f9a789002da086a6445ca6481c6864c"))
PUPPETS: Final = (1000, 1001, 1002)
"""IDs of the native actors that execute scripts."""
FUNDS: Final = 1000
DEEPEST, MAX_NODES = 6, 24
VALUES: Final = (0, 0, 0, 0, 0, 1, 7, 300, FUNDS + 5000)
CALL_ACTOR, CALL_ACTOR_ID = ((0xFE << 152) + number for number in (3, 5))
RESOLVE, LOOKUP = ((0xFE << 152) + number for number in (1, 2))
METHODS: Final = (INVOKE_EVM, method_number("Receive"), 1024, (1 << 24) + 1)
RESULTS, BLOB = 0, 0x400
"""Layout of a contract's memory: two words for each call, followed by the data to send."""
_BUILT_IN: Final = (
    (5, "GetBalance"), (5, "AddBalance"), (5, "GetDealClient"), (5, "WithdrawBalance"), (7, "Name"), (7, "Balance"),
    (7, "Transfer"), (7, "IncreaseAllowance"), (6, "GetClaims"), (6, "AddVerifiedClient"), (4, "MinerCount"),
    (4, "MinerRawPower"), (4, "CreateMiner"), (10, "InvokeEVM"), (1, "NoSuch"), (99, "Anything"), (77_777, "Anything"),
)  # fmt: skip


class Tree:
    """One tree; `accounts` holds its contracts with their code, `case` the input of the machines."""

    def __init__(self, seed: int, number: int) -> None:
        self.random = Random(f"{seed}:{number}")
        self.accounts: dict[EthAddress, AllocAccount] = {SENDER: AllocAccount(10**24, 0)}
        self.nodes = 0
        contract = self.random.random() < 0.7
        if contract:
            to, data = self._contract(0), self.random.randbytes(8)
        else:
            # Long enough for a length of two bytes; what follows the script's end is not read.
            to, data = masked_id(self.random.choice(PUPPETS)), self._script(0).raw().ljust(256, b"\0")
        calls = [CallOf(SENDER, to, data, self.random.choice((0, 0, 5)))]
        if self.random.random() < 0.25:  # a second message sees what the first has left
            calls.append(CallOf(SENDER, self.random.choice([*self.accounts]), b"", 0))
        self.case = Case(f"{seed}:{number}", "trees", self.accounts, calls)

    def _branches(self, depth: int) -> int:
        """Draw the number of children of a node."""
        if depth >= DEEPEST or self.nodes >= MAX_NODES:
            return 0
        return self.random.choice((2, 2, 3, 4) if depth < 2 else (0, 1, 1, 2, 2))

    # --- contracts --------------------------------------------------------------------------------------------

    def _contract(self, depth: int) -> EthAddress:
        """Generate a contract and all nodes below it; return its address."""
        self.nodes += 1
        address = EthAddress(bytes([0xC0]) + self.nodes.to_bytes(19, "big"))
        self.accounts[address] = AllocAccount(0)  # the place in order; the code follows
        program = Program(self.random)
        for _ in range(self._branches(depth)):
            self._effects(program)
            self._call(program, depth + 1, address)
        self._effects(program)
        program.end()
        self.accounts[address] = AllocAccount(FUNDS, 1, program.assembled(), {1: 7})
        return address

    def _effects(self, program: "Program") -> None:
        draw = self.random.random()
        if draw < 0.45:
            program.line(f"{self.random.randrange(1, 99)} {self.random.choice((0, 1, 2, 1 << 128))} SSTORE")
        elif draw < 0.55:
            program.line(f"{self.random.randrange(1, 99)} 1 TSTORE")
        if self.random.random() < 0.4:
            topics = " ".join(str(self.random.randrange(1, 99)) for _ in range(self.random.randrange(5)))
            program.line(f"{topics} 32 0 LOG{len(topics.split())}")

    def _call(self, program: "Program", depth: int, caller: EthAddress) -> None:
        """Draw one of the ways in which a contract calls another actor."""
        draw, value = self.random.random(), self.random.choice(VALUES)
        if draw < 0.30:
            self._native_child(program, depth, value)
        elif draw < 0.60:
            self._contract_child(program, depth, value)
        elif draw < 0.70:
            to = self.random.choice([*self.accounts])
            program.call("CALL", int.from_bytes(to, "big"), b"", value)  # who is there counts, or takes the money
        elif draw < 0.90:
            actor, name = self.random.choice(_BUILT_IN)
            params = self.random.choice((b"", encode(raw_id(99)), encode(1), encode([raw_id(7), b"\0\1"]), b"\xff"))
            program.call_actor(self.random, actor, method_number(name), params, value)
        elif draw < 0.95:
            to = masked_id(self.random.choice(PUPPETS))
            program.call("STATICCALL", RESOLVE, to_filecoin(self.random.choice((to, caller))).to_bytes(), 0)
        else:
            program.call("CALL", LOOKUP, self.random.choice((*PUPPETS, 100, 101)).to_bytes(32, "big"), 0)

    def _native_child(self, program: "Program", depth: int, value: int) -> None:
        self.nodes += 1
        actor, script = self.random.choice(PUPPETS), self._script(depth)
        if self.random.random() < 0.25:
            kind = self.random.choice(("CALL", "STATICCALL"))
            program.call(kind, int.from_bytes(masked_id(actor), "big"), script.raw(), value)
        else:
            program.call_actor(self.random, actor, self.random.choice(METHODS), script.wrapped(), value)

    def _contract_child(self, program: "Program", depth: int, value: int) -> None:
        to, data = self._contract(depth), self.random.randbytes(8)
        draw = self.random.random()
        if draw < 0.6:
            kind = self.random.choice(("CALL", "CALL", "CALL", "STATICCALL", "DELEGATECALL"))
            program.call(kind, int.from_bytes(to, "big"), data, value)
        else:
            method, params = self.random.choice(METHODS), byte_string(data)
            program.call_actor(self.random, to_filecoin(to), method, params, value)

    # --- native actors ----------------------------------------------------------------------------------------

    def _script(self, depth: int) -> Script:
        """Draw a script for a native actor."""
        script = Script()
        for _ in range(self._branches(depth)):
            self._native_effects(script)
            self._send(script, depth + 1)
        self._native_effects(script)
        draw = self.random.random()
        if draw < 0.18:
            exit_code = self.random.choice((1, 5, 7, 9, 15, 16, 18, 22, 24, 33, 34, 40, 1000))
            script.abort(exit_code, self.random.choice((b"", b"\x42no", b"\x08\xc3\x79\xa0")))
        elif draw < 0.22:
            script.trap()
        return script

    def _native_effects(self, script: Script) -> None:
        draw = self.random.random()
        if draw < 0.25:
            script.emit(self.random.choice((b"t1", b"d", b"$type")), encode(self.random.randrange(99)))
        elif draw < 0.6:
            script.store(encode([self.random.randrange(99)]))
        elif draw < 0.7:
            script.balance()

    def _send(self, script: Script, depth: int) -> None:
        draw, value = self.random.random(), self.random.choice(VALUES)
        read_only = self.random.random() < 0.12
        if draw < 0.55:
            to = to_filecoin(self._contract(depth))
            data = self.random.randbytes(8)
            codec = self.random.choice((RAW, CBOR, CBOR, DAG_CBOR))
            params = data if codec == RAW else byte_string(data)
            script.send(to, self.random.choice(METHODS), params, codec, value, read_only)
        elif draw < 0.75:
            self.nodes += 1
            inner = self._script(depth)
            to = Address.id(self.random.choice(PUPPETS))
            script.send(to, self.random.choice(METHODS), inner.wrapped(), CBOR, value, read_only)
        elif draw < 0.9:
            to = to_filecoin(self.random.choice([*self.accounts]))
            script.send(to, self.random.choice((0, INVOKE_EVM)), None, 0, value, read_only)
        else:
            actor, name = self.random.choice(_BUILT_IN)
            script.send(Address.id(actor), method_number(name), encode(raw_id(99)), CBOR, value, read_only)


class Program:
    """A contract's code: words for the assembler, followed by the data that its calls send."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._words = ["CALLDATASIZE @told JUMPI 1 SLOAD 1 ADD 1 SSTORE CALLVALUE 0 MSTORE CALLER 32 0 LOG1 STOP told:"]
        self._blob = b""
        self._calls = 0

    def line(self, words: str) -> None:
        """Append words that leave the stack unchanged."""
        self._words.append(words)

    def call(self, kind: str, to: int, data: bytes, value: int) -> None:
        """Append a call with all remaining gas; store its success and the hash of its return data in memory."""
        start = len(self._blob)
        self._blob += data
        money = f"{value} " if kind == "CALL" else ""
        place = RESULTS + 64 * (self._calls % 8)
        self._calls += 1
        self._words.append(
            f"{len(data)} {start} @data ADD 1 ADD {BLOB} CODECOPY 0 0 {len(data)} {BLOB} {money}{to} GAS {kind} "
            f"{place} MSTORE RETURNDATASIZE 0 {BLOB} RETURNDATACOPY RETURNDATASIZE {BLOB} KECCAK256 {place + 32} MSTORE"
        )

    def call_actor(self, random: Random, to: Address | int, method: int, params: bytes, value: int) -> None:
        """Append a call of an actor's method through the precompile, by ID or by address."""
        if isinstance(to, int) and random.random() < 0.3:
            to = Address.id(to)
        read_only = int(random.random() < 0.12)
        codec = (CBOR if params else 0) if random.random() < 0.95 else random.choice((0, CBOR, RAW, DAG_CBOR))
        head: tuple[Any, ...] = (method, value, read_only, codec, params)
        kinds = ["uint64", "uint256", "uint64", "uint64", "bytes"]
        if isinstance(to, int):
            self.call("DELEGATECALL", CALL_ACTOR_ID, encode_abi([*kinds, "uint64"], [*head, to]), 0)
        else:
            self.call("DELEGATECALL", CALL_ACTOR, encode_abi([*kinds, "bytes"], [*head, to.to_bytes()]), 0)

    def end(self) -> None:
        """Append a return or revert; rarely the response to a Filecoin method, or an invalid instruction."""
        draw = self._random.random()
        if draw < 0.62:
            self._words.append(f"{64 * 8} {RESULTS} RETURN")
        elif draw < 0.84:
            self._words.append(f"{64 * 8} {RESULTS} REVERT")
        elif draw < 0.96:
            self._answer()
        else:
            self._words.append(self._random.choice(("INVALID", "CALLER SELFDESTRUCT")))

    def _answer(self) -> None:
        """Append a return of exit code, codec and bytes in the form of `handle_filecoin_method`."""
        exit_code = self._random.choice((0, 0, 0, 5, 16, 33, 77))
        codec, data = self._random.choice(
            ((CBOR, b"\x05"), (CBOR, b"\x05"), (0, b""), (DAG_CBOR, b"\x05"), (0, b"\x05"))
        )
        result = encode_abi(["uint32", "uint64", "bytes"], [exit_code, codec, data])
        start = len(self._blob)
        self._blob += result
        self._words.append(f"{len(result)} {start} @data ADD 1 ADD {BLOB} CODECOPY {len(result)} {BLOB} RETURN")

    def assembled(self) -> bytes:
        """Return the code, followed by the data that it sends."""
        return assemble(" ".join([*self._words, "data:"])) + self._blob


def raw_id(actor: int) -> bytes:
    """Return an ID address as bytes."""
    return Address.id(actor).to_bytes()
