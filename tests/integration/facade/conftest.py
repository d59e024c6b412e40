"""Machines of the facade tests, for each of our bundles and each runner of contracts."""

import json
from collections.abc import Iterator

import pytest

from bridge.abi.abi import ContractInterface
from bridge.actors.facade_runtime import enable_facade
from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from hypervisor import Address
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.types import EAM_ACTOR
from store.codec import encode
from tests.conftest import data_file, kinds
from tests.hypervisor.builtin_actors.people import ETHEL
from tests.integration.facade.scene import FOLDER
from tests.integration.filecoin_solidity import table
from tests.integration.filecoin_solidity.stage import APIS, Stage


@pytest.fixture(scope="module", params=kinds("its EVM actor"))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a machine with miners, deals and claims, on which every caller is a Relay, and the facade is on."""
    bundle = Bundle.embedded() if request.param == "own" else Bundle.open(data_file(table.OFFICIAL))
    artifacts = tmp_path_factory.mktemp("relays")
    for api in APIS:
        (artifacts / f"{api}.json").write_text((FOLDER / "compiled" / "Relay.json").read_text())
    ready = Stage(bundle, artifacts, "official" if request.param == "its EVM actor" else "py-evm")
    enable_facade(ready.machine)
    yield ready
    ready.machine.close()


@pytest.fixture(scope="module")
def typed(stage: Stage) -> tuple[Address, ContractInterface]:
    """Deploy `Typed`."""
    artifact = json.loads((FOLDER / "compiled" / "Typed.json").read_text())
    code = encode(bytes.fromhex(artifact["bytecode"].removeprefix("0x")))
    created = stage.apply(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, code, 0, ETHEL)
    assert created.exit_code == ExitCode.OK, created.message
    address = to_filecoin(CreateReturn.decode(created.return_data).eth_address)
    return address, ContractInterface(artifact["abi"])
