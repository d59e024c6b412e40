"""An eth-tester backend that runs an in-process network; it also works with web3.py's `EthereumTesterProvider`.

    w3 = Web3(EthereumTesterProvider(EthereumTester(HypervisorBackend())))

Chain ID, default fees, block gas limit, accounts and balances equal those of eth-tester's `PyEVMBackend`. eth-tester
must be installed separately.

Blocks, transactions and receipts are converted from JSON-RPC objects: names are in snake case, quantities are `int`,
other values `bytes`. Fields that eth-tester does not know are omitted, because it rejects them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import rlp
from eth.exceptions import UnrecognizedTransactionType
from eth_tester.backends.base import BaseChainBackend
from eth_tester.exceptions import BlockNotFound, TransactionFailed, TransactionNotFound, ValidationError

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import ETHEREUM
from bridge.ethereum.reverts import error_text
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    ALL_TYPES,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    SignedTransaction,
    Transaction,
    read_v,
)
from hypervisor.types import ATTO_PER_FIL, TokenAmount, whole_number
from localnet.accounts import Account, accounts
from localnet.chain.clock import NO_TIME_TRAVEL
from localnet.errors import TransactionRefused
from localnet.ledger.genesis import GenesisOptions
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.values import as_data
from localnet.testing.requests import Requests

EthTesterDict = dict[str, Any]

_BLOCK: Final = [
    "number",
    "hash",
    "parent_hash",
    "nonce",
    "sha3_uncles",
    "logs_bloom",
    "transactions_root",
    "receipts_root",
    "state_root",
    "coinbase",
    "difficulty",
    "mix_hash",
    "total_difficulty",
    "size",
    "extra_data",
    "gas_limit",
    "gas_used",
    "timestamp",
    "transactions",
    "uncles",
    "base_fee_per_gas",
    "withdrawals",
    "withdrawals_root",
    "parent_beacon_block_root",
    "blob_gas_used",
    "excess_blob_gas",
    "requests_hash",
]
_TRANSACTION: Final = [
    "type",
    "hash",
    "nonce",
    "block_hash",
    "block_number",
    "transaction_index",
    "from",
    "to",
    "value",
    "gas",
    "gas_price",
    "data",
    "v",
    "r",
    "s",
]
_TYPED: Final = ["y_parity", "chain_id", "access_list"]
_FEE_NAMES: Final = ["max_fee_per_gas", "max_priority_fee_per_gas"]
_RECEIPT: Final = [
    "transaction_hash",
    "transaction_index",
    "block_number",
    "block_hash",
    "cumulative_gas_used",
    "effective_gas_price",
    "from",
    "gas_used",
    "contract_address",
    "logs",
    "status",
    "to",
    "type",
]
_BLOB_RECEIPT: Final = ["blob_gas_used", "blob_gas_price"]
_LOG: Final = [
    "log_index",
    "transaction_index",
    "transaction_hash",
    "block_hash",
    "block_number",
    "address",
    "data",
    "topics",
]

_NAMES: Final = {"miner": "coinbase", "input": "data"}
_OCTETS: Final = frozenset(
    [
        "hash",
        "parent_hash",
        "sha3_uncles",
        "transactions_root",
        "receipts_root",
        "state_root",
        "coinbase",
        "mix_hash",
        "extra_data",
        "uncles",
        "withdrawals_root",
        "parent_beacon_block_root",
        "requests_hash",
        "block_hash",
        "transaction_hash",
        "from",
        "to",
        "data",
        "address",
        "topics",
        "contract_address",
        "blob_versioned_hashes",
    ]
)
"""Names of fields whose values are bytes.

`nonce` is not listed: it is bytes in blocks and a quantity in transactions.
"""


def block_form(block: Mapping[str, Any], full_transactions: bool, pending: bool) -> EthTesterDict:
    """Return a block with its transactions or their hashes.

    In a pending block, the transactions' block fields are None.
    """
    form = _form({name: value for name, value in block.items() if name != "transactions"})
    form["nonce"] = form["nonce"].to_bytes(8)
    form["total_difficulty"] = 0  # eth-tester requires the field
    form["extra_data"] = form["extra_data"].rjust(32, b"\x00")
    form["transactions"] = tuple(
        transaction_form(each, pending) if full_transactions else bytes.fromhex(each["hash"][2:])
        for each in block["transactions"]
    )
    return _select_fields(form, [name for name in _BLOCK if name in form])


def transaction_form(transaction: Mapping[str, Any], pending: bool) -> EthTesterDict:
    """Return a transaction with the fields of its type."""
    form = _form(transaction)
    kind = form["type"]
    names = [*_TRANSACTION]
    if kind != LEGACY:
        names += _TYPED
        form["v"] = form["y_parity"]
        form["access_list"] = tuple(
            (bytes.fromhex(entry["address"][2:]), tuple(int(key, 16) for key in entry["storageKeys"]))
            for entry in transaction.get("accessList", ())
        )
    if kind >= DYNAMIC_FEE:
        names += _FEE_NAMES
    if kind == BLOB:
        names += ["max_fee_per_blob_gas", "blob_versioned_hashes"]
    if kind == SET_CODE:
        names.append("authorization_list")
        form["authorization_list"] = tuple(_form(each) for each in transaction["authorizationList"])
    form["to"] = form["to"] or b""
    return _select_fields(form, names, pending)


def receipt_form(receipt: Mapping[str, Any], pending: bool) -> EthTesterDict:
    """Return a receipt with its logs."""
    form = _form({name: value for name, value in receipt.items() if name not in ("logs", "logsBloom")})
    kind = "pending" if pending else "mined"
    form["logs"] = tuple({"type": kind, **_select_fields(_form(log), _LOG, pending)} for log in receipt["logs"])
    form["to"] = form["to"] or b""
    names = _RECEIPT + _BLOB_RECEIPT if form["type"] == BLOB else _RECEIPT
    return {**_select_fields(form, names, pending), "state_root": bytes([form["status"]])}


def _select_fields(form: EthTesterDict, names: list[str], pending: bool = False) -> EthTesterDict:
    chosen = {name: form[name] for name in names}
    if pending:
        chosen |= dict.fromkeys({"block_hash", "block_number", "transaction_index"} & chosen.keys())
    return chosen


def _form(item: Mapping[str, Any]) -> EthTesterDict:
    named = ((re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name), value) for name, value in item.items())
    return {_NAMES.get(name, name): _value(_NAMES.get(name, name), value) for name, value in named}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(name, each) for each in value)
    if isinstance(value, dict):
        return _form(value)
    if not isinstance(value, str):
        return value
    return bytes.fromhex(value[2:]) if name in _OCTETS else int(value, 16)


CHAIN_ID: Final = 131277322940537
"""Chain ID of eth-tester's own backend. web3.py's provider reports it for every backend."""
GAS_LIMIT: Final = 30_029_122
BALANCE: Final = TokenAmount(1_000_000 * ATTO_PER_FIL)
"""Genesis balance of each account in wei."""

_ACCOUNTS: Final = 10
_FIRST_BASE_FEE: Final = 875_000_000
"""Base fee of block 1 in wei: that of an empty genesis block, 1 gwei, reduced by one eighth (EIP-1559)."""
_DEFAULT_FEE: Final = 10**9
_ZERO: Final = bytes(20)
_FEES: Final = ("max_fee_per_gas", "max_priority_fee_per_gas")
_MAX_HISTORY: Final = 1024


class HypervisorBackend(BaseChainBackend):
    """A chain backend of eth-tester over a `Network` with Ethereum's rules.

    `reset_to_genesis` replaces the attribute `network`.

    Block timestamps increase by one second, except after `time_travel`. The block, receipt and logs of a pending
    transaction are computed by mining a temporary block and reverting it.
    """

    network: Network

    def __init__(self, *, hardfork: str = "", mnemonic: str | None = None, account_count: int = _ACCOUNTS) -> None:
        """Create a chain with funded accounts.

        They derive from `mnemonic`; by default they have the private keys 1, 2, 3, ..., as in eth-tester.

        Raises InvalidInput for an unknown hardfork, an invalid mnemonic, or fewer than one account.
        """
        self._hardfork = hardfork
        count = whole_number(account_count, "the number of accounts", 1)
        if mnemonic is None:
            self._first = tuple(Account.from_key(number.to_bytes(32)) for number in range(1, count + 1))
        else:
            self._first = accounts(mnemonic, count)
        self.reset_to_genesis()

    # --- genesis, snapshots, time -----------------------------------------------------------------------------

    def reset_to_genesis(self) -> None:
        """Replace the chain with a new one."""
        balances = {to_filecoin(account.address): BALANCE for account in self._first}
        self.network = Network(
            rules=ETHEREUM,
            hardfork=self._hardfork,
            chain_id=CHAIN_ID,
            gas_limit=GAS_LIMIT,
            account_count=1,
            genesis=GenesisOptions(balances=balances),
        )
        self.network.automine = False
        self.network.mempool.first_come = True
        self.network.set_next_base_fee(_FIRST_BASE_FEE)
        self._requests = Requests(self.network)
        self._accounts = {bytes(account.address): account for account in self._first}
        self._pending: list[bytes] = []
        self._pending_block: EthTesterDict | None = None
        self._timestamp: int | None = None

    def take_snapshot(self) -> Tipset:
        """Return the last block."""
        return self.network.head

    def revert_to_snapshot(self, snapshot: Tipset) -> None:
        """Revert to an earlier block and drop pending transactions. A snapshot can be reverted to repeatedly."""
        self._revert_to(snapshot)
        self._pending, self._timestamp = [], None

    def time_travel(self, to_timestamp: int) -> int:
        """Mine a block at `to_timestamp - 1`, so that the pending block has `to_timestamp` (Unix seconds).

        Return `to_timestamp`.
        """
        self._timestamp = to_timestamp - 1
        self.mine_blocks()
        return to_timestamp

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = _ZERO) -> tuple[bytes, ...]:
        """Mine blocks; the first one contains the pending transactions. Return their hashes."""
        self.network.set_coinbase(EthAddress(coinbase))
        hashes = tuple(self._mine() for _ in range(num_blocks))
        self._pending, self._pending_block = [], None
        return hashes

    # --- accounts ---------------------------------------------------------------------------------------------

    def get_accounts(self) -> tuple[bytes, ...]:
        return tuple(self._accounts)

    def add_account(self, private_key: bytes) -> None:
        """Add an account, so that transactions from it can be signed."""
        account = Account.from_key(private_key)
        self._accounts[bytes(account.address)] = account

    def get_nonce(self, account: bytes, block_number: int | str | None = "latest") -> int:
        return self._quantity("eth_getTransactionCount", account, block_number)

    def get_balance(self, account: bytes, block_number: int | str | None = "latest") -> int:
        return self._quantity("eth_getBalance", account, block_number)

    def get_code(self, account: bytes, block_number: int | str | None = "latest") -> bytes:
        code: str = self._request("eth_getCode", as_data(account), _block(block_number))
        return bytes.fromhex(code[2:])

    def get_storage(self, account: bytes, slot: int, block_number: int | str | None = "latest") -> int:
        word: str = self._request("eth_getStorageAt", as_data(account), hex(slot), _block(block_number))
        return int(word, 16)

    def get_base_fee(self, block_number: int | str | None = "latest") -> int:
        """Return the base fee in wei per gas."""
        fee: int = self.get_block_by_number(block_number, full_transaction=False)["base_fee_per_gas"]
        return fee

    # --- blocks and transactions ------------------------------------------------------------------------------

    def get_block_by_number(self, block_number: int | str | None, full_transaction: bool = True) -> EthTesterDict:
        if block_number == "pending":
            return block_form(self._execute_pending()["block"], full_transaction, pending=True)
        found = None if block_number is None else self._request("eth_getBlockByNumber", _block(block_number), True)
        if found is None:
            raise BlockNotFound(f"No block found for block number: {block_number}")
        return block_form(found, full_transaction, pending=False)

    def get_block_by_hash(self, block_hash: bytes, full_transaction: bool = True) -> EthTesterDict:
        found = self._request("eth_getBlockByHash", as_data(block_hash), True)
        if found is None:
            raise BlockNotFound(f"No block found for block hash: {as_data(block_hash)}")
        return block_form(found, full_transaction, pending=False)

    def get_transaction_by_hash(self, transaction_hash: bytes) -> EthTesterDict:
        pending = self._is_pending(transaction_hash)
        if pending:
            listed = self._execute_pending()["block"]["transactions"]
            found = next((each for each in listed if each["hash"] == as_data(transaction_hash)), None)
        else:
            found = self._request("eth_getTransactionByHash", as_data(transaction_hash))
        return transaction_form(_require_found(found, transaction_hash), pending)

    def get_transaction_receipt(self, transaction_hash: bytes) -> EthTesterDict:
        pending = self._is_pending(transaction_hash)
        if pending:
            found = self._execute_pending()["receipts"].get(as_data(transaction_hash))
        else:
            found = self._request("eth_getTransactionReceipt", as_data(transaction_hash))
        return receipt_form(_require_found(found, transaction_hash), pending)

    def get_fee_history(
        self,
        block_count: int = 1,
        newest_block: int | str | None = "latest",
        reward_percentiles: Sequence[int] | None = (),
    ) -> EthTesterDict:
        """Return base fees and gas-used ratios of the blocks before `newest_block`, newest first, as `PyEVMBackend`."""
        if not 1 <= block_count <= _MAX_HISTORY:
            raise ValidationError(f"block_count must be between 1 and {_MAX_HISTORY}")
        newest = self.get_block_by_number("latest" if newest_block == "pending" else newest_block)["number"]
        numbers = range(newest - 1, max(-1, newest - 1 - block_count), -1)
        blocks = [self.get_block_by_number(number) for number in numbers]
        return {
            "oldest_block": 1,
            "base_fee_per_gas": [block["base_fee_per_gas"] for block in blocks],
            "gas_used_ratio": [block["gas_used"] / block["gas_limit"] for block in blocks],
            "reward": [],
        }

    # --- transactions -----------------------------------------------------------------------------------------

    def send_raw_transaction(self, raw_transaction: bytes) -> bytes:
        """Add a transaction to the pending block; return its hash.

        Raises ValidationError if the transaction is rejected, `rlp.DecodingError` for malformed RLP and
        `UnrecognizedTransactionType` for an unknown type.
        """
        kind = raw_transaction[0]
        if kind >= 0xC0:
            rlp.decode(raw_transaction)
        elif kind not in ALL_TYPES[1:]:
            raise UnrecognizedTransactionType(
                kind, f"transaction type {kind} is unknown: expected 1 to {ALL_TYPES[-1]}"
            )
        return self._submit(raw_transaction)

    def send_signed_transaction(self, transaction: Mapping[str, Any], block_number: int | str = "latest") -> bytes:
        """Add a transaction with its signature in `r`, `s` and `v` to the pending block; return its hash."""
        built = self._transaction(transaction)
        parity = transaction["v"]
        if built.type == LEGACY:
            chain, parity = read_v(parity)
            built = self._transaction(transaction, chain)
        return self._submit(SignedTransaction(built, parity, transaction["r"], transaction["s"]).raw())

    def send_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Sign a transaction and add it to the pending block; return its hash. Raises ValidationError."""
        account = self._accounts.get(transaction["from"])
        if account is None:
            raise ValidationError(
                f"{as_data(transaction['from'])} is not an account of this backend: "
                "call add_account with its private key"
            )
        return self._submit(account.sign(self._transaction(transaction)).raw())

    def estimate_gas(self, transaction: Mapping[str, Any], block_number: int | str = "latest") -> int:
        """Return the gas that a transaction needs on the state of a block. Raises TransactionFailed."""
        estimate: str = self._request("eth_estimateGas", _call(transaction), _block(block_number))
        return int(estimate, 16)

    def call(self, transaction: Mapping[str, Any], block_number: int | str = "latest") -> bytes:
        """Return a call's output on the state of a block. Raises TransactionFailed with the reason of a revert."""
        output: str = self._request("eth_call", _call(transaction), _block(block_number))
        return bytes.fromhex(output[2:])

    # --- helpers ----------------------------------------------------------------------------------------------

    def _transaction(self, request: Mapping[str, Any], legacy_chain: int | None = None) -> Transaction:
        """Build a transaction from eth-tester's fields. Without fee fields it is of type 2 with fees of 1 gwei."""
        fees = {name: request[name] for name in _FEES if name in request}
        if "gas_price" in request:
            kind = ACCESS_LIST if "access_list" in request else LEGACY
            max_fee = priority = request["gas_price"]
        else:
            kind = SET_CODE if "authorization_list" in request else DYNAMIC_FEE
            priority = fees.get("max_priority_fee_per_gas", 0 if fees else _DEFAULT_FEE)
            default = priority + 2 * self.get_base_fee() if fees else _DEFAULT_FEE
            max_fee = fees.get("max_fee_per_gas", default)
        return Transaction(
            kind,
            legacy_chain if kind == LEGACY else request.get("chain_id", CHAIN_ID),
            request["nonce"] if "nonce" in request else self.get_nonce(request["from"]),
            EthAddress(request["to"]) if request.get("to") else None,
            request.get("value", 0),
            request.get("data", b""),
            request["gas"],
            max_fee,
            priority,
            tuple((EthAddress(address), tuple(keys)) for address, keys in request.get("access_list", ())),
            tuple(_authorization(each) for each in request.get("authorization_list", ())),
        )

    def _submit(self, raw: bytes) -> bytes:
        try:
            submitted = self.network.submit(raw)
        except TransactionRefused as error:
            raise ValidationError(str(error)) from error
        if all(candidate.hash != submitted for candidate in self.network.chosen()):
            waiting = self.network.mempool.get(submitted)
            if waiting is not None:
                self.network.mempool.drop(waiting)
            raise ValidationError(
                "the transaction cannot be included in the next block: check its nonce, fees and gas limit"
            )
        self._pending.append(raw)
        self._pending_block = None
        return bytes(submitted)

    def _is_pending(self, transaction_hash: bytes) -> bool:
        return self.network.mempool.get(transaction_hash) is not None

    def _mine(self) -> bytes:
        """Mine a block one second after its parent, or at the time set by `time_travel`, and return its hash."""
        timestamp, self._timestamp = self._timestamp, None
        self.network.set_next_timestamp(self.network.head.timestamp + 1 if timestamp is None else timestamp)
        self.network.mine()
        return bytes.fromhex(self._request("eth_getBlockByNumber", "latest", False)["hash"][2:])

    def _execute_pending(self) -> EthTesterDict:
        """Return the pending block and its receipts, as JSON-RPC objects."""
        if self._pending_block is None:
            head = self.network.head
            self._mine()
            block = self._request("eth_getBlockByNumber", "latest", True)
            receipts = {each["transactionHash"]: each for each in self._request("eth_getBlockReceipts", "latest")}
            self._revert_to(head)
            for raw in self._pending:
                self.network.submit(raw)
            self._pending_block = {"block": block, "receipts": receipts}
        return self._pending_block

    def _revert_to(self, head: Tipset) -> None:
        self.network.go_back(head, NO_TIME_TRAVEL)
        self._pending_block = None

    def _quantity(self, method: str, account: bytes, block_number: int | str | None) -> int:
        return int(self._request(method, as_data(account), _block(block_number)), 16)

    def _request(self, method: str, *parameters: Any) -> Any:
        """Return the result of a JSON-RPC method. Raises TransactionFailed for an error."""
        response = self._requests.call(method, parameters)
        if "error" in response:
            raise TransactionFailed(_reason(response["error"]))
        return response["result"]


def _reason(error: Mapping[str, Any]) -> str:
    """Return the string of `Error(string)`, else the `repr` of the revert data, else the node's message."""
    data = error.get("data")
    if not isinstance(data, str):
        return str(error["message"])
    reverted = bytes.fromhex(data[2:])
    text = error_text(reverted)
    return str(reverted) if text is None else text


def _call(transaction: Mapping[str, Any]) -> dict[str, str]:
    fields = {name: as_data(transaction[name]) for name in ("from", "to", "data") if transaction.get(name)}
    return fields | {name: hex(transaction[name]) for name in ("gas", "value") if name in transaction}


def _authorization(request: Mapping[str, Any]) -> Authorization:
    address = EthAddress(request["address"])
    return Authorization(
        request["chain_id"], address, request["nonce"], request["y_parity"], request["r"], request["s"]
    )


def _require_found(found: Mapping[str, Any] | None, transaction_hash: bytes) -> Mapping[str, Any]:
    if found is None:
        raise TransactionNotFound(f"No transaction found for transaction hash: {as_data(transaction_hash)}")
    return found


def _block(block_number: int | str | None) -> str:
    """Return the JSON-RPC block tag or number. `safe` and `finalized` mean the latest block, as in `PyEVMBackend`."""
    if isinstance(block_number, int):
        return hex(block_number)
    return "latest" if block_number in (None, "safe", "finalized") else str(block_number)
