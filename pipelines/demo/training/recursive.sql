-- Recursive queries: number series, a picture, ways through a graph, a tree, a puzzle.
.mode list
WITH RECURSIVE
  x(x) AS (VALUES (-2.0) UNION ALL SELECT x + 0.05 FROM x WHERE x < 1.1),
  y(y) AS (VALUES (-1.0) UNION ALL SELECT y + 0.1 FROM y WHERE y < 1.0),
  m(i, cx, cy, x, y) AS (SELECT 0, x, y, 0.0, 0.0 FROM x, y UNION ALL
    SELECT i + 1, cx, cy, x * x - y * y + cx, 2.0 * x * y + cy FROM m WHERE x * x + y * y < 4.0 AND i < 28),
  a(cx, cy, i) AS (SELECT cx, cy, max(i) FROM m GROUP BY cy, cx)
SELECT rtrim(group_concat(substr(' .+*#', 1 + min(i / 7, 4), 1), '')) FROM (SELECT * FROM a ORDER BY cy, cx) GROUP BY cy ORDER BY cy;

CREATE TABLE road(a INTEGER, b INTEGER, length INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 7999)
INSERT OR IGNORE INTO road SELECT i % 2000, noise(i) % 2000, 1 + noise(i * 3) % 20 FROM n;
WITH RECURSIVE reach(node, hops) AS (SELECT 0, 0 UNION SELECT b, hops + 1 FROM reach JOIN road ON a = node WHERE hops < 12)
SELECT hops, count(*) FROM (SELECT node, min(hops) AS hops FROM reach GROUP BY node) GROUP BY hops ORDER BY hops;

CREATE TABLE tree(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree(id), name TEXT);
CREATE INDEX tree_parent ON tree(parent);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO tree SELECT i, nullif(i * 2 / 5, 0), 'node' || i FROM n;
WITH RECURSIVE path(id, depth, path) AS (
  SELECT id, 0, name FROM tree WHERE parent IS NULL UNION ALL
  SELECT t.id, depth + 1, path || '/' || name FROM tree AS t JOIN path ON t.parent = path.id ORDER BY 2 DESC)
SELECT depth, count(*), max(length(path)), min(path) FROM path GROUP BY depth ORDER BY depth;

-- Seven queens.
WITH RECURSIVE q(row, cols, board) AS (
  SELECT 0, 0, '' UNION ALL
  SELECT row + 1, cols | (1 << c.value), board || c.value FROM q, json_each('[0,1,2,3,4,5,6]') AS c
  WHERE row < 7 AND NOT cols & (1 << c.value) AND NOT EXISTS (
    SELECT 1 FROM json_each('[1,2,3,4,5,6,7]') AS d WHERE d.value <= row AND abs(substr(board, d.value, 1) - c.value) = row + 1 - d.value))
SELECT board FROM q WHERE row = 7 ORDER BY board;

WITH RECURSIVE collatz(start, n, steps) AS (
  SELECT value, value, 0 FROM (WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 3000) SELECT value FROM s)
  UNION ALL SELECT start, iif(n % 2, 3 * n + 1, n / 2), steps + 1 FROM collatz WHERE n > 1)
SELECT start, max(steps) FROM collatz GROUP BY start ORDER BY 2 DESC, 1 LIMIT 5;
