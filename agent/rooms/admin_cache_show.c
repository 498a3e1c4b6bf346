// SPDX-License-Identifier: MIT
/* What the cache has for a URL, explained as a request with these headers would find it: each policy in turn, by the same questions
 * (rooms/txn_cache_look); nothing is changed.
 *
 *   url, headers, principal ──► policy ──► MGET ─┬─ other names of Vary, or other tags than were asked for: once more
 *                                 ▲              └─► a row: state, why ──┐
 *                                 └──────────── next policy ─────────────┴─► answer */
#include "rooms/admin_inner.h"

#include <stdlib.h>
#include <string.h>

#include "domain/cachescript.h"
#include "domain/policy.h"
#include "domain/seal.h"
#include "spop/writer.h"

enum { SHOW_LOOKS_MAX = 3, SHOW_HEADERS = 4096 };

struct cache_show {
    unsigned n, at; /* policies, by hash: a reload may change the configuration meanwhile */
    uint32_t policies[CONFIG_POLICIES_MAX];
    struct cachekey_url url;
    struct spop_slice headers; /* as req.hdrs_bin */
    uint8_t memory[SHOW_HEADERS];
    /* of the policy that is looked at */
    unsigned mask, looks;
    uint8_t values[VARY_MAX][VARY_VALUE], scope[CACHEKEY_DIGEST], tags[CACHETAGS_MAX][CACHETAGS_DIGEST];
    struct cachelook look;
};

/* Lines "name: value"; false: one is none, or they are too long. */
static bool read_headers(struct cache_show *s, const char *lines)
{
    struct spop_writer w;
    spop_writer_init(&w, s->memory, sizeof s->memory);
    for (const char *at = lines ? lines : ""; *at;) {
        size_t len = strcspn(at, "\n"), name = strcspn(at, ":"), begin = name + 1;
        if (name == 0 || name >= len || strcspn(at, " \t\r") < name)
            return false;
        while (begin < len && (at[begin] == ' ' || at[begin] == '\t'))
            begin++;
        spop_put_string(&w, at, name);
        spop_put_string(&w, at + begin, len - begin);
        at += len + (at[len] == '\n');
    }
    spop_put_string(&w, "", 0);
    spop_put_string(&w, "", 0);
    s->headers = (struct spop_slice){(const char *)s->memory, w.len};
    return !w.overflow;
}

/* False: whose it is was not said. */
static bool read_scope(const struct job *j, const struct policy *p, uint8_t out[CACHEKEY_DIGEST])
{
    const struct cache_policy *c = &p->cache;
    const char *who = httpd_argument(j->request, "principal");
    struct request_facts f = {.body_len = -1};
    char bytes[16], scratch[24];
    struct spop_slice text = {0};
    if (c->per == CACHE_PER_PRINCIPAL) {
        if (!who)
            return false;
        if (!facts_say(&f, c->principal, slice_of(who)))
            admin_address(who, &f.src, bytes);
        text = facts_text(&f, c->principal, scratch);
        if (text.len == 0)
            return false;
    }
    cachekey_scope(p->hash, c->per == CACHE_PER_PUBLIC ? NULL : c->principal, text, out);
    return true;
}

static json_t *vary_json(const struct vary_names *names)
{
    json_t *json = json_array();
    for (unsigned i = 0; i < names->n; i++)
        json_array_append_new(json, json_string(names->name[i]));
    return json;
}

struct purge_time {
    const char *by;
    uint64_t us;
};

static void later(struct purge_time *last, const char *by, uint64_t us)
{
    if (us > last->us)
        *last = (struct purge_time){by, us};
}

/* The last purge that concerns what was looked at. */
static struct purge_time last_purge(const struct cache_show *s, const struct redis_reply *reply)
{
    struct spop_slice policy = redis_item(reply, CACHELOOK_POLICY);
    struct purge_time last = {NULL, 0};
    later(&last, "url", cachestate_purged_us(redis_item(reply, CACHELOOK_URL)));
    later(&last, "policy", cachestate_purged_us(policy));
    later(&last, "prefix", cachestate_policy_us(policy, &s->url));
    for (unsigned i = 0; i < s->look.ntags; i++)
        later(&last, "tag", cachestate_purged_us(redis_item(reply, CACHELOOK_TAGS + i)));
    return last;
}

/* Why nothing is served: what lies in the place of the lease says more than that nothing is there. */
static const char *why_none(struct spop_slice fill, bool varies)
{
    if (fill.ptr && fill.len == CACHEFILL_LEASE)
        return "a request is fetching it now";
    if (fill.ptr && fill.len > CACHEFILL_LEASE)
        return "the last request's own answer could not be stored (its status, or its Authorization): the "
               "next one fetches";
    if (fill.ptr && *fill.ptr == 'n')
        return "its last answer could not be stored (spoa_once_cache_answers_total counts why): requests "
               "pass by for a moment";
    if (fill.ptr)
        return "the backend has failed just now";
    return varies ? "nothing for these headers: its answers vary, say those of the request"
                  : "nobody has fetched it, it could not be stored, or its time is over";
}

static const char *why_stale(const struct freshness *f, uint64_t now_us)
{
    static const struct cachecontrol plain;
    switch (freshness_for(f, &plain, now_us)) {
    case FRESHNESS_STALE:
    case FRESHNESS_REVALIDATE: return "served while another request fetches it (stale_while_revalidate)";
    default: break;
    }
    return freshness_on_error(f, &plain, now_us) ? "served only if the backend fails (stale_if_error)"
                                                 : "no request is answered with it any more";
}

static void put_state(json_t *row, const char *state, const char *why)
{
    json_object_set_new(row, "state", json_string(state));
    json_object_set_new(row, "why", json_string(why));
}

static void put_entry(json_t *row, const struct cacheentry *e, uint64_t now_us)
{
    const struct freshness *f = &e->freshness;
    char name[LOOK_NAME + 1];
    json_t *tags = json_array();
    for (unsigned i = 0; i < e->ntags; i++) {
        struct record_id id;
        cachescript_id(e->tags + (size_t)i * CACHETAGS_DIGEST, &id);
        look_name_write(&id, name);
        json_array_append_new(tags, json_string(name));
    }
    json_object_set_new(row, "status", json_integer(e->status));
    json_object_set_new(row, "age_s", json_integer(freshness_age_s(f, now_us)));
    json_object_set_new(row, "fresh_s", json_integer(freshness_ttl_s(f, now_us)));
    json_object_set_new(row, "stale_while_revalidate_s", json_integer(f->stale_while_revalidate_s));
    json_object_set_new(row, "stale_if_error_s", json_integer(f->stale_if_error_s));
    json_object_set_new(row, "asked_us", json_integer((json_int_t)e->asked_us));
    json_object_set_new(row, "vary", vary_json(&e->names));
    json_object_set_new(row, "tags", tags);
    json_object_set_new(row, "stored_bytes", json_integer((json_int_t)e->payload.len));
    json_object_set_new(row, "sealed", json_boolean(seal_is(e->payload)));
}

static bool opens(const struct job *j, const struct cacheentry *e)
{
    struct spop_slice payload = e->payload;
    const struct seal_place at = {SEAL_ANSWER, &j->shown->look.entry, e->asked_us};
    return !seal_is(payload) || sealer_open(j->admin->gate->sealer, &payload, &at);
}

/* The reply as a row; e NULL: nothing that is meant lies there. */
static json_t *row_of(const struct job *j, const struct policy *p, const struct redis_reply *reply,
                      const struct cacheentry *e)
{
    const struct cache_show *s = j->shown;
    struct spop_slice fill = redis_item(reply, CACHELOOK_FILL);
    struct purge_time purge = last_purge(s, reply);
    uint64_t now_us = cache_now_us(j->admin->gate->cache);
    struct vary_names names;
    char name[LOOK_NAME + 1];
    look_name_write(&s->look.entry, name);
    json_t *row = json_pack("{s:s,s:s,s:I}", "policy", p->name, "id", name, "now_us", (json_int_t)now_us);
    bool varies = cachestate_names(redis_item(reply, CACHELOOK_URL), &names) && names.n > 0;
    if (e)
        put_entry(row, e, now_us);
    else if (varies)
        json_object_set_new(row, "vary", vary_json(&names));
    if (purge.us > 0)
        json_object_update_new(
            row, json_pack("{s:s,s:I}", "purged_by", purge.by, "purged_us", (json_int_t)purge.us));
    if (redis_item(reply, CACHELOOK_ENTRY).ptr && !e)
        put_state(row, "unreadable", "what lies there is no entry of this version: a miss");
    else if (!e)
        put_state(row, "none", why_none(fill, varies));
    else if (e->asked_us <= purge.us)
        put_state(row, "purged", "it was asked for before the purge: a miss");
    else if (e->asked_us <= cachestate_url_us(redis_item(reply, CACHELOOK_URL)))
        put_state(row, "purged", "Redis has lost what it kept of the URL since it was asked for: a miss");
    else if (!cacheentry_counts(e, purge.us, now_us))
        put_state(row, "purged", "it was asked for at a time to come, where no purge reaches it: a miss");
    else if (!opens(j, e))
        put_state(row, "unreadable", "it is sealed, and cannot be opened: a miss (the log says why)");
    else if (freshness_ttl_s(&e->freshness, now_us) > 0)
        put_state(row, "fresh", "served");
    else
        put_state(row, "stale", why_stale(&e->freshness, now_us));
    return row;
}

static void look(struct job *j, const struct policy *p);

/* Looks by the next policy that can be looked by, or answers. */
static void next(struct job *j)
{
    struct cache_show *s = j->shown;
    for (; s->at < s->n; s->at++) {
        const struct policy *p = policy_by_hash(j->admin->gate->config, s->policies[s->at]);
        if (!p || !p->cache.enabled)
            continue;
        s->look = (struct cachelook){.policy = p->hash, .tags = (const uint8_t(*)[CACHETAGS_DIGEST])s->tags};
        s->mask = s->looks = 0;
        cachefill_url(p, &s->url, s->look.url);
        vary_values(s->headers, &p->cache.varies, s->values);
        if (read_scope(j, p, s->scope)) {
            look(j, p);
            return;
        }
        json_array_append_new(j->answer, json_pack("{s:s,s:s,s:s}", "policy", p->name, "state", "unknown",
                                                   "why", "its answers belong to a principal: say whose"));
    }
    json_t *answer = json_pack("{s:O}", "entries", j->answer);
    job_send(j, 200, answer);
}

/* Other names of Vary or other tags than were asked for? Then these are asked for next. */
static bool learn(struct cache_show *s, const struct policy *p, const struct vary_names *names,
                  const struct cacheentry *e)
{
    int mask = cachefill_mask(&p->cache.varies, names);
    bool tags = e && (e->ntags != s->look.ntags ||
                      (e->ntags && memcmp(s->tags, e->tags, (size_t)e->ntags * CACHETAGS_DIGEST) != 0));
    if (mask < 0 || ((unsigned)mask == s->mask && !tags) || s->looks >= SHOW_LOOKS_MAX)
        return false;
    s->mask = (unsigned)mask;
    s->look.ntags = e ? e->ntags : 0;
    if (s->look.ntags)
        memcpy(s->tags, e->tags, (size_t)e->ntags * CACHETAGS_DIGEST);
    return true;
}

static void on_seen(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    struct cache_show *s = j->shown;
    struct cacheentry e;
    struct vary_names names;
    if (!job_heard(j, reply))
        return;
    if (reply->status != REDIS_ITEMS || reply->nitems != CACHELOOK_TAGS + s->look.ntags) {
        job_refuse(j, 503, "redis-error", "the reply of MGET is not one");
        return;
    }
    const struct policy *p = policy_by_hash(j->admin->gate->config, s->look.policy);
    struct spop_slice bytes = redis_item(reply, CACHELOOK_ENTRY);
    bool meant = p && bytes.ptr && cacheentry_read(bytes, &e) == 0 && e.policy == p->hash &&
                 memcmp(e.url, s->look.url, sizeof e.url) == 0;
    bool known = meant || (p && cachestate_names(redis_item(reply, CACHELOOK_URL), &names));
    if (known && learn(s, p, meant ? &e.names : &names, meant ? &e : NULL)) {
        look(j, p);
        return;
    }
    if (p)
        json_array_append_new(j->answer, row_of(j, p, reply, meant ? &e : NULL));
    s->at++;
    next(j);
}

static void look(struct job *j, const struct policy *p)
{
    struct cache_show *s = j->shown;
    s->looks++;
    cachefill_entry(s->look.url, s->scope, &p->cache.varies, s->mask, (const uint8_t(*)[VARY_VALUE])s->values,
                    &s->look.entry);
    buf_reset(&j->admin->command);
    cachescript_lookup(&j->admin->command, &s->look);
    job_ask_cache(j, on_seen);
}

static void choose(const struct config *c, const struct policy *only, struct cache_show *s)
{
    for (unsigned i = 0; i < c->npolicies; i++)
        if (c->policies[i].cache.enabled && (!only || only == &c->policies[i]))
            s->policies[s->n++] = c->policies[i].hash;
}

void cached_show(struct job *j)
{
    const char *url = httpd_argument(j->request, "url"), *why = NULL;
    const struct policy *only;
    if (!cache_policy_said(j, &only))
        return;
    j->answer = json_array();
    j->shown = calloc(1, sizeof *j->shown);
    if (!j->shown) {
        job_refuse(j, 503, "no-memory", "out of memory");
        return;
    }
    choose(j->admin->gate->config, only, j->shown);
    if (!url || !cachekey_read(slice_of(url), &j->shown->url))
        why = "say a url: http:// or https://, a host, path and query, without user information or blanks";
    else if (!read_headers(j->shown, httpd_argument(j->request, "header")))
        why = "headers are lines of name: value, 4000 bytes together";
    else if (j->shown->n == 0)
        why = "no policy of the agent has a cache";
    if (why)
        job_refuse(j, 400, "bad-name", why);
    else
        next(j);
}
