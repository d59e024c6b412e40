"""Lab `accounts`: effects of authorizations, execution in an account's name, and the node's methods."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.ethereum.transactions import DELEGATION_PREFIX, SET_CODE, Authorization, Transaction, TransactionError
from bridge.filecoin.cbor import ParamsError
from bridge.filecoin.messages import (
    APPLY_AND_CALL,
    ApplyAndCallParams,
    decode_outcome,
    from_signed_message,
    set_code_message,
)
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import invoke_params, unwrap_return
from bridge.filecoin.receipts import entries_to_log
from hypervisor.errors import InvalidInput
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import METHOD_SEND, ActorID, Gas, MethodNumber, TokenAmount, encode_bigint
from hypervisor_labs.accounts import NONCES, delegation_nonce
from lab_tests.accounts import run
from localnet import Network
from localnet.accounts import Account
from localnet.errors import TransactionRefused
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.node import Node
from localnet.state.controls import code_of, nonce_of, set_code, storage_of
from store.cid import EMPTY_ARRAY_CID
from store.codec import encode
from store.keccak import keccak
from tests.localnet.conftest import START, Clock
from tests.localnet.rpc.conftest import Client, Failed
from tests.runtimes.evm.assembler import assemble

NOTES = EthAddress(bytes([0xA0] * 20))
OTHER = EthAddress(bytes([0xA1] * 20))
SINK = EthAddress(bytes([0xA2] * 20))
"""Receiver of calls that only test their authorizations."""
NOBODY = EthAddress(bytes(20))
STRANGER = Account.from_key(bytes(31) + b"\x09")
GAS = Gas(1_000_000_000)


class Stage:
    """A network with the lab, where `NOTES` stores its caller and the value in slots 1 and 2."""

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self.network = Network(rules=f"lab:accounts={variant}", clock=Clock(START))
        self.machine: Hypervisor = self.network.machine
        self.alice, self.bob, self.carol = self.network.accounts[:3]
        self.code(NOTES, "CALLER 1 SSTORE CALLVALUE 2 SSTORE")

    def code(self, address: EthAddress, source: str) -> None:
        set_code(self.machine, address, assemble(source))

    def authorize(self, account: Account, delegate: EthAddress, nonce: int = 0, chain: int = 0) -> Authorization:
        return account.sign_authorization(delegate, nonce, chain)

    def apply(
        self,
        to: EthAddress,
        *items: Authorization,
        value: int = 0,
        data: bytes = b"",
        sender: Account | None = None,
        gas: int = GAS,
    ) -> tuple[bool, bytes, ApplyResult]:
        """Send a message with these authorizations; return the call's success and output, and the message's result."""
        params = ApplyAndCallParams(items, to, value, data).encode()
        result = self.message(params, value, sender, gas)
        assert result.exit_code == 0, result
        return *decode_outcome(result.return_data), result

    def message(self, params: bytes, value: int = 0, sender: Account | None = None, gas: int = GAS) -> ApplyResult:
        who = sender or self.alice
        return self.machine.apply(
            Message(
                who.delegated, who.delegated, nonce_of(self.machine, who.delegated), TokenAmount(value), APPLY_AND_CALL,
                params, Gas(gas), TokenAmount(200),
            )
        )  # fmt: skip

    def lend(self, account: Account, delegate: EthAddress, nonce: int = 0) -> None:
        assert self.apply(SINK, self.authorize(account, delegate, nonce))[0]
        assert self.code_of(account) == (DELEGATION_PREFIX + delegate if any(delegate) else b"")

    def call(self, to: Account | EthAddress, data: bytes = b"", value: int = 0) -> ApplyResult:
        address = to.delegated if isinstance(to, Account) else to_filecoin(to)
        return self.machine.apply_implicit(
            Message(
                address,
                self.carol.delegated,
                value=TokenAmount(value),
                method=INVOKE_EVM,
                params=invoke_params(data),
                gas_limit=GAS,
            )
        )

    def code_of(self, account: Account) -> bytes:
        return code_of(self.machine, account.delegated)

    def slot(self, of: Account | EthAddress, slot: int) -> int:
        address = of.delegated if isinstance(of, Account) else to_filecoin(of)
        return int.from_bytes(storage_of(self.machine, address, slot), "big")


@pytest.fixture
def fip() -> Iterator[Stage]:
    found = Stage("fip")
    yield found
    found.network.close()


@pytest.fixture
def eip() -> Iterator[Stage]:
    found = Stage("eip")
    yield found
    found.network.close()


def number(address: EthAddress) -> int:
    return int.from_bytes(address, "big")


class TestAuthorizations:
    def test_authorization_sets_code_and_increments_nonce(self, stage: Stage) -> None:
        succeeded, _, _ = stage.apply(stage.bob.address, stage.authorize(stage.bob, NOTES), value=5)
        assert succeeded
        assert stage.slot(stage.bob, 1) == number(stage.alice.address)
        assert stage.slot(stage.bob, 2) == 5
        assert stage.slot(NOTES, 1) == 0
        own = delegation_nonce(stage.machine, stage.bob.address)
        assert (own, nonce_of(stage.machine, stage.bob.delegated)) == ((1, 0) if stage.variant == "fip" else (0, 1))

    def test_an_account_that_is_not_there_comes_into_being(self, stage: Stage) -> None:
        stage.lend(STRANGER, NOTES)
        stage.call(STRANGER)
        assert stage.slot(STRANGER, 1) == number(stage.carol.address)

    def test_the_sender_may_sign_for_itself(self, stage: Stage) -> None:
        nonce = 0 if stage.variant == "fip" else 1
        assert stage.apply(stage.alice.address, stage.authorize(stage.alice, NOTES, nonce))[0]
        assert stage.slot(stage.alice, 1) == number(stage.alice.address)
        assert stage.apply(OTHER, stage.authorize(stage.bob, NOTES), sender=stage.alice)[0], "it still sends"

    def test_zero_address_removes_code_and_keeps_storage(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        stage.call(stage.bob)
        stage.lend(stage.bob, NOBODY, nonce=1)
        stage.machine.state_tree.flush()
        stage.code(OTHER, "1 SLOAD 9 SSTORE")
        stage.lend(stage.bob, OTHER, nonce=2)
        stage.call(stage.bob)
        assert stage.slot(stage.bob, 9) == number(stage.carol.address)

    def test_an_account_without_storage_is_as_before(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        stage.lend(stage.bob, NOBODY, nonce=1)
        actor = stage.machine.actor(stage.bob.delegated)
        assert actor is not None
        assert actor.head == EMPTY_ARRAY_CID

    @pytest.mark.parametrize("spoilt", ["nonce", "last nonce", "chain", "high s", "parity", "r of zero", "s of zero"])
    def test_invalid_authorization_is_skipped(self, stage: Stage, spoilt: str) -> None:
        good = stage.authorize(stage.bob, NOTES)
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        bad = {
            "nonce": stage.authorize(stage.bob, NOTES, 1),
            "last nonce": stage.authorize(stage.bob, NOTES, (1 << 64) - 1),
            "chain": stage.authorize(stage.bob, NOTES, chain=314),
            "high s": good._replace(s=order - good.s, y_parity=1 - good.y_parity),
            "parity": good._replace(y_parity=2),
            "r of zero": good._replace(r=0),
            "s of zero": good._replace(s=0),
        }[spoilt]
        assert stage.apply(OTHER, bad, stage.authorize(stage.carol, NOTES))[0]
        assert (stage.code_of(stage.bob), stage.code_of(stage.carol)) == (b"", DELEGATION_PREFIX + NOTES)

    def test_contracts_cannot_authorize(self, stage: Stage) -> None:
        set_code(stage.machine, STRANGER.address, b"\x00")
        assert stage.apply(OTHER, stage.authorize(STRANGER, NOTES))[0]
        assert code_of(stage.machine, STRANGER.delegated) == b"\x00"

    def test_authorizations_survive_failed_call(self, stage: Stage) -> None:
        stage.code(OTHER, "1 0 MSTORE 32 0 REVERT")
        succeeded, output, result = stage.apply(OTHER, stage.authorize(stage.bob, NOTES))
        assert (succeeded, output) == (False, (1).to_bytes(32, "big"))
        assert result.message
        assert stage.code_of(stage.bob) == DELEGATION_PREFIX + NOTES

    def test_authorizations_survive_out_of_gas_call(self, stage: Stage) -> None:
        stage.code(OTHER, "JUMPDEST 0 JUMP")
        succeeded, _, result = stage.apply(OTHER, stage.authorize(stage.bob, NOTES), gas=100_000_000)
        assert not succeeded
        assert result.gas_used < 100_000_000
        assert stage.code_of(stage.bob) == DELEGATION_PREFIX + NOTES

    def test_authorizations_survive_unpayable_value(self, stage: Stage) -> None:
        missing = masked_id(ActorID(999_999))
        assert not stage.apply(missing, stage.authorize(stage.bob, NOTES))[0]
        assert stage.code_of(stage.bob) == DELEGATION_PREFIX + NOTES

    def test_an_answer_that_is_not_paid_for_is_left_out(self, stage: Stage) -> None:
        stage.code(OTHER, "10000 0 RETURN")
        short, output, _ = stage.apply(OTHER, stage.authorize(stage.bob, NOTES), gas=18_000_000)
        assert (short, output) == (True, b"")
        assert len(stage.apply(OTHER, stage.authorize(stage.bob, NOTES, 1))[1]) == 10_000

    def test_several_authorizations_of_one_account_apply(self, stage: Stage) -> None:
        items = [stage.authorize(stage.bob, NOTES), stage.authorize(stage.bob, OTHER, 1)]
        result = stage.message(ApplyAndCallParams(tuple(items), OTHER, 0, b"").encode())
        if stage.variant == "fip":
            assert (result.exit_code, stage.code_of(stage.bob)) == (16, b"")
        else:
            assert (result.exit_code, stage.code_of(stage.bob)) == (0, DELEGATION_PREFIX + OTHER)


class TestRunning:
    def test_bare_send_runs_no_delegated_code(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        message = Message(stage.bob.delegated, stage.carol.delegated, value=TokenAmount(7), method=METHOD_SEND)
        assert stage.machine.apply_implicit(message).exit_code == 0
        assert stage.slot(stage.bob, 1) == 0

    def test_contracts_see_the_mark_that_stands_for_code(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        who = f"0x{stage.bob.address.hex()}"
        stage.code(
            OTHER,
            f"{who} EXTCODESIZE 1 SSTORE {who} EXTCODEHASH 2 SSTORE 23 0 0 {who} EXTCODECOPY 0 MLOAD 3 SSTORE "
            f"0x{stage.carol.address.hex()} EXTCODESIZE 4 SSTORE 0x{stage.carol.address.hex()} EXTCODEHASH 5 SSTORE",
        )
        assert stage.call(OTHER).exit_code == 0
        mark = DELEGATION_PREFIX + NOTES
        hashes = [int.from_bytes(keccak(code), "big") for code in (mark, b"")]
        found = [stage.slot(OTHER, slot) for slot in range(1, 6)]
        assert found == [23, hashes[0], int.from_bytes(mark.ljust(32, b"\0"), "big"), 0, hashes[1]]

    def test_a_delegate_call_runs_the_lent_code_in_the_callers_name(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        stage.code(OTHER, f"0 0 0 0 0x{stage.bob.address.hex()} GAS DELEGATECALL 7 SSTORE")
        stage.call(OTHER, value=3)
        assert [stage.slot(OTHER, slot) for slot in (7, 1, 2)] == [1, number(stage.carol.address), 3]
        assert stage.slot(stage.bob, 1) == 0

    def test_static_call_to_delegated_code_changes_no_state(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        stage.code(OTHER, f"0 0 0 0 0x{stage.bob.address.hex()} GAS STATICCALL 1 ADD 7 SSTORE")
        stage.call(OTHER)
        assert (stage.slot(OTHER, 7), stage.slot(stage.bob, 1)) == (1, 0)

    @pytest.mark.parametrize(("delegate", "exit_code"), [
        (EthAddress(bytes(19) + b"\x04"), 0), (STRANGER.address, 0), (masked_id(ActorID(7)), 34), ("itself", 35),
        ("a lender", 35), (masked_id(ActorID(999_999)), 0), (EthAddress(bytes([0xFE, *bytes(18), 3])), 0),
    ])  # fmt: skip
    def test_delegate_without_contract_code_runs_nothing(self, stage: Stage, delegate: Any, exit_code: int) -> None:
        """A precompile, an account or a missing delegate runs no code; a native or delegating one fails the call."""
        stage.lend(stage.carol, NOTES)
        to = {"itself": stage.bob.address, "a lender": stage.carol.address}.get(delegate, delegate)
        stage.lend(stage.bob, to)
        result = stage.call(stage.bob, b"\1", value=2)
        assert (result.exit_code, unwrap_return(result.return_data)) == (exit_code, b"")
        assert stage.slot(stage.bob, 1) == 0

    def test_accounts_that_call_each_other(self, stage: Stage) -> None:
        """Delegated code in the variant `fip` cannot call other delegated code, except through a contract."""
        stage.lend(stage.carol, NOTES)
        stage.code(OTHER, f"0 0 0 0 0 0x{stage.carol.address.hex()} GAS CALL 7 SSTORE")
        stage.lend(stage.bob, OTHER)
        result = stage.machine.apply_implicit(
            Message(stage.bob.delegated, stage.alice.delegated, method=INVOKE_EVM, gas_limit=GAS)
        )
        assert (result.exit_code, stage.slot(stage.bob, 7)) == (0, 1)
        assert stage.slot(stage.carol, 1) == (0 if stage.variant == "fip" else number(stage.bob.address))
        assert stage.call(OTHER).exit_code == 0
        assert stage.slot(stage.carol, 1) == number(OTHER)

    def test_a_loop_of_accounts_ends(self, stage: Stage) -> None:
        for one, other, code in ((stage.bob, stage.carol, NOTES), (stage.carol, stage.bob, OTHER)):
            stage.code(code, f"0 0 0 0 0 0x{other.address.hex()} GAS CALL 7 SSTORE")
            stage.lend(one, code)
        result = stage.machine.apply_implicit(
            Message(stage.bob.delegated, stage.alice.delegated, method=INVOKE_EVM, gas_limit=Gas(10_000_000_000))
        )
        assert result.fatal is None, result.fatal
        assert result.exit_code in (0, 7)

    def test_selfdestruct_does_not_end_the_account(self, stage: Stage) -> None:
        stage.code(OTHER, f"0x{NOTES.hex()} SELFDESTRUCT")
        stage.lend(stage.bob, OTHER)
        before, there = stage.machine.balance(stage.bob.delegated), to_filecoin(NOTES)
        assert stage.call(stage.bob).exit_code == 0
        moved = 0 if stage.variant == "fip" else before
        assert (stage.machine.balance(stage.bob.delegated), stage.machine.balance(there)) == (before - moved, moved)
        assert stage.code_of(stage.bob) == DELEGATION_PREFIX + OTHER
        assert stage.call(stage.bob).exit_code == 0

    def test_a_contract_of_its_own_ends_as_ever(self, stage: Stage) -> None:
        stage.code(OTHER, f"0x{NOTES.hex()} SELFDESTRUCT")
        assert stage.call(OTHER, value=4).exit_code == 0
        assert stage.machine.balance(to_filecoin(NOTES)) == 4
        assert code_of(stage.machine, to_filecoin(OTHER)) == b""

    def test_methods_of_native_callers_reach_the_code(self, stage: Stage) -> None:
        stage.code(OTHER, "CALLDATASIZE 1 SSTORE 0 CALLDATALOAD 224 SHR 2 SSTORE 4 CALLDATALOAD 3 SSTORE")
        stage.lend(stage.bob, OTHER)
        method = method_number("Receive")
        result = stage.machine.apply_implicit(
            Message(stage.bob.delegated, stage.alice.native, method=MethodNumber(method), params=b"\x80", gas_limit=GAS)
        )
        assert (result.exit_code, result.return_data) == (0, b"")
        assert stage.slot(stage.bob, 2) == 0x868E10C4, "handle_filecoin_method(uint64,uint64,bytes)"
        assert stage.slot(stage.bob, 3) == method

    def test_delegated_code_run_logs_its_account(self, stage: Stage) -> None:
        stage.lend(stage.bob, NOTES)
        logs = [entries_to_log(event.entries) for event in stage.call(stage.bob).events]
        if stage.variant == "eip":
            assert logs == []
            return
        (log,) = logs
        assert log is not None
        assert (log.topics, log.data) == ((keccak(b"Delegated(address)"),), bytes(12) + stage.bob.address)

    def test_delegated_code_cannot_create_contracts(self, stage: Stage) -> None:
        """The EAM takes contracts only: docs/labs/accounts.md, Left open."""
        stage.code(OTHER, "0 0 0 CREATE 1 ADD 7 SSTORE")
        stage.lend(stage.bob, OTHER)
        assert stage.call(stage.bob).exit_code == 0
        assert stage.slot(stage.bob, 7) == 1


class TestHostileMessages:
    @pytest.mark.parametrize("params", [
        b"", b"\x80", b"\xff", encode([]), encode([[], []]), encode([[[]], [NOTES, b"", b""]]),
        encode([5, [NOTES, b"", b""]]),
        encode([[[0, NOTES, 0, 0, b"\1" * 33, b"\1"]], [NOTES, b"", b""]]), encode([[], [NOTES, b"\1" * 33, b""]]),
        encode([[[0, NOTES, 1 << 63, 256, b"\1", b"\1"]], [NOTES, b"", b""]]), encode([[], [NOTES[:19], b"", b""]]),
        encode([[[True, NOTES, 0, 0, b"\1", b"\1"]], [NOTES, b"", b""]]), encode([[], [NOTES, b"", "text"]]),
    ])  # fmt: skip
    def test_undecodable_params_exit_with_21(self, fip: Stage, params: bytes) -> None:
        result = fip.message(params)
        assert (result.exit_code, result.fatal) == (21, None), result
        with pytest.raises(ParamsError):
            ApplyAndCallParams.decode(params)

    def test_empty_or_oversized_list_exits_with_16(self, fip: Stage) -> None:
        good = fip.authorize(fip.bob, NOTES)
        for count, words in ((0, "needs at least one authorization"), (65, "65 authorizations: at most 64")):
            result = fip.message(ApplyAndCallParams((good,) * count, OTHER, 0, b"").encode())
            assert result.exit_code == 16
            assert words in result.message
        others = [Account.from_key(bytes(31) + bytes([place])) for place in range(1, 65)]
        assert fip.apply(OTHER, *(fip.authorize(account, NOTES) for account in others))[0]

    @pytest.mark.slow
    @pytest.mark.parametrize(("variant", "exit_code"), [("fip", 16), ("eip", 7)])
    def test_million_authorizations_are_refused(self, variant: str, exit_code: int) -> None:
        stage = Stage(variant)
        params = ApplyAndCallParams((stage.authorize(stage.bob, NOTES),) * 1_000_000, OTHER, 0, b"").encode()
        message = Message(
            stage.alice.delegated, stage.alice.delegated, method=APPLY_AND_CALL, params=params, gas_limit=GAS
        )
        result = stage.machine.apply_implicit(message)
        assert (result.exit_code, result.fatal, stage.code_of(stage.bob)) == (exit_code, None, b"")

    def test_another_value_than_the_messages_exits_with_16(self, fip: Stage) -> None:
        params = ApplyAndCallParams((fip.authorize(fip.bob, NOTES),), OTHER, 5, b"").encode()
        result = fip.message(params, value=4)
        assert result.exit_code == 16
        assert "the call's value is 5 attoFIL, the message's 4" in result.message

    def test_apply_and_call_is_limited_to_own_account(self, stage: Stage) -> None:
        """Neither another account nor code in the account's name may ask for it."""
        params = ApplyAndCallParams((stage.authorize(stage.bob, NOTES),), OTHER, 0, b"").encode()
        result = stage.machine.apply_implicit(
            Message(stage.bob.delegated, stage.carol.delegated, method=APPLY_AND_CALL, params=params, gas_limit=GAS)
        )
        assert (result.exit_code, stage.code_of(stage.bob)) == (18, b"")

    def test_the_actor_of_nonces_has_no_methods(self, fip: Stage) -> None:
        message = Message(Address.id(NONCES), fip.alice.delegated, method=MethodNumber(2), gas_limit=GAS)
        assert fip.machine.apply_implicit(message).exit_code == 22

    def test_too_little_gas_takes_everything_back(self, stage: Stage) -> None:
        params = ApplyAndCallParams((stage.authorize(stage.bob, NOTES),), OTHER, 0, b"").encode()
        result = stage.message(params, gas=5_000_000)
        assert (result.exit_code, stage.code_of(stage.bob)) == (7, b"")

    def test_an_f1_account_has_no_such_method(self, fip: Stage) -> None:
        params = ApplyAndCallParams((fip.authorize(fip.bob, NOTES),), OTHER, 0, b"").encode()
        native = fip.alice.native
        result = fip.machine.apply_implicit(
            Message(native, native, method=APPLY_AND_CALL, params=params, gas_limit=GAS)
        )
        assert fip.code_of(fip.bob) == b""
        assert result.fatal is None

    def test_a_variant_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="accounts=erc: choose one of fip, eip, actor"):
            Network(rules="lab:accounts=erc")
        with pytest.raises(InvalidInput, match="need this project's own EVM"):
            Network(rules="lab:accounts", evm="official")


def signed(network: Network, *items: Authorization, to: EthAddress | None = OTHER, **changes: Any) -> bytes:
    alice = network.accounts[0]
    fields: dict[str, Any] = {
        "type": SET_CODE, "chain_id": network.chain_id, "nonce": network.nonce(alice), "to": to, "value": 0,
        "data": b"", "gas_limit": 100_000_000, "max_fee": 2 * network.base_fee + 100_000, "max_priority_fee": 100_000,
        "authorizations": items,
    }  # fmt: skip
    return alice.sign(Transaction(**(fields | changes))).raw()


class TestNode:
    def test_node_accepts_and_shows_set_code_transactions(self, stage: Stage) -> None:
        network, rpc = stage.network, Client(Node(stage.network))
        raw = signed(network, stage.authorize(stage.bob, NOTES, chain=network.chain_id), to=stage.bob.address, value=3)
        sent = rpc("eth_sendRawTransaction", f"0x{raw.hex()}")
        shown, receipt = rpc("eth_getTransactionByHash", sent), rpc("eth_getTransactionReceipt", sent)
        assert shown["type"] == receipt["type"] == "0x4"
        assert shown["hash"] == sent == f"0x{keccak(raw).hex()}"
        assert (shown["to"], shown["value"]) == (f"0x{stage.bob.address.hex()}", "0x3")
        (item,) = shown["authorizationList"]
        assert (item["address"], item["nonce"]) == (f"0x{NOTES.hex()}", "0x0")
        assert (receipt["status"], receipt["delegatedTo"]) == ("0x1", [f"0x{NOTES.hex()}"])
        assert rpc("eth_getCode", shown["to"], "latest") == f"0xef0100{NOTES.hex()}"
        assert int(rpc("eth_getStorageAt", shown["to"], "0x2", "latest"), 16) == 3
        assert rpc("eth_getRawTransactionByHash", sent) == f"0x{raw.hex()}"

    def test_a_call_that_fails_has_the_status_0(self, stage: Stage) -> None:
        network, rpc = stage.network, Client(Node(stage.network))
        stage.code(OTHER, "0 0 REVERT")
        network.chain.keep_changes()
        receipt = network.receipt(network.submit(signed(network, stage.authorize(stage.bob, NOTES))))
        assert isinstance(receipt, TransactionReceipt)
        assert (receipt.succeeded, receipt.exit_code, receipt.execution.receipt.exit_code) == (False, 33, 0)
        assert rpc("eth_getTransactionReceipt", f"0x{receipt.hash.hex()}")["status"] == "0x0"
        assert rpc("eth_getCode", f"0x{stage.bob.address.hex()}", "latest") == f"0xef0100{NOTES.hex()}"

    def test_authorization_list_works_in_call_and_gas_estimate(self, stage: Stage) -> None:
        network, rpc = stage.network, Client(Node(stage.network))
        network.chain.keep_changes()
        item = stage.authorize(stage.bob, NOTES)
        shown = {
            "chainId": "0x0", "address": f"0x{NOTES.hex()}", "nonce": "0x0", "yParity": hex(item.y_parity),
            "r": hex(item.r), "s": hex(item.s),
        }  # fmt: skip
        request = {
            "from": f"0x{stage.alice.address.hex()}", "to": f"0x{stage.bob.address.hex()}", "authorizationList": [shown]
        }  # fmt: skip
        assert rpc("eth_call", request, "latest") == "0x"
        gas = int(rpc("eth_estimateGas", request), 16)
        assert rpc("eth_getCode", request["to"], "latest") == "0x"
        receipt = network.receipt(network.submit(signed(network, item, to=stage.bob.address, gas_limit=gas)))
        assert receipt.succeeded
        assert stage.slot(stage.bob, 1) == number(stage.alice.address)
        sent = rpc("eth_sendTransaction", {**request, "authorizationList": [shown]})
        assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x1"
        with pytest.raises(Failed, match="cannot create a contract"):
            rpc("eth_call", {**request, "to": None, "data": "0x00"}, "latest")
        with pytest.raises(Failed, match=r"nonce: .0x10000000000000000. has more than 64 bits"):
            rpc("eth_call", {**request, "authorizationList": [{**shown, "nonce": hex(1 << 64)}]}, "latest")

    def test_invalid_authorization_transaction_is_rejected(self, fip: Stage) -> None:
        network, good = fip.network, fip.authorize(fip.bob, NOTES)
        for raw, words in (
            (signed(network), "needs at least one authorization"),
            (signed(network, *[good] * 65), "65 authorizations: at most 64"),
            (signed(network, good, to=None), "cannot create a contract"),
            (signed(network, good._replace(chain_id=1 << 64)), "64 bits and 8 bits"),
            (signed(network, good._replace(y_parity=256)), "number has 2 bytes, at most 1 are allowed"),
            (signed(network, good, access_list=((NOTES, ()),)), "access list"),
        ):
            with pytest.raises(TransactionRefused, match=words):
                network.submit(raw)

    def test_message_converts_to_its_transaction(self, fip: Stage) -> None:
        network = fip.network
        transaction = fip.alice.sign(
            Transaction(
                SET_CODE, network.chain_id, 0, OTHER, 9, b"\1\2", 10**8, 10**6, 10**5,
                authorizations=(fip.authorize(fip.bob, NOTES), fip.authorize(fip.carol, NOBODY, 7, 314)),
            )
        )  # fmt: skip
        message = set_code_message(transaction)
        assert len(message.signature.data) == 65
        assert message.message.to == message.message.from_ == fip.alice.delegated
        assert from_signed_message(message, network.chain_id) == transaction
        assert network.submit_native(message) == transaction.hash()
        other = replace(message, message=replace(message.message, value=TokenAmount(8)))
        with pytest.raises(TransactionError, match="the message does not match the transaction in its signature"):
            from_signed_message(other, network.chain_id)

    def test_next_authorization_nonce_is_reported(self, stage: Stage) -> None:
        """Under `eip` it is the account's nonce, which its own transactions increment, too."""
        rpc = Client(Node(stage.network))

        def nonces() -> list[str]:
            return [rpc("hypervisor_authorizationNonce", f"0x{who.address.hex()}") for who in (stage.bob, STRANGER)]

        assert nonces() == ["0x0", "0x0"]
        stage.lend(stage.bob, NOTES)
        stage.lend(stage.bob, OTHER, 1)
        assert nonces() == ["0x2", "0x0"]
        stage.network.send(STRANGER, value=1, sender=stage.bob)
        assert nonces() == ["0x2" if stage.variant == "fip" else "0x3", "0x0"]

    @pytest.mark.parametrize(("fork", "nonce"), [("cancun", None), ("prague", "0x0")])
    def test_under_ethereums_rules_it_is_the_accounts_from_prague_on(self, fork: str, nonce: str | None) -> None:
        with Network(rules="ethereum", hardfork=fork) as network:
            assert Client(Node(network))("hypervisor_authorizationNonce", f"0x{STRANGER.address.hex()}") == nonce

    def test_type_4_transaction_is_rejected_without_lab(self) -> None:
        with Network() as network:
            rpc, good = Client(Node(network)), network.accounts[1].sign_authorization(NOTES, 0, 0)
            assert rpc("hypervisor_authorizationNonce", "0x" + NOTES.hex()) is None
            with pytest.raises(
                TransactionRefused, match="not supported: type 4, a Filecoin message cannot hold authorizations"
            ):
                network.submit(signed(network, good))
            with pytest.raises(Failed, match="not supported: type 4, a Filecoin message cannot hold authorizations"):
                rpc("eth_estimateGas", {"from": f"0x{NOTES.hex()}", "to": f"0x{NOTES.hex()}", "type": "0x4"})


def test_account_code_runs_with_all_labs_enabled() -> None:
    with Network(rules="lab:accounts,async,lanes,libraries,rent", clock=lambda: START) as network:
        set_code(network.machine, NOTES, assemble("CALLER 1 SSTORE"))
        network.chain.keep_changes()
        item = network.accounts[1].sign_authorization(NOTES, 0, 0)
        receipt = network.receipt(network.submit(signed(network, item, to=network.accounts[1].address)))
        assert receipt.succeeded
        network.mine(2)
        assert int.from_bytes(storage_of(network.machine, network.accounts[1].delegated, 1), "big") == number(
            network.accounts[0].address
        )


@pytest.mark.slow
def test_random_programs_end_as_by_ethereums_rules() -> None:
    stages, findings = run(7, 60, 1)
    assert findings == []
    assert stages["ran code in its name"] > 5


def test_the_bigint_of_a_value_is_not_the_networks() -> None:
    """A value in ApplyAndCall is a bare magnitude (FIP-0111) without a sign byte."""
    assert ApplyAndCallParams.decode(encode([[], [NOTES, b"\5", b""]])).value == 5
    assert encode_bigint(5) == b"\0\5"
