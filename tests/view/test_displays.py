"""Which types are shown, and by what."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from handlerkit import view
from handlerkit.messages import Run
from handlerkit.view.displays import DISPLAYS


@pytest.mark.parametrize(("module", "name"), DISPLAYS)
def test_each_displayed_type_is_where_it_is_said_to(module, name):
    kind = getattr(importlib.import_module(module), name)
    assert (kind.__module__, kind.__qualname__) == (module, name)
    assert callable(DISPLAYS[module, name]())


def test_a_type_that_inherits_from_a_displayed_one_is_shown_as_that():
    class Renamed(Run):
        pass

    assert view(Renamed((), model="coins")).text == view(Run((), model="coins")).text


def test_only_a_run_takes_options():
    from handlerkit.verify import Report

    with pytest.raises(TypeError, match="shown_as"):
        view(Report((), "there", None, Run(()), Run(())), shown_as="json")


def test_what_is_not_shown_is_not_imported():
    code = "import sys, handlerkit.view; print(sorted({'handlerkit.bench', 'handlerkit.check'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_refusal_of_another_type_names_those_that_are_shown(monkeypatch):
    monkeypatch.setitem(DISPLAYS, ("elsewhere", "Waveform"), lambda: view)
    with pytest.raises(TypeError, match=r"^a view shows one of Run, .*, Waveform, not a int$"):
        view(3)
