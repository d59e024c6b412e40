"""State of a new network, with the project's own bundle and an official one."""

from pathlib import Path
from typing import Any

import pytest

from bridge.filecoin.parameters import method_number
from hypervisor.errors import InvalidInput
from hypervisor.integers import decode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import DATACAP_ACTOR, INIT_ACTOR, POWER_ACTOR, TokenAmount
from localnet import Account, GenesisOptions, Network
from localnet.chain.chain import Chain
from localnet.ledger.blocks import NO_PRODUCER
from store.blockstore import get_object
from store.codec import decode, encode
from tests.conftest import data_file, kinds
from tests.localnet.conftest import BUNDLE, Clock

FIL = 10**18
NEWCOMER = Account.from_key(bytes(31) + b"\x07")


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds())
def test_network_starts_with_requested_genesis(kind: str, tmp_path: Path) -> None:
    genesis = GenesisOptions(
        "testbed",
        balances={NEWCOMER.native: TokenAmount(3 * FIL), NEWCOMER.delegated: TokenAmount(4 * FIL)},
        verified={NEWCOMER.native: 4096},
        miners=[2] if kind == "own" else [0],
    )
    bundle = None if kind == "own" else data_file(BUNDLE)
    with Network(
        tmp_path, bundle=bundle, network=28, chain_id=314, genesis=genesis, account_count=2, clock=Clock()
    ) as network:
        assert (network.chain_id, network.version, network.chain.record.name) == (314, 28, "testbed")
        init = network.machine.state_tree.get_actor(INIT_ACTOR)
        assert init is not None
        assert get_object(network.machine.store, init.head)[2] == "testbed"
        assert (network.balance(NEWCOMER.native), network.balance(NEWCOMER.delegated)) == (3 * FIL, 4 * FIL)
        assert network.chain.record.vested == (4 * 10_000 + 7) * FIL
        assert datacap(network, NEWCOMER.native) == 4096 * FIL
        assert miners(network) == 1
        head = network.head
    with Network(tmp_path, clock=Clock()) as network:
        assert (network.head, network.chain_id, network.chain.record.name) == (head, 314, "testbed")
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        assert (network.head, miners(network)) == (head, 1)
    with pytest.raises(InvalidInput, match="network is 'testbed', not 'another'"):
        Network(tmp_path, genesis=GenesisOptions("another"), clock=Clock())


def test_the_miners_have_power() -> None:
    with Network(genesis=GenesisOptions(miners=[1, 3]), clock=Clock()) as network:
        result = network.machine.call(
            Message(Address.id(POWER_ACTOR), NO_PRODUCER, method=method_number("NetworkRawPower"))
        )
        assert decode_bigint(decode(result.return_data)) == 4 * 2048


@pytest.mark.slow
def test_existing_folder_is_not_subject_to_the_limit_of_sectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older programs had no limit. Callers pass the same options whenever they open a folder."""
    genesis = GenesisOptions(miners=[2])
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        head = network.head
    monkeypatch.setattr("localnet.opening.MAX_SECTORS", 1)
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        assert (network.head, miners(network)) == (head, 1)
    with pytest.raises(InvalidInput, match="2 cannot be a miner's number of sectors"):
        Network(genesis=genesis)


@pytest.mark.slow
@pytest.mark.parametrize("ends_at", [0, 1, 3])
def test_unfinished_genesis_miners_are_created_by_next_process(
    ends_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, produce, left = GenesisOptions(miners=[0, 0]), Chain.produce, ends_at
    with Network(genesis=genesis, clock=Clock()) as whole:
        wanted = whole.head

    def ends(chain: Chain, *given: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise SystemExit("killed")
        return produce(chain, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Chain, "produce", ends)
        with pytest.raises(SystemExit):
            Network(tmp_path, genesis=genesis, clock=Clock())
    with pytest.raises(InvalidInput, match="1 accounts cannot own 2 miners"):
        Network(tmp_path, account_count=1, clock=Clock())
    with Network(tmp_path, clock=Clock()) as network:
        assert (network.head, miners(network)) == (wanted, 2)
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        assert (network.head, miners(network)) == (wanted, 2)


@pytest.mark.parametrize(
    ("genesis", "words"),
    [
        (GenesisOptions(balances={NEWCOMER.native: TokenAmount(-1)}), "cannot have"),
        (GenesisOptions(balances={NEWCOMER.native: TokenAmount(1 << 127)}), "cannot have"),
        (GenesisOptions(balances={Address.id(200): TokenAmount(1)}), "cannot be an account"),
        (GenesisOptions(verified={NEWCOMER.native: 255}), "DataCap is frozen on this network of nv29"),
        (GenesisOptions(""), "'' cannot be a network's name"),
        (GenesisOptions("n" * 101), "expected 1 to 100 letters"),
        (GenesisOptions("\ud800"), "cannot be a network's name"),
        (GenesisOptions(miners=[0, 0, 0]), "2 accounts cannot own 3 miners"),
    ],
)
def test_invalid_genesis_options_are_rejected(genesis: GenesisOptions, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Network(genesis=genesis, account_count=2, clock=Clock())


def test_less_datacap_than_a_client_may_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the verified registry rejected the grant"):
        Network(network=28, genesis=GenesisOptions(verified={NEWCOMER.native: 255}), account_count=2, clock=Clock())


def datacap(network: Network, holder: Address) -> int:
    """Return the balance in units of the token."""
    ask = Message(
        Address.id(DATACAP_ACTOR), NO_PRODUCER, method=method_number("Balance"), params=encode(holder.to_bytes())
    )
    return decode_bigint(decode(network.machine.call(ask).return_data))


def miners(network: Network) -> int:
    result = network.machine.call(Message(Address.id(POWER_ACTOR), NO_PRODUCER, method=method_number("MinerCount")))
    count: int = decode(result.return_data)
    return count
