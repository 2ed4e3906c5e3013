"""What ``recall-py export --cellxgene`` writes, judged by the validator of CELLxGENE, in an environment of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import recall_py

TERMS = {
    "title": "Two kinds of cells",
    "organism_ontology_term_id": "NCBITaxon:9606",
    "assay_ontology_term_id": "EFO:0009922",
    "cell_type_ontology_term_id": {"group": {"type0": "CL:0000084", "type1": "CL:0000236"}},
    "development_stage_ontology_term_id": "unknown",
    "disease_ontology_term_id": "PATO:0000461",
    "donor_id": "one",
    "is_primary_data": True,
    "self_reported_ethnicity_ontology_term_id": "unknown",
    "sex_ontology_term_id": "unknown",
    "suspension_type": "cell",
    "tissue_ontology_term_id": "UBERON:0000178",
    "tissue_type": "tissue",
}


@pytest.fixture(scope="module")
def validator():
    found = shutil.which("cellxgene-schema")
    if found is None:
        pytest.skip("cellxgene-schema is not on the PATH")
    return Path(found).resolve()


@pytest.mark.parametrize("without", [None, "sex_ontology_term_id"])
def test_the_validator_takes_what_is_complete_and_names_what_is_not(validator, tmp_path, without):
    names = next(
        validator.parents[1].glob("lib/*/site-packages/cellxgene_schema/gencode_files/genes_homo_sapiens.csv.gz")
    )
    adata = recall_py.datasets.simulate(200, 200, group_shares=(0.5, 0.5))
    adata.obs["group"] = "type" + adata.obs["group"].cat.codes.astype(str)
    adata.var["gene_ids"] = pd.read_csv(names, header=None, nrows=200)[0].to_numpy()
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(200, 2))
    adata.write_h5ad(tmp_path / "in.h5ad")
    terms = {name: term for name, term in TERMS.items() if name != without}
    (tmp_path / "terms.json").write_text(json.dumps(terms))
    command = [Path(sys.executable).with_name("recall-py"), "export", "in.h5ad", "--cellxgene", "--terms", "terms.json"]
    run = subprocess.run([*command, "-o", "out.h5ad"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ("missing, pass" in run.stdout) == (without is not None)
    judged = subprocess.run(
        [validator, "validate", "out.h5ad"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (judged.returncode == 0) == (without is None), judged.stderr
    assert without is None or without in judged.stderr
