"""Generator of the tables in docs/reliability.md, from the records of long runs (`tests.harness.recorded.RECORDS`).

python -m tests.docs.reliability_page     regenerate them (`make reliability-page`)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.docs.page_shell import between
from tests.harness.recorded import RunRecord, record_files

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "reliability.md"
BEGIN: Final = "<!-- the table: make reliability-page -->\n"
END: Final = "<!-- end of the table -->\n"
CURVES: Final = "<!-- the curves: make reliability-page -->\n"
END_OF_CURVES: Final = "<!-- end of the curves -->\n"

PROMISES: Final = {
    "crash": "A killed process, a cut log, a flipped bit or a failing write loses no acknowledged commit.",
    "crash-faults": "System calls that fail lose no acknowledged commit, and the error names a remedy.",
    "crash-epochs": "A network killed at any moment continues to the same chain.",
    "kill-node": "A node killed under load loses no receipt that it returned.",
    "kill-commands": "A killed `hypervisor test` or `script` continues, and sends no transaction twice.",
    "load": "200 concurrent clients lose no request, and no receipt after a kill.",
    "gc-check": "Garbage collection beside a writer deletes only unreferenced blocks.",
    "long-life": "In 24 simulated hours, memory grows by at most 20 % after hour 2, time per request by at most 50 %.",
    "memory": "Messages that fail in any way raise memory by at most 2 % after the first 20,000.",
    "migration": "Every actor is correct after the migration to network version 29.",
    "state-rewrites": "Every actor with a state has the new code after each migration, within a limit of memory.",
    "fuzz": "Hostile input to any decoder gives a value or a typed error.",
    "fuzz-machine": "Hostile bytecode, modules, messages and vectors never stop the machine.",
    "facade-fuzz": "Hostile call data to Filecoin's precompiles gives an answer or an exit code.",
    "oracle-messages": "Messages have ref-fvm's exit code, return value, gas, events and state root.",
    "differential": "Contracts behave as on the official EVM actor.",
    "actors": "Our built-in actors behave as the official ones.",
    "streams": "The reward actor's streams keep their invariants.",
    "judges": "JSON-RPC answers under Ethereum's rules differ from geth's only as listed.",
    "crossing": "Calls between both runtimes keep balances, order and rollback.",
    "parallel": "Parallel execution gives the serial result.",
    "engines": "Both EVM engines and revm agree on programs with calls.",
    "engine-frames": "Both EVM engines agree on single frames.",
    "engine-tiers": "Compiled regions agree with the interpreter.",
    "soltests": "Public Solidity suites have forge's outcomes and gas, except as documented.",
    "soltests-bugs": "Fuzzing with 20 seeds finds each planted bug that forge always finds.",
    "fuzz-targets": "No promise, only a comparison: bugs that fuzzing finds in public targets, beside forge's.",
    "symbolic": "Symbolic tests have halmos' verdicts except documented ones, in at most 1.5 times its processor time.",
    "mutation": "Mutation tests list exactly the gaps of a suite.",
    "explorer-load": "The explorer's pages take at most 1.6 times as long on a chain ten times as long.",
    "f3-certificates": "Finality certificates are accepted and refused as by go-f3.",
    "lab-accounts": "Delegated accounts keep their invariants.",
    "lab-async": "Asynchronous messages are delivered once and in order.",
    "lab-flood": "A miner's proof is included in time during a flood of messages.",
    "lab-lanes": "Lanes keep their shares of a block.",
    "lab-libraries": "Dynamic libraries behave as the static form.",
    "lab-rent": "Rent, archiving and resurrection keep their invariants.",
}
"""The promise that each record supports."""
POINTS: Final = (1024, 4096, 16384, 65536, 262144)
"""Numbers of inputs at which the table of curves has the edges."""


def replaced(page: str) -> str:
    page = between(page, BEGIN, END, "\n" + "\n".join(lines()) + "\n\n")
    return between(page, CURVES, END_OF_CURVES, "\n" + "\n".join(curves()) + "\n\n")


def lines() -> Iterator[str]:
    """Return a row per record, in the order of `PROMISES`."""
    records = {name: RunRecord.read(file) for name, file in record_files().items()}
    yield "| promise | record | inputs | open findings | last commit | date |"
    yield "|---|---|---|---|---|---|"
    for name in sorted(records, key=[*PROMISES].index):
        record = records[name]
        yield (
            f"| {PROMISES[name]} | `{name}` | {record.count:,} | {len(record.findings)} "
            f"| `{record.commit[:8]}` | {record.date} |"
        )


def curves() -> Iterator[str]:
    """Return a row per fuzz target: edges at some powers of two, and if it is saturated."""
    points = " | ".join(f"at {at:,}" for at in POINTS)
    yield f"| target | edges {points} | inputs | edges | last new edge at | saturated |"
    yield "|---" * (len(POINTS) + 5) + "|"
    for name, target in sorted(RunRecord.read(record_files()["fuzz"]).details.items()):
        if not isinstance(target, dict):  # in older records, how soon a defect was found
            continue
        edges = {int(line.split()[0]): line.split()[1] for line in target["curve"]}
        cells = [f"{int(edges[at]):,}" if at in edges else "" for at in POINTS]
        is_saturated = "yes" if target["saturated"] else "no"
        yield (
            f"| `{name}` | {' | '.join(cells)} | {target['inputs']:,} | {target['edges']:,} | {target['last_new']:,} "
            f"| {is_saturated} |"
        )


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
