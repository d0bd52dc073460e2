"""From input tables to the store: contracts, quality gates, months, who may be bought."""
