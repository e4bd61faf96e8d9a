-- A tutoring site after a year: courses, users, submissions with code, messages. Repeatable.
SELECT setseed(0.42);
CREATE EXTENSION pg_trgm;
CREATE TYPE grade AS ENUM ('open', 'passed', 'failed');
CREATE TABLE courses (id int PRIMARY KEY, title text NOT NULL, outline jsonb NOT NULL);
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL,
    course int REFERENCES courses, created timestamptz NOT NULL, last_login timestamptz);
CREATE TABLE submissions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, author bigint NOT NULL REFERENCES users, task int NOT NULL,
    code text NOT NULL, result grade NOT NULL DEFAULT 'open', points numeric(5, 2), at timestamptz NOT NULL);
CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY, sender bigint NOT NULL, body text NOT NULL, at timestamptz NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE messages_2025 PARTITION OF messages FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE messages_2026 PARTITION OF messages FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO courses SELECT i, 'Course ' || i, jsonb_build_object('weeks', i % 12 + 1, 'topics', array_agg(md5(i::text || t)))
    FROM generate_series(1, 40) i, generate_series(1, 20) t GROUP BY i;
INSERT INTO users (email, name, course, created, last_login)
    SELECT 'user' || i || '@example.org', 'Student ' || md5(i::text), i % 40 + 1,
           '2025-03-01'::timestamptz + i * interval '37 seconds', '2026-02-01'::timestamptz + (i * 7919 % 86400) * interval '1 second'
    FROM generate_series(1, 20000) i;
INSERT INTO submissions (author, task, code, result, points, at)
    SELECT i % 20000 + 1, i % 60, 'def solve_' || i % 60 || '(n):' || E'\n    # ' || repeat(md5(i::text) || ' ', 1 + i % 5)
           || E'\n    return ' || i % 997 || E' * n\n',
           (ARRAY['open', 'passed', 'failed'])[1 + i % 3]::grade, i % 1000 / 10.0, '2025-06-01'::timestamptz + i * interval '2 minutes'
    FROM generate_series(1, 150000) i;
INSERT INTO messages (sender, body, at)
    SELECT i % 20000 + 1, 'Re: ' || md5((i * 3)::text) || ' ' || md5((i * 5)::text), '2025-02-01'::timestamptz + i * interval '4 minutes'
    FROM generate_series(1, 150000) i;
CREATE INDEX ON submissions (author, task);
CREATE INDEX ON messages USING gin (body gin_trgm_ops);
CREATE MATERIALIZED VIEW leaderboard AS SELECT author, sum(points) AS points FROM submissions GROUP BY author;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_row ON users TO app USING (email = current_user);
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO app;
SELECT lo_from_bytea(0, decode(repeat('c0ffee', 50000), 'hex'));
COMMENT ON TABLE submissions IS 'what students handed in';
