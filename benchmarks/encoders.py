"""Encoders against neuralforecast's, at equal size on one machine; and a whole universe at once.

    python -m benchmarks.encoders [PART ...] --peer PYTHON [--threads N]

    training   windows per second and memory of a training step, ours and theirs
    trainer    the same through neuralforecast's own trainer
    inference  seconds for 10,000 funds on one date with the default size, on 2 threads

PYTHON is an interpreter with neuralforecast and the same PyTorch:

    python -m venv peer && peer/bin/pip install torch==VERSION neuralforecast

A step is forward, mean squared error of the forecast, backward and AdamW, on the same random
windows in float32, with equal look-back, horizon, width, feed-forward, layers, heads, patches,
dropout and batch. A window holds all its channels; theirs of PatchTST take them as so many
univariate windows. Ours look for hidden steps and rebuild the window as well, which theirs do not.
Every measurement is a process of its own, ours and theirs in turns; figures are medians of
`ROUNDS`. Memory is the peak of the process over what it held before its first step.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROUNDS = 5
SECONDS = 4.0  # of steps in a round
FUNDS = 10_000
CHANNELS = 6  # the fund, its market and four macro factors
SIZES = {
    "default": {
        "lookback": 128,
        "horizon": 64,
        "width": 32,
        "feed_forward": 64,
        "layers": 2,
        "heads": 4,
        "channels": CHANNELS,
        "batch": 64,
    },
    "paper, PatchTST": {
        "lookback": 336,
        "horizon": 96,
        "width": 128,
        "feed_forward": 256,
        "layers": 3,
        "heads": 16,
        "channels": 7,
        "batch": 8,
    },
    "paper, iTransformer": {
        "lookback": 96,
        "horizon": 96,
        "width": 512,
        "feed_forward": 2048,
        "layers": 2,
        "heads": 8,
        "channels": 21,
        "batch": 16,
    },
}
TRAINING = (
    ("patchtst", "default"),
    ("patchtst", "paper, PatchTST"),
    ("itransformer", "default"),
    ("itransformer", "paper, iTransformer"),
)
PATCH, STRIDE, DROPOUT, TREND_WINDOW = 16, 8, 0.1, 25
OWN_OPTIONS = ("width", "feed_forward", "layers", "heads")
QUIET = {"enable_progress_bar": False, "logger": False, "enable_model_summary": False}


def ours(encoder, size):
    """Network and a function from windows (B, C, L) to forecasts (B, C, S)."""
    import torch

    from finembed_core.encoders.build import build_encoder

    network = build_encoder(
        encoder,
        size["lookback"],
        size["horizon"],
        **{name: size[name] for name in OWN_OPTIONS},
        dropout=DROPOUT,
        patch=PATCH,
        stride=STRIDE,
        trend_window=TREND_WINDOW,
    )
    visible = torch.ones(size["batch"], size["channels"], size["lookback"], dtype=torch.bool)
    return network, lambda windows: network(windows, visible).forecast


def their_model(encoder, size, **others):
    from neuralforecast.losses.pytorch import MSE
    from neuralforecast.models import PatchTST, iTransformer

    common = {
        "h": size["horizon"],
        "input_size": size["lookback"],
        "hidden_size": size["width"],
        "n_heads": size["heads"],
        "dropout": DROPOUT,
        "loss": MSE(),
        **others,
    }
    if encoder == "itransformer":
        return iTransformer(
            n_series=size["channels"],
            d_ff=size["feed_forward"],
            e_layers=size["layers"],
            **common,
        )
    return PatchTST(
        linear_hidden_size=size["feed_forward"],
        encoder_layers=size["layers"],
        patch_len=PATCH,
        stride=STRIDE,
        revin_subtract_last=False,
        **common,
    )


def theirs(encoder, size):
    """As `ours`."""
    network = their_model(encoder, size)
    if encoder == "itransformer":
        return network, lambda windows: network({"insample_y": windows.mT}).mT
    return network, lambda windows: network({"insample_y": windows.flatten(0, 1)[..., None]}).view(
        *windows.shape[:2], -1
    )


SIDES = {"ours": ours, "theirs": theirs}


def measure_training(side, encoder, size):
    """Windows per second, and bytes over those before the first step."""
    import torch

    network, forecast = SIDES[side](encoder, SIZES[size])
    batch = [SIZES[size][name] for name in ("batch", "channels")]
    windows = torch.randn(*batch, SIZES[size]["lookback"])
    future = torch.randn(*batch, SIZES[size]["horizon"])
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step():
        loss = (forecast(windows) - future).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    before = reset_peak()
    for _ in range(3):
        step()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() < start + SECONDS:
        step()
        steps += 1
    rate = steps * batch[0] / (time.perf_counter() - start)
    return {"rate": rate, "bytes": peak() - before}


def measure_trainer(side, encoder, size):
    """Windows per second of `NeuralForecast.fit`, from the difference of two numbers of steps."""
    import numpy as np
    import pandas as pd
    from neuralforecast import NeuralForecast

    assert side == "theirs"
    given, days = SIZES[size], 1000
    channels, count = given["channels"], 400
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{k:03d}" for k in range(channels)], days),
            "ds": np.tile(np.arange(days), channels),
            "y": np.random.default_rng(0).normal(size=days * channels),
        }
    )
    windows = given["batch"] * (1 if encoder == "itransformer" else channels)
    seconds = []
    for steps in (20, 20 + count):  # the first are the start of the trainer
        model = their_model(
            encoder,
            given,
            max_steps=steps,
            batch_size=channels,
            windows_batch_size=windows,
            **QUIET,
        )
        start = time.perf_counter()
        NeuralForecast(models=[model], freq=1).fit(frame)
        seconds.append(time.perf_counter() - start)
    return {"rate": count * given["batch"] / (seconds[1] - seconds[0]), "bytes": 0}


def measure_inference(side, encoder, size):
    """Seconds for all funds, in batches."""
    import torch

    given = {**SIZES[size], "batch": 250}
    network, forecast = SIDES[side](encoder, given)
    network.eval()
    windows = torch.randn(FUNDS, given["channels"], given["lookback"])
    before = reset_peak()
    with torch.no_grad():
        forecast(windows[: given["batch"]])
        start = time.perf_counter()
        for part in windows.split(given["batch"]):
            forecast(part)
        return {"rate": FUNDS / (time.perf_counter() - start), "bytes": peak() - before}


MEASURES = {
    "training": measure_training,
    "trainer": measure_trainer,
    "inference": measure_inference,
}


def memory(name):
    """Bytes of a line in the kernel's account of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if name in line)
    return 1024 * int(line.split()[1])


def reset_peak():
    """Bytes held now, from which the peak starts anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def peak():
    return memory("VmHWM")


def measured(python, threads, *what):
    """One measurement in a process of its own."""
    quiet = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    ended = subprocess.run(
        [python, "-W", "ignore", __file__, "--measure", *what],
        env={**quiet, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        sys.exit(f"{' '.join(what)}: {(ended.stderr.strip().splitlines() or ['?'])[-1]}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def medians(rounds):
    return [median(found[name] for found in rounds) for name in ("rate", "bytes")]


def training(peer, threads):
    """Windows per second and memory of a training step."""
    print(
        "| encoder | size | ours, windows/s | theirs | ours / theirs | ours, MB | theirs | "
        "ours / theirs |\n|" + "---|" * 8
    )
    for encoder, size in TRAINING:
        rounds = [
            [
                measured(python, threads, "training", side, encoder, size)
                for side, python in (("ours", sys.executable), ("theirs", peer))
            ]
            for _ in range(ROUNDS)
        ]
        (rate, held), (other, their) = map(medians, zip(*rounds, strict=True))
        print(
            f"| {encoder} | {size} | {rate:,.0f} | {other:,.0f} | {rate / other:.2f} | "
            f"{held / 2**20:,.0f} | {their / 2**20:,.0f} | {held / their:.2f} |",
            flush=True,
        )


def trainer(peer, threads):
    """Windows per second through their trainer."""
    print("| encoder | size | theirs, windows/s |\n|---|---|---|")
    for encoder, size in TRAINING:
        found = measured(peer, threads, "trainer", "theirs", encoder, size)
        print(f"| {encoder} | {size} | {found['rate']:,.0f} |", flush=True)


def inference(peer, threads):
    """Seconds for all funds on one date."""
    print(f"| encoder | seconds for {FUNDS:,} funds, 2 threads | MB |\n|---|---|---|")
    for encoder in ("linear", "rlinear", "dlinear", "patchtst", "itransformer"):
        found = measured(sys.executable, 2, "inference", "ours", encoder, "default")
        print(f"| {encoder} | {FUNDS / found['rate']:.2f} | {found['bytes'] / 2**20:,.0f} |")


PARTS = {"training": training, "trainer": trainer, "inference": inference}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, *what = given.measure
        print(json.dumps(MEASURES[name](*what)))
        return
    for name in given.parts or PARTS:
        if name != "inference" and not given.peer:
            parser.error(f"{name} needs --peer PYTHON")
        print(f"\n{name}, {given.threads} thread(s), load {os.getloadavg()[0]:.1f}")
        PARTS[name](given.peer, given.threads)


if __name__ == "__main__":
    main()
