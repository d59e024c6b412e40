"""The Python API of a network: accounts, contracts, transactions, on our own bundle and an official one."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import datacap, init, multisig, storageminer
from bridge.ethereum.addresses import ZERO_ADDRESS, create_address, masked_id, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, LEGACY, Transaction
from bridge.filecoin.messages import signed_message
from hypervisor.errors import AddressError, Fatal, InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address, Protocol
from hypervisor.types import ATTO_PER_FIL, DATACAP_ACTOR, INIT_ACTOR, ActorID, TokenAmount
from localnet import CallFailed, Contract, Network, TransactionFailed, TransactionRefused
from localnet.addresses import Target
from localnet.contracts.contract import Artifact
from localnet.errors import UnknownTransaction
from localnet.state.controls import ContractState, code_of, storage_of
from store.cid import cid_of
from tests.conftest import data_file
from tests.localnet.chain.test_failing_commits import ReorgRecorder
from tests.localnet.conftest import ARTIFACTS, BUNDLE, START, Clock, _restored
from tests.runtimes.evm.assembler import assemble, deployer

COUNTER = ARTIFACTS / "Counter.json"
INBOX = ARTIFACTS / "Inbox.json"
FUNDS = 10_000 * ATTO_PER_FIL


def test_accounts_have_10000_fil_under_both_addresses(either: Network) -> None:
    assert len(either.accounts) == 10
    for account in either.accounts:
        assert either.balance(account) == either.balance(account.native) == FUNDS
        assert either.nonce(account) == 0


def test_the_zero_address_is_an_ethereum_account(either: Network) -> None:
    # Since FIP-0055 (lotus itests, TestFEVMETH0).
    actor = either.machine.actor(to_filecoin(ZERO_ADDRESS))
    assert actor is not None
    assert actor.code == either.machine.manifest.code("ethaccount")


def test_a_contract_is_deployed_called_and_changed(either: Network) -> None:
    third = either.accounts[3]
    counter = either.deploy(COUNTER, sender=third)
    assert counter.address == create_address(third.address, 0)
    assert counter.call("number") == 0
    receipt = counter.send("increment", sender=either.accounts[4])
    assert receipt.succeeded
    assert counter.call("number") == 1
    assert either.contract(str(counter), COUNTER).call("number") == 1
    assert (either.nonce(third), either.nonce(either.accounts[4]), either.nonce(counter)) == (1, 1, 1)


def test_every_transaction_has_a_block_of_its_own(network: Network) -> None:
    height = network.block_number
    first = network.send(network.accounts[1], 5)
    second = network.send(network.accounts[1], 5)
    assert [first.block_number, second.block_number] == [height + 1, height + 2]
    assert network.block(height + 2).transactions == (second.hash,)


def test_transfer_moves_only_value_and_gas_fee(either: Network) -> None:
    sender, receiver = either.accounts[:2]
    receipt = either.send(receiver, ATTO_PER_FIL)
    assert either.balance(receiver) == FUNDS + ATTO_PER_FIL
    assert either.balance(sender) == FUNDS - ATTO_PER_FIL - receipt.execution.paid
    assert receipt.gas_price == receipt.execution.paid // receipt.gas_used


def test_money_is_burnt_and_tipped_but_never_made(official: Network) -> None:
    def everything() -> int:
        _ = official.machine.root  # flushes the tree, which is then walked
        return sum(state.balance for _, state in official.machine.state_tree.actors())

    before = everything()
    official.send(official.accounts[1], 7)
    official.send_native(official.accounts[1].native, value=7)
    official.mine(2)
    assert everything() == before


def test_events_are_decoded_by_the_abi(either: Network) -> None:
    inbox = either.deploy(INBOX)
    receipt = inbox.send("greet", "hello", value=3)
    (event,) = inbox.events(receipt)
    sender = "0x" + either.accounts[0].address.hex()
    expected = {"from": sender, "value": 3, "text": "hello", "greetings": 1}
    assert (event.event, event.arguments) == ("Greeted", expected)
    assert either.balance(inbox) == 3


def test_revert_reports_reason(either: Network) -> None:
    inbox = either.deploy(INBOX)
    with pytest.raises(CallFailed, match=r"revert reason=\[Error\(not today\)\]") as failed:
        inbox.call("refuse", "not today")
    assert failed.value.exit_code == 33
    assert inbox.reason(failed.value.data) == "not today"
    data = inbox.interface.encode_call("refuse", "not today")
    with pytest.raises(TransactionFailed, match=r"Error\(not today\)") as sent:
        either.send(inbox, 0, data, gas_limit=50_000_000)
    assert sent.value.receipt.exit_code == 33
    assert either.block(sent.value.receipt.block_number).transactions == (sent.value.receipt.hash,)


def test_running_out_of_gas_is_a_failure_with_a_receipt(either: Network) -> None:
    counter = either.deploy(COUNTER)
    data = counter.interface.encode_call("increment")
    with pytest.raises(TransactionFailed, match="SYS_OUT_OF_GAS") as failed:
        either.send(counter, 0, data, gas_limit=1_500_000)
    assert failed.value.receipt.gas_used == 1_500_000
    assert "out of gas: " in either.receipt(failed.value.receipt.hash).error_message
    assert counter.call("number") == 0


def test_fil_goes_to_a_masked_id(either: Network) -> None:
    native = either.accounts[5].native
    masked = either.address(native)
    assert masked == masked_id(either.machine.state_tree.lookup_id(native) or 0)
    either.send(masked, 11)
    assert either.balance(native) == FUNDS + 11


def test_plain_transfer_to_builtin_actor_fails_as_on_network(official: Network) -> None:
    # An Ethereum transaction always calls InvokeEVM, which the power actor does not have.
    with pytest.raises(CallFailed, match="USR_UNHANDLED_MESSAGE"):
        official.send(masked_id(4), 1)


def test_a_native_account_sends_messages(official: Network) -> None:
    sender, receiver = official.accounts[:2]
    receipt = official.send_native(receiver.native, value=5, sender=sender)
    assert official.balance(receiver.native) == FUNDS + 5
    assert receipt.from_ == sender.native
    assert receipt.candidate.sender == official.address(sender.native)
    assert official.nonce(sender.native) == 1
    assert official.nonce(sender) == 0


def test_solidity_contract_calls_builtin_actor(official: Network) -> None:
    # DataCap's Name through the precompile call_actor_by_id: CBOR text "DataCap".
    bridge = official.deploy(ARTIFACTS / "Bridge.json")
    exit_code, result = bridge.call("callNative", 7, 48890204, b"")
    assert (exit_code, result) == (0, b"\x67DataCap")


def test_an_address_is_given_in_any_form(network: Network) -> None:
    account = network.accounts[2]
    hexadecimal = "0x" + account.address.hex()
    forms: list[Target] = [
        account,
        account.address,
        hexadecimal,
        hexadecimal.upper().replace("0X", "0x"),
        account.delegated,
    ]
    assert {network.address(form) for form in forms} == {account.address}
    assert {network.balance(form) for form in [*forms, str(account.delegated)]} == {FUNDS}
    assert network.balance(str(account.native).replace("f", "t", 1)) == FUNDS
    for wrong in ("0x1234", "0xzz", "nobody", b"short"):
        with pytest.raises(AddressError):
            network.balance(wrong)


def test_unknown_key_address_has_no_ethereum_address(network: Network) -> None:
    nobody = "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"
    for ask in (network.address, network.call, network.send):
        with pytest.raises(AddressError, match=f"{nobody} has no Ethereum address"):
            ask(nobody)
    network.send_native(nobody, value=5)
    assert network.balance(network.address(nobody)) == 5


def test_invalid_account_count_and_balance_are_refused() -> None:
    for options in ({"account_count": 0}, {"account_count": 1001}, {"balance": -1}, {"balance": 1 << 127}):
        with pytest.raises(InvalidInput, match="accounts"):
            Network(**options)  # type: ignore[arg-type]  # options by name
    with Network(account_count=1, balance=TokenAmount(ATTO_PER_FIL)) as network:
        assert network.balance(network.accounts[0].native) == ATTO_PER_FIL


def test_receipt_prints_as_one_line(network: Network) -> None:
    one, other = network.accounts[:2]
    sent = network.send(other, 5)
    end = f"gas {sent.gas_used:,}"
    assert str(sent) == f"block 1  0x{sent.hash.hex()}  0x{one.address.hex()} -> 0x{other.address.hex()}  ok  {end}"
    inbox = network.deploy(INBOX)
    deployed = network.receipt(network.head.transactions[0])
    assert f" -> new contract {inbox}  ok  gas " in str(deployed)
    with pytest.raises(TransactionFailed) as failed:
        network.send(inbox, 0, inbox.interface.encode_call("refuse", "no"), gas_limit=90_000_000)
    assert "  failed: EVM_CONTRACT_REVERTED  gas " in str(failed.value.receipt)
    with pytest.raises(TransactionFailed) as failed:
        network.send(None, 0, b"\xfe", gas_limit=90_000_000)
    assert " -> no contract  failed: " in str(failed.value.receipt)


def test_set_balance_accepts_key_addresses_and_existing_actors(network: Network) -> None:
    key = Address(Protocol.BLS, bytes(48))
    for target in (b"\x77" * 20, key, network.accounts[0]):
        network.set_balance(target, 9)
        assert network.balance(target) == 9
    for nobody in ("f0987654", Address.actor(b"nobody")):
        with pytest.raises(AddressError, match="none can be created at this kind of address"):
            network.set_balance(nobody, 9)


def test_a_destroyed_contract_has_no_code_nonce_or_storage(either: Network) -> None:
    # Init code stores 1 at slot 0 and leaves PUSH0, SELFDESTRUCT. As the tests of lotus have it (eth_bytecode_test).
    address = either.send(None, 0, bytes.fromhex("60015f55615fff5f526002601ef3")).contract_address
    assert address is not None
    target = to_filecoin(address)

    def seen() -> tuple[bytes, int, int]:
        slot = int.from_bytes(storage_of(either.machine, target, 0), "big")
        return code_of(either.machine, target), either.nonce(address), slot

    assert seen() == (b"\x5f\xff", 1, 1)
    either.send(address)
    assert seen() == (b"", 0, 0)


def test_a_contract_without_its_storage_is_a_defect(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = to_filecoin(network.deploy(COUNTER).address)
    lost = ContractState(None, cid_of(b"lost"), 1)
    monkeypatch.setattr("localnet.state.controls.state_with_storage", lambda *_: lost)
    with pytest.raises(Fatal, match=r"slot 0x7 of f410\S+ cannot be read: .* is not in the store"):
        storage_of(network.machine, counter, 7)


def test_estimates_suffice_and_are_not_wasteful(either: Network) -> None:
    inbox = either.deploy(INBOX)
    data = inbox.interface.encode_call("greet", "x")
    limit = either.estimate_gas(inbox, data, 1)
    receipt = either.send(inbox, 1, data, gas_limit=limit)
    assert receipt.succeeded
    assert receipt.gas_used <= limit <= 2 * receipt.gas_used


NEEDS_GAS = "500000000 GAS GT @ok JUMPI {} ok: STOP"


def test_estimate_is_searched_when_gas_used_is_insufficient(either: Network) -> None:
    address = either.send(None, 0, deployer(assemble(NEEDS_GAS.format("again: @again JUMP")))).contract_address
    assert address is not None
    limit = either.estimate_gas(address)
    assert 500_000_000 < limit < 1_300_000_000
    assert either.send(address, gas_limit=limit).gas_used < 20_000_000


def test_estimate_fails_if_less_gas_reverts(either: Network) -> None:
    """Source: lotus node/impl/eth/gas.go `ethGasSearch`, which searches only if a call has run out of gas."""
    address = either.send(None, 0, deployer(assemble(NEEDS_GAS.format("0 0 REVERT")))).contract_address
    assert address is not None
    with pytest.raises(CallFailed, match="contract reverted"):
        either.estimate_gas(address)


def test_gas_estimate_of_failing_call_reports_reason(either: Network) -> None:
    inbox = either.deploy(INBOX)
    with pytest.raises(CallFailed, match=r"Error\(no\)"):
        either.estimate_gas(inbox, inbox.interface.encode_call("refuse", "no"))
    with pytest.raises(CallFailed, match="SYS_INSUFFICIENT_FUNDS"):
        either.estimate_gas(either.accounts[1], value=FUNDS + 1)


def test_calls_and_estimates_leave_no_state_or_pending_blocks(either: Network) -> None:
    inbox = either.deploy(INBOX)
    root, pending = either.machine.root, len(either.machine.store.pending)
    data = inbox.interface.encode_call("greet", "x")
    newcomer = b"\x77" * 20
    either.call(inbox, data, sender=newcomer)
    either.estimate_gas(inbox, data, sender=newcomer)
    either.call(inbox, data, sender=inbox)
    either.estimate_gas(inbox, data, sender=inbox)
    assert len(either.machine.store.pending) == pending
    assert either.machine.root == root
    assert either.machine.actor(to_filecoin(either.address(newcomer))) is None


class TestRefusals:
    """Transactions that are rejected without any change."""

    def transaction(self, network: Network, **changes: Any) -> Transaction:
        found: dict[str, Any] = {
            "type": DYNAMIC_FEE, "chain_id": network.chain_id, "nonce": 0, "to": network.accounts[1].address,
            "value": 0, "data": b"", "gas_limit": 5_000_000, "max_fee": 1_000_000, "max_priority_fee": 100_000,
        }  # fmt: skip
        return Transaction(**(found | changes))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"chain_id": 1}, "invalid chain id for signer: have 1"),
            ({"type": LEGACY, "chain_id": 314}, "invalid chain id for signer: have 314"),
            ({"max_fee": 50, "max_priority_fee": 10}, "max fee per gas less than block base fee"),
            ({"max_priority_fee": 2_000_000}, "max priority fee per gas higher than max fee per gas"),
            ({"gas_limit": 10_000_000_001}, "exceeds block gas limit"),
            ({"gas_limit": 21_000}, "intrinsic gas too low: have 21000, want [0-9]+; .* --skip-simulation"),
            ({"gas_limit": 0}, "intrinsic gas too low"),
            ({"value": 20_000 * 10**18}, r"insufficient funds for gas \* price \+ value"),
            ({"max_fee": 10**22}, r"insufficient funds for gas \* price \+ value"),
            ({"value": 1 << 200}, "greater than total filecoin supply"),
            ({"nonce": 5_000}, "nonce too high"),
            ({"data": bytes(70_000)}, "oversized data: message of"),
            ({"data": bytes(140_000)}, "oversized data: transaction of"),
        ],
    )
    def test_a_transaction_is_refused_in_words_that_tools_know(
        self, network: Network, changes: dict[str, Any], words: str
    ) -> None:
        before = (network.head, network.machine.root, len(network.mempool))
        with pytest.raises(TransactionRefused, match=words):
            network.submit(network.accounts[0].sign(self.transaction(network, **changes)).raw())
        assert (network.head, network.machine.root, len(network.mempool)) == before

    def test_a_used_nonce_is_too_low(self, network: Network) -> None:
        network.send(network.accounts[1], 1)
        with pytest.raises(TransactionRefused, match="nonce too low: next nonce 1, tx nonce 0"):
            network.submit(network.accounts[0].sign(self.transaction(network)).raw())

    def test_unaffordable_value_is_refused_before_gas_estimation(self, network: Network) -> None:
        before = (network.head, network.machine.root, len(network.mempool))
        with pytest.raises(TransactionRefused, match="insufficient funds") as refused:
            network.send(network.accounts[1], FUNDS + 1)
        assert refused.value.reason == "funds"
        assert (network.head, network.machine.root, len(network.mempool)) == before

    def test_a_stranger_has_no_funds(self, network: Network) -> None:
        with pytest.raises(TransactionRefused, match="insufficient funds"):
            network.submit(self.transaction(network).sign(b"\x01" * 32).raw())

    def test_only_accounts_send(self, network: Network) -> None:
        # As Ethereum has it (EIP-3607): an address with code sends nothing, whoever has its key.
        from dataclasses import replace

        sender, tree = network.accounts[0], network.machine.state_tree
        actor, account = tree.lookup_id(sender.delegated), network.machine.actor(sender.delegated)
        assert actor is not None
        assert account is not None
        mark = tree.begin()
        tree.set_actor(actor, replace(account, code=network.machine.manifest.code("multisig")))
        try:
            with pytest.raises(TransactionRefused, match="is not an account: only accounts send transactions"):
                network.submit(sender.sign(self.transaction(network)).raw())
        finally:
            tree.rollback(mark)

    def test_bytes_that_are_no_transaction(self, network: Network) -> None:
        for raw in (b"", b"\x02", b"\x05\xc0", b"\xff" * 10):
            with pytest.raises(TransactionRefused, match="transaction"):
                network.submit(raw)

    @pytest.mark.parametrize("field", ["value", "gas_fee_cap", "gas_premium"])
    @pytest.mark.parametrize("delegated", [False, True])
    def test_a_negative_amount_of_a_native_message(self, network: Network, field: str, delegated: bool) -> None:
        from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage

        sender = network.accounts[0]
        amounts: dict[str, Any] = {"gas_fee_cap": 1_000_000, field: -1}
        message = Message(network.accounts[1].native, sender.delegated if delegated else sender.native, **amounts)
        unsigned = SignedMessage(message, Signature(SignatureType.DELEGATED, bytes(65)))
        before = (network.head, network.machine.root, len(network.mempool))
        with pytest.raises(TransactionRefused, match=f"negative {field.replace('_', ' ')}: -1 attoFIL") as refused:
            network.submit_native(unsigned if delegated else sender.sign_native(message))
        assert refused.value.reason == "fee"
        assert (network.head, network.machine.root, len(network.mempool)) == before

    def test_a_native_message_with_another_signature(self, network: Network) -> None:
        from dataclasses import replace

        from hypervisor.messages.message import Message, Signature, SignatureType

        one, other = network.accounts[:2]
        message = Message(other.native, one.native, gas_fee_cap=network.base_fee)
        signed = one.sign_native(message)
        forged = replace(
            signed, signature=Signature(SignatureType.SECP256K1, other.sign_native(message).signature.data)
        )
        with pytest.raises(TransactionRefused, match="is not its sender's"):
            network.submit_native(forged)


def test_network_accepts_delegated_message_as_its_transaction(network: Network) -> None:
    account = network.accounts[0]
    transaction = Transaction(
        DYNAMIC_FEE, network.chain_id, 0, network.accounts[1].address, 9, b"", 5_000_000, 1_000_000, 100_000
    )
    signed = account.sign(transaction)
    assert network.submit_native(signed_message(signed, account.address)) == signed.hash()
    assert network.receipt(signed.hash()).succeeded


def test_first_transaction_turns_placeholder_into_account(either: Network) -> None:
    key = b"\x05" * 32
    from localnet import Account

    newcomer = Account.from_key(key)
    either.send(newcomer, ATTO_PER_FIL)
    placeholder = either.machine.actor(newcomer.delegated)
    assert placeholder is not None
    assert placeholder.code == either.machine.manifest.code("placeholder")
    either.send(either.accounts[1], 1, sender=newcomer)
    account = either.machine.actor(newcomer.delegated)
    assert account is not None
    assert account.code == either.machine.manifest.code("ethaccount")


def test_unknown_transaction_is_reported(network: Network) -> None:
    with pytest.raises(UnknownTransaction, match="is not on this chain"):
        network.receipt(bytes(32))


class TestArtifacts:
    """Compilers' files."""

    def content(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(COUNTER.read_text(encoding="utf-8"))
        return loaded

    def test_forge_writes_the_bytecode_as_an_object(self, network: Network) -> None:
        content = self.content()
        content["bytecode"] = {"object": content["bytecode"], "linkReferences": {}}
        assert network.deploy(content).call("number") == 0

    @pytest.mark.parametrize("bytecode", ["0x60__$abc$__", "0x6", None])
    def test_bytecode_that_is_none_is_refused(self, bytecode: str | None) -> None:
        with pytest.raises(InvalidInput, match=r"the artifact"):
            Artifact.load(self.content() | {"bytecode": bytecode})

    def test_a_file_that_is_nested_without_end_is_no_artifact(self, tmp_path: Path) -> None:
        file = tmp_path / "deep.json"
        for levels in (995, 1_500, 200_000):  # more than Python's limit, than orjson's, than a stack bears
            file.write_text("[" * levels + "]" * levels)
            with pytest.raises(InvalidInput, match=r"deep\.json is no"):
                Artifact.load(file)

    def test_a_file_that_is_no_artifact_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match=r"absent\.json cannot be read: No such file or directory$"):
            Artifact.load(tmp_path / "absent.json")
        (tmp_path / "text.json").write_text("pragma solidity")
        with pytest.raises(InvalidInput, match=r"text\.json is not valid JSON"):
            Artifact.load(tmp_path / "text.json")
        (tmp_path / "list.json").write_text("[]")
        with pytest.raises(InvalidInput, match=r"list\.json is not an artifact"):
            Artifact.load(tmp_path / "list.json")


def test_the_public_names_are_these() -> None:
    import localnet

    assert sorted(localnet.__all__) == localnet.__all__
    for name in localnet.__all__:
        assert getattr(localnet, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = localnet.nothing
    assert Contract.__doc__
    assert Address.id(1)


@pytest.mark.parametrize(("bundle", "version"), [("v16-testing-fake-proofs", 26), ("v10-mainnet", 18)])
@pytest.mark.oracle
def test_older_networks_run_too(bundle: str, version: int) -> None:
    with Network(bundle=data_file(f"bundles/{bundle}.car"), network=version, clock=Clock()) as network:
        counter = network.deploy(COUNTER)
        counter.send("increment")
        network.mine(null_rounds=1)
        assert counter.call("number") == 1
        assert network.trace(network.block(2).transactions[0]).reproduced


def test_our_evm_runtime_runs_contracts_on_an_official_bundle() -> None:
    with Network(bundle=data_file(BUNDLE), evm="py-evm", clock=Clock()) as network:
        asker = network.deploy(ARTIFACTS / "DataCapName.json")
        asker.send("keep")
        assert asker.call("kept") == "DataCap"
        assert network.trace(network.head.transactions[0]).calls[0]["runtime"] == "evm"


DATACAP = Address.id(DATACAP_ACTOR)


def wallet(network: Network, *signers: Address) -> ActorID:
    """Create a multisig of two."""
    params = multisig.ConstructorParams(signers, 2, network.block_number, network.block_number).encode()
    code = network.machine.manifest.code("multisig")
    created = network.invoke(Address.id(INIT_ACTOR), init.exec(code, params), value=10**9)
    actor = created.id_address.actor_id()
    assert actor is not None
    return actor


def test_a_binding_s_answer_is_typed_and_its_failure_an_error(network: Network) -> None:
    assert network.ask(DATACAP, datacap.name()) == "DataCap"
    assert network.invoke(DATACAP, datacap.balance(network.accounts[0].native)) == 0
    miner = network.create_miner(sectors=0)
    assert network.ask(miner.address, storageminer.get_owner()).proposed is None
    with pytest.raises(CallFailed) as refused:
        network.ask(DATACAP, datacap.burn(10**18))
    assert refused.value.exit_code == ExitCode.USR_FORBIDDEN  # frozen: FIP-0118
    with pytest.raises(TransactionFailed):
        network.invoke(DATACAP, datacap.burn(10**18))


@pytest.mark.slow
def test_state_outside_snapshot_is_restored_too() -> None:
    clock = Clock()
    with Network(clock=clock) as shared:
        lent = _restored(shared)
        network = next(lent)
        network.automine = False
        network.chain.deferred = True
        network.set_block_interval(7)
        network.add_interface([], "Nobody")
        network.chain.watchers.append(ReorgRecorder())
        clock.now += 100
        network.mine(2)
        assert next(lent, None) is None
        assert (shared.automine, shared.chain.deferred, shared.interfaces, shared.chain.watchers) == (
            True, False, (), [],
        )  # fmt: skip
        assert clock.now == START
        assert shared.mine().timestamp == START + 1  # by the clock, not seven seconds on
