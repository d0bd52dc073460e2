"""Seeds of a network trained together through torch.func against one after the other, on one core.

    OMP_NUM_THREADS=1 python -m benchmarks.ensemble [--kinds K ...] [--members M ...]
        [--batches B ...]

Both go through the common loop with the same batches, the same number of steps and AdamW. The ratio
is the processor time one after the other over that together: above the number of cores, together
beats a process for each member. `apart` is the largest difference between the forecasts of a
member and those of the network trained alone, in units of their deviation.
"""

import argparse
import copy
import time

import torch
from torch import nn
from torch.nn.functional import mse_loss

from finembed_core.encoders.itransformer import ITransformer
from finembed_core.learning.ensemble import Members
from finembed_core.learning.loop import LoopOptions, Loss, reproducible, train_network
from finembed_core.settings import Settings

SETTINGS = Settings()
LOOKBACK, HORIZON = SETTINGS.embeddings.lookback, SETTINGS.embeddings.horizon
CHANNELS = 2 + SETTINGS.macro.n_components  # the fund and its market beside them
SIZES = SETTINGS.embeddings.encoder
WIDTH = SIZES.width
REPEATS = 3


class Whole(nn.Module):
    """Forecasts (B, C, S) of an encoder that sees all of its windows (B, C, L)."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, windows):
        """Windows to forecasts."""
        return self.encoder(windows, torch.ones_like(windows, dtype=torch.bool)).forecast


def linear():
    return nn.Sequential(nn.Linear(LOOKBACK, WIDTH), nn.Linear(WIDTH, HORIZON))


def perceptron():
    inner = [nn.Linear(LOOKBACK, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU()]
    return nn.Sequential(*inner, nn.Linear(WIDTH, HORIZON))


def itransformer():
    """Without dropout, so that seeds agree."""
    size = LOOKBACK, HORIZON, WIDTH, SIZES.feed_forward
    return Whole(ITransformer(*size, layers=SIZES.layers, heads=SIZES.heads, dropout=0.0))


KINDS = {"linear": linear, "perceptron": perceptron, "itransformer": itransformer}


class Windows:
    """Random walks, cut into what is seen and what follows."""

    def __init__(self, count, seed=0):
        generator = torch.Generator().manual_seed(seed)
        path = torch.randn(count, CHANNELS, LOOKBACK + HORIZON, generator=generator)
        self.path = path.cumsum(-1) / 10.0

    def __len__(self):
        return len(self.path)

    def batch(self, rows):
        """Both parts of these walks."""
        path = self.path[rows]
        return path[..., :LOOKBACK], path[..., LOOKBACK:]


def objective(forecast, truth):
    return Loss(mse_loss(forecast, truth))


def seconds(network, loss, windows, options):
    with reproducible(0):
        start = time.process_time()
        train_network(network, windows, Windows(16), loss, options, lambda epoch: None)
        return time.process_time() - start


def compare(kind, members, batch):
    """Best seconds one after the other and together, and how far the forecasts part."""
    steps = max(3, 256 // batch)
    windows = Windows(max(256, 2 * batch))
    options = LoopOptions(1e-3, 1e-2, batch, 2, 2, steps * batch)
    networks = []
    for seed in range(members):
        torch.manual_seed(seed)
        networks.append(KINDS[kind]())
    times = {"alone": [], "together": []}
    for _ in range(REPEATS):
        alone, grouped = copy.deepcopy(networks), copy.deepcopy(networks)
        times["alone"].append(
            sum(seconds(network, objective, windows, options) for network in alone)
        )
        stacked = Members(grouped)
        times["together"].append(seconds(stacked, stacked.of_each(objective), windows, options))
        stacked.copy_to(grouped)
    inputs, _ = windows.batch(torch.arange(64))
    with torch.no_grad():
        wanted = torch.stack([network(inputs) for network in alone])
        found = torch.stack([network(inputs) for network in grouped])
    apart = float((found - wanted).abs().max() / wanted.std())
    return min(times["alone"]), min(times["together"]), apart


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--members", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 64, 1024])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("kind           members  batch  alone s  together s  ratio    apart")
    for kind in given.kinds:
        for members in given.members:
            for batch in given.batches:
                alone, together, apart = compare(kind, members, batch)
                print(
                    f"{kind:<14} {members:7d} {batch:6d} {alone:8.3f} {together:11.3f} "
                    f"{alone / together:6.2f} {apart:8.1e}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
