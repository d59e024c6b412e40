"""Options of `hypervisor node` that it shares with anvil."""

import json
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.proofs.verifier import EXTENSION, AcceptProofs, RefuseProofs, StorageProofs
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from hypervisor_tools.cli.node import UNSUPPORTED, allow_open_files
from hypervisor_tools.cli.node_settings import banner
from hypervisor_tools.cli.options import proof_verifier
from hypervisor_tools.cli.rpc_client import rpc_request
from localnet import Network
from localnet.fork.node_client import NodeClient, NodeError
from tests.command import run as run_command
from tests.conftest import data_file
from tests.hypervisor_tools.cli.test_node import ALICE, START, run, running, terminated
from tests.localnet.contracts.test_artifacts import PROJECT
from tests.localnet.contracts.test_precompiles import ANSWERS, INVERTS, PLACE, module
from tests.localnet.test_console import VAULT, line_of
from tests.patience import slowness
from tests.runtimes.evm.assembler import assemble, deployer

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"
BOB = "0x" + "b0" * 20
OTHER_WORDS = "abandon " * 11 + "about"
OTHER_ADDRESS = "0x9858effd232b4033e47d90003d41ec34ecaeda94"  # its first account, in every wallet


@pytest.mark.slow
def test_node_options_set_accounts_chain_id_and_genesis(tmp_path: Path) -> None:
    options = ["-a", "2", "--balance", "5.5", "--chain-id", "31337", "--bare", "-m", OTHER_WORDS]
    with running(tmp_path / "ready", *options) as (url, process):
        accounts = rpc_request(url, "eth_accounts")
        assert (len(accounts), accounts[0]) == (2, OTHER_ADDRESS)
        assert rpc_request(url, "eth_getBalance", OTHER_ADDRESS, "latest") == hex(55 * 10**17)
        assert rpc_request(url, "eth_chainId") == "0x7a69"
        assert rpc_request(url, "eth_getCode", MULTICALL3, "latest") == "0x"
        output = terminated(process)[0]
    assert f"Mnemonic:        {OTHER_WORDS}" in output
    assert "0x9858EfFD232B4033E47d90003D41EC34EcaEda94 (5.5 FIL)" in output


def test_banner_says_that_gas_is_an_estimate_and_how_it_is_exact() -> None:
    bundle = data_file("bundles/v18-devnet.car")
    for network, remedy in (
        (Network(network=28), "--bundle v18, after `hypervisor bundle fetch v18`"),
        (Network(bundle=bundle, evm="fast"), "--evm official"),
        (Network(bundle=bundle), None),
        (Network(rules="ethereum"), None),
    ):
        with network:
            lines = [line for line in banner(network, "", "", signs=True).splitlines() if line.startswith("Gas:")]
        estimate = f"Gas:             an estimate, within a tenth for usual transactions; exact with {remedy}"
        assert lines == ([] if remedy is None else [estimate])


@pytest.mark.slow
def test_time_limits_of_requests_follow_options(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--query-time", "0.2", "--trace-time", "0.3") as (url, _):
        rpc_request(url, "anvil_setCode", BOB, "0x5b6201000060002050600056")  # hashes 64 KiB, without an end
        for method, words in (("eth_call", "0.2s.*--query-time"), ("trace_call", "0.3s.*--trace-time")):
            params = [{"to": BOB}, ["trace"], "latest"] if method == "trace_call" else [{"to": BOB}, "latest"]
            with NodeClient(url) as client, pytest.raises(NodeError, match=words):
                client.request(method, *params)


@pytest.mark.slow
def test_time_base_fee_and_impersonation_match_options(tmp_path: Path) -> None:
    options = ["--timestamp", "1600000000", "--block-base-fee-per-gas", "12345", "--auto-impersonate"]
    with running(tmp_path / "ready", *options) as (url, _):
        assert rpc_request(url, "eth_getBlockByNumber", "0x0", False)["timestamp"] == hex(1_600_000_000)
        rpc_request(url, "anvil_setBalance", BOB, hex(10**18))
        transaction = rpc_request(url, "eth_sendTransaction", {"from": BOB, "to": ALICE, "value": "0x1"})
        assert rpc_request(url, "eth_getTransactionReceipt", transaction)["from"] == BOB  # without a key
        block = rpc_request(url, "eth_getBlockByNumber", "0x1", False)
        assert block["baseFeePerGas"] == hex(12_345)
        assert 0 < int(block["timestamp"], 16) - 1_600_000_000 < 3_600  # the clock goes on from there


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--balance", "3"], "balances of an existing folder cannot be set: omit the balance"),
        (["--accounts", "12"], "the folder's network knows 3 of these 12 accounts: omit the number of accounts"),
    ],
)
def test_options_fixed_by_state_folder_are_refused(tmp_path: Path, option: list[str], words: str) -> None:
    with running(tmp_path / "one", "--state", str(tmp_path / "chain"), "--accounts", "3"):
        pass
    found = run("node", "--port", "0", "--state", tmp_path / "chain", *option)
    assert (found.returncode, found.stdout) == (2, "")
    assert words in found.stderr
    with running(tmp_path / "two", "--state", str(tmp_path / "chain"), "--accounts", "3") as (url, _):
        assert len(rpc_request(url, "eth_accounts")) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("actors", "warning"),
    [
        (
            "v18",
            "nv27 runs actors v17 on the network, not v18: use --bundle v17-testing-fake-proofs, or another --network",
        ),
        ("v17", "nv28 runs actors v18 on the network, not v17: use --upgrade nv28@50=v18-testing-fake-proofs"),
    ],
)
def test_node_prints_its_version_upgrade_and_actors_and_warns(actors: str, warning: str, tmp_path: Path) -> None:
    bundle = str(data_file(f"bundles/{actors}-testing-fake-proofs.car"))
    options = ["--bundle", bundle, "--network", "nv27", "--upgrade", "nv28@50"]
    with running(tmp_path / "ready", *options) as (_, process):
        output = terminated(process)[0]
    for start in (
        "Version:         nv27",
        "Upgrade:         nv28 after epoch 50",
        f"Actors:          {actors}-testing",
    ):
        assert f"\n{start}" in f"\n{output}"
    assert [line for line in output.splitlines() if line.startswith("Warning:")] == [f"Warning:         {warning}"]


@pytest.mark.slow
def test_node_streams_match_options(tmp_path: Path) -> None:
    """The streams are set at genesis and at the upgrade; the doctor reports them."""
    swa = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
    asked = ["--swa", swa, "--sra", ALICE, "--orchestrator", ALICE, "--ramp", "90", "--timelock", "5"]
    for options, later in ((asked, 0), ([*asked[2:], "--swa", ALICE, "--network", "nv28", "--upgrade", "nv29@2"], 4)):
        with running(tmp_path / "ready", *options) as (url, process):
            if later:
                assert streams(url) == "none: miners receive the whole reward"
                rpc_request(url, "anvil_mine", hex(later))
            # By hand: 5 % at the first epoch, half a per cent more with each; the head's is what is told.
            epoch, begin = int(rpc_request(url, "eth_blockNumber"), 16), 3 if later else 1
            share = 5 + (epoch - begin) / 2 if later else 5
            found = streams(url)
            assert re.match(
                rf"1: {100 - share:.4g} % to miners, 2: {share:.4g} % to 1 recipient \(writer f0\d+\)", found
            )
            assert found.endswith(", timelock 5 epochs")
            terminated(process)


def streams(url: str) -> str:
    checks = json.loads(run("doctor", "--rpc-url", url, "--json").stdout)["checks"]
    found: str = next(check["result"] for check in checks if check["name"] == "reward streams")
    return found


@pytest.mark.slow
def test_folder_reopens_under_its_own_rules(tmp_path: Path) -> None:
    chain = str(tmp_path / "chain")
    options = ["--rules", "ethereum", "--hardfork", "prague", "--state", chain]
    with running(tmp_path / "ready", *options) as (url, process):
        sent = rpc_request(url, "eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})
        assert rpc_request(url, "eth_getTransactionReceipt", sent)["gasUsed"] == "0x5208"
        assert rpc_request(url, "eth_chainId") == "0x7a69"
        output = terminated(process)[0]
    assert "Rules:           ethereum Prague" in output
    refused = run("node", "--state", chain, "--rules", "filecoin")
    assert refused.returncode
    assert "under the rules 'ethereum', not 'filecoin': omit the rules" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_node_reopens_folder_with_its_bundle_and_refuses_other_options(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "chain")]
    for place, options in (("one", ["--bundle", "own-supply-share"]), ("two", [])):
        with running(tmp_path / place, *state, *options) as (url, _):
            assert rpc_request(url, "eth_chainId") == "0x1df5e76"
    for options, words in (
        (["--bundle", "own"], "omit the bundle"),
        (["--evm", "official"], "contracts are run by 'fast', not by 'official'"),
    ):
        refused = run("node", *state, *options)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


@pytest.mark.slow
def test_no_mining_node_mines_blocks_only_on_request(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--no-mining", "--silent") as (url, _):
        sent = rpc_request(url, "eth_sendTransaction", {"from": ALICE, "to": ALICE, "value": "0x1"})
        assert rpc_request(url, "eth_getTransactionReceipt", sent) is None
        rpc_request(url, "evm_mine")
        assert rpc_request(url, "eth_getTransactionReceipt", sent)["blockNumber"] == "0x1"


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_dumped_state_is_loaded_by_another_node(tmp_path: Path, rules: str) -> None:
    file = tmp_path / "state"
    with running(tmp_path / "ready", "--rules", rules, "--dump-state", str(file), "--silent") as (url, process):
        rpc_request(url, "anvil_setBalance", OTHER_ADDRESS, "0x7")
        assert not file.exists()
        assert terminated(process) == ("", "")
    with running(tmp_path / "ready", "--rules", rules, "--load-state", str(file)) as (url, _):
        assert rpc_request(url, "eth_getBalance", OTHER_ADDRESS, "latest") == "0x7"


@pytest.mark.slow
def test_non_loopback_node_signs_only_with_unlock(tmp_path: Path) -> None:
    transaction = {"from": ALICE, "to": ALICE, "value": "0x1"}
    with running(tmp_path / "ready", "--host", "0.0.0.0") as (url, process):
        here = url.replace("0.0.0.0", "127.0.0.1")
        assert rpc_request(here, "eth_accounts") == []
        for method, parameters in (("eth_sendTransaction", [transaction]), ("eth_sign", [ALICE, "0x00"])):
            with pytest.raises(NodeError, match="signs for no account: start it with --unlock"):
                rpc_request(here, method, *parameters)
        assert "signs for no account (use --unlock to sign)" in terminated(process)[0]
    with running(tmp_path / "ready", "--host", "0.0.0.0", "--unlock", "--silent") as (url, _):
        assert len(rpc_request(url.replace("0.0.0.0", "127.0.0.1"), "eth_accounts")) == 10


@pytest.mark.slow
def test_forked_node_starts_from_origin_and_runs_without_it(tmp_path: Path) -> None:
    with running(tmp_path / "there", "--no-mining") as (there, _):
        rpc_request(there, "anvil_setBalance", BOB, "0x7b")
        rpc_request(there, "evm_mine")
        rpc_request(there, "evm_mine")
        chain = ["--state", str(tmp_path / "fork")]
        with running(
            tmp_path / "here", *chain, "--fork-url", there, "--fork-block-number", "1", "--fork-chain-id", "777"
        ) as (here, _):
            assert rpc_request(here, "eth_blockNumber") == "0x1"
            assert rpc_request(here, "eth_getBalance", BOB, "latest") == "0x7b"
            theirs = rpc_request(there, "eth_getBlockByNumber", "0x1", False)
            assert rpc_request(here, "eth_chainId") == "0x309"
            assert rpc_request(here, "eth_getBlockByNumber", "latest", False)["hash"] == theirs["hash"]
            rpc_request(here, "anvil_setBalance", BOB, "0x7c")
            rpc_request(here, "evm_mine")
            assert rpc_request(there, "eth_getBalance", BOB, "latest") == "0x7b"
    with running(tmp_path / "again", *chain) as (again, _):
        assert rpc_request(again, "eth_getBalance", BOB, "latest") == "0x7c"
    found = run("gc", tmp_path / "fork")
    assert found.returncode
    assert "contains a fork" in found.stderr


@pytest.mark.slow
def test_node_collects_folder_on_request_and_automatically(tmp_path: Path) -> None:
    chain = ["--state", str(tmp_path / "chain")]
    with running(tmp_path / "one", *chain) as (url, _):
        rpc_request(url, "anvil_mine", "0x14")
        done = json.loads(run("gc", "--rpc-url", url, "--states", "3", "--json").stdout)
        assert done["dropped"] > 0
        rpc_request(url, "evm_mine")
        with pytest.raises(NodeError, match="block 5 was collected: states are kept from block 18 on"):
            rpc_request(url, "eth_getBalance", BOB, "0x5")
        assert int(rpc_request(url, "eth_getBalance", ALICE, "0x12"), 16) > 0
    with running(tmp_path / "two", *chain, "--keep-states", "5") as (url, _):
        rpc_request(url, "anvil_mine", "0x14")
        until = monotonic() + 60
        while _balance_at(url, "0x14").startswith("0x"):
            assert monotonic() < until, "nothing was collected"
            sleep(0.1)
        assert "was collected: states are kept from block" in _balance_at(url, "0x14")
        assert int(rpc_request(url, "eth_getBalance", ALICE, "latest"), 16) > 0


@pytest.mark.slow
def test_in_memory_node_keeps_requested_number_of_states(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--keep-states", "5") as (url, _):
        rpc_request(url, "anvil_mine", "0x14")
        assert "was collected: states are kept from block 16 on" in _balance_at(url, "0xa")
        assert "a node keeps more with --keep-states N" in _balance_at(url, "0xa")
        assert _balance_at(url, "0x10") == "0x0"
        assert rpc_request(url, "eth_getBlockByNumber", "0x3", False)["number"] == "0x3"


def _balance_at(url: str, block: str) -> str:
    try:
        return str(rpc_request(url, "eth_getBalance", BOB, block))
    except NodeError as error:
        return str(error)


@pytest.mark.slow
def test_failure_is_printed_with_names_and_source_line(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--artifacts", str(PROJECT / "out")) as (url, process):
        code = VAULT.interface.encode_constructor(VAULT.bytecode, 5)
        deployed = rpc_request(url, "eth_sendTransaction", {"from": ALICE, "data": f"0x{code.hex()}"})
        vault = rpc_request(url, "eth_getTransactionReceipt", deployed)["contractAddress"]
        request = {"from": ALICE, "to": vault, "data": f"0x{VAULT.interface.encode_call('put', 6).hex()}"}
        rpc_request(url, "eth_sendTransaction", request | {"gas": hex(10**9)})
        with pytest.raises(NodeError, match="revert"):
            rpc_request(url, "eth_sendTransaction", request)
        output, errors = terminated(process)
    assert errors == ""
    for begin in ("block 2  0x", "estimate  0x"):
        told = output[output.index(f"\n{begin}") :]
        assert " Vault put(amount=6)" in told
        assert f"\n  at {line_of('src/Lib.sol', 'revert TooMuch')}\n" in told


@pytest.mark.slow
def test_open_file_limit_is_raised_to_the_systems_maximum() -> None:
    program = (
        "import resource; from hypervisor_tools.cli.node import allow_open_files\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512)); allow_open_files()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(512, 512)\n"


@pytest.mark.slow
def test_node_at_open_file_limit_refuses_clients_quietly(tmp_path: Path) -> None:
    half = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with running(tmp_path / "ready", "--state", str(tmp_path / "chain"), files=512) as (url, process):
        with ExitStack() as opened:
            clients = [opened.enter_context(socket.socket()) for _ in range(700)]
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", urlsplit(url).port or 0))
            for client in clients:
                with suppress(OSError):  # the node may have closed it, or the system not yet opened it
                    client.send(half)
            refused, end = 0, monotonic() + START
            while not refused and monotonic() < end:
                sleep(0.5)
                refused = sum(_heard(client).startswith(b"HTTP/1.1 503 ") for client in clients)
        begun = monotonic()
        assert rpc_request(url, "eth_chainId") == "0x1df5e76"
        assert monotonic() - begun < 5 * slowness()
        assert terminated(process)[1] == ""
    assert refused


@pytest.mark.slow
def test_half_open_requests_yield_503_then_new_client_is_served(tmp_path: Path) -> None:
    """With 1,200 half-open requests and a limit of 1,024 files, others get 503 at once, and a slot becomes free."""
    allow_open_files()
    with running(tmp_path / "ready", files=1024) as (url, _), ExitStack() as opened:
        address = ("127.0.0.1", urlsplit(url).port or 0)
        for _ in range(1_200):
            client = opened.enter_context(socket.create_connection(address, timeout=START))
            with suppress(OSError):
                client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        begun, found = monotonic(), list[int]()
        while 200 not in found and monotonic() - begun < START:
            connection = HTTPConnection(*address, timeout=START)
            asked = monotonic()
            connection.request("POST", "/", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}))
            found.append(connection.getresponse().status)
            assert monotonic() - asked < slowness()
            connection.close()
            sleep(0.1)
        assert set(found) == {200, 503}
        assert monotonic() - begun < 5 * slowness()


def _heard(client: socket.socket) -> bytes:
    try:
        return client.recv(1 << 16)
    except OSError:
        return b""


@pytest.mark.slow
def test_gas_limit_order_path_and_config_follow_options(tmp_path: Path) -> None:
    """Key and address are what anvil 1.7 prints for this path."""
    out = tmp_path / "config.json"
    options = [
        "--rules",
        "ethereum",
        "--gas-limit",
        "12000000",
        "--order",
        "fifo",
        "--no-mining",
        "-a",
        "2",
        "--no-cors",
    ]
    options += ["--derivation-path", "m/44'/60'/1'/0/", "--config-out", str(out)]
    with running(tmp_path / "ready", *options) as (url, _):
        written = json.loads(out.read_text())
        assert out.stat().st_mode & 0o777 == 0o600  # it has private keys
        assert int(rpc_request(url, "eth_getBlockByNumber", "0x0", False)["gasLimit"], 16) == 12_000_000  # anvil's, too
        first, second = rpc_request(url, "eth_accounts")
        assert written["available_accounts"] == [first, second]
        assert first == "0x8c8d35429f74ec245f8ef2f4fd1e551cff97d650"
        assert written["private_keys"][0] == "0x7797c0f3db8b946604ec2039dfd9763e4ffdc53174342a2ed9b14fa3eda666a5"
        assert written["wallet"]["derivation_path"] == "m/44'/60'/1'/0/"
        sent = [
            rpc_request(
                url, "eth_sendTransaction", {"from": sender, "to": ALICE, "maxPriorityFeePerGas": tip, "gas": "0x5208"}
            )
            for sender, tip in ((first, hex(10**9)), (second, hex(2 * 10**9)))
        ]
        rpc_request(url, "evm_mine")
        block = rpc_request(url, "eth_getBlockByNumber", "latest", False)
        assert block["transactions"] == sent  # the dearer one came second
        assert int(block["gasLimit"], 16) == 12_000_000
        rpc_request(url, "anvil_reset")
        rpc_request(url, "evm_mine")
        assert int(rpc_request(url, "eth_getBlockByNumber", "latest", False)["gasLimit"], 16) == 12_000_000


@pytest.mark.slow
def test_disabled_block_gas_limit_admits_oversized_transaction(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--rules", "ethereum", "--hardfork", "prague", "--disable-block-gas-limit") as (
        url,
        _,
    ):
        alice = rpc_request(url, "eth_accounts")[0]
        transaction = rpc_request(url, "eth_sendTransaction", {"from": alice, "to": BOB, "gas": hex(31_000_000)})
        assert rpc_request(url, "eth_getTransactionReceipt", transaction)["status"] == "0x1"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--gas-limit", "12000000"],
            "a block gas limit is an option of Ethereum's rules: under the rules 'filecoin' it is always "
            "10,000,000,000; omit the option, or choose the rules 'ethereum'",
        ),
        (["--disable-block-gas-limit"], "a block gas limit is an option of Ethereum's rules"),
        (["--gas-limit", "1", "--disable-block-gas-limit"], "cannot be used together"),
        (["--balance", "much"], "'much' is not an amount"),
        (["--balance", "99999999999999999999999"], "cannot have"),
        (["--mnemonic", "test test"], "a mnemonic has 12, 15, 18, 21 or 24 words, not 2"),
        (["--chain-id", "0"], "0 cannot be a chain id"),
        (["--timestamp", "253402300800"], "253402300800 cannot be a time: expected a whole number, 0 to 253402300799"),
        (
            ["--network", "nv18"],
            f"our own bundle runs on nv21 to nv{max(NETWORK_VERSIONS)}, not on nv18: use an official one, --bundle v10",
        ),
        (["--host", "300.1.1.1"], "--host 300.1.1.1 cannot be used"),
        (["--load-state", "absent"], "the state absent cannot be read: No such file or directory"),
        (
            ["--load-state", __file__],
            f"--load-state {__file__}: the file is not a state dump of a network: it is not compressed with gzip; "
            "expected a file of `hypervisor node --dump-state`",
        ),
        (["--fork-epoch", "5"], "needs a node: pass --fork-url"),
        (["--fork-chain-id", "5"], "--fork-chain-id 5 is the chain ID of a forked network: pass --fork-url too"),
        (["--fork-url", "http://127.0.0.1:9", "--fork-chain-id", "0"], "0 cannot be a chain id"),
        (["--fork-url", "http://127.0.0.1:9"], "no node responds at http://127.0.0.1:9"),
        (["--null-rate", "0.5"], "--null-rate 0.5 needs blocks at intervals: pass --block-time too"),
        (["--dump-state", "absent/state"], "the state cannot be written to absent/state"),
        (["--no-cors", "--allow-origin", "*"], "--no-cors and --allow-origin * cannot be used together"),
        (["--derivation-path", "m/x"], "'m/x' is "),
        (["-s", "1"], "-s is an option of anvil that this node does not have: with --state"),
        (["-j", "2"], "-j is an option of anvil that this node does not have: --parallel sets"),
        (["-vvv"], "-v is an option of anvil that this node does not have: `hypervisor trace`"),
        (["--json"], "--json is an option of anvil that this node does not have: "),
        (["--color", "never"], "--color is an option of anvil that this node does not have: "),
        (["--hardfork", "london"], "pass --rules ethereum"),
        (
            ["--rules", "ethereum", "--hardfork", ""],
            "--hardfork has an empty name: name a hardfork, or omit the option",
        ),
        *(([option, "1"], f"{option} is an option of anvil that this node does not have: ") for option in UNSUPPORTED),
    ],
)
def test_invalid_options_exit_with_2_and_one_sentence(options: list[str], words: str) -> None:
    done = run_command("node", "--port", "0", *options)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
    assert words in done.stderr


@pytest.mark.slow
def test_every_anvil_option_is_supported_or_listed_as_missing() -> None:
    """The options of anvil 1.7's --help, except those for its output."""
    anvil = """--accounts --block-time --balance --config-out --derivation-path --dump-state --hardfork --init --ipc
        --threads --load-state --mnemonic --max-persisted-states --max-transactions --mixed-mining --mnemonic-random
        --mnemonic-seed-unsafe --no-mining --number --order --port --preserve-historical-states --prune-history
        --state-interval --slots-in-an-epoch --state --timestamp --transaction-block-keeper --quiet --allow-origin
        --cache-path --host --no-cors --no-request-size-limit --compute-units-per-second --fork-url --fork-block-number
        --fork-chain-id --fork-header --fork-retry-backoff --fork-transaction-hash --no-rate-limit --no-storage-caching
        --retries --timeout --block-base-fee-per-gas --chain-id --code-size-limit --disable-block-gas-limit
        --disable-code-size-limit --disable-min-priority-fee --enable-tx-gas-limit --gas-limit --gas-price
        --auto-impersonate --disable-console-log --disable-default-create2-deployer --disable-pool-balance-checks
        --memory-limit --print-traces --steps-tracing --celo --network"""
    known = set(re.findall(r"--[a-z0-9-]+", run_command("node", "--help", env={"COLUMNS": "200"}).output))
    assert set(anvil.split()) <= known | set(UNSUPPORTED)
    assert not known & set(UNSUPPORTED)


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_precompile_file_registers_its_modules(tmp_path: Path, rules: str) -> None:
    """The modules are used in calls, estimates, transactions, traces, and a block with parallel execution."""
    (tmp_path / "inverts.wasm").write_bytes(module(INVERTS))
    table = f'[precompiles.inverts]\naddress = "{PLACE}"\nwasm = "inverts.wasm"\ngas = 200\n'
    (tmp_path / "mine.toml").write_text(table)
    options = ["--rules", rules, "--precompile", str(tmp_path / "mine.toml"), "--parallel", "2", "--silent"]
    with running(tmp_path / "ready", *options) as (url, _):
        code = deployer(assemble(ANSWERS))
        request = {"from": ALICE, "data": f"0x{code.hex()}"}
        made = rpc_request(url, "eth_getTransactionReceipt", rpc_request(url, "eth_sendTransaction", request))[
            "contractAddress"
        ]
        question = {"from": ALICE, "to": made, "data": f"0x{PLACE[2:].rjust(64, '0')}00ff0f"}
        assert rpc_request(url, "eth_call", question, "latest") == "0xff00f0"
        sent = rpc_request(url, "eth_sendTransaction", question)
        receipt = rpc_request(url, "eth_getTransactionReceipt", sent)
        assert (receipt["status"], receipt["to"]) == ("0x1", made)
        trace = rpc_request(url, "hypervisor_trace", sent)
        assert trace["reproduced"] is True
        assert trace["calls"][0]["calls"][-1]["precompile"] == {"name": "inverts", "signature": ""}


@pytest.mark.slow
def test_unknown_precompile_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[precompiles.adder]\ngas = 5\n")
    for given, words in (
        ("gone", "precompile 'gone' is not installed"),
        (str(tmp_path / "gone.toml"), "gone.toml cannot be read"),
        (str(tmp_path / "mine.toml"), "precompiles.adder is missing address and wasm"),
    ):
        found = run_command("node", "--precompile", given, "--port", "0")
        assert (found.exit_code, words in found.stderr) == (2, True), found.stderr


def test_no_proof_verifier_without_option() -> None:
    assert proof_verifier(None, 1) is None


def test_option_selects_the_extension_with_digest_checks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configured: list[tuple[str, bool]] = []
    extension = SimpleNamespace(ParametersError=OSError, configure=lambda *settings: configured.append(settings))
    monkeypatch.setitem(sys.modules, EXTENSION, extension)
    assert isinstance(proof_verifier(tmp_path, 1), StorageProofs)
    assert configured == [(str(tmp_path), True)]


def test_option_and_parallel_execution_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--verify-proofs and --parallel 2 cannot be used together"):
        proof_verifier(tmp_path, 2)


@pytest.mark.slow
def test_network_uses_its_verifier_and_accepts_proofs_without_one() -> None:
    verifier = RefuseProofs()
    with Network(proofs=verifier) as network:
        assert network.chain.machine.proofs is verifier
    with Network() as network:
        assert isinstance(network.chain.machine.proofs, AcceptProofs)
