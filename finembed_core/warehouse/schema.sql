-- The warehouse: facts of the part store and of every run, rebuilt whole by publish.py.
--
-- Loading is by column name: a table here is filled from the store's table of the same name (the
-- exceptions stand in publish.py). Its key is also the order of its rows. Dates are month ends
-- unless a comment says otherwise; returns, weights, costs and drawdowns are decimal fractions.

-- What stands in the store ---------------------------------------------------------------------

CREATE TABLE publication (
    content VARCHAR NOT NULL PRIMARY KEY,
    latest_run VARCHAR,
    decision_lag_days INTEGER NOT NULL CHECK (decision_lag_days >= 0),
    pairs_folder VARCHAR
);
COMMENT ON TABLE publication IS 'One row: what this file was made from.';
COMMENT ON COLUMN publication.content IS 'hash of all published parts, the schema and the settings in force';
COMMENT ON COLUMN publication.latest_run IS 'the run that the views latest_run, leaderboard and latest_rebalance show';
COMMENT ON COLUMN publication.decision_lag_days IS 'days from a month''s end to its decision day';
COMMENT ON COLUMN publication.pairs_folder IS 'folder of the files that the view polymodel_pairs reads; NULL where the settings keep no pair statistics';

CREATE TABLE parts (
    "table" VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    inputs VARCHAR NOT NULL,
    settings VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    notes VARCHAR NOT NULL,
    left_out VARCHAR NOT NULL,
    PRIMARY KEY ("table", key)
);
COMMENT ON TABLE parts IS 'Committed parts of the store: what is done.';
COMMENT ON COLUMN parts."table" IS 'store table';
COMMENT ON COLUMN parts.key IS 'YYYY-MM (knowledge or retraining month), run_id, or all';
COMMENT ON COLUMN parts.rows IS 'rows of the part';
COMMENT ON COLUMN parts.inputs IS 'hash of the information that went in';
COMMENT ON COLUMN parts.settings IS 'fingerprint of the settings';
COMMENT ON COLUMN parts.code IS 'fingerprint of the source code';
COMMENT ON COLUMN parts.content IS 'hash of the bytes';
COMMENT ON COLUMN parts.notes IS 'JSON: plain values about the part';
COMMENT ON COLUMN parts.left_out IS 'why the part is not in this warehouse ('''' when it is)';

-- Inputs ---------------------------------------------------------------------------------------

CREATE TABLE funds (
    fund_id VARCHAR PRIMARY KEY,
    name VARCHAR,
    category VARCHAR,
    domicile VARCHAR,
    currency VARCHAR,
    inception DATE,
    death_date DATE,
    death_reason VARCHAR,
    notice_days BIGINT CHECK (notice_days >= 0),
    lockup_months BIGINT CHECK (lockup_months >= 0),
    redemption_frequency VARCHAR,
    gate DOUBLE CHECK (gate BETWEEN 0 AND 1),
    management_fee DOUBLE,
    performance_fee DOUBLE,
    open_to_new_money BOOLEAN,
    closed_date DATE,
    description VARCHAR
);
COMMENT ON TABLE funds IS 'Funds and their terms.';
COMMENT ON COLUMN funds.inception IS 'day';
COMMENT ON COLUMN funds.death_date IS 'day; visible from then on only';
COMMENT ON COLUMN funds.death_reason IS 'liquidated, matured, merged, stopped_reporting or unknown';
COMMENT ON COLUMN funds.notice_days IS 'days of notice before a redemption';
COMMENT ON COLUMN funds.lockup_months IS 'months';
COMMENT ON COLUMN funds.gate IS 'share redeemable per dealing date';
COMMENT ON COLUMN funds.management_fee IS 'decimal per year';
COMMENT ON COLUMN funds.performance_fee IS 'share of profits, decimal';
COMMENT ON COLUMN funds.closed_date IS 'day from which the fund takes no new money';

CREATE TABLE fund_observations (
    known DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    date DATE NOT NULL CHECK (date = last_day(date)),
    ret DOUBLE CHECK (ret >= -1),
    aum DOUBLE CHECK (aum >= 0),
    available_at DATE,
    assumed BOOLEAN,
    source VARCHAR,
    PRIMARY KEY (known, fund_id, date)
);
COMMENT ON TABLE fund_observations IS 'Monthly fund returns with the month from which each is known; a later row of the same fund and date replaces the earlier one.';
COMMENT ON COLUMN fund_observations.known IS 'first month whose decision could use the row (all history before the study: the month before it)';
COMMENT ON COLUMN fund_observations.date IS 'month of the return';
COMMENT ON COLUMN fund_observations.ret IS 'simple total return, decimal per month; NULL withdraws an earlier value';
COMMENT ON COLUMN fund_observations.aum IS 'assets, fund currency';
COMMENT ON COLUMN fund_observations.available_at IS 'first day on which a person could have used it';
COMMENT ON COLUMN fund_observations.assumed IS 'available_at was filled from the publication lag';

CREATE TABLE series (
    series_id VARCHAR PRIMARY KEY,
    name VARCHAR,
    roles VARCHAR[],
    kind VARCHAR,
    transform VARCHAR,
    frequency VARCHAR,
    aliases VARCHAR[]
);
COMMENT ON TABLE series IS 'Market and macro series and what they are used for.';
COMMENT ON COLUMN series.roles IS 'risk_factor, macro, benchmark, risk_free';
COMMENT ON COLUMN series.kind IS 'return, level, yield or index';
COMMENT ON COLUMN series.transform IS 'none, diff, log_diff, pct_change, ... or a FRED-MD code';

CREATE TABLE series_observations (
    known DATE NOT NULL,
    series_id VARCHAR NOT NULL,
    date DATE NOT NULL CHECK (date = last_day(date)),
    vintage DATE,
    value DOUBLE,
    available_at DATE,
    assumed BOOLEAN,
    UNIQUE (known, series_id, date, vintage)
);
COMMENT ON TABLE series_observations IS 'Monthly series with the month from which each value is known.';
COMMENT ON COLUMN series_observations.known IS 'first month whose decision could use the row';
COMMENT ON COLUMN series_observations.vintage IS 'publication of a revised series, a day';
COMMENT ON COLUMN series_observations.value IS 'as published: yields in percent per year, returns decimal, levels in their own unit';
COMMENT ON COLUMN series_observations.available_at IS 'first day on which a person could have used it';
COMMENT ON COLUMN series_observations.assumed IS 'available_at was filled from the publication lag';

CREATE TABLE quarantine (
    "table" VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    date DATE,
    "column" VARCHAR,
    rule VARCHAR NOT NULL,
    value DOUBLE,
    reason VARCHAR,
    known_at DATE
);
COMMENT ON TABLE quarantine IS 'Input rows kept aside by a quality gate.';
COMMENT ON COLUMN quarantine.value IS 'the offending number, in the unit of its column';
COMMENT ON COLUMN quarantine.known_at IS 'day on which the fault could be seen';

CREATE TABLE data_quality (
    "table" VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    rows BIGINT NOT NULL,
    ids BIGINT,
    PRIMARY KEY ("table", rule, kind)
);
COMMENT ON TABLE data_quality IS 'Counts per quality rule.';
COMMENT ON COLUMN data_quality.kind IS 'quarantine, reason, assumed or info';
COMMENT ON COLUMN data_quality.ids IS 'funds or series concerned';

-- By month -------------------------------------------------------------------------------------

CREATE TABLE universe (
    month DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    eligible BOOLEAN NOT NULL,
    reason VARCHAR NOT NULL CHECK (eligible = (reason = '')),
    n_history BIGINT,
    last_aum DOUBLE,
    PRIMARY KEY (month, fund_id)
);
COMMENT ON TABLE universe IS 'Who may be bought, decided with the knowledge of the month.';
COMMENT ON COLUMN universe.reason IS 'why not ('''' when eligible)';
COMMENT ON COLUMN universe.n_history IS 'observed months so far';
COMMENT ON COLUMN universe.last_aum IS 'latest known assets, fund currency';

CREATE TABLE macro_factors (
    as_of DATE NOT NULL,
    date DATE NOT NULL CHECK (date <= as_of),
    factor VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    PRIMARY KEY (as_of, date, factor)
);
COMMENT ON TABLE macro_factors IS 'Macro factor history (principal components) as known in each month.';
COMMENT ON COLUMN macro_factors.as_of IS 'month of knowledge: one fit';
COMMENT ON COLUMN macro_factors.value IS 'component score of standardized series';

CREATE TABLE macro_loadings (
    as_of DATE NOT NULL,
    factor VARCHAR NOT NULL,
    series_id VARCHAR NOT NULL,
    loading DOUBLE NOT NULL,
    PRIMARY KEY (as_of, factor, series_id)
);
COMMENT ON TABLE macro_loadings IS 'What each macro factor is made of.';
COMMENT ON COLUMN macro_loadings.loading IS 'weight of the standardized series';

CREATE TABLE macro_explained (
    as_of DATE NOT NULL,
    factor VARCHAR NOT NULL,
    explained DOUBLE CHECK (explained BETWEEN 0 AND 1 + 1e-9),
    n_series BIGINT,
    n_months BIGINT,
    PRIMARY KEY (as_of, factor)
);
COMMENT ON TABLE macro_explained IS 'Variance of the macro panel that each factor explains.';
COMMENT ON COLUMN macro_explained.explained IS 'share of variance';

CREATE TABLE macro_excluded (
    as_of DATE NOT NULL,
    series_id VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (as_of, series_id, reason)
);
COMMENT ON TABLE macro_excluded IS 'Series that stayed out of a month''s macro factors, and why.';

CREATE TABLE polymodel_features (
    month DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    sharpe DOUBLE,
    sharpe_annual DOUBLE,
    mrar DOUBLE,
    svar DOUBLE CHECK (svar BETWEEN 0 AND 1),
    svar_clamped DOUBLE CHECK (svar_clamped BETWEEN 0 AND 1),
    svar_factor VARCHAR,
    extrapolated BOOLEAN,
    lta DOUBLE,
    ltr DOUBLE,
    lts DOUBLE,
    best_score DOUBLE CHECK (best_score >= 0),
    n_selected BIGINT,
    n_factors BIGINT,
    n_obs BIGINT,
    expected_false DOUBLE,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (month, fund_id)
);
COMMENT ON TABLE polymodel_features IS 'PolyModel features on the window that ends with the month.';
COMMENT ON COLUMN polymodel_features.sharpe IS 'monthly Sharpe ratio';
COMMENT ON COLUMN polymodel_features.sharpe_annual IS 'Sharpe ratio per year';
COMMENT ON COLUMN polymodel_features.mrar IS 'Morningstar risk-adjusted return, decimal per year';
COMMENT ON COLUMN polymodel_features.svar IS 'StressVaR, decimal loss per month';
COMMENT ON COLUMN polymodel_features.svar_clamped IS 'StressVaR with factors kept inside the window''s range';
COMMENT ON COLUMN polymodel_features.svar_factor IS 'the factor that stresses the fund most';
COMMENT ON COLUMN polymodel_features.extrapolated IS 'StressVaR evaluates a fit outside the window''s range';
COMMENT ON COLUMN polymodel_features.lta IS 'long-term alpha, decimal per month';
COMMENT ON COLUMN polymodel_features.ltr IS 'long-term ratio lta / svar';
COMMENT ON COLUMN polymodel_features.lts IS 'long-term stability lta - kappa svar';
COMMENT ON COLUMN polymodel_features.best_score IS 'largest P-value score -ln p, nats';
COMMENT ON COLUMN polymodel_features.n_selected IS 'selected factors';
COMMENT ON COLUMN polymodel_features.n_factors IS 'factors tried';
COMMENT ON COLUMN polymodel_features.n_obs IS 'observed months in the window';
COMMENT ON COLUMN polymodel_features.expected_false IS 'selections expected by luck alone';
COMMENT ON COLUMN polymodel_features.reason IS 'why something is missing ('''' when complete)';

CREATE TABLE polymodel_selected (
    month DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    factor_id VARCHAR NOT NULL,
    r2 DOUBLE,
    p_value DOUBLE CHECK (p_value > 0 AND p_value <= 1),
    score DOUBLE,
    y_max DOUBLE,
    svar DOUBLE,
    lta DOUBLE,
    PRIMARY KEY (month, fund_id, factor_id)
);
COMMENT ON TABLE polymodel_selected IS 'Selected (fund, factor) pairs of each month.';
COMMENT ON COLUMN polymodel_selected.r2 IS 'share of variance explained by the fit';
COMMENT ON COLUMN polymodel_selected.p_value IS 'target-shuffling p-value';
COMMENT ON COLUMN polymodel_selected.score IS '-ln p, nats';
COMMENT ON COLUMN polymodel_selected.y_max IS 'largest predicted loss, decimal per month';
COMMENT ON COLUMN polymodel_selected.svar IS 'StressVaR of the pair, decimal per month';
COMMENT ON COLUMN polymodel_selected.lta IS 'long-term alpha of the pair, decimal per month';

CREATE TABLE polymodel_excluded (
    month DATE NOT NULL,
    factor_id VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (month, factor_id)
);
COMMENT ON TABLE polymodel_excluded IS 'Risk factors that could not be tried in a month, and why.';
COMMENT ON COLUMN polymodel_excluded.reason IS 'not_reported, too_few_months, short_history or constant';

CREATE TABLE learning_curves (
    model VARCHAR NOT NULL,
    retraining DATE NOT NULL,
    seed BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    split VARCHAR NOT NULL,
    loss DOUBLE,
    balanced_accuracy DOUBLE,
    PRIMARY KEY (model, retraining, seed, epoch, split)
);
COMMENT ON TABLE learning_curves IS 'Loss by epoch of each retraining (store tables trend_model_*).';
COMMENT ON COLUMN learning_curves.retraining IS 'first month decided with the model';
COMMENT ON COLUMN learning_curves.split IS 'train or valid';
COMMENT ON COLUMN learning_curves.loss IS 'cross-entropy, nats';
COMMENT ON COLUMN learning_curves.balanced_accuracy IS 'mean recall over the classes, share';

CREATE TABLE predictions (
    month DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    p_down DOUBLE NOT NULL CHECK (p_down >= 0),
    p_unchanged DOUBLE NOT NULL CHECK (p_unchanged >= 0),
    p_up DOUBLE NOT NULL CHECK (p_up >= 0),
    label_month DATE NOT NULL CHECK (label_month > month),
    band DOUBLE,
    retraining DATE CHECK (last_day(retraining) <= month),
    PRIMARY KEY (month, fund_id, model),
    CHECK (abs(p_down + p_unchanged + p_up - 1) <= 1e-5)
);
COMMENT ON TABLE predictions IS 'Out-of-sample probabilities, made with the knowledge of the month.';
COMMENT ON COLUMN predictions.p_down IS 'probability of a return below -band';
COMMENT ON COLUMN predictions.p_unchanged IS 'probability of a return within the band';
COMMENT ON COLUMN predictions.p_up IS 'probability of a return above band';
COMMENT ON COLUMN predictions.label_month IS 'month whose return is predicted';
COMMENT ON COLUMN predictions.band IS 'returns within +-band count as unchanged, decimal per month';
COMMENT ON COLUMN predictions.retraining IS 'retraining month of the model in force';

-- By run ---------------------------------------------------------------------------------------

CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY,
    created_at TIMESTAMP NOT NULL,
    code_version VARCHAR,
    config VARCHAR,
    config_hash VARCHAR,
    data_hash VARCHAR,
    seed BIGINT,
    dataset VARCHAR,
    simulated BOOLEAN,
    first_month DATE,
    last_month DATE,
    decision_lag_days BIGINT CHECK (decision_lag_days >= 0),
    status VARCHAR,
    warnings VARCHAR
);
COMMENT ON TABLE runs IS 'Every backtest ever made, the losing ones too: the number of trials.';
COMMENT ON COLUMN runs.run_id IS 'hash of settings, data and code';
COMMENT ON COLUMN runs.created_at IS 'UTC file time of the run''s manifest; in no hash';
COMMENT ON COLUMN runs.config IS 'JSON settings tree';
COMMENT ON COLUMN runs.decision_lag_days IS 'days from a month''s end to its decision day';
COMMENT ON COLUMN runs.simulated IS 'the data are simulated';
COMMENT ON COLUMN runs.warnings IS 'JSON list';

CREATE TABLE strategies (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    rule VARCHAR,
    model VARCHAR,
    status VARCHAR NOT NULL CHECK (status IN ('run', 'absent')),
    reason VARCHAR,
    PRIMARY KEY (run_id, strategy)
);
COMMENT ON TABLE strategies IS 'Strategies of a run; the absent ones say why.';
COMMENT ON COLUMN strategies.model IS 'model whose P(up) selects (NULL for benchmarks)';

CREATE TABLE target_weights (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    decision DATE NOT NULL,
    as_of DATE NOT NULL CHECK (as_of >= decision),
    fund_id VARCHAR NOT NULL,
    weight DOUBLE NOT NULL,
    PRIMARY KEY (run_id, strategy, decision, fund_id)
);
COMMENT ON TABLE target_weights IS 'What each decision wants to hold.';
COMMENT ON COLUMN target_weights.decision IS 'month decided';
COMMENT ON COLUMN target_weights.as_of IS 'decision day: everything used was available by then';
COMMENT ON COLUMN target_weights.weight IS 'share of NAV; the rest is cash';

CREATE TABLE holdings (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    date DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    weight DOUBLE NOT NULL,
    PRIMARY KEY (run_id, strategy, date, fund_id)
);
COMMENT ON TABLE holdings IS 'What is held after dealing; cash is not a row.';
COMMENT ON COLUMN holdings.value IS 'in the unit of the initial NAV';
COMMENT ON COLUMN holdings.weight IS 'share of NAV';

CREATE TABLE trades (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    decision DATE NOT NULL,
    dealing DATE NOT NULL CHECK (dealing >= decision),
    settle DATE CHECK (settle >= dealing),
    fund_id VARCHAR NOT NULL,
    side VARCHAR NOT NULL CHECK (side IN ('buy', 'sell')),
    amount DOUBLE,
    weight DOUBLE,
    cost DOUBLE CHECK (cost >= 0),
    reason VARCHAR NOT NULL,
    blocked_by VARCHAR,
    status VARCHAR NOT NULL CHECK (status IN ('executed', 'pending', 'waiting')),
    PRIMARY KEY (run_id, strategy, decision, fund_id, side, reason, status, dealing)
);
COMMENT ON TABLE trades IS 'Orders and what became of them.';
COMMENT ON COLUMN trades.decision IS 'month decided';
COMMENT ON COLUMN trades.dealing IS 'day on which the fund deals, or is due to while the order is pending';
COMMENT ON COLUMN trades.settle IS 'day on which money moves';
COMMENT ON COLUMN trades.amount IS 'in the unit of the initial NAV; NULL while pending';
COMMENT ON COLUMN trades.weight IS 'share of NAV';
COMMENT ON COLUMN trades.cost IS 'in the unit of the initial NAV';
COMMENT ON COLUMN trades.reason IS 'enter, increase, reduce, exit, dead with the reason of death, or ruin';
COMMENT ON COLUMN trades.status IS 'executed; pending: not dealt when its row was written; waiting: of an earlier decision and still not dealt when the newest is taken';
COMMENT ON COLUMN trades.blocked_by IS 'what holds the order up: notice, frequency, lockup, gate or no_nav';

CREATE TABLE returns (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    date DATE NOT NULL,
    gross DOUBLE NOT NULL,
    cost DOUBLE NOT NULL CHECK (cost >= 0),
    net DOUBLE NOT NULL,
    rf DOUBLE,
    benchmark DOUBLE,
    nav DOUBLE NOT NULL CHECK (nav >= 0),
    cash DOUBLE NOT NULL,
    receivables DOUBLE NOT NULL,
    turnover DOUBLE,
    n_funds BIGINT,
    PRIMARY KEY (run_id, strategy, date),
    CHECK (abs(net - (gross - cost)) <= 1e-9)
);
COMMENT ON TABLE returns IS 'Monthly returns of each strategy.';
COMMENT ON COLUMN returns.gross IS 'before costs, decimal per month';
COMMENT ON COLUMN returns.cost IS 'dealing costs as a share of NAV';
COMMENT ON COLUMN returns.net IS 'gross - cost';
COMMENT ON COLUMN returns.rf IS 'risk-free return, decimal per month';
COMMENT ON COLUMN returns.benchmark IS 'return of the benchmark series, decimal per month';
COMMENT ON COLUMN returns.nav IS 'after the month, in the unit of the initial NAV';
COMMENT ON COLUMN returns.cash IS 'share of NAV after dealing';
COMMENT ON COLUMN returns.receivables IS 'share of NAV owed by funds, less what is payable';
COMMENT ON COLUMN returns.turnover IS 'half of what was bought and sold, as a share of NAV';
COMMENT ON COLUMN returns.n_funds IS 'funds held';

CREATE TABLE metrics (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT,
    convention VARCHAR,
    PRIMARY KEY (run_id, strategy, metric),
    CHECK (ci_low <= ci_high)
);
COMMENT ON TABLE metrics IS 'Scalar statistics of net returns.';
COMMENT ON COLUMN metrics.value IS 'unit and formula in convention';
COMMENT ON COLUMN metrics.ci_low IS 'lower end of the bootstrap interval, NULL without';
COMMENT ON COLUMN metrics.ci_high IS 'its upper end';
COMMENT ON COLUMN metrics.convention IS 'formula';
COMMENT ON COLUMN metrics.n IS 'months';

CREATE TABLE drawdowns (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    rank BIGINT NOT NULL,
    peak DATE,
    trough DATE,
    recovery DATE,
    depth DOUBLE,
    months_down BIGINT,
    months_recovering BIGINT,
    PRIMARY KEY (run_id, strategy, rank),
    CHECK (peak <= trough AND (recovery IS NULL OR recovery >= trough))
);
COMMENT ON TABLE drawdowns IS 'Worst falls from a peak of net wealth.';
COMMENT ON COLUMN drawdowns.rank IS '1 is the deepest';
COMMENT ON COLUMN drawdowns.depth IS 'decimal, negative';
COMMENT ON COLUMN drawdowns.recovery IS 'NULL while under water';

CREATE TABLE solver_log (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    decision DATE NOT NULL,
    solver VARCHAR,
    status VARCHAR NOT NULL,
    iterations BIGINT CHECK (iterations >= 0),
    kkt_residual DOUBLE CHECK (kkt_residual >= 0),
    budget_error DOUBLE CHECK (budget_error BETWEEN 0 AND 1e-9),
    excess DOUBLE CHECK (excess >= 0),
    note VARCHAR NOT NULL,
    PRIMARY KEY (run_id, strategy, decision),
    CHECK ((solver IS NULL) = (status = 'failed'))
);
COMMENT ON TABLE solver_log IS 'Every optimization behind a decision.';
COMMENT ON COLUMN solver_log.decision IS 'month decided';
COMMENT ON COLUMN solver_log.solver IS 'NULL where none vouched for a result: the last weights were kept';
COMMENT ON COLUMN solver_log.status IS 'the solver''s own word, or failed';
COMMENT ON COLUMN solver_log.kkt_residual IS 'how far the optimality conditions are missed';
COMMENT ON COLUMN solver_log.budget_error IS '|sum of weights - 1|';
COMMENT ON COLUMN solver_log.excess IS 'certified bound on the excess variance, as a share of the variance';
COMMENT ON COLUMN solver_log.note IS 'why it failed ('''' where it did not)';

CREATE TABLE differences (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    against VARCHAR NOT NULL CHECK (against <> strategy),
    metric VARCHAR NOT NULL,
    value DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT NOT NULL CHECK (n >= 0),
    PRIMARY KEY (run_id, strategy, against, metric),
    CHECK (ci_low <= ci_high)
);
COMMENT ON TABLE differences IS 'What each strategy has over equal weight and over the main benchmark, month by month paired.';
COMMENT ON COLUMN differences.against IS 'strategy compared with';
COMMENT ON COLUMN differences.value IS 'metric of strategy less that of against; unit and formula in metrics.convention';
COMMENT ON COLUMN differences.ci_low IS 'lower end of the 95% bootstrap interval, NULL without';
COMMENT ON COLUMN differences.ci_high IS 'its upper end';
COMMENT ON COLUMN differences.n IS 'months';

CREATE TABLE significance (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    test VARCHAR NOT NULL,
    statistic DOUBLE,
    p_value DOUBLE CHECK (p_value >= 0 AND p_value <= 1),
    n BIGINT NOT NULL CHECK (n >= 0),
    n_trials BIGINT NOT NULL CHECK (n_trials >= 1),
    note VARCHAR NOT NULL,
    PRIMARY KEY (run_id, strategy, test)
);
COMMENT ON TABLE significance IS 'Is the best more than the luckiest? Tests over all strategies of a run; deflated_sharpe counts the trials of all runs and is computed at publication.';
COMMENT ON COLUMN significance.strategy IS 'empty where the test is about the whole run';
COMMENT ON COLUMN significance.test IS 'spa, spa_lower, spa_upper, stepm, pbo or deflated_sharpe';
COMMENT ON COLUMN significance.statistic IS 'spa: the largest one of stepm; stepm: mean active return over its error; pbo: share of splits; deflated_sharpe: probability that the true Sharpe ratio is above the best of all trials without skill';
COMMENT ON COLUMN significance.p_value IS 'stepm: adjusted for all strategies; deflated_sharpe: 1 - statistic; NULL for pbo, and where note says why';
COMMENT ON COLUMN significance.n IS 'months';
COMMENT ON COLUMN significance.n_trials IS 'strategies of the run, for deflated_sharpe of all runs in the warehouse; holdings of a benchmark series are none';
COMMENT ON COLUMN significance.note IS 'against what and how; or absent: and why';

CREATE TABLE exposures (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    factor VARCHAR NOT NULL,
    beta DOUBLE,
    std_error DOUBLE CHECK (std_error >= 0),
    t DOUBLE,
    contribution DOUBLE,
    risk_share DOUBLE,
    n BIGINT NOT NULL CHECK (n >= 0),
    note VARCHAR NOT NULL,
    PRIMARY KEY (run_id, strategy, factor)
);
COMMENT ON TABLE exposures IS 'Excess returns of each strategy regressed on several factors at once, after the fact.';
COMMENT ON COLUMN exposures.factor IS 'series_id or macro factor; :alpha is what none explains, :benchmark the main benchmark';
COMMENT ON COLUMN exposures.beta IS 'return per unit of the factor; alpha per year';
COMMENT ON COLUMN exposures.std_error IS 'Newey-West error of beta';
COMMENT ON COLUMN exposures.t IS 'beta / std_error';
COMMENT ON COLUMN exposures.contribution IS 'decimal per year; sums to the mean excess return';
COMMENT ON COLUMN exposures.risk_share IS 'share of the variance; sums to 1';
COMMENT ON COLUMN exposures.n IS 'months';
COMMENT ON COLUMN exposures.note IS 'why a factor is left out or hard to read; at :alpha which factors these are';

CREATE TABLE contributions (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    fund_id VARCHAR NOT NULL,
    contribution DOUBLE NOT NULL,
    average_weight DOUBLE,
    months_held BIGINT CHECK (months_held >= 0),
    PRIMARY KEY (run_id, strategy, fund_id)
);
COMMENT ON TABLE contributions IS 'What each fund, cash, costs and dead funds added to the compounded return of each strategy.';
COMMENT ON COLUMN contributions.fund_id IS 'fund, or :cash, :receivables, :costs, :write_offs';
COMMENT ON COLUMN contributions.contribution IS 'decimal, linked after Carino; sums to the cumulative return';
COMMENT ON COLUMN contributions.average_weight IS 'share of NAV, mean over all months; NULL for costs and write-offs';

CREATE TABLE calendar_returns (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    year BIGINT NOT NULL,
    "jan" DOUBLE,
    "feb" DOUBLE,
    "mar" DOUBLE,
    "apr" DOUBLE,
    "may" DOUBLE,
    "jun" DOUBLE,
    "jul" DOUBLE,
    "aug" DOUBLE,
    "sep" DOUBLE,
    "oct" DOUBLE,
    "nov" DOUBLE,
    "dec" DOUBLE,
    total DOUBLE NOT NULL,
    months BIGINT NOT NULL CHECK (months BETWEEN 1 AND 12),
    partial BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, strategy, year),
    CHECK (partial = (months < 12))
);
COMMENT ON TABLE calendar_returns IS 'Net returns of each strategy by calendar month and year.';
COMMENT ON COLUMN calendar_returns."jan" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."feb" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."mar" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."apr" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."may" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."jun" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."jul" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."aug" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."sep" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."oct" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."nov" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns."dec" IS 'decimal, NULL where there is no return';
COMMENT ON COLUMN calendar_returns.total IS 'compounded over the months that there are, decimal';
COMMENT ON COLUMN calendar_returns.months IS 'months with a return';
COMMENT ON COLUMN calendar_returns.partial IS 'not all twelve';

CREATE TABLE rolling (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    date DATE NOT NULL,
    "window" BIGINT NOT NULL CHECK ("window" >= 2),
    annual_return DOUBLE,
    volatility DOUBLE CHECK (volatility >= 0),
    sharpe DOUBLE,
    beta DOUBLE,
    max_drawdown DOUBLE CHECK (max_drawdown <= 0),
    PRIMARY KEY (run_id, strategy, date)
);
COMMENT ON TABLE rolling IS 'Statistics of net returns over rolling windows, dated at their end.';
COMMENT ON COLUMN rolling."window" IS 'months';
COMMENT ON COLUMN rolling.annual_return IS 'decimal per year, compounded';
COMMENT ON COLUMN rolling.volatility IS 'decimal per year';
COMMENT ON COLUMN rolling.sharpe IS 'per year, over the risk-free return';
COMMENT ON COLUMN rolling.beta IS 'to the main benchmark; NULL where it does not cover the window';
COMMENT ON COLUMN rolling.max_drawdown IS 'decimal, negative';

CREATE TABLE sensitivities (
    run_id VARCHAR NOT NULL,
    strategy VARCHAR NOT NULL,
    dimension VARCHAR NOT NULL,
    value VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    result DOUBLE,
    note VARCHAR NOT NULL,
    PRIMARY KEY (run_id, strategy, dimension, value, metric),
    CHECK (result IS NOT NULL OR note <> '' OR dimension <> 'breakeven_cost_bps')
);
COMMENT ON TABLE sensitivities IS 'Results under other assumptions, one changed at a time; the run''s own is among them.';
COMMENT ON COLUMN sensitivities.dimension IS 'terminal_return (of funds that died for no stated reason), cost_bps, delay_months (from decision to dealing, on top of the calendar), seed, or breakeven_cost_bps';
COMMENT ON COLUMN sensitivities.value IS 'what is assumed; for the break-even cost what the strategy is compared with: equal_weight_universe or risk_free';
COMMENT ON COLUMN sensitivities.metric IS 'annual_return, sharpe or max_drawdown; cost_bps for the break-even cost';
COMMENT ON COLUMN sensitivities.result IS 'value of the metric, NULL where there is none';
COMMENT ON COLUMN sensitivities.note IS 'why there is no result, or what to know about it';

CREATE TABLE prediction_outcomes (
    run_id VARCHAR NOT NULL,
    month DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    label_month DATE NOT NULL CHECK (label_month > month),
    realized DOUBLE,
    realized_class BIGINT CHECK (realized_class IN (-1, 0, 1)),
    predicted_class BIGINT CHECK (predicted_class IN (-1, 0, 1)),
    PRIMARY KEY (run_id, month, fund_id, model)
);
COMMENT ON TABLE prediction_outcomes IS 'What came of the predictions, as far as the run''s last month knows.';
COMMENT ON COLUMN prediction_outcomes.realized IS 'return of the label month, decimal';
COMMENT ON COLUMN prediction_outcomes.realized_class IS '-1 down, 0 unchanged, 1 up';
COMMENT ON COLUMN prediction_outcomes.predicted_class IS 'the most probable class';

CREATE TABLE model_scores (
    run_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT,
    PRIMARY KEY (run_id, model, metric)
);
COMMENT ON TABLE model_scores IS 'How good each model''s out-of-sample predictions were.';
COMMENT ON COLUMN model_scores.value IS 'share (accuracies) or correlation (mcc, rank_ic)';
COMMENT ON COLUMN model_scores.ci_low IS 'lower end of the bootstrap interval, NULL without';
COMMENT ON COLUMN model_scores.ci_high IS 'its upper end';
COMMENT ON COLUMN model_scores.n IS 'predictions with an outcome, or months';
