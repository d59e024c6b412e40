"""Hashes and signatures. Source: ref-fvm kernel/default.rs and syscalls/crypto.rs."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from types import MappingProxyType

from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.calls import Calls
from hypervisor.messages import signatures
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import SignatureType
from store.keccak import keccak


def ripemd160(data: bytes | memoryview) -> bytes:
    """Return the RIPEMD-160 digest, which not every OpenSSL build provides."""
    from Crypto.Hash import RIPEMD160

    return bytes(RIPEMD160.new(data).digest())


HASH_FUNCTIONS: Mapping[int, Callable[[bytes | memoryview], bytes]] = MappingProxyType(
    {
        0x12: lambda data: hashlib.sha256(data).digest(),
        0x1B: lambda data: keccak(bytes(data)),
        0x1053: ripemd160,
        0xB220: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
        0xB240: lambda data: hashlib.blake2b(data, digest_size=64).digest(),
    }
)
"""Hash functions available to actors, by multihash code."""


class CryptoOps:
    """Cryptography for one invocation.

    Long arguments may be views of the guest's memory, so that nothing is copied before it is charged.
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def hash(self, code: int, data: bytes | memoryview) -> bytes:
        """Return the digest of `data`. Errors: ILLEGAL_ARGUMENT for an unknown function."""
        # check
        function = HASH_FUNCTIONS.get(code)
        if function is None:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"hash function {code:#x} is not known")
        # charge
        self._calls.gas.charge("OnHashing", self._calls.prices.hashes[code].of(len(data)))
        # return
        return function(data)

    def verify_signature(
        self, type_number: int, signature: bytes | memoryview, signer: Address, plaintext: bytes | memoryview
    ) -> bool:
        """Return True if `signer` (f1 or f3) signed the plaintext.

        Errors: ILLEGAL_ARGUMENT for other signature types and signers.
        """
        prices, gas = self._calls.prices, self._calls.gas
        # check and charge
        if type_number == SignatureType.SECP256K1:
            gas.charge("OnVerifySignature", prices.verify_secp256k1.of(len(plaintext)))
        elif type_number == SignatureType.BLS:
            gas.charge("OnVerifySignature", prices.verify_bls.of(len(plaintext)))
        else:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"unsupported signature type {type_number}")
        if signer.protocol not in (Protocol.SECP256K1, Protocol.BLS):
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{signer} is not a key address")
        # do and return
        if type_number == SignatureType.SECP256K1:
            return signatures.verify_secp256k1(_short(signature), signer, bytes(plaintext))
        return signatures.verify_bls(_short(signature), signer, bytes(plaintext))

    def recover_secp_public_key(self, digest: bytes, signature: bytes) -> bytes:
        """Return the 65-byte public key of a signature of a 32-byte digest. Errors: ILLEGAL_ARGUMENT."""
        # charge
        self._calls.gas.charge("OnRecoverSecpPublicKey", self._calls.prices.recover_secp256k1)
        # do
        public_key = signatures.recover_secp256k1(digest, signature)
        if public_key is None:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "no public key can be recovered from the signature")
        # return
        return public_key

    def verify_bls_aggregate(
        self, signature: bytes, keys: Sequence[bytes], joined: bytes | memoryview, lengths: Sequence[int]
    ) -> bool:
        """Return True if a BLS aggregate is valid for all keys and their concatenated plaintexts.

        Errors: ILLEGAL_ARGUMENT, after the charge, if the lengths do not add up to the length of the plaintexts.
        """
        prices = self._calls.prices
        # charge
        total = len(joined)
        pairings = len(keys) + 1
        self._calls.gas.charge(
            "OnVerifyBlsAggregateSignature",
            prices.bls_aggregate_pairing * pairings + prices.bls_aggregate_per_byte * total,
        )
        # check
        if sum(lengths) != total:
            raise SyscallError(
                ErrorNumber.ILLEGAL_ARGUMENT,
                f"the plaintexts have {total} bytes, but their lengths add up to {sum(lengths)}",
            )
        # return
        ends = list(accumulate(lengths, initial=0))
        plaintexts = [bytes(joined[start:end]) for start, end in pairwise(ends)]
        return signatures.verify_bls_aggregate(signature, keys, plaintexts)


def _short(signature: bytes | memoryview) -> bytes:
    """Return a signature, truncated just above the maximum length, since its length is not charged for."""
    return bytes(signature[: signatures.BLS_SIGNATURE_LENGTH + 1])
