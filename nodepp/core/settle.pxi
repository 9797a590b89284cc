# core/settle.pxi — what a request has changed of its session takes effect
#   Owns:  encoding, writing back, merging with what others have written; the cookies
#   Uses:  limits, vault, ident, session, callbacks, state, headers, reply, store, visit, parting,
#          personal, entry, leave, declared
#   Never: Python under the lock
#   Holds: of two who change a session at once neither loses a key; of one key the later counts

cdef enum:
    SETTLE_TRY_MAX = 10000             # others who were quicker; each of them has got on

cdef object settle_pack                # host.session_pack, and its opposite
cdef object settle_unpack_function
cdef bint settle_packs                 # the function is the library's own by now
cdef bint settle_unpacks


cdef int settle_open(host) except -1:
    global settle_pack, settle_unpack_function, settle_packs, settle_unpacks
    global personal_class, personal_defaults, personal_spare
    settle_pack = getattr(host, "session_pack", None)
    settle_unpack_function = getattr(host, "session_unpack", None)
    settle_packs = settle_unpacks = False
    personal_class = getattr(host, "session_class", None) or Session
    if not issubclass(personal_class, Session):
        raise TypeError("a class of sessions is made by app.session_data")
    personal_defaults = getattr(personal_class, "__session_record__", None)
    personal_spare = None
    if personal_defaults is not None and visit_vault != NULL \
            and len(personal_defaults) > visit_vault.data_size:
        raise ValueError(f"the declared fields take {len(personal_defaults)} bytes, a session has "
                         f"{visit_vault.data_size}")
    return 0


cdef void settle_close() noexcept:
    global settle_pack, settle_unpack_function, personal_class, personal_defaults, personal_spare
    settle_pack = settle_unpack_function = personal_spare = None
    personal_class = Session
    personal_defaults = None


cdef dict settle_unpack(bytes data):
    """The dict that was encoded so; {} of nothing."""
    global settle_unpack_function, settle_unpacks
    if not data:
        return {}
    values = settle_unpack_function(data)
    if unlikely_(not settle_unpacks):
        # At its first use the host has imported the library; from now on that is called directly.
        settle_unpack_function = callback_host.session_unpack
        settle_unpacks = True
    if not isinstance(values, dict):
        raise ValueError("the data of this session are no dict: they were written by other means")
    return values


cdef bytes settle_encode(dict values):
    global settle_pack, settle_packs
    if not values:
        return b""
    try:
        data = settle_pack(values)
    except (TypeError, OverflowError, UnicodeError) as problem:
        raise TypeError(f"a session cannot hold this: {problem}") from None
    if unlikely_(not settle_packs):
        settle_pack = callback_host.session_pack
        settle_packs = True
    return data


cdef inline size_t settle_bound(str key, value) noexcept:
    """Bytes that a key with a small value takes at most; 0: it has to be encoded to know, or to
    find out that it cannot be."""
    cdef size_t size = PyUnicode_GET_LENGTH(key) + 14
    cdef int overflow = 0
    if not PyUnicode_IS_COMPACT_ASCII(key):
        return 0
    if PyLong_CheckExact(value):
        PyLong_AsLongLongAndOverflow(value, &overflow)
        return 0 if overflow else size
    if value is None or value is True or value is False or PyFloat_CheckExact(value):
        return size
    if PyUnicode_CheckExact(value) and PyUnicode_IS_COMPACT_ASCII(value):
        return size + PyUnicode_GET_LENGTH(value)
    return 0


cdef inline size_t settle_room(Session s) noexcept:
    """Bytes of data beside the name."""
    return session_room(visit_vault, <uint32_t>PyBytes_GET_SIZE(s.label))


cdef int settle_check_size(Session s, bytes data) except -1:
    cdef size_t size = PyBytes_GET_SIZE(data)
    if size > settle_room(s):
        raise SessionFull(f"the session would hold {size} bytes, {settle_room(s)} are possible "
                          f"(sessionDataSize){settle_largest(s)}")
    return 0


cdef str settle_largest(Session s):
    """Whose fault it is."""
    sizes = [(len(settle_pack({key: value})), key) for key, value in (s.held or {}).items()]
    if not sizes:
        return ""
    size, key = max(sizes)
    return f"; the largest is {key!r} with {size}"


cdef int settle_request(RequestState req) except -1:
    """Before the head is made: what was changed is written, cookies are said. Afterwards there is
    nothing left to do, should the answer be made a second time."""
    cdef Session s = req._session
    if s.live:
        settle_data(s)
        if s.entering or s.altered or s.rekeyed:
            settle_write(s, None)
        if not s.live:                 # ended by another meanwhile
            return 0
    if s.cookie_due or s.ended or s.forged:
        settle_say_cookies(req, s)
    return 0


cdef int settle_data(Session s) except -1:
    """Writes the data if they are others than they were."""
    cdef bytes data
    if personal_defaults is not None:
        if s.record_changed:
            settle_write(s, bytes(s.record))
        return 0
    if s.held is None or not (s.nested or s.cleared or s.changed_key is not None):
        return 0
    data = settle_encode(s.held)
    if data != s.base or s.cleared:
        settle_check_size(s, data)
        settle_write(s, data)
    s.changed_key = s.changed = None
    s.cleared = s.nested = False
    return 0


cdef int settle_write(Session s, bytes data) except -1:
    """Puts data (None: what was read) and meta in place. Whoever was quicker stays in it with the
    keys that this request has not changed."""
    cdef session_change_t change
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef int outcome, i
    if data is None:
        data = s.base if personal_defaults is None else bytes(s.record)
    for i in range(SETTLE_TRY_MAX):
        memcpy(id, entry_key(s), VAULT_ID_SIZE)
        settle_say(s, &change, id, data)
        outcome = session_change(visit_vault, s.slot, s.key, &s.version, &change,
                                 vault_now_s(visit_vault))
        if outcome == SESSION_DONE:
            settle_done(s, id, data)
            return 0
        if outcome == SESSION_AGAIN:   # once in 2^64 draws at most
            entry_rekey(s)
        if outcome == SESSION_GONE and settle_follow(s):
            outcome = SESSION_MOVED
        if outcome == SESSION_MOVED:
            merged = settle_merge(s)
            if merged is None:
                outcome = SESSION_GONE
            else:
                data = merged
        if outcome == SESSION_GONE and not s.entering:
            leave_behind(s)
            return 0
        if outcome == SESSION_GONE:
            entry_anew(s)              # who logs in has a session then
        settle_check_size(s, data)
    raise RuntimeError(f"a session was changed by others {SETTLE_TRY_MAX} times in a row")


cdef bint settle_follow(Session s) except -1:
    """Another request has given the session a new id, whose cookie is on its way: this one goes on
    with it, and need not renew it again. Not if who is logged in is another by now."""
    if not session_follow(visit_vault, s.slot, s.meta.serial, s.seen_uid, False, s.key):
        return False
    s.cookie_due = s.rekeyed = s.entering
    s.followed = True
    return True


cdef void settle_take_meta(Session s, const session_copy_t* meta, const uint8_t* name,
                           uint32_t version) noexcept:
    """Who it is, as the table has it now, but for what this request makes of that."""
    cdef uint8_t csrf[VAULT_CSRF_SIZE]
    s.version = version
    if s.entering:
        return
    memcpy(csrf, s.meta.csrf, VAULT_CSRF_SIZE)
    s.meta = meta[0]
    if s.altered:
        memcpy(s.meta.csrf, csrf, VAULT_CSRF_SIZE)
    s.label = PyBytes_FromStringAndSize(<const char*>name, meta.name_size)
    s.keep = version & VAULT_KEPT != 0


cdef int settle_say(Session s, session_change_t* change, const uint8_t* id,
                    bytes data) except -1:
    change.id = id
    change.uid = s.meta.uid
    change.login_s = s.meta.login_s
    change.level = s.meta.level
    change.kept = s.keep
    change.login = s.entering
    change.csrf = s.meta.csrf
    change.data = <const uint8_t*>PyBytes_AS_STRING(data)
    change.data_size = <uint32_t>PyBytes_GET_SIZE(data)
    change.name = <const uint8_t*>PyBytes_AS_STRING(s.label)
    change.name_size = <uint32_t>PyBytes_GET_SIZE(s.label)
    if change.data_size + change.name_size > visit_vault.data_size:
        raise SessionFull(f"{change.data_size} bytes of data and a name of {change.name_size}: "
                          f"{visit_vault.data_size} are possible (sessionDataSize)")
    return 0


cdef int settle_done(Session s, const uint8_t* id, bytes data) except -1:
    if s.rekeyed:
        memcpy(s.key, id, VAULT_ID_SIZE)
        s.cookie_due = True
    s.rekeyed = s.altered = s.entering = s.record_changed = False
    if personal_defaults is None:
        s.base = data
    memset(s.changed_fields, 0, sizeof(s.changed_fields))
    return 0


cdef bytes settle_merge(Session s):
    """What is to be written now that another has written: his, with the keys that this request has
    changed, and its meta if it has changed that. None: the session has gone."""
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version = session_read(visit_vault, s.slot, s.key, &meta, visit_scratch, name)
    cdef bytes base
    cdef dict latest
    if version == 0:
        return None
    settle_take_meta(s, &meta, name, version)
    if personal_defaults is not None:
        declared_merge(s, visit_scratch, meta.data_size)
        return bytes(s.record)
    base = visit_scratch[:meta.data_size]
    if s.held is None:
        s.base = base
        return base
    latest = {} if s.cleared else settle_unpack(base)
    for key in settle_changed(s):
        if key in s.held:
            latest[key] = s.held[key]
        else:
            latest.pop(key, None)
    s.held = latest
    s.base = base
    return settle_encode(latest)


cdef set settle_changed(Session s):
    """The keys that this request has set, deleted, or changed the inside of."""
    cdef dict before
    changed = s.changed
    if changed is None:
        changed = set() if s.changed_key is None else {s.changed_key}
    if s.nested:
        before = settle_unpack(s.base)
        for key, value in s.held.items():
            if isinstance(value, (dict, list)) and (key not in before or before[key] != value):
                changed.add(key)
    if changed:
        s.changed = changed
        s.changed_key = next(iter(changed))
    return changed


cdef int settle_discard(RequestState req) except -1:
    """The handler has failed: nothing of what it has changed takes effect."""
    cdef Session s = req._session
    if s.fresh and s.live:
        parting_end(s.slot, s.key, &visit_vault.shared.counts.ended)
        entry_blank(s)
    elif not s.ended:
        s.rekeyed = s.altered = s.entering = s.cookie_due = s.local = False
        s.loaded = False
        s.held = None
        s.changed_key = s.changed = None
        s.cleared = s.nested = s.record_changed = False
        memset(s.changed_fields, 0, sizeof(s.changed_fields))
    return 0


# Cookies.


cdef int settle_say_cookies(RequestState req, Session s) except -1:
    """The cookie of the session, if it is new or another. Taken back are those of a logout, the
    other kind at a login, and what was never ours. One of ours that leads nowhere stays: perhaps
    the answer that brings its successor is on its way, and that would be deleted."""
    cdef int mine = -1
    cdef int which
    if s.live:
        mine = VISIT_LOGIN if s.meta.uid else VISIT_ANONYMOUS
    for which in range(2):
        if which == mine and s.cookie_due:
            text = ident_text(visit_vault, s.key, s.slot)
            settle_set_cookie(req, which, text.decode("ascii"),
                              visit_vault.keep_s if s.keep else -1)
            req.keyed = True
        elif which != mine and s.shown >> which & 1 and (
                s.ended or s.forged or mine == VISIT_LOGIN and s.cookie_due):
            settle_set_cookie(req, which, "", 0)
    s.cookie_due = s.ended = s.forged = False
    s.shown = 0
    return 0


cdef list settle_take_back(const visit_t* visit):
    """Field lines that delete what was never ours, for who is refused before there is a Request: a
    browser that keeps it would be counted again for each picture."""
    cdef int which
    if not visit.forged or visit.slot >= 0:
        return []
    return [(b"set-cookie", headers_line("Set-Cookie", settle_cookie(which, "", 0, False)))
            for which in range(2) if visit.shown >> which & 1]


cdef str settle_cookie(int which, str value, int64_t max_age_s, bint secure):
    """The value of a Set-Cookie field of ours."""
    name = visit_name[which].text[:visit_name[which].size].decode("ascii")
    return headers_cookie(name, value, None if max_age_s < 0 else max_age_s, None, "/", None,
                          secure or visit_policy.secure, True, "Lax")


cdef int settle_set_cookie(RequestState req, int which, str value, int64_t max_age_s) except -1:
    cdef bytes mine = b"Set-Cookie: " + visit_name[which].text[:visit_name[which].size] + b"="
    if req.lines is not None:          # said before the page of an error began a session
        req.lines[:] = [entry for entry in req.lines if not entry[1].startswith(mine)]
    reply_add_line(req, "Set-Cookie", settle_cookie(which, value, max_age_s,
                                                    req.scheme == "https"))
    return 0
