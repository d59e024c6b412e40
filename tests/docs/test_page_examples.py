"""docs/bridge.md: its Python runs on the contracts of the examples."""

import re
from pathlib import Path

import pytest

from bridge.bindings import init, multisig
from hypervisor import Address
from hypervisor.types import INIT_ACTOR
from localnet import CallFailed, Network

CHECKOUT = Path(__file__).parent.parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (CHECKOUT / "docs" / "bridge.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy the compiled contracts named by the page into the working directory."""
    for name, file in {
        "MinerFacts.json": "examples/miner-facts/MinerFacts.json",
        "Client.json": "tests/integration/facade/compiled/Typed.json",
    }.items():
        (tmp_path / name).symlink_to(CHECKOUT / file)
    monkeypatch.chdir(tmp_path)


def run(code: str, **names: object) -> None:
    exec(compile(code, "docs/bridge.md", "exec"), names)


@pytest.mark.usefixtures("artifacts")
def test_page_has_five_python_blocks() -> None:
    assert len(BLOCKS) == 5


@pytest.mark.usefixtures("artifacts")
@pytest.mark.parametrize("code", BLOCKS[:2])
def test_network_and_deployment_examples_run(code: str) -> None:
    run(code, Network=Network)


@pytest.mark.usefixtures("artifacts")
def test_actor_call_example_runs() -> None:
    with Network() as network:
        owner = network.accounts[0].native
        code = network.machine.manifest.code("multisig")
        made = network.invoke(
            Address.id(INIT_ACTOR), init.exec(code, multisig.constructor([owner], 1, 0, 0).params), value=10**18
        )
        miner = network.create_miner(sectors=0)
        run(BLOCKS[2], network=network, wallet=made.id_address, to=network.accounts[1].native, miner=miner.address)


@pytest.mark.usefixtures("artifacts")
def test_documented_trace_example_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        miner = network.create_miner(sectors=0)
        payments = network.deploy(CHECKOUT / "examples" / "provider-payments" / "ProviderPayments.json")
        payments.send("open", miner.id, 1, value=100)
        network.mine()  # gas is estimated at this epoch, where something must be due already
        run(BLOCKS[3], payments=payments, plan=0)
    assert "ProviderPayments pay(plan=0)" in capsys.readouterr().out
    assert "ProviderPayments.pay" in (tmp_path / "pay.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("artifacts")
def test_failed_call_prints_inner_calls(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        payments = network.deploy(CHECKOUT / "examples" / "provider-payments" / "ProviderPayments.json")
        run(BLOCKS[4], payments=payments, CallFailed=CallFailed)
    printed = capsys.readouterr().out
    assert "revert reason=[NotAProvider(7, 16)]" in printed
    assert "storagepower MinerRawPower" in printed
