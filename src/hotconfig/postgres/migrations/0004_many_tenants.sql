-- Tenants are read and purged at the same cost however many there are, and made at less; a step is one line of history.
--
-- Functions are replaced under their names, so whoever may call them still may, and older programs go on working.

-- By the expression of the index service_configs_identity: by organization_id alone, the quotas of all tenants were read.
CREATE OR REPLACE FUNCTION tenant_json(p_id text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
    SELECT to_jsonb(o) || jsonb_build_object(
        'quota', (SELECT coalesce(jsonb_object_agg(substr(s.key, 7), s.value), '{}') FROM service_configs s
            WHERE s.service = 'k8s' AND coalesce(s.organization_id, '') = o.id
                AND s.key IN ('quota_cpu', 'quota_memory', 'quota_storage')),
        'operation', (SELECT to_jsonb(p) FROM organization_operations p WHERE p.id = o.operation_id))
    FROM organizations o WHERE o.id = p_id
$$;

-- An organization is made with all of its quota: nobody has it yet who would have to be told of each key.
CREATE OR REPLACE FUNCTION notice_quota() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    IF current_setting('hotconfig.creating', true) = NEW.organization_id THEN RETURN NULL; END IF;
    UPDATE organizations SET generation = generation + 1, next_attempt_at = now()
    WHERE id = NEW.organization_id AND state IN ('requested', 'provisioning', 'active', 'suspended', 'offboarding');
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION create_organization(
    p_id text, p_name text, p_owner_email text, p_keys text[], p_values text[], p_deletion_protected boolean,
    p_idempotency_key text, p_hash text, p_request jsonb, p_by text, p_reason text,
    p_owner text DEFAULT NULL, p_lease_s double precision DEFAULT 0
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_operation  uuid := gen_random_uuid();
    v_state      text := CASE WHEN p_owner IS NULL THEN 'requested' ELSE 'provisioning' END;
    v_known      jsonb := find_operation(p_idempotency_key, p_hash, 'create', p_id);
    v_there      organizations;
    v_generation bigint;
    v_set        text;
BEGIN
    IF v_known IS NOT NULL THEN RETURN v_known; END IF;
    v_set := sign_history('create', p_by, p_reason);
    INSERT INTO organizations AS o (id, name, owner_email, state, namespace, operation_id, generation, next_attempt_at,
        lease_owner, lease_until, deletion_protected)
    VALUES (p_id, p_name, p_owner_email, v_state, 'org-' || p_id, v_operation, 1, now(), p_owner,
        CASE WHEN p_owner IS NOT NULL THEN now() + make_interval(secs => p_lease_s) END, p_deletion_protected)
    -- A name is free again when its quarantine is over; another tenant, so everything anew.
    ON CONFLICT (id) DO UPDATE SET
        uid = gen_random_uuid(), name = excluded.name, owner_email = excluded.owner_email, state = excluded.state,
        namespace_uid = NULL, generation = o.generation + 1, operation_id = excluded.operation_id, attempts = 0,
        next_attempt_at = now(), lease_owner = excluded.lease_owner, lease_until = excluded.lease_until,
        conditions = '[]', isolation_receipt = NULL, deletion_protected = excluded.deletion_protected,
        purge_after = NULL, deleted_at = NULL, quarantine_until = NULL, created_at = now()
    WHERE o.state = 'deleted' AND o.quarantine_until <= now()
    RETURNING o.generation INTO v_generation;
    IF NOT FOUND THEN
        -- Whoever was first may have been the same request.
        v_known := find_operation(p_idempotency_key, p_hash, 'create', p_id);
        IF v_known IS NOT NULL THEN RETURN v_known; END IF;
        SELECT * INTO v_there FROM organizations WHERE id = p_id;
        IF v_there.state = 'deleted' THEN
            RAISE EXCEPTION 'the name "%" is in quarantine until %', p_id, utc_text(v_there.quarantine_until)
                USING ERRCODE = 'HC005';
        END IF;
        RAISE EXCEPTION 'the name "%" is taken: organization is %', p_id, v_there.state USING ERRCODE = 'HC004';
    END IF;
    INSERT INTO organization_operations (id, organization_id, kind, idempotency_key, request_hash, request, state,
        generation, requested_by, reason)
    VALUES (v_operation, p_id, 'create', p_idempotency_key, p_hash, p_request,
        CASE WHEN p_owner IS NULL THEN 'pending' ELSE 'running' END, v_generation, p_by, p_reason)
    ON CONFLICT (idempotency_key) DO NOTHING;
    IF NOT FOUND THEN
        -- The same key for another name, at the same time: find_operation says so, and all of this is undone.
        RETURN find_operation(p_idempotency_key, p_hash, 'create', p_id);
    END IF;
    v_set := set_config('hotconfig.creating', p_id, true);
    PERFORM write_config('k8s', p_keys, p_values, array_fill(false, ARRAY[cardinality(p_keys)]),
        array_fill(false, ARRAY[cardinality(p_keys)]), p_by, p_reason, NULL, v_operation, false, p_id);
    v_set := set_config('hotconfig.creating', '', true) || sign_history(NULL, NULL, NULL);
    RETURN operation_json(v_operation, true);
END
$$;

-- One line of history for one step: what a worker says of it stands beside what changed. Only record_step says something.
CREATE OR REPLACE FUNCTION sign_history(p_event text, p_by text, p_reason text) RETURNS text
LANGUAGE sql SET search_path FROM CURRENT
AS $$ SELECT set_config('hotconfig.event', coalesce(p_event, ''), true) || set_config('hotconfig.by', coalesce(p_by, ''), true)
    || set_config('hotconfig.reason', coalesce(p_reason, ''), true) || set_config('hotconfig.detail', '', true) $$;

CREATE OR REPLACE FUNCTION record_organization() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_old  jsonb := CASE WHEN TG_OP <> 'INSERT' THEN tenant_facts(OLD) ELSE '{}' END;
    v_new  jsonb := CASE WHEN TG_OP <> 'DELETE' THEN tenant_facts(NEW) ELSE '{}' END;
    v_said text := coalesce(current_setting('hotconfig.detail', true), '');
    v_more jsonb := '{}';
BEGIN
    IF v_said <> '' THEN
        BEGIN
            v_more := v_said;
        EXCEPTION WHEN others THEN
            v_more := '{}';  -- a session set it by hand
        END;
        IF jsonb_typeof(v_more) <> 'object' THEN v_more := '{}'; END IF;
        v_said := set_config('hotconfig.detail', '', true);  -- told
    END IF;
    INSERT INTO organization_history (organization_id, organization_uid, event, detail, by, reason)
    SELECT coalesce(NEW.id, OLD.id), coalesce(NEW.uid, OLD.uid),
        coalesce(nullif(current_setting('hotconfig.event', true), ''), lower(TG_OP)),
        v_more || coalesce(jsonb_object_agg(key, jsonb_build_object('old', v_old -> key, 'new', v_new -> key)), '{}'),
        coalesce(nullif(current_setting('hotconfig.by', true), ''), session_user),
        nullif(current_setting('hotconfig.reason', true), '')
    FROM jsonb_object_keys(v_old || v_new) AS k (key) WHERE v_old -> key IS DISTINCT FROM v_new -> key;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION record_step(
    p_id text, p_owner text, p_state text, p_generation bigint, p_change jsonb,
    p_event text DEFAULT NULL, p_detail jsonb DEFAULT NULL, p_by text DEFAULT NULL, p_reason text DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_there organizations;
    v_set   text;
BEGIN
    IF p_change ->> 'state' = 'deleted' THEN
        PERFORM write_config('k8s', array_agg(s.key::text ORDER BY s.key), array_agg(NULL::text), array_agg(true),
            array_agg(false), p_by, p_reason, NULL, gen_random_uuid(), false, p_id)
        FROM service_configs s WHERE s.service = 'k8s' AND coalesce(s.organization_id, '') = p_id
            AND s.key IN ('quota_cpu', 'quota_memory', 'quota_storage') HAVING count(*) > 0;
    END IF;
    SELECT * INTO v_there FROM organizations WHERE id = p_id FOR NO KEY UPDATE;
    IF v_there.lease_owner IS DISTINCT FROM p_owner OR v_there.lease_until <= clock_timestamp() THEN
        RAISE EXCEPTION 'organization "%": the lease ran out, another worker may have it', p_id USING ERRCODE = 'HC009';
    END IF;
    IF v_there.state <> p_state THEN
        RAISE EXCEPTION 'organization "%" became % while it was worked on as %', p_id, v_there.state, p_state
            USING ERRCODE = 'HC009';
    END IF;
    v_set := sign_history(coalesce(p_event, p_change ->> 'state'), p_by, p_reason);
    v_set := set_config('hotconfig.detail', CASE WHEN p_event IS NULL THEN '' ELSE coalesce(p_detail, '{}')::text END, true);
    UPDATE organizations o SET
        state = coalesce(p_change ->> 'state', o.state),
        namespace_uid = CASE WHEN p_change ? 'namespace_uid' THEN p_change ->> 'namespace_uid' ELSE o.namespace_uid END,
        observed_generation = greatest(o.observed_generation, (p_change ->> 'observed_generation')::bigint),
        conditions = coalesce(p_change -> 'conditions', o.conditions),
        isolation_receipt = CASE WHEN p_change ? 'isolation_receipt' THEN nullif(p_change -> 'isolation_receipt', 'null')
            ELSE o.isolation_receipt END,
        attempts = coalesce((p_change ->> 'attempts')::integer, o.attempts),
        -- What was asked for meanwhile is due at once.
        next_attempt_at = CASE WHEN o.generation > p_generation THEN now()
            WHEN (p_change -> 'idle')::boolean THEN NULL
            WHEN p_change ? 'retry_in_s' THEN now() + make_interval(secs => (p_change ->> 'retry_in_s')::double precision)
            ELSE o.next_attempt_at END,
        deleted_at = CASE WHEN p_change ->> 'state' = 'deleted' THEN now() ELSE o.deleted_at END,
        quarantine_until = CASE WHEN p_change ->> 'state' = 'deleted'
            THEN now() + make_interval(secs => coalesce((p_change ->> 'quarantine_s')::double precision, 0))
            ELSE o.quarantine_until END,
        lease_owner = CASE WHEN (p_change -> 'release')::boolean THEN NULL ELSE o.lease_owner END,
        lease_until = CASE WHEN (p_change -> 'release')::boolean THEN NULL ELSE o.lease_until END
    WHERE id = p_id;
    IF current_setting('hotconfig.detail', true) <> '' THEN  -- nothing changed that history follows
        INSERT INTO organization_history (organization_id, organization_uid, event, detail, by, reason)
        VALUES (p_id, v_there.uid, p_event, coalesce(p_detail, '{}'), coalesce(p_by, session_user), p_reason);
    END IF;
    v_set := sign_history(NULL, NULL, NULL);
    IF p_change ? 'error' THEN
        UPDATE organization_operations SET state = 'failed', error = p_change -> 'error', finished_at = now()
        WHERE organization_id = p_id AND state IN ('pending', 'running') AND generation <= p_generation;
    ELSIF p_change ? 'observed_generation' THEN
        UPDATE organization_operations SET state = 'done', finished_at = now()
        WHERE organization_id = p_id AND state IN ('pending', 'running')
            AND generation <= (p_change ->> 'observed_generation')::bigint;
    ELSE
        UPDATE organization_operations SET state = 'running'
        WHERE organization_id = p_id AND state = 'pending' AND generation <= p_generation;
    END IF;
    RETURN tenant_json(p_id);
END
$$;

DO $$ BEGIN
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
