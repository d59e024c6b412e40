"""The explorer in headless chromium on a node: pages, keys, live updates, a revert below an open page, layout.

`make explorer-test` runs these tests. Screenshots of each page, light and dark, wide and 390 pixels wide, go to
build/explorer.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet import Network, TransactionFailed
from localnet.explorer.application import explorer
from localnet.rpc.server.server import serving
from tests.conftest import bundle_file, kinds
from tests.explorer.browser import BrowserPage, browsing, chromium
from tests.explorer.pictures import LARGEST, NARROW, PICTURES, WIDE, addresses
from tests.explorer.stage import ARTIFACTS, Stage, make_stage
from tests.localnet.rpc.server.test_http import ask

pytestmark = pytest.mark.long

SHOTS = Path(os.environ.get("FVM_SCREENSHOTS", Path(__file__).parents[2] / "build" / "explorer"))
ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
OWN_BUNDLE = pytest.mark.parametrize("stage", ["own"], indirect=True)
"""Runs a test that opens every page, which takes 40 s, on the project's own bundle only."""
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"

CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.checkVisibility({ checkVisibilityCSS: true })) continue;
    if (node.closest(".hidden, .skip")) continue;
    let ground = node, back = parts("transparent");
    for (; ground && back[3] < 255; ground = ground.parentElement)
      back = parts(getComputedStyle(ground).backgroundColor);
    const [a, b] = [light(parts(getComputedStyle(node).color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.className} ${walk.currentNode.data.trim().slice(0, 30)}`);
  }
  return found;
})()
"""
"""Texts with a contrast below WCAG AA's 4.5, by the formula of WCAG 2.2."""


@pytest.fixture(scope="module")
def program() -> str:
    found = chromium()
    if found is None:
        reason = "no chromium here: `apt-get install chromium`, or name one with FVM_CHROMIUM"
        if os.environ.get("EXPLORER_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module", params=kinds())
def stage(request: pytest.FixtureRequest) -> Iterator[tuple[Stage, str]]:
    """Serve the demo's network with its failures on each bundle."""
    bundle = None if request.param == "own" else bundle_file("bundles/v18-testing-fake-proofs.car")
    with Network(bundle=bundle) as network:
        made = make_stage(network)
        made.network.mine(null_rounds=3)
        with serving(network, pages=explorer([ARTIFACTS])) as url:
            yield made, url


@pytest.fixture
def page(program: str) -> Iterator[BrowserPage]:
    with browsing(program) as found:
        found.resize(WIDE)
        yield found
        assert found.errors == []


@OWN_BUNDLE
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_pages_fit_width_meet_wcag_aa_and_load_no_external_host(
    stage: tuple[Stage, str], page: BrowserPage, width: int, dark: bool
) -> None:
    made, url = stage
    page.resize(width, dark=dark)
    for name, address in addresses(made).items():
        if name in ("calls-picture", "flame"):  # pictures that stand for themselves
            continue
        page.open(url + address)
        page.until(
            "document.getElementById('live').textContent === 'live' || !document.getElementById('main').dataset.live"
        )
        page.screenshot(SHOTS / f"{name}-{width}-{'dark' if dark else 'light'}.png")
        assert page.run("document.documentElement.scrollWidth") <= width, name
        assert page.run(CONTRASTS) == [], name
    assert page.other_hosts(url) == []
    page.errors = [each for each in page.errors if "404" not in each]  # the browser notes the page that is not there


@OWN_BUNDLE
def test_the_pictures_of_the_docs_are_made(stage: tuple[Stage, str], page: BrowserPage) -> None:
    """`FVM_SCREENSHOTS=DIR make explorer-test ARGS="-k docs"` writes DIR/docs, the source of docs/explorer."""
    made, url = stage
    pages = addresses(made)
    assert list(pages) == list(PICTURES)
    for name, (width, dark, _) in PICTURES.items():
        page.resize(width, 760 if width == NARROW else 720, dark=dark)
        page.open(url + pages[name])
        page.until("!document.getElementById('main')?.dataset.live || document.getElementById('live').textContent")
        file = SHOTS / "docs" / f"{name}.webp"
        page.screenshot(file)
        assert 1_000 < file.stat().st_size < LARGEST, name
    page.errors = [each for each in page.errors if "404" not in each]  # the browser notes the page that is not there


def test_home_page_follows_chain_without_layout_shift(stage: tuple[Stage, str], page: BrowserPage) -> None:
    _, url = stage
    page.open(f"{url}/")
    page.until("document.getElementById('live').textContent === 'live'")
    page.run(
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((each) => shift += each.value))"
        ".observe({ type: 'layout-shift', buffered: true }); 0"
    )
    page.run("window.same = true; 0")
    for _ in range(2):
        sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": "0x" + "12" * 20, "value": "0x1"})
        page.until(f"document.querySelector('a[href=\"/tx/{sent}\"]') !== null")
    assert page.run("window.same") is True  # the page was never loaded anew
    assert page.run("shift") < 0.1  # what browsers call good


def test_reverted_message_is_reported_and_returns_when_resent(stage: tuple[Stage, str], page: BrowserPage) -> None:
    _, url = stage
    snapshot = ask(url, "evm_snapshot")
    sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": "0x" + "34" * 20, "value": "0x1", "gas": "0x989680"})
    page.open(f"{url}/tx/{sent}")
    page.until("document.getElementById('live').textContent === 'live'")
    assert "Succeeded" in page.text()
    ask(url, "evm_revert", snapshot)
    page.until("document.body.innerText.includes('is not on this chain')")
    again = ask(url, "eth_sendTransaction", {"from": ALICE, "to": "0x" + "34" * 20, "value": "0x1", "gas": "0x989680"})
    assert again == sent
    page.until("document.body.innerText.includes('Succeeded')")
    page.errors = [each for each in page.errors if "404" not in each]  # the browser notes the page that was gone


def test_a_page_is_used_with_the_keyboard_alone(stage: tuple[Stage, str], page: BrowserPage) -> None:
    made, url = stage
    page.open(f"{url}/epoch/3")
    page.press("]")
    page.until("location.pathname === '/epoch/4'")
    page.until("document.readyState === 'complete'")
    page.press("/")
    assert page.run("document.activeElement.id") == "q"
    page.type(made.messages["caught"])
    page.press("Enter")
    page.until(f"location.pathname === '/tx/{made.messages['caught']}'")
    page.until("document.readyState === 'complete'")
    page.press("c")
    assert page.run("[...document.querySelectorAll('details')].some((each) => each.open)") is False
    page.press("e")
    assert page.run("[...document.querySelectorAll('details')].every((each) => each.open)") is True
    page.press("j")
    assert page.run("document.activeElement.tagName") == "SUMMARY"


def test_copy_buttons_copy_displayed_text(stage: tuple[Stage, str], page: BrowserPage) -> None:
    made, url = stage
    page.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], origin=url)
    page.open(f"{url}/tx/{made.messages['wrong method']}")
    page.run("document.querySelector('button[data-copy]').click(); 0")
    page.until(f"navigator.clipboard.readText().then((text) => text === '{made.messages['wrong method']}')")
    page.run("document.querySelector('button[data-copy-from$=cast]').click(); 0")
    start = f"cast send --rpc-url {url} --from 0xf39F"
    page.until(f"navigator.clipboard.readText().then((text) => text.startsWith('{start}'))")


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("caught", "exit 42, an actor-defined exit code"),
        ("wrong method", "exit 22 USR_UNHANDLED_MESSAGE, the actor has no such method"),
        ("out of gas", "exit 7 SYS_OUT_OF_GAS"),
    ],
)
def test_a_failure_is_explained_one_click_from_the_home_page(
    stage: tuple[Stage, str], page: BrowserPage, failure: str, sentence: str
) -> None:
    made, url = stage
    page.open(f"{url}/")
    link = f"main a[href='/tx/{made.messages[failure]}']"
    page.until(f'document.querySelector("{link}") !== null')
    page.run(f'document.querySelector("{link}").click(); 0')
    page.until("location.pathname.startsWith('/tx/') && document.querySelector('.verdict') !== null")
    verdict = page.run("document.querySelector('.verdict').innerText")
    assert sentence in verdict
    assert page.run("document.querySelector('.verdict').getBoundingClientRect().bottom") < 400


def test_controls_are_obeyed_as_requests_are(stage: tuple[Stage, str], page: BrowserPage) -> None:
    _, url = stage
    page.open(f"{url}/controls")

    def send(method: str, *values: str) -> str:
        form = f"document.querySelector('form[data-rpc={method}]')"
        for place, value in enumerate(values):
            page.run(f"{form}.querySelector('[name=p{place}]').value = '{value}'; 0")
        page.run(f"{form}.querySelector('output').textContent = ''; {form}.querySelector('button').click(); 0")
        output = f"{form}.querySelector('output').textContent"
        page.until(f"!['', '…'].includes({output})")
        return str(page.run(output))

    before = int(ask(url, "eth_blockNumber"), 16)
    assert send("evm_snapshot").startswith("0x")
    assert send("anvil_mine", "3") == "done"
    assert int(send("hypervisor_mineAfterNullRounds", "4"), 16) == before + 8
    assert send("anvil_setBalance", "0x" + "78" * 20, "2.5") == "done"
    assert ask(url, "eth_getBalance", "0x" + "78" * 20, "latest") == hex(5 * 10**18 // 2)
    assert "is not an address" in send("anvil_setBalance", "nothing", "1")
    assert "is not an amount of FIL" in send("anvil_setBalance", "0x" + "78" * 20, "1,5")
    revert = "document.querySelector('form[data-rpc=evm_revert]')"
    page.run(f"{revert}.querySelector('button').click(); 0")  # to the snapshot that was taken last
    page.until(f"{revert}.querySelector('output').textContent === 'done'")
    assert int(ask(url, "eth_blockNumber"), 16) == before


def test_explorer_form_calls_contract_and_sends_transaction(stage: tuple[Stage, str], page: BrowserPage) -> None:
    made, url = stage
    page.open(f"{url}/actor/0x{made.inbox.address.hex()}/call")
    form = "[...document.querySelectorAll('form')].find((each) => each.f?.value === 'greet(string)')"
    page.run(f"{form}.a0.value = 'from a browser'; {form}.querySelector('button').click(); 0")
    page.until("document.querySelector('button.send') !== null")
    height = int(ask(url, "eth_blockNumber"), 16)
    page.run("document.querySelector('button.send').click(); 0")
    page.until("document.querySelector('button.send + output a') !== null")
    assert int(ask(url, "eth_blockNumber"), 16) == height + 1
    page.run("document.querySelector('button.send + output a').click(); 0")
    page.until("location.pathname.startsWith('/tx/') && document.body.innerText.includes('Succeeded')")
    assert "from a browser" in page.text()


def test_contract_output_runs_no_script_in_browser(stage: tuple[Stage, str], page: BrowserPage) -> None:
    made, url = stage
    data = "0x" + made.inbox.interface.encode_call("refuse", MARKUP).hex()
    request = {"from": ALICE, "to": f"0x{made.inbox.address.hex()}", "data": data, "gas": hex(10**9)}
    sent = ask(url, "eth_sendTransaction", request)
    for address in (f"/tx/{sent}", f"/tx/{sent}/call/0", f"/tx/{sent}/calls.svg", "/"):
        page.open(url + address)  # a dialog would hold it up
    page.open(f"{url}/tx/{sent}")
    assert "<script>alert(1)</script>" in page.text()
    assert page.run("document.querySelectorAll('main script, main img').length") == 0


def test_page_throttles_fast_updates_and_shows_latest_state(stage: tuple[Stage, str], page: BrowserPage) -> None:
    _, url = stage
    page.open(f"{url}/")
    page.until("document.getElementById('live').textContent === 'live'")
    for number in range(100):
        sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": "0x" + "9a" * 20, "value": hex(number + 1)})
    page.until(f"document.querySelector('a[href=\"/tx/{sent}\"]') !== null")
    applied = [frame for frame in page.frames if '"apply"' in frame]
    assert 1 <= len(applied) < 50  # each would be one of 100, were it not to rest


def test_hidden_page_makes_no_requests(stage: tuple[Stage, str], page: BrowserPage) -> None:
    _, url = stage
    page.open(f"{url}/")
    page.until("document.getElementById('live').textContent === 'live'")
    page.run("Object.defineProperty(document, 'hidden', { value: true, configurable: true }); 0")
    before = len([each for each in page.requests if each == f"{url}/"])
    sent = ask(url, "eth_sendTransaction", {"from": ALICE, "to": "0x" + "56" * 20, "value": "0x1"})
    page.run("new Promise((done) => setTimeout(done, 3000))")
    assert len([each for each in page.requests if each == f"{url}/"]) == before
    page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); 0")
    page.until(f"document.querySelector('a[href=\"/tx/{sent}\"]') !== null")


def test_a_chain_under_ethereums_rules_has_the_same_pages(program: str) -> None:
    with Network(rules="ethereum") as network, serving(network, pages=explorer([ARTIFACTS])) as url:
        inbox = network.deploy(ARTIFACTS / "Inbox.json")
        inbox.send("greet", "hello")
        with pytest.raises(TransactionFailed):
            network.send(inbox.address, 0, inbox.interface.encode_call("refuse", "not today"), gas_limit=10**6)
        failed = network.head.transactions[0].hex()
        with browsing(program) as page:
            page.resize(WIDE)
            for address in ("/", "/epoch/2", f"/actor/0x{inbox.address.hex()}", "/actors", f"/tx/0x{failed}"):
                page.open(url + address)
                assert "cannot be shown" not in page.text(), address
            assert "not today" in page.run("document.querySelector('.verdict').innerText")
            page.screenshot(SHOTS / "ethereum-failed.png")
            assert (page.errors, page.other_hosts(url)) == ([], [])
