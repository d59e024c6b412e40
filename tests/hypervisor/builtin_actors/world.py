"""Helpers of the actors' tests: send messages, deploy the example contracts, create the example actor."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, invoke_return
from hypervisor import Address, Hypervisor, Message
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.signatures import secp256k1_public_key
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, ActorID, Gas, MethodNumber, TokenAmount
from store.blockstore import get_object
from store.codec import decode, encode

PROJECT = Path(__file__).resolve().parents[3]
EXAMPLES = PROJECT / "examples"

FUNDS = 10**24
SECRET_KEY = bytes(31) + b"\x01"
KEY_ACCOUNT = Address.secp256k1(secp256k1_public_key(SECRET_KEY))
ETH_ACCOUNT = to_filecoin(EthAddress(bytes(range(1, 21))))


class World:
    """A machine with helpers to send messages."""

    def __init__(self, machine: Hypervisor) -> None:
        self.machine = machine
        self.counter = ActorID(0)

    # --- messages ---------------------------------------------------------------------------------------------

    def send(
        self, to: Address, method: int, params: bytes = b"", value: int = 0, sender: Address = KEY_ACCOUNT
    ) -> ApplyResult:
        """Send a chain message from an account."""
        account = self.machine.actor(sender)
        message = Message(
            to=to,
            from_=sender,
            nonce=account.nonce if account else 0,
            value=TokenAmount(value),
            method=MethodNumber(method),
            params=params,
            gas_limit=Gas(10**13),
        )
        return self.machine.apply(message)

    def send_as(
        self, sender: ActorID | int, to: Address, method: int, params: bytes = b"", value: int = 0
    ) -> ApplyResult:
        """Send the call as an implicit message of any actor."""
        message = Message(
            to, Address.id(sender), 0, TokenAmount(value), MethodNumber(method), params, gas_limit=Gas(10**13)
        )
        return self.machine.apply_implicit(message)

    # --- state ------------------------------------------------------------------------------------------------

    def id_of(self, address: Address) -> ActorID:
        actor = self.machine.state_tree.lookup_id(address)
        assert actor is not None
        return actor

    def state_of(self, actor: int) -> Any:
        """Return the decoded state of an actor."""
        state = self.machine.state_tree.get_actor(ActorID(actor))
        assert state is not None
        self.machine.state_tree.flush()
        return get_object(self.machine.store, state.head)

    def balance_of(self, address: Address) -> int:
        actor = self.machine.actor(address)
        return 0 if actor is None else actor.balance

    def next_id(self) -> int:
        return int(self.state_of(INIT_ACTOR)[1])

    # --- the examples -----------------------------------------------------------------------------------------

    def create_counter(self) -> Address:
        code = self.machine.install((EXAMPLES / "counter" / "counter.wasm").read_bytes())
        self.counter = self.machine.create(code).id
        return Address.id(self.counter)

    def call_counter(self, method: str, *params: object, value: int = 0) -> ApplyResult:
        """Send a message to a method of the counter; several parameters become an array."""
        data = b"" if not params else encode(params[0] if len(params) == 1 else list(params))
        return self.send(Address.id(self.counter), method_number(method), data, value)

    def deploy(self, name: str) -> EthAddress:
        """Deploy an example contract from the Ethereum account."""
        code = bytes.fromhex(artifact(name)["bytecode"].removeprefix("0x"))
        result = self.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, encode(code), sender=ETH_ACCOUNT)
        assert result.exit_code == 0, result.message
        return CreateReturn.decode(result.return_data).eth_address

    def call(self, contract: EthAddress, name: str, function: str, *arguments: Any, value: int = 0) -> ApplyResult:
        """Send a transaction of the Ethereum account."""
        calldata = interface(name).encode_call(function, *arguments)
        to = to_filecoin(contract)
        return self.send(to, method_number("InvokeEVM"), invoke_params(calldata), value, ETH_ACCOUNT)

    def ask(self, contract: EthAddress, name: str, function: str, *arguments: Any, value: int = 0) -> Any:
        """Send a transaction that must succeed, and return its result."""
        result = self.call(contract, name, function, *arguments, value=value)
        assert result.exit_code == 0, result.message
        return interface(name).decode_result(function, invoke_return(result.return_data))


@cache
def artifact(name: str) -> dict[str, Any]:
    """Return the committed artifact of an example contract."""
    data: dict[str, Any] = json.loads((EXAMPLES / "solidity" / "artifacts" / f"{name}.json").read_text())
    return data


def interface(name: str) -> ContractInterface:
    return ContractInterface(artifact(name)["abi"])


def answer(result: ApplyResult) -> Any:
    """Return the decoded return value of a successful message."""
    assert result.exit_code == 0, result.message
    return decode(result.return_data) if result.return_data else None
