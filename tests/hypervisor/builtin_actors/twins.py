"""Two machines with one state: official actors on the first, ours on the second.

Our modules are installed under the official code CIDs, so the two states must be equal byte for byte. Every message
goes to both; exit code, return value, events and state root must be equal, or the step fails with the differences.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from cbor2 import CBORTag

from hypervisor import Address, Genesis, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.executor import ApplyResult
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.state.state_tree import ActorState
from hypervisor.types import Gas, MethodNumber, TokenAmount
from scripts import build_guests
from store.blockstore import get_object
from store.cid import Cid, show
from store.codec import decode
from tests.hypervisor.builtin_actors.damage import damaged
from tests.hypervisor.builtin_actors.ledger import LEDGER
from tests.hypervisor.builtin_actors.official import V18, Official
from tests.hypervisor.builtin_actors.world import World

GAS_LIMIT = Gas(10**13)
DAMAGED_LIMIT = Gas(2 * 10**9)
"""Gas limit of damaged messages, since a bitfield can request a practically endless computation."""


class Twins:
    """The two machines; `send` and `send_as` return the common result."""

    def __init__(self, of: Official, official: Hypervisor, own: Hypervisor, shakes: int = 0) -> None:
        """`shakes` is the number of damaged forms of each message to try before it, on the same state."""
        self.of, self.official, self.own, self.shakes = of, official, own, shakes
        self.random, self.kind = Random(1), "script"
        assert official.root == own.root, "the two first states differ"

    @classmethod
    def at_genesis(cls, genesis: Genesis, of: Official = V18) -> "Twins":
        """Return both machines at genesis, with our modules under the official CIDs."""
        if of.alone:
            ours = Bundle.embedded(of.own)
            plain = _machine(ours, genesis, of, evm="py-evm", options={"boundary": "plain"})
            return cls(of, plain, _machine(ours, genesis, of, evm="fast"))
        bundle = of.bundle()
        official = _machine(bundle, genesis, of)
        own = _machine(in_place_of(bundle, Bundle.embedded(of.own), of.shared), genesis, of)
        return cls(of, official, own)

    def fork(self, shakes: int = 0, kind: str = "script") -> "Twins":
        """Return a copy whose messages are counted as a kind of `ledger.KINDS`."""
        copy = Twins(self.of, self.official.fork(), self.own.fork(), shakes)
        copy.kind = kind
        return copy

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, to: Address, method: int, params: bytes, value: int, sender: Address) -> ApplyResult:
        """Send a chain message from an account."""
        account = self.official.actor(sender)
        nonce = account.nonce if account else 0
        message = Message(to, sender, nonce, TokenAmount(value), MethodNumber(method), params, gas_limit=GAS_LIMIT)
        return self._both(message, lambda machine: machine.apply(message))

    def send_as(self, sender: int, to: Address, method: int, params: bytes = b"", value: int = 0) -> ApplyResult:
        """Send the call as an implicit message of any actor."""
        message = Message(
            to, Address.id(sender), 0, TokenAmount(value), MethodNumber(method), params, gas_limit=GAS_LIMIT
        )
        return self._both(message, lambda machine: machine.apply_implicit(message))

    def _both(self, message: Message, apply: Callable[[Hypervisor], ApplyResult]) -> ApplyResult:
        for _ in range(self.shakes if message.params else 0):
            self._try(replace(message, params=damaged(message.params, self.random), gas_limit=DAMAGED_LIMIT))
        name = self._name(message.to)
        official, own = apply(self.official), apply(self.own)
        self._check(name, message, official, own, self.kind)
        if official.exit_code == 0 and message.method and name not in self.of.shared:
            LEDGER.paid(name, message.method, official.gas_used, own.gas_used)
        return own

    def attempt(
        self, sender: int, to: Address, method: int, params: bytes = b"", value: int = 0, kind: str = "script"
    ) -> ApplyResult:
        """Send as with `send_as`, then revert the effects; a failed call must not change the state."""
        message = Message(
            to, Address.id(sender), 0, TokenAmount(value), MethodNumber(method), params, gas_limit=DAMAGED_LIMIT
        )
        return self._try(message, kind)

    def _try(self, message: Message, kind: str = "damaged") -> ApplyResult:
        """Send a message to both, compare, and revert its effects."""
        machines = (self.official, self.own)
        before = [machine.snapshot() for machine in machines]
        name = self._name(message.to)
        try:
            official, own = (machine.apply_implicit(message) for machine in machines)
            self._check(name, message, official, own, kind)
            if own.exit_code:
                assert self.own.root == before[1].root, f"{name}.{message.method} failed, and left a change"
        finally:
            for machine, snapshot in zip(machines, before, strict=True):
                machine.restore(snapshot)
        return own

    def _name(self, address: Address) -> str:
        """Return the kind of the actor at an address: a built-in kind, or a word for other actors."""
        actor = self.official.actor(address)
        return "nobody" if actor is None else self.official.manifest.name_of(actor.code) or "user's"

    def _check(self, name: str, message: Message, official: ApplyResult, own: ApplyResult, kind: str) -> None:
        differences = [*_compare(official, own), *self._compare_states()]
        if name not in self.of.shared:
            LEDGER.step(self.of.name, name, kind, not differences)
            LEDGER.ended(name, message.method, official.exit_code)
        if differences:
            call = f"{name}.{message.method} by {message.from_}: {_readable(message.params)} ({message.params.hex()})"
            pytest.fail("\n".join([call, *differences]), pytrace=False)

    def advance(self, **changes: Any) -> None:
        """Change epoch, circulating supply or timestamp of both."""
        for machine in (self.official, self.own):
            machine.advance(**changes)

    def change(self, what: Callable[[Hypervisor], None]) -> None:
        """Change both states by hand."""
        for machine in (self.official, self.own):
            what(machine)

    def only_official(self, what: Callable[[Hypervisor], None]) -> None:
        """Execute on the official actors what ours do not support; both continue from the resulting state."""
        what(self.official)
        self.own.restore(self.official.snapshot())
        self.own.context = self.official.context

    def only_own(self, what: Callable[[Hypervisor], None]) -> None:
        """Execute on our actors what the official ones do not support."""
        what(self.own)
        self.official.restore(self.own.snapshot())
        self.official.context = self.own.context

    def world(self) -> World:
        """Return our machine, for reading."""
        return World(self.own)

    # --- differences ------------------------------------------------------------------------------------------

    def _compare_states(self) -> Iterator[str]:
        if self.official.root == self.own.root:
            return
        official, own = (dict(machine.state_tree.actors()) for machine in (self.official, self.own))
        for actor in sorted(set(official) | set(own)):
            first, second = official.get(actor), own.get(actor)
            if first != second:
                yield f"actor f0{actor}:\n  official {self._show(self.official, first)}"
                yield f"  own      {self._show(self.own, second)}"

    @staticmethod
    def _show(machine: Hypervisor, state: ActorState | None) -> str:
        if state is None:
            return "absent"
        head = get_object(machine.store, state.head)
        return f"balance {state.balance} nonce {state.nonce} head {show(state.head)} {_plain(head)}"


def _machine(
    bundle: Bundle, genesis: Genesis, of: Official, evm: str = "official", options: Mapping[str, str] | None = None
) -> Hypervisor:
    return Hypervisor.open(
        bundle=bundle, network=of.network, genesis=genesis, evm=evm, proofs=AcceptProofs(), options=options
    )


def in_place_of(official: Bundle, own: Bundle, shared: frozenset[str] = frozenset()) -> Bundle:
    """Return the official bundle with our modules under its code CIDs, except for contracts and shared actors."""
    modules = dict(own.blocks)
    ours: Mapping[Cid, bytes] = {
        official.manifest.code(name): modules[own.manifest.code(name)]
        for name, crate in build_guests.MANIFEST.items()
        if crate != "evm_marker" and name not in shared
    }
    return Bundle(official.root, official.manifest, tuple((cid, ours.get(cid, data)) for cid, data in official.blocks))


def _compare(official: ApplyResult, own: ApplyResult) -> Iterator[str]:
    if official.exit_code != own.exit_code:
        yield f"exit {official.exit_code} ({official.message}), own {own.exit_code} ({own.message})"
    if official.return_data != own.return_data:
        yield f"return {_readable(official.return_data)}, own {_readable(own.return_data)}"
    if official.events != own.events:
        yield f"events {official.events},\n  own {own.events}"
    for side, result in (("official", official), ("own", own)):
        if result.fatal is not None:
            yield f"{side} fatal: {result.fatal}"


def _readable(data: bytes) -> str:
    try:
        return str(_plain(decode(data))) if data else "nothing"
    except ValueError:
        return data.hex()


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, CBORTag):
        return show(Cid(value.value[1:])) if isinstance(value.value, bytes) else str(value)
    return value
