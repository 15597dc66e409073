-- Questions to a small warehouse: joins of several tables, aggregates, subqueries, set operations, sorting.
.mode table
CREATE TABLE region(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE shop(id INTEGER PRIMARY KEY, region INTEGER, opened TEXT);
CREATE TABLE product(id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL);
CREATE TABLE sale(shop INTEGER, product INTEGER, day TEXT, quantity INTEGER, discount REAL);

INSERT INTO region VALUES (1, 'north'), (2, 'east'), (3, 'south'), (4, 'west');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO shop SELECT i, 1 + noise(i) % 4, date('2001-01-01', noise(i * 3) % 7000 || ' days') FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 800)
INSERT INTO product
SELECT i, printf('product %04d', i), substr('toolsfoodsbookstoys.music', 1 + 5 * (noise(i) % 5), 5), (100 + noise(i * 5) % 20000) / 100.0 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO sale
SELECT 1 + noise(i) % 60, 1 + noise(i * 2 + 1) % 800, date('2020-01-01', noise(i * 3) % 730 || ' days'),
  1 + noise(i * 5) % 9, (noise(i * 7) % 4) * 0.05 FROM n;
CREATE INDEX sale_product ON sale(product, day);
CREATE INDEX sale_shop ON sale(shop);
ANALYZE;

SELECT r.name AS region, p.category, count(*) AS sales, sum(s.quantity) AS pieces,
       round(sum(s.quantity * p.price * (1 - s.discount)), 2) AS revenue
FROM sale AS s JOIN shop ON shop.id = s.shop JOIN region AS r ON r.id = shop.region JOIN product AS p ON p.id = s.product
GROUP BY r.name, p.category HAVING sales > 100 ORDER BY revenue DESC;

SELECT strftime('%Y-%m', day) AS month, count(DISTINCT product) AS products, avg(quantity) AS mean, group_concat(DISTINCT shop % 7) AS groups
FROM sale WHERE day >= '2021-01-01' GROUP BY month ORDER BY month;

SELECT p.id, p.name, (SELECT max(day) FROM sale WHERE product = p.id) AS last_sale
FROM product AS p WHERE p.price > (SELECT avg(price) * 1.8 FROM product) AND EXISTS
  (SELECT 1 FROM sale WHERE product = p.id AND quantity = 9 AND discount > 0.1) ORDER BY p.price DESC, p.id LIMIT 25;

.mode digest
SELECT a.product, b.product, count(*) FROM sale AS a JOIN sale AS b ON a.shop = b.shop AND a.day = b.day AND a.product < b.product
WHERE a.day < '2020-03-01'
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 500;
SELECT id FROM product WHERE category = 'tools' UNION SELECT product FROM sale WHERE quantity = 1
  EXCEPT SELECT product FROM sale WHERE quantity = 7 AND day < '2020-03-01' ORDER BY 1;
SELECT id FROM product INTERSECT SELECT product FROM sale WHERE discount = 0 ORDER BY 1;
SELECT shop.id, t.pieces FROM shop LEFT JOIN (SELECT shop, sum(quantity) AS pieces FROM sale WHERE day LIKE '2020-1%' GROUP BY shop) AS t
  ON t.shop = shop.id ORDER BY t.pieces DESC, shop.id;
SELECT * FROM sale ORDER BY day, product, quantity DESC, shop LIMIT 4000;
WITH best AS (SELECT product, sum(quantity) AS pieces FROM sale GROUP BY product ORDER BY pieces DESC, product LIMIT 50)
SELECT p.name, best.pieces, CASE WHEN p.price < 20 THEN 'cheap' WHEN p.price < 100 THEN 'medium' ELSE 'dear' END
FROM best JOIN product AS p ON p.id = best.product ORDER BY best.pieces DESC, p.id;
