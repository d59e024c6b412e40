"""Bugs found over time by forge and `hypervisor test` on public targets of scfuzzbench (docs/fuzzing.md).

`python -m tests.soltests.fuzzing --seconds 7200 --slice 60` runs each target with each seed for at most 60 seconds per
runner, adds the finds to the state below build/tests/soltests/fuzzing, and writes the record of all slices so far. The
next start continues each seed with its corpus, until it has run for `--seconds`.

A bug is a function with a failed assertion, or an invariant that does not hold. A campaign ends at its first bug; the
function is then no longer called, or the invariant no longer checked, and the campaign starts again. Times are those of
the campaigns without compilation. A finding is a bug that forge finds with each seed, and this project with none.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from store.keccak import keccak
from tests.harness.recorded import NOT_RUN, RunRecord, finish, options
from tests.soltests.folder import SuitesMissing
from tests.soltests.runners import SOLC, Chosen, forge_results, own_results
from tests.soltests.stage import INSTALLED, PublicSuite, stage_suite

FOLDER: Final = INSTALLED / "fuzzing"
RUNNERS: Final[Mapping[str, Callable[..., Mapping[str, Any]]]] = {"forge": forge_results, "here": own_results}
_CHIMERA: Final = "chimera@d5cf52bc5bbf75f988f8aada23fd12d0bcf7798a"
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Target:
    """A target: its suite, the folder of the harness, and the address whose functions are called."""

    suite: PublicSuite
    harness: str
    caller: str = "address(this)"
    """Expression in the harness for the address of the called contract."""
    called: str = "Campaign"
    """Name of the called contract."""


TARGETS: Final[Mapping[str, Target]] = {
    "drips": Target(
        PublicSuite(
            "drips-fuzzing-scfuzzbench",
            {
                "lib/forge-std": "forge-std@f73c73d2018eb6a111f35e4dae7b4f27401e9421",
                "lib/forge-std/lib/ds-test": "ds-test@e282159d5170298eb2455a6c05280ab5a73a4ef0",
                "lib/openzeppelin-contracts": "openzeppelin-contracts@e50c24f5839db17f46991478384bfda14acfb830",
            },
            commit="c50d160ead6bf82b1d1071e853dc74da0b23f595", solc="solc-0.8.20",
        ),
        "test/recon", "VM_.computeCreateAddress(address(this), 1)", "CryticTester",
    ),
    "liquity-v2-governance": Target(
        PublicSuite(
            "liquity-V2-gov-scfuzzbench",
            {
                "lib/forge-std": "forge-std@978ac6fadb62f5f0b723c996f64be52eddba6801",
                "lib/openzeppelin-contracts": "openzeppelin-contracts@dbb6104ce834628e473d2173bbc9d47f81a9eec3",
                "lib/solmate": "solmate@97bdb2003b70382996a79a406813f76417b1cf90",
                "lib/v4-core": "v4-core@ac47532844db17525769b06de106a3c98f26d12d",
                "lib/chimera": _CHIMERA,
            },
            commit="5610870e7e91fe6e29f8cfb0c0ae316fe9784e10", solc="solc-0.8.24",
        ),
        "test/recon",
    ),
    "aave-v4": Target(
        PublicSuite(
            "aave-v4-scfuzzbench",
            {
                "lib/forge-std": "forge-std@60acb7aaadcce2d68e52986a0a66fe79f07d138f",
                "lib/chimera": _CHIMERA,
                "lib/setup-helpers": "setup-helpers@0f7abac8f096768817cc7a1d2dcdb01ee8fb278e",
            },
            commit="459b020058f4a65d18eb1481083b75c766340124", solc="solc-0.8.28",
        ),
        "tests/recon",
    ),
}  # fmt: skip

_CAMPAIGN: Final = """// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

import {{CryticToFoundry}} from "./CryticToFoundry.sol";

interface CampaignVm {{
    function envOr(string calldata, string calldata, bytes32[] calldata) external view returns (bytes32[] memory);
    function computeCreateAddress(address, uint256) external pure returns (address);
}}

contract Campaign is CryticToFoundry {{
    CampaignVm private constant VM_ = CampaignVm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    constructor() {{
        bytes32[] memory words = VM_.envOr("CAMPAIGN_SELECTORS", ",", new bytes32[](0));
        if (words.length == 0) return;
        bytes4[] memory chosen = new bytes4[](words.length);
        for (uint256 i = 0; i < words.length; i++) {{
            chosen[i] = bytes4(words[i]);
        }}
        targetSelector(FuzzSelector({{addr: {caller}, selectors: chosen}}));
    }}
}}
"""


@dataclass(slots=True)
class Campaign:
    """The state of a runner's campaign with one seed: seconds so far, and seconds until each find."""

    seconds: float = 0.0
    found: dict[str, float] = field(default_factory=dict)
    slices: int = 0


def main() -> int:
    """Return the exit code: 1 for a bug that only forge finds, 2 without the programs or the suites."""
    parser = options(__doc__, 3)
    parser.add_argument("--targets", default="drips,liquity-v2-governance", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=7200, help="of each seed, target and runner")
    parser.add_argument("--slice", type=int, default=60, help="seconds of this start, of each seed, target and runner")
    chosen = parser.parse_args()
    names = chosen.targets.split(",")
    if unknown := set(names) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}: there are {', '.join(TARGETS)}")
    started = time.monotonic()
    try:
        for name in names:
            for runner in RUNNERS:
                prepare(name, runner)
            build(name)
    except (SuitesMissing, OSError) as lack:
        print(f"{NOT_RUN}{lack}")
        return 2
    seeds = range(chosen.seed, chosen.seed + chosen.count)
    for seed in seeds:
        for name in names:
            for runner in RUNNERS:
                campaign = advance(name, runner, seed, chosen.seconds, chosen.slice)
                print(f"{name}, seed {seed}, {runner}: {campaign.found}", file=sys.stderr, flush=True)
    return finish(record_of(names, seeds, chosen.seconds), chosen, started)


def prepare(name: str, runner: str) -> None:
    """Assemble a target in its runner's folder, without its other tests."""
    target, where = TARGETS[name], FOLDER / name / runner
    stage_suite(target.suite, where)
    tests = where / target.harness.split("/")[0]
    for file in tests.rglob("*.t.sol"):
        file.unlink()
    shutil.rmtree(where / "script", ignore_errors=True)
    text = _CAMPAIGN.format(caller=target.caller)
    (where / target.harness / "Campaign.t.sol").write_text(text, encoding="utf-8")


def build(name: str) -> None:
    """Compile a target with forge, so that its interface is known before the first campaign. Raises OSError."""
    chosen = Chosen(FOLDER / name / "forge", TARGETS[name].suite, 0)
    command = ["forge", "build", "--use", str(SOLC)]
    done = subprocess.run(
        command, cwd=chosen.folder, env=chosen.environment, capture_output=True, text=True, check=False
    )
    # forge ends with 0 if the compiler's process fails
    if done.returncode or not any((chosen.folder / "out").glob("**/Campaign.json")):
        raise OSError(f"{name} does not compile: {(done.stderr or done.stdout)[-2000:]}")


def state_file(name: str, runner: str, seed: int) -> Path:
    """Return the file with the state of a campaign."""
    return FOLDER / name / f"{runner}-{seed}.json"


def read(name: str, runner: str, seed: int) -> Campaign:
    """Return the state of a campaign so far."""
    file = state_file(name, runner, seed)
    return Campaign(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else Campaign()


def advance(name: str, runner: str, seed: int, seconds: int, slice_seconds: int) -> Campaign:
    """Continue a campaign for a slice; return its state, which is written after each find."""
    campaign = read(name, runner, seed)
    end = min(seconds, campaign.seconds + slice_seconds)
    while campaign.seconds < end - 1:
        before = campaign.seconds
        news = run(name, runner, seed, campaign, end - campaign.seconds)
        state_file(name, runner, seed).write_text(json.dumps(asdict(campaign)), encoding="utf-8")
        if not news or campaign.seconds == before:
            break
    return campaign


def run(name: str, runner: str, seed: int, campaign: Campaign, seconds: float) -> bool:
    """Run a campaign up to its first find of each invariant; return True for a new bug."""
    target, where = TARGETS[name], FOLDER / name / runner
    shutil.rmtree(where / "cache" / "invariant", ignore_errors=True)  # stored failures, which would end the run
    functions, invariants = interface(name)
    checked = [one for one in invariants if one not in campaign.found]
    if not checked:
        return False
    called = [one for one in functions if one.split("(")[0] not in campaign.found]
    variables = {
        "CAMPAIGN_SELECTORS": ",".join(f"0x{keccak(one.encode())[:4].hex():0<64}" for one in called),
        "FOUNDRY_INVARIANT_TIMEOUT": str(max(1, int(seconds / len(checked)))),
        "FOUNDRY_INVARIANT_CORPUS_DIR": f"cache/corpus-{seed}",
    }
    suite = replace(target.suite, invariant_runs=1_000_000, depth=100)
    campaign.slices += 1
    chosen = Chosen(where, suite, seed + (campaign.slices << 32), "^Campaign$", variables=variables)
    more = ("--match-test", f"^({'|'.join(checked)})($|[(])")  # forge matches the signature
    before = len(campaign.found)
    one_thread = ("--threads", "1")
    for content in RUNNERS[runner](chosen, *more, *one_thread).values():
        for signature, test in content["test_results"].items():
            if not signature.startswith("invariant_"):
                raise RuntimeError(f"{name}, {runner}: {signature} failed: {test['reason']}")
            campaign.seconds += duration(test["duration"])
            if test["status"] == "Failure":
                bug = bug_of(signature, test, functions)
                campaign.found.setdefault(bug, round(campaign.seconds, 1))
    return len(campaign.found) > before


def interface(name: str) -> tuple[list[str], list[str]]:
    """Return the signatures of the functions that a campaign calls, and the names of the invariants."""
    out = FOLDER / name / "forge" / "out"
    called, own = (
        json.loads(next(out.glob(f"**/{contract}.json")).read_text(encoding="utf-8"))["abi"]
        for contract in (TARGETS[name].called, "Campaign")
    )
    functions = [
        signature(entry)
        for entry in called
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure") and entry["name"] != "setUp"
    ]
    return functions, [entry["name"] for entry in own if entry.get("name", "").startswith("invariant_")]


def signature(entry: Mapping[str, Any]) -> str:
    """Return `name(types)` of a function."""

    def kind(item: Mapping[str, Any]) -> str:
        found = str(item["type"])
        return (
            found.replace("tuple", f"({','.join(map(kind, item['components']))})", 1) if "components" in item else found
        )

    return f"{entry['name']}({','.join(map(kind, entry['inputs']))})"


def bug_of(invariant: str, test: Mapping[str, Any], functions: list[str]) -> str:
    """Return the name of the last called function if its call failed, otherwise that of the invariant.

    The last trace is that of the invariant: if it succeeded, the call before it failed.
    """
    calls = (test["counterexample"] or {"Sequence": [0, []]})["Sequence"]
    calls = calls[1] if isinstance(calls[0], int) else calls
    executions = [arena["arena"][0]["trace"] for kind, arena in test["traces"] if kind == "Execution"]
    if calls and (not executions or executions[-1]["success"]):
        selector = calls[-1]["calldata"][2:10]
        return next(
            (one.split("(")[0] for one in functions if keccak(one.encode())[:4].hex() == selector),
            calls[-1].get("func_name") or selector,
        )
    return invariant.split("(")[0]


def duration(text: str) -> float:
    """Return the seconds of `1m 2s 3ms`."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(h|ms|m|µs|ns|s)", text))


# --- record -----------------------------------------------------------------------------------------------------------


def record_of(names: list[str], seeds: range, seconds: int) -> RunRecord:
    """Return the record of all slices so far."""
    table = {name: {runner: [read(name, runner, seed) for seed in seeds] for runner in RUNNERS} for name in names}
    rows = {name: dict(compared(found)) for name, found in table.items()}
    return RunRecord(
        seeds.start,
        len(seeds),
        {"run by both": len(seeds)},
        [],
        {
            "seconds per seed, target and runner": seconds,
            "seeds with at least forge's number of bugs": at_least(table, len(seeds)),
            "found by forge with each seed, and here with none": [
                f"{name}: {bug}"
                for name, row in rows.items()
                for bug, found in row.items()
                if found["forge"]["seeds"] == len(seeds) and not found["here"]["seeds"]],
            "seconds so far": {name: {runner: [round(one.seconds) for one in found[runner]] for runner in RUNNERS}
                               for name, found in table.items()},
            "bugs, median over the seeds": {
                name: {runner: median(len(one.found) for one in found[runner]) for runner in RUNNERS}
                for name, found in table.items()},
            "bugs": rows,
        },
    )  # fmt: skip


def at_least(table: Mapping[str, Mapping[str, list[Campaign]]], seeds: int) -> int:
    """Return the number of seeds with which at least as many bugs are found here on each target."""
    return sum(
        all(len(found["here"][place].found) >= len(found["forge"][place].found) for found in table.values())
        for place in range(seeds)
    )


def compared(found: Mapping[str, list[Campaign]]) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Yield each bug with the number of seeds that find it, and the median of the seconds, by runner."""
    bugs = sorted({bug for campaigns in found.values() for one in campaigns for bug in one.found})
    for bug in bugs:
        times = {runner: [one.found[bug] for one in found[runner] if bug in one.found] for runner in RUNNERS}
        yield (
            bug,
            {
                runner: {"seeds": len(seconds), "median seconds": median(seconds) if seconds else None}
                for runner, seconds in times.items()
            },
        )


if __name__ == "__main__":
    sys.exit(main())
