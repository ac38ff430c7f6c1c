"""Ambisonics, first-order unless noted: encode, rotate, mirror, beamform, convert, and estimate direction.

Convention: ambiX (ACN order W, Y, Z, X; SN3D gain), axes x front, y left, z up, radians, azimuth counter-clockwise from
the front, elevation up. Functions keep the dtype and device of their input, broadcast over leading axes and have a
gradient.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.spherical_harmonics import spherical_harmonics

T = TypeVar("T")
Angle = Tensor | float
"""Radians."""

_SIGNS = {
    "left-right": (1.0, -1.0, 1.0, 1.0),
    "up-down": (1.0, 1.0, -1.0, 1.0),
    "front-back": (1.0, 1.0, 1.0, -1.0),
}
_SQRT_HALF = math.sqrt(0.5)
_SQRT_3 = math.sqrt(3.0)
# Omnidirectional and dipole weight of a beam. For order 1, the hypercardioid has the highest directivity, max-rE the
# longest energy vector (Zotter & Frank 2012); it is the supercardioid, with the highest front-to-back ratio.
_BEAMS = {
    "projection": (1.0, 1.0),
    "cardioid": (0.5, 0.5),
    "hypercardioid": (0.25, 0.75),
    "max-re": (1 / (1 + _SQRT_3), _SQRT_3 / (1 + _SQRT_3)),
    "dipole": (0.0, 1.0),
}
# Name -> (channel indices of W, Y, Z, X in that layout, gain of its channels over SN3D's).
_LAYOUTS = {
    "ambix": ((0, 1, 2, 3), (1.0, 1.0, 1.0, 1.0)),
    "acn-n3d": ((0, 1, 2, 3), (1.0, _SQRT_3, _SQRT_3, _SQRT_3)),
    "fuma": ((0, 2, 3, 1), (_SQRT_HALF, 1.0, 1.0, 1.0)),
}


def beams() -> list[str]:
    """Beam patterns of `beamform`."""
    return list(_BEAMS)


def direction(azimuth: Angle, elevation: Angle) -> Tensor:
    """Unit vector of a direction: angles `(...)` to `(..., 3)` along x, y, z."""
    azimuth, elevation = _angles(azimuth, elevation)
    horizontal = torch.cos(elevation)
    x, y = torch.cos(azimuth) * horizontal, torch.sin(azimuth) * horizontal
    return torch.stack([x, y, torch.sin(elevation)], -1)


def angles(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Azimuth in (-pi, pi] and elevation, each `(...)`, of vectors `(..., 3)` along x, y, z of any length."""
    x, y, z = vector.unbind(-1)
    return torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))


def angle_between(azimuth: Angle, elevation: Angle, other_azimuth: Angle, other_elevation: Angle) -> Tensor:
    """Great-circle angle between two directions, in [0, pi]; accurate for nearly equal and nearly opposite ones.

    Example:
        >>> float(angle_between(0.0, 0.0, math.pi / 2, 0.0).rad2deg())
        90.0
    """
    like = next((each for each in (azimuth, elevation, other_azimuth) if isinstance(each, Tensor)), other_elevation)
    device = like.device if isinstance(like, Tensor) else None
    one, other = direction(azimuth, elevation).to(device), direction(other_azimuth, other_elevation).to(device)
    return 2 * torch.atan2(torch.linalg.vector_norm(one - other, dim=-1), torch.linalg.vector_norm(one + other, dim=-1))


def gains(azimuth: Angle, elevation: Angle, *, order: int = 1) -> Tensor:
    """SN3D encoding gains of a direction: angles `(...)` to `(..., 4)` for W, Y, Z, X, or `(order + 1) ** 2`."""
    return spherical_harmonics(direction(azimuth, elevation), order)


def encode(signal: Tensor, azimuth: Angle, elevation: Angle, *, order: int = 1) -> Tensor:
    """Encode a signal as a plane wave from a direction.

    Args:
        signal: `(..., samples)`.
        azimuth: radians; a number, one per signal `(...)`, or a path `(..., samples)` for a moving source.
        elevation: radians, of the same shapes.
        order: ambisonic order.

    Returns:
        `(..., 4, samples)`, or `(order + 1) ** 2` channels.

    Raises:
        ValueError: path and signal of different lengths.

    Example:
        >>> encode(torch.ones(3), azimuth=0.0, elevation=0.0)[:, 0]  # from the front: W and X
        tensor([1., 0., 0., 1.])
    """
    gain = gains(azimuth, elevation, order=order).to(signal)
    if gain.ndim <= signal.ndim:
        return gain.unsqueeze(-1) * signal.unsqueeze(-2)
    if gain.shape[-2] != signal.shape[-1]:
        raise InputError(
            f"expected a source path with one direction a sample, {signal.shape[-1]}, got {gain.shape[-2]}"
        )
    return gain.movedim(-1, -2) * signal.unsqueeze(-2)


def rotation(yaw: Angle, pitch: Angle = 0.0, roll: Angle = 0.0) -> Tensor:
    """Rotation matrix Rz(yaw) · Ry(-pitch) · Rx(roll), acting on columns (x, y, z).

    Roll is applied first, about the front axis, and lifts the left side; then pitch lifts the front; then yaw rotates
    counter-clockwise, so that `azimuth += yaw`.

    Returns:
        `(..., 3, 3)`; the angles broadcast to `(...)`.
    """
    angles = _angles(yaw, pitch, roll)
    (cy, sy), (cp, sp), (cr, sr) = ((torch.cos(angle), torch.sin(angle)) for angle in angles)
    rows = (
        (cy * cp, -sy * cr - cy * sp * sr, sy * sr - cy * sp * cr),
        (sy * cp, cy * cr - sy * sp * sr, -cy * sr - sy * sp * cr),
        (sp, cp * sr, cp * cr),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def rotation_to_front(azimuth: Angle, elevation: Angle, legacy: str = "") -> Tensor:
    """Rotation matrix that moves a direction to the front: Ry(elevation) · Rz(-azimuth).

    Args:
        azimuth: `(...)` or a number.
        elevation: `(...)` or a number.
        legacy: "avsa" multiplies in the order that AVSA published, Rz(-azimuth) · Ry(elevation), which misses the
            front by 15 degrees on average; only to match its numbers.

    Returns:
        `(..., 3, 3)`.

    Raises:
        ValueError: unknown `legacy`.
    """
    if legacy not in ("", "avsa"):
        raise InputError(f"expected legacy '' or 'avsa', got {legacy!r} (rotation_to_front)")
    if legacy == "avsa":
        return rotation(-torch.as_tensor(azimuth), -torch.as_tensor(elevation))
    return rotation(azimuth, elevation).mT


def rotate(foa: Tensor, matrix: Tensor) -> Tensor:
    """Rotate a sound field.

    Args:
        foa: `(..., 4, samples)`.
        matrix: `(..., 3, 3)` on (x, y, z), as from `rotation`. Leading axes broadcast; `(batch, 1, 4, samples)` with
            `(batch, views, 3, 3)` does not copy the audio.

    Returns:
        `(..., 4, samples)`.

    Example:
        >>> tone = encode(torch.sin(torch.arange(2400.0)), azimuth=0.5, elevation=0.0)
        >>> rotated = rotate(tone, rotation(yaw=0.25))
        >>> round(float(intensity_direction(rotated, sample_rate=24000)[0]), 3)
        0.75
    """
    require_foa(foa)
    mixing = channel_rotation(matrix.to(foa))
    with torch.autocast(foa.device.type, enabled=False):
        if min(foa.ndim, mixing.ndim) < 3 or foa.shape[-3] != 1:
            return torch.matmul(mixing, foa)
        stacked = torch.matmul(mixing.flatten(-3, -2), foa.squeeze(-3))
    return stacked.reshape(*stacked.shape[:-2], *mixing.shape[-3:-1], foa.shape[-1])


def channel_rotation(matrix: Tensor) -> Tensor:
    """Rotation `(..., 3, 3)` of (x, y, z) as mixing matrix `(..., 4, 4)` of (W, Y, Z, X)."""
    mixing = matrix.new_zeros(*matrix.shape[:-2], 4, 4)
    mixing[..., 0, 0] = 1
    mixing[..., 1:, 1:] = matrix.roll((-1, -1), (-2, -1))
    return mixing


def mirror(foa: Tensor, axis: str) -> Tensor:
    """Mirror a sound field `(..., 4, samples)`: "left-right" (as a horizontal flip of frames), "up-down", "front-back".

    Raises:
        ValueError: unknown axis.

    Example:
        >>> tone = encode(torch.sin(torch.arange(2400.0)), azimuth=0.5, elevation=0.0)
        >>> round(float(intensity_direction(mirror(tone, "left-right"), sample_rate=24000)[0]), 3)
        -0.5
    """
    require_foa(foa)
    return foa * foa.new_tensor(_choice("mirror axis", axis, _SIGNS)).unsqueeze(-1)


def beamform(foa: Tensor, azimuth: Angle, elevation: Angle, pattern: str = "projection") -> Tensor:
    """Beamform: signal of a virtual directional microphone pointing in a direction.

    Args:
        foa: `(..., 4, samples)`.
        azimuth: `(...)` or a number.
        elevation: `(...)` or a number.
        pattern: "projection" is `u^T x` with u = [1, Y, Z, X], gain 2 in the direction and 0 behind; "cardioid" is half
            of it; "hypercardioid", "max-re" and "dipole" have gain 1 in the direction. Nulls are 180 degrees off the
            direction for the first two, and 109.5, 125.3 and 90 degrees for the others.

    Returns:
        `(..., samples)`.

    Raises:
        ValueError: unknown pattern.

    Example:
        >>> front = encode(torch.ones(1), 0.0, 0.0)
        >>> float(beamform(front, 0.0, 0.0, "cardioid")), round(float(beamform(front, math.pi, 0.0, "cardioid")), 6)
        (1.0, 0.0)
    """
    require_foa(foa)
    omni, dipole = _choice("beam pattern", pattern, _BEAMS)
    weights = gains(azimuth, elevation).to(foa) * foa.new_tensor([omni, dipole, dipole, dipole])
    with torch.autocast(foa.device.type, enabled=False):
        return torch.matmul(weights.unsqueeze(-2), foa).squeeze(-2)


def stereo(foa: Tensor) -> Tensor:
    """Stereo `(..., 2, samples)` by two projections to the sides: L = W + Y, R = W - Y."""
    require_foa(foa)
    w, y = foa[..., 0, :], foa[..., 1, :]
    return torch.stack([w + y, w - y], -2)


def from_stereo(audio: Tensor) -> Tensor:
    """Encode stereo `(..., 2, samples)` in W and Y, so that `stereo` recovers it.

    Mono `(..., 1, samples)` becomes W only (no directional information).

    Returns:
        `(..., 4, samples)`, ambiX order W, Y, Z, X.

    Raises:
        ValueError: neither one channel nor two.
    """
    if audio.ndim < 2 or audio.shape[-2] not in (1, 2):
        raise ValueError(f"expected audio (..., 1 or 2 channels, samples), got {tuple(audio.shape)}")
    left, right = audio[..., 0, :], audio[..., -1, :]
    zeros = torch.zeros_like(left)
    return torch.stack([(left + right) / 2, (left - right) / 2, zeros, zeros], -2)


def convert(foa: Tensor, source: str, target: str) -> Tensor:
    """Reorder and rescale the channels of a first-order field `(..., 4, samples)`.

    Args:
        foa: audio in the layout `source`.
        source: "ambix" (ACN, SN3D), "acn-n3d", or "fuma" (W, X, Y, Z with W 3 dB lower).
        target: one of the same names.

    Raises:
        ValueError: unknown layout.

    Example:
        >>> convert(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), "ambix", "fuma")[:, 0]  # W, X, Y, Z
        tensor([0.7071, 4.0000, 2.0000, 3.0000])
    """
    require_foa(foa)
    source_order, source_gains = _choice("channel layout", source, _LAYOUTS)
    target_order, target_gains = _choice("channel layout", target, _LAYOUTS)
    inverse = [target_order.index(channel) for channel in range(4)]
    scale = foa.new_tensor([target / source for target, source in zip(target_gains, source_gains, strict=True)])
    return (foa[..., list(source_order), :] * scale.unsqueeze(-1))[..., inverse, :]


def intensity_direction(
    foa: Tensor, sample_rate: int, low: float = 150.0, high: float = 4000.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Direction of arrival of a clip: direction of the active intensity summed over time and a frequency band.

    Args:
        foa: `(..., 4, samples)`.
        sample_rate: Hz.
        low: lower end of the band, Hz.
        high: upper end, Hz.

    Returns:
        Azimuth, elevation and diffuseness, each `(...)`. Diffuseness is 0 for one plane wave, 1 for a diffuse field.
        For silence in the band, azimuth and elevation are nan and diffuseness is 1.

    Example:
        >>> wave = encode(torch.sin(torch.arange(2400.0)), azimuth=0.5, elevation=0.25)
        >>> [round(float(each), 3) for each in intensity_direction(wave, sample_rate=24000)]
        [0.5, 0.25, 0.0]
    """
    require_foa(foa)
    return field_direction(band_covariance(foa, sample_rate, low, high))


def band_covariance(audio: Tensor, sample_rate: int, low: float, high: float) -> Tensor:
    """Channel covariance within a frequency band, summed over time.

    Covariances of the blocks of a recording sum to that of the whole.

    Args:
        audio: `(..., channels, samples)`.
        sample_rate: Hz.
        low: lower end of the band, Hz.
        high: upper end, Hz.

    Returns:
        `(..., channels, channels)`.
    """
    samples = audio.shape[-1]
    first, last = math.ceil(low * samples / sample_rate), math.floor(high * samples / sample_rate)
    # Parseval: the sum over all bins of one long transform, over its length, is the sum over time.
    band = torch.view_as_real(torch.fft.rfft(audio)[..., first : last + 1]).flatten(-2)
    with torch.autocast(audio.device.type, enabled=False):
        return torch.matmul(band, band.mT) / samples


def field_direction(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Direction of the active intensity of first-order ambisonics, from its channel covariance.

    Args:
        covariance: `(..., 4, 4)`, ambiX order, as from `band_covariance`.

    Returns:
        Azimuth, elevation and diffuseness, each `(...)`; nan, nan and 1 for silence.
    """
    vector = covariance[..., 0, [3, 1, 2]]
    energy = covariance.diagonal(dim1=-2, dim2=-1).sum(-1) / 2
    silent = energy == 0
    azimuth, elevation = angles(vector.masked_fill(silent.unsqueeze(-1), torch.nan))
    ratio = torch.linalg.vector_norm(vector, dim=-1) / energy.masked_fill(silent, 1.0)
    return azimuth, elevation, (1 - ratio).clamp(0, 1)


def require_foa(foa: Tensor) -> None:
    """Check for the shape of first-order ambisonics.

    Raises:
        ValueError: it is not `(..., 4, samples)`.
    """
    if foa.ndim < 2 or foa.shape[-2] != 4:
        raise ValueError(f"expected ambiX of order 1, shape (..., 4, samples), got {tuple(foa.shape)}")


def _angles(*values: Angle) -> list[Tensor]:
    """Convert angles to tensors of one floating dtype, device and shape."""
    given = [value for value in values if isinstance(value, Tensor)]
    like = given[0] if given else torch.zeros(())
    dtype = like.dtype if like.is_floating_point() else torch.get_default_dtype()
    tensors = [torch.as_tensor(value, dtype=dtype, device=like.device) for value in values]
    return list(torch.broadcast_tensors(*tensors))  # type: ignore[no-untyped-call]


def _choice(kind: str, name: str, known: dict[str, T]) -> T:
    if name not in known:
        raise InputError(f"expected a {kind} among {', '.join(known)}, got {name!r}")
    return known[name]
