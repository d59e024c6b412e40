"""A network under Ethereum's rules: blocks, transactions, and the available features of Filecoin.

Gas is computed by hand from the yellow paper and the EIPs; tests/clients compares with anvil, tests/conformance/rpc
with geth.
"""

from pathlib import Path

import pytest
from eth_abi.abi import encode as encode_abi
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
from localnet.rules.call_request import BlockOverride, CallRequest
from localnet.rules.ethereum import ethereum_rules
from localnet.rules.installed import rules_named
from runtimes.evm.ethereum.executor import EthereumExecutor
from runtimes.evm.ethereum.forks import FORKS, LATEST_FORK
from tests.localnet.conftest import network_fixture
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

    def test_transfer_gas_matches_ethereum(self, network: Network) -> None:
        alice, bob = network.accounts[:2]
        before = network.balance(alice), network.balance(bob)
        receipt = network.send(bob.address, 5)
        assert (receipt.gas_used, receipt.gas_price) == (TRANSFER, 2 * GWEI)
        assert network.balance(alice) == before[0] - 5 - TRANSFER * 2 * GWEI
        assert network.balance(bob) == before[1] + 5

    def test_the_base_fee_follows_how_full_blocks_are(self, network: Network) -> None:
        assert network.base_fee == GWEI
        network.mine()
        assert network.base_fee == GWEI * 7 // 8
        network.send(network.accounts[1].address, 1)
        target = 15_000_000
        fee = GWEI * 7 // 8
        assert network.base_fee == fee - fee * (target - TRANSFER) // target // 8

    def test_tips_are_the_zero_addresss_and_base_fees_are_burnt(self, network: Network) -> None:
        nobody = EthAddress(bytes(20))
        before = network.balance(nobody), network.balance("f099")
        network.send(network.accounts[1].address, 1)
        assert network.balance(nobody) - before[0] == TRANSFER * GWEI
        assert network.balance("f099") - before[1] == TRANSFER * GWEI

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

    def test_prevrandao_equals_block_mix_hash(self, network: Network) -> None:
        reader = deployed(network, "PREVRANDAO 0 MSTORE 32 0 RETURN")
        told = network.rules.views.block_fields(network.head)["mixHash"]
        assert f"0x{network.call(reader).hex()}" == told

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


def test_words_of_a_revert_are_geths(network: Network) -> None:
    rules = rules_named("ethereum")
    error = bytes.fromhex("08c379a0") + encode_abi(["string"], ["no"])
    assert rules.views.failure_text(33, error, "") == "execution reverted: no"
    assert rules.views.failure_text(33, b"", "") == "execution reverted"
    assert rules.views.failure_text(33, b"\xde\xad\xbe\xef", "") == "execution reverted: custom error 0xdeadbeef"
    assert rules.views.failure_text(7, b"", "") == "out of gas"
