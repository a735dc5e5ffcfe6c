CREATE TABLE public.applications_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.installs (
    "user" text NOT NULL,
    application text NOT NULL,
    is_enabled boolean NOT NULL,
    plain text NOT NULL,
    settings text NOT NULL,
    problem text NOT NULL,
    token text,
    failures integer NOT NULL,
    expires bigint NOT NULL,
    fence bigint NOT NULL,
    token_fence bigint NOT NULL,
    lease_until bigint NOT NULL,
    retry_at bigint NOT NULL,
    version bigint NOT NULL,
    created bigint NOT NULL,
    updated bigint NOT NULL
);
CREATE TABLE public.logins (
    id text NOT NULL,
    sealed text NOT NULL,
    expires bigint NOT NULL
);
CREATE TABLE public.webhook_deliveries (
    webhook text NOT NULL,
    delivery text NOT NULL,
    received bigint NOT NULL,
    claim text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.webhooks (
    id text NOT NULL,
    "user" text NOT NULL,
    application text NOT NULL,
    name text NOT NULL,
    topology text NOT NULL,
    node text NOT NULL,
    sealed_token text NOT NULL,
    remote_id text NOT NULL,
    is_unsubscribe_failed boolean NOT NULL,
    created bigint NOT NULL,
    token_digest text,
    parameters text DEFAULT '{}'::text NOT NULL
);
INSERT INTO public.applications_version VALUES ('0002');
INSERT INTO public.installs VALUES ('alice', 'git-hub', true, '{}', '{"authorization_form": {"token": "v1.old.1lb9AHaM8FXeGMJ_53UCYR4nnO8p8UJvqUVBObtIFzmPc7tDIBBX69U5Pqke"}}', '', NULL, 0, 0, 1796024147061, 1796024147061, 0, 0, 1, 1796024147060, 1796024147285);
INSERT INTO public.installs VALUES ('bob', 'books', false, '{}', '{}', '', 'v1.old.0QTb2ebVwHDDKlVg6zlDGQgpITGudSYd7awiqoEInvHq5Mzf0x54EIZoCPvdn2_WrytlKQn3dKgRpfb47kWXeAyjGztktBsJybGMxEaZ2yzOo8ZQ7jARBwyKJZ30XJpOE0-YKS0jyMvKOBgYjUrbO5RR8zux90ta3PVimi6plmMSgiXq7caOrFos9CXToBC4MG9D', 0, 4000000000000, 1796024147288, 1796024147288, 0, 0, 0, 1796024147287, 1796024147290);
INSERT INTO public.webhook_deliveries VALUES ('0e1157e8536649dc92c0dda3bfc7eb16', 'taken', 1796024147300, '');
INSERT INTO public.webhooks VALUES ('0e1157e8536649dc92c0dda3bfc7eb16', 'alice', 'git-hub', 'issues', 'topology', 'node', 'v1.old.xLhin_gsRawwRs3gBR7Sc4sd9p6F6dzYZyiz6bvM6p-9LaCR-x7n37QP3NDkhoJVXrWooCq0w-sPXdzAa6Mf9BcII2gc8CsAgjoXlFfbBXGc7_cWUJ9I_i5kv6mUkWVhWbamInNE1OTK6i9a6VSTBOeCmtD_RxBkslJnlaXg6XeZ5jqh1X0l4A', '42', false, 1796024147292, '8e37b9bb2b4557a674237f2959324b7f14db801695fbc9065cf2bf84cd0d0e26', '{"owner": "me"}');
ALTER TABLE ONLY public.applications_version
    ADD CONSTRAINT applications_version_pkey PRIMARY KEY (version_num);
ALTER TABLE ONLY public.installs
    ADD CONSTRAINT installs_pkey PRIMARY KEY ("user", application);
ALTER TABLE ONLY public.logins
    ADD CONSTRAINT logins_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (webhook, delivery);
ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);
CREATE INDEX webhook_deliveries_by_time ON public.webhook_deliveries USING btree (received);
CREATE INDEX webhooks_by_place ON public.webhooks USING btree (topology, node);
CREATE INDEX webhooks_by_token ON public.webhooks USING btree (token_digest);
