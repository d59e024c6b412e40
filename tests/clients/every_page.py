"""Check of all explorer pages of a chain: each exists, and re-executed messages match their records."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

from localnet.fork.node_client import NodeClient

MAX_SIZE: Final = 200_000
_LINK: Final = re.compile(r'href="(/(?:tx|actor|epoch|block)/[^"#]*)"')
_BAD: Final = ("cannot be shown", "a defect of the explorer", "produced another receipt")


def wrong_pages(url: str) -> Iterator[str]:
    """Yield the faulty pages: of each epoch, its messages, their changes, and the actors that they name."""
    with NodeClient(url) as client:
        head = int(client.request("eth_blockNumber"), 16)
    asked: set[str] = set()
    todo = ["/", "/actors", *(f"/epoch/{height}" for height in range(head + 1))]
    while todo:
        place = todo.pop()
        if place in asked:
            continue
        asked.add(place)
        status, text = _get(url + place)
        if status != 200:
            yield f"{place} has status {status}"
        yield from (f"{place}: {bad}" for bad in _BAD if bad in text)
        if len(text) > MAX_SIZE:
            yield f"{place} has {len(text):,} characters"
        if place.startswith(("/epoch/", "/actors")) or place.count("/") == 2:
            todo += [link for link in _LINK.findall(text) if link.count("/") <= 3 and "?" not in link]


def _get(address: str) -> tuple[int, str]:
    try:
        with urlopen(address) as result:
            return result.status, result.read().decode("utf-8", "replace")
    except HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")
