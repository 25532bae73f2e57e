CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE namespaces (
	name TEXT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (name)
);

CREATE TABLE leases (
	namespace TEXT NOT NULL, 
	id TEXT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	expires_ns BIGINT, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (namespace, id), 
	FOREIGN KEY(namespace) REFERENCES namespaces (name)
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

CREATE TABLE collecting (
	id TEXT NOT NULL, 
	PRIMARY KEY (id)
);

CREATE TABLE claims (
	digest TEXT NOT NULL, 
	token TEXT NOT NULL, 
	expires_ns BIGINT NOT NULL, 
	CONSTRAINT claims_by_digest PRIMARY KEY (digest, token)
)
 WITHOUT ROWID;

CREATE TABLE blobs (
	namespace TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	created_ns BIGINT NOT NULL, 
	updated_ns BIGINT NOT NULL, 
	labels TEXT NOT NULL, 
	PRIMARY KEY (namespace, digest), 
	FOREIGN KEY(namespace) REFERENCES namespaces (name)
)
 WITHOUT ROWID;

CREATE INDEX blobs_by_digest ON blobs (digest);

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
)
 WITHOUT ROWID;

CREATE TABLE resources (
	namespace TEXT NOT NULL, 
	lease TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	id TEXT NOT NULL, 
	PRIMARY KEY (namespace, lease, kind, id), 
	FOREIGN KEY(namespace, lease) REFERENCES leases (namespace, id) ON DELETE CASCADE
)
 WITHOUT ROWID;

CREATE INDEX resources_by_id ON resources (namespace, kind, id);

CREATE TABLE condemned (
	digest TEXT NOT NULL, 
	size BIGINT NOT NULL, 
	going BIGINT NOT NULL, 
	PRIMARY KEY (digest)
)
 WITHOUT ROWID;

CREATE TABLE touched (
	namespace TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	PRIMARY KEY (namespace, digest)
)
 WITHOUT ROWID;

INSERT INTO alembic_version VALUES ('0003');
