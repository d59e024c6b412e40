"""The tables of docs/foundry-flags.md list all options and keys of forge, each with its support."""

import re

from fvm_hypervisor.cli.forge_options import ALIASES, UNSUPPORTED
from fvm_hypervisor.soltest.foundry_keys import NOT_READ
from tests.docs.forge_names import recorded
from tests.docs.foundry_flags_page import ELSEWHERE, forge_test_options, keys, own_options, reads, report_options

NAMES = recorded()


def test_each_option_and_key_of_forge_has_its_row() -> None:
    text = forge_test_options() + report_options() + keys()
    rows = re.findall(r"^\| `([^`]+)` \| (?:yes|no: |[^|]{10})", text, re.MULTILINE)
    assert rows == [*NAMES["test"], *NAMES["coverage"], *NAMES["snapshot"], *NAMES["keys"]]


def test_missing_flag_lists_contain_no_stale_entries() -> None:
    assert set(UNSUPPORTED) | set(ALIASES) <= {*NAMES["test"], "-D", "-k", "-r"}
    assert set(ELSEWHERE) <= {*NAMES["coverage"], *NAMES["snapshot"]} - own_options()
    assert set(NOT_READ) == {key for key in NAMES["keys"] if not reads(key)}
