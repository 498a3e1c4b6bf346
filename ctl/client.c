// SPDX-License-Identifier: MIT
/* libcurl asks over the unix socket; whatever goes wrong is one line on stderr that names the socket. */
#include "ctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_S = 15, ANSWER_MAX = 64 << 20 };

/* Less than was given ends the transfer with CURLE_WRITE_ERROR. */
static size_t take(char *bytes, size_t size, size_t n, void *out)
{
    return ftell(out) + (long)(size * n) > ANSWER_MAX ? 0 : fwrite(bytes, size, n, out) * size;
}

/* Arguments that have a value, each encoded (RFC 3986). False: out of memory. */
static bool put_url(CURLU *url, const char *path, const struct query *query)
{
    char argument[16384];
    bool good = url && curl_url_set(url, CURLUPART_URL, "http://agent/", 0) == CURLUE_OK &&
                curl_url_set(url, CURLUPART_PATH, path, 0) == CURLUE_OK;
    for (; good && query->name; query++) {
        if (!query->value)
            continue;
        int len = snprintf(argument, sizeof argument, "%s=%s", query->name, query->value);
        good = len < (int)sizeof argument &&
               curl_url_set(url, CURLUPART_QUERY, argument, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
    }
    return good;
}

/* May the agent have read the question? It does not hear that we have gone. */
static bool may_be_done(CURLcode rc)
{
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_WRITE_ERROR: return true;
    default: return false;
    }
}

static const char *why_of(CURL *c, CURLcode rc, const char *said)
{
    long os = 0;
    curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os);
    switch (rc) {
    case CURLE_COULDNT_CONNECT:
        if (os == ENOENT || os == ECONNREFUSED)
            return "no agent listens there (its option is admin.listen)";
        return os ? strerror((int)os) : said;
    case CURLE_OPERATION_TIMEDOUT: return "the agent does not answer";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return "the agent has gone";
    case CURLE_WRITE_ERROR: return "the answer is too large";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: return "this is no agent";
    default: return *said ? said : curl_easy_strerror(rc);
    }
}

/* The answer's status; 0: it was said why there is none. */
static int perform(CURL *c, const char *socket_path, const char *method, CURLU *url, FILE *out)
{
    char said[CURL_ERROR_SIZE] = "";
    long status = 0;
    bool post = strcmp(method, "POST") == 0;
    curl_easy_setopt(c, CURLOPT_CURLU, url);
    curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)PATIENCE_S);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, said);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    if (post)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    CURLcode rc = curl_easy_perform(c);
    if (rc == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    else
        fprintf(stderr, "oncectl: %s: %s%s\n", socket_path, why_of(c, rc, said),
                post && may_be_done(rc) ? ": what was asked for may have been done" : "");
    return (int)status;
}

/* The admin socket answers with an object, and its errors have a word; those of the agent's other sockets do not. */
static bool is_ours(const struct reply *r)
{
    return json_is_object(r->json) && (r->status == 200 || json_is_string(json_object_get(r->json, "error")));
}

struct reply client_ask(const char *socket_path, const char *method, const char *path,
                        const struct query *query)
{
    struct reply r = {0};
    char *text = NULL;
    size_t len = 0;
    CURL *c = curl_easy_init();
    CURLU *url = curl_url();
    FILE *out = open_memstream(&text, &len);
    bool good = c && out && put_url(url, path, query);
    if (!good)
        fprintf(stderr, "oncectl: out of memory, or an argument is too long\n");
    else
        r.status = perform(c, socket_path, method, url, out);
    if (out)
        fclose(out);
    if (r.status != 0)
        r.json = json_loadb(text, len, 0, NULL);
    if (r.status != 0 && !is_ours(&r)) {
        fprintf(stderr, "oncectl: %s: this is no agent's admin socket, or one of another version\n",
                socket_path);
        json_decref(r.json);
        r = (struct reply){0};
    }
    free(text);
    curl_url_cleanup(url);
    curl_easy_cleanup(c);
    return r;
}
