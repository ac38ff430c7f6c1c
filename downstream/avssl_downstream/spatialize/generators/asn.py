"""Mono to two ears by a mask for each, on spectra whose frequency is logarithmic; left and right are judged together.

Lu, Lee, Tseng & Yang, "Self-Supervised Audio Spatialization with Correspondence Classifier", ICIP 2019. Neither code
nor data were published; what the paper leaves open follows Morgado et al. 2018, as the paper's network does.
"""

# B windows, S samples, T pictures; C = 2 ears, F bins or K bands and T' columns of a spectrum

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.data.augment import Colour, jitter_colour
from avssl.data.clip import Clip
from avssl.errors import InputError
from avssl.models.optical_flow import flow_estimator, paint
from avssl.spatial.stft import apply_mask, from_parts, ideal_masks, level
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, resize_frames
from avssl_downstream.spatialize.generators.asn_options import NETWORKS, AsnOptions
from avssl_downstream.spatialize.networks.asn import AsnNet, ChannelOrderDiscriminator
from avssl_downstream.spatialize.networks.log_frequency import LogFrequency

_LEAST = 1e-4
"""Of magnitudes, at a level of 0.1."""


class Asn(Generator):
    """A U-Net gives each ear its mask of the mix; a classifier hears whether the ears are where the pictures say.

    The classifier reads true and reconstructed spectra, in their order and exchanged, and trains network and picture
    branches too.

    Args:
        options: masks, classifier, spectra, pictures.
        branch: makes a picture branch for colours and one for flow; the paper's are `torchvision/resnet18`.

    Raises:
        InputError: RAFT without weights, or a window too short for the network.
    """

    Options = AsnOptions
    output = "binaural"
    options: AsnOptions

    def __init__(self, options: AsnOptions, branch: VisualBranchFactory) -> None:
        super().__init__(options, branch)
        self.sample_rate, self.seconds, self.hop = options.sample_rate, options.seconds, options.hop
        self.frames, self.frame_rate = options.frames, options.frame_rate
        self.size = options.rows, options.columns
        self.spectrum = options.spectrum
        self.axis = LogFrequency(self.spectrum.bins, options.bands, options.min_bin)
        branches = {"colour": branch()} | ({"flow": branch()} if options.flow else {})
        self.visual_branch = nn.ModuleDict(branches)
        self._follow = flow_estimator(options.flow, options.flow_weights) if options.flow else None
        self.network = AsnNet(
            (options.bands, self.spectrum.frames(self.samples)),
            [each.channels for each in branches.values()],
            4 if options.target_mask == "complex" else 2,
            NETWORKS[options.network],
            (options.grid_rows, options.grid_columns),
            options.batch_norm,
        )
        if options.target_mask == "complex":
            self._start_at_half()
        self.discriminator = (
            ChannelOrderDiscriminator(self.network.frame_embedding.width, options.bands) if options.classifier else None
        )

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """`audio` `(2, S)`, `frames` and `flow` uint8 `(T, 3, rows, columns)`; left and right exchanged in all or none.

        Raises:
            InputError: the sound has not two channels.
        """
        if len(clip.audio) != 2:
            raise InputError(f"{clip.key}: sound for two ears has 2 channels, this has {len(clip.audio)}")
        frames, audio = resize_frames(clip.frames, self.size), clip.audio
        if rng.random() < self.options.mirror:
            frames, audio = frames.flip(-1), audio.flip(0)
        flow = {"flow": self._flow(frames)} if self._follow else {}
        if self.options.colour:
            strength = Colour(self.options.colour, 0.0, self.options.colour, 0.0)
            frames = jitter_colour(frames[None], strength, rng)[0]
        return {"audio": audio, "frames": frames, **flow}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`; `masks`: their error; `order` and `order_acc` of the classifier; `of_mono`.

        `of_mono` is the squared error of the spectra over what it is for half the mix at both ears.
        """
        ears = batch["audio"]
        mix = ears.sum(-2)
        truth = self.spectrum.stft(ears / level(mix)[:, None])
        spectrum, seen = truth.sum(-3), self._look(batch["frames"], batch.get("flow"))
        masks = self._masks(spectrum, seen)
        at_bins = self._at_bins(masks)
        found = {"masks": self._error(at_bins, truth, spectrum)}
        loss = found["masks"]
        if self.discriminator:
            real, made = self.axis(truth.abs()), masks.abs() * self.axis(spectrum.abs())[:, None]
            found |= self._judged(self.discriminator, seen, torch.cat([real, made]))
            loss = loss + self.options.classifier * found["order"]
        wrong = apply_mask(at_bins.detach(), spectrum[:, None]) - truth
        found["of_mono"] = _power(wrong) / _power(truth - spectrum[:, None] / 2).clamp(min=1e-12)
        return {"loss": loss, **found}

    def encode_video(self, frames: Tensor) -> Tensor:
        """What is seen at every instant, `(B, D, instants)`; flow is followed here."""
        flow = torch.stack([self._flow(each.cpu()) for each in frames]).to(frames.device) if self._follow else None
        return self._look(frames, flow)

    def generate(self, mono: Tensor, seen: Tensor) -> Tensor:
        """Left and right: the mix's spectrum in its own phase, or with the phase of complex masks."""
        mix = 2 * mono
        gain = level(mix)
        spectrum = self.spectrum.stft(mix / gain)
        made = apply_mask(self._at_bins(self._masks(spectrum, seen)), spectrum[:, None])
        return gain[:, None] * self.spectrum.istft(made, mono.shape[-1])

    def ideal_mask_output(self, truth: Tensor) -> Tensor:
        """By the true masks at every bin, before bands are made of them; complex ones are not within 1 and -1."""
        channels = self.spectrum.stft(truth)
        mix = channels.sum(-3)
        masks = ideal_masks(channels, mix, self.options.target_mask)
        return self.spectrum.istft(apply_mask(masks, mix[..., None, :, :]), truth.shape[-1])

    def _start_at_half(self) -> None:
        """Masks about half the mix at both ears, from which it is nearer to left and right than from silence."""
        real, imag = torch.tensor(0.5), torch.tensor(0.0)
        last: nn.Module = self.network.decoder.convolutions[0]
        assert isinstance(last.bias, Tensor)
        last.bias.data.copy_(((torch.stack([real, imag, real, imag]) + 1) / 2).logit())

    def _flow(self, frames: Tensor) -> Tensor:
        """Flow of `(T, 3, rows, columns)` as a picture of that size."""
        assert self._follow is not None
        return paint(self._follow(frames), self.options.max_flow)

    def _look(self, frames: Tensor, flow: Tensor | None) -> Tensor:
        streams = {"colour": frames} | ({"flow": flow} if flow is not None else {})
        return self.network.embed_frames([self.visual_branch[name](each) for name, each in streams.items()])

    def _masks(self, spectrum: Tensor, seen: Tensor) -> Tensor:
        """Of the mix `(B, F, T')`, on the logarithmic axis: `(B, 2, K, T')`, real or complex."""
        planes: Tensor = self.network(self._compressed(self.axis(spectrum.abs()))[:, None], seen).float()
        if self.options.target_mask != "complex":
            return planes
        return from_parts(2 * planes.reshape(len(planes), 2, 2, *planes.shape[2:]) - 1)

    def _compressed(self, magnitude: Tensor) -> Tensor:
        # The root of 0 has no gradient.
        return magnitude.clamp(min=_LEAST) ** self.options.compression

    def _at_bins(self, masks: Tensor) -> Tensor:
        if not masks.is_complex():
            return self.axis.inverse(masks)
        return torch.complex(self.axis.inverse(masks.real).float(), self.axis.inverse(masks.imag).float())

    def _error(self, masks: Tensor, truth: Tensor, spectrum: Tensor) -> Tensor:
        """Mean modulus of what masks `(B, 2, F, T')` are off, of both ears added."""
        wanted = ideal_masks(truth, spectrum, self.options.target_mask)
        if wanted.is_complex():
            wanted = wanted / wanted.abs().clamp(min=1)
        off = (masks - wanted).abs().sum(1)
        weight = spectrum.abs() if self.options.weight_by_magnitude else torch.ones_like(off)
        return (off * weight).sum() / weight.sum().clamp(min=_LEAST)

    def _judged(self, judge: ChannelOrderDiscriminator, seen: Tensor, ears: Tensor) -> dict[str, Tensor]:
        """What the classifier says to true and made spectra `(2B, 2, K, T')` in their order, and exchanged."""
        left, right = self._compressed(ears).unbind(1)
        logit = judge(seen.repeat(4, 1, 1), torch.cat([left, right]), torch.cat([right, left])).float()
        ordered = torch.cat([torch.ones_like(logit[::2]), torch.zeros_like(logit[::2])])
        right_said = ((logit > 0) == (ordered > 0.5)).float().mean()
        return {"order": functional.binary_cross_entropy_with_logits(logit, ordered), "order_acc": right_said}


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.abs().square().mean()
