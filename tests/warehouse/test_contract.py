"""Every column that the rooms write has its place in the warehouse."""

import pytest

from finembed_core.backtest.run import RUN_TABLES
from finembed_core.embeddings.description import CHECK_SCHEMA, INFORMATION_SCHEMA
from finembed_core.embeddings.evaluation.tables import EVALUATIONS, PORTFOLIOS
from finembed_core.embeddings.tables import CURVES, EXCLUDED, PREDICTED, embedding_schema
from finembed_core.ingest import quality, universe, verdicts
from finembed_core.learning.stage import CURVE_SCHEMA, PREDICTION_SCHEMA
from finembed_core.polymodel.features import FEATURES_SCHEMA, SELECTED_COLUMNS
from finembed_core.sources.tables import FUNDS, SERIES
from finembed_core.warehouse.schema import SIZE, warehouse_schema
from finembed_core.warehouse.sources import DERIVED, fits

WRITTEN = {
    **RUN_TABLES,
    "daily_funds": FUNDS,
    "data_quality": quality.SCHEMA,
    "embedding_checks": CHECK_SCHEMA,
    "embedding_curves": CURVES,
    "embedding_evaluations": EVALUATIONS,
    "embedding_exclusions": EXCLUDED,
    "embedding_information": INFORMATION_SCHEMA,
    "embedding_portfolios": PORTFOLIOS,
    "embeddings": embedding_schema(SIZE),
    "fund_predictions": PREDICTED,
    "funds": FUNDS,
    "learning_curves": CURVE_SCHEMA,
    "polymodel_features": FEATURES_SCHEMA,
    "predictions": PREDICTION_SCHEMA,
    "quarantine": verdicts.QUARANTINE,
    "series": SERIES,
    "universe": universe.SCHEMA,
}


@pytest.mark.parametrize("table", WRITTEN)
def test_columns_and_types_agree(table):
    columns = {column.name: column.type for column in warehouse_schema()[table].columns}
    given = {name: columns[name] for name in columns if name not in DERIVED.get(table, {})}
    given.pop("run_id", None)
    assert list(given) == list(WRITTEN[table])
    for name, kind in given.items():
        found = WRITTEN[table][name]
        assert fits(found() if isinstance(found, type) else found, kind), name


def test_selected_pairs_agree():
    assert [c.name for c in warehouse_schema()["polymodel_selected"].columns] == SELECTED_COLUMNS
