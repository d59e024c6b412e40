"""Three planted failures, found from the home page by links only: cause and location within three clicks."""

from collections.abc import Callable

import pytest

from tests.explorer.stage import Stage
from tests.localnet.explorer.conftest import Visit, Visitor

MAX_CLICKS = 3
CAUSES = {
    "caught": ("exit 42, an actor-defined exit code", "refused on purpose"),
    "wrong method": ("exit 22 USR_UNHANDLED_MESSAGE, the actor has no such method", "this actor has no method"),
    "out of gas": ("exit 7 SYS_OUT_OF_GAS", "increment"),
}
"""Expected explanations: a native abort inside a caught Solidity call, a wrong method number, a nested out-of-gas."""


def clicks_to(visit: Visitor, found: Callable[[str, Visit], bool]) -> int | None:
    """Return the number of links from the home page to a matching page; None if it is further than the limit."""
    places, seen = ["/"], {"/"}
    for clicks in range(MAX_CLICKS + 1):
        pages = [(place, visit(place)) for place in places]
        if any(found(place, page) for place, page in pages):
            return clicks
        places = []
        for _, page in pages:
            for link in page.links:
                place = link.split("#")[0]
                if place.startswith("/tx/") and not place.endswith(".svg") and place not in seen:
                    seen.add(place)
                    places.append(place)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("failure", CAUSES)
def test_failure_cause_is_within_three_clicks(stage: Stage, visit: Visitor, failure: str) -> None:
    for number in range(5):
        stage.network.send(stage.network.accounts[2], number + 1)
    sentence, words = CAUSES[failure]

    def says_why(place: str, page: Visit) -> bool:
        above = page.text.split(" Epoch ")[0]  # the verdict stands above the facts
        return place == f"/tx/{stage.messages[failure]}" and sentence in above

    def has_the_call(place: str, page: Visit) -> bool:
        return place.startswith(f"/tx/{stage.messages[failure]}/call/") and sentence in page.text and words in page.text

    assert clicks_to(visit, says_why) == 1
    assert clicks_to(visit, has_the_call) == 2
    home = visit("/").text
    assert home.index("SYS_OUT_OF_GAS") < home.index("EVM_CONTRACT_REVERTED")  # the newest first, each marked
