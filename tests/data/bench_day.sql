-- What day number :day adds to bench.sql, and changes here and there.
INSERT INTO orders
    SELECT (SELECT max(id) FROM orders) + i, i::bigint * 31 % 997 + 1, 'paid', (i::bigint * 37 % 100000) / 100.0, 'day ' || :day, '2026-06-01'::timestamptz + :day * interval '1 day'
    FROM generate_series(1, (SELECT count(*) / 500 FROM orders)) i;
INSERT INTO events
    SELECT (SELECT max(id) FROM events) + i, '2026-06-01'::timestamptz + :day * interval '1 day' + i * interval '40 seconds',
           jsonb_build_object('kind', 'view', 'session', md5((:day * 1000003 + i / 20)::text), 'page', '/articles/' || i::bigint * 7919 % 5000, 'agent', 'Browser/' || i % 40)
    FROM generate_series(1, (SELECT count(*) / 300 FROM events)) i;
UPDATE customers SET seen = '2026-06-01'::timestamptz + :day * interval '1 day' WHERE id % 300 = :day;
UPDATE orders SET state = 'sent' WHERE id % 500 = :day;
DELETE FROM events WHERE id % 400 = :day;
