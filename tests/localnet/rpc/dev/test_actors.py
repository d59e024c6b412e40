"""Users' native actors on a running node: code, new actors, and replacement of code."""

from base64 import b64encode
from pathlib import Path

import pytest

from store.cid import RAW, cid_of, show
from store.codec import encode
from tests.localnet.rpc.asking import ALICE
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
