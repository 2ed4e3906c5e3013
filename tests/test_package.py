"""What holds for every public name: examples run, signatures follow the rules, the version is one."""

import doctest
import importlib
import inspect
import warnings
from pathlib import Path

import pytest

import recall_py

MODULES = ("tl", "pp", "pl", "get", "datasets")
PUBLIC = [
    getattr(importlib.import_module(f"recall_py.{module}"), name)
    for module in MODULES
    for name, member in inspect.getmembers(importlib.import_module(f"recall_py.{module}"), inspect.isfunction)
    if member.__module__.startswith(f"recall_py.{module}") and not name.startswith("_")
]


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: f"{function.__module__}.{function.__name__}")
def test_at_most_three_positional_arguments(function):
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 3


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: f"{function.__module__}.{function.__name__}")
def test_docstring_names_every_parameter(function):
    words = set(function.__doc__.replace(",", " ").replace("*", " ").split())
    missing = [name for name in inspect.signature(function).parameters if name not in words]
    assert not missing


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: f"{function.__module__}.{function.__name__}")
def test_docstring_has_an_example_that_shows_a_result(function):
    lines = doctest.DocTestParser().get_examples(function.__doc__)
    assert any(function.__name__ in line.source for line in lines)
    assert any(line.want for line in lines)


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    monkeypatch.setenv("MPLBACKEND", "Agg")
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner()
    functions = [function for function in PUBLIC if function.__module__.startswith(f"recall_py.{module}")]
    for example in [found for function in functions for found in finder.find(function)]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runner.run(example)
    assert runner.failures == 0
    assert runner.tries >= 2 * len(functions)


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'tools'"):
        _ = recall_py.tools
    assert set(MODULES) <= set(dir(recall_py))


def test_every_public_name_is_there_and_on_the_page_of_the_api():
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    public = {*MODULES, "seurat", "CalibrationWarning", "__version__"}
    assert set(recall_py.__all__) == set(dir(recall_py)) == public
    for name in public:
        assert getattr(recall_py, name) is not None
        assert name == "__version__" or f"   recall_py.{name}\n" in page
