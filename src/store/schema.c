/* SPDX-License-Identifier: Apache-2.0 */
/* store/schema.c - the tables, in steps that each run once; counters and secrets.
 *
 * For:     hub_open, through store_migrate.
 * Owns:    every table name. A change is a new step at the end of the list, never an edit.
 * Threads: any.
 * Truth:   the text is read by SQLite and PostgreSQL alike: INTEGER for small numbers and row ids
 *          (numbered by `counters`, since the engines disagree on automatic ones), BIGINT for
 *          sizes and times, TEXT for the rest. Binary values are hex, which both compare alike. */
#include "store/store_int.h"

static const char schema_1[] =
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);"
    "INSERT INTO counters (name, value) VALUES ('users', 0);"
    "INSERT INTO counters (name, value) VALUES ('tokens', 0);"
    "INSERT INTO counters (name, value) VALUES ('repos', 0);"
    "INSERT INTO counters (name, value) VALUES ('downloads_day', 0);"

    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);"

    "CREATE TABLE users ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL,"
    " name_key TEXT NOT NULL UNIQUE," /* lower case */
    " fullname TEXT NOT NULL,"
    " email TEXT NOT NULL,"
    " password TEXT NOT NULL,"
    " is_admin INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL);"

    "CREATE TABLE tokens ("
    " id INTEGER PRIMARY KEY,"
    " user_id INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " role INTEGER NOT NULL,"
    " hash TEXT NOT NULL UNIQUE," /* SHA-256 of the token, hex */
    " created_ms BIGINT NOT NULL,"
    " last_used_ms BIGINT NOT NULL,"
    " UNIQUE (user_id, name));"

    "CREATE TABLE repos ("
    " id INTEGER PRIMARY KEY,"
    " type INTEGER NOT NULL,"
    " ns TEXT NOT NULL,"
    " ns_key TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " id_key TEXT NOT NULL," /* lower-case ns/name */
    " oid24 TEXT NOT NULL,"
    " git_key TEXT NOT NULL UNIQUE,"
    " visibility INTEGER NOT NULL,"
    " gated INTEGER NOT NULL,"
    " disabled INTEGER NOT NULL,"
    " state INTEGER NOT NULL,"
    " creator_id INTEGER NOT NULL,"
    " sdk TEXT NOT NULL,"
    " head TEXT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " modified_ms BIGINT NOT NULL,"
    " downloads BIGINT NOT NULL," /* of the last 30 days */
    " downloads_all BIGINT NOT NULL,"
    " likes BIGINT NOT NULL,"
    " trending BIGINT NOT NULL," /* downloads of the last 7 days */
    " used_storage BIGINT NOT NULL,"
    " tags TEXT NOT NULL," /* JSON array */
    " card TEXT NOT NULL," /* JSON object, or empty */
    " pipeline_tag TEXT NOT NULL,"
    " library_name TEXT NOT NULL,"
    " UNIQUE (type, id_key));"
    "CREATE INDEX repos_by_created ON repos (type, created_ms, id);"
    "CREATE INDEX repos_by_modified ON repos (type, modified_ms, id);"
    "CREATE INDEX repos_by_downloads ON repos (type, downloads, id);"
    "CREATE INDEX repos_by_likes ON repos (type, likes, id);"
    "CREATE INDEX repos_by_trending ON repos (type, trending, id);"
    "CREATE INDEX repos_by_owner ON repos (ns_key, type);"

    "CREATE TABLE redirects ("
    " type INTEGER NOT NULL,"
    " id_key TEXT NOT NULL,"
    " repo_id INTEGER NOT NULL," /* a row and not an id: chains cannot form */
    " PRIMARY KEY (type, id_key));"
    "CREATE INDEX redirects_by_repo ON redirects (repo_id);"

    "CREATE TABLE repo_tags ("
    " type INTEGER NOT NULL,"
    " tag TEXT NOT NULL," /* lower case */
    " repo_id INTEGER NOT NULL,"
    " PRIMARY KEY (type, tag, repo_id));"
    "CREATE INDEX repo_tags_by_repo ON repo_tags (repo_id);"

    "CREATE TABLE lfs_links ("
    " repo_id INTEGER NOT NULL,"
    " oid TEXT NOT NULL," /* SHA-256, hex */
    " size BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " PRIMARY KEY (repo_id, oid));"
    "CREATE INDEX lfs_links_by_oid ON lfs_links (oid);"

    "CREATE TABLE downloads ("
    " repo_id INTEGER NOT NULL,"
    " day INTEGER NOT NULL," /* since 1970, UTC */
    " count BIGINT NOT NULL,"
    " PRIMARY KEY (repo_id, day));";

/* Deduplicated storage. BYTEA is PostgreSQL's word for bytes; SQLite takes any. */
static const char schema_2[] =
    "INSERT INTO counters (name, value) VALUES ('xorbs', 0);"
    "INSERT INTO counters (name, value) VALUES ('xet_files', 0);"

    "CREATE TABLE xorbs ("
    " id INTEGER PRIMARY KEY,"
    " hash TEXT NOT NULL UNIQUE," /* the text form of a Xet hash */
    " blob TEXT NOT NULL,"        /* SHA-256 of its records, hex: where they are stored */
    " stored_size BIGINT NOT NULL,"
    " raw_size BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " chunks BYTEA NOT NULL);" /* last: long, and seldom read */

    "CREATE TABLE xorb_links (" /* who brought it where: a reason to be told that it exists */
    " xorb_id INTEGER NOT NULL,"
    " repo_id INTEGER NOT NULL,"
    " user_id INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " PRIMARY KEY (xorb_id, repo_id, user_id));"

    "CREATE TABLE xorb_lookup (" /* chunks a client may ask for; 64 of the hash's 256 bits */
    " chunk BIGINT NOT NULL,"
    " xorb_id INTEGER NOT NULL,"
    " chunk_index INTEGER NOT NULL,"
    " file TEXT NOT NULL," /* hash of a file it belongs to: the rest of it is told along */
    " PRIMARY KEY (chunk, xorb_id, chunk_index));"

    "CREATE TABLE xet_files ("
    " id INTEGER PRIMARY KEY,"
    " hash TEXT NOT NULL UNIQUE,"
    " sha256 TEXT NOT NULL," /* computed by us from the bytes, never taken on trust */
    " size BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " terms BYTEA NOT NULL);"
    "CREATE INDEX xet_files_by_sha256 ON xet_files (sha256);";

static const db_migration steps[] = {{1, schema_1},
                                     {2, schema_2},
                                     {3, store_schema_locks},
                                     {4, store_schema_community},
                                     {5, store_schema_groups},
                                     {6, store_schema_layouts},
                                     {7, store_schema_jobs},
                                     {8, store_schema_care},
                                     {9, store_schema_search},
                                     {10, store_schema_ssh},
                                     {11, store_schema_talks}};

snug_status store_migrate(db *d, snug_err *err)
{
    return db_migrate(d, steps, sizeof steps / sizeof steps[0], err);
}

snug_status store_next_id(db_txn *tx, const char *counter, int64_t *out, snug_err *err)
{
    static const db_query q = {
        "UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value"};
    snug_arena   *a = snug_arena_new();
    db_val        arg = db_text(snug_str(counter));
    const db_val *cols;
    snug_status   st = db_one(tx, a, q, &arg, 1, &cols, err);
    if (st == SNUG_OK) {
        SNUG_ASSERT(cols != NULL); /* the schema makes every counter */
        *out = cols[0].i;
    }
    snug_arena_free(a);
    return st;
}

snug_slice store_lower(snug_arena *a, snug_slice s)
{
    char *p = snug_arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        p[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    p[s.len] = '\0';
    return (snug_slice){p, s.len};
}

snug_status store_keep_secret(db_txn *tx, snug_arena *a, const char *name, snug_slice fresh,
                              snug_slice *out, snug_err *err)
{
    static const db_query put = {
        "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"};
    static const db_query get = {"SELECT value FROM secrets WHERE name = $1"};
    snug_status           st = SNUG_OK;
    const db_val         *cols;
    db_val                args[] = {db_text(snug_str(name)), db_text(fresh)};

    SNUG_TRY(db_exec(tx, put, args, 2, NULL, err));
    SNUG_TRY(db_one(tx, a, get, args, 1, &cols, err));
    SNUG_ASSERT(cols != NULL);
    *out = cols[0].s;
done:
    return st;
}
