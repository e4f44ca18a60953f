"""Photographs in a folder, for any network with batch norm: what a practitioner would begin with.

Source  ours, of parts that the field agrees on: Nesterov momentum and a cosine after a warm-up
        (He et al. 2018, arXiv:1812.01187, sections 2 and 5), crops of area and aspect (Szegedy et
        al. 2014, section 6; from a quarter on, for small sets), label smoothing 0.1.
Gave    not measured yet beyond a try: see docs/data.md for how to look at what it does.
"""

from neocog.recipe import Recipe

RECIPE = Recipe(
    name="photos",
    epochs=30,
    batch_size=32,
    lr=0.02,
    momentum=0.9,
    nesterov=True,
    weight_decay=0.0005,
    decay_biases=False,
    schedule="cosine",
    warmup=2,
    label_smoothing=0.1,
    area=(0.25, 1.0),
    mirror=True,
    jitter=0.2,
)
