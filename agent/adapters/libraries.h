// SPDX-License-Identifier: MIT
/* What the agent is linked with, for `-vv` and /version: one list of names and versions. */
#ifndef LIBRARIES_H
#define LIBRARIES_H

/* version: of the library that runs where it says it, else of its header. */
struct library {
    const char *name;
    const char *(*version)(void);
};

/* Ended by a name that is NULL. */
extern const struct library libraries[];

#endif
