from flask import Blueprint

resource = Blueprint("openapi", __name__)
