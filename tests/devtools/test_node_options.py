"""`hypervisor node` with the options that it shares with anvil."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools.cli.rpc_client import NodeError, ask
from tests.conftest import data_file
from tests.devtools.test_node import ALICE, START, run, running
from tests.localnet.test_artifacts import PROJECT
from tests.localnet.test_console import VAULT, line_of

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
OTHER_WORDS = "abandon " * 11 + "about"
OTHER_ADDRESS = "0x9858effd232b4033e47d90003d41ec34ecaeda94"  # its first account, in every wallet


def test_accounts_chain_id_and_genesis_are_what_the_options_say(tmp_path: Path) -> None:
    options = ["-a", "2", "--balance", "5.5", "--chain-id", "31337", "--bare", "-m", OTHER_WORDS]
    with running(tmp_path / "ready", *options) as (url, process):
        accounts = ask(url, "eth_accounts")
        assert (len(accounts), accounts[0]) == (2, OTHER_ADDRESS)
        assert ask(url, "eth_getBalance", OTHER_ADDRESS, "latest") == hex(55 * 10**17)
        assert ask(url, "eth_chainId") == "0x7a69"
        assert ask(url, "eth_getCode", MULTICALL3, "latest") == "0x"
        process.terminate()
        output = process.communicate(timeout=START)[0]
    assert f"Mnemonic:        {OTHER_WORDS}" in output
    assert "0x9858EfFD232B4033E47d90003D41EC34EcaEda94 (5.5 FIL)" in output


def test_a_node_says_what_it_runs(tmp_path: Path) -> None:
    bundle = str(data_file("bundles/v18-testing-fake-proofs.car"))
    options = ["--bundle", bundle, "--network", "nv27", "--upgrade", "nv28@50"]
    with running(tmp_path / "ready", *options) as (_, process):
        process.terminate()
        output = process.communicate(timeout=START)[0]
    for line in (
        "Version:         nv27",
        "Upgrade:         nv28 after epoch 50",
        "Actors:          v18-testing-fake-pro",
    ):
        assert line in output


def test_blocks_are_made_when_told_to(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--no-mining", "--silent") as (url, _):
        sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": ALICE, "value": "0x1"})
        assert ask(url, "eth_getTransactionReceipt", sent) is None
        ask(url, "evm_mine")
        assert ask(url, "eth_getTransactionReceipt", sent)["blockNumber"] == "0x1"


def test_the_state_goes_from_node_to_node_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "state"
    with running(tmp_path / "ready", "--dump-state", str(file), "--silent") as (url, process):
        ask(url, "anvil_setBalance", OTHER_ADDRESS, "0x7")
        assert not file.exists()
        process.terminate()
        assert process.communicate(timeout=START) == ("", "")
    with running(tmp_path / "ready", "--load-state", str(file)) as (url, _):
        assert ask(url, "eth_getBalance", OTHER_ADDRESS, "latest") == "0x7"


def test_beyond_this_machine_a_node_signs_for_nobody_unless_it_is_to(tmp_path: Path) -> None:
    transaction = {"from": ALICE, "to": ALICE, "value": "0x1"}
    with running(tmp_path / "ready", "--host", "0.0.0.0") as (url, process):
        here = url.replace("0.0.0.0", "127.0.0.1")
        assert ask(here, "eth_accounts") == []
        for method, parameters in (("eth_sendTransaction", [transaction]), ("eth_sign", [ALICE, "0x00"])):
            with pytest.raises(NodeError, match="signs for nobody; --unlock lets it"):
                ask(here, method, *parameters)
        process.terminate()
        assert "signs for nobody (--unlock lets it)" in process.communicate(timeout=START)[0]
    with running(tmp_path / "ready", "--host", "0.0.0.0", "--unlock", "--silent") as (url, _):
        assert len(ask(url.replace("0.0.0.0", "127.0.0.1"), "eth_accounts")) == 10


def test_a_failure_is_printed_with_names_and_the_line(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--artifacts", str(PROJECT / "out")) as (url, process):
        code = VAULT.interface.encode_constructor(VAULT.bytecode, 5)
        deployed = ask(url, "eth_sendTransaction", {"from": ALICE, "data": f"0x{code.hex()}"})
        vault = ask(url, "eth_getTransactionReceipt", deployed)["contractAddress"]
        request = {"from": ALICE, "to": vault, "data": f"0x{VAULT.interface.encode_call('put', 6).hex()}"}
        ask(url, "eth_sendTransaction", request | {"gas": hex(10**9)})
        with pytest.raises(NodeError, match="revert"):
            ask(url, "eth_sendTransaction", request)
        process.terminate()
        output, errors = process.communicate(timeout=START)
    assert errors == ""
    for begin in ("block 2  0x", "estimate  0x"):
        told = output[output.index(f"\n{begin}") :]
        assert " Vault put(amount=6)" in told
        assert f"\n  at {line_of('src/Lib.sol', 'revert TooMuch')}\n" in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--rules", "ethereum"], 2, "ethereum"),
        (["--balance", "much"], 1, "'much' is no amount"),
        (["--balance", "99999999999999999999999"], 1, "cannot have"),
        (["--accounts", "0"], 2, "accounts"),
        (["--mnemonic", "test test"], 1, "a mnemonic has 12, 15, 18, 21 or 24 words, not 2"),
        (["--chain-id", "0"], 1, "0 cannot be a chain id"),
        (["--host", "300.1.1.1"], 1, "of 300.1.1.1 cannot be used"),
        (["--load-state", "absent"], 1, "absent: No such file or directory"),
        (["--load-state", __file__], 1, "this is no state that a network has dumped"),
        (["--dump-state", "absent/state"], 1, "the state cannot be written to absent/state"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_served(arguments: list[str], code: int, words: str) -> None:
    done = run("node", "--port", "0", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
