"""Users' native actors on a running node: code, new actors, and replacement of code."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID
from localnet import Network
from localnet.rpc.node import Node
from store.cid import RAW, cid_of, show
from store.codec import encode
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, refusal
from tests.runtimes.wasm.guests import guest, wasm

TEMPLATE = Path(__file__).parents[4] / "hypervisor" / "builtin_actors" / "template" / "tip_jar"
MODULE, SCHEMA = (TEMPLATE / "tip_jar.wasm").read_bytes(), (TEMPLATE / "interface.ipldsch").read_text()
CODE = {"/": show(cid_of(MODULE, RAW))}
TIP = encode(["hi"])
SILENT = wasm('(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) i32.const 0))')
TRAPS = wasm(
    '(module (memory (export "memory") 1) (func $go unreachable) (start $go)'
    '(func (export "invoke") (param i32) (result i32) i32.const 0))'
)


def installed(rpc: Client, module: bytes = MODULE) -> dict[str, str]:
    code: dict[str, str] = rpc(
        "hypervisor_installActor", b64encode(module).decode(), None if module != MODULE else SCHEMA
    )
    return code


def call(rpc: Client, actor: str, method: int, params: bytes) -> tuple[int, str | None]:
    request = {"To": actor, "From": str(rpc.node.network.accounts[0].native), "Value": "5", "Method": method,
               "Params": b64encode(params).decode()}  # fmt: skip
    found = rpc("Filecoin.StateCall", request, None)["MsgRct"]
    return found["ExitCode"], found["Return"]


@pytest.mark.slow
def test_installed_actor_is_created_and_called(rpc: Client) -> None:
    assert rpc("hypervisor_installActor", "0x" + MODULE.hex(), SCHEMA, "tip_jar") == CODE
    jar = rpc("hypervisor_createActor", CODE, {"owner": str(rpc.node.network.accounts[0].native)}, "0x7")
    assert rpc("hypervisor_actorInterface", jar["id"]) == {
        "code": CODE,
        "name": "tip_jar",
        "schema": SCHEMA,
        "fault": "",
    }
    assert call(rpc, jar["address"], 633974955, TIP) == (0, b64encode(b"\x01").decode())
    assert rpc.node.network.balance(jar["id"]) == 7


def test_fatal_actor_gets_a_receipt_with_exit_10_and_the_gas_limit(rpc: Client) -> None:
    """Source: ref-fvm fvm/src/executor/default.rs, `ExecutionError::Fatal`."""
    tree, address = rpc.node.network.machine.state_tree, f"f0{1 << 40}"
    exits = guest("(call $exit (i32.const 40) (i32.const 77) (i32.const 0) (i32.const 0))", "vm.exit")
    rpc("hypervisor_installActor", b64encode(exits).decode())
    tree.set_actor(ActorID(1 << 40), ActorState(cid_of(exits, RAW)))
    rpc.node.network.chain.keep_changes()
    assert call(rpc, address, 2, b"") == (10, None)
    sender = rpc.node.network.accounts[0]
    nonce = rpc("Filecoin.MpoolGetNonce", str(sender.native))
    message = {"To": address, "From": str(sender.native), "Nonce": nonce, "Method": 2, "GasLimit": 5_000_000,
               "GasFeeCap": "200000", "GasPremium": "100000", "Value": "0", "Params": ""}  # fmt: skip
    cid = rpc("Filecoin.MpoolPush", rpc("Filecoin.WalletSignMessage", str(sender.native), message))
    receipt = rpc("Filecoin.StateSearchMsg", None, cid, -1, True)["Receipt"]
    assert (receipt["ExitCode"], receipt["GasUsed"]) == (10, 5_000_000)
    assert rpc("Filecoin.MpoolGetNonce", str(sender.native)) == nonce + 1


def test_a_constructor_takes_cbor_and_its_refusal_is_an_answer(rpc: Client) -> None:
    code = installed(rpc)
    owner = rpc.node.network.accounts[0].native.to_bytes()
    assert rpc("hypervisor_createActor", code, "0x" + encode([owner]).hex())["id"].startswith("f0")
    before = rpc.node.network.machine.root
    with refusal(1, "the constructor exited with 16"):
        rpc("hypervisor_createActor", code, "0x")
    assert rpc.node.network.machine.root == before


def test_an_actor_gets_other_code_and_keeps_its_state(rpc: Client) -> None:
    code, silent = installed(rpc), installed(rpc, SILENT)
    jar = rpc("hypervisor_createActor", code, {"owner": "f0100"}, "0x7")["id"]
    before = rpc("Filecoin.StateGetActor", jar, None)
    assert rpc("hypervisor_setActorCode", jar, silent) is True
    assert rpc("Filecoin.StateGetActor", jar, None) == {**before, "Code": silent}
    assert call(rpc, jar, 633974955, TIP) == (0, None)
    assert rpc("hypervisor_actorInterface", jar) == {"code": silent, "name": "actor", "schema": None, "fault": ""}
    assert rpc("hypervisor_setActorCode", jar, code) is True
    assert call(rpc, jar, 633974955, TIP)[0] == 0


def test_invalid_actor_requests_are_refused_and_node_continues(rpc: Client) -> None:
    unknown = {"/": show(cid_of(b"nothing", RAW))}
    for method, params, words in (
        ("hypervisor_installActor", ["0x00"], "WASM module"),
        ("hypervisor_installActor", ["!"], "is not base64"),
        ("hypervisor_installActor", ["0x" + SILENT.hex(), "type"], "is not an interface"),
        ("hypervisor_createActor", [unknown, "0x"], "no module is installed under"),
        ("hypervisor_setActorCode", ["f0100", unknown], "no module is installed under"),
        ("hypervisor_setActorCode", ["f0999999", CODE], "there is no actor f0999999"),
        ("hypervisor_actorInterface", ["f0999999"], "there is no actor f0999999"),
        ("hypervisor_createActor", [installed(rpc, SILENT)], "the interface of .* is not known"),
    ):
        with pytest.raises(Failed, match=words) as failed:
            rpc(method, *params)
        assert failed.value.code == -32602, method
    assert rpc("eth_getBalance", ALICE)


def test_start_trap_and_nameless_guest_give_one_line_errors(rpc: Client) -> None:
    for module, words in ((TRAPS, "the actor cannot be instantiated: "), (guest("unreachable"), "unreachable")):
        with pytest.raises(Failed, match=f"the constructor exited with 4: .*{words}"):
            rpc("hypervisor_createActor", installed(rpc, module), "0x")
    assert rpc("eth_getBalance", ALICE)


CLZ = "0x60011e5f5260205ff3"


@pytest.fixture
def older() -> Iterator[Client]:
    """Return a client of a network of version 27."""
    with Network(network=27, clock=Clock()) as network:
        yield Client(Node(network))


def test_an_upgrade_of_the_running_network(older: Client) -> None:
    # CLZ is an instruction since network version 28 (FIP-0116).
    older("anvil_setCode", NOBODY, CLZ)
    with pytest.raises(Failed, match="EVM_CONTRACT_UNDEFINED_INSTRUCTION"):
        older("eth_call", {"to": NOBODY})
    height = older("eth_blockNumber")
    assert int(older("hypervisor_upgrade", "nv28"), 16) == int(height, 16) + 1
    assert older("eth_protocolVersion") == "0x1c"
    assert int(older("eth_call", {"to": NOBODY}), 16) == 255
    with refusal(-32602, "is not an upgrade"):
        older("hypervisor_upgrade", 28)


@pytest.mark.parametrize("bundle", ["../x.car", "/etc/passwd", "v18/x", "", 3, "v99"])
def test_bundles_have_names_and_no_paths(older: Client, bundle: object) -> None:
    with refusal(-32602):
        older("hypervisor_upgrade", "nv28", bundle)
    assert older("eth_protocolVersion") == "0x1b"


def test_rpc_creates_miner_and_sets_block_producer(rpc: Client) -> None:
    miner = rpc("hypervisor_createMiner", BOB, 2)
    assert rpc("Filecoin.StateMinerPower", miner, None)["MinerPower"]["RawBytePower"] == str(2 * 2048)
    large = rpc("hypervisor_createMiner", BOB, 1, False, 8 << 20)
    assert rpc("Filecoin.StateMinerPower", large, None)["MinerPower"]["RawBytePower"] == str(8 << 20)
    assert rpc("hypervisor_setProducer", miner) is True
    before = rpc.node.network.balance(miner)
    rpc("evm_mine")
    assert rpc.node.network.balance(miner) > before
    with refusal(-32602, "only a storage miner produces blocks"):
        rpc("hypervisor_setProducer", ALICE)
    for owner, sectors, code in ((NOBODY, 1, -32000), (BOB, 1_001, -32000)):
        with refusal(code):
            rpc("hypervisor_createMiner", owner, sectors)
    rpc("hypervisor_setProducer", "f00")


def test_datacap_where_it_is_not_frozen_yet(older: Client) -> None:
    rpc, client = older, str(older.node.network.accounts[2].native)
    assert rpc("hypervisor_grantDatacap", client, 1 << 20) is True
    assert rpc("Filecoin.StateVerifiedClientStatus", client, None) == str(1 << 20)
    with refusal(-32602):
        rpc("hypervisor_grantDatacap", client, 1)
