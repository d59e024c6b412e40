"""The exit status of every command: 2 for a usage error, 1 for a failure."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from hypervisor_tools.cli.main import app
from localnet import Network
from store.car.transfer import write_blocks
from store.cid import cid_of, show
from store.rocks.database import RocksStore
from tests.command import HYPERVISOR
from tests.command import run as run_command
from tests.hypervisor_tools.cli.test_node import run
from tests.patience import slowness

NOBODY = "http://127.0.0.1:1"
HASH = "0x" + "12" * 32
SOMEBODY = "0x" + "12" * 20
MISTAKES: dict[str, list[list[str]]] = {
    "actor call": [["zz", "1"], ["f0101", "1", "--value", "much", "--state", "absent"]],
    "actor create": [["zz"], ["zz", "--state", "absent"]],
    "actor inspect": [["zz"], ["zz", "--state", "absent"]],
    "actor embed": [
        ["absent.wasm", "absent.ipldsch", "--out", "out.wasm"],
        ["no-wasm", "absent.ipldsch", "--out", "out.wasm"],
    ],
    "actor install": [["absent.wasm"], ["no-wasm", "--state", "chain"]],
    "actor new": [["Not A Name"]],
    "actor replace": [["zz", "zz", "--state", "absent"], ["f0101", "zz", "--rpc", "nowhere"]],
    "actor mutate": [["absent"], ["chain"], ["--min-score", "101"]],
    "actor test": [["absent"], ["chain"]],
    "balance": [["zz"], ["0x12"], [SOMEBODY, "--rpc", "nowhere"]],
    "bindings": [["absent.json"], ["no-json"]],
    "bundle add": [["absent.car"], ["no-car"]],
    "bundle build": [
        ["own", "--actor", "cron", "--out", "x.car"], ["own", "--actor", "cron=no-wasm", "--out", "x.car"],
        ["no-car", "--actor", "cron=no-wasm", "--out", "x.car"],
    ],
    "bundle fetch": [["v99"], ["v18", "--network", "nowhere"]],
    "bundle list": [["--nothing"]],
    "bundle make": [["absent", "--out", "x.car"], ["chain", "--base", "no-car", "--out", "x.car"]],
    "bundle verify": [["absent.car"], ["no-car"]],
    "call": [["zz", "f()"], [SOMEBODY, "f("], [SOMEBODY, "f(uint256)", "many"]],
    "campaign": [["chain"], ["x", "--root", "absent"], ["x", "--for", "long"], ["x", "--match-test", "("]],
    "car export": [["absent", "x.car"], ["no-store", "x.car"]],
    "car import": [["new", "absent.car"], ["new", "no-car"]],
    "car verify": [["absent.car"], ["no-car"]],
    "compare": [
        ["chain"], *([source, "--price", "syscall=1"] for source in ("absent", "chain", "no-json", "no-store")),
        ["--list-prices", "--network", "newest"], ["--list-prices", "--overlay", "absent.toml"],
        ["--list-prices", "--network", "absent.toml"], ["chain", "--network", "absent.toml"],
    ],
    "conformance": [["absent"], ["chain"], ["absent", "--network", "absent.toml"], ["absent", "--network", "newest"]],
    "create": [
        ["Vault", "--private-key", "zz"], ["Vault", "--unlocked"], ["Vault", "--value", "much"],
        ["absent.sol:Vault", "--unlocked", "--from", SOMEBODY], ["Vault", "--nothing"],
    ],
    "decode": [["cbor", "0xzz"], ["absent", "0x00"], ["address", "zz"], ["miner.Absent", "0x00"]],
    "demo": [["--state", "chain"]],
    "deploy": [["absent.json"], ["no-json"]],
    "doctor": [["--rpc", "nowhere"]],
    "encode": [["cbor", "{"], ["absent", "1"], ["absent.State", "1"], ["cid", "zz"], ["miner.Absent", "1"]],
    "explore": [["absent"], ["no-store"], ["chain", "--evm", "geth"], ["chain", "--artifacts", "absent"]],
    "extract": [
        ["zz", "--state", "absent", "--out", "x.json"], ["1", "--state", "absent", "--out", "x.json"],
        ["1", "--state", "no-store", "--out", "x.json"], ["zz", "--rpc-url", "nowhere", "--out", "x.json"],
        ["1", "--state", "no-store", "--network", "absent.toml", "--out", "x.json"],
    ],
    "fevmtest": [["absent"]],
    "actortest": [["absent"]],
    "gas": [["absent"], ["chain"], ["no-json"], ["no-store"], ["chain", "--plot", "x.gif"], ["chain", "--price", "x"]],
    "gas grow": [[SOMEBODY, "f()"], *([SOMEBODY, "f()", "--state", each] for each in ("absent", "chain", "no-store"))],
    "gc": [["absent"], ["no-store"], ["chain", "--states", "few"]],
    "inspect": [["absent"], ["no-store"], ["chain", "--block", "zz"], ["chain", "--block", "zz", "--root", "zz"]],
    "node": [
        *(["--port", "0", *wrong] for wrong in (
            ["--network", "newest"], ["--balance", "much"], ["--bundle", "absent.car"], ["--hardfork", "frontier"],
            ["--upgrade", "nv28"], ["--mnemonic", "test"], ["--fork-url", "nowhere"], ["--fork-epoch", "1"],
            ["--offline"], ["--offline", "--fork-url", "http://127.0.0.1:9"],
            ["--load-state", "absent"], ["--load-state", "chain"], ["--state", "no-json"], ["--state", "no-store"],
            ["--block-time", "-1"], ["--null-rate", "1"], ["--dump-state", "chain"], ["--evm", "geth"],
            ["--overlay", "absent.toml"], ["--parallel", "0"], ["--rules", "lab"],
            ["--rules", "lab", "--lab", "absent"], ["--network", "absent.toml"],
        )),
    ],
    "profile": [["zz"], [HASH, "--rpc", "nowhere"], [HASH, "--state", "absent"], [HASH, "--state", "no-store"]],
    "replay": [["absent"], ["no-store"], ["absent", "--parallel", "0"], ["chain", "--network", "absent.toml"]],
    "script": [
        ["absent", "--keystore", "no-json"], ["absent"], ["absent.s.sol"], ["absent", "--rpc-url", "nowhere"],
        ["absent", "--private-key", "zz"], ["Vault", "--libraries", "zz"],
    ],
    "send": [["zz"], [SOMEBODY, "--value", "much"], [SOMEBODY, "--private-key", "zz"]],
    "solidity": [["no-json"]],
    "blocktest": [["absent"], ["chain"]],
    "statetest": [["absent"], ["chain"]],
    "step": [[HASH, "--rpc", "nowhere"], [HASH, "--state", "absent"], [HASH, "--state", "no-store"]],
    "test": [
        ["absent"], ["--root", "absent"], ["--fork-url", "nowhere"], ["--nothing"], ["--symbolic-lengths", "many"],
        ["--symbolic-loop", "65537"], ["--symbolic-paths", "1000001"],
        ["--symbolic", "--debug"], ["--symbolic", "--rules", "filecoin"],
        ["--mutate", "--debug"], ["--mutate", "absent.sol"], ["--mutation-jobs", "2"],
        ["--mutate", "--mutate-contract", "("],
        ["--mutate", "--mutate-path", "src/*", "--mutate-contract", "A"], ["--mutate", "--mutation-timeout", "nan"],
        ["--mutate", "--mutation-min-score", "101"],
        ["--brutalize", "--mutate"], ["--brutalize", "--coverage"],
    ],
    "trace": [
        ["zz"], ["0x12"], ["1", "--flame", "x.svg"], [HASH, "--rpc", "nowhere"], [HASH, "--state", "absent"],
        [HASH, "--state", "no-store"],
    ],
    "trust": [["absent"], ["absent.py"], ["no-store"], ["--nothing"]],
    "verify-contract": [
        [SOMEBODY, "absent.sol:Vault"], [SOMEBODY, "no-json"], [SOMEBODY, "Vault", "--root", "absent"],
        [SOMEBODY, "Vault", "--verifier", "etherscan"], [SOMEBODY, "Vault", "--verifier-url", "nowhere"],
        [SOMEBODY, "Vault", "--creation-transaction", "0x12"], [SOMEBODY, "Vault", "--watch"],
    ],
    "verify-bytecode": [
        [SOMEBODY, "absent.sol:Vault"], [SOMEBODY, "no-json"], [SOMEBODY, "Vault", "--root", "absent"],
        [SOMEBODY, "Vault", "--ignore", "all"], [SOMEBODY, "Vault", "--ignore", "creation", "--ignore", "runtime"],
    ],
    "verify-proof ethereum": [
        ["absent.json", "--state-root", "0x" + "00" * 32], ["no-json", "--state-root", "0x" + "00" * 32],
        ["no-json"], ["no-json", "--state-root", "zz"], ["no-json", "--block", "no-json"],
        ["json", "--state-root", "0x" + "00" * 32, "--address", "0x12"],
        ["json", "--state-root", "0x" + "00" * 32, "--slot", "-1"],
    ],
    "verify-proof f3": [
        ["absent.json", "--power-table", "no-json"], ["no-json", "--power-table", "no-json"], ["no-json"],
        ["no-json", "--power-table", "absent.json"], ["no-json", "--power-table", "no-json", "--instance", "x"],
        ["no-json", "--power-table", "no-json", "--power-table-cid", "zz"],
        ["no-json", "--power-table", "no-json", "--path", "f04"],
        ["no-json", "--power-table", "no-json", "--proof", "x"],
    ],
    "version new": [["../nv30"], ["nv30-draft", "--from", "nv30"], ["nv30-draft", "--folder", "absent"]],
    "wallet address": [["zz"]],
    "wallet list": [["--nothing"]],
    "wallet new": [["--nothing"]],
}  # fmt: skip
OWN_STATUS = {"t8n"}
"""Commands with the exit codes that are conventional for the tool: `hypervisor_tools.laboratory.vectors.t8n`."""


def commands(group: Any, *before: str) -> Iterator[str]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield " ".join((*before, name))


@pytest.mark.slow
def test_every_command_has_an_exit_status_case() -> None:
    assert set(commands(typer.main.get_command(app))) == set(MISTAKES) | OWN_STATUS


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create files and folders with contents that commands do not expect."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVM_BUNDLE_DIR", str(tmp_path / "bundles"))
    monkeypatch.delenv("ETH_RPC_URL", raising=False)
    for name in ("no-wasm", "no-json", "no-car"):
        (tmp_path / name).write_bytes(b"something else")
    (tmp_path / "json").write_text("{}", encoding="utf-8")
    (tmp_path / "chain").mkdir()
    (tmp_path / "no-store").mkdir()
    (tmp_path / "no-store" / "something").touch()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        pytest.param(command, wrong, id=" ".join((command, *wrong)))
        for command in MISTAKES
        for wrong in MISTAKES[command]
    ],
)
def test_usage_error_exits_with_2_and_message(command: str, arguments: list[str]) -> None:
    done = run_command(*command.split(), *arguments)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert done.stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "arguments",
    [
        ["balance", SOMEBODY],
        ["call", SOMEBODY, "f()"],
        ["send", SOMEBODY, "--value", "1fil"],
        ["trace", HASH],
        ["deploy", str(Path(__file__).resolve().parents[3] / "examples/solidity/artifacts/Counter.json")],
    ],
    ids=lambda arguments: arguments[0],
)
def test_valid_command_that_fails_exits_with_1(arguments: list[str]) -> None:
    done = run_command(*arguments, "--rpc", NOBODY)
    assert (done.exit_code, f"no node responds at {NOBODY}" in done.stderr) == (1, True), done.output


ON_A_FOLDER: dict[str, list[str]] = {
    "inspect": ["inspect", "DIR"],
    "gc": ["gc", "DIR"],
    "replay": ["replay", "DIR"],
    "car export": ["car", "export", "DIR", "x.car"],
    "car import": ["car", "import", "DIR", "good.car"],
    "compare": ["compare", "DIR", "--price", "syscall=1"],
    "gas": ["gas", "DIR"],
    "trace": ["trace", HASH, "--state", "DIR"],
    "step": ["step", HASH, "--state", "DIR"],
    "extract": ["extract", "1", "--state", "DIR", "--out", "x.json"],
    "actor call": ["actor", "call", "f0101", "1", "--state", "DIR"],
    "node": ["node", "--port", "0", "--state", "DIR"],
}
CREATES = ("car import", "node")
"""Commands that create a missing or empty folder."""
READS = ("inspect", "replay", "car export", "compare", "gas", "trace", "step", "extract")
"""Commands that may read a folder while another process has it open."""


@pytest.fixture(scope="module")
def small_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create the folder of a chain with one block, and a CAR file beside it."""
    folder = tmp_path_factory.mktemp("small") / "chain"
    with Network(folder) as network:
        network.mine()
    assert run_command("car", "export", folder, folder.with_name("good.car")).exit_code == 0
    return folder


def status_at(folder: Path, command: str, small_chain: Path) -> tuple[int, str]:
    words = {"DIR": str(folder), "good.car": str(small_chain.with_name("good.car"))}
    done = run_command(*(words.get(word, word) for word in ON_A_FOLDER[command]))
    return done.exit_code, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ON_A_FOLDER)
def test_wrong_state_folder_exits_with_2(
    tmp_path: Path, small_chain: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/cli.md: 2 if another folder must be passed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("something else", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "something").touch()
    shutil.copytree(small_chain, tmp_path / "newer")
    (tmp_path / "newer" / "FORMAT").write_text("hypervisor store, format 99\n", encoding="ascii")
    names = ["file", "file/below", "other", "newer", *(() if command in CREATES else ("empty", "absent"))]
    found = {name: status_at(tmp_path / name, command, small_chain) for name in names}
    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys(names, 2), found
    assert all(str(tmp_path / name) in error for name, (_, error) in found.items())
    assert not any((tmp_path / "empty").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("command", ON_A_FOLDER)
def test_right_state_folder_that_cannot_be_used_exits_with_1(
    tmp_path: Path, small_chain: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/cli.md: 1 if the folder is damaged, or in use by another process."""
    monkeypatch.chdir(tmp_path)
    for name in ("no-current", "rubbish", "used"):
        shutil.copytree(small_chain, tmp_path / name)
    (tmp_path / "no-current" / "CURRENT").unlink()
    (tmp_path / "rubbish" / "CURRENT").write_text("rubbish\n", encoding="ascii")
    found = {name: status_at(tmp_path / name, command, small_chain) for name in ("no-current", "rubbish")}
    if command not in READS:
        with RocksStore.open(tmp_path / "used"):
            found["used"] = status_at(tmp_path / "used", command, small_chain)
    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys(found, 1), found
    assert all(str(tmp_path / name) in error for name, (_, error) in found.items())


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments", [["node", "--port", "0"], ["replay", "--from", "3"]], ids=lambda given: given[0])
def test_unreachable_fork_url_exits_with_2(arguments: list[str]) -> None:
    done = run_command(*arguments, "--fork-url", NOBODY)
    assert (done.exit_code, f"no node responds at {NOBODY}" in done.stderr) == (2, True), done.output


@pytest.mark.slow
def test_inspecting_invalid_dag_cbor_prints_error_message(tmp_path: Path) -> None:
    text = b"\x61\xff"  # bad UTF-8
    with (tmp_path / "bad.car").open("wb") as file:
        write_blocks(file, [cid_of(text)], [(cid_of(text), text)])
    assert run("car", "import", tmp_path / "store", tmp_path / "bad.car").returncode == 0
    found = run("inspect", tmp_path / "store", "--root", show(cid_of(text)))
    assert found.returncode == 1
    assert found.stderr.startswith("error: not DAG-CBOR")
    assert "Traceback" not in found.stderr


INTERRUPTED_WHILE_LOADING = """
import sys
from hypervisor_tools.cli.start import main

class Interrupting:
    def find_spec(self, name, *rest):
        if name == "hypervisor_tools.cli.main":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
main()
"""


def test_ctrl_c_during_loading_exits_silently_with_130() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_exits_silently_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("localnet.addresses.filecoin_address", interrupted)
    done = run_command("balance", SOMEBODY)
    assert (done.exit_code, done.output) == (130, "")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder with a chain whose re-execution takes some seconds."""
    folder = tmp_path_factory.mktemp("interrupted") / "chain"
    with Network(folder) as network:
        for _ in range(300):
            network.send(network.accounts[1].delegated, 1)
    return folder


def has_begun(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline()


def has_children(process: subprocess.Popen[str]) -> None:
    """Wait until the process has started a child, which is still loading."""
    children, end = Path(f"/proc/{process.pid}/task/{process.pid}/children"), time.monotonic() + 60
    while children.parent.exists() and not children.read_text().strip() and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)


def has_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the processes that a process has started")
@pytest.mark.parametrize("moment", [has_begun, has_children])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_workers_end_with_the_process_that_they_work_for(
    chain: Path, number: int, status: int, moment: Callable[[subprocess.Popen[str]], None]
) -> None:
    """Only the parent process gets the signal."""
    command = [str(HYPERVISOR), "replay", str(chain), "--json", "--workers", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        moment(process)
        process.send_signal(number)
        began = time.monotonic()
        assert process.wait(timeout=60) == status
        while has_processes(process.pid):
            assert time.monotonic() - began < 10 * slowness()
            time.sleep(0.01)
        assert "Traceback" not in process.communicate()[1] or number == signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9, 1.2, 1.5, 1.8])
def test_node_terminated_during_startup_prints_nothing(seconds: float, tmp_path: Path) -> None:
    """The signal may also come while the node starts its threads: it exits with its own status, or as when serving."""
    command = [str(HYPERVISOR), "node", "--port", "0", "--silent", "--state", str(tmp_path / "chain")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(seconds)
        process.terminate()
        output = process.communicate(timeout=60)
    assert output == ("", "")
    assert process.returncode in {0, 143, -signal.SIGTERM}  # the last: before the first line of the program
    if (tmp_path / "chain").exists():
        with Network(tmp_path / "chain") as network:
            assert network.head.height == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the processes that a process has started")
@pytest.mark.parametrize(("workers", "moment"), [("1", has_begun), ("2", has_begun), ("2", has_children)])
def test_ctrl_c_stops_command_and_workers_silently(
    chain: Path, workers: str, moment: Callable[[subprocess.Popen[str]], None]
) -> None:
    """A terminal sends the signal to all processes of the command."""
    command = [str(HYPERVISOR), "replay", str(chain), "--json", "--workers", workers]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        moment(process)
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        errors = process.communicate(timeout=60)[1]
        assert time.monotonic() - began < 5 * slowness()
        assert (process.returncode, errors) == (130, "")
        while has_processes(process.pid):  # the one that forks workers ends when it has seen that its parent has
            assert time.monotonic() - began < 5 * slowness()
            time.sleep(0.01)
