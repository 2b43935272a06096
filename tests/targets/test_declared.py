"""The target `declared`: made of links, and without what nobody declared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from target_cases import Install, python

from handlerkit.errors import TargetError
from handlerkit.targets import Environment, find


def declared(*requirements: str) -> Environment:
    return find("declared").build(requirements)


def test_undeclared_package_is_not_there(install: Install) -> None:
    install("alpha")
    assert python(declared(), "import alpha") == "ModuleNotFoundError: No module named 'alpha'"


def test_declared_package_is_there(install: Install) -> None:
    install("alpha")
    assert python(declared("alpha"), "import alpha; print(alpha.NAME)") == "alpha"


@pytest.mark.parametrize(
    "module", ["torch", "torchvision", "numpy", "PIL", "captum", "psutil", "requests", "yaml", "ts"]
)
def test_target_base_is_there(module: str) -> None:
    assert module in declared().modules()
    assert metadata.version("torch") == find("declared").pins["torch"]


def test_target_base_runs() -> None:
    program = (
        "import torch, torchvision, PIL, numpy, yaml, ts.torch_handler.image_classifier; print(torch.ones(2).sum())"
    )
    assert python(declared(), program) == "tensor(2.)"


def test_what_a_requirement_needs_is_there_too(install: Install) -> None:
    install("alpha", requires=["beta>=1"])
    install("beta", requires=["gamma"])
    install("gamma")
    assert python(declared("alpha"), "import alpha, beta, gamma; print('all')") == "all"


def test_extra_is_needed_where_it_is_asked_for(install: Install) -> None:
    install("alpha", requires=["beta ; extra == 'more'"])
    install("beta")
    assert "beta" not in declared("alpha").packages
    assert "beta" in declared("alpha[more]").packages


def test_markers_are_those_of_this_python(install: Install) -> None:
    install("alpha", requires=["beta ; python_version < '3'", "gamma ; python_version >= '3'"])
    install("beta")
    install("gamma")
    assert {"beta", "gamma"} & set(declared("alpha").packages) == {"gamma"}


def test_requirement_whose_marker_does_not_hold_need_not_be_installed() -> None:
    assert declared("nobody-has-this ; python_version < '3'") == declared()


def test_distributions_that_need_each_other_end(install: Install) -> None:
    install("alpha", requires=["beta"])
    install("beta", requires=["alpha"])
    assert {"alpha", "beta"} <= set(declared("beta").packages)


def test_folder_that_several_share_holds_the_declared_part_alone(install: Install) -> None:
    install("alpha", files={"space/one.py": "NAME = 'one'\n"})
    install("beta", files={"space/two.py": "NAME = 'two'\n"})
    environment = declared("alpha")
    assert python(environment, "import space.one; print(space.one.NAME)") == "one"
    assert python(environment, "import space.two") == "ModuleNotFoundError: No module named 'space.two'"


def test_distribution_inside_the_folder_of_another_is_not_linked_with_it(install: Install) -> None:
    install("alpha", files={"space/__init__.py": "", "space/deep/__init__.py": "", "space/deep/one.py": ""})
    install("beta", files={"space/deep/two.py": ""})
    environment = declared("alpha")
    assert python(environment, "import space.deep.one; print('one')") == "one"
    assert python(environment, "import space.deep.two") == "ModuleNotFoundError: No module named 'space.deep.two'"


def test_metadata_inside_is_that_of_the_declared_alone(install: Install) -> None:
    install("alpha", "1.5")
    install("beta")
    environment = declared("alpha")
    assert python(environment, "from importlib.metadata import version; print(version('alpha'))") == "1.5"
    assert "No package metadata" in python(environment, "from importlib.metadata import version; version('beta')")


def test_pth_file_of_a_declared_distribution_is_run(install: Install) -> None:
    install("alpha", files={"alpha.pth": "import sys; sys.alpha_was_here = True\n"})
    install("beta", files={"beta.pth": "import sys; sys.beta_was_here = True\n"})
    told = python(declared("alpha"), "import sys; print(hasattr(sys, 'alpha_was_here'), hasattr(sys, 'beta_was_here'))")
    assert told == "True False"


def test_editable_install_is_there(install: Install, tmp_path: Path) -> None:
    source = tmp_path / "project" / "src"
    source.mkdir(parents=True)
    (source / "alpha.py").write_text("NAME = 'from its source'\n")
    told = json.dumps({"url": source.parent.as_uri(), "dir_info": {"editable": True}})
    install("alpha", files={"_alpha.pth": f"{source}\n"}, direct_url=told)
    environment = declared("alpha")
    assert python(environment, "import alpha; print(alpha.NAME)") == "from its source"
    assert environment.modules()["alpha"] == "alpha"


def test_script_runs_with_the_python_of_the_environment(install: Install) -> None:
    script = f"#!{Path(sys.prefix) / 'bin' / 'python3'}\nimport sys\nprint(sys.prefix)\n"
    install("alpha", files={"alpha.py": "", "../../../bin/tell": script})
    environment = declared("alpha")
    assert environment.folder is not None
    assert subprocess.check_output(environment.path / "tell", text=True).strip() == str(environment.folder)


def test_script_behind_a_long_path_runs_with_the_python_of_the_environment(install: Install) -> None:
    # as pip writes it where a path is too long for the kernel, or holds a space
    head = f"#!/bin/sh\n'''exec' {Path(sys.prefix) / 'bin' / 'python3.11'} \"$0\" \"$@\"\n' '''\n"
    install("alpha", files={"alpha.py": "", "../../../bin/tell": head + "import sys\nprint(sys.prefix)\n"})
    environment = declared("alpha")
    assert subprocess.check_output(environment.path / "tell", text=True).strip() == str(environment.folder)


def test_scripts_of_the_undeclared_are_not_there() -> None:
    names = {path.name for path in declared().path.iterdir()}
    assert "torchrun" in names
    assert {"pytest", "ruff", "jupyter"} & names == set()


def test_data_file_is_beside_the_packages_as_it_is_here(install: Install) -> None:
    install("alpha", files={"alpha.py": "", "../../../share/alpha/table.txt": "a table"})
    environment = declared("alpha")
    assert environment.folder is not None
    assert (environment.folder / "share" / "alpha" / "table.txt").read_text() == "a table"


def test_record_that_leads_out_of_its_prefix_is_not_followed(install: Install, tmp_path: Path) -> None:
    install("alpha", files={"alpha.py": ""})
    info = install("beta", files={"beta.py": ""})
    with open(info / "RECORD", "a") as record:
        record.write(f"../../../../../escaped.txt,,\n{tmp_path}/absolute.txt,,\n")
    environment = declared("beta")
    assert environment.folder is not None
    assert [path for path in environment.folder.parents[1].rglob("*") if path.name == "escaped.txt"] == []


def test_file_whose_name_has_a_comma_is_linked(install: Install) -> None:
    install("alpha", files={"alpha/__init__.py": "", 'alpha/a,"b".txt': "text"})
    install("beta", files={"alpha/beta.py": ""})  # so that the folder is not linked whole
    program = "import alpha, pathlib; print((pathlib.Path(alpha.__file__).parent / 'a,\"b\".txt').read_text())"
    assert python(declared("alpha"), program) == "text"


def test_file_that_was_removed_since_is_left_out(install: Install, site: Path) -> None:
    install("alpha", files={"alpha.py": "", "gone.py": ""})
    (site / "gone.py").unlink()
    assert python(declared("alpha"), "import alpha; print('there')") == "there"


def test_distribution_without_a_record_is_linked_by_its_top_level_modules(site: Path) -> None:
    info = site / "alpha.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: alpha\nVersion: 3.0\n")
    (info / "top_level.txt").write_text("alpha\n")
    (site / "alpha").mkdir()
    (site / "alpha" / "__init__.py").write_text("NAME = 'an egg'\n")
    environment = declared("alpha==3.0")
    assert python(environment, "import alpha; print(alpha.NAME)") == "an egg"
    assert environment.modules()["alpha"] == "alpha"


def test_environment_is_the_same_one_while_nothing_changes(install: Install) -> None:
    install("alpha")
    assert declared("alpha") == declared("alpha", "alpha>=1")


def test_distribution_that_is_installed_anew_makes_another(install: Install) -> None:
    os.utime(install("alpha") / "RECORD", (1, 1))
    before = declared("alpha")
    install("alpha")
    assert declared("alpha").folder != before.folder


def test_built_says_whether_it_is_there(install: Install) -> None:
    install("alpha")
    target = find("declared")
    assert target.built(["alpha"]) is None
    assert target.build(["alpha"]) == target.built(["alpha"])


def test_pins_are_the_target_base_as_installed_here() -> None:
    pins = find("declared").pins
    assert pins["numpy"] == metadata.version("numpy")
    assert "pytest" not in pins


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "nobody-has-this==2",
            r"ask for nobody-has-this==2, and it is not installed here: pip install 'nobody-has-this==2'",
        ),
        ("alpha>=2", r"ask for alpha>=2, and alpha 1.0 is installed here: pip install 'alpha>=2'"),
        ("gamma @ https://x.example/gamma.zip", r"pip install 'gamma @ https://x.example/gamma.zip'"),
        ("./alpha.zip", r"name 'alpha.zip', which does not say what distribution that is"),
        ("alpha==", r"line 1 is no requirement: 'alpha=='"),
        ("-r other.txt", r"include other.txt"),
    ],
)
def test_requirement_that_is_not_met_is_one_sentence(install: Install, line: str, told: str) -> None:
    install("alpha")
    with pytest.raises(TargetError, match=told) as raised:
        declared(line)
    assert "\n" not in str(raised.value)


def test_options_of_pip_are_no_requirements(install: Install) -> None:
    install("alpha")
    assert "alpha" in declared("--no-index", "--find-links .", "alpha").packages


def test_pre_release_that_is_installed_counts(install: Install) -> None:
    install("alpha", "2.0rc1")
    assert declared("alpha>=1").packages["alpha"] == "2.0rc1"


def test_local_version_counts_as_the_public_one(install: Install) -> None:
    install("alpha", "2.4.0+cpu")
    assert declared("alpha==2.4.0").packages["alpha"] == "2.4.0+cpu"


def test_what_pip_half_removed_does_not_count(install: Install, site: Path) -> None:
    install("alpha").rename(site / "~lpha-1.0.dist-info")
    with pytest.raises(TargetError, match="not installed here"):
        declared("alpha")


def test_pip_is_there_only_where_it_is_asked_for() -> None:
    # it would follow the links, and remove the files of this environment
    assert "pip" not in declared().packages
    assert python(declared("pip"), "import pip; print('pip')") == "pip"


def test_what_comes_into_a_folder_that_was_linked_whole_is_not_there(install: Install) -> None:
    install("alpha", files={"space/one.py": ""})
    assert python(declared("alpha"), "import space.one; print('one')") == "one"
    install("beta", files={"space/two.py": ""})
    environment = declared("alpha")
    assert python(environment, "import space.two") == "ModuleNotFoundError: No module named 'space.two'"
    assert python(environment, "import space.one; print('one')") == "one"
