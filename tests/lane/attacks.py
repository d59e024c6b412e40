"""Attacks on the system's messages.

- Hostile code: native modules as text, contracts as bytes.
- Attacks on the system's messages: each adds pending messages for a few blocks and checks their exit codes by block.

The exit codes are those of the reference (official actors and golden vectors). They show that the attack was executed,
and equally on both bundles.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from bridge.bindings import storageminer, storagepower
from bridge.filecoin.method_numbers import method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.types import DATACAP_ACTOR, EAM_ACTOR, INIT_ACTOR, SYSTEM_ACTOR, VERIFIED_REGISTRY_ACTOR, encode_bigint
from hypervisor_tools.cli.demo.scenario import counter_module
from localnet.accounts import BLS_ACCOUNT
from localnet.addresses import filecoin_address
from localnet.ledger.records import TransactionReceipt
from localnet.miners.miner import FUNDS, WINDOW_PROOF
from localnet.state.controls import code_of, storage_of
from store.blockstore import get_object
from store.cid import CBOR
from store.codec import decode, encode, link
from tests.crossing.trees import Script, puppet
from tests.hypervisor.builtin_actors.contracts import call_data
from tests.lane.stage import CRON, MARKET, POWER, REWARD, Stage
from tests.localnet.conftest import ARTIFACTS
from tests.patience import ENDLESS
from tests.runtimes.wasm.guests import guest

MEBIBYTE = 1 << 20


@cache
def spin() -> bytes:
    return guest("(loop $on (br $on)) unreachable")


@cache
def trap() -> bytes:
    return guest("unreachable")


@cache
def liar() -> bytes:
    return guest("(i32.const 77)")


@cache
def glutton() -> bytes:
    """A guest that allocates memory until it fails, then loops forever."""
    return guest(
        """(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
        (loop $on (br $on)) unreachable"""
    )


@cache
def windbag() -> bytes:
    return guest(
        f"""(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 64) (i32.const {MEBIBYTE})))
        (i32.load (i32.const 0))""",
        "ipld.block_create",
        pages="20",
    )


@cache
def flood() -> bytes:
    """A guest that emits events of eight kibibytes until its gas is used up."""
    return guest(
        """(i64.store (i32.const 0) (i64.const 3)) (i64.store (i32.const 8) (i64.const 0x55))
        (i32.store (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 8000))
        (i32.store8 (i32.const 100) (i32.const 97))
        (loop $on
          (drop (call $emit_event (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 200)
            (i32.const 8000)))
          (br $on))
        unreachable""",
        "event.emit_event",
    )


@cache
def deluge() -> bytes:
    """A guest that emits two hundred events of eight kibibytes and succeeds."""
    return guest(
        """(i64.store (i32.const 0) (i64.const 3)) (i64.store (i32.const 8) (i64.const 0x55))
        (i32.store (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 8000))
        (i32.store8 (i32.const 100) (i32.const 97))
        (local.set $left (i32.const 200))
        (loop $on
          (drop (call $emit_event (i32.const 0) (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 200)
            (i32.const 8000)))
          (br_if $on (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i32.const 0)""",
        "event.emit_event",
        locals_="(local $left i32)",
    )


@cache
def storm() -> bytes:
    """A guest that repeatedly sends its parameters to the address in them: to itself, an endless tree."""
    return guest(
        """(if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (drop (call $block_read (i32.const 0) (local.get 0) (i32.const 3) (i32.const 100) (i32.const 20)))
        (loop $on
          (drop (call $send (i32.const 0) (i32.const 100) (i32.load8_u (i32.const 99)) (i64.const 2) (local.get 0)
            (i64.const 0) (i64.const 0) (i64.const 0x7fffffffffffffff) (i64.const 0)))
          (br $on))
        unreachable""",
        "ipld.block_read",
        "send.send",
        fields=f'(data (i32.const 99) "{chr(92)}03")',
    )


@cache
def vanishing() -> bytes:
    """A guest that deletes itself and burns its balance on method 2, and accepts all other calls."""
    return guest(
        """(if (local.get 0) (then (drop (call $self_destruct (i32.const 1))))) (i32.const 0)""", "self.self_destruct"
    )


# --- contracts --------------------------------------------------------------------------------------------------------

SPIN = ENDLESS
REFUSE = bytes.fromhex("5f5ffd")
VANISH = bytes.fromhex("33ff")
RECURSE = bytes.fromhex("5f5f5f5f5f305af15f5260205ff3")
"""Code that calls itself with all gas and returns the success flag."""
WINDBAG = bytes.fromhex("620fff005ff3")
CALL_ACTOR_ID = b"\xfe" + bytes(18) + b"\x05"
"""Precompile for calls of actors by ID; only by DELEGATECALL."""


def times(count: int, body: bytes) -> bytes:
    """A loop around code that leaves the stack unchanged; the remaining count is on top."""
    return b"\x61" + count.to_bytes(2, "big") + b"\x5b" + body + bytes.fromhex("6001900380600357" + "00")


FLOOD = times(0xFFFF, bytes.fromhex("6110005fa0"))
BLOAT = times(300, bytes.fromhex("808055"))


def paying(targets: list[Address]) -> bytes:
    """Code that sends an attoFIL to each of these actors twice: by an EVM call to its masked ID, and by method 0."""
    code = b""
    for target in targets:
        actor = target.actor_id()
        assert actor is not None
        masked = b"\xff" + bytes(11) + actor.to_bytes(8, "big")
        code += bytes.fromhex("5f5f5f5f6001") + b"\x73" + masked + bytes.fromhex("5af150")
        plain = call_data(actor, 0, value=1)
        for place in range(0, len(plain), 32):
            code += b"\x7f" + plain[place : place + 32] + bytes([0x60, place, 0x52])
        code += bytes([0x5F, 0x5F, 0x60, len(plain), 0x5F, 0x73]) + CALL_ACTOR_ID + bytes.fromhex("5af450")
    return code + b"\x00"


Exits = list[list[int]]
Attack = Callable[[Stage], Exits]

OK, GAS, TRAPPED, LYING = 0, ExitCode.SYS_OUT_OF_GAS, ExitCode.SYS_ILLEGAL_INSTRUCTION, ExitCode.SYS_MISSING_RETURN
FORBIDDEN = ExitCode.USR_FORBIDDEN
FIL = 10**18
INIT, EAM, DATACAP = Address.id(INIT_ACTOR), Address.id(EAM_ACTOR), Address.id(DATACAP_ACTOR)
REGISTRY, SYSTEM = Address.id(VERIFIED_REGISTRY_ACTOR), Address.id(SYSTEM_ACTOR)
SINGLETONS = [SYSTEM, INIT, REWARD, CRON, POWER, MARKET, REGISTRY, DATACAP, EAM, Address.id(99)]


def expect(found: object, wanted: object) -> None:
    """Assert that the attack was executed as intended."""
    assert found == wanted, f"the attack comes to {found}, not {wanted}"


def receipts(stage: Stage) -> list[TransactionReceipt]:
    """Return the receipts of the newest block's messages."""
    return list(stage.network.chain.index.receipts(stage.network.head))


def descent(stage: Stage) -> list[int]:
    """Return the exit codes of the newest block's only message's nested calls, outermost first; -1 if not sent."""
    (receipt,) = receipts(stage)
    codes, calls = [], stage.network.receipt(receipt.hash).trace.as_json()["calls"]
    while calls:
        expect(len(calls), 1)
        codes.append(-1 if calls[0]["error"] else calls[0]["exitCode"])
        calls = calls[0]["calls"]
    return codes


def state_of(stage: Stage, actor: Address) -> object:
    found = stage.network.machine.actor(actor)
    assert found is not None
    return get_object(stage.network.machine.store, found.head)


# --- gas, memory, depth -----------------------------------------------------------------------------------------------


def native_loops_fill_the_block(stage: Stage) -> Exits:
    actor = stage.place(spin())
    exits = []
    for _ in range(2):
        for _ in range(5):
            stage.fire(actor, gas=2_000_000_000)
        exits.append(stage.epoch())
    expect(exits, [[GAS] * 5] * 2)
    return exits


def contracts_loop(stage: Stage) -> Exits:
    contract = stage.contract(SPIN)
    stage.shoot(contract, gas=1_000_000_000)
    stage.shoot(contract, gas=500_000_000)
    exits = [stage.epoch()]
    expect(exits, [[GAS, GAS]])
    return exits


def memory_is_taken_until_there_is_none(stage: Stage) -> Exits:
    actor = stage.place(glutton())
    stage.fire(actor)
    stage.fire(actor)
    exits = [stage.epoch()]
    expect(exits, [[GAS, GAS]])
    return exits


def traps_and_exits_that_are_the_systems(stage: Stage) -> Exits:
    stage.fire(stage.place(trap()))
    stage.fire(stage.place(liar()))
    exits = [stage.epoch()]
    expect(exits, [[TRAPPED, LYING]])
    actor = stage.place(puppet())
    for code in (1, 7, 10, 15, 16, 2**32 - 1):
        script = Script()
        script.abort(code, b"no")
        stage.fire(actor, params=script.wrapped(), gas=1_000_000_000)
    exits.append(stage.epoch())
    expect(exits[1], [ExitCode.SYS_ILLEGAL_EXIT_CODE] * 4 + [16, 2**32 - 1])
    return exits


def a_tree_of_sends_without_end(stage: Stage) -> Exits:
    actor = stage.place(storm())
    stage.fire(actor, params=b"\x54" + b"\x00" * 2 + actor.to_bytes().ljust(20, b"\0"), gas=3_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[GAS]])
    return exits


def contracts_recurse_to_the_limit(stage: Stage) -> Exits:
    contract = stage.contract(RECURSE)
    stage.shoot(contract, gas=9_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[OK]])
    codes = descent(stage)  # each call has 63 of 64 parts of the gas: it ends before the depth does
    expect(codes[:200], [OK] * 200)
    assert codes[-1] != OK
    expect(words(receipts(stage)[0].return_data), [1])
    return exits


def runtimes_recurse_into_each_other(stage: Stage) -> Exits:
    counter = stage.place(counter_module())
    recursion = stage.network.deploy(ARTIFACTS / "Recursion.json", sender=stage.attacker)
    data = recursion.interface.encode_call("ping", counter.actor_id(), 2000)
    stage.shoot(filecoin_address(recursion.address), data, gas=9_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[OK]])
    levels, ended = words(receipts(stage)[0].return_data)
    assert len(descent(stage)) > levels > 100
    expect(ended, GAS)
    return exits


def words(data: bytes) -> list[int]:
    """Return numbers as 32 bytes each."""
    return [int.from_bytes(data[place : place + 32], "big") for place in range(0, len(data), 32)]


# --- what is left behind ----------------------------------------------------------------------------------------------


def answers_of_a_mebibyte(stage: Stage) -> Exits:
    native, contract = stage.place(windbag()), stage.contract(WINDBAG)
    stage.fire(native, gas=3_000_000_000)
    stage.shoot(contract, gas=6_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[OK, OK]])
    expect([len(receipt.return_data) for receipt in receipts(stage)], [MEBIBYTE, 0x0FFF00])
    return exits


def events_flood_the_receipts(stage: Stage) -> Exits:
    endless, many, contract = (
        stage.place(flood()),
        stage.place(deluge()),
        stage.contract(FLOOD),
    )
    stage.fire(endless, gas=3_000_000_000)
    stage.fire(many, gas=5_000_000_000)
    stage.shoot(contract, gas=1_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[GAS, OK, GAS]])
    expect([len(receipt.execution.events) for receipt in receipts(stage)], [0, 200, 0])
    return exits


def state_grows(stage: Stage) -> Exits:
    contract, actor = stage.contract(BLOAT), stage.place(puppet())
    stage.shoot(contract, gas=9_000_000_000)
    exits = [stage.epoch()]
    for number in range(20):
        script = Script()
        script.store(encode([number, bytes(30_000)]))
        stage.fire(actor, params=script.wrapped(), gas=400_000_000)
    exits.append(stage.epoch())
    expect(exits, [[OK], [OK] * 20])
    machine = stage.network.machine
    kept = [int.from_bytes(storage_of(machine, contract, slot)) for slot in (0, 1, 150, 300, 301)]
    expect(kept, [0, 1, 150, 300, 0])
    expect(state_of(stage, actor), [19, bytes(30_000)])
    return exits


def newcomers_crowd_the_address_book(stage: Stage) -> Exits:
    exits, newcomers = [], []
    for block in range(2):
        for number in range(100):
            newcomers.append(Address.delegated(10, (1000 * block + number).to_bytes(20, "big")))
            stage.fire(newcomers[-1], 0, value=1, gas=90_000_000)
        exits.append(stage.epoch())
    expect(exits, [[OK] * 100] * 2)
    actors = [stage.network.machine.actor(newcomer) for newcomer in newcomers]
    expect([actor and actor.balance for actor in actors], [1] * 200)
    return exits


def miners_crowd_the_cron_queue(stage: Stage) -> Exits:
    exits, before = [], stage.network.ask(POWER, storagepower.miner_count())
    for _ in range(2):
        for _ in range(12):
            owner = stage.attacker.native.to_bytes()
            params = encode([owner, BLS_ACCOUNT.to_bytes(), WINDOW_PROOF, b"", []])
            stage.fire(POWER, method_number("CreateMiner"), params, value=FUNDS, gas=800_000_000)
        exits.append(stage.epoch())
    expect(exits, [[OK] * 12] * 2)
    expect(stage.network.ask(POWER, storagepower.miner_count()), before + 24)
    return exits


# --- knocking at the lane's own doors ---------------------------------------------------------------------------------


def everybody_calls_the_systems_methods(stage: Stage) -> Exits:
    """Accounts, a native actor and a multisig call methods reserved to f00, f02, f03, f04 and miners."""
    event = encode([stage.network.block_number + 1, b"\x81\x01"])
    calls = [
        (CRON, 2, b""), (REWARD, 2, encode([stage.producer.address.to_bytes(), b"", b"", 1])), (REWARD, 4, b"\x40"),
        (POWER, 5, b""), (POWER, 4, event), (POWER, 6, encode(encode_bigint(-(10**18)))),
        (POWER, 3, encode([encode_bigint(1 << 60), encode_bigint(1 << 60)])), (MARKET, 9, b""),
        (INIT, 3, encode([link(stage.network.machine.manifest.code("evm")), b"", bytes(20)])), (SYSTEM, 1, b""),
        (stage.producer.address, 12, encode([b"\x81\x01", [b"", b""], [b"", b""]])),
        (stage.producer.address, 14, encode([encode_bigint(10**18), b""])),
    ]  # fmt: skip
    for to, method, params in calls:
        stage.fire(to, method, params, gas=500_000_000)
    exits = [stage.epoch()]
    assert set(exits[0]) <= {FORBIDDEN, ExitCode.USR_UNHANDLED_MESSAGE}
    assert exits[0].count(FORBIDDEN) >= 10
    script = Script()
    for to, method, params in calls:
        script.send(to, method, params or None, CBOR)
    actor = stage.place(puppet())
    stage.fire(actor, params=script.wrapped())
    exits.append(stage.epoch())
    expect(exits[1], [OK])
    (last,) = stage.network.chain.index.receipts(stage.network.head)
    words = decode(last.execution.receipt.return_data)
    exits.append([int.from_bytes(words[place : place + 4], "little") for place in range(0, len(words) - 3, 4)])
    return exits


def a_multisig_asks_for_cron_events(stage: Stage) -> Exits:
    signer = stage.attacker.native.to_bytes()
    created = stage.network.send_native(
        INIT,
        2,
        encode([link(stage.network.machine.manifest.code("multisig")), encode([[signer], 1, 0, 0])]),
        value=FIL,
        sender=stage.attacker,
    )
    wallet = Address.from_bytes(decode(created.return_data)[0])
    award = encode([stage.producer.address.to_bytes(), b"", b"", 1])
    for to, method, params in ((POWER, 4, encode([1, b"\x81\x01"])), (CRON, 2, b""), (REWARD, 2, award)):
        stage.fire(wallet, 2, encode([to.to_bytes(), b"", method, params]), gas=900_000_000)
    exits = [stage.epoch()]
    expect(exits, [[OK] * 3])
    codes = [decode(receipt.return_data)[2] for receipt in stage.network.chain.index.receipts(stage.network.head)]
    expect(codes, [FORBIDDEN] * 3)
    return [*exits, codes]


def contracts_pay_the_singletons(stage: Stage) -> Exits:
    """All singletons except f099, an account, refuse EVM calls; method 0 transfers value."""
    contract = stage.contract(paying([*SINGLETONS, stage.producer.address]), balance=FIL)
    stage.shoot(contract)
    exits = [stage.epoch()]
    expect(exits, [[OK]])
    expect(FIL - stage.network.balance(contract), 1 + len(SINGLETONS) + 1)
    return exits


def a_native_actor_reenters_through_everybody(stage: Stage) -> Exits:
    """An actor calls singletons, itself and a refusing contract between its own state changes."""
    actor, refusing = stage.place(puppet(), balance=FIL), stage.contract(REFUSE)
    inner = Script()
    inner.store(encode(["inner"]))
    inner.send(REWARD, 3, None, CBOR, value=5)
    inner.abort(20, b"taken back")
    script = Script()
    script.store(encode(["outer"]))
    for target in SINGLETONS:
        script.send(target, 0, None, CBOR, value=3)
    script.send(actor, 2, inner.wrapped(), CBOR, value=1)
    script.send(refusing, method_number("InvokeEVM"), None, CBOR, value=1)
    script.send(stage.producer.address, 0, None, CBOR, value=7)
    script.send(POWER, method_number("NetworkRawPower"), None, CBOR)
    for _ in range(3):
        stage.fire(actor, params=script.wrapped(), gas=3_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[OK] * 3])
    expect(state_of(stage, actor), ["outer"])
    return exits


# --- owners, beneficiaries, receivers ---------------------------------------------------------------------------------

_CHANGE_OWNER, _CHANGE_BENEFICIARY, _WITHDRAW = map(
    method_number, ("ChangeOwnerAddress", "ChangeBeneficiary", "WithdrawBalance")
)
"""Exported method numbers; users' actors may not call the others."""


def _hand_over(stage: Stage, actor: Address) -> Exits:
    """Make a native actor the owner of the miner that produces the blocks."""
    params = encode(actor.to_bytes())
    stage.fire(stage.producer.address, _CHANGE_OWNER, params, sender=stage.network.accounts[1], gas=1_000_000_000)
    exits = [stage.epoch()]
    script = Script()
    script.send(stage.producer.address, _CHANGE_OWNER, params, CBOR)
    stage.fire(actor, params=script.wrapped(), gas=2_000_000_000)
    exits.append(stage.epoch())
    expect(exits, [[OK], [OK]])
    assert stage.network.ask(stage.producer.address, storageminer.get_owner()).owner == actor
    return exits


def the_producers_owner_takes_nothing(stage: Stage) -> Exits:
    """The owner withdraws and traps in the same call: the payment is reverted, and the system's messages continue."""
    actor = stage.place(puppet())
    exits = _hand_over(stage, actor)
    script = Script()
    script.send(stage.producer.address, _WITHDRAW, encode([encode_bigint(1)]), CBOR)
    script.trap()
    stage.fire(actor, params=script.wrapped(), gas=2_000_000_000)
    exits.append(stage.epoch())
    expect(exits[-1], [TRAPPED])
    return exits


def the_producers_owner_destroys_itself(stage: Stage) -> Exits:
    owner = stage.place(puppet())
    exits = _hand_over(stage, owner)
    exits.append(_destroy(stage, owner))
    stage.fire(owner, 0, value=1, gas=1_000_000_000)
    exits.append(stage.epoch())
    expect(exits[-1], [ExitCode.SYS_INVALID_RECEIVER])
    return exits


def _destroy(stage: Stage, actor: Address) -> list[int]:
    """Make a native actor delete itself."""
    machine, identity = stage.network.machine, actor.actor_id()
    assert identity is not None
    state = machine.state_tree.get_actor(identity)
    assert state is not None
    machine.state_tree.set_actor(identity, replace(state, code=machine.install(vanishing())))
    stage.network.chain.keep_changes()
    stage.fire(actor, params=b"\x40", gas=1_000_000_000)
    exits = stage.epoch()
    expect(exits, [OK])
    assert stage.network.machine.actor(actor) is None
    return exits


def the_producers_beneficiary_agrees_and_destroys_itself(stage: Stage) -> Exits:
    """Withdrawals fail after the beneficiary is deleted; the lane does not depend on them."""
    beneficiary, miner, owner = stage.place(puppet()), stage.producer.address, stage.network.accounts[1]
    params = encode([beneficiary.to_bytes(), encode_bigint(FIL), 10**6])
    stage.fire(miner, _CHANGE_BENEFICIARY, params, sender=owner, gas=1_000_000_000)
    exits = [stage.epoch()]
    script = Script()
    script.send(miner, _CHANGE_BENEFICIARY, params, CBOR)
    stage.fire(beneficiary, params=script.wrapped(), gas=2_000_000_000)
    exits.append(stage.epoch())
    assert stage.network.ask(miner, storageminer.get_beneficiary()).active.beneficiary == beneficiary
    exits.append(_destroy(stage, beneficiary))
    stage.fire(miner, _WITHDRAW, encode([encode_bigint(1)]), sender=owner, gas=1_000_000_000)
    exits.append(stage.epoch())
    expect(exits, [[OK], [OK], [OK], [ExitCode.USR_UNSPECIFIED]])
    return exits


def contracts_destroy_themselves_in_a_block_with_payments_to_them(stage: Stage) -> Exits:
    contract = stage.contract(VANISH, balance=FIL)
    stage.shoot(contract, gas=1_000_000_000)
    stage.shoot(contract, value=5, gas=1_000_000_000)
    stage.fire(contract, 0, value=5, gas=1_000_000_000)
    exits = [stage.epoch()]
    expect(exits, [[OK] * 3])
    expect(code_of(stage.network.machine, contract), b"")
    expect(stage.network.balance(contract), 10)  # what it had is gone, what came later lies there
    return exits


# --- the pool ---------------------------------------------------------------------------------------------------------


def the_pool_is_full_of_what_never_gets_its_turn(stage: Stage) -> Exits:
    """Future nonces, gas limits of a whole block, and contract creations that run out of gas."""
    stage.network.automine = False
    nonce = stage.network.nonce(stage.victim.native)
    for _ in range(300):
        stage.fire(stage.victim.native, 0, value=1, gas=10_000_000, sender=stage.victim)
    stage.network.mempool.drop(next(iter(stage.network.mempool)))  # the first is lost: all others wait for it
    stage.fire(EAM, CREATE_EXTERNAL_METHOD, encode(SPIN), gas=900_000_000)
    exits = [stage.epoch(), stage.epoch()]
    expect(stage.network.nonce(stage.victim.native), nonce)
    expect(len(list(stage.network.mempool)), 299)
    return [sorted(set(block)) for block in exits]


ATTACKS: list[Attack] = [
    native_loops_fill_the_block,
    contracts_loop,
    memory_is_taken_until_there_is_none,
    traps_and_exits_that_are_the_systems,
    a_tree_of_sends_without_end,
    contracts_recurse_to_the_limit,
    runtimes_recurse_into_each_other,
    answers_of_a_mebibyte,
    events_flood_the_receipts,
    state_grows,
    newcomers_crowd_the_address_book,
    miners_crowd_the_cron_queue,
    everybody_calls_the_systems_methods,
    a_multisig_asks_for_cron_events,
    contracts_pay_the_singletons,
    a_native_actor_reenters_through_everybody,
    the_producers_owner_takes_nothing,
    the_producers_owner_destroys_itself,
    the_producers_beneficiary_agrees_and_destroys_itself,
    contracts_destroy_themselves_in_a_block_with_payments_to_them,
    the_pool_is_full_of_what_never_gets_its_turn,
]
MORE_EVENTS = {miners_crowd_the_cron_queue}
"""Attacks whose miners have their own cron events."""
