// SPDX-License-Identifier: MIT
/* Which build this is. */
#ifndef VERSION_H
#define VERSION_H

#define SPOA_ONCE_VERSION "0.1.0"

#endif
