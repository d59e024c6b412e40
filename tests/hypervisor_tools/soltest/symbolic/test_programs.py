"""Symbolic execution of random programs: for each concrete input, the result of the concrete engine."""

from pathlib import Path
from random import Random

import pytest

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.symbolic.words import MASK, OPERATIONS
from tests.conftest import samples
from tests.hypervisor_tools.soltest.symbolic.staged import Staged, outcomes, staged

NAME = "testRandom(uint256,uint256,uint256)"
EDGES = [0, 1, 2, 3, 31, 32, 33, 255, 256, 1 << 128, 1 << 255, MASK, MASK - 1, (1 << 255) - 1]
HARD = (0x04, 0x05, 0x06, 0x07, 0x08, 0x09)
"""Divisions, which take z3 long on terms of terms."""


def word(rng: Random) -> int:
    """Return a number, often an edge case."""
    return rng.choice(EDGES) if rng.random() < 0.5 else rng.getrandbits(rng.choice([8, 64, 256]))


def push(number: int) -> str:
    """Return the push of a number."""
    size = max(1, (number.bit_length() + 7) // 8)
    return f"{0x5F + size:02x}{number.to_bytes(size, 'big').hex()}"


def program(rng: Random, number: int) -> list[str]:
    """Return a body that ends with its stack as return data."""
    body, depth = [], 0
    for place in range(3):
        body += [push(4 + 32 * place), "35"]
    depth += 3
    for step in range(rng.randrange(5, 25)):
        kind = rng.random()
        if depth < 4 or kind < 0.15:
            body.append(push(word(rng)))
            depth += 1
        elif kind < 0.25:
            body.append(f"{0x7F + rng.randrange(1, depth + 1):02x}")
            depth += 1
        elif kind < 0.33:
            body.append(f"{0x8F + rng.randrange(1, depth):02x}")
        elif kind < 0.62:
            opcode = rng.choice([one for one in OPERATIONS if one not in HARD])
            body.append(f"{opcode:02x}")
            depth += 1 - OPERATIONS[opcode][0]
        elif kind < 0.7:
            body.append(f"{rng.choice(HARD[:4]):02x}")
            depth -= 1
        elif kind < 0.76:  # a slot, of four that the program may mix up
            body += ["6003", "16", "55"] if rng.random() < 0.5 else ["6003", "16", "54"]
            depth -= 2 if body[-1] == "55" else 0
        elif kind < 0.82:  # a slot of a mapping
            body += ["5f52", push(rng.randrange(3)), "602052", "60405f20", "55" if rng.random() < 0.5 else "54"]
            depth -= 2 if body[-1] == "55" else 0
        elif kind < 0.9:
            at = push(rng.randrange(100))
            body += rng.choice([[at, "52"], [at, "53"]])
            depth -= 1
            body += [push(rng.randrange(100)), "51"] if rng.random() < 0.7 else []
            depth += 1 if body[-1] == "51" else 0
        elif kind < 0.94:
            body += [push(rng.randrange(60)), push(rng.randrange(110)), push(rng.randrange(100)),
                     rng.choice(["37", "39", "5e"])]  # fmt: skip
        else:  # a conditional jump over a few instructions, or to nowhere
            label = f"l{number}x{step}"
            if rng.random() < 0.1:
                body += ["80", "6001", "57"]
            else:
                body += [f"@{label}", "57", "19", "6005", "01", f"{label}:"]
                depth -= 1
    for place in range(depth):
        body += [push(32 * place), "52"]
    return [*body, push(32 * depth), "5ff3"]


def check(test: Staged, rng: Random, inputs: int) -> tuple[int, int]:
    """Compare the outcomes of some inputs; return the number of comparisons and of paths."""
    calldata, paths, explorer = test.explore("testRandom")
    compared = 0
    for _ in range(inputs):
        data = selector(NAME) + b"".join(word(rng).to_bytes(32, "big") for _ in range(3))
        found = outcomes(calldata, paths, data)
        if not found and explorer.undecided:
            continue
        assert found == [test.call(data)], data.hex()
        compared += 1
    return compared, len(paths)


@pytest.mark.sampled
@pytest.mark.parametrize("seed", range(samples(24)))
def test_random_programs_agree_with_the_concrete_engine(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    for number in range(2):
        body = program(rng, number)
        with staged(tmp_path / str(number), {NAME: body}) as test:
            check(test, rng, 5)


@pytest.mark.slow
@pytest.mark.parametrize("opcode", [*OPERATIONS, 0x0A])
def test_each_operation_agrees_with_the_concrete_engine(opcode: int, tmp_path: Path) -> None:
    rng = Random(opcode)
    count = OPERATIONS.get(opcode, (2,))[0]
    for fixed in range(8):  # bit by bit, the operands that are numbers in the code
        args = [push(word(rng)) if fixed >> place & 1 else f"{push(4 + 32 * place)}35" for place in range(count)]
        if opcode == 0x0A:
            args[rng.randrange(2)] = push(rng.choice([0, 1, 2, 3, 5]))  # the others are not decided
        body = [*reversed(args), f"{opcode:02x}", "5f52", "60205ff3"]
        with staged(tmp_path / str(fixed), {NAME: body}) as test:
            compared, paths = check(test, rng, 10)
            assert compared == 10 or (opcode == 0x0A and not paths)
            assert paths <= 1
