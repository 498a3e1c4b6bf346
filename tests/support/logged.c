// SPDX-License-Identifier: MIT
/* stderr is a file meanwhile. */
#include "tests/support/logged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "adapters/log.h"

static char logged[16384];
static int real_stderr, log_file;

void logged_begin(void)
{
    char path[] = "/tmp/once-log-XXXXXX";
    log_file = mkstemp(path);
    assert_true(log_file >= 0);
    unlink(path);
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    dup2(log_file, STDERR_FILENO);
    log_setup(LOG_TEXT, LOG_INFO);
}

void logged_end(void)
{
    fflush(stderr);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    ssize_t n = pread(log_file, logged, sizeof logged - 1, 0);
    logged[n > 0 ? n : 0] = '\0';
    close(log_file);
    log_setup(LOG_TEXT, LOG_ERROR);
}

unsigned logged_count(const char *text)
{
    unsigned n = 0;
    for (const char *at = logged; (at = strstr(at, text)); at++)
        n++;
    return n;
}
