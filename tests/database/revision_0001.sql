BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE blobs (
	namespace TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	updated_ns BIGINT NOT NULL, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (namespace, digest), 
	FOREIGN KEY(namespace) REFERENCES namespaces (name)
);
INSERT INTO "blobs" VALUES('images','sha256:09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b',12,1,2,'{"a": "1"}');
CREATE TABLE claims (
	token TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	expires_ns BIGINT NOT NULL, 
	PRIMARY KEY (token)
);
CREATE TABLE collecting (
	id TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE condemned (
	digest TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	going BIGINT NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE images (
	namespace TEXT NOT NULL, 
	name TEXT NOT NULL, 
	target TEXT NOT NULL, 
	target_digest TEXT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	updated_ns BIGINT NOT NULL, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (namespace, name), 
	FOREIGN KEY(namespace) REFERENCES namespaces (name)
);
INSERT INTO "images" VALUES('images','greeting','{"digest": "sha256:09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b", "mediaType": "application/octet-stream", "size": 12}','sha256:09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b',1,1,'');
CREATE TABLE ingests (
	namespace TEXT NOT NULL, 
	ref TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	ref_in_full TEXT, 
	expected TEXT, 
	committing TEXT, 
	PRIMARY KEY (namespace, ref), 
	FOREIGN KEY(namespace) REFERENCES namespaces (name), 
	UNIQUE ("key")
);
INSERT INTO "ingests" VALUES('images','w','images/w',NULL,'sha256:09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b',NULL);
CREATE TABLE leases (
	namespace TEXT NOT NULL, 
	id TEXT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	expires_ns BIGINT, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (namespace, id), 
	FOREIGN KEY(namespace) REFERENCES namespaces (name)
);
INSERT INTO "leases" VALUES('images','l',1,NULL,'');
CREATE TABLE namespaces (
	name TEXT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "namespaces" VALUES('images',1,'{"team": "web"}');
CREATE TABLE resources (
	namespace TEXT NOT NULL, 
	lease TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	id TEXT NOT NULL, 
	PRIMARY KEY (namespace, lease, kind, id), 
	FOREIGN KEY(namespace, lease) REFERENCES leases (namespace, id) ON DELETE CASCADE
);
INSERT INTO "resources" VALUES('images','l','content','sha256:09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b');
INSERT INTO "resources" VALUES('images','l','ingests','w');
CREATE TABLE touched (
	namespace TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	PRIMARY KEY (namespace, digest)
);
CREATE INDEX blobs_by_digest ON blobs (digest);
CREATE INDEX resources_by_id ON resources (namespace, kind, id);
CREATE INDEX claims_by_digest ON claims (digest);
COMMIT;
