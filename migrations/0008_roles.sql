-- Who may do what: two groups that login roles are members of. Which rights they have on which table is said in one
-- place (migrations/grants.py) and given anew after every migration. Roles belong to the cluster, not to a database.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['tallystick_serving', 'tallystick_writing'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    RAISE NOTICE 'role % was made meanwhile, for another database', wanted;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'an administrator must first: CREATE ROLE %', wanted
                    USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
    END LOOP;
END
$$;

-- a superuser's SET session_replication_role = replica passes ordinary triggers by
ALTER TABLE events ENABLE ALWAYS TRIGGER events_never_change;
