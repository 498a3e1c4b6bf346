// SPDX-License-Identifier: MIT
/* Leased limits: agents take tokens of a bucket in batches and spend them without a trip. This is a design, not yet code: what a C
 * implementation must keep to so that the bound stays exact.
 *
 *   agent   NOTHING ──ask──► ASKED ──reply──► HELD ── spends, until its time is over ──► gives back what is left ──► NOTHING
 *   Redis               lends n          lent ──────── given back: what was spent counts as used now
 *                       if they fit           └─────── expired: all of it does
 *
 * The rules: a bucket's level and all that is on loan never exceed the burst, and what is on loan does not refill. A loan expires by Redis'
 * time, counted from when it was lent. Its agent counts from when it asked, by a clock that no step and no pause of its own disturbs, and looks at it
 * before each token: so it stops no later than Redis does. A loan has a name that never comes back: given back twice, or after its
 * expiry, it changes nothing. What becomes used becomes so when Redis hears of it, never earlier.
 *
 * Checked at each request that passes: an ideal bucket (`meter`: one up for each that passes, one down at each tick) never holds more than the
 * burst, which is to say that in every interval at most burst + rate * interval pass; and no agent believes that it has more left than there is.
 *
 * Bounds: one token refills at each tick. BURST; LASTS, a loan's ticks; BATCH, the most of one loan; LOANS at one time, of which agent 1 has the
 * first half (it asks ahead of need); PAUSES, DEATHS, LOST replies, TWICE (messages that arrive once more), STEPS of agents' clocks; FORGETS, loans that
 * Redis loses though it acknowledged them (then the bound may break). ALONE = 0: some requests are charged in Redis, one by one. */

c_code {
    static int set(const char *name) { const char *value = getenv(name); return value ? atoi(value) : 0; }
};
hidden byte burst, lasts, batch, loans, alone, plant;
hidden byte right; /* no mistake, and Redis keeps what it has acknowledged */
byte pauses, deaths, lost, twice, steps, forgets; /* still to come */

/* Mistakes that this model must find; model/run reads this list. */
#define REFILLS        1  /* what is lent is charged at once, and refills while it is on loan: a plain lease */
#define FROM_REPLY     2  /* an agent counts from when the reply comes */
#define NO_EXPIRY      3  /* an agent does not look at the time */
#define EXPIRES_UNUSED 4  /* a loan that has expired counts as not spent */
#define BACK_TWICE     5  /* what is given back has no name: it counts as often as it arrives */
#define SPENDS_ON      6  /* an agent goes on with what it has given back */
#define PAUSE_STOPS    7  /* an agent's clock stands still while it is paused */
#define WALL_CLOCK     8  /* an agent counts by a clock that can be set */
#define NEXT_LOAN      9  /* a token of one loan goes back to the next one */
#define USED_EARLIER   10 /* what was spent counts from when it was lent */

#define MOST 4
mtype = {NOTHING, ASKED, HELD, GIVEN};

byte used;  /* level of the bucket */
byte meter; /* of the ideal one */
typedef Loan {
    mtype at;                /* of the agent */
    byte left, age;          /* tokens, ticks since it was asked for: the agent's */
    bit asking;              /* the question is on its way */
    byte reply;              /* the answer is: tokens */
    byte lent, old;          /* Redis': tokens on loan, ticks since */
    bit returning;           /* what is given back is on its way */
    byte back;               /* how many */
    bit again;               /* the same, once more */
    byte over                /* tokens of an earlier loan, for NEXT_LOAN */
};
Loan l[MOST];
bit paused[2];

#define AGENT(i) (i >= loans / 2)
#define AWAKE(i) (!paused[AGENT(i)])
#define ON_LOAN (l[0].lent + l[1].lent + l[2].lent + l[3].lent)
#define FITS(n) (used + ON_LOAN + n <= burst)

inline passes(believed) {
    assert(!right || believed <= burst - meter);
    printf("passes, %d left\n", believed);
    meter++;
    assert(meter <= burst)
}

proctype loan(byte i) {
    byte n;
end:
    do
    /* the agent */
    :: atomic { l[i].at == NOTHING && AWAKE(i) && !l[i].asking && !l[i].reply && !l[i].returning ->
            printf("loan %d: asked for\n", i);
            l[i].at = ASKED; l[i].age = 0; l[i].asking = 1 }
    :: atomic { l[i].at == ASKED && l[i].reply > 0 && AWAKE(i) ->
            printf("loan %d: %d tokens arrive\n", i, l[i].reply);
            l[i].at = HELD; l[i].left = l[i].reply + l[i].over; l[i].reply = 0; l[i].over = 0;
            l[i].age = (plant == FROM_REPLY -> 0 : l[i].age) }
    :: atomic { l[i].at == ASKED && AWAKE(i) && l[i].age >= lasts -> l[i].at = NOTHING; l[i].reply = 0; l[i].age = 0 } /* no answer */
    :: atomic { l[i].at == HELD && l[i].left > 0 && AWAKE(i) && (l[i].age < lasts || plant == NO_EXPIRY) ->
            passes(l[i].left); l[i].left-- }
    :: atomic { l[i].at == GIVEN && l[i].left > 0 && plant == SPENDS_ON && AWAKE(i) && l[i].age < lasts -> passes(0); l[i].left-- }
    :: atomic { l[i].at == HELD && AWAKE(i) ->
            printf("loan %d: gives %d back\n", i, l[i].left);
            l[i].at = GIVEN; l[i].returning = 1; l[i].back = l[i].left;
            l[i].over = (plant == NEXT_LOAN && l[i].age >= lasts && l[i].left > 0 -> 1 : 0);
            l[i].left = (plant == SPENDS_ON -> l[i].left : 0) }
    :: atomic { l[i].at == GIVEN && (!l[i].returning || l[i].age >= lasts) && (plant != SPENDS_ON || l[i].age >= lasts) ->
            l[i].at = NOTHING; l[i].left = 0; l[i].age = 0 }
    /* Redis */
    :: atomic { l[i].asking -> l[i].asking = 0;
            if
            :: l[i].lent == 0 && FITS(1) -> n = 1
            :: l[i].lent == 0 && batch > 1 && FITS(2) -> n = 2
            :: else
            fi;
            if
            :: n > 0 && plant == REFILLS -> used = used + n
            :: n > 0 && plant != REFILLS -> printf("loan %d: Redis lends %d\n", i, n); l[i].lent = n; l[i].old = 0
            :: else
            fi;
            if
            :: l[i].at == ASKED -> l[i].reply = n;
                if
                :: n == 0 -> l[i].at = NOTHING; l[i].age = 0
                :: lost > 0 && n > 0 -> lost--; l[i].reply = 0
                :: n > 0
                fi
            :: else
            fi;
            n = 0 }
    :: atomic { l[i].returning || l[i].again ->
            if
            :: l[i].returning && l[i].lent > 0 ->
                n = l[i].lent - l[i].back;
                n = (plant == USED_EARLIER -> (n > l[i].old -> n - l[i].old : 0) : n);
                used = used + n; l[i].lent = 0; l[i].old = 0
            :: plant == BACK_TWICE && l[i].again && used >= l[i].back -> used = used - l[i].back
            :: else
            fi;
            if
            :: l[i].returning && twice > 0 -> twice--; l[i].again = 1
            :: true -> l[i].again = 0
            fi;
            l[i].returning = 0;
            l[i].back = (l[i].again -> l[i].back : 0);
            n = 0 }
    od
}

inline older(i) {
    l[i].age = ((l[i].at == NOTHING || l[i].age >= lasts || (plant == PAUSE_STOPS && !AWAKE(i))) -> l[i].age : l[i].age + 1);
    if
    :: l[i].lent > 0 && l[i].old + 1 >= lasts ->
        used = (plant == EXPIRES_UNUSED -> used : used + l[i].lent);
        l[i].lent = 0; l[i].old = 0
    :: l[i].lent > 0 && l[i].old + 1 < lasts -> l[i].old++
    :: else
    fi
}
inline dies(i) {
    if
    :: i < loans && AGENT(i) == a -> l[i].at = NOTHING; l[i].left = 0; l[i].age = 0; l[i].reply = 0; l[i].over = 0
    :: else
    fi
}

active proctype time() {
end:
    do
    :: atomic { meter > 0 || used > 0 || ON_LOAN > 0 || l[0].at != NOTHING || l[1].at != NOTHING || l[2].at != NOTHING || l[3].at != NOTHING ->
            printf("tick\n");
            meter = (meter > 0 -> meter - 1 : 0);
            used = (used > 0 -> used - 1 : 0);
            older(0); older(1); older(2); older(3) }
    :: atomic { !alone && FITS(1) -> used++; passes(0) } /* charged in Redis */
    od
}

active [2] proctype agent() {
    byte a = _pid % 2;
end:
    do
    :: atomic { pauses > 0 && !paused[a] -> printf("agent %d stops\n", a); pauses--; paused[a] = 1 }
    :: atomic { paused[a] -> printf("agent %d goes on\n", a); paused[a] = 0 }
    :: atomic { deaths > 0 -> printf("agent %d dies\n", a); deaths--; paused[a] = 0; dies(0); dies(1); dies(2); dies(3) }
    :: atomic { steps > 0 -> printf("the clock of agent %d is set\n", a); steps--; /* only what counts by it notices */
            if
            :: plant == WALL_CLOCK -> l[a * (loans / 2)].age = 0
            :: else
            fi }
    :: atomic { forgets > 0 && l[a * (loans / 2)].lent > 0 -> printf("Redis forgets a loan\n"); forgets--; l[a * (loans / 2)].lent = 0; l[a * (loans / 2)].old = 0 }
    od
}

init {
    byte i;
    atomic {
        c_code {
            burst = set("BURST"); lasts = set("LASTS"); batch = set("BATCH"); loans = set("LOANS"); alone = set("ALONE"); plant = set("PLANT");
            now.pauses = set("PAUSES"); now.deaths = set("DEATHS"); now.lost = set("LOST"); now.twice = set("TWICE");
            now.steps = set("STEPS"); now.forgets = set("FORGETS"); right = plant == 0 && now.forgets == 0;
        };
        for (i : 0 .. MOST - 1) { l[i].at = NOTHING }
        for (i : 0 .. loans - 1) { run loan(i) }
        i = 0
    }
}
