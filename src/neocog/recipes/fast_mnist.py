"""MNIST to 99 % in seconds: `fast_mnist` and Muon.

Source  ours; optimizer, rates, epochs and shifting as tried on a sixth of the training pictures
        held out, where 1.5 epochs gave 99.03 % (three seeds).
Gave    99.32 % test accuracy, standard deviation 0.06, five seeds (2026-11-22, one thread of an
        AMD EPYC); not timed yet on a machine that does nothing else.
"""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="fast_mnist",
    epochs=2,
    batch_size=256,
    optimizer="muon",
    lr=0.15,
    bias_lr=0.2,
    head_lr=0.2,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.0005,
    schedule="linear",
    label_smoothing=0.1,
    shift=1,
    validation=0.0,
    select="last",
)
