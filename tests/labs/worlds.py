"""The network of the labs' random programs: two contracts, two native actors, and an account."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import to_filecoin
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, TokenAmount
from localnet import Network
from localnet.rules.parts import ImplicitResult


@dataclass(frozen=True, slots=True)
class LabNetwork:
    """A network's machine with two actors of each runtime and an account, restored before each program."""

    network: Network
    machine: Hypervisor
    contracts: tuple[ActorID, ...]
    natives: tuple[ActorID, ...]
    account: ActorID
    interface: ContractInterface
    start: Snapshot
    epoch: int

    @property
    def actors(self) -> tuple[ActorID, ...]:
        """All four actors."""
        return (*self.contracts, *self.natives)


class NoBlocks:
    """Block production without reward and cron."""

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None: ...
    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        return ()

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        return ()

    def next_base_fee(self, version: Any, base_fee: int, gas_used: int, bids: Any) -> TokenAmount:
        return TokenAmount(base_fee)


def make_lab_network(rules: str, artifact: Path, module: Path, funds: int) -> LabNetwork:
    """Return a network under these rules; each of the four actors has `funds` attoFIL."""
    network = Network(rules=rules)
    machine, contracts = network.machine, list[ActorID]()
    for _ in range(2):
        contract = network.deploy(artifact)
        contracts.append(machine.state_tree.lookup_id(to_filecoin(contract.address)) or ActorID(0))
    code = machine.install(module.read_bytes())
    natives = [machine.create(code).id for _ in range(2)]
    account = machine.state_tree.lookup_id(network.accounts[0].native) or ActorID(0)
    for actor in (*contracts, *natives):
        state = machine.state_tree.get_actor(actor)
        assert state is not None, "it was made just now"
        machine.state_tree.set_actor(actor, state.with_balance(TokenAmount(funds)))
    epoch = machine.context.epoch + 1
    return LabNetwork(
        network, machine, tuple(contracts), tuple(natives), account, contract.interface, machine.snapshot(), epoch
    )
