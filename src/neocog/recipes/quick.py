"""The default for small pictures: what a LeNet or a small VGG can reach in a minute or two."""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="quick",
    epochs=12,
    batch_size=128,
    lr=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.0005,
    decay_biases=False,
    schedule="linear",
    warmup=1.0,
    mirror=True,
)
