"""Signatures in the kernel: charges at each network version, and gas that runs out.

Errors and charges from network version 21 on are those of the reference in tests/golden/crypto.jsonl.gz.
"""

import pytest

from tests.hypervisor.test_signatures import (
    SECP_MESSAGE,
    SECP_SIGNATURE,
    SECP_SIGNER,
)
from tests.hypervisor.world import GAS, World, used

SECP = 1
SECP_PRICE = 1_637_292


@pytest.mark.parametrize("network", [18, 21, 28])
def test_a_secp256k1_signature_is_verified_for_its_price(network: int) -> None:
    kernel, text = World(network).kernel(), SECP_MESSAGE.cid()
    price = (SECP_PRICE + 10 * len(text)) * GAS
    verify = kernel.crypto.verify_signature
    assert used(kernel, lambda: verify(SECP, SECP_SIGNATURE, SECP_SIGNER, text)) == price
    assert verify(SECP, SECP_SIGNATURE, SECP_SIGNER, text)
    assert not verify(SECP, SECP_SIGNATURE[:-1], SECP_SIGNER, text)
