"""Declarations of a project's interfaces are used to decode every trace, also of unknown code.

Expected: the lines of forge 1.7.1 for a contract whose code was etched, called by an interface that has no code.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_abi.abi import encode

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from hypervisor import Address, Hypervisor, Message
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallEnded, CallNode, CallStarted, EventEmitted
from hypervisor.types import ActorID, TokenAmount
from hypervisor_tools.soltest.compile.artifact import ArtifactLocation, Artifacts
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.report.viewer import cheatcode_interface
from hypervisor_tools.soltest.trace.call_text import call_texts, result_text
from hypervisor_tools.soltest.trace.frames import FrameTracer
from hypervisor_tools.soltest.trace.known_code import KnownCode
from hypervisor_tools.soltest.trace.stack_trace import stack_trace
from hypervisor_tools.soltest.trace.trace_names import VM, Names
from hypervisor_tools.soltest.trace.trace_text import trace_text
from localnet.state.named_code import with_schema
from scripts.build_guests import TEMPLATE
from store.cid import CBOR
from store.keccak import keccak

RAW = EthAddress(b"\0" * 18 + b"\xab\xcd")
SENDER = "0x1804c8AB1F12E6bbf3894d4083f33e07309d1f38"
ABI = [
    {"type": "error", "name": "OnlyInInterface", "inputs": [
        {"name": "a", "type": "uint256"}, {"name": "b", "type": "address"}]},
    {"type": "event", "name": "OnlyEvent", "anonymous": False, "inputs": [
        {"name": "a", "type": "uint256", "indexed": True}, {"name": "b", "type": "bytes", "indexed": False}]},
    {"type": "function", "name": "ask", "stateMutability": "nonpayable", "inputs": [{"name": "n", "type": "uint256"}],
     "outputs": [{"name": "twice", "type": "uint256"}, {"name": "text", "type": "string"}]},
    {"type": "function", "name": "nowhere", "stateMutability": "nonpayable", "outputs": [],
     "inputs": [{"name": "", "type": "uint256"}, {"name": "", "type": "address"}]},
]  # fmt: skip


def selector(signature: str) -> bytes:
    return bytes(keccak(signature.encode()))[:4]


@pytest.fixture
def names(tmp_path: Path) -> Names:
    """Names of a project with just an interface."""
    empty = {"object": ""}
    (tmp_path / "I.json").write_text(json.dumps({"abi": ABI, "bytecode": empty, "deployedBytecode": empty}))
    artifacts = Artifacts(tmp_path, [ArtifactLocation("src/I.sol", "IOnly", tmp_path / "I.json")], {})
    with Hypervisor.open() as machine:
        return Names(KnownCode(artifacts), machine.manifest, cheatcode_interface())


def frame(data: bytes, exit_code: int, output: bytes, *events: EventEmitted) -> CallNode:
    """Return a call of an account whose code is unknown."""
    tracer = FrameTracer("filecoin")
    to = Address.delegated(10, RAW)
    tracer.event(CallStarted(ActorID(1), to, INVOKE_EVM, TokenAmount(0), byte_string(data), CBOR, False, 0))
    for event in events:
        tracer.event(event)
    tracer.event(CallEnded(exit_code, byte_string(output), CBOR, 92_000))
    return tracer.roots[0]


def lines(names: Names, data: bytes, exit_code: int, output: bytes, *events: EventEmitted) -> list[str]:
    """Return the trace of one call."""
    return trace_text([frame(data, exit_code, output, *events)], names).splitlines()


def test_a_trace_that_is_too_long_ends_with_the_number_of_calls_and_events_left_out(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = EventEmitted(ActorID(1), ((0, "d", 85, bytes(1000)),))
    monkeypatch.setattr("hypervisor_tools.soltest.trace.trace_text.MAX_CHARACTERS", 5_000)
    *shown, last = lines(names, b"", 0, b"", *[event] * 10)
    assert [len(shown), last.strip()] == [4, "... cut after 4 lines; left out: 0 calls, 7 events"]


def test_native_actor_is_decoded_by_the_schema_in_its_module(names: Names) -> None:
    """The module is not committed, as in a test that has created its actor by `filecoinVm.deployActor`."""
    module = with_schema((TEMPLATE / "tip_jar.wasm").read_bytes(), (TEMPLATE / "interface.ipldsch").read_text())
    with Hypervisor.open() as machine:
        jar = machine.create(machine.install(module), bytes.fromhex("81420001")).address  # [f01]
        machine.tracer = tracer = FrameTracer("filecoin")
        tip = Message(jar, Address.id(0), 0, TokenAmount(0), method_number("Tip"), bytes.fromhex("816178"))  # ["x"]
        assert machine.call(tip).exit_code == ExitCode.USR_ILLEGAL_ARGUMENT
        total = Message(jar, Address.id(0), 0, TokenAmount(0), method_number("Total"))
        assert machine.call(total).exit_code == 0
        found = replace(names, machine=machine)
        texts = [(*call_texts(root, found), result_text(root, found)) for root in tracer.roots]
    assert texts[0][:2] == ("Tip", 'note="x"')
    assert texts[1] == ("Total", "", "[Return] tips=0, received=0")


ASK = selector("ask(uint256)")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (selector("OnlyInInterface(uint256,address)") + encode(["uint256", "address"], [9, RAW]),
         "OnlyInInterface(9, 0x000000000000000000000000000000000000ABcD)"),
        (selector("Panic(uint256)") + encode(["uint256"], [0x32]), "panic: array out-of-bounds access (0x32)"),
        (selector("Panic(uint256)") + encode(["uint256"], [0x11]), "panic: arithmetic underflow or overflow (0x11)"),
        (selector("Panic(uint256)") + encode(["uint256"], [0x99]), "panic: unknown code (0x99)"),
        (selector("Error(string)") + encode(["string"], ["words"]), "words"),
        (b"ab", "ab"),
        (b"abcdef", "abcdef"),
        (b"", "EvmError: Revert"),
    ],
)  # fmt: skip
def test_revert_is_shown_in_forge_format(names: Names, output: bytes, words: str) -> None:
    data = ASK + encode(["uint256"], [1])
    assert lines(names, data, ExitCode.EVM_CONTRACT_REVERTED, output) == [
        "  [92] 0x000000000000000000000000000000000000ABcD::ask(1)",
        f"    └─ ← [Revert] {words}",
    ]


def test_call_and_event_are_decoded_by_the_declaring_interface(names: Names) -> None:
    topic = bytes(keccak(b"OnlyEvent(uint256,bytes)"))
    entries = [
        (0, "t1", 85, topic),
        (0, "t2", 85, encode(["uint256"], [77])),
        (0, "d", 85, encode(["bytes"], [b"\xaa"])),
    ]
    event = EventEmitted(ActorID(1), tuple(entries))
    data, output = ASK + encode(["uint256"], [5]), encode(["uint256", "string"], [2, "hi"])
    assert lines(names, data, ExitCode.OK, output, event) == [
        "  [92] 0x000000000000000000000000000000000000ABcD::ask(5)",
        "    ├─ emit OnlyEvent(a: 77, b: 0xaa)",
        '    └─ ← [Return] 2, "hi"',
    ]


@pytest.mark.parametrize(
    ("data", "call", "answer"),
    [
        (selector("nowhere(uint256,address)") + encode(["uint256", "address"], [9, SENDER]),
         f"nowhere(9, DefaultSender: [{SENDER}])", "[Return] 0x02"),
        (bytes.fromhex("01020304ff"), "01020304(ff)", "[Return] 0x02"),
        (b"\1", "fallback(01)", "[Return] 0x02"),
    ],
)  # fmt: skip
def test_call_unknown_to_interfaces_is_shown_raw(names: Names, data: bytes, call: str, answer: str) -> None:
    assert lines(names, data, ExitCode.OK, b"\2") == [
        f"  [92] 0x000000000000000000000000000000000000ABcD::{call}",
        f"    └─ ← {answer}",
    ]


@pytest.mark.parametrize(
    ("data", "label", "line"),
    [
        (ASK + encode(["uint256"], [1]), None, "0x000000000000000000000000000000000000ABcD.ask"),
        (ASK + encode(["uint256"], [1]), "lab", "lab.ask"),
        (bytes.fromhex("01020304"), None, "0x000000000000000000000000000000000000ABcD"),
        (b"\1\2", None, "0x000000000000000000000000000000000000ABcD"),
        (b"", None, "0x000000000000000000000000000000000000ABcD"),
    ],
)  # fmt: skip
def test_a_backtrace_names_functions_of_unknown_contracts(
    names: Names, data: bytes, label: str | None, line: str, tmp_path: Path
) -> None:
    names.labels = {} if label is None else {RAW: label}
    failed = frame(data, ExitCode.EVM_CONTRACT_REVERTED, b"")
    assert stack_trace(failed, names, SourceTexts(tmp_path)) == (line,)


def log_of(topics: list[bytes], data: bytes) -> EventEmitted:
    entries = [(0, f"t{place}", 85, topic) for place, topic in enumerate(topics, 1)]
    return EventEmitted(ActorID(1), (*entries, (0, "d", 85, data)))


def test_trace_logs_match_forge_with_and_without_abi(names: Names) -> None:
    unknown = [b"\0" * 31 + b"\1", b"\0" * 31 + b"\2"]
    shown = lines(
        names, ASK + encode(["uint256"], [5]), ExitCode.OK, b"",
        log_of([bytes(keccak(b"log(string)"))], encode(["string"], ["a"])),  # DSTest does not name the value
        log_of(unknown, b""), log_of([], b"\5"),
    )  # fmt: skip
    assert shown[1:-1] == [
        '    ├─ emit log(val: "a")',
        f"    ├─  emit topic 0: 0x{unknown[0].hex()}",
        f"    │        topic 1: 0x{unknown[1].hex()}",
        "    │           data: 0x",
        "    ├─           data: 0x05",
    ]


def test_stopped_frame_line_names_the_evm_error(names: Names) -> None:
    data = ASK + encode(["uint256"], [1])
    assert lines(names, data, ExitCode.EVM_CONTRACT_INVALID_INSTRUCTION, b"")[1] == (
        "    └─ ← [InvalidFEOpcode] EvmError: InvalidFEOpcode"
    )


@pytest.mark.parametrize(
    ("signature", "given", "call", "returns", "answer"),
    [
        ("addr(uint256)", [99], "addr(<pk>)", None, ""),
        ("deriveKey(string,uint32)", ["test junk", 0], "deriveKey(<pk>)", [7], "<pk>"),
        ("sign(uint256,bytes32)", [95, bytes(32)], f'sign("<pk>", 0x{"00" * 32})', None, ""),
        ("sign(bytes32)", [bytes(32)], f"sign(0x{'00' * 32})", None, ""),
        ("signCompact(uint256,bytes32)", [95, bytes(32)], f'signCompact("<pk>", 0x{"00" * 32})', None, ""),
        ("signP256(uint256,bytes32)", [95, bytes(32)], f'signP256("<pk>", 0x{"00" * 32})', None, ""),
        ("signWithNonceUnsafe(uint256,bytes32,uint256)", [95, bytes(32), 96],
         f'signWithNonceUnsafe("<pk>", 0x{"00" * 32}, "<nonce>")', None, ""),
        ("signEd25519(bytes,bytes,bytes32)", [b"a", b"b", b"k" * 32], 'signEd25519(0x61, 0x62, "<pk>")', None, ""),
        ("signDelegation(address,uint256)", [SENDER, 95], f'signDelegation({SENDER}, "<pk>")', None, ""),
        ("signDelegation(address,uint256,uint64)", [SENDER, 95, 1], f'signDelegation({SENDER}, "<pk>", 1)', None, ""),
        ("signAndAttachDelegation(address,uint256,bool)", [SENDER, 95, True],
         f'signAndAttachDelegation({SENDER}, "<pk>", true)', None, ""),
        ("publicKeyP256(uint256)", [95], "publicKeyP256(<pk>)", None, ""),
        ("publicKeyEd25519(bytes32)", [b"k" * 32], "publicKeyEd25519(<pk>)", None, ""),
        ("createEd25519Key(bytes32)", [b"k" * 32], "createEd25519Key(<pk>)", [1, 2], "<pk>"),
        ("rememberKeys(string,string,uint32)", ["test junk", "m/", 2], 'rememberKeys("<mnemonic>", "m/", 2)', None, ""),
        ("rpcUrl(string)", ["main"], 'rpcUrl("main")', [7], "<rpc url>"),
        ("createFork(string)", ["https://eth.example/v2/TOKEN"], 'createFork("<rpc url>")', [7], "7"),
        ("createSelectFork(string,uint256)", ["wss://eth.example/TOKEN", 3], 'createSelectFork("<rpc url>", 3)', [7],
         "7"),
        ("createFork(string,uint256)", ["main", 3], 'createFork("main", 3)', [7], "7"),
        ("rpc(string,string,string)", ["http://h/TOKEN", "eth_chainId", "[]"],
         'rpc("<rpc url>", "eth_chainId", "[]")', None, ""),
        ("rpc(string,string)", ["eth_chainId", "[]"], 'rpc("eth_chainId", "[]")', None, ""),
        ("startBroadcast(uint256)", [92], "startBroadcast(<pk>)", None, ""),
        ("startBroadcast(address)", [RAW], "startBroadcast(0x000000000000000000000000000000000000ABcD)", None, ""),
        ("envUint(string)", ["K9"], 'envUint("K9")', [7], "<env var value>"),
        ("envExists(string)", ["K9"], 'envExists("K9")', [1], "true"),
    ],
)  # fmt: skip
def test_keys_and_variables_are_withheld(
    names: Names, signature: str, given: list[object], call: str, returns: list[int] | None, answer: str
) -> None:
    data = selector(signature) + encode(signature.split("(")[1][:-1].split(","), given)
    tracer = FrameTracer("filecoin")
    to = Address.delegated(10, VM)
    tracer.event(CallStarted(ActorID(1), to, INVOKE_EVM, TokenAmount(0), byte_string(data), CBOR, False, 0))
    output = b"" if returns is None else encode(["uint256"] * len(returns), returns)
    tracer.event(CallEnded(ExitCode.OK, byte_string(output), CBOR, 0))
    assert trace_text(tracer.roots, names).splitlines() == [
        f"  [0] VM::{call}",
        f"    └─ ← [Return] {answer}".rstrip(),
    ]
