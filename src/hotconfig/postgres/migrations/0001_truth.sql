-- The truth: values, their history, and the hash chain that binds the two.
--
-- Run by `hotconfig migrate` inside one transaction whose search_path is "<schema>", pg_temp. Every function
-- keeps that path (SET search_path FROM CURRENT), so that nobody's operators or tables can slip underneath it.
--
-- One word, one thing:
--   change    one key of one service inserted, updated or deleted
--   commit    all changes of one service within one transaction; it moves the head by one revision
--   head      (revision, digest) of the newest commit of a service
--   digest    SHA-256 over the previous digest and one change; the head's is that of its last change

CREATE TABLE organizations (
    id          text PRIMARY KEY
                CHECK (id ~ '^[a-z0-9]([a-z0-9-]{0,57}[a-z0-9])?$'),
    name        text NOT NULL CHECK (name <> ''),
    owner_email text NOT NULL CHECK (position('@' IN owner_email) > 1),
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE organizations IS 'Tenants. service_configs rows with an organization_id belong to one of them.';

-- Rules stand in domains, because a domain is checked where a column is assigned. A table's CHECK is parsed, planned
-- and run for every column at every write: a tenth of what a commit costs.
CREATE DOMAIN service_name AS text CHECK (VALUE ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$');
CREATE DOMAIN key_name AS text CHECK (VALUE ~ '^[A-Za-z_][A-Za-z0-9_]{0,126}$');
CREATE DOMAIN value_text AS text CHECK (octet_length(VALUE) <= 1048576);
CREATE DOMAIN author_text AS text CHECK (char_length(VALUE) <= 256);
CREATE DOMAIN reason_text AS text CHECK (char_length(VALUE) <= 2000);

CREATE TABLE service_configs (
    service         service_name NOT NULL,
    key             key_name NOT NULL,
    organization_id text REFERENCES organizations (id),
    value           value_text,
    sensitive       boolean NOT NULL DEFAULT false
);
-- A UNIQUE constraint with NULLS NOT DISTINCT needs PostgreSQL 15; this says the same on 14.
CREATE UNIQUE INDEX service_configs_identity ON service_configs (service, key, coalesce(organization_id, ''));
COMMENT ON TABLE service_configs IS
    'The current values. Text as in an environment variable, JSON for lists, dicts and models, NULL for None.';
COMMENT ON COLUMN service_configs.organization_id IS 'NULL: the value for everybody.';
COMMENT ON COLUMN service_configs.sensitive IS 'true: announced without its value. Not for secrets.';

CREATE TABLE heads (
    service       text PRIMARY KEY,
    revision      bigint NOT NULL,
    digest        bytea NOT NULL,
    parent_digest bytea NOT NULL,
    ordinal       integer NOT NULL,
    xact          xid8 NOT NULL,
    moved_at      timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE heads IS 'The newest commit of each service. Its row lock makes commit order and revision order the same.';
COMMENT ON COLUMN heads.xact IS
    'The transaction that made this revision; with moved_at, tells its later changes from those of the next commit.';

CREATE TABLE config_history (
    service         text NOT NULL,
    revision        bigint NOT NULL,
    ordinal         integer NOT NULL,
    organization_id text,
    key             text NOT NULL,
    op              text NOT NULL,
    old_value       text,
    new_value       text,
    sensitive       boolean NOT NULL,
    changed_by      author_text NOT NULL,
    reason          reason_text,
    changed_at      timestamptz NOT NULL,
    db_user         text NOT NULL,
    commit_id       uuid,
    nonce           uuid,
    digest          bytea NOT NULL,
    PRIMARY KEY (service, revision, ordinal)
);
COMMENT ON TABLE config_history IS 'Who changed what, when and why. Written by the triggers of service_configs alone; append-only.';
COMMENT ON COLUMN config_history.db_user IS 'The login role. changed_by is what the writer claimed; this is what PostgreSQL saw.';
COMMENT ON COLUMN config_history.nonce IS
    'Hashed along with a sensitive value, so that its published digest cannot be tried out by guessing.';

CREATE TABLE signing_keys (
    id         integer PRIMARY KEY,
    secret     bytea NOT NULL CHECK (octet_length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE signing_keys IS 'HMAC keys of the change sets. The newest signs, all of them verify.';

CREATE TABLE service_schemas (
    service       text NOT NULL,
    schema_hash   text NOT NULL,
    json_schema   jsonb NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, schema_hash)
);
COMMENT ON TABLE service_schemas IS 'The JSON Schema of every settings class that was ever bound, by service.';

-- chain -----------------------------------------------------------------------------------------------------

CREATE FUNCTION genesis(p_service text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT sha256(convert_to('hotconfig:' || p_service, 'UTF8')) $$;
COMMENT ON FUNCTION genesis IS 'The digest of revision 0, before anything was written.';

CREATE FUNCTION utc_text(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$ SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

CREATE FUNCTION extend_chain(
    p_op text, p_service text, p_organization_id text, p_key text, p_old text, p_new text, p_sensitive boolean,
    p_by text DEFAULT coalesce(nullif(current_setting('hotconfig.by', true), ''), session_user),
    p_reason text DEFAULT nullif(current_setting('hotconfig.reason', true), ''),
    p_commit_id uuid DEFAULT nullif(current_setting('hotconfig.commit_id', true), '')::uuid,
    p_at timestamptz DEFAULT clock_timestamp()
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_nonce    uuid := CASE WHEN p_sensitive THEN gen_random_uuid() END;
    v_revision bigint;
    v_ordinal  integer;
    v_digest   bytea;
BEGIN
    LOOP
        -- This row lock orders all commits of the service. The first change of a transaction raises the revision,
        -- later ones extend the digest. The transaction's start is compared beside its number, because numbers
        -- begin anew in a restored cluster. One statement, though it says things twice: a statement costs more.
        UPDATE heads h SET
            revision = h.revision + (h.xact <> pg_current_xact_id() OR h.moved_at <> transaction_timestamp())::integer,
            ordinal = CASE WHEN h.xact <> pg_current_xact_id() OR h.moved_at <> transaction_timestamp()
                THEN 1 ELSE h.ordinal + 1 END,
            parent_digest = CASE WHEN h.xact <> pg_current_xact_id() OR h.moved_at <> transaction_timestamp()
                THEN h.digest ELSE h.parent_digest END,
            digest = sha256(h.digest || convert_to(json_build_array('hotconfig1', p_service,
                h.revision + (h.xact <> pg_current_xact_id() OR h.moved_at <> transaction_timestamp())::integer,
                CASE WHEN h.xact <> pg_current_xact_id() OR h.moved_at <> transaction_timestamp()
                    THEN 1 ELSE h.ordinal + 1 END,
                p_organization_id, p_key, p_op, p_old, p_new, p_sensitive, p_by, p_reason, utc_text(p_at),
                session_user, p_commit_id, v_nonce)::text, 'UTF8')),
            xact = pg_current_xact_id(), moved_at = transaction_timestamp(), changed_at = p_at
        WHERE h.service = p_service RETURNING h.revision, h.ordinal, h.digest INTO v_revision, v_ordinal, v_digest;
        EXIT WHEN FOUND;
        INSERT INTO heads (service, revision, digest, parent_digest, ordinal, xact, moved_at, changed_at)
        VALUES (p_service, 0, genesis(p_service), genesis(p_service), 0, '0', '-infinity', now()) ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO config_history (service, revision, ordinal, organization_id, key, op, old_value, new_value,
        sensitive, changed_by, reason, changed_at, db_user, commit_id, nonce, digest)
    VALUES (p_service, v_revision, v_ordinal, p_organization_id, p_key, p_op, p_old, p_new,
        p_sensitive, p_by, p_reason, p_at, session_user, p_commit_id, v_nonce, v_digest);
    -- Equal notifications of one transaction are sent once, at its commit. The channel bears the schema's name.
    RETURN pg_notify(current_schema(), p_service || ' ' || v_revision)::text;
END
$$;
COMMENT ON FUNCTION extend_chain IS 'Record one change: move the head, extend its digest, write history, notify.';

CREATE FUNCTION record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_sent text;  -- an assignment runs without a statement; PERFORM is one
BEGIN
    -- OLD is all NULL for an INSERT, NEW for a DELETE.
    IF (NEW.service, NEW.key, NEW.organization_id) IS NOT DISTINCT FROM (OLD.service, OLD.key, OLD.organization_id) THEN
        IF (NEW.value, NEW.sensitive) IS DISTINCT FROM (OLD.value, OLD.sensitive) THEN
            v_sent := extend_chain('update', NEW.service, NEW.organization_id, NEW.key, OLD.value, NEW.value,
                NEW.sensitive OR OLD.sensitive);
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        v_sent := extend_chain('delete', OLD.service, OLD.organization_id, OLD.key, OLD.value, NULL, OLD.sensitive);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        v_sent := extend_chain('insert', NEW.service, NEW.organization_id, NEW.key, NULL, NEW.value, NEW.sensitive);
    END IF;
    RETURN NULL;
END
$$;

-- AFTER, not BEFORE: a BEFORE INSERT trigger also fires for a row that ON CONFLICT turns into an update.
CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON service_configs
    FOR EACH ROW EXECUTE FUNCTION record_change();

CREATE FUNCTION refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'HC001', HINT = TG_ARGV[0];
END
$$;
COMMENT ON FUNCTION refuse IS 'Keeps the chain in the hands of the triggers. SQLSTATE HC001.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON config_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('History cannot be edited. Write the value anew instead.');
-- For each statement: a row trigger would have every UPDATE lock its row in a step of its own.
CREATE TRIGGER only_by_trigger BEFORE INSERT ON config_history
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse('History is written by changing service_configs.');
CREATE TRIGGER only_by_trigger BEFORE INSERT OR UPDATE OR DELETE ON heads
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse('Heads are moved by changing service_configs.');
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('Heads are moved by changing service_configs.');
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON service_configs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('Use DELETE: it leaves a history.');

-- writing ---------------------------------------------------------------------------------------------------

CREATE FUNCTION find_commit(
    p_service text, p_commit_id uuid,
    OUT moved boolean, OUT revision bigint, OUT digest bytea, OUT parent_digest bytea, OUT changed_at text
)
LANGUAGE sql SET search_path FROM CURRENT
AS $$
    SELECT true, c.revision, c.digest, coalesce(
        (SELECT p.digest FROM config_history p WHERE p.service = p_service AND p.revision = c.revision - 1
            ORDER BY p.ordinal DESC LIMIT 1), genesis(p_service)), utc_text(c.changed_at)
    FROM heads h JOIN config_history c ON c.service = h.service AND c.revision > h.revision - 10000
    WHERE h.service = p_service AND c.commit_id = p_commit_id
    ORDER BY c.revision DESC, c.ordinal DESC LIMIT 1
$$;
COMMENT ON FUNCTION find_commit IS 'One of the last 10,000 commits of a service, as write_config answered; NULLs if there is none.';

CREATE FUNCTION write_config(
    p_service text, p_keys text[], p_values text[], p_deletes boolean[], p_sensitive boolean[],
    p_by text, p_reason text, p_expect bigint, p_commit_id uuid, p_retry boolean DEFAULT false,
    p_organization_id text DEFAULT NULL,
    OUT moved boolean, OUT revision bigint, OUT digest bytea, OUT parent_digest bytea, OUT changed_at text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_before bigint;
    v_set    text;
BEGIN
    -- Everybody locks rows first, in the order of their keys, and the head last, or commits would deadlock. Hand-written
    -- statements cannot do otherwise: their triggers run when they have their rows.
    IF cardinality(p_keys) > 1 OR p_retry THEN
        PERFORM FROM service_configs s WHERE s.service = p_service AND s.key = ANY (p_keys)
            AND coalesce(s.organization_id, '') = coalesce(p_organization_id, '') ORDER BY s.key FOR UPDATE;
    END IF;
    IF p_expect IS NOT NULL OR p_retry THEN
        SELECT h.revision INTO v_before FROM heads h WHERE h.service = p_service;
        IF p_retry THEN
            SELECT f.* INTO moved, revision, digest, parent_digest, changed_at
            FROM find_commit(p_service, p_commit_id) f;
            IF moved THEN RETURN; END IF;
        END IF;
        IF p_expect <> coalesce(v_before, 0) THEN
            RAISE EXCEPTION 'service "%": expected revision %, the head is %', p_service, p_expect,
                coalesce(v_before, 0) USING ERRCODE = 'HC002';
        END IF;
    END IF;
    v_set := set_config('hotconfig.by', p_by, true) || set_config('hotconfig.reason', coalesce(p_reason, ''), true)
        || set_config('hotconfig.commit_id', coalesce(p_commit_id::text, ''), true);
    IF cardinality(p_keys) > 1 THEN
        -- One statement, because its triggers take the head when all of its rows are locked.
        WITH wanted AS (
            SELECT * FROM unnest(p_keys, p_values, p_deletes, p_sensitive) AS c (key, value, deleted, sensitive)
        ), gone AS (
            DELETE FROM service_configs s USING wanted w WHERE w.deleted AND s.service = p_service AND s.key = w.key
                AND coalesce(s.organization_id, '') = coalesce(p_organization_id, '')
        )
        INSERT INTO service_configs AS s (service, organization_id, key, value, sensitive)
        SELECT p_service, p_organization_id, w.key, w.value, w.sensitive
        FROM wanted w WHERE w.deleted IS NOT TRUE ORDER BY w.key
        ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE
        SET value = excluded.value, sensitive = excluded.sensitive
        WHERE (s.value, s.sensitive) IS DISTINCT FROM (excluded.value, excluded.sensitive);
    ELSIF p_deletes[1] THEN
        DELETE FROM service_configs s WHERE s.service = p_service AND s.key = p_keys[1]
            AND coalesce(s.organization_id, '') = coalesce(p_organization_id, '');
    ELSIF cardinality(p_keys) = 1 THEN
        -- Most commits change a key that is there. ON CONFLICT would lock its row first, in a step of its own.
        UPDATE service_configs s SET value = p_values[1], sensitive = p_sensitive[1]
        WHERE s.service = p_service AND s.key = p_keys[1]
            AND coalesce(s.organization_id, '') = coalesce(p_organization_id, '')
            AND (s.value, s.sensitive) IS DISTINCT FROM (p_values[1], p_sensitive[1]);
        IF NOT FOUND THEN
            INSERT INTO service_configs AS s (service, organization_id, key, value, sensitive)
            VALUES (p_service, p_organization_id, p_keys[1], p_values[1], p_sensitive[1])
            ON CONFLICT (service, key, coalesce(organization_id, '')) DO UPDATE
            SET value = excluded.value, sensitive = excluded.sensitive
            WHERE (s.value, s.sensitive) IS DISTINCT FROM (excluded.value, excluded.sensitive);
        END IF;
    END IF;
    v_set := set_config('hotconfig.by', '', true) || set_config('hotconfig.reason', '', true)
        || set_config('hotconfig.commit_id', '', true);
    SELECT h.xact = pg_current_xact_id() AND h.moved_at = transaction_timestamp(), h.revision, h.digest,
        h.parent_digest, utc_text(h.changed_at)
    INTO moved, revision, digest, parent_digest, changed_at FROM heads h WHERE h.service = p_service;
    IF NOT FOUND THEN
        moved := false;
        revision := 0;
        digest := genesis(p_service);
    END IF;
    IF p_retry AND NOT moved THEN
        -- The first attempt may have been inserting the same new keys while this one waited for them.
        SELECT f.moved INTO moved FROM find_commit(p_service, p_commit_id) f;
        IF moved THEN
            SELECT f.* INTO moved, revision, digest, parent_digest, changed_at
            FROM find_commit(p_service, p_commit_id) f;
            RETURN;
        END IF;
        moved := false;
    END IF;
    -- Whoever wrote at the same time held the rows or the head; the loser sees here that it was not first.
    IF p_expect + moved::integer < revision THEN
        RAISE EXCEPTION 'service "%": expected revision %, the head was %', p_service, p_expect,
            revision - moved::integer USING ERRCODE = 'HC002';
    END IF;
END
$$;
COMMENT ON FUNCTION write_config IS
    'Commit changes of one service, one round trip. SQLSTATE HC002 when p_expect is not the head. '
    'moved is false when nothing differed. With p_retry, a commit_id that is in the history already is answered, '
    'not written twice.';

CREATE FUNCTION register_schema(p_service text, p_schema_hash text, p_json_schema jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
    INSERT INTO service_schemas (service, schema_hash, json_schema)
    VALUES (p_service, p_schema_hash, p_json_schema) ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION rotate_signing_key() RETURNS integer
LANGUAGE sql SET search_path FROM CURRENT
AS $$
    INSERT INTO signing_keys (id, secret)
    SELECT coalesce(max(id), 0) + 1,
        -- gen_random_uuid() draws 122 bits from the operating system; no extension needed
        sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
    FROM signing_keys RETURNING id
$$;
COMMENT ON FUNCTION rotate_signing_key IS 'Make a new signing key; the older ones still verify until you delete them.';
SELECT rotate_signing_key();

-- privileges ------------------------------------------------------------------------------------------------

CREATE FUNCTION grant_reader(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), p_role);
    EXECUTE format('GRANT SELECT ON migrations, service_configs, config_history, heads, signing_keys, service_schemas TO %I',
        p_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION genesis, utc_text, register_schema TO %I', p_role);
END
$$;
COMMENT ON FUNCTION grant_reader IS 'Let a role follow services.';

CREATE FUNCTION grant_writer(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM grant_reader(p_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION write_config TO %I', p_role);
END
$$;
COMMENT ON FUNCTION grant_writer IS 'Let a role follow services and write through write_config.';

DO $$ BEGIN
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
