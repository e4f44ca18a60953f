"""Records src/neocog/analysis/figures.py anew: `python -m tests.networks.record`.

Needed where a network is new, or where what a network is has changed on purpose.
"""

from __future__ import annotations

from pathlib import Path

import torch

from neocog.analysis import cost
from neocog.networks import NETWORKS, create

FIGURES = Path(__file__).parents[2] / "src" / "neocog" / "analysis" / "figures.py"
PAGE = '''\
"""What `neocog nets` says of each network: recorded, for running all of them takes minutes.

Written by `python -m tests.networks.record`, held by tests/networks/test_proof.py.
"""

# name: (weights, those of auxiliary heads too; multiply-adds of one picture at the paper's input;
# side in px of the smallest square picture, with the network's own channels, that goes through)
FIGURES: dict[str, tuple[int, int, int]] = {{
{lines}
}}
'''


def figures(name: str) -> tuple[int, int, int]:
    """The line of one network. The search for the smallest takes a while for a deep one."""
    with torch.device("meta"):
        network = create(name)
    channels, _, largest = NETWORKS[name].input
    smallest = cost.smallest_size(network, channels, largest=largest)
    assert smallest is not None, f"{name} does not take its paper's input"
    return (*totals(name), smallest[0])


def totals(name: str) -> tuple[int, int]:
    """Weights, and multiply-adds at the paper's input."""
    with torch.device("meta"):
        network = create(name)
    seen = cost.table(network, NETWORKS[name].input)
    assert seen.why is None, seen.why
    return sum(weight.numel() for weight in network.parameters()), seen.multiply_adds


def main() -> None:
    found = {name: figures(name) for name in NETWORKS}
    lines = (f'    "{name}": ({w:_}, {work:_}, {side}),' for name, (w, work, side) in found.items())
    FIGURES.write_text(PAGE.format(lines="\n".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
