"""Three changes planted in a bundle; the output of `compare` identifies and locates each."""

from dataclasses import replace
from pathlib import Path

import pytest

from fvm_hypervisor.cli.exit_status import FAILED
from tests.command import run
from tests.fvm_hypervisor.laboratory.small_actor import SmallActor

BEFORE = SmallActor()
INSTRUCTION = 4  # gas; ref-fvm fvm/src/gas/price_list.rs, `instruction_default`
LOOP = 5  # local.get, i32.const, i32.sub, local.tee, br_if: each has the price of an instruction


def compared(chain: Path, folder: Path, after: SmallActor) -> list[str]:
    """Return the lines of the report without column spaces."""
    done = run("compare", str(chain), "--bundle", str(after.bundle(folder / "after.car")), "--workers", "1")
    assert done.exit_code == FAILED, done.stderr
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def part(lines: list[str], title: str) -> list[str]:
    """Return the lines of a table, or none if it is missing."""
    found = [number for number, line in enumerate(lines) if line.startswith(title)]
    if not found:
        return []
    rest = lines[found[0] + 1 :]
    return rest[: rest.index("")] if "" in rest else rest


def test_the_same_bundle_is_the_same(small_chain: Path, tmp_path: Path) -> None:
    done = run("compare", str(small_chain), "--bundle", str(BEFORE.bundle(tmp_path / "same.car")))
    assert done.exit_code == 0, done.stdout
    assert ": the same, gas " in done.stdout


def test_costlier_loop_differs_in_one_methods_instructions_only(small_chain: Path, tmp_path: Path) -> None:
    lines = compared(small_chain, tmp_path, replace(BEFORE, turns=BEFORE.turns + 1000))
    dearer = 1000 * LOOP * INSTRUCTION  # by hand
    assert lines[2].endswith("3 differ (gas 3)")  # the whole gas limit is burnt, however much is used
    (charge,) = part(lines, "by charge")
    assert charge.startswith("wasm_exec")
    assert charge.endswith(f"+{3 * dearer:,}")
    (syscall,) = part(lines, "by syscall")
    assert syscall.startswith("(instructions)")
    (method,) = part(lines, "by method")
    assert method.startswith("datacap.2 3x")
    first = part(lines, "first differences")
    assert first[0].endswith(f"(+{dearer:,})")
    assert first[1] == "in f07 datacap.2"
    assert first[2].startswith("wasm_exec (instructions): A ")
    assert not any("event" in line or "block_link" in line for line in first)


def test_one_more_block_link_is_that_syscall_once_more(small_chain: Path, tmp_path: Path) -> None:
    lines = compared(small_chain, tmp_path, replace(BEFORE, blocks=2))
    charges = part(lines, "by charge")
    assert charges[0].startswith("OnBlockLink")
    count = charges[0].removeprefix("OnBlockLink ").split("x")
    assert int(count[1].removeprefix(" -> ")) == int(count[0]) + 3
    # By hand, of the list Teep and FIP-0071 for a block of two bytes: 172,000 + 334,000 + 300 + 2 * 3,352.4 gas.
    assert charges[0].endswith(f"+{round(3 * 513_004.8):,}")
    syscalls = part(lines, "by syscall")
    assert syscalls[0].startswith("ipld::block_link")
    assert any(line.startswith("ipld::block_create") for line in syscalls)
    (method,) = part(lines, "by method")
    assert method.startswith("datacap.2 3x")
    first = part(lines, "first differences")
    assert first[1] == "in f07 datacap.2"
    assert first[2].startswith("OnBlockLink in ipld::block_link (A 1, B 2 times)")
    assert "ipld::block_link: A calls it 1 times, B 2" in first


@pytest.mark.parametrize(("said", "gas"), [(b"hullo", False), (b"hello, world", True)])
def test_a_changed_event_is_shown_with_both_values(small_chain: Path, tmp_path: Path, said: bytes, gas: bool) -> None:
    lines = compared(small_chain, tmp_path, replace(BEFORE, said=said))
    assert f"3 differ ({'gas 3, ' if gas else ''}events 3)" in lines[2]
    first = part(lines, "first differences")
    assert first[1] == "in f07 datacap.2"
    assert f"event 1: A {{kind: 0x{b'hello'.hex()}}}, B {{kind: 0x{said.hex()}}}" in first
    assert bool(part(lines, "by charge")) is gas
    if gas:
        (charge,) = part(lines, "by charge")
        assert charge.startswith("OnActorEvent")


@pytest.mark.slow
def test_one_actors_module_alone_points_at_the_same(small_chain: Path, tmp_path: Path) -> None:
    module = tmp_path / "datacap.wasm"
    module.write_bytes(replace(BEFORE, blocks=2).module())
    done = run("compare", str(small_chain), "--actor", f"datacap={module}", "--workers", "1")
    assert done.exit_code == FAILED, done.stderr
    assert "OnBlockLink in ipld::block_link (A 1, B 2 times)" in done.stdout
