"""An application written the Node++ way: no App and no routes, one function asks what is wanted.

    nodepp-run sample/npp_hello.py
"""

from nodepp.npp import *

NPP_APP_NAME = "Hello from Node++"


def npp_app_main():
    if REQ(""):
        OUT_HTML_HEADER()
        OUT("<h1>Hello</h1>")
        OUT('<form action="welcome"><label>Your name: <input name="name"></label>')
        OUT("<button>Go on</button></form>")
        OUT("<p>You use a %s.</p>", "phone" if REQ_MOB else "computer")
        OUT_HTML_FOOTER()
    elif REQ("welcome"):
        name = QS("name")  # HTML-escaped already, which OUT relies on
        if not name:
            RES_REDIRECT("/")
            return
        OUT_HTML_HEADER()
        OUT("<h1>Welcome, %s!</h1>", name)
        OUT('<p><a href="/">Back</a></p>')
        OUT_HTML_FOOTER()
    elif REQ("api") and REQ_GET:
        RES_CONTENT_TYPE_JSON()
        OUT('{"method": "%s", "bot": %d}', REQ_METHOD, REQ_BOT)
    else:
        RES_STATUS(404)


def npp_app_init():
    INF("Hello is ready")
    return True
