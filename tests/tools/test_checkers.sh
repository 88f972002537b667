#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs check_layers, check_words and stats over small trees and compares every line they print.
#   test_checkers.sh FOLDER_OF_THE_TOOLS
set -uo pipefail
tools=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
failed=0

# expect NAME WANTED_STATUS COMMAND...: standard output must equal the file `want`
expect() {
  local name=$1 status=$2
  shift 2
  "$@" >got 2>/dev/null
  local got_status=$?
  if [ "$got_status" -ne "$status" ] || ! diff want got; then
    echo "FAILED: $name (status $got_status, want $status)"
    failed=1
  else
    echo "ok: $name"
  fi
}

mkdir -p docs src/{base,blob,db,store,hub,model/arch,strange}
cat >docs/architecture.md <<'END'
0 none/ is outside the section
## 1. The tree
```
0 base/     errors
1 codec/    bytes          1 db/  tables
2 blob/     bytes          2 store/  rows
3 model/    arch/
4 hub/      rules
```
9 none/ is outside the fence
END

# ---- layers: a tree that is right ----
cat >src/hub/hub.c <<'END'
#include <stdio.h>
#include <snug/snug.h>
#include "base/json.h"
#include "blob/blob.h"
#include "hub/hub_int.h"
  #  include "store/store.h"
/* #include "web/web.h"
#include "api/api.h" */
// #include "cli/cli.h"
END
echo '#include "model/model_int.h"' >src/model/arch/llama.c
printf 'snug_module(base LIBS libcrypto)\n' >src/base/CMakeLists.txt
printf 'snug_module(db DEPS base)\n' >src/db/CMakeLists.txt
printf 'snug_module(store DEPS db)\n' >src/store/CMakeLists.txt
printf 'snug_module(blob DEPS base)\n' >src/blob/CMakeLists.txt
printf '# a comment\nsnug_module(hub\n  DEPS store blob\n  LIBS db)\n' >src/hub/CMakeLists.txt
: >want
expect "layers: a right tree" 0 "$tools/tool_check_layers" docs/architecture.md src/*/*.c src/*/*/*.c src/*/CMakeLists.txt

# ---- layers: each rule broken ----
cat >src/blob/bad.c <<'END'
#include "store/store.h"
#include "hub/hub.h"
#include "base/json_int.h"
#include "db/sqlite.h"
#include "none.h"
#include "none/none.h"
#include <db/db.h>
END
echo 'int x;' >src/strange/x.c
cat >want <<'END'
src/blob/bad.c:1: blob (layer 2) must not include "store/store.h" (layer 2): move the code down, or have cli/ hand a function pointer to blob
src/blob/bad.c:2: blob (layer 2) must not include "hub/hub.h" (layer 4): move the code down, or have cli/ hand a function pointer to blob
src/blob/bad.c:3: "base/json_int.h" is private to base: include "base/base.h" and add there what is missing
src/blob/bad.c:4: "db/sqlite.h" is private to db: include "db/db.h" and add there what is missing
src/blob/bad.c:5: "none.h": write the path from src/, folder first; if the folder is new, give it a number in docs/architecture.md
src/blob/bad.c:6: "none/none.h": write the path from src/, folder first; if the folder is new, give it a number in docs/architecture.md
src/blob/bad.c:7: <db/db.h>: our own headers go in quotes
src/strange/x.c:1: folder strange has no number: put it into the tree of docs/architecture.md
END
expect "layers: rules broken" 1 "$tools/tool_check_layers" docs/architecture.md src/blob/bad.c src/strange/x.c

printf 'snug_module(blob DEPS base hub nothing blob)\n' >src/blob/CMakeLists.txt
printf '#include "db/db.h"\n' >src/blob/bad.c
cat >want <<'END'
src/blob/CMakeLists.txt:1: DEPS hub: blob (layer 2) may only stand on lower layers than its own, not on layer 4
src/blob/CMakeLists.txt:1: DEPS nothing: docs/architecture.md has no such folder
src/blob/CMakeLists.txt:1: DEPS blob: blob (layer 2) may only stand on lower layers than its own, not on layer 2
src/blob/bad.c:1: add db to DEPS in src/blob/CMakeLists.txt
END
expect "layers: DEPS" 1 "$tools/tool_check_layers" docs/architecture.md src/blob/CMakeLists.txt src/blob/bad.c
: >want
expect "layers: no tree" 2 "$tools/tool_check_layers" src/blob/bad.c src/blob/bad.c

# ---- words ----
# Spelled in two halves: this file is checked too.
todo=TO""DO fixme=FIX""ME xxx=X""XX
license='/* SPDX-License-Identifier: Apache-2.0 */'
cat >src/good.c <<END
$license
/* strcpy(a, b) in a comment, "${todo}S", ${xxx}X */
static const char *s = "system(1) // $todo";
int f(int n) { return my_atoi(n) + o->system(n) + v.gets(n) + snprintf(b, n, "%d", n); }
void *g(void) { return malloc(sizeof *s); }
void *h(size_t n) { return malloc(sizeof(char *) + n + *count); }
char c = '"', d = '\\'';
END
: >want
expect "words: nothing to say" 0 "$tools/tool_check_words" src/good.c docs/architecture.md

printf '%s\n' "$license" "/* $todo later */" 'int a = atoi (s); char *t = strtok(s, t);' \
  'void *p = malloc(n * sizeof *p), *q = realloc(q, n*2);' "/* $fixme $xxx */" >src/bad.c
{
  printf 'int tab;\t/* x */\n'
  printf 'int space; \n'
  printf '%s %s\n' "int" "$(printf 'x%.0s' {1..106});"
  printf 'int wide; /* %s */\n' "$(printf '\303\251%.0s' {1..94})"
  printf 'char *c = "%%s"; sprintf(c, "x"); system("ls")'
} >>src/bad.c
cat >want <<END
src/bad.c:6: a tab: indent with spaces
src/bad.c:7: white space at the end of the line
src/bad.c:8: 111 columns: break the line before column 110
src/bad.c:10: no new line at the end of the file
src/bad.c:10: sprintf is banned: use snprintf or snug_buf_printf
src/bad.c:3: strtok is banned: use snug_split
src/bad.c:3: atoi is banned: use snug_parse_i64
src/bad.c:10: system is banned: use a child started with an argument list
src/bad.c:4: malloc of a product can overflow: use snug_mul, calloc or snug_arena_array_try
src/bad.c:4: realloc of a product can overflow: use snug_mul, calloc or snug_arena_array_try
src/bad.c:2: $todo: do it, or write down why it is so
src/bad.c:5: $fixme: do it, or write down why it is so
src/bad.c:5: $xxx: do it, or write down why it is so
END
expect "words: each rule" 1 "$tools/tool_check_words" src/bad.c

printf 'echo hi\n' >a.sh
printf 'all:\n\techo # %s\n' "$todo" >Makefile
{ echo "$license"; seq 1500 | sed 's/.*/int x;/'; } >long.c
mkdir -p node_modules/x
printf 'x' >node_modules/x/y.txt
cat >want <<END
a.sh:1: begin with SPDX-License-Identifier: Apache-2.0 in a comment
Makefile:1: begin with SPDX-License-Identifier: Apache-2.0 in a comment
Makefile:2: $todo: do it, or write down why it is so
long.c:1501: 1501 lines: split files before 1500
node_modules/x/y.txt:1: other people's code: take it out of the repository and into .gitignore
END
expect "words: files" 1 "$tools/tool_check_words" a.sh Makefile long.c node_modules/x/y.txt

# ---- stats ----
cat >src/some.c <<'END'
#define MACRO(x) { \
    x
struct s { int a; };
static const int table[] = {1, 2, 3};
static int one(void) { return '{'; }
static int three(int (*f)(void))
{
    /* } */
    if (f()) { return 1; }
    return 0;
}
END
{
  printf 'static void longest(void)\n{\n'
  for _ in $(seq 80); do printf '    x();\n'; done
  printf '}\n'
} >>src/some.c
cat >want <<'END'
functions  3, median 3 lines, 95 % within 3, longest 80
           66.7 % under 15 lines (want 50): ok
           66.7 % under 75 lines (want 95): NO
     80  src/some.c:13 longest
files      1, 94 lines, median 94, longest 94
END
expect "stats" 0 "$tools/tool_stats" src/some.c

[ $failed -eq 0 ] && echo "checkers: clean"
exit $failed
