"""The crate `contract_calls`, with which an actor calls contracts, on the project's own bundle and the official one.

Expected results follow FIP-0054; the called contract is `examples/solidity/contracts/Inbox.sol`. The crate's own tests
run, too, and their expected values are compared with the bridge.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.call import HANDLE_FILECOIN_METHOD
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from hypervisor import Address, Genesis, Hypervisor
from hypervisor.bundles.bundle import Bundle
from hypervisor.types import DATACAP_ACTOR, EAM_ACTOR, TokenAmount, encode_bigint
from scripts import build_guests
from store.codec import decode, encode
from tests.conftest import data_file, kinds
from tests.hypervisor.builtin_actors.world import ETH_ACCOUNT, FUNDS, KEY_ACCOUNT, World, interface
from tests.runtimes.evm.assembler import assemble, deployer

CRATE = Path(build_guests.ACTORS) / "contract_calls"
OFFICIAL = "bundles/v18-testing-fake-proofs.car"
RETURNED, NOT_SENT, NO_CONTRACT, REVERTED, EXITED, UNREADABLE = range(6)
"""Outcomes of a call, as the actor reports them."""
NOTIFY, REFUSE = method_number("Notify"), method_number("Refuse")


@dataclass
class Caller:
    """The calling actor, and a contract to call."""

    world: World
    actor: Address
    inbox: EthAddress

    def tell(self, method: str, *params: Any, value: int = 0) -> list[Any]:
        """Make a call and return its outcome, exit code or error number, data, and text."""
        result = self.world.send(self.actor, method_number(method), encode(list(params)), value)
        assert result.exit_code == 0, result.message
        told: list[Any] = decode(result.return_data)
        return told

    def call(
        self, calldata: bytes, *, to: bytes | None = None, value: int = 0, gas: int = 0, read_only: bool = False
    ) -> list[Any]:
        """Make a call by calldata and return the same as `tell`; the message carries the value."""
        return self.tell("Call", to or self.inbox, calldata, encode_bigint(value), gas, read_only, value=value)

    def ask(self, function: str) -> Any:
        return self.world.ask(self.inbox, "Inbox", function)


@pytest.fixture(scope="module", params=kinds())
def machine(request: pytest.FixtureRequest) -> Iterator[Hypervisor]:
    genesis = Genesis(accounts={KEY_ACCOUNT: TokenAmount(FUNDS), ETH_ACCOUNT: TokenAmount(FUNDS)})
    bundle = Bundle.embedded() if request.param == "own" else Bundle.open(data_file(OFFICIAL))
    with Hypervisor.open(bundle=bundle, genesis=genesis) as opened:
        yield opened


@pytest.fixture
def caller(machine: Hypervisor) -> Caller:
    world = World(machine.fork())
    code = world.machine.install((build_guests.CALLER / "contract_caller.wasm").read_bytes())
    return Caller(world, Address.id(world.machine.create(code).id), world.deploy("Inbox"))


# --- functions ------------------------------------------------------------------------------------------------------


def test_a_function_is_called_by_its_types(caller: Caller) -> None:
    for count in (1, 2):
        assert caller.tell("Greet", caller.inbox, "hello") == [RETURNED, 0, count.to_bytes(32, "big"), ""]
    assert caller.ask("greetings") == 2


def test_call_transfers_value(caller: Caller) -> None:
    greet = interface("Inbox").encode_call("greet", "with money")
    outcome, _, data, _ = caller.call(greet, value=7)
    assert (outcome, data) == (RETURNED, encode_abi(["uint256"], [1]))
    assert caller.world.balance_of(to_filecoin(caller.inbox)) == 7


def test_revert_returns_data_and_message(caller: Caller) -> None:
    outcome, number, data, words = caller.call(interface("Inbox").encode_call("refuse", "not today"), value=7)
    assert (outcome, number, words) == (REVERTED, 33, "the contract reverted: not today")
    assert data == bytes.fromhex("08c379a0") + encode_abi(["string"], ["not today"])
    assert caller.ask("greetings") == 0
    assert caller.world.balance_of(caller.actor) == 7


def test_read_only_call_cannot_change_state(caller: Caller) -> None:
    greetings = caller.call(interface("Inbox").encode_call("greetings"), read_only=True)
    assert greetings[:2] == [RETURNED, 0]
    refused = caller.call(interface("Inbox").encode_call("greet", "hello"), read_only=True)
    assert refused[:2] == [EXITED, 25]  # USR_READ_ONLY
    assert caller.ask("greetings") == 0


def test_gas_can_be_limited(caller: Caller) -> None:
    """The callee runs out of gas; its caller continues."""
    greet = interface("Inbox").encode_call("greet", "hello")
    assert caller.call(greet, gas=1_000_000) == [EXITED, 7, b"", "the contract exited with code 7"]
    assert caller.call(greet, gas=100_000_000)[0] == RETURNED


def test_unsent_call_returns_error_number(caller: Caller) -> None:
    """Error 6 is a missing receiver, error 5 insufficient funds."""
    nobody = masked_id(999_999)
    assert caller.call(b"", to=nobody) == [NOT_SENT, 6, b"", "the call was not sent: error number 6"]
    dear = caller.tell("Call", caller.inbox, b"", encode_bigint(10**30), 0, False)
    assert dear == [NOT_SENT, 5, b"", "the call was not sent: error number 5"]


def test_an_account_and_an_empty_place_are_no_contracts(caller: Caller) -> None:
    for to in (ETH_ACCOUNT.subaddress(), bytes(19) + b"\x77"):
        assert caller.call(b"\x01\x02\x03\x04", to=to) == [NO_CONTRACT, 0, b"", "there is no contract to call"]


def test_undecodable_contract_return_is_reported(caller: Caller) -> None:
    """A contract that accepts everything and returns nothing."""
    code = encode(deployer(assemble("STOP")))
    made = caller.world.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, code, sender=ETH_ACCOUNT)
    silent = CreateReturn.decode(made.return_data).eth_address
    outcome, _, _, words = caller.tell("Greet", silent, "hello")
    assert outcome == UNREADABLE
    assert words.startswith("the answer cannot be read: greet(string): ")


# --- methods by number ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [b"", encode([1, "two"])])
def test_a_contract_is_called_by_a_methods_number(caller: Caller, params: bytes) -> None:
    to = to_filecoin(caller.inbox).to_bytes()
    assert caller.tell("Method", to, NOTIFY, params) == [RETURNED, 0, params, ""]
    assert caller.ask("lastMethod") == NOTIFY
    assert caller.tell("Method", to, REFUSE, params) == [EXITED, 77, b"", "the contract exited with code 77"]


def test_native_actor_is_called_by_method_number(caller: Caller) -> None:
    name = caller.tell("Method", Address.id(DATACAP_ACTOR).to_bytes(), method_number("Name"), b"")
    assert name == [RETURNED, 0, encode("DataCap"), ""]
    assert caller.tell("Method", Address.id(DATACAP_ACTOR).to_bytes(), NOTIFY, b"")[:2] == [EXITED, 22]


@pytest.mark.parametrize("params", [b"", encode([1, "two"])])
def test_contract_handler_is_called_like_evm_actor_handler(caller: Caller, params: bytes) -> None:
    assert caller.tell("Handler", caller.inbox, NOTIFY, params) == [RETURNED, 0, params, ""]
    assert caller.ask("lastMethod") == NOTIFY
    assert caller.tell("Handler", caller.inbox, REFUSE, params)[:2] == [EXITED, 77]


def test_calldata_is_not_sent_by_number(caller: Caller) -> None:
    params = encode([to_filecoin(caller.inbox).to_bytes(), INVOKE_EVM, b""])
    result = caller.world.send(caller.actor, method_number("Method"), params)
    assert result.exit_code == 24  # a panic: this is a mistake of the actor's author


# --- the crate ------------------------------------------------------------------------------------------------------


def test_crate_tests_expect_bridge_behaviour() -> None:
    text = (CRATE / "src" / "tests.rs").read_text().replace("_", "")
    assert f"({INVOKE_EVM}, {method_number('Receive')})" in text
    assert f'"{HANDLE_FILECOIN_METHOD.hex()} {{words}}"' in text


def test_contract_project_locks_same_sdk_versions_as_guests() -> None:
    ours, theirs = (dict(locked(folder / "Cargo.lock")) for folder in (build_guests.PROJECT, build_guests.GUESTS))
    shared = {"fvm_sdk", "fvm_shared", "fvm_ipld_encoding", "frc42_dispatch"}
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def locked(path: Path) -> list[tuple[str, str]]:
    return re.findall(r'^name = "(.+)"\nversion = "(.+)"$', path.read_text(), re.MULTILINE)


@pytest.mark.long
def test_the_crates_own_tests_pass() -> None:
    if shutil.which("rustup") is None:
        pytest.skip(
            "this needs rustup and the pinned compiler: see hypervisor/builtin_actors/guests/rust-toolchain.toml"
        )
    command = ["rustup", "run", build_guests.toolchain(), "cargo", "test", "--quiet", "--locked"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(build_guests.BUILD)}
    done = subprocess.run(command, cwd=CRATE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert max(int(count) for count in re.findall(r"ok\. (\d+) passed", done.stdout)) > 15
