"""Methods of a Filecoin development network: upgrades, miners, DataCap, the block producer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.messages.address import Address
from hypervisor.versions.stream_settings import StreamSettings
from localnet.chain.streams import stream_settings
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params, no_private_key
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.state_control import actor_address
from localnet.rpc.values import address, as_quantity, boolean, format_value, number, text

MAX_SECTORS: Final = 1_000
_TURN: Final = 0.1
"""Maximum duration in seconds of the collection step in one request."""
_BUNDLE: Final = re.compile(r"(own(-[a-z0-9-]+)?|v[0-9]{1,3}(-[a-z-]+)?)")


def version(value: Any) -> int:
    """Read a network version: 29, or nv29."""
    if isinstance(value, str) and value.startswith("nv"):
        value = value[2:]
    return number(value)


def bundle_name(value: Any) -> str:
    """Read a bundle's name. Paths are rejected: a client need not know this machine's files."""
    if not _BUNDLE.fullmatch(text(value)):
        raise invalid_params(
            f"{format_value(value)} is not a name of a bundle: expected own, v18 or v18-devnet, for example"
        )
    return str(value)


def streams(value: Any) -> StreamSettings:
    """Read settings of streams: an object of swa, sra, orchestrator (addresses), ramp, timelock (epochs).

    All of them may be left out.
    """
    known: dict[str, Callable[[Any], Any]] = {
        "swa": actor_address,
        "sra": actor_address,
        "orchestrator": actor_address,
        "ramp": number,
        "timelock": number,
    }
    if not isinstance(value, dict) or not value.keys() <= known.keys():
        raise invalid_params(f"{format_value(value)} are not valid streams: expected an object of {', '.join(known)}")
    return stream_settings(**{name: known[name](item) for name, item in value.items()})


def upgrade(node: Node, version: int, bundle: str | None = None, streams: StreamSettings | None = None) -> str:
    """Upgrade the network after the head, with the actors of a bundle; return the first height of the new version.

    Network version 29 uses the embedded actors v19 unless a bundle is named, and may be given streams.
    """
    return as_quantity(node.network.upgrade(version, bundle, streams).height)


def create_miner(node: Node, owner: EthAddress, sectors: int = 1, claims: bool = False, size: int = 2048) -> str:
    """Create a storage miner, with live sectors of `size` bytes (default: 2048). Return its address."""
    account = node.network.account(owner)
    if account is None:
        raise no_private_key(owner)
    if sectors > MAX_SECTORS:
        raise RpcError(LIMIT_EXCEEDED, f"{sectors} sectors in one request, at most {MAX_SECTORS}")
    return str(node.network.create_miner(account, sectors, sector_size=size, claims=claims).address)


def grant_datacap(node: Node, client: EthAddress | Address, size: int) -> bool:
    """Make an address a verified client with DataCap for `size` more bytes, at least 256; up to network version 28."""
    node.network.grant_datacap(client, size)
    return True


def set_producer(node: Node, miner: EthAddress | Address) -> bool:
    """Set the storage miner that produces the next blocks and gets their rewards; f00 resets it."""
    node.network.set_producer(miner)
    return True


def collect_garbage(node: Node, states: int | None = None) -> dict[str, Any]:
    """Run a step of the folder's garbage collection, or start a collection that retains the newest states.

    Repeat the request until `phase` is `done`. The node serves other requests in between, and during the phase
    `compact`, which releases disk space. Without a number, all states are retained.
    """
    progress = node.folder_collector.collect(_TURN, states)
    sizes = None if progress.done is None else (progress.done.size_before, progress.done.size_after)
    return {
        "phase": progress.phase,
        "kept": progress.retained,
        "dropped": progress.dropped,
        "sizeBefore": None if sizes is None else sizes[0],
        "sizeAfter": None if sizes is None else sizes[1],
    }


METHODS = (
    Method("hypervisor_upgrade", (version, optional(bundle_name), optional(streams)), upgrade),
    Method("hypervisor_createMiner", (address, optional(number), optional(boolean), optional(number)), create_miner),
    Method("hypervisor_grantDatacap", (actor_address, number), grant_datacap),
    Method("hypervisor_setProducer", (actor_address,), set_producer),
    Method("hypervisor_collectGarbage", (optional(number),), collect_garbage),
)
