-- A library's catalogue: full-text search, joins, JSON out.
.mode json
CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE book(id INTEGER PRIMARY KEY, author INTEGER, title TEXT, year INTEGER, about TEXT);
CREATE INDEX book_author ON book(author);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
INSERT INTO author SELECT i, char(65 + noise(i) % 26) || '. ' || char(65 + noise(i * 3) % 26) || lower(hex(noise(i * 5) % 100000)) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 7000), part(i, w) AS (
  SELECT n.i, substr('riverhousestonelightnightwaterearthgreensmallother', 1 + 5 * (noise(n.i * 31 + k.value) % 10), 5) || iif(k.value % 4, '', 's')
  FROM n, json_each('[1,2,3,4,5,6,7,8,9,10,11,12]') AS k)
INSERT INTO book SELECT i, 1 + noise(i) % 1200, 'The ' || max(w) || ' of ' || min(w), 1850 + noise(i * 3) % 170, group_concat(w, ' ') FROM part GROUP BY i;
CREATE VIRTUAL TABLE find USING fts5(title, about);
INSERT INTO find(rowid, title, about) SELECT id, title, about FROM book;
SELECT b.title, a.name, b.year FROM find JOIN book AS b ON b.id = find.rowid JOIN author AS a ON a.id = b.author
WHERE find MATCH 'stone AND (river OR nights)' ORDER BY b.year, b.id LIMIT 40;
SELECT rowid, snippet(find, 1, '[', ']', '…', 5) AS place FROM find WHERE find MATCH 'water + earth' ORDER BY rowid;
SELECT a.name, count(*) AS books, min(year) AS first, json_group_array(b.id) AS ids FROM author AS a JOIN book AS b ON b.author = a.id
GROUP BY a.id HAVING books > 5 ORDER BY books DESC, a.id;
SELECT year / 10 * 10 AS decade, count(*) AS books, sum(words(about)) AS words, group_concat(DISTINCT substr(title, 5, 1)) AS letters FROM book GROUP BY 1 ORDER BY 1;
SELECT id, title FROM book WHERE title LIKE '%light%' AND about NOT LIKE '%green%' ORDER BY title, id;
