// SPDX-License-Identifier: MIT
/* Which build this is, and which layout of records, tokens and lock files it speaks. */
#ifndef VERSION_H
#define VERSION_H

#define SPOA_ONCE_VERSION "0.1.0"

/* `make PROTOCOL=2` builds an agent of another one, for tests; tools/embed-lua gives the scripts the same. */
#ifndef PROTOCOL_VERSION
#define PROTOCOL_VERSION 1
#endif

#endif
