"""A machine with an Ethereum account, and helpers to deploy and call contracts."""

from dataclasses import dataclass, field
from typing import Any

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, invoke_return
from hypervisor.bundles.genesis import Genesis
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import EAM_ACTOR, Gas, MethodNumber, TokenAmount
from tests.runtimes.evm.assembler import deployer

SENDER_ETH = EthAddress(bytes.fromhex("e01e2bdd4f9a789002da086a6445ca6481c6864c"))
SENDER = to_filecoin(SENDER_ETH)
BLOCK_LIMIT = Gas(10_000_000_000)


def open_machine(**options: Any) -> Hypervisor:
    """Return a machine in memory whose account `SENDER` has 1,000 FIL."""
    genesis = Genesis(accounts={SENDER: TokenAmount(1000 * 10**18)})
    return Hypervisor.open(genesis=genesis, **options)


@dataclass
class Chain:
    """Sends messages from `SENDER` and counts its nonce."""

    machine: Hypervisor = field(default_factory=open_machine)
    nonce: int = 0

    def send(
        self, to: Address, method: int, params: bytes = b"", value: int = 0, gas_limit: Gas = BLOCK_LIMIT
    ) -> ApplyResult:
        message = Message(
            to=to,
            from_=SENDER,
            nonce=self.nonce,
            value=TokenAmount(value),
            method=MethodNumber(method),
            params=params,
            gas_limit=gas_limit,
        )
        self.nonce += 1
        result = self.machine.apply(message)
        if result.fatal is not None:
            raise result.fatal
        return result

    def deploy(self, runtime: bytes, value: int = 0) -> EthAddress:
        """Create a contract with this runtime code."""
        return self.deploy_init(deployer(runtime), value)

    def deploy_init(self, init_code: bytes, value: int = 0) -> EthAddress:
        result = self.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(init_code), value)
        assert result.exit_code == 0, result.message
        return CreateReturn.decode(result.return_data).eth_address

    def invoke(
        self, contract: EthAddress, calldata: bytes = b"", value: int = 0, gas_limit: Gas = BLOCK_LIMIT
    ) -> ApplyResult:
        return self.send(to_filecoin(contract), INVOKE_EVM, invoke_params(calldata), value, gas_limit)

    def call(self, contract: EthAddress, calldata: bytes = b"", value: int = 0) -> bytes:
        """Call a contract, which must succeed, and return its decoded data."""
        result = self.invoke(contract, calldata, value)
        assert result.exit_code == 0, f"exit {result.exit_code}: {result.message}"
        return invoke_return(result.return_data)

    def state(self, contract: EthAddress) -> EvmState:
        actor = self.machine.actor(to_filecoin(contract))
        assert actor is not None
        return EvmState.decode(self.machine.store.get(actor.head))

    def balance(self, address: Address) -> int:
        """Return the balance of an address, 0 if there is no actor."""
        actor = self.machine.actor(address)
        return 0 if actor is None else actor.balance
