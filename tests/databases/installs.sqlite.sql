BEGIN TRANSACTION;
CREATE TABLE applications_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "applications_version" VALUES('0002');
CREATE TABLE installs (
	user TEXT NOT NULL, 
	application TEXT NOT NULL, 
	is_enabled BOOLEAN NOT NULL, 
	plain TEXT NOT NULL, 
	settings TEXT NOT NULL, 
	problem TEXT NOT NULL, 
	token TEXT, 
	failures INTEGER NOT NULL, 
	expires BIGINT NOT NULL, 
	fence BIGINT NOT NULL, 
	token_fence BIGINT NOT NULL, 
	lease_until BIGINT NOT NULL, 
	retry_at BIGINT NOT NULL, 
	version BIGINT NOT NULL, 
	created BIGINT NOT NULL, 
	updated BIGINT NOT NULL, 
	PRIMARY KEY (user, application)
);
INSERT INTO "installs" VALUES('alice','git-hub',1,'{}','{"authorization_form": {"token": "v1.old.p0o37VmIiHvgWq9DRgGTKy33xu4r8npZ3c8mo95MICgApi3f5bET0NwaPFMA"}}','',NULL,0,0,1796024144209,1796024144209,0,0,1,1796024144208,1796024144424);
INSERT INTO "installs" VALUES('bob','books',0,'{}','{}','','v1.old.7WdXbNOtDE980_KlIv7WNB8uO3R2Y8QIlZcn9Ck6co-z9P9xWb0dGOTA4UjKofPyQgp4hLCqhMW4Gf9NL8EI5MCfONVBLoktJxefE1oZLWZ6OSUsx2TMmDvnWFr_XIp0xY4j23BEMCqiIPNe8KorLiNqmY5rINu_rEXUaasA3Yk_4syF7koLXbaAq8zZhTH4UkkY',0,4000000000000,1796024144431,1796024144431,0,0,0,1796024144430,1796024144433);
CREATE TABLE logins (
	id TEXT NOT NULL, 
	sealed TEXT NOT NULL, 
	expires BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE webhook_deliveries (
	webhook TEXT NOT NULL, 
	delivery TEXT NOT NULL, 
	received BIGINT NOT NULL, claim TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (webhook, delivery)
);
INSERT INTO "webhook_deliveries" VALUES('4ce8e100fbe64a57bd8f38788c8b45ed','taken',1796024144447,'');
CREATE TABLE webhooks (
	id TEXT NOT NULL, 
	user TEXT NOT NULL, 
	application TEXT NOT NULL, 
	name TEXT NOT NULL, 
	topology TEXT NOT NULL, 
	node TEXT NOT NULL, 
	sealed_token TEXT NOT NULL, 
	remote_id TEXT NOT NULL, 
	is_unsubscribe_failed BOOLEAN NOT NULL, 
	created BIGINT NOT NULL, token_digest TEXT, parameters TEXT DEFAULT '{}' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "webhooks" VALUES('4ce8e100fbe64a57bd8f38788c8b45ed','alice','git-hub','issues','topology','node','v1.old.TTpwTS2qWY9o75JqlluEJQ35ajbfgPCFuITB99tedqcpXiOlZJgqD0B5shmd-7GsUEbSIp1ct9B_o0x-YwT6-uNuKSYpUu_NHVM1uXGEhxdNmg81-YHaY8YGKK2cKoqJWtZORk3DvHPAEgF0CrR8WclnFFx9QrfkvaTlUYVJAJHHKphtkdMi9g','42',0,1796024144438,'fd85fbeea1d5d60afdffafef0c1f4444923cf6d4064d6f1b7c2d7f5f93d1631b','{"owner": "me"}');
CREATE INDEX webhooks_by_place ON webhooks (topology, node);
CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries (received);
CREATE INDEX webhooks_by_token ON webhooks (token_digest);
COMMIT;
