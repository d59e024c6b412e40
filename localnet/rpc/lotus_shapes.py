"""Blocks, tipsets, messages and receipts in Lotus' JSON format.

CIDs are {"/": text}, amounts decimal text, bytes base64, and field names capitalised. Empty byte strings are null.
Source: lotus api/ and chain/types.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from hypervisor.integers import decode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, Signature, SignedMessage
from hypervisor.state.state_tree import ActorState
from localnet.chain.reading import NetworkReader
from localnet.ledger.records import Tipset
from store.blockstore import get_object
from store.cid import Cid, show
from store.codec import unlink


def cid_json(cid: Cid) -> dict[str, str]:
    """Return a CID as a link."""
    return {"/": show(cid)}


def bytes_json(data: bytes) -> str | None:
    """Return bytes in base64; null if empty."""
    return b64encode(data).decode() if data else None


def address_json(address: Address) -> str:
    """Return an address as text with the prefix of test networks: wallets compare it with their own."""
    return f"t{str(address)[1:]}"


def message_json(message: Message | SignedMessage) -> dict[str, Any]:
    """Return a message with its CID, and its signature if it has one."""
    if isinstance(message, SignedMessage):
        signature = signature_json(message.signature)
        return {"Message": message_json(message.message), "Signature": signature, "CID": cid_json(message.cid())}
    return {
        "Version": message.version,
        "To": address_json(message.to),
        "From": address_json(message.from_),
        "Nonce": message.nonce,
        "Value": str(message.value),
        "GasLimit": message.gas_limit,
        "GasFeeCap": str(message.gas_fee_cap),
        "GasPremium": str(message.gas_premium),
        "Method": message.method,
        "Params": bytes_json(message.params),
        "CID": cid_json(message.cid()),
    }


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt; with the codec and the message's CID if it has them (FIP-0107)."""
    shown: dict[str, Any] = {
        "ExitCode": receipt.exit_code,
        "Return": bytes_json(receipt.return_data),
        "GasUsed": receipt.gas_used,
        "EventsRoot": None if receipt.events_root is None else cid_json(receipt.events_root),
    }
    if receipt.message is not None:
        shown |= {"IpldCodec": receipt.return_codec, "Message": cid_json(receipt.message)}
    return shown


def actor_json(actor: ActorState) -> dict[str, Any]:
    """Return an actor of the state tree."""
    delegated = actor.delegated_address
    return {
        "Code": cid_json(actor.code),
        "Head": cid_json(actor.head),
        "Nonce": actor.nonce,
        "Balance": str(actor.balance),
        "DelegatedAddress": None if delegated is None else address_json(delegated),
    }


def key_json(tipset: Tipset) -> list[dict[str, str]]:
    """Return a tipset's key: the CIDs of its blocks, here only one."""
    return [cid_json(tipset.block)]


def tipset_json(network: NetworkReader, tipset: Tipset) -> dict[str, Any]:
    """Return a tipset with its block."""
    return {"Cids": key_json(tipset), "Blocks": [header_json(network, tipset.block)], "Height": tipset.height}


def header_json(network: NetworkReader, block: Cid) -> dict[str, Any]:
    """Return a block's header as stored. Raises BlockNotFound."""
    return header_fields_json(get_object(network.machine.store, block))


def header_fields_json(fields: list[Any]) -> dict[str, Any]:
    """Return the fields of a block header."""
    (
        miner, ticket, election, beacon, proofs, parents, weight, height, state, receipts, messages, aggregate,
        timestamp, signature, fork_signal, base_fee,
    ) = fields  # fmt: skip
    return {
        "Miner": address_json(Address.from_bytes(miner)),
        "Ticket": {"VRFProof": bytes_json(ticket[0])},
        "ElectionProof": {"WinCount": election[0], "VRFProof": bytes_json(election[1])},
        "BeaconEntries": [{"Round": entry, "Data": bytes_json(data)} for entry, data in beacon],
        "WinPoStProof": [{"PoStProof": kind, "ProofBytes": bytes_json(data)} for kind, data in proofs] or None,
        "Parents": _links(parents),
        "ParentWeight": str(decode_bigint(weight)),
        "Height": height,
        "ParentStateRoot": cid_json(unlink(state)),
        "ParentMessageReceipts": cid_json(unlink(receipts)),
        "Messages": cid_json(unlink(messages)),
        "BLSAggregate": _signature_json(aggregate),
        "Timestamp": timestamp,
        "BlockSig": _signature_json(signature),
        "ForkSignaling": fork_signal,
        "ParentBaseFee": str(decode_bigint(base_fee)),
    }


def signature_json(signature: Signature) -> dict[str, Any]:
    """Return a signature."""
    return {"Type": int(signature.type), "Data": bytes_json(signature.data)}


def _signature_json(data: bytes | None) -> dict[str, Any] | None:
    return None if data is None else signature_json(Signature.from_bytes(data))


def _links(links: Iterable[Any]) -> list[dict[str, str]]:
    return [cid_json(unlink(link)) for link in links]
