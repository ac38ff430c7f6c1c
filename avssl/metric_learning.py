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
"""Modules of pytorch-metric-learning whose classes may be parameter values."""
CUBIC_LOSS = "NTXentLoss"
"""Loss with time and memory cubic in the batch size."""


class MetricLearningLoss(nn.Module):
    """Loss of pytorch-metric-learning from queries of one modality to references of the other.

    Row i of queries and references are the only positive pair of that row. Rows of all processes are gathered with
    their gradient, and the plain loss is computed over all of them: `DistributedLossWrapper` of pytorch-metric-learning
    returns 0 for pairs across modalities.

    Args:
        loss: name, such as `pml/SupConLoss`.
        parameters: constructor arguments; a value such as `pml/LpDistance` is an instance of that class.
        miner: name, such as `pml/MultiSimilarityMiner`; empty: all pairs.
        miner_parameters: constructor arguments of the miner.
        temperature: default of the loss's `temperature`, if it has one.

    Raises:
        InputError: unknown name or parameter, or a loss or miner that does not support two modalities.
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
            if reason := module and _incompatibility(module):
                raise InputError(
                    f"{name}: expected one of {part} that support two modalities, got {reason}; use {_known(part)}"
                )
        if loss == PREFIX + CUBIC_LOSS:
            logger.warning(
                "%s needs time and memory cubic in the batch size; pml/SupConLoss is equal and quadratic", loss
            )

    def forward(self, query: Tensor, reference: Tensor, negatives: Tensor | None = None) -> dict[str, Tensor]:
        """Loss of queries against references, in float32 also under autocast.

        Args:
            query: `(rows, D)` of this process.
            reference: `(rows, D)` of the other modality.
            negatives: bool `(N, N)`, references that are negatives of a query; None: all but the positive.

        Returns:
            `loss`, and with a miner `mined`, the fraction of negative pairs selected.

        Raises:
            InputError: shapes differ.
        """
        if query.shape != reference.shape or query.ndim != 2:
            shapes = f"{tuple(query.shape)} and {tuple(reference.shape)}"
            raise InputError(f"expected queries and references of one shape (rows, embedding), got {shapes}")
        with (
            torch.autocast(query.device.type, enabled=False),
            nullcontext() if self.training else _fixed_random_state(),
        ):
            query, reference = gather(query.float()), gather(reference.float())
            # Distinct label tensors: for identical ones, pytorch-metric-learning assumes no references and returns 0.
            rows = torch.arange(len(query), device=query.device)
            pairs = _pairs(self.miner, query, reference, rows, negatives)
            loss = self.loss(query, rows, pairs, ref_emb=reference, ref_labels=rows.clone())
            scalars = {"loss": loss + 0 * (query.sum() + reference.sum())}  # a gradient for all, also without pairs
            return scalars if self.miner is None else {**scalars, "mined": _mined_fraction(pairs, negatives, rows)}


def alignment_negatives(clips: int, crops: int, negatives: str, device: torch.device) -> Tensor:
    """Mask of the negatives of AVSA's loss, for rows ordered by clip, then crop.

    Args:
        clips: clips in the batch of all processes.
        crops: crops of a clip.
        negatives: `easy` (the same crop of other clips), `hard` (other crops of the same clip) or `easy+hard`.
        device: device of the result.

    Returns:
        bool `(B K, B K)`.
    """
    clip = torch.arange(clips, device=device).repeat_interleave(crops)
    crop = torch.arange(crops, device=device).repeat(clips)
    same_clip, same_crop = clip[:, None] == clip, crop[:, None] == crop
    kinds = {"easy": same_crop & ~same_clip, "hard": same_clip & ~same_crop}
    return kinds.get(negatives, kinds["easy"] | kinds["hard"])


def _pairs(miner: Any, query: Tensor, reference: Tensor, rows: Tensor, negatives: Tensor | None) -> Any:
    """Indices of mined pairs or triplets, restricted to candidate negatives; None: all pairs."""
    if miner is None:
        return None if negatives is None else (rows, rows, *negatives.nonzero(as_tuple=True))
    mined = miner(query, rows, reference, rows.clone())
    if negatives is None:
        return mined
    *positives, anchor, negative = mined if len(mined) == 4 else (mined[1], mined[0], mined[2])
    selected = negatives[anchor, negative]
    if len(mined) == 4:
        return *positives, anchor[selected], negative[selected]
    return anchor[selected], positives[0][selected], negative[selected]


def _mined_fraction(pairs: Any, negatives: Tensor | None, rows: Tensor) -> Tensor:
    """Fraction of all negative pairs that occur in mined pairs or triplets."""
    count = len(rows)
    candidates = count * (count - 1) if negatives is None else int(negatives.sum())
    anchor, negative = pairs[-2 if len(pairs) == 4 else 0], pairs[-1]
    return torch.tensor(len((anchor * count + negative).unique()) / max(candidates, 1), device=rows.device)


@contextmanager
def _fixed_random_state() -> Iterator[None]:
    """Random state of seed 0 inside the context, for losses that sample triplets; restores the outer state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def _default_temperature(loss: str, temperature: float | None) -> dict[str, float]:
    has_temperature = "temperature" in inspect.signature(_class("losses", loss)).parameters
    return {"temperature": temperature} if has_temperature and temperature is not None else {}


def _build(part: str, name: str, parameters: Mapping[str, Any]) -> Any:
    """Instantiate a class of pytorch-metric-learning."""
    kind = _class(part, name)
    try:
        return kind(**{key: _value(value) for key, value in parameters.items()})
    except Exception as error:  # constructors check by assertions, by look-ups in a dictionary, or not at all
        raise InputError(f"{name}: expected its parameters, got {dict(parameters)} ({_first_line(error)})") from error


def _value(value: Any) -> Any:
    """Parameter value; a name such as `pml/LpDistance` becomes an instance."""
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
    """Classes of a module of pytorch-metric-learning; imported on use, as it takes a second."""
    from importlib import import_module

    module = import_module(f"pytorch_metric_learning.{part}")
    return {name: each for name, each in vars(module).items() if isinstance(each, type) and not name.startswith("Base")}


def _known(part: str) -> str:
    """Names that support two modalities with default parameters."""
    return ", ".join(PREFIX + name for name, kind in _classes(part).items() if part in PARTS or _is_compatible(kind))


def _is_compatible(kind: Any) -> bool:
    try:
        return not _incompatibility(kind())
    except Exception:  # needs the number of classes, or a loss to wrap
        return False


def _incompatibility(module: Any) -> str:
    """Reason why a loss or miner does not support two modalities; empty if it does. The module is not changed.

    Tested on queries that are closer to a wrong reference than to their own: a loss must give gradients for both
    modalities, in a second step too; the positives of a miner must be matching rows.
    """
    module = deepcopy(module)
    query = F.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    pair = query.requires_grad_(), (query.roll(1, 0) + 0.1 * query).detach().requires_grad_()
    try:
        with torch.enable_grad(), _fixed_random_state():
            return _trial(module, *pair) or _trial(module, *pair)
    except Exception as error:  # third-party classes may raise anything
        return f"an error ({_first_line(error)})"


def _trial(module: Any, query: Tensor, reference: Tensor) -> str:
    rows = torch.arange(len(query))
    output = module(query, rows, ref_emb=reference, ref_labels=rows.clone())
    if not isinstance(output, Tensor):
        return "" if torch.equal(output[0], output[1]) else "positive pairs of rows that do not match"
    gradients = torch.autograd.grad(output, (query, reference), allow_unused=True)
    nonzero = all(each is not None and bool(each.abs().sum() > 0) for each in gradients)
    return "" if nonzero else "no gradient for one modality"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
