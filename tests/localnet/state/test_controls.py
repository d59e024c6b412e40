"""Manual state changes, and messages from any sender.

Expected code and storage are those of an ordinarily deployed contract.
"""

import gzip
import io
from collections.abc import Callable

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import VERIFIED_REGISTRY_ROOT
from hypervisor.errors import AddressError, InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address, Protocol
from hypervisor.types import ActorID, TokenAmount, encode_bigint
from localnet import Network
from localnet.errors import TransactionFailed, TransactionRefused
from localnet.state.controls import code_of, nonce_of, set_balance, storage_of
from store.car.files import read_car
from store.car.transfer import write_blocks
from store.cid import cid_of
from store.codec import decode, encode
from store.keccak import keccak
from tests.localnet.conftest import ARTIFACTS, Clock

COUNTER = ARTIFACTS / "Counter.json"
NOBODY = EthAddress(b"\x99" * 20)
CALLER_OF = bytes.fromhex("335f5260205ff3")
"""CALLER PUSH0 MSTORE PUSH1 32 PUSH0 RETURN: code that returns its caller."""


class TestCode:
    """Code of an address."""

    def test_an_address_becomes_the_contract_that_a_deployment_makes(self, either: Network) -> None:
        counter = either.deploy(COUNTER)
        deployed = either.machine.actor(to_filecoin(counter.address))
        assert deployed is not None
        either.set_code(NOBODY, code_of(either.machine, to_filecoin(counter.address)))
        assert nonce_of(either.machine, to_filecoin(NOBODY)) == 0  # as in geth and anvil
        either.set_nonce(NOBODY, 1)
        given = either.machine.actor(to_filecoin(NOBODY))
        assert given is not None
        assert (given.code, given.head) == (deployed.code, deployed.head)  # byte for byte the same state
        again = either.contract(NOBODY, COUNTER)
        again.send("increment")
        assert again.call("number") == 1

    def test_storage_balance_and_nonce_stay(self, either: Network) -> None:
        counter = either.deploy(COUNTER)
        counter.send("increment")
        either.set_balance(counter, 5)
        either.set_code(counter, CALLER_OF)
        assert either.call(counter) == bytes(12) + either.accounts[0].address
        assert storage_of(either.machine, to_filecoin(counter.address), 0)[-1] == 1
        assert (either.balance(counter), either.nonce(counter)) == (5, 1)

    def test_an_account_that_has_sent_keeps_its_nonce(self, network: Network) -> None:
        sender = network.accounts[3]
        network.send(NOBODY, 1, sender=sender)
        network.send(NOBODY, 1, sender=sender)
        network.set_code(sender, CALLER_OF)
        assert network.nonce(sender) == 2
        with pytest.raises(TransactionRefused, match="is not an account"):
            network.send(NOBODY, 1, sender=sender, gas_limit=10_000_000)

    def test_destroyed_contract_is_created_again_without_its_storage(self, either: Network) -> None:
        # Init code stores 1 at slot 0 and leaves PUSH0, SELFDESTRUCT.
        address = either.send(None, 0, bytes.fromhex("60015f55615fff5f526002601ef3")).contract_address
        assert address is not None
        either.send(address)
        assert either.call(address) == b""
        either.set_code(address, CALLER_OF)
        assert either.call(address) == bytes(12) + either.accounts[0].address
        assert storage_of(either.machine, to_filecoin(address), 0) == bytes(32)

    def test_native_actors_take_no_evm_code(self, network: Network) -> None:
        for target in ("f04", network.accounts[0].native):
            with pytest.raises(InvalidInput, match="which cannot be given EVM code"):
                network.set_code(target, CALLER_OF)
        assert network.machine.actor(Address.id(4)) is not None

    def test_failed_control_leaves_state_unchanged(self, network: Network) -> None:
        key = Address(Protocol.BLS, bytes(48))
        before = network.machine.root
        with pytest.raises(InvalidInput):
            network.set_code(key, CALLER_OF)
        with pytest.raises(InvalidInput, match="has no storage"):
            network.set_storage(NOBODY, {1: 1})
        assert network.machine.root == before


class TestStorage:
    """Storage of a contract."""

    def test_contract_reads_slots_set_by_set_storage(self, either: Network) -> None:
        counter = either.deploy(COUNTER)
        either.set_storage(counter, {0: 41, 2**256 - 1: 2**256 - 1})
        assert counter.call("number") == 41
        counter.send("increment")
        assert counter.call("number") == 42
        assert storage_of(either.machine, to_filecoin(counter.address), 2**256 - 1) == b"\xff" * 32

    def test_cleared_slot_restores_state_of_fresh_contract(self, network: Network) -> None:
        counter, fresh = network.deploy(COUNTER), network.deploy(COUNTER)
        network.set_storage(counter, {0: 41, 7: 1})
        network.set_storage(counter, {0: 0, 7: 0})
        heads = {
            actor.head
            for contract in (counter, fresh)
            if (actor := network.machine.actor(to_filecoin(contract.address))) is not None
        }
        assert len(heads) == 1


class TestNonce:
    """Nonces of accounts and contracts."""

    def test_set_nonce_is_used_by_the_next_transaction(self, either: Network) -> None:
        either.set_nonce(either.accounts[0], 7)
        assert either.send(NOBODY, 1).execution.candidate.bare.nonce == 7
        assert either.nonce(either.accounts[0]) == 8

    def test_new_account_sends_from_a_set_nonce(self, either: Network) -> None:
        stranger = type(either.accounts[0]).from_key(bytes(31) + b"\x05")
        either.set_nonce(stranger, 3)
        either.set_balance(stranger, 10**18)
        either.send(NOBODY, 1, sender=stranger)
        assert either.nonce(stranger) == 4

    def test_set_nonce_decides_the_next_creation_address(self, either: Network) -> None:
        # PUSH0 PUSH0 PUSH0 CREATE, then the address is returned.
        creator = bytes.fromhex("5f5f5ff05f5260205ff3")
        either.set_code(NOBODY, creator)
        either.set_nonce(NOBODY, 9)
        # keccak(rlp([address, 9])), EIP-161's and the yellow paper's rule.
        expected = keccak(bytes.fromhex("d694") + NOBODY + b"\x09")[12:]
        assert either.call(NOBODY)[12:] == expected

    @pytest.mark.parametrize("nonce", [-1, 2**64 - 1, 2**64])
    def test_out_of_range_nonce_is_rejected(self, network: Network, nonce: int) -> None:
        with pytest.raises(InvalidInput, match="cannot be a nonce"):
            network.set_nonce(NOBODY, nonce)


class TestImpersonation:
    """Unsigned messages of impersonated senders."""

    def test_an_account_without_a_key_pays_as_any_other(self, either: Network) -> None:
        either.set_balance(NOBODY, 10**18)
        receipt = either.send(either.accounts[1], 5, sender=NOBODY)
        assert receipt.candidate.sender == NOBODY
        assert either.balance(NOBODY) == 10**18 - 5 - receipt.execution.paid
        assert receipt.execution.paid > 0
        assert either.nonce(NOBODY) == 1

    def test_an_account_without_funds_is_refused(self, network: Network) -> None:
        with pytest.raises(TransactionRefused, match="insufficient funds"):
            network.send(network.accounts[1], 5, sender=NOBODY, gas_limit=10_000_000)

    def test_a_contract_calls_another(self, either: Network) -> None:
        either.set_code(NOBODY, CALLER_OF)
        counter = either.deploy(COUNTER)
        either.set_balance(counter, 10)
        before = either.nonce(counter)
        receipts = [either.send(NOBODY, 3, sender=counter) for _ in range(2)]
        assert receipts[0].return_data == bytes(12) + counter.address
        assert receipts[0].hash != receipts[1].hash
        assert receipts[0].execution.paid == 0
        assert (either.balance(counter), either.balance(NOBODY)) == (4, 6)
        assert either.nonce(counter) == before + 2  # as under Ethereum's rules: one nonce, of what it sends and creates

    def test_a_contract_sends_no_more_than_it_has(self, network: Network) -> None:
        counter = network.deploy(COUNTER)
        with pytest.raises(TransactionRefused, match="insufficient funds"):
            network.send(NOBODY, 3, sender=counter, gas_limit=10_000_000)

    def test_a_built_in_actor_acts(self, either: Network) -> None:
        receipt = either.send_native(either.accounts[2], sender="f06")
        assert (receipt.exit_code, str(receipt.from_)) == (ExitCode.OK, "f06")
        assert receipt.candidate.sender == masked_id(ActorID(6))

    def test_only_registry_root_key_can_add_verifiers(self, before_nv29: Network) -> None:
        # builtin-actors verifreg: AddVerifier (2) is the root key's, AddVerifiedClient (4) a verifier's.
        either = before_nv29
        verifier, client = either.accounts[1].native, either.accounts[2].native
        params = [encode([who.to_bytes(), encode_bigint(1 << 20)]) for who in (verifier, client)]
        with pytest.raises(TransactionFailed) as failed:
            either.send_native("f06", 2, params[0])
        assert failed.value.receipt.exit_code == ExitCode.USR_FORBIDDEN
        root = f"f0{VERIFIED_REGISTRY_ROOT}"
        either.set_balance(root, 10**18)
        either.send_native("f06", 2, params[0], sender=root)
        either.send_native("f06", 4, params[1], sender=either.accounts[1])

    def test_the_trace_executes_it_again(self, either: Network) -> None:
        either.set_code(NOBODY, CALLER_OF)
        counter = either.deploy(COUNTER)
        receipt = either.send(NOBODY, sender=counter)
        found = either.trace(receipt.hash)
        assert found.reproduced
        assert found.calls[0]["from"] == str(
            Address.id(either.machine.state_tree.lookup_id(to_filecoin(counter.address)) or 0)
        )

    def test_impersonated_transaction_fails_as_its_call(self, network: Network) -> None:
        network.set_code(NOBODY, bytes.fromhex("5f5ffd"))
        counter = network.deploy(COUNTER)
        with pytest.raises(TransactionFailed) as failed:
            network.send(NOBODY, sender=counter, gas_limit=100_000_000)
        assert failed.value.receipt.exit_code == ExitCode.EVM_CONTRACT_REVERTED


class TestStateFiles:
    """State files moved between networks."""

    @pytest.mark.slow
    def test_dumped_state_continues_on_another_network(self) -> None:
        with Network(clock=Clock()) as first, Network(clock=Clock()) as second:
            counter = first.deploy(COUNTER)
            counter.send("increment")
            first.mine(null_rounds=5)
            packed = first.dump_state()
            head = second.load_state(packed)
            assert second.machine.root == first.machine.root
            assert head.height == first.block_number
            assert head.timestamp >= first.head.timestamp
            assert second.block(head.height) == head
            again = second.contract(counter.address, COUNTER)
            again.send("increment")
            assert again.call("number") == 2

    @pytest.mark.slow
    def test_loaded_state_outlives_process(self, tmp_path: object) -> None:
        with Network(clock=Clock()) as first, Network(f"{tmp_path}/chain", clock=Clock()) as second:
            first.set_balance(NOBODY, 12)
            second.load_state(first.dump_state())
        with Network(f"{tmp_path}/chain", clock=Clock()) as again:
            assert again.balance(NOBODY) == 12

    def test_another_bundles_state_is_refused(self, network: Network) -> None:
        with Network(bundle=Bundle.embedded("supply-share"), clock=Clock()) as other:
            packed = other.dump_state()
        before = network.head
        with pytest.raises(InvalidInput, match="the state has the built-in actors"):
            network.load_state(packed)
        assert network.head == before

    def test_a_state_under_other_rules_is_refused(self, network: Network) -> None:
        with Network(rules="ethereum", clock=Clock()) as other:
            packed = other.dump_state()
            other.load_state(packed)
        before = network.head
        with pytest.raises(InvalidInput, match=r"with the rules 'ethereum', this one has 'filecoin'.*--rules"):
            network.load_state(packed)
        assert network.head == before

    def test_state_dump_without_rules_field_loads(self, network: Network) -> None:
        network.set_balance(NOBODY, 12)
        reader = read_car(io.BytesIO(gzip.decompress(network.dump_state())))
        blocks = dict(reader)
        _, *fields, rules = decode(blocks[reader.roots[0]])
        assert rules == "filecoin"
        older, root = io.BytesIO(), encode([1, *fields])
        write_blocks(older, [cid_of(root)], [(cid_of(root), root), *blocks.items()])
        network.set_balance(NOBODY, 0)
        network.load_state(gzip.compress(older.getvalue()))
        assert network.balance(NOBODY) == 12

    @pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["as a file", "as anvil_dumpState answers"])
    def test_anvil_state_is_distinguished_from_corrupt_state(
        self, network: Network, pack: Callable[[bytes], bytes]
    ) -> None:
        of_anvil = b'{"block":{"number":"0x1"},"accounts":{"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266":{"nonce":1}}}'
        with pytest.raises(InvalidInput, match=r"a state of anvil.* under the rules 'filecoin'.*--rules ethereum"):
            network.load_state(pack(of_anvil))

    @pytest.mark.slow
    def test_loaded_state_may_reach_decompressed_size_limit(self, network: Network) -> None:
        """The data expands from 65 KB to 64 MiB and a byte."""
        with pytest.raises(InvalidInput, match="the decompressed data exceeds 67,108,864 bytes"):
            network.load_state(gzip.compress(bytes((64 << 20) + 1)))
        packed = network.dump_state()
        size = len(gzip.decompress(packed))
        with pytest.raises(InvalidInput, match=f"exceeds {size - 1:,} bytes"):
            network.load_state(packed, size - 1)
        network.load_state(packed, size)

    def test_load_state_rejects_damaged_dump(self, network: Network) -> None:
        packed = network.dump_state()
        car = gzip.decompress(packed)
        flipped = bytearray(car)
        flipped[len(car) // 2] ^= 1
        before = network.head
        for damaged in (b"", b"\x00", packed[:-9], packed[: len(packed) // 2], gzip.compress(bytes(flipped))):
            with pytest.raises(InvalidInput):
                network.load_state(damaged)
        assert (network.head, network.machine.root) == (before, before.state)


class TestTimeAndFees:
    """Time and fees of the next blocks."""

    def test_zero_base_fee_burns_nothing(self, network: Network) -> None:
        network.set_next_base_fee(0)
        receipt = network.send(NOBODY, 1)
        assert receipt.tipset.base_fee == 0
        assert receipt.execution.paid < 10**5 * receipt.candidate.bare.gas_limit + 1

    def test_uncreatable_address_is_refused(self, network: Network) -> None:
        for change in (network.set_balance, network.set_nonce):
            with pytest.raises(AddressError, match="none can be created"):
                change("f0987654", 1)


@pytest.mark.parametrize(("rules", "unit"), [("ethereum", "wei"), ("filecoin", "attoFIL")])
def test_a_refused_balance_has_the_unit_of_the_rules(rules: str, unit: str) -> None:
    with Network(rules=rules) as network, pytest.raises(InvalidInput, match=f"^-1 {unit} cannot be a balance"):
        set_balance(network.machine, NOBODY, TokenAmount(-1))
