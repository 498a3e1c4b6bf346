// SPDX-License-Identifier: MIT
/* Slots by the specification's vectors; a map and errors as Redis writes them, and as it never would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "domain/slotmap.h"

static struct slotmap map;

/* Redis Cluster specification, "Appendix A: CRC16 reference implementation in ANSI C" and "Hash tags". */
static void keys_have_the_slots_of_the_specification(void **state)
{
    static const struct {
        const char *key;
        unsigned slot;
    } keys[] = {
        {"123456789",            0x31c3 % SLOTS},
        {"",                     0             },
        {"foo",                  12182         },
        {"bar",                  5061          },
        {"{user1000}.following", 3443          },
        {"{user1000}.followers", 3443          },
        {"user1000",             3443          },
        {"foo{bar}{zap}",        5061          },
        {"foo{{bar}}zap",        4015          },
        {"{bar",                 4015          },
        {"foo{}{bar}",           8363          },
        {"{bar}",                5061          },
        {"foo{bar",              16032 % SLOTS },
    };
    (void)state;
    for (size_t i = 0; i + 1 < sizeof keys / sizeof *keys; i++)
        assert_int_equal(slot_of_key(slice_of(keys[i].key)), keys[i].slot);
    assert_int_not_equal(slot_of_key(slice_of("foo{bar")), slot_of_key(slice_of("bar")));
}

static void a_tag_has_the_slot_of_its_keys(void **state)
{
    const uint8_t tag[2] = {0x51, 0xa0};
    (void)state;
    assert_int_equal(slot_of_tag(tag), slot_of_key(slice_of("once:{51a0}:r:00")));
    assert_int_equal(slot_of_tag(tag), slot_of_key(slice_of("51a0")));
}

static int of(const char *resp)
{
    return slot_of_command(resp, strlen(resp));
}

static void a_command_has_the_slot_of_its_keys(void **state)
{
    (void)state;
    assert_int_equal(of("*2\r\n$3\r\nGET\r\n$3\r\nbar\r\n"), 5061);
    assert_int_equal(of("*5\r\n$3\r\nSET\r\n$5\r\n{bar}\r\n$1\r\nx\r\n$2\r\nPX\r\n$1\r\n1\r\n"), 5061);
    assert_int_equal(of("*2\r\n$6\r\nUNLINK\r\n$3\r\nfoo\r\n"), 12182);
    assert_int_equal(of("*5\r\n$7\r\nEVALSHA\r\n$1\r\ns\r\n$1\r\n2\r\n$5\r\na{bar\r\n$3\r\nbar\r\n"),
                     SLOT_CROSSED);
    assert_int_equal(
        of("*6\r\n$7\r\nEVALSHA\r\n$1\r\ns\r\n$1\r\n2\r\n$6\r\na{bar}\r\n$3\r\nbar\r\n$1\r\nx\r\n"), 5061);
    assert_int_equal(of("*4\r\n$7\r\nEVALSHA\r\n$1\r\ns\r\n$1\r\n0\r\n$3\r\nbar\r\n"), SLOT_NONE);
    assert_int_equal(of("*1\r\n$4\r\nTIME\r\n"), SLOT_NONE);
    assert_int_equal(of("*2\r\n$3\r\nGET\r\n$3\r\nba"), SLOT_NONE);
    assert_int_equal(of("*2\r\n$3\r\nGET\r\n"), SLOT_NONE);
    assert_int_equal(of("*4\r\n$7\r\nEVALSHA\r\n$1\r\ns\r\n$1\r\n9\r\n$3\r\nbar\r\n"), SLOT_NONE);
    assert_int_equal(of(""), SLOT_NONE);
    assert_int_equal(of("*2\r\n$3\r\nGET\r\n$99999999999\r\nbar\r\n"), SLOT_NONE);
}

static enum slot_error said(const char *error, struct slot_said *s)
{
    slot_said_read(slice_of(error), s);
    return s->error;
}

static void redirections_are_read(void **state)
{
    struct slot_said s;
    (void)state;
    assert_int_equal(said("MOVED 3999 127.0.0.1:6381", &s), SLOT_MOVED);
    assert_int_equal(s.slot, 3999);
    assert_string_equal(s.address, "127.0.0.1:6381");
    assert_int_equal(said("ASK 16383 ::1:6381", &s), SLOT_ASK);
    assert_string_equal(s.address, "[::1]:6381");
    assert_int_equal(said("MOVED 0 :6381", &s), SLOT_MOVED);
    assert_string_equal(s.address, ":6381");
    assert_int_equal(said("MOVED 0 redis-1.example:6381", &s), SLOT_MOVED);
    assert_int_equal(said("TRYAGAIN Multiple keys request during rehashing of slot", &s), SLOT_TRYAGAIN);
    assert_int_equal(said("CLUSTERDOWN Hash slot not served", &s), SLOT_DOWN);
    assert_int_equal(said("MOVED 16384 127.0.0.1:6381", &s), SLOT_SERVED);
    assert_int_equal(said("MOVED 1 127.0.0.1", &s), SLOT_SERVED);
    assert_int_equal(said("MOVED 1 a b:1", &s), SLOT_SERVED);
    assert_int_equal(said("MOVED 1 a;b:1", &s), SLOT_SERVED);
    assert_int_equal(said("MOVED", &s), SLOT_SERVED);
    assert_int_equal(said("OOM command not allowed", &s), SLOT_SERVED);
    assert_int_equal(said("", &s), SLOT_SERVED);
}

static const char *read_map(const char *text)
{
    return slotmap_read(&map, slice_of(text), "10.0.0.9:7000");
}

static void a_map_is_read(void **state)
{
    (void)state;
    assert_null(read_map("07c3 127.0.0.1:30004@31004,hostname4 slave e7d1 0 1426238317239 4 connected\n"
                         "67ed :30002@31002 myself,master - 0 0 2 connected 5461-10922 [93-<-e7d1]\n"
                         "292f ::1:30003@31003,h3 master - 0 1426238318243 3 connected 10923-16383\n"
                         "6ec2 127.0.0.1:30005@31005 master,fail - 0 1426238316232 5 disconnected 0-99 101\n"
                         "824f :0@0 master,noaddr - 0 0 0 disconnected\n"));
    assert_int_equal(map.nnodes, 5);
    assert_int_equal(map.covered, 16383 - 5461 + 1 + 101);
    assert_int_equal(map.owner[0], 3);
    assert_int_equal(map.owner[100], SLOTMAP_NODES);
    assert_int_equal(map.owner[101], 3);
    assert_int_equal(map.owner[5461], 1);
    assert_int_equal(map.owner[16383], 2);
    assert_string_equal(map.node[1].address, "10.0.0.9:7000");
    assert_string_equal(map.node[2].address, "[::1]:30003");
    assert_string_equal(map.node[4].address, "");
    assert_true(map.node[3].failed && map.node[3].primary && !map.node[0].primary);
    assert_int_equal(map.node[2].epoch, 3);
}

/* Two claim a slot: the higher epoch has it, whichever comes first. */
static void the_newer_claim_of_a_slot_counts(void **state)
{
    (void)state;
    assert_null(
        read_map("a 127.0.0.1:1@2 master - 0 0 7 connected 5\nb 127.0.0.1:3@4 master - 0 0 9 connected 5\n"));
    assert_int_equal(map.owner[5], 1);
    assert_null(
        read_map("b 127.0.0.1:3@4 master - 0 0 9 connected 5\na 127.0.0.1:1@2 master - 0 0 7 connected 5\n"));
    assert_int_equal(map.owner[5], 0);
    assert_int_equal(map.covered, 1);
}

static void what_is_no_map_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "nonsense",
        "a 127.0.0.1:1@2 master - 0 0 x connected 5",
        "a 127.0.0.1:1@2 master - 0 0 1 connected 16384",
        "a 127.0.0.1:1@2 master - 0 0 1 connected 7-5",
        "a 127.0.0.1:99999@2 master - 0 0 1 connected 7",
        "a 127.0.0.1 master - 0 0 1 connected 7",
        "a 12;7.0.0.1:5@2 master - 0 0 1 connected 7",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_non_null(read_map(texts[i]));
}

static void more_nodes_than_there_is_room_for_are_refused(void **state)
{
    static const char line[] = "a 127.0.0.1:1@2 slave - 0 0 1 connected\n";
    char *text = malloc((SLOTMAP_NODES + 1) * (sizeof line - 1) + 1);
    (void)state;
    for (unsigned i = 0; i <= SLOTMAP_NODES; i++)
        memcpy(text + i * (sizeof line - 1), line, sizeof line);
    assert_non_null(read_map(text));
    text[SLOTMAP_NODES * (sizeof line - 1)] = '\0';
    assert_null(read_map(text));
    assert_int_equal(map.nnodes, SLOTMAP_NODES);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_slots_of_the_specification),
        cmocka_unit_test(a_tag_has_the_slot_of_its_keys),
        cmocka_unit_test(a_command_has_the_slot_of_its_keys),
        cmocka_unit_test(redirections_are_read),
        cmocka_unit_test(a_map_is_read),
        cmocka_unit_test(the_newer_claim_of_a_slot_counts),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(more_nodes_than_there_is_room_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
