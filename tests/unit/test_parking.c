// SPDX-License-Identifier: MIT
/* Those who wait for a change in Redis, on a real one: who is asked, who is told, and that no wake-up is lost,
 * whatever becomes of the listening connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "rooms/monotonic.h"
#include "rooms/parking.h"
#include "tests/support/loop.h"
#include "tests/support/redis_fixture.h"

enum { GUESTS = 64, LONG = 60 };

static struct redis_fixture w;
static struct parking *parking;

/* One that waits, and what has become of it. */
static struct guest {
    struct parked parked;
    unsigned asked;
    const void *shared;
    int over;     /* enum parked_end, -1: not */
    double stays; /* answers each question by parking_stay(); negative: not yet */
    enum parked_end goes;
    bool leaves; /* answers by parking_leave(goes) */
} guests[GUESTS];

static const struct record_id id = {
    .tag = {1,   2 },
      .digest = { 0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
};
static const uint8_t print[16] = {7};
#define CHANNEL "once:w:ab0102030405060708090a0b0c0d0e0f"

static struct guest *guest_of(struct parked *p)
{
    return (struct guest *)p; /* the first member */
}

static void on_ask(struct parked *p)
{
    struct guest *g = guest_of(p);
    g->asked++;
    assert_true(parked_asks(p));
    if (g->leaves)
        parking_leave(p, g->goes);
    else if (g->stays >= 0)
        parking_stay(p, g->stays);
}

static void on_shared(struct parked *p, const void *what)
{
    assert_null(p->lot);
    guest_of(p)->shared = what;
}

static void on_over(struct parked *p, enum parked_end why)
{
    assert_null(p->lot);
    guest_of(p)->over = (int)why;
}

static const struct parked_events events = {on_ask, on_shared, on_over};

static bool come(struct guest *g, const struct record_id *key, const uint8_t *payload, double seconds)
{
    return parking_add(parking, &g->parked, &events, key, payload, monotonic_now() + seconds);
}

static uint64_t counted(enum metric m)
{
    return w.metrics.value[m];
}

static void on_ready(struct redis_fixture *f)
{
    (void)f;
    if (parking)
        parking_redis_ready(parking);
}

static int setup(void **state)
{
    (void)state;
    redis_fixture_begin(&w);
    w.on_ready = on_ready;
    w.config->wait.max_parked = GUESTS;
    parking = parking_new(w.loop, w.redis, w.config, &w.metrics);
    assert_non_null(parking);
    for (unsigned i = 0; i < GUESTS; i++)
        guests[i] = (struct guest){.over = -1, .stays = LONG};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < GUESTS; i++)
        if (guests[i].parked.lot)
            parking_leave(&guests[i].parked, PARKED_LEFT);
    assert_int_equal(counted(METRIC_PARKED), 0);
    parking_free(parking);
    parking = NULL;
    redis_fixture_stop(&w);
    return 0;
}

static void publish(void)
{
    redis_server_do(&w.server, "PUBLISH " CHANNEL " D");
}

static void until_open(void)
{
    loop_until(w.loop, counted(METRIC_EAR_OPEN) == 1, 5);
    loop_run(w.loop, 0.02);
}

static void one_asks_for_all(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(come(&guests[i], &id, print, LONG));
    assert_int_equal(guests[0].asked, 0); /* never from within */
    until_open();
    unsigned before = guests[0].asked; /* as it came, and when it was subscribed */
    assert_true(before >= 1 && before <= 2);
    publish();
    loop_until(w.loop, guests[0].asked == before + 1, 2);
    assert_int_equal(guests[1].asked + guests[2].asked, 0);
    guests[0].stays = -1;
    publish();
    loop_until(w.loop, parked_asks(&guests[0].parked), 2);
    parking_share(&guests[0].parked, "what");
    assert_string_equal(guests[1].shared, "what");
    assert_string_equal(guests[2].shared, "what");
    assert_null(guests[0].shared);
    assert_int_equal(counted(METRIC_PARKED_OUTCOME), 3);
    assert_int_equal(counted(METRIC_PARKED), 0);
}

/* The asker has something for itself alone: the next one asks, in the order of their coming. */
static void the_next_one_asks(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(come(&guests[i], &id, print, LONG));
    guests[0].leaves = guests[1].leaves = true;
    guests[0].goes = PARKED_GO;
    guests[1].goes = PARKED_REFUSED;
    loop_until(w.loop, guests[2].asked > 0, 2);
    assert_int_equal(guests[0].asked, 1);
    assert_int_equal(guests[1].asked, 1);
    assert_int_equal(counted(METRIC_PARKED_GO), 1);
    assert_int_equal(counted(METRIC_PARKED_REFUSED), 1);
    assert_int_equal(counted(METRIC_PARKED), 1);
}

/* One leaves at the beginning, in the middle, at the end of its lot. */
static void who_leaves_is_not_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_true(come(&guests[i], &id, print, LONG));
    parking_leave(&guests[0].parked, PARKED_LEFT);
    parking_leave(&guests[2].parked, PARKED_LEFT);
    parking_leave(&guests[4].parked, PARKED_LEFT);
    assert_true(come(&guests[5], &id, print, LONG));
    guests[1].stays = -1;
    loop_until(w.loop, guests[1].asked == 1, 2);
    parking_share(&guests[1].parked, "what");
    assert_true(guests[3].shared && guests[5].shared);
    assert_true(!guests[0].shared && !guests[2].shared && !guests[4].shared);
    assert_int_equal(counted(METRIC_PARKED_LEFT), 3);
}

/* Another payload is another lot; a message is for all lots of the record, and for no other record. */
static void lots_of_one_record(void **state)
{
    static const uint8_t other_print[16] = {8};
    struct record_id other_id = id;
    (void)state;
    other_id.digest[15]++;
    assert_true(come(&guests[0], &id, print, LONG));
    assert_true(come(&guests[1], &id, other_print, LONG));
    assert_true(come(&guests[2], &other_id, print, LONG));
    until_open();
    unsigned asked[3] = {guests[0].asked, guests[1].asked, guests[2].asked};
    publish();
    redis_server_do(&w.server, "PUBLISH once:w:nonsense D");
    redis_server_do(&w.server, "PUBLISH once:other:ab D");
    loop_until(w.loop, guests[0].asked > asked[0] && guests[1].asked > asked[1], 2);
    loop_run(w.loop, 0.05);
    assert_int_equal(guests[2].asked, asked[2]);
    guests[0].stays = -1;
    publish();
    loop_until(w.loop, parked_asks(&guests[0].parked), 2);
    parking_share(&guests[0].parked, "what");
    assert_null(guests[1].shared);
}

/* The answer that is on its way may be older than the message. */
static void a_message_while_one_asks(void **state)
{
    (void)state;
    assert_true(come(&guests[0], &id, print, LONG));
    until_open();
    guests[0].stays = -1;
    publish();
    loop_until(w.loop, parked_asks(&guests[0].parked), 2);
    unsigned asked = guests[0].asked;
    uint64_t heard = counted(METRIC_WAKEUPS);
    publish();
    loop_until(w.loop, counted(METRIC_WAKEUPS) > heard, 2);
    assert_int_equal(guests[0].asked, asked);
    guests[0].stays = LONG;
    parking_stay(&guests[0].parked, LONG);
    loop_until(w.loop, guests[0].asked == asked + 1, 2);
    loop_run(w.loop, 0.05);
    assert_int_equal(guests[0].asked, asked + 1);
}

static void asks_again_in_time(void **state)
{
    (void)state;
    assert_true(come(&guests[0], &id, print, LONG));
    until_open();
    guests[0].stays = 0.05;
    publish();
    unsigned asked = guests[0].asked;
    loop_run(w.loop, 0.5);
    assert_true(guests[0].asked - asked >= 4 && guests[0].asked - asked <= 11);
}

static void past_the_wait(void **state)
{
    (void)state;
    assert_false(come(&guests[0], &id, print, 0));
    assert_true(come(&guests[0], &id, print, 0.1));
    assert_true(come(&guests[1], &id, print, 0.1));
    assert_true(come(&guests[2], &id, print, LONG));
    guests[0].stays = -1;
    loop_until(w.loop, guests[0].asked == 1, 2);
    loop_until(w.loop, guests[1].over == PARKED_EXPIRED, 2);
    loop_run(w.loop, 0.05);
    assert_int_equal(guests[0].over, -1); /* its answer is on its way */
    parking_stay(&guests[0].parked, 0.01);
    assert_int_equal(guests[0].over, PARKED_EXPIRED);
    loop_until(w.loop, guests[2].asked > 0, 2);
    assert_int_equal(counted(METRIC_PARKED_EXPIRED), 2);
    assert_int_equal(counted(METRIC_PARKED), 1);
}

static void full(void **state)
{
    (void)state;
    w.config->wait.max_parked = 2;
    parking_reconfigure(parking, w.config);
    assert_true(come(&guests[0], &id, print, LONG));
    assert_true(come(&guests[1], &id, print, LONG));
    assert_false(come(&guests[2], &id, print, LONG));
    assert_int_equal(counted(METRIC_PARKED_FULL), 1);
    parking_leave(&guests[0].parked, PARKED_LEFT);
    assert_true(come(&guests[2], &id, print, LONG));
}

static void drained(void **state)
{
    struct record_id other_id = id;
    (void)state;
    other_id.digest[0]++;
    for (int i = 0; i < 3; i++)
        assert_true(come(&guests[i], i < 2 ? &id : &other_id, print, LONG));
    guests[0].stays = -1;
    loop_until(w.loop, guests[0].asked == 1, 2);
    parking_drain(parking);
    assert_int_equal(guests[1].over, PARKED_DRAINED);
    assert_int_equal(guests[2].over, PARKED_DRAINED);
    assert_int_equal(guests[0].over, -1);
    assert_false(come(&guests[3], &id, print, LONG));
    parking_stay(&guests[0].parked, 1);
    assert_int_equal(guests[0].over, PARKED_DRAINED);
}

/* The listening connection is cut: what was published meanwhile is made up for by a question of each lot. */
static void subscribed_anew(void **state)
{
    struct record_id ids[GUESTS];
    (void)state;
    for (unsigned i = 0; i < GUESTS; i++) {
        ids[i] = id;
        ids[i].digest[1] = (uint8_t)i;
        assert_true(come(&guests[i], &ids[i], print, LONG));
    }
    until_open();
    unsigned asked = guests[GUESTS - 1].asked;
    assert_true(redis_server_int(&w.server, "CLIENT KILL TYPE pubsub") == 1);
    loop_until(w.loop, counted(METRIC_EAR_OPEN) == 0, 2);
    until_open();
    for (unsigned i = 0; i < GUESTS; i++)
        loop_until(w.loop, guests[i].asked > asked, 2);
}

/* Redis dies, and comes back as another one: the same. */
static void redis_restarts(void **state)
{
    (void)state;
    assert_true(come(&guests[0], &id, print, LONG));
    until_open();
    redis_fixture_kill(&w);
    loop_until(w.loop, counted(METRIC_EAR_OPEN) == 0, 2);
    loop_run(w.loop, 0.2);
    unsigned asked = guests[0].asked;
    redis_fixture_revive(&w);
    redis_fixture_until_ready(&w, 2);
    until_open();
    loop_until(w.loop, guests[0].asked > asked, 2);
    publish();
    loop_until(w.loop, guests[0].asked > asked + 1, 2);
}

/* A peer that says nothing more is noticed by PING. */
static void redis_hangs(void **state)
{
    (void)state;
    assert_true(come(&guests[0], &id, print, LONG));
    until_open();
    redis_server_do(&w.server, "CLIENT PAUSE 3500 ALL");
    loop_until(w.loop, counted(METRIC_EAR_OPEN) == 0, 4);
    until_open();
}

/* Whoever may not subscribe is told so, and asks once a second. */
static void deaf(void **state)
{
    (void)state;
    redis_server_do(&w.server, "ACL SETUSER default -psubscribe");
    assert_true(come(&guests[0], &id, print, LONG));
    loop_run(w.loop, 2.6);
    assert_true(guests[0].asked >= 3 && guests[0].asked <= 4);
    assert_int_equal(counted(METRIC_EAR_OPEN), 0);
    redis_server_do(&w.server, "ACL SETUSER default +psubscribe");
    until_open();
    /* So does who has been told to wait for long before that. */
    unsigned asked = guests[0].asked;
    redis_server_do(&w.server, "ACL SETUSER default -psubscribe");
    redis_server_do(&w.server, "CLIENT KILL TYPE pubsub");
    loop_run(w.loop, 1.5);
    assert_int_equal(guests[0].asked, asked + 1);
}

/* The user of docs/redis.md, with what it says for policies that wait. */
static void the_documented_user(void **state)
{
    (void)state;
    redis_server_do(&w.server,
                    "ACL SETUSER waiter on >open-sesame ~once:* &once:w:* &once:ack -@all +role +info "
                    "+script|load +scan +time +evalsha +set +get +getrange +setrange +strlen +exists +pttl "
                    "+pexpire +rename +unlink +publish +zadd +zcount +zrange +zrem +zremrangebyscore "
                    "+psubscribe +ping");
    strcpy(w.config->redis.username, "waiter");
    strcpy(w.config->redis.password, "open-sesame");
    redis_reconfigure(w.redis, &w.config->redis);
    redis_fixture_until_ready(&w, 2);
    assert_true(come(&guests[0], &id, print, LONG));
    until_open();
    loop_run(w.loop, 2.2); /* PING is allowed */
    assert_int_equal(counted(METRIC_EAR_OPEN), 1);
    redis_server_do(&w.server, "ACL SETUSER waiter >other <open-sesame");
    redis_server_int(&w.server, "CLIENT KILL TYPE pubsub");
    loop_until(w.loop, counted(METRIC_EAR_OPEN) == 0, 2);
    loop_run(w.loop, 0.3);
    assert_int_equal(counted(METRIC_EAR_OPEN), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_asks_for_all),
        T(the_next_one_asks),
        T(who_leaves_is_not_asked),
        T(lots_of_one_record),
        T(a_message_while_one_asks),
        T(asks_again_in_time),
        T(past_the_wait),
        T(full),
        T(drained),
        T(subscribed_anew),
        T(redis_restarts),
        T(redis_hangs),
        T(deaf),
        T(the_documented_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
