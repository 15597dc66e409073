-- Double-entry bookkeeping: postings checked by triggers, balances, statements of account.
.mode csv
CREATE TABLE account(id INTEGER PRIMARY KEY, name TEXT UNIQUE, kind TEXT, balance INTEGER NOT NULL DEFAULT 0);
CREATE TABLE posting(id INTEGER PRIMARY KEY, day TEXT, debit INTEGER NOT NULL, credit INTEGER NOT NULL, cents INTEGER NOT NULL, text TEXT);
CREATE INDEX posting_debit ON posting(debit, day);
CREATE INDEX posting_credit ON posting(credit, day);
CREATE TRIGGER post AFTER INSERT ON posting BEGIN
  SELECT raise(ABORT, 'debit and credit are the same account') WHERE new.debit = new.credit;
  UPDATE account SET balance = balance + new.cents WHERE id = new.debit;
  UPDATE account SET balance = balance - new.cents WHERE id = new.credit;
END;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
INSERT INTO account(id, name, kind) SELECT i, printf('%04d %s', 1000 + i * 7, slug('Account No ' || i)), iif(i % 3, 'assets', 'income') FROM n;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
INSERT INTO posting(day, debit, credit, cents, text)
SELECT date('2023-01-01', i / 80 || ' days'), 1 + noise(i) % 75, 76 + noise(i * 3) % 75, 100 + noise(i * 5) % 99900, 'receipt ' || noise(i * 7) % 5000 FROM n;
COMMIT;
SELECT sum(balance) AS must_be_zero FROM account;
SELECT kind, count(*) AS accounts, sum(balance) AS balance FROM account GROUP BY kind ORDER BY kind;
SELECT day, text, cents, sum(cents) OVER (ORDER BY day, id) AS running FROM (
  SELECT id, day, text, cents FROM posting WHERE debit = 12 UNION ALL SELECT id, day, text, -cents FROM posting WHERE credit = 12) ORDER BY day, id;
SELECT a.name, strftime('%m', p.day) AS month, count(*) AS postings, sum(p.cents) / 100.0 AS amount
FROM posting AS p JOIN account AS a ON a.id = p.credit WHERE p.day < '2023-07-01' GROUP BY a.id, month ORDER BY a.name, month;
SELECT x.text, count(*) AS times FROM posting AS x JOIN posting AS y ON y.debit = x.debit AND y.day = x.day AND y.id > x.id GROUP BY x.text ORDER BY 2 DESC, 1 LIMIT 20;
