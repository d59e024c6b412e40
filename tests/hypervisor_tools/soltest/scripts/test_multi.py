"""Scripts with transactions on several networks: equal to those of forge 1.7.1, in its format (`multi.json`)."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.scripts import plan
from hypervisor_tools.soltest.scripts.sending import ScriptSender
from localnet import Network
from localnet.fork.node_client import NodeError
from localnet.rpc.server.server import serving
from tests.command import run as run_command
from tests.hypervisor_tools.soltest.scripts.conftest import HERE, compiled_project

pytestmark = pytest.mark.slow

KEYS: Final = {
    "within": "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "run": "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "single": "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "mixed": "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
}
CHAINS: Final = (601, 602)
FORGES: Final[dict[str, Any]] = json.loads((HERE / "multi.json").read_text(encoding="utf-8"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return compiled_project(tmp_path, "multi", FORGES["compiled"])


@contextmanager
def networks(monkeypatch: pytest.MonkeyPatch, *rules: str) -> Iterator[list[Network]]:
    """Two networks, whose nodes the project names by environment variables."""
    with ExitStack() as stack:
        found = []
        for name, chain, of in zip(("FIRST_URL", "SECOND_URL"), CHAINS, rules, strict=True):
            network = stack.enter_context(Network(rules=of, chain_id=chain))
            monkeypatch.setenv(name, stack.enter_context(serving(network)))
            found.append(network)
        yield found


def run(root: Path, *options: str, name: str = "run", status: int = 0) -> str:
    done = run_command(
        "script", "Multi", "--root", str(root), "--sig", f"{name}()", "--private-key", KEYS[name], *options
    )
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else done.stderr


def multi(root: Path, name: str = "run", folder: str = "broadcast/multi") -> list[dict[str, Any]]:
    """Return the parts of the record."""
    file = root / folder / "Multi.s.sol-latest" / f"{name}.json"
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["deployments"]
    return found


def compared(parts: list[dict[str, Any]]) -> list[Any]:
    """Return the fields that do not depend on fees and gas."""
    fields = ("from", "to", "input", "nonce", "chainId")
    return [
        (
            part["chain"],
            part["returns"],
            [
                {**row, "hash": None, "transaction": [row["transaction"][name] for name in fields]}
                for row in part["transactions"]
            ],
        )
        for part in parts
    ]


def word(network: Network, row: dict[str, Any]) -> int:
    """Return the content of the box that a transaction created."""
    box = EthAddress(bytes.fromhex(row["contractAddress"][2:]))
    return int.from_bytes(network.call(box, selector("word()")), "big")


@pytest.mark.parametrize("rules", [("ethereum", "ethereum"), ("filecoin", "filecoin"), ("ethereum", "filecoin")])
def test_each_network_is_sent_its_own_in_forges_order(
    root: Path, rules: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with networks(monkeypatch, *rules) as (first, second):
        run(root)
        tried = multi(root, folder="broadcast/multi/dry-run")
        assert compared(tried) == compared(FORGES["runs"]["run"])
        assert (first.head.height, second.head.height) == (0, 0)
        run(root, "--broadcast")
        parts = multi(root)
        assert compared(parts) == compared(FORGES["runs"]["run"])
        assert [len(part["receipts"]) for part in parts] == [2, 1, 1]
        made = [part["transactions"][0] for part in parts]
        assert [word(network, row) for network, row in zip((second, first, second), made, strict=True)] == [4, 5, 4]


@pytest.mark.parametrize("named", ["ethereum", "filecoin"])
@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_transactions_go_to_selected_fork_whatever_node_is_named(
    root: Path, rules: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with networks(monkeypatch, named, rules) as (first, second):
        run(root, "--broadcast", "--rpc-url", "first", name="single")
        (file,) = root.glob("broadcast/Multi.s.sol/*/single-latest.json")
        part = json.loads(file.read_text(encoding="utf-8"))
        assert file.parent.name == str(CHAINS[1])
        assert compared([part]) == compared(FORGES["runs"]["single"])
        assert first.head.height == 0
        assert word(second, part["transactions"][0]) == 8
        words = run(root, "--resume", "--rpc-url", "first", name="single", status=2)
        assert f"nothing to resume on chain {CHAINS[0]}" in words
        assert f"resume it with a node of chain {CHAINS[1]} (--rpc-url)" in words


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_multi_broadcast_includes_network_of_named_node(
    root: Path, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with networks(monkeypatch, rules, "ethereum") as (first, second):
        run(root, "--broadcast", "--rpc-url", "first", name="mixed")
        parts = multi(root, "mixed")
        assert compared(parts) == compared(FORGES["runs"]["mixed"])
        assert first.balance(EthAddress(bytes(18) + b"\x0b\x0b")) == 1
        assert word(second, parts[1]["transactions"][0]) == 2


def test_filecoin_script_network_rejects_fork_selection(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script's code does not show that it selects a fork, else the network is read by accounts and slots."""
    monkeypatch.setattr(plan, "selects_forks", lambda _: False)
    with networks(monkeypatch, "filecoin", "ethereum") as (first, second):
        words = run(root, "--broadcast", "--rpc-url", "first", name="single", status=1)
        assert "the script runs on the Filecoin network of --rpc-url, ETH_RPC_URL or eth_rpc_url" in words
        assert (first.head.height, second.head.height) == (0, 0)


def test_a_transaction_without_a_network_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with networks(monkeypatch, "ethereum", "ethereum") as (_, second):
        words = run(root, "--broadcast", name="mixed", status=2)
        assert "transaction 1 of the script (a call of 0x" in words
        assert "belongs to no network: pass its node with --rpc-url" in words
        assert second.head.height == 0


def test_nothing_is_sent_if_sender_cannot_pay_on_later_network(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with networks(monkeypatch, "ethereum", "ethereum") as (first, second):
        sender = EthAddress(bytes.fromhex(FORGES["runs"]["run"][0]["transactions"][0]["transaction"]["from"][2:]))
        first.set_balance(sender, 0)
        words = run(root, "--broadcast", status=1)
        assert "cannot pay for transaction 3 of the script" in words
        assert "continue with --resume --multi" in words
        assert second.head.height == 0


@pytest.mark.parametrize("options", [[], ["--broadcast"]], ids=["tried", "sent"])
def test_forks_of_one_network_with_same_nonces_are_refused(
    root: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with networks(monkeypatch, "ethereum", "ethereum") as (first, _):
        monkeypatch.setenv("SECOND_URL", os.environ["FIRST_URL"].replace("127.0.0.1", "localhost"))
        words = run(root, *options, status=2)
        assert "transactions 2 and 3 of the script use the nonces 1 and 0 of 0x" in words
        assert first.head.height == 0


def test_nothing_is_sent_if_nonce_is_used_on_later_network(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script runs at a block of the first network that is not the latest."""
    with networks(monkeypatch, "ethereum", "ethereum") as (first, second):
        run(root, "--broadcast", "--rpc-url", "first", name="mixed")
        rows = FORGES["runs"]["run"][0]["transactions"]
        sender = EthAddress(bytes.fromhex(rows[0]["transaction"]["from"][2:]))
        heights = first.head.height, second.head.height
        make = plan.run_script

        def late(*arguments: Any) -> plan.ScriptPlan:
            made = make(*arguments)
            first.set_nonce(sender, 5)
            return made

        monkeypatch.setattr(plan, "run_script", late)
        words = run(root, "--broadcast", status=1)
        assert "transaction 3 of the script uses nonce 0 of 0x" in words
        assert "(the next one is 5). No transaction was sent" in words
        assert (first.head.height, second.head.height) == heights


def test_a_later_run_over_several_networks_is_not_taken_for_done(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with networks(monkeypatch, "ethereum", "ethereum"):
        run(root, "--broadcast")
        multiple = root / "broadcast/multi/Multi.s.sol-latest/run.json"
        single = root / f"broadcast/Multi.s.sol/{CHAINS[0]}/run-latest.json"
        content = json.loads(multiple.read_text())
        single.parent.mkdir(parents=True)
        single.write_text(json.dumps({**content["deployments"][1], "timestamp": content["timestamp"] - 1}))
        assert "Nothing is left to send" in run(root, "--resume", "--rpc-url", "first")
        content["deployments"][2]["receipts"] = []
        multiple.write_text(json.dumps(content))
        words = run(root, "--resume", "--rpc-url", "first", status=2)
        assert f"{single} is complete, {multiple} is a later run: resume it with --resume --multi" in words
        single.unlink()
        words = run(root, "--resume", "--rpc-url", "first", status=2)
        assert f"does not exist. {multiple} exists: resume it with --resume --multi" in words


def test_fork_selection_during_broadcast_is_rejected(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is forge's."""
    with networks(monkeypatch, "ethereum", "ethereum"):
        words = run(root, name="within", status=1)
        assert "vm.createSelectFork: cannot select forks during a broadcast" in words


def test_resume_refuses_gas_price_below_base_fee(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with networks(monkeypatch, "ethereum", "ethereum"):
        run(root, "--broadcast")
        words = run(root, "--resume", "--multi", "--with-gas-price", "1", status=2)
        assert "--with-gas-price 1 is below the base fee" in words


def test_a_run_that_was_cut_is_resumed_on_each_network(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with networks(monkeypatch, "ethereum", "filecoin") as (first, second):
        send_all = ScriptSender.send_all

        def cut(sender: ScriptSender) -> None:
            if sender.record.chain == CHAINS[0]:
                raise NodeError("the node is gone")
            send_all(sender)

        with monkeypatch.context() as patched:
            patched.setattr(ScriptSender, "send_all", cut)
            assert "the node is gone" in run(root, "--broadcast", status=1)
        assert [len(part["receipts"]) for part in multi(root)] == [2, 0, 0]
        words = run(root, "--resume", status=2)
        assert "to resume a run over several networks, pass --resume --multi" in words
        run(root, "--resume", "--multi")
        assert [len(part["receipts"]) for part in multi(root)] == [2, 1, 1]
        assert (first.head.height, second.head.height) == (1, 3)
        assert "Nothing is left to send: all 4 transactions" in run(root, "--resume", "--multi")


def test_nodes_urls_are_not_in_the_folder_that_is_published(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with networks(monkeypatch, "ethereum", "ethereum"):
        run(root)
        kept = multi(root, folder="cache/multi/dry-run")
        assert len({row["rpc"] for part in kept for row in part["transactions"]}) == 2
        assert all("127.0.0.1" not in file.read_text() for file in root.glob("broadcast/**/*.json"))


def test_impossible_resume_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing to resume" in run(root, "--resume", "--multi", status=2)
    with networks(monkeypatch, "ethereum", "ethereum"):
        run(root, "--broadcast")
        place, urls = (root / folder / "multi/Multi.s.sol-latest/run.json" for folder in ("broadcast", "cache"))
        record, kept = (json.loads(file.read_text()) for file in (place, urls))

        urls.write_text(json.dumps({"deployments": [kept["deployments"][at] for at in (1, 0, 1)]}))
        words = run(root, "--resume", "--multi", status=2)
        assert f"has transactions of chain {CHAINS[1]}, but the node at its URL has chain {CHAINS[0]}" in words

        wrong: Any
        nothing = [{"transactions": [{"rpc": None}]}] * 3
        wrongs: list[Any] = [kept["deployments"][:2], [{}] * 3, 5, nothing]
        for wrong in ({}, *({"deployments": rows} for rows in wrongs)):
            urls.write_text(json.dumps(wrong))
            assert "is not a record of a script's run" in run(root, "--resume", "--multi", status=2)
        urls.write_text(json.dumps(kept))
        for wrong in ({**record, "deployments": [{}] * 3}, {"deployments": []}, []):
            place.write_text(json.dumps(wrong))
            words = run(root, "--resume", "--multi", status=2)
            assert f"{place} is not a record of a script's run" in words
