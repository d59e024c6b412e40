"""The objects in requests: calls, transactions to be sent, log filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.blobs import versioned_hash
from bridge.ethereum.transactions import ACCESS_LIST, BLOB, DYNAMIC_FEE, LEGACY, SET_CODE, AccessList, Authorization
from hypervisor.types import Gas, TokenAmount
from localnet.chain.logs import LogFilter
from localnet.chain.reading import NetworkReader
from localnet.errors import TransactionRefused
from localnet.rpc.blocks_and_null_rounds import BlockRef, block
from localnet.rpc.errors import invalid_params
from localnet.rpc.values import Reader, address, data, field, fields, hash32, list_of, number, quantity, uint64
from localnet.rules.facts import CallRequest
from localnet.rules.parts import NetworkRules

MAX_TOPICS = 4
MAX_ALTERNATIVES = 1_000
SIGNED_BLOBS: Final = "sign the transaction in the client, and send it with its sidecar by eth_sendRawTransaction"
"""The way to send blobs."""
_SIGNED = ("chainId", "nonce", "yParity", "r", "s")


@dataclass(slots=True, unsafe_hash=True)
class TransactionRequest:
    """A requested transaction; None fields are filled in. Amounts in attoFIL.

    `type` is None if neither the request nor its fields determine it: then `kind` chooses it.
    """

    sender: Final[EthAddress | None]
    to: Final[EthAddress | None]
    data: Final[bytes]
    value: Final[TokenAmount]
    gas: Final[Gas | None]
    nonce: Final[int | None]
    type: Final[int | None]
    gas_price: Final[int | None]
    max_fee: Final[int | None]
    max_priority_fee: Final[int | None]
    chain_id: Final[int | None]
    access_list: Final[AccessList | None]
    authorizations: Final[tuple[Authorization, ...]]
    max_fee_per_blob_gas: Final[int | None]
    blob_hashes: Final[tuple[bytes, ...]]

    def call(self, default_sender: EthAddress, network: NetworkReader) -> CallRequest:
        """Return the request as a call on a network. Raises as `check`."""
        self.check(network.rules)
        if network.rules.hardfork:
            self._check_call(network.chain_id)
        return CallRequest(
            self.to,
            self.data,
            self.value,
            self.sender or default_sender,
            self.gas,
            max_fee=(self.gas_price if self.max_fee is None else self.max_fee) or 0,
            max_priority_fee=(self.gas_price if self.max_priority_fee is None else self.max_priority_fee) or 0,
            access_list=self.access_list or (),
            authorizations=self.authorizations,
            max_fee_per_blob_gas=self.max_fee_per_blob_gas or 0,
            blob_hashes=self.blob_hashes,
        )

    def kind(self, rules: NetworkRules) -> int:
        """Return the type, by default 2, or in forks without it 1 with an access list, else 0.

        Source: go-ethereum internal/ethapi, `TransactionArgs.setDefaults` and `ToTransaction`.
        """
        if self.type is not None:
            return self.type
        if DYNAMIC_FEE in rules.features.transaction_types:
            return DYNAMIC_FEE
        return LEGACY if self.access_list is None else ACCESS_LIST

    @property
    def has_fees(self) -> bool:
        """True if the request names a price of gas or blobs."""
        return any(
            fee is not None for fee in (self.gas_price, self.max_fee, self.max_priority_fee, self.max_fee_per_blob_gas)
        )

    def fees(self, network: NetworkReader, base_fee: int = 0) -> tuple[int, int]:
        """Return (fee cap, premium) in attoFIL per gas, by default for the next block, or one with a base fee.

        Raises TransactionRefused for a gas price beside authorizations.
        """
        if self.gas_price is not None and self.type == SET_CODE:
            raise TransactionRefused("fee", "both gasPrice and authorizationList specified")
        if self.gas_price is not None:
            return self.gas_price, self.gas_price
        if self.kind(network.rules) in (LEGACY, ACCESS_LIST):
            return network.gas_price, network.gas_price
        usual, priority = network.default_premium, self.max_priority_fee
        if priority is None:
            priority = usual if self.max_fee is None else min(usual, self.max_fee)
        if self.max_fee is not None:
            return self.max_fee, priority
        return max(2 * (base_fee or network.base_fee) + priority, network.min_fee_cap), priority

    def with_fees(self, network: NetworkReader, base_fee: int = 0) -> TransactionRequest:
        """Return the request with all `fees`. Raises TransactionRefused for a fee of 0 (`setFeeDefaults` of geth)."""
        fees = {"gasPrice": self.gas_price, "maxFeePerGas": self.max_fee, "maxFeePerBlobGas": self.max_fee_per_blob_gas}
        if DYNAMIC_FEE in network.rules.features.transaction_types and 0 in fees.values():
            raise TransactionRefused("fee", f"{next(name for name in fees if fees[name] == 0)} must be non-zero")
        cap, priority = self.fees(network, base_fee)
        return replace(self, max_fee=cap, max_priority_fee=priority)

    def _check_call(self, chain_id: int) -> None:
        """Raise TransactionRefused for a call that geth refuses (internal/ethapi, `CallDefaults`)."""
        if self.chain_id not in (None, chain_id):
            raise TransactionRefused("chain", f"chainId does not match node's (have={self.chain_id}, want={chain_id})")
        if self.type == BLOB and not self.blob_hashes:
            raise TransactionRefused("invalid", "blob transaction missing blob hashes")
        if self.max_fee_per_blob_gas is not None and not self.blob_hashes:
            raise TransactionRefused("invalid", "maxFeePerBlobGas specified without blobVersionedHashes")
        if self.type == SET_CODE and not self.authorizations:
            reason = "EIP-7702 transaction with empty auth list: a type 4 transaction must have authorizations"
            raise TransactionRefused("type", reason)

    def check(self, rules: NetworkRules) -> None:
        """Raise TransactionRefused for a type that these rules do not accept, RpcError for an access list."""
        if self.type is not None or self.access_list is not None:
            kind = self.kind(rules)
            if kind not in rules.features.transaction_types:
                rules.features.check_type(kind)
        if self.access_list:
            check_access_list(self.access_list, rules)


def check_access_list(access_list: AccessList, rules: NetworkRules) -> None:
    """Raise RpcError for a non-empty access list if the rules do not support access lists."""
    if access_list and not rules.features.has_access_lists:
        raise invalid_params(
            "accessList is not supported under these rules: a Filecoin message cannot carry one; omit it"
        )


def transaction(value: Any) -> TransactionRequest:
    """Read a transaction object of `eth_call` or `eth_sendTransaction`."""
    request = fields(value, "transaction")
    read: dict[str, Any] = {}
    for name, reader in _FIELDS:
        if name in request:
            read[name] = field(request, name, reader)
    gas_price, max_fee, priority = map(read.get, _PRICE_NAMES)
    has_fees = max_fee is not None or priority is not None
    if gas_price is not None and has_fees:
        raise invalid_params("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")
    kind = _type(request, read.get("type"), gas_price, has_fees=has_fees)
    if kind in (LEGACY, ACCESS_LIST) and has_fees:
        raise invalid_params(f"a transaction of type {kind} has a gasPrice, not maxFeePerGas or maxPriorityFeePerGas")
    calldata = read.get("input", read.get("data", b""))
    if read.get("data", calldata) != calldata:
        raise invalid_params("`data` and `input` are both set and differ: use `input`")
    return TransactionRequest(
        sender=read.get("from"),
        to=read.get("to"),
        data=calldata,
        value=TokenAmount(read.get("value", 0)),
        gas=read.get("gas"),
        nonce=read.get("nonce"),
        type=kind,
        gas_price=gas_price,
        max_fee=max_fee,
        max_priority_fee=priority,
        chain_id=read.get("chainId"),
        access_list=tuple(read["accessList"]) if "accessList" in read else None,
        authorizations=tuple(read.get("authorizationList", ())),
        max_fee_per_blob_gas=read.get("maxFeePerBlobGas"),
        blob_hashes=_blob_hashes(request, read.get("blobVersionedHashes")) if kind == BLOB else (),
    )


def _access(value: Any) -> tuple[EthAddress, tuple[int, ...]]:
    request = fields(value, "entry of an access list")
    owner = field(request, "address", address)
    if owner is None:
        raise invalid_params("accessList: an entry without an address")
    keys = field(request, "storageKeys", list_of(hash32, MAX_ALTERNATIVES)) or ()
    return owner, tuple(int.from_bytes(key, "big") for key in keys)


def _blob_hashes(request: dict[str, Any], named: Sequence[bytes] | None) -> tuple[bytes, ...]:
    """Return the versioned hashes of a request, by default those of its commitments; proofs are not read."""
    if named is None and request.get("commitments"):
        named = [*map(versioned_hash, field(request, "commitments", list_of(data, MAX_ALTERNATIVES)))]
    if named is None and request.get("blobs"):
        raise invalid_params("blobs: the node does not compute commitments; add blobVersionedHashes")
    return tuple(named or ())


def _authorization(value: Any) -> Authorization:
    request = fields(value, "authorization")
    readers = {"nonce": uint64}
    numbers = [field(request, name, readers.get(name, quantity)) for name in _SIGNED]
    owner = field(request, "address", address)
    if owner is None or None in numbers:
        raise invalid_params(f"an authorization has an address, {', '.join(_SIGNED)}")
    chain_id, nonce, parity, r, s = numbers
    return Authorization(chain_id, owner, nonce, parity, r, s)


_PRICE_NAMES: Final = ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas")
_FIELDS: Final[tuple[tuple[str, Reader], ...]] = (
    *((name, quantity) for name in _PRICE_NAMES),
    ("type", number),  # web3.py sends a number
    ("gas", uint64),
    ("from", address),
    ("to", address),
    ("input", data),
    ("data", data),
    ("value", quantity),
    ("nonce", uint64),
    ("chainId", quantity),
    ("accessList", list_of(_access, MAX_ALTERNATIVES)),
    ("authorizationList", list_of(_authorization, MAX_ALTERNATIVES)),
    ("maxFeePerBlobGas", quantity),
    ("blobVersionedHashes", list_of(hash32, MAX_ALTERNATIVES)),
)
"""Fields of a transaction in the order of validation."""


def _type(request: dict[str, Any], kind: int | None, gas_price: int | None, *, has_fees: bool) -> int | None:
    """Return the requested type, or the only one that has the request's fields, or None."""
    authorizations = request.get("authorizationList")
    if kind is None and authorizations is not None:
        return SET_CODE
    hashes = request.get("blobVersionedHashes")
    has_blobs = hashes is not None or bool(request.get("commitments") or request.get("blobs"))
    if kind is None and has_blobs:
        return BLOB
    if kind is None and gas_price is not None:
        return LEGACY if request.get("accessList") is None else ACCESS_LIST
    if kind is None:
        return DYNAMIC_FEE if has_fees else None
    if kind == LEGACY and request.get("accessList"):
        raise invalid_params("a transaction of type 0 has no accessList")
    if has_blobs and kind != BLOB:
        raise invalid_params(f"a transaction of type {kind} has no blobs: omit the type, or pass 3")
    if authorizations and kind != SET_CODE:
        raise invalid_params(f"a transaction of type {kind} has no authorizationList")
    return kind


def receipt_request(value: Any) -> frozenset[bytes]:
    """Read the filter of a subscription of receipts: the hashes of transactions, of which geth accepts 200."""
    return frozenset(field(fields(value, "filter"), "transactionHashes", list_of(hash32, 200)) or ())


@dataclass(frozen=True, slots=True)
class LogRequest:
    """A log request: `block` for a single block, otherwise a range whose omitted ends are None."""

    wanted: LogFilter
    block: bytes | None
    first: BlockRef | None
    last: BlockRef | None


def log_request(value: Any) -> LogRequest:
    """Read a log filter."""
    request = fields(value, "filter")
    addresses = request.get("address", [])
    addresses = addresses if isinstance(addresses, list) else [addresses]
    block_hash = field(request, "blockHash", hash32)
    first, last = field(request, "fromBlock", _range_end), field(request, "toBlock", _range_end)
    if block_hash is not None and (first or last):
        raise invalid_params("blockHash excludes fromBlock and toBlock")
    return LogRequest(
        wanted=LogFilter(
            addresses=tuple(list_of(address, MAX_ALTERNATIVES)(addresses)),
            topics=tuple(field(request, "topics", list_of(_topic, MAX_TOPICS)) or ()),
        ),
        block=block_hash,
        first=first,
        last=last,
    )


def _range_end(value: Any) -> BlockRef | None:
    return None if value == "" else block(value)


def _topic(value: Any) -> tuple[bytes, ...]:
    """Parse the topics of a position: any (null), one topic, or one of a list."""
    if value is None or (isinstance(value, list) and None in value):
        return ()
    return tuple(list_of(hash32, MAX_ALTERNATIVES)(value)) if isinstance(value, list) else (hash32(value),)
