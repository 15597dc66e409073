-- Window functions: running totals, ranks, neighbours, moving frames.
.mode digest
CREATE TABLE reading(sensor INTEGER, minute INTEGER, value REAL, PRIMARY KEY (sensor, minute)) WITHOUT ROWID;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 24999)
INSERT INTO reading SELECT i % 25, i / 25, 20 + (noise(i) % 1000) / 100.0 + 5 * sin(i / 400.0) FROM n;

SELECT sensor, minute, sum(value) OVER (PARTITION BY sensor ORDER BY minute) AS total,
  row_number() OVER (PARTITION BY sensor ORDER BY value DESC, minute) AS place FROM reading ORDER BY sensor, minute;
SELECT sensor, minute, avg(value) OVER (PARTITION BY sensor ORDER BY minute ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING) AS smooth
  FROM reading ORDER BY sensor, minute;
SELECT sensor, minute, value - lag(value, 1, value) OVER w AS change, lead(value) OVER w, first_value(value) OVER w,
  nth_value(value, 3) OVER w FROM reading WINDOW w AS (PARTITION BY sensor ORDER BY minute) ORDER BY sensor, minute;
SELECT sensor, rank() OVER (ORDER BY high DESC), dense_rank() OVER (ORDER BY cast(high AS INTEGER)), ntile(4) OVER (ORDER BY low, sensor),
  percent_rank() OVER (ORDER BY low), cume_dist() OVER (ORDER BY high)
  FROM (SELECT sensor, max(value) AS high, min(value) AS low FROM reading GROUP BY sensor) ORDER BY sensor;
SELECT minute / 60 AS hour, count(*) FILTER (WHERE value > 28), max(value) - min(value),
  sum(count(*)) OVER (ORDER BY minute / 60 RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) FROM reading GROUP BY hour ORDER BY hour;
SELECT sensor, minute, max(value) OVER (PARTITION BY minute ORDER BY sensor GROUPS BETWEEN 2 PRECEDING AND 2 FOLLOWING EXCLUDE CURRENT ROW)
  FROM reading WHERE minute % 10 = 0 ORDER BY minute, sensor;
.mode csv
SELECT sensor, minute, round(value, 3) AS value FROM (
  SELECT *, row_number() OVER (PARTITION BY sensor ORDER BY value DESC, minute) AS place FROM reading) WHERE place <= 2 ORDER BY 1, 2;
