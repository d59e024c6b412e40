"""Comparison by random syscalls, with this machine in place of the reference: detected differences and their texts."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import VectorResult, run_vector
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor.kernel.crypto import CryptoOps
from store.cid import show
from tests.conformance import oracle_fuzz
from tests.conformance.oracle_diff import NOT_RUN, CannotRun
from tests.conformance.probes import changed, probes
from tests.conftest import bundle_folder


def as_printed(result: VectorResult) -> str:
    """Return a result in the output format of `oracle run`."""
    receipts = [
        {
            "exit_code": got.exit_code,
            "return": base64.b64encode(got.return_data).decode(),
            "gas_used": got.gas_used,
            "events_root": {"/": show(got.events_root)} if got.events_root else None,
            "penalty": str(got.penalty),
        }
        for got, _ in result.receipts
    ]
    after = {"receipts": receipts, "state_tree": {"root_cid": {"/": show(result.state_root)}}}
    return json.dumps({"id": f"{result.vector}:{result.variant}", "postconditions": after})


@pytest.fixture
def oracle_copies_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the oracle return this machine's results, before a defect is planted."""
    asking = oracle_fuzz.machine

    def answer(_command: str, path: str) -> str:
        monkeypatch.setattr(oracle_fuzz, "run_vector", lambda *_: run_vector(Path(path), BundleFolder(bundle_folder())))
        lines = [as_printed(result) for result in asking([])]
        monkeypatch.setattr(oracle_fuzz, "run_vector", run_vector)
        return "\n".join(lines)

    monkeypatch.setattr(oracle_fuzz, "oracle", answer)
    monkeypatch.setattr(oracle_fuzz, "IN_A_MESSAGE", 40)
    monkeypatch.setattr(oracle_fuzz, "VERSIONS", (21, 28))
    monkeypatch.setattr(sys, "argv", ["oracle-fuzz", "--count", "160"])


@pytest.mark.slow
@pytest.mark.usefixtures("oracle_copies_machine")
def test_equal_answers_are_equal_and_a_gas_too_much_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle_fuzz.main() == 0
    assert "160 syscalls in 4 messages, 4 of them to the end: 0 differences" in (out := capsys.readouterr().out)
    assert "planted defect: found in 2 of 2 messages" in out


@pytest.mark.slow
@pytest.mark.usefixtures("oracle_copies_machine")
def test_the_syscall_that_differs_is_named_with_its_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered, hash_ = oracle_fuzz.with_reference_results, CryptoOps.hash

    def wrong(crypto: CryptoOps, code: int, data: bytes) -> bytes:
        digest = hash_(crypto, code, data)
        return bytes((digest[0] ^ 1,)) + digest[1:]

    def planted(*arguments: Any) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(CryptoOps, "hash", hash_)
            return answered(*arguments)

    monkeypatch.setattr(oracle_fuzz, "with_reference_results", planted)
    monkeypatch.setattr(CryptoOps, "hash", wrong)
    assert oracle_fuzz.main() == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("nv")]
    assert lines
    assert all("Probe(syscall='crypto.hash', arguments=(" in line and "return" in line for line in lines)


def test_missing_oracle_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lacking(*_: str) -> str:
        raise CannotRun("there is no Rust here")

    monkeypatch.setattr(oracle_fuzz, "oracle", lacking)
    monkeypatch.setattr(sys, "argv", ["oracle-fuzz"])
    assert oracle_fuzz.main() == NOT_RUN
    assert capsys.readouterr().out == "NOT RUN: there is no Rust here\n"


@pytest.mark.parametrize("make", [lambda chance: next(probes(chance)), lambda chance: changed(chance, b"some bytes")])
def test_a_seed_makes_the_same_again(make: Callable[[Random], object]) -> None:
    assert [make(Random(seed)) for seed in range(20)] == [make(Random(seed)) for seed in range(20)]
