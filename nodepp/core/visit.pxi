# core/visit.pxi — whose session does a request bring?
#   Prefix: visit
#   Owns:  from cookie to slot; ids that lead nowhere; sessions found to be over
#   Uses:  limits, scan, tables, vault, parser, snapshot, ident, session, request, cookie, locate,
#          policy, suspect
#   Never: what a session holds
#   Holds: what a connection remembers is a hint: the cookie of each request decides

cdef struct visit_t:                   # what was found for a request
    uint64_t number                    # of that request
    int64_t slot                       # -1: it has no session
    uint32_t version
    uint8_t id[VAULT_ID_SIZE]
    uint8_t shown                      # bits: which cookies it has shown
    bint forged                        # one of them was never made here
    bint guessed                       # and looks as if it had been

cdef struct visit_over_t:
    uint32_t slot
    uint8_t id[VAULT_ID_SIZE]

cdef struct visit_shown_t:             # what a request shows
    uint64_t number                    # of that request; 0: what is here points nowhere
    cookies_t cookies[2]               # by POLICY_
    int first                          # whose first one is an id in form: POLICY_, -1: none is
    uint8_t whole[IDENT_WHOLE_SIZE]

cdef visit_t visit_now                 # of the request being answered
cdef visit_shown_t visit_shown         # its cookies, once they were looked for
cdef const uint8_t* visit_guess[2 * COOKIE_MATCH_MAX]     # ids of it that were never issued
cdef int visit_guess_count
cdef bint visit_warm                   # the request before this one has used its session
cdef visit_over_t visit_over[2 * COOKIE_MATCH_MAX]     # found to be over while looking
cdef int visit_over_count


cdef void visit_open() noexcept:
    global visit_warm, visit_over_count
    visit_now.number = visit_shown.number = 0
    visit_warm = False
    visit_over_count = 0


cdef inline int visit_of(connection_t* c, const request_t* r, uint64_t number,
                         visit_t* found) except -1:
    """What the request brings, looked for once. Sessions found to be over are noted: they end when
    there is a Request that their hooks can see."""
    global visit_now
    if visit_now.number == number:
        found[0] = visit_now
        return 0
    found.number = number
    visit_look(c, r, found)
    visit_now = found[0]
    if unlikely_(found.guessed) and found.slot < 0:
        suspect_count(c, visit_guess, visit_guess_count)
    return 0


cdef int visit_look(connection_t* c, const request_t* r, visit_t* found) except -1:
    """The login cookie counts before the other. A request with a valid session is never counted as
    guessing, even if it also sends bad cookies: a neighbour under the same domain may have set
    them."""
    global visit_guess_count
    cdef visit_shown_t shown
    cdef int which
    visit_guess_count = 0
    found.slot = -1
    found.shown = 0
    found.forged = found.guessed = False
    if policy_vault == NULL:
        return 0
    if visit_shown.number != found.number:
        visit_read(r, found.number)
    shown = visit_shown
    visit_shown.number = 0             # a stream may look again when the head lies elsewhere
    for which in range(POLICY_LOGIN, -1, -1):
        if shown.cookies[which].count:
            found.shown |= <uint8_t>(1 << which)
            if visit_try_all(c, r, &shown, which, found):
                break
    return 0


cdef void visit_read(const request_t* r, uint64_t number) noexcept nogil:
    """Finds the cookies, and reads the one that counts first."""
    cdef int which = POLICY_LOGIN
    cdef const cookie_t* cookie
    visit_shown.number = number
    visit_shown.first = -1
    cookie_find(r, policy_name, 2, visit_shown.cookies)
    if visit_shown.cookies[which].count == 0:
        which = POLICY_ANONYMOUS
    cookie = &visit_shown.cookies[which].found[0]
    if visit_shown.cookies[which].count and cookie.size == IDENT_TEXT_SIZE \
            and ident_decode(cookie.at, IDENT_TEXT_SIZE, visit_shown.whole):
        visit_shown.first = which


cdef void visit_ahead(const request_t* r, uint64_t number) noexcept nogil:
    """The request will perhaps want its session, as the one before did: what it holds is fetched
    while the path is looked up and the handler called. Fast path: without it no answer is another,
    but with 100,000 sessions each line that is touched is cold (400 ns of 6.5 µs)."""
    cdef uint32_t slot
    visit_read(r, number)
    if visit_shown.first >= 0:
        slot = ident_place(policy_vault, visit_shown.whole)
        if slot < policy_vault.capacity:
            vault_expect(policy_vault, slot)


cdef inline void visit_expected(bint used) noexcept nogil:
    """The next request will do as this one did."""
    global visit_warm
    visit_warm = used and policy_vault != NULL
    visit_shown.number = 0


cdef bint visit_try_all(connection_t* c, const request_t* r, const visit_shown_t* shown, int which,
                        visit_t* found) except -1:
    cdef uint8_t id[IDENT_WHOLE_SIZE]
    cdef const cookie_t* cookie
    cdef int i
    for i in range(shown.cookies[which].count):
        cookie = &shown.cookies[which].found[i]
        if i == 0 and which == shown.first:
            memcpy(id, shown.whole, sizeof(id))
        elif cookie.size != IDENT_TEXT_SIZE or not ident_decode(cookie.at, cookie.size, id):
            found.forged = True
            continue
        if visit_try(c, r, cookie, id, found):
            session_touch(policy_vault, <uint32_t>found.slot, vault_now_s(policy_vault))
            return True
    return False


cdef bint visit_try(connection_t* c, const request_t* r, const cookie_t* cookie,
                    const uint8_t* id, visit_t* found) except -1:
    """Is this the id of a live session, and is it this browser's?"""
    cdef vault_t* v = policy_vault
    cdef int64_t slot
    cdef uint32_t version = visit_find(c, id, &slot)
    if unlikely_(version == 0):
        if not ident_is_ours(v, cookie.at, cookie.size):
            found.forged = found.guessed = True
            visit_note_guess(cookie.at)
        return False
    if unlikely_(session_is_over(v, <uint32_t>slot, version, vault_now_s(v))):
        visit_note_over(<uint32_t>slot, id)
        return False
    if unlikely_(v.heads[slot].agent != visit_agent(r)):
        return False
    visit_meet(c, <uint32_t>slot)
    found.slot = slot
    found.version = version
    memcpy(found.id, id, VAULT_ID_SIZE)
    return True


cdef inline void visit_note_guess(const uint8_t* text) noexcept nogil:
    """It has the form of an id of ours, and its tag is none of ours."""
    global visit_guess_count
    visit_guess[visit_guess_count] = text
    visit_guess_count += 1             # no more than cookies are looked at


cdef inline void visit_meet(connection_t* c, uint32_t slot) noexcept nogil:
    """Connection and session know of each other from now on."""
    if c.session_slot != <int32_t>slot:
        c.session_slot = <int32_t>slot
        policy_connection[slot] = tables_slot(c)


cdef uint32_t visit_find(const connection_t* c, const uint8_t* id, int64_t* slot) noexcept nogil:
    """The version and the slot of a live session, 0 if there is none: where its cookie says, where
    this connection's last one was, or where the index knows it."""
    cdef vault_t* v = policy_vault
    cdef uint32_t version = 0
    slot[0] = ident_place(v, id)
    if likely_(slot[0] < v.capacity):
        version = session_version(v, <uint32_t>slot[0], id)
    if unlikely_(version == 0) and 0 <= c.session_slot < <int64_t>v.capacity:
        slot[0] = c.session_slot
        version = session_version(v, <uint32_t>slot[0], id)
    if unlikely_(version == 0):
        slot[0] = session_find(v, id, True)
        if slot[0] >= 0:
            version = session_version(v, <uint32_t>slot[0], id)
    return version


cdef uint32_t visit_agent(const request_t* r) noexcept:
    """What a session is bound to: the browser, as Node++ tells them, and the site if there are
    several. 0: nothing."""
    cdef const field_t* field
    cdef const host_t* site
    cdef bint several = locate_snapshot is not None and locate_snapshot.host_count > 1
    cdef uint64_t hash = policy_vault.agent_salt
    if not several and not policy.bind_agent:
        return 0
    if several:
        # Mixed before the browser comes in: nobody can choose one that makes up for the site.
        site = snapshot_host(locate_snapshot, r.data + r.head.host_start, r.head.host_size)
        hash = visit_mix(hash ^ scan_hash(<const uint8_t*>PyBytes_AS_STRING(<object>site.name),
                                          PyBytes_GET_SIZE(<object>site.name)))
    if policy.bind_agent:
        field = request_find_field(r, <const uint8_t*>b"user-agent", 10)
        if field != NULL:
            hash ^= scan_hash(r.data + field.value_start, field.value_size)
    return <uint32_t>(visit_mix(hash) >> 32) | 1


cdef inline uint64_t visit_mix(uint64_t x) noexcept nogil:
    """Each bit of the result depends on all; as MurmurHash3 ends."""
    x = (x ^ x >> 33) * <uint64_t>0xFF51AFD7ED558CCD
    x = (x ^ x >> 33) * <uint64_t>0xC4CEB9FE1A85EC53
    return x ^ x >> 33


cdef int visit_level(const visit_t* visit) noexcept:
    """0: no session; 1: an anonymous one; else the level of the login."""
    cdef session_copy_t copy
    cdef uint32_t version
    if visit.slot < 0:
        return 0
    if not visit.version & VAULT_LOGGED:
        return 1
    version = session_read(policy_vault, <uint32_t>visit.slot, visit.id, &copy, NULL, NULL)
    return copy.level if version & VAULT_LOGGED else 1 if version else 0


cdef void visit_note_over(uint32_t slot, const uint8_t* id) noexcept nogil:
    """It will be ended when what the request brings is known: a hook may ask for its session."""
    global visit_over_count
    if visit_over_count < 2 * COOKIE_MATCH_MAX:
        visit_over[visit_over_count].slot = slot
        memcpy(visit_over[visit_over_count].id, id, VAULT_ID_SIZE)
        visit_over_count += 1
