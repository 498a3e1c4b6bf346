// SPDX-License-Identifier: MIT
/* Counters of the agent: one table drives the numbers, the exposition and docs/metrics.md.
 * X(symbol, kind, name, labels, help). Rows of one name stand together; only the first one's help is shown.
 * SPOP errors have a table of their own (spop/status.h), and so have decisions by limit (limit_counts.h). */
#ifndef METRICS_H
#define METRICS_H

#include "domain/cache_counts.h"
#include "domain/limit_counts.h"
#include "domain/traffic.h"
#include "spop/status.h"

#define METRIC_TABLE(X)                                                                                      \
    X(CLAIM_GO, counter, "spoa_once_claims_total", "outcome=\"go\"", "Decisions of the gate by outcome.")    \
    X(CLAIM_YOURS, counter, "spoa_once_claims_total", "outcome=\"yours\"", "")                               \
    X(CLAIM_REPLAY, counter, "spoa_once_claims_total", "outcome=\"replay\"", "")                             \
    X(CLAIM_MISMATCH, counter, "spoa_once_claims_total", "outcome=\"mismatch\"", "")                         \
    X(CLAIM_BUSY, counter, "spoa_once_claims_total", "outcome=\"busy\"", "")                                 \
    X(CLAIM_TOMB, counter, "spoa_once_claims_total", "outcome=\"tombstone\"", "")                            \
    X(CLAIM_UNKNOWN, counter, "spoa_once_claims_total", "outcome=\"unknown\"", "")                           \
    X(CLAIM_LIMITED, counter, "spoa_once_claims_total", "outcome=\"limited\"", "")                           \
    X(CLAIM_LATE, counter, "spoa_once_claims_total", "outcome=\"late\"", "")                                 \
    X(CLAIM_FOREIGN, counter, "spoa_once_claims_total", "outcome=\"foreign\"", "")                           \
    X(CLAIM_ERROR, counter, "spoa_once_claims_total", "outcome=\"error\"", "")                               \
    X(REQUEST_PASSED, counter, "spoa_once_requests_total", "plan=\"pass\"", "Request messages by plan.")     \
    X(REQUEST_DENIED, counter, "spoa_once_requests_total", "plan=\"deny\"", "")                              \
    X(REQUEST_CLAIMED, counter, "spoa_once_requests_total", "plan=\"claim\"", "")                            \
    X(SHIELD_REFUSED, counter, "spoa_once_shield_refused_total", "",                                         \
      "Requests over a limit that were refused without asking Redis.")                                       \
    X(SHIELD_REPLAYED, counter, "spoa_once_shield_replayed_total", "",                                       \
      "Retries of finished keys that were answered without asking Redis.")                                   \
    X(SHIELD_ENTRIES, gauge, "spoa_once_shield_entries", "", "States of limits that are remembered.")        \
    X(SHIELD_EVICTED, counter, "spoa_once_shield_evicted_total", "",                                         \
      "States forgotten early because memory was full.")                                                     \
    X(SHARED, counter, "spoa_once_shared_total", "",                                                         \
      "Requests that were told what Redis said to another one of the same key.")                             \
    X(SHARED_WAITING, gauge, "spoa_once_shared_waiting", "", "Requests that wait for that.")                 \
    X(SHARED_FULL, counter, "spoa_once_shared_full_total", "",                                               \
      "Requests that asked Redis themselves: shield.max_shared waited.")                                     \
    X(LOANS_ALONE, counter, "spoa_once_loans_alone_total", "",                                               \
      "Requests that passed by loans alone, without Redis.")                                                 \
    X(LOANS_APART, counter, "spoa_once_limits_apart_total", "",                                              \
      "Requests with limits that were asked in a call of their own, before the gate (a cluster).")           \
    X(LOANS_ASKED, counter, "spoa_once_loans_questions_total", "",                                           \
      "Questions to Redis for loans, or to take them back.")                                                 \
    X(LOANS_LENT, counter, "spoa_once_loans_tokens_total", "what=\"lent\"",                                  \
      "Tokens on loan, by what became of them.")                                                             \
    X(LOANS_TAKEN, counter, "spoa_once_loans_tokens_total", "what=\"taken\"", "")                            \
    X(LOANS_PUT_BACK, counter, "spoa_once_loans_tokens_total", "what=\"put_back\"", "")                      \
    X(LOANS_RETURNED, counter, "spoa_once_loans_tokens_total", "what=\"returned\"", "")                      \
    X(LOANS_LEFT, gauge, "spoa_once_loans_left", "", "Tokens on loan here that can be spent.")               \
    X(LOANS_ENTRIES, gauge, "spoa_once_loans_entries", "",                                                   \
      "Buckets of which something is on loan here, or may be.")                                              \
    X(LOANS_FULL, counter, "spoa_once_loans_full_total", "",                                                 \
      "Requests whose bucket found no place among loans.max_entries.")                                       \
    X(REQUEST_AGAIN, counter, "spoa_once_asked_again_total", "",                                             \
      "Claims asked for a second time: the first message's connection was lost.")                            \
    X(REQUEST_UNPOLLED, counter, "spoa_once_unpolled_total", "",                                             \
      "Requests refused: nobody polls their HAProxy process.")                                               \
    X(REQUEST_STALE, counter, "spoa_once_stale_total", "",                                                   \
      "Request messages that came after HAProxy had given up.")                                              \
    X(RESPONSE_COMPLETE, counter, "spoa_once_responses_total", "word=\"complete\"",                          \
      "Response messages by the word that followed.")                                                        \
    X(RESPONSE_UNSTORABLE, counter, "spoa_once_responses_total", "word=\"unstorable\"", "")                  \
    X(RESPONSE_ANSWERED, counter, "spoa_once_responses_total", "word=\"answered\"", "")                      \
    X(RESPONSE_SLOT, counter, "spoa_once_responses_total", "word=\"slot\"", "")                              \
    X(RESPONSE_SLOT_KEPT, counter, "spoa_once_responses_total", "word=\"slot-kept\"", "")                    \
    X(RESPONSE_UNCONFIRMED, counter, "spoa_once_responses_unconfirmed_total", "",                            \
      "Response messages answered before Redis confirmed the outcome.")                                      \
    X(REFUSED, counter, "spoa_once_refused_total", "", "Messages refused: HAProxy gave up on a claim.")      \
    X(LOST_LOCK, counter, "spoa_once_lost_locks_total", "",                                                  \
      "Words refused because another execution owns the key.")                                               \
    X(LOST_RELEASE, counter, "spoa_once_lost_releases_total", "",                                            \
      "Words that would have freed a key that another execution owns by now.")                               \
    X(EXTENDED, counter, "spoa_once_extends_total", "result=\"done\"", "Leases extended, by result.")        \
    X(EXTEND_LOST, counter, "spoa_once_extends_total", "result=\"lost\"", "")                                \
    X(HEARTBEATS, counter, "spoa_once_heartbeats_total", "result=\"ok\"",                                    \
      "Batches of extensions, by result.")                                                                   \
    X(HEARTBEATS_FAILED, counter, "spoa_once_heartbeats_total", "result=\"failed\"", "")                     \
    X(RESOLVED_FREE, counter, "spoa_once_resolved_total", "as=\"free\"",                                     \
      "Executions resolved from HAProxy's table.")                                                           \
    X(RESOLVED_HELD, counter, "spoa_once_resolved_total", "as=\"held\"", "")                                 \
    X(RESOLVED_TOMB, counter, "spoa_once_resolved_total", "as=\"tombstone\"", "")                            \
    X(RESOLVED_COMMIT, counter, "spoa_once_resolved_total", "as=\"committed\"", "")                          \
    X(NOTICES, counter, "spoa_once_notices_total", "", "Notices received.")                                  \
    X(NOTICES_BAD, counter, "spoa_once_notices_bad_total", "",                                               \
      "Lines on the notice socket that could not be read.")                                                  \
    X(TRAFFIC_LINES, counter, "spoa_once_traffic_lines_total", "",                                           \
      "Lines of the access log that were counted.")                                                          \
    X(TRAFFIC_BAD, counter, "spoa_once_traffic_bad_total", "", "Lines of it that could not be read.")        \
    X(TRAFFIC_FULL, counter, "spoa_once_traffic_full_total", "",                                             \
      "Lines of it for whose labels there was no row left.")                                                 \
    X(POLLS, counter, "spoa_once_polls_total", "result=\"ok\"", "Listings of HAProxy's tables.")             \
    X(POLL_FAILED, counter, "spoa_once_polls_total", "result=\"failed\"", "")                                \
    X(POLLER, gauge, "spoa_once_poller", "", "HAProxy sockets that this agent polls.")                       \
    X(LOOKUP_ENDED, counter, "spoa_once_lookups_total", "result=\"ended\"",                                  \
      "Requests whose busy key was looked up in HAProxy's table.")                                           \
    X(LOOKUP_RUNNING, counter, "spoa_once_lookups_total", "result=\"running\"", "")                          \
    X(LOOKUP_UNSEEN, counter, "spoa_once_lookups_total", "result=\"unseen\"", "")                            \
    X(LOOKUP_REFUSED, counter, "spoa_once_lookups_total", "result=\"refused\"", "")                          \
    X(PARKED, gauge, "spoa_once_parked", "", "Duplicates that wait for the original's outcome.")             \
    X(PARKED_OUTCOME, counter, "spoa_once_parked_total", "result=\"outcome\"",                               \
      "Duplicates that waited, by how that ended.")                                                          \
    X(PARKED_GO, counter, "spoa_once_parked_total", "result=\"go\"", "")                                     \
    X(PARKED_REFUSED, counter, "spoa_once_parked_total", "result=\"refused\"", "")                           \
    X(PARKED_EXPIRED, counter, "spoa_once_parked_total", "result=\"expired\"", "")                           \
    X(PARKED_DRAINED, counter, "spoa_once_parked_total", "result=\"drained\"", "")                           \
    X(PARKED_LEFT, counter, "spoa_once_parked_total", "result=\"left\"", "")                                 \
    X(PARKED_FULL, counter, "spoa_once_parked_full_total", "",                                               \
      "Duplicates that could not wait: wait.max_parked did.")                                                \
    X(PARKED_CLAIMS, counter, "spoa_once_parked_claims_total", "",                                           \
      "Claims made for waiting duplicates; one speaks for all with the same payload.")                       \
    X(WAKEUPS, counter, "spoa_once_wakeups_total", "", "Messages of Redis that a key has changed.")          \
    X(EAR_OPEN, gauge, "spoa_once_wakeups_open", "", "1 while subscribed to those messages.")                \
    X(INFLIGHT, gauge, "spoa_once_inflight", "", "Executions in flight at the last listing.")                \
    X(WORKERS, gauge, "spoa_once_haproxy_workers", "", "HAProxy workers this agent is connected to.")        \
    X(COMPLETIONS, gauge, "spoa_once_completions", "", "Words that wait for Redis' confirmation.")           \
    X(COMPLETION_BYTES, gauge, "spoa_once_completion_bytes", "", "Bytes of those words.")                    \
    X(COMPLETION_RETRIES, counter, "spoa_once_completion_retries_total", "", "Words sent again.")            \
    X(COMPLETION_BARE, counter, "spoa_once_completions_bare_total", "",                                      \
      "Answers that Redis did not take: their records are tombstones.")                                      \
    X(COMPLETION_DROPPED, counter, "spoa_once_completions_dropped_total", "",                                \
      "Words dropped because the queue was full.")                                                           \
    X(REDIS_UP, gauge, "spoa_once_redis_up", "", "1 while Redis is connected and its scripts are loaded.")   \
    X(REDIS_CONNECTS, counter, "spoa_once_redis_connects_total", "", "Connections to Redis.")                \
    X(REDIS_COMMANDS, counter, "spoa_once_redis_commands_total", "result=\"ok\"", "Commands by result.")     \
    X(REDIS_ERRORS, counter, "spoa_once_redis_commands_total", "result=\"error\"", "")                       \
    X(REDIS_LATE, counter, "spoa_once_redis_commands_total", "result=\"late\"", "")                          \
    X(REDIS_LOST, counter, "spoa_once_redis_commands_total", "result=\"lost\"", "")                          \
    X(REDIS_FULL, counter, "spoa_once_redis_commands_total", "result=\"full\"", "")                          \
    X(REDIS_NOSCRIPT, counter, "spoa_once_redis_noscript_total", "",                                         \
      "Script loads that NOSCRIPT asked for.")                                                               \
    X(REDIS_NOT_PRIMARY, counter, "spoa_once_redis_not_primary_total", "",                                   \
      "Connections given up: that Redis was no primary.")                                                    \
    X(CLUSTER_PRIMARIES, gauge, "spoa_once_cluster_primaries", "",                                           \
      "Primaries of the cluster that have slots.")                                                           \
    X(CLUSTER_PRIMARIES_UP, gauge, "spoa_once_cluster_primaries_up", "",                                     \
      "Those that are connected, with scripts loaded.")                                                      \
    X(CLUSTER_MAPS, counter, "spoa_once_cluster_maps_total", "",                                             \
      "Answers to the question who has which slot.")                                                         \
    X(CLUSTER_MOVED, counter, "spoa_once_cluster_redirects_total", "result=\"moved\"",                       \
      "Commands that another node of the cluster has to carry out, by what was said.")                       \
    X(CLUSTER_ASK, counter, "spoa_once_cluster_redirects_total", "result=\"ask\"", "")                       \
    X(CLUSTER_TRYAGAIN, counter, "spoa_once_cluster_redirects_total", "result=\"tryagain\"", "")             \
    X(CLUSTER_DOWN, counter, "spoa_once_cluster_redirects_total", "result=\"clusterdown\"", "")              \
    X(CLUSTER_LOST_WAY, counter, "spoa_once_cluster_lost_way_total", "",                                     \
      "Commands that were sent elsewhere too often, or could not be.")                                       \
    X(CLUSTER_CROSSED, counter, "spoa_once_cluster_crossed_total", "",                                       \
      "Commands that were not sent: their keys lie in different slots (a defect).")                          \
    X(CLUSTER_FULL, counter, "spoa_once_cluster_full_total", "",                                             \
      "Primaries that could not be connected to: there are more than 63.")                                   \
    X(SENTINELS_UP, gauge, "spoa_once_sentinels_up", "", "Sentinels that are connected and answer.")         \
    X(SENTINEL_SWITCHES, counter, "spoa_once_sentinel_switches_total", "",                                   \
      "Times the Sentinels named another primary.")                                                          \
    X(BREAKER_OPEN, gauge, "spoa_once_breaker_open", "",                                                     \
      "1 while requests are refused because Redis does not answer in time.")                                 \
    X(BREAKER_OPENED, counter, "spoa_once_breaker_opened_total", "", "How often that began.")                \
    X(BREAKER_REFUSED, counter, "spoa_once_breaker_refused_total", "",                                       \
      "Claims that were not sent because of it.")                                                            \
    X(ACKS, counter, "spoa_once_acks_total", "result=\"ok\"",                                                \
      "Acknowledgements by replicas that were waited for.")                                                  \
    X(ACKS_FAILED, counter, "spoa_once_acks_total", "result=\"failed\"", "")                                 \
    X(ACKS_REFUSED, counter, "spoa_once_acks_refused_total", "",                                             \
      "Grants taken back because replicas did not acknowledge.")                                             \
    X(DATA_LOSS, counter, "spoa_once_data_loss_total", "",                                                   \
      "How often Redis was found to have forgotten records.")                                                \
    X(DATA_LOST, gauge, "spoa_once_data_lost", "",                                                           \
      "1 while protected requests wait for an operator to say go.")                                          \
    X(DATA_REFUSED, counter, "spoa_once_data_refused_total", "",                                             \
      "Requests refused because records are gone, or that is not known yet.")                                \
    X(FAILED_OPEN_KEY, counter, "spoa_once_failed_open_total", "what=\"idempotency\"",                       \
      "Requests that passed because Redis could not decide (fail_open).")                                    \
    X(FAILED_OPEN_LIMIT, counter, "spoa_once_failed_open_total", "what=\"limits\"", "")                      \
    X(REPLAY_SERVED, counter, "spoa_once_replays_total", "from=\"memory\"",                                  \
      "Answers of the replay listener.")                                                                     \
    X(REPLAY_FETCHED, counter, "spoa_once_replays_total", "from=\"redis\"", "")                              \
    X(REPLAY_GONE, counter, "spoa_once_replays_total", "from=\"gone\"", "")                                  \
    X(REPLAY_BYTES, gauge, "spoa_once_replay_bytes", "", "Bytes of answers kept for the replay listener.")   \
    X(REPLAY_EVICTED, counter, "spoa_once_replay_evicted_total", "",                                         \
      "Answers dropped early because memory was full.")                                                      \
    X(CACHE_LOOKUPS, counter, "spoa_once_cache_lookups_total", "",                                           \
      "Questions to Redis about cached answers.")                                                            \
    X(CACHE_CORRUPT, counter, "spoa_once_cache_corrupt_total", "",                                           \
      "Cached answers that could not be read: misses.")                                                      \
    X(CACHE_LEASES, counter, "spoa_once_cache_leases_total", "",                                             \
      "Requests that were forwarded to fetch an answer for the cache.")                                      \
    X(CACHE_PURGED, counter, "spoa_once_cache_purges_total", "by=\"unsafe\"",                                \
      "Purges, by what asked for them.")                                                                     \
    X(CACHE_PURGED_URL, counter, "spoa_once_cache_purges_total", "by=\"url\"", "")                           \
    X(CACHE_PURGED_TAG, counter, "spoa_once_cache_purges_total", "by=\"tag\"", "")                           \
    X(CACHE_PURGED_PREFIX, counter, "spoa_once_cache_purges_total", "by=\"prefix\"", "")                     \
    X(CACHE_PURGED_POLICY, counter, "spoa_once_cache_purges_total", "by=\"policy\"", "")                     \
    X(CACHE_PURGE_FAILED, counter, "spoa_once_cache_purges_failed_total", "",                                \
      "Purges that Redis has not confirmed.")                                                                \
    X(CACHE_FILL_FAILED, counter, "spoa_once_cache_fills_unconfirmed_total", "",                             \
      "Answers of which Redis has not said in time that it has them.")                                       \
    X(CACHE_FETCHES_NOTICED, counter, "spoa_once_cache_fetches_over_total", "by=\"notice\"",                 \
      "Fetches of which no agent had heard when HAProxy said that they had ended, by what said so.")         \
    X(CACHE_FETCHES_LISTED, counter, "spoa_once_cache_fetches_over_total", "by=\"table\"", "")               \
    X(CACHE_RESOURCES, gauge, "spoa_once_cache_resources", "",                                               \
      "URLs of which it is remembered what their answers vary on, and their tags.")                          \
    X(CACHE_FORGOTTEN, counter, "spoa_once_cache_resources_forgotten_total", "",                             \
      "URLs forgotten because cache.max_resources was reached.")                                             \
    X(CACHE_REDIS_UP, gauge, "spoa_once_cache_redis_up", "", "1 while the Redis of the cache is connected.") \
    X(CACHE_BREAKER_OPEN, gauge, "spoa_once_cache_breaker_open", "",                                         \
      "1 while the cache is passed by because its Redis does not answer in time.")                           \
    X(CACHE_PARKED, gauge, "spoa_once_cache_parked", "",                                                     \
      "Requests that wait for another one's answer, where the cache has a Redis of its own.")                \
    X(SEALED, counter, "spoa_once_sealed_total", "",                                                         \
      "Answers and Locations sealed before they were stored.")                                               \
    X(SEAL_OPENED, counter, "spoa_once_seals_opened_total", "",                                              \
      "Sealed answers and Locations opened again.")                                                          \
    X(SEAL_NO_KEY, counter, "spoa_once_seals_failed_total", "reason=\"no-key\"",                             \
      "Sealed answers and Locations that could not be opened.")                                              \
    X(SEAL_UNKNOWN, counter, "spoa_once_seals_failed_total", "reason=\"unknown\"", "")                       \
    X(SEAL_BROKEN, counter, "spoa_once_seals_failed_total", "reason=\"broken\"", "")                         \
    X(SEAL_NO_ROOM, counter, "spoa_once_seals_failed_total", "reason=\"memory\"", "")                        \
    X(SPOP_CONNECTIONS, gauge, "spoa_once_spop_connections", "", "SPOP connections open.")                   \
    X(SPOP_ACCEPTED, counter, "spoa_once_spop_accepted_total", "", "SPOP connections accepted.")             \
    X(SPOP_REJECTED, counter, "spoa_once_spop_rejected_total", "", "SPOP connections refused: too many.")    \
    X(SPOP_CHECKS, counter, "spoa_once_spop_checks_total", "", "Health checks answered.")                    \
    X(SPOP_FRAMES, counter, "spoa_once_spop_frames_total", "", "Frames received.")                           \
    X(SPOP_ACKS, counter, "spoa_once_spop_acks_total", "", "ACKs written.")                                  \
    X(SPOP_FULL, counter, "spoa_once_spop_full_total", "",                                                   \
      "Messages that could not wait: too many of their connection did.")                                     \
    X(SPOP_WEDGED, counter, "spoa_once_spop_wedged_total", "",                                               \
      "SPOP connections closed because HAProxy had stopped reading.")                                        \
    X(SPOP_BAD_MESSAGES, counter, "spoa_once_spop_bad_messages_total", "",                                   \
      "Messages with a missing or wrong argument, or unknown.")                                              \
    X(SPOP_PENDING, gauge, "spoa_once_spop_pending", "", "Messages that wait for their ACK.")                \
    X(OPERATOR_ASKED, counter, "spoa_once_operator_requests_total", "", "Requests on the admin socket.")     \
    X(OPERATOR_FAILED, counter, "spoa_once_operator_words_total", "word=\"failed\"",                         \
      "Keys and limits that an operator has changed.")                                                       \
    X(OPERATOR_COMPLETED, counter, "spoa_once_operator_words_total", "word=\"completed\"", "")               \
    X(OPERATOR_DELETED, counter, "spoa_once_operator_words_total", "word=\"delete\"", "")                    \
    X(OPERATOR_RESET, counter, "spoa_once_operator_words_total", "word=\"reset\"", "")                       \
    X(CRASHES, counter, "spoa_once_crashes_total", "", "Crashes that crash.file has counted.")               \
    X(RELOADS, counter, "spoa_once_reloads_total", "result=\"ok\"", "Reloads of the configuration.")         \
    X(RELOADS_BAD, counter, "spoa_once_reloads_total", "result=\"bad\"", "")                                 \
    X(RELOAD_REFUSED, gauge, "spoa_once_reload_refused", "", "1: the last reload was refused.")

enum metric {
#define X(symbol, kind, name, labels, help) METRIC_##symbol,
    METRIC_TABLE(X)
#undef X
        METRICS
};

/* Redis latency of decisions: upper bounds in µs, last bucket is +Inf (domain/metrics.c has the bounds). */
enum { METRIC_LATENCY_BUCKETS = 14 };

struct metrics {
    uint64_t value[METRICS];
    uint64_t latency[METRIC_LATENCY_BUCKETS]; /* not cumulated; metrics_write() cumulates */
    uint64_t latency_sum_us;
    uint64_t spop_errors[SPOP_UNKNOWN + 1]; /* by status: SPOP connections that the agent has ended */
    struct limit_counts *limits;            /* NULL: none */
    struct traffic *traffic;                /* NULL: none */
    struct cache_counts *caches;            /* NULL: none */
};

static inline void metrics_add(struct metrics *m, enum metric id)
{
    m->value[id]++;
}
static inline void metrics_set(struct metrics *m, enum metric id, uint64_t v)
{
    m->value[id] = v;
}
void metrics_latency(struct metrics *m, uint64_t us);

/* Calls fn with each counter and gauge of the table; not with limits, nor the histogram. */
typedef void metrics_each_fn(void *arg, const char *name, const char *labels, uint64_t value);
void metrics_each(const struct metrics *m, metrics_each_fn *fn, void *arg);

/* Appends the Prometheus text format (version 0.0.4) with HELP and TYPE lines. */
void metrics_write(const struct metrics *m, struct buf *out);

#endif
