-- Many small writes: inserts, updates and deletes through indexes, triggers and foreign keys, in transactions.
.mode list
PRAGMA foreign_keys = ON;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, city TEXT, balance INTEGER NOT NULL DEFAULT 0);
CREATE TABLE purchase(
  id INTEGER PRIMARY KEY,
  customer INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE,
  amount INTEGER NOT NULL CHECK (amount > 0),
  state TEXT NOT NULL DEFAULT 'open');
CREATE INDEX purchase_customer ON purchase(customer, state);
CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT, customer INTEGER, amount INTEGER);
CREATE TRIGGER booked AFTER INSERT ON purchase BEGIN
  UPDATE customer SET balance = balance + new.amount WHERE id = new.customer;
  INSERT INTO log(what, customer, amount) VALUES ('booked', new.customer, new.amount);
END;
CREATE TRIGGER cancelled AFTER UPDATE OF state ON purchase WHEN new.state = 'cancelled' BEGIN
  UPDATE customer SET balance = balance - new.amount WHERE id = new.customer;
  INSERT INTO log(what, customer, amount) VALUES ('cancelled', new.customer, new.amount);
END;

BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
INSERT INTO customer(id, name, city)
SELECT i, printf('customer %05d', i), char(65 + noise(i) % 26) || substr('abcdefghijklm', 1 + noise(-i) % 9, 4) FROM n;
COMMIT;

BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
INSERT INTO purchase(customer, amount) SELECT 1 + noise(i) % 2000, 1 + noise(i * 7) % 500 FROM n;
UPDATE purchase SET state = 'paid' WHERE noise(id * 11) % 3 = 0;
UPDATE purchase SET state = 'cancelled' WHERE state = 'open' AND noise(id * 13) % 10 = 0;
COMMIT;

BEGIN;
INSERT INTO customer(id, name, city) VALUES (17, 'customer 00017', 'Moved') ON CONFLICT (id) DO UPDATE SET city = excluded.city;
INSERT OR IGNORE INTO customer(name, city) SELECT name, 'Nowhere' FROM customer WHERE id % 5 = 0;
REPLACE INTO log(id, what) SELECT id, 'archived' FROM log WHERE id % 4 = 0;
SAVEPOINT attempt;
DELETE FROM customer WHERE id % 3 = 0;
ROLLBACK TO attempt;
DELETE FROM customer WHERE id % 50 = 0;
COMMIT;

SELECT state, count(*), sum(amount), min(customer), max(customer) FROM purchase GROUP BY state ORDER BY state;
SELECT what, count(*), total(amount) FROM log GROUP BY what ORDER BY what;
SELECT id, name, city, balance FROM customer WHERE id IN (1, 17, 999, 1000, 2000) ORDER BY id;
SELECT count(*) FROM customer AS c WHERE balance <>
  coalesce((SELECT sum(amount) FROM purchase WHERE customer = c.id AND state <> 'cancelled'), 0);
CREATE TABLE copy AS SELECT * FROM purchase ORDER BY amount, id;
CREATE UNIQUE INDEX copy_id ON copy(id);
ANALYZE;
.mode digest
SELECT * FROM copy;
SELECT c.id, c.amount, p.state FROM copy AS c JOIN purchase AS p USING (id) WHERE c.amount BETWEEN 100 AND 200 ORDER BY c.id DESC;
