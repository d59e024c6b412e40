"""Record the states that the constructors of the embedded bundles write; `make bundle` runs this after a build."""

import json
import sys
from importlib.resources import files
from pathlib import Path

from hypervisor import Bundle, Genesis, Hypervisor
from hypervisor.bundles.bundle_library import own_bundles
from hypervisor.bundles.genesis import constructor_key
from hypervisor.tracing import Recorder
from store.cid import Cid, show
from store.links import blocks_below

FILE = Path(str(files("hypervisor.builtin_actors").joinpath("constructed.json")))


def record() -> bytes:
    """Run the constructors of all embedded bundles and return the contents of the file."""
    heads: dict[str, str] = {}
    blocks: dict[Cid, bytes] = {}
    for variant in own_bundles().values():
        # With a tracer, a machine runs the constructors.
        with Hypervisor.open(bundle=Bundle.embedded(variant), tracer=Recorder()) as machine:
            for actor, params in Genesis.constructors():
                state = machine.state_tree.existing(actor)
                heads[constructor_key(state.code, params, machine.context.network.rules.abi)] = show(state.head)
                blocks.update(blocks_below(machine.base, [state.head]))
    states = {"heads": dict(sorted(heads.items())), "blocks": [blocks[cid].hex() for cid in sorted(blocks)]}
    return (json.dumps(states, indent=2) + "\n").encode()


if __name__ == "__main__":
    sys.exit(0 if FILE.write_bytes(record()) else 1)
