"""The narrow VGG-11 of Dive into Deep Learning on Fashion-MNIST at 224 px.

Source  Zhang, Lipton, Li, Smola. Dive into Deep Learning, section 8.2: channels (16, 32, 64,
        128, 128), batch 128, lr 0.01 (the first edition: 0.05), 10 epochs of plain SGD, pixels
        from 0 to 1.
Gave    not measured by us yet.
"""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="vgg_book",
    epochs=10,
    batch_size=128,
    lr=0.01,
    pixels="unit",
    select="last",
)
