"""Ethereum addresses of 20 bytes and the corresponding Filecoin addresses.

An Ethereum address of the form ff, eleven zero bytes, 64-bit number is a *masked ID* and means f0<number>; every other
one is the subaddress of an f410 address. The reverse direction prefers f410, so that a contract never sees an actor
under two addresses; it needs the actor's delegated address, which the caller looks up. Source: FIP-0055 and the EVM
actor's shared address module.
"""

from typing import NewType

from bridge.ethereum import rlp
from hypervisor.errors import AddressError
from hypervisor.messages.address import Address, Protocol
from hypervisor.state.state_tree import StateTree
from hypervisor.types import EAM_NAMESPACE, ActorID, encode_uleb128
from store.keccak import keccak

EthAddress = NewType("EthAddress", bytes)
"""An Ethereum address of 20 bytes."""

ETH_ADDRESS_LENGTH = 20
ZERO_ADDRESS = EthAddress(bytes(ETH_ADDRESS_LENGTH))
MASKED_ID_PREFIX = b"\xff" + bytes(11)
"""First bytes of a masked ID."""
_F410 = encode_uleb128(EAM_NAMESPACE)
"""Start of the payload of an f410 address."""
_MAX_NONCE = (1 << 64) - 1


def eth_address(data: bytes) -> EthAddress:
    """Convert 20 bytes to an Ethereum address. Raises AddressError for any other length."""
    if len(data) != ETH_ADDRESS_LENGTH:
        raise AddressError(f"an Ethereum address has 20 bytes, but 0x{data[:33].hex()} has {len(data)}")
    return EthAddress(bytes(data))


def checksummed(address: bytes) -> str:
    """Return the text form of an Ethereum address, with a checksum in its capitalization (EIP-55)."""
    digits = address.hex()
    digest = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(check, 16) >= 8 else digit for digit, check in zip(digits, digest, strict=False)
    )


def masked_id(actor: int) -> EthAddress:
    """Return the masked ID of an actor."""
    if not 0 <= actor <= _MAX_NONCE:
        raise AddressError(f"actor ID {actor} is out of range (0 to 2^64 - 1)")
    return EthAddress(MASKED_ID_PREFIX + actor.to_bytes(8, "big"))


def unmask_id(address: bytes) -> ActorID | None:
    """Return the actor ID in a masked ID, or None for any other address."""
    if address[:12] != MASKED_ID_PREFIX:
        return None
    return ActorID(int.from_bytes(address[12:], "big"))


def to_filecoin(address: EthAddress) -> Address:
    """Return the Filecoin address for an Ethereum address: f0 for a masked ID, else f410."""
    if address[:12] == MASKED_ID_PREFIX:
        return Address.id(ActorID(int.from_bytes(address[12:], "big")))
    return Address(Protocol.DELEGATED, _F410 + address)


def from_delegated(address: Address | None) -> EthAddress | None:
    """Return the Ethereum form of an f410 address with 20 bytes that is not a masked ID, else None."""
    if address is None or address.namespace() != EAM_NAMESPACE:
        return None
    subaddress = address.subaddress()
    if len(subaddress) != ETH_ADDRESS_LENGTH or unmask_id(subaddress) is not None:
        return None
    return EthAddress(subaddress)


def ethereum_text(address: Address) -> str:
    """Return 0x... for an f410 address, and the Filecoin text of any other."""
    found = from_delegated(address)
    return str(address) if found is None else f"0x{found.hex()}"


def to_ethereum(actor: ActorID, delegated: Address | None) -> EthAddress:
    """Return the address of an actor as seen by contracts: its f410 subaddress if it has one, else its masked ID."""
    return from_delegated(delegated) or masked_id(actor)


def address_of_actor(tree: StateTree, actor: ActorID) -> EthAddress:
    """Return the address of an actor of a state tree as seen by contracts, also if the actor does not exist."""
    state = tree.get_actor(actor)
    return (None if state is None else from_delegated(state.delegated_address)) or masked_id(actor)


def word_to_address(word: int) -> EthAddress:
    """Return the low 20 bytes of a stack word; the EVM ignores the upper twelve."""
    return EthAddress((word & ((1 << 160) - 1)).to_bytes(ETH_ADDRESS_LENGTH, "big"))


def create_address(sender: EthAddress, nonce: int) -> EthAddress:
    """Return the address of a contract created by CREATE: the last 20 bytes of keccak(rlp([sender, nonce]))."""
    if not 0 <= nonce <= _MAX_NONCE:
        raise AddressError(f"nonce {nonce} is out of range (0 to 2^64 - 1)")
    return EthAddress(keccak(rlp.encode([sender, rlp.number(nonce)]))[12:])


def create2_address(sender: EthAddress, salt: bytes, init_code: bytes) -> EthAddress:
    """Return the address of a contract created by CREATE2.

    This is the last 20 bytes of keccak(ff, sender, salt of 32 bytes, keccak(init code)).
    """
    if len(salt) != 32:
        raise AddressError(f"a salt has 32 bytes, not {len(salt)}")
    return EthAddress(keccak(b"\xff" + sender + salt + keccak(init_code))[12:])
