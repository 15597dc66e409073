-- Many rows to standard output in every form: the shell's own work.
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, count INTEGER, note TEXT, code BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
INSERT INTO item SELECT i, 'item ' || i, (noise(i) % 1000000) / 64.0, noise(i * 3) % 1000 - 500,
  CASE noise(i * 5) % 4 WHEN 0 THEN NULL WHEN 1 THEN 'plain words' WHEN 2 THEN 'a "quoted", long' || char(10) || 'remark' ELSE 'straße ' || i END,
  CASE WHEN i % 6 = 0 THEN unhex(printf('%08x', i)) END FROM n;
.mode list
SELECT * FROM item;
.mode csv
SELECT * FROM item;
SELECT id, note, name, note FROM item WHERE note IS NOT NULL;
.mode json
SELECT * FROM item;
.mode table
SELECT * FROM item WHERE id % 3 = 0 AND note NOT LIKE 'a %';
.mode digest
SELECT * FROM item;
SELECT slug(note), words(note), fingerprint(name) FROM item WHERE note IS NOT NULL;
SELECT sum(words(name)), max(noise(id)), count(DISTINCT fingerprint(price)) FROM item;
.print done
