# nodepp/_core.pyx — the compiled core: a table of contents
#
# Included parts, one translation unit: the C compiler inlines along the whole path of a request.
# What an include lacks, three conventions supply, which tests/test_tidy.py checks: the prefix of a
# name is its room, the header of a part lists what it uses, and that is included before it.

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, Py_XINCREF, PyObject
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strchr, strlen, strstr

from nodepp.core.posix cimport *
from nodepp.core.python cimport *

# floor 0: numbers and bytes
include "core/limits.pxi"
include "core/scan.pxi"
include "core/decimal.pxi"
include "core/escape.pxi"
include "core/clock.pxi"
include "core/calendar.pxi"
include "core/pulse.pxi"
include "core/plainlog.pxi"
include "core/lock.pxi"
include "core/sigbus.pxi"
include "core/trouble.pxi"

# floor 1: what is kept
include "core/fork.pxi"
include "core/memory.pxi"
include "core/state.pxi"
include "core/tables.pxi"
include "core/vault.pxi"

# floor 2: sockets, time, output
include "core/deadline.pxi"
include "core/poller.pxi"
include "core/transport.pxi"
include "core/file.pxi"
include "core/readahead.pxi"
include "core/inotify.pxi"
include "core/output.pxi"
include "core/format.pxi"
include "core/address.pxi"

# floor 3: HTTP
include "core/parser.pxi"
include "core/target.pxi"
include "core/field.pxi"
include "core/chunk.pxi"
include "core/multipart.pxi"
include "core/upload.pxi"
include "core/form.pxi"
include "core/body.pxi"
include "core/response.pxi"
include "core/negotiate.pxi"
include "core/precondition.pxi"
include "core/ranges.pxi"
include "core/statics.pxi"
include "core/snapshot.pxi"
include "core/listener.pxi"

# floor 3: visitors
include "core/ident.pxi"
include "core/index.pxi"
include "core/wheel.pxi"
include "core/session.pxi"
include "core/mend.pxi"
include "core/expiry.pxi"
include "core/guess.pxi"
include "core/rules.pxi"

# floor 4: a connection and its request
include "core/request.pxi"
include "core/cookie.pxi"
include "core/accesslog.pxi"
include "core/connection.pxi"
include "core/queue.pxi"
include "core/callbacks.pxi"
include "core/objects.pxi"
include "core/current.pxi"

# floor 5: what a handler reads and sets
include "core/route.pxi"
include "core/freeze.pxi"
include "core/visitor.pxi"
include "core/headers.pxi"
include "core/answer.pxi"
include "core/reply.pxi"
include "core/content.pxi"
include "core/locate.pxi"

# floor 5: the session of a request
include "core/audit.pxi"
include "core/policy.pxi"
include "core/store.pxi"
include "core/packing.pxi"
include "core/record.pxi"
include "core/loaded.pxi"
include "core/suspect.pxi"
include "core/visit.pxi"
include "core/parting.pxi"
include "core/roster.pxi"
include "core/entry.pxi"
include "core/alter.pxi"
include "core/merge.pxi"
include "core/leave.pxi"
include "core/settle.pxi"
include "core/tally.pxi"
include "core/declared.pxi"
include "core/personal.pxi"

# floor 5: a request and its answer
include "core/finish.pxi"
include "core/context.pxi"
include "core/pool.pxi"
include "core/asked.pxi"
include "core/compress.pxi"
include "core/later.pxi"
include "core/stream.pxi"
include "core/result.pxi"
include "core/failure.pxi"
include "core/admit.pxi"
include "core/fastcall.pxi"
include "core/telling.pxi"
include "core/deliver.pxi"
include "core/dispatch.pxi"
include "core/timer.pxi"
include "core/reader.pxi"
include "core/witness.pxi"

# floor 6: the whole
include "core/watchdog.pxi"
include "core/download.pxi"
include "core/loop.pxi"
include "core/wait.pxi"
include "core/house.pxi"
include "core/child.pxi"
include "core/engine.pxi"

# beside: doors for the tests
include "core/probe.pxi"
include "core/probe_form.pxi"
include "core/probe_session.pxi"
