"""The project's frame: what is in the wheel, and that the files which say the same thing agree."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import yaml
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from handlerkit.model import READY_MADE_FOLDER

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: The package's folders of modules; its own `__init__` is for its users.
FOLDERS = sorted(file.parent for file in (ROOT / "handlerkit").rglob("*/__init__.py"))
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "python-xxhash": "xxhash"}
FIXED = ("jupyterlab", "ipywidgets", "torch", "torchvision", "matplotlib", "pillow", "onnxruntime", "nbval")


def requirements() -> list[Requirement]:
    """All that pyproject.toml requires, of other projects, for the kit and for its extras."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = [Requirement(text) for texts in lists for text in texts]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def bounds() -> dict[str, str]:
    """The version bound of each package that pyproject.toml names."""
    return {requirement.name: str(requirement.specifier) for requirement in requirements()}


@pytest.fixture(scope="module")
def packed(wheel: Path) -> set[str]:
    """The names in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def listed(text: str) -> set[str]:
    """The modules and folders that a folder's docstring lists: "name.py", "name/", or "name:" at the start of an entry
    or a sentence."""
    plain = re.sub(r'`[^`]*`|"[^"]*"', "", " ".join(text.split()))
    files = re.findall(r"(?<![\w/.])(\w+)(?:\.py\b|/(?![\w.]))", plain)
    entries = re.findall(r"(?:- |\. )([a-z_]+(?:/?, [a-z_]+)*)/?:(?= )", plain)
    return {*files, *(name for entry in entries for name in re.findall(r"\w+", entry))}


def test_wheel_holds_the_package_and_its_metadata_only(packed: set[str]) -> None:
    own = {"handlerkit", "ts-stubs", f"handlerkit-{PROJECT['version']}.dist-info"}
    assert {name.split("/")[0] for name in packed} == own


def test_wheel_holds_every_file_of_the_package(packed: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("handlerkit", "ts-stubs")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"handlerkit/py.typed", "ts-stubs/py.typed", "ts-stubs/context.pyi"} <= files
    assert {name for name in packed if name.startswith(("handlerkit/", "ts-stubs/"))} == files


def test_wheel_brings_the_licence(packed: set[str]) -> None:
    assert f"handlerkit-{PROJECT['version']}.dist-info/licenses/LICENSE" in packed


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in the sdist, without the folder they lie in."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_sdist_brings_what_the_tests_read(sdist: set[str]) -> None:
    tests = "".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
    made = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    read = {path.name for path in ROOT.iterdir() if re.search(rf'"{re.escape(path.name)}["/]', tests)} - made - {".git"}
    assert read >= {"docs", ".github", ".ci", "tests"}
    assert read <= {name.partition("/")[0] for name in sdist}


def test_sdist_brings_no_page_that_is_made(sdist: set[str]) -> None:
    assert "docs/conf.py" in sdist
    made = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/docs/")]
    assert len(made) > 4
    assert [name for name in sdist if name.startswith(tuple(made))] == []


def test_contributing_draws_the_house_as_the_layers_are() -> None:
    """A picture's line is a layer, and its first words are the modules there."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = tools["importlinter"]["contracts"][0]["layers"]
    (drawn,) = re.findall(r"```text\n(.+?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert [line[:28].split() for line in drawn.splitlines()] == [re.findall(r"\w+", layer) for layer in layers]


def test_contributing_names_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    files = [name for name in re.findall(r"`([\w/.]+/[\w.]+)`", text) if not name.startswith(".")]
    missing = [name for name in files if not (ROOT / name).exists() and not (ROOT / "handlerkit" / name).exists()]
    assert len(files) > 20
    assert missing == []


@pytest.mark.parametrize(
    "registration",
    re.findall(r"`((?:\w+/)*\w+\.py)`: ((?:`\w+`(?: or )?)+)", (ROOT / "CONTRIBUTING.md").read_text()),
    ids=lambda one: one[0],
)
def test_contributing_names_the_registrations(registration: tuple[str, str]) -> None:
    (file,) = (ROOT / "handlerkit").glob(f"**/{registration[0]}")
    for name in re.findall(r"\w+", registration[1].replace(" or ", " ")):
        assert re.search(rf"^{name}\b.* = ", file.read_text(), re.MULTILINE)


def test_contributing_names_every_make_target() -> None:
    named = set(re.findall(r"^\| `make (\w+)`", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: help (.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named == set(phony.split()) - {"demo", "lab", "clean"}  # README's, and what needs no word


def test_every_dependency_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start, stop = lines.index("dependencies = ["), lines.index("[tool.hatch.metadata.hooks.custom]")
    bare = [line for line in lines[start:stop] if line.startswith('    "') and not re.search(r'",\s+# \w', line)]
    assert bare == []


def project_urls() -> dict[str, str]:
    """What a package that is built now says of the project's addresses."""
    return ProjectMetadata(str(ROOT), PluginManager()).core.urls


def test_package_names_the_repository_that_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", "fork/handlerkit")
    assert project_urls() == {
        "Source": "https://git.example/fork/handlerkit",
        "Documentation": "https://git.example/fork/handlerkit#readme",
        "Issues": "https://git.example/fork/handlerkit/issues",
        "Changelog": "https://git.example/fork/handlerkit/blob/main/CHANGELOG.md",
    }


def test_package_that_no_hosted_repository_builds_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert project_urls() == {}


@pytest.mark.parametrize("package", FIXED)
def test_package_that_was_asked_for_is_named(package: str) -> None:
    assert package in bounds()


def test_one_package_has_one_bound() -> None:
    seen: dict[str, str] = {}
    for requirement in requirements():
        assert seen.setdefault(requirement.name, str(requirement.specifier)) == str(requirement.specifier)


def test_everything_the_package_imports_is_declared() -> None:
    """But for what is copied into apps, whose requirements are written for each."""
    imported: set[str] = set()
    package = ROOT / "handlerkit"
    for file in set(package.rglob("*.py")) - set((package / "app" / "files").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).split(".")[0])
    distributions = importlib.metadata.packages_distributions()
    beside = {path.stem for path in READY_MADE_FOLDER.glob("*.py")}  # what ready-made handlers share
    undeclared = {
        module
        for module in imported - set(sys.stdlib_module_names) - {"handlerkit"} - beside
        if not any(name.lower() in map(str.lower, bounds()) for name in distributions.get(module, []))
    }
    assert undeclared == set()


def test_environment_yml_has_the_bounds_of_pyproject() -> None:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    texts = [entry for entry in [*listed, *pip] if isinstance(entry, str) and entry not in ("pip", "-e .")]
    found = {CONDA_NAMES.get(one.name, one.name): str(one.specifier) for one in map(Requirement, texts)}
    assert found.pop("python") == PROJECT["requires-python"]
    assert found == {name: bound for name, bound in bounds().items() if name in found}


def test_environment_yml_names_all_the_kit_needs() -> None:
    text = (ROOT / "environment.yml").read_text()
    needed = [Requirement(one).name for one in PROJECT["dependencies"]]
    assert [name for name in (*needed, *FIXED) if name not in text] == []


def test_environment_yml_brings_no_second_java() -> None:
    assert "openjdk" not in (ROOT / "environment.yml").read_text()


def locked(python: str, platform: str) -> dict[str, list[Version]]:
    """The versions of each package that tools/constraints.txt has for this Python and platform."""
    found: dict[str, list[Version]] = {}
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": platform}
    for line in (ROOT / "tools" / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                (pin,) = requirement.specifier
                assert pin.operator == "=="
                found.setdefault(canonicalize_name(requirement.name), []).append(Version(pin.version))
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_lock_holds_one_version_of_all_that_is_required(python: str, platform: str) -> None:
    versions = locked(python, platform)
    for required in requirements():
        if required.marker is None or required.marker.evaluate({"sys_platform": platform}):
            found = versions.get(canonicalize_name(required.name), [])
            assert len(found) == 1, f"{required.name}: make lock adds it"
            assert found[0] in required.specifier, f"{required.name}: make lock renews it"


def test_the_lock_names_no_address_and_no_path() -> None:
    assert re.findall(r".*(?:/|://|@).*", (ROOT / "tools" / "constraints.txt").read_text()) == []


@pytest.mark.parametrize("notebook", sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")))
def test_readme_links_every_notebook_with_a_picture(notebook: str) -> None:
    (row,) = [
        line for line in (ROOT / "README.md").read_text().splitlines() if f"(notebooks/{notebook}.ipynb) |" in line
    ]
    assert f'src="notebooks/pictures/{notebook}.webp"' in row
    assert (ROOT / "notebooks" / "pictures" / f"{notebook}.webp").stat().st_size < 30_000


def test_every_make_target_is_in_the_help() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10).stdout
    (phony,) = re.findall(r"^\.PHONY: help (.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^make (\w+)", shown, re.MULTILINE)[1:] == phony.split()


@pytest.mark.parametrize(("file", "command"), [(".github/workflows/test.yml", ".ci/run"), (".ci/run", "make test")])
def test_continuous_integration_runs_make_test(file: str, command: str) -> None:
    assert command in (ROOT / file).read_text()


def test_continuous_integration_runs_on_every_python_of_the_classifiers() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == named
    assert [name for name, job in jobs.items() if job.get("env") == {"LOCKED": "0"}] == ["newest"]
    assert [name for name, job in jobs.items() if job.get("continue-on-error")] == ["newest"]


@pytest.mark.parametrize(
    ("locked", "options"), [("1", "-c tools/constraints.txt"), ("0", "--upgrade --upgrade-strategy eager")]
)
def test_set_up_installs_what_is_locked_or_the_newest(tmp_path: Path, locked: str, options: str) -> None:
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.sh", tmp_path / "tools")
    python = tmp_path / ".venv" / "bin" / "python"  # says what it is asked
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho $*\n")
    python.chmod(0o755)
    environment = {**os.environ, "LOCKED": locked}
    subprocess.run(["bash", "tools/setup.sh"], cwd=tmp_path, env=environment, check=True, timeout=30)
    assert (tmp_path / ".venv" / "setup.log").read_text() == f"-m pip install --quiet {options} --editable .[dev]\n"
    assert (tmp_path / ".venv" / ".ready").exists()


def stages(
    folder: Path, fails: str = "", version: str = "3 11", runs: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """tools/stages.sh test, in a project whose tools say what they are asked; the one called `fails` fails, and what
    Python is asked with `runs` in it is run."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "stages.sh", folder / "tools")
    for name in ("ruff", "vermin", "mypy", "lint-imports", "handlerkit", "python"):
        tool = folder / ".venv" / "bin" / name
        closing = "FAILED a.py::test_a\n= 1 failed, 2 passed in 0.10s =" if name == fails else "= 3 passed in 0.10s ="
        asked = f"[ $1 = -c ] && echo {version} && exit\n" if name == "python" else ""
        asked += f'case "$*" in *{runs}*) exec {sys.executable} "$@";; esac\n' if runs and name == "python" else ""
        tool.write_text(f"#!/bin/sh\n{asked}echo {name} $*\necho '{closing}'\nexit {int(name == fails)}\n")
        tool.chmod(0o755)
    command = ["bash", "tools/stages.sh", "test"]
    environment = {**os.environ, "TARGETS": "1", **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )


def test_every_stage_runs_though_one_fails_and_the_summary_has_them_all(tmp_path: Path) -> None:
    done = stages(tmp_path, fails="python")
    before, _, summary = done.stdout.partition("== summary\n")
    ended = re.findall(r"^(passed|FAILED) +(.+) \(\d+ s\)$", summary, re.MULTILINE)
    assert done.returncode == 1
    assert [name for _, name in ended] == re.findall(r"^== (.+)$", before, re.MULTILINE)
    assert ("passed", "types: mypy --strict") in ended
    assert ("FAILED", "unit tests, and what is in the wheel") in ended
    assert ended[-4:] == [
        ("FAILED", "the notebooks against their saved outputs"),
        ("FAILED", "second try, alone, of the 1 above"),
        ("FAILED", "the notebook that installs a package"),
        ("FAILED", "second try, alone, of the 1 above"),
    ]
    assert summary.endswith("FAILED a.py::test_a\n= 1 failed, 2 passed in 0.10s =\n")


def test_stages_that_pass_end_with_the_words_of_pytest(tmp_path: Path) -> None:
    done = stages(tmp_path)
    assert done.returncode == 0
    assert "FAILED" not in done.stdout
    assert done.stdout.endswith("\n= 3 passed in 0.10s =\n")


@pytest.mark.parametrize(("version", "option"), [("3 11", "--nbval "), ("3 13", "--nbval-lax ")])
def test_outputs_of_notebooks_are_held_to_the_python_that_made_them(tmp_path: Path, version: str, option: str) -> None:
    done = stages(tmp_path, version=version)
    assert [
        line.partition("pytest ")[2].startswith(option) for line in done.stdout.splitlines() if "nbval" in line
    ] == [
        True,
        True,
    ]


@pytest.fixture
def kernel_that_dies_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a kernel whose process ends at its first start, before it answers."""
    start = f"[ -e died ] && exec {sys.executable} -m ipykernel_launcher -f $0; touch died; exit 1"
    spec = {"argv": ["sh", "-c", start, "{connection_file}"], "display_name": "dies once", "language": "python"}
    place = tmp_path / "jupyter" / "kernels" / "dies_once" / "kernel.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return place.parent.name


@pytest.mark.parametrize(("saved", "second"), [("3", "passed"), ("4", "FAILED")])
def test_a_notebook_is_tried_again_as_a_whole_and_fails_where_a_cell_differs(
    tmp_path: Path, kernel_that_dies_once: str, saved: str, second: str
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]")
    shutil.copy(ROOT / "notebooks" / "sanitize.cfg", tmp_path / "notebooks")
    for name, kernel in (("01_lives", "python3"), ("02_dies", kernel_that_dies_once)):
        output = new_output("execute_result", {"text/plain": saved if name == "02_dies" else "3"}, execution_count=4)
        cells = [new_code_cell(source, execution_count=1) for source in ("a = 1", "b = a + 1", "c = a + b")]
        cells.append(new_code_cell("c", execution_count=4, outputs=[output]))
        notebook = new_notebook(cells=cells, metadata={"kernelspec": {"name": kernel, "display_name": kernel}})
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    done = stages(tmp_path, runs="notebooks/0[12]_", TARGETS="0")
    ended = re.findall(r"^(passed|FAILED) +(?:the notebooks|second).+(?:\n[FE].+)*\n=+ (.+) in .+=$", done.stdout, re.M)
    assert ended == [
        ("FAILED", "4 passed, 4 errors"),
        (second, "4 passed" if second == "passed" else "1 failed, 3 passed"),
    ]
    assert done.returncode == int(second == "FAILED")


def test_stages_leave_the_official_image_out_and_say_so(tmp_path: Path) -> None:
    done = stages(tmp_path, TARGETS="0")
    assert done.returncode == 0
    assert "-m target" not in done.stdout
    assert "handlerkit targets" not in done.stdout
    assert "\nleft out tests on the official image's packages (TARGETS=0)\n" in done.stdout


@pytest.mark.parametrize(("ci", "outcomes"), [("true", {"errors": 1, "skipped": 1}), ("", {"skipped": 2})])
def test_a_skipped_browser_test_fails_in_continuous_integration(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcomes: dict[str, int]
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makeini("[pytest]\nmarkers = browser")
    pytester.makepyfile(
        "import pytest\n\n@pytest.fixture\ndef page():\n    pytest.skip('no browser')\n\n"
        "@pytest.mark.browser\ndef test_page(page):\n    pass\n\n"
        "@pytest.mark.skip(reason='no GPU')\ndef test_gpu():\n    pass\n"
    )
    told = pytester.runpytest("-p", "no:cacheprovider")
    told.assert_outcomes(**outcomes)


def sanitized(text: str) -> str:
    """`text` as nbval compares it."""
    for regex, replacement in get_sanitize_patterns((ROOT / "notebooks" / "sanitize.cfg").read_text()):
        text = re.sub(regex, replacement, text)
    return text


def test_sanitizing_has_ten_rules() -> None:
    assert len(get_sanitize_patterns((ROOT / "notebooks" / "sanitize.cfg").read_text())) == 10


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("inference  12.3 ms", "inference 1,204 ms"),
        ("in 850 µs", "in 1.2 s"),
        ("took 3 min", "took 17ns"),
        ("≈812.3 MB (≈0 B of it)", "≈1.1 GB (≈45 MB of it)"),
        ("is  ≈0.013 × the time", "is ≈76 × the time"),
        ('<img src="data:image/png;base64,AAAA+/=">', '<img src="data:image/jpeg;base64,B">'),
        ('<img src="data:image/png;base64,AA/4s+AA">', '<img src="data:image/png;base64,AA">'),
        ("Python 3.11.7, torch 2.14.1, target declared", "Python 3.13.0, torch 2.15.0+cu130, target declared"),
        ("looked at: imports, JSON files</div>", "looked at: imports, syntax, sizes of answers</div>"),
        ("at http://127.0.0.1:8080/ping", "at http://127.0.0.1:45857/ping"),
        ('"score": 0.9726514220237732,', '"score": 0.9726513028144836,'),
        ("[ 142.23568725585938, 1.4840219e-05 ]", "[\n  142.2356567,\n  1.48401968e-05\n]"),
        ("200 no content type, 161 B", "200 no content type, 160 B"),
        ('"map": [[0.1, -2e-3,\n 0.… 2.5 MB more', '"map": [[0.1000001,\n -… 2.5 MB more'),
    ],
)
def test_times_and_data_uris_are_taken_for_equal(one: str, other: str) -> None:
    assert sanitized(one) == sanitized(other)


@pytest.mark.parametrize(
    "text",
    [
        "24 boxes",
        "a 0.5… 2 more",
        "200 OK",
        "1.4×",
        "384 x 303",
        "score 0.98",
        "v1.2s",
        "3\ns",
        "Python 3.9",
        "torch 2.4",
    ],
)
def test_other_numbers_are_compared(text: str) -> None:
    assert sanitized(text) == re.sub(r"\s", "_", text)


@pytest.fixture
def demo() -> ModuleType:
    """notebooks/demo.py as a module."""
    spec = importlib.util.spec_from_file_location("demo", ROOT / "notebooks" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_demo_says_which_cell_runs(demo: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo.run(new_notebook(cells=[new_code_cell("open('made', 'w').close()"), new_code_cell("\n1 + 1")]), tmp_path)
    assert re.fullmatch(
        r"\[ 1/2\] open\('made', 'w'\)\.close\(\) +\d+\.\d s\n\[ 2/2\] 1 \+ 1 +\d+\.\d s\n", capsys.readouterr().out
    )
    assert (tmp_path / "made").is_file()


def test_demo_stops_at_an_error_with_its_traceback(demo: ModuleType, tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("1 / 0"), new_code_cell("open('made', 'w')")])
    with pytest.raises(demo.DemoError, match=r"cell 1 failed:\n(?s:.*)ZeroDivisionError: division by zero") as caught:
        demo.run(notebook, tmp_path)
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def write_output(demo: ModuleType, folder: Path) -> None:
    """What the notebook leaves behind."""
    for name in demo.MADE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    facts = {
        "served": ["a", "b"],
        "verified": {"a": {"TorchServe 0.12.0, Python 3.11.7, torch 2.14.1, target declared": "identical"}},
        "edit_to_answer_s": {"notebook": 0.2, "torchserve": 9},
    }
    (folder / "summary.json").write_text(json.dumps(facts))


def test_demo_keeps_what_the_notebook_made(demo: ModuleType, tmp_path: Path) -> None:
    write_output(demo, tmp_path / "made")
    text = demo.keep(new_notebook(cells=[new_code_cell("1 + 1")]), tmp_path / "made", tmp_path / "demo")
    assert {path.relative_to(tmp_path / "demo").as_posix() for path in (tmp_path / "demo").rglob("*.*")} == {
        "boxes.png",
        "model_store/coins_detector.mar",
        "model_store/coins_segmenter.mar",
        "overlay.png",
        "quickstart.html",
        "quickstart.ipynb",
        "summary.txt",
    }
    assert "0.20 s in the notebook, 9.00 s through TorchServe (45 times as long)" in text
    assert "a identical on TorchServe 0.12.0, Python 3.11.7, torch 2.14.1, target declared\n" in text
    assert "not on torchserve-0.12.0-cpu: make demo TARGETS=1 gets its packages (5 GB)\n" in text
    nbformat.validate(nbformat.read(tmp_path / "demo" / "quickstart.ipynb", as_version=4))


def test_demo_says_that_it_was_proven_on_the_official_image_too(demo: ModuleType) -> None:
    verified = {"a": {"TorchServe, target declared": "identical", f"TorchServe, target {demo.OFFICIAL}": "different"}}
    facts = {"served": ["a"], "verified": verified, "edit_to_answer_s": {"notebook": 1, "torchserve": 2}}
    text = demo.summary(facts, "demo")
    assert "a different on TorchServe, target torchserve-0.12.0-cpu\n" in text
    assert "TARGETS" not in text


def test_demo_says_why_the_official_image_cannot_be_had(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "OFFICIAL", "nowhere")
    missing = demo.get_official_packages()
    facts = {"served": ["a"], "verified": {"a": {}}, "edit_to_answer_s": {"notebook": 1, "torchserve": 2}}
    assert "not on nowhere: there is no target 'nowhere': choose" in demo.summary(facts, "demo", missing)


def test_demo_names_what_the_notebook_did_not_make(demo: ModuleType, tmp_path: Path) -> None:
    write_output(demo, tmp_path / "made")
    (tmp_path / "made" / "overlay.png").unlink()
    with pytest.raises(demo.DemoError, match=r"did not write overlay\.png into made/"):
        demo.keep(new_notebook(), tmp_path / "made", tmp_path / "demo")


@pytest.mark.parametrize("folder", [pytest.param(one, id=str(one.relative_to(ROOT / "handlerkit"))) for one in FOLDERS])
def test_a_folder_lists_its_modules_and_no_others(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/__init__.py")}
    if folder.name != "rules" or folder.parent.name != "check":  # its modules are the entries of RULES
        assert modules - {"__init__"} - listed(text) == set()
    assert listed(text) - {file.stem for file in folder.rglob("*")} == set()


@pytest.mark.parametrize("folder", [pytest.param(one, id=str(one.relative_to(ROOT / "handlerkit"))) for one in FOLDERS])
def test_a_folder_says_what_it_may_import(folder: Path) -> None:
    assert re.search(r"\b[Ii]mports?\b", ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or "")
