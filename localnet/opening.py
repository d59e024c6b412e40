"""Opening a network: a new folder gets a genesis and a record, an old one goes on as what its record says it is."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from hypervisor.bundle import Bundle
from hypervisor.genesis import Genesis
from hypervisor.machine import Hypervisor
from hypervisor.opening import AUTO, open_store
from hypervisor.proofs import AcceptProofs
from hypervisor.types import TokenAmount
from localnet.chain import Chain
from localnet.externs import ChainExterns
from localnet.genesis import NETWORK_NAME, NetworkRecord, check_same
from localnet.index import ChainIndex
from localnet.upgrades import UpgradePlan, Upgrades, planned
from store.blockstore import Store


@dataclass(frozen=True, slots=True)
class Opening:
    """What somebody asks for who opens a network; see `Network`."""

    path: str | Path
    bundle: Bundle | str | Path | None
    network: int | None
    evm: str
    genesis: Genesis

    def chain(self, supply: TokenAmount, timestamp: int, plan: UpgradePlan) -> Chain:
        """The chain in the folder, or a new one with so much circulating supply at a time (Unix seconds)."""
        upgrades, bundles = planned(plan)
        bundle = Bundle.open(self.bundle) if isinstance(self.bundle, str | Path) else self.bundle
        with ExitStack() as undo:
            store = undo.enter_context(closing(open_store(self.path)))
            index, externs = ChainIndex(store), ChainExterns()
            machine = undo.enter_context(self._machine(store, index, bundle, externs))
            first, evm = Upgrades(machine.context.network.number), machine.registry.options["evm"]
            fresh = NetworkRecord(NETWORK_NAME, supply, first, evm, machine.manifest.data)
            chain = Chain(machine, externs, fresh, timestamp)
            chain.plan(upgrades, bundles)
            undo.pop_all()
        return chain

    def _machine(self, store: Store, index: ChainIndex, bundle: Bundle | None, externs: ChainExterns) -> Hypervisor:
        network, evm, record = self.network, self.evm, index.network()
        if record is not None:
            now = record.upgrades.version_at(index.head)
            check_same(record, bundle, network, None if evm == AUTO else evm, now)
            bundle, network, evm = None, None, record.evm
        return Hypervisor.open(
            store=store,
            bundle=bundle,
            network=network,
            evm=evm,
            genesis=self.genesis,
            externs=externs,
            proofs=AcceptProofs(),
        )
