"""Simulation of a script's transactions on a fork, for their gas, and sending to the node."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, checksummed
from bridge.ethereum.transactions import DYNAMIC_FEE, LEGACY, Transaction
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.text import show_fil
from hypervisor.types import TokenAmount
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor_tools.soltest.scripts.plan import PlannedTransaction, ScriptPlan, address_text
from hypervisor_tools.soltest.scripts.record import ScriptRecord
from localnet import Network
from localnet.accounts import Account
from localnet.errors import NetworkError
from localnet.fork.node_client import NodeError
from localnet.fork.response_values import quantity, word_of
from localnet.rules.facts import CallRequest

_CALL_FIELDS: Final = ("from", "to", "value", "input")
_TRANSFER_GAS: Final = 21_000
NO_SENDER: Final = (
    f"no sender is given, and the key of Foundry's default sender, {checksummed(DEFAULT_SENDER)}, is unknown: pass one "
    "with --private-key, or use --unlocked --sender if the node signs"
)
_POLL_INTERVAL: Final = 0.2
"""Seconds between two requests for a receipt."""

Request = Callable[..., Any]
"""Sends a request to the node (`NodeClient.read`).

The arguments are a function that parses the response, the method, and the method's parameters.
"""


class SimulationFailed(HypervisorError):
    """Raised if the network would not execute a transaction as the script did."""


@dataclass(frozen=True, slots=True)
class SimulatedTransaction:
    """Gas limit from the estimate, and gas used, of a simulated transaction."""

    gas_limit: int
    gas_used: int


def simulate(
    network: Network, planned: Sequence[PlannedTransaction], percent: int = 130, first: int = 1
) -> list[SimulatedTransaction]:
    """Execute transactions on a fork of the network as their senders, one per block, with real actors.

    A gas limit is `percent` percent of the estimate. `first` is the number of the first planned transaction in the
    script. Raises SimulationFailed.
    """
    simulated = []
    for number, one in enumerate(planned, first):
        call = one.call
        request = CallRequest(call.to, call.data, TokenAmount(call.value), call.sender)
        try:
            estimate = network.gas_limit(request)
            receipt = network.send(call.to, call.value, call.data, sender=call.sender, gas_limit=estimate)
        except NetworkError as error:
            raise SimulationFailed(f"transaction {number} of the script ({title(one)}) fails: {error}") from None
        created = receipt.contract_address if call.to is None else None
        if call.to is None and created != one.address:
            raise SimulationFailed(
                f"transaction {number} of the script creates {address_text(created)}, but the script used "
                f"{address_text(one.address)}"
            )
        simulated.append(
            SimulatedTransaction(min(estimate * percent // 100, network.rules.limits.message_gas), receipt.gas_used)
        )
    return simulated


def check_sendable(plan: ScriptPlan) -> None:
    """Raise InvalidInput if a transaction has a delegation or a blob, or is already signed."""
    if plan.unsendable:
        names = ", ".join(f"vm.{name}" for name in plan.unsendable)
        raise InvalidInput(
            f"the script calls {names}: this command cannot send transactions with delegations or blobs, or signed "
            "transactions. No transaction was sent. Remove the call, and send that transaction with "
            "`cast send --auth`, `cast send --blob` or `cast publish`"
        )


def check_funds(
    request: Request, planned: Iterable[tuple[int, PlannedTransaction, int]], price: int, by: str = "--resume"
) -> None:
    """Raise SimulationFailed if a sender cannot pay all its transactions on a network, before any is sent.

    `planned` holds (number in the script, transaction, gas limit); a limit of 0 is unknown and counts as that of a
    transfer. `price` is the maximum gas price in attoFIL. A script runs without fees, so the balance that its run had
    before a transaction is reduced by the fees up to that transaction.
    """
    fees: dict[EthAddress, int] = {}
    for number, one, limit in planned:
        sender, fee = one.call.sender, (limit or _TRANSFER_GAS) * price
        fees[sender] = fees.get(sender, 0) + fee
        if one.call.funds < one.call.value + fees[sender]:
            balance = request(quantity, "eth_getBalance", f"0x{sender.hex()}", "latest")
            raise SimulationFailed(
                f"{address_text(sender)} cannot pay for transaction {number} of the script, which may cost "
                f"{show_fil(TokenAmount(one.call.value + fee))} ({show_fil(TokenAmount(one.call.value))} plus gas): "
                f"its balance is {show_fil(balance)}. No transaction was sent. Fund it, then continue with {by}"
            )


def check_order(planned: Iterable[tuple[int, PlannedTransaction]]) -> None:
    """Raise InvalidInput if a sender's transactions on a network do not have ascending nonces.

    `planned` holds (number in the script, transaction). Each fork begins with the network's nonces, so two forks of it
    use the same ones.
    """
    last: dict[EthAddress, tuple[int, int]] = {}
    for number, one in planned:
        sender, nonce = one.call.sender, one.call.nonce
        if sender in last and nonce <= last[sender][1]:
            raise InvalidInput(
                f"transactions {last[sender][0]} and {number} of the script use the nonces {last[sender][1]} and "
                f"{nonce} of {address_text(sender)} on one network. No transaction was sent. If the script creates two "
                "forks of this network, create one and select it twice"
            )
        last[sender] = number, nonce


def check_nonces(request: Request, planned: Iterable[tuple[int, PlannedTransaction]]) -> None:
    """Raise SimulationFailed if a sender's first nonce on a network is already used, before any is sent there."""
    seen: set[EthAddress] = set()
    for number, one in planned:
        sender, nonce = one.call.sender, one.call.nonce
        next_nonce = (
            nonce if sender in seen else request(quantity, "eth_getTransactionCount", f"0x{sender.hex()}", "latest")
        )
        seen.add(sender)
        if nonce < next_nonce:
            raise SimulationFailed(
                f"transaction {number} of the script uses nonce {nonce} of {address_text(sender)}, which is already "
                f"used (the next one is {next_nonce}). No transaction was sent. Run the script at the newest block"
            )


def check_price(request: Request, gas_price: int | None) -> None:
    """Raise InvalidInput if the maximum price is below the base fee of the latest block."""
    if gas_price is None:
        return
    base = request(_base_fee, "eth_getBlockByNumber", "latest", False)
    if gas_price < base:
        raise InvalidInput(
            f"--with-gas-price {gas_price} is below the base fee of the newest block, {base} attoFIL (wei), so no "
            "block would include the transactions. Set a higher price, or omit the option to use the node's price"
        )


def check_sender(sender: EthAddress, keys: Container[EthAddress]) -> None:
    """Raise InvalidInput for a transaction from Foundry's default sender, as forge does."""
    if not has_known_signer(sender, keys):
        raise InvalidInput(NO_SENDER)


def has_known_signer(sender: EthAddress, keys: Container[EthAddress]) -> bool:
    """Return False for Foundry's default sender without a key, True for any other sender."""
    return sender != DEFAULT_SENDER or sender in keys


def title(one: PlannedTransaction) -> str:
    """Return a short description of a transaction."""
    if one.kind != "CALL":
        return f"new {one.contract or 'contract'}"
    called = one.contract or address_text(one.address)
    return f"{called}.{one.function}" if one.function else f"a call of {called}"


def fees(
    request: Request, *, legacy: bool = False, gas_price: int | None = None, priority: int | None = None
) -> dict[str, str]:
    """Return the fee fields of a transaction sent now: the given values, otherwise the node's."""
    price = request(quantity, "eth_gasPrice") if gas_price is None else gas_price
    if legacy:
        return {"gasPrice": hex(price)}
    premium = request(quantity, "eth_maxPriorityFeePerGas") if priority is None else priority
    top = 2 * price + premium if gas_price is None else gas_price
    return {"maxFeePerGas": hex(top), "maxPriorityFeePerGas": hex(min(premium, top))}


def max_gas_price(price: Mapping[str, str]) -> int:
    """Return the maximum price of gas with these fees, in attoFIL."""
    return int(price.get("maxFeePerGas", price.get("gasPrice", "0x0")), 16)


@dataclass(slots=True)
class ScriptSender:
    """Sends the transactions of a record that have no receipt.

    `notify` is called with a line for each receipt; `timeout` is in seconds.
    """

    request: Request
    record: ScriptRecord
    keys: Mapping[EthAddress, bytes]
    unlocked: bool = False
    legacy: bool = False
    slow: bool = False
    gas_price: int | None = None
    priority: int | None = None
    timeout: float = 120.0
    notify: Callable[[str], None] = lambda _: None
    before: int = 0
    """Number of transactions of the script that precede the record's first one."""
    _waiting: list[dict[str, Any]] = field(default_factory=list)

    def check(self) -> None:
        """Raise InvalidInput if a transaction has failed, or a signer's key is unknown, before anything is sent."""
        for receipt in self.record.receipts:
            self._check_receipt(receipt)
        done = {receipt["transactionHash"] for receipt in self.record.receipts}
        for row in self.record.transactions:
            sender = _address(row["transaction"]["from"])
            if row["hash"] in done:
                continue
            check_sender(sender, self.keys)
            if not self.unlocked and sender not in self.keys:
                raise InvalidInput(
                    f"no key for {address_text(sender)}: pass it with --private-key, or use --unlocked if the node "
                    "has it"
                )

    def _check_receipt(self, receipt: dict[str, Any]) -> None:
        """Raise InvalidInput for a receipt of another chain, or of a failed transaction."""
        transaction = receipt["transactionHash"]
        if receipt.get("status") != "0x1":
            raise InvalidInput(
                f"transaction {transaction} of the last run failed on the chain: run the script again without --resume"
            )
        if self.request(partial(_receipt_of, transaction), "eth_getTransactionReceipt", transaction) is None:
            raise InvalidInput(
                f"this node's chain has no transaction {transaction}, whose receipt is in {self.record.latest}: it is "
                "another chain. Pass a node of the recorded chain with --rpc-url, or run the script again without "
                "--resume"
            )

    def send_all(self) -> None:
        """Send the transactions, and wait for all receipts. Raises NodeError, SimulationFailed if one fails."""
        done = {receipt["transactionHash"] for receipt in self.record.receipts}
        for row in self.record.transactions:
            if row["hash"] in done:
                continue
            if row["hash"] is None or not self.request(_is_known, "eth_getTransactionByHash", row["hash"]):
                self._send(row)
            self._waiting.append(row)
            if self.slow:
                self._collect()
        self._collect()

    def _send(self, row: dict[str, Any]) -> None:
        """Send a transaction. The hash of a signed one is recorded before it is sent."""
        sent = row["transaction"]
        sender = _address(sent["from"])
        next_nonce = self.request(quantity, "eth_getTransactionCount", sent["from"], "latest")
        if int(sent["nonce"], 16) < next_nonce:
            raise SimulationFailed(
                f"nonce {int(sent['nonce'], 16)} of {address_text(sender)} is already used (the next one is "
                f"{next_nonce}): run the script again without --resume"
            )
        price = fees(self.request, legacy=self.legacy, gas_price=self.gas_price, priority=self.priority)
        self._check_funds(row, price)
        if int(sent["gas"], 16) == 0:
            call = {name: word for name, word in sent.items() if name in _CALL_FIELDS and word is not None}
            sent["gas"] = hex(self.request(quantity, "eth_estimateGas", call))
            self._check_funds(row, price)
        if self.unlocked:
            request = {name: word for name, word in {**sent, **price}.items() if word}
            row["hash"] = self.request(_hash, "eth_sendTransaction", request)
            self.record.write()
            return
        premium = int(price.get("maxPriorityFeePerGas", price.get("gasPrice", "0x0")), 16)
        transaction = Transaction(
            type=LEGACY if self.legacy else DYNAMIC_FEE,
            chain_id=int(sent["chainId"], 16),
            nonce=int(sent["nonce"], 16),
            to=None if sent["to"] is None else _address(sent["to"]),
            value=int(sent["value"], 16),
            data=bytes.fromhex(sent["input"][2:]),
            gas_limit=int(sent["gas"], 16),
            max_fee=max_gas_price(price),
            max_priority_fee=premium,
        )
        signed = Account.from_key(self.keys[sender]).sign(transaction)
        row["hash"] = f"0x{signed.hash().hex()}"
        self.record.write()
        self.request(partial(_same_hash, row["hash"]), "eth_sendRawTransaction", f"0x{signed.raw().hex()}")

    def _check_funds(self, row: dict[str, Any], price: Mapping[str, str]) -> None:
        """Raise SimulationFailed if a sender cannot pay the value and the gas at its maximum price.

        An unknown gas limit counts as that of a transfer.
        """
        sent = row["transaction"]
        gas, value = int(sent["gas"], 16) or _TRANSFER_GAS, int(sent["value"], 16)
        fee = gas * max_gas_price(price)
        balance = self.request(quantity, "eth_getBalance", sent["from"], "latest")
        if balance < value + fee:
            number = self.before + self.record.transactions.index(row) + 1
            raise SimulationFailed(
                f"{address_text(_address(sent['from']))} cannot pay for transaction {number} of the script, which may "
                f"cost {show_fil(value + fee)} ({show_fil(value)} plus gas): its balance is {show_fil(balance)}. "
                f"Fund it, then continue with {self.record.resume_options}"
            )

    def _collect(self) -> None:
        for row in self._waiting:
            receipt = self._receipt(row["hash"])
            self.record.receipts.append(receipt)
            self.record.write()
            used, block = int(receipt["gasUsed"], 16), int(receipt["blockNumber"], 16)
            failed = receipt["status"] != "0x1"
            made = f", contract {row['contractAddress']}" if row["transactionType"] != "CALL" else ""
            at = f"block {block}" if self.record.whole is None else f"chain {self.record.chain}, block {block}"
            self.notify(f"{'FAILED' if failed else 'ok'}  {row['hash']}  {at}, gas {used:,}{made}")
            if failed:
                raise SimulationFailed(f"transaction {row['hash']} failed on the chain: no further ones were sent")
        self._waiting.clear()

    def _receipt(self, transaction: str) -> dict[str, Any]:
        end = time.monotonic() + self.timeout
        while True:
            found: dict[str, Any] | None = self.request(
                partial(_receipt_of, transaction), "eth_getTransactionReceipt", transaction
            )
            if found is not None:
                return found
            if time.monotonic() > end:
                options = self.record.resume_options
                raise NodeError(
                    f"{transaction} has no receipt after {self.timeout:g} seconds: continue to wait with {options}"
                )
            time.sleep(_POLL_INTERVAL)


def _hash(response: Any) -> str:
    return f"0x{word_of(response).hex()}"


def _same_hash(own: str, response: Any) -> str:
    """Return the hash in a response. Raises ValueError if it differs from `own`."""
    found = _hash(response)
    if found != own.lower():
        raise ValueError(f"the transaction's hash is {own}")
    return found


def _base_fee(response: Any) -> int:
    """Return the base fee of a block; 0 on a network without one."""
    return quantity(response.get("baseFeePerGas") or "0x0")


def _is_known(response: Any) -> bool:
    if response is not None and not isinstance(response, dict):
        raise TypeError("expected an object")
    return response is not None


def _receipt_of(transaction: str, response: Any) -> dict[str, Any] | None:
    """Return the receipt of a transaction, or None if there is none yet."""
    if not _is_known(response):
        return None
    quantity(response["gasUsed"])
    quantity(response["blockNumber"])
    _same_hash(transaction, response["transactionHash"])
    return {**response, "transactionHash": transaction, "status": hex(quantity(response["status"]))}


def _address(text: str) -> EthAddress:
    return EthAddress(bytes.fromhex(text.removeprefix("0x")))
