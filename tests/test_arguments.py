"""Arguments in errors and warnings, as Python, the command line and R name them."""

import ast
import inspect
import pickle
from pathlib import Path
from string import Formatter

import anndata as ad
import numpy as np
import pytest
import searches
import typer
from scipy import sparse

import recall_py
from recall_py import CalibrationWarning, seurat, tl
from recall_py.arguments import ArgumentError, ArgumentKeyError, Named, in_python
from recall_py.cli.commands import app
from recall_py.cli.errors import option_speller
from recall_py.seurat.from_r import cluster, in_r
from recall_py.seurat.pairs_from_r import in_r_by_pairs

CLASSES = {"ArgumentError", "ArgumentKeyError", "CalibrationWarning"}
DROP = "sc.pp.filter_cells(adata, min_counts=1)"


def on_command_line(command):
    found = typer.main.get_command(app).commands[command]
    return option_speller(typer.Context(found))


@pytest.mark.parametrize(
    ("text", "python", "command_line", "r"),
    [
        (
            "Raise {max_iterations}, or pass {strategy:'merge'}.",
            "Raise max_iterations, or pass strategy='merge'.",
            "Raise --max-iterations, or pass --strategy merge.",
            'Raise max_iterations, or pass strategy = "merge".',
        ),
        (
            "Pass a higher {resolution}, or {raise_start:True}.",
            "Pass a higher resolution, or raise_start=True.",
            "Pass a higher --resolution, or --raise-start.",
            "Pass a higher resolution_start, or raise_start = TRUE.",
        ),
        ("A larger {fdr} or {offset:0}.", "A larger fdr or offset=0.", "A larger --fdr or --offset 0.", None),
        ("With {fdr:0.05}.", "With fdr=0.05.", "With --fdr 0.05.", "With q = 0.05."),
        ("Pass fewer: {dims:5}.", "Pass fewer: dims=5.", "Pass fewer: --dims 5.", "Pass fewer: dims = 1:5."),
        ("{random_state} is -1.", "random_state is -1.", "--seed is -1.", "seed is -1."),
        ("{batch_key:'my batch'}", "batch_key='my batch'", "--batch-key 'my batch'", 'batch = "my batch"'),
        ("{restrict_to:('batch', ['a'])}", "restrict_to=('batch', ['a'])", "--restrict-to batch:a", None),
        ("{min_cells} is no option.", "min_cells is no option.", "min_cells is no option.", "min_cells is no option."),
        ("obs['n_draws'] stays.", "obs['n_draws'] stays.", "obs['n_draws'] stays.", "obs['n_draws'] stays."),
    ],
)
def test_each_caller_spells_arguments_its_own_way(text, python, command_line, r):
    error = ArgumentError(text)
    assert str(error) == error.spelled(in_python) == python
    assert error.spelled(on_command_line("recall")) == command_line
    if r is not None:
        assert error.spelled(in_r) == r


def test_a_command_names_only_options_that_it_has():
    error = ArgumentError("{strategy} and {layer}; {remove}", remove=Named(DROP))
    assert error.spelled(on_command_line("recall")) == "--strategy and --layer; --drop-empty-cells"
    assert error.spelled(on_command_line("knockoffs")) == f"strategy and --layer; {DROP}"
    assert str(error) == f"strategy and layer; {DROP}"


def test_what_users_gave_stays_as_it_is():
    error = ArgumentError("{layer} is {value!r}, {shown}.", value="{n_draws}", shown="{strategy:'x'} {")
    assert str(error) == "layer is '{n_draws}', {strategy:'x'} {."
    assert error.spelled(on_command_line("recall")) == "--layer is '{n_draws}', {strategy:'x'} {."


def test_a_sentence_in_a_sentence_is_spelled_too():
    inner = ArgumentError("Pass fewer: {dims:{most}}.", most=7)
    error = ArgumentError("Too small: {error} Or a larger {sketch}.", error=inner)
    assert str(error) == "Too small: Pass fewer: dims=7. Or a larger sketch."
    assert error.spelled(on_command_line("recall")) == "Too small: Pass fewer: --dims 7. Or a larger --sketch."


@pytest.mark.parametrize("kind", [ArgumentError, ArgumentKeyError, CalibrationWarning])
def test_errors_survive_pickling(kind):
    error = pickle.loads(pickle.dumps(kind("{n_draws} is {text!r}.", text="{a}")))
    assert type(error) is kind
    assert str(error) == error.args[0] == "n_draws is '{a}'."
    assert error.spelled(on_command_line("recall")) == "--n-draws is '{a}'."


def test_a_missing_thing_is_a_key_error_without_quotes_around_the_sentence():
    with pytest.raises(KeyError) as caught:
        raise ArgumentKeyError("Pass {plain:'...'}.")
    assert isinstance(caught.value, ArgumentError)
    assert str(caught.value) == "Pass plain='...'."


def test_every_argument_that_the_library_names_is_one_of_a_public_function():
    known = {"n_neighbors"}
    for module in (tl, recall_py.pl, recall_py.pp, recall_py.get, seurat):
        for _, function in inspect.getmembers(module, inspect.isfunction):
            known |= {*inspect.signature(function).parameters}
    unknown = [
        (path.name, name)
        for path in Path(recall_py.__file__).parent.rglob("*.py")
        for text, given in sentences(ast.parse(path.read_text(encoding="utf-8")))
        for name in placeholders(text) - given - known
    ]
    assert unknown == [("cluster.py", "knockoffs")]  # an argument of R alone


def sentences(tree):
    """Templates of errors, in the call or in the line before it, and the names of the values that they are given."""
    texts = {
        node.lineno: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in CLASSES:
            written = call.args[0]
            before = max((line for line in texts if line < call.lineno), default=None)
            text = written.value if isinstance(written, ast.Constant) else texts[before]
            yield text, {keyword.arg for keyword in call.keywords}


def placeholders(text):
    parts = [(name, spec) for _, name, spec, _ in Formatter().parse(text) if name]
    nested = [placeholders(spec) for _, spec in parts if spec]
    return {name.partition(".")[0].partition("[")[0] for name, _ in parts}.union(*nested)


def test_r_is_told_of_errors_in_its_own_words():
    counts = sparse.csr_array(np.random.default_rng(0).poisson(1.0, (30, 10)))
    matrix = {"x": counts.data, "i": counts.indices, "p": counts.indptr, "genes": [f"g{i}" for i in range(10)]}
    labels = ["a", "b"] * 15
    with pytest.raises(ValueError, match=r"^10 genes are too few: with q = 0.05 and offset = 1 a pair") as caught:
        cluster(matrix, {"algorithm": "louvain", "start": 1, "fdr": 0.05, "seed": 0, "n_jobs": 1})
    assert str(caught.value).endswith("or pass a larger q or offset = 0.")
    adata = ad.AnnData(sparse.csr_matrix(counts))
    adata.obs["labels"] = labels
    with pytest.raises(ArgumentError, match=r"with fdr=0.05 and offset=1 a pair"):
        searches.filter_tested(adata, "labels")


@pytest.mark.parametrize(
    ("text", "r"),
    [
        ("Pass a higher {resolution}.", "Pass a higher resolution."),
        ("{random_state} is -1.", "random.seed is -1."),
        ("{where}: {finer}", "'seurat_clusters': FindClusters"),
        ("{programmes:()}", "programmes = NULL"),
        ("{batch_key:'donor'}, {n_jobs}", 'batch = "donor", cores'),
    ],
)
def test_functions_by_pairs_have_names_of_their_own_in_r(text, r):
    where = {"where": Named("obs['seurat_clusters']"), "finer": Named("sc.tl.leiden")} if "where" in text else {}
    assert ArgumentError(text, **where).spelled(in_r_by_pairs) == r
