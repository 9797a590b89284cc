# core/visitor.pxi — what kind of client is this?
#   Prefix: agent
#   Owns:  device class and bots, told by User-Agent and From as Node++ tells them
#   Uses:  nothing
#   Never: anything that security rests on: a client says what it likes
#   Holds: a rule is a substring, a beginning or the whole, in upper case

cdef tuple agent_tablets = ("IPAD", "TABLET", "KINDLE", "PLAYBOOK", "SM-T555")
cdef tuple agent_mobiles = ("ANDROID", "IPHONE", "BLACKBERRY", "MOBILE", "SYMBIAN")
cdef tuple agent_bot_parts = ("BOT", "SCAN", "CRAWLER", "SPIDER", "BAIDU", "ZGRAB",
                              "DOMAINSONO", "NETCRAFT", "CENSYS", "SURDOTLY")
cdef tuple agent_bot_starts = ("APPENGINE", "NETSYSTEMSRESEARCH", "CURL", "BUBING",
                               "PYTHON-REQUESTS", "CLOUD MAPPING")
cdef tuple agent_bot_names = ("TELESPHOREO", "MAGIC BROWSER")
cdef tuple agent_bot_senders = ("GOOGLEBOT", "BINGBOT", "YANDEX", "CRAWLER")


cdef bint agent_holds(str text, tuple parts) except -1:
    for part in parts:
        if part in text:
            return True
    return False


cdef str agent_device(str user_agent):
    """"desktop", "tablet" or "mobile"."""
    agent = user_agent.upper()
    if agent_holds(agent, agent_tablets):
        return "tablet"
    return "mobile" if agent_holds(agent, agent_mobiles) else "desktop"


cdef bint agent_is_bot(str user_agent, str sender) except -1:
    """True for what calls itself a crawler, a scanner or a tool."""
    agent = user_agent.upper().replace("CUBOT", "")    # a make of telephones
    if agent_holds(agent, agent_bot_parts) or agent in agent_bot_names:
        return True
    return agent.startswith(agent_bot_starts) or agent_holds(sender.upper(),
                                                             agent_bot_senders)
