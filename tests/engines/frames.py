"""Comparison of single frames, as a recorded run: the plain engine beside the fast one, including instruction costs.

A program is a few of the grammar's statements, sometimes in a loop, with any amount of gas, on a host with its own
prices that responds from dictionaries. The engines run side by side (`tests.engines.side_by_side`): each host call, its
arguments, the gas at it, each call that leaves the frame, and the frame's end must be equal. `python -m tests.engines`
compares whole transactions; these frames are smaller and more numerous. The rules are Filecoin's: under Ethereum's, a
frame's instructions that touch state run in the session's guest.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from math import inf
from random import Random
from time import monotonic
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.gas import GasBudget
from hypervisor.errors import ActorExit, HypervisorError, OutOfGas
from hypervisor_tools.jobs.run import run_all
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.engine import EngineFactory, EngineRules, Frame, FrameOutcome, Status, SubcallOutcome
from runtimes.evm.engines import FAST, PLAIN_ENGINE, engine_factory
from runtimes.evm.frames.pool import pool
from tests.differential.grammar import THEMES, known_only
from tests.engines.grammar import EngineGrammar
from tests.engines.scenes import FILECOIN, rules_by_name
from tests.engines.side_by_side import COMPILE, INTERPRET, INTERPRETED, EnginesDiffer, pair_engines
from tests.harness.recorded import RunRecord, Tally, finish, options
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import CALLER, MYSELF, OTHER, FakeHost

PAIRS: Final = {"engines": (PLAIN_ENGINE, FAST), "tiers": (INTERPRET, COMPILE)}
"""Comparisons: two engines, or the fast engine's interpreter and its compiled code."""
RAN, FINISHED = "ran on both engines", "came to an end of their own"
_CHUNK: Final = 2_000
_BLOCK: Final = 50 * _CHUNK
_STATEMENTS: Final = 150
"""Number of statements per program of a chunk."""
_MAX_ASKS: Final = 5
_ENDS: Final = tuple(assemble(end) for end in ("64 0 RETURN", "64 0 RETURN", "33 1 REVERT", "STOP", "", "INVALID"))


class PricedHost(FakeHost):
    """A host whose responses cost gas."""

    def __init__(self, gas: int) -> None:
        super().__init__(gas)
        self.gas = GasBudget(self.tracker, 1)

    def get_storage(self, key: int) -> int:
        self._charge(100 + key % 7)
        return super().get_storage(key)

    def set_storage(self, key: int, value: int) -> None:
        self._charge(200 + value % 5)
        super().set_storage(key, value)

    def get_balance(self, address: EthAddress) -> int:
        self._charge(26)
        return super().get_balance(address)

    def copy_code(self, address: EthAddress) -> bytes:
        self._charge(27)
        return super().copy_code(address)

    def emit_log(self, topics: Sequence[bytes], data: bytes) -> None:
        self._charge(8 * len(data))
        super().emit_log(topics, data)

    def keccak256(self, data: bytes) -> bytes:
        self._charge(6 * -(-len(data) // 32))
        return super().keccak256(data)

    def grow_memory(self, size: int) -> int:
        self._charge(3 * (size - (self.granted or [0])[-1]) // 32)
        return super().grow_memory(size)

    def _charge(self, amount: int) -> None:
        gas = self.gas
        if amount > gas.remaining:
            gas.overdraw(amount)
        gas.remaining -= amount


@cache
def engines(name: str, pair: str = "engines") -> tuple[EngineRules, EngineFactory]:
    """Return a set of rules and factories of both engines."""
    rules = rules_by_name(name)
    first, second = ((engine, engine_factory(engine, rules)) for engine in PAIRS[pair])
    return rules, pair_engines(first, second)


def programs(random: Random, name: str, count: int) -> Iterator[bytes]:
    grammar = EngineGrammar(random, "mixed", (OTHER, CALLER, MYSELF), ethereum=False)
    statements: list[bytes] = []
    while len(statements) < _STATEMENTS:
        grammar.draw_from(random.choice([*THEMES]))
        words = grammar.statement()
        if ":" not in words:  # a place in it would be another one in a program
            statements.append(assemble(known_only(words, rules_by_name(name))))
    for _ in range(count):
        code = b"".join(random.choices(statements, k=random.randint(1, 6)))
        if random.randrange(3) == 0:
            body = b"".join(random.choices(statements, k=random.randint(1, 2)))
            loop = assemble(f"{random.randint(1, 4)}") + b"\x5b"
            again = (
                assemble("1 SWAP1 SUB DUP1") + b"\x61" + (len(code) + len(loop) - 1).to_bytes(2, "big") + b"\x57\x50"
            )
            code += loop + body + again
        code += random.choice(_ENDS)
        if random.randrange(10) == 0:
            changed = bytearray(code or b"\0")
            changed[random.randrange(len(changed))] = random.randrange(256)
            code = bytes(changed)
        yield code


def run(random: Random, rules: EngineRules, make: EngineFactory, code: bytes) -> str:
    """Run one program with some gas and return its end. Raises EnginesDiffer."""
    calldata, value = random.randbytes(random.choice((0, 4, 36, 68))), random.choice((0, 0, 5))
    frame = Frame(rules, Code(code), calldata, CALLER, MYSELF, value, random.randrange(16) == 0)
    host, engine, asks = PricedHost(random.choice((100_000, 100_000, random.randrange(5_000)))), make(), 0
    host.storage = {0: 1, 2: (1 << 256) - 1}
    try:
        step = engine.start(frame, host)
        while not isinstance(step, FrameOutcome):
            asks += 1
            if asks > _MAX_ASKS:
                return "asked often"
            success = random.random() < 0.7
            step = engine.resume(SubcallOutcome(success, random.randbytes(random.choice((0, 1, 32, 70))), OTHER))
    except (OutOfGas, ActorExit) as error:
        return type(error).__name__
    return step.status.name


def compare_some(seed: int, count: int, pair: str, start: int) -> Tally:
    """Compare one chunk of the programs on a thread that can run guests."""
    return pool(INTERPRETED).stacks.run(lambda: _compare_some(seed, count, pair, start), lambda: None)


def _compare_some(seed: int, count: int, pair: str, start: int) -> Tally:
    tally, random = Tally(), Random(f"frames:{seed}:{start}")
    name = FILECOIN[start // _CHUNK % len(FILECOIN)]
    rules, make = engines(name, pair)
    for number, code in enumerate(programs(random, name, min(_CHUNK, count - start))):
        tally.count += 1
        try:
            end = run(random, rules, make, code)
        except HypervisorError as error:
            words = str(error) if isinstance(error, EnginesDiffer) else f"{type(error).__name__}: {error}"
            tally.findings.append(f"{name}, program {start + number} of seed {seed}, {code.hex()}: {words}")
            continue
        tally.stages[RAN] += 1
        tally.stages[FINISHED] += end in (Status.SUCCESS.name, Status.REVERT.name)
        tally.counts[end] += 1
    return tally


def _in_worker(seed: int, count: int, pair: str, start: int) -> Tally:
    gc.collect()
    gc.freeze()
    gc.disable()
    return compare_some(seed, count, pair, start)


def compare(seed: int, count: int, workers: int, pair: str = "engines", seconds: float = inf) -> Tally:
    """Compare the first `count` programs of a seed, or as many blocks of them as start within some seconds."""
    total, started = Tally(), monotonic()
    work = partial(compare_some if workers == 1 else _in_worker, seed, count, pair)
    for block in range(0, count, _BLOCK):
        if monotonic() - started > seconds:
            break
        for part in run_all(work, range(block, min(count, block + _BLOCK), _CHUNK), workers, "chunks of programs"):
            total.merge(part)
            for finding in part.findings:
                print(f"DIFFERENT: {finding:.1500}", file=sys.stderr, flush=True)
        print(f"{total.count} programs, {len(total.findings)} findings", file=sys.stderr, flush=True)
    return total


def main() -> int:
    """Run the requested comparison and return the exit code."""
    parser = options(__doc__, 100_000)
    parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
    parser.add_argument(
        "--seconds", type=float, default=inf, help="begin nothing more after so long; the count is less"
    )
    parser.add_argument("--pair", choices=[*PAIRS], default="engines", help="what is compared; default: engines")
    chosen = parser.parse_args()
    started = monotonic()
    tally = compare(chosen.seed, chosen.count, chosen.workers, pair=chosen.pair, seconds=chosen.seconds)
    stages = {name: tally.stages[name] for name in (RAN, FINISHED)}
    record = RunRecord(chosen.seed, tally.count, stages, tally.findings[:20], dict(tally.counts))
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
