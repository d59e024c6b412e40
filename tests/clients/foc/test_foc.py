"""PDPVerifier, FilecoinPay, the provider registry and warm storage, unmodified, on a node: life cycle of a data set.

`make clients-foc` installs the dependencies. The contract sources are those of FVM_SUITES (tests/soltests/folder.py).
"""

import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import INSTALLED, start
from tests.clients.conftest import installed as packages
from tests.clients.every_page import wrong_pages
from tests.clients.nodes import node_process
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
