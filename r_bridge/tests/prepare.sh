# Sourced in the checkout, inside the root: this project, its tests and rpy2 in a virtual environment that is kept.
# The project is installed as a link to the checkout, so only another pyproject.toml asks for pip.
venv=/opt/recall
if ! cmp -s pyproject.toml "$venv/pyproject.toml"; then
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --root-user-action=ignore --editable '.[test,r]' ipython
    cp pyproject.toml "$venv/pyproject.toml"
fi
export PATH="$venv/bin:$PATH" RETICULATE_PYTHON="$venv/bin/python" OPENBLAS_NUM_THREADS=1
