"""Contracts by their ABI: artifacts of solc, forge and Hardhat, and calls by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.abi.abi import ContractInterface, DecodedLog, PrintedAddress
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.reverts import error_text
from hypervisor.errors import InvalidInput
from hypervisor.text import one_line
from localnet.addresses import Target
from localnet.contracts.network import Transactions
from localnet.errors import CallFailed, TransactionFailed
from localnet.ledger.records import TransactionReceipt
from store.untrusted import parse_json

_PLACEHOLDER: Final = re.compile(r"__.{36}__")
"""Placeholder of a library's address: 40 characters, in newer compilers from the hash of its name."""
_MAX_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract: interface, init code without constructor arguments, and name if known.

    `load` reads artifacts of solc, forge and Hardhat, and raises InvalidInput for other files.

    >>> from localnet import Artifact
    >>> artifact = Artifact.load("examples/solidity/artifacts/DataCapName.json")
    >>> artifact.name, [selector.hex() for selector in artifact.interface.selectors("name")]
    ('DataCapName', ['06fdde03'])
    """

    interface: ContractInterface
    bytecode: bytes
    name: str = ""

    def __repr__(self) -> str:
        return one_line("Artifact", self.name or "unnamed", f"{len(self.bytecode):,} bytes")

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> Artifact:
        """Read a compiler's JSON, as a file or as its parsed content. Raises InvalidInput.

        `abi` and `bytecode` are required; `bytecode` is hex text or an object with the field `object`.
        """
        if isinstance(source, Mapping):
            return cls._read(source, "the artifact", "")
        try:
            content = parse_json(Path(source).read_bytes())
        except OSError as error:
            raise InvalidInput(f"the artifact {source} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise InvalidInput(f"{source} is not valid JSON: {error}") from None
        return cls._read(content, str(source), Path(source).stem)

    @classmethod
    def _read(cls, content: Mapping[str, Any], source: str, name: str) -> Artifact:
        try:
            code = content["bytecode"]
            text = code["object"] if isinstance(code, Mapping) else code
            name = str(content.get("contractName", name))
            return cls(ContractInterface(content["abi"]), bytes.fromhex(text.removeprefix("0x")), name)
        except KeyError as error:
            raise InvalidInput(f"{source} is not an artifact with `abi` and `bytecode`: it has no {error}") from None
        except (TypeError, AttributeError) as error:
            raise InvalidInput(f"{source} is not an artifact with `abi` and `bytecode`: {error}") from None
        except ValueError:
            raise InvalidInput(f"{source} {_no_code(content, text)}") from None


def _no_code(content: Mapping[str, Any], text: str) -> str:
    """Return the problem of bytecode that is not hex: unlinked libraries, or something else."""
    if not _PLACEHOLDER.search(text):
        return f"has bytecode that is not hex: {text[:20]!r}"
    code = content["bytecode"]
    references = (code if isinstance(code, Mapping) else content).get("linkReferences")
    by_file = references.values() if isinstance(references, Mapping) else ()
    names = sorted({str(name) for libraries in by_file if isinstance(libraries, Mapping) for name in libraries})
    missing = ", ".join(names or sorted(set(_PLACEHOLDER.findall(text)))[:_MAX_NAMED])
    return f"is not linked: deploy {missing}, and put the address into the bytecode (or let the compiler, --libraries)"


@contextmanager
def decoding_custom_errors(interface: ContractInterface) -> Iterator[None]:
    """Add the name of the contract's custom error to failures raised inside the context."""
    try:
        yield
    except (CallFailed, TransactionFailed) as failure:
        if error_text(failure.data) is None and interface.read_error(failure.data) is not None:
            failure.name_revert(interface.decode_revert(failure.data))
        raise


class Contract:
    """A deployed contract. `call` reads and `send` sends a transaction; functions are given by name or signature.

    Values are in attoFIL. Failures raise CallFailed or TransactionFailed with the names of the contract's custom
    errors. Arguments of the wrong type raise AbiMismatch.

    >>> from localnet import Network
    >>> with Network() as network:
    ...     contract = network.deploy("examples/solidity/artifacts/DataCapName.json")
    ...     contract.call("name")
    'DataCap'
    """

    def __init__(self, network: Transactions, address: EthAddress, interface: ContractInterface) -> None:
        self._network = network
        self.address = PrintedAddress(address)
        self.interface = interface

    def call(self, function: str, *arguments: Any, value: int = 0, sender: Target | None = None) -> Any:
        """Call a function without a transaction; return one value as it is, several as a tuple.

        `value` is in attoFIL. Raises CallFailed, AbiMismatch.
        """
        data = self.interface.encode_call(function, *arguments)
        with decoding_custom_errors(self.interface):
            return self.interface.decode_call_result(data, self._network.call(self.address, data, value, sender=sender))

    def send(
        self,
        function: str,
        *arguments: Any,
        value: int = 0,
        sender: Target | None = None,
        gas_limit: int | None = None,
    ) -> TransactionReceipt:
        """Send a transaction that calls a function. Raises AbiMismatch, and the errors of `Network.send`.

        A call that reverts already fails in gas estimation (CallFailed, no transaction). With `gas_limit` it is mined
        and raises TransactionFailed.
        """
        data = self.interface.encode_call(function, *arguments)
        with decoding_custom_errors(self.interface):
            return self._network.send(self.address, value, data, sender=sender, gas_limit=gas_limit)

    def events(self, receipt: TransactionReceipt) -> list[DecodedLog]:
        """Return this contract's events in a receipt, by the ABI."""
        own = (emitted.log for emitted in receipt.logs if emitted.address == self.address)
        decoded = (self.interface.decode_log(log) for log in own)
        return [event for event in decoded if event is not None]

    def reason(self, data: bytes) -> str:
        """Return the text of revert data, with the names of this contract's custom errors."""
        return self.interface.decode_revert(data)

    def __str__(self) -> str:
        return f"0x{self.address.hex()}"

    def __repr__(self) -> str:
        return f"Contract({self})"
