"""Random programs of a lab, and the network that runs them.

- Random programs of a lab on several processes, as a recorded run.
- The network of the labs' random programs: two contracts, two native actors, and an account.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import to_filecoin
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, TokenAmount
from localnet import Network
from localnet.rules.parts import ImplicitResult
from tests.harness.recorded import RunRecord, finish, options

Shown = tuple[list[str], tuple[bool, ...]]
"""A program's findings, each as `kind: text`, and for each stage after the first True if the program reached it."""


@dataclass(frozen=True)
class RandomPrograms:
    """Random programs of a lab, with the function that runs the program of a seed.

    A program without findings reaches the first stage, and each later stage only after all previous ones. A process
    runs `batch` programs at a time, in the context `around()`.
    """

    stages: tuple[str, ...]
    show: Callable[[int], Shown]
    batch: int = 25
    around: Callable[[], AbstractContextManager[Any]] = nullcontext

    def run(self, seed: int, count: int, workers: int) -> tuple[Counter[str], list[str]]:
        """Return stages and findings of N programs."""
        first, size = seed << 32, self.batch
        tasks = [range(first + at, first + min(count, at + size)) for at in range(0, count, size)]
        stages, findings = Counter[str](), list[str]()
        with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
            for part in map(self._played, tasks) if pool is None else pool.map(self._played, tasks):
                for program, passed, found in part:
                    stages.update(passed)
                    findings += [f"{program}: {words}" for words in found]
        return stages, findings

    def _played(self, seeds: Iterable[int]) -> list[tuple[int, list[str], list[str]]]:
        """Return seed, stages and findings of each program. An exception is a finding, too."""
        played = []
        with self.around():
            for seed in seeds:
                try:
                    findings, later = self.show(seed)
                except Exception as error:  # noqa: BLE001  # a finding
                    played.append((seed, list[str](), [f"broken: {type(error).__name__}: {error}"]))
                    continue
                passed = (not findings, *later)
                stages = [name for place, name in enumerate(self.stages) if all(passed[: place + 1])]
                played.append((seed, stages, findings))
        return played

    def main(self, description: str | None) -> int:
        """Run the requested programs and return the exit code."""
        parser = options(description, 10_000)
        parser.add_argument("--workers", type=int, default=2, help="processes; default: 2")
        parser.add_argument("--program", type=int, metavar="SEED", help="run one program and print its findings")
        chosen = parser.parse_args()
        if chosen.program is not None:
            print("\n".join(self.show(chosen.program)[0]) or "no finding")
            return 0
        started = monotonic()
        stages, findings = self.run(chosen.seed, chosen.count, chosen.workers)
        shares = {name: stages[name] for name in self.stages}
        return finish(RunRecord(chosen.seed, chosen.count, shares, findings[:20]), chosen, started)


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
        return (*self.contracts, *self.natives)


class NoBlocks:
    """Block production without reward and cron."""

    def start_block(self, machine: Hypervisor, parent_hash: bytes) -> None: ...
    def withdraw(self, machine: Hypervisor, withdrawals: Any) -> None: ...
    def null_round(self, machine: Hypervisor) -> tuple[ImplicitResult, ...]:
        return ()

    def end_block(self, machine: Hypervisor, producer: Address, tips: int) -> tuple[ImplicitResult, ...]:
        return ()

    def next_base_fee(self, version: Any, base_fee: int, gas_used: int, messages: Any) -> TokenAmount:
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
