"""The first LeNet of Dive into Deep Learning: plain SGD on a sigmoid network.

Source  Zhang, Lipton, Li, Smola. Dive into Deep Learning, section 7.6: LeNet, batch 256,
        10 epochs, lr 0.9, pixels from 0 to 1, no decay, no momentum.
Gave    not measured by us yet.
"""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="book",
    epochs=10,
    batch_size=256,
    lr=0.9,
    pixels="unit",
    select="last",
)
