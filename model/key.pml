// SPDX-License-Identifier: MIT
/* The life of one key: its record in Redis, HAProxy's tables, two agents, and what may happen to each of them.
 *
 *   try      IDLE ──claim──► GRANTED ──go──► SENT ──► BEGUN ──► STREAM ──► OVER     a whole answer has no STREAM;
 *                               └── no verdict ──► DROPPED                          what is not sent goes to OVER at once
 *   agent    flushes what it keeps for Redis; lists HAProxy's tables; acts on what they show
 *   record   NONE FREE RUNNING ANSWERED HELD DONE TOMB; `say` is the table of words (docs/protocol.md: each one's script)
 *
 * Checked, by the assertions below: the guarantee (README, "What is promised").
 *
 * Time is counted in heartbeats (`tick`). Of speed it is only assumed that through a whole heartbeat each agent that lives, is not paused and
 * is served by Redis has flushed, and that one of those who reach HAProxy has listed and acted; and that a verdict comes, or HAProxy
 * gives up, before the lease ends (Timing rules). A lease lasts for a whole heartbeat and a part (really three), its grace for one.
 * Some steps may do more than the code: whichever agents like poll, and a word may be said whether or not a notice is still to come.
 *
 * Left out: waiting, limits and slots, fingerprints, reload, messages that are sent again when a connection is lost (that is another try),
 * Redis' clock, and the expiry of records: a record outlives whatever happens here.
 *
 * Switches are read from the environment; model/run has the configurations, and `make model` runs them. */

c_code {
    static int set(const char *name) { const char *value = getenv(name); return value ? atoi(value) : 0; }
};
hidden byte hold;      /* HOLD: on_unknown */
hidden byte notices;   /* NOTICES are configured */
hidden byte reach2;    /* REACH2: agent 2 reaches HAProxy too */
hidden byte acks;      /* ACKS: ack_replicas = 1 */
hidden byte operator;  /* OPERATOR: somebody decides what is held */
hidden byte stale;     /* STALE: agent 1 acts on listings of any age (worker.c: of one poll) */
hidden byte answers;   /* ANSWERS: 1 whole ones, 2 open ones, 3 both */
hidden byte tries;     /* TRIES: 1 to 3 */
hidden byte exact;    /* EXACT: without the exceptions that the promise makes for a lapse */
hidden byte plant;     /* PLANT: number of a mistake */
byte deaths, pauses, cuts, hadeaths, failovers; /* how many are still to come: of agents, of agents, from Redis, of HAProxy */

/* Mistakes that this model must find; model/run reads this list. */
#define ONE_POLL       1  /* a poll that does not list it counts as its end */
#define HALF_INSERTED  2  /* conn_cur = 0 alone counts as its end, as in the middle of an insert */
#define LOST_NOTICE    3  /* an end without a notice counts as cut */
#define OVERWRITES     4  /* a late complete does not look at the owner */
#define ANY_OWNER      5  /* a resolve does not look at the owner */
#define ANY_RID        6  /* a release by rid does not look at the rid */
#define ANSWER_FREES   7  /* an end frees the key though an answer had begun */
#define CUT_FREES_HELD 8  /* `hold`: a cut counts as a proof that nothing was done */
#define LAPSE_FREES    9  /* `hold`: a lapse lets the next one in */
#define LAPSE_FORGETS  10 /* a lapse lets the next one in though an answer had begun */
#define NO_GRACE       11 /* a lease that is over protects no longer */
#define NO_CONTACT     12 /* a claim does not say since when its agent has been served */
#define STORES_OPEN    13 /* an answer whose end is not proved is stored */
#define FREES_OPEN     14 /* a status that may be tried again frees the key before its answer has ended */
#define COMMITS_CUT    15 /* a cut answer is committed */
#define NO_UNSETTLED   16 /* an answer that nobody has confirmed is not kept in once_unsettled */
#define FORGETS_WORDS  17 /* an outcome is not kept when the connection to Redis is lost */
#define UNTRACKED      18 /* a token that is not tracked is forwarded */
#define SHORT_LOCK     19 /* the lock is over before HAProxy gives up */
#define GRANTS_EARLY   20 /* ack_replicas: a grant does not wait for the replica */
#define COUNTS_EARLY   21 /* ack_replicas: an outcome is not kept until the replica has it */

#define MOST 3   /* tries */
#define LEASED 3 /* a part and a whole heartbeat, then it lapses (1); another one, and its grace is over (0) */
#define SERVED 2 /* heartbeats since an agent's contact begun: a whole one lies between */
#define ROOM 2   /* words that an agent keeps; more are dropped (completion.max_entries) */

mtype = {NONE, FREE, RUNNING, ANSWERED, HELD, DONE, TOMB};   /* record */
mtype = {IDLE, GRANTED, DROPPED, SENT, BEGUN, STREAM, OVER}; /* try */
mtype = {WHOLE, OPEN, FAILED, OPENFAIL, UNSURE};             /* answer; OPEN..: its end is not proved by the response message */
mtype = {CLEAN, CUT, NEVER, OTHER};                          /* end; also why a record is FREE */
mtype = {COMPLETE, COMMIT, ANSWER, UNSTORABLE, RELEASE_CUT, RELEASE_NEVER, RELEASE_RID, EXTEND, RESOLVE, RESOLVE_STATUS};
mtype = {UP, DEAD, PAUSED};                                  /* agent */

typedef Record { mtype st, why; byte own, val; bit lapse }; /* val: whose answer is stored */
typedef Try {
    mtype h, answer, end;
    bit ent, uns;           /* its entries: once_inflight, once_unsettled */
    bit gpt0, settled;      /* gpt0 is its status; is 1000 */
    byte asked;             /* the agent that has its response message; TOLD: and has confirmed it */
    bit noticing;           /* a notice is on its way */
    byte noticed;           /* the agent that it has reached */
    bit sent, seen, dead;   /* the backend has had it; its client has a whole storable answer; its HAProxy died */
    bit outlived, forgiven; /* its lease was; an operator says that nothing was done */
    byte told               /* the agent that has its outcome and has not died since */
};
#define TOLD 9

Record r, rep;         /* at the primary, at the replica */
bit dirty;             /* they differ */
byte lease;            /* of RUNNING and ANSWERED */
bit left;              /* through the grace behind the lease Redis served agents, but none that could extend */
bit recorded;          /* an outcome is, in a Redis that keeps what it acknowledges */
byte replayed;         /* whose answer was */
Try t[MOST + 1];       /* from 1 */
mtype mode[3] = UP;    /* of agents, from 1 */
bit link[3] = 1;       /* to Redis */
byte con[3] = SERVED;  /* contact */
bit kept, young;       /* in this heartbeat somebody has acted on a listing of it; the listing that agent 1 has is of it */
chan q[3] = [ROOM] of {mtype, byte};

#define CONFIRMED (!acks || !dirty)
#define ACKNOWLEDGED(e) (!acks || (!dirty && r.own == e)) /* its grant; a failover ends the WAIT of what was lost */
#define REACHES(a) (a == 1 || reach2)
#define FIT(a) (mode[a] == UP && link[a])
#define LIVE (r.st == RUNNING || r.st == ANSWERED)
#define RUNS(x) (x.h == SENT || x.h == BEGUN || x.h == STREAM)
#define IS_OPEN(x) (x.answer == OPEN || x.answer == OPENFAIL)
/* The backend is at work. Behind the response message of a whole answer it is not. */
#define INFLIGHT(x) (x.h == SENT || x.h == STREAM || (x.h == BEGUN && IS_OPEN(x)))
/* Classes of a status (evidence_letter): never again, again; UNSURE is the third. */
#define IS_T(x) (x.answer == WHOLE || x.answer == OPEN)
#define IS_F(x) (x.answer == FAILED || x.answer == OPENFAIL || (x.answer == UNSURE && !hold))

/* --- Redis --- */

inline turn(state, owner, reason) {
    r.st = state; r.own = owner; r.why = reason; r.lapse = 0;
    r.val = (state == DONE -> owner : 0);
    lease = (state == RUNNING || state == ANSWERED -> LEASED : 0);
    left = 0;
    dirty = (failovers > 0);
    recorded = recorded || ((state == DONE || state == TOMB) && CONFIRMED)
}

#define BY_CLASS(x) (IS_T(x) -> TOMB : (IS_F(x) -> FREE : HELD))
/* One word, as one script call: `to` is the state that it leads to, 0 none. */
inline say(word, e, to, reason) {
    to = 0; reason = OTHER;
    if
    :: r.st == NONE || r.own == e || (plant == OVERWRITES && word == COMPLETE) ->
        if
        :: word == COMPLETE || word == COMMIT -> to = (r.st != DONE || r.own != e -> DONE : 0)
        :: word == COMMIT && r.st != DONE -> to = (r.st != TOMB -> TOMB : 0) /* what `answered` kept is gone */
        :: word == ANSWER -> to = (r.st == RUNNING || r.st == HELD || r.st == NONE || (r.st == FREE && r.why != CUT) -> ANSWERED : 0)
        :: word == UNSTORABLE && LIVE -> to = (t[e].answer == UNSURE && hold -> HELD : FREE)
        :: word == RELEASE_NEVER -> to = (LIVE || r.st == HELD -> FREE : 0); reason = NEVER
        :: word == RELEASE_CUT -> to = (LIVE && (!hold || plant == CUT_FREES_HELD) -> FREE : 0); reason = CUT
        :: word == RELEASE_RID -> to = (r.st == RUNNING -> FREE : 0); reason = NEVER
        :: word == EXTEND && LIVE -> lease = LEASED; left = 0
        :: word == EXTEND && !LIVE -> to = (r.st == NONE || r.lapse -> RUNNING : 0)
        :: word == RESOLVE && r.st == RUNNING -> to = (hold -> HELD : FREE)
        :: word == RESOLVE && r.st == ANSWERED -> to = TOMB
        :: word == RESOLVE && r.st == NONE -> to = (hold -> HELD : 0)
        :: word == RESOLVE_STATUS && (LIVE || r.st == HELD) -> to = (plant == ANSWER_FREES -> FREE : BY_CLASS(t[e]))
        :: word == RESOLVE_STATUS && r.st == FREE -> to = (r.why == OTHER && !IS_F(t[e]) -> TOMB : 0)
        :: word == RESOLVE_STATUS && r.st == NONE -> to = TOMB
        :: else
        fi
    :: r.own != e && r.st == RUNNING && ((plant == ANY_OWNER && word == RESOLVE) || (plant == ANY_RID && word == RELEASE_RID)) -> to = FREE
    :: else
    fi;
    if
    :: to != 0 -> printf("<%d> of %d: <%d>\n", word, e, to); turn(to, e, reason)
    :: else
    fi;
    to = 0; reason = 0
}

#define KNOWN(o) (t[o].seen || replayed == o) /* some client has its answer */
/* What the promise says of the moment in which a lapse lets another one in: nobody is there who knows better. */
inline judge_lapse() {
    assert((left && !exact) || !(RUNS(t[r.own]) || t[r.own].h == GRANTED));
    assert((left && !exact) || !KNOWN(r.own) || (t[r.own].dead && !exact && (t[r.own].told == 0 || con[t[r.own].told] < SERVED)));
    printf("the lease of %d has lapsed\n", r.own);
    t[r.own].outlived = left || KNOWN(r.own)
}
#define OVER_FOR(a) (lease <= (plant == NO_GRACE -> 1 : 0) && (con[a] >= SERVED || plant == NO_CONTACT))
/* The gate, asked by agent a. */
inline claim(e, a, to) {
    to = 0;
    if
    :: r.st == NONE || r.st == FREE -> to = RUNNING
    :: r.st == DONE ->
        assert(r.val == r.own && (t[r.val].answer == WHOLE || (t[r.val].answer == OPEN && t[r.val].end == CLEAN)));
        assert(replayed == 0 || replayed == r.val);
        printf("replay of %d\n", r.val);
        replayed = r.val
    :: r.st == RUNNING && OVER_FOR(a) && (!hold || plant == LAPSE_FREES) -> judge_lapse(); to = RUNNING
    :: r.st == RUNNING && OVER_FOR(a) && hold && plant != LAPSE_FREES -> turn(HELD, r.own, OTHER); r.lapse = 1
    :: r.st == ANSWERED && OVER_FOR(a) ->
        if
        :: plant == LAPSE_FORGETS -> judge_lapse(); to = RUNNING
        :: else -> turn(TOMB, r.own, OTHER)
        fi
    :: else
    fi;
    if
    :: to == RUNNING ->
        printf("claim %d by agent %d: granted\n", e, a);
        assert(!recorded);
        turn(RUNNING, e, OTHER);
        t[e].h = GRANTED
    :: else
    fi;
    to = 0
}

/* --- HAProxy --- */

/* No second execution beside another one, none behind an outcome or behind an answer that its client has seen, and under `hold` none
 * behind one that nobody knows; but where the promise excepts it (judge_lapse, operator). */
inline forward(e, o) {
    printf("forward %d\n", e);
    assert(!recorded);
    for (o : 1 .. tries) {
        if
        :: o != e && t[o].sent ->
            assert(!INFLIGHT(t[o]) || t[o].outlived || t[e].outlived);
            assert(!KNOWN(o) || t[o].outlived);
            assert(!hold || t[o].forgiven || IS_F(t[o]))
        :: else
        fi
    }
    t[e].sent = 1; t[e].h = SENT; o = 0
}
inline over(e, how) {
    t[e].h = OVER; t[e].end = how; t[e].asked = 0; t[e].noticing = notices
}
inline pass(e) { /* the answer goes to the client, its record confirmed or not */
    printf("answer of %d passes, confirmed %d\n", e, t[e].asked == TOLD);
    t[e].uns = (t[e].asked != TOLD && plant != NO_UNSETTLED);
    if
    :: IS_OPEN(t[e]) -> t[e].h = STREAM; t[e].asked = 0
    :: else ->
        t[e].settled = (t[e].asked == TOLD);
        t[e].seen = (t[e].answer == WHOLE);
        over(e, CLEAN)
    fi
}
#define WORD_OF(x) (x.answer == WHOLE || (x.answer == OPEN && plant == STORES_OPEN) -> COMPLETE : (x.answer == OPEN || (x.answer == OPENFAIL && plant != FREES_OPEN) -> ANSWER : UNSTORABLE))

proctype haproxy(byte e) {
    byte a, o;
    mtype to;
end:
    do
    :: atomic { t[e].h == IDLE && t[e - 1].h != IDLE && (FIT(1) || FIT(2)) -> /* busy and refusals change nothing here */
            if
            :: FIT(1) -> a = 1
            :: FIT(2) -> a = 2
            fi;
            claim(e, a, to); a = 0 }
    :: atomic { t[e].h == GRANTED && (ACKNOWLEDGED(e) || plant == GRANTS_EARLY) -> t[e].ent = (plant != UNTRACKED); forward(e, o) }
    :: atomic { t[e].h == GRANTED && ACKNOWLEDGED(e) -> printf("never sent %d\n", e); t[e].ent = 1; over(e, NEVER) }
    :: atomic { t[e].h == GRANTED -> /* gives up; tells an agent, or the one that was too late knows, or nobody */
            printf("no verdict for %d\n", e);
            t[e].h = DROPPED;
            if
            :: skip
            :: mode[1] != DEAD && len(q[1]) < ROOM -> q[1] ! RELEASE_RID, e
            :: mode[1] != DEAD && len(q[1]) < ROOM -> q[1] ! RELEASE_NEVER, e
            :: mode[2] != DEAD && len(q[2]) < ROOM -> q[2] ! RELEASE_RID, e
            fi }
    :: atomic { t[e].h == SENT -> printf("%d ends without an answer\n", e); over(e, OTHER) }
    :: atomic { t[e].h == SENT -> /* an answer begins; an agent gets the response message, or nobody */
            t[e].h = BEGUN; t[e].gpt0 = 1;
            if
            :: answers != 2 -> t[e].answer = WHOLE
            :: answers != 2 -> t[e].answer = FAILED
            :: answers != 2 -> t[e].answer = UNSURE
            :: answers != 1 -> t[e].answer = OPEN
            :: answers != 1 -> t[e].answer = OPENFAIL
            fi;
            printf("answer of %d: <%d>\n", e, t[e].answer);
            if
            :: mode[1] == UP && len(q[1]) < ROOM -> a = 1
            :: mode[2] == UP && len(q[2]) < ROOM -> a = 2
            :: skip
            fi;
            if
            :: a != 0 ->
                q[a] ! WORD_OF(t[e]), e;
                t[e].asked = a;
                t[e].told = (IS_T(t[e]) -> a : 0)
            :: else -> pass(e)
            fi;
            a = 0 }
    :: atomic { t[e].h == BEGUN -> pass(e) }
    :: atomic { t[e].h == STREAM -> printf("%d ends cleanly\n", e); t[e].seen = (t[e].answer == OPEN); over(e, CLEAN) }
    :: atomic { t[e].h == STREAM -> printf("%d is cut\n", e); over(e, CUT) }
    :: atomic { t[e].h == OVER && t[e].ent -> t[e].ent = 0 } /* expire */
    :: atomic { t[e].noticing -> t[e].noticing = 0;
            if
            :: skip
            :: mode[1] != DEAD -> t[e].noticed = 1
            :: mode[2] != DEAD -> t[e].noticed = 2
            fi }
    :: atomic { hadeaths > 0 && !t[e].dead && (RUNS(t[e]) || (t[e].h == OVER && (t[e].ent || t[e].uns))) ->
            printf("HAProxy of %d dies\n", e);
            hadeaths--; t[e].dead = 1; t[e].ent = 0; t[e].uns = 0; t[e].asked = 0;
            t[e].end = (t[e].h == OVER -> t[e].end : OTHER);
            t[e].h = OVER }
    od
}

/* --- agents --- */

/* What a listing shows of one: 0 nothing, 1 it runs, 2 it has ended. A notice of what was never sent, or of a process that is gone,
 * counts by itself. */
#define RUNNING_ENTRY(x) (x.ent && x.h != OVER && !x.settled)
#define ENDED_ENTRY(x) (x.h == OVER && ((x.ent && !x.settled) || x.uns || (x.noticed && (x.dead || x.end == NEVER))))
#define SHOWN(x) (RUNNING_ENTRY(x) -> 1 : (ENDED_ENTRY(x) -> 2 : 0))

/* The word that follows (evidence.c); 0 none. */
inline choose(word, who, x, sight) {
    word = 0;
    if
    :: sight == 1 -> word = EXTEND
    :: sight == 2 && t[x].noticed == who && t[x].end == NEVER -> word = RELEASE_NEVER
    :: sight == 2 && t[x].noticed == who && t[x].end == CUT && (!hold || plant == CUT_FREES_HELD) -> word = RELEASE_CUT
    :: sight == 2 && t[x].noticed == who && t[x].end == CLEAN && t[x].gpt0 && IS_T(t[x]) -> word = COMMIT
    :: sight == 2 -> word = (t[x].gpt0 -> RESOLVE_STATUS : RESOLVE)
    :: plant == LOST_NOTICE && sight == 2 && t[x].noticed != who -> word = RELEASE_CUT
    :: plant == COMMITS_CUT && sight == 2 && t[x].gpt0 && IS_T(t[x]) -> word = COMMIT
    :: plant == ONE_POLL && !t[x].ent && t[x].h != IDLE -> word = RESOLVE
    :: plant == HALF_INSERTED && sight == 1 && !t[x].gpt0 -> word = RESOLVE
    :: else
    fi
}
#define KEPT_WORD(word) (word == RELEASE_NEVER || word == RELEASE_CUT || word == COMMIT)
#define RELEASE_WORD(word) (word == RELEASE_NEVER || word == RELEASE_CUT || word == RELEASE_RID)

proctype agent(byte a) {
    mtype word, to, reason;
    byte e, n, shown[MOST + 1];
    bit listed, flushing;
end:
    do
    :: atomic { a == 1 && stale && FIT(a) && !listed -> /* only lists; acts later */
            for (n : 1 .. tries) { shown[n] = SHOWN(t[n]) }
            listed = 1; young = 1; n = 0 }
    :: atomic { FIT(a) && (len(q[a]) > 0 || listed || (REACHES(a) && !(a == 1 && stale))) ->
            if
            :: len(q[a]) > 0 -> flushing = 1; q[a] ? <word, e>
            :: listed -> e = 1
            :: REACHES(a) && !listed && !(a == 1 && stale) ->
                for (n : 1 .. tries) { shown[n] = SHOWN(t[n]) }
                listed = 1; n = 0; e = 1
            fi;
            do
            :: flushing ->
                say(word, e, to, reason);
                if
                :: CONFIRMED || RELEASE_WORD(word) || plant == COUNTS_EARLY ->
                    if
                    :: true ->
                        q[a] ? word, e;
                        t[e].asked = (t[e].asked == a && !RELEASE_WORD(word) && word != COMMIT -> TOLD : t[e].asked)
                    :: cuts > 0 -> cuts--; link[a] = 0; con[a] = 0 /* the reply is lost */
                    fi
                :: else
                fi;
                break
            :: !flushing && e <= tries ->
                choose(word, a, e, shown[e]);
                if
                :: KEPT_WORD(word) && len(q[a]) < ROOM -> q[a] ! word, e; t[e].noticed = 0
                :: KEPT_WORD(word) && len(q[a]) == ROOM
                :: !KEPT_WORD(word) ->
                    say(word, e, to, reason);
                    t[e].uns = (word == RESOLVE_STATUS && CONFIRMED -> 0 : t[e].uns)
                fi;
                shown[e] = 0;
                e++
            :: !flushing && e > tries ->
                kept = (a == 1 && stale && !young -> kept : 1);
                young = (a == 1 -> 0 : young);
                listed = 0;
                break
            od;
            word = 0; e = 0; flushing = 0 }
    :: atomic { deaths > 0 && mode[a] != DEAD -> printf("agent %d dies\n", a);
            deaths--; mode[a] = DEAD; con[a] = 0;
            for (n : 1 .. tries) { /* and what it knows */
                t[n].asked = (t[n].asked == a -> 0 : t[n].asked);
                t[n].noticed = (t[n].noticed == a -> 0 : t[n].noticed);
                t[n].told = (t[n].told == a -> 0 : t[n].told);
                shown[n] = 0
            }
            do
            :: len(q[a]) > 0 -> q[a] ? word, e
            :: else -> break
            od;
            listed = 0; word = 0; e = 0; n = 0 }
    :: atomic { mode[a] == DEAD -> printf("agent %d starts\n", a); mode[a] = UP }
    :: atomic { pauses > 0 && mode[a] == UP -> printf("agent %d stops\n", a); pauses--; mode[a] = PAUSED }
    :: atomic { mode[a] == PAUSED -> printf("agent %d goes on\n", a); mode[a] = UP }
    :: atomic { cuts > 0 && FIT(a) -> printf("agent %d loses Redis\n", a);
            cuts--; link[a] = 0; con[a] = 0;
            do
            :: plant == FORGETS_WORDS && len(q[a]) > 0 -> q[a] ? word, e
            :: else -> break
            od;
            word = 0; e = 0 }
    :: atomic { !link[a] && mode[a] == UP -> printf("agent %d has Redis\n", a); link[a] = 1 }
    od
}

/* --- time, replica, operator --- */

#define THROUGH(a) (FIT(a) && con[a] >= 1) /* a whole heartbeat */
#define KEEPER (THROUGH(1) || (reach2 && THROUGH(2)))
#define MATTERS (lease > 0 || (FIT(1) && con[1] < SERVED) || (FIT(2) && con[2] < SERVED))
#define IN_TIME (!(LIVE && lease <= 2 && t[r.own].h == GRANTED) || plant == SHORT_LOCK)
#define OLDER(a) (FIT(a) -> (con[a] < SERVED -> con[a] + 1 : con[a]) : 0)

active proctype redis() {
end:
    do
    :: atomic { MATTERS && IN_TIME && !(THROUGH(1) && len(q[1]) > 0) && !(THROUGH(2) && len(q[2]) > 0) && (!KEEPER || kept) ->
            printf("tick\n");
            left = left || (LIVE && lease <= 1 && !KEEPER && (THROUGH(1) || THROUGH(2)));
            lease = (lease > 0 -> lease - 1 : 0);
            con[1] = OLDER(1); con[2] = OLDER(2);
            kept = 0; young = 0 }
    :: atomic { dirty -> dirty = 0;
            rep.st = r.st; rep.why = r.why; rep.own = r.own; rep.val = r.val; rep.lapse = r.lapse;
            recorded = recorded || r.st == DONE || r.st == TOMB }
    :: atomic { failovers > 0 && r.st != NONE -> printf("failover\n");
            failovers--; dirty = 0; lease = 0; left = 0;
            r.st = rep.st; r.why = rep.why; r.own = rep.own; r.val = rep.val; r.lapse = rep.lapse;
            link[1] = 0; con[1] = 0; link[2] = 0; con[2] = 0 }
    :: atomic { operator && r.st == HELD -> printf("operator: failed\n");
            t[r.own].forgiven = 1; t[r.own].outlived = 1; turn(FREE, r.own, NEVER) }
    :: atomic { operator && r.st == HELD -> printf("operator: completed\n"); turn(TOMB, r.own, OTHER) }
    od
}

init {
    byte i;
    atomic {
        c_code {
            hold = set("HOLD"); notices = set("NOTICES"); reach2 = set("REACH2"); acks = set("ACKS"); operator = set("OPERATOR");
            stale = set("STALE"); exact = set("EXACT"); answers = set("ANSWERS"); tries = set("TRIES"); plant = set("PLANT");
            now.deaths = set("DEATHS"); now.pauses = set("PAUSES"); now.cuts = set("CUTS");
            now.hadeaths = set("HADEATHS"); now.failovers = set("FAILOVERS");
        };
        r.st = NONE; rep.st = NONE;
        for (i : 1 .. MOST) { t[i].h = IDLE }
        t[0].h = OVER;
        run agent(1); run agent(2);
        for (i : 1 .. tries) { run haproxy(i) }
        i = 0
    }
}
