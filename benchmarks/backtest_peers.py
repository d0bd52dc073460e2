"""The same monthly rebalance in bt or vectorbt; runs under their interpreter, not ours.

``python backtest_peers.py bt|vectorbt IN.npz OUT.npz``: prices (T, N), weights (T - 1, N) of the
NAV before costs, proportional cost; out come the wealth after dealing (T - 1,) and the seconds.
"""

import sys
import time

import numpy as np
import pandas as pd


def with_vectorbt(prices, weights, cost):
    import vectorbt

    def run(prices, weights):
        orders = weights.reindex(prices.index)  # nothing on the last date
        return vectorbt.Portfolio.from_orders(
            prices,
            orders,
            size_type="targetpercent",
            fees=cost,
            init_cash=1e6,
            cash_sharing=True,
            group_by=True,
            call_seq="auto",
        )

    run(prices, weights).value()  # compiles
    begin = time.perf_counter()
    wealth = run(prices, weights).value().to_numpy()
    return wealth / 1e6, time.perf_counter() - begin


def with_bt(prices, weights, cost):
    import bt

    strategy = bt.Strategy("weights", [bt.algos.WeighTarget(weights), bt.algos.Rebalance()])
    begin = time.perf_counter()
    backtest = bt.Backtest(
        strategy,
        prices,
        initial_capital=1e6,
        commissions=lambda quantity, price: abs(quantity) * price * cost,
        integer_positions=False,
        progress_bar=False,
    )
    backtest.run()
    wealth = backtest.strategy.values.to_numpy()[-len(prices) :]
    return wealth / 1e6, time.perf_counter() - begin


def main():
    peer, source, target = sys.argv[1:]
    given = np.load(source)
    dates = pd.date_range("1990-01-31", periods=len(given["prices"]), freq="ME")
    names = [f"F{k:05d}" for k in range(given["prices"].shape[1])]
    prices = pd.DataFrame(given["prices"], dates, names)
    weights = pd.DataFrame(given["weights"], dates[:-1], names)
    run = {"bt": with_bt, "vectorbt": with_vectorbt}[peer]
    wealth, seconds = run(prices, weights, float(given["cost"]))
    np.savez(target, wealth=wealth[:-1], seconds=seconds)


if __name__ == "__main__":
    main()
