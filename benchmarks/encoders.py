"""Encoders against neuralforecast's, at equal size in one process; and a whole universe at once.

    python -m benchmarks.encoders [PART ...] --peer PYTHON

    training   windows per second and memory of a training step, ours and theirs
    inference  seconds (wall, processor) for 10,000 funds on one date, by stage

PYTHON is an interpreter with neuralforecast; both sides run in it, on its PyTorch:

    python -m venv peer && peer/bin/pip install torch==VERSION neuralforecast

A step is forward, mean squared error of the forecast, backward and AdamW, on the same random
windows in float32 on one thread, with equal look-back, horizon, width, feed-forward, layers, heads,
patches, dropout and batch. A window holds all its channels; their PatchTST takes it as so many
univariate ones. Ours look for hidden steps and rebuild the window as well, which theirs do not.
Steps of ours and theirs alternate; a rate is that of the median step, in seconds of the processor,
so that other work on the machine weighs on both alike. Memory is the peak of a forked process that
takes a few steps, over what it held before the first.

Inference goes from a memory-mapped panel to everything that a `multi_modal` model of the default
settings says of the funds of a date, with random weights, returns and sentence vectors. cut: what
is known on the date, out of the panel. facts: who is listed, and characteristics. sheet: those
scaled. windows: gathered and scaled. as a decision does: windows and network by `answers` on one
thread, whose first call in a process also starts torch. Texts are taken as encoded: that is done
once per text. The panel is in the page cache.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SECONDS = 12.0  # of steps, ours and theirs
STEPS = 3  # until memory has reached its peak
FUNDS, SESSIONS, THREADS = 10_000, 600, 2
TEXT = 384  # entries of a sentence vector
PAPERS = {
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
ALIKE = {"dropout": 0.1, "patch": 16, "stride": 8, "trend_window": 25}  # in both papers
TRAINING = (
    ("patchtst", "default"),
    ("patchtst", "paper, PatchTST"),
    ("itransformer", "default"),
    ("itransformer", "paper, iTransformer"),
)
NOT_OURS = ("channels", "batch")


def size_of(name):
    """Sizes of a paper or, where this project is installed, those that the settings give."""
    if name != "default":
        return PAPERS[name] | ALIKE
    from finembed_core.settings import Settings

    settings = Settings()
    own = settings.embeddings
    channels = 2 + settings.macro.n_components  # the fund and its market beside them
    shape = {"lookback": own.lookback, "horizon": own.horizon, "channels": channels, "batch": 64}
    return own.encoder.model_dump() | shape


def ours(encoder, size):
    """Network and a function from windows (B, C, L) to forecasts (B, C, S)."""
    import torch

    from finembed_core.encoders.build import build_encoder

    network = build_encoder(encoder, **{k: size[k] for k in size if k not in NOT_OURS})
    visible = torch.ones(size["batch"], size["channels"], size["lookback"], dtype=torch.bool)
    return network, lambda windows: network(windows, visible).forecast


def theirs(encoder, size):
    """As `ours`."""
    from neuralforecast.losses.pytorch import MSE
    from neuralforecast.models import PatchTST, iTransformer

    common = {
        "h": size["horizon"],
        "input_size": size["lookback"],
        "hidden_size": size["width"],
        "n_heads": size["heads"],
        "dropout": size["dropout"],
        "loss": MSE(),
    }
    if encoder == "itransformer":
        network = iTransformer(
            n_series=size["channels"],
            d_ff=size["feed_forward"],
            e_layers=size["layers"],
            **common,
        )
        return network, lambda windows: network({"insample_y": windows.mT}).mT
    network = PatchTST(
        linear_hidden_size=size["feed_forward"],
        encoder_layers=size["layers"],
        patch_len=size["patch"],
        stride=size["stride"],
        revin_subtract_last=False,
        **common,
    )
    return network, lambda windows: network({"insample_y": windows.flatten(0, 1)[..., None]}).view(
        *windows.shape[:2], -1
    )


SIDES = {"ours": ours, "theirs": theirs}


def stepper(side, encoder, size):
    """A function that takes one step of training."""
    import torch

    network, forecast = SIDES[side](encoder, size)
    batch = [size[name] for name in ("batch", "channels")]
    windows = torch.randn(*batch, size["lookback"])
    future = torch.randn(*batch, size["horizon"])
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step():
        loss = (forecast(windows) - future).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def duel(encoder, told):
    """Windows per second and bytes of either side; `told` is a size as JSON."""
    size = json.loads(told)
    held = {side: forked(lambda side=side: bytes_of(side, encoder, size)) for side in SIDES}
    steps = {side: stepper(side, encoder, size) for side in SIDES}
    seconds = {side: [] for side in SIDES}
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        for side, step in steps.items():
            start = time.process_time()
            step()
            seconds[side].append(time.process_time() - start)
    return {side: (size["batch"] / median(seconds[side][1:]), held[side]) for side in SIDES}


def bytes_of(side, encoder, size):
    """Peak of a few steps over what is held before the first."""
    step = stepper(side, encoder, size)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    for _ in range(STEPS):
        step()
    return memory("VmHWM") - before


def forked(work):
    """A number, found in a process of its own that has everything imported."""
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, str(work()).encode())
        os._exit(0)
    os.wait()
    return int(os.read(reading, 64))


def all_funds(encoder, count=FUNDS):
    """Wall and processor seconds by stage, from the memory-mapped panel to what a model says."""
    import tempfile

    import numpy as np
    import torch

    from finembed_core.daily_panel import read_daily
    from finembed_core.store import PartStore
    from tests.daily_worlds import panel, write_panel

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    rng = np.random.default_rng(0)
    days = np.busday_offset("2020-01-06", np.arange(SESSIONS)).astype("datetime64[D]")
    returns, market = (rng.normal(0, 0.01, (SESSIONS, n)).astype(np.float32) for n in (count, 1))
    ids = tuple(f"f{k:05d}" for k in range(count))
    made = panel(returns, days=days, market=market, ids=ids)
    with tempfile.TemporaryDirectory() as folder:
        store = PartStore(Path(folder))
        write_panel(store, made)
        return stages_of(read_daily(store), encoder, rng)


def stages_of(panel, encoder, rng):
    """Seconds (wall, processor) of one date by stage."""
    import numpy as np
    import polars as pl
    import torch

    from finembed_core.calendar import month_ordinals
    from finembed_core.embeddings.characteristics import CharacteristicScaler
    from finembed_core.embeddings.examples import FundDates
    from finembed_core.embeddings.macro_steps import MacroFit, MacroSteps
    from finembed_core.embeddings.predictions import BATCH, answers
    from finembed_core.embeddings.scale import ChannelScale
    from finembed_core.embeddings.shapes import ModelShape
    from finembed_core.embeddings.sheets import Information, SheetMaker
    from finembed_core.embeddings.text import TextVectors
    from finembed_core.embeddings.windows import Windows
    from finembed_core.settings import Settings
    from finembed_core.sources.tables import conform

    settings = Settings()
    months = np.unique(month_ordinals(panel.days))
    factors = tuple(f"F{k + 1}" for k in range(settings.macro.n_components))
    fit = MacroFit(months, rng.normal(size=(len(months), len(factors))).astype(np.float32))
    whole = Windows(panel, settings.embeddings, MacroSteps(factors, panel.days[:1], (fit,)))
    kinds = [f"c{k % 8}" for k in range(len(panel.ids))]
    vectors = rng.normal(size=(len(panel.ids), TEXT)).astype(np.float32)
    took = {}

    def timed(name, work):
        clocks = time.perf_counter, time.process_time
        before = [clock() for clock in clocks]
        made = work()
        took[name] = [clock() - start for clock, start in zip(clocks, before, strict=True)]
        return made

    windows = timed("cut", lambda: whole.as_of(SESSIONS - 1, SESSIONS))
    information = Information(
        session=SESSIONS - 1,
        windows=windows,
        calendar=settings.dataset.calendar,
        funds=conform("daily_funds", pl.DataFrame({"fund_id": panel.ids, "category": kinds})),
        texts=TextVectors(panel.ids, vectors, np.ones(len(vectors), np.bool_)),
    )
    maker = SheetMaker(information, settings.embeddings)
    facts = timed("facts", lambda: maker.facts(SESSIONS - 1))
    scaler = CharacteristicScaler.fit([facts.characteristics])
    shape = ModelShape.of(
        settings.embeddings,
        encoder,
        numbers=len(scaler.names),
        categories=len(scaler.categories),
        text_size=TEXT,
    )
    model = shape.build(modalities=True).eval()
    scale = ChannelScale(np.ones(len(windows.channels)))
    sheet = timed("sheet", lambda: maker.sheet(facts, scaler))
    dates = FundDates(windows, [sheet], scale, shape.mixes_channels)
    inputs = timed("windows", lambda: dates.inputs(sheet))

    def network():
        with torch.no_grad():
            for start in range(0, len(sheet.columns), BATCH):
                model(type(inputs)(*(value[start : start + BATCH] for value in inputs)))

    timed("as a decision does, first", lambda: answers(model, dates, sheet))
    timed("again", lambda: answers(model, dates, sheet))
    network()  # threads start
    timed("network alone, two threads", network)
    return took


MEASURES = {"duel": duel, "all_funds": all_funds}


def memory(name):
    """Bytes of a line in the kernel's account of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if name in line)
    return 1024 * int(line.split()[1])


def measured(python, threads, *what):
    """One measurement in a process of its own."""
    ended = subprocess.run(
        [python, "-W", "ignore", __file__, "--measure", *what],
        env={
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        sys.exit(f"{' '.join(what)}: {(ended.stderr.strip().splitlines() or ['?'])[-1]}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def training(peer):
    """Windows per second and memory of a training step."""
    print(
        "| encoder | size | ours, windows/s | theirs | ours / theirs | ours, MB | theirs | "
        "ours / theirs |\n|" + "---|" * 8
    )
    for encoder, size in TRAINING:
        found = measured(peer, 1, "duel", encoder, json.dumps(size_of(size)))
        (rate, held), (other, their) = found["ours"], found["theirs"]
        print(
            f"| {encoder} | {size} | {rate:,.0f} | {other:,.0f} | {rate / other:.2f} | "
            f"{held / 2**20:,.0f} | {their / 2**20:,.0f} | {held / their:.2f} |",
            flush=True,
        )


def inference(_):
    """Seconds for all funds on one date, by stage."""
    for row, encoder in enumerate(("linear", "rlinear", "dlinear", "patchtst", "itransformer")):
        found = measured(sys.executable, THREADS, "all_funds", encoder)
        if not row:
            print("| encoder |", " | ".join(found), "|\n|---|" + "---:|" * len(found))
        cells = [f"{wall:.2f} ({processor:.2f})" for wall, processor in found.values()]
        print(f"| {encoder} |", " | ".join(cells), "|", flush=True)


PARTS = {"training": training, "inference": inference}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, *what = given.measure
        print(json.dumps(MEASURES[name](*what)))
        return
    for name in given.parts or PARTS:
        if name == "training" and not given.peer:
            parser.error("training needs --peer PYTHON")
        print(f"\n{name}, load {os.getloadavg()[0]:.1f}")
        PARTS[name](given.peer)


if __name__ == "__main__":
    main()
