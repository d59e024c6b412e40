"""A simulated network whose named messages become test vectors of class message, one per tipset.

`Scenario` submits and mines messages; tests/conformance/vector_kinds.py and vector_kinds_evm.py contain them. Each
message passes the network's mempool, except those of `refused`, which the mempool would reject.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bridge.actors.binding import Call
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import Gas, MethodNumber, TokenAmount
from localnet import Account, Network
from localnet.accounts import BLS_ACCOUNT
from localnet.ledger.genesis import GenesisOptions
from localnet.miners.miner import Miner
from tests.conformance.evm_code import creation
from tests.localnet.conftest import Clock

GAS: Final = 400_000_000
VERIFIED: Final = 1 << 20
"""DataCap in bytes of the verified client of each scenario."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A named message on the chain: its hash, and the epoch of its tipset."""

    name: str
    hash: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A named message that no mempool accepts, to be executed in the place of the tipset's messages at `epoch`."""

    name: str
    epoch: int
    message: Message


class Scenario:
    """A network and its named messages so far."""

    def __init__(
        self, folder: Path, version: int, bundle: Path, upgrades: Mapping[int, tuple[int, Bundle]] | None = None
    ) -> None:
        """Begin a chain with a miner, and with an account that has DataCap. `upgrades` are by epoch."""
        verified = Account.from_key(bytes(31) + b"\x77")
        genesis = GenesisOptions(
            name="vectors",
            verified={verified.native: VERIFIED},
            balances={verified.native: TokenAmount(10**21), BLS_ACCOUNT: TokenAmount(10**21)},
        )
        self.version, self.client = version, verified
        self.clock = Clock(1_700_000_000 + version)
        self.network = Network(
            folder,
            bundle=bundle,
            network=version,
            evm="official",
            clock=self.clock,
            genesis=genesis,
            upgrades=upgrades or {},
        )
        self.alice, self.bob, self.carol, self.dave = self.network.accounts[:4]
        self.found: list[Sent | Refused] = []
        self.miner: Miner = self.network.create_miner(self.network.accounts[9], 0)
        self.network.set_producer(self.miner.address)
        self.network.automine = False
        self.mine()

    def mine(self) -> None:
        """Mine a tipset 30 seconds after the last one."""
        self.clock.now += 30
        self.network.mine()

    def message(
        self,
        to: Address,
        call: Call[Any] | int = 0,
        params: bytes = b"",
        *,
        value: int = 0,
        gas: int = GAS,
        sender: Address | None = None,
    ) -> Message:
        """Return a message with the sender's next nonce (default: alice's f1 address)."""
        sender = self.alice.native if sender is None else sender
        return Message(
            to,
            sender,
            nonce=self.network.pending_nonce(sender),
            value=TokenAmount(value),
            method=MethodNumber(call if isinstance(call, int) else call.method),
            params=params if isinstance(call, int) else call.params,
            gas_limit=Gas(gas),
            gas_fee_cap=TokenAmount(10**6),
            gas_premium=TokenAmount(10**5),
        )

    def send(self, name: str, message: Message) -> Any:
        """Mine a message and return its receipt."""
        hash_ = self.network.submit_unsigned(message)
        return self._mined(name, hash_)

    def native(
        self,
        name: str,
        to: Address,
        call: Call[Any] | int = 0,
        params: bytes = b"",
        *,
        value: int = 0,
        gas: int = GAS,
        sender: Account | None = None,
    ) -> Any:
        """Mine a message with a secp256k1 signature and return its receipt."""
        account = self.alice if sender is None else sender
        message = self.message(to, call, params, value=value, gas=gas, sender=account.native)
        return self._mined(name, self.network.submit_native(account.sign_native(message)))

    def eth(
        self,
        name: str,
        to: Any,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int = GAS,
        sender: Account | None = None,
        type: int = DYNAMIC_FEE,
    ) -> Any:
        """Mine a transaction with a delegated signature and return its receipt."""
        account = self.alice if sender is None else sender
        transaction = Transaction(
            type=type,
            chain_id=self.network.chain_id,
            nonce=self.network.pending_nonce(account.delegated),
            to=to,
            value=value,
            data=data,
            gas_limit=gas,
            max_fee=10**6,
            max_priority_fee=10**6 if type != DYNAMIC_FEE else 10**5,
        )
        return self._mined(name, self.network.submit(account.sign(transaction).raw()))

    def deploy(self, name: str, runtime: str, *, value: int = 0) -> Any:
        """Deploy a runtime code in hex and return its Ethereum address."""
        receipt = self.eth(name, None, creation(runtime), value=value)
        assert receipt.succeeded, (name, receipt)
        return receipt.contract_address

    def refused(self, name: str, message: Message, **changes: Any) -> None:
        """Add a message with other fields than those of a valid one. Its state is that before the last tipset."""
        self.found.append(Refused(name, self.network.block_number, replace(message, **changes)))

    def _mined(self, name: str, hash_: bytes) -> Any:
        self.mine()
        self.found.append(Sent(name, f"0x{hash_.hex()}", self.network.block_number))
        return self.network.receipt(hash_)
