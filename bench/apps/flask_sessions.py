"""Flask's own session, for gunicorn: the data in a signed cookie."""

from flask import Flask, session

app = Flask(__name__)
app.secret_key = "a key for measuring, 32 bytes...."


@app.get("/session")
def counter():
    hits = session["hits"] = session.get("hits", 0) + 1
    return f"{hits}"
