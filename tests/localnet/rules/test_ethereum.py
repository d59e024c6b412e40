"""A network under Ethereum's rules: blocks, transactions, and the available features of Filecoin.

Gas is computed by hand from the yellow paper and the EIPs; tests/clients compares with anvil, tests/conformance/rpc
with geth.
"""

from pathlib import Path

import pytest
from eth_account import Account as EthAccount

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import BLOCK_HASHES
from hypervisor.errors import InvalidInput
from hypervisor.machine.executor import Executor
from hypervisor.types import ChainEpoch, Gas
from localnet import Network
from localnet.calls.overrides import Overrides
from localnet.calls.simulate import call
from localnet.errors import TransactionRefused
from localnet.rpc.node import Node
from localnet.rules.ethereum import ethereum_rules
from localnet.rules.facts import BlockOverride, CallRequest
from localnet.rules.parts import rules_named
from localnet.traces.trace_report import describe
from runtimes.evm.forks.forks import FORKS, LATEST_FORK
from runtimes.evm.revm.executor import EthereumExecutor
from tests.localnet.conftest import Clock, network_fixture
from tests.localnet.rpc.conftest import Client, Failed, client_fixture
from tests.runtimes.evm.assembler import assemble, deployer

GWEI = 10**9
TRANSFER = 21_000


network = network_fixture(lambda: Network(rules="ethereum"))


def deployed(network: Network, program: str) -> EthAddress:
    address = network.send(None, data=deployer(assemble(program))).contract_address
    assert address is not None
    return address


class TestBlocks:
    """Block fields and the work around transactions."""

    def test_there_is_neither_a_reward_nor_cron(self, network: Network) -> None:
        before = network.machine.root
        network.mine(3, null_rounds=2)
        old, new = network.machine.fork(before).state_tree, network.machine.state_tree
        assert {actor for actor, state in new.actors() if old.get_actor(actor) != state} == {
            new.lookup_id(to_filecoin(BLOCK_HASHES))
        }

    def test_contracts_know_the_hashes_of_blocks(self, network: Network) -> None:
        network.mine(3)
        result = network.call(BLOCK_HASHES, (2).to_bytes(32, "big"))
        assert result == network.block(2).hash
        reader = deployed(network, "2 BLOCKHASH 0 MSTORE 32 0 RETURN")
        assert network.call(reader) == network.block(2).hash

    def test_block_hash_storage_matches_system_contract_code(self, network: Network) -> None:
        quick, run = network.machine.fork(), network.machine.fork()
        for machine in (quick, run):
            machine.advance(epoch=ChainEpoch(20_000))
        EthereumExecutor(quick).begin_block(b"\x07" * 32)
        EthereumExecutor(run).system_call(BLOCK_HASHES, b"\x07" * 32)
        assert quick.root == run.root != network.machine.root

    def test_block_hash_storage_is_correct_after_revert(self, network: Network) -> None:
        network.mine(3)
        snapshot = network.snapshot()
        network.mine(3)
        network.revert(snapshot)
        run = network.machine.fork()
        run.advance(epoch=ChainEpoch(4))
        EthereumExecutor(run).system_call(BLOCK_HASHES, network.head.hash)
        network.mine()
        kept, contract = network.machine.actor(to_filecoin(BLOCK_HASHES)), run.actor(to_filecoin(BLOCK_HASHES))
        assert kept == contract is not None

    def test_calls_suppose_another_block(self, network: Network) -> None:
        reader = deployed(network, "PREVRANDAO 0 MSTORE COINBASE 32 MSTORE GASLIMIT 64 MSTORE 96 0 RETURN")
        block = BlockOverride(gas_limit=Gas(77), coinbase=EthAddress(b"\x05" * 20), randomness=b"\x09" * 32)
        result = call(network.machine, CallRequest(reader, sender=network.accounts[0].address), Overrides(block=block))
        assert result == b"\x09" * 32 + bytes(12) + b"\x05" * 20 + (77).to_bytes(32, "big")
        assert network.call(reader)[64:] == (30_000_000).to_bytes(32, "big")


class TestTransactions:
    """Admission and effects of transactions."""

    def test_an_account_lends_itself_code_and_sends_on(self, network: Network) -> None:
        alice, bob = network.accounts[:2]
        code = deployed(network, "7 1 SSTORE")
        word = EthAccount.from_key(bob.private_key).sign_authorization(
            {"chainId": network.chain_id, "address": bytes(code), "nonce": 0}
        )
        fields = {
            "type": 4, "chainId": network.chain_id, "nonce": network.nonce(alice), "gas": 200_000, "value": 0,
            "to": bytes(bob.address), "maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI,
            "authorizationList": [word],
        }  # fmt: skip
        raw = EthAccount.sign_transaction(fields, alice.private_key).raw_transaction
        receipt = network.receipt(network.submit(bytes(raw)))
        assert receipt.succeeded
        assert network.send(alice.address, 3, sender=bob).gas_used == TRANSFER
        assert network.nonce(bob) == 2
        assert receipt.trace.reproduced

    def test_the_older_forks_know_no_delegations(self) -> None:
        with Network(rules="ethereum", hardfork="cancun") as network:
            alice = network.accounts[0]
            word = EthAccount.from_key(alice.private_key).sign_authorization(
                {"chainId": network.chain_id, "address": bytes(20), "nonce": 1}
            )
            fields = {
                "type": 4, "chainId": network.chain_id, "nonce": 0, "gas": 200_000, "value": 0, "to": bytes(20),
                "maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI, "authorizationList": [word],
            }  # fmt: skip
            raw = bytes(EthAccount.sign_transaction(fields, alice.private_key).raw_transaction)
            with pytest.raises(TransactionRefused, match="type not supported"):
                network.submit(raw)

    @pytest.mark.parametrize(
        ("hardfork", "code", "sends"),
        [
            ("", "ef0100" + "11" * 20, True),
            ("", "ef0100" + "11" * 2, False),
            ("", "00", False),
            ("cancun", "ef0100" + "11" * 20, False),
        ],
        ids=["a delegation", "cut short", "a contract", "before delegations"],
    )
    def test_account_with_code_sends_only_if_delegated_in_fork(self, hardfork: str, code: str, sends: bool) -> None:
        """EIP-3607 and EIP-7702: what no block can contain is refused instead of staying pending."""
        with Network(rules="ethereum", hardfork=hardfork) as network:
            alice, bob = network.accounts[:2]
            network.set_code(alice.address, bytes.fromhex(code))
            if sends:
                assert network.send(bob.address, 1, sender=alice).gas_used == TRANSFER
            else:
                with pytest.raises(TransactionRefused, match="is not an account: only accounts send transactions"):
                    network.send(bob.address, 1, sender=alice)

    def test_contracts_and_actors_are_impersonated_without_fees(self, network: Network) -> None:
        contract = deployed(network, "STOP")
        network.set_balance(contract, 100)
        receipt = network.send(network.accounts[1].address, 60, sender=contract)
        assert (receipt.execution.paid, network.balance(contract)) == (0, 40)
        again = network.send(network.accounts[1].address, 1, sender=contract)
        assert again.hash != receipt.hash

    def test_trace_shows_ethereum_gas(self, network: Network) -> None:
        contract = deployed(network, "0 0 0 0 0 ADDRESS 0x1000 CALL POP 1 1 SSTORE")
        receipt = network.send(contract, gas_limit=100_000)
        (top,) = receipt.trace.as_json()["calls"]
        assert top["gas"] == receipt.gas_used - TRANSFER

    def test_native_messages_are_transactions(self, network: Network) -> None:
        receipt = network.send_native(network.accounts[1].native, value=5)
        assert receipt.gas_used == TRANSFER

    def test_estimates_are_exact(self, network: Network) -> None:
        assert network.estimate_gas(network.accounts[1].address, value=1) == TRANSFER
        assert network.estimate_gas(network.accounts[1].address, b"\x01" * 100) == TRANSFER + 4_000  # EIP-7623's floor


class TestFilecoin:
    """Filecoin's actors and precompiles under these rules."""

    def test_precompiles_and_masked_ids_are_reached(self, network: Network) -> None:
        network.send("0xff00000000000000000000000000000000000064", 5)
        asking = deployed(
            network,
            f"CALLDATASIZE 0 0 CALLDATACOPY 0 0 CALLDATASIZE 0 0 0xfe{1:038x} GAS CALL "
            "RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN",
        )
        result = network.call(asking, network.accounts[0].native.to_bytes())
        assert int.from_bytes(result, "big") == network.machine.state_tree.lookup_id(network.accounts[0].native)


class TestOpening:
    """A folder keeps its rules."""

    @pytest.mark.slow
    def test_folder_reopens_with_its_rules_and_hardfork(self, tmp_path: Path) -> None:
        with Network(tmp_path / "chain", rules="ethereum", hardfork="prague") as network:
            receipt = network.send(network.accounts[1].address, 5)
        with Network(tmp_path / "chain") as network:
            assert (network.rules.name, network.rules.hardfork, network.chain_id) == ("ethereum", "Prague", 31337)
            assert network.receipt(receipt.hash).gas_used == TRANSFER
            assert network.send(network.accounts[1].address, 5).gas_used == TRANSFER

    @pytest.mark.slow
    def test_a_folder_is_refused_under_others(self, tmp_path: Path) -> None:
        Network(tmp_path / "one", rules="ethereum", hardfork="Prague").close()
        Network(tmp_path / "other").close()
        with pytest.raises(InvalidInput, match="under the rules 'ethereum', not 'filecoin': omit the rules"):
            Network(tmp_path / "one", rules="filecoin")
        with pytest.raises(InvalidInput, match="under the rules 'filecoin', not 'ethereum'"):
            Network(tmp_path / "other", rules="ethereum")
        with pytest.raises(InvalidInput, match="has the hardfork Prague, not osaka: omit the hardfork"):
            Network(tmp_path / "one", hardfork="osaka")

    def test_unknown_rules_and_hardfork_are_named(self) -> None:
        with pytest.raises(InvalidInput, match="fork 'lnodon' is not known: choose one of Frontier, Homestead, "):
            Network(rules="ethereum", hardfork="lnodon")
        with pytest.raises(InvalidInput, match="rules 'bitcoin' are not known: choose one of filecoin, ethereum"):
            Network(rules="bitcoin")
        with pytest.raises(InvalidInput, match="need this project's own EVM"):
            Network(rules="ethereum", evm="official")
        with pytest.raises(InvalidInput, match="does not apply to Filecoin"):
            rules_named("filecoin", "Osaka")

    def test_hardfork_choices_are_those_of_machine(self) -> None:
        assert [rules_named("ethereum", name.upper()).hardfork for name in FORKS] == list(FORKS)
        assert rules_named("ethereum").hardfork == LATEST_FORK.name

    def test_a_machine_part_without_forks_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("localnet.rules.ethereum.executor_factory", lambda _: Executor)
        with pytest.raises(InvalidInput, match="names no forks"):
            ethereum_rules()


OLDER = ("frontier", "eip158", "istanbul", "berlin")
# returns 32 zeros; the first opcode pushes a zero without PUSH0
RETURNS = "0x" + assemble("32 CALLDATASIZE RETURN").hex()


@pytest.mark.parametrize("hardfork", OLDER)
def test_requests_without_a_type_are_of_type_0(hardfork: str) -> None:
    with Network(rules="ethereum", hardfork=hardfork) as network:
        rpc = Client(Node(network))
        alice, bob = (account.address for account in network.accounts[:2])
        sent = rpc("eth_sendTransaction", {"from": f"0x{alice.hex()}", "to": f"0x{bob.hex()}", "value": "0x5"})
        found = rpc("eth_getTransactionByHash", sent)
        receipt = rpc("eth_getTransactionReceipt", sent)
        block = rpc("eth_getBlockByNumber", "latest", False)
        assert (found["type"], receipt["status"], receipt["gasUsed"]) == ("0x0", "0x1", "0x5208")
        assert not {"baseFeePerGas", "withdrawals", "blobGasUsed"} & set(block)
        assert rpc("eth_call", {"data": RETURNS}, "latest") == "0x" + "00" * 32
        assert network.send(bob, 5).succeeded


@pytest.mark.parametrize("hardfork", OLDER)
def test_a_transaction_with_fees_of_london_is_refused(hardfork: str) -> None:
    with Network(rules="ethereum", hardfork=hardfork) as network:
        rpc, sender = Client(Node(network)), f"0x{network.accounts[0].address.hex()}"
        with pytest.raises(Failed, match="transaction type not supported: type 2; expected type 0"):
            rpc("eth_sendTransaction", {"from": sender, "to": sender, "maxFeePerGas": "0x9"})


def test_transaction_gas_follows_the_fork() -> None:
    """A nonzero byte costs 68 gas, and 16 since Istanbul (EIP-2028)."""
    used = {}
    for hardfork in ("frontier", "istanbul"):
        with Network(rules="ethereum", hardfork=hardfork) as network:
            used[hardfork] = network.send(network.accounts[1], 0, b"\1").gas_used
    assert used == {"frontier": 21_068, "istanbul": 21_016}


RECEIVER = "0x" + "d5" * 20
SYSTEM = "0xfffffffffffffffffffffffffffffffffffffffe"
AMSTERDAM_TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
STATE_OF_AN_ACCOUNT = 120 * 1530
EXECUTION = 12_000 + 3000 + 6000
"""Gas of a transaction with a value for another account: sender, receiver, value."""


rpc = client_fixture(lambda: Network(clock=Clock(), rules="ethereum", hardfork="amsterdam"))


def sender(rpc: Client) -> str:
    return str(rpc("eth_accounts")[0])


def pay(rpc: Client) -> str:
    return str(rpc("eth_sendTransaction", {"from": sender(rpc), "to": RECEIVER, "value": "0x5"}))


def test_a_new_account_pays_state_gas_as_gas_of_the_block(rpc: Client) -> None:
    receipt = rpc("eth_getTransactionReceipt", pay(rpc))
    assert int(receipt["gasUsed"], 16) == int(receipt["cumulativeGasUsed"], 16) == EXECUTION + STATE_OF_AN_ACCOUNT
    assert int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16) == STATE_OF_AN_ACCOUNT
    assert int(rpc("eth_getTransactionReceipt", pay(rpc))["gasUsed"], 16) == EXECUTION
    assert int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16) == EXECUTION


def test_a_gas_limit_above_the_blocks_is_refused(rpc: Client) -> None:
    """Gas above 2^24 pays for new state alone, of which a block has as much as of gas (EIP-8037)."""
    limit = int(rpc("eth_getBlockByNumber", "latest", False)["gasLimit"], 16)
    paid = {"from": sender(rpc), "to": RECEIVER, "value": "0x5"}
    with pytest.raises(Failed, match="exceeds block gas limit"):
        rpc("eth_sendTransaction", {**paid, "gas": hex(limit + 1)})
    assert rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {**paid, "gas": hex(limit)}))["status"] == "0x1"


def test_a_transfer_to_the_sender_pays_for_the_sender_only(rpc: Client) -> None:
    me = sender(rpc)
    sent = rpc("eth_sendTransaction", {"from": me, "to": me, "value": "0x5", "gas": hex(12_000)})
    receipt = rpc("eth_getTransactionReceipt", sent)
    assert (receipt["gasUsed"], receipt["logs"]) == (hex(12_000), [])


def test_a_transfer_is_a_log_of_the_system_address(rpc: Client) -> None:
    (log,) = rpc("eth_getTransactionReceipt", pay(rpc))["logs"]
    ends = [f"0x{'00' * 12}{address[2:].lower()}" for address in (sender(rpc), RECEIVER)]
    assert (log["address"], log["topics"]) == (SYSTEM, [AMSTERDAM_TRANSFER, *ends])
    assert int(log["data"], 16) == 5
    assert rpc("eth_getLogs", {"address": SYSTEM, "fromBlock": "0x0"}) == [log]
    traced = rpc("debug_traceCall", {"from": sender(rpc), "to": RECEIVER, "value": "0x5"}, "latest", {
        "tracer": "callTracer", "tracerConfig": {"withLog": True},
    })  # fmt: skip
    assert [(each["address"], each["topics"]) for each in traced["logs"]] == [(SYSTEM, log["topics"])]


def test_an_estimate_covers_the_state_gas_of_code(rpc: Client) -> None:
    """14,000 bytes of code take more than 2^24 gas, of which execution uses little."""
    call = {"from": sender(rpc), "data": "0x" + assemble("14000 0 RETURN").hex()}
    estimate = rpc("eth_estimateGas", call)
    state = STATE_OF_AN_ACCOUNT + 14_000 * 1530
    assert 1 << 24 < state < int(estimate, 16) < state + 100_000
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {**call, "gas": estimate}))
    assert receipt["status"] == "0x1"
    assert int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16) == state


def test_an_estimate_above_the_execution_gas_cap_fails(rpc: Client) -> None:
    """95,201 words of memory cost 3 * words + words^2 / 512 gas (yellow paper), which is more than 2^24."""
    call = {"from": sender(rpc), "data": "0x" + assemble(f"1 {95_200 * 32} MSTORE").hex()}
    assert 1 << 24 < 3 * 95_201 + 95_201**2 // 512 < 20_000_000
    with pytest.raises(Failed, match=r"gas required exceeds allowance: 30000000$"):
        rpc("eth_estimateGas", call)
    receipt = rpc("eth_getTransactionReceipt", rpc("eth_sendTransaction", {**call, "gas": hex(20_000_000)}))
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(1 << 24))
    assert rpc("eth_call", {**call, "gas": hex(20_000_000)}, "latest") == "0x"


def test_the_fork_is_shown_as_a_draft(rpc: Client) -> None:
    assert rpc("eth_config")["current"]["draft"] == "2026-10-23"
    with Network(rules="ethereum") as network:
        assert "draft" not in Client(Node(network))("eth_config")["current"]


def test_the_deployment_factory_is_there(rpc: Client) -> None:
    """The code of EIP-7997, as in go-ethereum's params.DeterministicFactoryCode."""
    code = (
        "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182"
        "fd5b8082525050506014600cf3"
    )
    assert rpc("eth_getCode", "0x4e59b44847b379578588920cA78FbF26c0B4956C", "latest") == code


def test_a_trace_decodes_the_log_of_a_transfer(rpc: Client) -> None:
    (event,) = describe(rpc("hypervisor_trace", pay(rpc))["calls"][0], ()).events
    assert event.lower() == f"transfer(from={sender(rpc)}, to={RECEIVER}, amount=5)".lower()
