"""Built-in actors as Solidity functions: one per method, with calldata and return data.

    function = facade("storageminer")[selector]
    params = function.params(calldata)          # CBOR for the actor; FacadeRefusal has the revert data
    data = function.encode_return(actor, returned)  # ABI for the contract

Pure functions; `bridge.actors.facade_runtime` makes the calls. Types are defined in `bridge.facade_types`, methods in
`bridge.exported_methods`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bridge.abi.abi import ContractInterface
from bridge.abi.strict_abi import (
    BYTES,
    Coder,
    NotCanonical,
    NotEncodable,
    fixed_bytes,
    map_coder,
    read_all,
    sequence,
    unsigned,
)
from bridge.actors.schemas import methods
from bridge.exported_methods import INTERFACES, PAYABLE, exported_methods
from bridge.facade_types import AbiType, SolidityTypes, camel, function_name
from hypervisor.errors import MessageError
from hypervisor.types import ActorID, MethodNumber
from store.codec import CodecError, decode_strict, encode
from store.keccak import keccak

SELECTOR: Final = 4
_FOLDER: Final = Path(__file__).parent / "solidity"
_TEXT: Final = map_coder(BYTES, bytes.decode, str.encode, name="string")
_ID: Final = unsigned(64)

ERRORS: Final[Mapping[str, tuple[tuple[Coder, str], ...]]] = MappingProxyType({
    "ActorError": ((_ID, "actor"), (_ID, "method"), (unsigned(32), "exitCode"), (BYTES, "data")),
    "UnknownFunction": ((_ID, "actor"), (fixed_bytes(4), "selector")),
    "NotPayable": ((_ID, "actor"), (fixed_bytes(4), "selector")),
    "BadCalldata": ((unsigned(256), "position"), (_TEXT, "why")),
    "BadAnswer": ((_ID, "actor"), (_ID, "method"), (_TEXT, "why")),
})  # fmt: skip
"""Errors of the facade, with the types and names of their arguments."""


class FacadeRefusal(Exception):
    """Raised for a call that reverts; `data` is one of `ERRORS`, encoded."""

    def __init__(self, error: str, *values: Any) -> None:
        super().__init__(f"{error}({', '.join(map(str, values))})")
        self.data = _error_selectors()[error] + sequence([coder for coder, _ in ERRORS[error]]).write(list(values))


@dataclass(frozen=True, slots=True)
class FacadeFunction:
    """A method as a Solidity function.

    `inputs` and `outputs` have names and types: the fields of a struct (`takes_tuple`, `returns_tuple`), or a single
    value that is bare in CBOR. `arguments` and `results` are the coders for all of them together.
    """

    actor: str
    name: str
    method: MethodNumber
    mutability: str
    inputs: tuple[tuple[str, AbiType], ...]
    outputs: tuple[tuple[str, AbiType], ...]
    selector: bytes
    arguments: Coder
    results: Coder
    takes_tuple: bool
    returns_tuple: bool

    @property
    def signature(self) -> str:
        """The canonical signature, such as `transfer((bytes),int256,bytes)`."""
        return self.name + self.arguments.name

    @property
    def payable(self) -> bool:
        """True if a call may carry value."""
        return self.mutability == PAYABLE

    def params(self, calldata: bytes) -> bytes:
        """Return the actor's parameters in CBOR, empty if the method takes none. Raises FacadeRefusal."""
        try:
            values = read_all(self.arguments, calldata, SELECTOR)
            if not self.inputs and not self.takes_tuple:
                return b""
            return encode(values if self.takes_tuple else values[0])
        except NotCanonical as refused:
            raise FacadeRefusal("BadCalldata", refused.at, refused.reason) from None
        except (CodecError, MessageError) as error:
            raise FacadeRefusal("BadCalldata", SELECTOR, str(error)) from None

    def encode_return(self, actor: ActorID, data: bytes | None) -> bytes:
        """Return the actor's return data, or None for a method without any, as ABI. Raises FacadeRefusal."""
        try:
            if data is None:
                values: Any = []
            else:
                found = decode_strict(data)
                values = found if self.returns_tuple else [found]
            return self.results.write(values)
        except (NotEncodable, CodecError) as error:
            raise FacadeRefusal("BadAnswer", actor, self.method, str(error)) from None


@cache
def interface(actor: str) -> ContractInterface | None:
    """Return the ABI of an actor's interface, including the errors, or None if it has no interface."""
    name = INTERFACES.get(actor)
    if name is None:
        return None
    return ContractInterface(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


@cache
def facade(actor: str) -> Mapping[bytes, FacadeFunction]:
    """Return the functions of a built-in actor by selector; empty if it has no interface."""
    types = SolidityTypes(actor)
    found = {}
    for method in exported_methods(actor):
        terms = methods(actor)[method.number]
        name = function_name(method.name)
        inputs, takes_tuple = _parameters(types, terms.params)
        outputs, returns_tuple = _parameters(types, terms.returns)
        arguments, results = (sequence([part.coder for _, part in parts]) for parts in (inputs, outputs))
        selector = bytes(keccak((name + arguments.name).encode())[:SELECTOR])
        found[selector] = FacadeFunction(
            actor, name, method.number, method.mutability, inputs, outputs, selector, arguments, results,
            takes_tuple, returns_tuple,
        )  # fmt: skip
    return MappingProxyType(found)


def _parameters(types: SolidityTypes, term: str | None) -> tuple[tuple[tuple[str, AbiType], ...], bool]:
    """Return the names and ABI types of a schema type, and True if it is a struct, whose fields they are."""
    if term is None:
        return (), False
    fields = types.fields(term)
    if fields is None:
        return ((_single_name(types, term), types.of(term)),), False
    return tuple((camel(name), part) for name, part in fields), True


_NAMES: Final = {"Address": "addr", "ActorID": "actor", "DealID": "deal", "SectorNumber": "sector", "BitField": "deals"}


def _single_name(types: SolidityTypes, name: str) -> str:
    """Return the argument name for a bare value of a type. Return values have no name."""
    return "" if name.endswith("Return") else _NAMES.get(types.schema.name_of(name), "changes")


@cache
def _error_selectors() -> Mapping[str, bytes]:
    return {
        name: bytes(keccak((name + sequence([coder for coder, _ in parts]).name).encode())[:SELECTOR])
        for name, parts in ERRORS.items()
    }
