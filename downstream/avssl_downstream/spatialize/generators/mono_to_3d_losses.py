"""Losses of `mono_to_3d`: the three of the paper, and those of the pointing network."""

# B windows, C channels, F bins or bands and T frames of a spectrogram; N tracks, K sources, S frame times

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avssl_downstream.spatialize.networks.frame_localization import PlacedTracks, place_likelihood

LEAST_MAGNITUDE = 1e-3
"""Magnitude to which smaller ones are clamped before the logarithm: 80 dB below a tone at the level of the mix."""
PLACE_WIDTH = 0.15
"""Standard deviation of the true gains of a band about those of a cell."""
UNSEEN_WIDTH = 0.35
"""The same of absent tracks, which may be anywhere: a coordinate that is uniform within 1 / sqrt(3) has 0.33."""
TINY = 1e-9


def losses(
    found: Tensor, wanted: Tensor, mix: Tensor, spatial_loss: str = "signed", min_norm: float = 0.1
) -> dict[str, Tensor]:
    """The three losses of MonoTo3D: means over windows of sums over channels.

    Args:
        found: generated spectra, complex `(B, C, F, T)`.
        wanted: target spectra, same shape.
        mix: complex `(B, F, T)`.
        spatial_loss: one of `SPATIAL_LOSSES`.
        min_norm: least norm by which errors are divided, as a share of that of the mix.

    Returns:
        `convergence`, the spectral convergence of magnitudes (Arik et al. 2019); `logarithm`, the mean absolute error
        of log magnitudes; `spatial`, the convergence of real parts and of imaginary parts, or its replacement.
    """
    mix_norm = torch.linalg.vector_norm(mix, dim=(-2, -1))[:, None]
    magnitudes = found.abs(), wanted.abs()
    logarithms = [each.clamp(min=LEAST_MAGNITUDE).log() for each in magnitudes]
    terms = {
        "convergence": _convergence(*magnitudes, min_norm * mix_norm),
        "logarithm": (logarithms[0] - logarithms[1]).abs().mean((-2, -1)),
        "spatial": _spatial(found, wanted, mix_norm, spatial_loss, min_norm),
    }
    return {name: term.sum(1).mean() for name, term in terms.items()}


def place_loss(placed: PlacedTracks, masks: Tensor, cross: Tensor, power: Tensor) -> Tensor:
    """Negative log density of the true gains of every band at every frame time, with the band's power as weight.

    Args:
        placed: of the windows.
        masks: of the tracks, `(B, N, F, T)`.
        cross: real part of the target times the conjugate of the mix, in bands, `(B, 3, F, T)`.
        power: of the mix, in bands, `(B, 1, F, T)`.
    """
    times = placed.attention.shape[1]
    cross, power, shared = (
        functional.adaptive_avg_pool2d(each, (each.shape[-2], times)) for each in (cross, power, masks * power)
    )
    shares = shared / power.clamp(min=TINY)
    density = place_likelihood(placed, shares, cross / power.clamp(min=TINY), PLACE_WIDTH, UNSEEN_WIDTH)
    return -(density * power[:, 0]).sum() / power.sum().clamp(min=TINY)


def stem_loss(masks: Tensor, mix: Tensor, stems: Tensor, matched: Tensor) -> Tensor:
    """Squared error of separated sources over the energy of the mix.

    Args:
        masks: of the tracks, in bins, `(B, N, F, T)`.
        mix: complex `(B, F, T)`.
        stems: true sources, complex `(B, K, F, T)`; those that are silent throughout are none.
        matched: source of each track, see `match_tracks`, `(B, N)`.
    """
    sources = functional.one_hot(matched, stems.shape[1]).to(masks)
    grouped = torch.einsum("BNK,BNFT->BKFT", sources, masks)
    error = (grouped * mix[:, None] - stems).abs().square().sum((1, 2, 3))
    share: Tensor = error / mix.abs().square().sum((1, 2)).clamp(min=TINY)
    return share.mean()


def match_tracks(masks: Tensor, power: Tensor, stem_powers: Tensor) -> Tensor:
    """The source that each track resembles most, by the cosine of their powers, `(B, N)`.

    Args:
        masks: of the tracks, `(B, N, F, T)`.
        power: of the mix, `(B, 1, F, T)`.
        stem_powers: of the sources, `(B, K, F, T)`.
    """
    own = (masks.detach() * power).flatten(2)
    theirs = stem_powers.flatten(2)
    cosine = own @ theirs.mT / torch.linalg.vector_norm(theirs, dim=-1).clamp(min=TINY)[:, None]
    found: Tensor = cosine.argmax(-1)
    return found


def _spatial(found: Tensor, wanted: Tensor, mix_norm: Tensor, kind: str, min_norm: float) -> Tensor:
    if kind == "energy":
        return (found - wanted).abs().square().sum((-2, -1)) / mix_norm.clamp(min=LEAST_MAGNITUDE).square()
    both = [torch.view_as_real(each).movedim(-1, 0) for each in (found, wanted)]
    ours, theirs = both if kind == "signed" else [each.abs() for each in both]
    least = min_norm * mix_norm / 2**0.5
    return _convergence(ours[0], theirs[0], least) + _convergence(ours[1], theirs[1], least)


def _convergence(found: Tensor, wanted: Tensor, least: Tensor) -> Tensor:
    """Norm of the error over that of the target, or over a least norm: `(B, C)`."""
    error, size = (torch.linalg.vector_norm(each, dim=(-2, -1)) for each in (found - wanted, wanted))
    return torch.div(error, torch.maximum(size, least).clamp(min=LEAST_MAGNITUDE))
