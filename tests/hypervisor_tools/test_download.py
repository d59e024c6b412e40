"""Downloads from a faulty server: complete files, resumed parts, and rejected responses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.download import DownloadFailed, download
from tests.hypervisor_tools.bundles.server import Site, serving

CONTENT = bytes(range(256)) * 1000
LIMIT = 1_000_000


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(CONTENT)) as site:
        yield site


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def test_download_writes_file_and_reports_bytes(site: Site, part: Path) -> None:
    seen: list[int] = []
    download(f"{site.url}/file", part, LIMIT, seen.append)
    assert part.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


def test_redirect_is_followed(site: Site, part: Path) -> None:
    download(f"{site.url}/moved", part, LIMIT)
    assert part.read_bytes() == CONTENT


def test_interrupted_download_is_stored_and_resumed(site: Site, part: Path) -> None:
    site.cut_after = 100_000
    with pytest.raises(DownloadFailed, match="after 100,000 of 256,000 bytes"):
        download(f"{site.url}/file", part, LIMIT)
    assert part.read_bytes() == CONTENT[:100_000]
    site.cut_after = None
    download(f"{site.url}/moved", part, LIMIT)
    assert part.read_bytes() == CONTENT
    assert site.asked == ["", "bytes=100000-"]


def test_server_without_ranges_sends_all_again(site: Site, part: Path) -> None:
    site.ranges = False
    part.write_bytes(b"x" * 300_000)
    download(f"{site.url}/file", part, LIMIT)
    assert part.read_bytes() == CONTENT


def test_complete_partial_download_is_not_requested_again(site: Site, part: Path) -> None:
    part.write_bytes(CONTENT)
    download(f"{site.url}/file", part, LIMIT)
    assert part.read_bytes() == CONTENT
    assert len(site.asked) == 1


def test_partial_file_longer_than_download_is_discarded(site: Site, part: Path) -> None:
    part.write_bytes(bytes(300_000))
    download(f"{site.url}/file", part, LIMIT)
    assert part.read_bytes() == CONTENT


def test_endless_download_stops_at_limit_and_leaves_no_file(site: Site, part: Path) -> None:
    seen: list[int] = []
    with pytest.raises(InvalidInput, match="more than 1,000,000 bytes"):
        download(f"{site.url}/endless", part, LIMIT, seen.append)
    assert max(seen) <= LIMIT + (1 << 16)
    assert not part.exists()


def test_length_above_limit_is_refused_before_reading(site: Site, part: Path) -> None:
    seen: list[int] = []
    with pytest.raises(InvalidInput, match="more than 1,000 bytes"):
        download(f"{site.url}/file", part, 1_000, seen.append)
    assert (seen, part.exists()) == ([], False)


def test_download_response_with_wrong_range_is_discarded(site: Site, part: Path) -> None:
    part.write_bytes(b"abcd")
    with pytest.raises(DownloadFailed, match="another byte range"):
        download(f"{site.url}/other-range", part, LIMIT)
    assert not part.exists()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("absent", "responded with 404 Not here"),
        ("loop", "infinite loop|responded with 302"),
        ("local", "responded with 302|not allowed"),
    ],
)
def test_error_response_of_server_is_quoted(site: Site, part: Path, path: str, words: str) -> None:
    with pytest.raises(DownloadFailed, match=words):
        download(f"{site.url}/{path}", part, LIMIT)
    assert not part.exists()


def test_unreachable_download_host_is_reported(part: Path) -> None:
    with serving(Site()) as site:
        url = site.url
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        download(f"{url}/file", part, LIMIT)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://localhost/x", "data:text/plain,x", "v18", ""])
def test_only_http_is_a_download(url: str, part: Path) -> None:
    with pytest.raises(InvalidInput, match="begins with https://"):
        download(url, part, LIMIT)


@pytest.mark.parametrize("url", ["http://", "http://[", "http://local host/x", "http://127.0.0.1:99999/"])
def test_invalid_url_is_refused(url: str, part: Path) -> None:
    with pytest.raises((InvalidInput, DownloadFailed)):
        download(url, part, LIMIT)
