"""Random call trees across runtimes, and their comparison.

- A native actor that executes a script in its parameters: sends, events, state changes, any kind of exit.
- Random trees of calls: each node is a separate contract or a native actor with a random program.
- Two machines with the native actors, and the observable result of a tree's execution.
- Comparison of many trees by worker processes.

A script is a sequence of steps (see `Script`); as CBOR it is wrapped in a byte string with a two-byte length. The actor
returns the results of its sends for comparison.

A contract's program is a straight line: slots, logs, calls of its children with prepared calldata, and an end. It
returns the results of its calls (success, and the hash of the return data), so the root's result depends on the whole
tree. Called without calldata, as by reentrant calls, a contract counts, logs and stops. No program reads gas, and every
call gets all remaining gas.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from random import Random
from typing import Any, Final

from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from hypervisor.bundles.bundle import Bundle
from hypervisor.messages.address import Address
from hypervisor.tracing import CallNode, Recorder, call_tree
from hypervisor_tools.jobs.run import run_all
from runtimes.evm.blocks.alloc import AllocAccount
from store.cid import CBOR, DAG_CBOR, RAW
from store.codec import encode
from tests.conftest import fvm_data
from tests.differential.comparison import BUNDLE
from tests.differential.twins import RUNNERS, CallOf, Case, Compared, Twin, Twins
from tests.harness.recorded import Tally
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.wasm.guests import imports, install_actor, wasm

OUT, PARAMS, SCRATCH = 0x1000, 0x8000, 0x100
"""Memory offsets of the output (after the head of a byte string), the parameters and the syscall results."""
SHOWN: Final = 96
"""Number of bytes kept of a callee's return data."""
_SYSCALLS = (
    "vm.exit", "ipld.block_create", "ipld.block_read", "ipld.block_stat", "ipld.block_link", "self.set_root",
    "self.current_balance", "event.emit_event", "send.send",
)  # fmt: skip


class Script:
    """Steps as bytes: the step's number and its arguments."""

    def __init__(self) -> None:
        self.code = b""

    def send(
        self, to: Address, method: int, params: bytes | None, codec: int, value: int = 0, read_only: bool = False
    ) -> None:
        """Append step 1: a send without a gas limit."""
        address = to.to_bytes()
        head = bytes([1, len(address)]) + address.ljust(24, b"\0") + _u64(method) + _u64(value) + _u64(int(read_only))
        self.code += head + _u64(codec if params is not None else 0) + _counted(params or b"")

    def emit(self, key: bytes, value: bytes) -> None:
        """Append step 2: an event with one CBOR entry, indexed by key and value."""
        head = _u64(3) + _u64(CBOR) + len(key).to_bytes(4, "little") + len(value).to_bytes(4, "little")
        self.code += bytes([2, len(key)]) + head + key + _counted(value)

    def store(self, block: bytes) -> None:
        """Append step 3: set the state root to a DAG-CBOR block."""
        self.code += b"\x03" + _counted(block)

    def balance(self) -> None:
        """Append step 5: add the actor's balance to the result."""
        self.code += b"\x05"

    def abort(self, exit_code: int, data: bytes) -> None:
        """Append step 4: exit with a code and data."""
        self.code += b"\x04" + exit_code.to_bytes(4, "little") + _counted(data)

    def trap(self) -> None:
        """Append step 6: an illegal instruction."""
        self.code += b"\x06"

    def raw(self) -> bytes:
        """Return the terminated script for parameters with a codec other than CBOR."""
        return self.code + b"\0"

    def wrapped(self) -> bytes:
        script = self.raw()
        return b"\x59" + len(script).to_bytes(2, "big") + script


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(2, "little") + data


@cache
def puppet() -> bytes:
    return wasm(f"""(module
      {imports(*_SYSCALLS)}
      (memory (export "memory") 4)
      (global $at (mut i32) (i32.const {PARAMS}))
      (global $out (mut i32) (i32.const {OUT + 3}))
      (func $byte (result i32)
        (i32.load8_u (global.get $at)) (global.set $at (i32.add (global.get $at) (i32.const 1))))
      (func $skip (param $length i32) (result i32)
        (global.get $at) (global.set $at (i32.add (global.get $at) (local.get $length))))
      (func $length (result i32) (i32.load16_u (call $skip (i32.const 2))))
      (func $word (result i64) (i64.load (call $skip (i32.const 8))))
      (func $say (param $number i32)
        (i32.store (global.get $out) (local.get $number))
        (global.set $out (i32.add (global.get $out) (i32.const 4))))
      (func $block (param $codec i64) (result i32) (local $size i32)
        (local.set $size (call $length))
        (if (i64.eqz (local.get $codec)) (then (drop (call $skip (local.get $size))) (return (i32.const 0))))
        (call $say (call $block_create (i32.const {SCRATCH}) (local.get $codec)
          (call $skip (local.get $size)) (local.get $size)))
        (i32.load (i32.const {SCRATCH})))
      (func $do_send (local $to i32) (local $size i32) (local $method i64) (local $value i64) (local $flags i64)
          (local $params i32)
        (local.set $size (call $byte))
        (local.set $to (call $skip (i32.const 24)))
        (local.set $method (call $word)) (local.set $value (call $word)) (local.set $flags (call $word))
        (local.set $params (call $block (call $word)))
        (i64.store (i32.const {SCRATCH}) (i64.const 0))
        (call $say (call $send (i32.const {SCRATCH}) (local.get $to) (local.get $size) (local.get $method)
          (local.get $params) (i64.const 0) (local.get $value) (i64.const 0x7fffffffffffffff) (local.get $flags)))
        (call $say (i32.load (i32.const {SCRATCH})))
        (if (i32.load offset=4 (i32.const {SCRATCH})) (then (call $answer))))
      (func $answer (local $block i32)
        (local.set $block (i32.load offset=4 (i32.const {SCRATCH})))
        (call $say (i32.wrap_i64 (i64.load offset=8 (i32.const {SCRATCH}))))
        (call $say (i32.load offset=16 (i32.const {SCRATCH})))
        (drop (call $block_read (i32.const {SCRATCH}) (local.get $block) (i32.const 0) (global.get $out)
          (i32.const {SHOWN})))
        (global.set $out (i32.add (global.get $out) (i32.const {SHOWN}))))
      (func $do_emit (local $size i32) (local $entries i32) (local $key i32) (local $values i32)
        (local.set $size (call $byte))
        (local.set $entries (call $skip (i32.const 24)))
        (local.set $key (call $skip (local.get $size)))
        (local.set $values (call $length))
        (call $say (call $emit_event (local.get $entries) (i32.const 1) (local.get $key) (local.get $size)
          (call $skip (local.get $values)) (local.get $values))))
      (func $do_store
        (call $say (call $block_link (i32.const {SCRATCH}) (call $block (i64.const 0x71)) (i64.const 0xb220)
          (i32.const 32) (i32.const {SCRATCH + 64}) (i32.const 64)))
        (call $say (call $set_root (i32.const {SCRATCH + 64}))))
      (func $do_abort (local $code i32)
        (local.set $code (i32.load (call $skip (i32.const 4))))
        (drop (call $exit (local.get $code) (call $block (i64.const {CBOR})) (i32.const 0) (i32.const 0))))
      (func $do_balance
        (drop (call $current_balance (global.get $out)))
        (global.set $out (i32.add (global.get $out) (i32.const 16))))
      (func $returned (result i32) (local $size i32)
        (local.set $size (i32.sub (global.get $out) (i32.const {OUT + 3})))
        (i32.store8 (i32.const {OUT}) (i32.const 0x59))
        (i32.store8 (i32.const {OUT + 1}) (i32.shr_u (local.get $size) (i32.const 8)))
        (i32.store8 (i32.const {OUT + 2}) (local.get $size))
        (drop (call $block_create (i32.const {SCRATCH}) (i64.const {CBOR}) (i32.const {OUT})
          (i32.add (local.get $size) (i32.const 3))))
        (i32.load (i32.const {SCRATCH})))
      (func (export "invoke") (param $params i32) (result i32) (local $step i32)
        (if (i32.eqz (local.get $params)) (then (return (i32.const 0))))
        (drop (call $block_stat (i32.const {SCRATCH}) (local.get $params)))
        (if (i64.eq (i64.load (i32.const {SCRATCH})) (i64.const {CBOR})) (then (drop (call $skip (i32.const 3)))))
        (drop (call $block_read (i32.const {SCRATCH}) (local.get $params) (i32.const 0) (i32.const {PARAMS})
          (i32.const 0x20000)))
        (loop $next
          (local.set $step (call $byte))
          (if (i32.eq (local.get $step) (i32.const 1)) (then (call $do_send) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 2)) (then (call $do_emit) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 3)) (then (call $do_store) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 4)) (then (call $do_abort)))
          (if (i32.eq (local.get $step) (i32.const 5)) (then (call $do_balance) (br $next)))
          (if (i32.eq (local.get $step) (i32.const 6)) (then unreachable)))
        (call $returned)))""")


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
    return Address.id(actor).to_bytes()


RAN, CROSSED, TWICE = "ran on both", "crossed the border", "crossed it twice or more"
BELOW = "refused below a border"
STAGES: Final = (RAN, CROSSED, BELOW, TWICE)


class Stage(Twin):
    """A machine with the native actors."""

    def __init__(self, bundle: Bundle, evm: str) -> None:
        super().__init__(bundle, evm)
        for actor in PUPPETS:
            install_actor(self.machine, puppet(), actor, FUNDS)
        self._empty = self.machine.snapshot()

    @contextmanager
    def recorded(self) -> Iterator[list[CallNode]]:
        """Collect the call trees of messages applied inside the context."""
        recorder = self.machine.tracer = Recorder()
        trees: list[CallNode] = []
        try:
            yield trees
        finally:
            self.machine.tracer = None
            trees += call_tree(recorder.events)


class Stages(Twins):
    def __init__(self, bundle: Bundle, runners: tuple[str, str] = RUNNERS) -> None:
        self.ours, self.official = (Stage(bundle, evm) for evm in runners)

    def execute(self, tree: Tree) -> tuple[Compared, Counter[str]]:
        """Execute a tree on both machines; return the results and the call counts."""
        assert isinstance(self.ours, Stage)
        with self.ours.recorded() as calls:
            compared = self.compare(tree.case)
        return compared, call_counts(calls)


def call_counts(calls: list[CallNode]) -> Counter[str]:
    """Return counts of call trees: calls, calls to the other runtime, and calls rejected below such a call."""
    found: Counter[str] = Counter()
    open_ = [(node, "", 0) for node in calls]  # the sender has no runtime
    while open_:
        node, above, borders = open_.pop()
        runtime = node.runtime or above
        crosses = bool(node.runtime) and bool(above) and runtime != above
        borders += crosses
        found["calls"] += 1
        found["crossings"] += crosses
        found["deepest"] = max(found["deepest"], borders)
        found["refused below"] += bool(borders) and not node.succeeded
        open_ += [(child, runtime, borders) for child in node.calls]
    return found


def stages(found: Counter[str]) -> list[str]:
    passed = (True, found["crossings"] >= 1, found["refused below"] >= 1, found["crossings"] >= 2)
    return [name for name, reached in zip(STAGES, passed, strict=True) if reached]


CHUNK = 100


@dataclass
class TreeTally(Tally):
    """Sums over trees; `counts` holds calls, calls across runtimes and refusals."""

    exits: Counter[int] = field(default_factory=Counter)
    gas_decided: int = 0


def compare(seed: int, count: int, workers: int) -> TreeTally:
    """Compare the first `count` trees of a seed."""
    total = TreeTally()
    work = partial(compare_some, seed, count)
    for part in run_all(work, range(0, count, CHUNK), workers, "chunks of trees"):
        total.merge(part)
        if total.count % 1000 == 0:
            print(f"{total.count} trees, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def compare_some(seed: int, count: int, start: int) -> TreeTally:
    tally, both = TreeTally(), machines()
    for number in range(start, min(start + CHUNK, count)):
        tree = Tree(seed, number)
        compared, found = both.execute(tree)
        tally.count += 1
        tally.stages.update(stages(found))
        tally.counts.update({name: found[name] for name in ("calls", "crossings", "refused below")})
        tally.exits.update(outcome.exit_code for outcome in compared.official)
        tally.gas_decided += compared.gas_decided
        if compared.difference:  # enough gas for all: none may be decided by it
            tally.findings.append(f"{tree.case.name}: {compared.difference}")
    return tally


@cache
def machines() -> Stages:
    """Return a worker's machines, reused for its chunks."""
    data = fvm_data()
    if data is None:
        raise SystemExit("error: no official bundle: set FVM_DATA to the folder that holds bundles/")
    return Stages(Bundle.open(data / BUNDLE))
