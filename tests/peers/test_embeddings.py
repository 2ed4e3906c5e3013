"""``pp.embed`` with the packages behind it: batches are mixed, kinds of cells are not, and the seed decides."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pytest
import scanpy as sc
from anndata.io import read_elem
from sklearn.neighbors import NearestNeighbors

import recall_py

SHARED = Path(os.environ.get("RECALL_PY_SHARED", Path(__file__).parents[3] / "shared"))

pytestmark = pytest.mark.filterwarnings("default")  # of the packages


@pytest.fixture(scope="module")
def cells():
    """Two groups in two batches that lie apart. Harmony mixes no batches that lie further apart than types."""
    adata = recall_py.datasets.simulate(
        300, 200, group_shares=(0.5, 0.5), n_batches=2, batch_sd=0.2, n_markers=30, mean_depth=3000
    )
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=10)
    return adata


def like_their_neighbours(adata, slot, column):
    """Share of the 15 nearest cells that have the same value, on average."""
    near = NearestNeighbors(n_neighbors=16).fit(adata.obsm[slot]).kneighbors(return_distance=False)
    values = adata.obs[column].to_numpy()
    return float((values[near] == values[:, None]).mean())


def check(cells, method, least_of_groups, **options):
    adata = cells.copy()
    recall_py.pp.embed(adata, method, batch_key="batch", **options)
    slot = f"X_{method}"
    assert adata.obsm[slot].dtype == np.float32
    assert adata.obsm[slot].shape[0] == adata.n_obs
    assert like_their_neighbours(adata, "X_pca", "batch") > 0.9
    assert like_their_neighbours(adata, slot, "batch") < 0.7
    assert like_their_neighbours(adata, slot, "group") > least_of_groups
    again = cells.copy()
    recall_py.pp.embed(again, method, batch_key="batch", key_added="again", **options)
    np.testing.assert_array_equal(again.obsm["again"], adata.obsm[slot])
    sc.pp.neighbors(adata, use_rep=slot)
    recall_py.tl.leiden(adata, batch_key="batch", flavor="igraph", n_iterations=2, directed=False)
    assert adata.obs["leiden"].nunique() == 2
    assert (
        adata.obs.groupby("leiden", observed=True)["group"].agg(lambda of: of.value_counts(normalize=True).max()) > 0.9
    ).all()


def test_harmony(cells):
    pytest.importorskip("harmonypy")
    check(cells, "harmony", 0.9)


def test_scvi(cells):
    pytest.importorskip("scvi")
    check(cells, "scvi", 0.8, n_latent=5, train={"max_epochs": 150, "accelerator": "cpu", "enable_progress_bar": False})


def test_cvae(cells):
    pytest.importorskip("torch")
    check(cells, "cvae", 0.8, n_latent=5, max_epochs=150)


@pytest.fixture(scope="module")
def counted():
    """Three batches; kinds of cells in each."""
    return recall_py.datasets.simulate(
        450, 150, group_shares=(0.5, 0.5), n_batches=3, batch_sd=0.2, n_markers=30, mean_depth=2000, random_state=1
    )


def test_a_saved_model_embeds_the_same_cells_alike_and_no_new_covariate_changes_an_old_one(counted, tmp_path):
    torch = pytest.importorskip("torch")
    old = counted[counted.obs["batch"] != "batch2"].copy()
    options = {"batch_key": "batch", "random_state": 4}
    recall_py.pp.embed(old, "cvae", n_latent=4, max_epochs=80, save=tmp_path / "old.pt", **options)
    again = old[:, ::-1].copy()
    recall_py.pp.embed(again, "cvae", model=tmp_path / "old.pt", **options)
    np.testing.assert_allclose(again.obsm["X_cvae"], old.obsm["X_cvae"], atol=1e-5)

    new = counted[counted.obs["batch"] == "batch2"].copy()
    recall_py.pp.embed(new, "cvae", model=tmp_path / "old.pt", save=tmp_path / "new.pt", **options)
    before, after = (torch.load(tmp_path / name, weights_only=True) for name in ("old.pt", "new.pt"))
    assert after["conditions"] == {"batch": [*before["conditions"]["batch"], "batch2"]}
    for name, weight in before["weights"].items():
        np.testing.assert_array_equal(
            after["weights"][name][:, :2] if "condition" in name else after["weights"][name], weight
        )

    together = ad.concat([old, new])
    kinds = together.obs["group"].to_numpy()
    near = (
        NearestNeighbors(n_neighbors=15).fit(old.obsm["X_cvae"]).kneighbors(new.obsm["X_cvae"], return_distance=False)
    )
    assert (old.obs["group"].to_numpy()[near] == new.obs["group"].to_numpy()[:, None]).mean() > 0.9
    assert like_their_neighbours(together, "X_cvae", "batch") < 0.6
    assert kinds.size == counted.n_obs


def test_the_loss_is_the_bound_that_scipy_computes(counted):
    torch = pytest.importorskip("torch")
    from scipy import sparse
    from scipy.special import log_softmax
    from scipy.stats import nbinom

    from recall_py.embedding.conditions import Conditions
    from recall_py.embedding.cvae import CvaeParams, new_cvae

    counts = sparse.csr_array(counted.X)[:40]
    conditions = Conditions.of(counted, ["batch"])
    one_hot = conditions.one_hot(counted)[:40]
    model = new_cvae(counted.var_names.to_numpy(dtype=str), conditions, CvaeParams(n_latent=3, n_hidden=8), 0)
    found = model.loss(counts, one_hot)

    parts, x, batch = model.parts, torch.from_numpy(counts.toarray().astype(np.float32)), torch.from_numpy(one_hot)
    with torch.no_grad():
        seen = torch.log1p(1e4 * x / x.sum(1, keepdim=True))
        hidden = parts["encoder"](parts["encoder_in"](seen) + parts["encoder_condition"](batch))
        mean, log_variance = (parts[name](hidden).double().numpy() for name in ("mean", "log_variance"))
        decoded = parts["decoder"](
            parts["decoder_in"](torch.from_numpy(mean).float()) + parts["decoder_condition"](batch)
        )
        logits = (parts["log_share"](decoded) + parts["log_share_condition"](batch)).double().numpy()
        size = np.exp(parts["log_inverse_dispersion"].weight.double().numpy().ravel())
    expected = np.exp(log_softmax(logits, axis=1)) * counts.sum(axis=1)[:, None]
    likelihood = nbinom.logpmf(counts.toarray(), size, size / (size + expected)).sum(axis=1)
    divergence = 0.5 * (mean**2 + np.exp(log_variance) - 1.0 - log_variance).sum(axis=1)
    np.testing.assert_allclose(found, (divergence - likelihood).mean() / counts.shape[1], rtol=1e-5)


@pytest.fixture
def epoch(monkeypatch):
    return watched(monkeypatch)


def watched(monkeypatch):
    """What an epoch of training saw: genes and covariates of each cell, sorted; and the trained model."""
    from recall_py.embedding.cvae import Cvae

    loss, fit = Cvae._loss, Cvae.fit
    seen = SimpleNamespace(rows=[], model=None)

    def seen_loss(self, counts, one_hot, *, weight):
        if self.parts.training and not self.history:
            seen.rows += np.concatenate([counts.cpu().numpy(), one_hot.cpu().numpy()], axis=1).tolist()
        return loss(self, counts, one_hot, weight=weight)

    def seen_fit(self, *args, **options):
        seen.model = self
        fit(self, *args, **options)
        seen.rows.sort()

    monkeypatch.setattr(Cvae, "_loss", seen_loss)
    monkeypatch.setattr(Cvae, "fit", seen_fit)
    return seen


TRAINING = {"batch_key": "batch", "n_top_genes": 100, "n_latent": 4, "max_epochs": 60}


@pytest.fixture(scope="module")
def in_memory(counted):
    """Rows of an epoch, its covariates beside them, a model's loss and positions, from counts in memory."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(patch)
        adata = counted.copy()
        recall_py.pp.embed(adata, "cvae", **TRAINING)
    return seen.rows, min(judged for _, judged in seen.model.history), adata.obsm["X_cvae"]


def one_file(counted, folder):
    counted.write_h5ad(folder / "all.h5ad")
    return ad.read_h5ad(folder / "all.h5ad", backed="r")


def several_files(counted, folder):
    """One object over three files, which are read when their counts are asked for."""
    pytest.importorskip("dask")
    from anndata.experimental import read_elem_lazy

    parts = []
    for first in range(0, counted.n_obs, 150):
        path = folder / f"from_{first:03}.h5ad"
        counted[first : first + 150].write_h5ad(path)
        file = h5py.File(path)
        parts.append(ad.AnnData(read_elem_lazy(file["X"]), obs=read_elem(file["obs"]), var=read_elem(file["var"])))
    return ad.concat(parts, merge="same")


@pytest.mark.parametrize("stored", [one_file, several_files])
def test_counts_in_files_train_the_model_of_those_in_memory(counted, in_memory, epoch, tmp_path, stored):
    rows, _, positions = in_memory
    adata = stored(counted, tmp_path)
    recall_py.pp.embed(adata, "cvae", **TRAINING)
    assert epoch.rows == rows
    np.testing.assert_array_equal(adata.obsm["X_cvae"], positions)


def of_ann_loader(counted, folder):
    from anndata.experimental import AnnLoader

    several_files(counted, folder)
    parts = [ad.read_h5ad(file, backed="r") for file in sorted(folder.glob("*.h5ad"))]
    return AnnLoader(parts, batch_size=128, shuffle=True)


def of_annbatch(counted, folder):
    annbatch = pytest.importorskip("annbatch")
    several_files(counted, folder)
    collection = annbatch.DatasetCollection(folder / "shuffled.zarr")
    collection.add_adatas(sorted(map(str, folder.glob("*.h5ad"))))
    rng = np.random.default_rng(0)
    return annbatch.Loader(batch_size=128, chunk_size=16, preload_nchunks=16, shuffle=True, rng=rng).use_collection(
        collection
    )


@pytest.mark.parametrize("made", [of_ann_loader, of_annbatch])
def test_a_loader_gives_the_same_cells_and_as_good_a_model(counted, in_memory, epoch, tmp_path, made):
    rows, loss, _ = in_memory
    adata = counted.copy()
    recall_py.pp.embed(adata, "cvae", loader=made(counted, tmp_path), **TRAINING)
    assert epoch.rows == rows
    assert min(judged for _, judged in epoch.model.history) == pytest.approx(loss, rel=0.02)
    assert like_their_neighbours(adata, "X_cvae", "group") > 0.8


def test_a_loader_of_other_cells_is_refused(counted):
    pytest.importorskip("torch")
    from anndata.experimental import AnnLoader

    others = counted.copy()
    others.obs_names = "another " + others.obs_names
    with pytest.raises(ValueError, match="loader gave none of the 405 cells that are trained on"):
        recall_py.pp.embed(counted, "cvae", batch_key="batch", loader=AnnLoader(others, batch_size=128))


def test_a_loader_is_refused_where_nothing_is_trained(counted, tmp_path):
    pytest.importorskip("torch")
    from anndata.experimental import AnnLoader

    recall_py.pp.embed(counted.copy(), "cvae", save=tmp_path / "model.pt", **TRAINING | {"max_epochs": 1})
    with pytest.raises(ValueError, match="the model knows every value of batch, so nothing is trained"):
        recall_py.pp.embed(
            counted, "cvae", batch_key="batch", model=tmp_path / "model.pt", loader=AnnLoader(counted, batch_size=128)
        )


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ("nothing", {"covariates": ["group"]}, "was trained on batch, not batch, group. Pass batch_key='batch'"),
        ("nothing", {"n_hidden": 4}, "n_hidden cannot be changed in a trained model"),
        ("genes", {}, "adata lacks 50 of the 150 genes of"),
        ("file", {}, "is no model of embed"),
    ],
)
def test_what_does_not_go_with_a_trained_model_is_refused(counted, tmp_path, change, options, says):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    recall_py.pp.embed(counted, "cvae", batch_key="batch", key_added="first", n_latent=2, max_epochs=1, save=path)
    if change == "file":
        torch.save({"weights": 1}, path)
    cells = counted[:, 50:].copy() if change == "genes" else counted
    with pytest.raises(ValueError, match=re.escape(says)):
        recall_py.pp.embed(cells, "cvae", batch_key="batch", model=path, **options)
    assert "X_cvae" not in cells.obsm


def test_clusters_of_one_condition_are_flagged_without_harmony_and_mixed_with_it():
    pytest.importorskip("harmonypy")
    file = SHARED / "data" / "kang_pbmc_stim.h5ad"
    if not file.is_file():
        pytest.skip(f"{file} is absent (set RECALL_PY_SHARED)")
    adata = ad.read_h5ad(file)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.highly_variable_genes(adata, n_top_genes=2000, flavor="seurat_v3", batch_key="batch")
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=30)
    sc.pp.neighbors(adata)
    options = {"batch_key": "batch", "flavor": "igraph", "n_iterations": 2, "directed": False}
    with pytest.warns(recall_py.CalibrationWarning, match="type or batch effect cannot be told apart"):
        recall_py.tl.leiden(adata, key_added="alone", **options)
    assert recall_py.get.pairs(adata, "alone")["kind"].eq("batch").any()
    recall_py.pp.embed(adata, "harmony", batch_key="batch")
    sc.pp.neighbors(adata, use_rep="X_harmony")
    recall_py.tl.leiden(adata, key_added="together", **options)
    assert not recall_py.get.pairs(adata, "together")["kind"].eq("batch").any()
    shares = adata.obs.groupby("together", observed=True)["batch"].value_counts(normalize=True)
    assert shares.groupby(level=0).min().min() > 0.05


def test_an_encoder_in_a_local_folder_makes_the_graph(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    adata = recall_py.datasets.simulate(200, 60, group_shares=(0.5, 0.5), n_markers=20, mean_depth=800)
    adata.var["ensembl_id"] = [f"ENSG{gene:011d}" for gene in range(adata.n_vars)]
    tokens = {"<pad>": 0, "<cls>": 1, "<eos>": 2} | {gene: 3 + at for at, gene in enumerate(adata.var["ensembl_id"])}
    medians = dict.fromkeys(adata.var["ensembl_id"], 10.0)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(tokens), max_position_embeddings=64, **shape)
    transformers.BertModel(config).save_pretrained(tmp_path / "model")

    cells = recall_py.pp.for_geneformer(adata, medians=medians, tokens=tokens)
    inputs = torch.from_numpy(cells.obsm["input_ids"]).long()
    model = transformers.AutoModel.from_pretrained(tmp_path / "model", local_files_only=True).eval()
    with torch.no_grad():
        hidden = model(inputs, attention_mask=(inputs != 0).int()).last_hidden_state
    adata.obsm["X_model"] = hidden.mean(dim=1).numpy()
    sc.pp.neighbors(adata, use_rep="X_model")
    recall_py.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False)
    assert "in obsm['X_model']" in recall_py.get.methods_text(adata)
    assert adata.obs["leiden"].notna().all()
