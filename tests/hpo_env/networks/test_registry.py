"""Batched models equal plain modules of their own size, however they are padded."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.networks.base import pad_weights
from hpo_env.networks.cnn import CNN
from hpo_env.networks.mlp import MLP
from hpo_env.networks.registry import ARCHITECTURES, ModelSpec, architecture

NAMES = tuple(ARCHITECTURES)


def keep(h: torch.Tensor, site: int) -> torch.Tensor:
    return h


def halve_even(h: torch.Tensor, site: int) -> torch.Tensor:
    """A deterministic stand-in for dropout that tells layers and elements apart."""
    factor = torch.ones(h.shape[-1])
    factor[:: site + 2] = 0.5
    return h * factor


def num_inputs_of(name: str) -> int:
    chosen = architecture(name)
    if chosen.window is not None:
        return chosen.window
    return 13 if chosen.images is None else math.prod(chosen.images)


def inputs_of(name: str, *shape: int, num_outputs: int) -> torch.Tensor:
    """Rows of numbers, or of tokens below the number of outputs."""
    rng = np.random.default_rng(0)
    if architecture(name).window is not None:
        return torch.from_numpy(rng.integers(num_outputs, size=shape).astype(np.float32))
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("drop", [keep, halve_even])
def test_padded_lanes_equal_unpadded_modules(name: str, drop: object) -> None:
    d, k = num_inputs_of(name), 5
    model = architecture(name)
    spec = ModelSpec(name, num_inputs=d if model.window else max(d, 32), num_outputs=16)
    lanes = [model.initial_weights(d, k, seed) for seed in (1, 2, 3)]
    padded_lanes = [pad_weights(spec.parameters(), weights) for weights in lanes]
    stacked = [torch.from_numpy(np.stack(w)) for w in zip(*padded_lanes, strict=True)]
    x = inputs_of(name, 3, 9, d, num_outputs=k)
    padded = torch.nn.functional.pad(x, (0, spec.num_inputs - d))
    with torch.no_grad():
        outputs = model.apply(stacked, padded, drop)  # type: ignore[arg-type]
        for lane, weights in enumerate(lanes):
            module = model.reference(d, k).load(weights)
            module.normalizes_by_minibatch(False)
            alone = module(x[lane], drop)
            torch.testing.assert_close(outputs[lane, ..., :k], alone, atol=1e-5, rtol=1e-5)
    assert (outputs[..., k:] == 0.0).all()


@pytest.mark.parametrize("name", [n for n in NAMES if architecture(n).modality == "images"])
def test_minibatches_of_real_rows_normalise_and_move_the_averages_as_in_torch(name: str) -> None:
    d, k = num_inputs_of(name), 5
    spec = ModelSpec(name, num_inputs=d, num_outputs=16)
    model = architecture(name)
    lanes = [model.initial_weights(d, k, seed) for seed in (1, 2)]
    padded_lanes = [pad_weights(spec.parameters(), weights) for weights in lanes]
    stacked = [torch.from_numpy(np.stack(w)) for w in zip(*padded_lanes, strict=True)]
    x = inputs_of(name, 2, 9, d, num_outputs=k)
    sizes = (4, 9)
    is_real = torch.arange(9) < torch.tensor(sizes)[:, None]
    outputs, averages = model.apply_in_training(stacked, x, keep, is_real)
    kept = [stacked[i] for i, p in enumerate(spec.parameters()) if p.is_average]
    assert len(averages) == len(kept) > 0
    for lane, size in enumerate(sizes):
        module = model.reference(d, k).load(lanes[lane])
        alone = module(x[lane, :size], keep)
        torch.testing.assert_close(outputs[lane, :size, :k], alone, atol=1e-5, rtol=1e-4)
        own = [b for b in module.buffers() if b.dim() == 1]
        for ours, theirs in zip(averages, own, strict=True):
            torch.testing.assert_close(ours[lane, 0], theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [n for n in NAMES if architecture(n).modality == "tokens"])
def test_what_is_told_at_a_token_depends_on_none_after_it(name: str) -> None:
    d, k = num_inputs_of(name), 5
    module = architecture(name).reference(d, k).load(architecture(name).initial_weights(d, k, 0))
    x = inputs_of(name, 4, d, num_outputs=k)
    later = x.clone()
    later[:, 7:] = (later[:, 7:] + 1) % k
    with torch.no_grad():
        told, told_later = module(x, keep), module(later, keep)
    torch.testing.assert_close(told[:, :7], told_later[:, :7])
    assert (told[:, 7:] != told_later[:, 7:]).any()


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_follow_from_the_seed_alone(name: str) -> None:
    d = num_inputs_of(name)
    first, same, other = (architecture(name).initial_weights(d, 3, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_initial_weights_have_the_variance_of_their_fan_in() -> None:
    weights = architecture("mlp_256x3_relu").initial_weights(20, 10, seed=0)
    assert weights[0].std() == pytest.approx((2 / 20) ** 0.5, rel=0.05)
    assert weights[2].std() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert weights[-2].std() == pytest.approx((1 / 3 / 256) ** 0.5, rel=0.05)
    assert all((bias == 0.0).all() for bias in weights[1::2])


def test_a_model_starts_near_the_loss_of_a_uniform_guess() -> None:
    for name in NAMES:
        model = architecture(name)
        if not model.images_only:
            d = model.window or 20
            x = inputs_of(name, 512, d, num_outputs=10)
            module = model.reference(d, 10).load(model.initial_weights(d, 10, seed=1))
            with torch.no_grad():
                share = torch.log_softmax(module(x, keep), -1).mean().item()
            assert np.log(10) <= -share < np.log(10) + 0.6, name


def test_every_side_has_architectures_and_unknown_ones_are_refused() -> None:
    assert {a.split for a in ARCHITECTURES.values()} == {"train", "validation", "test"}
    with pytest.raises(UnknownNameError, match="did you mean 'mlp_64x2"):
        architecture("mlp_64x")


def test_a_cnn_takes_images_of_its_own_shape_only() -> None:
    for name, shape in (("cnn_8x8", (1, 8, 8)), ("cnn_28x28", (1, 28, 28))):
        assert architecture(name).fits(shape)
        assert not architecture(name).fits((1, 9, 9))
        assert not architecture(name).fits(None)
        with pytest.raises(ConfigurationError, match=r"needs images of \(1, .*got num_inputs=32"):
            ModelSpec(name, num_inputs=32, num_outputs=16).parameters()


@pytest.mark.parametrize(
    ("image_shape", "stride"), [((3, 8, 8), 1), ((1, 9, 8), 1), ((1, 8, 9), 1), ((1, 6, 6), 2)]
)
def test_a_cnn_refuses_images_that_its_patches_do_not_cover(
    image_shape: tuple[int, int, int], stride: int
) -> None:
    with pytest.raises(ConfigurationError, match=f"one channel.*even sides.*stride={stride}"):
        CNN(split="test", image_shape=image_shape, stride=stride)


@pytest.mark.parametrize("name", NAMES)
def test_models_that_are_not_for_images_or_texts_take_any_data(name: str) -> None:
    chosen = architecture(name)
    takes_rows = chosen.window is None and not chosen.images_only
    assert all(chosen.fits(shape) == takes_rows for shape in (None, (1, 9, 9)))


MINE = MLP(split="test", width=4, depth=1)


def test_a_model_from_elsewhere_is_found_by_its_address() -> None:
    address = f"{__name__}:MINE"
    assert architecture(address) is MINE
    assert ModelSpec(address, num_inputs=3, num_outputs=2).model is MINE
    with pytest.raises(ConfigurationError, match="must be an instance of Architecture; got str"):
        architecture(f"{__name__}:__name__")
    with pytest.raises(ConfigurationError, match="has no 'YOURS'"):
        architecture(f"{__name__}:YOURS")


def test_a_class_that_is_derived_from_one_with_a_kernel_has_none() -> None:
    class Own(MLP):
        """It might compute anything."""

    assert MINE.kernel == "MLP"
    assert Own(split="test", width=4, depth=1).kernel is None
