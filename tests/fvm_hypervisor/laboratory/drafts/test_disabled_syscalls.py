"""Syscalls that a draft version disables: refused drafts, and actors that import a missing syscall.

Expected results: ref-fvm fvm/src/engine/mod.rs, where an import that the linker lacks is a fatal error of the call, and
fvm/src/executor/default.rs, where a fatal error exits with 10 and uses the whole gas limit.
"""

from pathlib import Path

import pytest
from wasmtime import wat2wasm

from fvm_hypervisor.bundles.building import build
from fvm_hypervisor.cli.node_upgrades import network_options
from fvm_hypervisor.laboratory.drafts import DraftVersion, read_draft
from hypervisor import Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.types import Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import NV29, network_version
from localnet import Network
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS, revision_named
from tests.localnet.conftest import Clock

GAS = Gas(1_000_000_000)
CALLED_METHOD = MethodNumber(1 << 24)
LOOKS_AT_DEBUG = r"""
(module
  (import "debug" "enabled" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "invoke") (param i32) (result i32) (i32.const 0)))
"""


def read(folder: Path, text: str, head: str = "base = 29\nepoch = 0") -> DraftVersion:
    file = folder / "nv30.toml"
    file.write_text(f"number = 30\n{head}\n{text}", encoding="utf-8")
    return read_draft(file)


def test_only_the_disabled_syscalls_are_missing(tmp_path: Path) -> None:
    draft = read(tmp_path, '[syscalls]\ndisable = ["debug.log", "crypto.verify_post"]\n')
    revision = revision_named(network_version(30, draft.overlay).rules.revision)
    whole = SYSCALL_REVISIONS["v4"]
    assert {*whole} - {*revision} == {("debug", "log"), ("crypto", "verify_post")}
    assert revision.items() <= whole.items()
    assert network_version(29, draft.overlay).rules == NV29.rules


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('disable = ["crypto.hash"]', r"disables crypto.hash, which the actor init imports: .*module for init"),
        ('disable = ["self.self_destruct"]', "which the actor paymentchannel imports"),
        ('disable = ["crypto.hsah"]', r"\[syscalls\] has no 'crypto.hsah': did you mean crypto.hash\?"),
        ('disable = ["actor.upgrade_actor"]', r"\[syscalls\] has no 'actor.upgrade_actor'"),
        ('disable = "debug.log"', "disable of .syscalls. is 'debug.log': expected a list of names"),
        ('disabled = ["debug.log"]', "did you mean disable"),
    ],
)
def test_draft_that_cannot_run_is_refused(tmp_path: Path, table: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read(tmp_path, f"[syscalls]\n{table}\n")


def test_module_of_a_draft_may_not_import_what_it_disables(tmp_path: Path) -> None:
    (tmp_path / "ethaccount.wasm").write_bytes(bytes(wat2wasm(LOOKS_AT_DEBUG)))
    actors = '[actors]\nethaccount = "ethaccount.wasm"\n'
    assert read(tmp_path, actors).bundle is not None
    with pytest.raises(InvalidInput, match=r"disables debug\.enabled, which the actor ethaccount imports"):
        read(tmp_path, f'{actors}[syscalls]\ndisable = ["debug.enabled"]\n')


@pytest.mark.slow
@pytest.mark.parametrize("place", ["start", "base version", "upgrade"])
def test_bundle_of_a_node_may_not_import_what_its_draft_disables(tmp_path: Path, place: str) -> None:
    (tmp_path / "actors.car").write_bytes(
        build(Bundle.embedded("v19"), {"ethaccount": bytes(wat2wasm(LOOKS_AT_DEBUG))})
    )
    head = f"base = 29\nepoch = {0 if place == 'start' else 3}"
    draft = read(tmp_path, '[syscalls]\ndisable = ["debug.enabled"]\n', head)
    bundle = str(tmp_path / "actors.car")
    upgrades, named = ([f"nv30@3={bundle}"], None) if place == "upgrade" else (None, bundle)
    with pytest.raises(InvalidInput, match=r"disables debug\.enabled, which the actor ethaccount imports"):
        network_options(str(draft.path), None, upgrades, named, False, False)
    assert network_options(str(draft.path), None, None, "own-v19", False, False)["bundle"] == "own-v19"


@pytest.mark.parametrize("disabled", [False, True])
def test_call_of_an_actor_without_its_syscall_is_fatal(tmp_path: Path, disabled: bool) -> None:
    """The bundle is not the draft's, so the draft is not refused."""
    draft = read(tmp_path, f'[syscalls]\ndisable = ["debug.{"enabled" if disabled else "log"}"]\n')
    bundle = Bundle.from_car(build(Bundle.embedded("v19"), {"ethaccount": bytes(wat2wasm(LOOKS_AT_DEBUG))}))
    with Network(network=30, overlay=draft.overlay, bundle=bundle, clock=Clock()) as network:
        alice, bob = network.accounts[:2]
        network.send("0x" + "99" * 20, 1, sender=bob)  # its first message makes it an Ethereum account
        message = Message(
            bob.delegated, alice.native, nonce=network.pending_nonce(alice.native), method=CALLED_METHOD, gas_limit=GAS,
            gas_fee_cap=TokenAmount(10**9),
        )  # fmt: skip
        result = network.machine.apply(message)
    if not disabled:
        assert (result.exit_code, result.fatal) == (ExitCode.OK, None)
        return
    assert (result.exit_code, result.gas_used) == (ExitCode.SYS_ASSERTION_FAILED, GAS)
    assert "the import debug.enabled is a syscall that this network version does not have" in str(result.fatal)


def test_overlay_cannot_disable_syscalls(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no 'disabled_syscalls'"):
        read(tmp_path, '[rules]\ndisabled_syscalls = "debug.log"\n')
