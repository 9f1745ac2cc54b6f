-- Guards: what a reader may register, and a write that leaves no history.
--
-- Functions are replaced under their names, so whoever may call them still may, and older programs notice nothing.
-- What was registered before stays; roles that are not known stand as NULL.

ALTER TABLE service_schemas ADD COLUMN registered_by text;
ALTER TABLE service_schemas ALTER COLUMN registered_by SET DEFAULT session_user;
COMMENT ON COLUMN service_schemas.registered_by IS 'The login role, as PostgreSQL saw it. NULL: before migration 0003.';

CREATE DOMAIN schema_hash_text AS text CHECK (char_length(VALUE) BETWEEN 1 AND 128);

CREATE OR REPLACE FUNCTION register_schema(p_service text, p_schema_hash text, p_json_schema jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_service service_name := p_service;
    v_hash    schema_hash_text := p_schema_hash;
BEGIN
    IF v_service IS NULL OR v_hash IS NULL OR jsonb_typeof(p_json_schema) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a JSON Schema is registered for a service, by its hash, and is an object'
            USING ERRCODE = 'check_violation';
    END IF;
    IF octet_length(p_json_schema::text) > 262144 THEN
        RAISE EXCEPTION 'service "%": the JSON Schema has more than 262144 bytes; split the class, or move what it '
            'nests into files', p_service USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO service_schemas (service, schema_hash, json_schema)
    VALUES (v_service, v_hash, p_json_schema) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        -- Of each role by itself, so that nobody can crowd out what others registered. A class that is bound again
        -- is registered again.
        DELETE FROM service_schemas s WHERE s.service = p_service AND s.registered_by = session_user
            AND s.schema_hash IN (SELECT o.schema_hash FROM service_schemas o
                WHERE o.service = p_service AND o.registered_by = session_user
                ORDER BY o.registered_at DESC, o.schema_hash OFFSET 50);
    END IF;
END
$$;
COMMENT ON FUNCTION register_schema IS
    'Let people''s tools know what a class takes: an object of at most 256 KiB; the newest 50 of each service and role '
    'are kept.';

CREATE OR REPLACE FUNCTION write_config(
    p_service text, p_keys text[], p_values text[], p_deletes boolean[], p_sensitive boolean[],
    p_by text, p_reason text, p_expect bigint, p_commit_id uuid, p_retry boolean DEFAULT false,
    p_organization_id text DEFAULT NULL,
    OUT moved boolean, OUT revision bigint, OUT digest bytea, OUT parent_digest bytea, OUT changed_at text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_before  bigint;
    v_changed boolean;
    v_set     text;
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
    v_changed := FOUND AND cardinality(p_keys) > 0;  -- of several keys, not where all of them are deleted
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
    IF v_changed AND NOT moved THEN
        RAISE EXCEPTION 'service "%": nothing was written, because there would be no history of it: the trigger '
            'record_change of service_configs is missing or disabled. As the owner: ALTER TABLE service_configs '
            'ENABLE TRIGGER record_change, or if it is missing make it as `hotconfig migrate --sql` prints it', p_service
            USING ERRCODE = 'triggered_action_exception';
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
    'Commit changes of one service, one round trip. SQLSTATE HC002 when p_expect is not the head, '
    '09000 when a row changed and the head did not move. '
    'moved is false when nothing differed. With p_retry, a commit_id that is in the history already is answered, '
    'not written twice.';

DO $$ BEGIN
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
