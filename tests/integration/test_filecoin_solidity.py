"""Solidity libraries for built-in actors, unmodified: `make bridge` runs all cases, `make test` those without npm."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params
from hypervisor import Address, Hypervisor
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.types import EAM_ACTOR
from localnet import Network
from store.codec import encode
from tests.conftest import data_file, kinds, network_of, newer_names
from tests.hypervisor.builtin_actors.people import ETHEL, GENESIS
from tests.hypervisor.builtin_actors.world import World
from tests.integration.filecoin_solidity import compare
from tests.integration.filecoin_solidity.__main__ import SCRIPT
from tests.integration.filecoin_solidity.cases import Stage, cases
from tests.integration.filecoin_solidity.compare import compare_case

COMPILED = Path(__file__).parent / "filecoin_solidity" / "compiled" / compare.KEPT
"""Callers of the two small APIs: transfers, and the address precompiles."""
CANNOT_FAIL = {
    "DataCapAPI.name", "DataCapAPI.symbol", "DataCapAPI.totalSupply", "PowerAPI.minerCount",
    "PowerAPI.minerConsensusCount", "PowerAPI.networkRawPower", "PrecompilesAPI.lookupDelegatedAddress",
}  # fmt: skip
"""Functions without parameters, or for any number, that no actor refuses."""


@pytest.fixture(scope="module", params=[*kinds(), "own-v19", *newer_names()])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param in ("own", "official"):
        ready = Stage(
            Bundle.embedded() if request.param == "own" else Bundle.open(data_file(compare.OFFICIAL)), COMPILED
        )
    else:
        ready = Stage(Bundle.embedded(), COMPILED)
        later = Bundle.open(request.param)
        ready.machine.store.put_many(later.blocks)
        ready.machine.upgrade(network_of(request.param), later.manifest)
    yield ready
    ready.machine.close()


@pytest.mark.parametrize("api", ["SendAPI", "PrecompilesAPI"])
def test_filecoin_solidity_matches_native_call(stage: Stage, api: str) -> None:
    chosen = [case for case in cases(stage) if case.api == api]
    assert len(chosen) >= 9
    for case in chosen:
        assert not compare_case(stage, case).problems, case


def test_documented_filecoin_solidity_table_shows_all_equal() -> None:
    rows = compare.documented_rows()
    assert len(rows) == 58
    kept = [index for index, column in enumerate(compare.COLUMNS, 2) if column.package == compare.KEPT]
    assert {row[index] for row in rows.values() for index in kept} == {compare.EQUAL}
    assert not any(compare.MISSING in row or "different" in row for row in rows.values())
    assert not [method for method, row in rows.items() if row[0] == "0"]
    assert {method for method, row in rows.items() if row[1] == "0"} == CANNOT_FAIL


def compiled() -> Path:
    """Return the artifacts, compiled by npm's solc if necessary."""
    return Path(subprocess.run([SCRIPT], check=True, capture_output=True, text=True).stdout.strip())


@pytest.mark.long
@pytest.mark.parametrize("evm", ["py-evm", "official"])
def test_the_test_contracts_of_filecoin_solidity_pass(evm: str) -> None:
    """These contracts call no actor: each function checks the library and reverts on an error."""
    ran = 0
    with Hypervisor.open(bundle=Bundle.open(data_file(compare.OFFICIAL)), genesis=GENESIS, evm=evm) as machine:
        world = World(machine)
        for file in sorted((compiled() / compare.TESTS).glob("*Test.json")):
            artifact = json.loads(file.read_text())
            code = bytes.fromhex(artifact["bytecode"].removeprefix("0x"))
            created = world.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, encode(code), sender=ETHEL)
            contract = to_filecoin(CreateReturn.decode(created.return_data).eth_address)
            interface = ContractInterface(artifact["abi"])
            for function in (entry for entry in interface.abi if entry["type"] == "function"):
                calldata = interface.encode_call(function["name"])
                result = world.send(contract, INVOKE_EVM, invoke_params(calldata), sender=ETHEL)
                assert result.exit_code == ExitCode.OK, (file.stem, function["name"], result.message)
                ran += 1
    assert ran == 26


@pytest.mark.long
@pytest.mark.parametrize("api", ["Market", "Miner"])
def test_filecoin_solidity_mock_test_contracts_pass(api: str) -> None:
    """The newer library's only test contracts, which replace the actors by contracts."""
    folder = compiled() / compare.KEPT / "mocks"
    with Network() as network:
        mock = json.loads((folder / f"{api}MockAPI.json").read_text())
        wanted = [item for entry in mock["abi"] if entry["type"] == "constructor" for item in entry["inputs"]]
        owner = [b"\0\x66" for _ in wanted]
        test = network.deploy(folder / f"{api}TestApi.json", network.deploy(mock, *owner).address)
        functions = [entry["name"] for entry in test.interface.abi if entry["type"] == "function"]
        assert len(functions) == 2
        for name in functions:
            test.send(name)


@pytest.mark.long
def test_every_function_of_filecoin_solidity_is_as_documented() -> None:
    artifacts = compiled()
    for name in ("SendAPI.json", "PrecompilesAPI.json"):
        assert (artifacts / compare.KEPT / name).read_text() == (COMPILED / name).read_text()
    rows, problems = compare.run(artifacts)
    assert problems == []
    assert compare.rendered(rows) == compare.documented()


@pytest.mark.long
@pytest.mark.parametrize("own", [True, False], ids=["own", "official"])
def test_filecoin_solidity_reads_and_pays_storage_provider(own: bool) -> None:
    """A user's scenario: a network with a miner with sectors and claims, and contracts deployed from solc's output."""
    folder = compiled() / compare.KEPT
    with Network(bundle=None if own else data_file(compare.OFFICIAL), network=28) as network:  # nv29 grants no DataCap
        miner = network.create_miner(sectors=2, claims=True)
        facts, power, claims, pay = (
            network.deploy(folder / f"{api}.json") for api in ("MinerAPI", "PowerAPI", "VerifRegAPI", "SendAPI")
        )
        owner = network.machine.state_tree.lookup_id(miner.owner.native)
        assert owner is not None
        assert facts.call("getOwner", miner.id) == (0, ((Address.id(owner).to_bytes(),), (b"",)))
        assert facts.call("getSectorSize", miner.id) == (0, 2048)
        assert facts.call("isControllingAddress", miner.id, (miner.owner.native.to_bytes(),)) == (0, True)
        exit_code, ((raw, negative), enough) = power.call("minerRawPower", miner.id)
        assert (exit_code, int.from_bytes(raw, "big"), negative, enough) == (0, 2 * 2048, False, True)
        exit_code, ((count, refused), found) = claims.call("getClaims", (miner.id, [1, 2, 3]))
        assert (exit_code, count, refused) == (0, 2, ((2, ExitCode.USR_NOT_FOUND),))
        assert {claim[-1] for claim in found} == set(miner.sectors)
        before = network.balance(miner.address)
        network.send_native(pay.address, value=5)
        pay.send("send(uint64,uint256)", miner.id, 5)
        assert network.balance(miner.address) == before + 5
