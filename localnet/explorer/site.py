"""Data shared by all pages: the node's parameters, and the frame around each page.

Lists that the chain's thread modifies are copied here atomically, so that a page sees a consistent list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.ethereum.addresses import EthAddress, from_delegated
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.versions.network_versions import network_version_row
from localnet.contracts.artifacts import ArtifactFolders
from localnet.contracts.named_interface import NamedInterface
from localnet.explorer.rendering import render
from localnet.rpc.node import Node, NodeReader
from localnet.state.contract_state import code_of
from store.keccak import keccak

MakeVector = Callable[[str], str]
"""Function that returns the test vector of a transaction by its hash, as JSON. Raises NoVector."""


FindSource = Callable[[EthAddress], "VerifiedSource | None"]
"""Function that returns the verified sources of the contract at an address, even if it is no longer deployed."""


@dataclass(frozen=True, slots=True)
class VerifiedSource:
    """Verified sources of a contract. `file` is the source with the contract, `code_hash` the hash of its code in hex.

    `output` has the compiler's storage layout, if there is one.
    """

    name: str
    file: str
    compiler: str
    settings: str
    runtime_match: str
    creation_match: str
    verified_at: str
    code_hash: str
    sources: Mapping[str, str]
    output: Mapping[str, Any]


class NoVector(Exception):
    """Raised, with the reason, for a message that cannot be represented as a vector."""


@dataclass(frozen=True, slots=True)
class PageFrame:
    """Header data of each page: the network, and its newest epoch."""

    head: int
    chain_id: int
    version: int
    version_name: str
    rules: str
    client: str


class Site:
    """The node's parameters and the frame of its pages."""

    def __init__(
        self,
        node: Node,
        artifacts: ArtifactFolders,
        vectors: MakeVector | None = None,
        sources: FindSource | None = None,
    ) -> None:
        """Create the site of a node.

        `vectors` makes the test vector of a transaction by its hash (`localnet.explorer.further_pages`);
        `sources` finds the verified sources of a contract.
        """
        self._node = node
        self.artifacts = artifacts
        self.vectors = vectors
        self._sources = sources

    def page(self, reader: NodeReader, template: str, **values: Any) -> bytes:
        """Render a page within its frame."""
        return render(template, frame=self._frame(reader), **values)

    def makes_vectors(self, reader: NodeReader) -> bool:
        """Return True if messages can be downloaded as vectors: under Filecoin's rules, with a vector writer."""
        return self.vectors is not None and reader.network.rules.features.has_filecoin_blocks

    def interfaces(self) -> tuple[NamedInterface, ...]:
        """Return the contract interfaces that the network knows, those with an address first."""
        known = self._node.network.interfaces
        return (*(each for each in known if each.address), *(each for each in known if not each.address))

    def compiled_interfaces(self) -> tuple[NamedInterface, ...]:
        """Return the interfaces of the contracts compiled in the node's folders."""
        return tuple(NamedInterface(found.name, found.interface) for found in self.artifacts.contracts())

    def accounts(self) -> tuple[EthAddress, ...]:
        return self._node.unlocked

    def native_accounts(self) -> tuple[Address, ...]:
        """Return the native (f1) addresses of all accounts."""
        return tuple(account.native for account in self._node.network.accounts)

    def name_of(self, address: EthAddress) -> str:
        """Return the name of an account or a contract at an address, or an empty string."""
        accounts = self._node.network.accounts
        found = next((index for index, account in enumerate(accounts) if account.address == address), None)
        if found is not None:
            return f"account {found}"
        text = f"0x{address.hex()}"
        return next((each.name for each in self._node.network.interfaces if each.address == text), "")

    def compiled_name(self, machine: Hypervisor, address: Address) -> str:
        """Return the name of the compiled contract whose code runs at an address; empty if it is unknown."""
        found = self.artifacts.running(code_of(machine, address))
        return "" if found is None else found.name

    def source_of(self, machine: Hypervisor, address: Address) -> VerifiedSource | None:
        """Return the verified sources of the contract whose code is at an address."""
        code = b"" if self._sources is None else code_of(machine, address)
        actor = machine.actor(address) if code else None
        own = None if actor is None else from_delegated(actor.delegated_address)
        if self._sources is None or own is None:
            return None
        found = self._sources(own)
        return found if found is not None and found.code_hash == keccak(code).hex() else None

    def _frame(self, reader: NodeReader) -> PageFrame:
        network = reader.network
        return PageFrame(
            head=network.head.height,
            chain_id=network.chain_id,
            version=network.version,
            version_name=network_version_row(network.version, network.overlay).name,
            rules=network.rules.hardfork or network.rules.name,
            client=self._node.client_version,
        )
