"""AlexNet as its paper trains it.

Source  Krizhevsky, Sutskever, Hinton. ImageNet Classification with Deep Convolutional Neural
        Networks. NIPS 2012, sections 4 and 5: batch 128, momentum 0.9, decay 0.0005, lr 0.01
        divided by 10 three times when validation stops improving, about 90 epochs; crops of
        256-pictures and their mirrors; colour noise along the principal components, sigma 0.1.

Unlike the paper
        "Stops improving" was judged by hand; here it is five epochs without a lower validation
        error. The paper subtracts the mean picture; here each channel is standardised.
        torch applies lr to the whole velocity, the paper to each new gradient: the two differ
        for the few steps after a drop of lr.

Gave    not measured by us yet.
"""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="alexnet_2012",
    epochs=90,
    batch_size=128,
    lr=0.01,
    momentum=0.9,
    weight_decay=0.0005,
    schedule="plateau",
    patience=5,
    drops=3,
    resize=256,
    mirror=True,
    pca_noise=0.1,
)
