"""Cross-modal transformers: parameters of AVSA's, equality with torch's layers, symmetries of relative directions."""

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from avssl.models.cross_modal_transformer import Attention, CrossModalTransformer, directions_between, form_of
from avssl.spatial.ambisonics import encode, rotate, rotation
from avssl.spatial.spherical_harmonics import spherical_harmonics

# From AVSA's published checkpoint, under `train_criterion`: `losses.0.v2a_transformer.` and these, for width 512.
PUBLISHED = {
    "attention.query": (512, 512), "attention.key": (512, 512), "attention.value": (512, 512),
    "attention.dense": (512, 512), "attention_norm": (512,), "dense.0": (2048, 512), "dense.2": (512, 2048),
    "dense_norm": (512,),
}  # fmt: skip


@pytest.fixture
def crops():
    return torch.randn(5, 4, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def rotations():
    """Rotations `(5, 4, 3, 3)` to crops, some of them mirrored left to right."""
    matrices = torch.from_numpy(Rotation.random(20, rng=0).as_matrix()).float().view(5, 4, 3, 3)
    matrices[:, ::2, 1] *= -1
    return matrices


def translator(**settings):
    torch.manual_seed(1)
    transformer = CrossModalTransformer(48, **settings)
    for name, value in transformer.named_parameters():
        if name.endswith(("norm.weight", "bias")) or not value.any():
            nn.init.normal_(value, 0.5 if value.ndim == 1 else 0.0, 0.3)
    return transformer


def copy_attention(ours, theirs):
    """Torch's single-head attention with our weights."""
    parts = [ours.query, ours.key, ours.value]
    theirs.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    theirs.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
    theirs.out_proj.load_state_dict(ours.dense.state_dict())


def copy_layer(ours):
    """Torch's encoder layer with our weights; of post-norm before the last ReLU."""
    width, hidden, first = ours.dense[0].in_features, ours.dense[0].out_features, hasattr(ours, "dense_input_norm")
    theirs = nn.TransformerEncoderLayer(width, 1, hidden, batch_first=True, norm_first=first).eval()
    copy_attention(ours.attention, theirs.self_attn)
    for one, other in (
        (ours.dense[0], theirs.linear1),
        (ours.dense[2], theirs.linear2),
        (ours.attention_input_norm if first else ours.attention_norm, theirs.norm1),
        (ours.dense_input_norm if first else ours.dense_norm, theirs.norm2),
    ):
        other.load_state_dict(one.state_dict())
    return theirs


def test_two_of_width_512_have_the_published_number_of_parameters():
    assert 2 * sum(each.numel() for each in CrossModalTransformer(512).parameters()) == 12_609_536


def test_parameters_have_the_published_names_and_shapes():
    expected = {f"transformer.{layer}.{name}.weight": size for layer in (0, 1) for name, size in PUBLISHED.items()}
    expected |= {name.replace("weight", "bias"): size[:1] for name, size in expected.items()}
    assert {name: tuple(each.shape) for name, each in CrossModalTransformer(512).state_dict().items()} == expected


def test_attention_equals_torchs_single_head(crops):
    torch.manual_seed(2)
    ours, theirs = Attention(48), nn.MultiheadAttention(48, 1, batch_first=True)
    copy_attention(ours, theirs)
    torch.testing.assert_close(ours(crops), theirs(crops, crops, crops)[0])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_transformer_equals_torchs_encoder_layers_with_relu(crops, depth):
    ours = translator(depth=depth).eval()
    expected = crops
    for layer in ours.transformer:
        expected = copy_layer(layer)(expected).relu()
    torch.testing.assert_close(ours(crops), expected)


@pytest.mark.parametrize("depth", [1, 3])
def test_pre_norm_equals_torchs_pre_norm_layers_with_nothing_after(crops, depth):
    ours = translator(depth=depth, norm="pre").eval()
    expected = crops
    for layer in ours.transformer:
        expected = copy_layer(layer)(expected)
    torch.testing.assert_close(ours(crops), expected)
    assert bool((ours(crops) < 0).any())


@pytest.mark.parametrize("relative_directions", [0, 2])
def test_pre_norm_is_the_identity_at_initialisation_and_moves(crops, rotations, relative_directions):
    ours = CrossModalTransformer(48, norm="pre", relative_directions=relative_directions).train()
    assert torch.equal(ours(crops, rotations), crops)
    (ours(crops, rotations) - 1).square().sum().backward()
    moved = {name for name, each in ours.named_parameters() if each.grad.abs().sum() > 0}
    last = {f"transformer.{layer}.{name}" for layer in (0, 1) for name in ("attention.dense", "dense.2")}
    assert {f"{name}.weight" for name in last} <= moved


def test_post_norm_loads_what_was_published_and_pre_norm_does_not(crops):
    published = translator(depth=2).state_dict()
    CrossModalTransformer(48).load_state_dict(published)
    with pytest.raises(RuntimeError, match="attention_input_norm"):
        CrossModalTransformer(48, norm="pre").load_state_dict(published)
    for form in ((2, "post", 0), (1, "pre", 0), (3, "post", 4), (1, "pre", 1)):
        made = CrossModalTransformer(48, form[0], norm=form[1], relative_directions=form[2])
        assert form_of(made.state_dict()) == form
    with pytest.raises(ValueError, match="expected norm post or pre, got 'both'"):
        CrossModalTransformer(48, norm="both")


def test_directions_between_crops_are_those_of_sounds_rotated_to_them(rotations):
    """A plane wave from the centre of crop j, rotated to crop i: its intensity points at entry (i, j)."""
    found = directions_between(rotations)
    for i, j in ((0, 0), (0, 1), (1, 0), (2, 3), (3, 1)):
        x, y, z = rotations[:, j, 0].unbind(-1)  # the front of crop j in the clip's axes
        wave = encode(torch.ones(5, 1), torch.atan2(y, x)[:, None], torch.asin(z)[:, None])
        w, y, z, x = rotate(wave, rotations[:, i]).squeeze(-1).unbind(-1)
        torch.testing.assert_close(found[:, i, j], torch.stack([w * x, w * y, w * z], -1), atol=1e-5, rtol=1e-5)


def test_attention_with_directions_is_its_formula(crops, rotations):
    torch.manual_seed(3)
    ours = Attention(48, 2)
    harmonics = spherical_harmonics(directions_between(rotations), 2)[..., 1:]
    expected = torch.zeros(5, 4, 48)
    for i in range(4):
        scores, values = [], []
        for j in range(4):
            seen = harmonics[:, i, j]
            score = (ours.query(crops[:, i]) * ours.key(crops[:, j])).sum(-1, keepdim=True) / 48**0.5
            scores.append(score + seen @ ours.direction_bias.weight.T)
            gain, shift = seen @ ours.direction_gain.weight.T, seen @ ours.direction_shift.weight.T
            values.append(ours.value(crops[:, j]) * (1 + gain) + shift)
        weights = torch.stack(scores).softmax(0)
        expected[:, i] = ours.dense((weights * torch.stack(values)).sum(0))
    torch.testing.assert_close(ours(crops, harmonics), expected, atol=1e-5, rtol=1e-5)


def test_zero_direction_weights_leave_attention_as_published(crops, rotations):
    plain, ours = translator(), translator(relative_directions=3)
    state = {name: 0 * each for name, each in ours.state_dict().items() if "direction_" in name}
    ours.load_state_dict({**plain.state_dict(), **state})
    torch.testing.assert_close(ours.eval()(crops, rotations), plain.eval()(crops), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_symmetries_of_relative_directions(crops, rotations, norm):
    """Permuting crops permutes the output, a common rotation changes nothing, permuting directions alone does."""
    ours, order = translator(norm=norm, relative_directions=2).eval(), torch.tensor([2, 0, 3, 1])
    found = ours(crops, rotations)
    torch.testing.assert_close(ours(crops[:, order], rotations[:, order]), found[:, order], atol=1e-5, rtol=1e-4)
    common = torch.from_numpy(Rotation.random(rng=5).as_matrix()).float()
    torch.testing.assert_close(ours(crops, rotations @ common), found, atol=1e-5, rtol=1e-4)
    assert (ours(crops, rotations[:, order]) - found).abs().amax(-1).min() > 1e-3
    mirrored = torch.diag(torch.tensor([1.0, -1.0, 1.0])) @ rotations
    assert (ours(crops, mirrored) - found).abs().amax(-1).min() > 1e-3
    with pytest.raises(ValueError, match="expected rotations of the crops with relative_directions=2"):
        ours(crops)


def test_directions_stay_exact_under_autocast(rotations):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = directions_between(rotations)
    assert torch.equal(inside, directions_between(rotations))
    yaws = rotation(torch.tensor([0.0, 0.001])).mT  # a thousandth of a radian is lost in bfloat16
    torch.testing.assert_close(directions_between(yaws)[0, 1], torch.tensor([1.0, 0.001, 0.0]))


def test_gradients_equal_those_of_torchs_layers(crops):
    ours = translator(depth=1, dropout=0.0)
    theirs = copy_layer(ours.transformer[0])
    ours(crops).square().sum().backward()
    theirs(crops).relu().square().sum().backward()
    torch.testing.assert_close(ours.transformer[0].dense[0].weight.grad, theirs.linear1.weight.grad)
    queries = theirs.self_attn.in_proj_weight.grad[:48]
    torch.testing.assert_close(ours.transformer[0].attention.query.weight.grad, queries, atol=1e-5, rtol=1e-4)


def test_transformer_is_equivariant_to_the_order_of_crops(crops):
    ours = translator().eval()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(ours(crops[:, order]), ours(crops)[:, order])


def test_predictions_depend_on_crops_of_the_same_clip_only(crops):
    ours = translator().eval()
    changed = crops.clone()
    changed[2, 1] += 1
    moved = (ours(changed) - ours(crops)).abs().amax(-1) > 1e-4
    assert moved[2].all()
    assert moved.sum() == 4


def test_full_dropout_leaves_the_normalised_embedding(crops):
    ours = translator(depth=1, dropout=1.0).train()
    layer = ours.transformer[0]
    torch.testing.assert_close(ours(crops), layer.dense_norm(layer.attention_norm(crops)).relu())
    torch.testing.assert_close(ours.eval()(crops), copy_layer(layer)(crops).relu())
