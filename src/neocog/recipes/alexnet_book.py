"""AlexNet as Dive into Deep Learning trains it on Fashion-MNIST at 224 px.

Source  Zhang, Lipton, Li, Smola. Dive into Deep Learning, section 8.1: batch 128, lr 0.01,
        10 epochs of plain SGD, pixels from 0 to 1. Published: loss 0.325, training accuracy
        0.881, test accuracy 0.871.
Gave    not measured by us yet.
"""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="alexnet_book",
    epochs=10,
    batch_size=128,
    lr=0.01,
    pixels="unit",
    select="last",
)
