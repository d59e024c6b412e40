"""Scripts of requests: one JSON file per subject in `scripts/`, expanded to requests.

A script has `values`, lists by name, and `steps`. A step is a request, a list of a method and its parameters, or an
object: `{"name": N, "request": [...]}` gives the result a name for later requests, `{"mine": true}` makes a block of
the pool. In a step

- `"$name"` stands for each value of the list `name`, of the script or of `values.json`; several give all combinations;
- `{"$merge": [...]}` is one object of several, `{"$repeat": [value, count]}` a list, `{"$sign": {...}}` the raw form
  of a transaction (its fields are those of chain.json);
- `<head>`, `<head+5>`, `<account0>`, `<tx3>` (the third transaction's hash), `<word.5>`, `<zeros.9>` (bytes) and the
  `names` of chain.json stand for hex text, and `<probe.set(1,<account0>)>` for the calldata of Probe.sol's function;
- `<hash3>` stands for the hash of a block, and `<N>` for the result with a name: these differ between nodes.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_utils.crypto import keccak

from localnet.contracts.contract import Artifact

FOLDER: Final = Path(__file__).parent
CHAIN_ID: Final = 31337
GWEI: Final = 10**9
_MNEMONIC: Final = "test test test test test test test test test test test junk"
_PLACEHOLDER: Final = re.compile(r"<([^<>]*)>")
_DEFAULTS: Final = {"gas": 500_000, "chainId": CHAIN_ID}
_FEES: Final = {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI}


@dataclass(frozen=True)
class Request:
    """A request of a script, whose parameters may name hashes of blocks and earlier results."""

    method: str
    params: list[Any]
    name: str = ""


@dataclass(frozen=True)
class Block:
    """A block of the chain: its time, randomness and signed transactions."""

    timestamp: int
    randomness: str
    transactions: list[str]


MINE: Final = Request("mine", [])
"""The step that makes a block of the pool's transactions."""


@cache
def accounts() -> list[Any]:
    """Return the ten accounts of the usual test mnemonic."""
    Account.enable_unaudited_hdwallet_features()
    return [Account.from_mnemonic(_MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}") for number in range(10)]


@cache
def chain_file() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "chain.json").read_text(encoding="utf-8"))
    return content


@cache
def blocks() -> list[Block]:
    """Return the blocks of chain.json, with signed transactions. Nonces count from 0 for each sender."""
    content, nonces, found = chain_file(), [0] * 10, []
    for height, transactions in enumerate(content["blocks"], 1):
        raw = []
        for fields in with_names(transactions):
            raw.append(sign({"nonce": nonces[fields["account"]], **fields}))
            nonces[fields["account"]] += 1
            for authorization in fields.get("authorizations", ()):
                nonces[authorization["account"]] += authorization["nonce"] == nonces[authorization["account"]]
        randomness = "0x" + hashlib.sha256(f"block {height}".encode()).hexdigest()
        found.append(Block(content["start"] + content["interval"] * height, randomness, raw))
    return found


def sign(fields: dict[str, Any]) -> str:
    """Return the raw form of a transaction of `account`, with defaults for gas, fees and the chain ID."""
    fields = {**_DEFAULTS, **({} if "gasPrice" in fields else _FEES), "value": 0, **fields}
    signer = accounts()[fields.pop("account")]
    if fields.pop("unprotected", False):
        del fields["chainId"]
    if "to" in fields:
        fields["to"] = bytes.fromhex(fields["to"][2:])
    if authorizations := fields.pop("authorizations", None):
        fields["authorizationList"] = [
            accounts()[each["account"]].sign_authorization(
                {"chainId": CHAIN_ID, "address": bytes.fromhex(each["address"][2:]), "nonce": each["nonce"]}
            )
            for each in authorizations
        ]
    return "0x" + bytes(signer.sign_transaction(fields).raw_transaction).hex()


def subjects() -> list[str]:
    """Return the names of the scripts. Those that change the chain or the pool come last."""
    return sorted((path.stem for path in (FOLDER / "scripts").glob("*.json")), key=lambda name: (_changes(name), name))


def digest(subject: str) -> str:
    """Return the SHA-256 of a script and of what it depends on: the chain, and the scripts that change it before."""
    earlier = [f"scripts/{name}.json" for name in subjects() if _changes(name)] if _changes(subject) else []
    files = ["chain.json", "Probe.json", "values.json", *earlier, f"scripts/{subject}.json"]
    return hashlib.sha256(b"\0".join((FOLDER / file).read_bytes() for file in files)).hexdigest()


@cache
def requests(subject: str) -> list[Request]:
    """Return the requests of a script."""
    content = _script(subject)
    values, found = {**common_values(), **content.get("values", {})}, []
    for step in content["steps"]:
        if isinstance(step, dict) and "mine" in step:
            found.append(MINE)
            continue
        name, request = (step["name"], step["request"]) if isinstance(step, dict) else ("", step)
        for method, *params in map(_signed, map(with_names, expanded(request, values))):
            found.append(Request(method, params, name))
    return found


@cache
def common_values() -> dict[str, list[Any]]:
    """Return the lists of values.json."""
    values: dict[str, list[Any]] = json.loads((FOLDER / "values.json").read_text(encoding="utf-8"))
    return values


def _script(subject: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "scripts" / f"{subject}.json").read_text(encoding="utf-8"))
    return content


@cache
def _changes(subject: str) -> bool:
    return "changes" in _script(subject)


def expanded(value: Any, values: dict[str, list[Any]]) -> Iterator[Any]:
    """Yield what a step or a part of it stands for."""
    if isinstance(value, str) and value.startswith("$"):
        for each in values[value[1:]]:
            yield from expanded(each, values)
    elif isinstance(value, list):
        yield from map(list, itertools.product(*(list(expanded(each, values)) for each in value)))
    elif isinstance(value, dict) and "$merge" in value:
        for parts in expanded(value["$merge"], values):
            yield {name: each for part in parts for name, each in part.items()}
    elif isinstance(value, dict) and "$repeat" in value:
        item, count = value["$repeat"]
        yield from ([each] * count for each in expanded(item, values))
    elif isinstance(value, dict):
        for parts in itertools.product(*(list(expanded(each, values)) for each in value.values())):
            yield dict(zip(value, parts, strict=True))
    else:
        yield value


def _signed(value: Any) -> Any:
    if isinstance(value, list):
        return [_signed(each) for each in value]
    if isinstance(value, dict):
        return sign(value["$sign"]) if "$sign" in value else {name: _signed(each) for name, each in value.items()}
    return value


def with_names(value: Any) -> Any:
    """Return a value with hex text for the placeholders that are the same for both nodes, innermost first."""
    text, before = json.dumps(value), ""
    while text != before:
        before, text = text, _PLACEHOLDER.sub(lambda found: _constant(found[1]) or found[0], text)
    return json.loads(text)


@cache
def _constant(name: str) -> str | None:
    content = chain_file()
    if name in content["names"]:
        return str(content["names"][name])
    if name == "code":
        return "0x" + _probe().bytecode.hex()
    if found := re.fullmatch(r"head(\+\d+)?", name):
        return hex(len(content["blocks"]) + int(found[1] or 0))
    if found := re.fullmatch(r"probe\.(\w+)\((.*)\)", name):
        return _calldata(found[1], found[2].split(",") if found[2] else [])
    if found := re.fullmatch(r"(account|tx|word\.|zeros\.)(\d+)", name):
        number = int(found[2])
        if found[1] == "account":
            return str(accounts()[number].address).lower()
        if found[1] == "tx":
            raw = [raw for block in blocks() for raw in block.transactions][number]
            return "0x" + keccak(hexstr=raw).hex()
        return f"0x{number:064x}" if found[1] == "word." else "0x" + bytes(number).hex()
    return None


@cache
def _probe() -> Artifact:
    return Artifact.load(FOLDER / "Probe.json")


def _calldata(function: str, arguments: list[str]) -> str:
    abi = json.loads((FOLDER / "Probe.json").read_text(encoding="utf-8"))["abi"]
    (types,) = [[each["type"] for each in row["inputs"]] for row in abi if row.get("name") == function]
    values = [_argument(kind, text) for kind, text in zip(types, arguments, strict=True)]
    return "0x" + _probe().interface.encode_call(function, *values).hex()


def _argument(kind: str, text: str) -> int | bytes | str:
    if kind.startswith("uint"):
        return int(text, 0)
    if kind == "bytes32":
        return int(text, 0).to_bytes(32, "big")
    return text if kind == "address" else bytes.fromhex(text[2:])
