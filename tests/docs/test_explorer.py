"""The page on the explorer has a picture of each page, which `make explorer-test` makes."""

from __future__ import annotations

from fvm_hypervisor.explorer.further_pages import ROUTES
from tests.explorer.pictures import FOLDER, LARGEST, PICTURES, gallery

PAGE = (FOLDER.parent / "explorer.md").read_text(encoding="utf-8")


def test_every_gallery_picture_exists_and_is_small() -> None:
    assert gallery() in PAGE, "run tests.explorer.pictures.gallery() and put its table here"
    assert sorted(file.name for file in FOLDER.iterdir()) == sorted(f"{name}.webp" for name in PICTURES)
    for name in PICTURES:
        data = (FOLDER / f"{name}.webp").read_bytes()
        assert data[:4] == b"RIFF", name
        assert len(data) < LARGEST, name


def test_every_kind_of_address_is_on_the_page() -> None:
    for route in ROUTES:
        start = route.pattern.pattern.split("(")[0]
        assert start.rstrip("/") in PAGE, route.pattern.pattern
