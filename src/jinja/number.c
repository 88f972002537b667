/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/number.c - integers and floats with Python's arithmetic.
 *
 * For:     eval.c, filters, methods.
 * Truth:   integers are exact from -2^63 to 2^64 - 1; beyond that an operation fails with a
 * sentence instead of growing as Python's would. Division floors, / gives a correctly rounded
 * float. Text is read and written without the locale. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "jinja/jinja_int.h"

bool jinja_is_num(jinja_val v)
{
    return v.kind == VAL_INT || v.kind == VAL_FLOAT || v.kind == VAL_BOOL;
}
bool jinja_is_int(jinja_val v) { return v.kind == VAL_INT || v.kind == VAL_BOOL; }

jinja_wide jinja_wide_of(jinja_val v)
{
    if (v.kind == VAL_BOOL) return v.u.b;
    return (v.flags & VAL_WIDE) != 0 ? (jinja_wide)v.u.u : (jinja_wide)v.u.i;
}

double jinja_double_of(jinja_val v)
{
    if (v.kind == VAL_FLOAT) return v.u.d;
    if (v.kind == VAL_BOOL) return v.u.b ? 1 : 0;
    return (v.flags & VAL_WIDE) != 0 ? (double)v.u.u : (double)v.u.i;
}

static snug_status too_large(jinja_run *r)
{
    return r == NULL ? SNUG_ELIMIT : jinja_limit(r, "an integer outgrows 64 bits");
}

snug_status jinja_int_of_wide(jinja_run *r, jinja_wide w, jinja_val *out)
{
    if (w > (jinja_wide)UINT64_MAX || w < (jinja_wide)INT64_MIN) return too_large(r);
    if (w > (jinja_wide)INT64_MAX)
        *out = (jinja_val){.kind = VAL_INT, .flags = VAL_WIDE, .u.u = (uint64_t)w};
    else
        *out = jinja_int((int64_t)w);
    return SNUG_OK;
}

/* An integer against a float, exactly: the float's whole part against it, then its fraction. */
static int cmp_int_float(jinja_wide i, double d)
{
    if (isnan(d)) return 2;
    if (d >= 1e20) return -1;
    if (d <= -1e20) return 1;
    double     whole = floor(d);
    jinja_wide w = (jinja_wide)whole;
    if (i != w) return i < w ? -1 : 1;
    return d > whole ? -1 : 0;
}

int jinja_cmp_num(jinja_val a, jinja_val b)
{
    if (a.kind != VAL_FLOAT && b.kind != VAL_FLOAT) {
        jinja_wide x = jinja_wide_of(a), y = jinja_wide_of(b);
        return (x > y) - (x < y);
    }
    if (a.kind == VAL_FLOAT && b.kind == VAL_FLOAT) {
        if (isnan(a.u.d) || isnan(b.u.d)) return 2;
        return (a.u.d > b.u.d) - (a.u.d < b.u.d);
    }
    if (b.kind == VAL_FLOAT) return cmp_int_float(jinja_wide_of(a), b.u.d);
    int c = cmp_int_float(jinja_wide_of(b), a.u.d);
    return c == 2 ? 2 : -c;
}

snug_status jinja_to_index(jinja_run *r, jinja_val v, int64_t *out)
{
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    if (!jinja_is_int(v))
        return jinja_raise(r, "'%s' object cannot be interpreted as an integer",
                           jinja_type_name(v));
    jinja_wide w = jinja_wide_of(v);
    *out = w > INT64_MAX ? INT64_MAX : (int64_t)w; /* Python clamps indexes the same way */
    return SNUG_OK;
}

/* ---- integers ---- */

static jinja_wide floor_div(jinja_wide a, jinja_wide b)
{
    jinja_wide q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/* a / b rounded once: a quotient of at least 63 bits whose last bit remembers any remainder. */
static double true_div(jinja_wide a, jinja_wide b)
{
    bool                                    minus = (a < 0) != (b < 0);
    __extension__ typedef unsigned __int128 wide;
    wide x = a < 0 ? (wide)-a : (wide)a, y = b < 0 ? (wide)-b : (wide)b, q;
    int  shift = 0;
    if (x == 0) return minus ? -0.0 * 1 : 0.0;
    while (x >> 126 == 0) {
        x <<= 1;
        shift++;
    }
    q = x / y;
    if (x % y != 0) q |= 1;
    double d = ldexp((double)q, -shift);
    return minus ? -d : d;
}

static snug_status int_pow(jinja_run *r, jinja_wide base, jinja_wide exp, jinja_val *out)
{
    jinja_wide result = 1;
    if (base == 0 || base == 1 || base == -1) { /* whatever the exponent */
        result = exp == 0 ? 1 : base == -1 ? (exp % 2 == 0 ? 1 : -1) : base;
        return jinja_int_of_wide(r, result, out);
    }
    if (exp > 64) return too_large(r);
    for (; exp > 0; exp--) {
        if (__builtin_mul_overflow(result, base, &result)) return too_large(r);
    }
    return jinja_int_of_wide(r, result, out);
}

static snug_status float_pow(jinja_run *r, double a, double b, jinja_val *out)
{
    if (a == 0 && b < 0) return jinja_raise(r, "zero cannot be raised to a negative power");
    if (isfinite(a) && a < 0 && isfinite(b) && floor(b) != b)
        return jinja_raise(r, "a negative number to a fractional power is complex");
    double d = pow(a, b);
    if (isinf(d) && isfinite(a) && isfinite(b)) return jinja_raise(r, "the float is too large");
    *out = jinja_float(d);
    return SNUG_OK;
}

static snug_status int_arith(jinja_run *r, jinja_op op, jinja_wide a, jinja_wide b, jinja_val *out)
{
    jinja_wide w = 0;
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        return jinja_raise(r, "division by zero");
    switch (op) {
    case OP_ADD: w = a + b; break; /* both fit 65 bits */
    case OP_SUB: w = a - b; break;
    case OP_MUL:
        if (__builtin_mul_overflow(a, b, &w)) return too_large(r);
        break;
    case OP_FLOORDIV: w = floor_div(a, b); break;
    case OP_MOD: w = a - floor_div(a, b) * b; break;
    case OP_POW:
        if (b < 0) {
            if (a == 0) return jinja_raise(r, "zero cannot be raised to a negative power");
            return float_pow(r, (double)a, (double)b, out);
        }
        return int_pow(r, a, b, out);
    default: *out = jinja_float(true_div(a, b)); return SNUG_OK;
    }
    return jinja_int_of_wide(r, w, out);
}

/* ---- floats ---- */

static double float_mod(double a, double b)
{
    double m = fmod(a, b);
    if (m != 0) return (b < 0) != (m < 0) ? m + b : m;
    return copysign(0.0, b);
}

static double float_floordiv(double a, double b)
{
    double m = fmod(a, b), d = (a - m) / b;
    if (m != 0 && (b < 0) != (m < 0)) d -= 1;
    if (d == 0) return copysign(0.0, a / b);
    double f = floor(d);
    return d - f > 0.5 ? f + 1 : f;
}

static snug_status float_arith(jinja_run *r, jinja_op op, double a, double b, jinja_val *out)
{
    double d;
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        return jinja_raise(r, "float division by zero");
    switch (op) {
    case OP_ADD: d = a + b; break;
    case OP_SUB: d = a - b; break;
    case OP_MUL: d = a * b; break;
    case OP_DIV: d = a / b; break;
    case OP_FLOORDIV: d = float_floordiv(a, b); break;
    case OP_MOD: d = float_mod(a, b); break;
    default: return float_pow(r, a, b, out);
    }
    *out = jinja_float(d);
    return SNUG_OK;
}

/* ---- any values ---- */

static snug_status unsupported(jinja_run *r, jinja_op op, jinja_val a, jinja_val b)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
    if (a.kind == VAL_UNDEFINED) return jinja_undef_fail(r, a);
    if (b.kind == VAL_UNDEFINED) return jinja_undef_fail(r, b);
    return jinja_raise(r, "unsupported operand type(s) for %s: '%s' and '%s'", names[op],
                       jinja_type_name(a), jinja_type_name(b));
}

static snug_status repeat_list(jinja_run *r, jinja_val v, int64_t times, jinja_val *out)
{
    size_t n;
    *out = jinja_seq((jinja_kind)v.kind, v.u.items, 0);
    if (times <= 0 || v.len == 0) return SNUG_OK;
    if (snug_mul(v.len, (size_t)times, &n) || n > r->memory_max / sizeof(jinja_val) ||
        n > UINT32_MAX)
        return jinja_limit(r, "a list times %" PRId64 " is beyond the limit", times);
    JINJA_TRY(jinja_step(r, n / 4));
    jinja_val *items = jinja_alloc(r, n * sizeof *items);
    if (items == NULL) return SNUG_ELIMIT;
    for (size_t at = 0; at < n; at += v.len) memcpy(items + at, v.u.items, v.len * sizeof *items);
    *out = jinja_seq((jinja_kind)v.kind, items, n);
    return SNUG_OK;
}

static snug_status multiply(jinja_run *r, jinja_val a, jinja_val b, jinja_val *out)
{
    int64_t times;
    if (jinja_is_int(a)) { /* 3 * "ab" */
        jinja_val t = a;
        a = b;
        b = t;
    }
    if (!jinja_is_int(b) || (a.kind != VAL_STR && a.kind != VAL_LIST && a.kind != VAL_TUPLE))
        return unsupported(r, OP_MUL, a, b);
    JINJA_TRY(jinja_to_index(r, b, &times));
    return a.kind == VAL_STR ? jinja_repeat(r, a, times, out) : repeat_list(r, a, times, out);
}

snug_status jinja_arith(jinja_run *r, jinja_op op, jinja_val a, jinja_val b, jinja_val *out)
{
    if (jinja_is_num(a) && jinja_is_num(b)) {
        if (a.kind != VAL_FLOAT && b.kind != VAL_FLOAT)
            return int_arith(r, op, jinja_wide_of(a), jinja_wide_of(b), out);
        return float_arith(r, op, jinja_double_of(a), jinja_double_of(b), out);
    }
    if (op == OP_MOD && a.kind == VAL_STR) return jinja_percent(r, a, b, out);
    if (op == OP_ADD && a.kind == b.kind) {
        if (a.kind == VAL_STR) return jinja_join(r, a, b, out);
        if (a.kind == VAL_LIST || a.kind == VAL_TUPLE) return jinja_list_join(r, a, b, out);
    }
    if (op == OP_MUL && a.kind != VAL_UNDEFINED && b.kind != VAL_UNDEFINED)
        return multiply(r, a, b, out);
    return unsupported(r, op, a, b);
}

snug_status jinja_negate(jinja_run *r, jinja_val v, bool minus, jinja_val *out)
{
    if (v.kind == VAL_FLOAT) {
        *out = jinja_float(minus ? -v.u.d : v.u.d);
        return SNUG_OK;
    }
    if (jinja_is_int(v))
        return jinja_int_of_wide(r, minus ? -jinja_wide_of(v) : jinja_wide_of(v), out);
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    return jinja_raise(r, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                       jinja_type_name(v));
}

/* ---- text ---- */

/* Runs a libc conversion in the "C" locale, which glibc keeps ready. */
static locale_t c_locale(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    SNUG_ASSERT(c != (locale_t)0);
    return c;
}

static double text_to_double(const char *s)
{
    locale_t c = c_locale();
    double   d = strtod_l(s, NULL, c);
    freelocale(c);
    return d;
}

void jinja_put_double(snug_buf *b, char conv, int precision, bool alt, double d)
{
    char     spec[8] = {'%', alt ? '#' : '.', alt ? '.' : '*', alt ? '*' : conv, alt ? conv : '\0',
                        '\0'};
    locale_t c = c_locale(), was = uselocale(c);
    char     room[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(room, sizeof room, spec, precision, d);
    if (n >= 0 && (size_t)n < sizeof room) {
        snug_buf_put(b, room, (size_t)n);
    } else if (n >= 0 && snug_buf_reserve(b, (size_t)n)) {
        (void)snprintf(b->ptr + b->len, (size_t)n + 1, spec, precision, d);
        b->len += (size_t)n;
    }
#pragma GCC diagnostic pop
    (void)uselocale(was);
    freelocale(c);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

static bool take_prefix(snug_slice *s, int *base)
{
    char x = s->len > 1 && s->ptr[0] == '0' ? (char)(s->ptr[1] | 0x20) : '\0';
    int  says = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 0;
    if (says == 0 || (*base != 0 && *base != says)) return false;
    *base = says;
    *s = snug_sub(*s, 2, SIZE_MAX);
    return true;
}

/* "_" may stand between digits; a prefix such as 0x where the base allows it. */
bool jinja_parse_int(snug_slice s, int base, jinja_wide *out)
{
    jinja_wide w = 0;
    bool       minus = false, digit = false, any = false, leading_zero;
    s = jinja_strip(s, NULL, true, true);
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) {
        minus = s.ptr[0] == '-';
        s = snug_sub(s, 1, SIZE_MAX);
    }
    bool prefixed = take_prefix(&s, &base);
    leading_zero = base == 0 && s.len > 0 && s.ptr[0] == '0';
    if (base == 0) base = 10;
    if (prefixed && s.len > 0 && s.ptr[0] == '_') s = snug_sub(s, 1, SIZE_MAX);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '_' && digit && i + 1 < s.len) {
            digit = false;
            continue;
        }
        int d = digit_of(s.ptr[i]);
        if (d >= base) return false;
        if (w < ((jinja_wide)1 << 100)) w = w * base + d; /* larger ones only have to stay large */
        digit = any = true;
    }
    if (!any || !digit || (leading_zero && w != 0)) return false;
    *out = minus ? -w : w;
    return true;
}

static bool word_float(snug_slice s, bool minus, double *out)
{
    if (snug_eq_nocase(s, SNUG_LIT("inf")) || snug_eq_nocase(s, SNUG_LIT("infinity")))
        *out = INFINITY;
    else if (snug_eq_nocase(s, SNUG_LIT("nan")))
        *out = NAN;
    else
        return false;
    if (minus) *out = -*out;
    return true;
}

/* Digits with single underscores inside, copied without them. */
static size_t copy_digits(snug_slice s, size_t *at, char *to, size_t n, bool *any)
{
    while (*at < s.len) {
        char c = s.ptr[*at];
        bool under = c == '_' && *any && *at + 1 < s.len && s.ptr[*at + 1] >= '0' &&
                     s.ptr[*at + 1] <= '9' && s.ptr[*at - 1] != '_';
        if (!under && (c < '0' || c > '9')) break;
        if (!under) {
            to[n++] = c;
            *any = true;
        }
        (*at)++;
    }
    return n;
}

bool jinja_parse_float(snug_slice s, double *out)
{
    char   room[800];
    size_t at = 0, n = 0;
    bool   minus = false, any = false, exp_any = false, whole, fraction = false;
    s = jinja_strip(s, NULL, true, true);
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+')) minus = s.ptr[at++] == '-';
    if (word_float(snug_sub(s, at, SIZE_MAX), minus, out)) return true;
    if (s.len == 0 || s.len >= sizeof room - 2) return false; /* no number needs that many digits */
    if (minus) room[n++] = '-';
    n = copy_digits(s, &at, room, n, &any);
    whole = any;
    if (at < s.len && s.ptr[at] == '.') {
        room[n++] = '.';
        at++;
        n = copy_digits(s, &at, room, n, &fraction);
    }
    if (!whole && !fraction) return false;
    if (at < s.len && (s.ptr[at] | 0x20) == 'e') {
        room[n++] = 'e';
        at++;
        if (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+')) room[n++] = s.ptr[at++];
        n = copy_digits(s, &at, room, n, &exp_any);
        if (!exp_any) return false;
    }
    if (at != s.len) return false;
    room[n] = '\0';
    *out = text_to_double(room);
    return true;
}

/* ---- round() ---- */

static snug_status round_int(jinja_run *r, jinja_wide w, int64_t digits, jinja_val *out)
{
    jinja_wide unit = 1, half, rest, down;
    if (digits >= 0) return jinja_int_of_wide(r, w, out);
    if (digits < -37) return jinja_int_of_wide(r, 0, out);
    for (int64_t i = digits; i < 0; i++) unit *= 10;
    down = floor_div(w, unit) * unit;
    rest = w - down;
    half = unit / 2;
    if (rest > half || (rest == half && floor_div(w, unit) % 2 != 0)) down += unit;
    return jinja_int_of_wide(r, down, out);
}

/* Rounds the exact decimal expansion, ties to even: what is printed with that many digits. */
static double round_float(double d, int64_t digits)
{
    char room[1600];
    if (!isfinite(d) || digits > 323 || d == 0) return d;
    if (digits < -308) return copysign(0.0, d);
    SNUG_AUTO(snug_buf) b = snug_buf_init(sizeof room);
    if (digits >= 0) {
        jinja_put_double(&b, 'f', (int)digits, false, d);
        return text_to_double(snug_buf_cstr(&b));
    }
    /* left of the point: the digits of the whole part decide, the fraction only breaks ties */
    double whole = trunc(d);
    jinja_put_double(&b, 'f', 0, false, fabs(whole));
    int64_t keep = (int64_t)b.len + digits;
    if (keep < 0) return copysign(0.0, d);
    char next = b.ptr[keep];
    bool rest = whole != d, up;
    for (size_t i = (size_t)keep + 1; i < b.len; i++) rest = rest || b.ptr[i] != '0';
    up = next > '5' || (next == '5' && (rest || (keep > 0 && (b.ptr[keep - 1] - '0') % 2 != 0)));
    (void)snprintf(room, sizeof room, "%.*s", (int)keep, snug_buf_cstr(&b));
    size_t n = (size_t)keep;
    for (size_t i = n; up && i > 0; i--) {
        up = room[i - 1] == '9';
        room[i - 1] = up ? '0' : (char)(room[i - 1] + 1);
    }
    SNUG_AUTO(snug_buf) text = snug_buf_init(sizeof room);
    snug_buf_printf(&text, "%s%s%.*se%d", d < 0 ? "-" : "", up ? "1" : "", (int)n, room,
                    (int)-digits);
    if (n == 0 && !up) return copysign(0.0, d);
    return text_to_double(snug_buf_cstr(&text));
}

snug_status jinja_round(jinja_run *r, jinja_val v, int64_t digits, jinja_val *out)
{
    if (jinja_is_int(v)) return round_int(r, jinja_wide_of(v), digits, out);
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(r, v);
    if (v.kind != VAL_FLOAT) return jinja_raise(r, "type %s has no rounding", jinja_type_name(v));
    double d = round_float(v.u.d, digits);
    if (isinf(d) && isfinite(v.u.d)) return jinja_raise(r, "rounded value too large to represent");
    *out = jinja_float(d);
    return SNUG_OK;
}
