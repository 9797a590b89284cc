"""The pages of the sample application that take something: the guestbook and the upload."""

from __future__ import annotations

from base64 import b64encode

from layout import begin, end, facts

# The form.


def guestbook(req, entries, form, errors=None, signed=None):
    lead = """A form without a line of script: what is wrong is said beside the field, what was
        entered is kept, and your name is remembered."""
    begin(req, "Guestbook", "/guestbook", lead)
    req.out("""
        <div class="columns">
        <form class="panel" method="post" action="/guestbook" novalidate>
    """)
    field(req, "name", "Your name", '<input%s value="%%s" autocomplete="name">', form, errors)
    field(req, "text", "Message", '<textarea%s rows="4">%%s</textarea>', form, errors)
    req.out('<button class="button">Sign</button></form>')
    req.out('<section><h2 class="small">Entries</h2><ol class="entries">')
    for entry in reversed(entries):
        entry_item(req, entry, is_new=str(entry["id"]) == signed)
    req.out("</ol></section></div>")
    end(req, "app.sign", "app.check", "forms.entry_item")


def field(req, name, label, control, form, errors):
    """A label, its control, and what is wrong with it. control: markup with a place for attributes,
    %s, and then one for the value, %%s.
    """
    errors = errors or {}
    error = errors.get(name)
    attributes = f' id="{name}" name="{name}"'
    if error:
        attributes += f' aria-invalid="true" aria-describedby="{name}-error"'
        if name == next(iter(errors)):
            attributes += " autofocus"
    req.out(f'<p class="field"><label for="{name}">{label}</label>')
    req.out(control % attributes, form.get(name, ""))
    if error:
        req.out(f'<span class="wrong" id="{name}-error">%s</span>', error)
    req.out("</p>")


def entry_item(req, entry, is_new):
    req.out('<li class="new">' if is_new else "<li>")
    req.out(
        '<p class="who"><b aria-hidden="true">%s</b> %s <time>%s</time></p><p>%s</p></li>',
        entry["name"][0],
        entry["name"],
        entry["time"][:16].replace("T", " "),
        entry["text"],
    )


# The upload.


def upload(req, error=None):
    lead = """What arrives is looked at and let go: nothing is kept. Up to 16 MiB here; from 1 MiB
        on it waits in a temporary file, and memory stays flat."""
    begin(req, "Upload", "/upload", lead)
    upload_form(req, error)
    end(req, "app.upload", "app.digest_of", "app.preview_of")


def uploaded(req, files):
    lead = "Name and type are what the browser said. Size and digest are what came."
    begin(req, "Uploaded", "/upload", lead)
    req.out('<ul class="files">')
    for file, digest, preview in files:
        req.out('<li class="panel">')
        if preview:
            media_type, data = preview
            source = f"data:{media_type};base64,{b64encode(data).decode()}"
            req.out('<img src="%s" alt="The picture">', source)
        req.out('<div><h2 class="small">%s</h2>', file.filename)
        pairs = ("type", file.content_type), ("size", f"{file.size:,} bytes"), ("SHA-256", digest)
        facts(req, pairs)
        req.out("</div></li>")
    req.out("</ul>")
    upload_form(req)
    end(req, "app.upload", "app.digest_of", "app.preview_of")


def upload_form(req, error=None):
    req.out("""
        <form class="panel drop" method="post" action="/upload" enctype="multipart/form-data">
        <p class="field">
        <label for="file">Files: choose them, or drop them here</label>
        <input id="file" name="file" type="file" multiple aria-describedby="file-error">
        </p>
    """)
    req.out('<p class="wrong" id="file-error">%s</p>', error or "")
    req.out('<button class="button">Upload</button></form>')
