"""PDPVerifier, FilecoinPay, the provider registry and warm storage, unmodified, on a node: life cycle of a data set.

`make clients-foc` installs the dependencies. The contract sources are those of FVM_SUITES (tests/soltests/folder.py).
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from localnet.fork.node_client import NodeClient
from tests.clients.conftest import INSTALLED, node_process, start
from tests.clients.conftest import installed as packages
from tests.conftest import data_file
from tests.soltests.folder import public_suites

pytestmark = pytest.mark.long

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def cloud() -> Path:
    """Return a folder with the npm packages, the client programs and the compiled contracts."""
    folder, suites = packages(INSTALLED / "foc", HERE), public_suites()
    for source in (*HERE.glob("*.mjs"), *HERE.glob("*.sol")):
        shutil.copy(source, folder)
    stamp, wanted = folder / "compiled", (HERE / "compile.mjs").read_bytes() + (HERE / "Usdfc.sol").read_bytes()
    if not stamp.exists() or stamp.read_bytes() != wanted:
        done = start(folder, "node", "compile.mjs", suites, "artifacts", folder=folder)
        assert done.returncode == 0, done.stderr
        stamp.write_bytes(wanted)
    return folder


@pytest.mark.parametrize("bundle", ["", "bundles/v18-testing-fake-proofs.car"], ids=["our-actors", "official-actors"])
def test_data_set_is_created_proved_paid_and_read_by_synapse(bundle: str, cloud: Path, tmp_path: Path) -> None:
    options = ["--bundle", str(data_file(bundle))] if bundle else []
    with node_process(tmp_path, *options) as url:
        setup = start(cloud, "node", "foc.mjs", url, "artifacts", folder=cloud)
        assert setup.returncode == 0, setup.stderr
        report = tmp_path / "report.json"
        report.write_text(setup.stdout, encoding="utf-8")
        read = start(cloud, "node", "synapse.mjs", url, report, folder=cloud)
        assert read.returncode == 0, read.stderr
        assert list(wrong_pages(url)) == []  # the explorer's, of all that was done
    print(setup.stderr + read.stderr)


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
