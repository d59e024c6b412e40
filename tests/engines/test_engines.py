"""Short comparisons of the engines.

- Short runs of generated programs on the engines; `python -m tests.engines` is long.
- EIP-3155 traces of state tests are byte for byte equal on both engines.
"""

import io
from random import Random

import pytest

from bridge.ethereum.addresses import EthAddress, create2_address
from hypervisor_tools.laboratory.vectors.statetest import run_file
from runtimes.evm.blocks.alloc import AllocAccount
from runtimes.evm.forks.forks import LATEST_FORK
from tests.conftest import data_file
from tests.differential.grammar import SENDER, Grammar, known_only, newer_operators, shape
from tests.engines import frames, worlds
from tests.engines.compare import STAGES, compare, watched
from tests.engines.scenes import RULES, SIZE, Batch, Call, batch, rules_by_name
from tests.engines.worlds import EthereumMachine, machine_for
from tests.runtimes.evm.assembler import assemble

CONTRACT = EthAddress(b"\xaa" * 20)


@pytest.mark.slow
def test_programs_are_deterministic_per_seed() -> None:
    assert batch(1, 7) == batch(1, 7)
    assert batch(1, 7).calls != batch(2, 7).calls != batch(2, 8).calls
    assert {batch(1, number).rules for number in range(len(RULES))} == set(RULES)


@pytest.mark.slow
def test_the_engines_agree_on_generated_programs() -> None:
    tally = compare(seed=5, count=len(RULES) * SIZE, workers=1)
    assert tally.findings == []
    assert tally.stages[STAGES[-1]] > tally.count / 3


@pytest.mark.parametrize(("name", "expected"), [("CLZ", (1, 1)), ("ADDMOD", (3, 1)), ("PC", (0, 1)), ("POP", (1, 0))])
def test_opcode_stack_shape_is_taken_from_engine(name: str, expected: tuple[int, int]) -> None:
    assert shape(LATEST_FORK, name) == expected


def test_new_fork_opcode_is_generated_but_omitted_on_older_forks() -> None:
    assert newer_operators(ethereum=True)["CLZ"] == 1  # EIP-7939: of Osaka, and of network version 28 (FIP-0114)
    assert "CLZ" in Grammar(Random(1), "mixed", (CONTRACT,), ethereum=True)._operators[1]
    words = "7 CLZ 0 MSTORE"
    kept = {name for name in RULES if known_only(words, rules_by_name(name)) == words}
    assert kept == {name for name in RULES if name not in ("Cancun", "Prague", "nv24")}
    assert known_only(words, rules_by_name("Prague")) == "7 NOT 0 MSTORE"


@pytest.mark.slow
def test_a_case_that_runs_side_by_side_has_no_difference() -> None:
    assert watched(1, 7, 0, 100_000) == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [7, 8, 16, 25])
def test_both_engines_together_match_single_engine(number: int) -> None:
    """Memory grows before a call in the last batch."""
    drawn = batch(909, number)
    plain, both = (machine_for(engine, drawn.rules) for engine in ("py-evm", "both"))
    plain.begin(drawn)
    both.begin(drawn)
    for call in drawn.calls:
        expected = plain.attempt(call, call.gas_limit)
        for _ in range(2):
            assert expected.differences(both.attempt(call, call.gas_limit)) == []


@pytest.mark.parametrize("does", ["3 SLOAD", "1 3 SSTORE", "1 3 SSTORE 0 3 SSTORE"])
@pytest.mark.parametrize("ends", ["0 0 REVERT", "INVALID", "0 0 RETURN"])
def test_a_listed_slot_of_a_contract_that_may_come_into_being(does: str, ends: str) -> None:
    init = assemble(f"{does} {ends}")
    code = assemble(f"0x{init.hex()} 0 MSTORE 0 {len(init)} {32 - len(init)} 0 CREATE2 0 SSTORE")
    made = create2_address(CONTRACT, bytes(32), init)
    call = Call(CONTRACT, b"", 0, 3_000_000, ((made, (3,)),))
    drawn = Batch(
        "listed", "Prague", False, {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(9, 1, code)}, (call,)
    )
    outcomes = []
    for engine in ("py-evm", "fast"):
        machine = EthereumMachine(engine, drawn.rules)
        machine.begin(drawn)
        outcomes.append(machine.attempt(call, call.gas_limit))
    assert outcomes[0].exit_code == 0
    assert outcomes[0].differences(outcomes[1]) == []


@pytest.mark.slow
def test_pyrevm_agrees_on_storage_refunds_and_logs() -> None:
    module = worlds.pyrevm()
    if module is None:
        pytest.skip("no pyrevm for this Python")
    code = assemble("0 1 SSTORE 5 2 SSTORE 7 0 0 LOG1 0 0 0 0 3 CALLER GAS CALL 0 MSTORE 32 0 RETURN")
    accounts = {SENDER: AllocAccount(10**18), CONTRACT: AllocAccount(9, 1, code, {1: 8})}
    call = Call(CONTRACT, b"", 1, 100_000, ((CONTRACT, ()),))
    drawn = Batch("one", "Cancun", False, accounts, (call,))
    machine = EthereumMachine("py-evm", drawn.rules)
    machine.begin(drawn)
    outcome = machine.attempt(call, call.gas_limit)
    other = worlds.Revm(module, accounts)
    assert outcome.exit_code == 0
    assert other.differences(call, call.gas_limit, outcome) == []
    assert other.other_accounts(call, call.gas_limit, machine.after(call, call.gas_limit)) == []
    assert other.differences(call, call.gas_limit - 1, outcome) != [] or outcome.gas_used < call.gas_limit
    assert other.differences(call, 30_000, outcome) != []


@pytest.mark.slow
def test_the_engines_agree_on_single_frames() -> None:
    assert frames.compare(seed=2, count=1_000, workers=1).findings == []


@pytest.mark.slow
def test_compiled_regions_match_the_interpreter() -> None:
    assert frames.compare(seed=3, count=400, workers=1, pair="tiers").findings == []


FOLDERS = ("stExample", "stCreate2", "stReturnDataTest")
MAX_BYTES = 30_000
FILES_OF_A_FOLDER = 3


def lines(folder: str, engine: str) -> dict[str, str]:
    """Return the output for some small files of a folder."""
    files = sorted(data_file("vectors/GeneralStateTests").rglob(f"{folder}/*.json"))
    chosen = [path for path in files if path.stat().st_size < MAX_BYTES][:FILES_OF_A_FOLDER]
    traces = {}
    for path in chosen:
        out = io.StringIO()
        assert all(record["pass"] for record in run_file(path, None, engine, out))
        traces[path.name] = out.getvalue()
    return traces


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_both_engines_tell_every_instruction_alike(folder: str) -> None:
    plain, fast = lines(folder, "py-evm"), lines(folder, "fast")
    assert any('"opName": "SSTORE"' in text for text in plain.values())
    assert plain == fast
