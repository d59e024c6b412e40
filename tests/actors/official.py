"""The official bundles that our actors are held against, and what of each cannot be compared.

Two builds of actors v18 (other constants), and the versions before it. Where an official actor does something else by
design (another version, another constant), the test that shows it is left out for that bundle, with the reason; the
same reasons are rows of docs/fidelity.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Official:
    """An official bundle: its file's name, the network version that runs it, the actors that both sides have of it."""

    name: str
    network: int = 28
    shared: frozenset[str] = frozenset()
    left_out: dict[str, str] = field(default_factory=dict)
    """Tests that are not run, by function (or module), each with the reason."""

    without: frozenset[tuple[str, str]] = frozenset()
    """Actors' methods that it does not have yet."""

    @property
    def file(self) -> str:
        return f"bundles/{self.name}.car"

    def reason(self, module: str, function: str) -> str | None:
        """Why a test is left out, if it is."""
        return self.left_out.get(function) or self.left_out.get(module)


V18: Final = Official("v18-testing-fake-proofs")
"""The one that ours are made after."""

COLLATERAL: Final = "a devnet has a floor for a provider's collateral"
SIZES: Final = "a devnet has two sizes of sectors"
NO_DEPOSIT: Final = "actors v16: a new miner leaves no deposit"
NO_STATUS: Final = "actors v17: no methods for the status of sectors"

DEVNET: Final = Official(
    "v18-devnet",
    left_out={
        "test_what_a_deal_may_be": COLLATERAL,
        "test_proving_periods_and_deposits_of_new_miners": SIZES,
    },
)
V17: Final = Official(
    "v17-testing-fake-proofs",
    27,
    left_out=dict.fromkeys(
        (
            "test_same_sectors",
            "test_getters",
            "test_a_contract_is_an_owner_and_asks",
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

ALONE: Final = Official("our-own-actors")
"""In the place of V18 where there are no test data: ours stand on both sides, on other boundaries and EVM engines. What
the scripts expect of exit codes, returns and states still holds, and the two machines must agree."""
