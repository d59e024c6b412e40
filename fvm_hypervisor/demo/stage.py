"""The machine of the demonstration: a state folder, two accounts, and a recorder of all messages."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from bridge.addresses import EthAddress, to_filecoin
from bridge.method_numbers import INVOKE_EVM, method_number
from bridge.params import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, invoke_return
from fvm_hypervisor.demo.artifacts import contract, counter_module
from hypervisor import Address, Genesis, Hypervisor, Message, Recorder, SignedMessage
from hypervisor.errors import HypervisorError
from hypervisor.executor import ApplyResult
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.message import Signature, SignatureType
from hypervisor.signatures import secp256k1_public_key, sign_secp256k1
from hypervisor.tracing import TraceEvent
from hypervisor.types import ATTO_PER_FIL, EAM_ACTOR, ActorID, MethodNumber, TokenAmount
from store.codec import encode

FUNDS = TokenAmount(1_000 * ATTO_PER_FIL)


class DemoFailed(HypervisorError):
    """Raised if a step has a wrong result."""


class DemoStage:
    """A machine with an Ethereum account, a native account with its key, and their deployed actors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = hashlib.sha256(b"hypervisor demonstration: native account").digest()
        self.native_account = Address.secp256k1(secp256k1_public_key(self._key))
        eth_account = hashlib.sha256(b"hypervisor demonstration: Ethereum account").digest()[:20]
        self.eth_account = to_filecoin(EthAddress(eth_account))
        self._recorder = Recorder()
        self.machine = self._open()
        self.take_trace()  # drop the events of the genesis
        self.names: dict[ActorID, str] = {}
        self.contracts: dict[str, EthAddress] = {}
        self.counter = ActorID(0)
        for address, name in ((self.native_account, "native account"), (self.eth_account, "Ethereum account")):
            self.names[self.id_of(address)] = name

    def _open(self) -> Hypervisor:
        accounts = {self.native_account: FUNDS, self.eth_account: FUNDS}
        return Hypervisor.open(self.folder, genesis=Genesis(accounts=accounts), tracer=self._recorder)

    def reopen(self) -> None:
        """Commit, close the folder and open it again."""
        self.machine.flush()
        self.machine.close()
        self.machine = self._open()

    def id_of(self, address: Address) -> ActorID:
        """Return the actor ID of an existing address. Raises DemoFailed otherwise."""
        actor = self.machine.state_tree.lookup_id(address)
        if actor is None:
            raise DemoFailed(f"no actor has the address {address}")
        return actor

    def id_of_contract(self, name: str) -> ActorID:
        return self.id_of(to_filecoin(self.contracts[name]))

    def take_trace(self) -> tuple[TraceEvent, ...]:
        """Return the events since the last call."""
        events, self._recorder.events = tuple(self._recorder.events), []
        return events

    # --- deploying --------------------------------------------------------------------------------------------

    def deploy(self, name: str) -> ActorID:
        """Deploy a contract through the Ethereum address manager."""
        artifact = contract(name)
        init_code = artifact.interface.encode_constructor(artifact.bytecode)
        result = self._eth_message(Address.id(EAM_ACTOR), MethodNumber(CREATE_EXTERNAL_METHOD), encode(init_code))
        created = CreateReturn.decode(result.return_data)
        self.contracts[name] = created.eth_address
        self.names[created.actor] = f"contract {name}"
        return created.actor

    def create_counter(self) -> ActorID:
        """Install the native counter actor's module and create one actor of it."""
        code = self.machine.install(counter_module())
        self.counter = self.machine.create(code).id
        self.names[self.counter] = "native counter"
        return self.counter

    # --- messages ---------------------------------------------------------------------------------------------

    def call_contract(self, name: str, function: str, *arguments: Any, value: int = 0) -> tuple[Any, ApplyResult]:
        """Send a transaction from the Ethereum account; return the decoded result and the apply result."""
        interface = contract(name).interface
        calldata = invoke_params(interface.encode_call(function, *arguments))
        result = self._eth_message(to_filecoin(self.contracts[name]), INVOKE_EVM, calldata, value)
        return interface.decode_result(function, invoke_return(result.return_data)), result

    def call_counter(self, method: str, params: bytes = b"") -> ApplyResult:
        """Send a signed message from the native account to an exported method of the counter actor."""
        message = Message(
            Address.id(self.counter),
            self.native_account,
            nonce=self._nonce(self.native_account),
            method=method_number(method),
            params=params,
        )
        signature = Signature(SignatureType.SECP256K1, sign_secp256k1(self._key, message.cid()))
        return self._succeed(self.machine.apply(SignedMessage(message, signature)), method)

    def _eth_message(self, to: Address, method: MethodNumber, params: bytes, value: int = 0) -> ApplyResult:
        message = Message(
            to,
            self.eth_account,
            nonce=self._nonce(self.eth_account),
            value=TokenAmount(value),
            method=method,
            params=params,
        )
        return self._succeed(self.machine.apply(message), f"method {method} of {to}")

    def _nonce(self, address: Address) -> int:
        actor = self.machine.actor(address)
        return 0 if actor is None else actor.nonce

    @staticmethod
    def _succeed(result: ApplyResult, what: str) -> ApplyResult:
        if result.exit_code != ExitCode.OK:
            raise DemoFailed(f"{what} exited with {exit_name(result.exit_code)}: {result.message}")
        return result
