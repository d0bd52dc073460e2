"""What the embeddings look like, what they hold, and whether they know what funds are."""

from __future__ import annotations

import duckdb
import polars as pl

from finembed_core.report.charts import FALL, RISE, forest
from finembed_core.report.figures import COLORS, GRAY
from finembed_core.report.maps import MOST_CATEGORIES
from finembed_core.report.maps import fund_map as drawn_map
from finembed_core.report.run import MODELS, MODES, Run, model_name
from finembed_core.report.section import Chart, Column, Section, Table, absent, rows_in
from finembed_core.warehouse.query import answer

QUANTITIES = {
    "entropy_input": "Entropy of the inputs",
    "entropy_embedding": "Entropy of the embeddings",
    "mutual_information": "What the two have in common",
}
ESTIMATORS = {
    "mine": "MINE",
    "infonce": "InfoNCE",
    "smile": "SMILE",
    "ksg": "KSG",
    "kozachenko_leonenko": "Kozachenko-Leonenko",
    "gaussian": "Gaussian",
}
CHECKS = {
    "category_retrieval": "Funds of the category come first",
    "category_precision_10": "Share of the ten nearest in the category",
    "linear_probe_volatility": "Volatility read off, R²",
    "linear_probe_beta": "Beta read off, R²",
    "linear_probe_category": "Category read off, accuracy",
}


def fund_map(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Two principal components of the latest embeddings."""
    title = "Map of funds"
    reason = rows_in(connection, "embedding_map")
    if reason:
        return absent(title, reason)
    chart = drawn_map(connection)
    first = chart.frame.row(0, named=True)
    explained = first["explained_x"] + first["explained_y"]
    facts = [
        f"{chart.frame.height} funds on {first['date']}, "
        f"{model_name(first['encoder'], first['mode'])}, {first['n_seeds']} seeds.",
        f"The two axes explain {explained:.0%} of how funds differ: the other "
        f"{1 - explained:.0%} is not on this map.",
    ]
    few = chart.frame["category"].n_unique() <= MOST_CATEGORIES
    lead = (
        "Each point is a fund; near ones are alike to the model by cosine similarity, averaged "
        "over its seeds. Distrust small distances, which may be large in what is not drawn"
        f"{'' if few else ', and the gray points, which are of the categories with fewest funds'}; "
        "the command similar measures all of it."
    )
    return Section(title, lead, (chart,), facts)


def embedding_information(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Entropies and mutual information by encoder, mode and estimator."""
    title = "Information in the embeddings"
    reason = rows_in(connection, "embedding_information")
    if reason:
        return absent(title, reason)
    sql = """\
SELECT quantity, estimator, encoder, mode, avg(value) AS value, min(value) AS lowest,
    max(value) AS highest, avg(value) - min(value) AS below, max(value) - avg(value) AS above,
    count(value) AS seeds, min(n) AS n, max(dimension) AS dimension, any_value(noise) AS noise,
    any_value(unit) AS unit, arg_min(note, seed) AS note
FROM embedding_information GROUP BY quantity, estimator, encoder, mode
ORDER BY quantity, encoder, mode, estimator"""
    frame = answer(connection, sql)
    pictures = []
    for quantity, heading in QUANTITIES.items():
        for estimator, name in ESTIMATORS.items():
            own = frame.filter(quantity=quantity, estimator=estimator).drop_nulls("value")
            if own.height:
                labels = [model_name(*row) for row in own.select("encoder", "mode").iter_rows()]
                color = COLORS[list(ESTIMATORS).index(estimator)]
                bars = {name: ("value", "below", "above", color)}
                picture = forest(own, labels, bars).update_xaxes(title={"text": "nats"})
                pictures.append((f"{heading}, {name}", picture))
    columns = {
        "quantity": Column("quantity", names=QUANTITIES),
        "estimator": Column("estimator", names=ESTIMATORS),
        "encoder": Column("encoder", names=MODELS),
        "mode": Column("training", names=MODES),
        "value": Column("value", ".2f"),
        "lowest": Column("lowest seed", ".2f"),
        "highest": Column("highest seed", ".2f"),
        "seeds": Column("seeds"),
        "unit": Column("unit"),
        "n": Column("rows"),
        "dimension": Column("dimensions"),
        "noise": Column("noise", ".2g"),
        "note": Column("note"),
    }
    lead = (
        "How much embeddings hold, and how much of it is about the funds' own returns, in nats; "
        "bars are the range of the seeds, no interval. Distrust sizes: an entropy depends on the "
        "scaling that its note states, the information of a deterministic encoder on the noise "
        "that is added; compare models within one estimator only."
    )
    table = Table("The same as numbers", sql, frame, columns)
    chart = Chart("By encoder and training, range of the seeds", sql, frame, tuple(pictures))
    return Section(title, lead, (chart, table) if pictures else (table,))


def embedding_checks(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Category retrieval and linear probes against principal components and chance."""
    title = "Do embeddings know what funds are?"
    reason = rows_in(connection, "embedding_checks")
    if reason:
        return absent(title, reason)
    sql = """\
SELECT "check", encoder, mode, avg(value) AS value, avg(value) - min(value) AS below,
    max(value) - avg(value) AS above, avg(baseline) AS baseline, avg(chance) AS chance,
    CASE WHEN min(value - baseline) > 0 THEN 'better, every seed'
        WHEN max(value - baseline) < 0 THEN 'worse, every seed' ELSE 'not told apart'
    END AS against_components,
    count(*) AS seeds, max(date) AS date, max(n) AS funds
FROM embedding_checks WHERE value IS NOT NULL
GROUP BY "check", encoder, mode ORDER BY "check", encoder, mode"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return absent(title, "too few funds for any check")
    pictures = []
    for (check,), own in frame.group_by("check", maintain_order=True):
        labels = [model_name(*row) for row in own.select("encoder", "mode").iter_rows()]
        points = {
            "chance": ("chance", "", "", GRAY),
            "principal components of the same windows": ("baseline", "", "", FALL),
            "embeddings, range of the seeds": ("value", "below", "above", RISE),
        }
        picture = forest(own, labels, points, zero=False)
        pictures.append((CHECKS.get(str(check), str(check)), picture))
    columns = {
        "check": Column("check", names=CHECKS),
        "encoder": Column("encoder", names=MODELS),
        "mode": Column("training", names=MODES),
        "value": Column("embeddings", ".3f"),
        "baseline": Column("principal components", ".3f"),
        "chance": Column("chance", ".3f"),
        "against_components": Column("against components"),
        "seeds": Column("seeds"),
        "funds": Column("funds"),
    }
    better = frame["against_components"].str.starts_with("better").sum()
    worse = frame["against_components"].str.starts_with("worse").sum()
    day, funds = frame.select(pl.max("date", "funds")).row(0)
    facts = [
        f"One date, {day}, {funds} funds.",
        f"Better than principal components of the same windows in {better} of {frame.height} "
        f"cases, worse in {worse}, over all seeds alike.",
    ]
    lead = (
        "Whether funds of one category lie together, and whether a straight line reads volatility "
        "and beta off the embedding; distrust a good score where principal components, which learn "
        "nothing, have it too. The range is that of the seeds, no interval."
    )
    chart = Chart("By encoder and training", sql, frame, tuple(pictures))
    return Section(title, lead, (chart, Table("The same as numbers", sql, frame, columns)), facts)
