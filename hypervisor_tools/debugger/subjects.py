"""A message to debug, which can be executed repeatedly from its initial state.

Sources are the chain in a folder, a node (read block by block), a vector, or a call that is not on any chain. Each
execution is reverted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.gas import DEFAULT_RATE
from hypervisor.errors import InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.installation import OFFICIAL_EVM, OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.opening import registry_factory
from hypervisor.messages.message import Message
from hypervisor.tracing import Tracer
from hypervisor_tools.laboratory.vectors.conformance import VectorVariant, apply_message, open_vector, read_message
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet.calls.simulate import traced_call
from localnet.network import Network
from localnet.replay.sources import SourceSupply, TipsetSource, machine_for, read_past_tipset
from localnet.replay.tipset_execution import apply_included, tipset_steps
from localnet.rules.facts import CallRequest
from localnet.rules.parts import rules_of
from localnet.traces.trace import Replay
from store.cid import Cid, parse_cid


@dataclass(frozen=True, slots=True)
class Subject:
    """A message on a machine at its initial state, whose root is `root`."""

    name: str
    machine: Hypervisor
    run: Callable[[Tracer], None]
    """Function that executes the message with a tracer and reverts it."""
    root: Cid

    @property
    def rate(self) -> int:
        """Milligas per unit of EVM engine gas, as reported to tracers (`bridge.gas`)."""
        return DEFAULT_RATE if rules_of(self.machine).features.has_filecoin_blocks else MILLIGAS_PER_GAS

    @property
    def steps_contracts(self) -> bool:
        """Return True if the EVM engine reports instructions."""
        return self.machine.registry.options["evm"] != OFFICIAL_EVM


def of_transaction(network: Network, transaction: bytes) -> Subject:
    """Return a transaction of a network's chain. Raises UnknownTransaction."""
    receipt = network.receipt(transaction)
    replay = Replay(network.chain, receipt.tipset, receipt.index)
    name = f"transaction 0x{transaction.hex()} of epoch {receipt.tipset.height}"
    return Subject(name, replay.machine, lambda tracer: replay.rehearse(tracer, lambda: None), replay.machine.root)


def of_call(network: Network, request: CallRequest) -> Subject:
    """Return a call at a network's head, whose effects are discarded."""
    machine = network.machine.fork()
    to = "a new contract" if request.to is None else f"0x{request.to.hex()}"
    return Subject(
        f"a call of {to} from 0x{request.sender.hex()}",
        machine,
        lambda tracer: traced_call(machine, request, tracer, lambda _: None),
        machine.root,
    )


def of_source(source: TipsetSource, reference: str) -> Subject:
    """Return a message of a chain, with its past fetched from `source`. Raises InvalidInput, NodeError."""
    found = source.find_message(reference)
    past = read_past_tipset(source, found.tipset)
    machine = machine_for(source, past)
    for _ in tipset_steps(machine, past.work, SourceSupply(source, past.headers), before=found.cid):
        pass
    included = next(one for one in past.work.messages() if found.cid in (one.cid, one.message.cid()))
    return Subject(
        f"message {reference} of epoch {past.headers.height} on {source.name}",
        machine,
        _traced_run(machine, lambda: apply_included(machine, included)),
        machine.root,
    )


def of_vector(path: Path, bundles: Path, number: int = 1) -> Subject:
    """Return a message of a vector's first variant; numbers start at 1. Raises InvalidInput."""
    variant = next(open_vector(path, BundleFolder(bundles)), None)
    if variant is None or not variant.messages:
        raise InvalidInput(
            f"{path} is not a vector of class message: debug an epoch's message with --state or --rpc-url"
        )
    if not 1 <= number <= len(variant.messages):
        raise InvalidInput(f"{path} has no message {number}: it has {len(variant.messages)}")
    return _of_variant(variant, number)


def _of_variant(variant: VectorVariant, number: int) -> Subject:
    machine = variant.machine
    for applied in variant.messages[: number - 1]:
        apply_message(machine, *read_message(applied))
    message, raw_length = read_message(variant.messages[number - 1])
    return Subject(
        f"message {number} of {variant.vector}:{variant.name}",
        machine,
        _traced_run(machine, lambda: apply_message(machine, message, raw_length)),
        machine.root,
    )


def of_message(machine: Hypervisor, message: Message, *, implicit: bool = False) -> Subject:
    """Return a message on a machine in its current state."""
    apply = machine.apply_implicit if implicit else machine.apply
    return Subject(f"a message to {message.to}", machine, _traced_run(machine, lambda: apply(message)), machine.root)


def _traced_run(machine: Hypervisor, apply: Callable[[], object]) -> Callable[[Tracer], None]:
    def run(tracer: Tracer) -> None:
        with machine.trial(), machine.traced(tracer):
            apply()

    return run


def use_own_engine(machine: Hypervisor) -> None:
    """Select this project's EVM runtime, which reports instructions; their gas is the derived budget."""
    if machine.registry.options["evm"] == OFFICIAL_EVM:
        machine.registry = registry_factory(OWN_EVM, {})(machine.manifest, machine.store)


def parse_transaction(network: Network, text: str) -> bytes:
    """Parse a transaction hash, or a message CID, and return the hash. Raises InvalidInput."""
    from localnet.replay.sources import parse_reference
    from localnet.rpc.filecoin.chain import hash_of
    from localnet.rpc.node import Node

    named = parse_reference(text)
    if named.cid is None:
        return named.hash
    found = hash_of(Node(network), parse_cid(text))
    if found is None:
        raise InvalidInput(f"no message in a block of this chain has the CID {text}")
    return found
