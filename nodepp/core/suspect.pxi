# core/suspect.pxi — addresses that guess ids of sessions are kept from guessing on
#   Prefix: suspect
#   Owns:  which addresses are counted; blocking one
#   Uses:  clock, tables, vault, transport, address, ident, guess, callbacks, policy
#   Never: counting; a request without such an id, or with a session that lives: it is served
#   Holds: as long as no address is blocked, a request pays for one comparison

cdef bint suspect_loopback             # this machine counts too: for tests
cdef int64_t suspect_grace_ms          # from the opening of the table on no id counts
cdef uint32_t suspect_block_s          # how long an address is blocked; 0: none is
cdef uint32_t suspect_calm             # the alarm of an engine without sessions: never
cdef uint32_t* suspect_alarm = &suspect_calm    # not 0: an address may be blocked
cdef uint64_t suspect_refused          # number of the request that was refused last


cdef int suspect_open(dict settings) except -1:
    global suspect_loopback, suspect_grace_ms, suspect_block_s, suspect_alarm, suspect_refused
    suspect_loopback = settings.get("guard_loopback", False)
    suspect_grace_ms = int(settings.get("forged_grace_s", 1800)) * 1000
    suspect_block_s = settings.get("block_time_s", 86400)
    suspect_refused = 0
    suspect_alarm = &suspect_calm if policy_vault == NULL else &policy_vault.shared.guess_alarm_s
    return 0


cdef void suspect_close() noexcept:
    global suspect_alarm
    suspect_alarm = &suspect_calm


cdef int suspect_count(connection_t* c, const uint8_t** guess, int count) except -1:
    """The request shows ids that our key did not make, and no session. An address that shows too
    many is blocked, and the host is told."""
    cdef address_t address
    cdef vault_t* v = policy_vault
    cdef uint32_t mark
    cdef int outcome
    cdef int i
    if v.secret_is_new and clock_now_ms - v.shared.opened_ms < suspect_grace_ms:
        return 0                       # from before the start, perhaps
    if not suspect_is_subject(c, &address):
        return 0
    for i in range(count):
        hash = ident_hash(v, guess[i][:IDENT_TEXT_SIZE], sizeof(mark))
        memcpy(&mark, PyBytes_AS_STRING(hash), sizeof(mark))
        outcome = guess_note(v, guess_who(&address), mark, vault_now_s(v), suspect_block_s)
        if outcome != GUESS_NOTED:
            suspect_tell(c, outcome)
    return 0


cdef bint suspect_is_subject(connection_t* c, address_t* address) noexcept:
    """Can this peer's address be blocked? Not over a unix socket or from this machine, where a
    proxy may stand for all visitors, and not one that the white list names."""
    if not address_of(c.family, c.peer, address):
        return False
    if address_is_loopback(address) and not suspect_loopback:
        return False
    return not address_is_welcome(address)


cdef int suspect_tell(connection_t* c, int outcome) except -1:
    try:
        callback_host.address_blocked(transport_peer_text(c.family, c.peer),
                                      suspect_reasons[outcome], suspect_block_s)
    except BaseException as problem:
        callback_keep(problem)
        callback_log_problem("an address was blocked", problem)
    return 0


cdef dict suspect_reasons = {GUESS_MINUTE: "10 forged session ids within a minute",
                             GUESS_HOUR: "100 forged session ids within an hour",
                             GUESS_DAY: "1,000 forged session ids within a day"}


cdef list suspect_blocked():
    """(address, blocked until, why) of all that are blocked: an address of IPv4 or the first one of
    an IPv6 /64, seconds since 1970, words."""
    cdef vault_t* v = policy_vault
    cdef uint32_t now_s, till_s
    cdef uint64_t who
    cdef peer_t peer
    cdef int i
    found = []
    if v == NULL or not suspect_alarm[0]:
        return found
    now_s = vault_now_s(v)
    for i in range(VAULT_GUESS_COUNT):
        who = guess_load(&v.shared.guess[i].who)
        till_s = v.shared.guess[i].till_s
        if who and till_s > now_s:
            guess_peer(who, &peer)
            found.append((transport_peer_text(peer.family, peer.address), till_s,
                          suspect_reasons.get(v.shared.guess[i].why, "")))
    return found


cdef bint suspect_let_in(str ip) except -1:
    """Ends the block of an address; False: it was not blocked. ValueError: it is no address."""
    cdef peer_t peer
    cdef address_t address
    address_parse(ip, &peer)
    address_of(peer.family, peer.address, &address)
    return policy_vault != NULL and guess_let_in(policy_vault, guess_who(&address),
                                                 vault_now_s(policy_vault))
