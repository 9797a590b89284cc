# core/admit.pxi — may this request be answered, and whose is it?
#   Prefix: admit
#   Owns:  access rules asked before files and routes; the way to the login page; forged requests;
#          the 429 of an address that guesses
#   Uses:  scan, tables, vault, address, parser, response, guess, rules, request, connection,
#          callbacks, current, route, policy, suspect, visit, entry, settle, personal, finish,
#          context, failure
#   Never: accounts and passwords
#   Holds: who is refused learns nothing of what is there

cdef enum:
    ADMIT_NEXT_SIZE_MAX = 2000         # bytes of the way back; a longer one is left out


class CsrfError(PermissionError):
    """A request that changes something does not prove that its page is ours; `status` is 403."""
    status = 403


cdef bint admit_armed                  # routes are to be asked for: a rule or CSRF
cdef bint admit_checks_csrf
cdef bint admit_starts                 # the request being answered shall have a session


cdef int admit_open(dict settings) except -1:
    global admit_armed, admit_checks_csrf, admit_starts, current_guarded, policy_login_path
    policy_login_path = settings.get("login_path", "/login").encode()
    admit_checks_csrf = settings.get("csrf", False)
    admit_starts = current_guarded = False
    rules_open(settings.get("auth_rules", []))
    admit_armed = admit_checks_csrf or rules_host_count > 0
    if not policy_login_path.startswith(b"/"):
        raise ValueError("login_path begins with a slash")
    if admit_armed and policy_vault == NULL:
        raise ValueError("access rules and csrf need sessions: give the engine a table of them")
    return 0


cdef bint admit_refuse(connection_t* c, request_t* r, const match_t* match,
                       head_t* head) except -1:
    """True: it has been answered, for its visitor may not see this."""
    global admit_starts, current_guarded
    cdef visit_t visit
    cdef int have
    cdef int level = rules_level(r.data + r.head.host_start, r.head.host_size, match.path,
                                 match.size)
    admit_starts = current_guarded = False
    if level == 0:
        return False
    if level > 1 and admit_is_login(match):
        level = 1                      # or nobody could ever log in
    visit_of(c, r, stats.requests, &visit)
    have = visit_level(&visit)
    if have == 0 and level == 1:
        admit_starts = r.head.method != METHOD_HEAD
    if have >= level or level <= 1:
        current_guarded = level > 1
        return False
    lines = settle_take_back(&visit)
    if have >= 2:
        failure_miss_with(c, r, head, 403, [admit_uncached, *lines])
    elif admit_is_browser(r):
        admit_send_to_login(c, r, head, b"".join([line for _, line in lines]))
    else:
        failure_miss_with(c, r, head, 401, [
            admit_uncached, (b"www-authenticate", b"WWW-Authenticate: Session\r\n"), *lines])
    return True


cdef tuple admit_uncached = (b"cache-control", b"Cache-Control: no-store\r\n")


cdef bint admit_is_login(const match_t* match) noexcept:
    return match.size == <size_t>PyBytes_GET_SIZE(policy_login_path) \
        and memcmp(match.path, PyBytes_AS_STRING(policy_login_path), match.size) == 0


cdef bint admit_is_browser(const request_t* r) noexcept:
    """Does it show pages? A script that fetches accepts anything, but does not ask for HTML."""
    cdef const field_t* accept = request_find_field(r, <const uint8_t*>b"accept", 6)
    cdef const uint8_t* at
    cdef size_t i
    if accept == NULL or accept.value_size < 9:
        return False
    at = r.data + accept.value_start
    for i in range(accept.value_size - 8):
        if memcmp(at + i, b"text/html", 9) == 0:
            return True
    return False


cdef int admit_send_to_login(connection_t* c, request_t* r, head_t* head,
                             bytes cookies) except -1:
    """303 to the login page; GET and HEAD keep the way back."""
    cdef bytes location = policy_login_path
    cdef bytes lines
    cdef size_t query_size = r.head.query_size
    if r.head.method & (METHOD_GET | METHOD_HEAD):
        way = b"/" if r.head.path_size == 0 else \
            (<const char*>r.data)[r.head.path_start:r.head.path_start + r.head.path_size]
        if query_size:
            way += b"?" + (<const char*>r.data)[r.head.query_start:
                                                r.head.query_start + query_size]
        if len(way) <= ADMIT_NEXT_SIZE_MAX:
            location += b"?next=" + admit_quote(way)
    lines = b"Location: " + location + b"\r\nCache-Control: no-store\r\n" + cookies
    head.status = 303
    head.length = 0
    head.extra = PyBytes_AS_STRING(lines)
    head.extra_size = PyBytes_GET_SIZE(lines)
    response_queue(head, NULL, 0)
    finish_count(c, r, 303, 0)
    return 0


cdef bytes admit_quote(bytes text):
    """Percent-encoded for the value of a parameter, RFC 3986 §2.3; slashes stay readable."""
    cdef const char* digits = b"0123456789ABCDEF"
    cdef uint8_t byte
    quoted = bytearray()
    for byte in text:
        if scan_class[byte] & SCAN_TOKEN and byte not in b"!#$%&'*+^`|" or byte == c'/':
            quoted.append(byte)
        else:
            quoted += b"%" + bytes((digits[byte >> 4], digits[byte & 15]))
    return bytes(quoted)


cdef int admit_enter(Request req, int flags) except -1:
    """Before a handler is called: the session that a rule wants it to have, and whether the request
    was made by a page of ours."""
    global admit_starts
    cdef bint starts = admit_starts
    admit_starts = False
    req.guarded = current_guarded
    if starts and not req.is_bot:
        entry_need(req.session)
    if admit_checks_csrf and not flags & FLAG_NO_CSRF \
            and req.r.head.method & (METHOD_POST | METHOD_PUT | METHOD_PATCH | METHOD_DELETE):
        admit_check_csrf(req)
    return 0


cdef int admit_check_csrf(Request req) except -1:
    """What the browser says of the page comes first: it costs nothing, and a token cannot be asked
    of who sends none."""
    cdef Session session
    site = req.header("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise CsrfError(f"the request comes from another site (Sec-Fetch-Site: {site})")
    else:
        origin = req.header("origin")
        if origin is not None and origin.partition("://")[2].lower() != req.host.lower():
            raise CsrfError(f"the request comes from another site (Origin: {origin})")
    session = req.session
    if not session.exists:
        raise CsrfError("there is no session that a token could be of" + (
            " (what calls itself a bot has none: sessionsForBots)" if req.is_bot else ""))
    token = req.header("x-csrf-token")
    if token is None:
        token = req.form.get("csrft")
    if token is None:
        raise CsrfError("the token is missing (field csrft, or X-CSRF-Token)")
    if not session.check_csrf(token):
        raise CsrfError("the token is not that of the session")
    return 0


cdef bint admit_try_enter(Request req, int flags) noexcept:
    """The same; False with the exception set."""
    try:
        admit_enter(req, flags)
    except BaseException as problem:
        callback_set_exception(problem)
        return False
    return True


# A client that keeps cookies has lost the one that was refused, and may come back at once.
cdef tuple admit_retry = (b"retry-after", b"Retry-After: 1\r\n")


cdef bint admit_refuse_guess(connection_t* c, request_t* r, head_t* head) except -1:
    """True: it has been answered with 429, for it comes from a blocked address with an id that was
    never issued. The answer takes the cookie back, so a browser's next request is served."""
    global suspect_refused, current_guarded
    cdef vault_t* v = policy_vault
    cdef uint32_t now_s = vault_now_s(v)
    cdef address_t address
    cdef visit_t visit
    if not guess_is_alarmed(v, now_s) or not suspect_is_subject(c, &address) \
            or not guess_blocked_till(v, guess_who(&address), now_s):
        return False
    visit_of(c, r, stats.requests, &visit)
    if not visit.guessed or visit.slot >= 0:
        return False
    guess_count_refused(v)
    suspect_refused = stats.requests
    current_guarded = False               # of the request before
    failure_miss_with(c, r, head, 429,
                      [admit_uncached, admit_retry, *settle_take_back(&visit)])
    return True
