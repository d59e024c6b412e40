"""Names of rules with labs: refused with InvalidInput, or rules with that very name."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from hypervisor.errors import InvalidInput
from hypervisor.labs import PREFIX, labs_of
from hypervisor.rules import canonical_rules
from localnet.rules.installed import rules_named
from tests.fuzz import trees
from tests.fuzz.target import Target


def run(data: bytes) -> bool:
    text = data.decode("latin-1")
    try:
        name = canonical_rules(PREFIX + text)
    except InvalidInput:
        return False
    assert canonical_rules(name) == name
    assert sorted(name.removeprefix(PREFIX).split(",")) == sorted(text.split(","))
    try:
        assert rules_named(name).name == name
    except InvalidInput:
        return True  # a lab that is there, with an option that it does not take
    assert labs_of(name)
    return True


def seeds() -> Iterator[bytes]:
    yield from (b"lanes", b"lanes=10/40/50", b"lanes=1/1/98", b"lanes=0/50/50", b"lanes=a", b"lanes,lanes", b"", b"x")


def mutate(data: bytes, rng: Random) -> bytes:
    parts = data.split(b",")
    at = rng.randrange(len(parts))
    if rng.random() < 0.5:
        parts[at] = b"lanes=" + b"/".join(b"%d" % rng.choice((0, 1, 33, 34, 50, 98, 101, 10**30)) for _ in range(3))
    else:
        parts[at] = trees.scrambled(parts[at], rng)
    return b",".join(parts)


TARGET = Target(run, seeds, mutate, share=5, longest=256)
