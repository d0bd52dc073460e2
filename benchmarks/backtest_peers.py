"""The same orders in bt or vectorbt; runs under their interpreter, not ours.

``python backtest_peers.py bt|vectorbt IN.npz OUT.npz``: prices (T, N), proportional cost, and
orders on all dates but the last, weights (T - 1, N) of the NAV before costs or shares to hold,
NaN where there is no order; out come the wealth after dealing (T - 1,) and the seconds.
"""

import sys
import time

import numpy as np
import pandas as pd

CAPITAL = 1e6


def with_vectorbt(prices, orders, kind, cost):
    import vectorbt

    def run(prices, orders):
        return vectorbt.Portfolio.from_orders(
            prices,
            orders.reindex(prices.index),  # nothing on the last date
            size_type={"weights": "targetpercent", "shares": "targetamount"}[kind],
            fees=cost,
            init_cash=CAPITAL,
            cash_sharing=True,
            group_by=True,
            call_seq="auto",
        )

    run(prices, orders).value()  # compiles
    begin = time.perf_counter()
    wealth = run(prices, orders).value().to_numpy()
    return wealth / CAPITAL, time.perf_counter() - begin


def with_bt(prices, orders, kind, cost):
    import bt

    class Hold(bt.Algo):
        """Trade to the shares of the day, sales first."""

        def __call__(self, target):
            if target.now not in orders.index:
                return True
            wanted = orders.loc[target.now].dropna()
            held = {name: child.position for name, child in target.children.items()}
            changes = wanted - [held.get(name, 0.0) for name in wanted.index]
            for name, change in changes.sort_values().items():
                target.transact(change, child=name, update=False)
            target.root.update(target.now)
            return True

    rebalance = [bt.algos.WeighTarget(orders), bt.algos.Rebalance()]
    algos = {"weights": rebalance, "shares": [Hold()]}[kind]
    strategy = bt.Strategy("orders", algos, children=list(prices.columns))
    begin = time.perf_counter()
    backtest = bt.Backtest(
        strategy,
        prices,
        initial_capital=CAPITAL,
        commissions=lambda quantity, price: abs(quantity) * price * cost,
        integer_positions=False,
        progress_bar=False,
    )
    backtest.run()
    wealth = backtest.strategy.values.to_numpy()[-len(prices) :]
    return wealth / CAPITAL, time.perf_counter() - begin


def main():
    peer, source, target = sys.argv[1:]
    given = np.load(source)
    kind = "weights" if "weights" in given else "shares"
    frequency = {"weights": "ME", "shares": "B"}[kind]
    dates = pd.date_range("1990-01-31", periods=len(given["prices"]), freq=frequency)
    names = [f"F{k:05d}" for k in range(given["prices"].shape[1])]
    prices = pd.DataFrame(given["prices"], dates, names)
    scale = {"weights": 1.0, "shares": CAPITAL}[kind]
    orders = pd.DataFrame(given[kind] * scale, dates[:-1], names)
    run = {"bt": with_bt, "vectorbt": with_vectorbt}[peer]
    wealth, seconds = run(prices, orders, kind, float(given["cost"]))
    np.savez(target, wealth=wealth[:-1], seconds=seconds)


if __name__ == "__main__":
    main()
