/* SPDX-License-Identifier: Apache-2.0 */
/* jinja/format.c - "%s" % x and "{}".format(x).
 *
 * For:     the operator %, the filter format, the methods format and format_map.
 * Truth:   both end in one layout: text or digits with a sign, a prefix, grouping, a fill and a
 *          width. Widths and precisions are limited before anything is written. */
#include <math.h>

#include "jinja/jinja_int.h"

enum { WIDTH_MAX = 1000000, PRECISION_MAX = 10000 };

typedef struct layout {
    char    fill[4];
    size_t  fill_len;
    char    align; /* < > ^ = or 0 for the kind's own */
    char    sign;  /* + or space or 0 */
    char    group; /* , or _ or 0 */
    char    type;  /* 0: none given */
    bool    alt;
    int64_t width, precision; /* precision -1: none */
} layout;

/* ---- laying out ---- */

static void put_fill(snug_buf *b, const layout *l, int64_t n)
{
    for (; n > 0 && !b->full; n--) snug_buf_put(b, l->fill, l->fill_len);
}

/* prefix (sign, 0x) and body in `width` columns; `=` puts the fill between them. */
static void put_padded(snug_buf *b, const layout *l, snug_slice prefix, snug_slice body, char align)
{
    int64_t n = (int64_t)(jinja_utf8_count(prefix) + jinja_utf8_count(body)),
            gap = l->width > n ? l->width - n : 0;
    if (l->align != 0) align = l->align;
    int64_t left = align == '<' || align == '=' ? 0 : align == '^' ? gap / 2 : gap;
    put_fill(b, l, left);
    snug_buf_put_slice(b, prefix);
    if (align == '=') put_fill(b, l, gap);
    snug_buf_put_slice(b, body);
    if (align != '=') put_fill(b, l, gap - left);
}

static size_t grouped_len(size_t digits, size_t each)
{
    return digits + (digits == 0 ? 0 : (digits - 1) / each);
}

/* Digits with separators, and with zeros in front when zeros are the fill. */
static void put_grouped(snug_buf *b, const layout *l, snug_slice digits, size_t each, size_t room)
{
    size_t n = digits.len;
    bool   zeros = l->fill_len == 1 && l->fill[0] == '0' && l->align == '=';
    while (zeros && grouped_len(n, each) < room) n++;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % each == 0) snug_buf_putc(b, l->group);
        snug_buf_putc(b, i < n - digits.len ? '0' : digits.ptr[i - (n - digits.len)]);
    }
}

/* A number: sign or base prefix, whole digits, the rest (".5", "e+10", "%"). */
static void put_number(snug_buf *b, const layout *l, snug_slice prefix, snug_slice whole,
                       snug_slice rest)
{
    SNUG_AUTO(snug_buf) body = snug_buf_init(SIZE_MAX >> 2);
    size_t each = l->type == 'x' || l->type == 'X' || l->type == 'o' || l->type == 'b' ? 4 : 3;
    size_t taken = prefix.len + rest.len,
           room = (size_t)l->width > taken ? (size_t)l->width - taken : 0;
    if (l->group != 0)
        put_grouped(&body, l, whole, each, room);
    else
        snug_buf_put_slice(&body, whole);
    snug_buf_put_slice(&body, rest);
    put_padded(b, l, prefix, snug_buf_slice(&body), '>');
}

static size_t sign_of(char to[4], const layout *l, bool minus)
{
    if (!minus && l->sign == 0) return 0;
    to[0] = minus ? '-' : l->sign;
    return 1;
}

/* ---- integers ---- */

static snug_slice digits_of(jinja_wide w, unsigned base, bool upper, char room[130])
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t      at = 130;
    if (w < 0) w = -w;
    do {
        room[--at] = digits[(unsigned)(w % base)];
        w /= base;
    } while (w > 0);
    return (snug_slice){room + at, 130 - at};
}

static void put_int(snug_buf *b, layout l, jinja_wide w, bool percent)
{
    char       room[130], prefix[4] = "";
    char       t = (char)(l.type | 0x20);
    unsigned   base = t == 'x' ? 16 : t == 'o' ? 8 : t == 'b' ? 2 : 10;
    snug_slice digits = digits_of(w, base, l.type == 'X', room);
    size_t     n = sign_of(prefix, &l, w < 0);
    if (l.alt && base != 10) {
        prefix[n++] = '0';
        prefix[n++] = l.type;
    }
    SNUG_AUTO(snug_buf) wide = snug_buf_init(SIZE_MAX >> 2);
    if (percent && l.precision > (int64_t)digits.len) { /* %.5d */
        for (int64_t i = (int64_t)digits.len; i < l.precision; i++) snug_buf_putc(&wide, '0');
        snug_buf_put_slice(&wide, digits);
        digits = snug_buf_slice(&wide);
    }
    put_number(b, &l, (snug_slice){prefix, n}, digits, SNUG_LIT(""));
}

/* ---- floats ---- */

static void put_float(snug_buf *b, const layout *l, double d)
{
    SNUG_AUTO(snug_buf) text = snug_buf_init(SIZE_MAX >> 2);
    char   prefix[4] = "";
    size_t n = sign_of(prefix, l, signbit(d) && !isnan(d));
    char   type = l->type == '%' ? 'f' : l->type == 'n' ? 'g' : l->type;
    double size = l->type == '%' ? fabs(d) * 100 : fabs(d);
    if (!isfinite(d))
        snug_buf_puts(&text, type == 'F' || type == 'E' || type == 'G' ? (isnan(d) ? "NAN" : "INF")
                             : isnan(d)                                ? "nan"
                                                                       : "inf");
    else if (type == 0 && l->precision < 0)
        jinja_put_float(&text, size);
    else if (type == 0) {
        jinja_put_double(&text, 'g', l->precision == 0 ? 1 : (int)l->precision, l->alt, size);
        snug_slice s = snug_buf_slice(&text);
        if (snug_index(s, '.') == SIZE_MAX && snug_index(s, 'e') == SIZE_MAX)
            snug_buf_puts(&text, ".0");
    } else
        jinja_put_double(&text, type, l->precision < 0 ? 6 : (int)l->precision, l->alt, size);
    if (l->type == '%') snug_buf_putc(&text, '%');
    snug_slice s = snug_buf_slice(&text);
    size_t     whole = 0;
    while (whole < s.len && s.ptr[whole] >= '0' && s.ptr[whole] <= '9') whole++;
    put_number(b, l, (snug_slice){prefix, n}, snug_sub(s, 0, whole), snug_sub(s, whole, SIZE_MAX));
}

static void put_text(snug_buf *b, const layout *l, jinja_val text)
{
    if (l->precision >= 0) text = jinja_sub(text, 0, jinja_offset(text, (size_t)l->precision));
    put_padded(b, l, SNUG_LIT(""), jinja_text(text), '<');
}

static snug_status put_char(jinja_run *r, snug_buf *b, const layout *l, jinja_wide w, char align)
{
    char room[4];
    if (w < 0 || w > 0x10ffff || (w >= 0xd800 && w < 0xe000))
        return jinja_raise(r, "%%c arg not in range(0x110000)");
    put_padded(b, l, SNUG_LIT(""), (snug_slice){room, snug_utf8_put((uint32_t)w, room)}, align);
    return SNUG_OK;
}

/* ascii(): what is not ASCII in the repr becomes an escape. */
static snug_status to_ascii(jinja_run *r, jinja_val v, jinja_val *out)
{
    snug_buf b = jinja_buf(r);
    JINJA_TRY(jinja_to_repr(r, v, &v));
    for (size_t at = 0; at < v.len;) {
        uint32_t cp = jinja_utf8_at(jinja_text(v), &at);
        if (cp < 0x80)
            snug_buf_putc(&b, (char)cp);
        else if (cp < 0x100)
            snug_buf_printf(&b, "\\x%02" PRIx32, cp);
        else if (cp < 0x10000)
            snug_buf_printf(&b, "\\u%04" PRIx32, cp);
        else
            snug_buf_printf(&b, "\\U%08" PRIx32, cp);
    }
    return jinja_str_take(r, &b, out);
}

/* ---- % ---- */

typedef struct percent {
    jinja_run *r;
    snug_slice fmt;
    size_t     at;
    jinja_val  values;
    uint32_t   used; /* of a tuple */
    bool       single, taken, mapping, markup;
    snug_buf   out;
} percent;

static snug_status next_value(percent *p, jinja_val *out)
{
    bool more = p->single ? !p->taken : p->used < p->values.len;
    if (!more) return jinja_raise(p->r, "not enough arguments for format string");
    *out = p->single ? p->values : p->values.u.items[p->used++];
    p->taken = true;
    return SNUG_OK;
}

static char peek(const percent *p) { return p->at < p->fmt.len ? p->fmt.ptr[p->at] : '\0'; }

/* "*" or digits */
static snug_status take_size(percent *p, int64_t max, int64_t *out)
{
    jinja_val v;
    if (peek(p) == '*') {
        p->at++;
        JINJA_TRY(next_value(p, &v));
        if (!jinja_is_int(v)) return jinja_raise(p->r, "* wants int");
        JINJA_TRY(jinja_to_index(p->r, v, out));
    } else {
        for (*out = 0; peek(p) >= '0' && peek(p) <= '9' && *out <= max; p->at++)
            *out = *out * 10 + (peek(p) - '0');
    }
    if (*out > max || *out < -max)
        return jinja_limit(p->r, "a width or precision beyond %" PRId64, max);
    return SNUG_OK;
}

/* %(name) */
static snug_status take_key(percent *p, jinja_val *out, bool *given)
{
    size_t from = p->at + 1, depth = 1;
    *given = peek(p) == '(';
    if (!*given) return SNUG_OK;
    if (p->values.kind != VAL_DICT) return jinja_raise(p->r, "format requires a mapping");
    for (p->at++; p->at < p->fmt.len; p->at++) {
        if (peek(p) == '(') depth++;
        if (peek(p) == ')' && --depth == 0) break;
    }
    if (p->at == p->fmt.len) return jinja_raise(p->r, "incomplete format key");
    const jinja_val *v;
    JINJA_TRY(jinja_dict_find(p->r, p->values.u.dict, snug_sub(p->fmt, from, p->at - from), &v));
    if (v == NULL) return jinja_raise(p->r, "the mapping has no key for the format");
    p->at++;
    p->taken = true;
    *out = *v;
    return SNUG_OK;
}

static snug_status take_flags(percent *p, layout *l)
{
    bool zero = false;
    for (; peek(p) != '\0' && strchr("-+ #0", peek(p)) != NULL; p->at++) {
        switch (peek(p)) {
        case '-': l->align = '<'; break;
        case '+': l->sign = '+'; break;
        case ' ':
            if (l->sign == 0) l->sign = ' ';
            break;
        case '#': l->alt = true; break;
        default: zero = true; break;
        }
    }
    JINJA_TRY(take_size(p, WIDTH_MAX, &l->width));
    if (l->width < 0) {
        l->align = '<';
        l->width = -l->width;
    }
    if (zero && l->align == 0) {
        l->align = '=';
        l->fill[0] = '0';
    }
    if (peek(p) != '.') return SNUG_OK;
    p->at++;
    JINJA_TRY(take_size(p, PRECISION_MAX, &l->precision));
    if (l->precision < 0) l->precision = 0;
    return SNUG_OK;
}

static snug_status percent_text(percent *p, layout *l, jinja_val v)
{
    if (l->type == 'a')
        JINJA_TRY(to_ascii(p->r, v, &v));
    else if (l->type == 'r')
        JINJA_TRY(jinja_to_repr(p->r, v, &v));
    else
        JINJA_TRY(jinja_to_str(p->r, v, &v));
    if (p->markup) JINJA_TRY(jinja_escape(p->r, v, &v));
    if (l->align == '=') { /* zeros are for numbers only */
        l->align = 0;
        l->fill[0] = ' ';
    }
    if (l->align == 0) l->align = '>';
    put_text(&p->out, l, v);
    return SNUG_OK;
}

static snug_status percent_int(percent *p, layout *l, jinja_val v)
{
    jinja_val w = v;
    if (v.kind == VAL_FLOAT && l->type == 'd') {
        if (!isfinite(v.u.d) || fabs(v.u.d) >= 3e19)
            return jinja_raise(p->r, "cannot convert this float to an integer");
        JINJA_TRY(jinja_int_of_wide(p->r, (jinja_wide)v.u.d, &w));
    }
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(p->r, v);
    if (!jinja_is_int(w))
        return jinja_raise(p->r, "%%%c format: a number is required, not %s", l->type,
                           jinja_type_name(v));
    put_int(&p->out, *l, jinja_wide_of(w), true);
    return SNUG_OK;
}

static snug_status percent_one(percent *p)
{
    layout    l = {.fill = " ", .fill_len = 1, .precision = -1};
    jinja_val v = {0};
    bool      keyed;
    JINJA_TRY(take_key(p, &v, &keyed));
    JINJA_TRY(take_flags(p, &l));
    while (peek(p) == 'h' || peek(p) == 'l' || peek(p) == 'L') p->at++;
    l.type = peek(p);
    if (p->at == p->fmt.len) return jinja_raise(p->r, "incomplete format");
    p->at++;
    if (l.type == '%') {
        snug_buf_putc(&p->out, '%');
        return SNUG_OK;
    }
    if (strchr("srascdiuoxXeEfFgG", l.type) == NULL)
        return jinja_raise(p->r, "unsupported format character (0x%x)",
                           (unsigned)(unsigned char)l.type);
    if (!keyed) JINJA_TRY(next_value(p, &v));
    if (l.type == 'i' || l.type == 'u') l.type = 'd';
    if (l.type == 's' || l.type == 'r' || l.type == 'a') return percent_text(p, &l, v);
    if (l.type == 'c') {
        if (l.align == 0) l.align = '>';
        if (v.kind == VAL_STR && jinja_chars(v) == 1) {
            l.precision = -1;
            l.fill[0] = ' ';
            put_padded(&p->out, &l, SNUG_LIT(""), jinja_text(v), '>');
            return SNUG_OK;
        }
        if (!jinja_is_int(v)) return jinja_raise(p->r, "%%c requires int or char");
        return put_char(p->r, &p->out, &l, jinja_wide_of(v), '>');
    }
    if (l.type == 'd' || l.type == 'o' || l.type == 'x' || l.type == 'X')
        return percent_int(p, &l, v);
    if (v.kind == VAL_UNDEFINED) return jinja_undef_fail(p->r, v);
    if (!jinja_is_num(v))
        return jinja_raise(p->r, "must be real number, not %s", jinja_type_name(v));
    if (!isfinite(jinja_double_of(v)) && l.align == '=') l.fill[0] = '0';
    put_float(&p->out, &l, jinja_double_of(v));
    return SNUG_OK;
}

static snug_status percent_all(percent *p)
{
    while (p->at < p->fmt.len && !p->out.full) {
        size_t hit = snug_index(snug_sub(p->fmt, p->at, SIZE_MAX), '%');
        if (hit == SIZE_MAX) hit = p->fmt.len - p->at;
        snug_buf_put(&p->out, p->fmt.ptr + p->at, hit);
        p->at += hit;
        if (p->at == p->fmt.len) break;
        p->at++;
        JINJA_TRY(percent_one(p));
        JINJA_TRY(jinja_step(p->r, 1 + p->out.len / 4096));
    }
    bool left = p->single ? !p->taken && !p->mapping : p->used < p->values.len;
    return left ? jinja_raise(p->r, "not all arguments converted during string formatting")
                : SNUG_OK;
}

snug_status jinja_percent(jinja_run *r, jinja_val fmt, jinja_val values, jinja_val *out)
{
    percent     p = {.r = r,
                     .fmt = jinja_text(fmt),
                     .values = values,
                     .single = values.kind != VAL_TUPLE,
                     .mapping = values.kind == VAL_DICT || values.kind == VAL_LIST ||
                                values.kind == VAL_RANGE || values.kind == VAL_UNDEFINED,
                     .markup = jinja_is_safe(fmt),
                     .out = jinja_buf(r)};
    snug_status st = percent_all(&p);
    if (st == SNUG_OK)
        st = jinja_str_take(r, &p.out, out);
    else
        snug_buf_deinit(&p.out);
    if (st == SNUG_OK && p.markup) out->flags |= VAL_SAFE;
    return st;
}

/* ---- {} ---- */

/* [[fill]align][sign][#][0][width][, or _][.precision][type] */
static snug_status parse_spec(jinja_run *r, snug_slice s, layout *l)
{
    size_t at = 0, next = 0;
    *l = (layout){.fill = " ", .fill_len = 1, .precision = -1};
    if (s.len > 0) (void)jinja_utf8_at(s, &next);
    if (next < s.len && s.len > 0 && strchr("<>^=", s.ptr[next]) != NULL && s.ptr[next] != '\0') {
        memcpy(l->fill, s.ptr, next);
        l->fill_len = next;
        l->align = s.ptr[next];
        at = next + 1;
    } else if (s.len > 0 && s.ptr[0] != '\0' && strchr("<>^=", s.ptr[0]) != NULL) {
        l->align = s.ptr[at++];
    }
    if (at < s.len && (s.ptr[at] == '+' || s.ptr[at] == '-' || s.ptr[at] == ' ')) {
        if (s.ptr[at] != '-') l->sign = s.ptr[at];
        at++;
    }
    if (at < s.len && s.ptr[at] == '#') {
        l->alt = true;
        at++;
    }
    if (at < s.len && s.ptr[at] == '0') {
        if (l->align == 0) {
            l->align = '=';
            l->fill[0] = '0';
            l->fill_len = 1;
        }
        at++;
    }
    for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9' && l->width <= WIDTH_MAX; at++)
        l->width = l->width * 10 + (s.ptr[at] - '0');
    if (at < s.len && (s.ptr[at] == ',' || s.ptr[at] == '_')) l->group = s.ptr[at++];
    if (at < s.len && s.ptr[at] == '.') {
        if (++at >= s.len || s.ptr[at] < '0' || s.ptr[at] > '9')
            return jinja_raise(r, "Format specifier missing precision");
        for (l->precision = 0;
             at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9' && l->precision <= PRECISION_MAX;
             at++)
            l->precision = l->precision * 10 + (s.ptr[at] - '0');
    }
    if (l->width > WIDTH_MAX || l->precision > PRECISION_MAX)
        return jinja_limit(r, "a width or precision in a format is too large");
    if (at < s.len) l->type = s.ptr[at++];
    if (at < s.len) return jinja_raise(r, "Invalid format specifier");
    return SNUG_OK;
}

static snug_status bad_code(jinja_run *r, char type, jinja_val v)
{
    return jinja_raise(r, "Unknown format code '%c' for object of type '%s'", type,
                       jinja_type_name(v));
}

static snug_status spec_int(jinja_run *r, snug_buf *b, layout *l, jinja_val v)
{
    if (l->type == 0 || l->type == 'n') l->type = 'd';
    if (strchr("eEfFgG%", l->type) != NULL) {
        put_float(b, l, jinja_double_of(v));
        return SNUG_OK;
    }
    if (strchr("bcdoxX", l->type) == NULL) return bad_code(r, l->type, v);
    if (l->precision >= 0)
        return jinja_raise(r, "Precision not allowed in integer format specifier");
    if (l->type == 'c') {
        if (l->sign != 0)
            return jinja_raise(r, "Sign not allowed with integer format specifier 'c'");
        if (l->alt || l->group != 0) return jinja_raise(r, "Cannot specify '#' or ',' with 'c'.");
        return put_char(r, b, l, jinja_wide_of(v), '>');
    }
    if (l->group == ',' && l->type != 'd')
        return jinja_raise(r, "Cannot specify ',' with '%c'.", l->type);
    put_int(b, *l, jinja_wide_of(v), false);
    return SNUG_OK;
}

static snug_status spec_str(jinja_run *r, snug_buf *b, layout *l, jinja_val v)
{
    if (l->type != 0 && l->type != 's') return bad_code(r, l->type, v);
    if (l->sign != 0) return jinja_raise(r, "Sign not allowed in string format specifier");
    if (l->alt) return jinja_raise(r, "Alternate form (#) not allowed in string format specifier");
    if (l->group != 0) return jinja_raise(r, "Cannot specify '%c' with 's'.", l->group);
    if (l->align == '=' && l->fill[0] != '0')
        return jinja_raise(r, "'=' alignment not allowed in string format specifier");
    if (l->align == '=') l->align = '<';
    put_text(b, l, v);
    return SNUG_OK;
}

/* format(v, spec) */
static snug_status put_value(jinja_run *r, snug_buf *b, jinja_val v, snug_slice spec, bool markup)
{
    layout l;
    if (spec.len == 0) {
        if (markup) JINJA_TRY(jinja_escape(r, v, &v));
        return jinja_put_str(r, b, v);
    }
    JINJA_TRY(parse_spec(r, spec, &l));
    if (markup && v.kind == VAL_STR) JINJA_TRY(jinja_escape(r, v, &v));
    if (v.kind == VAL_STR) return spec_str(r, b, &l, v);
    if (jinja_is_int(v)) return spec_int(r, b, &l, v);
    if (v.kind == VAL_FLOAT) {
        if (l.type != 0 && strchr("eEfFgGn%", l.type) == NULL) return bad_code(r, l.type, v);
        put_float(b, &l, v.u.d);
        return SNUG_OK;
    }
    return jinja_raise(r, "unsupported format string passed to %s.__format__", jinja_type_name(v));
}

typedef struct braces {
    jinja_run        *r;
    const jinja_args *args;
    int64_t           next; /* automatic numbers; -1: names were numbered by hand */
    bool              markup;
} braces;

static snug_status first_value(braces *f, snug_slice name, jinja_val *out)
{
    uint64_t n;
    if (name.len == 0) {
        if (f->next < 0)
            return jinja_raise(
                f->r, "cannot switch from manual field specification to automatic field numbering");
        n = (uint64_t)f->next++;
    } else if (snug_parse_u64(name, &n)) {
        if (f->next > 0)
            return jinja_raise(
                f->r, "cannot switch from manual field specification to automatic field numbering");
        f->next = -1;
    } else {
        for (size_t i = 0; i < f->args->kw_count; i++) {
            if (!snug_eq(f->args->kw[i].name, name)) continue;
            *out = f->args->kw[i].value;
            return SNUG_OK;
        }
        return jinja_raise(f->r, "format() was given no '%.*s'", name.len > 60 ? 60 : (int)name.len,
                           name.ptr);
    }
    if (n >= f->args->pos_count)
        return jinja_raise(
            f->r, "Replacement index %" PRIu64 " out of range for positional args tuple", n);
    *out = f->args->pos[n];
    return SNUG_OK;
}

/* name.attr[item]... */
static snug_status field_value(braces *f, snug_slice field, jinja_val *out)
{
    size_t at = 0;
    while (at < field.len && field.ptr[at] != '.' && field.ptr[at] != '[') at++;
    JINJA_TRY(first_value(f, snug_sub(field, 0, at), out));
    while (at < field.len) {
        size_t from = ++at;
        if (field.ptr[at - 1] == '.') {
            while (at < field.len && field.ptr[at] != '.' && field.ptr[at] != '[') at++;
            if (at == from) return jinja_raise(f->r, "Empty attribute in format string");
            JINJA_TRY(jinja_get_attr_named(f->r, *out, snug_sub(field, from, at - from), out));
            continue;
        }
        while (at < field.len && field.ptr[at] != ']') at++;
        if (at == field.len || at == from) return jinja_raise(f->r, "Missing ']' in format string");
        snug_slice key = snug_sub(field, from, at - from);
        uint64_t   n;
        jinja_val  k = jinja_str(key);
        if (snug_parse_u64(key, &n) && n <= INT64_MAX) k = jinja_int((int64_t)n);
        JINJA_TRY(jinja_get_item(f->r, *out, k, out));
        at++;
        if (at < field.len && field.ptr[at] != '.' && field.ptr[at] != '[')
            return jinja_raise(f->r, "Only '.' or '[' may follow ']' in format field specifier");
    }
    return SNUG_OK;
}

static snug_status put_braces(braces *f, snug_buf *b, snug_slice s, unsigned depth);

/* The inside of a pair of braces: field!conversion:spec */
static snug_status put_field(braces *f, snug_buf *b, snug_slice inside, unsigned depth)
{
    jinja_val v;
    size_t    at = 0, brackets = 0;
    while (at < inside.len && (brackets > 0 || (inside.ptr[at] != '!' && inside.ptr[at] != ':'))) {
        if (inside.ptr[at] == '[') brackets = 1;
        if (inside.ptr[at] == ']') brackets = 0;
        at++;
    }
    JINJA_TRY(field_value(f, snug_sub(inside, 0, at), &v));
    if (at < inside.len && inside.ptr[at] == '!') {
        char how = at + 1 < inside.len ? inside.ptr[at + 1] : '\0';
        if (how == 'r')
            JINJA_TRY(jinja_to_repr(f->r, v, &v));
        else if (how == 's')
            JINJA_TRY(jinja_to_str(f->r, v, &v));
        else if (how == 'a')
            JINJA_TRY(to_ascii(f->r, v, &v));
        else
            return jinja_raise(f->r, "Unknown conversion specifier in format string");
        at += 2;
        if (at < inside.len && inside.ptr[at] != ':')
            return jinja_raise(f->r, "expected ':' after conversion specifier");
    }
    snug_slice spec = snug_sub(inside, at + 1, SIZE_MAX);
    if (snug_index(spec, '{') == SIZE_MAX) return put_value(f->r, b, v, spec, f->markup);
    if (depth >= 2) return jinja_raise(f->r, "Max string recursion exceeded");
    SNUG_AUTO(snug_buf) inner = snug_buf_init(4096);
    JINJA_TRY(put_braces(f, &inner, spec, depth + 1));
    JINJA_TRY(snug_buf_check(&inner, "a format", f->r->err));
    return put_value(f->r, b, v, snug_buf_slice(&inner), f->markup);
}

/* The "}" that closes the "{" before `from`. */
static size_t find_close(snug_slice s, size_t from)
{
    size_t depth = 1;
    bool   bracket = false;
    for (size_t i = from; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '[' && depth == 1) bracket = true;
        if (c == ']') bracket = false;
        if (bracket) continue;
        if (c == '{') depth++;
        if (c == '}' && --depth == 0) return i;
    }
    return SIZE_MAX;
}

static snug_status put_braces(braces *f, snug_buf *b, snug_slice s, unsigned depth)
{
    for (size_t at = 0; at < s.len && !b->full;) {
        char c = s.ptr[at];
        if (c != '{' && c != '}') {
            snug_buf_putc(b, c);
            at++;
            continue;
        }
        if (at + 1 < s.len && s.ptr[at + 1] == c) {
            snug_buf_putc(b, c);
            at += 2;
            continue;
        }
        if (c == '}') return jinja_raise(f->r, "Single '}' encountered in format string");
        size_t end = find_close(s, at + 1);
        if (end == SIZE_MAX) return jinja_raise(f->r, "expected '}' before end of string");
        JINJA_TRY(jinja_step(f->r, 1 + (end - at) / 16));
        JINJA_TRY(put_field(f, b, snug_sub(s, at + 1, end - at - 1), depth));
        at = end + 1;
    }
    return SNUG_OK;
}

snug_status jinja_format(jinja_run *r, jinja_val fmt, const jinja_args *args, jinja_val *out)
{
    braces   f = {.r = r, .args = args, .markup = jinja_is_safe(fmt)};
    snug_buf b = jinja_buf(r);
    JINJA_TRY(jinja_step(r, fmt.len / 32));
    snug_status st = put_braces(&f, &b, jinja_text(fmt), 1);
    if (st == SNUG_OK)
        st = jinja_str_take(r, &b, out);
    else
        snug_buf_deinit(&b);
    if (st == SNUG_OK && f.markup) out->flags |= VAL_SAFE;
    return st;
}
