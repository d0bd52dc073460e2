"""What the objectives cost, how steep they get, and best weights against Clarabel.

OMP_NUM_THREADS=1 python -m benchmarks.objectives

sorting   NeuralNDCG of four dates forward and backward, with our derivative of Sinkhorn's
          scalings and with autograd's; how far column sums then are from 1
steep     largest gradient norm of each loss in 20 draws, by the deviation of the scores
weights   best weights of a window of 64 sessions: ours, and cvxpy with Clarabel
"""

import time

import numpy as np
import torch

from finembed_core.learning.objectives import grades, listnet, neural_ndcg, weights_loss
from finembed_core.learning.objectives import neural_sort as ns
from finembed_core.portfolio.best_weights import best_weights
from tests.portfolio.hindsight import clarabel

DATES, SESSIONS, REPEATS = 4, 64, 5


def lists(places, seed=0, deviation=1.0):
    generator = torch.Generator().manual_seed(seed)
    scores = deviation * torch.randn(DATES, places, generator=generator)
    labels = torch.randn(DATES, places, generator=generator)
    return scores.requires_grad_(), labels, torch.full(labels.shape, True)


def best_seconds(work):
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def by_autograd(scores, gains, listed):
    """The same relaxed sort with each round of scalings left to autograd."""
    ranks = torch.arange(1.0, scores.shape[1] + 1.0)
    matrix, _ = ns._neural_sort(scores, listed, ranks, 1.0)
    for _ in range(ns.SCALINGS):
        matrix = matrix / matrix.sum(dim=1, keepdim=True)
        matrix = matrix / matrix.sum(dim=2, keepdim=True)
    return matrix, (matrix @ gains[:, :, None])[..., 0] @ (1.0 / torch.log2(ranks + 1.0))


def sorting(sizes=(100, 300, 1000)):
    print("places  ours s  autograd s  column sums miss 1 by")
    for places in sizes:
        scores, labels, listed = lists(places)
        graded = grades(labels, listed)
        ours = best_seconds(lambda: neural_ndcg(scores, graded, listed, 1.0).backward())  # noqa: B023
        theirs = best_seconds(lambda: by_autograd(scores, graded, listed)[1].sum().backward())  # noqa: B023
        missed = float((by_autograd(scores, graded, listed)[0].sum(1) - 1.0).abs().max().detach())
        print(f"{places:6d} {ours:7.3f} {theirs:11.3f} {missed:22.4f}")


def steep(draws=20):
    even = torch.full((DATES, 300), 1.0 / 300)
    losses = {
        "listnet": lambda s, y, m: listnet(s, y, m, 1.0),
        "ndcg 1": lambda s, y, m: neural_ndcg(s, grades(y, m), m, 1.0),
        "ndcg .1": lambda s, y, m: neural_ndcg(s, grades(y, m), m, 0.1),
        "softmax": lambda s, y, m: weights_loss(s, even, m, "softmax"),
        "simplex": lambda s, y, m: weights_loss(s, even, m, "simplex"),
    }
    print("scores  " + "".join(f"{name:>9}" for name in losses))
    for deviation in (1e-3, 1.0, 30.0, 1e3):
        worst = dict.fromkeys(losses, 0.0)
        for seed in range(draws):
            for name, loss in losses.items():
                scores, labels, listed = lists(300, seed, deviation)
                leaf = scores.detach().requires_grad_()
                loss(leaf, labels, listed).backward()
                worst[name] = max(worst[name], float(leaf.grad.norm()))
        print(f"{deviation:7g} " + "".join(f"{value:9.3f}" for value in worst.values()))


def window(funds, seed):
    """Five common factors, daily deviations from 0.1% to 2%."""
    rng = np.random.default_rng([funds, seed])
    betas = rng.normal([[1.0], [0.0], [0.0], [0.0], [0.0]], 0.4, (5, funds))
    own = np.exp(rng.uniform(np.log(1e-3), np.log(2e-2), funds))
    common = 0.008 * rng.normal(size=(SESSIONS, 5)) @ betas
    return 3e-4 + common + own * rng.normal(size=(SESSIONS, funds))


def weights(sizes=(100, 300, 1000)):
    print("funds  risk aversion  ours ms  Clarabel ms  held")
    for funds in sizes:
        for risk_aversion in (1.0, 10.0, 100.0):
            returns = [window(funds, seed) for seed in range(5)]
            ours = [best_seconds(lambda: best_weights(r, risk_aversion)) for r in returns]  # noqa: B023
            held = [np.count_nonzero(best_weights(r, risk_aversion)) for r in returns]
            start = time.process_time()
            if funds < 1000:
                clarabel(returns[0], risk_aversion)
            theirs = f"{1e3 * (time.process_time() - start):12.0f}" if funds < 1000 else 12 * " "
            print(f"{funds:5d} {risk_aversion:14g} {1e3 * np.median(ours):8.2f} {theirs} ", end="")
            print(f"{min(held):3d}-{max(held)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    sorting()
    steep()
    weights()
