"""The provider `hypervisor`: a local network in the same process."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ape.api import PluginConfig, TestProviderAPI
from ape.exceptions import ConfigError, ProviderNotConnectedError, UnknownSnapshotError
from ape.types import AddressType, ContractCode, SnapshotID
from ape_ethereum.provider import Web3Provider
from hexbytes import HexBytes
from web3 import Web3

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.testing.web3_provider import NetworkProvider


class HypervisorConfig(PluginConfig):
    """The `fvm` section of `ape-config.yaml`."""

    rules: str = "filecoin"
    """Rules, as in `hypervisor node --rules`: `filecoin`, `ethereum` or `lab:NAME`."""
    network_version: int | None = None
    """Filecoin network version (default: the newest)."""
    evm: str = "auto"
    """EVM engine, as in `hypervisor node --evm`."""


class HypervisorProvider(TestProviderAPI, Web3Provider):
    """A local network with the test accounts of Ape's configuration; it exists while the provider is connected.

    The property `filecoin` is the `Network`, which gives access to miners, native actors and traces.
    """

    NAME: ClassVar[str] = "hypervisor"
    _network: Network | None = None

    @property
    def filecoin(self) -> Network:
        """The network. Raises ProviderNotConnectedError."""
        if self._network is None:
            raise ProviderNotConnectedError
        return self._network

    def connect(self) -> None:
        """Create the network. Raises ConfigError for invalid options."""
        config = self.config_manager.get_config("fvm")
        tests = self.config_manager.get_config("test")
        try:
            self._network = Network(
                rules=config.rules,
                network=config.network_version,
                evm=config.evm,
                mnemonic=tests.mnemonic,
                derivation_path=tests.hd_path,
                account_count=tests.number_of_accounts,
                balance=tests.balance,
            )
        except InvalidInput as error:
            raise ConfigError(str(error)) from None
        self._web3 = Web3(NetworkProvider(self._network))

    def disconnect(self) -> None:
        """Close the network and discard its state."""
        if self._network is not None:
            self._network.close()
        self._network = self._web3 = None

    @property
    def chain_id(self) -> int:
        """EIP-155 chain ID."""
        return self.filecoin.chain_id

    @property
    def gas_price(self) -> int:
        """Gas price in attoFIL."""
        return int(self.web3.eth.gas_price)

    @property
    def http_uri(self) -> str | None:
        """URI of the connection, which is None because requests do not leave the process."""
        return None

    ws_uri = http_uri

    @property
    def ipc_path(self) -> Path | None:
        """URI of the connection, which is None because requests do not leave the process."""
        return None

    @property
    def auto_mine(self) -> bool:
        """True if each transaction is mined immediately, in its own block."""
        return bool(self.make_request("anvil_getAutomine"))

    @auto_mine.setter
    def auto_mine(self, value: bool) -> None:
        self.make_request("evm_setAutomine", [value])

    def mine(self, num_blocks: int = 1) -> None:
        """Mine blocks."""
        self.make_request("anvil_mine", [hex(num_blocks)])

    def set_timestamp(self, new_timestamp: int) -> None:
        """Set the timestamp of the next block, in Unix seconds."""
        self.make_request("evm_setNextBlockTimestamp", [new_timestamp])

    def snapshot(self) -> SnapshotID:
        """Take a snapshot of the chain and return its ID."""
        return self.make_request("evm_snapshot")

    def restore(self, snapshot_id: SnapshotID) -> None:
        """Revert the chain to a snapshot. Raises UnknownSnapshotError."""
        if not self.make_request("evm_revert", [snapshot_id]):
            raise UnknownSnapshotError(snapshot_id)

    def set_balance(self, address: AddressType, amount: int) -> None:
        """Set the balance of an account in attoFIL."""
        self.make_request("anvil_setBalance", [address, hex(amount)])

    def set_code(self, address: AddressType, code: ContractCode) -> bool:
        """Set the runtime bytecode of a contract."""
        self.make_request("anvil_setCode", [address, HexBytes(code).to_0x_hex()])
        return True

    def set_storage(self, address: AddressType, slot: int, value: HexBytes) -> None:
        """Set a storage slot of a contract."""
        self.make_request("anvil_setStorageAt", [address, hex(slot), f"0x{HexBytes(value).hex():0>64}"])

    def unlock_account(self, address: AddressType) -> bool:
        """Impersonate an account: accept its transactions without a signature."""
        self.make_request("anvil_impersonateAccount", [address])
        return True

    def relock_account(self, address: AddressType) -> None:
        """Stop impersonating an account."""
        self.make_request("anvil_stopImpersonatingAccount", [address])
