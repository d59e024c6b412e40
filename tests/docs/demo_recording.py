"""Generator of docs/demo.svg (`make recording`): terminal output of three steps of `hypervisor demo`."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from hypervisor_tools.cli.demo import scenario
from hypervisor_tools.cli.demo.scenario import Demo, DemoStep

FILE: Final = Path(__file__).parents[2] / "docs" / "demo.svg"
STEPS: Final = (2, 4, 5)
"""Numbers of the recorded steps: a contract calls a native actor, a call across both runtimes and back, an abort."""

_WIDTH: Final = 112
_THEME: Final = TerminalTheme(
    (24, 26, 31),
    (214, 218, 226),
    [(60, 64, 72), (240, 113, 120), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194),
     (214, 218, 226)],
)  # fmt: skip
# Text elements have a fixed position and length, so the picture does not depend on the reader's fonts.
_FORMAT: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="hypervisor demo">
<style>
.{unique_id}-matrix {{ font: {char_height}px "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def recording() -> str:
    console = Console(
        record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    console.print("[bold]$ hypervisor demo[/bold]")

    def show(demo: Demo, step: DemoStep) -> None:
        if len(demo.steps) in STEPS:
            scenario.print_step(console, demo, step)

    with TemporaryDirectory() as folder:
        scenario.run(Path(folder) / "state", show)
    return console.export_svg(title="hypervisor demo", theme=_THEME, code_format=_FORMAT, unique_id="demo")


if __name__ == "__main__":
    FILE.write_text(recording(), encoding="utf-8")
