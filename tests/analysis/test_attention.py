"""What speaks for a class, on networks of which it is known by hand, and beside Captum."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from neocog.analysis import attention, listening
from neocog.errors import UsageError
from neocog.networks import create


class OneChannel(nn.Module):
    """Its logits are the means of the channels of one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))


class OnePatch(nn.Module):
    """It reads the 4x4 pixels at row 8, column 12, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.scale * x[:, :, 8:12, 12:16].sum((1, 2, 3))
        return torch.stack([seen, torch.zeros_like(seen)], 1)


def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4)).eval()


def small() -> nn.Module:
    """Rectified in place, as ours are."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(6 * 3 * 3, 5),
    ).eval()


def picture(side: int = 12, seed: int = 1) -> Tensor:
    return torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_gradient_of_a_linear_network_is_its_weights() -> None:
    network = linear()
    weights = network[1].weight.detach().view(4, 3, 6, 6)
    seen = attention.slopes(network, picture(6)[None], 2)[0]
    torch.testing.assert_close(seen, weights[2])
    torch.testing.assert_close(attention.saliency(network, picture(6), 2), weights[2].abs().amax(0))
    assert network[1].weight.grad is None


def test_integrated_gradients_of_a_linear_network_are_weights_times_values() -> None:
    network, given = linear(), picture(6)
    made = attention.integrated_gradients(network, given, 1)
    weights = network[1].weight.detach().view(4, 3, 6, 6)
    torch.testing.assert_close(made.values, weights[1] * given)
    assert made.missing < 1e-5
    assert made.steps == attention.FEWEST


def test_integrated_gradients_add_up_to_what_they_explain() -> None:
    network, given = small(), picture()
    made = attention.integrated_gradients(network, given, 3)
    with torch.no_grad():
        ends = network(torch.stack([torch.zeros_like(given), given]))[:, 3]
    assert made.difference == pytest.approx(float(ends[1] - ends[0]), rel=1e-4)
    assert made.missing <= attention.MISSING
    assert made.explained == pytest.approx(float(made.values.sum()), rel=1e-3)


def test_steps_are_doubled_until_they_add_up_and_no_further() -> None:
    class Steep(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(4000 * (x - 0.5)).flatten(1).sum(1, keepdim=True)

    made = attention.integrated_gradients(Steep(), torch.ones(1, 1, 1), 0, steps=4)
    assert made.steps == attention.MOST
    assert made.missing > attention.MISSING


def test_grad_cam_of_the_mean_of_one_channel_is_that_channel() -> None:
    torch.manual_seed(0)
    network, given = OneChannel().eval(), torch.randn(1, 9, 9)
    with torch.no_grad():
        channel = network.conv(given[None])[0, 1]
    seen = attention.grad_cam(network, given, 1, layer="conv")
    torch.testing.assert_close(seen, channel.relu() / channel.numel())


def test_grad_cam_is_the_same_by_a_slice_of_ours() -> None:
    network = create("lenet_relu", num_classes=10, in_channels=1, seed=0).eval()
    given = torch.randn(1, 28, 28, generator=torch.Generator().manual_seed(0))
    maps = network[:-1](given[None]).detach().requires_grad_()
    (slope,) = torch.autograd.grad(network[-1](maps)[0, 4], maps)
    by_slice = (slope.mean((2, 3), keepdim=True) * maps).sum(1)[0].relu().detach()
    seen = attention.grad_cam(network, given, 4, layer="pool2")
    torch.testing.assert_close(seen, by_slice)


def test_what_a_layer_put_out_is_heard_before_a_relu_changes_it_in_place() -> None:
    network, given = small(), picture()[None]
    with torch.no_grad():
        first = network[0](given)
        heard = listening.outputs(network, given, ["0", "1"])
    torch.testing.assert_close(heard["0"], first)
    torch.testing.assert_close(heard["1"], first.relu())
    seen = attention.grad_cam(network, given[0], 0, layer="0")
    assert seen.shape == (10, 10)


def test_a_layer_without_a_map_has_no_grad_cam() -> None:
    with pytest.raises(UsageError, match="no map"):
        attention.grad_cam(small(), picture(), 0, layer="6")


def test_occlusion_points_to_the_only_patch_that_is_read() -> None:
    given = torch.zeros(1, 24, 24)
    given[:, 8:12, 12:16] = 0.25
    made = attention.occlusion(OnePatch(), given, 0, patch=4, stride=2)
    assert made.patch == (8, 12, 4, 4)
    assert made.probability == pytest.approx(0.982, abs=1e-3)  # of logits 4 and 0
    assert made.lowest == pytest.approx(0.5)
    row, column = divmod(int(made.drop.argmax()), 24)
    assert 8 <= row < 12
    assert 12 <= column < 16
    assert not made.drop[:4].any()
    assert not made.drop[:, 20:].any()


@pytest.mark.parametrize(("side", "patch", "stride"), [(7, 3, 3), (10, 4, 3), (5, 9, 2)])
def test_patches_cover_the_whole_picture(side: int, patch: int, stride: int) -> None:
    made = attention.occlusion(
        OneChannel(), torch.rand(1, side, side), 0, patch=patch, stride=stride
    )
    assert bool(made.drop.isfinite().all())


def test_captum_agrees() -> None:
    from captum import attr as captum  # takes half a second

    network, given = small(), picture()
    cam = captum.LayerGradCam(network, network[3])
    expected = cam.attribute(given[None], 2, relu_attributions=True)[0, 0].detach()
    torch.testing.assert_close(attention.grad_cam(network, given, 2, layer="3"), expected)
    slopes = captum.Saliency(network).attribute(given[None].requires_grad_(), 2)[0]
    torch.testing.assert_close(attention.saliency(network, given, 2), slopes.amax(0))
    integrated = captum.IntegratedGradients(network)
    expected = integrated.attribute(given[None].detach(), 0, 2, n_steps=32)[0]
    made = attention.integrated_gradients(network, given.detach(), 2, steps=32)
    torch.testing.assert_close(made.values, expected.float(), atol=1e-5, rtol=1e-4)


def test_captum_hides_the_same_patches() -> None:
    from captum import attr as captum  # takes half a second

    network, given = small(), picture()
    wrapped = nn.Sequential(network, nn.Softmax(1))
    expected = captum.Occlusion(wrapped).attribute(
        given[None], (3, 4, 4), strides=(3, 4, 4), target=1, baselines=0
    )[0, 0]
    made = attention.occlusion(network, given, 1, patch=4, stride=4)
    torch.testing.assert_close(made.drop, expected.float(), atol=1e-6, rtol=1e-4)
