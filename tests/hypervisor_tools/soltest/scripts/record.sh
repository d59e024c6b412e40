#!/bin/sh
# Makes compiled.json and forge_run.json anew: the project by forge from npm, and what `forge script` keeps of its run;
# the same of the project with libraries, in linked.json, and of scripts that go to two networks, in multi.json.
#
#     tests/hypervisor_tools/soltest/scripts/record.sh CLIENTS URL URL
#
# CLIENTS is a folder made by scripts/clients; each URL is a fresh node.
#                                (hypervisor node --rules ethereum), the second one with another --chain-id
set -eu
here=$(cd "$(dirname "$0")" && pwd)
clients=$1
work=$(mktemp -d)
cp -r "$here/project/." "$work"
cd "$work"
export CLIENTS="$clients" FOUNDRY_SOLC="$here/../../../../examples/first-node/solc.mjs"
forge="$clients/node_modules/.bin/forge"
"$forge" build --build-info
"$forge" script script/Deploy.s.sol --rpc-url "$2" --broadcast \
    --private-key 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
python3 - "$here" <<'PY'
import json
import sys
from pathlib import Path

here, kept = Path(sys.argv[1]), {}
for file in sorted(Path("out").rglob("*.json")):
    if file.parent.name == "build-info":
        kept[str(file)] = {"source_id_to_path": json.loads(file.read_text())["source_id_to_path"]}
        continue
    found = json.loads(file.read_text())
    names = ("abi", "bytecode", "deployedBytecode", "methodIdentifiers", "rawMetadata", "metadata", "id")
    kept[str(file)] = {name: found[name] for name in names if name in found}
(here / "compiled.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
run = json.loads(Path("broadcast/Deploy.s.sol/31337/run-latest.json").read_text())
(here / "forge_run.json").write_text(json.dumps(run["transactions"], indent=1) + "\n")
PY

work=$(mktemp -d)
cp -r "$here/linked/." "$work"
cd "$work"
"$forge" build --build-info
"$forge" script script/Linked.s.sol --rpc-url "$2" --broadcast \
    --private-key 0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d
python3 - "$here" <<'PY'
import json
import sys
from pathlib import Path

here, kept = Path(sys.argv[1]), {}
for file in sorted(Path("out").rglob("*.json")):
    found = json.loads(file.read_text())
    names = ("abi", "bytecode", "deployedBytecode", "methodIdentifiers", "rawMetadata", "metadata", "id")
    if file.parent.name == "build-info":
        names = ("source_id_to_path",)
    kept[str(file)] = {name: found[name] for name in names if name in found}
run = json.loads(Path("broadcast/Linked.s.sol/31337/run-latest.json").read_text())
run = {name: run[name] for name in ("transactions", "libraries", "returns")}
(here / "linked.json").write_text(json.dumps({"compiled": kept, "run": run}, separators=(",", ":")) + "\n")
PY

work=$(mktemp -d)
cp -r "$here/multi/." "$work"
cd "$work"
export FIRST_URL="$2" SECOND_URL="$3"
"$forge" build --build-info
"$forge" script script/Multi.s.sol:Multi --broadcast \
    --private-key 0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a
cp broadcast/multi/Multi.s.sol-latest/run.json run.json # the next function's takes its place
"$forge" script script/Multi.s.sol:Multi --sig 'single()' --broadcast --rpc-url "$2" \
    --private-key 0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6
"$forge" script script/Multi.s.sol:Multi --sig 'mixed()' --broadcast --rpc-url "$2" \
    --private-key 0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a
python3 - "$here" <<'PY'
import json
import sys
from pathlib import Path

here, kept = Path(sys.argv[1]), {}
for file in sorted(Path("out").rglob("*.json")):
    found = json.loads(file.read_text())
    names = ("abi", "bytecode", "deployedBytecode", "methodIdentifiers", "rawMetadata", "metadata", "id")
    if file.parent.name == "build-info":
        names = ("source_id_to_path",)
    kept[str(file)] = {name: found[name] for name in names if name in found}
(single,) = Path("broadcast/Multi.s.sol").glob("*/single-latest.json")
runs = {
    "run": json.loads(Path("run.json").read_text())["deployments"],
    "single": [json.loads(single.read_text())],
    "mixed": json.loads(Path("broadcast/multi/Multi.s.sol-latest/mixed.json").read_text())["deployments"],
}
names = ("chain", "returns", "transactions")
runs = {run: [{name: part[name] for name in names} for part in parts] for run, parts in runs.items()}
(here / "multi.json").write_text(json.dumps({"compiled": kept, "runs": runs}, separators=(",", ":")) + "\n")
PY
