"""Verification of Filecoin's storage proofs by the crate `filecoin-proofs-api`.

`hypervisor.proofs.verifier.StorageProofs` of fvm-hypervisor uses these functions; it describes them.
"""

from fvm_hypervisor_proofs._native import (
    ParametersError,
    ProofError,
    configure,
    verify_aggregate,
    verify_replica_update,
    verify_seal,
    verify_window_post,
    verify_winning_post,
    winning_challenge,
)

__all__ = [
    "ParametersError",
    "ProofError",
    "configure",
    "verify_aggregate",
    "verify_replica_update",
    "verify_seal",
    "verify_window_post",
    "verify_winning_post",
    "winning_challenge",
]
