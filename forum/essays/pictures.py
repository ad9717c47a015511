"""The addresses of pictures: sent on the author's desk, shown to everyone."""

from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request, send_from_directory

from forum.assets import FOREVER
from forum.essays.desk import Answer, essay_to_edit
from forum.essays.forms import PictureForm, add_refusal
from forum.essays.picture import (
    KINDS,
    MAX_ALT,
    NAME,
    checked_alt,
    keep_picture,
    markdown_line,
    picture_folder,
)
from forum.essays.refusal import EssayRefused
from forum.text.normal import one_line
from forum.web import large_body

UPLOAD_KIB = 6 * 1024
"""A little more than a picture may have, so that one too large is answered with a sentence."""

blueprint = Blueprint("essay_pictures", __name__)


@blueprint.route("/desk/essays/<int:essay_id>/images", methods=["GET", "POST"])
@large_body(UPLOAD_KIB)
def images(essay_id: int) -> Answer:
    """Take a picture with its alternative text, then show the line that puts it into the essay."""
    essay, _ = essay_to_edit(essay_id)
    form = PictureForm()
    if request.method == "GET":
        name, alt = request.args.get("name", ""), one_line(request.args.get("alt", ""))[:MAX_ALT]
        line = markdown_line(name, alt) if NAME.match(name) and alt else ""
        return render_template("essays/images.html", essay=essay, form=form, line=line, name=name, alt=alt)
    try:
        alt = checked_alt(form.alt.data or "")
        name = keep_picture(_content(form))
    except EssayRefused as refusal:
        add_refusal(form, refusal)
        return render_template("essays/images.html", essay=essay, form=form, line=""), 422
    return redirect(f"/desk/essays/{essay_id}/images?{urlencode({'name': name, 'alt': alt})}", 303)


@blueprint.get("/media/<name>")
def media(name: str) -> Response:
    """Send a picture, for browsers to keep for good: its name changes with its content."""
    if not NAME.match(name):
        abort(404)
    response = send_from_directory(picture_folder(), name, mimetype=KINDS[name.rpartition(".")[2]])
    response.headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _content(form: PictureForm) -> bytes:
    if not form.picture.data:
        raise EssayRefused("picture", "Choose a picture.")
    return bytes(form.picture.data.read())
