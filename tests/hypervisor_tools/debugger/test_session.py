"""A debugged message: a Solidity call of a failing native actor, stepped forwards and backwards."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, MethodNumber
from hypervisor_tools.debugger import views
from hypervisor_tools.debugger.breakpoints import SourceLines
from hypervisor_tools.debugger.commands import Terminal
from hypervisor_tools.debugger.execution import End, MarkKind, Position, StepListener, Stop, StopSite
from hypervisor_tools.debugger.session import Interrupted, Session
from hypervisor_tools.debugger.subjects import Subject, of_call, of_message, of_source, of_transaction, of_vector
from hypervisor_tools.laboratory.vectors.extract import extract_message, write_vector
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from localnet import Network
from localnet.replay.folder_source import FolderSource
from localnet.replay.sources import NodeSource
from localnet.rpc.server.server import serving
from localnet.rules.facts import CallRequest
from localnet.state.inspection import PathNotFound
from store.blockstore import StoreError
from store.trees.kamt import Kamt
from tests.hypervisor_tools.debugger.conftest import Debug
from tests.hypervisor_tools.debugger.stage import EXIT, OUT, PROJECT, TELLER, WORDS, Stage, prepare

SOURCE = (PROJECT / "src" / "Teller.sol").read_text().splitlines()


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SOURCE, 1) if text in line)


def stopped(state: Stop | End) -> Stop:
    assert isinstance(state, Stop), state
    return state


def innermost_position(session: Session) -> tuple[str, int]:
    frame = views.frames(session)[0]
    return frame.path, frame.line


def started(debug: Debug, *breakpoints: str, subject: Subject | None = None) -> Session:
    session = debug(subject)
    session.start()
    for breakpoint in breakpoints:
        session.breakpoints.add(breakpoint)
    return session


def test_message_has_equal_result_under_the_debugger(debug: Debug, stage: Stage) -> None:
    session = started(debug)
    ended = session.resume()
    receipt = stage.network.receipt(stage.failed)
    assert isinstance(ended, End)
    assert (ended.exit_code, ended.gas_used) == (receipt.exit_code, receipt.gas_used)


def test_instruction_stepping_leaves_gas_used_unchanged(debug: Debug, stage: Stage) -> None:
    session = debug()
    state = session.start()
    count = 0
    while isinstance(state, Stop):
        count += 1
        state = session.step(by_instruction=True)
    assert state.gas_used == stage.network.receipt(stage.failed).gas_used
    assert count > 500


def test_debugger_steps_over_solidity_lines_skipping_calls(debug: Debug) -> None:
    session = started(debug)
    lines = []
    while isinstance(session.over(), Stop):
        lines.append(innermost_position(session)[1])
    wanted = [line_of("attempts = attempts + 1"), line_of("int256 exit = ask"), line_of("lastExit = exit")]
    wanted += [line_of("if (exit != 0)"), line_of("revert Refused")]
    assert [line for line in lines if line in wanted] == wanted
    assert line_of("bytes memory input") not in lines  # of the function that is called


def test_step_goes_into_functions_and_native_actors(debug: Debug, stage: Stage) -> None:
    session = started(debug, f"call f0{stage.counter}")
    stop = stopped(session.resume())
    assert stop.site.mark is MarkKind.CALL
    assert [frame.runtime for frame in views.frames(session)] == ["", "evm"]
    assert views.frames(session)[1].line == line_of("delegatecall(input)")
    inside = stopped(session.step())
    assert inside.site.mark is MarkKind.SYSCALL
    assert [frame.runtime for frame in views.frames(session)] == ["wasm", "evm"]
    out = stopped(session.out())
    assert out.site.mark is MarkKind.RETURN
    assert out.site.call.node.end is not None
    assert out.site.call.node.end.exit_code == EXIT


def test_callers_have_lines_under_an_engine_that_reports_each_instruction(debug: Debug) -> None:
    with Network(rules="ethereum") as network:
        stage = prepare(network, gas=10**7)
        session = started(debug, f"call f0{stage.counter}", subject=of_transaction(network, stage.failed))
        assert stopped(session.resume()).site.mark is MarkKind.CALL
        assert [frame.line for frame in views.frames(session)][1:] == [line_of("delegatecall(input)")]
        session.close()


def test_breakpoint_at_a_contract_name_stops_once_where_its_code_begins(debug: Debug) -> None:
    session = started(debug, "call Teller")
    site = stopped(session.resume()).site
    assert (site.mark, site.position, site.counter) == (None, Position(1, 1), 0)
    assert isinstance(session.resume(), End)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("call teller", "call"),
        ("call counter", "call"),
        ("method Fail", "call"),
        ("method 2807139696", "call"),
        ("method pay", "call"),
        ("syscall ipld::block_link", "syscall"),
        ("syscall set_root", "syscall"),
        ("line Teller.sol:26", "delegatecall"),
        ("pc 433", "pc"),
        ("exit 33", "exit"),
        ("exit any", "exit"),
        ("gas 3000000", "gas"),
    ],
)
def test_each_kind_of_breakpoint_stops_execution(debug: Debug, stage: Stage, text: str, where: str) -> None:
    session = started(debug)
    made = session.breakpoints.add(text.replace("teller", f"f0{stage.counter}"))
    if text == "method pay":  # it is the message's own: found from the beginning on
        assert isinstance(session.resume(), End)
        assert stopped(session.reverse()).site.position == Position(1)
        return
    stop = stopped(session.resume())
    assert stop.reason.startswith(f"breakpoint {made.number}: {made.kind}")
    match where:
        case "call":
            assert stop.site.mark is MarkKind.CALL
        case "syscall" | "exit":
            assert stop.site.mark is MarkKind.SYSCALL
        case "delegatecall":
            assert innermost_position(session)[1] == line_of("delegatecall(input)")
        case "pc":
            assert stop.site.counter == 433
        case "gas":
            used = session.listener.used_at(stop.site)
            assert used >= 3_000_000 * MILLIGAS_PER_GAS > session.listener.used_before


def test_native_actor_exit_is_observed_before_state_revert(debug: Debug, stage: Stage) -> None:
    session = started(debug, "exit any")
    session.resume()
    actor = f"f0{stage.counter}"
    call = views.call_of(session, 0)
    assert f'"{WORDS}"' in views.syscall_text(session, call)
    assert call.syscall is not None
    offset = call.syscall.arguments[2]
    assert views.memory(session, 0, offset, len(WORDS)) == WORDS.encode()
    assert views.state(session, actor, "count") == 1_000  # what Fail writes before it fails
    assert views.storage(session, 1).slots == {0: 1}
    session.breakpoints.remove(1)
    session.out()
    session.step()
    assert views.state(session, actor, "count") == 0


@pytest.mark.slow
def test_reverse_steps_revisit_every_position(debug: Debug) -> None:
    session = debug()
    state = session.start()
    places = []
    while isinstance(state, Stop):
        places.append((state.site.position, state.site.mark, state.site.counter))
        state = session.step(by_instruction=True)
    for wanted in reversed(places[-200:]):
        stop = stopped(session.back(into=True, by_instruction=True))
        assert (stop.site.position, stop.site.mark, stop.site.counter) == wanted


def test_reverse_line_steps_mirror_forward_steps(debug: Debug) -> None:
    session = started(debug)
    lines = []
    while isinstance(session.over(), Stop):
        if innermost_position(session)[1]:
            lines.append(innermost_position(session)[1])
    back = []
    while True:
        stop = stopped(session.back())
        if stop.site.mark is MarkKind.CALL:
            break
        if innermost_position(session)[1]:
            back.append(innermost_position(session)[1])
    assert back == lines[::-1]


def test_reverse_continue_stops_at_previous_breakpoint(debug: Debug) -> None:
    session = started(debug, "syscall ipld::block_link", "exit any")
    first = stopped(session.resume())
    second = stopped(session.resume())
    assert (first.reason, second.reason) == ("breakpoint 1: syscall ipld::block_link", "breakpoint 2: exit any")
    again = stopped(session.reverse())
    assert (again.reason, again.site.position) == (first.reason, first.site.position)
    assert stopped(session.reverse()).site.position == Position(1)
    with pytest.raises(InvalidInput, match="the start of the message"):
        session.back()


@pytest.mark.slow
def test_back_command_reaching_message_start_resets_frame(debug: Debug) -> None:
    """`back 100` from a native actor reaches the start of the message, with one call."""
    session = started(debug, "exit any")
    session.resume()
    terminal = Terminal(session)
    assert "Teller.sol" in terminal.execute("up")
    assert terminal.execute("back into 1000") == "error: cannot step back: this is the start of the message"
    assert terminal.frame == 0
    assert "begins" in terminal.execute("where")
    terminal.frame = 1
    assert terminal.execute("list") == "error: there is no frame 1: expected 0 to 0"


Command = Callable[[Session], object]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(lambda session: session.back(), id="back"),
        pytest.param(lambda session: session.back(by_instruction=True), id="backi"),
        pytest.param(lambda session: session.reverse(), id="reverse"),
        pytest.param(lambda session: views.storage(session, 0), id="storage"),
    ],
)
def test_pause_in_a_command_that_runs_again_leaves_the_place(
    debug: Debug, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    session = started(debug, "line Teller.sol:18", "line Teller.sol:19")
    session.resume()
    before = stopped(session.resume())
    hits = [made.hits for made in session.breakpoints.all]
    paused_while_it_runs(monkeypatch, 1)
    with pytest.raises(Interrupted, match="interrupted"):
        command(session)
    after = stopped(session.state)
    assert (after.site.position, after.reason) == (before.site.position, before.reason)
    assert [made.hits for made in session.breakpoints.all] == hits
    command(session)  # and is done the next time


def test_interrupted_caller_frame_inspection_keeps_position(debug: Debug, monkeypatch: pytest.MonkeyPatch) -> None:
    session = started(debug, "exit any")
    before = stopped(session.resume())
    terminal = Terminal(session)
    for look in (lambda: views.step_of(session, 1), lambda: session.functions(views.call_of(session, 0))):
        paused_while_it_runs(monkeypatch, 1)
        with pytest.raises(Interrupted):
            look()
        after = stopped(session.state)
        assert (after.site.position, after.reason) == (before.site.position, before.reason)
    assert views.step_of(session, 1).name == "DELEGATECALL"
    terminal.frame = 1
    paused_while_it_runs(monkeypatch, 2)  # on the way back, too: it stands where it was paused
    assert terminal.execute("storage").startswith("error: interrupted")
    assert stopped(session.state).reason == "paused"
    assert session.site.position < before.site.position


def test_pause_while_reversing_from_end_is_a_stop(debug: Debug, monkeypatch: pytest.MonkeyPatch) -> None:
    session = debug()
    for move in (session.back, session.reverse):
        session.start()
        session.resume()
        paused_while_it_runs(monkeypatch, 1)
        assert stopped(move()).reason == "paused"
        assert isinstance(session.resume(), End)


def paused_while_it_runs(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    consult, left = StepListener._consult_plan, [times]

    def asked(self: StepListener, site: StopSite) -> None:
        if left[0] and site.position > Position(1):
            left[0] -= 1
            self.interrupted = True
        consult(self, site)

    monkeypatch.setattr(StepListener, "_consult_plan", asked)


def test_caller_stack_is_inspected_by_rerunning(debug: Debug) -> None:
    session = started(debug, "exit any")
    place = stopped(session.resume()).site.position
    step = views.step_of(session, 1)
    assert step.name == "DELEGATECALL"
    assert step.stack[-2] == int("0xfe00000000000000000000000000000000000005", 16)
    assert session.site.position == place


def test_debugged_call_leaves_state_unchanged(debug: Debug, stage: Stage) -> None:
    data = stage.teller.interface.encode_call("spin", 3)
    root = stage.network.machine.root
    session = started(debug, subject=of_call(stage.network, CallRequest(stage.teller.address, data)))
    ended = session.resume()
    assert isinstance(ended, End)
    assert ended.exit_code == 0
    assert stage.network.machine.root == root


def test_closed_session_leaves_no_thread(stage: Stage, debug: Debug) -> None:
    before = threading.active_count()
    session = Session(of_transaction(stage.network, stage.failed))
    session.start()
    for _ in range(5):
        session.step()
    session.back()
    assert threading.active_count() == before + 1
    session.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("somewhere", "begin with one of call, method"),
        ("call", "call needs a value"),
        ("pc x", "'x' is not a number"),
        ("line Teller.sol", "write FILE:LINE"),
        ("gas -1", "-1 must be at least 0"),
        ("call 0x12", "not an Ethereum address"),
        ("call f410fabcd", "checksum"),
        ("syscall ipld::block_lnik", "there is no syscall 'ipld::block_lnik'"),
    ],
)
def test_invalid_breakpoint_is_rejected(debug: Debug, text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        debug().breakpoints.add(text)


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm"])
def test_engine_showing_all_instructions_steps_identically(stage: Stage, debug: Debug, evm: str) -> None:
    def counters(session: Session) -> list[tuple[Position, int]]:
        state, found = session.start(), []
        while isinstance(state, Stop):
            found.append((state.site.position, state.site.counter))
            state = session.step()
        return found

    subject = of_transaction(stage.network, stage.failed)
    from hypervisor.machine.opening import registry_factory

    subject.machine.registry = registry_factory(evm, {})(subject.machine.manifest, subject.machine.store)
    assert counters(debug(subject)) == counters(debug())


@pytest.mark.slow
def test_step_back_in_long_message_visits_few_instructions(
    debug: Debug, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = stage.teller.interface.encode_call("spin", 5_000)
    session = started(debug, subject=of_call(stage.network, CallRequest(stage.teller.address, data)))
    session.resume()
    seen = 0
    pause = StepListener.pause

    def counted(listener: StepListener, *arguments: Any) -> int:
        nonlocal seen
        seen += 1
        return pause(listener, *arguments)

    monkeypatch.setattr(StepListener, "pause", counted)
    session.back()  # where the call ends
    last = stopped(session.back()).site.position
    assert last.number > 500_000
    assert innermost_position(session)[1] == line_of("attempts = sum")
    before = stopped(session.back()).site.position
    assert 0 < last.number - before.number < 1_000
    assert seen < 20_000


@pytest.mark.slow
def test_functions_of_a_native_actor_at_a_syscall(debug: Debug, stage: Stage) -> None:
    session = started(debug, "exit any")
    place = stopped(session.resume()).site.position
    names = session.functions(views.call_of(session, 0))
    assert names[-1] == "invoke"  # what an actor exports
    assert len(names) > 1
    assert session.functions(views.call_of(session, 1)) == []  # of a contract
    assert session.site.position == place
    ended = session.resume()
    assert isinstance(ended, Stop)  # the contract reverts with the same code
    session.breakpoints.remove(1)
    end = session.resume()
    assert isinstance(end, End)
    assert end.gas_used == stage.network.receipt(stage.failed).gas_used


NO_NAMES_AND_A_START_THAT_TRAPS = """
(module
  (memory (export "memory") 1)
  (func $start unreachable)
  (func (export "invoke") (param i32) (result i32) i32.const 0)
  (start $start))
"""


def test_start_function_trap_ends_call_with_readable_error(stage: Stage, debug: Debug) -> None:
    from wasmtime import wat2wasm

    machine = stage.network.machine.fork()
    code = machine.install(bytes(wat2wasm(NO_NAMES_AND_A_START_THAT_TRAPS)))
    actor = machine.state_tree.register_address(Address.actor(b"trapping"))
    machine.state_tree.set_actor(actor, ActorState(code))
    message = Message(Address.id(actor), Address.id(SYSTEM_ACTOR), method=MethodNumber(2), params=b"\x80")
    session = started(debug, subject=of_message(machine, message, implicit=True))
    stop = stopped(session.step())
    assert stop.site.mark is MarkKind.RETURN
    assert "exit 4 SYS_ILLEGAL_INSTRUCTION" in views.frames(session)[0].where
    assert "actor 2" in views.frames(session)[0].title
    with pytest.raises(InvalidInput, match="memory is not available here"):
        views.memory(session, 0, 0, 32)
    ended = session.resume()
    assert isinstance(ended, End)
    assert ended.exit_code == 4


WRONG_SCHEMA = """
type State struct {
    name String
} representation tuple

type FailParams struct {
    exit_code Int
} representation tuple
"""


def test_params_not_matching_schema_are_shown_raw(tmp_path: Path) -> None:
    schema = tmp_path / "wrong.ipldsch"
    schema.write_text(WRONG_SCHEMA)
    with Network() as network:
        wrong = prepare(network, schema)
        session = Session(of_transaction(network, wrong.failed), SourceLines([OUT]))
        try:
            session.start()
            session.breakpoints.add("method Fail")
            session.resume()
            assert "Fail(0x83182172" in views.frames(session)[0].title
            session.step()
            assert views.state(session, f"f0{wrong.counter}", "")[0] == 0
            with pytest.raises(PathNotFound, match="no entry name in a list of 3"):
                views.state(session, f"f0{wrong.counter}", "name")
        finally:
            session.close()


@pytest.mark.parametrize("name", ["fToken2", "t2", "tip_jar", "f0x", "f4", "Teller"])
def test_contract_may_have_a_name_that_begins_as_an_address(debug: Debug, name: str) -> None:
    made = debug().breakpoints.add(f"call {name}")
    assert (made.kind, made.where) == ("call", name)


def test_path_of_a_state_may_begin_as_an_address(debug: Debug) -> None:
    session = started(debug)
    terminal = Terminal(session)
    assert "there is no actor" in terminal.execute("state f0999999")
    assert "total" in terminal.execute("state total")
    assert "there is no actor" not in terminal.execute("state total")


def test_machine_and_disk_errors_are_shown_with_their_message() -> None:
    assert views.safe_error_text(StoreError("a block is missing")) == "a block is missing"
    assert views.safe_error_text(FileNotFoundError(2, "No such file", "chain")) == "[Errno 2] No such file: 'chain'"


def test_omitted_storage_and_memory_are_reported(debug: Debug, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two slots is shown at the message's start, with the command that shows the other."""
    session = started(debug, "line Teller.sol:17")
    session.resume()
    monkeypatch.setattr(views, "MAX_SLOTS", 1)

    def two_slots(*_: object) -> SimpleNamespace:
        storage = Kamt(session.subject.machine.store)
        for slot in (0, 7):
            storage.set(slot, 9)
        return SimpleNamespace(storage=storage.flush())

    monkeypatch.setattr(views, "state_with_storage", two_slots)
    terminal = Terminal(session)
    assert terminal.execute("storage").splitlines()[1:] == ["more from slot 0x7: `storage 0x7`"]
    assert terminal.execute("storage 0x7") == "0x7: 0x9"
    assert "0 to 2^256 - 1" in terminal.execute("storage -1")
    monkeypatch.setattr(views, "_MAX_BYTES", 64)
    rows = views._word_rows("calldata", bytes(100))
    assert [(each.name, each.value[:30]) for each in rows[2:]] == [("...", "36 bytes more: `calldata 64 36`"[:30])]
    assert terminal.execute("calldata 0 4").startswith("0x000000  ")


def stepped(session: Session) -> tuple[int, End]:
    state, count = session.start(), 0
    while isinstance(state, Stop):
        state, count = session.step(), count + 1
    return count, state


@pytest.mark.slow
def test_node_message_is_debugged_without_affecting_node(stage: Stage) -> None:
    receipt = stage.network.receipt(stage.failed)
    stage.network.mine()
    head = stage.network.head
    with serving(stage.network) as url:
        source = NodeSource(url)
        session = Session(of_source(source, f"0x{stage.failed.hex()}"), SourceLines([OUT]))
        try:
            count, ended = stepped(session)
            assert (ended.exit_code, ended.gas_used) == (receipt.exit_code, receipt.gas_used)
            assert count > 20
            session.back()
            assert "ends: exit 33" in views.frames(session)[0].where
        finally:
            session.close()
            source.close()
    assert stage.network.head == head


def test_contract_is_debugged_under_ethereum_rules() -> None:
    with Network(rules="ethereum") as network:
        teller = network.deploy(TELLER)
        receipt = teller.send("spin", 5)
        session = Session(of_transaction(network, receipt.hash), SourceLines([OUT]))
        try:
            session.start()
            session.breakpoints.add("line Teller.sol:35")
            stop = session.resume()
            assert isinstance(stop, Stop)
            assert views.frames(session)[0].line == 35
            assert views.storage(session, 0).slots == {}
            session.over()
            assert views.storage(session, 0).slots == {0: 30}
            session.breakpoints.remove(1)
            _, ended = stepped(session)
            assert (ended.exit_code, ended.gas_used) == (0, receipt.gas_used)
        finally:
            session.close()


@pytest.mark.slow
def test_message_of_vector_is_debugged(tmp_path: Path) -> None:
    with Network(tmp_path / "chain") as network:
        made = prepare(network)
        receipt = network.receipt(made.failed)
    source = FolderSource(tmp_path / "chain")
    try:
        vector = extract_message(source, BundleFolder(None), f"0x{made.failed.hex()}").vector
    finally:
        source.close()
    write_vector(tmp_path / "message.json", vector)
    session = Session(of_vector(tmp_path / "message.json", tmp_path), SourceLines([OUT]))
    try:
        _, ended = stepped(session)
        assert (ended.exit_code, ended.gas_used) == (receipt.exit_code, receipt.gas_used)
    finally:
        session.close()
    with pytest.raises(InvalidInput, match="has no message 2: it has 1"):
        of_vector(tmp_path / "message.json", tmp_path, 2)
