"""Libraries of a script and of the contracts it deploys: their addresses, and which must be deployed first.

As in forge, libraries without a given address are deployed by the default CREATE2 deployer with salt 0, so that their
addresses follow from their code and the next script finds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.ethereum.addresses import EthAddress, checksummed, create2_address, eth_address
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER
from hypervisor_tools.soltest.compile.artifact import Artifacts, ContractArtifact

Libraries = Mapping[tuple[str, str], EthAddress]
"""Addresses by file and name."""
SALT: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Linking:
    """Addresses of libraries, and the code of those to deploy before the script, in order."""

    addresses: Libraries
    codes: Sequence[tuple[EthAddress, bytes]]

    @property
    def lines(self) -> list[str]:
        """The libraries in the format of forge's records."""
        return sorted(f"{file}:{name}:{checksummed(where)}" for (file, name), where in self.addresses.items())


def linking_of(artifacts: Artifacts, artifact: ContractArtifact, known: Libraries) -> Linking:
    """Return the libraries of a script; `known` ones already exist. Raises InvalidInput if linking is impossible."""
    needed: set[tuple[str, str]] = set()
    todo = [artifact]
    while todo:
        keys = set(todo.pop().creation.libraries()) - needed
        needed |= keys
        todo += [artifacts.get(*key) for key in keys - known.keys()]
    addresses = {key: known[key] for key in needed & known.keys()}
    left = sorted(needed - known.keys(), key=lambda key: (Path(key[0]).name, key[1], key[0]))
    codes = []
    while left:  # the last one moves to the position of the linked one, as in forge, so that nonces are equal
        places = (n for n, key in enumerate(left) if addresses.keys() >= set(artifacts.get(*key).creation.libraries()))
        index = next(places, None)
        if index is None:
            names = ", ".join(name for _, name in left)
            raise InvalidInput(f"the libraries {names} depend on each other: give the address of one with --libraries")
        key = left[index]
        left[index] = left[-1]
        left.pop()
        code = artifacts.get(*key).creation.link(addresses)
        addresses[key] = create2_address(CREATE2_DEPLOYER, SALT, code)
        codes.append((addresses[key], code))
    return Linking(addresses, codes)


def libraries_option(texts: Sequence[str]) -> Libraries:
    """Return the libraries of `--libraries`: FILE:NAME:ADDRESS, separated by commas. Raises InvalidInput."""
    found = {}
    for text in (part.strip() for line in texts for part in line.split(",")):
        file, _, rest = text.partition(":")
        name, _, address = rest.partition(":")
        try:
            where = eth_address(bytes.fromhex(address.removeprefix("0x")))
        except ValueError:
            where = None
        if not file or not name or where is None:
            raise InvalidInput(f"--libraries {text!r:.120} is not a library: expected FILE:NAME:0x and 40 hex digits")
        found[file.removeprefix("./"), name] = where
    return found
