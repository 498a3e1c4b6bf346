// SPDX-License-Identifier: MIT
/* What the rooms of config_check() share: where it is, and how a mistake is said. */
#ifndef CONFIG_INNER_H
#define CONFIG_INNER_H

#include "domain/config.h"
#include "domain/text.h"

struct check {
    struct config *config;
    config_mistake_fn *fn;
    void *arg;
    unsigned mistakes;
    struct config_place at;
    struct text text;
    char memory[512];
};

/* A mistake's text is put between check_begin() and check_report(). option: its last word, or NULL. */
struct text *check_begin(struct check *k, const char *option);
void check_report(struct check *k);
void check_say(struct check *k, const char *option, const char *text);

/* Which limits of a policy lie in the slot of its gate; compiles their keys. */
void check_split(struct check *k, struct policy *p);
/* One limit of one policy, by their numbers, behind check_split(); at names them. Compiles it too. All before it are compiled. */
void check_limit(struct check *k, unsigned policy, unsigned limit);

/* A policy's cache; compiles it. */
void check_cache_policy(struct check *k, struct policy *p);
/* The section cache; compiles what follows from all policies. Before check_cache_policy(). */
void check_cache(struct check *k);

#endif
