"""Typed contracts (`localnet.contracts.typed_contract`) over a `Web3` object: a node, or a network in-process.

    vault = Vault.deploy(Web3Chain(w3), most=100)

The node signs for its accounts, or a middleware of web3.py does. Requires web3.py, which is not installed with this
package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.types import RPCEndpoint, TxParams, TxReceipt, Wei

from bridge.ethereum.addresses import EthAddress, checksummed, eth_address
from bridge.filecoin.receipts import EmittedLog, Log
from hypervisor.exit_codes import ExitCode
from localnet.addresses import canonical_address
from localnet.errors import CallFailed, NetworkError

if TYPE_CHECKING:
    from localnet.addresses import Target


class TransactionReverted(NetworkError):
    """Raised for a failed transaction in a block; `receipt` is web3.py's."""

    def __init__(self, receipt: TxReceipt) -> None:
        super().__init__(f"transaction 0x{receipt['transactionHash'].hex()} failed")
        self.receipt = receipt


@dataclass(frozen=True, slots=True)
class Web3Receipt:
    """A receipt for typed contracts; `receipt` is web3.py's."""

    receipt: TxReceipt

    @property
    def hash(self) -> bytes:
        """The transaction's hash."""
        return bytes(self.receipt["transactionHash"])

    @property
    def block_number(self) -> int:
        """The number of the transaction's block."""
        return self.receipt["blockNumber"]

    @property
    def gas_used(self) -> int:
        """Gas used, in the chain's unit."""
        return self.receipt["gasUsed"]

    @property
    def contract_address(self) -> EthAddress | None:
        """The created contract."""
        created = self.receipt["contractAddress"]
        return None if created is None else eth_address(bytes.fromhex(created[2:]))

    @property
    def logs(self) -> list[EmittedLog]:
        """The logs, in order."""
        return [
            EmittedLog(
                eth_address(bytes.fromhex(log["address"][2:])),
                Log(tuple(bytes(topic) for topic in log["topics"]), bytes(log["data"])),
            )
            for log in self.receipt["logs"]
        ]


class Web3Chain:
    """The chain that a `Web3` object talks to. It is a `Chain` (`localnet.contracts.typed_contract`)."""

    def __init__(self, w3: Web3) -> None:
        """Create the chain. The node's first account is the default sender."""
        self._w3 = w3

    def address(self, target: Target) -> EthAddress:
        """Return the Ethereum address of a target; f0 to f3 addresses are resolved by the node. Raises AddressError."""
        known = canonical_address(target)
        if isinstance(known, bytes):
            return known
        method = RPCEndpoint("Filecoin.FilecoinAddressToEthAddress")
        response: str = self._w3.manager.request_blocking(method, [str(known)])
        return eth_address(bytes.fromhex(response[2:]))

    def call(self, to: Target | None, data: bytes, value: int, *, sender: Target | None = None) -> bytes:
        """Return the data of a call without effect; value in attoFIL. Raises CallFailed for reverts, NetworkError."""
        try:
            return bytes(self._w3.eth.call(self._request(to, data, value, sender)))
        except (ContractLogicError, Web3RPCError) as error:
            raise _network_error(error) from None

    def send(
        self,
        to: Target | None,
        value: int,
        data: bytes,
        *,
        sender: Target | None = None,
        gas_limit: int | None = None,
    ) -> Web3Receipt:
        """Send a transaction and return its receipt; value in attoFIL.

        Raises TransactionReverted, and the errors of `call` where already the estimate of its gas fails.
        """
        request = self._request(to, data, value, sender)
        if gas_limit is not None:
            request["gas"] = gas_limit
        try:
            found = self._w3.eth.wait_for_transaction_receipt(self._w3.eth.send_transaction(request))
        except (ContractLogicError, Web3RPCError) as error:
            raise _network_error(error) from None
        if not found["status"]:
            raise TransactionReverted(found)
        return Web3Receipt(found)

    def _request(self, to: Target | None, data: bytes, value: int, sender: Target | None) -> TxParams:
        from_ = self._w3.eth.accounts[0] if sender is None else self._format(sender)
        request: TxParams = {"from": Web3.to_checksum_address(from_), "data": Web3.to_hex(data), "value": Wei(value)}
        if to is not None:
            request["to"] = Web3.to_checksum_address(self._format(to))
        return request

    def _format(self, target: Target) -> str:
        return checksummed(self.address(target))


def _network_error(error: ContractLogicError | Web3RPCError) -> NetworkError:
    """Return the node's refusal as NetworkError; CallFailed if a contract reverted with data."""
    data, text = getattr(error, "data", None), str(error.args[0] if error.args else error)
    if not isinstance(data, str) or not data.startswith("0x") or data == "0x":
        return NetworkError(text)
    return CallFailed(ExitCode.EVM_CONTRACT_REVERTED, bytes.fromhex(data[2:]), text)
