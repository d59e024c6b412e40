"""ABI-encoded calls, results, logs and reverts, by a contract's interface."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any

from eth_abi.abi import encode

from bridge.abi.abi import AbiMismatch, ContractInterface
from bridge.filecoin.events import Log
from tests.fuzz import trees
from tests.fuzz.target import Target

TYPES = (
    "uint256",
    "int8",
    "bool",
    "address",
    "bytes4",
    "bytes",
    "string",
    "uint256[]",
    "string[]",
    "uint8[3]",
    "bytes[2][]",
    "(uint256,string)",
    "(uint256,string)[]",
    "uint256[][]",
)
_VALUES: dict[str, Any] = {
    "uint256": 5,
    "int8": -1,
    "bool": True,
    "address": "0x" + "11" * 20,
    "bytes4": b"abcd",
    "bytes": b"bytes",
    "string": "text",
    "uint256[]": [1, 2],
    "string[]": ["a", "b"],
    "uint8[3]": [1, 2, 3],
    "bytes[2][]": [[b"x", b"y"]],
    "(uint256,string)": (1, "x"),
    "(uint256,string)[]": [(1, "x"), (2, "")],
    "uint256[][]": [[1], []],
}


def run(data: bytes) -> bool:
    interface = _interface()
    taken = 0
    for read in (
        lambda: interface.decode_call(data),
        lambda: interface.decode_result(f"f{data[3] % len(TYPES)}" if len(data) > 3 else "f0", data[4:]),
    ):
        with suppress(AbiMismatch):
            taken += read() is not None
    interface.decode_revert(data)
    interface.function_name(data)
    topics = tuple(data[at : at + 32].ljust(32, b"\0") for at in range(0, min(len(data), 96), 32))
    taken += interface.decode_log(Log(topics, data[96:])) is not None
    return taken > 0


def _item(kind: str, name: str, **more: Any) -> dict[str, Any]:
    if kind.startswith("("):
        parts, rest = kind[1:].split(")")
        components = [_item(part, f"c{at}") for at, part in enumerate(parts.split(","))]
        return {"type": f"tuple{rest}", "name": name, "components": components, **more}
    return {"type": kind, "name": name, **more}


@cache
def _interface() -> ContractInterface:
    entries: list[dict[str, Any]] = []
    for at, kind in enumerate(TYPES):
        inputs = [_item(kind, "a"), _item("uint256", "b")]
        entries.append({"type": "function", "name": f"f{at}", "inputs": inputs, "outputs": [_item(kind, "")]})
        entries.append({"type": "error", "name": f"E{at}", "inputs": inputs})
        arguments = [_item(kind, "a", indexed=False), _item("uint256", "b", indexed=True)]
        entries.append({"type": "event", "name": f"L{at}", "inputs": arguments})
    return ContractInterface(entries)


@cache
def _inputs() -> list[bytes]:
    interface = _interface()
    inputs = []
    for at, kind in enumerate(TYPES):
        arguments = encode([kind, "uint256"], [_VALUES[kind], 7])
        inputs.append(interface.encode_call(f"f{at}", _VALUES[kind], 7))
        inputs.append(b"\0\0\0" + bytes((at,)) + encode([kind], [_VALUES[kind]]))
        inputs += [
            selector + arguments for selector in interface._errors if interface._errors[selector]["name"] == f"E{at}"
        ]
        for topic, _ in interface._events:
            if interface._events[topic, 1]["name"] == f"L{at}":
                inputs.append(topic + (9).to_bytes(32, "big") + bytes(32) + encode([kind], [_VALUES[kind]]))
    return inputs


def seeds() -> Iterator[bytes]:
    yield from _inputs()


def mutate(data: bytes, rng: Random) -> bytes:
    """Change a word, or repeat words."""
    if len(data) < 36 or rng.random() < 0.3:
        data = rng.choice(_inputs())
    at = 4 + 32 * rng.randrange((len(data) - 4) // 32 or 1)
    word = int.from_bytes(data[at : at + 32], "big")
    match rng.randrange(5):
        case 0:
            return data[:at] + data[at : at + 64] + data[at:]
        case 1:
            return data + rng.randbytes(32)
        case 2:
            return data[:at] + (32 * rng.randrange(9)).to_bytes(32, "big") + data[at + 32 :]
        case _:
            return data[:at] + (trees.random_number(rng, word) % 2**256).to_bytes(32, "big") + data[at + 32 :]


TARGET = Target(run, seeds, mutate, share=60, longest=1500)
