"""The fast network against its paper's numbers, and its first layer against what whitening is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.analysis import cost
from neocog.errors import UsageError
from neocog.networks import create
from neocog.networks.fast import fast_cifar
from neocog.networks.start import whiten


def pictures(channels: int = 3, *, num: int = 64, side: int = 32) -> Tensor:
    """Blurred noise with colours that go together: neighbours and channels are correlated."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(num, channels, side + 2, side + 2, generator=generator)
    noise = noise + 0.7 * noise.mean(dim=1, keepdim=True)
    blurred = F.avg_pool2d(noise, 3, stride=1)
    return (blurred - blurred.mean()) / blurred.std()


def whitened(network: nn.Sequential, images: Tensor) -> Tensor:
    """What the filters make of each patch: (maps, patches). The bias is zero."""
    with torch.inference_mode():
        return network.whiten(images).transpose(0, 1).flatten(1)


def test_counts_are_the_papers() -> None:
    """Section 3.1: 1.97 million weights. The repository: 0.36 PFLOP for 9.9 epochs, of which this
    counts the training (a step costs three passes), not the test."""
    with torch.device("meta"):
        network = create("fast_cifar")
    table = cost.layers(network, (3, 32, 32))
    work = sum(layer.multiply_adds for layer in table)
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert (weights, work) == (1_971_640, 118_147_360)
    assert 2 * 3 * work * 50_000 * 9.9 == pytest.approx(0.35e15, rel=0.01)


@pytest.mark.parametrize(
    ("name", "epochs", "petaflops"),
    [("fast_cifar_95", 15, 1.39), ("fast_cifar_96", 40, 7.46)],
)
def test_work_of_the_wider_ones_is_the_repositorys(
    name: str, epochs: int, petaflops: float
) -> None:
    """As airbench95.py and airbench96.py give it, the latter for the 40 epochs it had then."""
    with torch.device("meta"):
        network = create(name)
    work = sum(layer.multiply_adds for layer in cost.layers(network, (3, 32, 32)))
    assert 2 * 3 * work * 50_000 * epochs / 1e15 == pytest.approx(petaflops, rel=0.03)


def test_the_deepest_skips_two_convolutions_in_each_group() -> None:
    network = create("fast_cifar_96", seed=0).eval()
    group = network.group1
    x = torch.randn(2, 24, 8, 8)
    with torch.inference_mode():
        into = F.gelu(group.norm1(F.max_pool2d(group.conv1(x), 2)))
        branch = group.rest.branch
        deeper = branch.norm3(branch.conv3(F.gelu(branch.norm2(branch.conv2(into)))))
        torch.testing.assert_close(group(x), F.gelu(into + deeper))
    assert {norm.momentum for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)} == {
        0.1
    }
    assert {w.shape[0] for w in network.parameters() if w.ndim == 4} == {24, 128, 512}


def test_the_one_for_digits() -> None:
    """The page's table."""
    with torch.device("meta"):
        network = create("fast_mnist")
    table = cost.layers(network, (1, 28, 28))
    shapes = {layer.name: layer.output for layer in table}
    names = ("conv1", "conv2", "pool2", "conv3", "head.fc")
    assert [shapes[name] for name in names] == [
        (8, 12, 12),
        (16, 10, 10),
        (16, 5, 5),
        (64, 3, 3),
        (10,),
    ]
    weights = sum(tensor.numel() for tensor in network.parameters())
    assert (weights, sum(layer.multiply_adds for layer in table)) == (16_504, 232_704)


def test_maps_and_order_are_the_papers() -> None:
    with torch.device("meta"):
        network = create("fast_cifar")
    shapes = {layer.name: layer.output for layer in cost.layers(network, (3, 32, 32))}
    assert [shapes[n] for n in ("whiten", "group1.gelu2", "group2.gelu2", "group3.gelu2")] == [
        (24, 31, 31),
        (64, 15, 15),
        (256, 7, 7),
        (256, 3, 3),
    ]
    assert (shapes["head.pool"], shapes["head.scale"]) == ((256, 1, 1), (10,))
    group = ["conv1", "pool", "norm1", "gelu1", "conv2", "norm2", "gelu2"]
    assert [name for name, _ in network.group2.named_children()] == group


def test_forward_is_the_papers_written_out() -> None:
    network = create("fast_cifar", seed=0).eval()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.bias)
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        maps = F.gelu(network.whiten(x))
        for group in (network.group1, network.group2, network.group3):
            for conv, norm, pool in ((group.conv1, group.norm1, 2), (group.conv2, group.norm2, 1)):
                maps = F.max_pool2d(F.conv2d(maps, conv.weight, padding="same"), pool)
                centred = maps - norm.running_mean[:, None, None]
                scaled = centred / norm.running_var[:, None, None].sqrt()
                maps = F.gelu(scaled + norm.bias[:, None, None])
        logits = F.max_pool2d(maps, 3).flatten(1) @ network.head.fc.weight.T / 9
        torch.testing.assert_close(network(x), logits, rtol=1e-4, atol=1e-5)


def test_norms_keep_six_tenths_and_have_no_scale_to_train() -> None:
    network = create("fast_cifar", seed=0)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 6
    for norm in norms:
        assert [name for name, _ in norm.named_parameters()] == ["bias"]
        assert norm.weight.eq(1).all()
        assert norm.eps == 1e-12
    norm = norms[0].train()
    norm.running_mean.fill_(1)
    norm(torch.full((2, 64, 3, 3), 6.0))
    torch.testing.assert_close(norm.running_mean, torch.full((64,), 0.6 * 1 + 0.4 * 6))


def test_first_filters_are_the_identity() -> None:
    network = create("fast_cifar", seed=0)
    for conv, c_in in (
        (network.group1.conv1, 24),
        (network.group1.conv2, 64),
        (network.group2.conv1, 64),
        (network.group3.conv2, 256),
    ):
        x = torch.randn(1, c_in, 5, 5)
        with torch.inference_mode():
            torch.testing.assert_close(conv(x)[:, :c_in], x)
        rest = conv.weight[c_in:]
        bound = 1 / (9 * c_in) ** 0.5  # torch's own start
        assert len(rest) == 0 or 0.98 * bound < rest.abs().max() <= bound
    assert network.head.fc.bias is None


@pytest.mark.parametrize("channels", [3, 1, 2])
def test_whitened_patches_have_unit_covariance(channels: int) -> None:
    network = create("fast_cifar", in_channels=channels, seed=0)
    images = pictures(channels)
    before = whitened(network, images)
    assert len(before) == 2 * 4 * channels
    half = 4 * channels
    off_diagonal = torch.cov(before[:half]) - torch.cov(before[:half]).diag().diag()
    assert off_diagonal.abs().max() > 0.3  # they need it
    whiten(network, images)
    after = whitened(network, images)
    torch.testing.assert_close(torch.cov(after[:half]), torch.eye(half), rtol=0, atol=0.02)
    torch.testing.assert_close(after[half:], -after[:half])


def test_whitening_is_the_formula() -> None:
    """Filters: eigenvectors over sqrt(eigenvalue + eps), of all overlapping 2x2 patches."""
    network = create("fast_cifar", seed=0)
    images = pictures(num=3, side=6)
    whiten(network, images, eps=0.1)
    patches = torch.stack(
        [images[:, :, i : i + 2, j : j + 2].flatten(1) for i in range(5) for j in range(5)]
    ).flatten(0, 1)
    filters = network.whiten.weight[:12].flatten(1)
    values = torch.linalg.eigvalsh(patches.T @ patches / len(patches)).flip(0)
    made = patches @ filters.T
    torch.testing.assert_close(
        made.T @ made / len(made), (values / (values + 0.1)).diag(), rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(filters.norm(dim=1), 1 / (values + 0.1).sqrt())


def test_whitening_takes_more_pictures_than_it_takes_at_once() -> None:
    images = pictures(1, num=1100, side=4)
    images[600:] *= 3
    network = create("fast_cifar", in_channels=1, seed=0)
    whiten(network, images)
    made = whitened(network, images)[:4]
    torch.testing.assert_close(made @ made.T / made.shape[1], torch.eye(4), rtol=0, atol=0.02)


def test_grey_pictures_in_colour_do_not_break_it() -> None:
    """Nine of twelve eigenvalues are zero: eps keeps the filters finite."""
    network = create("fast_cifar", seed=0)
    whiten(network, pictures(1).expand(-1, 3, -1, -1))
    assert network.whiten.weight.isfinite().all()
    assert network.whiten.weight.abs().max() < 1 / 5e-4**0.5 + 1


def test_the_first_layer_is_not_trained_but_its_bias_is() -> None:
    network = create("fast_cifar", num_classes=4, seed=0)
    whiten(network, pictures())
    frozen = [name for name, weight in network.named_parameters() if not weight.requires_grad]
    assert frozen == ["whiten.weight"]
    x, labels = pictures(num=8), torch.arange(8) % 4
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    losses = []
    for _ in range(6):
        loss = F.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in weights)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_until_whitened_filters_take_one_pixel_each() -> None:
    network = create("fast_cifar", seed=0)
    x = torch.randn(1, 3, 3, 3)
    with torch.inference_mode():
        maps = network.whiten(x)
    torch.testing.assert_close(maps[:, :12], F.unfold(x, 2).unflatten(2, (2, 2)))
    torch.testing.assert_close(maps[:, 12:], -maps[:, :12])


@pytest.mark.parametrize("side", [9, 28, 32, 64])
def test_other_sizes_fit(side: int) -> None:
    network = create("fast_cifar", in_channels=1, seed=0).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 1, side, side)).shape == (1, 10)


def test_survives_bf16_channels_last_and_export() -> None:
    network = create("fast_cifar", seed=0)
    images = pictures()
    whiten(network, images)
    with torch.no_grad():
        network.train()(images)  # statistics to normalise by
    network.eval()
    x = images[:2]
    with torch.no_grad():
        logits = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = network.to(memory_format=torch.channels_last)(
                x.to(memory_format=torch.channels_last)
            )
    assert (half.float() - logits).abs().max() < 0.05 * logits.abs().max()
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (torch.zeros(2, 1, 32, 32), r"floats of \(N, 3, H, W\).*float32 of \(2, 1, 32, 32\)"),
        (torch.zeros(3, 32, 32), r"floats of \(N, 3, H, W\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"uint8 of \(2, 3, 8, 8\) was given"),
        (torch.zeros(0, 3, 8, 8), "one picture of 2x2 is the least"),
        (torch.zeros(2, 3, 1, 8), "one picture of 2x2 is the least"),
    ],
)
def test_what_cannot_whiten_is_refused(images: Tensor, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        whiten(fast_cifar(), images)


def test_a_network_without_whitening_is_refused() -> None:
    with pytest.raises(UsageError, match="has no layer `whiten`; fast_cifar has one"):
        whiten(create("lenet_relu"), torch.zeros(1, 1, 28, 28))
