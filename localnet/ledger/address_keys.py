"""Keys of the address index: short hashes of everything that a message concerns (`address_index`)."""

from __future__ import annotations

from hashlib import blake2b

from bridge.ethereum.addresses import EthAddress
from hypervisor.messages.address import Address
from localnet.ledger.records import TransactionReceipt


def message_key(address: EthAddress) -> int:
    """Return the key of messages from or to an address, or that created a contract there."""
    return _key(b"m", address)


def native_key(address: Address) -> int:
    """Return the key of messages from or to an address, as written in the message."""
    return _key(b"n", address.to_bytes())


def emitter_key(address: EthAddress) -> int:
    """Return the key of an actor's events."""
    return _key(b"e", address)


def topic_key(topic: bytes) -> int:
    """Return the key of logs with a topic, at any position."""
    return _key(b"t", topic)


def nonce_key(sender: EthAddress, nonce: int) -> int:
    """Return the key of the message with a sender's nonce."""
    return _key(b"s", sender + nonce.to_bytes(8, "big"))


def _key(kind: bytes, what: bytes) -> int:
    return int.from_bytes(blake2b(what, digest_size=8, person=kind).digest(), "big", signed=True)


def keys_of(receipt: TransactionReceipt) -> set[int]:
    """Return the index keys of an executed message."""
    done, message = receipt.execution, receipt.execution.message.message
    ends = (done.sender, done.to, receipt.contract_address)
    return {
        *(message_key(each) for each in ends if each is not None),
        native_key(message.from_),
        native_key(message.to),
        nonce_key(done.sender, message.nonce),
        *(emitter_key(event.address) for event in done.events),
        *(topic_key(topic) for emitted in receipt.logs for topic in emitted.log.topics),
    }
