# core/visitor.pxi — what kind of client is this?
#   Owns:  device class and bots, told by User-Agent and From as Node++ tells them
#   Uses:  nothing
#   Never: anything that security rests on: a client says what it likes
#   Holds: a rule is a substring, a beginning or the whole, in upper case

cdef tuple visitor_tablets = ("IPAD", "TABLET", "KINDLE", "PLAYBOOK", "SM-T555")
cdef tuple visitor_mobiles = ("ANDROID", "IPHONE", "BLACKBERRY", "MOBILE", "SYMBIAN")
cdef tuple visitor_bot_parts = ("BOT", "SCAN", "CRAWLER", "SPIDER", "BAIDU", "ZGRAB",
                                "DOMAINSONO", "NETCRAFT", "CENSYS", "SURDOTLY")
cdef tuple visitor_bot_starts = ("APPENGINE", "NETSYSTEMSRESEARCH", "CURL", "BUBING",
                                 "PYTHON-REQUESTS", "CLOUD MAPPING")
cdef tuple visitor_bot_names = ("TELESPHOREO", "MAGIC BROWSER")
cdef tuple visitor_bot_senders = ("GOOGLEBOT", "BINGBOT", "YANDEX", "CRAWLER")


cdef bint visitor_holds(str text, tuple parts) except -1:
    for part in parts:
        if part in text:
            return True
    return False


cdef str visitor_device(str user_agent):
    """"desktop", "tablet" or "mobile"."""
    agent = user_agent.upper()
    if visitor_holds(agent, visitor_tablets):
        return "tablet"
    return "mobile" if visitor_holds(agent, visitor_mobiles) else "desktop"


cdef bint visitor_is_bot(str user_agent, str sender) except -1:
    """True for what calls itself a crawler, a scanner or a tool."""
    agent = user_agent.upper().replace("CUBOT", "")    # a make of telephones
    if visitor_holds(agent, visitor_bot_parts) or agent in visitor_bot_names:
        return True
    return agent.startswith(visitor_bot_starts) or visitor_holds(sender.upper(),
                                                                 visitor_bot_senders)
