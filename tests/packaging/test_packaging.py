"""The sdist is complete, the wheel lean, each way to install gives a Shoal that works, and what a machine lacks is
told in one line.

Runs on this interpreter and on those of the versions in SHOAL_PYTHONS ("3.12 3.13") that the machine has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
SMOKE = Path(__file__).with_name("smoke.py")


def run(*command: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command and return what it printed; if it fails, fail with that."""
    done = attempt(*command, env=env, cwd=cwd)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))} gave {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def attempt(
    *command: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail; its two streams come as one."""
    return subprocess.run(
        [str(part) for part in command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        check=False,
    )


def interpreters() -> dict[str, str]:
    """Return the interpreters to test on, by version."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for version in os.environ.get("SHOAL_PYTHONS", "").split():
        path = run(ROOT / "tools/find-python", version).strip()
        if path:
            found.setdefault(version, path)
    return found


class Environment:
    """A fresh virtual environment."""

    def __init__(self, base: str, place: Path) -> None:
        run(base, "-m", "venv", place)
        self.python = place / "bin" / "python"

    def pip(self, *arguments: object, cwd: Path | None = None) -> None:
        run(self.python, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=cwd)

    def smoke(self) -> str:
        """Show that what is installed works, from a folder where nothing of the checkout is."""
        return run(self.python, "-I", SMOKE, cwd=self.python.parent)


def copy_of_checkout(copy: Path) -> Path:
    """Make what a fresh clone would hold, with the changes not committed yet."""
    listed = attempt("git", "ls-files", "-coz", "--exclude-standard", cwd=ROOT)
    if listed.returncode != 0:  # an unpacked sdist
        ignored = shutil.ignore_patterns("build", "dist", ".venv*", "*.so", "*.egg-info", "__pycache__")
        return Path(shutil.copytree(ROOT, copy, symlinks=True, ignore=ignored))
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_of_checkout(tmp_path / "checkout")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sdist")
    clone = copy_of_checkout(place / "checkout")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", place, clone)
    (archive,) = place.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module", params=interpreters().values(), ids=interpreters().keys())
def base(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


@pytest.fixture(scope="module")
def wheel(sdist: Path, base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, in pip's isolation: the list of build requirements is put to the test too."""
    place = tmp_path_factory.mktemp("wheel")
    Environment(base, place / "venv").pip("wheel", "--no-deps", "--wheel-dir", place, sdist)
    (archive,) = place.glob("*.whl")
    return archive


def test_sdist_has_every_source(sdist: Path, checkout: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in archive.getnames()}
    for folder in ("csrc", "src", "tests", "examples", "benchmarks", "docs", "tools"):
        assert {str(path.relative_to(checkout)) for path in (checkout / folder).rglob("*") if path.is_file()} <= inside
    assert {"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", "setup.py"} <= inside


def test_sdist_has_nothing_generated(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [PurePosixPath(name) for name in archive.getnames()]
    assert not [name for name in names if name.suffix in {".so", ".o", ".pyc"} or name.name == "_core.c"]
    assert not [name for name in names if name.parts[1:2] == ("build",)]


def test_wheel_holds_what_a_run_needs_and_no_more(wheel: Path, checkout: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
    package = {name for name in names if not name.parts[0].endswith(".dist-info")}
    extension = [name for name in package if name.suffix == ".so"]
    source = checkout / "src"
    kept = {".py", ".pyi"}
    files = [Path(folder, name) for folder, _, names in os.walk(source, followlinks=True) for name in names]
    wanted = {
        PurePosixPath(path.relative_to(source)) for path in files if path.suffix in kept or path.name == "py.typed"
    }
    assert package == wanted | set(extension)
    assert [name.name.split(".")[0] for name in extension] == ["_core"]
    assert PurePosixPath("shoal/py.typed") in package
    assert any(name.name == "LICENSE" for name in names)


def test_wheel_from_the_sdist_works(wheel: Path, base: str, tmp_path: Path) -> None:
    environment = Environment(base, tmp_path / "venv")
    environment.pip("install", wheel)
    assert "works on Python" in environment.smoke()


def test_pip_install_from_a_checkout_works(checkout: Path, base: str, tmp_path: Path) -> None:
    environment = Environment(base, tmp_path / "venv")
    environment.pip("install", ".", cwd=checkout)
    shutil.rmtree(checkout)
    assert "works on Python" in environment.smoke()


def test_editable_install_works_and_follows_the_sources(checkout: Path, base: str, tmp_path: Path) -> None:
    environment = Environment(base, tmp_path / "venv")
    environment.pip("install", "--editable", ".", cwd=checkout)
    assert "works on Python" in environment.smoke()
    assert not list(checkout.joinpath("src").rglob("*.c")), "generated C stays out of src/"
    checkout.joinpath("src/shoal/added.py").write_text("here = True\n")
    assert run(environment.python, "-c", "import shoal.added; print(shoal.added.here)") == "True\n"


def install(checkout: Path, **env: str) -> str:
    """Install with this environment's own build tools, so that it fails within seconds; return what was printed."""
    done = attempt(
        *(sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps"),
        *("--target", checkout.parent / "target", "."),
        cwd=checkout,
        env=env,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    return done.stdout


def compiler_without(tmp_path: Path, header: str) -> str:
    """Make a compiler that finds every header but one."""
    real = shutil.which("cc") or shutil.which("gcc")
    script = tmp_path / "cc"
    script.write_text(
        "#!/bin/sh\n"
        "for last; do :; done\n"
        f'[ "$last" = - ] || exec {real} "$@"\n'
        "program=$(cat)\n"
        f'case "$program" in *"<{header}>"*) echo "{header}: no such file" >&2; exit 1;; esac\n'
        f'printf "%s\\n" "$program" | {real} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def test_a_missing_compiler_is_told_in_one_line(checkout: Path) -> None:
    lines = [line for line in install(checkout, CC="no-such-compiler").splitlines() if "shoal: " in line]
    assert len(lines) == 1
    assert "no C compiler: 'no-such-compiler' is not there" in lines[0]


@pytest.mark.parametrize(
    ("header", "message"), [("Python.h", "no Python.h for "), ("stdio.h", "lacks C11 or its headers")]
)
def test_a_missing_header_is_told_in_one_line(checkout: Path, tmp_path: Path, header: str, message: str) -> None:
    printed = install(checkout, CC=compiler_without(tmp_path, header))
    lines = [line for line in printed.splitlines() if "shoal: " in line]
    assert len(lines) == 1
    assert message in lines[0]


def test_an_unknown_sanitizer_is_refused(checkout: Path) -> None:
    assert "shoal: SHOAL_SANITIZE=memory is none of: address, thread" in install(checkout, SHOAL_SANITIZE="memory")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (["CC=no-such-compiler"], "shoal: no C compiler: 'no-such-compiler' is not there"),
        (["PYTHON=no-such-python"], "shoal: PYTHON=no-such-python is no Python 3.11 or later"),
    ],
)
def test_make_tells_what_is_missing_in_one_line(checkout: Path, variables: list[str], message: str) -> None:
    settings = dict(setting.split("=") for setting in variables)
    done = attempt("make", "-s", "demo", cwd=checkout, env={"VENV": ".venv", "PYTHON": "", "MAKEFLAGS": "", **settings})
    assert done.returncode != 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(message)
    assert len(lines) == 2, "and the line that make itself adds"
    assert not checkout.joinpath(".venv").exists()
