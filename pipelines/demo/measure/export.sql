-- An export: one table in several forms.
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, born TEXT, height REAL, address TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO person SELECT i, char(65 + noise(i) % 26) || hex(noise(i * 3) % 1000), date('1950-01-01', noise(i * 5) % 20000 || ' days'),
  1.5 + (noise(i * 7) % 500) / 1000.0, iif(i % 9, (noise(i) % 200) || ' Long Road, "Flat ' || i % 40 || '"', NULL) FROM n;
.mode csv
SELECT * FROM person ORDER BY name, id;
.mode json
SELECT id, name, cast(strftime('%Y', born) AS INTEGER) AS year, address FROM person WHERE height > 1.7;
.mode list
SELECT id, slug(address), words(address) FROM person WHERE address IS NOT NULL;
.mode table
SELECT substr(name, 1, 1) AS letter, count(*) AS persons, round(avg(height), 3) AS height, min(born) AS oldest FROM person GROUP BY 1 ORDER BY 1;
