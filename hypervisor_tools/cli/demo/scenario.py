"""Steps of the demonstration, each with its facts, call tree and state root, and their output as text or JSON.

The compiled examples are in examples/; a wheel contains copies in this folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from bridge.abi.abi import ContractInterface
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, invoke_return, unwrap_return
from bridge.filecoin.receipts import entries_to_log
from hypervisor import Address, Genesis, Hypervisor, Message, Recorder, SignedMessage, call_tree
from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.registry import traits_of
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Signature, SignatureType
from hypervisor.messages.signatures import secp256k1_public_key, sign_secp256k1
from hypervisor.tracing import CallNode, TraceEvent
from hypervisor.types import ATTO_PER_FIL, EAM_ACTOR, ActorID, MethodNumber, TokenAmount, decode_bigint, encode_bigint
from localnet.contracts.contract import Artifact
from localnet.traces.call_text import EVENT_STYLE, GUIDE_STYLE, call_line
from store.cid import RAW, Cid, show
from store.codec import decode, encode

_PACKAGED = Path(__file__).parent / "compiled"
_CHECKOUT = Path(__file__).parents[3] / "examples"


@cache
def contract(name: str) -> Artifact:
    """Return the artifact of a contract in examples/solidity."""
    return Artifact.load(_find(f"solidity/artifacts/{name}.json"))


@cache
def counter_module() -> bytes:
    """Return the module of the native counter actor in examples/counter."""
    return _find("counter/counter.wasm").read_bytes()


def _find(path: str) -> Path:
    for folder in (_PACKAGED, _CHECKOUT):
        if (folder / path).is_file():
            return folder / path
    raise FileNotFoundError(
        f"the example {path} is neither in the package nor in a checkout: install the project again"
    )


FUNDS = TokenAmount(1_000 * ATTO_PER_FIL)


class DemoFailed(HypervisorError):
    """Raised if a step has a wrong result."""


class DemoStage:
    """A machine with an Ethereum account, a native account with its key, and their deployed actors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = hashlib.sha256(b"hypervisor demonstration: native account").digest()
        self.native_account = Address.secp256k1(secp256k1_public_key(self._key))
        eth_account = hashlib.sha256(b"hypervisor demonstration: Ethereum account").digest()[:20]
        self.eth_account = to_filecoin(EthAddress(eth_account))
        self._recorder = Recorder()
        self.machine = self._open()
        self.take_trace()  # drop the events of the genesis
        self.names: dict[ActorID, str] = {}
        self.contracts: dict[str, EthAddress] = {}
        self.counter = ActorID(0)
        for address, name in ((self.native_account, "native account"), (self.eth_account, "Ethereum account")):
            self.names[self.id_of(address)] = name

    def _open(self) -> Hypervisor:
        accounts = {self.native_account: FUNDS, self.eth_account: FUNDS}
        return Hypervisor.open(self.folder, genesis=Genesis(accounts=accounts), tracer=self._recorder)

    def reopen(self) -> None:
        """Commit, close the folder and open it again."""
        self.machine.flush()
        self.machine.close()
        self.machine = self._open()

    def id_of(self, address: Address) -> ActorID:
        """Return the actor ID of an existing address. Raises DemoFailed otherwise."""
        actor = self.machine.state_tree.lookup_id(address)
        if actor is None:
            raise DemoFailed(f"no actor has the address {address}")
        return actor

    def id_of_contract(self, name: str) -> ActorID:
        return self.id_of(to_filecoin(self.contracts[name]))

    def take_trace(self) -> tuple[TraceEvent, ...]:
        """Return the events since the last call."""
        events, self._recorder.events = tuple(self._recorder.events), []
        return events

    def deploy(self, name: str) -> ActorID:
        """Deploy a contract through the Ethereum address manager."""
        artifact = contract(name)
        init_code = artifact.interface.encode_constructor(artifact.bytecode)
        result = self._eth_message(Address.id(EAM_ACTOR), MethodNumber(CREATE_EXTERNAL_METHOD), encode(init_code))
        created = CreateReturn.decode(result.return_data)
        self.contracts[name] = created.eth_address
        self.names[created.actor] = f"contract {name}"
        return created.actor

    def create_counter(self) -> ActorID:
        """Install the native counter actor's module and create one actor of it."""
        code = self.machine.install(counter_module())
        self.counter = self.machine.create(code).id
        self.names[self.counter] = "native counter"
        return self.counter

    def call_contract(self, name: str, function: str, *arguments: Any, value: int = 0) -> tuple[Any, ApplyResult]:
        """Send a transaction from the Ethereum account; return the decoded result and the apply result."""
        interface = contract(name).interface
        calldata = invoke_params(interface.encode_call(function, *arguments))
        result = self._eth_message(to_filecoin(self.contracts[name]), INVOKE_EVM, calldata, value)
        return interface.decode_result(function, invoke_return(result.return_data)), result

    def call_counter(self, method: str, params: bytes = b"") -> ApplyResult:
        """Send a signed message from the native account to an exported method of the counter actor."""
        message = Message(
            Address.id(self.counter),
            self.native_account,
            nonce=self._nonce(self.native_account),
            method=method_number(method),
            params=params,
        )
        signature = Signature(SignatureType.SECP256K1, sign_secp256k1(self._key, message.cid()))
        return self._succeed(self.machine.apply(SignedMessage(message, signature)), method)

    def _eth_message(self, to: Address, method: MethodNumber, params: bytes, value: int = 0) -> ApplyResult:
        message = Message(
            to,
            self.eth_account,
            nonce=self._nonce(self.eth_account),
            value=TokenAmount(value),
            method=method,
            params=params,
        )
        return self._succeed(self.machine.apply(message), f"method {method} of {to}")

    def _nonce(self, address: Address) -> int:
        actor = self.machine.actor(address)
        return 0 if actor is None else actor.nonce

    @staticmethod
    def _succeed(result: ApplyResult, what: str) -> ApplyResult:
        if result.exit_code != ExitCode.OK:
            raise DemoFailed(f"{what} exited with {exit_name(result.exit_code)}: {result.message}")
        return result


DEPOSIT = TokenAmount(3 * ATTO_PER_FIL)
GIFT = TokenAmount(1 * ATTO_PER_FIL)
ABORT_CODE = 42
REFUSAL = "not today"


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One step: its title, result, calls, trace events, and the state root after it."""

    name: str
    title: str
    facts: dict[str, Any]
    calls: list[CallNode]
    trace: tuple[TraceEvent, ...]
    root: Cid


@dataclass(slots=True)
class Demo:
    """The finished demonstration; `names` maps actor IDs to names."""

    folder: Path
    steps: list[DemoStep] = field(default_factory=list)
    names: dict[ActorID, str] = field(default_factory=dict)


def run(folder: Path, on_step: Callable[[Demo, DemoStep], None] | None = None) -> Demo:
    """Run the demonstration in a new state folder. Raises DemoFailed if a step has a wrong result."""
    stage = DemoStage(folder)
    demo = Demo(folder, names=stage.names)
    try:
        for name, title, act in STEPS:
            facts = act(stage)
            root = stage.machine.flush()
            trace = stage.take_trace()
            step = DemoStep(name, title, facts, call_tree(trace), trace, root)
            demo.steps.append(step)
            if on_step is not None:
                on_step(demo, step)
    finally:
        stage.machine.close()
    return demo


def deploy(stage: DemoStage) -> dict[str, Any]:
    """Create two contracts through the Ethereum address manager, and an actor from a user's module."""
    bridge, inbox = stage.deploy("Bridge"), stage.deploy("Inbox")
    counter = stage.create_counter()
    addresses = {name: f"0x{address.hex()}" for name, address in stage.contracts.items()}
    return {"bridge": bridge, "inbox": inbox, "counter": counter, "addresses": addresses}


def solidity_calls_native(stage: DemoStage) -> dict[str, Any]:
    """Call a native actor from a contract, with value."""
    total, result = stage.call_contract("Bridge", "deposit", stage.counter, value=DEPOSIT)
    _require(total == DEPOSIT, f"the native actor holds {total} attoFIL of deposits, {DEPOSIT} were sent")
    balance = _balance(stage, stage.counter)
    _require(balance == DEPOSIT, f"the native actor's balance is {balance}")
    return {"deposited": total, "balance": balance, "events": _events(stage, result)}


def native_calls_solidity(stage: DemoStage) -> dict[str, Any]:
    """Call a contract from a native actor, with value from the native actor's balance."""
    exit_code, data, result = _call_through(stage, "greet", ["from native code"], GIFT)
    greetings = contract("Inbox").interface.decode_result("greet", data)
    _require((exit_code, greetings) == (0, 1), f"the contract returned {exit_code}, {greetings}")
    balance = _balance(stage, stage.id_of_contract("Inbox"))
    _require(balance == GIFT, f"the contract's balance is {balance}")
    return {"exit_code": exit_code, "greetings": greetings, "balance": balance, "events": _events(stage, result)}


def nested_calls(stage: DemoStage) -> dict[str, Any]:
    """Call a native actor from a contract, and another contract from it, in one message."""
    inbox = contract("Inbox").interface
    calldata = inbox.encode_call("greet", "from a contract, through native code")
    (exit_code, data), result = stage.call_contract(
        "Bridge", "callThrough", stage.counter, stage.contracts["Inbox"], calldata, 0
    )
    greetings = inbox.decode_result("greet", data)
    _require((exit_code, greetings) == (0, 2), f"the inner contract returned {exit_code}, {greetings}")
    return {"exit_code": exit_code, "greetings": greetings, "events": _events(stage, result)}


def native_abort_caught(stage: DemoStage) -> dict[str, Any]:
    """Check that Solidity catches a native actor's abort and that its state changes and transfer are undone."""
    before_balance = _balance(stage, stage.counter)
    (exit_code, _, before, after), result = stage.call_contract(
        "Bridge", "tryFail", stage.counter, ABORT_CODE, "refused on purpose", value=GIFT
    )
    _require(exit_code == ABORT_CODE, f"the contract saw exit code {exit_code}")
    _require(before == after, f"the native actor's count went from {before} to {after}")
    _require(_balance(stage, stage.counter) == before_balance, "the native actor kept the value of an aborted call")
    events = _events(stage, result)
    _require(all(event["event"] != "failed" for event in events), "an event of an aborted call was kept")
    return {"exit_code": exit_code, "count_before": before, "count_after": after, "events": events}


def solidity_revert_seen(stage: DemoStage) -> dict[str, Any]:
    """Check that a native actor sees a contract's exit code and revert reason, and that its changes are undone."""
    exit_code, data, result = _call_through(stage, "refuse", [REFUSAL], GIFT)
    reason = contract("Inbox").interface.decode_revert(data)
    _require(exit_code == ExitCode.EVM_CONTRACT_REVERTED, f"the native actor saw exit code {exit_code}")
    _require(reason == REFUSAL, f"the revert reason is '{reason}', expected '{REFUSAL}'")
    greetings, _ = stage.call_contract("Inbox", "greetings")
    _require(greetings == 2, f"the contract counts {greetings} greetings")
    return {"exit_code": exit_code, "reason": reason, "greetings": greetings, "events": _events(stage, result)}


def events_of_both_sides(stage: DemoStage) -> dict[str, Any]:
    """Check that a native actor and a contract emit an event each, in two messages."""
    count, result = stage.call_contract("Bridge", "increment", stage.counter, 5)
    total, second = stage.call_contract("Bridge", "deposit", stage.counter, value=GIFT)
    _require(count == 5, f"the native actor counts {count}")
    events = _events(stage, result) + _events(stage, second)
    sides = {event["side"] for event in events}
    _require(sides == {"native", "evm"}, f"events came from {sorted(sides)}")
    return {"count": count, "deposited": total, "events": events}


def reopen(stage: DemoStage) -> dict[str, Any]:
    """Close the folder, open it again, and read the state back."""
    before = stage.machine.root
    stage.reopen()
    _require(stage.machine.root == before, "the reopened folder has another state root")
    count = decode(stage.call_counter("Get").return_data)
    deposits = decode_bigint(decode(stage.call_counter("Deposits").return_data))
    greetings, _ = stage.call_contract("Inbox", "greetings")
    _require((count, deposits, greetings) == (5, DEPOSIT + GIFT, 2), f"read back {count}, {deposits}, {greetings}")
    return {"count": count, "deposits": deposits, "greetings": greetings, "root_kept": True}


STEPS: tuple[tuple[str, str, Callable[[DemoStage], dict[str, Any]]], ...] = (
    ("deploy", "Deploy two contracts and a native actor", deploy),
    ("solidity_calls_native", "Solidity calls native, with value", solidity_calls_native),
    ("native_calls_solidity", "Native calls Solidity, with value", native_calls_solidity),
    ("nested_calls", "Contract calls native calls contract", nested_calls),
    ("native_abort_caught", "A native abort, caught by Solidity: its state is rolled back", native_abort_caught),
    ("solidity_revert_seen", "A Solidity revert, seen by native code with its exit code", solidity_revert_seen),
    ("events_of_both_sides", "An event from each side", events_of_both_sides),
    ("reopen", "Close, reopen, read back", reopen),
)


def _call_through(stage: DemoStage, function: str, arguments: list[Any], value: int) -> tuple[int, bytes, ApplyResult]:
    calldata = contract("Inbox").interface.encode_call(function, *arguments)
    params = encode([bytes(stage.contracts["Inbox"]), calldata, encode_bigint(value)])
    result = stage.call_counter("CallContract", params)
    exit_code, data = decode(result.return_data)
    return exit_code, data, result


def _balance(stage: DemoStage, actor: ActorID) -> int:
    state = stage.machine.state_tree.get_actor(actor)
    return 0 if state is None else state.balance


def _events(stage: DemoStage, result: ApplyResult) -> list[dict[str, Any]]:
    return [_event(stage, event) for event in result.events]


def _event(stage: DemoStage, event: StampedEvent) -> dict[str, Any]:
    """Describe an event: a log by the contract's ABI, a native event by its CBOR values."""
    emitter = stage.names.get(event.emitter, f"f0{event.emitter}")
    log = entries_to_log(event.entries)
    interface = _interface(emitter)
    decoded = interface.decode_log(log) if log is not None and interface is not None else None
    if decoded is not None:
        values = {name: _plain(value) for name, value in decoded.arguments.items()}
        return {"side": "evm", "emitter": emitter, "event": decoded.event, "values": values}
    values = {entry.key: decode(entry.value) for entry in event.entries}
    if "amount" in values:
        values["amount"] = decode_bigint(values["amount"])
    return {"side": "native", "emitter": emitter, "event": values.pop("$type", ""), "values": values}


def _interface(emitter: str) -> ContractInterface | None:
    kind, _, name = emitter.partition(" ")
    return contract(name).interface if kind == "contract" else None


def _plain(value: Any) -> Any:
    return f"0x{value.hex()}" if isinstance(value, bytes) else value


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise DemoFailed(text)


_COUNTER_METHODS = ("Increment", "Get", "Deposit", "Deposits", "CallContract", "LastCall", "Fail")
_METHODS = {method_number(name): name for name in _COUNTER_METHODS}
_EVM_METHODS = {3: "GetBytecode", 4: "GetBytecodeHash", 6: "InvokeContractDelegate"}
_EAM_METHODS = {2: "Create", 3: "Create2", 4: "CreateExternal"}
_INIT_METHODS = {2: "Exec", 3: "Exec4"}


def print_step(console: Console, demo: Demo, step: DemoStep) -> None:
    """Print a step: its title, the call tree of each message, its events and the state root."""
    number = len(demo.steps)
    console.print(f"\n[bold]{number}. {escape(step.title)}[/bold]")
    for call in step.calls:
        console.print(_tree(demo, call))
    for event in step.facts.get("events", []):
        values = ", ".join(f"{name}={value}" for name, value in event["values"].items())
        console.print(Text(f"   event {event['event']} of {event['emitter']}: {values}", style=EVENT_STYLE))
    console.print(Text(f"   state root {show(step.root)}", style="dim"))


def demo_json(demo: Demo) -> dict[str, Any]:
    """Return all results of the demonstration as JSON. Gas in gas, amounts in attoFIL."""
    return {
        "folder": str(demo.folder),
        "actors": {f"f0{actor}": name for actor, name in demo.names.items()},
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "facts": step.facts,
                "calls": [_call(demo, call) for call in step.calls],
                "state_root": show(step.root),
            }
            for step in demo.steps
        ],
    }


def _tree(demo: Demo, call: CallNode) -> Tree:
    tree = Tree(_line(demo, call), guide_style=GUIDE_STYLE)
    for inner in call.calls:
        tree.add(_tree(demo, inner))
    return tree


def _line(demo: Demo, call: CallNode) -> Text:
    fields = _call(demo, call)
    callee = f"{fields['to']} {fields['actor']}"
    return call_line(
        fields["runtime"],
        callee,
        fields["method"],
        fields["value"],
        fields["exit_code"],
        fields["error"],
        fields["gas"],
    )


def _call(demo: Demo, call: CallNode) -> dict[str, Any]:
    actor = call.actor
    return {
        "runtime": call.runtime,
        "from": f"f0{call.start.from_}",
        "to": str(call.start.to) if actor is None else f"f0{actor}",
        "actor": _name(demo, actor),
        "method": _method(demo, call),
        "value": call.start.value,
        "exit_code": call.end.exit_code if call.end else 0,
        "error": call.end.error if call.end else "",
        "gas": -(-call.end.gas_used // 1000) if call.end else 0,
        "calls": [_call(demo, inner) for inner in call.calls],
    }


def _name(demo: Demo, actor: ActorID | None) -> str:
    singletons = {ActorID(1): "init", ActorID(10): "eam"}
    return "" if actor is None else demo.names.get(actor) or singletons.get(actor, "")


def _method(demo: Demo, call: CallNode) -> str:
    number, actor = call.start.method, call.actor
    if number == 0:
        return "Send"
    if number == 1:
        return "Constructor"
    if number == INVOKE_EVM:
        return _function(_name(demo, actor), call.start.params, call.start.params_codec) or "InvokeEVM"
    tables = {ActorID(10): _EAM_METHODS, ActorID(1): _INIT_METHODS}
    table = tables.get(actor, _EVM_METHODS if traits_of(call.runtime).speaks_abi else {}) if actor is not None else {}
    return table.get(number) or _METHODS.get(number) or str(number)


def _function(name: str, params: bytes, codec: int) -> str | None:
    kind, _, artifact = name.partition(" ")
    if kind != "contract":
        return None
    calldata = params if codec == RAW else unwrap_return(params)
    return contract(artifact).interface.function_name(calldata)
