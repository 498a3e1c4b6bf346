// SPDX-License-Identifier: MIT
/* PROTOCOL's table of words as rows: a record in some state, one word, its reply, and what the record is then.
 * test_words.c says each of them about a record, test_slots.c about one that holds slots. */
#ifndef WORD_ROWS_H
#define WORD_ROWS_H

#include "domain/record.h"
#include "domain/script.h"

enum { HOLD = RECORD_HOLD, LAPSE = RECORD_LAPSE };

/* from: a state, '-' no record, 'f' FREE of another fence, 'o' RUNNING of another rid. keep: the record is as
 * it was, byte for byte. */
struct row {
    enum script_id word;
    char letter;
    unsigned status;
    char from, why;
    unsigned flags;
    char reply, to, to_why;
};

enum { keep = 'k' };

static const struct row word_rows[] = {
  /* word, letter, status        from, why, flags          reply, to, why */
    {SCRIPT_EXTEND,      0,   0,   'R', 0,   0,            'S', 'R',  0  },
    {SCRIPT_EXTEND,      0,   0,   'R', 0,   HOLD,         'S', 'R',  0  },
    {SCRIPT_EXTEND,      0,   0,   'A', 0,   0,            'S', 'A',  0  },
    {SCRIPT_EXTEND,      0,   0,   'H', 'l', HOLD | LAPSE, 'S', 'R',  0  },
    {SCRIPT_EXTEND,      0,   0,   'H', '0', HOLD,         'N', keep, 0  },
    {SCRIPT_EXTEND,      0,   0,   'F', 'c', 0,            'L', keep, 0  },
    {SCRIPT_EXTEND,      0,   0,   '-', 0,   0,            'S', 'R',  0  },
    {SCRIPT_EXTEND,      0,   0,   '-', 0,   HOLD,         'S', 'R',  0  },
    {SCRIPT_EXTEND,      0,   0,   'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_EXTEND,      0,   0,   'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_EXTEND,      0,   0,   'o', 0,   0,            'L', keep, 0  },
    {SCRIPT_EXTEND,      0,   0,   'f', 'c', 0,            'L', keep, 0  },

    {SCRIPT_ANSWERED,    0,   201, 'R', 0,   0,            'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, 'A', 0,   0,            'N', keep, 0  },
    {SCRIPT_ANSWERED,    0,   201, 'H', 'l', HOLD | LAPSE, 'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, 'H', '0', HOLD,         'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, 'F', 'c', 0,            'N', keep, 0  },
    {SCRIPT_ANSWERED,    0,   201, 'F', 'n', 0,            'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, 'F', '0', 0,            'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, 'F', 's', 0,            'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, '-', 0,   0,            'S', 'A',  0  },
    {SCRIPT_ANSWERED,    0,   201, 'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_ANSWERED,    0,   201, 'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_ANSWERED,    0,   201, 'o', 0,   0,            'L', keep, 0  },
    {SCRIPT_ANSWERED,    0,   201, 'f', 'c', 0,            'L', keep, 0  },

    {SCRIPT_COMPLETE,    0,   201, 'R', 0,   0,            'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'A', 0,   0,            'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'H', 'l', HOLD | LAPSE, 'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'H', '0', HOLD,         'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'F', 'c', 0,            'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'F', 'n', 0,            'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, '-', 0,   0,            'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_COMPLETE,    0,   201, 'T', 0,   0,            'S', 'D',  0  },
    {SCRIPT_COMPLETE,    0,   201, 'o', 0,   0,            'L', keep, 0  },
    {SCRIPT_COMPLETE,    0,   201, 'f', 'c', 0,            'L', keep, 0  },

    {SCRIPT_UNSTORABLE,  'F', 500, 'R', 0,   0,            'S', 'F',  's'},
    {SCRIPT_UNSTORABLE,  'F', 401, 'R', 0,   HOLD,         'S', 'F',  's'},
    {SCRIPT_UNSTORABLE,  'H', 503, 'R', 0,   HOLD,         'S', 'H',  's'},
    {SCRIPT_UNSTORABLE,  'H', 503, 'R', 0,   0,            'S', 'F',  's'},
    {SCRIPT_UNSTORABLE,  'F', 500, 'A', 0,   0,            'S', 'F',  's'},
    {SCRIPT_UNSTORABLE,  'H', 503, 'A', 0,   HOLD,         'S', 'H',  's'},
    {SCRIPT_UNSTORABLE,  'F', 500, 'H', 'l', HOLD | LAPSE, 'N', keep, 0  },
    {SCRIPT_UNSTORABLE,  'F', 500, 'F', 'c', 0,            'N', keep, 0  },
    {SCRIPT_UNSTORABLE,  'F', 500, '-', 0,   0,            'N', '-',  0  },
    {SCRIPT_UNSTORABLE,  'H', 503, '-', 0,   HOLD,         'N', '-',  0  },
    {SCRIPT_UNSTORABLE,  'F', 500, 'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_UNSTORABLE,  'F', 500, 'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_UNSTORABLE,  'F', 500, 'o', 0,   0,            'L', keep, 0  },
    {SCRIPT_UNSTORABLE,  'F', 500, 'f', 'c', 0,            'L', keep, 0  },

    {SCRIPT_RELEASE,     'c', 0,   'R', 0,   0,            'S', 'F',  'c'},
    {SCRIPT_RELEASE,     'c', 0,   'R', 0,   HOLD,         'N', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   'R', 0,   0,            'S', 'F',  'n'},
    {SCRIPT_RELEASE,     'n', 0,   'R', 0,   HOLD,         'S', 'F',  'n'},
    {SCRIPT_RELEASE,     'o', 0,   'R', 0,   HOLD,         'S', 'F',  'o'},
    {SCRIPT_RELEASE,     'c', 0,   'A', 0,   0,            'S', 'F',  'c'},
    {SCRIPT_RELEASE,     'c', 0,   'A', 0,   HOLD,         'N', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   'A', 0,   HOLD,         'S', 'F',  'n'},
    {SCRIPT_RELEASE,     'o', 0,   'A', 0,   0,            'N', keep, 0  },
    {SCRIPT_RELEASE,     'c', 0,   'H', 'l', HOLD | LAPSE, 'N', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   'H', 'l', HOLD | LAPSE, 'S', 'F',  'n'},
    {SCRIPT_RELEASE,     'o', 0,   'H', '0', HOLD,         'S', 'F',  'o'},
    {SCRIPT_RELEASE,     'n', 0,   'F', 'c', 0,            'N', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   '-', 0,   0,            'N', '-',  0  },
    {SCRIPT_RELEASE,     'o', 0,   'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   'o', 0,   0,            'L', keep, 0  },
    {SCRIPT_RELEASE,     'n', 0,   'f', 'c', 0,            'L', keep, 0  },

    {SCRIPT_RESOLVE,     'T', 0,   'R', 0,   0,            'S', 'F',  '0'},
    {SCRIPT_RESOLVE,     'T', 0,   'R', 0,   HOLD,         'S', 'H',  '0'},
    {SCRIPT_RESOLVE,     'T', 0,   'A', 0,   0,            'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'T', 0,   'A', 0,   HOLD,         'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'T', 0,   'H', 'l', HOLD | LAPSE, 'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 0,   'F', 's', 0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 0,   '-', 0,   HOLD,         'S', 'H',  '0'},
    {SCRIPT_RESOLVE,     'T', 0,   '-', 0,   0,            'N', '-',  0  },
    {SCRIPT_RESOLVE,     'T', 0,   'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 0,   'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 0,   'o', 0,   0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 0,   'f', 'c', 0,            'N', keep, 0  },

    {SCRIPT_RESOLVE,     'T', 201, 'R', 0,   0,            'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'F', 401, 'R', 0,   HOLD,         'S', 'F',  's'},
    {SCRIPT_RESOLVE,     'H', 503, 'R', 0,   HOLD,         'S', 'H',  's'},
    {SCRIPT_RESOLVE,     'H', 503, 'R', 0,   0,            'S', 'F',  's'},
    {SCRIPT_RESOLVE,     'T', 201, 'A', 0,   0,            'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'F', 500, 'A', 0,   0,            'S', 'F',  's'},
    {SCRIPT_RESOLVE,     'H', 503, 'A', 0,   HOLD,         'S', 'H',  's'},
    {SCRIPT_RESOLVE,     'T', 201, 'H', 'l', HOLD | LAPSE, 'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'F', 401, 'H', 'l', HOLD | LAPSE, 'S', 'F',  's'},
    {SCRIPT_RESOLVE,     'H', 503, 'H', 'l', HOLD | LAPSE, 'S', 'H',  's'},
    {SCRIPT_RESOLVE,     'T', 201, 'F', 'n', 0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 201, 'F', 'c', 0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 201, 'F', '0', 0,            'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'F', 503, 'F', 's', 0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'F', 503, 'F', '0', 0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 201, '-', 0,   0,            'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'T', 201, '-', 0,   HOLD,         'S', 'T',  0  },
    {SCRIPT_RESOLVE,     'T', 201, 'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 201, 'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 201, 'o', 0,   0,            'N', keep, 0  },
    {SCRIPT_RESOLVE,     'T', 201, 'f', 'c', 0,            'N', keep, 0  },

    {SCRIPT_RELEASE_RID, 0,   0,   'R', 0,   0,            'S', 'F',  'n'},
    {SCRIPT_RELEASE_RID, 0,   0,   'R', 0,   HOLD,         'S', 'F',  'n'},
    {SCRIPT_RELEASE_RID, 0,   0,   'A', 0,   0,            'N', keep, 0  },
    {SCRIPT_RELEASE_RID, 0,   0,   'H', 'l', HOLD | LAPSE, 'N', keep, 0  },
    {SCRIPT_RELEASE_RID, 0,   0,   'F', 'c', 0,            'N', keep, 0  },
    {SCRIPT_RELEASE_RID, 0,   0,   'D', 0,   0,            'N', keep, 0  },
    {SCRIPT_RELEASE_RID, 0,   0,   'T', 0,   0,            'N', keep, 0  },
    {SCRIPT_RELEASE_RID, 0,   0,   '-', 0,   0,            'N', '-',  0  },
    {SCRIPT_RELEASE_RID, 0,   0,   'o', 0,   0,            'N', keep, 0  },
};

#endif
