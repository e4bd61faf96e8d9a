# database.bash: a PostgreSQL for a file of tests, and in it a database for each test that wants one. Loads common.bash.
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and that is meant
load ../lib/common.bash

setup_file() {
    start_postgres
    query postgres "CREATE ROLE app LOGIN"
}

teardown_file() {
    stop_postgres
}

# A database of this test, as a source beside the two of common.bash.
with_database() {
    DB="db$BATS_TEST_NUMBER"
    query postgres "CREATE DATABASE $DB OWNER app"
    query "$DB" "CREATE TABLE users(id int PRIMARY KEY, name text NOT NULL);
        INSERT INTO users SELECT i, 'user ' || i FROM generate_series(1, 500) i;
        CREATE TABLE orders(id bigserial PRIMARY KEY, who int REFERENCES users, what jsonb);
        INSERT INTO orders(who, what) SELECT 1 + i % 500, jsonb_build_object('n', i) FROM generate_series(1, 1000) i;
        ALTER TABLE users OWNER TO app; GRANT SELECT ON orders TO app;
        CREATE INDEX orders_who ON orders(who)"
    cat >>"$T/lifeboat.conf" <<CONF
[source db]
type = postgres
connection = host=$PGHOST user=postgres dbname=$DB
[drill]
CONF
}
