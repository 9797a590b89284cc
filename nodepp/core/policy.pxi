# core/policy.pxi — how the engine's table of sessions is used
#   Prefix: policy
#   Owns:  the table's memory as requests use it, its settings, what the application has declared
#   Uses:  scan, sigbus, vault, session, expiry, cookie, headers
#   Never: a request
#   Holds: without a table `policy_vault` is NULL, and nothing else here is used

cdef enum:
    POLICY_ANONYMOUS = 0               # which of the two cookies
    POLICY_LOGIN = 1

cdef struct policy_t:
    bint bind_agent
    bint for_bots
    bint secure
    bint hears_start                   # somebody wants to know
    bint hears_stop
    bint hears_login
    bint hears_logout

cdef vault_t* policy_vault             # NULL: the engine has no sessions
cdef policy_t policy
cdef cookie_name_t policy_name[2]      # by POLICY_
cdef uint32_t* policy_connection       # by slot: which one used it last in this process, a hint
cdef uint8_t* policy_scratch           # data of one session; one owner at a time
cdef object policy_class               # what an application has declared, or Session
cdef bytes policy_defaults             # a record as it begins; None: a dict, no record
cdef bytes policy_login_path           # where those go who are not logged in


cdef int policy_open(vault_t* vault, dict settings, host) except -1:
    """Takes the settings of an engine that opens."""
    global policy_vault, policy_scratch, policy_connection, vault_in_use
    events = getattr(host, "session_events", frozenset())
    expiry_open()
    sigbus_install()
    policy.bind_agent = settings.get("session_bind_agent", True)
    policy.for_bots = settings.get("sessions_for_bots", False)
    policy.secure = settings.get("secure_cookies", False)
    policy.hears_start = "start" in events
    policy.hears_stop = "stop" in events
    policy.hears_login = "login" in events
    policy.hears_logout = "logout" in events
    policy_set_name(POLICY_ANONYMOUS, settings.get("session_cookie", "as"))
    policy_set_name(POLICY_LOGIN, settings.get("login_cookie", "ls"))
    if vault == NULL:
        return 0
    policy_vault = vault_in_use = vault
    policy_scratch = <uint8_t*>malloc(vault.data_size)
    policy_connection = <uint32_t*>calloc(vault.capacity, sizeof(uint32_t))
    if policy_scratch == NULL or policy_connection == NULL:
        raise MemoryError("no room for what belongs to sessions")
    session_set_timeouts(
        vault, settings.get("session_timeout_s", 600),
        settings.get("session_auth_timeout_s", 1800), settings.get("session_keep_s", 30 * 86400),
        settings.get("session_lifetime_s", 30 * 86400))
    return 0


cdef void policy_close() noexcept:
    global policy_vault, policy_scratch, policy_connection, vault_in_use
    policy_vault = vault_in_use = NULL
    free(policy_scratch)
    free(policy_connection)
    policy_scratch = NULL
    policy_connection = NULL


cdef int policy_set_name(int which, name) except -1:
    cdef bytes text = ("__Host-" + name if policy.secure else name).encode("ascii", "replace")
    if not text or len(text) >= COOKIE_NAME_SIZE_MAX or not headers_all_of(text, SCAN_TOKEN):
        raise ValueError(f"{name!r} cannot be the name of a cookie")
    memcpy(policy_name[which].text, <const char*>text, len(text))
    policy_name[which].size = len(text)
    return 0
