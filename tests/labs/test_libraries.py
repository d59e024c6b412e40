"""The lab `libraries`: what may be linked, what is refused and how, and how calls end in a library."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.executor import ApplyResult
from hypervisor.exit_codes import ExitCode
from hypervisor.machine import Hypervisor
from runtimes.wasm.libraries import DEEPEST, MOST_IMPORTS, MOST_LIBRARIES, MOST_LIBRARY_BYTES, resolve
from runtimes.wasmtime.encoding import name, section
from store.cid import RAW, Cid, cid_of, show
from tests.labs.libraries import PLANTS, play
from tests.labs.libraries import run as run_programs
from tests.runtimes.wasm.guests import call, imports, place, wasm

GAS = 100_000_000
LIBRARY = """(module
    (memory (export "memory") 1 4)
    (global $count (mut i32) (i32.const 0))
    (func (export "count") (result i32)
        (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
        (i32.load (i32.const 8)))
    (func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "trap") (result i32) unreachable)
    (func (export "outside") (result i32) (i32.load (i32.const 65536)))
    (func (export "loop") (result i32) (loop (br 0)) unreachable))"""


def library_of(size: int) -> bytes:
    """A library of so many bytes: the rest is a custom section."""
    code = wasm('(module (func (export "f") (result i32) (i32.const 7)))')
    return code + section(0, name("rest") + bytes(size - len(code) - len(name("rest")) - 4))


def actor(body: str, *imported: str, memory: str = '(memory (export "memory") 1)', fields: str = "") -> bytes:
    """An actor that exits with 100 and what `body` makes."""
    return wasm(f"""(module {imports("vm.exit")} {" ".join(imported)} {memory} {fields}
        (func (export "invoke") (param i32) (result i32)
            (drop (call $exit (i32.add (i32.const 100) {body}) (i32.const 0) (i32.const 0) (i32.const 0)))
            (i32.const 0)))""")


def from_library(code: Cid, name: str, signature: str = "(result i32)") -> str:
    """The import of a library's function as `$name`."""
    return f'(import "lib:{show(code)}" "{name}" (func ${name} {signature}))'


@pytest.fixture
def machine() -> Hypervisor:
    return Hypervisor.open(rules="lab:libraries")


def end(machine: Hypervisor, module: bytes, gas: int = GAS) -> ApplyResult:
    machine.install(module)
    return call(machine, place(machine, module), gas_limit=gas)


class TestCalls:
    @pytest.mark.parametrize(
        ("name", "signature", "body", "exit_code"),
        [
            ("count", "(result i32)", "(i32.add (call $count) (i32.mul (i32.const 10) (call $count)))", 100 + 21),
            ("deep", "(param i32) (result i32)", "(call $deep (i32.const 300))", 400),
            ("deep", "(param i32) (result i32)", "(call $deep (i32.const 3000))", ExitCode.SYS_ILLEGAL_INSTRUCTION),
            ("trap", "(result i32)", "(call $trap)", ExitCode.SYS_ILLEGAL_INSTRUCTION),
            ("outside", "(result i32)", "(call $outside)", ExitCode.SYS_ILLEGAL_INSTRUCTION),
            ("loop", "(result i32)", "(call $loop)", ExitCode.SYS_OUT_OF_GAS),
            ("grow", "(param i32) (result i32)", "(call $grow (i32.const 3))", 101),
            ("grow", "(param i32) (result i32)", "(call $grow (i32.const 4))", 99),
        ],
    )
    def test_a_call_ends_as_a_function_of_the_actor_would(
        self, machine: Hypervisor, name: str, signature: str, body: str, exit_code: int
    ) -> None:
        code = machine.install(wasm(LIBRARY))
        result = end(machine, actor(body, from_library(code, name, signature)))
        assert result.fatal is None
        assert result.exit_code == exit_code

    def test_each_call_has_instances_of_its_own(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        module = actor("(call $count)", from_library(code, "count"))
        assert [end(machine, module).exit_code for _ in range(2)] == [101, 101]

    def test_two_actors_share_a_library_s_code_and_nothing_else(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        first = actor("(i32.add (call $count) (call $count))", from_library(code, "count"))
        second = actor("(call $count)", from_library(code, "count"))
        assert [end(machine, module).exit_code for module in (first, second)] == [103, 101]

    def test_the_stack_is_counted_over_all_modules(self, machine: Hypervisor) -> None:
        """Half the limit in the actor and half in the library is too much; each alone is not."""
        code = machine.install(wasm(LIBRARY))
        signature = "(param i32) (result i32)"
        fields = """(func $own (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $own (i32.sub (local.get 0) (i32.const 1)))))
                (else (call $deep (i32.const 300)))))"""
        ends = [
            end(
                machine, actor(f"(call $own (i32.const {depth}))", from_library(code, "deep", signature), fields=fields)
            )
            for depth in (100, 300)
        ]
        assert [one.exit_code for one in ends] == [500, ExitCode.SYS_ILLEGAL_INSTRUCTION]

    def test_an_exported_memory_may_be_the_actor_s_own(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        memory = f'(import "lib:{show(code)}" "memory" (memory 1)) (export "memory" (memory 0))'
        body = "(block (result i32) (i32.store (i32.const 8) (i32.const 40)) (call $count))"
        assert end(machine, actor(body, from_library(code, "count"), memory=memory)).exit_code == 141
        assert end(machine, actor(body, from_library(code, "count"))).exit_code == 101, "its own is another one"

    def test_what_libraries_may_grow_to_is_counted_with_the_actor_s_memory(self, machine: Hypervisor) -> None:
        """Both together have 512 MiB: 8,192 pages, of which a library may need 256."""
        code = machine.install(wasm('(module (memory 0 256) (func (export "f") (result i32) (i32.const 0)))'))
        found = [
            end(machine, actor(f"(memory.grow (i32.const {pages}))", from_library(code, "f")), 10**10).exit_code
            for pages in (8192 - 256 - 1, 8192 - 256)
        ]
        assert found == [101, 99]

    def test_a_library_that_is_an_actor_s_code_is_not_entered(self, machine: Hypervisor) -> None:
        assert call(machine, place(machine, wasm(LIBRARY))).exit_code == ExitCode.SYS_INVALID_RECEIVER

    def test_an_upgrade_may_be_linked(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        module = wasm(f"""(module {from_library(code, "count")} (memory (export "memory") 1)
            (func (export "upgrade") (param i32 i32) (result i32) (drop (call $count)) (i32.const 0))
            (func (export "invoke") (param i32) (result i32) (i32.const 0)))""")
        assert end(machine, module).exit_code == 0

    def test_a_start_function_of_the_actor_may_call_a_library(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        fields = "(func $start (drop (call $count))) (start $start)"
        assert end(machine, actor("(call $count)", from_library(code, "count"), fields=fields)).exit_code == 102


class TestLibrariesOfLibraries:
    def chain(self, machine: Hypervisor, length: int) -> Cid:
        """A library at the end of a chain, which counts those behind it."""
        code = machine.install(wasm('(module (func (export "f") (result i32) (i32.const 1)))'))
        for _ in range(length - 1):
            longer = '(func (export "f") (result i32) (i32.add (i32.const 1) (call $f)))'
            code = machine.install(wasm(f"(module {from_library(code, 'f')} {longer})"))
        return code

    def test_a_library_may_import_from_libraries(self, machine: Hypervisor) -> None:
        code = self.chain(machine, DEEPEST)
        assert end(machine, actor("(call $f)", from_library(code, "f"))).exit_code == 100 + DEEPEST

    def test_they_are_so_deep_and_no_deeper(self, machine: Hypervisor) -> None:
        code = self.chain(machine, DEEPEST)
        above = wasm(f'(module {from_library(code, "f")} (func (export "g") (result i32) (call $f)))')
        higher = machine.install(above)
        with pytest.raises(InvalidModule, match="is imported by 4 libraries in a row, which is as deep as it goes"):
            machine.install(actor("(call $g)", from_library(higher, "g")))
        both = actor("(i32.add (call $f) (call $g))", from_library(code, "f"), from_library(higher, "g"))
        with pytest.raises(InvalidModule, match="as deep as it goes"):
            machine.install(both)

    def test_a_library_is_there_once_however_many_import_from_it(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        other = machine.install(
            wasm(f'(module {from_library(code, "count")} (func (export "again") (result i32) (call $count)))')
        )
        body = "(i32.add (call $count) (i32.mul (i32.const 10) (call $again)))"
        result = end(machine, actor(body, from_library(code, "count"), from_library(other, "again")))
        assert result.exit_code == 100 + 21

    @pytest.mark.parametrize("count", [MOST_LIBRARIES, MOST_LIBRARIES + 1])
    def test_there_are_so_many_and_no_more(self, machine: Hypervisor, count: int) -> None:
        codes = [
            machine.install(wasm(f'(module (func (export "f{place}") (result i32) (i32.const {place})))'))
            for place in range(count)
        ]
        imported = [from_library(code, f"f{place}") for place, code in enumerate(codes)]
        module = actor("(call $f3)", *imported)
        if count > MOST_LIBRARIES:
            with pytest.raises(InvalidModule, match="needs more than 16 libraries"):
                machine.install(module)
        else:
            assert end(machine, module).exit_code == 103

    def test_a_circle_is_refused(self) -> None:
        """No CID names itself: a store that lies has one."""
        first, second = cid_of(b"first", RAW), cid_of(b"second", RAW)
        text = '(module {} (func (export "g") (result i32) (call $f)) (export "f" (func 0)))'
        modules = {
            first: wasm(text.format(from_library(second, "f"))),
            second: wasm(text.format(from_library(first, "f"))),
        }
        with pytest.raises(InvalidModule, match="imports itself, by 2 steps"):
            resolve(cid_of(b"actor", RAW), actor("(call $f)", from_library(first, "f")), modules.get)


class TestRefused:
    def refusal(self, machine: Hypervisor, module: bytes) -> str:
        with pytest.raises(InvalidModule) as caught:
            machine.install(module)
        return str(caught.value)

    def test_a_library_that_is_not_there(self, machine: Hypervisor) -> None:
        missing = cid_of(b"nothing", RAW)
        said = self.refusal(machine, actor("(call $f)", from_library(missing, "f")))
        assert said == f"the library {show(missing)} is not installed: install it first"

    @pytest.mark.parametrize(
        ("imported", "said"),
        [
            (
                '"count" (func (param i32) (result i32))',
                "is of the type (i32) -> (i32), the library's function is () -> (i32)",
            ),
            ('"count" (func)', "is of the type () -> (), the library's function is () -> (i32)"),
            ('"missing" (func)', "the library exports no function of that name"),
            ('"memory" (func)', "the library exports no function of that name"),
            ('"count" (global i32)', "is neither a function nor a memory: a library gives nothing else"),
            ('"count" (table 1 funcref)', "is neither a function nor a memory: a library gives nothing else"),
        ],
    )
    def test_an_import_that_the_library_does_not_answer(self, machine: Hypervisor, imported: str, said: str) -> None:
        code = machine.install(wasm(LIBRARY))
        name = f"lib:{show(code)}"
        assert said in self.refusal(machine, actor("(i32.const 0)", f'(import "{name}" {imported})'))

    @pytest.mark.parametrize(
        ("limits", "said"),
        [("2", "wants 2 to None pages of memory, the library's has 1 to 4"), ("1 3", "wants 1 to 3 pages")],
    )
    def test_a_memory_of_other_limits(self, machine: Hypervisor, limits: str, said: str) -> None:
        code = machine.install(wasm(LIBRARY))
        memory = f'(import "lib:{show(code)}" "memory" (memory {limits})) (export "memory" (memory 0))'
        assert said in self.refusal(machine, actor("(i32.const 0)", memory=memory))

    @pytest.mark.parametrize(
        ("library", "said"),
        [
            ('(func (export "f")) (start 0)', "the library has a start function"),
            ('(memory 1) (func (export "f"))', "the library's memory has no maximum, at most 256 are allowed"),
            (
                '(memory 1 257) (func (export "f"))',
                "a maximum of 257 pages, at most 256 are allowed: link it with --max",
            ),
            ('(table 20001 funcref) (func (export "f"))', "has 20001 elements, at most 20000"),
            ("(memory 1 1)", "the library has no code"),
            ('(func (export "\\00gas"))', "exports a name that is kept"),
        ],
    )
    def test_what_breaks_a_rule_of_libraries(self, machine: Hypervisor, library: str, said: str) -> None:
        assert said in self.refusal(machine, wasm(f"(module {library})"))

    def test_a_library_that_asks_something_of_the_machine(self, machine: Hypervisor) -> None:
        text = (
            f'(module {imports("vm.exit")} (memory (export "memory") 1) (func (export "f") (result i32) (i32.const 0)))'
        )
        code = machine.install(wasm(text))  # as an actor's code without an `invoke`
        said = self.refusal(machine, actor("(call $f)", from_library(code, "f")))
        assert said == f"the library {show(code)} is no library: it imports vm.exit, which is for actors"

    def test_an_actor_is_no_library(self, machine: Hypervisor) -> None:
        text = '(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) (i32.const 0)))'
        code = machine.install(wasm(text))
        imported = from_library(code, "invoke", "(param i32) (result i32)")
        assert "it exports `invoke`" in self.refusal(machine, actor("(i32.const 0)", imported))

    def test_references_do_not_go_from_module_to_module(self, machine: Hypervisor) -> None:
        code = machine.install(wasm('(module (func (export "f") (param funcref)))'))
        said = self.refusal(machine, actor("(i32.const 0)", from_library(code, "f", "(param funcref)")))
        assert "numbers alone go from module to module" in said

    def test_a_library_over_the_limit(self, machine: Hypervisor) -> None:
        largest, larger = library_of(MOST_LIBRARY_BYTES), library_of(MOST_LIBRARY_BYTES + 1)
        assert (len(largest), len(larger)) == (MOST_LIBRARY_BYTES, MOST_LIBRARY_BYTES + 1)
        code = machine.install(largest)
        assert end(machine, actor("(call $f)", from_library(code, "f"))).exit_code == 107
        said = "has 1,048,577 bytes, at most 1,048,576 are taken"
        assert said in self.refusal(machine, larger)
        other = cid_of(larger, RAW)
        machine.store.put(other, larger)
        assert said in self.refusal(machine, actor("(call $f)", from_library(other, "f")))

    def test_more_imports_than_are_linked(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        one = f'(import "lib:{show(code)}" "count" (func (result i32)))'
        said = self.refusal(machine, actor("(i32.const 0)", one * MOST_IMPORTS))
        assert "has 1,001 imports, at most 1,000 are linked" in said

    @pytest.mark.parametrize(
        "name",
        ["lib:", "lib:x", "lib:bafy2bzaceaa", "lib:" + show(cid_of(b"")), "lib:" + show(cid_of(b"", RAW)).upper()],
    )
    def test_what_names_no_code(self, machine: Hypervisor, name: str) -> None:
        said = self.refusal(machine, actor("(i32.const 0)", f'(import "{name}" "f" (func))'))
        assert "names no library" in said

    def test_two_memories(self, machine: Hypervisor) -> None:
        code = machine.install(wasm(LIBRARY))
        memory = f'(import "lib:{show(code)}" "memory" (memory 1))'
        module = actor("(i32.const 0)", memory, memory=memory + ' (export "memory" (memory 0))')
        assert "the module has several memories" in self.refusal(machine, module)


def test_a_library_that_a_state_has_lost_is_a_clear_error(machine: Hypervisor) -> None:
    """Whatever this process has linked before."""
    module = actor("(call $count)", from_library(machine.install(wasm(LIBRARY)), "count"))
    assert end(machine, module).exit_code == 101
    other = Hypervisor.open(rules="lab:libraries")
    result = call(other, place(other, module))
    assert result.fatal is not None
    assert "is not installed: install it first" in str(result.fatal)


def test_without_the_lab_there_are_no_libraries() -> None:
    machine = Hypervisor.open()
    code = cid_of(b"", RAW)
    with pytest.raises(InvalidModule, match=r"the import lib:bafk\w+\.f is not a syscall"):
        machine.install(actor("(call $f)", from_library(code, "f")))


def test_the_lab_takes_no_option() -> None:
    with pytest.raises(InvalidInput, match="lab 'libraries' takes no option"):
        Hypervisor.open(rules="lab:libraries=1")


def test_machines_that_share_runtimes_link_once(machine: Hypervisor) -> None:
    _, first = machine.registry.runtime_for(machine.manifest.code("account"))
    with machine.fork() as fork:
        _, second = fork.registry.runtime_for(machine.manifest.code("account"))
        assert second is first


class TestPrograms:
    @pytest.mark.parametrize("seed", range(12))
    def test_a_random_program_is_as_its_static_form(self, seed: int) -> None:
        assert play(seed).findings == []

    @pytest.mark.parametrize("plant", PLANTS)
    @pytest.mark.oracle
    def test_a_planted_defect_is_found(self, plant: str) -> None:
        kinds: Mapping[str, int] = run_programs(1, 30, 1, plant)[2]
        assert any(kinds.values())
