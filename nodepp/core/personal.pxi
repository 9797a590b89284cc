# core/personal.pxi — a visitor's session as a handler sees it
#   Prefix: personal
#   Owns:  class Session; which class the application has declared
#   Uses:  limits, vault, ident, objects, policy, packing, loaded, suspect, visit, parting, entry,
#          alter, tally
#   Never: writing it back
#   Holds: what a handler changes takes effect at the end of its request, whole or not at all; but
#          start, logout and add do at once

from _collections_abc import Mapping as personal_Mapping
from _collections_abc import MutableMapping as personal_MutableMapping

cdef enum:
    PERSONAL_TOKEN_SIZE = 32           # characters of a masked token


cdef class Session(SessionState):
    """A visitor's session: a dict of JSON-like values, or the fields that an application declared.

    Reading is always possible; without a session it is empty. The first thing written begins one,
    and `SessionFull` says what does not fit. Handlers get it from `req.session`, nobody makes one.
    """

    # What it is

    @property
    def id(self) -> str:
        """The id as its cookie has it. Treat it as a password. "" without a session, and if another
        request has renewed it meanwhile: who knew the old one need not be him."""
        if self.shown_id is not None and self.request == NULL:
            return self.shown_id
        if not self.live or policy_vault == NULL or self.followed and not self.rekeyed:
            return ""
        return ident_text(policy_vault, loaded_key(self), self.slot).decode("ascii")

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
        loaded_read(self)
        return self.meta.uid != 0

    @property
    def kept(self) -> bool:
        """True when the login lasts beyond the browser's life."""
        loaded_read(self)
        return self.keep

    @property
    def evicted(self) -> bool:
        """In on_session_stop: True when the table was full, and another visitor's login has taken
        its place. The current request is that visitor's then."""
        return self.gives_way

    @property
    def level(self) -> int:
        """0 without a session, 1 of an anonymous one, else what login() was told."""
        loaded_read(self)
        return self.meta.level

    @property
    def uid(self) -> int:
        """Who is logged in, 0: nobody."""
        loaded_read(self)
        return self.meta.uid

    @property
    def name(self) -> str:
        """The name that login() was told, "" if none."""
        loaded_read(self)
        return self.label.decode("utf-8", "replace")

    @property
    def started(self) -> int:
        """When it began, or was logged in: seconds since 1970; 0 without a session."""
        loaded_read(self)
        return self.began_s

    @property
    def active(self) -> int:
        """When it was last used: seconds since 1970; 0 without a session."""
        loaded_read(self)
        return self.seen_s

    @property
    def csrf_token(self) -> str:
        """The token for forms, 32 characters, masked anew each time it is read: what is compressed
        beside it must not tell it (BREACH). Begins a session if there is none."""
        cdef uint8_t both[2 * VAULT_CSRF_SIZE]
        cdef char text[PERSONAL_TOKEN_SIZE]
        cdef int i
        entry_need(self)
        ident_draw(both, VAULT_CSRF_SIZE)
        for i in range(VAULT_CSRF_SIZE):
            both[VAULT_CSRF_SIZE + i] = both[i] ^ self.meta.csrf[i]
        return text[:ident_encode(both, 2 * VAULT_CSRF_SIZE, text)].decode("ascii")

    def check_csrf(self, token) -> bool:
        """Is this the session's token? Without a session none is."""
        loaded_read(self)
        return self.live and personal_check_csrf(self, token)

    def refresh_csrf(self) -> None:
        """Makes another token: forms that are open somewhere are refused."""
        entry_need(self)
        ident_draw(self.meta.csrf, VAULT_CSRF_SIZE)
        self.altered = True

    # What becomes of it

    def start(self) -> None:
        """Begins a session if there is none. SessionsExhausted (503): the table is full."""
        entry_need(self)

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
        entry_need(self)
        loaded_rekey(self)

    def add(self, str name not None, amount=1):
        """Adds to a number, 0 if it was not there, and gives the sum: at once, and nothing is lost
        when several processes do it. TypeError: there is something else. SessionFull."""
        entry_need(self)
        return tally_add(self, name, amount)

    # A dict

    def __getitem__(self, key):
        value = loaded_values(self)[key]
        self.nested = self.nested or isinstance(value, (dict, list))
        return value

    def get(self, key, default=None):
        """The value of a key, or `default`."""
        value = loaded_values(self).get(key, default)
        self.nested = self.nested or isinstance(value, (dict, list))
        return value

    def __setitem__(self, key, value):
        alter_set(self, key, value)

    def __delitem__(self, key):
        values = loaded_values(self)
        loaded_check_writable(self)
        del values[key]
        alter_note(self, key)

    def __contains__(self, key):
        return key in loaded_values(self)

    def __iter__(self):
        return iter(loaded_values(self))

    def __len__(self):
        return len(loaded_values(self))

    def __bool__(self):
        """True when it holds something; with declared fields, when it exists."""
        if self.record is not None or policy_defaults is not None:
            return self.live
        return len(loaded_values(self)) > 0

    def __eq__(self, other):
        if self is other:
            return True
        if self.record is not None or policy_defaults is not None \
                or not isinstance(other, personal_Mapping):
            return NotImplemented
        return loaded_values(self) == dict(other)

    def copy(self) -> dict:
        """What it holds, as a dict of its own."""
        self.nested = True
        return dict(loaded_values(self))

    __hash__ = None

    def keys(self):
        """Its keys."""
        return loaded_values(self).keys()

    def values(self):
        """Its values."""
        self.nested = True
        return loaded_values(self).values()

    def items(self):
        """(key, value) of each."""
        self.nested = True
        return loaded_values(self).items()

    def pop(self, key, *default):
        """Takes a key out and gives its value; `default`, or KeyError, without it."""
        values = loaded_values(self)
        if key not in values:
            return {}.pop(key, *default)
        value = values[key]
        self.__delitem__(key)
        return value

    def popitem(self) -> tuple:
        """Takes out what was set last. KeyError: it is empty."""
        key = next(reversed(loaded_values(self)), None)
        if key is None:
            raise KeyError("the session is empty")
        return key, self.pop(key)

    def setdefault(self, key, default=None):
        """The value of a key, which is set to `default` if it was not there."""
        if key not in loaded_values(self):
            alter_set(self, key, default)
        return self[key]

    def update(self, *others, **more) -> None:
        """Sets several keys, as a dict does."""
        for key, value in dict(*others, **more).items():
            alter_set(self, key, value)

    def clear(self) -> None:
        """Forgets all data; the session itself, and who is logged in, stay."""
        loaded_clear(self)

    def __repr__(self):
        kind = type(self).__name__
        if not self.live:
            return f"<{kind}, none>"
        data = "" if self.record is not None else f" {loaded_values(self)!r}"
        return f"<{kind} level {self.level}{data}>"


personal_MutableMapping.register(Session)


cdef int personal_open_room(host) except -1:
    """What the application has declared, or a dict."""
    global policy_class, policy_defaults, loaded_spare
    packing_open(host)
    policy_class = getattr(host, "session_class", None) or Session
    if not issubclass(policy_class, Session):
        raise TypeError("a class of sessions is made by app.session_data")
    policy_defaults = getattr(policy_class, "__session_record__", None)
    loaded_spare = None
    if policy_defaults is not None and policy_vault != NULL \
            and len(policy_defaults) > policy_vault.data_size:
        raise ValueError(f"the declared fields take {len(policy_defaults)} bytes, a session has "
                         f"{policy_vault.data_size}")
    return 0


cdef void personal_close_room() noexcept:
    global policy_class, policy_defaults, loaded_spare
    packing_close()
    loaded_spare = None
    policy_class = Session
    policy_defaults = None


cdef SessionState personal_open(RequestState req):
    """The session of a request, empty if it has none."""
    cdef visit_t visit
    cdef SessionState session
    if policy_vault == NULL:
        raise RuntimeError("there are no sessions: the engine was given no table of them")
    visit_of(req.connection, req.r, req.number, &visit)
    if unlikely_(visit_over_count):
        parting_end_noted()
    if req._session is not None:       # a hook was told that one has ended, and has asked for it
        return req._session
    session = loaded_make()
    session.request = <PyObject*>req
    session.shown = visit.shown
    session.forged = visit.forged
    if visit.slot >= 0:
        session.live = True
        session.slot = <uint32_t>visit.slot
        session.version = visit.version
        memcpy(session.key, visit.id, VAULT_ID_SIZE)
    if unlikely_(req.number == suspect_refused):
        loaded_read(session)         # what the page of its 429 writes ends with it
        ident_draw(session.meta.csrf, VAULT_CSRF_SIZE)
        session.local = True
    req._session = session
    return session


cdef bint personal_check_csrf(SessionState s, token) except -1:
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
