"""Test vectors for the explorer of a node, extracted from the node itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypervisor.versions.overlay import Overlay


def vector_of(url: str, transaction: str, overlay: Overlay | None = None) -> str:
    """Return the test vector of a node's transaction as text. `overlay` is the node's. Raises NoVector."""
    import json

    from fvm_hypervisor.cli.vectors import data_folder
    from fvm_hypervisor.explorer.site import NoVector
    from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
    from fvm_hypervisor.laboratory.vectors.extract import extract_message
    from hypervisor.errors import HypervisorError
    from localnet.chain.node_source import NodeSource

    source = NodeSource(url, overlay=overlay)
    try:
        found = extract_message(source, BundleFolder(data_folder("bundles")), transaction)
    except HypervisorError as error:
        raise NoVector(str(error)) from None
    finally:
        source.close()
    return json.dumps(found.vector, indent=2) + "\n"
