"""`hypervisor gas`: sums that add up to the receipts, histograms, tables and plots for other tools."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hypervisor_tools.laboratory.compare.costs import COLUMNS, histogram
from localnet import Network
from tests.command import run
from tests.hypervisor_tools.laboratory.small_actor import SmallActor


def report(*arguments: object) -> dict[str, Any]:
    done = run("gas", *arguments, "--json", "--workers", 1)
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def receipts(chain: Path) -> dict[str, int]:
    with Network(chain) as network:
        index = network.chain.index
        heights = range(index.first, index.head + 1)
        return {
            f"0x{receipt.hash.hex()}": receipt.gas_used
            for height in heights
            if (tipset := index.tipset_before(height)) is not None and tipset.height == height
            for receipt in index.receipts(tipset)
        }


@pytest.mark.slow
def test_message_gas_matches_receipts_and_tables_sum_to_total(chain: Path) -> None:
    found, stated = report(chain), receipts(chain)
    dearest = {row["label"]: row["gas"] for row in found["dearest"] if not row["implicit"]}
    assert dearest
    assert dearest.items() <= stated.items()
    assert len(found["dearest"]) == 10
    assert found["messages"] - found["implicit"] == len(stated)
    for table in ("charges", "syscalls", "actors", "methods", "tree"):
        assert sum(row["milligas"] for row in found[table]) == found["milligas"], table
    # A receipt rounds each message up to whole gas.
    assert 0 <= sum(stated.values()) * 1000 - _explicit(chain) < 1000 * len(stated)
    assert sum(count for _, _, count in found["histogram"]) == found["messages"]


def _explicit(chain: Path) -> int:
    from hypervisor_tools.laboratory.compare.costs import CostReport, costs_of_job
    from hypervisor_tools.laboratory.compare.jobs import jobs_of
    from hypervisor_tools.laboratory.sides import Side

    costs = CostReport()
    for job in jobs_of([chain], chain, None, None, 1):
        costs.merge(costs_of_job(job, Side(), True))
    names = [name for name, _ in COLUMNS]
    implicit, milligas = names.index("implicit"), names.index("milligas")
    return sum(int(row[milligas]) for row in costs.rows if not row[implicit])


@pytest.mark.slow
def test_syscalls_of_a_small_actor_are_counted_by_name(small_chain: Path) -> None:
    found = report(small_chain)
    counted = {row["name"]: row["count"] for row in found["syscalls"]}
    (actor,) = [row for row in found["actors"] if row["name"] == "datacap"]
    assert actor["count"] == 3
    assert counted["event::emit_event"] == 3  # by hand: the small actor's alone, once a call
    assert {"cron.EpochTick", "reward.AwardBlockReward"} <= {row["name"] for row in found["cron"]}


@pytest.mark.slow
def test_price_option_reports_gas_under_changed_price(chain: Path) -> None:
    plain, other = report(chain), report(chain, "--price", "transfer=6001")
    (count,) = [row["count"] for row in plain["charges"] if row["name"] == "OnValueTransfer"]
    assert other["milligas"] - plain["milligas"] == 1000 * count


@pytest.mark.slow
def test_parallel_run_and_range_give_same_gas(chain: Path) -> None:
    assert run("gas", chain, "--workers", 2).stdout == run("gas", chain, "--workers", 1).stdout
    text = run("gas", chain, "--from", 2, "--to", 3, "--workers", 1).stdout
    assert text.startswith("2 cases with 6 messages, 4 of them of rewards and cron, as recorded\ngas ")
    for title in (
        "by charge",
        "by syscall",
        "by actor",
        "by method",
        "calls by cron",
        "messages by gas",
        "the most expensive",
    ):
        assert f"\n{title}" in text


def test_bins_are_steps_of_1_2_and_5() -> None:
    assert histogram([]) == []
    assert histogram([0, 3, 4, 9, 70]) == [
        (0, 1, 1),
        (1, 2, 0),
        (2, 5, 2),
        (5, 10, 1),
        (10, 20, 0),
        (20, 50, 0),
        (50, 100, 1),
    ]
    assert histogram([100, 100, 199]) == [(100, 200, 3)]


@pytest.mark.slow
def test_table_as_csv_and_as_parquet_is_the_same_and_adds_up(small_chain: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    text, columns = tmp_path / "costs.csv", tmp_path / "costs.parquet"
    found = report(small_chain, "--csv", text, "--parquet", columns)
    with text.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [*rows[0]] == [name for name, _ in COLUMNS]
    assert sum(int(row["milligas"]) for row in rows) == found["milligas"]
    linked = [row for row in rows if row["charge"] == "OnBlockLink" and row["method"] == "datacap.2"]
    assert [(row["actor_id"], row["syscall"]) for row in linked] == [("7", "ipld::block_link")] * 3
    table = parquet.read_table(columns)
    assert table.column_names == [name for name, _ in COLUMNS]
    assert str(table.schema.field("implicit").type) == "bool"
    as_text = [{name: str(value) for name, value in row.items()} for row in table.to_pylist()]
    assert as_text == rows


@pytest.mark.slow
def test_plots_are_deterministic_and_contain_no_untrusted_markup(small_chain: Path, tmp_path: Path) -> None:
    pictures = [tmp_path / name for name in ("a.png", "a.svg", "b.svg")]
    for picture in pictures:
        assert run("gas", small_chain, "--plot", picture, "--workers", 1).exit_code == 0
    assert pictures[0].read_bytes().startswith(b"\x89PNG\r\n")
    assert pictures[1].read_bytes() == pictures[2].read_bytes()
    assert b"<script" not in pictures[1].read_bytes()


@pytest.mark.slow
def test_title_with_signs_of_mathematics_is_drawn_as_it_is(small_chain: Path, tmp_path: Path) -> None:
    odd = tmp_path / "$a_{$ <b>"
    odd.symlink_to(small_chain, target_is_directory=True)
    assert run("gas", odd, "--plot", tmp_path / "x.svg", "--workers", 1).exit_code == 0


@pytest.mark.parametrize(
    ("package", "option", "file", "extra"),
    [("pyarrow", "--parquet", "x.parquet", "parquet"), ("matplotlib", "--plot", "x.svg", "plots")],
)
def test_missing_extra_is_reported_before_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, option: str, file: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    done = run("gas", tmp_path / "absent", option, tmp_path / file)
    assert done.exit_code == 2
    assert f"needs {package}, which is not installed: pip install 'fvm-hypervisor[{extra}]'" in done.stderr
    assert not (tmp_path / file).exists()


@pytest.mark.slow
def test_gas_of_several_bundles_is_compared(small_chain: Path, tmp_path: Path) -> None:
    module = tmp_path / "other.wasm"
    module.write_bytes(SmallActor(blocks=2).module())
    more = report(small_chain, "--actor", f"datacap={module}")
    assert more["milligas"] > report(small_chain)["milligas"]
    done = run("gas", small_chain, "--actor", f"datacap={module},{module}")
    assert (done.exit_code, "`hypervisor compare` runs two" in done.stderr) == (2, True)
    wrong = run("gas", small_chain, "--plot", tmp_path / "x.gif")
    assert (wrong.exit_code, "must be a .png or .svg file" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("command", [["gas", "--csv"], ["gas", "--parquet"], ["gas", "--plot"], ["compare", "--html"]])
def test_missing_output_folder_is_refused_before_execution(command: list[str], tmp_path: Path) -> None:
    name, option = command
    done = run(name, tmp_path / "nothing", option, tmp_path / "no" / "costs.svg")
    assert (done.exit_code, f"the folder {tmp_path / 'no'} for " in done.stderr) == (2, True), done.stderr
