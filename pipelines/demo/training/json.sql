-- JSON: building documents, taking them apart, changing them, and the binary form.
.mode json
CREATE TABLE event(id INTEGER PRIMARY KEY, doc TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16000)
INSERT INTO event SELECT i, json_object(
  'id', i, 'kind', substr('openreadsavequit', 1 + 4 * (noise(i) % 4), 4), 'user', json_object('id', noise(i * 3) % 300, 'admin', json(iif(noise(i * 5) % 9 = 0, 'true', 'false'))),
  'tags', json_array(noise(i) % 10, 'tag ' || (noise(i * 7) % 25), null), 'size', (noise(i * 11) % 100000) / 8.0, 'note', 'line "' || i || '"' || char(10) || 'ünd') FROM n;
CREATE INDEX event_kind ON event(doc ->> '$.kind');

SELECT doc ->> '$.kind' AS kind, count(*) AS events, sum(doc ->> '$.size') AS size, max(doc ->> '$.user.id') AS user
FROM event GROUP BY 1 ORDER BY 1;
SELECT tag.value AS tag, count(*) AS events FROM event, json_each(event.doc, '$.tags') AS tag WHERE tag.type = 'text' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10;
SELECT id, json_extract(doc, '$.tags[0]', '$.user.admin', '$.note') AS parts FROM event WHERE doc ->> '$.kind' = 'save' AND id < 60 ORDER BY id;
SELECT tree.type, tree.fullkey, count(*) AS times FROM event, json_tree(event.doc) AS tree WHERE event.id % 10 = 0 GROUP BY 1, 2 ORDER BY 2, 1;

.mode digest
UPDATE event SET doc = json_set(doc, '$.seen', json('true'), '$.tags[#]', 'late') WHERE id % 3 = 0;
UPDATE event SET doc = json_remove(json_replace(doc, '$.size', 0), '$.note') WHERE id % 7 = 0;
UPDATE event SET doc = json_patch(doc, '{"user": {"admin": null, "group": [1, {"a": 2}]}}') WHERE id % 5 = 0;
SELECT id, doc FROM event ORDER BY id;
SELECT id, hex(jsonb(doc)) FROM event WHERE id % 20 = 0 ORDER BY id;
SELECT doc ->> '$.user.id' AS user, json_group_array(json_object('id', id, 'size', doc -> '$.size')) FROM (SELECT * FROM event ORDER BY id) GROUP BY 1 ORDER BY 1;
SELECT count(*), sum(json_valid(doc)), sum(json_array_length(doc, '$.tags')), sum(json_valid(substr(doc, 2))) FROM event;
.mode json
SELECT id, doc, doc -> '$.tags' AS tags FROM event WHERE id % 40 = 1 ORDER BY id;
