"""Mono audio and video to binaural audio by two masks on a log-frequency axis, trained with a channel discriminator.

Lu, Lee, Tseng & Yang, "Self-Supervised Audio Spatialization with Correspondence Classifier", ICIP 2019. Neither code
nor data were published; details that the paper leaves open follow Morgado et al. 2018, as its network does.
"""

# B windows, S samples, T frames of a window, D dimensions of a frame embedding; C = 2 channels, F bins or K bands and
# T' frames of a spectrogram

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.data.augment import jitter_colour
from avssl.data.clip import Clip
from avssl.data.clip_options import Colour
from avssl.errors import InputError
from avssl.models.optical_flow import flow_estimator, flow_to_rgb
from avssl.spatial.stft import StftConfig, apply_mask, from_parts, ideal_masks, level
from avssl_downstream.spatialize.generator import Generator, VisualBranchFactory, make_audio_branch, resize_frames
from avssl_downstream.spatialize.generators.asn_options import NETWORKS, AsnOptions
from avssl_downstream.spatialize.networks.asn import AsnNet, ChannelOrderDiscriminator
from avssl_downstream.spatialize.networks.log_frequency import LogFrequency

LEAST_MAGNITUDE = 1e-4
"""Magnitude to which smaller ones are clamped, for audio at a level of 0.1."""


class Asn(Generator):
    """Mono audio and video to binaural audio by magnitude or complex masks (Lu et al. 2019).

    A U-Net predicts the masks of left and right; a discriminator classifies whether both channels, true or generated,
    are in the order that the frames show, and trains U-Net and visual branches too.

    Args:
        options: masks, discriminator, STFT, frames, augmentation.
        branch: makes a visual branch for RGB frames and one for flow; the paper's are `torchvision/resnet18`.

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
        branches = {"rgb": branch()} | ({"flow": branch()} if options.flow else {})
        self.visual_branch = nn.ModuleDict(branches)
        self.optical_flow = flow_estimator(options.flow, options.flow_weights) if options.flow else None
        self.audio_branch = make_audio_branch(branch, self)
        self.network = AsnNet(
            (options.bands, self.spectrum.frames(self.samples)),
            [each.channels for each in branches.values()],
            4 if options.target_mask == "complex" else 2,
            NETWORKS[options.network],
            (options.grid_rows, options.grid_columns),
            options.batch_norm,
            self.audio_branch.width if self.audio_branch else 0,
        )
        if options.target_mask == "complex":
            self._start_at_half()
        self.discriminator = (
            ChannelOrderDiscriminator(self.network.frame_embedding.width, options.bands) if options.classifier else None
        )

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Training tensors of a clip, all mirrored or none.

        Returns:
            `audio` `(2, S)`; `frames` and `flow`, uint8 `(T, 3, rows, columns)`.

        Raises:
            InputError: audio without exactly two channels.
        """
        if len(clip.audio) != 2:
            raise InputError(f"{clip.key}: expected binaural audio, 2 channels, got {len(clip.audio)}")
        frames, audio = resize_frames(clip.frames, self.size), clip.audio
        if rng.random() < self.options.mirror:
            frames, audio = frames.flip(-1), audio.flip(0)
        flow = {"flow": self._flow_images(frames)} if self.optical_flow else {}
        if self.options.colour:
            strength = Colour(self.options.colour, 0.0, self.options.colour, 0.0)
            frames = jitter_colour(frames[None], strength, rng)[0]
        return {"audio": audio, "frames": frames, **flow}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss, and its parts.

        Returns:
            `loss`; `masks`, the mask loss; `order` and `order_acc`, loss and accuracy of the discriminator; `of_mono`,
            the squared error of spectra relative to that of half the mix in both channels.
        """
        audio = batch["audio"]
        mix = audio.sum(-2)
        target = self.spectrum.stft(audio / level(mix)[:, None])
        spectrum, embedding = target.sum(-3), self._embedded(batch["frames"], batch.get("flow"))
        masks = self._masks(spectrum, embedding, self._audio_features(mix))
        bin_masks = self._at_bins(masks)
        found = {"masks": self._mask_loss(bin_masks, target, spectrum)}
        loss = found["masks"]
        if self.discriminator:
            real, made = self.axis(target.abs()), masks.abs() * self.axis(spectrum.abs())[:, None]
            found |= self._order_loss(self.discriminator, embedding, torch.cat([real, made]))
            loss = loss + self.options.classifier * found["order"]
        error = apply_mask(bin_masks.detach(), spectrum[:, None]) - target
        found["of_mono"] = _power(error) / _power(target - spectrum[:, None] / 2).clamp(min=1e-12)
        return {"loss": loss, **found}

    def encode_video(self, frames: Tensor) -> Tensor:
        """Frame embeddings `(B, D, frame times)`; optical flow is computed here."""
        flow = None
        if self.optical_flow:
            flow = torch.stack([self._flow_images(each.cpu()) for each in frames]).to(frames.device)
        return self._embedded(frames, flow)

    def generate(self, mono: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate`; the phase is that of the mix, or changed by complex masks."""
        return self.generate_with_masks_of(mono, mono, features)

    def generate_with_masks_of(self, mono: Tensor, other: Tensor, features: Tensor) -> Tensor:
        """See `Generator.generate_with_masks_of`."""
        spectrum, masking = (self.spectrum.stft(2 * each) for each in (mono, other / level(2 * other)))
        masks = self._masks(masking, features, self._audio_features(other))
        made = apply_mask(self._at_bins(masks), spectrum[:, None])
        return self.spectrum.istft(made, mono.shape[-1])

    @property
    def mask_stft(self) -> StftConfig:
        """STFT of the masks."""
        return self.spectrum

    def ideal_mask_output(self, target: Tensor) -> Tensor:
        """Ideal masks of every bin, without the log-frequency axis; complex ones are not limited to -1..1."""
        channels = self.spectrum.stft(target)
        mix = channels.sum(-3)
        masks = ideal_masks(channels, mix, self.options.target_mask)
        return self.spectrum.istft(apply_mask(masks, mix[..., None, :, :]), target.shape[-1])

    def _start_at_half(self) -> None:
        """Initialise masks near half the mix in both channels, which is closer to the target than silence."""
        real, imag = torch.tensor(0.5), torch.tensor(0.0)
        last: nn.Module = self.network.decoder.convolutions[0]
        assert isinstance(last.bias, Tensor)
        last.bias.data.copy_(((torch.stack([real, imag, real, imag]) + 1) / 2).logit())

    def _flow_images(self, frames: Tensor) -> Tensor:
        """Optical flow of `(T, 3, rows, columns)` as images of that shape."""
        assert self.optical_flow is not None
        return flow_to_rgb(self.optical_flow(frames), self.options.max_flow)

    def _embedded(self, frames: Tensor, flow: Tensor | None) -> Tensor:
        """Frame embeddings `(B, D, frame times)` of frames and flow images."""
        streams = {"rgb": frames} | ({"flow": flow} if flow is not None else {})
        return self.network.embed_frames([self.visual_branch[name](each) for name, each in streams.items()])

    def _audio_features(self, mix: Tensor) -> Tensor | None:
        """Features of an audio branch, of audio `(B, S)` at any level."""
        return self.audio_branch(mix / level(mix)) if self.audio_branch else None

    def _masks(self, spectrum: Tensor, embedding: Tensor, audio: Tensor | None) -> Tensor:
        """Masks of the mix `(B, F, T')`, in bands: `(B, 2, K, T')`, real or complex."""
        planes: Tensor = self.network(self._compressed(self.axis(spectrum.abs()))[:, None], embedding, audio).float()
        if self.options.target_mask != "complex":
            return planes
        return from_parts(2 * planes.reshape(len(planes), 2, 2, *planes.shape[2:]) - 1)

    def _compressed(self, magnitude: Tensor) -> Tensor:
        # The gradient of the root is infinite at 0.
        return magnitude.clamp(min=LEAST_MAGNITUDE) ** self.options.compression

    def _at_bins(self, masks: Tensor) -> Tensor:
        if not masks.is_complex():
            return self.axis.inverse(masks)
        return torch.complex(self.axis.inverse(masks.real).float(), self.axis.inverse(masks.imag).float())

    def _mask_loss(self, masks: Tensor, target: Tensor, spectrum: Tensor) -> Tensor:
        """Mean absolute error of masks `(B, 2, F, T')`, summed over both channels."""
        wanted = ideal_masks(target, spectrum, self.options.target_mask)
        if wanted.is_complex():
            wanted = wanted / wanted.abs().clamp(min=1)
        error = (masks - wanted).abs().sum(1)
        weight = spectrum.abs() if self.options.weight_by_magnitude else torch.ones_like(error)
        return (error * weight).sum() / weight.sum().clamp(min=LEAST_MAGNITUDE)

    def _order_loss(
        self, discriminator: ChannelOrderDiscriminator, embedding: Tensor, magnitudes: Tensor
    ) -> dict[str, Tensor]:
        """Loss and accuracy for true and generated magnitudes `(2B, 2, K, T')`, in their order and exchanged."""
        left, right = self._compressed(magnitudes).unbind(1)
        both = torch.cat([left, right]), torch.cat([right, left])
        logit = discriminator(embedding.repeat(4, 1, 1), *both).float()
        ordered = torch.cat([torch.ones_like(logit[::2]), torch.zeros_like(logit[::2])])
        accuracy = ((logit > 0) == (ordered > 0.5)).float().mean()
        return {"order": functional.binary_cross_entropy_with_logits(logit, ordered), "order_acc": accuracy}


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.abs().square().mean()
