"""Choice of the compiler: a pinned release, downloaded if missing, and nothing of the checkout without consent."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.compile import releases
from hypervisor_tools.soltest.compile.compiler import CompileError, ResidentCompiler, Solc
from hypervisor_tools.soltest.compile.releases import VERSION, parse_release
from hypervisor_tools.soltest.compile.solc import SolcChoice
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.consent import Consent, ConsentNeeded, Grant
from hypervisor_tools.soltest.project.project import CompilerSettings, Project, load_project
from hypervisor_tools.soltest.run.session import SuiteSession

NODE = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
SOURCE = (
    "module.exports = {{ cwrap: () => (input) => JSON.stringify({{ compiler: '{}', asked: JSON.parse(input) }}) }};"
)
HOSTILE = "require('fs').writeFileSync({path!r}, 'ran'); module.exports = {{ cwrap: () => () => '{{}}' }};"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a user without compilers; npm fails unless a test provides its own."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    fake_npm(tmp_path, monkeypatch, "echo 'npm error offline' >&2; exit 1")
    return tmp_path / "XDG_CACHE_HOME" / "fvm-hypervisor" / "solc"


def choose_solc(
    wanted: Project,
    use: str | None = None,
    notify: Callable[[str], None] = lambda _: None,
    **texts: str,
) -> Solc:
    return SolcChoice(wanted, use, notify).solc(texts.items())


def put(cache: Path, version: str, source: str, pin: str | None = None) -> Path:
    """Put a release into the cache, as an installation does."""
    folder = cache / version
    folder.mkdir(parents=True)
    (folder / "soljson.js").write_text(source)
    (folder / "sha256").write_text(sha256(source.encode()).hexdigest() if pin is None else pin)
    return folder / "soljson.js"


def package(folder: Path, version: str, source: str) -> None:
    """Create npm's solc package in a folder; its index.js, which Node.js would load, is the hostile one too."""
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(f'{{"name": "solc", "version": "{version}"}}')
    for name in ("index.js", "soljson.js"):
        (folder / name).write_text(source)


def project(root: Path, version: str | None = None) -> Project:
    root.mkdir(parents=True, exist_ok=True)
    return Project(root, compiler=CompilerSettings(version=version))


def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def tarball(place: Path, content: bytes, name: str = "package/soljson.js") -> Path:
    with tarfile.open(place, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return place


@pytest.mark.slow
@NODE
@pytest.mark.parametrize("place", ["project/node_modules/solc", "node_modules/solc"], ids=["its own", "a parent's"])
def test_compiler_in_checkout_or_parent_folder_is_not_run(tmp_path: Path, cache: Path, place: str) -> None:
    trace = tmp_path / "trace"
    package(tmp_path / place, "0.8.999", HOSTILE.format(path=str(trace)))
    wanted = project(tmp_path / "project", "0.8.999")
    with pytest.raises(
        InvalidInput, match=r"asks for solc 0\.8\.999, whose SHA-256 is not known here: --use 0\.8\.999"
    ):
        choose_solc(wanted, None)
    put(cache, "0.8.999", SOURCE.format("cached"))
    for asked, use in ((wanted, None), (project(tmp_path / "project"), None), (wanted, "0.8.999")):
        assert choose_solc(asked, use).start().compile({"a": 1}) == {"compiler": "cached", "asked": {"a": 1}}
    assert not trace.exists()


def test_foundry_toml_solc_program_runs_only_with_consent(tmp_path: Path) -> None:
    program = tmp_path / "project" / "evil"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/trace\necho 'Version: 0.8.30+commit'\n")
    program.chmod(0o755)
    wanted = project(tmp_path / "project", "./evil")
    with pytest.raises(ConsentNeeded, match=r"has the compiler \./evil, .* \(solc of foundry\.toml\): .*trust"):
        choose_solc(wanted, None)
    assert not (tmp_path / "trace").exists()
    trusted = replace(wanted, consent=Grant(frozenset({Consent.SOLC})))
    assert choose_solc(trusted, None) == Solc("0.8.30", program, False)


@pytest.mark.slow
@NODE
def test_compiler_javascript_env_hides_node_options_and_secrets(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / "hostile.js"
    hostile.write_text(HOSTILE.format(path=str(tmp_path / "trace")))
    monkeypatch.setenv("NODE_OPTIONS", f"--require {hostile}")
    monkeypatch.setenv("TOKEN", "secret")
    place = put(
        cache, "0.8.999", "module.exports = {cwrap: () => () => JSON.stringify({...process.env, at: process.cwd()})}"
    )
    seen = choose_solc(project(tmp_path), None).start().compile({})
    assert seen.keys() <= {"PATH", "TMPDIR", "at"}
    assert seen["at"] == str(place.parent)
    assert not (tmp_path / "trace").exists()


def test_a_release_that_was_changed_in_the_cache_is_refused(tmp_path: Path, cache: Path) -> None:
    place = put(cache, "0.8.999", SOURCE.format("cached"))
    place.write_text(HOSTILE.format(path="x"))
    with pytest.raises(
        InvalidInput, match=r"is not solc 0\.8\.999: its SHA-256 is .*Delete .* to download the compiler again"
    ):
        choose_solc(project(tmp_path), "0.8.999")


def test_known_solc_release_must_match_hash_in_table(tmp_path: Path, cache: Path) -> None:
    """solc-bin's list has this hash for 0.8.9."""
    put(cache, "0.8.9", SOURCE.format("cached"))
    with pytest.raises(
        InvalidInput, match=r"expected 5b25f987aae32a0275fdc6c1be36cc47cf126024a04dafd8e4be39a1d1d1422c"
    ):
        choose_solc(project(tmp_path), "0.8.9")


def test_newest_cached_solc_is_chosen_without_project_version(tmp_path: Path, cache: Path) -> None:
    for version in ("0.8.999", "0.8.99", "0.8.1000", "0.7.2000"):
        put(cache, version, SOURCE.format(version))
    assert choose_solc(project(tmp_path), None).version == "0.8.1000"


def test_npm_installs_solc_required_by_config_or_pragmas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one line of output, without --use: its SHA-256 is known. 0.8.37 is the latest release of the table."""
    source = SOURCE.format("npm's").encode()
    monkeypatch.setattr(
        "hypervisor_tools.soltest.compile.releases.known_releases",
        lambda: dict.fromkeys(("0.8.1", "0.8.20", "0.8.37"), sha256(source).hexdigest()),
    )
    fake_npm(tmp_path, monkeypatch, f"cp {tarball(tmp_path / 'solc.tgz', source)} $(echo $2 | tr @ -).tgz")
    messages: list[str] = []
    first = choose_solc(project(tmp_path / "project", "0.8.20"), notify=messages.append)
    assert (first.version, first.path.read_bytes(), messages) == ("0.8.20", source, ["Installing Solc 0.8.20 from npm"])
    assert choose_solc(project(tmp_path / "project"), notify=messages.append, A="pragma solidity ^0.8.8;") == first
    newer = choose_solc(project(tmp_path / "project"), notify=messages.append, A="pragma solidity >=0.8.21;")
    assert (newer.version, messages[1:]) == ("0.8.37", ["Installing Solc 0.8.37 from npm"])


def test_offline_fetches_no_compiler_and_lists_installed(tmp_path: Path, cache: Path) -> None:
    put(cache, "0.8.998", SOURCE.format("cached"))
    offline = replace(project(tmp_path / "project", "0.8.20"), offline=True)
    with pytest.raises(InvalidInput) as raised:
        choose_solc(offline, None, pytest.fail)
    assert str(raised.value) == (
        "solc 0.8.20 is not installed, and --offline (offline in foundry.toml) prevents a download: run once"
        " without it, or pass an installed one with --use; installed: 0.8.998"
    )
    assert choose_solc(offline, "0.8.998").version == "0.8.998"


def test_unsatisfiable_pragmas_are_listed_with_their_sources(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        choose_solc(project(tmp_path), A="pragma solidity =0.7.6;", B="pragma solidity ^0.8.0;")
    assert str(raised.value).startswith(
        "no release of solc satisfies all pragmas: =0.7.6 (A), ^0.8.0 (B). Choose one with --use"
    )


def test_npm_solc_release_is_installed_and_pinned(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """npm runs in an empty folder of the cache, so a checkout's .npmrc cannot set a registry."""
    source = SOURCE.format("npm's").encode()
    package_file = tarball(tmp_path / "solc.tgz", source)
    fake_npm(
        tmp_path,
        monkeypatch,
        f'ls -A; pwd > {tmp_path}/stood; echo "$@" > {tmp_path}/asked; cp {package_file} solc-0.8.999.tgz',
    )
    messages: list[str] = []
    found = choose_solc(project(tmp_path / "project"), "0.8.999", messages.append)
    assert found == Solc("0.8.999", cache / "0.8.999" / "soljson.js", True, "npm")
    assert (found.path.read_bytes(), messages) == (source, ["Installing Solc 0.8.999 from npm"])
    assert (cache / "0.8.999" / "sha256").read_text() == sha256(source).hexdigest()
    assert sorted(place.name for place in (cache / "0.8.999").iterdir()) == ["sha256", "soljson.js"]
    assert (tmp_path / "asked").read_text() == "pack solc@0.8.999 --ignore-scripts --loglevel=error\n"
    assert Path((tmp_path / "stood").read_text().strip()).parent == cache / "0.8.999"
    assert choose_solc(project(tmp_path / "project"), "0.8.999", pytest.fail) == found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"x", "package/soljson.js", r"npm's solc 0\.8\.12 is not the released one: SHA-256 2d711642b726b044"),
        (b"x", "package/other.js", r"npm's solc 0\.8\.12 has no soljson\.js of at most 64 MiB"),
        (bytes((64 << 20) + 1), "package/soljson.js", r"npm's solc 0\.8\.12 has no soljson\.js of at most 64 MiB"),
        (None, "", r"npm's solc 0\.8\.12 has no soljson\.js of at most 64 MiB"),
    ],
    ids=["another file", "no compiler", "a bomb", "no archive"],
)
def test_invalid_npm_package_is_rejected_and_not_stored(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, name: str, words: str
) -> None:
    package_file = tmp_path / "solc.tgz"
    if content is None:
        package_file.write_bytes(b"no archive")
    else:
        tarball(package_file, content, name)
    fake_npm(tmp_path, monkeypatch, f"cp {package_file} solc-0.8.12.tgz")
    with pytest.raises(InvalidInput, match=words):
        choose_solc(project(tmp_path), "0.8.12")
    assert not list((cache / "0.8.12").iterdir())


def test_mislabeled_npm_solc_is_refused_or_replaced_by_fixed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npm's solc packages 0.8.1 and 0.8.7 contain the compilers 0.8.0 and 0.7.5, as their versions report."""
    fake_npm(tmp_path, monkeypatch, f"echo $2 >> {tmp_path}/asked; exit 1")
    with pytest.raises(InvalidInput, match=r"npm's package of solc 0\.8\.1 contains 0\.8\.0: choose another release"):
        choose_solc(project(tmp_path), "0.8.1")
    with pytest.raises(InvalidInput, match=r"npm could not get solc 0\.8\.7"):
        choose_solc(project(tmp_path), "0.8.7")
    assert (tmp_path / "asked").read_text() == "solc@0.8.7-fixed\n"


@pytest.mark.parametrize(
    ("npm", "words"),
    [
        ("npm error code ETARGET\nnpm error notarget No match", "npm has no solc 0.8.99: see `npm view solc versions`"),
        ("npm error code EAI\nnpm error no way", "npm could not get solc 0.8.99: npm error code EAI npm error no way"),
    ],
)
def test_npm_error_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npm: str, words: str
) -> None:
    fake_npm(tmp_path, monkeypatch, f"echo '{npm}' >&2\nexit 1")
    with pytest.raises(InvalidInput) as raised:
        choose_solc(project(tmp_path), "0.8.99")
    assert str(raised.value) == words


def test_too_old_compiler_is_refused_before_npm_install(tmp_path: Path) -> None:
    """npm's solc supports standard JSON from 0.5.0 on."""
    package(tmp_path / "old", "0.4.26", "")
    found = project(tmp_path)
    asked = replace(found, compiler=CompilerSettings(version="0.4.26"))
    for wanted, use in ((found, "0.4.26"), (found, str(tmp_path / "old")), (asked, None)):
        with pytest.raises(InvalidInput, match=r"solc 0\.4\.26 is too old: 0\.5\.0 or newer is required"):
            choose_solc(wanted, use, pytest.fail)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_folder_without_npm_solc_package_is_refused_with_reason(content: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "package.json").write_text(content)
    with pytest.raises(InvalidInput, match=r"other is not npm's solc package: its package.json has no version$"):
        choose_solc(project(tmp_path), str(tmp_path / "other"))


@NODE
@pytest.mark.parametrize(
    ("crash", "end"),
    [
        ("throw new Error('no way')", r"its exit code is 1: [\s\S]*no way[\s\S]*"),
        ("process.kill(process.pid, 'SIGSEGV')", "its exit code is -11: no message"),
    ],
)
def test_compiler_that_crashes_is_named_with_its_message_and_the_remedy(
    tmp_path: Path, cache: Path, crash: str, end: str
) -> None:
    put(cache, "0.8.999", crash)
    with pytest.raises(
        CompileError,
        match=rf"soljson\.js, which reports version 0\.8\.999, printed no JSON; {end}\nput a native solc into PATH, or "
        r"name another one with --use; npm's release has less memory and stack than a native one",
    ):
        choose_solc(project(tmp_path), None).start().compile({})


def test_the_table_is_of_releases_from_the_oldest_on() -> None:
    known = releases.known_releases()
    assert known["0.8.9"] == "5b25f987aae32a0275fdc6c1be36cc47cf126024a04dafd8e4be39a1d1d1422c"  # as in solc-bin's list
    assert known["0.7.6"] == "b94e69dfb056b3e26080f805ab43b668afbc0ac70bf124bfb7391ecfc0172ad2"
    assert all(VERSION.fullmatch(name) and len(bytes.fromhex(pin)) == 32 for name, pin in known.items())
    assert min(map(parse_release, known)) == (0, 5, 0)


pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")

COUNTING = (
    "let calls = 0; module.exports = { _solidity_reset() {}, cwrap: () => (input) => "
    "JSON.stringify({ calls: ++calls, asked: JSON.parse(input), contracts: {}, sources: {} }) };"
)


@pytest.fixture
def resident() -> Iterator[ResidentCompiler]:
    made = ResidentCompiler()
    yield made
    made.close()


def solc(folder: Path, version: str = "0.8.30") -> Solc:
    """Return a compiler in a new folder, which is npm's package too."""
    folder.mkdir()
    (folder / "soljson.js").write_text(COUNTING, encoding="utf-8")
    (folder / "package.json").write_text(f'{{"version": "{version}"}}', encoding="utf-8")
    return Solc(version, folder / "soljson.js", True)


def test_compilations_share_a_process(resident: ResidentCompiler, tmp_path: Path) -> None:
    compiler = solc(tmp_path / "solc")
    outputs = [resident.run(compiler).compile({"number": number}) for number in range(3)]
    assert [output["calls"] for output in outputs] == [1, 2, 3]
    assert [output["asked"] for output in outputs] == [{"number": number} for number in range(3)]


@pytest.mark.slow
def test_another_compiler_gets_another_process(resident: ResidentCompiler, tmp_path: Path) -> None:
    first = resident.run(solc(tmp_path / "old"))
    assert first.compile({})["calls"] == 1
    assert resident.run(solc(tmp_path / "new", "0.8.31")).compile({})["calls"] == 1
    assert first.has_ended


def test_ended_process_is_replaced(resident: ResidentCompiler, tmp_path: Path) -> None:
    compiler = solc(tmp_path / "solc")
    run = resident.run(compiler)
    run.stop()
    run.discard()
    assert resident.run(compiler).compile({})["calls"] == 1


@pytest.mark.slow
def test_process_is_replaced_after_many_compilations(
    resident: ResidentCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypervisor_tools.soltest.compile.compiler._MAX_COMPILATIONS", 2)
    compiler = solc(tmp_path / "solc")
    assert [resident.run(compiler).compile({})["calls"] for _ in range(5)] == [1, 2, 1, 2, 1]


def test_closing_ends_the_process(tmp_path: Path) -> None:
    made = ResidentCompiler()
    run = made.run(solc(tmp_path / "solc"))
    made.close()
    assert run.has_ended


@pytest.mark.slow
def test_sessions_share_the_process(resident: ResidentCompiler, tmp_path: Path) -> None:
    compiler = solc(tmp_path / "solc")
    source = tmp_path / "project" / "src" / "A.sol"
    source.parent.mkdir(parents=True)
    (tmp_path / "project" / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    options = Options(use=str(compiler.path.parent))
    for number in range(2):
        source.write_text(f"contract A{number} {{}}", encoding="utf-8")
        project = load_project(tmp_path / "project")
        SuiteSession(project, SuiteFilter(), options, resident=resident).prepare()
    assert resident.run(Solc("0.8.30", compiler.path.resolve(), True)).compile({})["calls"] == 3
