"""Single rules of go-f3 at their limits, on certificates of a committee with known keys."""

from dataclasses import replace

import pytest

from fvm_hypervisor.laboratory.proofs.f3 import (
    Committee,
    InvalidCertificate,
    PowerEntry,
    TrustedState,
    advance,
    decode_certificate,
    decode_power_table,
    encode_certificate,
    encode_power_table,
    power_table_cid,
)
from store.cid import cid_of
from store.codec import encode


def start(committee: Committee) -> TrustedState:
    return TrustedState(committee.network, 0, committee.table)


@pytest.mark.parametrize(
    ("size", "signers", "enough"), [(3, 2, True), (5, 3, False), (5, 4, True), (7, 4, False), (1, 1, True)]
)
def test_two_thirds_of_the_power_are_needed(size: int, signers: int, enough: bool) -> None:
    # Each of 3 has 21,845 of 65,535: two have exactly two thirds.
    committee = Committee("rules", size)
    certificate = committee.certify(0, [committee.tipset(0, [cid_of(b"")])], range(size - signers, size))
    assert decode_certificate(encode_certificate(certificate)) == certificate
    if enough:
        assert advance(start(committee), certificate).instance == 1
        return
    with pytest.raises(InvalidCertificate, match="two thirds are needed"):
        advance(start(committee), certificate)


@pytest.mark.parametrize("epochs", [(-1,), (-2, 3), (4, 4), (4, 3)])
def test_epochs_start_at_zero_and_ascend(epochs: tuple[int, ...]) -> None:
    committee = Committee("rules")
    certificate = committee.certify(0, [committee.tipset(epoch, [cid_of(b"")]) for epoch in epochs])
    with pytest.raises(
        InvalidCertificate, match=f"epoch {epochs[-1] if epochs[0] >= 0 else epochs[0]} does not follow"
    ):
        advance(start(committee), certificate)


def test_key_at_infinity_in_the_table_is_refused() -> None:
    # go-f3: blssig.Verifier refuses a null point among the keys of the table, whether it signs or not.
    committee = Committee("rules")
    committee.table = (*committee.table, PowerEntry(9, 1 << 20, b"\xc0" + bytes(47)))
    certificate = committee.certify(0, [committee.tipset(0, [cid_of(b"")])], range(4))
    with pytest.raises(InvalidCertificate, match="key of entry 4 of the power table is the point at infinity"):
        advance(start(committee), certificate)


def test_other_network_and_contents_are_refused() -> None:
    committee = Committee("rules")
    certificate = committee.certify(0, [committee.tipset(0, [cid_of(b"")])])
    advance(start(committee), certificate)
    for changed in (replace(certificate, commitments=b"\1" * 32), replace(certificate, signature=b"\xc0" + bytes(95))):
        with pytest.raises(InvalidCertificate, match="Signature: it does not verify"):
            advance(start(committee), changed)
    with pytest.raises(InvalidCertificate, match="Signature: it does not verify"):
        advance(replace(start(committee), network="rule"), certificate)


def test_table_is_read_from_its_bytes() -> None:
    table = Committee("rules").table
    data = encode_power_table(table)
    assert decode_power_table(data) == table
    assert cid_of(data) == power_table_cid(table)
    for wrong in (
        data[:-1],
        data + b"\0",
        b"\x81" * 1000,
        encode([]),
        encode([[1, b"\2\1", bytes(48)]]),
        encode([[1]]),
    ):
        with pytest.raises(InvalidCertificate, match="power table"):
            decode_power_table(wrong)
