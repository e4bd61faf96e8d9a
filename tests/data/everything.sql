-- everything.sql - a database with what PostgreSQL 15 offers, named as unpleasantly as it allows. Run by psql as a
-- superuser in an empty UTF8 database; roles lb_* are made when they are missing. What PostgreSQL itself does not
-- spell the same way after a restore (see docs/fingerprint.md) stands at the end, under "respelled".
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = error;
SELECT 'CREATE ROLE ' || quote_ident(r) AS make
  FROM unnest(ARRAY['lb_owner', 'lb_reader', 'lb "quoted" rôle', 'lb_Grantor']) r
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) \gexec
GRANT lb_reader TO lb_owner;

-- ---- the database itself ----
SELECT format('ALTER DATABASE %I SET search_path = public, "odd schema"', current_database()) \gexec
SELECT format('ALTER DATABASE %I SET timezone = %L', current_database(), 'Asia/Kathmandu') \gexec
SELECT format('ALTER DATABASE %I SET bytea_output = escape', current_database()) \gexec
SELECT format('ALTER DATABASE %I SET quote_all_identifiers = on', current_database()) \gexec
SELECT format('ALTER DATABASE %I SET "my.setting" = %L', current_database(), E'it''s "ALTER DATABASE x"; \\ -- no') \gexec
SELECT format('ALTER ROLE lb_reader IN DATABASE %I SET work_mem = %L', current_database(), '8MB') \gexec
SELECT format('COMMENT ON DATABASE %I IS %L', current_database(), E'The "database" of everything;\nON DATABASE, too: ü') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO lb_reader WITH GRANT OPTION', current_database()) \gexec
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('ALTER DATABASE %I CONNECTION LIMIT 50', current_database()) \gexec
SET search_path = public;

-- ---- extensions ----
CREATE SCHEMA ext;
CREATE EXTENSION pg_trgm SCHEMA ext;
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE EXTENSION ltree;
CREATE EXTENSION btree_gist;
CREATE EXTENSION btree_gin;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION pgcrypto;
CREATE EXTENSION cube;
CREATE EXTENSION earthdistance;
CREATE EXTENSION intarray;
CREATE EXTENSION isn;
CREATE EXTENSION lo;
CREATE EXTENSION seg;
CREATE EXTENSION tablefunc;
CREATE EXTENSION unaccent;
CREATE EXTENSION bloom;
COMMENT ON EXTENSION hstore IS 'comment of our own';

-- ---- schemas and names ----
CREATE SCHEMA "odd schema" AUTHORIZATION lb_owner;
CREATE SCHEMA "SELECT";
CREATE SCHEMA "ünï ☃ 🚢";
CREATE SCHEMA "new
line";
CREATE SCHEMA "DATA";
COMMENT ON SCHEMA "new
line" IS E'with\ttab, \\ and ''quote''';
CREATE TABLE "odd schema"."a ""table"", with; everything' \ $$ -- /*" (
    "id ""x""" int PRIMARY KEY,
    "select" text DEFAULT E'it''s \\ "x"',
    "tab	col" text,
    "line
col" text,
    "," text,
    "(" text,
    ")" text,
    "é" text) WITH (fillfactor = 70);

INSERT INTO "odd schema"."a ""table"", with; everything' \ $$ -- /*"
VALUES (1, DEFAULT, E'\t', E'\n', '\N', '\.', '', NULL), (2, NULL, E'\\N', E'\\.', E'\r\n', E'\\', ' ', 'é☃🚢'),
       (3, '', '', '', '', '', '', '');
CREATE TABLE "new
line"."new
line" ("new
line" text);
INSERT INTO "new
line"."new
line" VALUES (E'a\nb');
CREATE TABLE "SELECT"."table" ("from" int, "where" int, "Upper" int, lower int);
INSERT INTO "SELECT"."table" SELECT i, -i, i * i, NULL FROM generate_series(1, 100) i;
CREATE TABLE "ünï ☃ 🚢"."Ünïcödé" ("Größe" int, "名前" text);
INSERT INTO "ünï ☃ 🚢"."Ünïcödé" VALUES (1, '日本語'), (2, 'العربية'), (3, U&'e\0301');
CREATE TABLE "DATA"."x y" (i int);
INSERT INTO "DATA"."x y" VALUES (1);
CREATE TABLE "DATA".x (i int);
CREATE TABLE public."aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" (
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" int);
CREATE TABLE public."a.b" (i int);
CREATE TABLE public."%s%n%d" ("%i" int);
CREATE TABLE public."\connect x" (i int);
COMMENT ON TABLE public."\connect x" IS E'\n\\! touch /tmp/never\n';

-- ---- types ----
CREATE TYPE mood AS ENUM ('sad', 'o''k', 'happy "y"', '☃', '');
CREATE TYPE "odd schema"."point, 3d" AS (x double precision, "y y" numeric(10, 3), z text COLLATE "C");
CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = float_ranges);
CREATE DOMAIN positive AS int NOT NULL DEFAULT 1 CONSTRAINT "is > 0" CHECK (VALUE > 0);
CREATE DOMAIN postal AS text CHECK (VALUE ~ '^\d{5}$');
CREATE DOMAIN moods AS mood[] CHECK (array_length(VALUE, 1) < 10);
ALTER DOMAIN postal ADD CONSTRAINT later CHECK (VALUE <> '00000') NOT VALID;
CREATE TYPE shell;
COMMENT ON TYPE mood IS 'how it feels';
GRANT USAGE ON TYPE mood TO lb_reader;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
CREATE TYPE complex;
CREATE FUNCTION complex_in(cstring) RETURNS complex LANGUAGE internal IMMUTABLE STRICT AS 'int8in';
CREATE FUNCTION complex_out(complex) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int8out';
CREATE TYPE complex (INPUT = complex_in, OUTPUT = complex_out, LIKE = int8);

-- ---- every type of value ----
CREATE TABLE all_values (
    id bigserial PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, n numeric, f4 float4, f8 float8, m money,
    c char(10), v varchar(20), t text, n1 "char", na name, by bytea, ts timestamp, tz timestamptz, d date, ti time,
    tt timetz, iv interval, u uuid, j json, jb jsonb, x xml, ip inet, ci cidr, ma macaddr, ma8 macaddr8, bi bit(5),
    vb varbit, p point, l line, ls lseg, bx box, pa path, po polygon, ci2 circle, ir int4range, nr nummultirange,
    fr float_range, tsv tsvector, tsq tsquery, o oid, rc regclass, rr regrole, rp regprocedure, lsn pg_lsn, e mood,
    es mood[], cp "odd schema"."point, 3d", ca "odd schema"."point, 3d"[], hs hstore, ct citext, lt ltree, pos positive,
    zip postal, a2 int[][], at text[], ab bytea[], dr daterange[], co complex, snap pg_snapshot, jp jsonpath);
INSERT INTO all_values (b) VALUES (NULL);
INSERT INTO all_values VALUES (
    DEFAULT, true, -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', 'Infinity', -92233720368547758.08,
    'x', '', E'\\ \t \n \r \b \f \v \x01 \x7f', '☃', 'nämé',
    (SELECT string_agg(set_byte('\x00', 0, i), '' ORDER BY i) FROM generate_series(0, 255) i), '-infinity', 'infinity',
    '4713-01-01 BC', '24:00:00', '23:59:59.999999-15:59', '-1 year 2 mons -3 days 04:05:06.789',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" : [1,  2], "a": null}', '{"b": 1e-400, "a": "\u2603 \\ \""}',
    '<a b="c">&amp;</a>', '::ffff:1.2.3.4/128', '10.1.0.0/16', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'',
    '(1,-2.5e300)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),1>',
    '(,5]', '{[1,2),(3,)}', 'empty', $$'it''s':1A fat:2,3$$, $$'fat' & ( 'cat' | !'rat':* )$$, 4294967295, 'all_values',
    'lb_owner', 'lower(text)', 'FFFFFFFF/FFFFFFFF', '', ARRAY['sad', NULL, 'o''k']::mood[],
    ROW(1e-300, 1.005, E'a,"b"\\')::"odd schema"."point, 3d", ARRAY[ROW(1, NULL, '')::"odd schema"."point, 3d", NULL],
    'a=>NULL, "b c"=>"\"\\"', 'CiTeXt', 'Top.Science.Astronomy', 5, '12345', '{{1,2},{3,NULL}}',
    ARRAY['NULL', NULL, '', ' ', '"', '\', '{}', ',', '☃'], ARRAY['\x00ff'::bytea, NULL],
    ARRAY['[2000-01-01,2000-02-01)'::daterange, 'empty'], '42', '10:20:10,14,15', '$."a"[*] ? (@ > 1)');
INSERT INTO all_values (f8, f4, n) VALUES
    (5e-324, 1e-45, 0.000000000000000000000000000000000000000000001), (1.7976931348623157e308, 3.4028235e38, 1e1000),
    (-0.0, -0.0, 12345678901234567890.12345678901234567890), (0.1 + 0.2, 0.1, 'Infinity');
INSERT INTO all_values (tz, ts) SELECT '1900-01-01 00:00:00+00'::timestamptz + i * '1 year 1 mon 1 day 1 hour 1 second'::interval,
    '0001-01-01 BC'::timestamp + i * '11 years'::interval FROM generate_series(0, 200) i;
-- out of line, compressed and not
CREATE TABLE toasted (id int PRIMARY KEY, t text, plain text, b bytea COMPRESSION pglz, n numeric);

ALTER TABLE toasted ALTER plain SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat('line ' || i || E'\n', 20000), repeat(md5(i::text), 5000),
    decode(repeat(md5(i::text), 3000), 'hex'), (repeat('9', 20000))::numeric FROM generate_series(1, 5) i;
UPDATE toasted SET plain = NULL WHERE id = 3;
CREATE TABLE wide ();
SELECT 'ALTER TABLE wide ' || string_agg(format('ADD c%s %s', i, (ARRAY['int', 'text', 'bool'])[i % 3 + 1]), ', ')
  FROM generate_series(1, 1600) i \gexec
INSERT INTO wide (c3, c1599, c2) VALUES (3, 1599, false), (NULL, NULL, NULL);
ALTER TABLE wide DROP c5, DROP c6;

-- ---- tables of every kind ----
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns SELECT FROM generate_series(1, 4);
CREATE TABLE empty (i int);
CREATE UNLOGGED TABLE not_logged (i int PRIMARY KEY);
INSERT INTO not_logged VALUES (1), (2);
CREATE TABLE dropped_columns (a int, b text, c int, d text);
INSERT INTO dropped_columns SELECT i, 'x', i, 'y' || i FROM generate_series(1, 50) i;
ALTER TABLE dropped_columns DROP b, ADD e int DEFAULT 7, ADD f timestamptz DEFAULT '2020-01-01 00:00:00+00';
ALTER TABLE dropped_columns ALTER a SET STATISTICS 500, ALTER d SET (n_distinct = -0.5),
    SET (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE churned (id int PRIMARY KEY, filler text);
INSERT INTO churned SELECT i, repeat('x', i % 400) FROM generate_series(1, 3000) i;
UPDATE churned SET filler = repeat('y', (id * 7) % 500) WHERE id % 3 = 0;
DELETE FROM churned WHERE id % 7 = 0;
CREATE TYPE of_type AS (a int, b text);
CREATE TABLE typed OF of_type (a WITH OPTIONS PRIMARY KEY DEFAULT 3, b NOT NULL);
INSERT INTO typed VALUES (1, 'one');
CREATE TABLE generated (
    id int GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT -5 MINVALUE -1000 MAXVALUE 1000 CYCLE) PRIMARY KEY,
    other bigint GENERATED BY DEFAULT AS IDENTITY, w numeric, h numeric,
    area numeric GENERATED ALWAYS AS (w * h) STORED, label text GENERATED ALWAYS AS ('<' || w::text || '>') STORED);
INSERT INTO generated (w, h) SELECT i, i + 0.5 FROM generate_series(1, 30) i;
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE other_method (i int) USING heap2;
INSERT INTO other_method VALUES (1);

-- inheritance, with columns that came late
CREATE TABLE parent (a int, b text NOT NULL, CHECK (a > 0) NO INHERIT, CONSTRAINT "both" CHECK (b <> 'forbidden'));
CREATE TABLE second_parent (z int DEFAULT 9);
CREATE TABLE child (c int) INHERITS (parent);
CREATE TABLE grandchild (d int, a int DEFAULT 5) INHERITS (child, second_parent);
ALTER TABLE parent ADD late timestamptz DEFAULT '2001-02-03 04:05:06+00', ADD "late, too" int;
INSERT INTO parent VALUES (1, 'p');
INSERT INTO child VALUES (2, 'c', 3);
INSERT INTO grandchild (a, b, c, d, z) VALUES (4, 'g', 5, 6, 7);
ALTER TABLE child ALTER b SET DEFAULT 'of the child', NO INHERIT parent;
ALTER TABLE child INHERIT parent;

-- partitions: range, list, hash, of an enum, sub-partitions, default, attached with other column order, detached
CREATE TABLE measured (at timestamptz NOT NULL, kind mood, v float8, PRIMARY KEY (at, kind)) PARTITION BY RANGE (at);
CREATE TABLE measured_2020 PARTITION OF measured FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2021-01-01 00:00+00');
CREATE TABLE measured_2021 PARTITION OF measured FOR VALUES FROM ('2021-01-01 00:00+00') TO ('2022-01-01 00:00+00')
    PARTITION BY LIST (kind);
CREATE TABLE measured_2021_sad PARTITION OF measured_2021 FOR VALUES IN ('sad', 'o''k');
CREATE TABLE "measured 2021 rest" PARTITION OF measured_2021 DEFAULT;
CREATE TABLE measured_rest PARTITION OF measured DEFAULT;
CREATE TABLE measured_early (v float8, gone int, kind mood NOT NULL, at timestamptz NOT NULL);
ALTER TABLE measured_early DROP gone;
ALTER TABLE measured ATTACH PARTITION measured_early FOR VALUES FROM (MINVALUE) TO ('2020-01-01 00:00+00');
CREATE INDEX ON measured (v) WHERE v > 0;
CREATE INDEX measured_only ON ONLY measured (kind);
INSERT INTO measured SELECT '2019-06-01 00:00+00'::timestamptz + i * interval '11 days',
    (enum_range(NULL::mood))[i % 5 + 1], i FROM generate_series(1, 120) i;
CREATE TABLE hashed (m mood, i int) PARTITION BY HASH (m);
SELECT format('CREATE TABLE hashed_%s PARTITION OF hashed FOR VALUES WITH (MODULUS 4, REMAINDER %s)', i, i)
  FROM generate_series(0, 3) i \gexec
INSERT INTO hashed SELECT (enum_range(NULL::mood))[i % 5 + 1], i FROM generate_series(1, 200) i;
CREATE TABLE by_expression (t text) PARTITION BY LIST (lower(t));
CREATE TABLE by_expression_a PARTITION OF by_expression FOR VALUES IN ('a', NULL);
INSERT INTO by_expression VALUES ('A'), ('a'), (NULL);

-- ---- constraints ----
CREATE TABLE "Customers" (id serial PRIMARY KEY, email citext UNIQUE, boss int REFERENCES "Customers" DEFERRABLE);
CREATE TABLE orders (
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY, customer int NOT NULL, during tstzrange, room int,
    CONSTRAINT "customer fk" FOREIGN KEY (customer) REFERENCES "Customers" ON UPDATE CASCADE ON DELETE SET NULL
        DEFERRABLE INITIALLY DEFERRED,
    EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0),
    UNIQUE NULLS NOT DISTINCT (customer, room, during) INCLUDE (id) DEFERRABLE);
INSERT INTO "Customers" VALUES (1, 'A@x', 2), (2, 'b@x', 1), (10, NULL, NULL);
INSERT INTO orders VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1, '[2020-01-01 00:00+00, 2020-01-02 00:00+00)', 5),
    ('b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 2, NULL, NULL);
CREATE TABLE circle_a (id int PRIMARY KEY, b int);
CREATE TABLE circle_b (id int PRIMARY KEY, a int REFERENCES circle_a);
ALTER TABLE circle_a ADD FOREIGN KEY (b) REFERENCES circle_b MATCH FULL;
INSERT INTO circle_a VALUES (1, NULL);
INSERT INTO circle_b VALUES (1, 1);
UPDATE circle_a SET b = 1;
CREATE TABLE violating (i int, c int);
INSERT INTO violating VALUES (-1, 99);
ALTER TABLE violating ADD CONSTRAINT not_yet CHECK (i > 0) NOT VALID,
    ADD FOREIGN KEY (c) REFERENCES "Customers" NOT VALID;
CREATE TABLE to_partitioned (at timestamptz, kind mood, FOREIGN KEY (at, kind) REFERENCES measured);
CREATE TABLE some_set_null (a int, b int, FOREIGN KEY (a) REFERENCES "Customers" ON DELETE SET NULL (a));

-- ---- indexes, statistics, clustering, replica identity ----
CREATE INDEX trigrams ON "Customers" USING gin ((email::text) ext.gin_trgm_ops);
CREATE UNIQUE INDEX "expr ""index""" ON churned ((id % 5000), (lower(filler)) DESC NULLS LAST) WITH (fillfactor = 60);
CREATE INDEX brin_index ON churned USING brin (id) WITH (pages_per_range = 4, autosummarize = on);
CREATE INDEX hash_index ON churned USING hash (id);
CREATE INDEX spgist_index ON all_values USING spgist (p);
CREATE INDEX collated ON toasted (substr(t, 1, 10) COLLATE "C" text_pattern_ops);
CREATE INDEX blooming ON churned USING bloom (id) WITH (length = 64);
CREATE INDEX covering ON dropped_columns (a) INCLUDE (c, d);
ALTER INDEX "expr ""index""" ALTER COLUMN 1 SET STATISTICS 400;
CREATE STATISTICS "ext stats" (ndistinct, dependencies, mcv) ON a, c FROM dropped_columns;
CREATE STATISTICS expr_stats ON (a + c), (lower(d)) FROM dropped_columns;
ALTER STATISTICS expr_stats SET STATISTICS 123;
ALTER TABLE churned CLUSTER ON churned_pkey;
ALTER TABLE churned REPLICA IDENTITY FULL;
ALTER TABLE circle_a REPLICA IDENTITY USING INDEX circle_a_pkey;
ALTER TABLE circle_b REPLICA IDENTITY NOTHING;

-- ---- functions, procedures, aggregates, operators, casts ----
CREATE FUNCTION add(a int, b int DEFAULT 2 + 3) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 7
    RETURN a + b;
CREATE FUNCTION "odd schema"."f ""x"""(IN a anyelement, OUT b anyelement, OUT c text) LANGUAGE plpgsql STRICT AS
$body$ BEGIN b := a; c := $q$it's \ $1 $$ $q$; END $body$ SET search_path = "odd schema", public SET work_mem = '5MB';
CREATE FUNCTION rows_of(n int) RETURNS TABLE (i int, "t t" text) LANGUAGE sql ROWS 17 SECURITY DEFINER LEAKPROOF AS
'SELECT g, ''x'' FROM generate_series(1, n) g';
CREATE FUNCTION variadics(VARIADIC "all" text[]) RETURNS int LANGUAGE sql AS 'SELECT cardinality($1)';
CREATE PROCEDURE doing(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN x := x + 1; COMMIT; END $$;
CREATE PROCEDURE atomic() BEGIN ATOMIC INSERT INTO empty VALUES (1); DELETE FROM empty; END;
CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1', COMBINEFUNC = numeric_mul,
    PARALLEL = safe);
CREATE AGGREGATE my_rank(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi,
    STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
CREATE AGGREGATE moving(int) (SFUNC = int4pl, STYPE = int, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int);
CREATE OPERATOR "odd schema".### (LEFTARG = int, RIGHTARG = int, FUNCTION = add, COMMUTATOR = OPERATOR("odd schema".###));
CREATE OPERATOR |*| (RIGHTARG = int, FUNCTION = int4abs);
CREATE FUNCTION mood_of(int) RETURNS mood LANGUAGE sql IMMUTABLE AS $$ SELECT (enum_range(NULL::mood))[$1] $$;
CREATE CAST (int AS mood) WITH FUNCTION mood_of(int) AS ASSIGNMENT;
CREATE CAST (complex AS bigint) WITHOUT FUNCTION;
CREATE CAST (mood AS json) WITH INOUT;
CREATE FUNCTION back_compare(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
CREATE OPERATOR FAMILY back USING btree;
CREATE OPERATOR CLASS backwards FOR TYPE int USING btree FAMILY back AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 back_compare(int, int);
CREATE INDEX with_class ON dropped_columns (c backwards);
CREATE FUNCTION my_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION my_inline(internal) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE TRUSTED LANGUAGE my_lang HANDLER my_handler INLINE my_inline;
CREATE FUNCTION in_my_lang() RETURNS int LANGUAGE my_lang AS 'BEGIN RETURN 1; END';
CREATE TRANSFORM FOR mood LANGUAGE my_lang (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE COLLATION "odd schema"."german, phone" (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION nd (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION copied FROM "C";
CREATE TABLE collated_table (a text COLLATE "odd schema"."german, phone", b text COLLATE nd PRIMARY KEY);
INSERT INTO collated_table VALUES ('Äpfel', 'x'), ('Apfel', 'Y');
CREATE CONVERSION my_conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH CONFIGURATION my_search (COPY = simple);
CREATE TEXT SEARCH DICTIONARY my_dict (TEMPLATE = snowball, language = 'english', stopwords = 'english');
CREATE TEXT SEARCH DICTIONARY "simple 'dict" (TEMPLATE = pg_catalog.simple, accept = false);
ALTER TEXT SEARCH CONFIGURATION my_search ALTER MAPPING FOR asciiword WITH my_dict, "simple 'dict", simple;
CREATE TEXT SEARCH PARSER my_parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
    LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE my_template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE INDEX searching ON toasted USING gin (to_tsvector('public.my_search', substr(t, 1, 100)));

-- ---- sequences in odd states ----
CREATE SEQUENCE never_called AS smallint START 5;
CREATE SEQUENCE at_end MAXVALUE 3 CYCLE;
SELECT nextval('at_end') FROM generate_series(1, 3) \g /dev/null
CREATE SEQUENCE set_not_called INCREMENT 10 CACHE 20;
SELECT setval('set_not_called', 77, false) \g /dev/null
CREATE SEQUENCE "Down ""hill""" INCREMENT -1 MINVALUE -9223372036854775808 START -9223372036854775807;
SELECT nextval('"Down ""hill"""') FROM generate_series(1, 2) \g /dev/null
CREATE UNLOGGED SEQUENCE unlogged_seq;
CREATE SEQUENCE owned_elsewhere OWNED BY churned.id;

-- ---- views, materialized views on materialized views, rules ----
CREATE VIEW "a view" WITH (security_barrier, security_invoker = true) AS SELECT id, filler AS "the filler" FROM churned WHERE id < 100
    WITH LOCAL CHECK OPTION;
CREATE VIEW over_view AS SELECT v.*, row_number() OVER (PARTITION BY id % 3 ORDER BY id) FROM "a view" v;
CREATE RECURSIVE VIEW counting(n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 10;
CREATE VIEW two_way_1 AS SELECT 1 AS x;
CREATE VIEW two_way_2 AS SELECT x FROM two_way_1;
CREATE OR REPLACE VIEW two_way_1 AS SELECT 1 AS x WHERE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'nothing');
CREATE VIEW grouped AS SELECT id, filler, count(*) FROM churned GROUP BY id;
CREATE MATERIALIZED VIEW z_base AS SELECT kind, count(*) AS n, sum(v) AS s FROM measured GROUP BY kind;
CREATE UNIQUE INDEX ON z_base (kind);
CREATE MATERIALIZED VIEW a_on_top WITH (fillfactor = 50) AS SELECT kind, n * 2 AS n2 FROM z_base;
CREATE MATERIALIZED VIEW "m on top" AS SELECT count(*) FROM a_on_top, over_view;
CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS one WITH NO DATA;
CREATE RULE "rule ""r""" AS ON INSERT TO empty WHERE new.i < 0 DO INSTEAD (INSERT INTO violating VALUES (new.i, 0); DELETE FROM violating WHERE false);
CREATE RULE notifying AS ON UPDATE TO empty DO ALSO NOTIFY "odd channel";
CREATE RULE off AS ON DELETE TO empty DO INSTEAD NOTHING;
ALTER TABLE empty DISABLE RULE off;
CREATE RULE on_view AS ON UPDATE TO "a view" DO ALSO SELECT 1;

-- ---- triggers ----
CREATE FUNCTION trigger_function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER "t ""1""" AFTER INSERT OR UPDATE OF filler OR DELETE ON churned FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION trigger_function('a''b', '\', E'\n');
CREATE TRIGGER disabled AFTER TRUNCATE ON churned EXECUTE FUNCTION trigger_function();
CREATE TRIGGER always AFTER INSERT ON churned REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION trigger_function();
CREATE TRIGGER on_replica AFTER UPDATE ON churned EXECUTE FUNCTION trigger_function();
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON orders FROM "Customers" DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION trigger_function();
CREATE TRIGGER on_parent AFTER INSERT ON measured FOR EACH ROW EXECUTE FUNCTION trigger_function();
CREATE TRIGGER on_view INSTEAD OF INSERT ON "a view" FOR EACH ROW EXECUTE FUNCTION trigger_function();
ALTER TABLE churned DISABLE TRIGGER disabled, ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER on_replica;
ALTER TABLE measured_2020 DISABLE TRIGGER on_parent;
CREATE FUNCTION event_function() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER "event ""t""" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION event_function();
CREATE EVENT TRIGGER rewriting ON table_rewrite EXECUTE FUNCTION event_function();
ALTER EVENT TRIGGER rewriting DISABLE;
CREATE EVENT TRIGGER always_drop ON sql_drop EXECUTE FUNCTION event_function();
ALTER EVENT TRIGGER always_drop ENABLE ALWAYS;

-- ---- row level security ----
ALTER TABLE churned ENABLE ROW LEVEL SECURITY;
ALTER TABLE toasted ENABLE ROW LEVEL SECURITY;
ALTER TABLE toasted FORCE ROW LEVEL SECURITY;
CREATE POLICY "p ""1""" ON churned AS RESTRICTIVE FOR SELECT TO lb_reader USING (id < 10);
CREATE POLICY p2 ON churned FOR ALL TO PUBLIC USING (id > 0) WITH CHECK (EXISTS (SELECT FROM "Customers" c WHERE c.id = churned.id));
CREATE POLICY none ON toasted USING (false);

-- ---- foreign data ----
CREATE FOREIGN DATA WRAPPER dummy OPTIONS (debug 'true');
CREATE SERVER "far ""away""" TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '192.0.2.1', dbname 'it''s');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE USER MAPPING FOR lb_owner SERVER "far ""away""" OPTIONS (user 'me', password 'se''cret \ "x"');
CREATE USER MAPPING FOR PUBLIC SERVER files;
CREATE FOREIGN TABLE far_table (a int OPTIONS (column_name 'A a') NOT NULL, b text) SERVER "far ""away""" OPTIONS (table_name 't''t');
CREATE FOREIGN TABLE passwd (name text, rest text) SERVER files OPTIONS (filename '/etc/passwd', delimiter ':');
CREATE TABLE with_foreign (i int) PARTITION BY RANGE (i);
CREATE TABLE with_foreign_1 PARTITION OF with_foreign FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE with_foreign_2 PARTITION OF with_foreign FOR VALUES FROM (10) TO (20) SERVER "far ""away""";
INSERT INTO with_foreign VALUES (5);
GRANT USAGE ON FOREIGN SERVER files TO lb_reader;
GRANT USAGE ON FOREIGN DATA WRAPPER dummy TO lb_reader;

-- ---- publications and a subscription that connects nowhere ----
CREATE PUBLICATION "pub ""all""" FOR ALL TABLES WITH (publish = 'insert, truncate', publish_via_partition_root);
CREATE PUBLICATION "some" FOR TABLE churned (id, filler) WHERE (id > 5), ONLY parent;
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA "odd schema";
CREATE SUBSCRIPTION "sub ""1""" CONNECTION 'host=192.0.2.1 password=secret' PUBLICATION "pub ""all""", other
    WITH (connect = false, slot_name = NONE, enabled = false, binary = true, streaming = true);

-- ---- large objects ----
SELECT lo_from_bytea(424242, decode(repeat('00ff5c0a27', 100000), 'hex')) \g /dev/null
SELECT lo_from_bytea(424243, '') \g /dev/null
SELECT lo_from_bytea(4294967295, '\x01') \g /dev/null
SELECT lo_create(424244) \g /dev/null
SELECT lo_put(424244, 3000000, 'sparse') \g /dev/null
COMMENT ON LARGE OBJECT 424242 IS 'it''s large';
ALTER LARGE OBJECT 424243 OWNER TO lb_owner;
GRANT SELECT ON LARGE OBJECT 424242 TO lb_reader;
CREATE TABLE with_lo (id int, picture lo);
INSERT INTO with_lo VALUES (1, 424242), (2, 424243);
CREATE TRIGGER t_lo BEFORE UPDATE OR DELETE ON with_lo FOR EACH ROW EXECUTE FUNCTION lo_manage(picture);

-- ---- owners, privileges, comments ----
ALTER TABLE "Customers" OWNER TO lb_owner;
ALTER TABLE "new
line"."new
line" OWNER TO "lb ""quoted"" rôle";
ALTER FUNCTION add OWNER TO "lb ""quoted"" rôle";
ALTER TYPE of_type OWNER TO lb_owner;
ALTER SCHEMA "SELECT" OWNER TO "lb_Grantor";
GRANT SELECT, INSERT (email), UPDATE (email, boss) ON "Customers" TO lb_reader WITH GRANT OPTION;
GRANT ALL ON TABLE churned TO "lb_Grantor" WITH GRANT OPTION;
SET ROLE "lb_Grantor";
GRANT SELECT ON churned TO lb_reader;
RESET ROLE;
REVOKE ALL ON TABLE toasted FROM postgres;
REVOKE EXECUTE ON FUNCTION rows_of FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rows_of TO "lb ""quoted"" rôle";
GRANT USAGE, SELECT ON SEQUENCE at_end TO lb_reader;
GRANT CREATE, USAGE ON SCHEMA "odd schema" TO PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO lb_reader, "lb_Grantor";
ALTER DEFAULT PRIVILEGES FOR ROLE lb_owner IN SCHEMA "odd schema" GRANT SELECT ON TABLES TO lb_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE lb_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO "lb ""quoted"" rôle" WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO lb_reader;
REVOKE SELECT (datname) ON pg_catalog.pg_database FROM PUBLIC;
GRANT SELECT ON pg_catalog.pg_authid TO lb_reader;
COMMENT ON TABLE "odd schema"."a ""table"", with; everything' \ $$ -- /*" IS E'line 1\nline 2 \\ ''q'' ☃';
COMMENT ON COLUMN "odd schema"."a ""table"", with; everything' \ $$ -- /*"."line
col" IS '';
COMMENT ON COLUMN generated.area IS 'w * h';
COMMENT ON CONSTRAINT "both" ON parent IS 'inherited';
COMMENT ON TRIGGER always ON churned IS 'always';
COMMENT ON POLICY p2 ON churned IS 'policy';
COMMENT ON RULE off ON empty IS 'off';
COMMENT ON INDEX hash_index IS 'index';
COMMENT ON OPERATOR |*| (NONE, int) IS 'operator';
COMMENT ON CAST (int AS mood) IS 'cast';
COMMENT ON PUBLICATION "some" IS 'publication';
COMMENT ON SERVER files IS 'server';
COMMENT ON EVENT TRIGGER rewriting IS 'event trigger';
COMMENT ON STATISTICS expr_stats IS 'statistics';
COMMENT ON AGGREGATE product(numeric) IS 'aggregate';
COMMENT ON DOMAIN positive IS 'domain';
COMMENT ON MATERIALIZED VIEW z_base IS 'materialized view';
COMMENT ON PROCEDURE doing IS 'procedure';
COMMENT ON TEXT SEARCH CONFIGURATION my_search IS 'search';
COMMENT ON COLLATION nd IS 'collation';
COMMENT ON ACCESS METHOD heap2 IS 'access method';

-- ---- respelled ----
CREATE TABLE respelled (v varchar(10) DEFAULT NULL CHECK (v IN ('a', 'b')), n varchar);
INSERT INTO respelled VALUES ('a', 'x'), (NULL, NULL);
CREATE INDEX respelled_index ON respelled (v) WHERE v IN ('a', 'b');
CREATE VIEW respelled_view AS SELECT v FROM respelled WHERE n IN ('x', 'y');
CREATE POLICY respelled_policy ON respelled TO lb_reader, lb_owner USING (n IN ('x', 'y'));
CREATE DOMAIN respelled_domain AS varchar CHECK (VALUE IN ('a', 'b'));
