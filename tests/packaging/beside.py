"""`make beside`: the dependencies resolve together with each supported framework and have wheels on Linux x86_64.

uv resolves them from the package index and installs nothing. It prints one line per framework with the chosen versions
of the shared packages. Exit status: 0 if all resolve, else 1 with uv's explanation.
"""

import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import run
from typing import Final

from tests.packaging import PROJECT

FRAMEWORKS: Final = ("titanoboa==0.2.8", "moccasin==0.4.4", "eth-ape==0.8.52", "web3==8.0.0", "eth-tester==0.14.0b1")
PYTHONS: Final = ("3.13", "3.11", "3.14")
"""Python versions. Frameworks are resolved for the first."""
PLATFORM: Final = "x86_64-manylinux_2_28"
SHARED: Final = ("cbor2", "eth-abi", "eth-account", "py-evm", "rich", "typer", "websockets")
"""Our dependencies for which these frameworks have limits of their own."""

_UV: Final = Path(sys.executable).with_name("uv")


def main() -> int:
    conflicts = 0
    with ThreadPoolExecutor() as workers:  # uv waits for the index most of the time
        beside = [workers.submit(resolve, ["pyproject.toml", "-"], PYTHONS[0], each) for each in FRAMEWORKS]
        alone = [workers.submit(resolve, ["pyproject.toml"], each, wheels_for=PLATFORM) for each in PYTHONS]
    for framework, result in zip(FRAMEWORKS, beside, strict=True):
        chosen, explanation = result.result()
        conflicts += explanation != ""
        print(f"{framework}: {explanation or ', '.join(f'{name} {chosen[name]}' for name in SHARED)}", flush=True)
    for python, result in zip(PYTHONS, alone, strict=True):
        chosen, explanation = result.result()
        conflicts += explanation != ""
        print(f"Python {python} on {PLATFORM}: {explanation or f'wheels of all {len(chosen)} packages'}", flush=True)
    return 1 if conflicts else 0


def resolve(sources: Sequence[str], python: str, more: str = "", *, wheels_for: str = "") -> tuple[dict[str, str], str]:
    """Return the version of each package in an environment with the requirements of `sources` and `more`.

    The second value is uv's explanation of a conflict, or empty. `wheels_for` names a platform for which each package
    must have a wheel.
    """
    options = ("--quiet", "--no-header", "--no-annotate", "--no-config", "--python-version", python)
    wheels = ("--only-binary", ":all:", "--python-platform", wheels_for) if wheels_for else ()
    done = run(
        [_UV, "pip", "compile", *options, *wheels, *sources],
        input=more,
        cwd=PROJECT,
        text=True,
        capture_output=True,
        check=False,
    )
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", done.stdout, re.MULTILINE)), done.stderr if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
