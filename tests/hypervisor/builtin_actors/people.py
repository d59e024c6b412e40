"""Accounts of the differential tests, and their signatures."""

from py_ecc.bls.ciphersuites import G2Basic

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor import Address, Genesis
from hypervisor.messages.signatures import secp256k1_public_key, sign_secp256k1
from hypervisor.types import TokenAmount
from store.codec import encode

FIL = 10**18


def secret_key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def account(number: int) -> Address:
    return Address.secp256k1(secp256k1_public_key(secret_key(number)))


ALICE, BOB, CAROL, DAVE, STRANGER = (account(number) for number in range(1, 6))
ETHEL = to_filecoin(EthAddress(bytes(range(1, 21))))
WORKER, OTHER_WORKER = (Address.bls(G2Basic.SkToPk(number)) for number in (1, 2))
PEOPLE = (ALICE, BOB, CAROL, DAVE, ETHEL, WORKER, OTHER_WORKER)
SECRETS = {account(number): secret_key(number) for number in range(1, 6)}

GENESIS = Genesis(accounts={address: TokenAmount(1_000_000 * FIL) for address in PEOPLE})
"""ALICE is f0100, and so on; STRANGER has no account yet. Workers of miners need BLS keys."""


def signature(signer: Address, message: bytes) -> bytes:
    """Return the bare signature of a key account over a message."""
    return sign_secp256k1(SECRETS[signer], message)


def amount(number: int) -> bytes:
    """Return a token amount in attoFIL, or any big integer, in its CBOR form."""
    from hypervisor.types import encode_bigint

    return encode_bigint(number)


def raw(address: Address) -> bytes:
    return address.to_bytes()


def packed(*values: object) -> bytes:
    """Return a tuple in CBOR."""
    return encode(list(values))
