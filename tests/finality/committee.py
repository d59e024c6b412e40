"""A committee with known keys, which signs certificates for chains of the tests.

The rules of signing are checked with go-f3 elsewhere (tests/oracle/f3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from fvm_hypervisor.proofs.f3 import Certificate, PowerEntry, Tipset, power_table_cid
from fvm_hypervisor.proofs.f3.bitfield import encode as encode_runs
from fvm_hypervisor.proofs.f3.bitfield import runs_of
from fvm_hypervisor.proofs.f3.signing import signed_bytes, weights_of
from fvm_hypervisor.proofs.f3.values import power_bytes
from hypervisor.signatures import BLS_DOMAIN
from store.cid import Cid
from store.codec import encode, link


class Committee:
    """Participants with equal power, whose power table never changes."""

    def __init__(self, network: str, size: int = 4) -> None:
        self.network = network
        self._secrets = [Scalar(1_000_003 + 17 * number) for number in range(size)]
        keys = [bytes((G1Point() * secret).to_compressed_bytes()) for secret in self._secrets]
        self.table = tuple(PowerEntry(1000 + at, 1 << 40, key) for at, key in enumerate(keys))

    def table_json(self) -> list[dict[str, Any]]:
        """Return the power table as Lotus does."""
        from base64 import b64encode

        return [
            {"ID": entry.id, "Power": str(entry.power), "PubKey": b64encode(entry.key).decode()} for entry in self.table
        ]

    def certify(self, instance: int, chain: Sequence[Tipset], signers: Sequence[int] | None = None) -> Certificate:
        """Return a certificate that finalizes a chain, by all participants or by some."""
        chosen = tuple(range(len(self.table)) if signers is None else signers)
        table = power_table_cid(self.table)
        unsigned = Certificate(instance, tuple(chain), bytes(32), table, chosen, bytes(96), ())
        hashed = G2Point.hash_to_curve(signed_bytes(self.network, unsigned), BLS_DOMAIN)
        weights = weights_of([entry.key for entry in self.table])
        parts = [hashed * self._secrets[at] * Scalar(weights[at]) for at in chosen]
        signature = bytes(sum(parts[1:], parts[0]).to_compressed_bytes())
        return Certificate(instance, tuple(chain), bytes(32), table, chosen, signature, ())


def tipset_of(epoch: int, blocks: Sequence[Cid], table: Cid) -> Tipset:
    """Return the tipset of blocks."""
    return Tipset(epoch, b"".join(blocks), table, bytes(32))


def encoded(certificate: Certificate) -> bytes:
    """Return a certificate as CBOR."""
    tipsets = [[one.epoch, one.key, link(one.power_table), one.commitments] for one in certificate.chain]
    return encode(
        [
            certificate.instance,
            tipsets,
            [certificate.commitments, link(certificate.power_table)],
            encode_runs(runs_of(certificate.signers)),
            certificate.signature,
            [[delta.id, power_bytes(delta.power), delta.key] for delta in certificate.deltas],
        ]
    )
