"""The contracts of the tests in both forms: solc's code for the EVM, and resolc's blob. `compile` renews them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.cbor import byte_string
from localnet import Network
from localnet.contracts.native_actor import NativeActor
from store.keccak import keccak

FOLDER: Final = Path(__file__).parent


class Forms(NamedTuple):
    """A contract: its ABI, solc's init code and resolc's blob."""

    abi: list[dict[str, Any]]
    evm: bytes
    riscv: bytes


def forms(name: str) -> Forms:
    """Return a contract in both forms."""
    found = json.loads((FOLDER / "compiled.json").read_text())[name]
    return Forms(found["abi"], bytes.fromhex(found["evm"]), bytes.fromhex(found["riscv"]))


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def call(signature: str, *arguments: int | bytes) -> bytes:
    """Return calldata. The last argument may be longer than a word: bytes of type `bytes`."""
    words = [each for each in arguments if isinstance(each, int) or len(each) <= 32]
    rest = b"".join(each for each in arguments if not isinstance(each, int) and len(each) > 32)
    return keccak(signature.encode())[:4] + b"".join(map(word, words)) + rest


def with_data(signature: str, *arguments: int | bytes, data: bytes) -> bytes:
    """Return calldata of a function whose last argument is `data`."""
    head = b"".join(map(word, arguments)) + word(32 * (len(arguments) + 1))
    return keccak(signature.encode())[:4] + head + word(len(data)) + data.ljust(-(-len(data) // 32) * 32, b"\0")


def deploy(network: Network, name: str, value: int = 0) -> EthAddress:
    """Create the EVM form of a contract."""
    address = network.send(None, value, forms(name).evm).contract_address
    assert address is not None
    return address


def create(network: Network, name: str, arguments: bytes = b"") -> NativeActor:
    """Create an actor whose code is the RISC-V form of a contract."""
    code = network.actors.install(forms(name).riscv)
    return network.actors.create(code, cbor=byte_string(arguments) if arguments else b"")
