"""Verdicts of `verification.matching` on contracts of a network."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fvm_hypervisor.verification.matching import MatchLevel, Verdict, verdict
from fvm_hypervisor.verification.submission import VerificationError
from localnet import Network
from localnet.addresses import filecoin_address
from localnet.state.contract_state import code_of
from store.keccak import keccak
from tests.fvm_hypervisor.verification.contracts import artifact, deploy, init_code

EXACT, MATCH = MatchLevel.EXACT, MatchLevel.MATCH


@dataclass(frozen=True)
class Deployed:
    """Runtime and init code of a deployed contract."""

    runtime: bytes
    init_code: bytes


@pytest.fixture(scope="module")
def deployed() -> Iterator[dict[str, Deployed]]:
    """A library, a contract that links to it and has an immutable, and a contract that creates another."""
    with Network() as network:
        codes = {"Doubling": init_code("Doubling")}
        addresses = {"Doubling": deploy(network, codes["Doubling"])}
        codes["Kept"] = init_code("Kept", 12345, {"Doubling": addresses["Doubling"]})
        codes["Factory"] = init_code("Factory")
        addresses |= {name: deploy(network, codes[name]) for name in ("Kept", "Factory")}
        called = network.call(addresses["Kept"], keccak(b"twice()")[:4])
        assert int.from_bytes(called, "big") == 24690
        yield {
            name: Deployed(code_of(network.machine, filecoin_address(address)), codes[name])
            for name, address in addresses.items()
        }


CONTRACTS = ["Doubling", "Kept", "Factory"]


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_deployed_sources_match_exactly(deployed: dict[str, Deployed], name: str) -> None:
    found = deployed[name]
    assert verdict(artifact(name), found.runtime, found.init_code) == Verdict(EXACT, EXACT)


@pytest.mark.parametrize("name", CONTRACTS)
def test_another_comment_is_a_match(deployed: dict[str, Deployed], name: str) -> None:
    """Factory contains the metadata hash of the contract it creates too."""
    found = deployed[name]
    assert verdict(artifact(name, "other comment"), found.runtime, found.init_code) == Verdict(MATCH, MATCH)


@pytest.mark.parametrize("name", ["Doubling", "Factory"])
def test_other_code_of_the_same_length_does_not_match(deployed: dict[str, Deployed], name: str) -> None:
    found = deployed[name]
    with pytest.raises(VerificationError, match="the sources, the compiler version") as raised:
        verdict(artifact(name, "other code"), found.runtime, found.init_code)
    assert raised.value.code == "no_match"


@pytest.mark.parametrize("variant", ["other code", "no hash", "no metadata"])
def test_code_of_another_length_is_reported(deployed: dict[str, Deployed], variant: str) -> None:
    found = deployed["Kept"]
    with pytest.raises(VerificationError, match="345") as raised:
        verdict(artifact("Kept", variant), found.runtime, found.init_code)
    assert raised.value.code == "bytecode_length_mismatch"


@pytest.mark.parametrize("variant", ["no hash", "no metadata"])
def test_equal_code_without_a_metadata_hash_is_a_match(variant: str) -> None:
    compiled = artifact("Child", variant)
    with Network() as network:
        code = bytes.fromhex(compiled.creation.object)
        runtime = code_of(network.machine, filecoin_address(deploy(network, code)))
    assert verdict(compiled, runtime, code) == Verdict(MATCH, MATCH)


def test_creation_code_needs_exactly_the_arguments_of_the_constructor(deployed: dict[str, Deployed]) -> None:
    found = deployed["Kept"]
    for code in (found.init_code + b"\0", found.init_code[:-1], found.init_code[:-32], b"\x01" + found.init_code[1:]):
        assert verdict(artifact("Kept"), found.runtime, code) == Verdict(None, EXACT)
    assert verdict(artifact("Kept"), found.runtime, None) == Verdict(None, EXACT)


@pytest.mark.parametrize("name", ["Kept", "Factory"])
def test_only_immutables_libraries_and_metadata_may_differ(deployed: dict[str, Deployed], name: str) -> None:
    """Each other changed byte of the runtime code makes a mismatch; Factory contains the metadata hash of Child."""
    compiled, runtime = artifact(name), deployed[name].runtime
    places = [*compiled.runtime.immutables.values(), *compiled.runtime.links.get("src/Kept.sol", {}).values()]
    filled = {place["start"] + offset for several in places for place in several for offset in range(place["length"])}
    assert (name == "Kept") == bool(filled)
    metadata = set(range(len(runtime) - 53, len(runtime) - 2))
    if name == "Factory":
        child = runtime.index(bytes.fromhex("a264697066735822 1220")) + 10
        metadata |= set(range(child, child + 32))
    for place in range(len(runtime)):
        changed = runtime[:place] + bytes([runtime[place] ^ 1]) + runtime[place + 1 :]
        try:
            level = verdict(compiled, changed, None).runtime
        except VerificationError:
            level = None
        assert level == (EXACT if place in filled else MATCH if place in metadata else None), place


def test_a_better_verdict_improves_one_part_and_worsens_none() -> None:
    assert Verdict(None, EXACT).improves(Verdict(None, MATCH))
    assert Verdict(MATCH, EXACT).improves(Verdict(None, EXACT))
    assert not Verdict(None, EXACT).improves(Verdict(MATCH, MATCH))
    assert not Verdict(MATCH, MATCH).improves(Verdict(MATCH, MATCH))
    assert Verdict(MATCH, EXACT).best is Verdict(EXACT, None).best is EXACT
