"""Version pragmas allow the releases that npm's semantic versioning allows.

Expectations come from npm's semver 7, and for two comparisons without a blank, which it does not take, from solc.
"""

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile.releases import Pragmas, version_pragmas

RELEASES = ["0.5.0", "0.5.17", "0.6.2", "0.7.6", "0.8.0", "0.8.19", "0.8.20", "0.8.37", "0.9.0", "1.0.0", "1.2.3"]


@pytest.mark.parametrize(
    ("expression", "admitted"),
    [
        ("0.8.19", "0.8.19"),
        ("=0.8.19", "0.8.19"),
        ("v0.8.19", "0.8.19"),
        ("^0.8.19", "0.8.19 0.8.20 0.8.37"),
        ("^ 0.8.19", "0.8.19 0.8.20 0.8.37"),
        ("^0.8", "0.8.0 0.8.19 0.8.20 0.8.37"),
        ("^0", "0.5.0 0.5.17 0.6.2 0.7.6 0.8.0 0.8.19 0.8.20 0.8.37 0.9.0"),
        ("^1.0.0", "1.0.0 1.2.3"),
        ("~0.8.19", "0.8.19 0.8.20 0.8.37"),
        ("~1.2", "1.2.3"),
        ("~1", "1.0.0 1.2.3"),
        ("0.8", "0.8.0 0.8.19 0.8.20 0.8.37"),
        ("0.8.x", "0.8.0 0.8.19 0.8.20 0.8.37"),
        ("*", " ".join(RELEASES)),
        (">0.8", "0.9.0 1.0.0 1.2.3"),
        (">=0.8", "0.8.0 0.8.19 0.8.20 0.8.37 0.9.0 1.0.0 1.2.3"),
        ("<0.8", "0.5.0 0.5.17 0.6.2 0.7.6"),
        ("<=0.8", "0.5.0 0.5.17 0.6.2 0.7.6 0.8.0 0.8.19 0.8.20 0.8.37"),
        (">0.8.19", "0.8.20 0.8.37 0.9.0 1.0.0 1.2.3"),
        ("<=0.5.17", "0.5.0 0.5.17"),
        (">=0.6.2 <0.9.0", "0.6.2 0.7.6 0.8.0 0.8.19 0.8.20 0.8.37"),
        (">=0.6.2<0.9.0", "0.6.2 0.7.6 0.8.0 0.8.19 0.8.20 0.8.37"),
        (">= 0.6.2 < 0.8.0", "0.6.2 0.7.6"),
        ("0.6.0 - 0.8.19", "0.6.2 0.7.6 0.8.0 0.8.19"),
        ("0.6 - 0.8", "0.6.2 0.7.6 0.8.0 0.8.19 0.8.20 0.8.37"),
        ("^0.5.0 || 0.8.20", "0.5.0 0.5.17 0.8.20"),
        ("<0.5.0 || >=1", "1.0.0 1.2.3"),
    ],
)
def test_an_expression_admits_these_releases(expression: str, admitted: str) -> None:
    pragmas = Pragmas([("A.sol", f"// comment\npragma solidity {expression};\ncontract A {{}}")])
    assert [version for version in RELEASES if pragmas.admit(version)] == admitted.split()


def test_all_pragmas_count_and_the_newest_release_is_found() -> None:
    pragmas = Pragmas([("A", "pragma solidity ^0.8.0;"), ("B", "pragma solidity <0.8.20;"), ("C", "contract C {}")])
    assert pragmas.newest(RELEASES) == "0.8.19"
    assert Pragmas([("C", "contract C {}")]).newest(RELEASES) == "1.2.3"
    assert Pragmas([("A", "pragma solidity >2;")]).newest(RELEASES) is None


def test_pragmas_of_comments_and_other_pragmas_do_not_count() -> None:
    text = "/* pragma solidity ^0.4.0; */\n// pragma solidity 0.4.1;\npragma abicoder v2;\npragma  solidity\n  0.8.1 ;"
    assert version_pragmas(text) == ["0.8.1"]


@pytest.mark.parametrize("expression", ["new", "^", "0.8.0 |", "", "0.8.0.1"])
def test_invalid_version_pragma_is_named_with_source(expression: str) -> None:
    with pytest.raises(InvalidInput, match=r"^src/A\.sol: 'pragma solidity .*' is not a version pragma$"):
        Pragmas([("src/A.sol", f"pragma solidity {expression};")]).admit("0.8.0")
