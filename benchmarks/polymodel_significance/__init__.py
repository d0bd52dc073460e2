"""Are PolyModel's p-values right? Real panels, planted exposures, simulated independence."""
