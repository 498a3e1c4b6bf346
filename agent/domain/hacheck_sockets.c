// SPDX-License-Identifier: MIT
/* Rules about the unix sockets that HAProxy and the agent, or HAProxy and itself, meet at: both sides of each are read here.
 *
 *   once_agents, once_wait_agents ──server──► spop.listen      of the agent
 *   once_replay                   ──server──► replay.listen
 *   once_hop                      ──server──► bind             of the frontend that has sent it there
 */
#include "domain/hacheck_inner.h"

#include <string.h>

const char *hacheck_path(const char *address)
{
    static const char *const families[] = {"unix@", "unixdgram@"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strncmp(address, families[i], strlen(families[i])) == 0)
            address += strlen(families[i]);
    return *address == '/' || strncmp(address, "abns@", 5) == 0 ? address : NULL;
}

/* Two slashes are one, and /var/run is /run. */
static bool same(const char *a, const char *b)
{
    a += strncmp(a, "/var/run/", 9) == 0 ? 4 : 0;
    b += strncmp(b, "/var/run/", 9) == 0 ? 4 : 0;
    for (;; a++, b++) {
        while (a[0] == '/' && a[1] == '/')
            a++;
        while (b[0] == '/' && b[1] == '/')
            b++;
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

bool hacheck_leads_to(const struct hacheck *k, const char *path, const char *socket)
{
    const struct haconf_line *l = hacheck_global(k, "chroot *");
    size_t root = l ? strlen(l->word[1]) : 0;
    return same(path, socket) ||
           (root > 0 && strncmp(socket, l->word[1], root) == 0 && same(path, socket + root));
}

/* The next server of the walk whose socket is known, *path; NULL: no more. *all: the others too. */
static const struct haconf_line *next_server(struct haconf_walk *w, const char **path, bool *all)
{
    for (const struct haconf_line *l; (l = haconf_next(w));) {
        bool server = haconf_matches(l, "server * *");
        *path = server && !l->unset ? hacheck_path(l->word[2]) : NULL;
        if (*path)
            return l;
        *all &= !server && !haconf_matches(l, "server-template");
    }
    return NULL;
}

/* A socket of the agent, under its option's name. */
struct own {
    const char *option;
    const config_text *address;
    unsigned n;
};

static bool is_own(const struct hacheck *k, const struct own *own, const char *path)
{
    for (unsigned i = 0; i < own->n; i++) {
        const char *socket = hacheck_path(own->address[i]);
        if (socket && hacheck_leads_to(k, path, socket))
            return true;
    }
    return false;
}

/* One server of the backend leads to `wanted`, none to `other`. */
static void servers(struct hacheck *k, const struct haconf_section *s, const struct own *wanted,
                    const struct own *other)
{
    struct haconf_walk w = haconf_walk(k->site, s);
    const struct haconf_line *first = NULL;
    const char *path, *known = NULL;
    bool found = false, all = true;
    for (unsigned i = 0; i < wanted->n; i++)
        known = known ? known : hacheck_path(wanted->address[i]);
    for (const struct haconf_line *l; known && (l = next_server(&w, &path, &all));) {
        first = first ? first : l;
        found |= is_own(k, wanted, path);
        if (!is_own(k, wanted, path) && is_own(k, other, path)) {
            hacheck_say(k, l, "server '%s' of backend '%s' is the agent's %s", l->word[1], s->name,
                        other->option);
            return;
        }
    }
    if (first && all && !found)
        hacheck_say(k, first, "no server of backend '%s' is the agent's %s ('%s')", s->name, wanted->option,
                    known);
}

void hacheck_agent_socket(struct hacheck *k)
{
    const struct config *c = k->agent;
    const struct own spop = {"spop.listen", c->spop.listen.item, c->spop.listen.n};
    const struct own replay = {"replay.listen", &c->replay.listen, 1};
    const struct haconf_section *before = NULL, *stored = haconf_section(k->site, "backend", "once_replay");
    for (unsigned e = 0; k->in->policies_known && e < HACHECK_ENGINES; e++) {
        const struct haconf_section *s =
            hacheck_uses(k, e) ? hacheck_agents(k, hacheck_engine_names[e]) : NULL;
        if (s && s != before)
            servers(k, s, &spop, &replay);
        before = s ? s : before;
    }
    if (k->in->policies_known && stored)
        servers(k, stored, &replay, &spop);
}

/* The next bind of the walk at a unix socket, *path, NULL where a variable of it is not set; NULL: no more. */
static const struct haconf_line *next_bind(struct haconf_walk *w, const char **path)
{
    for (const struct haconf_line *l; (l = haconf_next(w));) {
        *path = haconf_matches(l, "bind *") && !l->unset ? hacheck_path(l->word[1]) : NULL;
        if (*path || (l->unset && haconf_matches(l, "bind")))
            return l;
    }
    return NULL;
}

/* Binds of another section at the same path, said where the later one stands; of two gates, once. */
static void bound_twice(struct hacheck *k, const struct haconf_section *gate, const struct haconf_line *bind,
                        const char *path)
{
    for (unsigned i = 0; i < k->site->nsections; i++) {
        const struct haconf_section *s = &k->site->sections[i];
        struct haconf_walk w = haconf_walk(k->site, s);
        const char *its;
        for (const struct haconf_line *l; s != gate && (l = next_bind(&w, &its));) {
            const struct haconf_line *first = l < bind ? l : bind, *last = l < bind ? bind : l;
            if (its && same(its, path) && !(l->perhaps && bind->perhaps) &&
                (last == bind || !hacheck_in(&k->gates, s)))
                hacheck_say(k, last, "'bind %s' stands in another section too, line %u", last->word[1],
                            first->number);
        }
    }
}

/* Does a server of the hop lead to this gate? True also where it cannot be known. */
static bool comes_back(const struct hacheck *k, const struct haconf_section *gate,
                       const struct haconf_section *hop)
{
    struct haconf_walk servers = haconf_walk(k->site, hop);
    const char *to, *at;
    bool all = true, any = false;
    while (next_server(&servers, &to, &all)) {
        struct haconf_walk binds = haconf_walk(k->site, gate);
        any = true;
        while (next_bind(&binds, &at))
            if (!at || hacheck_leads_to(k, to, at))
                return true;
    }
    return !any || !all || hacheck_global(k, "unix-bind prefix");
}

void hacheck_hop_path(struct hacheck *k)
{
    for (unsigned i = 0; i < k->gates.n; i++) {
        const struct haconf_section *gate = k->gates.at[i];
        struct haconf_walk binds = haconf_walk(k->site, gate), w = haconf_walk(k->site, gate);
        const char *path;
        for (const struct haconf_line *l; (l = next_bind(&binds, &path));)
            if (path)
                bound_twice(k, gate, l, path);
        for (const struct haconf_line *l; (l = haconf_next(&w));)
            for (unsigned h = 0; h < k->hops.n && haconf_matches(l, "use_backend *"); h++)
                if (strcmp(k->hops.at[h]->name, l->word[1]) == 0 && !comes_back(k, gate, k->hops.at[h]))
                    hacheck_say(k, l, "backend '%s' does not lead back to %s '%s'", l->word[1], gate->type,
                                gate->name);
    }
}
