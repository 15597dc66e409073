-- A computer network: neighbours, shortest ways, traffic per hour.
.mode table
CREATE TABLE host(id INTEGER PRIMARY KEY, name TEXT, site TEXT);
CREATE TABLE link(a INTEGER, b INTEGER, cost INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE packet(at INTEGER, src INTEGER, dst INTEGER, bytes INTEGER);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 249)
INSERT INTO host SELECT i, printf('host-%03d', i), char(97 + i % 5) FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
INSERT OR IGNORE INTO link SELECT i % 250, noise(i * 9) % 250, 1 + noise(i) % 9 FROM n;
INSERT OR IGNORE INTO link SELECT b, a, cost FROM link;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 59999)
INSERT INTO packet SELECT 1700000000 + i, noise(i) % 250, noise(i * 3) % 250, 40 + noise(i * 5) % 1460 FROM n;
WITH RECURSIVE near(id, hops) AS (VALUES (0, 0) UNION SELECT b, hops + 1 FROM near JOIN link ON a = id WHERE hops < 5)
SELECT hops, count(*) AS hosts FROM (SELECT id, min(hops) AS hops FROM near GROUP BY id) GROUP BY hops ORDER BY hops;
SELECT h.site, strftime('%H', p.at, 'unixepoch') AS hour, count(*) AS packets, sum(p.bytes) AS bytes, round(avg(p.bytes), 1) AS mean
FROM packet AS p JOIN host AS h ON h.id = p.src GROUP BY 1, 2 ORDER BY 1, 2;
SELECT src, dst, bytes, place FROM (SELECT src, dst, sum(bytes) AS bytes, rank() OVER (PARTITION BY src % 10 ORDER BY sum(bytes) DESC) AS place
  FROM packet GROUP BY src, dst) WHERE place <= 3 ORDER BY src % 10, place, src, dst;
SELECT h.name, count(*) AS links, min(l.cost) AS cheapest FROM host AS h LEFT JOIN link AS l ON l.a = h.id
GROUP BY h.id HAVING links > 10 ORDER BY links DESC, h.id LIMIT 20;
