-- Embeddings of the funds with daily returns, what models say of them, and what that is worth.
--
-- {size} is settings.embeddings.size. Columns that do not apply to a row are NULL, so that some
-- tables have no key; `checks.py` asks for one row per combination instead.

CREATE TABLE daily_funds (
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
COMMENT ON TABLE daily_funds IS 'Funds with daily returns, as table funds.';
COMMENT ON COLUMN daily_funds.gate IS 'share redeemable per dealing date';
COMMENT ON COLUMN daily_funds.management_fee IS 'decimal per year';
COMMENT ON COLUMN daily_funds.performance_fee IS 'share of profits, decimal';

CREATE TABLE embeddings (
    date DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    encoder VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    retrained DATE NOT NULL CHECK (retrained <= date),
    vector FLOAT[{size}] NOT NULL CHECK (isfinite(array_inner_product(vector, vector))),
    PRIMARY KEY (date, encoder, mode, seed, fund_id)
);
COMMENT ON TABLE embeddings IS 'One vector per fund, date and seed, made with the knowledge of the date by the encoder and mode that settings.embeddings publishes.';
COMMENT ON COLUMN embeddings.date IS 'session: the month''s last one, or a day of decision';
COMMENT ON COLUMN embeddings.mode IS 'how the encoder was trained';
COMMENT ON COLUMN embeddings.seed IS 'of the training: each seed has a space of its own, so compare vectors of one seed only';
COMMENT ON COLUMN embeddings.retrained IS 'day of the retraining in force';
COMMENT ON COLUMN embeddings.vector IS 'settings.embeddings.size numbers without unit';

CREATE TABLE embedding_map (
    date DATE NOT NULL,
    encoder VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    fund_id VARCHAR NOT NULL,
    x DOUBLE NOT NULL,
    y DOUBLE NOT NULL,
    explained_x DOUBLE NOT NULL CHECK (explained_x BETWEEN 0 AND 1 + 1e-9),
    explained_y DOUBLE NOT NULL CHECK (explained_y BETWEEN 0 AND 1 + 1e-9),
    n_seeds BIGINT NOT NULL CHECK (n_seeds >= 1),
    PRIMARY KEY (date, encoder, mode, fund_id)
);
COMMENT ON TABLE embedding_map IS 'Two principal components of the unit vectors of all seeds side by side, computed at publication: squared distances come nearest to 2 (1 - mean cosine similarity).';
COMMENT ON COLUMN embedding_map.x IS 'first component, no unit; its sign is a convention, and dates have axes of their own';
COMMENT ON COLUMN embedding_map.y IS 'second component, likewise';
COMMENT ON COLUMN embedding_map.explained_x IS 'share of variance';
COMMENT ON COLUMN embedding_map.explained_y IS 'share of variance';
COMMENT ON COLUMN embedding_map.n_seeds IS 'seeds that the vectors come from; a fund must have all';

CREATE TABLE embedding_exclusions (
    date DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    reason VARCHAR NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (date, fund_id, reason)
);
COMMENT ON TABLE embedding_exclusions IS 'Funds without an embedding on a date, and why.';
COMMENT ON COLUMN embedding_exclusions.date IS 'session';
COMMENT ON COLUMN embedding_exclusions.reason IS 'too_short, constant, silent (nothing in the last five sessions) or all_hidden';

CREATE TABLE embedding_curves (
    encoder VARCHAR NOT NULL,
    retraining DATE NOT NULL,
    mode VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    split VARCHAR NOT NULL,
    objective VARCHAR NOT NULL,
    loss DOUBLE,
    PRIMARY KEY (encoder, retraining, mode, task, seed, epoch, split, objective)
);
COMMENT ON TABLE embedding_curves IS 'Loss by epoch of each retraining of fund models (store tables fund_model_*).';
COMMENT ON COLUMN embedding_curves.retraining IS 'month of the retraining';
COMMENT ON COLUMN embedding_curves.task IS 'what was learned: forecast, weights, listnet, neuralndcg or pretraining; all where one network learns them together';
COMMENT ON COLUMN embedding_curves.split IS 'train or valid';
COMMENT ON COLUMN embedding_curves.objective IS 'part of the loss';
COMMENT ON COLUMN embedding_curves.loss IS 'in the unit of the objective';

CREATE TABLE fund_predictions (
    date DATE NOT NULL,
    fund_id VARCHAR NOT NULL,
    encoder VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    forecast DOUBLE,
    volatility DOUBLE,
    sharpe DOUBLE,
    drawdown DOUBLE,
    listnet DOUBLE,
    neuralndcg DOUBLE,
    weight DOUBLE CHECK (weight >= 0),
    gmv DOUBLE,
    PRIMARY KEY (date, encoder, mode, seed, fund_id)
);
COMMENT ON TABLE fund_predictions IS 'What each model foresees for the horizon after a decision, made with the knowledge of its session.';
COMMENT ON COLUMN fund_predictions.date IS 'session of the decision';
COMMENT ON COLUMN fund_predictions.forecast IS 'total return over the horizon, decimal';
COMMENT ON COLUMN fund_predictions.volatility IS 'decimal per year';
COMMENT ON COLUMN fund_predictions.sharpe IS 'per year';
COMMENT ON COLUMN fund_predictions.drawdown IS 'largest fall within the horizon, decimal, positive';
COMMENT ON COLUMN fund_predictions.listnet IS 'score of the model trained with ListNet: its order counts, not its size';
COMMENT ON COLUMN fund_predictions.neuralndcg IS 'score of the model trained with NeuralNDCG, likewise';
COMMENT ON COLUMN fund_predictions.weight IS 'predicted portfolio weight; sums to 1';
COMMENT ON COLUMN fund_predictions.gmv IS 'weight in the minimum variance portfolio from forecasts, sums to 1; NULL where too few residuals are known of the fund, or no solution was certified (notes of the part)';

CREATE TABLE embedding_portfolios (
    evaluation VARCHAR NOT NULL CHECK (evaluation IN ('gmv', 'weights', 'ranking', 'benchmark')),
    portfolio VARCHAR NOT NULL,
    encoder VARCHAR,
    mode VARCHAR,
    loss VARCHAR,
    fund_group VARCHAR,
    k BIGINT CHECK (k >= 1),
    seed BIGINT,
    date DATE NOT NULL,
    ret DOUBLE NOT NULL CHECK (ret >= -1),
    turnover DOUBLE,
    cost DOUBLE CHECK (cost >= 0)
);
COMMENT ON TABLE embedding_portfolios IS 'Returns of the portfolios that evaluate the embeddings, and of their benchmarks.';
COMMENT ON COLUMN embedding_portfolios.loss IS 'ranking: loss of the scores';
COMMENT ON COLUMN embedding_portfolios.fund_group IS 'funds to choose from';
COMMENT ON COLUMN embedding_portfolios.k IS 'ranking: funds held';
COMMENT ON COLUMN embedding_portfolios.seed IS 'NULL: all seeds together, or none';
COMMENT ON COLUMN embedding_portfolios.date IS 'session';
COMMENT ON COLUMN embedding_portfolios.ret IS 'net of costs, decimal';
COMMENT ON COLUMN embedding_portfolios.turnover IS 'half of what was bought and sold, as a share of NAV';
COMMENT ON COLUMN embedding_portfolios.cost IS 'share of NAV';

CREATE TABLE embedding_evaluations (
    evaluation VARCHAR NOT NULL,
    encoder VARCHAR,
    mode VARCHAR,
    loss VARCHAR,
    fund_group VARCHAR,
    k BIGINT CHECK (k >= 1),
    seed BIGINT,
    metric VARCHAR NOT NULL,
    value DOUBLE,
    benchmark VARCHAR,
    benchmark_value DOUBLE,
    difference DOUBLE,
    ci_low DOUBLE,
    ci_high DOUBLE,
    n BIGINT,
    note VARCHAR,
    CHECK (ci_low <= ci_high)
);
COMMENT ON TABLE embedding_evaluations IS 'What each model''s portfolio is worth beside its benchmark.';
COMMENT ON COLUMN embedding_evaluations.seed IS 'NULL: all seeds together, weights in equal parts, rankings by their mean rank';
COMMENT ON COLUMN embedding_evaluations.value IS 'of the model, in the unit of metric: decimals per year, a count of wins, a share or a p-value';
COMMENT ON COLUMN embedding_evaluations.benchmark IS 'portfolio compared with; supervised: the same encoder trained so; half: as many wins as losses';
COMMENT ON COLUMN embedding_evaluations.benchmark_value IS 'of the benchmark, in the unit of metric';
COMMENT ON COLUMN embedding_evaluations.difference IS 'value - benchmark_value';
COMMENT ON COLUMN embedding_evaluations.ci_low IS 'lower end of the 95% interval of the difference, NULL without';
COMMENT ON COLUMN embedding_evaluations.ci_high IS 'its upper end';
COMMENT ON COLUMN embedding_evaluations.n IS 'observations behind the interval: holding periods; of counts of wins and of tests the portfolios';

CREATE TABLE embedding_information (
    encoder VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    quantity VARCHAR NOT NULL,
    estimator VARCHAR NOT NULL,
    value DOUBLE,
    std DOUBLE CHECK (std >= 0),
    n BIGINT,
    dimension BIGINT CHECK (dimension >= 0),
    noise DOUBLE CHECK (noise >= 0),
    unit VARCHAR NOT NULL,
    note VARCHAR,
    PRIMARY KEY (encoder, mode, seed, quantity, estimator)
);
COMMENT ON TABLE embedding_information IS 'Entropy of inputs and embeddings, and the information that they share. Inputs are the funds'' own returns: what an encoder saw beside them (market and macro factors, characteristics, texts) is not counted, and its embedding is no function of them alone.';
COMMENT ON COLUMN embedding_information.value IS 'in unit';
COMMENT ON COLUMN embedding_information.std IS 'standard deviation over splits, in unit; NULL with several seeds, each of which draws one';
COMMENT ON COLUMN embedding_information.n IS 'rows that the estimate rests on';
COMMENT ON COLUMN embedding_information.dimension IS 'of what was measured, after reduction; 0 where nothing varies';
COMMENT ON COLUMN embedding_information.noise IS 'standard deviation of the noise added to standardized embeddings: without it the information of a deterministic encoder is infinite';
COMMENT ON COLUMN embedding_information.note IS 'scaling, and what to know about the estimate';

CREATE TABLE embedding_checks (
    encoder VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    seed BIGINT NOT NULL,
    date DATE NOT NULL,
    "check" VARCHAR NOT NULL,
    value DOUBLE,
    baseline DOUBLE,
    chance DOUBLE,
    n BIGINT,
    PRIMARY KEY (encoder, mode, "check", date, seed)
);
COMMENT ON TABLE embedding_checks IS 'Whether embeddings know what funds are: retrieval of the category, and targets read off by a linear probe.';
COMMENT ON COLUMN embedding_checks.date IS 'session';
COMMENT ON COLUMN embedding_checks."check" IS 'category_retrieval, category_precision_ and how many neighbors, or linear_probe_ and its target';
COMMENT ON COLUMN embedding_checks.value IS 'retrieval: mean average precision; precision: share of the neighbors; probe: R2, of a category accuracy';
COMMENT ON COLUMN embedding_checks.baseline IS 'the same of principal components of the same windows';
COMMENT ON COLUMN embedding_checks.chance IS 'the same without any skill';
COMMENT ON COLUMN embedding_checks.n IS 'funds';

CREATE VIEW latest_embeddings AS
SELECT date, fund_id, name, category, encoder, mode, seed, retrained, vector
FROM embeddings LEFT JOIN daily_funds USING (fund_id)
WHERE date = (SELECT max(date) FROM embeddings);
COMMENT ON VIEW latest_embeddings IS 'Embeddings of the last date that has any, with the names of the funds.';

CREATE VIEW embedding_scoreboard AS
WITH judged AS (
    SELECT *, metric NOT IN ('volatility', 'average_volatility') AS more_is_better
    FROM embedding_evaluations WHERE seed IS NULL
), seeds AS (
    SELECT evaluation, encoder, mode, loss, fund_group, k, metric, benchmark,
        count(*) AS n_seeds, min(difference) AS seed_low, max(difference) AS seed_high
    FROM embedding_evaluations WHERE seed IS NOT NULL GROUP BY ALL
)
SELECT
    judged.evaluation,
    judged.encoder,
    judged.mode,
    judged.loss,
    judged.fund_group,
    judged.k,
    judged.metric,
    judged.value,
    judged.benchmark,
    judged.benchmark_value,
    judged.difference,
    judged.ci_low,
    judged.ci_high,
    seeds.n_seeds,
    seeds.seed_low,
    seeds.seed_high,
    CASE
        WHEN judged.difference IS NULL THEN 'see note'
        WHEN ci_low IS NULL OR ci_high IS NULL THEN 'not known: no interval'
        WHEN ci_low <= 0 AND ci_high >= 0 THEN 'not significant'
        WHEN (ci_low > 0) = more_is_better THEN 'better than the benchmark'
        ELSE 'worse than the benchmark'
    END AS verdict,
    judged.n,
    judged.note
FROM judged LEFT JOIN seeds ON
    (judged.evaluation, judged.encoder, judged.mode, judged.loss, judged.fund_group, judged.k,
        judged.metric, judged.benchmark)
    IS NOT DISTINCT FROM
    (seeds.evaluation, seeds.encoder, seeds.mode, seeds.loss, seeds.fund_group, seeds.k,
        seeds.metric, seeds.benchmark)
ORDER BY ALL;
COMMENT ON VIEW embedding_scoreboard IS 'Every evaluation of every encoder and mode against its benchmark, all seeds mixed, with a verdict in words.';
COMMENT ON COLUMN embedding_scoreboard.difference IS 'value - benchmark_value';
COMMENT ON COLUMN embedding_scoreboard.ci_low IS 'lower end of its 95% interval, NULL without';
COMMENT ON COLUMN embedding_scoreboard.ci_high IS 'its upper end';
COMMENT ON COLUMN embedding_scoreboard.seed_low IS 'smallest difference of a single seed';
COMMENT ON COLUMN embedding_scoreboard.seed_high IS 'largest one';
COMMENT ON COLUMN embedding_scoreboard.verdict IS 'whether that interval leaves 0 out, and on which side; of volatility less is better; p-values and what is absent have it in note';

CREATE MACRO similar_funds(fund, day) AS TABLE
WITH shown AS (
    SELECT * FROM embeddings WHERE date = (SELECT max(date) FROM embeddings WHERE date <= day)
), own AS (
    SELECT date, encoder, mode, seed, vector AS own_vector FROM shown WHERE fund_id = fund
), each AS (
    SELECT date, encoder, mode, fund_id, array_cosine_similarity(own_vector, vector) AS cosine
    FROM own JOIN shown USING (date, encoder, mode, seed) WHERE fund_id <> fund
)
SELECT date, encoder, mode, fund_id, any_value(name) AS name, any_value(category) AS category,
    avg(cosine) AS similarity, min(cosine) AS lowest, max(cosine) AS highest, count(*) AS n_seeds
FROM each LEFT JOIN daily_funds USING (fund_id)
WHERE isfinite(cosine)
GROUP BY date, encoder, mode, fund_id
ORDER BY encoder, mode, similarity DESC, fund_id;
COMMENT ON MACRO TABLE similar_funds IS 'Funds by cosine similarity to a fund on the last date at or before a day: FROM similar_funds(''F1'', DATE ''2016-06-30''). Mean, lowest and highest of the seeds, whose spaces differ while their similarities compare.';
