-- A day of use: one user in twenty logs in, the newest hundredth of the submissions is graded, new submissions and messages come.
UPDATE users SET last_login = '2026-02-02'::timestamptz + id * interval '1 second' WHERE id % 20 = 7;
UPDATE submissions SET result = 'passed', points = 100 WHERE id > 148500;
INSERT INTO submissions (author, task, code, at)
    SELECT i % 20000 + 1, 61, 'print("' || md5((i * 11)::text) || '")', '2026-02-02'::timestamptz + i * interval '50 seconds'
    FROM generate_series(1, 1500) i;
INSERT INTO messages (sender, body, at)
    SELECT i % 20000 + 1, 'New: ' || md5((i * 13)::text), '2026-02-02'::timestamptz + i * interval '50 seconds'
    FROM generate_series(1, 1500) i;
REFRESH MATERIALIZED VIEW leaderboard;
