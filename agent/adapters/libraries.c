// SPDX-License-Identifier: MIT
/* Beside their adapters the only file that includes them. */
#include "adapters/libraries.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <libconfig.h>
#include <microhttpd.h>
#include <msgpack.h>
#include <sodium.h>
#include <stddef.h>

#define QUOTE(x)  #x
#define NUMBER(x) QUOTE(x)

static const char *libev_version(void)
{
    return NUMBER(EV_VERSION_MAJOR) "." NUMBER(EV_VERSION_MINOR);
}

static const char *hiredis_version(void)
{
    return NUMBER(HIREDIS_MAJOR) "." NUMBER(HIREDIS_MINOR) "." NUMBER(HIREDIS_PATCH);
}

static const char *libconfig_version(void)
{
    return NUMBER(LIBCONFIG_VER_MAJOR) "." NUMBER(LIBCONFIG_VER_MINOR) "." NUMBER(LIBCONFIG_VER_REVISION);
}

const struct library libraries[] = {
    {"libev",         libev_version        },
    {"hiredis",       hiredis_version      },
    {"msgpack-c",     msgpack_version      },
    {"libconfig",     libconfig_version    },
    {"libmicrohttpd", MHD_get_version      },
    {"libsodium",     sodium_version_string},
    {"jansson",       jansson_version_str  },
    {NULL,            NULL                 },
};
