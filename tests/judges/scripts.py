"""Scripts of requests: one JSON file per subject in `JUDGE/scripts`, expanded to requests.

A script has `values`, lists by name, and `steps`. A step is a request, a list of a method and its parameters, or an
object: `{"name": N, "request": [...]}` gives the result a name for later requests, `{"mine": true}` makes a block of
the pool. In a step

- `"$name"` stands for each value of the list `name`, of the script or of `values.json`; several give all combinations;
- `{"$merge": [...]}` is one object of several, `{"$repeat": [value, count]}` a list, `{"$sign": {...}}` the raw form
  of a transaction or the signed message (its fields are those of chain.json), `$cid` and `$hash` what identifies it;
- `<head>`, `<head+5>`, `<account0>`, `<native0>`, `<delegated0>` (its f1 and f410 addresses), `<f4.NAME>`, `<tx3>`,
  `<cid3>` (hash and CID of the third message), `<word.5>`, `<zeros.9>` (bytes) and the `names` of chain.json stand
  for text, and `<probe.set(1,<account0>)>` for the calldata of Probe.sol's function;
- `<hash3>` stands for the hash of a block, `<block3>` for its CID, `<id.NAME>` for the ID of the actor at a named
  address, and `<N>` for the result with a name: these differ between nodes.
"""

import hashlib
import itertools
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_utils.crypto import keccak

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import parse_transaction
from bridge.filecoin.messages import signed_message
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, SignedMessage
from hypervisor.types import Gas, MethodNumber, TokenAmount
from localnet.accounts import TEST_MNEMONIC, accounts
from localnet.accounts import Account as FilecoinAccount
from localnet.contracts.contract import Artifact
from localnet.rpc.lotus_values import address_json, message_json
from store.cid import show

FOLDER: Final = Path(__file__).parent
_PLACEHOLDER: Final = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True)
class Request:
    """A request of a script, whose parameters may name hashes of blocks and earlier results."""

    method: str
    params: list[Any]
    name: str = ""


@dataclass(frozen=True)
class Block:
    """A block of the chain: its position, the null rounds before it, and its signed transactions and messages."""

    number: int
    nulls: int
    messages: list[Any]

    @property
    def randomness(self) -> str:
        return "0x" + hashlib.sha256(f"block {self.number}".encode()).hexdigest()


MINE: Final = Request("mine", [])
"""The step that makes a block of the pool's transactions."""


@dataclass(frozen=True)
class Scripts:
    """The scripts for one judge, in the folder with its name."""

    judge: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.judge

    @property
    def chain(self) -> dict[str, Any]:
        """The content of chain.json."""
        return _content(self.folder / "chain.json")

    @property
    def common_values(self) -> dict[str, list[Any]]:
        """The lists of values.json."""
        return _content(self.folder / "values.json")

    def subjects(self) -> list[str]:
        """Return the names of the scripts. Those that change the chain or the pool come last."""
        names = (path.stem for path in (self.folder / "scripts").glob("*.json"))
        return sorted(names, key=lambda name: (self._changes(name), name))

    def digest(self, subject: str) -> str:
        """Return the SHA-256 of a script and of what it depends on: the chain, and scripts that change it before."""
        changing = [f"scripts/{name}.json" for name in self.subjects() if self._changes(name)]
        files = ["values.json", *(changing if self._changes(subject) else ()), f"scripts/{subject}.json"]
        paths = [self.folder / "chain.json", FOLDER / "Probe.json", *(self.folder / file for file in files)]
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()

    def blocks(self) -> list[Block]:
        """Return the blocks of chain.json, with signed messages."""
        return _blocks(self)

    def requests(self, subject: str) -> list[Request]:
        """Return the requests of a script."""
        return _requests(self, subject)

    def sign(self, fields: dict[str, Any]) -> Any:
        """Return the raw form of a transaction of `account`, or the signed message of the account's f1 address.

        Gas, fees and the chain ID have defaults.
        """
        if "To" in fields:
            return message_json(_signed_message(self.chain, fields))
        fees = {} if "gasPrice" in fields else self.chain["fees"]
        fields = {"gas": self.chain["gas"], "chainId": self.chain["chainId"], "value": 0, **fees, **fields}
        signer = _signers()[fields.pop("account")]
        if fields.pop("unprotected", False):
            del fields["chainId"]
        if "to" in fields:
            fields["to"] = bytes.fromhex(fields["to"][2:])
        if authorizations := fields.pop("authorizations", None):
            fields["authorizationList"] = [
                _signers()[each["account"]].sign_authorization(
                    {
                        "chainId": self.chain["chainId"],
                        "address": bytes.fromhex(each["address"][2:]),
                        "nonce": each["nonce"],
                    }
                )
                for each in authorizations
            ]
        return "0x" + bytes(signer.sign_transaction(fields).raw_transaction).hex()

    def with_names(self, value: Any) -> Any:
        """Return a value with text for the placeholders that are the same for both nodes, innermost first."""
        text, before = json.dumps(value), ""
        while text != before:
            before, text = text, _PLACEHOLDER.sub(lambda found: _constant(self, found[1]) or found[0], text)
        return json.loads(text)

    def _changes(self, subject: str) -> bool:
        return "changes" in _content(self.folder / "scripts" / f"{subject}.json")


GETH: Final = Scripts("geth")
LOTUS: Final = Scripts("lotus")


@cache
def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@cache
def _signers() -> list[Any]:
    """Return the ten accounts of the usual test mnemonic."""
    Account.enable_unaudited_hdwallet_features()
    return [Account.from_mnemonic(TEST_MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}") for number in range(10)]


@cache
def _accounts() -> tuple[FilecoinAccount, ...]:
    """Return the same accounts with their f1 addresses."""
    return accounts()


@cache
def _blocks(scripts: Scripts) -> list[Block]:
    """Return the blocks with signed messages. Nonces count from 0 for each sender."""
    nonces: dict[tuple[int, bool], int] = {}
    found = []
    for number, content in enumerate(scripts.chain["blocks"], 1):
        content = content if isinstance(content, dict) else {"messages": content}
        signed = []
        for fields in scripts.with_names(content["messages"]):
            sender = fields["account"], "To" in fields
            signed.append(scripts.sign({"nonce": nonces.get(sender, 0), **fields}))
            nonces[sender] = nonces.get(sender, 0) + 1
            for authorization in fields.get("authorizations", ()):
                key = authorization["account"], False
                nonces[key] = nonces.get(key, 0) + (authorization["nonce"] == nonces.get(key, 0))
        found.append(Block(number, content.get("nulls", 0), signed))
    return found


def _signed_message(chain: dict[str, Any], fields: dict[str, Any]) -> SignedMessage:
    account = _accounts()[int(fields["account"])]
    fees: dict[str, int] = chain["fees"]
    message = Message(
        version=fields.get("Version", 0),
        to=Address.parse(fields["To"]),
        from_=account.native,
        nonce=fields["nonce"],
        value=TokenAmount(int(fields.get("Value", "0"))),
        method=MethodNumber(fields.get("Method", 0)),
        params=b64decode(fields.get("Params", "")),
        gas_limit=Gas(fields.get("GasLimit", chain["gas"])),
        gas_fee_cap=TokenAmount(int(fields.get("GasFeeCap", fees["maxFeePerGas"]))),
        gas_premium=TokenAmount(int(fields.get("GasPremium", fees["maxPriorityFeePerGas"]))),
    )
    return account.sign_native(message)


@cache
def _requests(scripts: Scripts, subject: str) -> list[Request]:
    content = _content(scripts.folder / "scripts" / f"{subject}.json")
    values, found = {**scripts.common_values, **content.get("values", {})}, []
    for step in content["steps"]:
        if isinstance(step, dict) and "mine" in step:
            found.append(MINE)
            continue
        name, request = (step["name"], step["request"]) if isinstance(step, dict) else ("", step)
        for each in expanded(request, values):
            method, *params = _signed(scripts, scripts.with_names(each))
            found.append(Request(method, params, name))
    return found


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


def _signed(scripts: Scripts, value: Any) -> Any:
    if isinstance(value, list):
        return [_signed(scripts, each) for each in value]
    if isinstance(value, dict):
        if "$sign" in value:
            return scripts.sign(value["$sign"])
        if "$cid" in value:
            return {"/": _cid(scripts.sign(value["$cid"]))}
        if "$hash" in value:
            return "0x" + keccak(hexstr=scripts.sign(value["$hash"])).hex()
        return {name: _signed(scripts, each) for name, each in value.items()}
    return value


@cache
def _constant(scripts: Scripts, name: str) -> str | None:
    content = scripts.chain
    if name in content["names"]:
        return str(content["names"][name])
    if name.startswith("f4."):
        return address_json(to_filecoin(EthAddress(bytes.fromhex(content["names"][name[3:]][2:]))))
    if name == "code":
        return "0x" + _probe().bytecode.hex()
    if found := re.fullmatch(r"head(\+\d+)?", name):
        height = sum(1 + block.nulls for block in scripts.blocks())
        return hex(content.get("height", 0) + height + int(found[1] or 0))
    if found := re.fullmatch(r"probe\.(\w+)\((.*)\)", name):
        return _calldata(found[1], found[2].split(",") if found[2] else [])
    if found := re.fullmatch(r"(account|native|delegated|tx|cid|word\.|zeros\.)(\d+)", name):
        kind, number = found[1], int(found[2])
        if kind == "account":
            return str(_signers()[number].address).lower()
        if kind in ("native", "delegated"):
            return address_json(getattr(_accounts()[number], kind))
        if kind in ("tx", "cid"):
            message = [each for block in scripts.blocks() for each in block.messages][number]
            return "0x" + keccak(hexstr=message).hex() if kind == "tx" else _cid(message)
        return f"0x{number:064x}" if kind == "word." else "0x" + bytes(number).hex()
    return None


def _cid(message: Any) -> str:
    if isinstance(message, dict):
        return str(message["CID"]["/"])
    return show(signed_message(parse_transaction(bytes.fromhex(message[2:]))).cid())


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
