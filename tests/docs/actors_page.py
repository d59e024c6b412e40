"""Generator of the table in docs/actors.md: each method of each built-in actor, and whether our bundles offer it.

python -m tests.docs.actors_page     regenerate the table (`make actors-page`)

Names and numbers come from the schemas. Each actor is called to find out if it has a method: a missing method exits
with 22, and a frozen one with 18 for every caller. The official actors of v18 are called, too, so that none of their
methods is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.actors.schemas import FIXED_NUMBERS, methods
from bridge.filecoin.method_numbers import FIRST_EXPORTED_METHOD, method_number
from hypervisor import Address, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.exit_codes import ExitCode
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_ACTOR, SYSTEM_ACTOR, ActorID, MethodNumber
from store.codec import encode
from tests.conftest import data_file
from tests.docs.page_shell import between
from tests.hypervisor.builtin_actors.bad_forms import bad_forms
from tests.hypervisor.builtin_actors.examples import CALLERS, Example, of_actor

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "actors.md"
BEGIN: Final = "<!-- the table: make actors-page -->\n"
END: Final = "<!-- end of the table -->\n"
OFFICIAL: Final = "bundles/v18-testing-fake-proofs.car"

BASICS: Final = (
    "hypervisor/builtin_actors/test_official_cases.py",
    "hypervisor/builtin_actors/test_same_basics_at_random.py",
)
HELD: Final = {
    "system": BASICS,
    "init": BASICS,
    "cron": (
        "hypervisor/builtin_actors/test_same_cron.py",
        "hypervisor/builtin_actors/test_same_basics_at_random.py",
    ),
    "account": BASICS,
    "storagepower": ("hypervisor/builtin_actors/test_same_power.py",),
    "storageminer": (
        "hypervisor/builtin_actors/test_same_miner.py",
        "hypervisor/builtin_actors/test_same_sectors.py",
    ),
    "storagemarket": (
        "hypervisor/builtin_actors/test_same_market.py",
        "hypervisor/builtin_actors/test_same_reentrancy.py",
    ),
    "paymentchannel": (
        "hypervisor/builtin_actors/test_same_paymentchannel.py",
        "hypervisor/builtin_actors/test_same_at_random.py",
    ),
    "multisig": (
        "hypervisor/builtin_actors/test_same_multisig.py",
        "hypervisor/builtin_actors/test_same_at_random.py",
    ),
    "reward": ("hypervisor/builtin_actors/test_same_reward.py",),
    "verifiedregistry": (
        "hypervisor/builtin_actors/test_same_registry.py",
        "hypervisor/builtin_actors/test_same_reentrancy.py",
    ),
    "datacap": (
        "hypervisor/builtin_actors/test_same_datacap.py",
        "hypervisor/builtin_actors/test_same_at_random.py",
        "hypervisor/builtin_actors/test_same_reentrancy.py",
    ),
    "placeholder": BASICS,
    "evm": ("conformance/test_evm.py",),
    "eam": BASICS,
    "ethaccount": BASICS,
}
"""Test modules that compare each actor with the official one."""

HELD_NEW: Final = {
    "storageminer": ("hypervisor/builtin_actors/test_sector_quality.py",),
    "reward": ("conformance/test_actor_cases.py", "streams/test_streams.py"),
}
"""Tests of the methods that v19 added, for which no official bundle is available."""

TAKES_ANYTHING: Final = {
    "account": ("AuthenticateMessage",),
    "ethaccount": (),
    "multisig": ("Receive",),
    "placeholder": (),
    "evm": ("InvokeEVM",),
}
"""Actors that accept any exported number, and their own exported methods."""

SINGLETONS: Final = (*map(ActorID, range(8)), EAM_ACTOR)
_SMALL_NUMBERS: Final = range(1, 64)


@dataclass(frozen=True, slots=True)
class Row:
    """A method with its one or two numbers, the bundles that have it, and v19's change."""

    actor: str
    method: str
    numbers: tuple[int, ...]
    official: bool
    own: bool
    later: str

    @property
    def new(self) -> bool:
        """True if v19 added the method."""
        return not self.official and not self.own

    def line(self) -> str:
        numbers = ", ".join(str(number) for number in self.numbers)
        offered = "yes" if self.own else "no: 22"
        if self.new:
            against = f"none; {', '.join(f'`{test}`' for test in HELD_NEW[self.actor])}"
        elif not self.own:
            against = ""
        elif self.official:
            against = ", ".join(f"`{test}`" for test in HELD[self.actor])
        else:
            against = "no official actor has it"
        callers, forms = self.steps()
        cells = self.actor, self.method, numbers, offered, self.later, against, callers, forms
        return f"| {' | '.join(cells)} |\n"

    def steps(self) -> tuple[str, str]:
        """Return the numbers of callers and of malformed parameters tested for the method."""
        found = [example for example in of_actor(self.actor) if example.method == self.method]
        if not found:
            return "", ""
        (example,) = found
        assert example.numbers == self.numbers, f"{self.actor}.{self.method}: the example says {example.numbers}"
        forms = len(list(bad_forms(example, Bundle.embedded().manifest)))
        return f"{len(CALLERS) * len(self.numbers)}", f"{forms * len(self.numbers)}"


class Probe:
    """Machine with stateless actors of each kind, which suffices to find out whether a method exists."""

    def __init__(self, bundle: Bundle, evm: str) -> None:
        self.machine = Hypervisor.open(bundle=bundle, evm=evm)
        self.ids = {name: ActorID(700 + place) for place, name in enumerate(ACTOR_NAMES)}
        for name, actor in self.ids.items():
            self.machine.state_tree.set_actor(actor, ActorState(self.machine.manifest.code(name)))

    def has(self, actor: str, number: int) -> bool:
        """Return True if the method exists for f00, which may call internal numbers too."""
        params = encode("parameters of no method")
        return self._answer(SYSTEM_ACTOR, actor, number, params) != ExitCode.USR_UNHANDLED_MESSAGE

    def is_forbidden(self, example: Example, number: int) -> bool:
        """Return True if a method refuses singletons and actors of every kind."""
        params = example.encoded(self.machine.manifest)
        callers = (*SINGLETONS, *self.ids.values())
        return {self._answer(one, example.actor, number, params) for one in callers} == {ExitCode.USR_FORBIDDEN}

    def _answer(self, caller: ActorID, actor: str, number: int, params: bytes) -> int:
        to, sender = Address.id(self.ids[actor]), Address.id(caller)
        return self.machine.call(Message(to, sender, method=MethodNumber(number), params=params)).exit_code


def support_cell(before: Probe, probe: Probe, method: str, actor: str, numbers: list[int]) -> str:
    """Return the table cell about a method in a set of actors that follows another set."""
    if not any(probe.has(actor, number) for number in numbers):
        return "no: 22"
    for example in of_actor(actor):
        if example.method == method:
            forbidden = [{each.is_forbidden(example, number) for number in numbers} for each in (before, probe)]
            return "frozen: 18" if forbidden == [{False}, {True}] else "yes"
    return "yes"


def rows(official: Probe, own: Probe, later: Probe) -> Iterator[Row]:
    """Return all methods by actor in the manifest's order, then by number."""
    for actor in ACTOR_NAMES:
        by_name: dict[str, list[int]] = {}
        for number in sorted(numbers_of(actor, official, own, later)):
            method = methods(actor).get(MethodNumber(number))
            assert method is not None, f"{actor}: {number} has no name in the schemas"
            by_name.setdefault(method.name, []).append(number)
        for name, numbers in by_name.items():
            answers = [{probe.has(actor, number) for number in numbers} for probe in (official, own)]
            assert all(len(answer) == 1 for answer in answers), f"{actor}.{name}: one of {numbers} is unlike the others"
            told = support_cell(own, later, name, actor, numbers)
            yield Row(actor, name, tuple(numbers), answers[0] == {True}, answers[1] == {True}, told)


def numbers_of(actor: str, *probes: Probe) -> Iterator[int]:
    """Return the numbers that any of the actors handles; for actors that accept anything, the defined ones."""
    if actor in TAKES_ANYTHING:
        named = {int(row.split()[0]) for row in FIXED_NUMBERS.get(actor, "").split(", ") if row}
        yield from {1, *named} if actor != "placeholder" else ()
        yield from (method_number(name) for name in TAKES_ANYTHING[actor])
        return
    exported = (number for number in methods(actor) if number >= FIRST_EXPORTED_METHOD)
    for number in {*_SMALL_NUMBERS, *exported}:
        if any(probe.has(actor, number) for probe in probes):
            yield number


def table(found: list[Row]) -> str:
    head = (
        "| actor | method | number | v18 | v19 | compared with the official one by (in `tests/`) "
        "| callers | bad forms |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(row.line() for row in found)


def found_rows() -> list[Row]:
    """Call the actors of all bundles. Needs the test data."""
    official = Probe(Bundle.open(data_file(OFFICIAL)), "official")
    return list(rows(official, Probe(Bundle.embedded(), "py-evm"), Probe(Bundle.embedded("v19"), "py-evm")))


def main() -> None:
    PAGE.write_text(between(PAGE.read_text(encoding="utf-8"), BEGIN, END, table(found_rows())), encoding="utf-8")


if __name__ == "__main__":
    main()
