"""As OpenFaaS' classic templates have it."""


def handle(req):
    return req.upper()
