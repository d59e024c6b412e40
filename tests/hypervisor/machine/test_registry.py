"""Selection of the runtime for a code CID, and missing runtimes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hypervisor.errors import RuntimeUnavailable
from hypervisor.machine.registry import Registry, Runtime, RuntimeServices
from store.cid import RAW, cid_of, show
from tests.hypervisor.world import NEW_KEY, ForwardingRuntime, ScriptedRuntime, World

REGISTERED_CODE, MARKED = cid_of(b"code", RAW), cid_of(b"marked", RAW)


def test_registry_defaults_to_wasm_and_override_takes_precedence() -> None:
    runtimes = {name: ScriptedRuntime() for name in ("wasm", "evm", "mine")}
    registry = Registry(
        RuntimeServices(), {MARKED: "evm"}, {name: lambda _, r=runtime: r for name, runtime in runtimes.items()}  # type: ignore[misc]  # mypy does not infer a lambda's default
    )  # fmt: skip
    assert registry.runtime_for(REGISTERED_CODE) == ("wasm", runtimes["wasm"])
    assert registry.runtime_for(MARKED) == ("evm", runtimes["evm"])
    registry.override(MARKED, "mine")
    registry.override(REGISTERED_CODE, "mine")
    assert registry.runtime_for(MARKED) == registry.runtime_for(REGISTERED_CODE) == ("mine", runtimes["mine"])
    assert registry.names() == {MARKED: "mine", REGISTERED_CODE: "mine"}


def test_runtime_is_built_lazily_once_with_machine_options() -> None:
    built: list[RuntimeServices] = []

    def build(services: RuntimeServices) -> ScriptedRuntime:
        built.append(services)
        return ScriptedRuntime()

    services = RuntimeServices({"evm": "py-evm"})
    registry = Registry(services, {}, {"wasm": build})
    assert built == []
    assert registry.runtime_for(REGISTERED_CODE) == registry.runtime_for(MARKED)
    assert built == [services]


@pytest.mark.parametrize("loaded", [False, True])
def test_a_runtime_is_put_before_another_one_under_its_name(loaded: bool) -> None:
    behind = ScriptedRuntime()
    registry = Registry(RuntimeServices(), {}, {"wasm": lambda _: behind})
    if loaded:
        assert registry.runtime_for(REGISTERED_CODE) == ("wasm", behind)
    registry.wrap("wasm", ForwardingRuntime)
    name, first = registry.runtime_for(REGISTERED_CODE)
    assert name == "wasm"
    assert isinstance(first, ForwardingRuntime)
    assert first.behind is behind
    registry.wrap("wasm", ForwardingRuntime)
    _, second = registry.runtime_for(REGISTERED_CODE)
    assert isinstance(second, ForwardingRuntime)
    assert second.behind is first


def test_missing_runtime_error_names_what_to_install() -> None:
    registry = Registry(RuntimeServices(), {REGISTERED_CODE: "jvm"})
    with pytest.raises(
        RuntimeUnavailable,
        match=f"runtime 'jvm', required by code {show(REGISTERED_CODE)}, is not installed.*hypervisor.runtimes",
    ):
        registry.runtime_for(REGISTERED_CODE)


def test_message_to_code_without_runtime_is_reverted() -> None:
    world = World()
    to = world.actor(lambda _kernel, _params: None, balance=1)
    world.machine.registry.override(world.code("multisig"), "jvm")
    before = world.machine.root
    with pytest.raises(RuntimeUnavailable):
        world.send(to)
    assert world.machine.root == before
    assert world.send(NEW_KEY, 0).exit_code == 0


def test_threads_that_need_a_runtime_at_once_have_the_same() -> None:
    """Otherwise each has separate caches, and a machine wrapped meanwhile uses a different one than its reader."""
    everyone, built = threading.Barrier(4), list[ScriptedRuntime]()

    def build(_: RuntimeServices) -> ScriptedRuntime:
        threading.Event().wait(0.05)
        built.append(ScriptedRuntime())
        return built[-1]

    registry = Registry(RuntimeServices(), {}, {"wasm": build})

    def ask(_: int) -> Runtime:
        everyone.wait(10)
        return registry.runtime_for(REGISTERED_CODE)[1]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == built * 4
