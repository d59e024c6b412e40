"""Sources of past tipsets: the interface, and the reading of a tipset from its blocks.

A source is a folder (`localnet.replay.folder_source`) or a node (`localnet.replay.sources`). Its store checks each
block against its CID. Network versions, vesting and past randomness are not in blocks; the source is trusted for
them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from hypervisor.context import Externs, MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO
from hypervisor.machine.machine import Hypervisor
from hypervisor.proofs.verifier import AcceptProofs
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import network_version
from hypervisor.versions.overlay import Overlay
from localnet.chain.supply import supply_of
from localnet.ledger.headers import TipsetHeaders, read_messages, read_tipset
from localnet.replay.tipset_execution import MinedBlock, NullRoundBefore, TipsetWork, null_epochs
from store.blocks.overlay import OverlayStore
from store.blockstore import Store
from store.cid import Cid, CidError, parse_cid

_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ChainResult:
    """Result of a tipset on the chain: the state, and the root of the receipts if known."""

    state: Cid
    receipts: Cid | None


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message's tipset, and the message's CID in it."""

    tipset: Sequence[Cid]
    cid: Cid


class TipsetSource(Protocol):
    """A source of past tipsets. Its methods raise InvalidInput for missing data, and NodeError."""

    store: Store
    name: str
    """Display name of the network."""
    chain_id: int
    overlay: Overlay | None
    """Changes to the prices and rules of the tipsets' network versions, or a draft version."""

    def tipset_at(self, epoch: int) -> Sequence[Cid]:
        """Return the blocks of the tipset at an epoch. InvalidInput for a null round, and outside of the chain."""

    def find_message(self, text: str) -> FoundMessage:
        """Find the message of a transaction hash (0x...) or a CID. Raises InvalidInput if there is none."""

    def result_of(self, tipset: TipsetHeaders) -> ChainResult:
        """Return the result of a tipset."""

    def version_at(self, tipset: TipsetHeaders) -> int:
        """Return the number of the network version at a tipset's epoch."""

    def vested_at(self, tipset: TipsetHeaders, epoch: ChainEpoch) -> TokenAmount:
        """Return the vested attoFIL at an epoch: the tipset's, or that of a null round before it."""

    def null_time(self, parent: TipsetHeaders, epoch: ChainEpoch) -> int:
        """Return the time of a null round after a tipset, in Unix seconds."""

    def externs_for(self, tipset: TipsetHeaders) -> Externs:
        """Return externs over the chain for a machine that executes a tipset."""

    def close(self) -> None:
        """Close the source."""


@dataclass(frozen=True, slots=True)
class PastTipset:
    """A tipset to re-execute: its contents, its initial state, and its rules."""

    headers: TipsetHeaders
    parent: TipsetHeaders
    work: TipsetWork
    network: int
    overlay: Overlay | None = None

    @property
    def context(self) -> MachineContext:
        """Return the context before the tipset; execution sets epoch, time and fee."""
        return MachineContext(network_version(self.network, self.overlay))


def read_past_tipset(source: TipsetSource, cids: Sequence[Cid]) -> PastTipset:
    """Read a tipset with its messages.

    Raises InvalidInput for a tipset that cannot be executed separately: the first one, or one after an upgrade.
    """
    headers = read_tipset(source.store, cids)
    if not headers.parents:
        raise InvalidInput(
            f"epoch {headers.height} is the chain's first, where nothing is executed: name a later epoch"
        )
    parent = read_tipset(source.store, headers.parents)
    before, network = source.version_at(parent), source.version_at(headers)
    if before != network:
        raise InvalidInput(
            f"the network went from nv{before} to nv{network} before epoch {headers.height}: "
            f"a vector cannot express this migration; name another epoch"
        )
    null_rounds = tuple(
        NullRoundBefore(epoch, source.null_time(parent, epoch)) for epoch in null_epochs(parent.height, headers.height)
    )
    blocks = tuple(
        MinedBlock(block.producer, block.win_count, read_messages(source.store, block)) for block in headers.blocks
    )
    work = TipsetWork(headers.height, headers.timestamp, headers.blocks[0].base_fee, blocks, null_rounds)
    return PastTipset(headers, parent, work, network, source.overlay)


def machine_for(source: TipsetSource, past: PastTipset, store: Store | None = None) -> Hypervisor:
    """Return a machine at the state before a tipset, which writes nothing to the source's store."""
    machine = Hypervisor.at(
        OverlayStore(source.store if store is None else store),
        past.headers.state,
        past.context,
        evm=AUTO,
        externs=source.externs_for(past.headers),
        proofs=AcceptProofs(),
    )
    machine.advance(chain_id=source.chain_id)
    return machine


class SourceSupply:
    """The circulating supply in a source's states, for `execute_tipset`. Records its results."""

    def __init__(self, source: TipsetSource, tipset: TipsetHeaders) -> None:
        self._source, self._tipset = source, tipset
        self.answered: dict[ChainEpoch, TokenAmount] = {}

    def __call__(self, machine: Hypervisor, epoch: ChainEpoch) -> TokenAmount:
        """Return the vested amount in attoFIL."""
        found = supply_of(machine, self._source.vested_at(self._tipset, epoch)).circulating
        self.answered[epoch] = found
        return found


@dataclass(frozen=True, slots=True)
class MessageReference:
    """A reference to a message: its CID or its transaction hash."""

    cid: Cid | None = None
    hash: bytes = b""


def parse_reference(text: str) -> MessageReference:
    """Read a CID or 0x and 64 hex digits. Raises InvalidInput."""
    if _HASH.fullmatch(text):
        return MessageReference(hash=bytes.fromhex(text[2:]))
    try:
        return MessageReference(parse_cid(text))
    except CidError:
        kind = "an epoch, not" if text.isascii() and text.isdigit() else "not"
        raise InvalidInput(
            f"'{text:.200}' is {kind} a transaction's hash or a message's CID; pass 0x and 64 hex digits, or a CID"
        ) from None
