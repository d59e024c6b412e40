"""Opening a network: a new folder gets a genesis and a record, an old one goes on as what its record says it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hypervisor.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.genesis import Genesis
from hypervisor.machine import Hypervisor
from hypervisor.opening import AUTO, open_store
from hypervisor.proofs import AcceptProofs
from hypervisor.types import TokenAmount
from localnet.accounts import Account
from localnet.chain import Chain
from localnet.datacap import grant_on
from localnet.externs import ChainExterns
from localnet.genesis import NOTHING_MORE, OTHER_FOLDER, Beginning, NetworkRecord, check_same, network_genesis
from localnet.index import ChainIndex
from localnet.preinstalled import preinstall
from localnet.upgrades import UpgradePlan, Upgrades, planned
from store.blockstore import Store

LARGEST_CHAIN_ID: Final = (1 << 53) - 1
"""JavaScript's tools take no more."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What somebody asks for who opens a network; see `Network`."""

    path: str | Path
    bundle: Bundle | str | Path | None
    network: int | None
    evm: str
    accounts: Sequence[Account]
    balance: TokenAmount
    beginning: Beginning
    chain_id: int | None = None
    bare: bool = False

    def chain(self, timestamp: int, plan: UpgradePlan) -> Chain:
        """The chain in the folder, or a new one at a time (Unix seconds)."""
        genesis, supply = network_genesis(self.accounts, self.balance, self.beginning)
        upgrades, bundles = planned(plan)
        bundle = Bundle.open(self.bundle) if isinstance(self.bundle, str | Path) else self.bundle
        with ExitStack() as undo:
            store = undo.enter_context(closing(open_store(self.path)))
            index, externs = ChainIndex(store), ChainExterns()
            machine = undo.enter_context(self._machine(store, index, bundle, genesis, externs))
            if index.head < 0:
                self._begin(machine)
            first, evm = Upgrades(machine.context.network.number), machine.registry.options["evm"]
            fresh = NetworkRecord(genesis.network_name, supply, first, evm, machine.manifest.data)
            chain = Chain(machine, externs, fresh, timestamp)
            chain.plan(upgrades, bundles)
            undo.pop_all()
        return chain

    def _begin(self, machine: Hypervisor) -> None:
        """Make a new machine's state the network's: its chain id, and the contracts that are everywhere."""
        machine.advance(chain_id=self.chain_id)
        if not self.bare:
            preinstall(machine)
        for client, size in self.beginning.verified.items():
            grant_on(machine, client, size)

    def _machine(
        self, store: Store, index: ChainIndex, bundle: Bundle | None, genesis: Genesis, externs: ChainExterns
    ) -> Hypervisor:
        network, evm, record = self.network, self.evm, index.network()
        if self.chain_id is not None and not 1 <= self.chain_id <= LARGEST_CHAIN_ID:
            raise InvalidInput(f"{self.chain_id} cannot be a chain id: expected 1 to 2^53 - 1")
        if record is not None:
            now = record.upgrades.version_at(index.head)
            name = None if self.beginning == NOTHING_MORE else self.beginning.name
            check_same(record, bundle, network, None if evm == AUTO else evm, name, now)
            bundle, network, evm = None, None, record.evm
        machine = Hypervisor.open(
            store=store,
            bundle=bundle,
            network=network,
            evm=evm,
            genesis=genesis,
            externs=externs,
            proofs=AcceptProofs(),
        )
        if record is not None and self.chain_id not in (None, machine.context.chain_id):
            found = machine.context.chain_id
            machine.close()
            raise InvalidInput(f"the folder's chain id is {found}, not {self.chain_id}: leave it out, {OTHER_FOLDER}")
        return machine
