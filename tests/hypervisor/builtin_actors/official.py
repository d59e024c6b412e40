"""Official bundles that our actors are compared with, and the known differences of each.

There are two builds of actors v18 with other constants, and earlier versions. If an official actor differs by design
(another version, another constant), the test is skipped for that bundle with the reason, which is also a row of
docs/fidelity.md.
"""

from dataclasses import dataclass, field
from typing import Final

from hypervisor.bundles.bundle import Bundle
from tests.conftest import data_file, network_of, newer_names


@dataclass(frozen=True)
class Official:
    """An official bundle: its file name, its network version, and the actors that both sides share."""

    name: str
    network: int = 28
    shared: frozenset[str] = frozenset()
    left_out: dict[str, str] = field(default_factory=dict)
    """Skipped tests by function (or module), with reasons."""

    without: frozenset[tuple[str, str]] = frozenset()
    """Actors' methods that it does not have."""

    own: str | None = None
    """Our own bundle for the comparison, as an argument of `Bundle.embedded`."""

    alone: bool = False
    """True without an official bundle: both sides use our actors, with other boundaries and EVM engines."""

    def bundle(self) -> Bundle:
        """Return the official bundle from the test data or the installed ones."""
        return (
            Bundle.open(self.name) if self.name in newer_names() else Bundle.open(data_file(f"bundles/{self.name}.car"))
        )

    def reason(self, module: str, function: str) -> str | None:
        """Return the reason for skipping a test, or None."""
        return self.left_out.get(function) or self.left_out.get(module)


V18: Final = Official("v18-testing-fake-proofs")
"""The bundle that our actors implement."""

COLLATERAL: Final = "a devnet has a floor for a provider's collateral"
SIZES: Final = "a devnet has two sizes of sectors"
NO_DEPOSIT: Final = "actors v16: a new miner leaves no deposit"
NO_STATUS: Final = "actors v17: no methods for the status of sectors"

DEVNET: Final = Official(
    "v18-devnet",
    left_out={
        "test_deal_proposal_fields_are_validated": COLLATERAL,
        "test_proving_periods_and_deposits_of_new_miners": SIZES,
    },
)
V17: Final = Official(
    "v17-testing-fake-proofs",
    27,
    left_out=dict.fromkeys(
        (
            "test_same_sectors",
            "test_getters_match",
            "test_contract_owner_calls_miner_methods",
            "test_sectors_that_were_never_there",
        ),
        NO_STATUS,
    ),
    without=frozenset(
        ("storageminer", name)
        for name in ("GenerateSectorLocation", "ValidateSectorStatus", "GetNominalSectorExpiration")
    ),
)
V16: Final = Official(
    "v16-testing-fake-proofs",
    26,
    shared=frozenset({"storageminer"}),
    left_out=dict.fromkeys(("test_same_miner", "test_same_sectors", "test_development_only"), NO_DEPOSIT),
)

OTHERS: Final = (DEVNET, V17, V16)

FROZEN: Final = "actors v19: the registry and DataCap are frozen"
STAGED: Final = "actors v19: its first state has DataCap, claims and deals that count, which only older actors make"
NO_ACTIVATION: Final = "actors v19: the market activates no deals, and asks for no DataCap"
SOLSTICE: Final = "actors v19: the miner has method 37"

LEFT_OUT_V19: Final[dict[str, str]] = {
    **dict.fromkeys(("test_same_registry", "test_same_datacap"), FROZEN),
    **dict.fromkeys(("test_same_examples", "test_same_reentrancy", "test_same_sectors"), STAGED),
    **dict.fromkeys(
        ("test_only_miner_workers_may_call_development_methods", "test_bad_parameters_are_refused"), STAGED
    ),
    **dict.fromkeys(
        (
            "test_deal_proposal_fields_are_validated",
            "test_verified_deals_spend_datacap",
            "test_deals_cannot_be_verified_after_their_start",
            "test_activation_puts_deals_into_sectors",
        ),
        NO_ACTIVATION,
    ),
    "test_unsupported_methods_exit_with_22": SOLSTICE,
}
"""v18 tests that v19 changes; `tests/localnet/chain/test_upgrade_to_nv29.py` checks v19's frozen methods."""

ALONE: Final = Official("our-own-actors", alone=True)
"""Replacement for V18 without test data. The scripts' expected exit codes, returns and states still hold, and the two
machines must agree.
"""

ALONE_V19: Final = Official("our-own-actors-v19", 29, left_out=LEFT_OUT_V19, own="v19", alone=True)
"""Replacement at version 29, which has no official bundle in the test data."""


def newer() -> list[Official]:
    """Return the available releases after V18, of the networks whose constants ours share or nearly share."""
    found = []
    for name in newer_names():
        version, _, network = name.partition("-")
        left_out = LEFT_OUT_V19 | (DEVNET.left_out if network == "devnet" else {})
        found.append(Official(name, network_of(name).number, left_out=left_out, own=version))
    return found
