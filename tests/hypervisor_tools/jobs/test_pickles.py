"""Archives of sent files: which entries of a folder they hold."""

import os
from pathlib import Path

from hypervisor_tools.jobs.pickles import Archive, unpack


def _sent(root: Path, to: Path) -> set[str]:
    unpack(Archive.of([root]).data, to)
    return {path.relative_to(to / "0" / root.name).as_posix() for path in (to / "0" / root.name).rglob("*")}


def test_only_links_that_stay_in_the_folder_are_sent(tmp_path: Path) -> None:
    root, private = tmp_path / "checkout", tmp_path / "checkout-private"
    (root / "src").mkdir(parents=True)
    private.mkdir()
    (private / "key").write_text("secret", encoding="utf-8")
    (root / "src" / "a").write_text("a", encoding="utf-8")
    links: dict[str, str | Path] = {
        "s": private,
        "key": "../checkout-private/key",
        "by": "s/key",
        "in": "src/a",
        "full": root / "src",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    (tmp_path / "named").symlink_to(root)
    for given in (root, tmp_path / "named"):
        to = tmp_path / f"sent-{given.name}"
        assert _sent(given, to) == {"src", "src/a", "in", "full"}
        unpacked = to / "0" / given.name
        assert (unpacked / "in").resolve() == unpacked / "src" / "a"
        assert (unpacked / "full").resolve() == unpacked / "src"


def test_folder_with_broken_links_and_pipes_is_sent(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "a").write_text("a", encoding="utf-8")
    for name, target in {"dangling": "none", "circle": "circle", "loop": "."}.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    assert {"a"} <= _sent(root, tmp_path / "sent") <= {"a", "loop"}
    assert Archive.of([root / "pipe"]).roots == ()
