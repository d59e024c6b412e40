"""Random parameters for every method, from the schemas, to our actors and the official ones: a recorded run.

python -m tests.hypervisor.builtin_actors.fuzz --count 100000 --seed 1

Each input starts from a method's example on the state of `tests.hypervisor.builtin_actors.stage`. Its fields get
other values of their types (addresses, amounts, numbers and pieces that exist in that state, and some that do not), its
lists lose, duplicate and reorder items, or its bytes are damaged. The caller is mostly a valid one. Both sides must
return the same, and a failing call must not change the state.
"""

import sys
import time
from collections import Counter
from random import Random
from typing import Any, Final

import pytest

from bridge.actors.schemas import actor_schema, term_below
from hypervisor import Address
from store.schema.types import Bytes, Link, List, Simple, Struct, Term
from tests.harness.recorded import RunRecord, finish, options
from tests.hypervisor.builtin_actors import stage
from tests.hypervisor.builtin_actors.bad_forms import BY_NAME
from tests.hypervisor.builtin_actors.damage import damaged
from tests.hypervisor.builtin_actors.examples import ABSENT, CALLERS, EXAMPLES, Code, Example, encoded, resolved
from tests.hypervisor.builtin_actors.people import GENESIS, PEOPLE, STRANGER, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_market import bitfield
from tests.hypervisor.builtin_actors.test_same_registry import BYTE, DAY, KIB, TERM_MAX, TERM_MIN, piece
from tests.hypervisor.builtin_actors.twins import Twins

UNDECODED: Final = (21, 22)
"""Exit codes of calls whose parameters were not decoded."""

TRUSTED: Final = ("Exec4",)
"""Methods that only the EAM may call, with the EVM's code; a missing code would be fatal on both sides."""

_IDS: Final = [Address.id(actor) for actor in CALLERS.values()]
_AMOUNTS: Final = (0, 1, 5, 700, 10**9, BYTE, KIB * BYTE, 5 * KIB * BYTE, 10**24, 2048, -1, -2048)
_POOLS: Final[dict[str, list[Any]]] = {
    "Address": [raw(address) for address in (*PEOPLE, *_IDS, *_IDS, STRANGER)],
    "BigInt": [amount(number) for number in _AMOUNTS],
    "BitField": [bitfield(*numbers) for numbers in ((), (0,), (1, 2), (0, 1, 2, 3), (7, 9), (2**40,))],
    "int": [
        0, 1, 2, 3, 4, 5, 7, 9, 10, 101, stage.MINER, stage.EPOCH - 1, stage.EPOCH, stage.EPOCH + 1, stage.TERM, KIB,
        50 * DAY, TERM_MIN, TERM_MAX, 1300 * DAY, -1, 2**31, 2**63 - 1, 2**63, 2**64 - 1,
    ],
    "bool": [False, True],
    "string": ["", "a", "text"],
    "bytes": [b"", b"\x01", b"words", bytes(20), bytes(32), packed(1), packed([], []), b"\x60\x01", bytes(200)],
    "link": [piece(1), piece(2), piece(9), Code("multisig")],
    "code": [Code("multisig"), Code("evm"), Code("paymentchannel"), Code("storageminer"), Code("account")],
}  # fmt: skip
_POOLS["TokenAmount"] = _POOLS["DataCap"] = _POOLS["BigInt"]


def varied(actor: str, term: Term, value: Any, random: Random, often: float) -> Any:
    """Return good parameters with some leaves and lists replaced; `often` is the share of leaves."""
    kind = actor_schema(actor).type_of(term)
    if isinstance(kind, Struct) and isinstance(value, list):
        fields = zip(kind.fields, value, strict=True)
        return [
            varied(actor, term_below(actor_schema(actor), term, name), item, random, often) for name, item in fields
        ]
    if isinstance(kind, List) and isinstance(value, list):
        below = term_below(actor_schema(actor), term, "0")
        return _reordered([varied(actor, below, item, random, often) for item in value], random)
    return _leaf(actor, term, value, random) if random.random() < often else value


def _reordered(items: list[Any], random: Random) -> list[Any]:
    match random.randrange(12):
        case 0:
            return items[:-1]
        case 1:
            return [*items, *items[:1]]
        case 2:
            return items[::-1]
        case _:
            return items


def _leaf(actor: str, term: Term, value: Any, random: Random) -> Any:
    schema = actor_schema(actor)
    named = schema.name_of(term) if isinstance(term, str) else ""
    if named in BY_NAME and random.random() < 0.2:
        return random.choice([*BY_NAME[named].values()])
    match schema.type_of(term):
        case Simple(kind):
            pool = _POOLS[kind]
        case Link():
            pool = _POOLS["code" if isinstance(value, Code) else "link"]
        case Bytes():
            pool = _POOLS.get(named, _POOLS["bytes"])
        case _:
            pool = [value, None]
    return random.choice(pool)


def parameters(example: Example, twins: Twins, random: Random) -> bytes:
    """Return one input's parameters."""
    if example.params is ABSENT:
        return random.choice((b"", b"", b"", b"\x80", b"\xff"))
    value, kind = example.params, random.randrange(4)
    if kind and example.schema_type:
        value = varied(example.actor, example.schema_type, value, random, (0.0, 0.15, 0.3, 0.8)[kind])
    data = encoded(resolved(value, twins.official.manifest))
    return data if kind or example.method in TRUSTED else damaged(data, random)


def run(twins: Twins, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Run the comparison; return stages and differences."""
    random, passed, found = Random(seed), Counter[str](), list[str]()
    for _ in range(count):
        example = random.choice(EXAMPLES)
        number, by = random.choice(example.numbers), example.by
        if random.random() < 0.1:
            by = random.choice([*CALLERS.values()])
        data = parameters(example, twins, random)
        value = example.value if random.random() < 0.9 else random.choice((0, 1, 10**17))
        passed["sent to both"] += 1
        try:
            result = twins.attempt(by, Address.id(example.to), number, data, value, "random")
        except (pytest.fail.Exception, AssertionError) as error:
            found.append(str(error).splitlines()[0])
            continue
        passed["parameters were taken for some"] += result.exit_code not in UNDECODED
        passed["succeeded"] += result.exit_code == 0
    return passed, found


def main() -> int:
    """Return the exit code of the recorded run."""
    chosen = options(__doc__, 100_000).parse_args()
    started = time.monotonic()
    twins = Twins.at_genesis(GENESIS)
    stage.build(twins)
    passed, found = run(twins, chosen.count, chosen.seed)
    names = ("sent to both", "parameters were taken for some", "succeeded")
    stages = {name: passed[name] for name in names}
    record = RunRecord(chosen.seed, chosen.count, stages, found, {"methods": len(EXAMPLES)})
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
