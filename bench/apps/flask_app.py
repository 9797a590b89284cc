"""Flask, for gunicorn, with Flask's own static files."""

from common import BINARY, HELLO, TEXT, message, page, resource_folder
from flask import Flask, Response, jsonify, request

app = Flask(__name__, static_folder=resource_folder(), static_url_path="/static")


@app.get("/")
def hello():
    return HELLO


@app.get("/json")
def json():
    return jsonify(message())


@app.get("/user/<int:id>")
def user(id):
    return Response(f"User {id} asks for {request.args['q']}", content_type=TEXT)


@app.post("/echo")
def echo():
    return Response(request.get_data(), content_type=BINARY)


@app.get("/page")
def rendered():
    return page()
