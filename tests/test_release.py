"""What a release and the list of ecosystem packages ask for, kept in step with the code."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import recall_py

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TUTORIALS = sorted((REPOSITORY / "docs" / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("file", ["CITATION.cff", "meta.yaml"])
def test_version_is_that_of_the_package(file):
    found = re.search(r"^version: v?(\S+)$", (REPOSITORY / file).read_text(), flags=re.MULTILINE)
    assert found is not None
    assert found[1] == PROJECT["version"] == recall_py.__version__


def test_conda_recipe_needs_what_the_package_needs():
    recipe = (REPOSITORY / "conda" / "meta.yaml").read_text()
    assert f'version = "{PROJECT["version"]}"' in recipe
    run = recipe.partition("  run:\n")[2].partition("\ntest:")[0]
    needed = {line.strip("- ").replace(" ", "").replace("matplotlib-base", "matplotlib") for line in run.splitlines()}
    assert needed - {""} == {f"python{PROJECT['requires-python']}", *PROJECT["dependencies"]}
    assert f"recall-py = {PROJECT['scripts']['recall-py']}" in recipe


@pytest.mark.parametrize(
    "file",
    [
        *(
            "LICENSE",
            "README.md",
            "CHANGELOG.md",
            "CITATION.cff",
            "CODE_OF_CONDUCT.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
        ),
        *(".pre-commit-config.yaml", "meta.yaml", "conda/meta.yaml", "recall_py/py.typed", "pipelines/Dockerfile"),
        *(".github/ISSUE_TEMPLATE/bug_report.yml", ".github/workflows/release.yml"),
    ],
)
def test_file_that_the_ecosystem_asks_for_is_there_and_in_the_sdist(file):
    assert (REPOSITORY / file).is_file()
    included = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    always = {"README.md", "LICENSE"}
    assert file in always or any(file == entry or file.startswith(f"{entry}/") for entry in included["include"])


def test_readme_is_short_and_names_one_call_for_each_kind_of_user():
    text = (REPOSITORY / "README.md").read_text()
    assert len(text.split()) <= 600
    for said in ('tl.leiden(adata, "auto")', "FindClustersCalibrated(obj)", "--resolution auto", "before_after.png"):
        assert said in text


def test_links_of_the_readme_lead_somewhere():
    text = (REPOSITORY / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_licence_is_mit_everywhere():
    assert PROJECT["license"] == "MIT"
    assert (REPOSITORY / "LICENSE").read_text().startswith("MIT License")
    for file in ("CITATION.cff", "meta.yaml"):
        assert "\nlicense: MIT\n" in (REPOSITORY / file).read_text()


def test_workflows_run_what_the_ci_script_runs():
    script = set(re.findall(r"^\s*make ([\w-]+)", (REPOSITORY / ".ci" / "run").read_text(), flags=re.MULTILINE))
    workflows = "\n".join(file.read_text() for file in (REPOSITORY / ".github" / "workflows").glob("*.yml"))
    assert set(re.findall(r"run: make ([\w-]+)", workflows)) == script >= {"test", "lint", "docs", "dist"}


def test_workflows_test_every_python_that_the_package_names():
    named = {text.rpartition(" ")[2] for text in PROJECT["classifiers"] if "Python :: 3." in text}
    matrix = re.search(r"python-version: \[(.*)\]", (REPOSITORY / ".github" / "workflows" / "test.yml").read_text())
    assert matrix is not None
    assert set(re.findall(r"3\.\d+", matrix[1])) == named


@pytest.mark.parametrize("notebook", TUTORIALS, ids=lambda notebook: notebook.stem)
def test_tutorials_hold_no_outputs(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_there_are_tutorials():
    assert {notebook.stem for notebook in TUTORIALS} == {"pbmc3k", "over-split", "own-labels", "several-samples"}


def test_every_page_is_in_the_documentation():
    docs = REPOSITORY / "docs"
    listed = set(re.findall(r"^([\w/.-]+)$", (docs / "index.md").read_text(), flags=re.MULTILINE))
    built = ("_build", "generated", "measured")
    pages = [page for page in docs.rglob("*") if page.suffix in {".md", ".ipynb"}]
    written = {page.relative_to(docs).with_suffix("") for page in pages}
    expected = {str(page) for page in written if page.parts[0] not in built and str(page) != "index"}
    assert {page for page in expected if "checkpoint" not in page} <= listed


def test_page_for_r_has_the_code_of_the_vignette():
    vignette = (REPOSITORY / "r_bridge" / "vignettes" / "pbmc3k.Rmd").read_text()
    page = (REPOSITORY / "docs" / "tutorials" / "seurat.md").read_text()
    chunks = re.findall(r"^```\{r (\w+)[^\n]*\}\n(.*?)^```", vignette, flags=re.MULTILINE | re.DOTALL)
    written = [line for name, code in chunks if name != "setup" for line in code.splitlines()]
    blocks = "".join(re.findall(r"^``` r\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))
    assert [line for line in blocks.splitlines() if not line.startswith("#>")] == written
    assert "plot of chunk" not in page
