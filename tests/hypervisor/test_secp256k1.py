"""Comparison of hypervisor.secp256k1 with coincurve, another binding of the same library."""

import coincurve
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hypervisor.secp256k1 import public_key, recover, sign
from tests.conftest import samples

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD = (1 << 256) - (1 << 32) - 977
WORDS = st.binary(min_size=32, max_size=32)
NUMBERS = st.sampled_from(
    [0, 1, 2, 7, ORDER // 2, ORDER - 1, ORDER, FIELD - ORDER - 1, FIELD, (1 << 256) - 1]
) | st.integers(0, (1 << 256) - 1)


def recovered_by_coincurve(digest: bytes, signature: bytes) -> bytes | None:
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception:  # noqa: BLE001  # the library raises bare Exception for a point that is not on the curve
        return None
    return bytes(key.format(compressed=False))


@given(st.integers(1, ORDER - 1), WORDS)
@settings(max_examples=samples(200), deadline=None)
def test_signature_equals_coincurve_and_recovers_key(number: int, digest: bytes) -> None:
    secret = number.to_bytes(32)
    theirs = coincurve.PrivateKey(secret)
    signature = sign(secret, digest)
    assert signature == theirs.sign_recoverable(digest, hasher=None)
    assert recover(digest, signature) == public_key(secret) == theirs.public_key.format(compressed=False)


@pytest.mark.slow
@given(WORDS, NUMBERS, NUMBERS, st.integers(0, 5))
@settings(max_examples=samples(800), deadline=None)
@example(bytes(32), 1, 1, 0)
@example(bytes(32), 1, 1, 2)
@example(bytes(32), FIELD - ORDER - 1, 1, 3)
def test_any_signature_recovers_as_with_coincurve(digest: bytes, r: int, s: int, v: int) -> None:
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([v])
    assert recover(digest, signature) == recovered_by_coincurve(digest, signature)


@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32), b"\xff" * 32, b"", b"\x01" * 31, b"\x01" * 33])
def test_bytes_that_are_no_key_are_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        public_key(secret)
    with pytest.raises(ValueError, match="key"):
        sign(secret, bytes(32))
