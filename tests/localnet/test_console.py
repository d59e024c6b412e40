"""Console output of a node: failures with calls and lines, contracts' logs, and nothing else."""

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from localnet import Artifact, Network, TransactionFailed
from localnet.calls import time_limit
from localnet.calls.overrides import AccountOverride, Overrides
from localnet.calls.time_limit import explanation_seconds
from localnet.chain.watching import Preempted
from localnet.console import Console
from localnet.explanations import Explanations
from localnet.rpc.node import Node
from localnet.rules.facts import CallRequest
from localnet.state.controls import code_of
from localnet.traces import call_places
from localnet.traces.trace_command import DEFAULT_URL
from tests.localnet.conftest import ARTIFACTS
from tests.localnet.contracts.test_artifacts import PROJECT, SOURCES
from tests.localnet.rpc.conftest import Client, Failed, refusal
from tests.patience import ENDLESS

VAULT = Artifact.load(PROJECT / "out" / "Vault.sol" / "Vault.json")
CALLER = Artifact.load(PROJECT / "out" / "Vault.sol" / "Caller.json")
GAS = 1_000_000_000
OTHER = EthAddress(b"\x77" * 20)
OTHER_TEXT = f"0x{OTHER.hex()}"


@contextmanager
def printing(network: Network, *folders: Path, url: str = DEFAULT_URL) -> Iterator[Console]:
    """Return a console attached to the network."""
    console = Console(network, folders, url)
    console.listen()
    try:
        yield console
    finally:
        network.chain.watchers.remove(console)


def line_of(path: str, text: str) -> str:
    """Return the position of a text in a source as path:line, counted from 1."""
    before, found, _ = SOURCES[path].partition(text)
    assert found
    return f"{path}:{before.count(chr(10)) + 1}"


def failed(network: Network, to: bytes | None, data: bytes) -> None:
    with pytest.raises(TransactionFailed):
        network.send(to, 0, data, gas_limit=GAS)


@pytest.mark.parametrize(
    ("function", "arguments", "reason", "path", "statement"),
    [
        ("put", [6], "TooMuch(6, 5)", "src/Lib.sol", "revert TooMuch"),
        ("take", [1], "ArithmeticOverflow()", "src/Vault.sol", "held[msg.sender] -= amount"),
        ("boom", [[1], 1], "ArrayIndexOutOfBounds()", "src/Vault.sol", "return items[at]"),
    ],
)
def test_a_failure_is_printed_with_names_and_the_line(
    network: Network, capsys: pytest.CaptureFixture[str],
    function: str, arguments: list[object], reason: str, path: str, statement: str,
) -> None:  # fmt: skip
    contract = network.send(None, 0, VAULT.interface.encode_constructor(VAULT.bytecode, 5)).contract_address
    with printing(network, PROJECT / "out"):
        failed(network, contract, VAULT.interface.encode_call(function, *arguments))
    output = capsys.readouterr().out
    assert f" Vault {function}(" in output
    assert f"-> {reason}" in output
    assert "exit 33 EVM_CONTRACT_REVERTED, the contract reverted" in output
    assert output.endswith(f"  at {line_of(path, statement)}\n")


@pytest.mark.slow
def test_out_of_gas_is_printed_with_limit_and_advice(capsys: pytest.CaptureFixture[str]) -> None:
    """The gas limit is forge's simulated one: sufficient for inclusion, insufficient for execution."""
    advice = "call eth_estimateGas to get the required limit; with forge script, pass --skip-simulation"
    for rules, limit, line in (
        ("filecoin", 2_500_000, f"  its limit of 2,500,000 gas is too low: {advice}\n"),
        ("ethereum", 22_000, ""),
    ):
        with Network(rules=rules) as network, printing(network, PROJECT / "out"):
            contract = network.send(None, 0, VAULT.interface.encode_constructor(VAULT.bytecode, 5)).contract_address
            capsys.readouterr()
            with pytest.raises(TransactionFailed):
                network.send(contract, 0, VAULT.interface.encode_call("put", 1), gas_limit=limit)
        output = capsys.readouterr().out
        assert output.endswith(line)
        assert ("--skip-simulation" in output) == bool(line)


def test_a_loop_without_end_is_not_advised_to_estimate(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    """Its estimate gets the block's gas, and fails, too."""
    network.set_code(OTHER, LOOP)
    with printing(network), pytest.raises(TransactionFailed):
        network.send(OTHER, 0, b"", gas_limit=9_000_000_000)
    output = capsys.readouterr().out
    assert "9,000,000,000" in output
    assert "eth_estimateGas" not in output


def test_printed_line_is_of_innermost_contract(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    with printing(network, PROJECT / "out"):
        contract = network.send(None, 0, CALLER.bytecode).contract_address
        failed(network, contract, CALLER.interface.encode_call("put", 6))
    output = capsys.readouterr().out
    assert "  console.log: put 6\n" in output
    assert " Caller put(amount=6)" in output
    assert output.endswith(f"  at {line_of('src/Lib.sol', 'revert TooMuch')}\n")


def test_failed_constructor_is_printed_with_its_line(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    with printing(network, PROJECT / "out"):
        failed(network, None, VAULT.interface.encode_constructor(VAULT.bytecode, 0))
    assert capsys.readouterr().out.endswith(f"  at {line_of('src/Vault.sol', 'require(most_ > 0')}\n")


@pytest.mark.slow
def test_official_bundle_shows_same_names_and_lines(official: Network, capsys: pytest.CaptureFixture[str]) -> None:
    with printing(official, PROJECT / "out"):
        contract = official.send(None, 0, CALLER.bytecode).contract_address
        failed(official, contract, CALLER.interface.encode_call("put", 6))
        failed(official, None, VAULT.interface.encode_constructor(VAULT.bytecode, 0))
    output = capsys.readouterr().out
    assert "console.log: put 6\n" in output
    assert "wasm f0" in output
    assert " Vault put(amount=6)" in output
    assert f"  at {line_of('src/Lib.sol', 'revert TooMuch')}\n" in output
    assert output.endswith(f"  at {line_of('src/Vault.sol', 'require(most_ > 0')}\n")


def test_calls_are_shown_as_bytes_until_abi_is_added(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Network() as network, printing(network, tmp_path):
        contract = network.send(None, 0, VAULT.interface.encode_constructor(VAULT.bytecode, 5)).contract_address
        data = VAULT.interface.encode_call("put", 6)
        failed(network, contract, data)
        assert f" contract 0x{data[:4].hex()}(" in capsys.readouterr().out
        client = Client(Node(network))
        assert client("hypervisor_addAbi", list(VAULT.interface.abi), None, "Told") is True
        failed(network, contract, data)
        assert " Told put(amount=6)" in capsys.readouterr().out
        assert (
            client("hypervisor_addAbi", {"abi": list(VAULT.interface.abi), "contractName": "Own"}, OTHER_TEXT) is True
        )
        wrongs: list[Any] = [5, {}, {"abi": {}}, "x", [{}] * 2_001]
        for wrong in wrongs:
            with refusal(-32602, r"expected an ABI|an ABI is a list"):
                client("hypervisor_addAbi", wrong)


def test_only_failed_or_logging_transactions_are_replayed(
    own_network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Network() as network, printing(network, PROJECT / "out"):
        explained: list[bytes] = []
        monkeypatch.setattr(Explanations, "explain_transaction", lambda _, receipt, __: explained.append(receipt.hash))
        plain = network.deploy(ARTIFACTS / "Inbox.json")
        plain.send("greet", "hi")
        assert explained == []
        contract = network.deploy(PROJECT / "out" / "Vault.sol" / "Vault.json", 5)
        quiet = plain.send("greet", "hi")
        assert explained[-1] == quiet.hash  # from the first such contract on, anybody may call one
        contract.send("put", 1)
    assert capsys.readouterr().out.count("\n") == 5


def test_code_that_was_given_by_hand_may_log(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network:
        made = network.deploy(PROJECT / "out" / "Vault.sol" / "Vault.json", 5)
        code = code_of(network.machine, to_filecoin(made.address))
    with Network() as network, printing(network, PROJECT / "out"):
        network.set_code(OTHER, code)
        network.send(OTHER, 0, VAULT.interface.encode_call("put", 2), gas_limit=GAS)
    assert "console.log: put 2\n" in capsys.readouterr().out


def test_reexecution_depends_on_contents_of_older_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Network() as network:
        network.send(network.accounts[1].address, 1)
        network.set_balance(OTHER, 5)
        for logs in (False, True):
            with printing(network, PROJECT / "out"):
                again: list[bytes] = []
                monkeypatch.setattr(
                    Explanations, "explain_transaction", lambda _, receipt, __, again=again: again.append(receipt.hash)
                )
                network.set_balance(OTHER, 6)
                receipt = network.send(network.accounts[1].address, 1)
                assert again == ([receipt.hash] if logs else [])
            network.deploy(PROJECT / "out" / "Vault.sol" / "Vault.json", 5)


def test_deferred_execution_failure_is_printed_with_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    with Network(deferred=True) as network, printing(network, PROJECT / "out"):
        failed(network, None, VAULT.interface.encode_constructor(VAULT.bytecode, 0))
    assert f"  at {line_of('src/Vault.sol', 'require(most_ > 0')}\n" in capsys.readouterr().out


def test_a_closed_output_stops_no_block(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    with printing(network, PROJECT / "out"):
        monkeypatch.setattr(sys, "stdout", Closed())
        receipt = network.send(network.accounts[1].address, 1)
        monkeypatch.undo()
    assert receipt.succeeded


def test_delegatecalled_code_is_reported_with_own_name_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network, printing(network, PROJECT / "out"):
        vault = network.deploy(PROJECT / "out" / "Vault.sol" / "Vault.json", 5)
        # copies the calldata, delegates, reverts with what came back (EIP-1167's proxy, which no artifact describes)
        proxy = "363d3d373d3d3d363d73" + vault.address.hex() + "5af43d82803e903d91602b57fd5bf3"
        network.set_code(OTHER, bytes.fromhex(proxy))
        failed(network, OTHER, VAULT.interface.encode_call("put", 6))
    output = capsys.readouterr().out
    assert " Vault put(amount=6)" in output
    assert output.endswith(f"  at {line_of('src/Lib.sol', 'revert TooMuch')}\n")


@pytest.mark.parametrize("bundle", ["network", "official"])
def test_transaction_with_failed_estimate_is_explained(
    bundle: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    network: Network = request.getfixturevalue(bundle)
    contract = network.send(None, 0, VAULT.interface.encode_constructor(VAULT.bytecode, 5)).contract_address
    assert contract is not None
    with printing(network, PROJECT / "out") as console:
        client = Client(Node(network, console=console))
        block, data = network.block_number, f"0x{VAULT.interface.encode_call('put', 6).hex()}"
        asked = {"from": f"0x{network.accounts[0].address.hex()}", "to": f"0x{contract.hex()}", "data": data}
        for method in ("eth_estimateGas", "eth_sendTransaction"):
            asked["value"] = "0x0" if method == "eth_estimateGas" else "0x1"
            with pytest.raises(Failed, match="revert"):
                client(method, asked)
            output = capsys.readouterr().out
            assert output.startswith(f"estimate  {asked['from']} -> {asked['to']}  fails: EVM_CONTRACT_REVERTED")
            assert "  console.log: put 6\n" in output
            assert output.endswith(f"  at {line_of('src/Lib.sol', 'revert TooMuch')}\n")
            with pytest.raises(Failed, match="revert"):  # as tools do, which try again before they give up
                client(method, asked)
            assert capsys.readouterr().out == ""
        assert network.block_number == block
        assert client("eth_estimateGas", asked | {"data": data[:-1] + "5"}).startswith("0x")
    assert capsys.readouterr().out == "console.log: put 5\n"


def test_estimate_without_funds_is_not_explained(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with Network(rules="ethereum") as network, printing(network) as console:
        client = Client(Node(network, console=console))
        with pytest.raises(Failed, match="exceeds allowance"):
            client("eth_estimateGas", {"from": OTHER_TEXT, "to": OTHER_TEXT, "gasPrice": hex(2 * 10**9)})
    assert (capsys.readouterr().out, caplog.text) == ("", "")


def test_logs_of_calls_and_estimates_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    # anvil 1.7 writes the bare line for each call, failed ones, too, and for each trial of an estimate
    with Network() as network, printing(network, PROJECT / "out") as console:
        client = Client(Node(network, console=console))
        plain = {"to": f"0x{network.accounts[1].address.hex()}", "from": f"0x{network.accounts[0].address.hex()}"}
        client("eth_call", plain, "latest")
        contract = network.deploy(PROJECT / "out" / "Vault.sol" / "Vault.json", 5)
        capsys.readouterr()
        client("eth_call", plain, "latest")
        client("eth_estimateGas", plain)
        assert capsys.readouterr().out == ""

        def put(amount: int) -> dict[str, str]:
            return {"to": str(contract), "data": f"0x{VAULT.interface.encode_call('put', amount).hex()}"}

        client("eth_call", put(3), "latest")
        client("eth_estimateGas", put(4))
        with pytest.raises(Failed):
            client("eth_call", put(9), "latest")
        assert capsys.readouterr().out == "".join(f"console.log: put {amount}\n" for amount in (3, 4, 9))
        code = client("eth_getCode", str(contract), "latest")
        client("eth_call", {**put(2), "to": OTHER_TEXT}, hex(0), {OTHER_TEXT: {"code": code}})
        assert capsys.readouterr().out == "console.log: put 2\n"


def test_nothing_is_printed_while_it_is_switched_off(capsys: pytest.CaptureFixture[str]) -> None:
    with Network() as network, printing(network, PROJECT / "out") as console:
        client = Client(Node(network, console=console))
        assert client("anvil_setLoggingEnabled", False) is None
        contract = network.deploy(PROJECT / "out" / "Vault.sol" / "Vault.json", 5)
        put = {"to": str(contract), "data": f"0x{VAULT.interface.encode_call('put', 3).hex()}"}
        client("eth_call", put, "latest")
        with pytest.raises(Failed):
            client("eth_sendTransaction", put | {"from": f"0x{network.accounts[0].address.hex()}", "gas": "0x1"})
        assert capsys.readouterr().out == ""
        client("hardhat_setLoggingEnabled", True)
        client("eth_call", put, "latest")  # it has kept in mind that the contract logs
        assert capsys.readouterr().out == "console.log: put 3\n"


def test_explanation_limit_is_one_second_or_twice_execution() -> None:
    assert [explanation_seconds(run) for run in (0.01, 0.5, 3.0)] == [1.0, 1.0, 6.0]


class Collected:
    """A background worker that only collects its tasks."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []
        self.wanted = False

    def later(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def should_yield(self) -> bool:
        return self.wanted


LOOP = ENDLESS


@pytest.mark.parametrize("asked", ["transaction", "estimate", "call"])
def test_an_explanation_ends_when_its_time_is_over(
    asked: str, network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit includes the trace; the clock advances by 0.1 s with each read."""
    looks = itertools.count()
    network.set_code(OTHER, LOOP)
    request = CallRequest(OTHER, b"", sender=network.accounts[0].address)
    with printing(network, url="http://127.0.0.1:18602") as listener:
        listener.background = background = Collected()
        if asked == "transaction":
            failed(network, OTHER, b"")
        elif asked == "estimate":
            listener.estimate_failed(network.head, request, 0.0)
        else:
            overrides = Overrides({OTHER: AccountOverride(code=LOOP)})
            listener.call_completed(network.machine, network.head, request, overrides, 0.0)
        capsys.readouterr()
        monkeypatch.setattr(
            time_limit, "time", SimpleNamespace(monotonic=time.monotonic, thread_time=lambda: next(looks) / 10)
        )
        for explain in background.work:
            explain()
    assert next(looks) < 20
    output = capsys.readouterr().out
    assert ("gave up explaining it after 1.0 s" in output) == (asked != "call")
    assert ("gave up reading the lines of a call after 1.0 s" in output) == (asked == "call")
    assert ("--rpc-url http://127.0.0.1:18602` has no such limit" in output) == (asked == "transaction")


def test_preempted_explanation_is_silent_and_restarts(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    vault, background = network.deploy(VAULT, 5), Collected()
    with printing(network, PROJECT / "out") as listener:
        listener.background = background
        failed(network, vault.address, VAULT.interface.encode_call("put", 6))
        capsys.readouterr()
        state = network.machine.root
        for background.wanted in (True, True, False):
            if background.wanted:
                with pytest.raises(Preempted):
                    background.work[0]()
                assert capsys.readouterr().out == ""
                assert network.machine.root == state
            else:
                background.work[0]()
    output = capsys.readouterr().out
    assert "TooMuch(6, 5)" in output
    assert output.endswith(f"  at {line_of('src/Lib.sol', 'revert TooMuch')}\n")


def test_number_of_transactions_that_are_not_explained_is_printed(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = network.deploy(VAULT, 1)
    queued = list[Callable[[], None]]()
    with printing(network, PROJECT / "out") as console:
        console.background = SimpleNamespace(later=queued.append, should_yield=lambda: False)
        for _ in range(4):
            failed(network, vault.address, b"")
        capsys.readouterr()
        for explained in (queued[0], queued[3]):
            explained()
    assert capsys.readouterr().out.count("  2 transactions or calls before this one are not explained\n") == 1


def test_other_output_between_lines_adds_hash_to_call_trace(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines are printed at once, the calls of failures later: with the hash if other output is in between."""
    vault, background = network.deploy(VAULT, 5), Collected()
    with printing(network, PROJECT / "out") as listener:
        listener.background = background
        failed(network, vault.address, VAULT.interface.encode_call("put", 6))
        sent = network.head.transactions[0].hex()
        network.send(network.accounts[1].address, 1)
        assert "TooMuch" not in capsys.readouterr().out
        for explain in background.work:
            explain()
    out = capsys.readouterr().out
    assert out.startswith(f"0x{sent}:")
    assert "TooMuch(6, 5)" in out


def test_failure_in_reverted_block_is_not_explained(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    vault, background = network.deploy(VAULT, 5), Collected()
    with printing(network) as listener:
        listener.background = background
        snapshot = network.snapshot()
        failed(network, vault.address, VAULT.interface.encode_call("put", 6))
        network.revert(snapshot)
        network.send(network.accounts[1].address, 1)
        capsys.readouterr()
        for explain in background.work:
            explain()
    assert capsys.readouterr().out == ""


def test_source_line_search_is_skipped_without_sources(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Watching each instruction takes up to a second."""
    watched: list[float] = []
    monkeypatch.setattr(call_places, "Counters", lambda limit: watched.append(limit.seconds))
    network.set_code(OTHER, LOOP)
    with printing(network, tmp_path):
        failed(network, OTHER, b"")
    assert "SYS_OUT_OF_GAS" in capsys.readouterr().out
    assert watched == []
