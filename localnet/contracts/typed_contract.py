"""Base classes and values of the typed contract wrappers that `hypervisor bindings` writes.

    vault = Vault.deploy(network, most=100)
    receipt = vault.put(5).send(value=5)
    assert vault.events(receipt, Stored) == [Stored(who=network.accounts[0].address, amount=5)]

A method of a wrapper returns a call object, with `call` for a query and `send` for a transaction. Wrappers work on a
`Network` and on any other `Chain`; `localnet.testing.web3_chain` creates one from a `Web3` object. `Contract` is the
untyped equivalent.

Values are typed: structs are dataclasses, addresses are 20 bytes, lists are tuples. `bridge.abi.abi` encodes and
decodes plain values, which this module converts. Source: the JSON section of the Solidity ABI specification, and solc's
`internalType`, which names structs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, overload

from bridge.abi.abi import AbiMismatch, ContractInterface, signature
from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import EmittedLog
from localnet.addresses import Target
from localnet.contracts.contract import decoding_custom_errors
from localnet.errors import CallFailed, NetworkError, TransactionFailed

Structs = Mapping[str, type[Any]]
"""The dataclass of each struct, by `struct_key`."""


def struct_key(item: Mapping[str, Any]) -> str:
    """Return the identity of a struct: solc's name for it, or the types of its fields."""
    name = str(item.get("internalType", "")).partition("[")[0]
    if name.startswith("struct "):
        return name.removeprefix("struct ")
    return f"({','.join(_key(part) for part in item['components'])})"


def _key(item: Mapping[str, Any]) -> str:
    kind: str = item["type"]
    return struct_key(item) + kind.removeprefix("tuple") if kind.startswith("tuple") else kind


def item_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the type of a list's items."""
    return {**item, "type": item["type"].rpartition("[")[0]}


def to_abi(item: Mapping[str, Any], value: Any, address: Callable[[Target], EthAddress]) -> Any:
    """Convert a typed value for the encoder; `address` reads addresses. Raises AbiMismatch, AddressError."""
    kind = item["type"]
    if kind.endswith("]"):
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise AbiMismatch(f"{kind}: expected a list, not {value!r:.60}")
        return [to_abi(item_of(item), each, address) for each in value]
    if kind == "tuple":
        parts = value if isinstance(value, tuple | list) else _fields(value, struct_key(item))
        if len(parts) != len(item["components"]):
            raise AbiMismatch(f"{struct_key(item)} has {len(item['components'])} fields, not {len(parts)}")
        return tuple(to_abi(part, each, address) for part, each in zip(item["components"], parts, strict=True))
    return address(value) if kind == "address" else value


def _fields(value: Any, name: str) -> tuple[Any, ...]:
    try:
        return tuple(getattr(value, field.name) for field in fields(value))
    except TypeError:
        raise AbiMismatch(f"expected a {name}, not {value!r:.60}") from None


def from_abi(item: Mapping[str, Any], value: Any, structs: Structs) -> Any:
    """Convert the decoder's values to typed values."""
    kind = item["type"]
    if kind.endswith("]"):
        return tuple(from_abi(item_of(item), each, structs) for each in value)
    if kind == "tuple":
        parts = zip(item["components"], value, strict=True)
        return structs[struct_key(item)](*(from_abi(part, each, structs) for part, each in parts))
    return EthAddress(bytes.fromhex(value.removeprefix("0x"))) if kind == "address" else value


def from_topic(item: Mapping[str, Any], value: Any, structs: Structs) -> Any:
    """Decode an indexed argument of an event: its value, or the hash of a dynamic one."""
    return value if is_hashed(item) else from_abi(item, value, structs)


def is_hashed(item: Mapping[str, Any]) -> bool:
    """Return True if a topic contains only the hash of the argument."""
    kind = item["type"]
    return bool(item.get("indexed")) and (kind in ("string", "bytes", "tuple") or kind.endswith("]"))


T = TypeVar("T", covariant=True)
E = TypeVar("E", bound="ContractEvent")


class Sent(Protocol):
    """Fields common to every chain's receipt; `Network` returns a `TransactionReceipt`."""

    @property
    def hash(self) -> bytes:
        """The transaction's hash."""

    @property
    def block_number(self) -> int:
        """The number of the transaction's block."""

    @property
    def gas_used(self) -> int:
        """Gas used, in the chain's unit."""

    @property
    def contract_address(self) -> EthAddress | None:
        """The created contract."""

    @property
    def logs(self) -> Sequence[EmittedLog]:
        """The logs, in order."""


class Chain(Protocol):
    """A chain on which contracts are called. Failures raise CallFailed, TransactionFailed, or another NetworkError."""

    def address(self, target: Target, /) -> EthAddress:
        """Return the Ethereum address of a target. Raises AddressError."""

    def call(self, to: Target | None, data: bytes, value: int, /, *, sender: Target | None) -> bytes:
        """Execute a call without effect, and return its return data; value in attoFIL."""

    def send(
        self, to: Target | None, value: int, data: bytes, /, *, sender: Target | None, gas_limit: int | None
    ) -> Sent:
        """Send and execute a transaction; value in attoFIL."""


class ContractEvent:
    """An event that a contract declares; subclasses are dataclasses of its arguments."""

    __slots__ = ()


class ContractError:
    """An error that a contract declares; subclasses are dataclasses of its arguments."""

    __slots__ = ()


class Reading(Generic[T]):
    """A call of a view function. `function` is its signature, `data` the calldata."""

    __slots__ = ("contract", "data", "function")

    def __init__(self, contract: TypedContract, function: str, *arguments: Any) -> None:
        """Encode the arguments. Raises AbiMismatch, AddressError."""
        entry = contract.interface.function(function)
        self.contract, self.function = contract, function
        self.data = contract.interface.encode_call(function, *_plain(contract.chain, entry["inputs"], arguments))

    def call(self, *, sender: Target | None = None) -> T:
        """Return the function's result. Raises CallFailed, AbiMismatch."""
        return self._call(0, sender)

    def decode_return(self, data: bytes) -> T:
        """Decode data returned by the function. Raises AbiMismatch."""
        result: T = self.contract.decode_return(self.function, data)
        return result

    def answer(self, data: bytes) -> T:
        """Former name of `decode_return`, until version 0.4."""
        return self.decode_return(data)

    def _call(self, value: int, sender: Target | None) -> T:
        with decoding_custom_errors(self.contract.interface):
            return self.decode_return(self.contract.chain.call(self.contract.address, self.data, value, sender=sender))

    def _send(self, value: int, sender: Target | None, gas_limit: int | None) -> Sent:
        contract = self.contract
        with decoding_custom_errors(contract.interface):
            return contract.chain.send(contract.address, value, self.data, sender=sender, gas_limit=gas_limit)


class Sending(Reading[T]):
    """A call of a nonpayable function."""

    __slots__ = ()

    def send(self, *, sender: Target | None = None, gas_limit: int | None = None) -> Sent:
        """Send a transaction that calls the function. Raises the errors of `Contract.send`."""
        return self._send(0, sender, gas_limit)


class Paying(Reading[T]):
    """A call of a payable function; values are in attoFIL."""

    __slots__ = ()

    def call(self, *, sender: Target | None = None, value: int = 0) -> T:
        """Return the function's result without effect. Raises CallFailed, AbiMismatch."""
        return self._call(value, sender)

    def send(self, *, value: int = 0, sender: Target | None = None, gas_limit: int | None = None) -> Sent:
        """Send a transaction that calls the function. Raises the errors of `Contract.send`."""
        return self._send(value, sender, gas_limit)


EventTypes = Mapping[str, type[ContractEvent]]
"""The class of each event by its signature."""
ErrorTypes = Mapping[str, type[ContractError]]
"""The class of each error by its signature."""
Results = Mapping[str, type[Any]]
"""The class of a function's named results, by its signature."""
Overloads = Mapping[str, Sequence[tuple[str, Sequence[str], type[Reading[Any]]]]]
"""Signatures, parameters and kinds of an overloaded method."""


class TypedContract:
    """A contract at an address of a chain. Subclasses have its functions and the classes of its ABI."""

    interface: ClassVar[ContractInterface]
    bytecode: ClassVar[bytes] = b""
    structs: ClassVar[Structs] = {}
    event_types: ClassVar[EventTypes] = {}
    error_types: ClassVar[ErrorTypes] = {}
    results: ClassVar[Results] = {}
    overloads: ClassVar[Overloads] = {}

    def __init__(self, chain: Chain, address: Target) -> None:
        """Bind an existing contract at an address. Raises AddressError."""
        self.chain = chain
        self.address = chain.address(address)

    @overload
    def events(self, receipt: Sent) -> list[ContractEvent]: ...

    @overload
    def events(self, receipt: Sent, kind: type[E]) -> list[E]: ...

    def events(self, receipt: Sent, kind: type[E] | None = None) -> list[Any]:
        """Return this contract's events in a receipt, in order; with `kind`, those of a class."""
        own = [self._event(emitted) for emitted in receipt.logs if emitted.address == self.address]
        return [event for event in own if isinstance(event, ContractEvent if kind is None else kind)]

    def error(self, failure: CallFailed | TransactionFailed) -> ContractError | None:
        """Decode the error of this contract with which a call or a transaction failed; None for any other failure."""
        found = self.interface.read_error(failure.data)
        if found is None:
            return None
        entry, values = found
        return self.error_types[signature(entry)](*self._typed(entry["inputs"], values))

    def decode_return(self, function: str, data: bytes) -> Any:
        """Decode data returned by a function, given by its signature, as typed values. Raises AbiMismatch."""
        entry = self.interface.function(function)
        found = self._typed(entry["outputs"], self.interface.read_result(entry, data))
        if function in self.results:
            return self.results[function](*found)
        return found[0] if len(found) == 1 else found or None

    def _overloaded(self, name: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Return the call of the overload that takes this number of arguments."""
        count = len(arguments) + len(named)
        for function, parameters, kind in self.overloads[name]:
            rest = parameters[len(arguments) :]
            if len(parameters) == count and set(rest) == set(named):
                return kind(self, function, *arguments, *(named[each] for each in rest))
        known = ", ".join(function for function, _, _ in self.overloads[name])
        raise AbiMismatch(f"no overload of '{name}' accepts these {count} arguments: the contract has {known}")

    @classmethod
    def _deployed(
        cls, chain: Chain, arguments: Sequence[Any], value: int, sender: Target | None, gas_limit: int | None
    ) -> Self:
        inputs = next((entry["inputs"] for entry in cls.interface.abi if entry["type"] == "constructor"), ())
        plain = _plain(chain, inputs, arguments)
        with decoding_custom_errors(cls.interface):
            receipt = chain.send(
                None, value, cls.interface.encode_constructor(cls.bytecode, *plain), sender=sender, gas_limit=gas_limit
            )
        if receipt.contract_address is None:
            raise NetworkError(f"the transaction 0x{receipt.hash.hex()} created no contract")
        return cls(chain, receipt.contract_address)

    def _event(self, emitted: EmittedLog) -> ContractEvent | None:
        found = self.interface.read_log(emitted.log)
        if found is None:
            return None
        entry, values = found
        parts = zip(entry["inputs"], values, strict=True)
        return self.event_types[signature(entry)](*(from_topic(item, value, self.structs) for item, value in parts))

    def _typed(self, items: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(from_abi(item, value, self.structs) for item, value in zip(items, values, strict=True))

    def __str__(self) -> str:
        return f"0x{self.address.hex()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


def _plain(chain: Chain, items: Sequence[Mapping[str, Any]], arguments: Sequence[Any]) -> list[Any]:
    if len(items) != len(arguments):
        raise AbiMismatch(f"{len(arguments)} arguments, {len(items)} expected")
    return [to_abi(item, value, chain.address) for item, value in zip(items, arguments, strict=True)]
