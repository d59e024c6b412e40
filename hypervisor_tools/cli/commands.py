"""The table of all commands, and the exit statuses. A command's module is imported when the command is requested."""

from typing import Final, NamedTuple


class Row(NamedTuple):
    """A command or a group of commands."""

    name: str
    target: str
    """Module in this package and name of its function, or of the `Typer` of a group."""
    summary: str
    """First sentence of its help, repeated here so that `--help` imports no command."""
    parser: str = ""
    """Module in this package and name of its command class; empty for typer's own."""
    panel: str = ""
    """Title of its panel in the output of `--help`."""


_ARGUMENTS: Final = "options:ArgumentsCommand"

_USE: Final = (
    Row("demo", "demo:demo", "Run the demo: a Solidity contract and a native WASM actor call each other."),
    Row("doctor", "doctor:doctor", "Check the installation or a running node, and suggest a remedy for each problem."),
    Row(
        "node",
        "node:node",
        "Run a local network that serves JSON-RPC for Ethereum and Filecoin tools.",
        "node:NodeCommand",
    ),
    Row("deploy", "transactions:deploy", "Deploy a contract compiled by solc, forge or Hardhat.", _ARGUMENTS),
    Row(
        "create",
        "foundry.contracts:create",
        "Deploy a contract of a Foundry project, compiled with the settings of foundry.toml.",
        "foundry.settings:CreateCommand",
    ),
    Row(
        "call",
        "transactions:call",
        "Call a function of a contract without a transaction, and print each return value on a line.",
        _ARGUMENTS,
    ),
    Row(
        "send",
        "transactions:send",
        "Send a transaction that transfers value or calls a contract's function, and wait for its receipt.",
        _ARGUMENTS,
    ),
    Row("trace", "trace:trace", "Show the call trace of a transaction: callers, callees, runtimes, results and gas."),
    Row("step", "step:step", "Debug a message forwards and backwards, across contracts and native actors.", _ARGUMENTS),
    Row(
        "profile",
        "trace:profile",
        "Profile the gas of native actors by function and syscall, exclusive and inclusive of calls.",
    ),
    Row(
        "explore",
        "node:explore",
        "Serve the explorer for a chain's folder until interrupted. A node may have the folder open.",
    ),
    Row(
        "test",
        "foundry.test:run_tests",
        "Run a Foundry project's tests, with Filecoin's precompiles and built-in actors.",
        "foundry.settings:TestCommand",
    ),
    Row(
        "campaign",
        "foundry.campaign:campaign",
        "Run a Foundry project's fuzz, invariant, symbolic and mutation tests in rounds, and collect what they find.",
        "foundry.settings:CampaignCommand",
    ),
    Row(
        "trust",
        "foundry.setup:trust",
        "Trust a Foundry project to run programs, use files outside of its folder, and query remote nodes.",
    ),
    Row(
        "script",
        "foundry.script:script",
        "Run a Foundry script on a fork of a node's network, with its actors, and optionally send its transactions.",
        "foundry.settings:ScriptCommand",
    ),
    Row(
        "verify-contract",
        "foundry.contracts:verify_contract",
        "Verify a contract's sources at a node, which compiles them and compares the code at the address.",
        "foundry.settings:VerifySourcesCommand",
    ),
    Row(
        "verify-bytecode",
        "foundry.contracts:verify_bytecode",
        "Verify that the code at an address is a contract of the project, compiled with the settings of foundry.toml.",
        "foundry.settings:VerifyCommand",
    ),
    Row(
        "inspect",
        "state:inspect",
        "Show the value at a path in a machine's state. This also works while a node has the folder open.",
    ),
    Row(
        "decode",
        "offline:decode",
        "Decode parameters, return values, states, messages, transactions, addresses and CIDs to JSON, offline.",
    ),
    Row(
        "encode",
        "offline:encode",
        "Encode JSON to the bytes of parameters, return values, states, messages, transactions, addresses and CIDs.",
    ),
    Row("balance", "transactions:balance", "Show the balance of an account, a contract or a built-in actor."),
    Row(
        "bindings",
        "foundry.setup:bindings",
        "Generate a typed Python class for each contract, with its functions, structs, events and errors.",
    ),
    Row(
        "solidity",
        "foundry.setup:solidity",
        "Write the Solidity files for projects: FilecoinFork.sol, FilecoinVm.sol and interfaces of built-in actors.",
    ),
    Row("wallet", "wallet:app", "Create and convert keys and addresses. Keys are not stored."),
)

_STATE: Final = (
    Row(
        "gc",
        "state:gc",
        "Delete blocks of a folder that no state, receipt, message or pin references, and release their disk space.",
    ),
    Row("actor", "actors:app", "Develop actors: new, test, mutate, embed, install, create, call, replace, inspect."),
    Row("bundle", "bundles:app", "Manage bundles of built-in actors: fetch, add, make, build, list, verify."),
    Row("car", "state:app", "Import, export and verify states as CAR files."),
)

_CHECK: Final = (
    Row(
        "replay",
        "replay:replay",
        "Re-execute a chain's tipsets and report those whose receipts or state differ from the chain.",
    ),
    Row(
        "compare",
        "laboratory:compare",
        "Execute the same messages under two configurations of rules, prices or actors, and explain the differences.",
    ),
    Row("version", "laboratory:app", "Create draft network versions."),
    Row(
        "gas",
        "laboratory:gas",
        "Re-execute messages and report their gas by charge, syscall, actor, method and cron call.",
    ),
    Row(
        "gas grow",
        "growth:grow",
        "Measure the gas of a transaction while a contract's storage grows to a million slots.",
        _ARGUMENTS,
    ),
    Row(
        "conformance",
        "vectors:conformance",
        "Run Filecoin's official vectors. Exit code, return value, gas and state root must match.",
    ),
    Row(
        "extract",
        "replay:extract",
        "Extract a test vector from a message or tipset, with exactly the blocks that its execution reads.",
    ),
    Row(
        "fevmtest",
        "vectors:fevmtest",
        "Run golden cases of the official EVM actor. Exit code, return value, events and all actor states must match.",
    ),
    Row(
        "actortest",
        "vectors:actortest",
        "Run cases of a built-in actor (nv29's reward). Exit code, return value, events, balances and state must "
        "match.",
    ),
    Row(
        "statetest",
        "vectors:statetest",
        "Run Ethereum state tests. State root, logs and exception of each case must match.",
    ),
    Row(
        "blocktest",
        "vectors:blocktest",
        "Run Ethereum blockchain tests: valid and invalid blocks, fork transitions, and the state after them.",
    ),
    Row(
        "t8n",
        "vectors:t8n",
        "Run a state transition (t8n): alloc, env and txs are the input, result and alloc the output.",
    ),
    Row("verify-proof", "offline:app", "Verify proofs of other networks, offline."),
)
_PANELS: Final = {"Use it": _USE, "Actors and state": _STATE, "Check it": _CHECK}
COMMANDS: Final = tuple(row._replace(panel=panel) for panel, rows in _PANELS.items() for row in rows)
"""All commands, in the order of `--help`."""


FAILED: Final = 1
"""Exit status of a failed operation."""
MISUSED: Final = 2
"""Exit status of wrong input: options, values, named files."""
INTERRUPTED: Final = 130
"""Exit status after Ctrl-C: 128 plus the signal's number."""
TERMINATED: Final = 143
"""Exit status after SIGTERM, as shells report it."""
