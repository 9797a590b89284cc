"""The application itself. app.py and visitors.py both give it routes, so it is in neither."""

from nodepp import App

app = App()
