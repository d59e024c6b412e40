#!/bin/sh
# Makes compiled.json and forge_run.json anew: the project by forge from npm, and what `forge script` keeps of its run;
# the same of the project with libraries, in linked.json.
#
#     tests/devtools/soltest/scripts/record.sh CLIENTS URL     CLIENTS: the folder of scripts/clients; URL: a fresh node
#                                                              (hypervisor node --rules ethereum)
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
