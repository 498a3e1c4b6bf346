#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The judge is judged: a clean history is clean, one with each kind of violation is found out, and what PROTOCOL allows passes.

    python3 tests/chaos/test_checker.py
"""
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import checker  # noqa: E402
import record  # noqa: E402
from history import Call, Execution, Fault, Key, LedgerReader  # noqa: E402


def key(policy="release"):
    return Key("k", policy, 0.0)


def execution(k, number, begin, end, status=201, fence=None, call=None, how="written"):
    e = Execution(number, k.name, call or "c" + number, fence or int(begin * 1000) + 1, begin, end, how, status,
                  "digest" + number if status else "", end)
    k.executions.append(e)
    return e


def call(k, name, sent, done, kind, **more):
    c = Call(name, k.name, more.pop("proxy", 0), sent, done, kind, **more)
    k.calls.append(c)
    return c


def answer(k, e, name, sent, done, **more):
    return call(k, name, sent, done, "answer", status=e.status, number=e.number, digest=e.digest,
                location="/payments/" + e.number, **more)


def refused(k, name, sent, done, word, **more):
    return call(k, name, sent, done, "refused", status=409, word=word, **more)


class Checker(unittest.TestCase):
    def finds(self, k, *kinds, faults=()):
        found = checker.judge(k, list(faults))
        self.assertEqual(sorted(v.kind for v in found), sorted(kinds), found)

    def served(self, policy="release"):
        """A key that was executed once, answered, and replayed."""
        k = key(policy)
        e = execution(k, "1", 1.0, 1.1, call="a")
        answer(k, e, "a", 0.9, 1.2)
        answer(k, e, "b", 1.5, 1.6, replayed=True)
        return k, e


class Clean(Checker):
    def test_served_and_replayed(self):
        for policy in ("release", "hold"):
            self.finds(self.served(policy)[0])

    def test_busy_while_it_runs(self):
        k, _ = self.served()
        refused(k, "c", 1.0, 1.05, "in-progress")
        self.finds(k)

    def test_released_and_run_again(self):
        k = key()
        execution(k, "1", 1.0, 1.1, status=0, how="closed", call="a")
        call(k, "a", 0.9, 1.2, "gateway", status=502)
        e = execution(k, "2", 2.0, 2.1, call="b")
        answer(k, e, "b", 1.9, 2.2)
        self.finds(k)

    def test_hold_runs_again_after_a_definite_status(self):
        k = key("hold")
        first = execution(k, "1", 1.0, 1.1, status=503, call="a")
        answer(k, first, "a", 0.9, 1.2)
        answer(k, execution(k, "2", 2.0, 2.1, call="b"), "b", 1.9, 2.2)
        self.finds(k)

    def test_held(self):
        k = key("hold")
        execution(k, "1", 1.0, 1.1, status=0, how="closed", call="a")
        call(k, "a", 0.9, 1.2, "none")
        refused(k, "b", 2.0, 2.1, "outcome-unknown")
        self.finds(k)

    def test_held_until_it_is_proved_that_nothing_was_sent(self):
        k = key("hold")
        refused(k, "a", 0.9, 1.2, "unavailable")
        refused(k, "b", 2.0, 2.1, "outcome-unknown")
        answer(k, execution(k, "1", 3.0, 3.1, call="c"), "c", 2.9, 3.2)
        self.finds(k)

    def test_tombstone(self):
        k = key()
        execution(k, "1", 1.0, 1.1, call="a")
        call(k, "a", 0.9, 1.2, "none")
        refused(k, "b", 2.0, 2.1, "outcome-not-stored")
        self.finds(k)


class Overlap(Checker):
    def both(self, first_end):
        k = key()
        execution(k, "1", 1.0, first_end, status=0, how="peer")
        execution(k, "2", 5.0, 5.1, status=500)
        return k

    def test_found(self):
        self.finds(self.both(5.05), "overlap")

    def test_found_though_open_for_ever(self):
        self.finds(self.both(float("inf")), "overlap")

    def test_a_blur_is_none(self):
        self.finds(self.both(5.0 + checker.BLUR / 2))

    def test_lease_outlived_in_a_stopped_haproxy(self):
        self.finds(self.both(5.05), faults=[Fault("haproxy-pause", 0, 1.5, 4.5)])

    def test_not_excused_by_a_short_stop(self):
        self.finds(self.both(5.05), "overlap", faults=[Fault("haproxy-pause", 0, 1.5, 2.5)])

    def test_old_worker_lost_with_the_last_agent_that_knew_it(self):
        reload = Fault("haproxy-reload", 0, 1.5, 1.6)
        all_die = Fault("agent+link+redis-kill", None, 2.0, 2.5)
        one_by_one = [Fault("agent-restart", i, 1.7 + i, 1.8 + i) for i in range(checker.AGENTS)]
        k = self.both(5.05)
        call(k, "c1", 0.9, 5.05, "none", proxy=0)
        self.finds(k, faults=[reload, all_die])
        self.finds(k, faults=[reload, *one_by_one])
        self.finds(k, "overlap", faults=[reload, *one_by_one[1:]])
        self.finds(k, "overlap", faults=[Fault("haproxy-reload", 1, 1.5, 1.6), all_die])
        self.finds(k, "overlap", faults=[all_die])

    def test_not_excused_by_another_fault(self):
        self.finds(self.both(5.05), "overlap", faults=[Fault("redis-kill", None, 1.5, 4.8)])


class AfterOutcome(Checker):
    def test_after_an_answer(self):
        k, _ = self.served()
        execution(k, "2", 3.0, 3.1)
        self.finds(k, "after-outcome")

    def test_under_hold_it_is_two(self):
        k, _ = self.served("hold")
        execution(k, "2", 3.0, 3.1)
        self.finds(k, "after-outcome", "hold-resent")

    def test_after_a_tombstone(self):
        k = key()
        execution(k, "1", 1.0, 1.1)
        refused(k, "b", 2.0, 2.1, "outcome-not-stored")
        execution(k, "2", 3.0, 3.1)
        self.finds(k, "after-outcome")

    def test_haproxy_died_and_nobody_had_confirmed(self):
        k = key()
        answer(k, execution(k, "1", 1.0, 1.1, call="a"), "a", 0.9, 1.7)
        execution(k, "2", 8.0, 8.1)
        died = Fault("haproxy-kill", 0, 1.8, 3.0)
        self.finds(k, faults=[Fault("redis-pause", None, 0.5, 1.8), died])
        self.finds(k, "after-outcome", faults=[died])
        self.finds(k, "after-outcome", faults=[Fault("redis-pause", None, 0.5, 1.8), Fault("haproxy-kill", 1, 1.8, 3.0)])

    def test_looked_whole_over_http2(self):
        k = key()
        cut = execution(k, "1", 1.0, 1.1, status=0, how="closed", call="a")
        call(k, "a", 0.9, 1.2, "answer", status=201, number=cut.number, digest="half", h2=True)
        answer(k, execution(k, "2", 2.0, 2.1, call="b"), "b", 1.9, 2.2)
        self.finds(k)
        cut.how = "killed"
        self.finds(k)
        k.calls[0].h2 = False
        self.finds(k, "after-outcome", "replay-differs")


class AnsweredResent(Checker):
    def streamed(self, half=2.0):
        k = key()
        e = execution(k, "1", 1.0, 3.0, status=0, how="peer")
        e.begun, e.half, e.streamed = 201, half, True
        execution(k, "2", 8.0, 8.1)
        return k

    def test_found(self):
        self.finds(self.streamed(), "answered-resent", faults=[Fault("haproxy-kill", 0, 2.95, 4.0)])

    def test_cut_by_the_backend_is_free(self):
        self.finds(self.streamed())

    def test_it_could_not_be_recorded(self):
        died = Fault("haproxy-kill", 0, 2.95, 4.0)
        waited_for = self.streamed()
        waited_for.executions[0].streamed = False
        self.finds(waited_for, faults=[died])
        self.finds(self.streamed(half=2.8), faults=[died])
        self.finds(self.streamed(), faults=[died, Fault("redis-pause", None, 1.8, 2.9)])


class Replay(Checker):
    def test_other_bytes(self):
        k, _ = self.served()
        k.calls[1].digest = "other"
        self.finds(k, "replay-differs")

    def test_other_status_or_location(self):
        k, _ = self.served()
        k.calls[1].status = 202
        self.finds(k, "replay-differs")
        k, _ = self.served()
        k.calls[1].location = "/elsewhere"
        self.finds(k, "replay-differs")

    def test_of_an_execution_that_never_was(self):
        k, e = self.served()
        k.calls[1].number = "other"
        self.finds(k, "replay-differs")

    def test_of_what_is_not_stored(self):
        k = key()
        answer(k, execution(k, "1", 1.0, 1.1, status=500), "b", 1.9, 2.2, replayed=True)
        self.finds(k, "replay-differs")

    def test_of_two_executions(self):
        k, _ = self.served()
        second = execution(k, "2", 1.15, 1.18)
        answer(k, second, "c", 1.7, 1.8, replayed=True)
        self.finds(k, "replay-differs")

    def test_first_answer_counts_too(self):
        k, _ = self.served()
        k.calls[0].digest = "other"
        self.finds(k, "replay-differs")


class Hold(Checker):
    def twice(self, status, how="written"):
        k = key("hold")
        execution(k, "1", 1.0, 1.1, status=status, how=how)
        execution(k, "2", 8.0, 8.1)
        return k

    def test_sent_again(self):
        self.finds(self.twice(0, "closed"), "hold-resent")
        self.finds(self.twice(500), "hold-resent")
        self.finds(self.twice(201), "hold-resent")

    def test_definite(self):
        self.finds(self.twice(503))
        self.finds(self.twice(429))


class Refusals(Checker):
    def test_refused_but_ran(self):
        for word in ("unavailable", "in-progress", "outcome-not-stored"):
            k = key()
            execution(k, "1", 1.0, 1.1, call="a")
            refused(k, "a", 0.9, 1.2, word)
            execution(k, "0", 0.5, 0.55, status=500, call="z")
            self.finds(k, "refused-but-ran")

    def test_replayed_but_ran(self):
        k, e = self.served()
        k.calls[1].id = e.call
        k.calls.pop(0)
        self.finds(k, "refused-but-ran")

    def test_an_http2_client_may_send_again_by_itself(self):
        k = key()
        execution(k, "1", 1.0, 1.1, status=0, call="a", how="closed")
        refused(k, "a", 0.9, 1.2, "in-progress", h2=True)
        self.finds(k)

    def test_sent_twice(self):
        k = key()
        execution(k, "1", 1.0, 1.1, status=0, call="a", how="closed")
        execution(k, "2", 1.2, 1.3, call="a")
        self.finds(k, "sent-twice")

    def test_mismatch(self):
        k, _ = self.served()
        refused(k, "c", 2.0, 2.1, "mismatch")
        self.finds(k, "unfounded")


class Busy(Checker):
    def late(self, after):
        k = key()
        execution(k, "1", 1.0, 1.1, status=0, how="closed", call="a")
        call(k, "a", 0.9, 1.1, "gateway", status=502)
        refused(k, "b", 1.1 + after, 1.2 + after, "in-progress")
        return k

    def test_found(self):
        self.finds(self.late(checker.VISIBLE + 0.1), "busy-alone")

    def test_a_release_takes_its_time(self):
        self.finds(self.late(checker.VISIBLE - 0.1))

    def test_of_a_key_that_nobody_asked_for(self):
        k = key()
        refused(k, "b", 1.0, 1.1, "in-progress")
        self.finds(k, "busy-alone")

    def test_lock_and_heartbeat_after_a_crash(self):
        crash = Fault("haproxy-kill", 0, 1.05, 2.0)
        until = 0.9 + checker.LOCK + checker.HEARTBEAT + checker.VISIBLE
        self.finds(self.late(until - 0.1), faults=[crash])
        self.finds(self.late(until + 0.1), "busy-alone", faults=[crash])

    def test_a_refused_claim_is_given_back(self):
        k = key()
        refused(k, "a", 0.9, 1.1, "unavailable")
        until = 2.0 + checker.VISIBLE
        refused(k, "b", until + 0.1, until + 0.2, "in-progress")
        self.finds(k, "busy-alone", faults=[Fault("link-hang", 0, 0.5, 2.0)])
        for kind in ("agent-kill", "redis-failover"):
            self.finds(k, faults=[Fault(kind, 0, 0.5, 2.0)])
        k.calls[1].sent = until - 0.1
        self.finds(k, faults=[Fault("link-hang", 0, 0.5, 2.0)])


class Unfounded(Checker):
    def test_not_stored_of_nothing(self):
        k = key()
        refused(k, "b", 1.0, 1.1, "outcome-not-stored")
        self.finds(k, "unfounded")

    def test_unknown_under_release(self):
        k = key()
        execution(k, "1", 1.0, 1.1, status=0, how="closed")
        refused(k, "b", 2.0, 2.1, "outcome-unknown")
        self.finds(k, "unfounded")

    def test_unknown_of_nothing(self):
        k = key("hold")
        refused(k, "b", 1.0, 1.1, "outcome-unknown")
        self.finds(k, "unfounded")


class Fences(Checker):
    def test_same_and_smaller(self):
        for fence in (100, 99):
            k = key()
            execution(k, "1", 1.0, 1.1, status=500, fence=100)
            execution(k, "2", 2.0, 2.1, status=500, fence=fence)
            self.finds(k, "fence")


class Stuck(Checker):
    def test_found(self):
        k = key()
        k.stuck = True
        self.finds(k, "stuck")

    def test_a_record_of_another_version(self):
        k = key()
        k.stuck, k.retired = True, 60.0
        execution(k, "1", 0.9, 1.5, status=0, how="closed", call="z")
        refused(k, "a", 1.0, 1.1, "in-progress")
        refused(k, "b", 3.0, 3.1, "unavailable")
        self.finds(k, faults=[Fault("agent-other", 0, 0.5, 2.0)])
        self.finds(k, "stuck", faults=[Fault("agent-kill", 0, 0.5, 2.0)])
        refused(k, "c", 5.0, 5.1, "in-progress")
        k.calls[-1].word = "mismatch"
        self.finds(k, "stuck", "unfounded", faults=[Fault("agent-other", 0, 0.5, 2.0)])


class Record(unittest.TestCase):
    def found(self, *written):
        return [fence for _, fence in record.broken((b"k", state, fence) for state, fence in written)]

    def test_what_may_be(self):
        self.assertEqual(self.found((b"R", 1), (b"F", 1), (b"R", 2), (b"A", 2), (b"T", 2), (b"D", 2)), [])
        self.assertEqual(list(record.broken([(b"k", b"D", 1), (b"other", b"R", 2)])), [])

    def test_claimed_after_an_outcome(self):
        for outcome in (b"D", b"T"):
            self.assertEqual(self.found((b"R", 1), (outcome, 1), (b"R", 2)), [2])

    def test_taken_back(self):
        for state in (b"F", b"R", b"A", b"H"):
            self.assertEqual(self.found((b"R", 1), (b"T", 1), (state, 1)), [1])
        self.assertEqual(self.found((b"D", 1), (b"T", 1)), [1])

    def test_fence(self):
        self.assertEqual(self.found((b"R", 2), (b"F", 2), (b"R", 1)), [1])

    def test_read(self):
        def command(*words):
            return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)

        def head(state, fence):
            return b"\1" + state + b"\0\0" + fence.to_bytes(8, "little") + bytes(55)

        with tempfile.TemporaryDirectory() as folder:
            whole = (command(b"SELECT", b"0") + command(b"SET", b"once:{00}:r:k", head(b"R", 7), b"PXAT", b"9") + b"#TS:1\r\n"
                     + command(b"SETRANGE", b"once:{00}:r:k", b"20", b"12345678") + command(b"SET", b"once:{00}:p:k", head(b"D", 7))
                     + command(b"SETRANGE", b"once:{00}:r:k", b"0", head(b"D", 7)))
            half = command(b"SET", b"once:{00}:r:k", head(b"R", 8))[:-20]
            Path(folder, "appendonly.aof.1.incr.aof").write_bytes(whole + half)
            self.assertEqual(list(record.states(folder)), [(b"once:{00}:r:k", b"R", 7), (b"once:{00}:r:k", b"D", 7)])


class Told(unittest.TestCase):
    def test_in_the_order_of_time(self):
        k = key()
        answer(k, execution(k, "1", 1.0, 1.1, call="a"), "a", 0.9, 1.2)
        lines = checker.tell(k, [Fault("redis-kill", None, 0.95, 1.05), Fault("bank-kill", None, 90, 91)])
        self.assertEqual([line.split()[1] for line in lines],
                         ["call", "fault", "EXECUTION", "fault", "execution", "execution", "call"])


class Ledger(unittest.TestCase):
    def test_read_as_it_grows(self):
        keys = {"k": key()}
        with tempfile.NamedTemporaryFile() as file:
            reader = LedgerReader(file.name, keys)

            def write(*lines, end="\n"):
                file.write("\n".join(json.dumps(line) for line in lines).encode() + end.encode())
                file.flush()
                reader.read()

            begin = {"e": "begin", "n": "1", "t": 1.0, "key": "k", "call": "a", "fence": 5, "execution": "x"}
            write(begin, {"e": "head", "n": "1", "t": 1.05, "status": 201, "streamed": True},
                  {"e": "answer", "n": "1", "t": 1.1, "status": 201, "digest": "d"})
            write({"e": "end", "n": "1", "t": 1.2, "how": "written"}, end="")
            self.assertEqual(keys["k"].executions[0].end, float("inf"))  # half a line is not a line
            write()
            e = keys["k"].executions[0]
            self.assertEqual((e.status, e.digest, e.end, e.how), (201, "d", 1.2, "written"))
            self.assertEqual((e.begun, e.half), (201, 1.05))
            write({**begin, "n": "2", "key": "unknown"})
            self.assertEqual([s.number for s in reader.strays], ["2"])
            write({**begin, "n": "3"})
            reader.bank_died(7.0)
            self.assertEqual((keys["k"].executions[1].end, keys["k"].executions[1].how), (7.0, "killed"))


if __name__ == "__main__":
    unittest.main()
