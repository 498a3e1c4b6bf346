// SPDX-License-Identifier: MIT
/* Three patterns, one reader. In a pattern a letter stands for a field, anything else for itself (in any case of letters):
 *
 *   D day's name   d day, two digits   e day, blank and digit or two digits   M month's name
 *   Y four digits of the year   y two of them   h m s two digits each
 */
#include "domain/httpdate.h"

#include "domain/text.h"

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60 };
enum { CENTURY = 100, AHEAD_MAX = 50, YEAR_MAX = 9999, YEAR_DAYS_400 = 146097 };

static const char *const patterns[] = {"D, d M Y h:m:s GMT", "L, d-M-y h:m:s GMT", "D M e h:m:s Y"};
static const char *const weekdays[] = {"sunday",   "monday", "tuesday", "wednesday",
                                       "thursday", "friday", "saturday"};
static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};

struct parts {
    int year, month, day, hour, minute, second; /* month: 0..11 */
    bool short_year;
};

/* Takes the text off if it is there. */
static bool take(struct spop_slice *at, const char *lower, size_t len)
{
    if (at->len < len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text_lower(at->ptr[i]) != lower[i])
            return false;
    slice_skip(at, len);
    return true;
}

static bool take_number(struct spop_slice *at, unsigned digits, int *out)
{
    int v = 0;
    if (at->len < digits)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        if (at->ptr[i] < '0' || at->ptr[i] > '9')
            return false;
        v = v * 10 + (at->ptr[i] - '0');
    }
    slice_skip(at, digits);
    *out = v;
    return true;
}

static bool take_weekday(struct spop_slice *at, bool whole)
{
    for (size_t i = 0; i < sizeof weekdays / sizeof *weekdays; i++)
        if (take(at, weekdays[i], whole ? strlen(weekdays[i]) : 3))
            return true;
    return false;
}

static bool take_month(struct spop_slice *at, int *out)
{
    for (int i = 0; i < 12; i++)
        if (take(at, months[i], 3)) {
            *out = i;
            return true;
        }
    return false;
}

static bool take_field(struct spop_slice *at, char field, struct parts *p)
{
    switch (field) {
    case 'D': return take_weekday(at, false);
    case 'L': return take_weekday(at, true);
    case 'M': return take_month(at, &p->month);
    case 'd': return take_number(at, 2, &p->day);
    case 'e': return take(at, " ", 1) ? take_number(at, 1, &p->day) : take_number(at, 2, &p->day);
    case 'Y': return take_number(at, 4, &p->year);
    case 'y': p->short_year = true; return take_number(at, 2, &p->year);
    case 'h': return take_number(at, 2, &p->hour);
    case 'm': return take_number(at, 2, &p->minute);
    case 's': return take_number(at, 2, &p->second);
    default: return take(at, &field, 1);
    }
}

static bool matches(struct spop_slice text, const char *pattern, struct parts *p)
{
    *p = (struct parts){0};
    for (; *pattern && strcmp(pattern, "GMT") != 0; pattern++)
        if (!take_field(&text, *pattern, p))
            return false;
    return (!*pattern || take(&text, "gmt", 3)) && text.len == 0;
}

static bool leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 1 && leap(year));
}

/* Days from 1970-01-01 to the first of January. */
static int64_t year_begins(int64_t year)
{
    int64_t y = year - 1 + 400; /* so that the year 0 divides as the others */
    return y * 365 + y / 4 - y / 100 + y / 400 - YEAR_DAYS_400 - 719162;
}

static bool in_range(const struct parts *p)
{
    return p->day >= 1 && p->day <= month_days(p->year, p->month) && p->hour <= 23 && p->minute <= 59 &&
           p->second <= 60;
}

static int64_t epoch_of(const struct parts *p)
{
    int64_t days = year_begins(p->year) + p->day - 1;
    for (int m = 0; m < p->month; m++)
        days += month_days(p->year, m);
    int second = p->second < 60 ? p->second : 59, of_day = p->hour * HOUR_S + p->minute * MINUTE_S + second;
    return days * DAY_S + of_day;
}

/* Year and day of the year (from 0) of a day since 1970-01-01. */
static int year_of(int64_t days, int *day_of_year)
{
    int64_t year = 1970 + days * 400 / YEAR_DAYS_400;
    while (year_begins(year) > days)
        year--;
    while (year_begins(year + 1) <= days)
        year++;
    *day_of_year = (int)(days - year_begins(year));
    return (int)year;
}

static int64_t held(int64_t epoch_s)
{
    const int64_t first = year_begins(0) * DAY_S, last = year_begins(YEAR_MAX + 1) * DAY_S - 1;
    return epoch_s < first ? first : epoch_s > last ? last : epoch_s;
}

/* Rounded down, also before 1970. */
static int64_t day_of(int64_t epoch_s)
{
    return epoch_s >= 0 ? epoch_s / DAY_S : -((-epoch_s + DAY_S - 1) / DAY_S);
}

/* The last year that ends so, has four digits and is no more than AHEAD_MAX years ahead. */
static int whole_year(int two_digits, int64_t now_s)
{
    int ignored, now = year_of(day_of(held(now_s)), &ignored);
    int year = now - now % CENTURY + CENTURY + two_digits;
    while (year > now + AHEAD_MAX || year > YEAR_MAX)
        year -= CENTURY;
    return year < 0 ? two_digits : year;
}

bool httpdate_read(struct spop_slice text, int64_t now_s, int64_t *epoch_s)
{
    struct parts p;
    text = slice_trim(text, " \t");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (!matches(text, patterns[i], &p))
            continue;
        if (p.short_year)
            p.year = whole_year(p.year, now_s);
        if (!in_range(&p))
            return false;
        *epoch_s = epoch_of(&p);
        return true;
    }
    return false;
}

static void put_number(char *out, int v, unsigned digits)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + v % 10);
        v /= 10;
    }
}

/* A name of three letters, the first of them a capital. */
static void put_name(char *out, const char *name)
{
    out[0] = (char)(name[0] - 'a' + 'A');
    out[1] = name[1];
    out[2] = name[2];
}

void httpdate_write(int64_t epoch_s, char out[HTTPDATE_TEXT])
{
    epoch_s = held(epoch_s);
    int64_t days = day_of(epoch_s);
    int second = (int)(epoch_s - days * DAY_S), day, month = 0;
    int year = year_of(days, &day);
    for (; day >= month_days(year, month); month++)
        day -= month_days(year, month);
    memcpy(out, "Ddd, dd Mmm yyyy hh:mm:ss GMT", HTTPDATE_TEXT);
    /* 1970-01-01 was a Thursday; 110000 weeks before lies before the year 0. */
    put_name(out, weekdays[(days + 770000 + 4) % 7]);
    put_number(out + 5, day + 1, 2);
    put_name(out + 8, months[month]);
    put_number(out + 12, year, 4);
    put_number(out + 17, second / HOUR_S, 2);
    put_number(out + 20, second / MINUTE_S % 60, 2);
    put_number(out + 23, second % 60, 2);
}
