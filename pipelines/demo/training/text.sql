-- Text: full-text search, patterns, string functions, collation, and the functions of the shell.
.mode list
CREATE TABLE syllable(i INTEGER PRIMARY KEY, s TEXT);
INSERT INTO syllable(i, s) VALUES (0,'ka'),(1,'lo'),(2,'mi'),(3,'ter'),(4,'un'),(5,'sor'),(6,'vel'),(7,'pra'),(8,'dis'),(9,'en'),
  (10,'tion'),(11,'gra'),(12,'ble'),(13,'che'),(14,'ö'),(15,'ful');
CREATE TABLE word(id INTEGER PRIMARY KEY, w TEXT);
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 600)
INSERT INTO word SELECT n, a.s || b.s || CASE WHEN noise(n) % 3 THEN c.s ELSE '' END FROM n
  JOIN syllable AS a ON a.i = noise(n * 3) % 16 JOIN syllable AS b ON b.i = noise(n * 5) % 16 JOIN syllable AS c ON c.i = noise(n * 7) % 16;
CREATE TABLE text(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000),
  part(i, k, w) AS (SELECT n.i, k.value, (SELECT w FROM word WHERE id = 1 + min(noise(n.i * 100 + k.value) % 600, noise(n.i + k.value * 7919) % 600))
                    FROM n, json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]') AS k)
INSERT INTO text SELECT i, 'On ' || group_concat(w, ' ') FILTER (WHERE k <= 2), group_concat(w, ' ') || '.' FROM part GROUP BY i ORDER BY i;

CREATE VIRTUAL TABLE search USING fts5(title, body, content = 'text', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3');
INSERT INTO search(rowid, title, body) SELECT id, title, body FROM text;
INSERT INTO search(search) VALUES ('optimize');
SELECT count(*) FROM search WHERE search MATCH 'ka*';
SELECT rowid, round(bm25(search), 6) FROM search WHERE search MATCH 'ter* AND un* NOT gra*' ORDER BY 2, 1 LIMIT 10;
SELECT rowid, highlight(search, 0, '[', ']') FROM search WHERE search MATCH 'title: mi* OR sor*' ORDER BY rank, rowid LIMIT 10;
SELECT rowid, snippet(search, 1, '<', '>', '…', 6) FROM search WHERE search MATCH 'NEAR(dis* vel*, 4)' ORDER BY rowid LIMIT 10;
SELECT t.id, length(t.body) FROM text AS t JOIN search ON search.rowid = t.id WHERE search MATCH 'body: pra* + ka*' ORDER BY t.id LIMIT 10;

.mode digest
SELECT id, upper(title), replace(body, 'ka', 'KA'), instr(body, 'ter'), substr(body, -20, 10), trim(body, '.') FROM text ORDER BY id;
SELECT id, words(body), slug(title), fingerprint(body), length(hex(title)), unicode(body), quote(title) FROM text ORDER BY id;
SELECT id FROM text WHERE body LIKE '%tion%ful%' AND body NOT LIKE '%KALO%' ORDER BY title COLLATE NOCASE DESC, id;
SELECT id FROM text WHERE body GLOB '*[aeiou]n[a-m]*' AND title GLOB 'On [k-v]*' ORDER BY id;
SELECT w, count(*), group_concat(id) FROM word GROUP BY w COLLATE NOCASE HAVING count(*) > 1 ORDER BY w;
SELECT printf('%-12s|%8.3f|%05d|%x|%,d|%Q', w, id / 7.0, id, id, id * 1000, w) FROM word ORDER BY id;
WITH RECURSIVE letter(id, rest, c) AS (
  SELECT id, substr(body, 2), substr(body, 1, 1) FROM text WHERE id <= 60 UNION ALL SELECT id, substr(rest, 2), substr(rest, 1, 1) FROM letter WHERE rest <> '')
SELECT c, count(*) FROM letter GROUP BY c ORDER BY 2 DESC, 1;
