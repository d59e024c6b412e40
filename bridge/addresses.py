"""20-byte Ethereum addresses and the Filecoin addresses behind them.

An Ethereum address of the form ff, eleven zero bytes, 64-bit number is a *masked ID* and means f0<number>; every
other one is the subaddress of an f410 address. The way back prefers f410, so that a contract never sees one actor
under two names; it needs the actor's delegated address, which the caller looks up. Rules: FIP-0055 and the EVM
actor's shared address module.
"""

from typing import NewType

from bridge import rlp
from hypervisor.address import Address
from hypervisor.errors import AddressError
from hypervisor.types import EAM_NAMESPACE, ActorID
from store.keccak import keccak

EthAddress = NewType("EthAddress", bytes)
"""Twenty bytes."""

ETH_ADDRESS_LENGTH = 20
ZERO_ADDRESS = EthAddress(bytes(ETH_ADDRESS_LENGTH))
_MASK = b"\xff" + bytes(11)
_MAX_NONCE = (1 << 64) - 1


def eth_address(data: bytes) -> EthAddress:
    """Twenty bytes as an Ethereum address; AddressError for any other length."""
    if len(data) != ETH_ADDRESS_LENGTH:
        raise AddressError(f"an Ethereum address has 20 bytes, 0x{data[:33].hex()} has {len(data)}")
    return EthAddress(bytes(data))


def checksummed(address: EthAddress) -> str:
    """An Ethereum address as wallets write it, its capitals a check of its digits (EIP-55)."""
    digits = address.hex()
    digest = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(check, 16) >= 8 else digit for digit, check in zip(digits, digest, strict=False)
    )


def masked_id(actor: int) -> EthAddress:
    """The masked-ID form of an actor's number."""
    if not 0 <= actor <= _MAX_NONCE:
        raise AddressError(f"actor ID {actor} is not a 64-bit number")
    return EthAddress(_MASK + actor.to_bytes(8, "big"))


def unmask_id(address: bytes) -> ActorID | None:
    """The actor's number in a masked ID; None for every other address."""
    if address[:12] != _MASK:
        return None
    return ActorID(int.from_bytes(address[12:], "big"))


def to_filecoin(address: EthAddress) -> Address:
    """The Filecoin address that an Ethereum address names: f0 for a masked ID, else f410."""
    actor = unmask_id(address)
    return Address.delegated(EAM_NAMESPACE, address) if actor is None else Address.id(actor)


def from_delegated(address: Address | None) -> EthAddress | None:
    """The Ethereum form of a delegated address: None unless it is an f410 of 20 bytes that is no masked ID."""
    if address is None or address.namespace() != EAM_NAMESPACE:
        return None
    subaddress = address.subaddress()
    if len(subaddress) != ETH_ADDRESS_LENGTH or unmask_id(subaddress) is not None:
        return None
    return EthAddress(subaddress)


def to_ethereum(actor: ActorID, delegated: Address | None) -> EthAddress:
    """The one form under which contracts see an actor: its f410 subaddress where it has one, else its masked ID."""
    return from_delegated(delegated) or masked_id(actor)


def word_to_address(word: int) -> EthAddress:
    """The low 20 bytes of a stack word; the EVM ignores the upper twelve."""
    return EthAddress((word & ((1 << 160) - 1)).to_bytes(ETH_ADDRESS_LENGTH, "big"))


def create_address(sender: EthAddress, nonce: int) -> EthAddress:
    """Where CREATE puts a contract: the last 20 bytes of keccak(rlp([sender, nonce]))."""
    if not 0 <= nonce <= _MAX_NONCE:
        raise AddressError(f"nonce {nonce} is not a 64-bit number")
    return EthAddress(keccak(rlp.encode([sender, rlp.number(nonce)]))[12:])


def create2_address(sender: EthAddress, salt: bytes, init_code: bytes) -> EthAddress:
    """Where CREATE2 puts a contract: the last 20 bytes of keccak(ff, sender, salt of 32 bytes, keccak(init code))."""
    if len(salt) != 32:
        raise AddressError(f"a salt has 32 bytes, not {len(salt)}")
    return EthAddress(keccak(b"\xff" + sender + salt + keccak(init_code))[12:])
