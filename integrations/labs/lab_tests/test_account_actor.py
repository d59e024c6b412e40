"""Lab `accounts=actor`.

- Lab `accounts=actor`: delegations in the states of accounts, and intercepted calls.
- Lab `accounts`: storage of delegating accounts, which the node shows, proves and changes.
- Traces of type 4 transactions (lab `accounts`) in geth's and Filecoin nodes' forms.

Expected values: EIP-7702, the tests and texts of builtin-actors pull request 1705 (actors/ethaccount/tests) and
ref-fvm pull request 2227 (fvm/tests), or encoding by hand.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, from_delegated, masked_id, to_filecoin
from bridge.ethereum.transactions import DELEGATION_PREFIX, Authorization, DelegatingAccount
from bridge.filecoin.evm_state import EMPTY_CODE_HASH
from bridge.filecoin.messages import APPLY_AND_CALL, ApplyAndCallParams, decode_outcome
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import unwrap_return
from bridge.filecoin.receipts import entries_to_log
from hypervisor.errors import InvalidInput
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.message import Message
from hypervisor.types import ActorID, Gas, TokenAmount
from lab_tests.test_accounts import GAS, NOBODY, NOTES, OTHER, SINK, STRANGER, Stage, number, signed
from localnet import Network
from localnet.accounts import Account
from localnet.calls.proofs import prove_account
from localnet.rpc.node import Node
from localnet.state.controls import code_of, nonce_of, set_balance, set_code, set_storage
from store.cid import CBOR, EMPTY_ARRAY_CID
from store.codec import CodecError, encode
from store.keccak import keccak
from tests.crossing.trees import CALL_ACTOR_ID
from tests.localnet.rpc.conftest import Client
from tests.localnet.test_console import printing

THIRD = EthAddress(bytes([0xA3] * 20))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
EMPTY_ARRAY = b"\x01\x71\xa0\xe4\x02\x20" + blake2b(b"\x80", digest_size=32).digest()
DELEGATED = keccak(b"Delegated(address)")


class ActorStage(Stage):
    """A network where contracts call accounts: `OTHER` calls bob with its own calldata and value."""

    def __init__(self) -> None:
        super().__init__("actor")
        self.calls_bob()

    def calls_bob(self, opcode: str = "CALL") -> None:
        """Let `OTHER` call bob, store the success flag in slot 7 and the size of the return data in slot 8."""
        value = "CALLVALUE " if opcode == "CALL" else ""
        self.code(
            OTHER,
            f"CALLDATASIZE 0 0 CALLDATACOPY 0 0 CALLDATASIZE 0 {value}0x{self.bob.address.hex()} GAS {opcode} 7 SSTORE "
            "RETURNDATASIZE 8 SSTORE RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN",
        )

    def apply_as(
        self, account: Account, to: EthAddress, *items: Authorization, value: int = 0, data: bytes = b"", gas: int = GAS
    ) -> tuple[bool, bytes, ApplyResult]:
        """Send an account's message to itself; return the call's success and output, and the message's result."""
        return self.apply(to, *items, value=value, data=data, sender=account, gas=gas)

    def delegate(self, account: Account, delegate: EthAddress, nonce: int = 0) -> None:
        assert self.apply_as(account, SINK, self.authorize(account, delegate, nonce))[0]

    def refused(self, *items: Authorization) -> str:
        """Send bob's message to itself and return why it was refused; nothing may have changed."""
        before = self.state(self.bob)
        result = self.message(ApplyAndCallParams(items, SINK, 0, b"").encode(), sender=self.bob)
        assert result.exit_code == 16, result
        assert self.state(self.bob) == before
        return result.message

    def state(self, account: Account) -> DelegatingAccount | None:
        """Return the state of an account; None for an empty head."""
        actor = self.machine.actor(account.delegated)
        assert actor is not None
        return None if actor.head == EMPTY_ARRAY_CID else DelegatingAccount.decode(self.machine.store.get(actor.head))

    def head(self, account: Account) -> bytes:
        actor = self.machine.actor(account.delegated)
        assert actor is not None
        return self.machine.store.get(actor.head)

    def balance(self, address: EthAddress) -> int:
        return int(self.machine.balance(to_filecoin(address)))


@pytest.fixture
def actor_stage() -> Iterator[ActorStage]:
    found = ActorStage()
    yield found
    found.network.close()


class TestState:
    def test_head_holds_delegate_nonce_and_storage_root(self, actor_stage: ActorStage) -> None:
        actor_stage.delegate(actor_stage.bob, NOTES)
        assert actor_stage.head(actor_stage.bob) == b"\x83\x54" + NOTES + b"\x01\xd8\x2a\x58\x27\x00" + EMPTY_ARRAY
        actor = actor_stage.machine.actor(actor_stage.bob.delegated)
        assert actor is not None
        assert actor_stage.machine.manifest.name_of(actor.code) == "ethaccount"

    def test_zero_address_clears_the_delegate_and_keeps_storage(self, actor_stage: ActorStage) -> None:
        actor_stage.delegate(actor_stage.bob, NOTES)
        actor_stage.call(OTHER)
        actor_stage.delegate(actor_stage.bob, NOBODY, nonce=1)
        state = actor_stage.state(actor_stage.bob)
        assert state is not None
        assert (state.delegate, state.nonce) == (None, 2)
        assert (actor_stage.code_of(actor_stage.bob), actor_stage.slot(actor_stage.bob, 1)) == (b"", number(OTHER))

    def test_nonce_begins_at_0_and_counts_authorizations(self, actor_stage: ActorStage) -> None:
        """Source: apply_and_call_nonces.rs. The nonce of the account's messages does not count."""
        actor_stage.network.send(SINK, value=1, sender=actor_stage.bob)
        actor_stage.delegate(actor_stage.bob, NOTES)
        assert "has the nonce 0: expected 1" in actor_stage.refused(actor_stage.authorize(actor_stage.bob, OTHER, 0))
        actor_stage.delegate(actor_stage.bob, OTHER, nonce=1)
        assert actor_stage.state(actor_stage.bob) == DelegatingAccount(OTHER, 2)

    @pytest.mark.parametrize("block", [
        [NOTES[:19], 0, EMPTY_ARRAY], ["text", 0, EMPTY_ARRAY], [None, -1, EMPTY_ARRAY], [None, True, EMPTY_ARRAY],
        [None, 1 << 64, EMPTY_ARRAY], [None, 0, None],
    ])  # fmt: skip
    def test_damaged_state_is_not_decoded(self, block: list[Any]) -> None:
        with pytest.raises(CodecError):
            DelegatingAccount.decode(encode(block))


class TestAuthorizations:
    @pytest.mark.parametrize(("spoilt", "words"), [
        ("chain", "another chain, or its signature is invalid"), ("nonce", "nonce 1: expected 0"),
        ("high s", "signature is invalid"), ("s above half by one", "signature is invalid"),
        ("s of 32 bytes 0xff", "signature is invalid"), ("parity", "signature is invalid"),
        ("r of zero", "signature is invalid"), ("s of zero", "signature is invalid"),
        ("another account", "only the receiver"), ("other parity", "only the receiver"),
        ("other delegate", "only the receiver"),
    ])  # fmt: skip
    def test_invalid_authorization_refuses_the_message(self, actor_stage: ActorStage, spoilt: str, words: str) -> None:
        """Source: apply_and_call_invalids.rs. EIP-7702 would skip the authorization."""
        good = actor_stage.authorize(actor_stage.bob, NOTES)
        bad = {
            "chain": actor_stage.authorize(actor_stage.bob, NOTES, chain=314),
            "nonce": actor_stage.authorize(actor_stage.bob, NOTES, 1),
            "high s": good._replace(s=ORDER - good.s, y_parity=1 - good.y_parity),
            "s above half by one": good._replace(s=ORDER // 2 + 1),
            "s of 32 bytes 0xff": good._replace(s=(1 << 256) - 1),
            "parity": good._replace(y_parity=2),
            "r of zero": good._replace(r=0),
            "s of zero": good._replace(s=0),
            "another account": actor_stage.authorize(actor_stage.carol, NOTES),
            "other parity": good._replace(y_parity=1 - good.y_parity),
            "other delegate": good._replace(address=OTHER),
        }[spoilt]
        assert words in actor_stage.refused(bad)

    def test_own_chain_and_any_chain_are_accepted(self, actor_stage: ActorStage) -> None:
        chain = actor_stage.network.chain_id
        assert actor_stage.apply_as(actor_stage.bob, SINK, actor_stage.authorize(actor_stage.bob, NOTES, 0, chain))[0]
        assert actor_stage.apply_as(actor_stage.bob, SINK, actor_stage.authorize(actor_stage.bob, OTHER, 1, 0))[0]

    def test_short_r_and_s_are_padded(self, actor_stage: ActorStage) -> None:
        """Source: apply_and_call_rs_padding.rs."""
        items = (actor_stage.authorize(actor_stage.bob, EthAddress(place.to_bytes(20, "big"))) for place in count(1))
        short = next(item for item in items if min(item.r, item.s) < 1 << 248)
        assert actor_stage.apply_as(actor_stage.bob, SINK, short)[0]

    def test_empty_oversized_and_repeated_lists_are_refused(self, actor_stage: ActorStage) -> None:
        """Source: apply_and_call_duplicates.rs and apply_and_call_tuple_cap_boundary.rs."""
        good = actor_stage.authorize(actor_stage.bob, NOTES)
        assert "needs at least one authorization" in actor_stage.refused()
        assert "65 authorizations: at most 64" in actor_stage.refused(*[good] * 65)
        assert "repeats an account" in actor_stage.refused(good, actor_stage.authorize(actor_stage.bob, OTHER, 1))
        assert "repeats an account" in actor_stage.refused(*[good] * 64)

    @pytest.mark.parametrize("params", [b"", b"\x80", encode([[], []]), encode([[], [NOTES[:19], b"", b""]])])
    def test_undecodable_params_exit_with_21(self, actor_stage: ActorStage, params: bytes) -> None:
        assert actor_stage.message(params, sender=actor_stage.bob).exit_code == 21

    def test_authorization_survives_failed_call(self, actor_stage: ActorStage) -> None:
        """Source: apply_and_call_atomicity.rs."""
        actor_stage.code(OTHER, "1 0 MSTORE 32 0 REVERT")
        succeeded, output, _ = actor_stage.apply_as(
            actor_stage.bob, OTHER, actor_stage.authorize(actor_stage.bob, NOTES)
        )
        assert (succeeded, output) == (False, (1).to_bytes(32, "big"))
        rich = actor_stage.balance(actor_stage.bob.address) + 1
        params = ApplyAndCallParams((actor_stage.authorize(actor_stage.bob, NOTES, 1),), SINK, rich, b"").encode()
        result = actor_stage.message(params, sender=actor_stage.bob)
        assert decode_outcome(result.return_data) == (False, b"")
        assert actor_stage.state(actor_stage.bob) == DelegatingAccount(NOTES, 2)

    def test_call_that_uses_all_gas_undoes_the_authorization(self, actor_stage: ActorStage) -> None:
        """All gas is forwarded, so nothing is left to end the actor's method."""
        actor_stage.code(OTHER, "loop: @loop JUMP")
        params = ApplyAndCallParams((actor_stage.authorize(actor_stage.bob, NOTES),), OTHER, 0, b"").encode()
        result = actor_stage.message(params, sender=actor_stage.bob, gas=100_000_000)
        assert (result.exit_code, actor_stage.state(actor_stage.bob)) == (7, None)

    def test_call_reaches_contracts_only(self, actor_stage: ActorStage) -> None:
        """Source: apply_and_call_outer_call.rs. Another receiver gets the value without calldata."""
        actor_stage.code(THIRD, "CALLER 1 SSTORE CALLVALUE 2 SSTORE CALLDATASIZE 3 SSTORE 3 0 MSTORE 32 0 RETURN")
        actor_stage.machine.apply_implicit(
            Message(actor_stage.bob.delegated, actor_stage.alice.delegated, value=TokenAmount(9))
        )
        succeeded, output, _ = actor_stage.apply_as(
            actor_stage.bob, THIRD, actor_stage.authorize(actor_stage.bob, NOTES), value=5, data=b"\xde\xad"
        )
        assert (succeeded, output) == (True, (3).to_bytes(32, "big"))
        assert [actor_stage.slot(THIRD, slot) for slot in (1, 2, 3)] == [number(actor_stage.bob.address), 5, 2]
        actor_stage.delegate(actor_stage.carol, NOTES)
        before = actor_stage.balance(actor_stage.carol.address)
        assert actor_stage.apply_as(
            actor_stage.bob, actor_stage.carol.address, actor_stage.authorize(actor_stage.bob, NOTES, 1), value=2
        )[0]
        assert (actor_stage.balance(actor_stage.carol.address), actor_stage.slot(actor_stage.carol, 1)) == (
            before + 2,
            0,
        )
        assert actor_stage.apply_as(
            actor_stage.bob, masked_id(ActorID(7)), actor_stage.authorize(actor_stage.bob, NOTES, 2), value=2
        )[0]

    def test_any_caller_may_deliver_an_authorization_with_a_call_of_its_own(self, actor_stage: ActorStage) -> None:
        """The actor checks no caller, so the holder of a signature chooses the call that its signer pays."""
        params = ApplyAndCallParams((actor_stage.authorize(actor_stage.bob, NOTES),), STRANGER.address, 5, b"").encode()
        before = actor_stage.balance(actor_stage.bob.address)
        result = actor_stage.machine.apply_implicit(
            Message(
                actor_stage.bob.delegated,
                actor_stage.carol.delegated,
                method=APPLY_AND_CALL,
                params=params,
                gas_limit=GAS,
            )
        )
        assert decode_outcome(result.return_data) == (True, b"")
        assert (actor_stage.balance(actor_stage.bob.address), actor_stage.balance(STRANGER.address)) == (before - 5, 5)
        assert actor_stage.state(actor_stage.bob) == DelegatingAccount(NOTES, 1)

    @pytest.mark.parametrize("read_only", [False, True])
    def test_a_contract_may_deliver_it_unless_read_only(self, actor_stage: ActorStage, read_only: bool) -> None:
        actor_stage.code(
            THIRD,
            f"""CALLDATASIZE 0 0 CALLDATACOPY 0 0 CALLDATASIZE 0 0x{CALL_ACTOR_ID:x} GAS DELEGATECALL POP
            RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN""",
        )
        bob = actor_stage.machine.state_tree.lookup_id(actor_stage.bob.delegated)
        params = ApplyAndCallParams((actor_stage.authorize(actor_stage.bob, NOTES),), SINK, 0, b"").encode()
        words = ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"]
        data = encode_abi(words, [APPLY_AND_CALL, 0, int(read_only), CBOR, params, bob])
        exit_code, _, output = decode_abi(
            ["int256", "uint64", "bytes"], unwrap_return(actor_stage.call(THIRD, data).return_data)
        )
        assert exit_code == (25 if read_only else 0)
        assert actor_stage.state(actor_stage.bob) == (None if read_only else DelegatingAccount(NOTES, 1))
        assert output == (b"" if read_only else b"\x82\x01\x40")


class TestInterception:
    def test_contract_call_runs_the_delegate_over_the_accounts_storage(self, actor_stage: ActorStage) -> None:
        """Source: delegated_call_mapping.rs and overlay_persist_success.rs."""
        actor_stage.delegate(actor_stage.bob, NOTES)
        before = actor_stage.balance(actor_stage.bob.address)
        assert actor_stage.call(OTHER, value=3).exit_code == 0
        assert [actor_stage.slot(actor_stage.bob, slot) for slot in (1, 2)] == [number(OTHER), 3]
        assert [actor_stage.slot(contract, 1) for contract in (OTHER, NOTES)] == [0, 0]
        assert (actor_stage.slot(OTHER, 7), actor_stage.balance(actor_stage.bob.address)) == (1, before + 3)
        state = actor_stage.state(actor_stage.bob)
        assert state is not None
        assert (state.delegate, state.nonce) == (NOTES, 1)

    def test_storage_remains_between_runs(self, actor_stage: ActorStage) -> None:
        actor_stage.code(THIRD, "1 SLOAD 1 ADD 1 SSTORE 1 SLOAD 0 MSTORE 32 0 RETURN")
        actor_stage.delegate(actor_stage.bob, THIRD)
        outputs = [number(EthAddress(unwrap_return(actor_stage.call(OTHER).return_data))) for _ in range(3)]
        assert (outputs, actor_stage.slot(actor_stage.bob, 1), actor_stage.slot(THIRD, 1)) == ([1, 2, 3], 3, 0)

    def test_each_call_of_a_message_is_intercepted(self, actor_stage: ActorStage) -> None:
        actor_stage.code(THIRD, "1 SLOAD 1 ADD 1 SSTORE")
        call = f"0 0 0 0 0 0x{actor_stage.bob.address.hex()} GAS CALL POP "
        actor_stage.code(OTHER, call * 2)
        actor_stage.delegate(actor_stage.bob, THIRD)
        assert actor_stage.call(OTHER).exit_code == 0
        assert actor_stage.slot(actor_stage.bob, 1) == 2

    def test_revert_returns_its_data_and_undoes_storage_and_value(self, actor_stage: ActorStage) -> None:
        """Source: delegated_call_mapping.rs."""
        actor_stage.code(THIRD, "5 1 SSTORE 0xdead 0 MSTORE 32 0 REVERT")
        actor_stage.delegate(actor_stage.bob, THIRD)
        before = actor_stage.balance(actor_stage.bob.address)
        result = actor_stage.call(OTHER, value=3)
        assert unwrap_return(result.return_data) == (0xDEAD).to_bytes(32, "big")
        assert [actor_stage.slot(OTHER, slot) for slot in (7, 8)] == [0, 32]
        assert (actor_stage.slot(actor_stage.bob, 1), actor_stage.balance(actor_stage.bob.address)) == (0, before)
        assert actor_stage.state(actor_stage.bob) == DelegatingAccount(THIRD, 1)
        assert not list(logs(actor_stage, result))

    def test_value_that_cannot_be_paid_fails_the_call(self, actor_stage: ActorStage) -> None:
        """Source: delegated_value_transfer_short_circuit.rs."""
        actor_stage.delegate(actor_stage.bob, NOTES)
        actor_stage.code(OTHER, f"0 0 0 0 {1 << 90} 0x{actor_stage.bob.address.hex()} GAS CALL 1 ADD 7 SSTORE")
        assert actor_stage.call(OTHER).exit_code == 0
        assert (actor_stage.slot(OTHER, 7), actor_stage.slot(actor_stage.bob, 1)) == (1, 0)

    def test_delegated_event_comes_from_the_calling_contract(self, actor_stage: ActorStage) -> None:
        """Source: delegated_event_emission.rs."""
        actor_stage.delegate(actor_stage.bob, NOTES)
        expected = [(OTHER, (DELEGATED,), bytes(12) + actor_stage.bob.address)]
        assert list(logs(actor_stage, actor_stage.call(OTHER))) == expected
        actor_stage.calls_bob("STATICCALL")
        actor_stage.code(NOTES, "STOP")
        assert list(logs(actor_stage, actor_stage.call(OTHER))) == expected, (
            "the machine emits it, so static calls do not prevent it"
        )

    def test_code_of_a_delegate_is_not_intercepted_again(self, actor_stage: ActorStage) -> None:
        """Source: depth_limit.rs. Contracts in between make no difference."""
        actor_stage.code(NOTES, f"0 0 0 0 0 0x{THIRD.hex()} GAS CALL 1 SSTORE")
        actor_stage.code(THIRD, f"0 0 0 0 0 0x{actor_stage.carol.address.hex()} GAS CALL 3 SSTORE")
        actor_stage.code(SINK, "CALLER 5 SSTORE")
        actor_stage.delegate(actor_stage.bob, NOTES)
        actor_stage.delegate(actor_stage.carol, SINK)
        assert actor_stage.call(OTHER).exit_code == 0
        assert (
            actor_stage.slot(actor_stage.bob, 1),
            actor_stage.slot(THIRD, 3),
            actor_stage.slot(actor_stage.carol, 5),
        ) == (1, 1, 0)
        assert actor_stage.call(THIRD).exit_code == 0
        assert actor_stage.slot(actor_stage.carol, 5) == number(THIRD)

    def test_selfdestruct_does_nothing(self, actor_stage: ActorStage) -> None:
        """Source: selfdestruct_noop_authority.rs."""
        actor_stage.code(THIRD, f"0x{SINK.hex()} SELFDESTRUCT")
        actor_stage.delegate(actor_stage.bob, THIRD)
        set_balance(actor_stage.machine, OTHER, TokenAmount(50))
        before = [actor_stage.balance(address) for address in (actor_stage.bob.address, OTHER, SINK)]
        assert actor_stage.call(OTHER).exit_code == 0
        assert [actor_stage.balance(address) for address in (actor_stage.bob.address, OTHER, SINK)] == before
        assert actor_stage.call(OTHER).exit_code == 0, "the contract still exists"
        assert actor_stage.slot(OTHER, 7) == 1
        set_code(actor_stage.machine, STRANGER.address, bytes.fromhex("73") + SINK + b"\xff")
        assert actor_stage.call(STRANGER.address, value=4).exit_code == 0
        assert actor_stage.balance(SINK) == before[2] + 4, "a contract's own ends it as usual"

    def test_code_has_the_accounts_address_and_the_contracts_other_rights(self, actor_stage: ActorStage) -> None:
        """InvokeAsEoaWithRoot runs in the calling contract, so its calls, logs and own balance are the contract's."""
        actor_stage.code(SINK, "CALLER 1 SSTORE CALLVALUE 2 SSTORE")
        actor_stage.code(
            THIRD,
            f"ADDRESS 1 SSTORE SELFBALANCE 2 SSTORE CALLER 3 SSTORE 0 0 LOG0 0 0 0 0 4 0x{SINK.hex()} GAS CALL POP",
        )
        actor_stage.delegate(actor_stage.bob, THIRD)
        set_balance(actor_stage.machine, OTHER, TokenAmount(50))
        result = actor_stage.call(OTHER)
        assert [actor_stage.slot(actor_stage.bob, slot) for slot in (1, 2, 3)] == [
            number(actor_stage.bob.address),
            50,
            number(OTHER),
        ]
        assert [actor_stage.slot(SINK, slot) for slot in (1, 2)] == [number(OTHER), 4]
        assert (actor_stage.balance(OTHER), actor_stage.balance(SINK)) == (46, 4)
        assert [emitter for emitter, _, _ in logs(actor_stage, result)] == [OTHER, OTHER]

    def test_the_contracts_own_storage_is_as_before(self, actor_stage: ActorStage) -> None:
        actor_stage.delegate(actor_stage.bob, NOTES)
        set_storage(actor_stage.machine, to_filecoin(OTHER), {1: 11, 2: 12})
        assert actor_stage.call(OTHER).exit_code == 0
        assert [actor_stage.slot(OTHER, slot) for slot in (1, 2, 7)] == [11, 12, 1]

    def test_static_call_writes_nothing(self, actor_stage: ActorStage) -> None:
        actor_stage.delegate(actor_stage.bob, NOTES)
        actor_stage.calls_bob("STATICCALL")
        assert actor_stage.call(OTHER).exit_code == 0
        assert (actor_stage.slot(OTHER, 7), actor_stage.slot(actor_stage.bob, 1)) == (0, 0)

    def test_delegate_call_of_an_account_runs_nothing(self, actor_stage: ActorStage) -> None:
        actor_stage.delegate(actor_stage.bob, NOTES)
        actor_stage.calls_bob("DELEGATECALL")
        assert actor_stage.call(OTHER).exit_code == 0
        assert [actor_stage.slot(OTHER, slot) for slot in (7, 1)] == [1, 0]

    def test_accounts_own_transactions_are_not_intercepted(self, actor_stage: ActorStage) -> None:
        """Only a contract has the code that runs another's: a transaction to the account transfers its value."""
        actor_stage.delegate(actor_stage.bob, NOTES)
        before = actor_stage.balance(actor_stage.bob.address)
        result = actor_stage.call(actor_stage.bob, b"\1", value=7)
        assert (result.exit_code, result.return_data, list(logs(actor_stage, result))) == (0, b"", [])
        assert (actor_stage.slot(actor_stage.bob, 1), actor_stage.balance(actor_stage.bob.address)) == (0, before + 7)

    @pytest.mark.parametrize("delegate", [
        EthAddress(bytes(19) + b"\x04"), STRANGER.address, masked_id(ActorID(7)), "itself", "a delegating account",
        EthAddress(bytes([0xFE, *bytes(18), 3])),
    ])  # fmt: skip
    def test_delegate_that_is_no_contract_is_not_run(self, actor_stage: ActorStage, delegate: Any) -> None:
        actor_stage.delegate(actor_stage.carol, NOTES)
        to = {"itself": actor_stage.bob.address, "a delegating account": actor_stage.carol.address}.get(
            delegate, delegate
        )
        actor_stage.delegate(actor_stage.bob, to)
        result = actor_stage.call(OTHER, value=2)
        assert (result.exit_code, actor_stage.slot(OTHER, 7), list(logs(actor_stage, result))) == (0, 1, [])
        assert actor_stage.slot(actor_stage.bob, 1) == 0

    def test_contracts_read_the_designator(self, actor_stage: ActorStage) -> None:
        """Source: evm_extcode_projection.rs, with the windows of eip7702_ethaccount_ref-fvm_migration.md."""
        actor_stage.delegate(actor_stage.bob, NOTES)
        who, designator = f"0x{actor_stage.bob.address.hex()}", b"\xef\x01\x00" + NOTES
        windows = ((0, 23), (1, 22), (23, 1), (100, 10))
        copies = " ".join(
            f"{(1 << 256) - 1} 0 MSTORE {size} {offset} 0 {who} EXTCODECOPY 0 MLOAD {slot} SSTORE"
            for slot, (offset, size) in enumerate(windows, 5)
        )
        other = f"0x{actor_stage.carol.address.hex()}"
        actor_stage.code(
            OTHER,
            f"{who} EXTCODESIZE 1 SSTORE {who} EXTCODEHASH 2 SSTORE {copies} "
            f"{other} EXTCODESIZE 3 SSTORE {other} EXTCODEHASH 4 SSTORE",
        )
        assert actor_stage.call(OTHER).exit_code == 0
        assert actor_stage.slot(OTHER, 1) == 23
        assert actor_stage.slot(OTHER, 2) == int.from_bytes(keccak(designator), "big")
        assert (actor_stage.slot(OTHER, 3), actor_stage.slot(OTHER, 4)) == (0, int.from_bytes(EMPTY_CODE_HASH, "big"))
        for slot, (offset, size) in enumerate(windows, 5):
            expected = designator[offset : offset + size].ljust(size, b"\0").ljust(32, b"\xff")
            assert actor_stage.slot(OTHER, slot) == int.from_bytes(expected, "big")

    def test_creation_and_nested_calls_of_the_code_end(self, actor_stage: ActorStage) -> None:
        """The code creates contracts with the nonce of the calling contract, which keeps the nonce."""
        actor_stage.code(THIRD, "0 0 0 CREATE 1 SSTORE")
        actor_stage.delegate(actor_stage.bob, THIRD)
        before = nonce_of(actor_stage.machine, to_filecoin(OTHER))
        assert actor_stage.call(OTHER).exit_code == 0
        assert actor_stage.slot(actor_stage.bob, 1)
        assert nonce_of(actor_stage.machine, to_filecoin(OTHER)) == before + 1
        actor_stage.code(NOTES, f"0 0 0 0 0 0x{OTHER.hex()} GAS CALL 1 SSTORE")
        actor_stage.delegate(actor_stage.bob, NOTES, nonce=1)
        result = actor_stage.machine.apply_implicit(
            Message(to_filecoin(OTHER), actor_stage.alice.delegated, method=INVOKE_EVM, gas_limit=Gas(20_000_000_000))
        )
        assert result.fatal is None
        assert result.exit_code in (0, 7)


class TestNode:
    def test_node_shows_code_storage_and_nonce(self, actor_stage: ActorStage) -> None:
        network, rpc = actor_stage.network, Client(Node(actor_stage.network))
        network.chain.keep_changes()
        item = actor_stage.authorize(actor_stage.alice, NOTES, chain=network.chain_id)
        assert network.receipt(network.submit(signed(network, item, to=SINK))).succeeded
        alice = f"0x{actor_stage.alice.address.hex()}"
        assert rpc("eth_getCode", alice, "latest") == f"0xef0100{NOTES.hex()}"
        assert rpc("hypervisor_authorizationNonce", alice) == "0x1"
        actor_stage.code(OTHER, f"0 0 0 0 0 {alice} GAS CALL 7 SSTORE")
        network.chain.keep_changes()
        changed = rpc("trace_call", {"from": alice, "to": f"0x{OTHER.hex()}"}, ["stateDiff"], "latest")["stateDiff"]
        assert changed[alice]["code"] == "="
        assert network.send(OTHER).succeeded
        assert int(rpc("eth_getStorageAt", alice, "0x1", "latest"), 16) == number(OTHER)
        assert network.send(SINK, value=1).succeeded, "the account still sends"

    def test_proofs_and_changes_of_slots_follow_the_layout(self, actor_stage: ActorStage) -> None:
        actor_stage.delegate(actor_stage.bob, NOTES)
        assert prove_account(actor_stage.machine, actor_stage.bob.delegated, [1]).code_hash == keccak(
            DELEGATION_PREFIX + NOTES
        )
        actor_stage.call(OTHER)
        found = prove_account(actor_stage.machine, actor_stage.bob.delegated, [1])
        assert found.code_hash == keccak(DELEGATION_PREFIX + NOTES)
        assert [slot.value for slot in found.slots] == [OTHER.rjust(32, b"\0")]
        assert all(slot.proof.blocks for slot in found.slots)
        set_storage(actor_stage.machine, actor_stage.bob.delegated, {1: 5})
        state = actor_stage.state(actor_stage.bob)
        assert state is not None
        assert (state.delegate, state.nonce, actor_stage.slot(actor_stage.bob, 1)) == (NOTES, 1, 5)
        actor_stage.code(actor_stage.bob.address, "1 SLOAD 0 MSTORE 32 0 RETURN")
        assert unwrap_return(actor_stage.call(actor_stage.bob).return_data) == (5).to_bytes(32, "big")

    def test_the_state_needs_no_actor_of_nonces(self, actor_stage: ActorStage) -> None:
        assert actor_stage.machine.state_tree.get_actor(ActorID(22)) is None
        assert code_of(actor_stage.machine, STRANGER.delegated) == b""
        assert (
            Client(Node(actor_stage.network))("hypervisor_authorizationNonce", f"0x{STRANGER.address.hex()}") == "0x0"
        )

    @pytest.mark.slow
    def test_an_upgraded_state_is_read_after_a_restart(self, tmp_path: Any) -> None:
        with Network(str(tmp_path), rules="lab:accounts=actor") as network:
            item = network.accounts[0].sign_authorization(NOTES, 0, 0)
            assert network.receipt(network.submit(signed(network, item, to=SINK))).succeeded
            address = network.accounts[0].delegated
        with Network(str(tmp_path), rules="lab:accounts=actor") as network:
            assert code_of(network.machine, address) == DELEGATION_PREFIX + NOTES


def logs(stage: Stage, result: ApplyResult) -> Iterator[tuple[EthAddress | None, tuple[bytes, ...], bytes]]:
    for event in result.events:
        log, actor = entries_to_log(event.entries), stage.machine.state_tree.get_actor(event.emitter)
        assert log is not None
        assert actor is not None
        yield from_delegated(actor.delegated_address), tuple(log.topics), log.data


def test_example_of_the_page_runs() -> None:
    page = (Path(__file__).parents[3] / "docs/labs/accounts.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/labs/accounts.md", "exec"), {})


def test_account_proof_uses_delegation_designator_as_code(stage: Stage) -> None:
    assert prove_account(stage.machine, stage.bob.delegated, [1]).code_hash == EMPTY_CODE_HASH
    stage.lend(stage.bob, NOTES)
    stage.call(stage.bob)
    found = prove_account(stage.machine, stage.bob.delegated, [1, 9])
    assert found.code_hash == keccak(DELEGATION_PREFIX + NOTES)
    assert [slot.value for slot in found.slots] == [stage.carol.address.rjust(32, b"\0"), bytes(32)]
    assert all(slot.proof.blocks for slot in found.slots)
    assert found.storage != bytes(32)
    assert found.nonce == nonce_of(stage.machine, stage.bob.delegated)


def test_account_storage_outlives_delegation(stage: Stage) -> None:
    stage.lend(stage.bob, NOTES)
    stage.call(stage.bob)
    stage.lend(stage.bob, NOBODY, 1)
    found = prove_account(stage.machine, stage.bob.delegated, [1])
    assert (found.code_hash, found.slots[0].value[12:]) == (EMPTY_CODE_HASH, stage.carol.address)


def test_delegated_account_storage_can_be_set(stage: Stage) -> None:
    stage.lend(stage.bob, NOTES)
    set_storage(stage.machine, stage.bob.delegated, {1: 5, 7: 8})
    assert (stage.slot(stage.bob, 7), stage.code_of(stage.bob)) == (8, DELEGATION_PREFIX + NOTES)
    stage.call(stage.bob)
    assert [stage.slot(stage.bob, slot) for slot in (1, 7)] == [number(stage.carol.address), 8]
    set_storage(stage.machine, stage.bob.delegated, {2: 3}, only=True)
    assert [stage.slot(stage.bob, slot) for slot in (1, 2, 7)] == [0, 3, 0]
    with pytest.raises(InvalidInput, match="is not a contract and has no storage"):
        set_storage(stage.machine, stage.carol.delegated, {1: 5})


def test_account_storage_survives_conversion_to_contract(stage: Stage) -> None:
    stage.lend(stage.bob, NOTES)
    stage.call(stage.bob)
    stage.code(stage.bob.address, "1 SLOAD 0 MSTORE 32 0 RETURN")
    assert unwrap_return(stage.call(stage.bob).return_data) == stage.carol.address.rjust(32, b"\0")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "gas", "geth", "lotus", "returned"),
    [
        ("7 0 MSTORE 32 0 REVERT", GAS, "execution reverted", "Reverted", f"0x{7:064x}"),
        ("loop: 1 SLOAD POP @loop JUMP", 10**8, "out of gas", "out of gas", "0x"),
        ("INVALID", GAS, "invalid opcode: INVALID", "invalid instruction", "0x"),
    ],
)
def test_traces_of_a_failed_call_fail_as_the_receipt_does(
    stage: Stage, source: str, gas: int, geth: str, lotus: str, returned: str
) -> None:
    """The error text equals that of a type 2 transaction with the same call."""
    network, rpc = stage.network, Client(Node(stage.network))
    stage.code(OTHER, source)
    network.chain.keep_changes()
    good = stage.authorize(stage.bob, NOTES)
    receipt = network.receipt(network.submit(signed(network, good, to=OTHER, gas_limit=gas)))
    sent = f"0x{receipt.hash.hex()}"
    assert rpc("eth_getTransactionReceipt", sent)["status"] == "0x0"
    struct = rpc("debug_traceTransaction", sent, {})
    assert (struct["failed"], struct["returnValue"]) == (True, returned)
    top = rpc("debug_traceTransaction", sent, {"tracer": "callTracer"})
    (called,) = top["calls"]
    assert (top["error"], called["error"]) == (geth, geth)
    assert top.get("output", "0x") == returned
    assert [one.get("error") for one in rpc("trace_transaction", sent)] == [lotus, lotus]
    plain = rpc("eth_sendTransaction", {"from": top["from"], "to": f"0x{OTHER.hex()}", "gas": hex(gas)})
    assert rpc("debug_traceTransaction", plain, {"tracer": "callTracer"})["error"] == geth


def test_traces_of_a_call_that_succeeds_do(stage: Stage) -> None:
    network, rpc = stage.network, Client(Node(stage.network))
    stage.code(OTHER, "7 0 MSTORE 32 0 RETURN")
    network.chain.keep_changes()
    receipt = network.receipt(network.submit(signed(network, stage.authorize(stage.bob, NOTES), to=OTHER)))
    struct = rpc("debug_traceTransaction", f"0x{receipt.hash.hex()}", {})
    assert (struct["failed"], struct["returnValue"]) == (False, f"0x{7:064x}")


@pytest.mark.parametrize(
    ("source", "end", "advised"),
    [
        ("loop: 1 SLOAD POP @loop JUMP", "failed: its call: out of gas", True),
        ("0 0 REVERT", "failed: its call: ", False),
    ],
)
def test_node_reports_how_delegated_call_failed(
    stage: Stage, capsys: pytest.CaptureFixture[str], source: str, end: str, advised: bool
) -> None:
    """The message itself exits with 0, and its result only states that the call failed."""
    network = stage.network
    stage.code(OTHER, source)
    network.chain.keep_changes()
    with printing(network):
        receipt = network.receipt(network.submit(signed(network, stage.authorize(stage.bob, NOTES), to=OTHER)))
    assert end in str(receipt)
    output = capsys.readouterr().out
    assert end in output
    assert ("its limit of 100,000,000 gas is too low: call eth_estimateGas to get the required" in output) == advised
