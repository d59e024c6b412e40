"""Runs the FEVM golden cases, recorded from the official EVM actor, and cases of the reward actor.

An FEVM case has the initial actors, one or more messages, and for each message the exit code, return value, events and
changed actors. The actors' code is an official bundle's, because some heads depend on its CIDs; contracts run on this
project's EVM runtime unless requested otherwise. Gas was not metered when the cases were recorded, so no case depends
on it.

A file of reward cases has accounts, a miner and its owner, and cases. A case starts with the actor's balance and the
bytes of its state; a step has an epoch and an implicit message, which pays no gas. Compared are exit code, return
value, events, balances, the bytes of the state, and the block of streams that its last field links to.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from bridge.bindings import storagepower
from bridge.filecoin.evm_state import EvmState, Lifespan, TransientData
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.context import MachineContext
from hypervisor.errors import HypervisorError, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import GasTracker, to_milligas
from hypervisor.installation import OWN_EVM
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call
from hypervisor.machine.call_manager import CallManager, MessageOrigin
from hypervisor.machine.call_rules import FILECOIN_CALLS
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import MachineSettings
from hypervisor.machine.registry import Registry
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState, InitState, StateTree
from hypervisor.types import INIT_ACTOR, POWER_ACTOR, REWARD_ACTOR, ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import network_version
from hypervisor_tools.laboratory.vectors.ethereum_json import BadFixture, read_json, read_list, read_object
from hypervisor_tools.laboratory.vectors.files import files_of
from store.blocks.memory import MemoryStore, OverlayStore
from store.blockstore import BlockNotFound, Blockstore, Store, put_object
from store.cid import CBOR, RAW, Cid, cid_of, parse_cid, show
from store.codec import decode, link, unlink
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt

ALL_GROUPS = (
    "opcodes", "memory", "control", "context", "inspect", "storage", "logs", "calls", "create", "selfdestruct",
    "precompiles", "filecoin_precompiles", "methods", "solidity", "trees",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BorrowedActor:
    """An actor that a case's `pre` lacks but a later message needs. It is copied from another case of the group.

    The copy is the first actor `like` in another case's `pre`, changed by `changes`. It is added before message `at`.
    """

    at: int
    like: int
    changes: Mapping[str, Any] = field(default_factory=dict)


_ACCOUNT = BorrowedActor(3, 101)
_NINE_ATTO = BorrowedActor(30, 104, {"balance": "9"})
_CREATOR = BorrowedActor(
    1, 200, {"id": 201, "balance": "0", "delegated": "040ac0de0000000000000000000000000000000000c9"}
)
LEFT_OUT: Mapping[tuple[str, str], BorrowedActor] = {
    ("create", "create_in_reverted_frame"): _CREATOR,
    ("solidity", "cancun_proxy"): _ACCOUNT,
    ("solidity", "osakair_proxy"): _ACCOUNT,
    ("solidity", "cancun_asm"): _NINE_ATTO,
    ("solidity", "osakair_asm"): _NINE_ATTO,
}
"""Missing actors of cases whose `pre` has only the actors of their first message.

The expected results determine them: the bytecode, the sender's balance, and the balance that a contract reads."""


class BadCase(ValueError):
    """Raised for a case with inconsistent data."""


_open_bundle = lru_cache(maxsize=1)(Bundle.open)


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one message, with the fields that a case compares."""

    exit_code: int
    return_data: bytes
    events: tuple[StampedEvent, ...]
    words: str = ""


class CaseRunner:
    """The bundle that all cases share. `evm` as in `Hypervisor.open`: an engine or `official`.

    The cases were recorded with the official bundle. It occurs only in the head of the system actor, where any other
    bundle replaces it. Cases with code CIDs in their parameters need the official bundle.
    """

    def __init__(self, bundle: Bundle, evm: str = OWN_EVM) -> None:
        self._manifest = bundle.manifest
        self._evm = evm
        self._registry: Registry | None = None
        self._base = MemoryStore()
        self._base.put_many(bundle.blocks)
        self._system_head = put_object(self._base, [link(bundle.manifest.data)])

    def run(self, case: Mapping[str, Any]) -> list[str]:
        """Apply the case's messages. Return the differences as text; empty if the case passed."""
        machine = self.begin(case)
        known = {actor["id"]: actor for actor in case["pre"]}
        messages = case.get("messages") or [case["message"]]
        expects = case.get("expects") or [case["expect"]]
        differences: list[str] = []
        for index, (message, expect) in enumerate(zip(messages, expects, strict=True)):
            try:
                self._arrive(machine, case.get("arrives", {}).get(index), known)
                result = apply(machine, case, message, known)
            except (HypervisorError, ValueError, AssertionError) as error:
                return [*differences, f"message {index}: {type(error).__name__}: {error}"]
            known.update({actor["id"]: actor for actor in expect["actors"]})
            found = [*_compare_result(result, expect), *self._compare_actors(machine, known)]
            differences += [f"message {index}: {line}" for line in found]
            if found:
                break
        return differences

    def begin(self, case: Mapping[str, Any]) -> Hypervisor:
        """Return a machine in the state before the case's first message."""
        store = OverlayStore(self._base)
        return self._machine(store, self._build(store, case["pre"]), _context(case))

    def _machine(self, store: Store, root: Cid, context: MachineContext) -> Hypervisor:
        """Return a machine for one case; all share their runtimes, so that modules are compiled once."""
        registry = self._registry
        if registry is None:
            machine = Hypervisor.at(store, root, context, evm=self._evm)
            self._registry = machine.registry
            return machine
        return Hypervisor(store, root, context, MachineSettings(lambda _manifest, _store: registry))

    def _build(self, store: Store, actors: list[Mapping[str, Any]]) -> Cid:
        tree = StateTree.empty(store)
        for actor in actors:
            head = _write_head(store, actor)
            if head is not None and show(head) != actor["head"]:
                raise BadCase(f"actor {actor['id']}: built head {show(head)}, expected {actor['head']}")
            tree.set_actor(ActorID(actor["id"]), self._actor_state(actor))
        return tree.flush()

    def _arrive(
        self, machine: Hypervisor, actor: Mapping[str, Any] | None, known: dict[int, Mapping[str, Any]]
    ) -> None:
        """Add a borrowed actor and its address to the state."""
        if actor is None:
            return
        number = ActorID(actor["id"])
        _write_head(machine.store, actor)
        machine.state_tree.set_actor(number, self._actor_state(actor))
        known[number] = actor
        address = _robust_address(number, known)
        if machine.state_tree.lookup_id(address) is None:
            machine.state_tree.map_address(address, number)
            head = machine.state_tree.get_actor(INIT_ACTOR)
            known[INIT_ACTOR] = {**known[INIT_ACTOR], "head": _text(head, "head") if head else ""}

    def _actor_state(self, actor: Mapping[str, Any]) -> ActorState:
        return ActorState(
            self._manifest.code(actor["code"]),
            self._system_head if actor["code"] == "system" else parse_cid(actor["head"]),
            actor["nonce"],
            TokenAmount(int(actor["balance"])),
            Address.from_bytes(bytes.fromhex(actor["delegated"])) if actor["delegated"] else None,
        )

    def _compare_actors(self, machine: Hypervisor, known: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
        machine.state_tree.flush()
        found = dict(machine.state_tree.actors())
        for number in sorted(set(found) | set(known)):
            state, expected = found.get(ActorID(number)), known.get(number)
            if expected is None or state is None:
                yield f"actor {number} is {'missing' if state is None else 'new'}"
                continue
            want = self._actor_state(expected)
            for name in ("code", "nonce", "balance", "delegated_address", "head"):
                if getattr(state, name) != getattr(want, name):
                    yield f"actor {number}: {name} {_text(state, name)}, expected {_text(want, name)}"


def load_cases(folder: Path, group: str) -> list[dict[str, Any]]:
    """Load the cases of a group, in order. Raises BadFixture for a malformed file."""
    file = f"{group}.json"
    listed = read_list(read_json((folder / file).read_bytes(), file), file)
    cases = [dict(read_object(case, f"{file}, item {index}")) for index, case in enumerate(listed)]
    for case in cases:
        borrowed = LEFT_OUT.get((group, case.get("name", "")))
        if borrowed is not None:
            case["arrives"] = {borrowed.at: {**_borrow(cases, borrowed.like), **borrowed.changes}}
    return cases


def _borrow(cases: list[dict[str, Any]], actor: int) -> dict[str, Any]:
    for case in cases:
        for state in case["pre"]:
            if state["id"] == actor:
                return dict(state)
    raise BadCase(f"no case of the group has an actor {actor} to borrow")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the case files in files and folders, without duplicates. Raises InvalidInput for a missing path."""
    return files_of(paths, "*.json")


def run_file(path: Path, bundle: str | Path, evm: str) -> list[dict[str, Any]]:
    """Return one record per case of a file, for the command line. Runs in worker processes."""
    runner = _case_runner(bundle, evm)
    records = []
    try:
        cases = load_cases(path.parent, path.stem)
    except (BadFixture, BadCase) as error:
        return [{"file": path.name, "name": "", "pass": False, "error": str(error)}]
    for case in cases:
        try:
            differences = runner.run(case)
        except (HypervisorError, ValueError, LookupError, TypeError, AttributeError) as error:
            differences = [f"{type(error).__name__}: {error}"]  # the last three are raised for malformed fields
        name = case.get("name", "")
        records.append({"file": path.name, "name": name, "pass": not differences, "error": "; ".join(differences)})
    return records


@lru_cache(maxsize=1)
def _case_runner(bundle: str | Path, evm: str) -> CaseRunner:
    return CaseRunner(Bundle.open(bundle), evm)


def _context(case: Mapping[str, Any]) -> MachineContext:
    context = case["context"]
    return MachineContext(
        network=network_version(case["network_version"]),
        epoch=ChainEpoch(context["epoch"]),
        timestamp=context["timestamp"],
        base_fee=TokenAmount(context["base_fee"]),
        chain_id=context["chain_id"],
        circulating_supply=TokenAmount(context["circulating_supply"]),
    )


def _write_head(store: Blockstore, actor: Mapping[str, Any]) -> Cid | None:
    """Write an actor's state and return its CID; None if the case has only the CID."""
    for text, data in actor.get("blocks", {}).items():
        store.put(parse_cid(text), bytes.fromhex(data))
    if "evm" in actor:
        return _write_contract(store, actor["evm"])
    if "address" in actor:
        return put_object(store, [bytes.fromhex(actor["address"])])
    if "init" in actor:
        init = actor["init"]
        addresses = Hamt(store, None, 5)
        for address, number in init["address_map"]:
            addresses.set(bytes.fromhex(address), number)
        return put_object(store, InitState(addresses.flush(), init["next_id"], init["network_name"]).fields())
    return None


def _write_contract(store: Blockstore, evm: Mapping[str, Any]) -> Cid:
    code = bytes.fromhex(evm["bytecode"])
    store.put(cid_of(code, RAW), code)
    transient = evm["transient"]
    data = None
    if transient is not None:
        data = TransientData(
            _write_slots(store, transient["storage"]), Lifespan(ActorID(transient["origin"]), transient["nonce"])
        )
    tombstone = evm["tombstone"]
    state = EvmState(
        cid_of(code, RAW),
        bytes.fromhex(evm["bytecode_hash"]),
        _write_slots(store, evm["storage"]),
        data,
        evm["nonce"],
        None if tombstone is None else Lifespan(ActorID(tombstone[0]), tombstone[1]),
    ).encode()
    cid = cid_of(state)
    store.put(cid, state)
    return cid


def _write_slots(store: Blockstore, slots: Mapping[str, str]) -> Cid:
    tree = Kamt(store)
    for key, value in slots.items():
        tree.set(int(key, 16), int(value, 16))
    return tree.flush()


def apply(
    machine: Hypervisor, case: Mapping[str, Any], fields: Mapping[str, Any], known: Mapping[int, Mapping[str, Any]]
) -> Result:
    """Apply a message of a case. `known` has the actors before the message by ID."""
    message = Message(
        to=Address.from_bytes(bytes.fromhex(fields["to"])),
        from_=_robust_address(fields["from"], known),
        nonce=fields["nonce"],
        value=TokenAmount(int(fields["value"])),
        method=MethodNumber(fields["method"]),
        params=bytes.fromhex(fields["params"]),
        gas_limit=Gas(case["context"]["gas_limit"]),
    )
    premium = case["context"]["gas_premium"]
    explicit = fields["kind"] == "explicit"
    if "params_codec" in fields or premium:
        if explicit:
            _count_nonce(machine, ActorID(fields["from"]))
        return _apply_directly(machine, message, ActorID(fields["from"]), fields.get("params_codec", CBOR), premium)
    applied = machine.apply(message) if explicit else machine.apply_implicit(message)
    if applied.fatal is not None:
        raise applied.fatal
    return Result(applied.exit_code, applied.return_data, applied.events, applied.message)


def _apply_directly(machine: Hypervisor, message: Message, sender: ActorID, codec: int, premium: int) -> Result:
    """Apply a message that the executor rejects, because of its codec or its premium."""
    gas = GasTracker(to_milligas(message.gas_limit))
    receiver = machine.state_tree.lookup_id(message.to)
    origin = MessageOrigin(sender, message.from_, message.nonce, TokenAmount(premium))
    calls = CallManager(machine, FILECOIN_CALLS, gas, origin, receiver)
    block = Block(codec, message.params) if message.params else None
    try:
        result = calls.send(Call(sender, message.to, message.method, block, message.value))
    except OutOfGas:
        return Result(ExitCode.SYS_OUT_OF_GAS, b"", ())
    except SyscallError as error:
        missing = error.number == ErrorNumber.NOT_FOUND
        return Result(ExitCode.SYS_INVALID_RECEIVER if missing else ExitCode.SYS_INSUFFICIENT_FUNDS, b"", ())
    data = result.block.data if result.block else b""
    return Result(result.exit_code, data, tuple(calls.events), result.message)


def _count_nonce(machine: Hypervisor, sender: ActorID) -> None:
    state = machine.state_tree.get_actor(sender)
    if state is None:
        raise BadCase(f"sender {sender} does not exist")
    machine.state_tree.set_actor(sender, replace(state, nonce=state.nonce + 1))


def _robust_address(number: int, known: Mapping[int, Mapping[str, Any]]) -> Address:
    """Return the sender's f410, f1 or f3 address, if any; new f2 addresses are derived from it."""
    actor = known.get(number, {})
    text = actor.get("delegated") or actor.get("address")
    return Address.from_bytes(bytes.fromhex(text)) if text else Address.id(number)


def _compare_result(result: Result, expect: Mapping[str, Any]) -> Iterator[str]:
    if result.exit_code != expect["exit_code"]:
        yield f"exit code {result.exit_code} ({result.words}), expected {expect['exit_code']} {expect['aborts']}"
    wanted = bytes.fromhex(expect.get("return", ""))
    if result.return_data != wanted:
        yield f"return 0x{result.return_data.hex()}, expected 0x{wanted.hex()}"
    events = events_of(result.events)
    if events != expect["events"]:
        yield f"events {events}, expected {expect['events']}"


def events_of(events: Iterable[StampedEvent]) -> list[Any]:
    """Return events in the format of a case."""
    return [
        [event.emitter, [[entry.flags, entry.key, entry.codec, entry.value.hex()] for entry in event.entries]]
        for event in events
    ]


def _text(state: ActorState, field: str) -> str:
    value = getattr(state, field)
    return show(value) if field in ("code", "head") else str(value)


FIRST_ACCOUNT: Final = 100
NETWORK: Final = 29
_OWNER: Final = "miner owner"
_WINDOW_PROOF: Final = 10
"""Registered window PoSt proof type of 2 KiB sectors."""
_DEPOSIT: Final = TokenAmount(10**18)


class CaseFile:
    """The cases of a file. Accounts and miner are created once; each case runs on a fork of that state."""

    def __init__(self, content: Mapping[str, Any], bundle: Bundle) -> None:
        self._content = content
        keys = [content["keys"][str(number)] for number in range(FIRST_ACCOUNT, FIRST_ACCOUNT + len(content["keys"]))]
        accounts = {Address.from_bytes(bytes.fromhex(key)): _DEPOSIT for key in keys}
        self._machine = Hypervisor.open(genesis=Genesis(accounts=accounts), bundle=bundle, network=NETWORK)
        self._make_miner(Address.from_bytes(bytes.fromhex(content["keys"][str(content["accounts"][_OWNER])])))

    def cases(self) -> list[Mapping[str, Any]]:
        """Return the cases in order. Raises BadFixture."""
        return [read_object(case, "a case") for case in read_list(self._content["cases"], "cases")]

    def run(self, case: Mapping[str, Any]) -> Iterator[str]:
        """Run a case. Yield the differences of the first step that differs; none if the case passed."""
        with self._machine.fork() as machine:
            self._set(machine, case["initial"])
            for index, step in enumerate(case["steps"]):
                if "set" in step:
                    self._set(machine, step["set"])
                    continue
                found = [f"step {index} ({step['method']}): {line}" for line in self._step(machine, step)]
                yield from found
                if found:
                    return

    def _make_miner(self, owner: Address) -> None:
        call = storagepower.create_miner(owner, owner, _WINDOW_PROOF, b"", [])
        applied = self._machine.apply_implicit(
            Message(Address.id(POWER_ACTOR), owner, value=_DEPOSIT, method=call.method, params=call.params)
        )
        if applied.exit_code or self._machine.state_tree.get_actor(ActorID(self._content["miner"])) is None:
            raise BadFixture(f"the miner cannot be created: exit code {applied.exit_code} {applied.message}")

    @staticmethod
    def _set(machine: Hypervisor, wanted: Mapping[str, Any]) -> None:
        head, streams = bytes.fromhex(wanted["head"]), bytes.fromhex(wanted["streams"])
        for block in (head, streams):
            machine.store.put(cid_of(block), block)
        state = machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None, "a genesis has the reward actor"
        balance = TokenAmount(int(wanted["f02_balance"]))
        machine.state_tree.set_actor(REWARD_ACTOR, replace(state, head=cid_of(head), balance=balance))

    def _step(self, machine: Hypervisor, step: Mapping[str, Any]) -> Iterator[str]:
        before, blocks = _balances(machine), _blocks(machine)
        machine.advance(epoch=ChainEpoch(step["epoch"]))
        message = Message(
            Address.id(REWARD_ACTOR),
            Address.id(ActorID(step["from"])),
            method=MethodNumber(step["number"]),
            params=bytes.fromhex(step["params"]),
        )
        applied = machine.apply_implicit(message)
        if applied.fatal is not None:
            raise applied.fatal
        after = _balances(machine)
        changed = {
            str(actor): str(after.get(actor, 0) - before.get(actor, 0))
            for actor in sorted({*before, *after})
            if after.get(actor) != before.get(actor)
        }
        head, streams = _blocks(machine)
        found = {
            "exit": applied.exit_code,
            "return": applied.return_data.hex(),
            "events": [entries for emitter, entries in events_of(applied.events) if emitter == REWARD_ACTOR],
            "balance_changes": changed,
            "head": "same" if head == blocks[0] else head.hex(),
            "streams": "same" if streams == blocks[1] else streams.hex(),
        }
        for name, value in found.items():
            if value != step[name]:
                yield f"{name} {value}, expected {step[name]} {applied.message}".rstrip()


def run_case_file(path: Path, bundle: str | Path) -> list[dict[str, Any]]:
    """Return a record with name, pass and error for each case of a file. Used in worker processes."""
    try:
        content = read_object(read_json(path.read_bytes(), path.name), path.name)
        file = CaseFile(content, _open_bundle(bundle))
        cases = file.cases()
    except (BadFixture, KeyError, TypeError, ValueError) as error:
        return [{"name": path.name, "pass": False, "error": f"{path.name}: {type(error).__name__}: {error}"}]
    records = []
    for case in cases:
        try:
            differences = list(file.run(case))
        except (HypervisorError, KeyError, TypeError, ValueError) as error:
            differences = [f"{type(error).__name__}: {error}"]
        records.append({"name": case.get("name", ""), "pass": not differences, "error": "; ".join(differences)})
    return records


def _balances(machine: Hypervisor) -> dict[int, int]:
    machine.state_tree.flush()
    return {actor: state.balance for actor, state in machine.state_tree.actors() if state.balance}


def _blocks(machine: Hypervisor) -> tuple[bytes, bytes]:
    """Return the actor's state block and the block that its last field links to."""
    state = machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None, "nothing deletes the reward actor"
    head = machine.store.get(state.head)
    try:
        return head, machine.store.get(unlink(decode(head)[-1]))
    except BlockNotFound:
        return head, b""
