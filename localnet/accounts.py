"""Development accounts, derived from the mnemonic that Hardhat, anvil and Ganache share.

Each key has two addresses: an Ethereum one (f410) and a native one (f1). The keys are public: never fund them on a
real network.

Sources: BIP-39 for the seed, BIP-32 and BIP-44 for the keys, at m/44'/60'/0'/0/index. eth-account's `hdaccount` is not
used: every node derives keys at startup, and importing `eth_account` would delay it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bridge.abi.abi import PrintedAddress
from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress, to_filecoin
from bridge.ethereum.transactions import Authorization, SignedTransaction, Transaction, key_address
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import secp256k1_public_key, sign_secp256k1
from hypervisor.types import octets, whole_number

BLS_ACCOUNT = Address.bls(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)
"""Public BLS key of `BLS_SECRET`, for workers of miners, which need a BLS key. It signs only block headers."""

BLS_SECRET = 1
"""Secret key of `BLS_ACCOUNT`."""

TEST_MNEMONIC = "test test test test test test test test test test test junk"
DERIVATION_PATH = "m/44'/60'/0'/0/"
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HARDENED = 1 << 31
_PATH = re.compile(r"m(/[0-9]{1,10}['h]?)*/?")
_PART = re.compile(r"/([0-9]{1,10})(['h]?)")
_MESSAGE_PREFIX = b"\x19Ethereum Signed Message:\n"

MAX_ACCOUNTS: Final = 1000
"""Maximum number of development accounts of a network."""


@dataclass(frozen=True, slots=True)
class Account:
    """A secp256k1 key and its addresses: Ethereum's (20 bytes) and the native one (f1). `repr` does not show the key.

    `from_key` raises InvalidInput for an invalid key.

    >>> from localnet import Account
    >>> account = Account.from_key(bytes(31) + bytes([1]))
    >>> account.address  # as in Ethereum's own tests
    0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf
    >>> account.native
    Address.parse('f1wcuzrs736zqzbbjjdgl2wvyyufuk4pefbymzf2i')
    """

    private_key: bytes
    address: EthAddress
    native: Address

    @classmethod
    def from_key(cls, private_key: bytes) -> Account:
        """Return the account of a 32-byte private key."""
        public_key = secp256k1_public_key(private_key)
        address = PrintedAddress(key_address(public_key))
        return cls(private_key, address, Address.secp256k1(public_key))

    @property
    def delegated(self) -> Address:
        """Delegated address (f410)."""
        return to_filecoin(self.address)

    def sign(self, transaction: Transaction) -> SignedTransaction:
        """Sign an Ethereum transaction."""
        return transaction.sign(self.private_key)

    def sign_native(self, message: Message) -> SignedMessage:
        """Sign a message of the native address."""
        return SignedMessage(
            message, Signature(SignatureType.SECP256K1, sign_secp256k1(self.private_key, message.cid()))
        )

    def sign_text(self, text: bytes) -> bytes:
        """Sign a text as wallets do (EIP-191): 65 bytes r, s, v with v 27 or 28."""
        from store.keccak import keccak

        signature = self.sign_digest(keccak(_MESSAGE_PREFIX + str(len(text)).encode() + text))
        return signature[:64] + bytes([27 + signature[64]])

    def sign_authorization(self, delegate: EthAddress, nonce: int, chain_id: int) -> Authorization:
        """Sign an EIP-7702 authorization to run the delegate's code.

        The zero address revokes it; chain ID 0 means any chain. Raises InvalidInput for a value out of range.
        """
        if len(octets(delegate, "a delegate's address")) != ETH_ADDRESS_LENGTH:
            raise InvalidInput(f"a delegate's address has {ETH_ADDRESS_LENGTH} bytes, not {len(delegate)}")
        whole_number(nonce, "a nonce", 0, (1 << 64) - 1)
        whole_number(chain_id, "a chain id", 0, (1 << 256) - 1)
        unsigned = Authorization(chain_id, delegate, nonce, 0, 0, 0)
        signature = self.sign_digest(unsigned.digest())
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return unsigned._replace(y_parity=signature[64], r=r, s=s)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes: 65 bytes r, s, v with v 0 or 1."""
        from hypervisor.messages.signatures import sign

        return sign(self.private_key, digest)

    def __repr__(self) -> str:
        return f"Account(0x{self.address.hex()})"


def accounts(mnemonic: str = TEST_MNEMONIC, count: int = 10, path: str = DERIVATION_PATH) -> tuple[Account, ...]:
    """Return the first accounts of a mnemonic, derived below `path`. InvalidInput for an invalid mnemonic length."""
    return tuple(Account.from_key(key) for key in _keys(mnemonic, count, parse_derivation_path(path.removesuffix("/"))))


def derived_key(mnemonic: str, path: Iterable[int]) -> bytes:
    """Return the private key at a BIP-32 path. Raises InvalidInput for a mnemonic of another length."""
    key, chain = _master(mnemonic)
    for number in path:
        key, chain = _child(key, chain, number)
    return key


def parse_derivation_path(path: str) -> tuple[int, ...]:
    """Return the numbers of a path, `m/44'/60'/0'/0/0`. Raises InvalidInput."""
    parts = _PART.findall(path)
    if not _PATH.fullmatch(path) or any(int(number) >= HARDENED for number, _ in parts):
        raise InvalidInput(f"'{path:.100}' is not a key path: expected a path such as {DERIVATION_PATH}0")
    return tuple(int(number) + (HARDENED if mark else 0) for number, mark in parts)


def _keys(mnemonic: str, count: int, path: Iterable[int]) -> Iterator[bytes]:
    key, chain = _master(mnemonic)
    for number in path:
        key, chain = _child(key, chain, number)
    for index in range(count):
        yield _child(key, chain, index)[0]


def _master(mnemonic: str) -> tuple[bytes, bytes]:
    words = unicodedata.normalize("NFKD", mnemonic).split()
    if len(words) not in (12, 15, 18, 21, 24):
        raise InvalidInput(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {len(words)}")
    seed = hashlib.pbkdf2_hmac("sha512", " ".join(words).encode(), b"mnemonic", 2048)
    master = hmac.digest(b"Bitcoin seed", seed, "sha512")
    return master[:32], master[32:]


def _child(key: bytes, chain: bytes, number: int) -> tuple[bytes, bytes]:
    """Return the BIP-32 child key. An invalid child has a chance of 1 in 2^127 and is not checked for."""
    if number >= HARDENED:
        data = b"\0" + key
    else:
        public = secp256k1_public_key(key)
        data = bytes([2 + (public[64] & 1)]) + public[1:33]
    digest = hmac.digest(chain, data + number.to_bytes(4, "big"), "sha512")
    child = (int.from_bytes(digest[:32], "big") + int.from_bytes(key, "big")) % _ORDER
    return child.to_bytes(32, "big"), digest[32:]
