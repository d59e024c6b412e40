"""The system's messages under attack: cron and rewards exit with 0 in every epoch, with their usual effects.

`make lane` runs all attacks on both bundles; `make test` runs a few on our own actors.
"""

from collections.abc import Iterator
from functools import cache

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import Fatal, InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import BURNT_FUNDS_ACTOR, SYSTEM_ACTOR, Gas, encode_bigint
from hypervisor.versions.network_versions import NV28
from localnet import Account
from store.codec import encode
from tests.conftest import data_file, kinds, network_of, newer_names
from tests.lane import attacks
from tests.lane.attacks import ATTACKS, MORE_EVENTS, Attack, Exits
from tests.lane.stage import AWARD, CRON, REWARD, Stage
from tests.localnet.conftest import BUNDLE

BURNT = Address.id(BURNT_FUNDS_ACTOR)
QUICK = {"traps_and_exits_that_are_the_systems", "everybody_calls_the_systems_methods"}


@pytest.fixture(scope="module")
def stages() -> Iterator[dict[str, Stage]]:
    made: dict[str, Stage] = {}
    yield made
    for stage in made.values():
        stage.network.close()


def the_stage(stages: dict[str, Stage], kind: str) -> Stage:
    if kind not in stages:
        if kind in ("own", "official"):
            stages[kind] = Stage(None if kind == "own" else data_file(BUNDLE), NV28.number)
        else:
            stages[kind] = Stage(Bundle.open(kind), network_of(kind).number)
    return stages[kind]


def award(machine: Hypervisor, receiver: Address) -> ApplyResult:
    """Return the chain's message that pays for a block."""
    params = encode([receiver.to_bytes(), encode_bigint(0), encode_bigint(0), 1])
    return machine.apply_implicit(
        Message(REWARD, Address.id(SYSTEM_ACTOR), method=AWARD, params=params, gas_limit=Gas(1 << 30))
    )


@cache
def exits_of(stage: Stage, attack: Attack) -> tuple[Exits, list[str], int]:
    """Return the exit codes of an attack's messages, the damage to the lane, and the attoFIL gained or lost."""
    before = stage.money()
    with stage.attacked():
        exits = attack(stage)
        return exits, stage.damage(more_events=attack in MORE_EVENTS), stage.money() - before


def _cases() -> Iterator[object]:
    for kind in [*kinds(), "own-v19", *newer_names()]:
        for attack in ATTACKS:
            quick = kind == "own" and attack.__name__ in QUICK
            yield pytest.param(kind, attack, marks=() if quick else pytest.mark.long, id=f"{kind}-{attack.__name__}")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "attack"), list(_cases()))
def test_no_attack_disrupts_cron_and_rewards(stages: dict[str, Stage], kind: str, attack: Attack) -> None:
    _, damage, money = exits_of(the_stage(stages, kind), attack)
    assert damage == []
    assert money == 0


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), [("own", "official"), *(("own-v19", name) for name in newer_names())])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_exits_alike_on_both_bundles(
    stages: dict[str, Stage], attack: Attack, first: str, second: str
) -> None:
    own, official = (exits_of(the_stage(stages, kind), attack)[0] for kind in (first, second))
    assert own == official


# --- who is paid for a block ------------------------------------------------------------------------------------------


def _receivers(stage: Stage) -> dict[str, tuple[Address, int, bool]]:
    """Return receivers of a reward with the payment's exit code, and True if they receive it (else it is burnt)."""
    wallet = stage.network.accounts[3]
    newcomer = Address.delegated(10, b"\x77" * 20)
    stage.network.send(newcomer, 1)
    gone = stage.contract(attacks.VANISH)
    stage.network.send(gone, sender=stage.attacker)
    return {
        "a miner": (stage.producer.address, 0, True),
        "an account": (wallet.native, 0, False),
        "an Ethereum account": (wallet.delegated, 0, False),
        "a placeholder": (newcomer, 0, True),
        "a singleton": (CRON, 0, False),
        "a contract that refuses": (stage.contract(attacks.REFUSE), 0, False),
        "a contract that never ends": (stage.contract(attacks.SPIN), 0, False),
        "a contract that is gone": (gone, 0, False),
        "an actor that traps": (stage.place(attacks.trap()), 0, False),
        "an actor that names no block": (stage.place(attacks.liar()), 0, False),
        "an actor that destroys itself and what it has": (stage.place(attacks.vanishing()), 0, False),
        "an actor that never ends": (stage.place(attacks.spin()), ExitCode.SYS_OUT_OF_GAS, False),
        "an ID that nobody has": (Address.id(99_999), 0, False),
        "a key that nobody has": (Account.from_key(bytes(31) + b"\x09").native, ExitCode.USR_NOT_FOUND, False),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", pytest.param("official", marks=pytest.mark.long)])
def test_refused_reward_is_burnt_and_message_exits_0(stages: dict[str, Stage], kind: str) -> None:
    """Only an actor that uses up all gas fails the message, on every network: no producer may be such an actor."""
    stage = the_stage(stages, kind)
    machine = stage.network.machine
    with stage.attacked():
        found, wanted = {}, {}
        for name, (receiver, exit_code, paid) in _receivers(stage).items():
            wanted[name] = (exit_code, paid, exit_code == 0 and not paid)
            with machine.trial():
                before = machine.balance(receiver), machine.balance(BURNT)
                result = award(machine, receiver)
                after = machine.balance(receiver), machine.balance(BURNT)
                found[name] = (result.exit_code, after[0] > before[0], after[1] > before[1])
            if name != "a miner":
                with pytest.raises(InvalidInput, match="only a storage miner produces blocks"):
                    stage.network.set_producer(receiver)
        assert found == wanted


@pytest.mark.slow
def test_message_breaking_the_machine_stops_only_one_block(
    stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message triggers a defect of the machine: the mempool drops it, and the next block has all others."""
    stage = the_stage(stages, "own")
    with stage.attacked():
        monkeypatch.setattr(stage, "breaks", lambda call: call.value == 13)
        stage.fire(stage.victim.native, 0, value=1, gas=10_000_000)
        stage.fire(stage.victim.native, 0, value=13, gas=10_000_000, sender=stage.network.accounts[7])
        with pytest.raises(Fatal, match="a defect"):
            stage.network.mine()
        assert stage.epoch() == [0, -1]
        assert stage.damage() == []
