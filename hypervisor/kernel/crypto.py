"""Hashes and signatures. Rules: ref-fvm kernel/default.rs and syscalls/crypto.rs"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from types import MappingProxyType

from hypervisor import signatures
from hypervisor.address import Address, Protocol
from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel.calls import Calls
from hypervisor.message import SignatureType
from store.keccak import keccak


def ripemd160(data: bytes | memoryview) -> bytes:
    """RIPEMD-160, which OpenSSL no longer offers everywhere."""
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
"""The hash functions an actor may use, by multihash code."""


class CryptoOps:
    """Cryptography for one invocation.

    Of what may be long, a view of the guest's memory will do: nothing is copied before it is paid for.
    """

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def hash(self, code: int, data: bytes | memoryview) -> bytes:
        """The digest of `data`. Errors: ILLEGAL_ARGUMENT for an unknown function."""
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
        """Whether `signer` (f1 or f3) signed the plaintext. Errors: ILLEGAL_ARGUMENT for other types and signers."""
        prices, gas = self._calls.prices, self._calls.gas
        # check and charge
        if type_number == SignatureType.SECP256K1:
            gas.charge("OnVerifySignature", prices.verify_secp256k1.of(len(plaintext)))
        elif type_number == SignatureType.BLS:
            gas.charge("OnVerifySignature", prices.verify_bls.of(len(plaintext)))
        else:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"signature type {type_number} cannot be verified")
        if signer.protocol not in (Protocol.SECP256K1, Protocol.BLS):
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{signer} is not the address of a key")
        # do and return
        if type_number == SignatureType.SECP256K1:
            return signatures.verify_secp256k1(_short(signature), signer, bytes(plaintext))
        return signatures.verify_bls(_short(signature), signer, bytes(plaintext))

    def recover_secp_public_key(self, digest: bytes, signature: bytes) -> bytes:
        """The 65-byte public key behind a signature of a 32-byte digest. Errors: ILLEGAL_ARGUMENT."""
        # charge
        self._calls.gas.charge("OnRecoverSecpPublicKey", self._calls.prices.recover_secp256k1)
        # do
        public_key = signatures.recover_secp256k1(digest, signature)
        if public_key is None:
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, "no public key is behind this signature")
        # return
        return public_key

    def verify_bls_aggregate(
        self, signature: bytes, keys: Sequence[bytes], joined: bytes | memoryview, lengths: Sequence[int]
    ) -> bool:
        """Whether one BLS signature stands for every key and its plaintext, all of them joined.

        Errors: ILLEGAL_ARGUMENT, after the charge, where the lengths are not those of the joined plaintexts.
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
            raise SyscallError(ErrorNumber.ILLEGAL_ARGUMENT, f"{total} bytes of plaintexts, not {sum(lengths)}")
        # return
        ends = list(accumulate(lengths, initial=0))
        plaintexts = [bytes(joined[start:end]) for start, end in pairwise(ends)]
        return signatures.verify_bls_aggregate(signature, keys, plaintexts)


def _short(signature: bytes | memoryview) -> bytes:
    """A signature, whose length is not paid for; of one that is too long, enough to see that."""
    return bytes(signature[: signatures.BLS_SIGNATURE_LENGTH + 1])
