-- Views: the questions a person asks first. Those named latest_* and *leaderboard show one run,
-- the one that publication.latest_run names.

CREATE VIEW latest_run AS
SELECT runs.* FROM runs JOIN publication ON runs.run_id = publication.latest_run;
COMMENT ON VIEW latest_run IS 'The run that was asked for last (or the newest made with the settings in force).';

CREATE VIEW leaderboard AS
WITH shown AS (
    SELECT strategies.* FROM strategies JOIN latest_run USING (run_id)
), score AS (
    SELECT
        strategy,
        max(value) FILTER (metric = 'annual_return') AS annual_return,
        max(value) FILTER (metric = 'volatility') AS volatility,
        max(value) FILTER (metric = 'sharpe') AS sharpe,
        max(ci_low) FILTER (metric = 'sharpe') AS sharpe_low,
        max(ci_high) FILTER (metric = 'sharpe') AS sharpe_high,
        max(value) FILTER (metric = 'max_drawdown') AS max_drawdown,
        max(value) FILTER (metric = 'calmar') AS calmar,
        max(value) FILTER (metric = 'turnover') AS turnover,
        max(value) FILTER (metric = 'beta') AS beta,
        max(value) FILTER (metric = 'alpha') AS alpha,
        max(value) FILTER (metric = 'tracking_error') AS tracking_error,
        max(value) FILTER (metric = 'information_ratio') AS information_ratio
    FROM metrics JOIN latest_run USING (run_id)
    GROUP BY strategy
), span AS (
    SELECT
        strategy,
        count(*) AS months,
        min(date) AS first_month,
        max(date) AS last_month,
        CASE WHEN count(benchmark) = count(*)
            THEN product(1 + net) ** (12.0 / count(*)) - product(1 + benchmark) ** (12.0 / count(*))
        END AS excess_return
    FROM returns JOIN latest_run USING (run_id)
    GROUP BY strategy
), compared AS (
    SELECT
        strategy,
        value AS over_equal_weight,
        ci_low AS over_equal_weight_low,
        ci_high AS over_equal_weight_high,
        CASE
            WHEN ci_low > 0 THEN 'better than equal weight'
            WHEN ci_high < 0 THEN 'worse than equal weight'
            WHEN ci_low IS NOT NULL THEN 'indistinguishable from equal weight'
            ELSE 'not known: no interval'
        END AS verdict
    FROM differences JOIN latest_run USING (run_id)
    WHERE against = 'equal_weight_universe' AND metric = 'annual_return'
), deflated AS (
    SELECT strategy, p_value AS deflated_p, n_trials
    FROM significance JOIN latest_run USING (run_id)
    WHERE test = 'deflated_sharpe'
)
SELECT
    CASE WHEN shown.status = 'run' THEN
        row_number() OVER (
            ORDER BY shown.status DESC, score.sharpe DESC NULLS LAST, shown.strategy
        )
    END AS rank,
    shown.strategy,
    score.annual_return,
    score.volatility,
    score.sharpe,
    score.max_drawdown,
    score.calmar,
    score.turnover,
    span.excess_return,
    score.beta,
    score.alpha,
    score.tracking_error,
    score.information_ratio,
    score.sharpe_low,
    score.sharpe_high,
    compared.over_equal_weight,
    compared.over_equal_weight_low,
    compared.over_equal_weight_high,
    compared.verdict,
    deflated.deflated_p,
    deflated.n_trials,
    span.months,
    span.first_month,
    span.last_month,
    shown.status,
    shown.reason,
    latest_run.simulated
FROM shown JOIN latest_run USING (run_id)
LEFT JOIN score USING (strategy) LEFT JOIN span USING (strategy)
LEFT JOIN compared USING (strategy) LEFT JOIN deflated USING (strategy)
ORDER BY rank NULLS LAST, shown.strategy;
COMMENT ON VIEW leaderboard IS 'Strategies of the latest run by Sharpe ratio of net returns; absent ones last, with the reason.';
COMMENT ON COLUMN leaderboard.annual_return IS 'net, compounded, decimal per year';
COMMENT ON COLUMN leaderboard.volatility IS 'decimal per year';
COMMENT ON COLUMN leaderboard.sharpe IS 'per year, over the risk-free return';
COMMENT ON COLUMN leaderboard.sharpe_low IS 'lower end of its 95% interval, NULL without';
COMMENT ON COLUMN leaderboard.sharpe_high IS 'its upper end';
COMMENT ON COLUMN leaderboard.over_equal_weight IS 'annual return less that of equal_weight_universe, decimal';
COMMENT ON COLUMN leaderboard.over_equal_weight_low IS 'lower end of its 95% interval, NULL without';
COMMENT ON COLUMN leaderboard.over_equal_weight_high IS 'its upper end';
COMMENT ON COLUMN leaderboard.verdict IS 'whether that interval leaves 0 out';
COMMENT ON COLUMN leaderboard.deflated_p IS '1 - deflated Sharpe ratio: probability that the true one is no higher than the best of n_trials without skill';
COMMENT ON COLUMN leaderboard.n_trials IS 'strategies tried in all runs of the warehouse';
COMMENT ON COLUMN leaderboard.turnover IS 'see metrics.convention';
COMMENT ON COLUMN leaderboard.simulated IS 'no real fund is in it';
COMMENT ON COLUMN leaderboard.excess_return IS 'annual return less the benchmark''s; NULL without a benchmark in every month';

CREATE VIEW run_diff AS
WITH asked AS (
    SELECT metrics.run_id, others.run_id AS other_run, strategy, metric
    FROM metrics JOIN runs AS others ON others.run_id <> metrics.run_id
    UNION
    SELECT runs.run_id, others.run_id, strategy, metric
    FROM metrics AS others JOIN runs ON others.run_id <> runs.run_id
)
SELECT
    asked.*,
    own.value,
    other.value AS other_value,
    own.value - other.value AS difference
FROM asked
LEFT JOIN metrics AS own USING (run_id, strategy, metric)
LEFT JOIN metrics AS other
    ON other.run_id = asked.other_run AND other.strategy = asked.strategy
    AND other.metric = asked.metric;
COMMENT ON VIEW run_diff IS 'Metrics of every strategy in two runs, NULL in the run that lacks the strategy: ask WHERE run_id = ... AND other_run = ...';
COMMENT ON COLUMN run_diff.value IS 'in run_id; unit and formula in metrics.convention';
COMMENT ON COLUMN run_diff.other_value IS 'in other_run';
COMMENT ON COLUMN run_diff.difference IS 'value - other_value';

CREATE VIEW ranked_predictions AS
SELECT
    *,
    CASE WHEN eligible THEN
        rank() OVER (PARTITION BY month, model, eligible ORDER BY p_up DESC, fund_id)
    END AS rank,
    count(*) FILTER (eligible) OVER (PARTITION BY month, model) AS n_ranked
FROM (
    SELECT predictions.*, coalesce(universe.eligible, false) AS eligible
    FROM predictions LEFT JOIN universe USING (month, fund_id)
);
COMMENT ON VIEW ranked_predictions IS 'Predictions with the fund''s rank by P(up) among the eligible funds of its month and model, as the strategies rank.';

CREATE VIEW latest_rebalance AS
WITH ordered AS (
    SELECT trades.*, latest_run.simulated, strategies.model, latest_run.last_month AS now,
        last_day(latest_run.last_month - INTERVAL 1 MONTH) AS before
    FROM trades
    JOIN latest_run USING (run_id)
    LEFT JOIN strategies USING (run_id, strategy)
    WHERE (trades.decision = latest_run.last_month OR trades.status = 'waiting')
        AND trades.reason IN ('enter', 'increase', 'reduce', 'exit')  -- the rest was paid out
)
SELECT
    ordered.strategy,
    ordered.decision,
    CASE WHEN ordered.side = 'sell' THEN ordered.dealing - funds.notice_days::INTEGER END AS notice,
    ordered.dealing,
    ordered.settle,
    ordered.side,
    ordered.fund_id,
    funds.name,
    ordered.weight,
    ordered.amount,
    ordered.status,
    ordered.reason,
    ordered.blocked_by,
    ordered.model,
    now.p_up,
    now.rank,
    now.n_ranked,
    before.p_up AS p_up_before,
    before.rank AS rank_before,
    features.sharpe_annual,
    features.mrar,
    features.svar,
    features.svar_factor,
    features.lta,
    features.ltr,
    features.lts,
    features.best_score,
    features.n_selected,
    features.reason AS features_reason,
    ordered.simulated
FROM ordered
LEFT JOIN funds ON funds.fund_id = ordered.fund_id
LEFT JOIN ranked_predictions AS now
    ON now.month = ordered.now AND now.fund_id = ordered.fund_id AND now.model = ordered.model
LEFT JOIN ranked_predictions AS before
    ON before.month = ordered.before AND before.fund_id = ordered.fund_id
    AND before.model = ordered.model
LEFT JOIN polymodel_features AS features
    ON features.month = ordered.now AND features.fund_id = ordered.fund_id
ORDER BY ordered.model IS NULL, ordered.strategy, ordered.decision DESC, ordered.side DESC, now.rank NULLS LAST, ordered.fund_id;
COMMENT ON VIEW latest_rebalance IS 'What to redeem and subscribe on the latest decision of the latest run, what still waits from earlier ones, and what the model thinks of each fund.';

CREATE VIEW scored_predictions AS
SELECT
    ranked.*,
    outcomes.realized,
    outcomes.realized_class,
    outcomes.predicted_class,
    outcomes.predicted_class = outcomes.realized_class AS correct
FROM ranked_predictions AS ranked
LEFT JOIN (
    SELECT prediction_outcomes.* FROM prediction_outcomes JOIN latest_run USING (run_id)
) AS outcomes USING (month, fund_id, model);
COMMENT ON VIEW scored_predictions IS 'Predictions with what was realized, where the latest run knows it.';

CREATE VIEW model_leaderboard AS
SELECT
    model,
    max(value) FILTER (metric = 'balanced_accuracy') AS balanced_accuracy,
    max(ci_low) FILTER (metric = 'balanced_accuracy') AS balanced_accuracy_low,
    max(ci_high) FILTER (metric = 'balanced_accuracy') AS balanced_accuracy_high,
    max(value) FILTER (metric = 'mcc') AS mcc,
    max(value) FILTER (metric = 'rank_ic') AS rank_ic,
    max(ci_low) FILTER (metric = 'rank_ic') AS rank_ic_low,
    max(ci_high) FILTER (metric = 'rank_ic') AS rank_ic_high,
    max(value) FILTER (metric = 'accuracy') AS accuracy,
    max(n) AS n
FROM model_scores JOIN latest_run USING (run_id)
GROUP BY model
ORDER BY balanced_accuracy DESC NULLS LAST, model;
COMMENT ON VIEW model_leaderboard IS 'Out-of-sample scores of the latest run by model.';

CREATE VIEW fund_returns AS
SELECT fund_id, date, arg_max(ret, known) AS ret, arg_max(aum, known) AS aum, max(known) AS known
FROM (SELECT * REPLACE (coalesce(ret, 'NaN'::DOUBLE) AS ret) FROM fund_observations)
GROUP BY fund_id, date
HAVING NOT isnan(arg_max(ret, known))
ORDER BY fund_id, date;
COMMENT ON VIEW fund_returns IS 'Fund returns as known last (hindsight: no decision saw all of them).';

CREATE VIEW series_values AS
SELECT series_id, date, arg_max(value, (known, coalesce(vintage, known))) AS value
FROM series_observations
GROUP BY series_id, date
ORDER BY series_id, date;
COMMENT ON VIEW series_values IS 'Series as known last (hindsight: no decision saw all of them).';

CREATE VIEW reason_counts AS
SELECT 'universe' AS "table", reason, count(*) AS rows, count(DISTINCT fund_id) AS ids,
    min(month) AS first_month, max(month) AS last_month
FROM universe WHERE reason <> '' GROUP BY reason
UNION ALL
SELECT 'polymodel_features', reason, count(*), count(DISTINCT fund_id), min(month), max(month)
FROM polymodel_features WHERE reason <> '' GROUP BY reason
UNION ALL
SELECT 'polymodel_excluded', reason, count(*), count(DISTINCT factor_id), min(month), max(month)
FROM polymodel_excluded GROUP BY reason
UNION ALL
SELECT 'embedding_exclusions', reason, count(*), count(DISTINCT fund_id), min(date), max(date)
FROM embedding_exclusions GROUP BY reason
UNION ALL
SELECT 'macro_excluded', reason, count(*), count(DISTINCT series_id), min(as_of), max(as_of)
FROM macro_excluded GROUP BY reason
UNION ALL
SELECT 'quarantine', rule, count(*), count(DISTINCT id), min(date), max(date)
FROM quarantine GROUP BY rule
UNION ALL
SELECT 'trades', blocked_by, count(*), count(DISTINCT fund_id), min(decision), max(decision)
FROM trades JOIN latest_run USING (run_id)
WHERE blocked_by <> '' AND trades.status <> 'waiting' GROUP BY blocked_by
UNION ALL
SELECT 'strategies', reason, count(*), count(DISTINCT strategy), NULL, NULL
FROM strategies JOIN latest_run USING (run_id) WHERE strategies.status = 'absent' GROUP BY reason
UNION ALL
SELECT 'parts', left_out, count(*), count(DISTINCT key), NULL, NULL
FROM parts WHERE left_out <> '' GROUP BY left_out
ORDER BY "table", rows DESC, reason;
COMMENT ON VIEW reason_counts IS 'Why things are missing, by table: reason codes and quarantine rules with their counts.';
