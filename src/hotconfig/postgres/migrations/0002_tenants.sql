-- Tenants: what a platform wants for each organization, how far that is, and who asked for it.
--
-- Desired state stands in rows; a reconciler carries it out in Kubernetes. Workers take organizations by a lease that
-- runs out, so no transaction stays open across a call to Kubernetes and a worker may die anywhere.
--
-- One word, one thing:
--   operation   what somebody asked for, once for each idempotency key
--   state       what is wanted or under way; moves along tenant_may_become alone
--   generation  raised by everything that has to be carried out; observed_generation is the last one that was
--   lease       the right to work on an organization until lease_until
--
-- Locks are taken in this order, or hand-written statements and functions would deadlock: idempotency key, rows of
-- service_configs, their head, the organization. Organizations are locked FOR NO KEY UPDATE: rows that refer to them
-- share their key.

CREATE DOMAIN tenant_state AS text CHECK (VALUE IN ('unmanaged', 'requested', 'provisioning', 'active', 'suspended',
    'offboarding', 'purging', 'deleted', 'failed'));

ALTER TABLE organizations
    ADD COLUMN uid                 uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN state               tenant_state NOT NULL DEFAULT 'unmanaged',
    ADD COLUMN namespace           text CHECK (namespace = 'org-' || id),
    ADD COLUMN namespace_uid       text,
    ADD COLUMN generation          bigint NOT NULL DEFAULT 0,
    ADD COLUMN observed_generation bigint NOT NULL DEFAULT 0,
    ADD COLUMN operation_id        uuid,
    ADD COLUMN lease_owner         text,
    ADD COLUMN lease_until         timestamptz,
    ADD COLUMN attempts            integer NOT NULL DEFAULT 0,
    ADD COLUMN next_attempt_at     timestamptz,
    ADD COLUMN conditions          jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(conditions) = 'array'),
    ADD COLUMN isolation_receipt   jsonb,
    ADD COLUMN deletion_protected  boolean NOT NULL DEFAULT false,
    ADD COLUMN purge_after         timestamptz,
    ADD COLUMN deleted_at          timestamptz,
    ADD COLUMN quarantine_until    timestamptz;
CREATE INDEX organizations_due ON organizations (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
COMMENT ON COLUMN organizations.uid IS
    'The identity, beside which id is a name: a namespace is ours if its annotation hotconfig.dev/org-id says this.';
COMMENT ON COLUMN organizations.state IS
    'unmanaged: the provisioner leaves it alone until it is asked to adopt it. deleted: a tombstone that keeps the name.';
COMMENT ON COLUMN organizations.next_attempt_at IS 'When a worker should look at it. NULL: there is nothing to do.';

CREATE TABLE organization_operations (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id text NOT NULL REFERENCES organizations (id),
    kind            text NOT NULL CHECK (kind IN ('create', 'quota', 'suspend', 'resume', 'offboard', 'restore', 'purge',
                        'adopt')),
    idempotency_key text NOT NULL UNIQUE CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    request_hash    text NOT NULL,
    request         jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'done', 'failed')),
    error           jsonb,
    generation      bigint NOT NULL DEFAULT 0,
    requested_by    author_text NOT NULL,
    reason          reason_text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz
);
CREATE INDEX organization_operations_unfinished ON organization_operations (organization_id)
    WHERE state IN ('pending', 'running');
COMMENT ON TABLE organization_operations IS 'What was asked for. The same idempotency key is the same operation.';
COMMENT ON COLUMN organization_operations.generation IS 'Done when the organization''s observed_generation has come here.';

CREATE TABLE organization_history (
    number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    organization_id  text NOT NULL,
    organization_uid uuid NOT NULL,
    event            text NOT NULL CHECK (event <> ''),
    detail           jsonb NOT NULL DEFAULT '{}',
    by               author_text NOT NULL,
    reason           reason_text,
    db_user          text NOT NULL DEFAULT session_user
);
CREATE INDEX organization_history_of ON organization_history (organization_id, number);
COMMENT ON TABLE organization_history IS
    'What became of organizations: who, when, what, why. Quotas are values; theirs is config_history. Append-only.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON organization_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('History cannot be edited.');

-- history and the order of states ---------------------------------------------------------------------------

CREATE FUNCTION tenant_may_become(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (p_from, p_to) IN (
    ('unmanaged', 'provisioning'),
    ('requested', 'provisioning'), ('requested', 'failed'),
    ('provisioning', 'active'), ('provisioning', 'failed'),
    ('active', 'suspended'), ('active', 'offboarding'),
    ('suspended', 'active'), ('suspended', 'offboarding'),
    ('offboarding', 'provisioning'), ('offboarding', 'purging'),
    ('purging', 'deleted'),
    ('failed', 'provisioning'), ('failed', 'offboarding'),
    ('deleted', 'requested'), ('deleted', 'provisioning')) $$;
COMMENT ON FUNCTION tenant_may_become IS 'The only moves there are. From deleted: the name is used anew, by another tenant.';

CREATE FUNCTION guard_tenant_state() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT tenant_may_become(OLD.state, NEW.state) THEN
        RAISE EXCEPTION 'organization "%" is %: it cannot become %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'HC006';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER guard_state BEFORE UPDATE ON organizations
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION guard_tenant_state();

CREATE FUNCTION tenant_facts(p organizations) RETURNS jsonb
LANGUAGE sql STABLE
AS $$ SELECT jsonb_build_object('name', p.name, 'owner_email', p.owner_email, 'state', p.state, 'uid', p.uid,
    'namespace', p.namespace, 'namespace_uid', p.namespace_uid, 'deletion_protected', p.deletion_protected,
    'purge_after', p.purge_after, 'deleted_at', p.deleted_at, 'quarantine_until', p.quarantine_until) $$;
COMMENT ON FUNCTION tenant_facts IS 'What history follows of an organization. Leases and attempts are no history.';

CREATE FUNCTION record_organization() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_old jsonb := CASE WHEN TG_OP <> 'INSERT' THEN tenant_facts(OLD) ELSE '{}' END;
    v_new jsonb := CASE WHEN TG_OP <> 'DELETE' THEN tenant_facts(NEW) ELSE '{}' END;
BEGIN
    INSERT INTO organization_history (organization_id, organization_uid, event, detail, by, reason)
    SELECT coalesce(NEW.id, OLD.id), coalesce(NEW.uid, OLD.uid),
        coalesce(nullif(current_setting('hotconfig.event', true), ''), lower(TG_OP)),
        coalesce(jsonb_object_agg(key, jsonb_build_object('old', v_old -> key, 'new', v_new -> key)), '{}'),
        coalesce(nullif(current_setting('hotconfig.by', true), ''), session_user),
        nullif(current_setting('hotconfig.reason', true), '')
    FROM jsonb_object_keys(v_old || v_new) AS k (key) WHERE v_old -> key IS DISTINCT FROM v_new -> key;
    RETURN NULL;
END
$$;
CREATE TRIGGER record_organization AFTER INSERT OR DELETE ON organizations
    FOR EACH ROW EXECUTE FUNCTION record_organization();
CREATE TRIGGER record_organization_change AFTER UPDATE ON organizations
    FOR EACH ROW WHEN ((OLD.name, OLD.owner_email, OLD.state, OLD.uid, OLD.namespace, OLD.namespace_uid,
        OLD.deletion_protected, OLD.purge_after, OLD.deleted_at, OLD.quarantine_until) IS DISTINCT FROM
        (NEW.name, NEW.owner_email, NEW.state, NEW.uid, NEW.namespace, NEW.namespace_uid,
        NEW.deletion_protected, NEW.purge_after, NEW.deleted_at, NEW.quarantine_until))
    EXECUTE FUNCTION record_organization();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('Tenants are offboarded, not truncated.');

-- quotas ----------------------------------------------------------------------------------------------------

-- On the history, not on the values: it is written for every path that a change can take, when the head is locked.
CREATE FUNCTION notice_quota() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE organizations SET generation = generation + 1, next_attempt_at = now()
    WHERE id = NEW.organization_id AND state IN ('requested', 'provisioning', 'active', 'suspended', 'offboarding');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION notice_quota IS 'Whoever changes a quota, and however: a worker has to carry it out.';
CREATE TRIGGER notice_quota AFTER INSERT ON config_history FOR EACH ROW
    WHEN (NEW.service = 'k8s' AND NEW.organization_id IS NOT NULL
        AND NEW.key IN ('quota_cpu', 'quota_memory', 'quota_storage'))
    EXECUTE FUNCTION notice_quota();

-- reading ---------------------------------------------------------------------------------------------------

CREATE FUNCTION tenant_json(p_id text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
    SELECT to_jsonb(o) || jsonb_build_object(
        'quota', (SELECT coalesce(jsonb_object_agg(substr(s.key, 7), s.value), '{}') FROM service_configs s
            WHERE s.service = 'k8s' AND s.organization_id = o.id
                AND s.key IN ('quota_cpu', 'quota_memory', 'quota_storage')),
        'operation', (SELECT to_jsonb(p) FROM organization_operations p WHERE p.id = o.operation_id))
    FROM organizations o WHERE o.id = p_id
$$;
COMMENT ON FUNCTION tenant_json IS 'An organization with its quota as it stands in service_configs and its last operation.';

CREATE FUNCTION operation_json(p_id uuid, p_made boolean) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
AS $$
    SELECT jsonb_build_object('made', p_made, 'operation', to_jsonb(p), 'organization', tenant_json(p.organization_id))
    FROM organization_operations p WHERE p.id = p_id
$$;

-- asking ----------------------------------------------------------------------------------------------------

CREATE FUNCTION find_operation(p_key text, p_hash text, p_kind text, p_organization_id text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_known organization_operations;
BEGIN
    SELECT * INTO v_known FROM organization_operations WHERE idempotency_key = p_key;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF (v_known.request_hash, v_known.kind, v_known.organization_id) <> (p_hash, p_kind, p_organization_id) THEN
        RAISE EXCEPTION 'the idempotency key belongs to another request: % of organization "%"', v_known.kind,
            v_known.organization_id USING ERRCODE = 'HC003';
    END IF;
    RETURN operation_json(v_known.id, false);
END
$$;
COMMENT ON FUNCTION find_operation IS 'What this key asked for already. SQLSTATE HC003 when that was something else.';

CREATE FUNCTION sign_history(p_event text, p_by text, p_reason text) RETURNS text
LANGUAGE sql SET search_path FROM CURRENT
AS $$ SELECT set_config('hotconfig.event', coalesce(p_event, ''), true) || set_config('hotconfig.by', coalesce(p_by, ''), true)
    || set_config('hotconfig.reason', coalesce(p_reason, ''), true) $$;

CREATE FUNCTION create_organization(
    p_id text, p_name text, p_owner_email text, p_keys text[], p_values text[], p_deletion_protected boolean,
    p_idempotency_key text, p_hash text, p_request jsonb, p_by text, p_reason text,
    p_owner text DEFAULT NULL, p_lease_s double precision DEFAULT 0
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_operation uuid := gen_random_uuid();
    v_state     text := CASE WHEN p_owner IS NULL THEN 'requested' ELSE 'provisioning' END;
    v_known     jsonb := find_operation(p_idempotency_key, p_hash, 'create', p_id);
    v_there     organizations;
    v_set       text;
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
    WHERE o.state = 'deleted' AND o.quarantine_until <= now();
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
        requested_by, reason)
    VALUES (v_operation, p_id, 'create', p_idempotency_key, p_hash, p_request,
        CASE WHEN p_owner IS NULL THEN 'pending' ELSE 'running' END, p_by, p_reason)
    ON CONFLICT (idempotency_key) DO NOTHING;
    IF NOT FOUND THEN
        -- The same key for another name, at the same time: find_operation says so, and all of this is undone.
        RETURN find_operation(p_idempotency_key, p_hash, 'create', p_id);
    END IF;
    PERFORM write_config('k8s', p_keys, p_values, array_fill(false, ARRAY[cardinality(p_keys)]),
        array_fill(false, ARRAY[cardinality(p_keys)]), p_by, p_reason, NULL, v_operation, false, p_id);
    UPDATE organization_operations p SET generation = o.generation
    FROM organizations o WHERE p.id = v_operation AND o.id = p_id;
    v_set := sign_history(NULL, NULL, NULL);
    RETURN operation_json(v_operation, true);
END
$$;
COMMENT ON FUNCTION create_organization IS
    'An organization, its quota, history and the idempotency key in one commit. With p_owner, leased to it at once. '
    'SQLSTATE HC003: the key belongs to another request; HC004: the name is taken; HC005: it is in quarantine.';

CREATE FUNCTION begin_operation(
    p_id text, p_kind text, p_idempotency_key text, p_hash text, p_request jsonb, p_by text, p_reason text,
    p_owner text DEFAULT NULL, p_lease_s double precision DEFAULT 0,
    p_keys text[] DEFAULT NULL, p_values text[] DEFAULT NULL, p_retention_s double precision DEFAULT 0
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_operation  uuid;
    v_to         text := CASE p_kind WHEN 'suspend' THEN 'suspended' WHEN 'resume' THEN 'active'
        WHEN 'offboard' THEN 'offboarding' WHEN 'restore' THEN 'provisioning' WHEN 'purge' THEN 'purging'
        WHEN 'adopt' THEN 'provisioning' END;
    v_from       text[] := CASE p_kind WHEN 'quota' THEN ARRAY['requested', 'provisioning', 'active', 'suspended']
        WHEN 'suspend' THEN ARRAY['active'] WHEN 'resume' THEN ARRAY['suspended']
        WHEN 'offboard' THEN ARRAY['active', 'suspended', 'failed'] WHEN 'restore' THEN ARRAY['offboarding']
        WHEN 'purge' THEN ARRAY['offboarding'] WHEN 'adopt' THEN ARRAY['unmanaged', 'failed'] END;
    v_there      organizations;
    v_generation bigint;
    v_set        text;
BEGIN
    IF v_from IS NULL THEN
        RAISE EXCEPTION 'there is no operation %', p_kind USING ERRCODE = 'HC006';
    END IF;
    IF NOT EXISTS (SELECT FROM organizations WHERE id = p_id) THEN
        RAISE EXCEPTION 'there is no organization "%"', p_id USING ERRCODE = 'HC007';
    END IF;
    INSERT INTO organization_operations (organization_id, kind, idempotency_key, request_hash, request, requested_by,
        reason)
    VALUES (p_id, p_kind, p_idempotency_key, p_hash, p_request, p_by, p_reason)
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING id INTO v_operation;
    IF v_operation IS NULL THEN
        RETURN find_operation(p_idempotency_key, p_hash, p_kind, p_id);
    END IF;
    IF cardinality(p_keys) > 0 THEN
        PERFORM write_config('k8s', p_keys, p_values, array_fill(false, ARRAY[cardinality(p_keys)]),
            array_fill(false, ARRAY[cardinality(p_keys)]), p_by, p_reason, NULL, v_operation, false, p_id);
    END IF;
    SELECT * INTO v_there FROM organizations WHERE id = p_id FOR NO KEY UPDATE;
    IF v_there.state <> ALL (v_from) OR (p_kind = 'restore' AND v_there.purge_after <= now()) THEN
        RAISE EXCEPTION 'organization "%" is %: % is not possible%', p_id, v_there.state, p_kind,
            CASE WHEN p_kind = 'restore' AND v_there.state = 'offboarding' THEN ' after its retention' ELSE '' END
            USING ERRCODE = 'HC006';
    END IF;
    IF v_there.deletion_protected AND p_kind IN ('offboard', 'purge') THEN
        RAISE EXCEPTION 'organization "%" is protected from deletion', p_id USING ERRCODE = 'HC008';
    END IF;
    v_set := sign_history(p_kind, p_by, p_reason);
    UPDATE organizations o SET
        state = coalesce(v_to, o.state), namespace = coalesce(o.namespace, 'org-' || o.id),
        generation = o.generation + 1, operation_id = v_operation, attempts = 0, next_attempt_at = now(),
        purge_after = CASE WHEN p_kind = 'offboard' THEN now() + make_interval(secs => p_retention_s)
            WHEN p_kind = 'restore' THEN NULL ELSE o.purge_after END,
        isolation_receipt = CASE WHEN p_kind IN ('restore', 'adopt') THEN NULL ELSE o.isolation_receipt END,
        lease_owner = CASE WHEN p_owner IS NOT NULL AND (o.lease_until IS NULL OR o.lease_until <= now())
            THEN p_owner ELSE o.lease_owner END,
        lease_until = CASE WHEN p_owner IS NOT NULL AND (o.lease_until IS NULL OR o.lease_until <= now())
            THEN now() + make_interval(secs => p_lease_s) ELSE o.lease_until END
    WHERE id = p_id RETURNING o.generation INTO v_generation;
    v_set := sign_history(NULL, NULL, NULL);
    IF v_to IS NOT NULL THEN
        UPDATE organization_operations SET state = 'failed', finished_at = now(),
            error = jsonb_build_object('code', 'superseded', 'message', 'another operation came after this one')
        WHERE organization_id = p_id AND state IN ('pending', 'running') AND id <> v_operation AND kind <> 'quota';
    END IF;
    UPDATE organization_operations SET generation = v_generation WHERE id = v_operation;
    RETURN operation_json(v_operation, true);
END
$$;
COMMENT ON FUNCTION begin_operation IS
    'Ask for a change of an organization; one commit. With p_owner, leased to it unless another worker has it. '
    'SQLSTATE HC003: the key belongs to another request; HC006: not in this state; HC007: unknown; HC008: protected.';

CREATE FUNCTION protect_organization(p_id text, p_protected boolean, p_by text, p_reason text) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_set text := sign_history('protect', p_by, p_reason);
BEGIN
    UPDATE organizations SET deletion_protected = p_protected WHERE id = p_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no organization "%"', p_id USING ERRCODE = 'HC007';
    END IF;
    v_set := sign_history(NULL, NULL, NULL);
    RETURN tenant_json(p_id);
END
$$;
COMMENT ON FUNCTION protect_organization IS 'Protect an organization from being offboarded or purged, or lift that.';

-- working ---------------------------------------------------------------------------------------------------

CREATE FUNCTION lease_organizations(
    p_owner text, p_limit integer, p_lease_s double precision, p_id text DEFAULT NULL
) RETURNS SETOF jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
DECLARE
    v_taken text[];
BEGIN
    WITH due AS (
        SELECT id FROM organizations
        WHERE state NOT IN ('unmanaged', 'deleted', 'failed')
            AND CASE WHEN p_id IS NULL THEN next_attempt_at <= now() ELSE id = p_id END
            AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY next_attempt_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE organizations o SET lease_owner = p_owner, lease_until = now() + make_interval(secs => p_lease_s)
        FROM due WHERE o.id = due.id RETURNING o.id
    )
    SELECT array_agg(id) INTO v_taken FROM taken;
    RETURN QUERY SELECT tenant_json(id) FROM unnest(v_taken) AS t (id);
END
$$;
COMMENT ON FUNCTION lease_organizations IS
    'Take what is due and nobody has, without waiting for others; or the one that is named, due or not.';

CREATE FUNCTION keep_lease(p_id text, p_owner text, p_lease_s double precision) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $$
BEGIN
    -- No seconds: let it go.
    UPDATE organizations SET lease_owner = CASE WHEN p_lease_s > 0 THEN p_owner END,
        lease_until = CASE WHEN p_lease_s > 0 THEN now() + make_interval(secs => p_lease_s) END
    WHERE id = p_id AND lease_owner = p_owner AND (lease_until > now() OR p_lease_s <= 0);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION keep_lease IS 'Make a lease longer, or with 0 seconds let it go. false: it is not ours any more.';

CREATE FUNCTION record_step(
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
        FROM service_configs s WHERE s.service = 'k8s' AND s.organization_id = p_id
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
    IF p_event IS NOT NULL THEN
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
COMMENT ON FUNCTION record_step IS
    'Write down what a worker found and did, if it still holds the lease and the state is the one it saw; one commit. '
    'SQLSTATE HC009: it does not, or somebody asked for something else; HC006: there is no such move.';

-- privileges ------------------------------------------------------------------------------------------------

CREATE FUNCTION grant_provisioner(p_role name) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), p_role);
    EXECUTE format('GRANT SELECT ON migrations, organizations, organization_operations, organization_history,
        service_configs, config_history, heads TO %I', p_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION genesis, utc_text, tenant_may_become, tenant_json, operation_json,
        create_organization, begin_operation, protect_organization, lease_organizations, keep_lease, record_step
        TO %I', p_role);
END
$$;
COMMENT ON FUNCTION grant_provisioner IS
    'Let a role create, change and remove tenants through the functions. It may write no table, and no other service.';

DO $$ BEGIN
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
