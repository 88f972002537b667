# SPDX-License-Identifier: Apache-2.0
"""GDB pretty printers for Snug's slices, buffers, errors and parsed JSON.

    (gdb) source tools/gdb/snug_printers.py
    (gdb) print name          "my-model" (8 bytes)
    (gdb) print config        {"vocab_size": 32000, "tags": [3 items]}

The node layout is that of src/base/json_int.h."""

import gdb
import gdb.printing

TEXT_MAX = 200      # bytes of a string that are shown
ITEMS_MAX = 16      # members of a container that are shown
DEPTH_MAX = 3       # containers inside containers that are opened

ABSENT, NULL, BOOL, INT, REAL, STRING, ARRAY, OBJECT = range(8)
NODE_UINT = 0x20


def text_of(pointer, size):
    """The bytes as a quoted literal, cut when they are many."""
    if size == 0:
        return '""'
    shown = min(size, TEXT_MAX)
    data = gdb.selected_inferior().read_memory(int(pointer), shown).tobytes()
    quoted = '"' + "".join(
        c if c.isprintable() and c not in '"\\' else c.encode("unicode_escape").decode() if c not in '"\\' else "\\" + c
        for c in data.decode("utf-8", "replace")) + '"'
    return quoted + ("..." if size > shown else "")


class Slice:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        size = int(self.value["len"])
        if int(self.value["ptr"]) == 0:
            return "empty" if size == 0 else "NULL with %d bytes" % size
        return "%s (%d bytes)" % (text_of(self.value["ptr"], size), size)


class Buf:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        size = int(self.value["len"])
        text = "%s (%d of at most %d bytes)" % (text_of(self.value["ptr"], size), size, int(self.value["max"]))
        return text + (" FULL" if self.value["full"] else "")


class Err:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        status = str(self.value["status"])
        if status == "SNUG_OK":
            return status
        cause = self.value["cause"].string()
        return "%s: %s%s" % (status, self.value["msg"].string(), " [%s]" % cause if cause else "")


def node_text(node, depth=0):
    """A parsed value as one line of JSON."""
    head = int(node["head"])
    kind, size, v = head & 0x0F, head >> 8, node["v"]
    if kind == NULL:
        return "null"
    if kind == BOOL:
        return "true" if int(v["u"]) else "false"
    if kind == INT:
        return str(int(v["u"]) if head & NODE_UINT else int(v["i"]))
    if kind == REAL:
        return repr(float(v["d"]))
    if kind == STRING:
        return text_of(v["s"], size)
    if kind not in (ARRAY, OBJECT):
        return "no JSON node (type %d)" % kind
    opening, closing = ("[", "]") if kind == ARRAY else ("{", "}")
    if depth == DEPTH_MAX and size > 0:
        return "%s%d items%s" % (opening, size, closing)
    kids, shown = v["kids"], []
    for i in range(min(size, ITEMS_MAX)):
        if kind == ARRAY:
            shown.append(node_text(kids[i], depth + 1))
        else:
            shown.append("%s: %s" % (node_text(kids[2 * i]), node_text(kids[2 * i + 1], depth + 1)))
    if size > ITEMS_MAX:
        shown.append("... %d more" % (size - ITEMS_MAX))
    return opening + ", ".join(shown) + closing


class Json:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        if int(self.value["node"]) == 0:
            return "absent"
        node = self.value["node"].dereference()
        if node.type.strip_typedefs().fields():
            return node_text(node)
        return "a JSON value at %#x (a debug build shows it)" % int(self.value["node"])


class Node:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return node_text(self.value)


def register():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("snug")
    for name, printer in (("snug_slice", Slice), ("snug_buf", Buf), ("snug_err", Err), ("snug_json", Json),
                          ("snug_json_node", Node)):
        printers.add_printer(name, "^%s$" % name, printer)
    gdb.printing.register_pretty_printer(gdb.current_objfile(), printers, replace=True)


register()
