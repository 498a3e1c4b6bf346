// SPDX-License-Identifier: MIT
/* What the rules' functions share: the configuration as the gate sees it, and how a finding is said.
 *
 *   gates      frontends (and listen) that ask the agent
 *   backends   where a protected request may be sent to: named by a gate, but for once_replay and the hop
 *   hops       backends of hop-backend.cfg, and those of cache-tables.cfg: they lead back to a gate
 */
#ifndef HACHECK_INNER_H
#define HACHECK_INNER_H

#include <stddef.h>

#include "domain/hacheck.h"

struct hacheck;

struct hacheck_rule {
    const char *id;
    bool warning;
    void (*check)(struct hacheck *k);
    unsigned which; /* one function may serve several rules */
    const char *why, *way_out;
};
extern const struct hacheck_rule hacheck_rules[]; /* ends with id NULL */

struct hacheck_list {
    const struct haconf_section **at;
    unsigned n;
};

struct hacheck {
    const struct hacheck_input *in;
    const struct haconf *site, *spoe;
    const struct config *agent;
    const struct hacheck_rule *rule; /* which is being checked */
    struct hacheck_list gates, backends, hops;
};

/* Says that the rule is broken at this line; format: what stands there, or is missing. */
__attribute__((format(printf, 3, 4))) void hacheck_say(struct hacheck *k, const struct haconf_line *l,
                                                       const char *format, ...);
/* Something that must stand there stands only inside .if: a warning. */
void hacheck_say_perhaps(struct hacheck *k, const struct haconf_line *l);
/* The first line of all: what has no better place. */
const struct haconf_line *hacheck_top(const struct hacheck *k);
/* Does the condition of a rule say just this, `once_gated` or not? "": no condition, or only that one. */
bool hacheck_condition_is(const struct haconf_line *l, const char *condition);
/* A condition that no protected request fulfils. */
bool hacheck_excludes_gated(const struct haconf_line *l);
bool hacheck_in(const struct hacheck_list *list, const struct haconf_section *s);
/* Value of a time option, in ms; false: it does not stand there, or is no time. */
bool hacheck_time(const struct haconf *c, const struct haconf_section *s, const char *name,
                  const struct haconf_line **line, uint64_t *ms);
/* Last line of any global section that matches. */
const struct haconf_line *hacheck_global(const struct hacheck *k, const char *pattern);
/* The engines: the first two are wanted always, once-wait where a gate has its filter. */
enum { HACHECK_ENGINES = 3, HACHECK_WANTED = 2 };
extern const char *const hacheck_engine_names[HACHECK_ENGINES];
/* Is it wanted, or has a gate its filter? Else whatever a file says of it is not looked at. */
bool hacheck_uses(const struct hacheck *k, unsigned engine);
/* The spoe-agent of an engine; NULL. */
const struct haconf_section *hacheck_engine(const struct hacheck *k, const char *engine);
/* The backend that the engine sends to; NULL. */
const struct haconf_section *hacheck_agents(const struct hacheck *k, const char *engine);
/* Is the word there? */
bool hacheck_has_word(const struct haconf_line *l, const char *word);
/* Path of a unix socket, "/p", "unix@/p" or "abns@p"; NULL: the address is something else. */
const char *hacheck_path(const char *address);
/* Does HAProxy, in its chroot, come to that socket when it connects to the path? */
bool hacheck_leads_to(const struct hacheck *k, const char *path, const char *socket);
/* Does the frontend send notices? */
bool hacheck_has_notices(const struct hacheck *k, const struct haconf_section *gate);
/* Can a line's condition hold for requests of this policy, which that variable names ("once_policy", "once_cache")? What is not
 * understood may. */
bool hacheck_concerns(const struct hacheck *k, const struct haconf_line *l, const char *variable,
                      const char *policy);

/* The functions of the rules, by file. */
typedef void hacheck_fn(struct hacheck *k);
hacheck_fn hacheck_gate, hacheck_step, hacheck_acl, hacheck_order, hacheck_late_facts, hacheck_late_refusal,
    hacheck_part, hacheck_allow, hacheck_slot2, hacheck_slot1, hacheck_replay_route;
hacheck_fn hacheck_told;
hacheck_fn hacheck_bad_option, hacheck_shutdown, hacheck_way_round, hacheck_notices_option, hacheck_retry,
    hacheck_hop_retry, hacheck_mark, hacheck_mark_first, hacheck_dynamic, hacheck_skipped,
    hacheck_response_wait, hacheck_hop_timeout, hacheck_hop_socket, hacheck_hop_path, hacheck_agent_socket,
    hacheck_notices;
hacheck_fn hacheck_table_there, hacheck_table_key, hacheck_table_word, hacheck_table_store,
    hacheck_table_expire, hacheck_table_size;
hacheck_fn hacheck_engines, hacheck_spoe_option, hacheck_prefix, hacheck_variables, hacheck_groups,
    hacheck_arguments, hacheck_agents_there, hacheck_spop_check, hacheck_server_check, hacheck_storm,
    hacheck_replay_check;
hacheck_fn hacheck_deadline, hacheck_timeout_argument, hacheck_server_timeout, hacheck_lock, hacheck_response,
    hacheck_buffer, hacheck_replay_head, hacheck_maxrewrite, hacheck_once_start, hacheck_socket,
    hacheck_socket_mode, hacheck_socket_many;
hacheck_fn hacheck_wait_engine, hacheck_wait_processing, hacheck_wait_idle, hacheck_wait_connections;
hacheck_fn hacheck_cache_lines, hacheck_cache_order, hacheck_cache_stale, hacheck_cache_wait,
    hacheck_cache_local, hacheck_cache_policy;
hacheck_fn hacheck_unknown_policy, hacheck_no_policy, hacheck_principal, hacheck_limit_cost,
    hacheck_limit_tier, hacheck_json, hacheck_hold, hacheck_hop, hacheck_fail_open, hacheck_fail_closed;

/* Lines that tell somebody something (hacheck_told.c), the `which` of hacheck_told. */
enum hacheck_told { TOLD_STATUS, TOLD_FIELDS, TOLD_BACKEND };

/* Lines of the cache (hacheck_cache.c), the `which` of hacheck_cache_lines. */
enum hacheck_cache { CACHE_GATE, CACHE_LINE };

/* Steps of the gate (hacheck_gate.c), the `which` of hacheck_step. */
enum hacheck_gate_step {
    STEP_CLEAN,
    STEP_CLEAN_LOW, /* `Once_Key`, which many servers take for `Once-Key` */
    STEP_RID,
    STEP_PROCESS,
    STEP_WAIT,
    STEP_ASK,
    STEP_AGAIN,
    STEP_ASK_WAIT, /* only where the engine once-wait is used */
    STEP_TRACK,
    STEP_NO_VERDICT,
    STEP_CHECK,
    STEP_REFUSED,
    STEP_STOP,
    STEP_DENY,
    STEP_REPLAY_ID,
    STEP_ANSWER_WAIT,
    STEP_ANSWER,
    STEP_ANSWER_AGAIN,
    STEP_SETTLED,
    STEP_UNSETTLED,
    STEP_UNSETTLED_STATUS,
};
/* The line of a gate that is this step; NULL. */
const struct haconf_line *hacheck_find_step(const struct hacheck *k, const struct haconf_section *gate,
                                            enum hacheck_gate_step step);

#endif
