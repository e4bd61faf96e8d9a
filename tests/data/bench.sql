-- A shop after some years, of about :mb MiB as a dump: customers, orders with their lines, events as JSON, scanned papers. Repeatable.
SELECT setseed(0.42);
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL, city text, created timestamptz NOT NULL, seen timestamptz);
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer bigint NOT NULL, state text NOT NULL, total numeric(10, 2) NOT NULL, note text, at timestamptz NOT NULL);
CREATE TABLE lines (order_id bigint NOT NULL, position int NOT NULL, article text NOT NULL, quantity int NOT NULL, price numeric(8, 2) NOT NULL);
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, body jsonb NOT NULL);
CREATE TABLE papers (id bigint PRIMARY KEY, bytes bytea NOT NULL);
INSERT INTO customers
    SELECT i, 'customer' || i || '@example.org', (ARRAY['Ada', 'Ben', 'Cem', 'Dora', 'Eva'])[1 + i % 5] || ' ' || md5(i::text), 'City ' || i::bigint * 7919 % 211,
           '2023-01-01'::timestamptz + i * interval '11 minutes', '2026-01-01'::timestamptz + i::bigint * 7919 % 86400 * interval '1 second'
    FROM generate_series(1, :mb * 400) i;
INSERT INTO orders
    SELECT i, i::bigint * 31 % (:mb * 400) + 1, (ARRAY['paid', 'sent', 'returned'])[1 + i % 3], (i::bigint * 37 % 100000) / 100.0,
           CASE WHEN i % 7 = 0 THEN 'please leave it at the ' || md5((i % 50)::text) END, '2024-01-01'::timestamptz + i * interval '3 minutes'
    FROM generate_series(1, :mb * 1500) i;
INSERT INTO lines
    SELECT i / 3, i % 3, 'A-' || i::bigint * 7919 % 5000, 1 + i % 4, (i::bigint * 13 % 10000) / 100.0 FROM generate_series(1, :mb * 4500) i;
INSERT INTO events
    SELECT i, '2025-01-01'::timestamptz + i * interval '40 seconds',
           jsonb_build_object('kind', (ARRAY['view', 'click', 'buy'])[1 + i % 3], 'session', md5((i / 20)::text), 'page', '/articles/' || i::bigint * 7919 % 5000,
                              'agent', 'Browser/' || i % 40)
    FROM generate_series(1, :mb * 1500) i;
INSERT INTO papers
    SELECT i, string_agg(sha512((i || '/' || k)::bytea), ''::bytea) FROM generate_series(1, :mb * 2) i, generate_series(1, 1000) k GROUP BY i;
ALTER TABLE lines ADD PRIMARY KEY (order_id, position);
CREATE INDEX ON orders (customer);
CREATE INDEX ON events (at);
VACUUM ANALYZE;
