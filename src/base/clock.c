/* SPDX-License-Identifier: Apache-2.0 */
/* base/clock.c - time, and times and sizes as people and protocols write them; declared in sys.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/sys.h"

int64_t snug_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t snug_mono_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Broken-down UTC; years are kept within four digits so that the fixed-size forms always fit. */
static struct tm utc(int64_t ms, int *milli)
{
    const int64_t last = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    if (ms < 0) ms = 0;
    if (ms > last) ms = last;
    time_t    s = (time_t)(ms / 1000);
    struct tm tm;
    *milli = (int)(ms % 1000);
    SNUG_ASSERT(gmtime_r(&s, &tm) != NULL);
    return tm;
}

void snug_time_iso(int64_t ms, char out[25])
{
    int       milli;
    struct tm tm = utc(ms, &milli);
    char      text[96];
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, milli);
    memcpy(out, text, 25);
}

void snug_time_http(int64_t ms, char out[30])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int               milli;
    struct tm         tm = utc(ms, &milli);
    char              text[96];
    (void)snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec);
    memcpy(out, text, 30);
}

void snug_time_human(uint64_t ms, char out[32])
{
    unsigned long s = (unsigned long)(ms / 1000);
    if (ms < 1000) {
        (void)snprintf(out, 32, "%lu ms", (unsigned long)ms);
    } else if (s < 60) {
        (void)snprintf(out, 32, "%lu s", s);
    } else if (s < 3600) {
        (void)snprintf(out, 32, "%lu min %lu s", s / 60, s % 60);
    } else {
        (void)snprintf(out, 32, "%lu h %lu min", s / 3600, s / 60 % 60);
    }
}

void snug_size_human(uint64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double                   v = (double)bytes;
    size_t                   u = 0;
    while (v >= 999.95 && u + 1 < sizeof units / sizeof units[0]) {
        v /= 1000;
        u++;
    }
    (void)snprintf(out, 16, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}
