"""A conditional variational autoencoder of counts: model, training, and cells of new batches.

Counts are negative binomial around library size times the shares that a decoder makes of a cell's latent position and
of its batch (Lopez et al., Nat. Methods 2018, doi 10.1038/s41592-018-0229-2). What the batch tells the decoder, the
position need not, so that cells of one kind lie together whatever their batch. New batches change nothing but the
weights of their own columns (Lotfollahi et al., Nat. Biotechnol. 2022, doi 10.1038/s41587-021-01001-7).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recall_py.embedding.conditions import Conditions
from recall_py.embedding.packages import optional
from recall_py.method.normalisation import TARGET_TOTAL

if TYPE_CHECKING:
    import torch
    from scipy import sparse

    from recall_py.embedding.loaders import HandedLoader

_EPOCHS_OF_FEW, _FEW = 400, 20_000
"""Epochs of up to so many cells; of more as many steps, but 20 epochs at least."""
_DROPPED = 0.1
"""Share of the hidden values that are left out of each step."""


@dataclass(frozen=True, kw_only=True)
class CvaeParams:
    """Shape of the model, and how it is trained."""

    n_latent: int = 10
    n_hidden: int = 128
    max_epochs: int | None = None
    """By default 400, of more than 20,000 cells fewer."""
    batch_size: int = 128
    learning_rate: float = 1e-3
    warm_up: float = 0.25
    """Share of the epochs over which the weight of the prior grows from 0 to 1."""
    held_out: float = 0.1
    """Share of the cells by whose loss training is stopped."""
    patience: int = 30
    """Epochs without a smaller loss, after the warm-up, that end it."""

    def __post_init__(self) -> None:
        for name in ("n_latent", "n_hidden", "batch_size", "patience"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}; a whole number from 1 on is needed."
                raise ValueError(msg)
        if self.max_epochs is not None and self.max_epochs < 1:
            msg = f"max_epochs is {self.max_epochs}; a whole number from 1 on is needed, or None."
            raise ValueError(msg)
        if not 0 < self.held_out < 1:
            msg = f"held_out is {self.held_out}; a share between 0 and 1 is needed."
            raise ValueError(msg)

    def epochs(self, n_cells: int) -> int:
        """Epochs at most, of so many cells."""
        if self.max_epochs is not None:
            return self.max_epochs
        return max(20, round(_EPOCHS_OF_FEW * min(1.0, _FEW / n_cells)))


class Cvae:
    """A model, trained or not.

    Parameters
    ----------
    genes
        Names, in the order of the counts that it takes.
    conditions
        Batches and other covariates.
    params
        Its shape, and how it is trained.
    """

    def __init__(self, genes: NDArray[np.str_], conditions: Conditions, params: CvaeParams) -> None:
        nn = optional("torch", "cvae", "'recall-py[torch]'").nn
        self.genes, self.conditions, self.params = genes, conditions, params
        n_genes, n_hidden, n_latent = genes.size, params.n_hidden, params.n_latent
        self.history: list[tuple[float, float]] = []
        """Loss of the cells that are trained on and of those held out, for each epoch, a cell and gene on average."""
        self.parts = nn.ModuleDict(
            {
                "encoder_in": nn.Linear(n_genes, n_hidden),
                "encoder_condition": nn.Linear(len(conditions.columns), n_hidden, bias=False),
                "encoder": _hidden(nn, n_hidden),
                "mean": nn.Linear(n_hidden, n_latent),
                "log_variance": nn.Linear(n_hidden, n_latent),
                "decoder_in": nn.Linear(n_latent, n_hidden),
                "decoder_condition": nn.Linear(len(conditions.columns), n_hidden, bias=False),
                "decoder": _hidden(nn, n_hidden),
                "log_share": nn.Linear(n_hidden, n_genes),
                "log_share_condition": nn.Linear(len(conditions.columns), n_genes, bias=False),
                "log_inverse_dispersion": nn.Linear(1, n_genes, bias=False),
            }
        )

    def fit(
        self, counts: sparse.csr_array, one_hot: NDArray[np.float32], *, seed: int, loader: HandedLoader | None = None
    ) -> None:
        """Train all weights on (n_cells, n_genes) counts, or on the same cells as a loader gives them."""
        with _seeded(seed):
            self._train(counts, one_hot, seed=seed, loader=loader)

    def fit_new(
        self,
        conditions: Conditions,
        counts: sparse.csr_array,
        one_hot: NDArray[np.float32],
        *,
        seed: int,
        loader: HandedLoader | None = None,
    ) -> None:
        """Train the weights of the columns of `conditions` that are new, and no other; they begin as the mean."""
        import torch

        known = {column: at for at, column in enumerate(self.conditions.columns)}
        is_new = torch.tensor([column not in known for column in conditions.columns])
        of_known = [known[column] for column in conditions.columns if column in known]
        self.parts.requires_grad_(requires_grad=False)
        for name in ("encoder_condition", "decoder_condition", "log_share_condition"):
            old = self.parts[name].weight.data
            weight = old.mean(dim=1, keepdim=True).repeat(1, len(conditions.columns))
            weight[:, ~is_new] = old[:, of_known]
            self.parts[name] = torch.nn.Linear(*weight.shape[::-1], bias=False, device=weight.device)
            self.parts[name].weight.data = weight
            self.parts[name].weight.register_hook(lambda gradient: gradient * is_new.to(gradient.device))
        self.conditions = conditions
        with _seeded(seed):
            self._train(counts, one_hot, seed=seed, loader=loader)

    def embed(self, counts: sparse.csr_array, one_hot: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n_cells, n_latent) means of the positions of cells."""
        import torch

        self._to_device()
        self.parts.eval()
        with _seeded(0), torch.no_grad():
            means = [self._position(*batch)[0].cpu() for batch in self._batches(counts, one_hot)]
        return np.asarray(torch.cat(means).numpy())

    def loss(
        self, counts: sparse.csr_array, one_hot: NDArray[np.float32], cells: NDArray[np.intp] | None = None
    ) -> float:
        """Negative evidence lower bound, a cell and gene on average, of all cells or of some."""
        import torch

        self.parts.eval()
        with torch.no_grad():
            summed = [float(self._loss(*batch, weight=1.0).sum()) for batch in self._batches(counts, one_hot, cells)]
        return sum(summed) / (counts.shape[0] if cells is None else cells.size) / counts.shape[1]

    def save(self, path: str | Path) -> None:
        """Write weights, genes, covariates and parameters to a file."""
        import torch

        torch.save(
            {
                "genes": self.genes.tolist(),
                "conditions": {column: list(values) for column, values in self.conditions.values.items()},
                "params": asdict(self.params),
                "weights": {name: weight.cpu() for name, weight in self.parts.state_dict().items()},
            },
            path,
        )

    @classmethod
    def load(cls, path: str | Path) -> Cvae:
        """Read what :meth:`save` wrote; nothing in the file is run.

        Raises
        ------
        ValueError
            If it is something else.
        """
        torch = optional("torch", "cvae", "'recall-py[torch]'")
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(stored, dict) or not {"genes", "conditions", "params", "weights"} <= set(stored):
            msg = f"{path} is no model of embed(adata, 'cvae'). Write one: embed(adata, 'cvae', save='model.pt', ...)"
            raise ValueError(msg)
        conditions = Conditions({column: tuple(values) for column, values in stored["conditions"].items()})
        model = cls(np.array(stored["genes"], dtype=np.str_), conditions, CvaeParams(**stored["params"]))
        model.parts.load_state_dict(stored["weights"])
        return model

    def _train(
        self, counts: sparse.csr_array, one_hot: NDArray[np.float32], *, seed: int, loader: HandedLoader | None
    ) -> None:
        import torch

        n_cells, params = counts.shape[0], self.params
        order = np.random.default_rng(seed).permutation(n_cells)
        n_held_out = max(1, round(params.held_out * n_cells))
        held_out, trained_on = (np.sort(part) for part in np.split(order, [n_held_out]))
        if not trained_on.size:
            msg = f"{n_cells} cells are too few: {n_held_out} are held out, and none is left to train on."
            raise ValueError(msg)
        n_epochs = params.epochs(n_cells)
        n_warm = max(1, round(params.warm_up * n_epochs))
        self._to_device()
        optimiser = torch.optim.Adam(
            [weight for weight in self.parts.parameters() if weight.requires_grad], lr=params.learning_rate
        )
        least, best, since = np.inf, copy.deepcopy(self.parts.state_dict()), 0
        shuffled = torch.Generator().manual_seed(seed)
        for epoch in _told(n_epochs):
            self.parts.train()
            weight = min(1.0, (epoch + 1) / n_warm)
            summed, n_seen = 0.0, 0
            batches = (
                self._batches(counts, one_hot, trained_on, shuffled)
                if loader is None
                else self._handed(loader, one_hot, trained_on)
            )
            for batch in batches:
                optimiser.zero_grad()
                losses = self._loss(*batch, weight=weight)
                losses.mean().backward()
                torch.nn.utils.clip_grad_norm_(self.parts.parameters(), 10.0)
                optimiser.step()
                summed, n_seen = summed + float(losses.detach().sum()), n_seen + len(losses)
            found = self.loss(counts, one_hot, held_out)
            self.history.append((summed / n_seen / counts.shape[1], found))
            if epoch < n_warm:
                continue
            since += 1
            if found < least:
                least, best, since = found, copy.deepcopy(self.parts.state_dict()), 0
            if since >= params.patience:
                break
        if np.isfinite(least):
            self.parts.load_state_dict(best)

    def _batches(
        self,
        counts: sparse.csr_array,
        one_hot: NDArray[np.float32],
        cells: NDArray[np.intp] | None = None,
        shuffled: torch.Generator | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Dense counts and covariates of all cells, or of some, a few at a time, where the weights are."""
        import torch

        loader = torch.utils.data.DataLoader(
            range(counts.shape[0]) if cells is None else cells,
            batch_size=self.params.batch_size,
            shuffle=shuffled is not None,
            generator=shuffled,
            collate_fn=np.asarray,
        )
        for few in loader:
            yield self._tensors(counts[few].toarray(), one_hot[few])

    def _handed(
        self, loader: HandedLoader, one_hot: NDArray[np.float32], cells: NDArray[np.intp]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The same of the batches that a loader gives, without other cells.

        Raises
        ------
        ValueError
            If it gives none of the cells.
        """
        n_taken = 0
        taken = np.zeros(len(one_hot) + 1, dtype=np.bool_)  # the last for cells that it alone has
        taken[cells] = True
        for few, counts in loader:
            if (among := taken[few]).any():
                n_taken += int(among.sum())
                yield self._tensors(counts[among], one_hot[few[among]])
        if not n_taken:
            msg = (
                f"loader gave none of the {cells.size} cells that are trained on. Give its cells the names of adata's."
            )
            raise ValueError(msg)

    def _tensors(self, *arrays: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        device = next(self.parts.parameters()).device
        counts, one_hot = (torch.from_numpy(array.astype(np.float32)).to(device) for array in arrays)
        return counts, one_hot

    def _position(self, counts: torch.Tensor, one_hot: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of the positions."""
        shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1.0)
        seen = self.parts["encoder_in"]((TARGET_TOTAL * shares).log1p()) + self.parts["encoder_condition"](one_hot)
        hidden = self.parts["encoder"](seen)
        return self.parts["mean"](hidden), self.parts["log_variance"](hidden).clamp(-10.0, 10.0)

    def _loss(self, counts: torch.Tensor, one_hot: torch.Tensor, *, weight: float) -> torch.Tensor:
        """(n_cells,) negative evidence lower bound, the prior with a weight."""
        from torch.distributions import NegativeBinomial, Normal, kl_divergence

        mean, log_variance = self._position(counts, one_hot)
        position = Normal(mean, (0.5 * log_variance).exp())
        latent = position.rsample() if self.parts.training else mean
        hidden = self.parts["decoder"](self.parts["decoder_in"](latent) + self.parts["decoder_condition"](one_hot))
        log_share = (self.parts["log_share"](hidden) + self.parts["log_share_condition"](one_hot)).log_softmax(dim=1)
        log_mean = log_share + counts.sum(dim=1, keepdim=True).clamp(min=1.0).log()
        log_size = self.parts["log_inverse_dispersion"].weight.T.clamp(-10.0, 10.0)
        likelihood = NegativeBinomial(log_size.exp(), logits=log_mean - log_size).log_prob(counts).sum(dim=1)
        prior = Normal(mean.new_zeros(()), mean.new_ones(()))
        return weight * kl_divergence(position, prior).sum(dim=1) - likelihood

    def _to_device(self) -> None:
        import torch

        self.parts.to("cuda" if torch.cuda.is_available() else "cpu")


def new_cvae(genes: NDArray[np.str_], conditions: Conditions, params: CvaeParams, seed: int) -> Cvae:
    """A model with weights by the seed; torch's own state is left as it was."""
    optional("torch", "cvae", "'recall-py[torch]'")
    with _seeded(seed):
        return Cvae(genes, conditions, params)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw by the seed; what torch draws elsewhere stays as it is."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _hidden(nn: Any, n_hidden: int) -> Any:
    return nn.Sequential(
        nn.LayerNorm(n_hidden),
        nn.ReLU(),
        nn.Dropout(_DROPPED),
        nn.Linear(n_hidden, n_hidden),
        nn.LayerNorm(n_hidden),
        nn.ReLU(),
    )


def _told(n_epochs: int) -> Iterator[int]:
    """The epochs, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return iter(track(range(n_epochs), "training", console=console, transient=True, disable=not console.is_terminal))
