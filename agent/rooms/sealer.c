// SPDX-License-Identifier: MIT
/* One nonce for each seal: 192 random bits never come twice (draft-irtf-cfrg-xchacha-03, section 2.1). They are
 * fetched in batches, because libsodium asks the kernel each time.
 *
 *   nonces: | used | used | next | .. |   refilled when the last one is used */
#include "rooms/sealer.h"

#include <stdlib.h>

#include "adapters/log.h"
#include "domain/text.h"

enum { NONCES = 64, LOGS_PER_SECOND = 5, RECORD_HEX = 33 };

struct sealer {
    struct ev_loop *loop;
    struct config *config; /* held: the keys are in it */
    struct metrics *metrics;
    struct buf opened;
    unsigned nonces; /* left */
    uint8_t nonce[NONCES][SEAL_NONCE_BYTES];
    struct log_gate failed;
};

/* What can go wrong with sealed bytes. */
static const struct {
    enum seal_result result;
    enum metric metric;
    const char *why;
} failures[] = {
    {SEAL_NO_KEY,  METRIC_SEAL_NO_KEY,  "sealed by a key that replay.seal_keys does not list"              },
    {SEAL_UNKNOWN, METRIC_SEAL_UNKNOWN, "sealed in a way that this version does not know"                  },
    {SEAL_BROKEN,  METRIC_SEAL_BROKEN,  "changed since it was sealed, or moved here from another execution"},
    {SEAL_NO_ROOM, METRIC_SEAL_NO_ROOM, "out of memory"                                                    },
};

static void fail(struct sealer *s, enum seal_result result, struct spop_slice bytes,
                 const struct seal_place *at)
{
    unsigned i = 0;
    while (failures[i].result != result)
        i++;
    metrics_add(s->metrics, failures[i].metric);
    if (!log_gate_open(&s->failed, LOGS_PER_SECOND, ev_now(s->loop)))
        return;
    const uint8_t *id = seal_id_of(bytes);
    char key[SEAL_ID_TEXT + 1], memory[RECORD_HEX];
    struct text record;
    if (id)
        seal_id_text(id, key);
    text_init(&record, memory, sizeof memory);
    text_hex(&record, at->record->digest, sizeof at->record->digest);
    LOG(LOG_ERROR, "seal-failed", log_text("what", at->use == SEAL_ANSWER ? "answer" : "location"),
        log_text("why", failures[i].why), log_text("key", id ? key : "-"), log_text("record", memory),
        log_int("left_out", s->failed.left_out));
}

static const uint8_t *next_nonce(struct sealer *s)
{
    if (s->nonces == 0) {
        randombytes_buf(s->nonce, sizeof s->nonce);
        s->nonces = NONCES;
    }
    return s->nonce[--s->nonces];
}

void sealer_close(struct sealer *s, struct buf *b, size_t from, const struct seal_place *at)
{
    if (s->config->nseals == 0 || b->failed)
        return;
    seal_close(b, from, &s->config->seals[0], at, next_nonce(s));
    if (!b->failed)
        metrics_add(s->metrics, METRIC_SEALED);
}

bool sealer_open(struct sealer *s, struct spop_slice *bytes, const struct seal_place *at)
{
    const struct config *c = s->config;
    enum seal_result result = seal_open(*bytes, c->seals, c->nseals, at, &s->opened);
    switch (result) {
    case SEAL_PLAIN: return true;
    case SEAL_OPENED:
        metrics_add(s->metrics, METRIC_SEAL_OPENED);
        *bytes = (struct spop_slice){(const char *)s->opened.data, s->opened.len};
        return true;
    default: fail(s, result, *bytes, at); return false;
    }
}

static void say_keys(const struct config *c)
{
    char key[SEAL_ID_TEXT + 1];
    for (unsigned i = 0; i < c->nseals; i++) {
        seal_id_text(c->seals[i].id, key);
        LOG(LOG_NOTICE, "seal-key", log_text("key", key), log_text("file", c->replay.seal_keys.item[i]),
            log_text("for", i == 0 ? "sealing" : "opening"));
    }
}

void sealer_reconfigure(struct sealer *s, struct config *c)
{
    config_drop(s->config);
    s->config = config_hold(c);
    say_keys(c);
}

struct sealer *sealer_new(struct ev_loop *loop, struct config *c, struct metrics *metrics)
{
    struct sealer *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->loop = loop;
    s->metrics = metrics;
    buf_init(&s->opened);
    sealer_reconfigure(s, c);
    return s;
}

void sealer_free(struct sealer *s)
{
    if (!s)
        return;
    config_drop(s->config);
    buf_free(&s->opened);
    free(s);
}
