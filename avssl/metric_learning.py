"""Losses and miners of pytorch-metric-learning by name, between two modalities over the batch of all processes."""

# N rows of the batch of all processes, D embedding, B clips, K crops of a clip

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.losses import gather
from avssl.plugins import hint

logger = logging.getLogger(__name__)
PREFIX = "pml/"
PARTS = ("distances", "reducers", "regularizers")
"""Modules of pytorch-metric-learning whose classes may be named as parameters."""
CUBIC = "NTXentLoss"


class MetricLearningLoss(nn.Module):
    """A loss of pytorch-metric-learning from queries of one modality to references of the other.

    Row i of the queries and row i of the references are the only positive pair of that row. Rows of all processes are
    gathered with their gradient and the plain loss is computed over all of them: `DistributedLossWrapper` of
    pytorch-metric-learning gives 0 for pairs across modalities.

    Args:
        loss: such as `pml/SupConLoss`.
        parameters: of its constructor; a value such as `pml/LpDistance` stands for an instance of that class.
        miner: such as `pml/MultiSimilarityMiner`; empty: all pairs.
        miner_parameters: of its constructor.
        temperature: for a loss that has one, unless `parameters` has it.

    Raises:
        InputError: unknown name or parameter, or a loss or miner that cannot work across modalities.
    """

    def __init__(
        self,
        loss: str,
        parameters: Mapping[str, Any] | None = None,
        miner: str = "",
        miner_parameters: Mapping[str, Any] | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__()
        self.loss = _build("losses", loss, {**_default_temperature(loss, temperature), **(parameters or {})})
        self.miner = _build("miners", miner, miner_parameters or {}) if miner else None
        for module, part, name in ((self.loss, "losses", loss), (self.miner, "miners", miner)):
            if reason := module and _misfit(module):
                raise InputError(
                    f"{name}: expected one of {part} that work across modalities, got {reason}; use {_known(part)}"
                )
        if loss == PREFIX + CUBIC:
            logger.warning("%s needs time and memory of the batch cubed; pml/SupConLoss is equal and quadratic", loss)

    def forward(self, query: Tensor, reference: Tensor, negatives: Tensor | None = None) -> dict[str, Tensor]:
        """The loss of queries against references, in float32 whatever autocast says.

        Args:
            query: `(rows, D)` of this process.
            reference: `(rows, D)` of the other modality.
            negatives: bool `(N, N)`, which references are negatives of a query; None: all but its own.

        Returns:
            `loss`, and with a miner `mined`, the share of negative pairs that it kept.

        Raises:
            InputError: shapes differ.
        """
        if query.shape != reference.shape or query.ndim != 2:
            shapes = f"{tuple(query.shape)} and {tuple(reference.shape)}"
            raise InputError(f"expected queries and references of one shape (rows, embedding), got {shapes}")
        with torch.autocast(query.device.type, enabled=False), nullcontext() if self.training else _fixed_draws():
            query, reference = gather(query.float()), gather(reference.float())
            # Two tensors: pytorch-metric-learning takes one and the same for "no references" and returns 0.
            rows = torch.arange(len(query), device=query.device)
            pairs = _pairs(self.miner, query, reference, rows, negatives)
            loss = self.loss(query, rows, pairs, ref_emb=reference, ref_labels=rows.clone())
            found = {"loss": loss + 0 * (query.sum() + reference.sum())}  # a gradient for all, also without a pair
            return found if self.miner is None else {**found, "mined": _share(pairs, negatives, rows)}


def alignment_negatives(clips: int, crops: int, negatives: str, device: torch.device) -> Tensor:
    """Negatives of AVSA's loss, of rows that are the crops of a clip one after another.

    Args:
        clips: of the batch of all processes.
        crops: of a clip.
        negatives: `easy` (the same crop of other clips), `hard` (other crops of the own clip) or `easy+hard`.
        device: of the result.

    Returns:
        bool `(B K, B K)`.
    """
    clip = torch.arange(clips, device=device).repeat_interleave(crops)
    crop = torch.arange(crops, device=device).repeat(clips)
    same_clip, same_crop = clip[:, None] == clip, crop[:, None] == crop
    kinds = {"easy": same_crop & ~same_clip, "hard": same_clip & ~same_crop}
    return kinds.get(negatives, kinds["easy"] | kinds["hard"])


def _pairs(miner: Any, query: Tensor, reference: Tensor, rows: Tensor, negatives: Tensor | None) -> Any:
    """Indices of pairs or triplets, those with a negative that is none of the candidates left out; None: all pairs."""
    if miner is None:
        return None if negatives is None else (rows, rows, *negatives.nonzero(as_tuple=True))
    mined = miner(query, rows, reference, rows.clone())
    if negatives is None:
        return mined
    *positives, anchor, negative = mined if len(mined) == 4 else (mined[1], mined[0], mined[2])
    kept = negatives[anchor, negative]
    if len(mined) == 4:
        return *positives, anchor[kept], negative[kept]
    return anchor[kept], positives[0][kept], negative[kept]


def _share(pairs: Any, negatives: Tensor | None, rows: Tensor) -> Tensor:
    """Share of all negative pairs that occur in mined pairs or triplets."""
    count = len(rows)
    among = count * (count - 1) if negatives is None else int(negatives.sum())
    anchor, negative = pairs[-2 if len(pairs) == 4 else 0], pairs[-1]
    return torch.tensor(len((anchor * count + negative).unique()) / max(among, 1), device=rows.device)


@contextmanager
def _fixed_draws() -> Iterator[None]:
    """A random state that begins with seed 0 and leaves the outer one untouched: some losses draw triplets."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def _default_temperature(loss: str, temperature: float | None) -> dict[str, float]:
    takes_one = "temperature" in inspect.signature(_class("losses", loss)).parameters
    return {"temperature": temperature} if takes_one and temperature is not None else {}


def _build(part: str, name: str, parameters: Mapping[str, Any]) -> Any:
    """An instance of a class of pytorch-metric-learning."""
    kind = _class(part, name)
    try:
        return kind(**{key: _value(value) for key, value in parameters.items()})
    except Exception as error:  # constructors check by assertions, by look-ups in a dictionary, or not at all
        raise InputError(f"{name}: expected its parameters, got {dict(parameters)} ({_line(error)})") from error


def _value(value: Any) -> Any:
    """A parameter; a name such as `pml/LpDistance` becomes an instance."""
    if not (isinstance(value, str) and value.startswith(PREFIX)):
        return value
    part = next((part for part in PARTS if value.removeprefix(PREFIX) in _classes(part)), PARTS[0])
    return _build(part, value, {})


def _class(part: str, name: str) -> Any:
    known = _classes(part)
    if name.startswith(PREFIX) and (kind := known.get(name.removeprefix(PREFIX))):
        return kind
    near = hint(name.removeprefix(PREFIX), known)
    raise InputError(f"expected one of {part} of pytorch-metric-learning, got {name!r}{near}; use {_known(part)}")


def _classes(part: str) -> dict[str, Any]:
    """Classes of one module of pytorch-metric-learning, which takes a second to import."""
    from importlib import import_module

    module = import_module(f"pytorch_metric_learning.{part}")
    return {name: each for name, each in vars(module).items() if isinstance(each, type) and not name.startswith("Base")}


def _known(part: str) -> str:
    """Names that work across modalities with their default parameters."""
    return ", ".join(PREFIX + name for name, kind in _classes(part).items() if part in PARTS or _works(kind))


def _works(kind: Any) -> bool:
    try:
        return not _misfit(kind())
    except Exception:  # needs the number of classes, or a loss to wrap
        return False


def _misfit(module: Any) -> str:
    """Why a loss or miner cannot work across modalities; empty if it can. The module is left as it was.

    Tried on queries that lie nearer to a wrong reference than to their own: a loss must give both modalities a
    gradient, at a second step too; a miner must return pairs of which the positives are the own references.
    """
    module = deepcopy(module)
    query = F.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    pair = query.requires_grad_(), (query.roll(1, 0) + 0.1 * query).detach().requires_grad_()
    try:
        with torch.enable_grad(), _fixed_draws():
            return _trial(module, *pair) or _trial(module, *pair)
    except Exception as error:  # any class of a library that changes: what it raises is the reason
        return f"an error ({_line(error)})"


def _trial(module: Any, query: Tensor, reference: Tensor) -> str:
    rows = torch.arange(len(query))
    found = module(query, rows, ref_emb=reference, ref_labels=rows.clone())
    if not isinstance(found, Tensor):
        return "" if torch.equal(found[0], found[1]) else "pairs of rows that do not belong together"
    gradients = torch.autograd.grad(found, (query, reference), allow_unused=True)
    alive = all(each is not None and bool(each.abs().sum() > 0) for each in gradients)
    return "" if alive else "no gradient for one modality"


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
