// SPDX-License-Identifier: MIT
/* What an operator purges of the cache. Nothing is deleted: Redis' time is written, and what was asked for before it counts no more,
 * for all agents at once (docs/wire.md, Cache).
 *
 *   url, tag, prefix, or a policy and all=1 ──► policies that it concerns ──► purge.lua, one question ──► logged, counted ──► answer
 *
 * Where no policy is said it is every policy with a cache: which one a URL belongs to, HAProxy decides. */
#include "rooms/admin_inner.h"

#include <string.h>

#include "adapters/log.h"
#include "domain/cachescript.h"
#include "domain/le.h"
#include "domain/policy.h"

enum { STAMP = 8 };

/* Those that a purge concerns. */
struct concerned {
    unsigned n;
    const struct policy *policy[CONFIG_POLICIES_MAX];
};

/* Appends the command to `out`; NULL, or what is wrong with the text. */
typedef const char *purge_fn(struct buf *out, const struct concerned *c, struct spop_slice text,
                             uint64_t keep_ms);

static const char *purge_url(struct buf *out, const struct concerned *c, struct spop_slice text,
                             uint64_t keep_ms)
{
    uint8_t digests[CONFIG_POLICIES_MAX][CACHEKEY_DIGEST];
    struct cachekey_url url;
    (void)keep_ms;
    if (!cachekey_read(text, &url))
        return "a url is http:// or https://, a host, path and query, without user information or blanks";
    for (unsigned i = 0; i < c->n; i++)
        cachefill_url(c->policy[i], &url, digests[i]);
    cachescript_purge_urls(out, (const uint8_t(*)[CACHEKEY_DIGEST])digests, c->n);
    return NULL;
}

/* Blanks and commas part tags (domain/cachetags): nothing has a tag with one. */
static const char *purge_tag(struct buf *out, const struct concerned *c, struct spop_slice text,
                             uint64_t keep_ms)
{
    uint8_t digests[CONFIG_POLICIES_MAX][CACHETAGS_DIGEST];
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t,", text.ptr[i]))
            return "blanks and commas part tags: say one at a time";
    for (unsigned i = 0; i < c->n; i++)
        cachetags_digest(c->policy[i]->hash, text, digests[i]);
    cachescript_purge_tags(out, (const uint8_t(*)[CACHETAGS_DIGEST])digests, c->n, keep_ms);
    return NULL;
}

static void put_policies(struct buf *out, const struct concerned *c, struct spop_slice prefix,
                         uint64_t keep_ms)
{
    uint32_t hashes[CONFIG_POLICIES_MAX];
    for (unsigned i = 0; i < c->n; i++)
        hashes[i] = c->policy[i]->hash;
    cachescript_purge_policies(out, hashes, c->n, prefix, keep_ms);
}

static const char *purge_prefix(struct buf *out, const struct concerned *c, struct spop_slice text,
                                uint64_t keep_ms)
{
    if (!cachekey_is_prefix(text) || text.len > UINT16_MAX)
        return "a prefix is host/path: without a scheme and a query; a * only at its end";
    put_policies(out, c, text, keep_ms);
    return NULL;
}

static const char *purge_policy(struct buf *out, const struct concerned *c, struct spop_slice text,
                                uint64_t keep_ms)
{
    (void)text;
    put_policies(out, c, (struct spop_slice){0}, keep_ms);
    return NULL;
}

/* The one list of what can be purged; name: the argument, and the label of the metric but for `all`. */
static const struct kind {
    const char *name, *by;
    unsigned bit;
    enum metric metric;
    purge_fn *fn;
} kinds[] = {
    {"url",    "url",    SAYS_URL,    METRIC_CACHE_PURGED_URL,    purge_url   },
    {"tag",    "tag",    SAYS_TAG,    METRIC_CACHE_PURGED_TAG,    purge_tag   },
    {"prefix", "prefix", SAYS_PREFIX, METRIC_CACHE_PURGED_PREFIX, purge_prefix},
    {"all",    "policy", SAYS_ALL,    METRIC_CACHE_PURGED_POLICY, purge_policy},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The only one that was said; NULL: none, or several. */
static const struct kind *kind_of(const struct job *j)
{
    const struct kind *found = NULL;
    unsigned said = 0;
    for (size_t i = 0; i < KINDS; i++)
        if (j->says & kinds[i].bit) {
            found = &kinds[i];
            said++;
        }
    return said == 1 ? found : NULL;
}

bool cache_policy_said(struct job *j, const struct policy **out)
{
    const char *name = httpd_argument(j->request, "policy");
    *out = name ? policy_find(j->admin->gate->config, slice_of(name)) : NULL;
    if (!name || (*out && (*out)->cache.enabled))
        return true;
    job_refuse(j, 400, "bad-name",
               "the agent has no such policy with a cache; oncectl status lists its policies");
    return false;
}

static void concern(const struct config *c, const struct policy *only, bool tags, struct concerned *out)
{
    out->n = 0;
    for (unsigned i = 0; i < c->npolicies; i++) {
        const struct policy *p = &c->policies[i];
        if (p->cache.enabled && (!only || p == only) && (!tags || p->cache.tags[0] != '\0'))
            out->policy[out->n++] = p;
    }
}

/* Of a URL without its query: what stands there may be nobody's business. */
static struct spop_slice shown(const char *what)
{
    return (struct spop_slice){what, what ? strcspn(what, "?#") : 0};
}

static void on_purged(void *arg, const struct redis_reply *reply)
{
    struct job *j = arg;
    const struct kind *k = kind_of(j);
    struct metrics *metrics = j->admin->gate->metrics;
    const char *policy = httpd_argument(j->request, "policy");
    bool done = reply->status == REDIS_BYTES && reply->bytes.len == STAMP;
    if (!done)
        metrics_add(metrics, METRIC_CACHE_PURGE_FAILED);
    if (!job_heard(j, reply))
        return;
    if (!done) {
        job_refuse(j, 503, "redis-error", "the reply of purge.lua is not one");
        return;
    }
    metrics_add(metrics, k->metric);
    LOG(LOG_NOTICE, "operator-cache-purge", log_text("by", k->by), log_text("policy", policy ? policy : ""),
        log_bytes("what", shown(httpd_argument(j->request, k->name))),
        log_int("uid", httpd_peer_uid(j->request)));
    json_object_set_new(j->answer, "at_us",
                        json_integer((json_int_t)le_get((const uint8_t *)reply->bytes.ptr, STAMP)));
    json_t *answer = j->answer;
    j->answer = NULL;
    job_send(j, 200, answer);
}

static json_t *names_of(const struct concerned *c)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < c->n; i++)
        json_array_append_new(names, json_string(c->policy[i]->name));
    return names;
}

void cached_purge(struct job *j)
{
    const struct kind *k = kind_of(j);
    const struct config *config = j->admin->gate->config;
    const struct policy *only;
    struct concerned c;
    const char *why = NULL;
    if (!k || (k->bit == SAYS_ALL && !(j->says & SAYS_POLICY))) {
        job_refuse(j, 400, "bad-name",
                   "say one of url, tag and prefix; or policy and all=1: all that is cached by that policy");
        return;
    }
    if (!cache_policy_said(j, &only))
        return;
    concern(config, only, k->bit == SAYS_TAG, &c);
    if (c.n == 0)
        why = k->bit == SAYS_TAG ? "no such policy has cache.tags: its answers have no tags"
                                 : "no policy of the agent has a cache";
    else
        why = k->fn(&j->admin->command, &c, slice_of(httpd_argument(j->request, k->name)),
                    config->cache.keep_ms);
    if (why) {
        job_refuse(j, 400, "bad-name", why);
        return;
    }
    j->answer = json_pack("{s:s,s:o}", "by", k->by, "policies", names_of(&c));
    job_ask_cache(j, on_purged);
}
