# core/personal.pxi — a visitor's session as a handler sees it
#   Owns:  class Session: what it holds, read when first looked at; what shall become of it
#   Uses:  limits, vault, ident, session, callbacks, state, visit, suspect, parting, alter, entry,
#          settle, tally, declared
#   Never: writing it back
#   Holds: what a handler changes takes effect at the end of its request, whole or not at all; but
#          start, logout and add do at once

from _collections_abc import Mapping as personal_Mapping
from _collections_abc import MutableMapping as personal_MutableMapping

cdef enum:
    PERSONAL_FIELD_MAX = 256           # fields of a declared class
    PERSONAL_WORD_COUNT = 4            # words of a bit for each
    PERSONAL_TOKEN_SIZE = 32           # characters of a masked token

cdef Session personal_spare            # the pooled one
cdef object personal_class             # what an application has declared, or Session
cdef bytes personal_defaults           # a record as it begins; None: a dict, no record


cdef class Session:
    """A visitor's session: a dict of JSON-like values, or the fields that an application declared.

    Reading is always possible; without a session it is empty. The first thing written begins one,
    and `SessionFull` says what does not fit. Handlers get it from `req.session`, nobody makes one.
    """
    cdef PyObject* request             # borrowed, as long as that lives; NULL: over, or a copy
    cdef uint32_t slot
    cdef uint32_t version              # of what was read
    cdef uint8_t key[VAULT_ID_SIZE]    # its id in the table
    cdef uint8_t new_key[VAULT_ID_SIZE]    # the one that it shall get, if `rekeyed`
    cdef uint8_t shown                 # which cookies the request has, bits
    cdef bint forged                   # one of them was never made here
    cdef bint live                     # it is in the table
    cdef bint local                    # begun for a bot: it ends with the request
    cdef bint fresh                    # begun by this request
    cdef bint loaded                   # meta, name and data have been read
    cdef bint rekeyed                  # it shall get another id
    cdef bint entering                 # it is logged in: who it is shall be another
    cdef bint altered                  # its token shall be another
    cdef uint32_t began_s
    cdef uint32_t seen_s
    cdef bint cookie_due               # its cookie must be said (anew)
    cdef bint followed                 # to an id that another request has given it
    cdef bint ended                    # logged out by this request: its cookies must go
    cdef bint keep
    cdef session_copy_t meta
    cdef str shown_id                  # of one that is kept
    cdef int64_t seen_uid              # who was logged in when it was read
    cdef bytes label                   # the name of who is logged in, UTF-8
    # A dict
    cdef dict held                     # None: not decoded yet
    cdef bytes base                    # what it was decoded from
    cdef object changed_key            # the first key that was set or deleted; None: none was
    cdef set changed                   # all of them, if there are several; else None
    cdef size_t bound                  # bytes that the data have at most once they are encoded
    cdef bint cleared                  # whatever else there was is to go
    cdef bint nested                   # a list or dict in it has been handed out
    # Declared fields
    cdef bytearray record
    cdef uint64_t changed_fields[PERSONAL_WORD_COUNT]
    cdef bint record_changed

    cdef bint gives_way                # to a login, for which the table had no room

    # What it is

    @property
    def id(self) -> str:
        """The id as its cookie has it. Treat it as a password. "" without a session, and if another
        request has renewed it meanwhile: who knew the old one need not be him."""
        if self.shown_id is not None and self.request == NULL:
            return self.shown_id
        if not self.live or visit_vault == NULL or self.followed and not self.rekeyed:
            return ""
        return ident_text(visit_vault, entry_key(self), self.slot).decode("ascii")

    @property
    def exists(self) -> bool:
        """True for a visitor who has a session."""
        return self.live

    @property
    def is_new(self) -> bool:
        """True when this request has begun it."""
        return self.fresh

    @property
    def logged_in(self) -> bool:
        """True after login()."""
        personal_load(self)
        return self.meta.uid != 0

    @property
    def kept(self) -> bool:
        """True when the login lasts beyond the browser's life."""
        personal_load(self)
        return self.keep

    @property
    def evicted(self) -> bool:
        """In on_session_stop: True when the table was full, and another visitor's login has taken
        its place. The current request is that visitor's then."""
        return self.gives_way

    @property
    def level(self) -> int:
        """0 without a session, 1 of an anonymous one, else what login() was told."""
        personal_load(self)
        return self.meta.level

    @property
    def uid(self) -> int:
        """Who is logged in, 0: nobody."""
        personal_load(self)
        return self.meta.uid

    @property
    def name(self) -> str:
        """The name that login() was told, "" if none."""
        personal_load(self)
        return self.label.decode("utf-8", "replace")

    @property
    def started(self) -> int:
        """When it began, or was logged in: seconds since 1970; 0 without a session."""
        personal_load(self)
        return self.began_s

    @property
    def active(self) -> int:
        """When it was last used: seconds since 1970; 0 without a session."""
        personal_load(self)
        return self.seen_s

    @property
    def csrf_token(self) -> str:
        """The token for forms, 32 characters, masked anew each time it is read: what is compressed
        beside it must not tell it (BREACH). Begins a session if there is none."""
        cdef uint8_t both[2 * VAULT_CSRF_SIZE]
        cdef char text[PERSONAL_TOKEN_SIZE]
        cdef int i
        personal_need(self)
        ident_draw(both, VAULT_CSRF_SIZE)
        for i in range(VAULT_CSRF_SIZE):
            both[VAULT_CSRF_SIZE + i] = both[i] ^ self.meta.csrf[i]
        return text[:ident_encode(both, 2 * VAULT_CSRF_SIZE, text)].decode("ascii")

    def check_csrf(self, token) -> bool:
        """Is this the session's token? Without a session none is."""
        personal_load(self)
        return self.live and personal_check_csrf(self, token)

    def refresh_csrf(self) -> None:
        """Makes another token: forms that are open somewhere are refused."""
        personal_need(self)
        ident_draw(self.meta.csrf, VAULT_CSRF_SIZE)
        self.altered = True

    # What becomes of it

    def start(self) -> None:
        """Begins a session if there is none. SessionsExhausted (503): the table is full."""
        personal_need(self)

    def login(self, uid, level=10, name="", bint keep=False) -> None:
        """Notes who the visitor is: the session, begun if need be, gets another id and token.

        uid: not 0, 64 bits. level: 2 to 124, see AuthLevel. name: 60 bytes of UTF-8 are kept. keep:
        the login outlives the browser. Data stay, unless somebody else was logged in.
        """
        entry_login(self, uid, level, name, keep)

    def logout(self) -> None:
        """Ends the session at once, whatever it holds. What is written afterwards begins a new
        one."""
        entry_logout(self)

    def renew(self) -> None:
        """Gives the session another id, as is right when what it may do has changed."""
        personal_need(self)
        entry_rekey(self)

    def add(self, str name not None, amount=1):
        """Adds to a number, 0 if it was not there, and gives the sum: at once, and nothing is lost
        when several processes do it. TypeError: there is something else. SessionFull."""
        personal_need(self)
        return tally_add(self, name, amount)

    # A dict

    def __getitem__(self, key):
        value = personal_values(self)[key]
        self.nested = self.nested or isinstance(value, (dict, list))
        return value

    def get(self, key, default=None):
        """The value of a key, or `default`."""
        value = personal_values(self).get(key, default)
        self.nested = self.nested or isinstance(value, (dict, list))
        return value

    def __setitem__(self, key, value):
        alter_set(self, key, value)

    def __delitem__(self, key):
        values = personal_values(self)
        personal_check_writable(self)
        del values[key]
        alter_note(self, key)

    def __contains__(self, key):
        return key in personal_values(self)

    def __iter__(self):
        return iter(personal_values(self))

    def __len__(self):
        return len(personal_values(self))

    def __bool__(self):
        """True when it holds something; with declared fields, when it exists."""
        if self.record is not None or personal_defaults is not None:
            return self.live
        return len(personal_values(self)) > 0

    def __eq__(self, other):
        if self is other:
            return True
        if self.record is not None or personal_defaults is not None \
                or not isinstance(other, personal_Mapping):
            return NotImplemented
        return personal_values(self) == dict(other)

    def copy(self) -> dict:
        """What it holds, as a dict of its own."""
        self.nested = True
        return dict(personal_values(self))

    __hash__ = None

    def keys(self):
        """Its keys."""
        return personal_values(self).keys()

    def values(self):
        """Its values."""
        self.nested = True
        return personal_values(self).values()

    def items(self):
        """(key, value) of each."""
        self.nested = True
        return personal_values(self).items()

    def pop(self, key, *default):
        """Takes a key out and gives its value; `default`, or KeyError, without it."""
        values = personal_values(self)
        if key not in values:
            return {}.pop(key, *default)
        value = values[key]
        self.__delitem__(key)
        return value

    def popitem(self) -> tuple:
        """Takes out what was set last. KeyError: it is empty."""
        key = next(reversed(personal_values(self)), None)
        if key is None:
            raise KeyError("the session is empty")
        return key, self.pop(key)

    def setdefault(self, key, default=None):
        """The value of a key, which is set to `default` if it was not there."""
        if key not in personal_values(self):
            alter_set(self, key, default)
        return self[key]

    def update(self, *others, **more) -> None:
        """Sets several keys, as a dict does."""
        for key, value in dict(*others, **more).items():
            alter_set(self, key, value)

    def clear(self) -> None:
        """Forgets all data; the session itself, and who is logged in, stay."""
        alter_clear(self)

    def __repr__(self):
        kind = type(self).__name__
        if not self.live:
            return f"<{kind}, none>"
        data = "" if self.record is not None else f" {personal_values(self)!r}"
        return f"<{kind} level {self.level}{data}>"


personal_MutableMapping.register(Session)


cdef Session personal_make():
    """The pooled one, or a new one."""
    global personal_spare
    cdef Session session = personal_spare
    personal_spare = None
    if session is None:
        session = personal_class.__new__(personal_class)
    return session


cdef Session personal_open(RequestState req):
    """The session of a request, empty if it has none."""
    cdef visit_t visit
    cdef Session session
    if visit_vault == NULL:
        raise RuntimeError("there are no sessions: the engine was given no table of them")
    visit_of(req.connection, req.r, req.number, &visit)
    if unlikely_(parting_noted_count):
        parting_end_noted()
    if req._session is not None:       # a hook was told that one has ended, and has asked for it
        return req._session
    session = personal_make()
    session.request = <PyObject*>req
    session.shown = visit.shown
    session.forged = visit.forged
    if visit.slot >= 0:
        session.live = True
        session.slot = <uint32_t>visit.slot
        session.version = visit.version
        memcpy(session.key, visit.id, VAULT_ID_SIZE)
    if unlikely_(req.number == suspect_refused):
        personal_load(session)         # what the page of its 429 writes ends with it
        ident_draw(session.meta.csrf, VAULT_CSRF_SIZE)
        session.local = True
    req._session = session
    return session


cdef void personal_release(RequestState req) noexcept:
    """The request is over. A session that somebody keeps can still be read."""
    global personal_spare
    cdef Session session = req._session
    req._session = None
    if Py_REFCNT(session) > 1:
        personal_see(session)          # somebody keeps it: it may outlive the table
    session.request = NULL
    if Py_REFCNT(session) == 1 and personal_spare is None and type(session) is personal_class:
        personal_reset(session)
        personal_spare = session


cdef void personal_see(Session s) noexcept:
    """Reads all there is, as long as there is a table to read."""
    try:
        personal_load(s)
        s.shown_id = ""
        if s.live and not s.followed:
            s.shown_id = ident_text(visit_vault, s.key, s.slot).decode("ascii")
        if personal_defaults is None:
            personal_values(s)
    except BaseException as problem:
        callback_keep(problem)
        s.held = {}


cdef void personal_reset(Session s) noexcept:
    s.live = s.local = s.fresh = s.loaded = s.rekeyed = s.altered = s.cookie_due = False
    s.entering = s.followed = False
    s.ended = s.keep = s.cleared = s.nested = s.record_changed = False
    s.held = None
    s.base = s.label = s.shown_id = None
    s.changed_key = s.changed = None
    memset(s.changed_fields, 0, sizeof(s.changed_fields))


cdef int personal_load(Session s) except -1:
    """Reads what the table has; nothing is there when it has gone meanwhile."""
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version = 0
    if s.loaded:
        return 0
    s.loaded = True
    if s.live and visit_vault != NULL:
        version = session_read(visit_vault, s.slot, s.key, &s.meta, visit_scratch, name)
    if version == 0:
        s.live = False
        memset(&s.meta, 0, sizeof(s.meta))
    s.version = version
    s.seen_uid = s.meta.uid
    s.began_s = visit_vault.heads[s.slot].started_s if version else 0
    s.seen_s = visit_vault.heads[s.slot].active_s if version else 0
    s.keep = version & VAULT_KEPT != 0
    s.label = name[:s.meta.name_size]
    if personal_defaults is not None:
        declared_load(s, visit_scratch, s.meta.data_size)
    else:
        s.base = visit_scratch[:s.meta.data_size]
    return 0


cdef inline dict personal_values(Session s):
    """What it holds, decoded when it is first looked at."""
    if s.held is not None:
        return s.held
    if personal_defaults is not None or s.record is not None:
        raise TypeError(f"{type(s).__name__} has declared fields: they are attributes, not items")
    personal_load(s)
    s.held = settle_unpack(s.base)
    s.bound = PyBytes_GET_SIZE(s.base) + 4
    return s.held


cdef int personal_check_writable(Session s) except -1:
    if s.request == NULL:
        raise RuntimeError("this session is read-only: its request is over")
    if (<RequestState>s.request).streaming:
        raise RuntimeError("the head of this answer has been sent: a session is changed before "
                           "the first piece is yielded")
    return 0


cdef int personal_need(Session s) except -1:
    """It is to be changed: begins one if there is none."""
    personal_check_writable(s)
    personal_load(s)
    if not s.live and not s.local:
        entry_begin(s, False)
        if not s.live and not s.local:
            raise RuntimeError("on_session_start has ended the session that it was told of")
    return 0


cdef bint personal_check_csrf(Session s, token) except -1:
    """A masked token, or a plain one as a script may keep it."""
    cdef uint8_t both[2 * VAULT_CSRF_SIZE]
    cdef Py_ssize_t size
    cdef int i
    if not isinstance(token, str):
        return False
    text = token.encode("ascii", "replace")
    size = len(text)
    if size != 16 and size != 32:
        return False
    if not ident_decode(<const uint8_t*>PyBytes_AS_STRING(text), size, both):
        return False
    if size == 32:
        for i in range(VAULT_CSRF_SIZE):
            both[i] ^= both[VAULT_CSRF_SIZE + i]
    return ident_same_text(both, s.meta.csrf, VAULT_CSRF_SIZE)
