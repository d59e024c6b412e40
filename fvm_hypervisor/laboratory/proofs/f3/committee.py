"""A committee with known keys, which finalizes tipsets of local networks for tests of contracts and clients.

Its certificates follow all rules. Its keys are derived from small numbers, so its signatures provide no security.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fvm_hypervisor.laboratory.proofs.f3.certificates import SIGNATURE_LENGTH, Certificate, Tipset
from fvm_hypervisor.laboratory.proofs.f3.power_table import PowerEntry, power_table_cid
from fvm_hypervisor.laboratory.proofs.f3.signing import signed_bytes, weights_of
from hypervisor.messages.signatures import BLS_DOMAIN
from hypervisor.types import whole_number
from store.cid import Cid

if TYPE_CHECKING:
    from py_arkworks_bls12381 import Scalar

MAX_SIZE: Final = 1000
_FIRST_SECRET: Final = 1_000_003
_FIRST_ID: Final = 1000
_POWER: Final = 1 << 40
_NO_COMMITMENTS: Final = bytes(32)


class Committee:
    """Participants with equal power; their power table never changes.

    `network` is the name of the network that the certificates are for, `size` the number of participants.
    """

    def __init__(self, network: str, size: int = 4) -> None:
        from py_arkworks_bls12381 import G1Point, Scalar

        whole_number(size, "the size of a committee", 1, MAX_SIZE)
        self.network = network
        self._secrets: list[Scalar] = [Scalar(_FIRST_SECRET + number) for number in range(size)]
        keys = [bytes((G1Point() * secret).to_compressed_bytes()) for secret in self._secrets]
        self.table = tuple(PowerEntry(_FIRST_ID + at, _POWER, key) for at, key in enumerate(keys))

    def tipset(self, epoch: int, blocks: Sequence[Cid]) -> Tipset:
        """Return the tipset of the block headers with these CIDs."""
        return Tipset(epoch, b"".join(blocks), power_table_cid(self.table), _NO_COMMITMENTS)

    def certify(self, instance: int, chain: Sequence[Tipset], signers: Sequence[int] | None = None) -> Certificate:
        """Return a certificate that finalizes a chain of tipsets. The first tipset is the last finalized one.

        `signers` are positions in the power table, in ascending order; None means all.
        """
        from py_arkworks_bls12381 import G2Point, Scalar

        chosen = tuple(range(len(self._secrets)) if signers is None else signers)
        table = power_table_cid(self.table)
        unsigned = Certificate(instance, tuple(chain), _NO_COMMITMENTS, table, chosen, bytes(SIGNATURE_LENGTH), ())
        hashed = G2Point.hash_to_curve(signed_bytes(self.network, unsigned), BLS_DOMAIN)
        weights = weights_of(tuple(entry.key for entry in self.table))
        aggregate = G2Point.identity()
        for at in chosen:
            aggregate = aggregate + hashed * self._secrets[at] * Scalar(weights[at])
        signature = bytes(aggregate.to_compressed_bytes())
        return Certificate(instance, tuple(chain), _NO_COMMITMENTS, table, chosen, signature, ())
