"""Solidity's semantic tests: a reader of their files, and their run on a local network.

The format is that of the compiler's test/libsolidity/SemanticTest.cpp. Of its pipelines the legacy one is used, without
the optimizer, for the EVM of Cancun; expected gas is not compared. Each test begins on a network without contracts, and
its sender has the address, the nonce and so the contracts' addresses of the compiler's own test host.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from localnet import Network, TransactionFailed, TransactionReceipt
from localnet.state.controls import contract_state
from localnet.testing.requests import Requests
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT

VERSIONS: Final = (
    "homestead", "tangerineWhistle", "spuriousDragon", "byzantium", "constantinople", "petersburg", "istanbul",
    "berlin", "london", "paris", "shanghai", "cancun", "prague", "osaka",
)  # fmt: skip
ACCOUNTS: Final = tuple(
    EthAddress((0x1212121212121212121212121212120000000012 + 0x1000 * number).to_bytes(20, "big"))
    for number in range(10)
)
_BUILTINS: Final = "balance|storageEmpty|account|isoltest_builtin_test|isoltest_side_effects_test"
_SIGNATURE: Final = re.compile(rf"(?!left\(|right\()(?:[\w$]*\([\w$,()\[\] ]*\)|(?:{_BUILTINS})\b)")
_AMOUNT: Final = re.compile(r"\s*,\s*(\d+)\s+(wei|ether)\b")
_LIBRARY: Final = re.compile(r'library:\s*(?:"(?P<file>[^"]*)")?:?\s*(?P<name>\w+)')
_VALUE: Final = re.compile(
    r'hex"(?P<hex>[^"]*)"|"(?P<text>(?:\\.|[^"\\])*)"|(?:(?P<side>left|right)\()?(?P<number>-?(?:0x[0-9a-fA-F]+|[\d.]+))'
    r"|(?P<word>true|false|FAILURE)|(?P<arrow>->)"
)
_EVENT: Final = re.compile(r"emit (?P<signature>\S+?)(?: from (?P<emitter>0x\w+))?(?:: (?P<values>.*))?")
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,2}|.)")
_CHARACTERS: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\])*")|#[^#]*#')
_CONTRACT: Final = re.compile(r"^\s*(?:abstract\s+)?(?:contract|interface|library)\s+([\w$]+)", re.MULTILINE)
_OUTPUT: Final = {"*": {"*": ["evm.bytecode.object"]}}
_BALANCE: Final = 1 << 100
_COINBASE: Final = EthAddress(b"\x78" * 20)
_GAS: Final = {"ethereum": 20_000_000, "filecoin": 9_000_000_000}

Event = tuple[bytes, tuple[bytes, ...], bytes]
"""The emitter's address, topics and data of a log."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call or a builtin function of the format, its expected end, and the events that it must emit."""

    signature: str
    value: int
    arguments: bytes
    fails: bool
    output: bytes
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SemanticTest:
    """A file: sources by name, the last of which has the contract under test, settings, libraries and calls."""

    sources: Mapping[str, str]
    settings: Mapping[str, str]
    libraries: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]

    @property
    def runs(self) -> bool:
        """True if the test is one for the legacy pipeline and Cancun."""
        wanted = self.settings.get("EVMVersion", "cancun")
        later = VERSIONS.index("cancun") - VERSIONS.index(wanted.lstrip("<>="))
        fits = {">=": later >= 0, ">": later > 0, "<=": later <= 0, "<": later < 0}
        is_legacy = self.settings.get("compileViaYul") != "true" and "ABIEncoderV1Only" not in self.settings
        return is_legacy and fits.get(wanted.rstrip("abcdefghijklmnopqrstuvwxyzDW"), later == 0)

    @property
    def contract(self) -> tuple[str, str]:
        """The source and the name of the contract under test."""
        name, source = list(self.sources.items())[-1]
        return name, _CONTRACT.findall(re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL))[-1]

    @property
    def compiler_input(self) -> dict[str, Any]:
        """Input of the compiler, in which the libraries have the addresses of the sender's first contracts."""
        linked: dict[str, dict[str, str]] = {}
        for nonce, (file, name) in enumerate(self.libraries, 1):
            linked.setdefault(file, {})[name] = f"0x{create_address(ACCOUNTS[0], nonce).hex()}"
        settings: dict[str, Any] = {"evmVersion": "cancun", "libraries": linked, "outputSelection": _OUTPUT}
        if reverts := self.settings.get("revertStrings"):
            settings["debug"] = {"revertStrings": reverts}
        sources = {name: {"content": text} for name, text in self.sources.items()}
        return {"language": "Solidity", "sources": sources, "settings": settings}


def read(file: Path) -> SemanticTest:
    """Read a test."""
    code, _, expected = file.read_text(encoding="utf-8").partition("\n// ----")
    code, _, settings = f"{code}\n".partition("// ====\n")
    parts = re.split(r"^==== (Source|ExternalSource):(.*)====\n", code, flags=re.MULTILINE)
    sources = {"": parts[0]} if parts[0].strip() or len(parts) == 1 else {}
    for kind, title, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        name, _, path = title.strip().partition("=")
        sources[name] = text if kind == "Source" else (file.parent / (path or name)).read_text(encoding="utf-8")
        if kind == "ExternalSource" and text.strip():
            sources[""] = text
    chosen = dict(re.findall(r"^// (\w+): *(.*?) *$", settings, re.MULTILINE))
    libraries, steps = [], []
    for text, events in _calls(expected):
        if library := _LIBRARY.match(text):
            libraries.append((library["file"] or "", library["name"]))
        else:
            steps.append(_step(text, events))
    return SemanticTest(sources, chosen, tuple(libraries), tuple(steps))


def read_all(folder: Path) -> dict[str, SemanticTest]:
    """Read the tests of a folder that run here, by their files' paths."""
    files = sorted(file.relative_to(folder) for file in folder.rglob("*.sol"))
    tests = {str(file): read(folder / file) for file in files if not any(part[0] == "_" for part in file.parts)}
    return {name: test for name, test in tests.items() if test.runs}


def _calls(expected: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the text of each call, which may have several lines, with its events."""
    calls: list[tuple[str, list[str]]] = []
    for line in re.findall(r"^// ?(.*)$", expected, re.MULTILINE):
        if line.startswith("~"):
            calls[-1][1].append(line[1:].strip())
            continue
        text = _COMMENT.sub(lambda found: found[1] or "", line).strip()
        if text.startswith("library:") or (_SIGNATURE.match(text) and not (calls and calls[-1][0].endswith(","))):
            calls.append((text, []))
        elif text and not text.startswith("gas "):
            calls[-1] = (f"{calls[-1][0]} {text}", calls[-1][1])
    yield from ((text, tuple(events)) for text, events in calls)


def _step(text: str, events: tuple[str, ...]) -> Step:
    signature = _SIGNATURE.match(text)
    if signature is None:
        raise ValueError(f"no call: {text}")
    rest = text[signature.end() :]
    amount = _AMOUNT.match(rest)
    value = 0 if amount is None else int(amount[1]) * (10**18 if amount[2] == "ether" else 1)
    values = list(_VALUE.finditer(rest, amount.end() if amount else 0))
    arrow = next((index for index, found in enumerate(values) if found["arrow"]), len(values))
    expected = values[arrow + 1 :]
    fails = bool(expected) and expected[0]["word"] == "FAILURE"
    arguments, output = (b"".join(map(_encoded, found)) for found in (values[:arrow], expected))
    return Step(signature[0].replace(" ", ""), value, arguments, fails, output, events)


def _encoded(found: re.Match[str]) -> bytes:
    if found["hex"] is not None:
        return bytes.fromhex(_even(found["hex"]))
    if found["text"] is not None:
        octets = found["text"].encode().decode("latin-1")
        return _ESCAPE.sub(_character, octets).encode("latin-1").ljust(32, b"\0")
    if found["word"] is not None:
        return b"" if found["word"] == "FAILURE" else (found["word"] == "true").to_bytes(32, "big")
    number = found["number"].replace(".", "")
    if number.startswith("0x"):
        digits = _even(number[2:])
        return bytes.fromhex(digits.ljust(64, "0") if found["side"] == "left" else digits.zfill(64))
    value = int(number)
    if found["side"] == "left":
        return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big").ljust(32, b"\0")
    return (value % (1 << 256)).to_bytes(32, "big")


def _even(digits: str) -> str:
    return digits.zfill((len(digits) + 1) // 2 * 2)


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1][1:], 16)) if escape[1][0] == "x" else _CHARACTERS.get(escape[1], escape[1])


def network(rules: str) -> Network:
    """Return a network like the compiler's test host."""
    return Network(rules=rules, hardfork="cancun" if rules == "ethereum" else "", chain_id=1)


class Runner:
    """Execution of tests on one network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._requests = Requests(network)
        self._sender = ACCOUNTS[0]
        self._contract = EthAddress(bytes(20))
        if network.rules.name == "ethereum":
            network.set_coinbase(_COINBASE)
            network.set_default_block_gas_limit(_GAS["ethereum"])
        for account in ACCOUNTS:
            network.set_balance(account, _BALANCE)
        for number in range(1, 9):
            network.set_balance(EthAddress(number.to_bytes(20, "big")), 1)
        network.set_nonce(ACCOUNTS[0], 1)
        self._start = self._ask("evm_snapshot")

    def run(self, test: SemanticTest, contracts: Mapping[str, Any]) -> str | None:
        """Return the difference from the expected results, or None; `contracts` are the compiler's."""
        self._ask("evm_revert", self._start)
        self._start = self._ask("evm_snapshot")
        self._sender = ACCOUNTS[0]
        for file, name in test.libraries:
            self._send(None, 0, _code(contracts, file, name))
        code = _code(contracts, *test.contract)
        first = test.steps[0]
        is_constructor = first.signature == "constructor()"
        sent = self._send(None, first.value, code + first.arguments) if is_constructor else self._send(None, 0, code)
        self._contract = sent.contract_address or EthAddress(bytes(20))
        if is_constructor and sent.succeeded == first.fails:
            return f"constructor: {sent!r}"
        if not is_constructor and not sent.succeeded:
            return f"deployment: {sent!r}"
        return next(filter(None, map(self._difference, test.steps[is_constructor:])), None)

    def _difference(self, step: Step) -> str | None:
        if "(" not in step.signature:
            output = self._builtin(step)
            return None if output == step.output else f"{step.signature}: {output.hex()} is not {step.output.hex()}"
        selector = b"" if step.signature == "()" else keccak(step.signature.encode())[:4]
        sent = self._send(self._contract, step.value, selector + step.arguments)
        if sent.succeeded == step.fails or sent.return_data != step.output:
            ended, expected = _end(not sent.succeeded, sent.return_data), _end(step.fails, step.output)
            return f"{step.signature}: {ended} is not {expected}"
        emitted = [(bytes(log.address), tuple(log.log.topics), log.log.data) for log in sent.logs]
        wanted = [self._event(text) for text in step.events]
        return None if emitted == wanted or step.fails else f"{step.signature}: events {emitted} are not {wanted}"

    def _event(self, text: str) -> Event:
        found = _EVENT.fullmatch(text)
        if found is None:
            raise ValueError(f"no event: {text}")
        values = [
            (value.string[: value.start()][-1:] == "#", _encoded(value))
            for value in _VALUE.finditer(found["values"] or "")
        ]
        topics = [] if found["signature"] == "<anonymous>" else [keccak(found["signature"].encode())]
        topics += [value for is_topic, value in values if is_topic]
        emitter = bytes(self._contract) if found["emitter"] is None else bytes.fromhex(found["emitter"][2:])
        return emitter, tuple(topics), b"".join(value for is_topic, value in values if not is_topic)

    def _builtin(self, step: Step) -> bytes:
        if step.signature == "balance":
            owner = EthAddress(step.arguments[-20:]) if step.arguments else self._contract
            return int(self._network.balance(owner)).to_bytes(32, "big")
        if step.signature == "storageEmpty":
            actor = self._network.machine.actor(to_filecoin(self._contract))
            state = None if actor is None else contract_state(self._network.machine, actor)
            return (state is None or state.storage in (None, EMPTY_KAMT)).to_bytes(32, "big")
        if step.signature == "account":
            self._sender = ACCOUNTS[step.arguments[-1]]
            return self._sender.rjust(32, b"\0")
        return step.output

    def _send(self, to: EthAddress | None, value: int, data: bytes) -> TransactionReceipt:
        try:
            return self._network.send(to, value, data, sender=self._sender, gas_limit=_GAS[self._network.rules.name])
        except TransactionFailed as failed:
            return failed.receipt

    def _ask(self, method: str, *parameters: Any) -> Any:
        return self._requests.call(method, parameters)["result"]


def _end(failed: bool, output: bytes) -> str:
    return f"{'failure' if failed else 'success'} {output.hex()}"


def _code(contracts: Mapping[str, Any], file: str, name: str) -> bytes:
    return bytes.fromhex(contracts[file][name]["evm"]["bytecode"]["object"])
