"""Random message sequences for the actors of every genesis: system, init, accounts, cron, EAM."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.types import CRON_ACTOR, EAM_ACTOR, INIT_ACTOR, SYSTEM_ACTOR
from store.codec import decode, encode, link
from tests.hypervisor.builtin_actors import stage
from tests.hypervisor.builtin_actors.contracts import INVOKE_EVM
from tests.hypervisor.builtin_actors.official import V18
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, ETHEL, STRANGER, account, packed, raw, signature
from tests.hypervisor.builtin_actors.stage import RAW_ACTOR
from tests.hypervisor.builtin_actors.test_same_at_random import Sequences, epochs, run
from tests.hypervisor.builtin_actors.twins import Twins

INIT, EAM = Address.id(INIT_ACTOR), Address.id(EAM_ACTOR)
ANYBODY = (0, 1, 3, 10, 80, 100, 104, stage.WALLET, stage.CONTRACT, stage.PLACEHOLDER, stage.MINER, stage.USERS_ACTOR)
PLACES = [EthAddress(bytes([place]) * 20) for place in (0x31, 0x32, 0x33)]
"""Ethereum addresses that are initially unassigned."""

KEYS = [ALICE, BOB, STRANGER, account(9), account(10)]
CODES = ("multisig", "paymentchannel", "storageminer", "account", "evm", "ethaccount", "placeholder")
CONSTRUCTORS = (
    b"", b"\x80", b"\xff", packed([raw(ALICE), raw(STRANGER)], 1, 0, 0), packed([raw(ALICE)], 2, 0, 0),
    packed(raw(ALICE), raw(account(11))), packed(bytes(20), b"\x60\x01"), packed([raw(ALICE), raw(ALICE)], 1, 0, 0),
)  # fmt: skip
INIT_CODES = [
    bytes.fromhex(code)
    for code in (
        "",  # a contract without code
        "60ff5ff3",  # its memory: 255 zeros
        "5f5ffd",  # reverts
        "60ef5f5360015ff3",  # code that starts with 0xef, which is refused
        "33ff",  # destroys itself while it is made
        "6133ff5f526002601ef3",  # its code is 33 ff: destroys itself when it is called
        "fe",
        "60016000556133ff5f526002601ef3",  # the same, with something stored
    )
]

people = st.sampled_from((ALICE, BOB, CAROL, ETHEL))
anybody = st.sampled_from(ANYBODY)
numbers = st.sampled_from((0, 1, 2, 3, 4, 5, 9, 1023, (1 << 24) - 1, 1 << 24, method_number("Receive"), 2**64 - 1))
junk = st.sampled_from((b"", b"\x80", b"\xff", encode("text"), packed(1, b""), b"\x81" * 40))
values = st.sampled_from((0, 0, 1, 5, 10**30))


class Basics(Sequences):
    """Runs on the state of `tests.hypervisor.builtin_actors.stage`."""

    def send_as(self, sender: int, to: Address | int, method: int, params: bytes = b"", value: int = 0) -> Any:
        receiver = Address.id(to) if isinstance(to, int) else to
        return self.twins.send_as(sender, receiver, method, params, value)


class Systems(Basics):
    @rule(
        by=anybody, to=st.sampled_from((SYSTEM_ACTOR, RAW_ACTOR["system"])), method=numbers, params=junk, value=values
    )
    def call(self, by: int, to: int, method: int, params: bytes, value: int) -> None:
        self.send_as(by, to, method, params, value)

    @rule(to=st.sampled_from((SYSTEM_ACTOR, RAW_ACTOR["system"])), params=junk)
    def construct(self, to: int, params: bytes) -> None:
        self.send_as(SYSTEM_ACTOR, to, 1, params)


class Inits(Basics):
    @rule(by=people, code=st.sampled_from(CODES), constructor=st.sampled_from(CONSTRUCTORS), value=values)
    def create(self, by: Address, code: str, constructor: bytes, value: int) -> None:
        params = packed(link(self.twins.official.manifest.code(code)), constructor)
        self.twins.send(INIT, 2, params, value, by)

    @rule(by=anybody, code=st.sampled_from(CODES), constructor=st.sampled_from(CONSTRUCTORS), value=values)
    def create_as(self, by: int, code: str, constructor: bytes, value: int) -> None:
        params = packed(link(self.twins.official.manifest.code(code)), constructor)
        self.send_as(by, INIT, 2, params, value)

    @rule(
        by=st.sampled_from((EAM_ACTOR, EAM_ACTOR, EAM_ACTOR, 100, stage.CONTRACT)), code=st.sampled_from(CODES),
        constructor=st.sampled_from(CONSTRUCTORS), place=st.sampled_from([*PLACES, b"", bytes(54), bytes(55)]),
        value=values,
    )  # fmt: skip
    def create_at(self, by: int, code: str, constructor: bytes, place: bytes, value: int) -> None:
        params = packed(link(self.twins.official.manifest.code(code)), constructor, place)
        self.send_as(by, INIT, 3, params, value)

    @rule(by=people, place=st.sampled_from(PLACES), value=values)
    def pay(self, by: Address, place: EthAddress, value: int) -> None:
        self.twins.send(to_filecoin(place), 0, b"", value, by)

    @rule(by=anybody, method=numbers, params=junk)
    def call(self, by: int, method: int, params: bytes) -> None:
        self.send_as(by, INIT, method, params)


class Accounts(Basics):
    @rule(by=anybody, to=st.sampled_from(KEYS), value=values)
    def pay(self, by: int, to: Address, value: int) -> None:
        self.send_as(by, to, 0, b"", value)

    @rule(by=anybody, to=st.sampled_from(KEYS), method=numbers, params=junk, value=values)
    def call(self, by: int, to: Address, method: int, params: bytes, value: int) -> None:
        self.send_as(by, to, method, params, value)

    @rule(
        by=anybody, to=st.sampled_from(KEYS[:3]), signer=st.sampled_from(KEYS[:3]), words=st.sampled_from((b"", b"a")),
        said=st.sampled_from((b"", b"a")), cut=st.integers(0, 2),
    )  # fmt: skip
    def authenticate(self, by: int, to: Address, signer: Address, words: bytes, said: bytes, cut: int) -> None:
        signed = signature(signer, said)
        self.send_as(by, to, method_number("AuthenticateMessage"), packed(signed[: len(signed) - cut], words))

    @rule(by=st.sampled_from((0, 0, 1, 100)), key=st.sampled_from([*KEYS, ETHEL, Address.id(5)]))
    def construct(self, by: int, key: Address) -> None:
        self.send_as(by, RAW_ACTOR["account"], 1, encode(raw(key)))
        self.send_as(by, RAW_ACTOR["account"], 2)


class EthAccounts(Basics):
    """Placeholders that become Ethereum accounts with their first message."""

    @rule(by=anybody, place=st.sampled_from(PLACES), value=values)
    def pay(self, by: int, place: EthAddress, value: int) -> None:
        self.send_as(by, to_filecoin(place), 0, b"", value)

    @rule(
        place=st.sampled_from(PLACES), to=st.sampled_from((ALICE, ETHEL, *map(to_filecoin, PLACES), EAM)),
        method=numbers, params=junk, value=values,
    )  # fmt: skip
    def speak(self, place: EthAddress, to: Address, method: int, params: bytes, value: int) -> None:
        self.twins.send(to, method, params, value, to_filecoin(place))

    @rule(by=anybody, place=st.sampled_from([*PLACES, ETHEL.subaddress()]), method=numbers, params=junk, value=values)
    def call(self, by: int, place: bytes, method: int, params: bytes, value: int) -> None:
        self.send_as(by, to_filecoin(EthAddress(place)), method, params, value)

    @rule(by=st.sampled_from((0, 0, 100)), params=junk)
    def construct(self, by: int, params: bytes) -> None:
        self.send_as(by, RAW_ACTOR["ethaccount"], 1, params)

    @rule(by=st.sampled_from((EAM_ACTOR, 100)), place=st.sampled_from(PLACES))
    def deploy_over(self, by: int, place: EthAddress) -> None:
        code = link(self.twins.official.manifest.code("evm"))
        self.send_as(by, INIT, 3, packed(code, packed(bytes(20), b""), place))


class Placeholders(EthAccounts):
    @rule(by=anybody, method=numbers, params=junk, value=values)
    def ask_the_first(self, by: int, method: int, params: bytes, value: int) -> None:
        self.send_as(by, stage.PLACEHOLDER, method, params, value)

    @rule(by=anybody, method=numbers, params=junk, value=values)
    def ask_one_without_an_address(self, by: int, method: int, params: bytes, value: int) -> None:
        self.send_as(by, RAW_ACTOR["placeholder"], method, params, value)


class Crons(Basics):
    receivers = st.sampled_from((
        *map(Address.id, (3, 4, 5, 7, 100, 99_999, stage.CONTRACT, stage.MINER, RAW_ACTOR["cron"])), STRANGER, ETHEL,
    ))  # fmt: skip

    @rule(by=st.sampled_from((0, 0, 0, 3)), entries=st.lists(st.tuples(receivers, numbers), max_size=4))
    def construct(self, by: int, entries: list[tuple[Address, int]]) -> None:
        """Construct a stateless actor; later calls do not change it."""
        params = packed([[raw(to), method] for to, method in entries])
        self.send_as(by, RAW_ACTOR["cron"], 1, params)

    @rule(to=st.sampled_from((CRON_ACTOR, RAW_ACTOR["cron"])), by=st.sampled_from((0, 0, 0, 3, 100)))
    def tick(self, to: int, by: int) -> None:
        self.send_as(by, to, 2)

    @rule(by=anybody, method=numbers, params=junk, value=values)
    def call(self, by: int, method: int, params: bytes, value: int) -> None:
        self.send_as(by, CRON_ACTOR, method, params, value)

    @rule(by=epochs)
    def ticks_pass(self, by: int) -> None:
        self.time_passes(by)
        self.send_as(SYSTEM_ACTOR, CRON_ACTOR, 2)


class Eams(Basics):
    codes = st.sampled_from(INIT_CODES)

    def prepare(self) -> None:
        self.made: list[int] = [stage.CONTRACT]

    def keep(self, result: Any) -> None:
        if result.exit_code == 0:
            self.made.append(decode(result.return_data)[0])

    @rule(by=people, code=codes, value=st.sampled_from((0, 0, 5)))
    def create_external(self, by: Address, code: bytes, value: int) -> None:
        self.keep(self.twins.send(EAM, 4, encode(code), value, by))

    @rule(data=st.data(), code=codes, nonce=st.integers(0, 3), value=st.sampled_from((0, 0, 5)))
    def create(self, data: Any, code: bytes, nonce: int, value: int) -> None:
        by = data.draw(st.sampled_from(self.made))
        self.keep(self.send_as(by, EAM, 2, packed(code, nonce), value))

    @rule(data=st.data(), code=codes, salt=st.sampled_from((bytes(32), b"\x01" * 32, b"short")))
    def create2(self, data: Any, code: bytes, salt: bytes) -> None:
        by = data.draw(st.sampled_from(self.made))
        self.keep(self.send_as(by, EAM, 3, packed(code, salt)))

    @rule(data=st.data(), by=people)
    def call_contract(self, data: Any, by: Address) -> None:
        """Call a contract; some destroy themselves, so that their address can be deployed to again."""
        self.twins.send(Address.id(data.draw(st.sampled_from(self.made))), INVOKE_EVM, encode(b""), 0, by)

    @rule(by=anybody, method=numbers, params=junk, value=values)
    def call(self, by: int, method: int, params: bytes, value: int) -> None:
        self.send_as(by, EAM, method, params, value)


machines = pytest.mark.parametrize(
    "machine",
    [Systems, Inits, Accounts, EthAccounts, Placeholders, Crons, Eams],
    ids=["system", "init", "account", "ethaccount", "placeholder", "cron", "eam"],
)


@pytest.mark.slow
@machines
def test_random_sequences(staged: Twins, machine: type[Sequences]) -> None:
    run(machine, staged, examples=6)


@pytest.mark.long
@machines
def test_many_random_sequences(staged: Twins, machine: type[Sequences]) -> None:
    run(machine, staged, examples=300 if staged.of is V18 else 30)
