"""The verifier of storage proofs that a node or a local network is opened with."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fvm_hypervisor.cli.options import proof_verifier
from hypervisor.errors import InvalidInput
from hypervisor.proofs.storage import EXTENSION, StorageProofs
from hypervisor.proofs.verifier import AcceptProofs, RefuseProofs
from localnet import Network


def test_without_the_option_no_verifier_is_selected() -> None:
    assert proof_verifier(None, 1) is None


def test_the_option_selects_the_extension_with_digest_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configured: list[tuple[str, bool]] = []
    extension = SimpleNamespace(ParametersError=OSError, configure=lambda *settings: configured.append(settings))
    monkeypatch.setitem(sys.modules, EXTENSION, extension)
    assert isinstance(proof_verifier(tmp_path, 1), StorageProofs)
    assert configured == [(str(tmp_path), True)]


def test_the_option_and_parallel_execution_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--verify-proofs and --parallel 2 cannot be used together"):
        proof_verifier(tmp_path, 2)


@pytest.mark.slow
def test_a_network_uses_its_verifier_and_accepts_proofs_without_one() -> None:
    verifier = RefuseProofs()
    with Network(proofs=verifier) as network:
        assert network.chain.machine.proofs is verifier
    with Network() as network:
        assert isinstance(network.chain.machine.proofs, AcceptProofs)
