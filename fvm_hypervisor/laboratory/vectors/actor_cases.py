"""Runs cases of the reward actor: sequences of messages, each with its expected changes.

A file has accounts, a miner and its owner, and cases. A case starts with the actor's balance and the bytes of its
state; a step has an epoch and an implicit message, which pays no gas. Compared are exit code, return value, events,
balances, the bytes of the state, and the block of streams that its last field links to.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from bridge.bindings import storagepower
from fvm_hypervisor.laboratory.vectors.ethereum_json import BadFixture, read_json, read_list, read_object
from fvm_hypervisor.laboratory.vectors.fevm import events_of
from fvm_hypervisor.laboratory.vectors.files import files_of
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import POWER_ACTOR, REWARD_ACTOR, ActorID, ChainEpoch, MethodNumber, TokenAmount
from store.blockstore import BlockNotFound
from store.cid import Cid, cid_of
from store.codec import decode, unlink

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
        """Set the actor's balance and state to those of a case."""
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


def find_case_files(paths: Iterable[Path]) -> list[Path]:
    """Return the case files in files and folders, without duplicates. Raises InvalidInput for a missing path."""
    return files_of(paths, "*.json")


def run_case_file(path: Path, bundle: str) -> list[dict[str, Any]]:
    """Return a record with name, pass and error for each case of a file. Used in worker processes."""
    try:
        content = read_object(read_json(path.read_bytes(), path.name), path.name)
        file = CaseFile(content, _bundle(bundle))
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


@lru_cache(maxsize=1)
def _bundle(name: str) -> Bundle:
    return Bundle.open(name)


def _balances(machine: Hypervisor) -> dict[int, int]:
    machine.state_tree.flush()
    return {actor: state.balance for actor, state in machine.state_tree.actors() if state.balance}


def _blocks(machine: Hypervisor) -> tuple[bytes, bytes]:
    """Return the actor's state block and the block that its last field links to."""
    state = machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None, "nothing deletes the reward actor"
    head = machine.store.get(state.head)
    try:
        return head, machine.store.get(_last_link(head))
    except BlockNotFound:
        return head, b""


def _last_link(head: bytes) -> Cid:
    return unlink(decode(head)[-1])
